//! The pool, and what it brought for whom.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Event, Pool, PoolState};

/// One pool and the inboxes of its pipelines; all receivers of a session feed the same.
pub(super) struct Core {
    pub pool: Pool,
    /// What came for each running pipeline and was not fetched yet.
    pub inboxes: HashMap<Uuid, Vec<Event>>,
    /// Pipelines are taken.
    pub opened: bool,
    /// Why the pool takes none any more.
    pub end: Option<String>,
}

impl Core {
    pub fn new(pool: Pool) -> Self {
        Self { pool, inboxes: HashMap::new(), opened: false, end: None }
    }

    /// Puts an event to the pipeline it is about; gives why the pool ended, where it did.
    pub fn sort(&mut self, event: Event) -> Option<String> {
        let pipeline = match &event {
            Event::Opened => {
                self.opened = true;
                return None;
            }
            Event::PoolState { state, reason } => {
                let over = matches!(state, PoolState::Closed | PoolState::Broken | PoolState::Closing);
                return over
                    .then(|| reason.as_ref().map_or_else(|| format!("{state:?}"), |reason| reason.message.clone()));
            }
            Event::SessionKey
            | Event::KeyAsked
            | Event::ApplicationData(_)
            | Event::HostCall { pipeline: None, .. } => return None,
            Event::HostCall { pipeline: Some(pipeline), .. }
            | Event::PipelineState { pipeline, .. }
            | Event::Output { pipeline, .. }
            | Event::Error { pipeline, .. }
            | Event::Warning { pipeline, .. }
            | Event::Verbose { pipeline, .. }
            | Event::Debug { pipeline, .. }
            | Event::Progress { pipeline, .. }
            | Event::Information { pipeline, .. } => *pipeline,
        };
        if let Some(inbox) = self.inboxes.get_mut(&pipeline) {
            inbox.push(event);
        }
        None
    }
}
