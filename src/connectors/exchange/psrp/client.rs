//! A client of one PowerShell endpoint: commands in, results out, with one runspace pool behind it.
//!
//! The pool is opened when the first command comes and kept for the next ones; where the server lost it, another is
//! opened. A command that certainly never began is sent again, for a bounded time; one that may have begun never is. Throttling is
//! waited for as long as the server says, within the same bounds. [`Client::close`] deletes the shell: servers allow a
//! user only so many (18 in Exchange), and an orphan counts until it times out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use super::finished::Finished;
use super::session::{Session, Setting};
use super::wsman::{Envelopes, Fault, Meaning, PROTOCOL, Wire, WireError, WireSettings, max_fragment};
use super::{Argument, Command, Limits, PoolOptions};

/// How often a command that never began is sent again because its shell was gone.
const MOST_REOPENED: u32 = 3;
/// Where the server throttles and does not say for how long.
const UNSTATED_WAIT: Duration = Duration::from_secs(2);

/// How to reach an endpoint and how much to ask of it.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    pub wire: WireSettings,
    pub resource_uri: String,
    /// In octets; what every server takes is 153 600.
    pub max_envelope: usize,
    /// How long the server may hold a Receive.
    pub operation_timeout: Duration,
    pub min_runspaces: i32,
    pub max_runspaces: i32,
    /// A command must have ended by then, waiting for a runspace and for throttling included.
    pub deadline: Duration,
    /// How long one command waits for throttling, all waits together.
    pub throttle_patience: Duration,
}

impl ClientSettings {
    #[must_use]
    pub fn new(wire: WireSettings, resource_uri: impl Into<String>) -> Self {
        Self {
            wire,
            resource_uri: resource_uri.into(),
            max_envelope: 153_600,
            operation_timeout: Duration::from_secs(20),
            min_runspaces: 1,
            max_runspaces: 3,
            deadline: Duration::from_secs(600),
            throttle_patience: Duration::from_secs(120),
        }
    }
}

/// Why a command has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// It certainly did not begin. `after`: the server asks to wait that long.
    #[error("{why}")]
    NotSent {
        why: String,
        after: Option<Duration>,
        /// The shell is gone: another may work at once.
        shell_lost: bool,
        throttled: bool,
    },
    /// It may have been done, wholly or in part.
    #[error("{why}")]
    Unknown { why: String },
    /// The endpoint does not take us; asking again changes nothing.
    #[error("{why}")]
    Refused { why: String },
}

/// What the loss of an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlook {
    NotSent,
    Unknown,
}

impl ClientError {
    pub(super) fn not_sent(why: impl Into<String>) -> Self {
        Self::NotSent { why: why.into(), after: None, shell_lost: false, throttled: false }
    }

    pub(super) fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }

    pub(super) fn from_wire(error: WireError, outlook: Outlook) -> Self {
        match error {
            WireError::NotSent { why, after } => {
                Self::NotSent { why, after, shell_lost: false, throttled: after.is_some() }
            }
            WireError::Settings(why) | WireError::Refused(why) => Self::Refused { why },
            error if outlook == Outlook::NotSent => Self::not_sent(error.to_string()),
            error => Self::unknown(error.to_string()),
        }
    }

    pub(super) fn from_fault(fault: &Fault, outlook: Outlook) -> Self {
        let why = fault.to_string();
        match (fault.meaning(), outlook) {
            (Meaning::Denied | Meaning::NoSuchResource, Outlook::NotSent) => Self::Refused { why },
            (_, Outlook::Unknown) => Self::Unknown { why },
            (Meaning::Throttled { after }, _) => Self::NotSent { why, after, shell_lost: false, throttled: true },
            (meaning, _) => {
                Self::NotSent { why, after: None, shell_lost: meaning == Meaning::ShellLost, throttled: false }
            }
        }
    }

    /// The same failure where no command was under way.
    pub(super) fn nothing_begun(self) -> Self {
        match self {
            Self::Unknown { why } => Self::not_sent(why),
            other => other,
        }
    }

    pub(super) fn is_shell_lost(&self) -> bool {
        matches!(self, Self::NotSent { shell_lost: true, .. })
    }
}

