//! PowerShell remoting against what we did not write.

mod wsman;
