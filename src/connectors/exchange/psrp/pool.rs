//! One runspace pool.

use uuid::Uuid;
use zeroize::Zeroizing;

use super::clixml::Value;
use super::records::{ErrorRecord, Information, Progress};
use super::{Limits, ProtocolError};

/// How a pool is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOptions {
    pub min_runspaces: i32,
    pub max_runspaces: i32,
    /// `2.3`; what the server answers counts, from 2.1 up.
    pub protocol: String,
    /// The most bytes of one fragment, header and all, before the transport has said better.
    pub max_fragment: usize,
    pub limits: Limits,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            min_runspaces: 1,
            max_runspaces: 1,
            protocol: "2.3".to_owned(),
            max_fragment: 32 << 10,
            limits: Limits::default(),
        }
    }
}

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

/// PSInvocationState (MS-PSRP 2.2.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipelineState {
    NotStarted,
    Running,
    Stopping,
    Stopped,
    Completed,
    Failed,
    Disconnected,
}

impl PipelineState {
    /// Nothing more comes after it.
    pub fn is_final(self) -> bool {
        matches!(self, PipelineState::Stopped | PipelineState::Completed | PipelineState::Failed)
    }
}

/// A cmdlet by its name and parameters by theirs, without the dash.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    pub name: String,
    pub parameters: Vec<(String, Argument)>,
}

/// A parameter's value.
#[derive(Clone, PartialEq)]
pub enum Argument {
    Value(Value),
    /// Becomes a SecureString, which needs the session key ([`Pool::key_exchange`]).
    Secret(Zeroizing<String>),
}

impl std::fmt::Debug for Argument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Argument::Value(value) => value.fmt(f),
            Argument::Secret(_) => f.write_str("********"),
        }
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
    /// The server wants [`Pool::key_exchange`].
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

/// A runspace pool, from the client's side.
#[derive(Debug)]
pub struct Pool {
    id: Uuid,
    options: PoolOptions,
    state: PoolState,
}

impl Pool {
    pub fn new(id: Uuid, options: PoolOptions) -> Self {
        Self { id, options, state: PoolState::BeforeOpen }
    }

    pub fn id(&self) -> Uuid {
        self.id
    }

    pub fn state(&self) -> PoolState {
        self.state
    }

    /// The bytes of `creationXml`: SessionCapability and InitRunspacePool. Once per pool.
    pub fn open(&mut self) -> Result<Vec<u8>, ProtocolError> {
        Err(ProtocolError::State("not ready", "it cannot be opened"))
    }

    /// Takes the decoded content of one `rsp:Stream` element, the pool's or a pipeline's.
    pub fn receive(&mut self, _bytes: &[u8]) -> Result<Vec<Event>, ProtocolError> {
        Err(ProtocolError::State("not ready", "nothing can be received"))
    }

    /// The fragments of PUBLIC_KEY, to be sent to the pool. `None`: the key is there or has been asked for.
    pub fn key_exchange(&mut self) -> Result<Option<Vec<u8>>, ProtocolError> {
        Err(ProtocolError::State("not ready", "keys cannot be exchanged"))
    }

    pub fn has_session_key(&self) -> bool {
        false
    }

    /// The fragments of CreatePipeline: the first is the Command's argument, the others go by Send to `stdin`.
    pub fn pipeline(&mut self, _id: Uuid, _command: &Command) -> Result<Vec<Vec<u8>>, ProtocolError> {
        Err(ProtocolError::NoSessionKey)
    }

    /// The pipeline was abandoned: what still comes from it is passed over.
    pub fn stopped(&mut self, _id: Uuid) {}

    /// The transport's envelope size is known now.
    pub fn set_max_fragment(&mut self, bytes: usize) {
        self.options.max_fragment = bytes;
    }

    /// What a SecureString from the server says.
    pub fn reveal(&self, _ciphertext: &[u8]) -> Result<Zeroizing<String>, ProtocolError> {
        Err(ProtocolError::NoSessionKey)
    }
}
