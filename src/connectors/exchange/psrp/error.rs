//! What can be wrong with what a peer sent, or with what was asked of the protocol.

use uuid::Uuid;

/// Protocol errors. After one from [`super::Pool::receive`] the pool cannot be relied on: close the shell, open another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("the server sent a malformed fragment: {0}")]
    Fragment(String),
    #[error("the server sent a malformed message: {0}")]
    Message(String),
    #[error("the server sent CLIXML that cannot be read: {0}")]
    Clixml(String),
    /// More than [`super::Limits`] lets through.
    #[error("the server sent more than is taken: {0}")]
    TooMuch(String),
    #[error("the server sent a message for the pool {0}, which is not this one")]
    ForeignPool(Uuid),
    #[error("the server sent a message for the pipeline {0}, which this pool does not know")]
    UnknownPipeline(Uuid),
    #[error("the server speaks PowerShell remoting {0}, this client 2.1 to 2.3")]
    Version(String),
    /// Asked for while the pool was not in the state for it.
    #[error("the runspace pool is {0}: {1}")]
    State(&'static str, &'static str),
    /// A secret can only travel under the session key: exchange keys first.
    #[error("a secret needs the session key, and keys have not been exchanged yet")]
    NoSessionKey,
    #[error("the session key could not be used: {0}")]
    Key(String),
    #[error("the value cannot be written as CLIXML: {0}")]
    Value(String),
}
