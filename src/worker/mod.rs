//! The worker: does approved steps, keeps the mirror, ends what is due, sends mail, delivers secrets.
//!
//! One loop takes due steps and performs as many side by side as configured; everything periodic stands in one table
//! ([`routines::TABLE`]). Any number of workers may run against one PostgreSQL: steps are leased row by row, routines by a
//! row each. Stopping lets what has begun come to its end.

mod checks;
mod log;
mod routines;
mod sightings;
mod steps;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalog::SystemFacts;
use crate::changes::secret::Vault;
use crate::clock::Clock;
use crate::config::{Config, EvidenceConfig, MailConfig, TargetConfig};
use crate::evidence::anchoring::Anchoring;
use crate::evidence::log::Sequencer;
use crate::evidence::signer::{Keeper, Line};
use crate::target::{Connector, SystemKey};
use crate::targets;

/// Everything that the worker's tasks share.
pub struct Worker {
    pub(crate) pool: PgPool,
    pub(crate) clock: Clock,
    /// Names this process in leases and records.
    pub(crate) name: String,
    pub(crate) vault: Vault,
    pub(crate) connectors: BTreeMap<String, Arc<dyn Connector>>,
    pub(crate) mail: Option<MailConfig>,
    pub(crate) evidence: Option<EvidenceConfig>,
    pub(crate) anchoring: Option<Anchoring>,
    pub(crate) base_url: String,
    pub(crate) company: String,
    pub(crate) concurrency: usize,
    pub(crate) lease_seconds: i32,
    /// The target systems as configured: what checks of a connection go by.
    pub(crate) configured: Vec<TargetConfig>,
    /// What this worker is set up to reach: key, name, observe only, facts.
    pub(crate) targets: Vec<(SystemKey, String, bool, SystemFacts)>,
}

impl Worker {
    /// A worker as configured.
    ///
    /// # Errors
    /// Where its key file is missing, readable by others, or not a key.
    pub fn new(config: &Config, pool: PgPool, clock: Clock) -> anyhow::Result<Self> {
        let key_file = config.worker.key_file.as_ref().ok_or_else(|| {
            anyhow::anyhow!("worker.key_file is not set: make one with `tenure worker-key FILE` and name it")
        })?;
        let vault = Vault::from_hex(&crate::config::read_secret(key_file)?)?;
        Ok(Self {
            pool,
            clock,
            name: format!("{}-{}", std::process::id(), hex::encode(rand::random::<[u8; 3]>())),
            vault,
            connectors: targets::connectors(config)?,
            mail: config.mail.clone(),
            evidence: config.evidence.clone(),
            anchoring: config.evidence.as_ref().map(Anchoring::new).transpose()?,
            base_url: config.web.base_url.clone(),
            company: config.web.company.clone(),
            concurrency: config.worker.concurrency.max(1),
            lease_seconds: i32::try_from(config.worker.lease_seconds).unwrap_or(60).max(3),
            configured: config.target.clone(),
            targets: targets::all(config),
        })
    }

    /// With one more target system, however it is reached.
    #[must_use]
    pub fn with(mut self, connector: Arc<dyn Connector>) -> Self {
        self.connectors.insert(connector.system().0.clone(), connector);
        self
    }

    /// Works until told to stop, then finishes what has begun.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        while !stop.is_cancelled() {
            match targets::make_known(&self.pool, self.clock.now(), &self.targets).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(worker = %self.name, %error, "the target systems could not be made known; tried again");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    }
                }
            }
        }
        tracing::info!(worker = %self.name, systems = self.connectors.len(), "worker started");
        for routine in routines::TABLE {
            let (worker, stop) = (self.clone(), stop.clone());
            tasks.spawn(async move { routines::repeat(&worker, routine, &stop).await });
        }
        {
            let (worker, stop) = (self.clone(), stop.clone());
            tasks.spawn(async move { routines::beat(&worker, &stop).await });
        }
        for connector in self.connectors.values() {
            let (worker, stop, connector) = (self.clone(), stop.clone(), connector.clone());
            tasks.spawn(async move { routines::mirror(&worker, connector.as_ref(), &stop).await });
        }
        if let Some((published, line)) = self.evidence.as_ref().and_then(signing) {
            let (worker, stop) = (self.clone(), stop.clone());
            tasks.spawn(async move { log::sequence(&worker, Sequencer::new(published, line), &stop).await });
        }
        steps::work(&self, &stop).await;
        tasks.close();
        if tokio::time::timeout(Duration::from_secs(20), tasks.wait()).await.is_err() {
            tracing::warn!(worker = %self.name, "a periodic task did not end in time; its lease will run out");
        }
        for connector in self.connectors.values() {
            // A server that does not answer is no reason to stay.
            drop(tokio::time::timeout(Duration::from_secs(3), connector.close()).await);
        }
        routines::release(&self).await;
        tracing::info!(worker = %self.name, "worker stopped");
    }
}

/// Where the log is published and how its signer is reached; None where this process does not sign.
pub fn signing(evidence: &EvidenceConfig) -> Option<(PathBuf, Line)> {
    let line = match (&evidence.signer_dir, &evidence.signer_socket) {
        (Some(folder), _) => Line::Here(Keeper::new(folder)),
        (None, Some(socket)) => Line::Socket(socket.clone()),
        (None, None) => return None,
    };
    Some((evidence.log_dir.clone(), line))
}