/// A client of one endpoint. Cheap to share; used by many at once.
pub struct Client {
    settings: ClientSettings,
    setting: Setting,
    /// Held while a session is opened, so that all wait for one.
    session: Mutex<Option<Arc<Session>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.settings.wire.url).finish_non_exhaustive()
    }
}

impl Client {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// Where the settings cannot work.
    pub fn new(settings: ClientSettings) -> Result<Self, ClientError> {
        let wire = Wire::new(settings.wire.clone()).map_err(|error| ClientError::Refused { why: error.to_string() })?;
        let envelopes = Envelopes {
            to: settings.wire.url.clone(),
            resource_uri: settings.resource_uri.clone(),
            max_envelope: settings.max_envelope,
            operation_timeout: settings.operation_timeout,
            session: Uuid::new_v4(),
        };
        Ok(Self { settings, setting: Setting { wire: Arc::new(wire), envelopes }, session: Mutex::new(None) })
    }

    /// The endpoint's host, with its port where it is not the usual one.
    #[must_use]
    pub fn host(&self) -> String {
        self.setting.wire.host()
    }

    /// Runs a command to its end. A result whose state is not Completed is a result too: see [`Finished::completed`].
    ///
    /// # Errors
    /// Where there is no result, as [`ClientError`] tells apart.
    pub async fn run(&self, command: &Command) -> Result<Finished, ClientError> {
        let until = Instant::now() + self.settings.deadline;
        let secret = command.parameters.iter().any(|(_, argument)| matches!(argument, Argument::Secret(_)));
        let (mut reopened, mut waited, mut step) = (0, Duration::ZERO, UNSTATED_WAIT);
        loop {
            let failure = match self.session(until).await {
                Ok(session) => match session.run(command, secret, until).await {
                    Ok(finished) => return Ok(finished),
                    Err(error) => {
                        self.forget(&session).await;
                        error
                    }
                },
                Err(error) => error,
            };
            match &failure {
                ClientError::NotSent { shell_lost: true, .. } if reopened < MOST_REOPENED => reopened += 1,
                ClientError::NotSent { throttled: true, after, .. } => {
                    let wait = after.unwrap_or(step);
                    step *= 2;
                    if waited + wait > self.settings.throttle_patience || Instant::now() + wait > until {
                        return Err(failure);
                    }
                    tracing::info!(wait = ?wait, endpoint = self.host(), "the PowerShell endpoint asks to wait");
                    waited += wait;
                    tokio::time::sleep(wait).await;
                }
                _ => return Err(failure),
            }
        }
    }

    /// Opens the runspace pool where it is not open yet, without running anything.
    ///
    /// # Errors
    /// As [`Client::run`].
    pub async fn open(&self) -> Result<(), ClientError> {
        self.session(Instant::now() + self.settings.deadline).await.map(drop)
    }

    /// Deletes the shell, where there is one. The client can be used again: it opens another.
    pub async fn close(&self) {
        let session = self.session.lock().await.take();
        if let Some(session) = session {
            session.close().await;
        }
    }

    async fn session(&self, until: Instant) -> Result<Arc<Session>, ClientError> {
        let mut slot = self.session.lock().await;
        if let Some(session) = slot.as_ref().filter(|session| !session.is_broken()) {
            return Ok(session.clone());
        }
        *slot = None;
        let options = PoolOptions {
            min_runspaces: self.settings.min_runspaces,
            max_runspaces: self.settings.max_runspaces,
            protocol: PROTOCOL.to_owned(),
            max_fragment: max_fragment(
                self.settings.max_envelope,
                &self.settings.wire.url,
                &self.settings.resource_uri,
            ),
            limits: Limits::default(),
        };
        let session = Arc::new(Session::open(self.setting.clone(), options, until).await?);
        *slot = Some(session.clone());
        Ok(session)
    }

    /// A broken session is not used again. What others run in it goes on as long as it can; the shell is
    /// deleted when they are done.
    async fn forget(&self, session: &Arc<Session>) {
        if !session.is_broken() {
            return;
        }
        let mut slot = self.session.lock().await;
        if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, session)) {
            *slot = None;
        }
    }
}
