//! One runspace pool: what it sends, and what comes of what it receives (MS-PSRP 3.1).

use std::collections::{HashMap, VecDeque};
use std::fmt;

use uuid::Uuid;
use zeroize::Zeroizing;

use super::clixml::{self, Object, Value};
use super::event::{Event, PoolState};
use super::fragment::{self, Assembler};
use super::message::{self, Kind, Message};
use super::pipeline::{self, Command, PipelineState};
use super::records::{self, ErrorRecord, Information, Progress};
use super::secure::{KeyPair, SessionKey};
use super::{Limits, ProtocolError, host};

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

/// Finished and abandoned pipelines whose late messages are passed over.
const REMEMBERED: usize = 256;

enum Keys {
    None,
    Asked(Box<KeyPair>),
    Agreed(SessionKey),
}

/// A runspace pool, from the client's side.
pub struct Pool {
    id: Uuid,
    options: PoolOptions,
    state: PoolState,
    /// The minor version that both sides speak; `None` until the server has said its own.
    minor: Option<u32>,
    assembler: Assembler,
    /// The next message's object id.
    next_object: u64,
    keys: Keys,
    pipelines: HashMap<Uuid, PipelineState>,
    over: VecDeque<Uuid>,
}

/// Without keys and without what was received.
impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("id", &self.id)
            .field("state", &self.state)
            .field("minor", &self.minor)
            .field("pipelines", &self.pipelines)
            .finish_non_exhaustive()
    }
}

impl Pool {
    pub fn new(id: Uuid, options: PoolOptions) -> Self {
        Self {
            id,
            options,
            state: PoolState::BeforeOpen,
            minor: None,
            assembler: Assembler::default(),
            next_object: 1,
            keys: Keys::None,
            pipelines: HashMap::new(),
            over: VecDeque::new(),
        }
    }

    pub fn id(&self) -> Uuid {
        self.id
    }

    pub fn state(&self) -> PoolState {
        self.state
    }

    /// The version that is spoken, `2.3`, once the server has said its own.
    pub fn version(&self) -> Option<String> {
        self.minor.map(|minor| format!("2.{minor}"))
    }

    /// The bytes of `creationXml`: SessionCapability and InitRunspacePool. Once per pool.
    ///
    /// # Errors
    /// The pool was opened before, or [`PoolOptions::protocol`] is not one of 2.1 to 2.3.
    pub fn open(&mut self) -> Result<Vec<u8>, ProtocolError> {
        if self.state != PoolState::BeforeOpen {
            return Err(self.unfit("it is opened once"));
        }
        let minor = minor(&self.options.protocol)?;
        if minor > 3 {
            return Err(ProtocolError::Version(self.options.protocol.clone()));
        }
        let capability = Object::of(vec![
            ("protocolversion", Value::Version(self.options.protocol.clone())),
            ("PSVersion", Value::Version("2.0".to_owned())),
            ("SerializationVersion", Value::Version("1.1.0.1".to_owned())),
        ]);
        let init = Object::of(vec![
            ("MinRunspaces", self.options.min_runspaces.into()),
            ("MaxRunspaces", self.options.max_runspaces.into()),
            ("PSThreadOptions", pipeline::enumeration("PSThreadOptions", "Default", 0)),
            ("ApartmentState", pipeline::apartment_state()),
            ("HostInfo", pipeline::null_host()),
            ("ApplicationArguments", Value::Null),
        ]);
        let mut bytes = self.fragments(Kind::SessionCapability, None, &capability.into())?.concat();
        bytes.extend(self.fragments(Kind::InitRunspacePool, None, &init.into())?.concat());
        self.state = PoolState::NegotiationSent;
        Ok(bytes)
    }

    /// The fragments of PUBLIC_KEY, to be sent to the pool. `None`: the key is there or has been asked for.
    ///
    /// Makes an RSA key pair, which takes a tenth of a second and more: call it where that does not hold up others.
    ///
    /// # Errors
    /// The pool is not open.
    pub fn key_exchange(&mut self) -> Result<Option<Vec<u8>>, ProtocolError> {
        if self.state != PoolState::Opened {
            return Err(self.unfit("keys are exchanged once it is open"));
        }
        if !matches!(self.keys, Keys::None) {
            return Ok(None);
        }
        let pair = KeyPair::generate()?;
        let message = Object::of(vec![("PublicKey", pair.public().into())]);
        let bytes = self.fragments(Kind::PublicKey, None, &message.into())?.concat();
        self.keys = Keys::Asked(Box::new(pair));
        Ok(Some(bytes))
    }

    pub fn has_session_key(&self) -> bool {
        matches!(self.keys, Keys::Agreed(_))
    }

