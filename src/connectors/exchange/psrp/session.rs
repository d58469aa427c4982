//! One shell on the server with its runspace pool: opened, used by several pipelines at once, closed.
//!
//! Each pipeline asks for its own output (a Receive names its pipeline), so that a slow one holds up none of the others; what arrives goes
//! through the one [`Pool`] and is sorted to whom it is for. A pipeline whose future is dropped is stopped on the server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::client::{ClientError, Outlook};
use super::finished::Finished;
use super::inboxes::Core;
use super::wsman::{Answer, Body, Envelopes, Meaning, Signal, Stream, Wire, WireError};
use super::{Command, Pool, PoolOptions, ProtocolError};

/// More than the server may hold an answer: what is not there by then is not coming.
const GRACE: Duration = Duration::from_secs(15);
/// For the courtesies: Signal and Delete.
const COURTESY: Duration = Duration::from_secs(10);
/// How often one Receive is tried again where nothing was lost.
const PATIENT: u32 = 5;

/// What a session needs beside its pool's options.
#[derive(Clone)]
pub(super) struct Setting {
    pub wire: Arc<Wire>,
    pub envelopes: Envelopes,
}

impl Setting {
    async fn ask(&self, envelope: String) -> Result<Answer, WireError> {
        self.wire.ask(envelope, self.envelopes.operation_timeout + GRACE).await
    }

    async fn delete(&self, shell: &str) {
        let envelope = self.envelopes.delete(Uuid::new_v4(), shell);
        if let Err(error) = self.wire.ask(envelope, COURTESY).await {
            tracing::debug!(%error, shell, "the shell could not be deleted; the server will do it in time");
        }
    }
}

pub(super) struct Session {
    setting: Setting,
    shell: String,
    core: Mutex<Core>,
    slots: Semaphore,
    /// Held while keys are exchanged: the pool is asked by one at a time.
    key: tokio::sync::Mutex<()>,
    /// Nothing new is to be started here.
    broken: AtomicBool,
    /// There is nothing left to delete.
    gone: AtomicBool,
}

/// How one Receive went.
enum Received {
    Something { done: bool },
    Nothing,
}

