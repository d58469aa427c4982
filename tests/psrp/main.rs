//! PowerShell remoting against what we did not write.

mod conversation;
mod fuzz;
mod live_peer;
mod peer;
mod replay;
mod roundtrip;
mod values;
mod wsman;