    /// The fragments of CreatePipeline: the first is the Command's argument, the others go by Send to `stdin`.
    ///
    /// # Errors
    /// The pool is not open, has too many pipelines or one of this id; a secret without a session key; a value too deep.
    pub fn pipeline(&mut self, id: Uuid, command: &Command) -> Result<Vec<Vec<u8>>, ProtocolError> {
        let (PoolState::Opened, Some(minor)) = (self.state, self.minor) else {
            return Err(self.unfit("pipelines are created once it is open"));
        };
        if id.is_nil() || self.pipelines.contains_key(&id) || self.over.contains(&id) {
            return Err(self.unfit("a pipeline needs an id of its own"));
        }
        if self.pipelines.len() >= self.options.limits.pipelines {
            return Err(self.unfit("it has as many pipelines as it may"));
        }
        let key = match &self.keys {
            Keys::Agreed(key) => Some(key),
            Keys::None | Keys::Asked(_) => None,
        };
        let message = command.create(minor, key)?;
        let fragments = self.fragments(Kind::CreatePipeline, Some(id), &message)?;
        self.pipelines.insert(id, PipelineState::NotStarted);
        Ok(fragments)
    }

    /// The pipeline was abandoned: what still comes from it is passed over.
    pub fn stopped(&mut self, id: Uuid) {
        if self.pipelines.remove(&id).is_some() {
            if self.over.len() == REMEMBERED {
                self.over.pop_front();
            }
            self.over.push_back(id);
        }
    }

    /// The transport's envelope size is known now. Fewer than 22 bytes count as 22, which carry one byte of message.
    pub fn set_max_fragment(&mut self, bytes: usize) {
        self.options.max_fragment = bytes;
    }

    /// What a SecureString from the server says.
    ///
    /// # Errors
    /// There is no session key yet, or it is another one.
    pub fn reveal(&self, ciphertext: &[u8]) -> Result<Zeroizing<String>, ProtocolError> {
        match &self.keys {
            Keys::Agreed(key) => key.decrypt(ciphertext),
            Keys::None | Keys::Asked(_) => Err(ProtocolError::NoSessionKey),
        }
    }

