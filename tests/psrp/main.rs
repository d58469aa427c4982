//! PowerShell remoting against what we did not write.

mod live_peer;
mod replay;
mod wsman;
