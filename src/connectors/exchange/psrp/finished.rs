//! A command's end.

use uuid::Uuid;

use super::client::ClientError;
use super::clixml::Value;
use super::{ErrorRecord, Event, Information, PipelineState, Progress};

/// A command's end and everything it said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finished {
    pub pipeline: Uuid,
    /// Always one of the final ones.
    pub state: Option<PipelineState>,
    /// Why it failed or was stopped.
    pub reason: Option<ErrorRecord>,
    pub output: Vec<Value>,
    /// Errors that did not end it.
    pub errors: Vec<ErrorRecord>,
    pub warnings: Vec<String>,
    pub verbose: Vec<String>,
    pub debug: Vec<String>,
    pub progress: Vec<Progress>,
    pub information: Vec<Information>,
}

impl Finished {
    pub(super) fn new(pipeline: Uuid) -> Self {
        Self { pipeline, ..Self::default() }
    }

    /// Keeps what an event brings; true at the end.
    pub(super) fn take(&mut self, event: Event) -> Result<bool, ClientError> {
        match event {
            Event::Output { value, .. } => self.output.push(value),
            Event::Error { record, .. } => self.errors.push(record),
            Event::Warning { text, .. } => self.warnings.push(text),
            Event::Verbose { text, .. } => self.verbose.push(text),
            Event::Debug { text, .. } => self.debug.push(text),
            Event::Progress { progress, .. } => self.progress.push(progress),
            Event::Information { information, .. } => self.information.push(information),
            Event::HostCall { name, expects_answer: true, .. } => {
                return Err(ClientError::unknown(format!(
                    "the command asks a question ({name}) and nobody is there to answer"
                )));
            }
            Event::PipelineState { state, reason, .. } if state.is_final() => {
                self.state = Some(state);
                self.reason = reason;
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }

    /// The command came to its own end. Its error records may still say that something was not done.
    #[must_use]
    pub fn completed(&self) -> bool {
        self.state == Some(PipelineState::Completed)
    }

    /// All errors: the records, and why the pipeline failed, where that says something of its own.
    #[must_use]
    pub fn failures(&self) -> Vec<&ErrorRecord> {
        let reason = self.reason.iter().filter(|reason| !self.errors.contains(reason));
        self.errors.iter().chain(reason).collect()
    }
}