impl Session {
    /// Opens a shell and waits until its pool takes pipelines.
    pub async fn open(setting: Setting, options: PoolOptions, until: Instant) -> Result<Self, ClientError> {
        let id = Uuid::new_v4();
        let slots = usize::try_from(options.max_runspaces).unwrap_or(1).max(1);
        let mut pool = Pool::new(id, options);
        let creation = pool.open()?;
        let answer = setting.ask(setting.envelopes.create(Uuid::new_v4(), id, &creation)).await;
        let answer = answer.map_err(|error| ClientError::from_wire(error, Outlook::NotSent))?;
        let shell = match answer.body {
            Body::Created { shell } => shell,
            Body::Fault(fault) => return Err(ClientError::from_fault(&fault, Outlook::NotSent)),
            _ => return Err(ClientError::not_sent("the server did not say which shell it opened")),
        };
        let session = Self {
            setting,
            shell,
            core: Mutex::new(Core::new(pool)),
            slots: Semaphore::new(slots),
            key: tokio::sync::Mutex::new(()),
            broken: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        };
        match session.wait_for_pool(until, |core| core.opened).await {
            Ok(()) => {
                tracing::debug!(shell = session.shell, "a runspace pool is open");
                Ok(session)
            }
            Err(error) => {
                session.close().await;
                Err(error.nothing_begun())
            }
        }
    }

    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    fn break_off(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// The server has no such shell any more.
    fn lose(&self) {
        self.break_off();
        self.gone.store(true, Ordering::Release);
    }

    /// Deletes the shell, whatever runs in it.
    pub async fn close(&self) {
        self.break_off();
        if !self.gone.swap(true, Ordering::AcqRel) {
            self.setting.delete(&self.shell).await;
        }
    }

    /// Runs one command to its end.
    pub async fn run(
        self: &Arc<Self>,
        command: &Command,
        secret: bool,
        until: Instant,
    ) -> Result<Finished, ClientError> {
        let slot = tokio::select! {
            slot = self.slots.acquire() => slot.map_err(|_| ClientError::not_sent("the runspace pool was closed"))?,
            () = sleep_until(until) => return Err(ClientError::not_sent("all runspaces were busy until the time was up")),
        };
        if secret {
            self.exchange_keys(until).await.map_err(|error| {
                if error.is_shell_lost() {
                    self.lose();
                }
                error.nothing_begun()
            })?;
        }
        let id = Uuid::new_v4();
        let fragments = {
            let mut core = self.core();
            let fragments = core.pool.pipeline(id, command)?;
            core.inboxes.insert(id, Vec::new());
            fragments
        };
        let mut running = Running { session: self.clone(), id, begun: false, ended: false };
        self.start(&mut running, fragments).await?;
        let finished = self.collect(&running, until).await;
        if finished.is_ok() {
            running.ended = true;
            self.signal(id, Signal::Terminate).await;
        }
        drop(slot);
        finished
    }

    /// Command with the first fragment, Send with the others. The server begins when it has the last.
    async fn start(&self, running: &mut Running, fragments: Vec<Vec<u8>>) -> Result<(), ClientError> {
        let last = fragments.len().saturating_sub(1);
        for (at, fragment) in fragments.iter().enumerate() {
            let message = Uuid::new_v4();
            let envelope = match at {
                0 => self.setting.envelopes.command(message, &self.shell, running.id, fragment),
                _ => self.setting.envelopes.send(message, &self.shell, Some(running.id), fragment),
            };
            let outlook = if at == last { Outlook::Unknown } else { Outlook::NotSent };
            // From here the server may know of it, whether or not we hear so.
            running.begun = true;
            let failure = match self.setting.ask(envelope).await {
                Ok(Answer { body: Body::Fault(fault), .. }) => {
                    // A fault means that this fragment was not taken, unless the server lost its patience after taking it, or
                    // says something that we do not know.
                    let taken = matches!(fault.meaning(), Meaning::TimedOut | Meaning::Other);
                    let outlook = if taken { outlook } else { Outlook::NotSent };
                    ClientError::from_fault(&fault, outlook)
                }
                Ok(_) => continue,
                Err(error) => ClientError::from_wire(error, outlook),
            };
            if failure.is_shell_lost() {
                self.lose();
            }
            if at == 0 && !matches!(failure, ClientError::Unknown { .. }) {
                running.begun = false;
            }
            return Err(failure);
        }
        Ok(())
    }

    /// Asks for the pipeline's output until it has ended.
    async fn collect(&self, running: &Running, until: Instant) -> Result<Finished, ClientError> {
        let mut finished = Finished::new(running.id);
        loop {
            let received = tokio::select! {
                received = self.receive(Some(running.id), until) => received,
                () = sleep_until(until) => Err(ClientError::unknown("the command did not come to an end in the time given to it")),
            };
            let done = match received? {
                Received::Nothing => false,
                Received::Something { done } => done,
            };
            let events = self.core().inboxes.get_mut(&running.id).map(std::mem::take).unwrap_or_default();
            for event in events {
                if finished.take(event)? {
                    return Ok(finished);
                }
            }
            if let Some(why) = &self.core().end {
                return Err(ClientError::unknown(format!("the runspace pool came to an end: {why}")));
            }
            if done {
                self.break_off();
                return Err(ClientError::unknown("the server says that the command is done, and not how it ended"));
            }
        }
    }

    /// One Receive, its content fed to the pool. What cannot have been lost is asked for again.
    async fn receive(&self, command: Option<Uuid>, until: Instant) -> Result<Received, ClientError> {
        let mut tries = 0;
        loop {
            let envelope = self.setting.envelopes.receive(Uuid::new_v4(), &self.shell, command);
            let wait = match self.setting.ask(envelope).await {
                Ok(Answer { body: Body::Received { streams, done }, .. }) => {
                    self.feed(&streams)?;
                    return Ok(Received::Something { done });
                }
                Ok(Answer { body: Body::Fault(fault), .. }) => match fault.meaning() {
                    Meaning::TimedOut => return Ok(Received::Nothing),
                    Meaning::Throttled { after } => after.unwrap_or(Duration::from_secs(2)),
                    meaning => {
                        if meaning == Meaning::ShellLost {
                            self.lose();
                        }
                        let outlook = command.map_or(Outlook::NotSent, |_| Outlook::Unknown);
                        return Err(ClientError::from_fault(&fault, outlook));
                    }
                },
                Ok(_) => return Err(ClientError::unknown("the server answered something else than it was asked")),
                Err(WireError::NotSent { after, .. }) if tries < PATIENT => {
                    after.unwrap_or(Duration::from_secs(1 << tries))
                }
                Err(error) => {
                    // What the lost answer held is gone, and with it the rest of its messages.
                    self.break_off();
                    return Err(match command {
                        Some(_) => ClientError::unknown(error.to_string()),
                        None => ClientError::from_wire(error, Outlook::NotSent),
                    });
                }
            };
            tries += 1;
            if tries > 4 * PATIENT || Instant::now() + wait > until {
                return Err(ClientError::unknown("the server does not let us hear how the command goes"));
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn feed(&self, streams: &[Stream]) -> Result<(), ClientError> {
        let mut core = self.core();
        for stream in streams {
            let events = core.pool.receive(&stream.bytes).map_err(|error| {
                self.break_off();
                ClientError::unknown(error.to_string())
            })?;
            for event in events {
                if let Some(why) = core.sort(event) {
                    self.break_off();
                    core.end = Some(why);
                }
            }
        }
        Ok(())
    }

    /// A SecureString travels under a key that both sides agree on once per pool.
    async fn exchange_keys(&self, until: Instant) -> Result<(), ClientError> {
        let _one = self.key.lock().await;
        let request = {
            let mut core = self.core();
            if core.pool.has_session_key() {
                return Ok(());
            }
            core.pool.key_exchange()?
        };
        if let Some(bytes) = request {
            let envelope = self.setting.envelopes.send(Uuid::new_v4(), &self.shell, None, &bytes);
            let answer =
                self.setting.ask(envelope).await.map_err(|error| ClientError::from_wire(error, Outlook::NotSent))?;
            if let Body::Fault(fault) = answer.body {
                return Err(ClientError::from_fault(&fault, Outlook::NotSent));
            }
        }
        self.wait_for_pool(until, |core| core.pool.has_session_key()).await
    }

    /// Asks for the pool's own messages until `reached`.
    async fn wait_for_pool(&self, until: Instant, reached: impl Fn(&Core) -> bool) -> Result<(), ClientError> {
        loop {
            {
                let core = self.core();
                if reached(&core) {
                    return Ok(());
                }
                if let Some(why) = &core.end {
                    return Err(ClientError::not_sent(format!("the runspace pool came to an end: {why}")));
                }
            }
            tokio::select! {
                received = self.receive(None, until) => { received?; }
                () = sleep_until(until) => return Err(ClientError::not_sent("the runspace pool did not open in the time given to it")),
            }
        }
    }

    /// Tells the server; what comes of it changes nothing for us.
    async fn signal(&self, id: Uuid, signal: Signal) {
        let envelope = self.setting.envelopes.signal(Uuid::new_v4(), &self.shell, id, signal);
        if let Err(error) = self.setting.wire.ask(envelope, COURTESY).await {
            tracing::debug!(%error, pipeline = %id, "the signal did not arrive");
        }
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        // A panic while it was held left at worst a broken pool, which shows as a protocol error.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgotten without [`Session::close`]: deleted all the same, where somebody is left to do it.
impl Drop for Session {
    fn drop(&mut self) {
        if self.gone.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (setting, shell) = (self.setting.clone(), self.shell.clone());
            runtime.spawn(async move { setting.delete(&shell).await });
        }
    }
}

/// A pipeline between its start and its end.
struct Running {
    session: Arc<Session>,
    id: Uuid,
    /// The server may know of it.
    begun: bool,
    ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut core = self.session.core();
        core.inboxes.remove(&self.id);
        if self.ended {
            return;
        }
        core.pool.stopped(self.id);
        drop(core);
        if !self.begun || self.session.is_broken() {
            return;
        }
        // Nobody waits for it any more: it is stopped, and forgotten.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (session, id) = (self.session.clone(), self.id);
            runtime.spawn(async move {
                session.signal(id, Signal::Stop).await;
                session.signal(id, Signal::Terminate).await;
            });
        }
    }
}

impl From<ProtocolError> for ClientError {
    /// From what this side asked of the pool, before anything was sent.
    fn from(error: ProtocolError) -> Self {
        Self::not_sent(error.to_string())
    }
}
