//! What happens to a pool and its pipelines.

use uuid::Uuid;

use super::ProtocolError;
use super::clixml::Value;
use super::pipeline::PipelineState;
use super::records::{ErrorRecord, Information, Progress};

/// RunspacePoolState (MS-PSRP 2.2.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolState {
    BeforeOpen,
    Opening,
    Opened,
    Closed,
    Closing,
    Broken,
    NegotiationSent,
    NegotiationSucceeded,
    Connecting,
    Disconnected,
}

impl PoolState {
    /// For an error's sentence.
    pub(super) fn word(self) -> &'static str {
        match self {
            PoolState::BeforeOpen => "not open yet",
            PoolState::Opening => "opening",
            PoolState::Opened => "open",
            PoolState::Closed => "closed",
            PoolState::Closing => "closing",
            PoolState::Broken => "broken",
            PoolState::NegotiationSent => "waiting for the server's capabilities",
            PoolState::NegotiationSucceeded => "waiting for the server to open it",
            PoolState::Connecting => "connecting",
            PoolState::Disconnected => "disconnected",
        }
    }

    /// Of a RunspacePoolState message.
    pub(super) fn read(value: &Value) -> Result<Self, ProtocolError> {
        let number = value.property("RunspaceState").and_then(Value::number);
        Ok(match number {
            Some(0) => PoolState::BeforeOpen,
            Some(1) => PoolState::Opening,
            Some(2) => PoolState::Opened,
            Some(3) => PoolState::Closed,
            Some(4) => PoolState::Closing,
            Some(5) => PoolState::Broken,
            Some(6) => PoolState::NegotiationSent,
            Some(7) => PoolState::NegotiationSucceeded,
            Some(8) => PoolState::Connecting,
            Some(9) => PoolState::Disconnected,
            _ => return Err(ProtocolError::Message(format!("its pool state {number:?} is not one"))),
        })
    }
}

/// What happened, in the order of the wire.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Capabilities are agreed on and the pool takes pipelines.
    Opened,
    PoolState {
        state: PoolState,
        reason: Option<ErrorRecord>,
    },
    /// The session key is there.
    SessionKey,
    /// The server wants [`super::Pool::key_exchange`].
    KeyAsked,
    PipelineState {
        pipeline: Uuid,
        state: PipelineState,
        reason: Option<ErrorRecord>,
    },
    Output {
        pipeline: Uuid,
        value: Value,
    },
    Error {
        pipeline: Uuid,
        record: ErrorRecord,
    },
    Warning {
        pipeline: Uuid,
        text: String,
    },
    Verbose {
        pipeline: Uuid,
        text: String,
    },
    Debug {
        pipeline: Uuid,
        text: String,
    },
    Progress {
        pipeline: Uuid,
        progress: Progress,
    },
    Information {
        pipeline: Uuid,
        information: Information,
    },
    /// The server turned to the person at the client's window, where there is none. Where it waits for an answer the
    /// pipeline (or the pool) will not go on: stop it and say so.
    HostCall {
        pipeline: Option<Uuid>,
        /// RemoteHostMethodId (MS-PSRP 2.2.3.17).
        method: i32,
        name: &'static str,
        expects_answer: bool,
    },
    /// ApplicationPrivateData: what the session configuration tells its clients.
    ApplicationData(Value),
}
