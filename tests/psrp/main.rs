//! PowerShell remoting against what we did not write.

mod conversation;
mod fuzz;
mod lab;
mod live_access;
mod live_peer;
mod peer;
mod replay;
mod roundtrip;
mod tape;
mod values;
mod wsman;
