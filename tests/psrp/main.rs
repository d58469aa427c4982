//! PowerShell remoting against what we did not write.

mod replay;
mod wsman;