    /// Takes the decoded content of one `rsp:Stream` element, the pool's or a pipeline's.
    ///
    /// # Errors
    /// What came is not PSRP, not for this pool, or more than is taken. The pool is broken after that.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Vec<Event>, ProtocolError> {
        let events = self.take(bytes);
        if events.is_err() {
            self.state = PoolState::Broken;
        }
        events
    }

    fn take(&mut self, bytes: &[u8]) -> Result<Vec<Event>, ProtocolError> {
        if self.state == PoolState::BeforeOpen {
            return Err(self.unfit("nothing is received before it is opened"));
        }
        let mut events = Vec::new();
        for bytes in self.assembler.push(bytes, &self.options.limits)? {
            let message = message::read(&bytes)?;
            // Windows tells its capabilities before it looks at which pool they are for.
            let unnamed = message.pool.is_nil() && message.kind == Kind::SessionCapability;
            if message.pool != self.id && !unnamed {
                return Err(ProtocolError::ForeignPool(message.pool));
            }
            let event = match message.pipeline {
                None => self.pool_message(&message)?,
                Some(id) => self.pipeline_message(id, &message)?,
            };
            events.extend(event);
        }
        Ok(events)
    }

    fn pool_message(&mut self, message: &Message<'_>) -> Result<Option<Event>, ProtocolError> {
        if message.kind == Kind::PublicKeyRequest {
            return Ok(matches!(self.keys, Keys::None).then_some(Event::KeyAsked));
        }
        let value = self.read(message)?;
        Ok(match message.kind {
            Kind::SessionCapability => {
                self.capability(&value)?;
                None
            }
            Kind::ApplicationPrivateData => {
                Some(Event::ApplicationData(value.property("ApplicationPrivateData").cloned().unwrap_or_default()))
            }
            Kind::PoolState => Some(self.pool_state(&value)?),
            Kind::EncryptedSessionKey => Some(self.session_key(&value)?),
            Kind::PoolHostCall => Some(host_call(None, &value)),
            // Numbers of runspaces and events of the server's engine: nothing asked for them, nothing rests on them.
            // Records without a pipeline come from the session's own start and say nothing about a command.
            Kind::RunspaceAvailability
            | Kind::UserEvent
            | Kind::PoolInitData
            | Kind::DebugRecord
            | Kind::VerboseRecord
            | Kind::WarningRecord
            | Kind::ProgressRecord
            | Kind::InformationRecord => None,
            kind => return Err(ProtocolError::Message(format!("a server sends no {kind:?} to a pool"))),
        })
    }

    fn capability(&mut self, value: &Value) -> Result<(), ProtocolError> {
        if self.state != PoolState::NegotiationSent {
            return Err(self.unfit("capabilities are told once"));
        }
        let version = value.property("protocolversion").and_then(Value::text).unwrap_or_default();
        self.minor = Some(minor(&version)?.min(minor(&self.options.protocol)?));
        self.state = PoolState::NegotiationSucceeded;
        Ok(())
    }

    fn pool_state(&mut self, value: &Value) -> Result<Event, ProtocolError> {
        let state = PoolState::read(value)?;
        if state == PoolState::Opened && self.minor.is_none() {
            return Err(self.unfit("it cannot be open before capabilities are told"));
        }
        let before = std::mem::replace(&mut self.state, state);
        if state == PoolState::Opened && before != PoolState::Opened {
            return Ok(Event::Opened);
        }
        Ok(Event::PoolState { state, reason: pipeline::reason(value) })
    }

    fn session_key(&mut self, value: &Value) -> Result<Event, ProtocolError> {
        let Keys::Asked(pair) = &self.keys else {
            return Err(ProtocolError::Key("the server sent one that was not asked for".to_owned()));
        };
        let blob = value.property("EncryptedSessionKey").and_then(Value::text).unwrap_or_default();
        self.keys = Keys::Agreed(pair.session_key(&blob)?);
        Ok(Event::SessionKey)
    }

    fn pipeline_message(&mut self, pipeline: Uuid, message: &Message<'_>) -> Result<Option<Event>, ProtocolError> {
        if self.over.contains(&pipeline) {
            return Ok(None);
        }
        if !self.pipelines.contains_key(&pipeline) {
            return Err(ProtocolError::UnknownPipeline(pipeline));
        }
        let value = self.read(message)?;
        Ok(Some(match message.kind {
            Kind::PipelineOutput => Event::Output { pipeline, value },
            Kind::ErrorRecord => Event::Error { pipeline, record: ErrorRecord::read(&value) },
            Kind::WarningRecord => Event::Warning { pipeline, text: records::informational(&value) },
            Kind::VerboseRecord => Event::Verbose { pipeline, text: records::informational(&value) },
            Kind::DebugRecord => Event::Debug { pipeline, text: records::informational(&value) },
            Kind::ProgressRecord => Event::Progress { pipeline, progress: Progress::read(&value) },
            Kind::InformationRecord => Event::Information { pipeline, information: Information::read(&value) },
            Kind::PipelineHostCall => host_call(Some(pipeline), &value),
            Kind::PipelineState => {
                let (state, reason) = PipelineState::read(&value)?;
                self.pipelines.insert(pipeline, state);
                if state.is_final() {
                    self.stopped(pipeline);
                }
                Event::PipelineState { pipeline, state, reason }
            }
            kind => return Err(ProtocolError::Message(format!("a server sends no {kind:?} to a pipeline"))),
        }))
    }

    /// A message's value; no content at all is null.
    fn read(&self, message: &Message<'_>) -> Result<Value, ProtocolError> {
        if message.body.is_empty() || message.body == b"\xef\xbb\xbf" {
            return Ok(Value::Null);
        }
        clixml::read(message.body, &self.options.limits)
    }

    fn fragments(&mut self, kind: Kind, pipeline: Option<Uuid>, value: &Value) -> Result<Vec<Vec<u8>>, ProtocolError> {
        let message = message::write(kind, self.id, pipeline, &clixml::write(value)?);
        let object = self.next_object;
        self.next_object += 1;
        Ok(fragment::split(object, &message, self.options.max_fragment))
    }

    fn unfit(&self, why: &'static str) -> ProtocolError {
        ProtocolError::State(self.state.word(), why)
    }
}

/// The minor part of a protocol version that this client can speak with.
fn minor(version: &str) -> Result<u32, ProtocolError> {
    let minor = version.split_once('.').filter(|(major, _)| *major == "2").and_then(|(_, rest)| {
        // Four parts are a version of .NET's as well.
        rest.split('.').next()?.parse::<u32>().ok()
    });
    minor.filter(|minor| *minor >= 1).ok_or_else(|| ProtocolError::Version(version.chars().take(40).collect()))
}

fn host_call(pipeline: Option<Uuid>, value: &Value) -> Event {
    let method =
        value.property("mi").and_then(Value::number).and_then(|number| i32::try_from(number).ok()).unwrap_or(0);
    let (name, expects_answer) = host::method(method);
    Event::HostCall { pipeline, method, name, expects_answer }
}
