//! Checks of a target system's connection that somebody asked for in the browser.

use std::time::Duration;

use super::Worker;
use crate::checks::{self, Finding, Health, Leased};
use crate::targets;

/// How long a look may take: less than the lease.
const PATIENCE: Duration = Duration::from_secs(checks::LEASE_SECONDS as u64 - 15);

/// Answers every check that waits. Returns how many.
pub(super) async fn answer(worker: &Worker) -> anyhow::Result<usize> {
    let mut answered = 0;
    while let Some(leased) = checks::lease(&worker.pool, &worker.name).await? {
        let findings = match leased.given_up() {
            Some(finding) => vec![finding],
            None => look(worker, &leased).await,
        };
        let mut tx = worker.pool.begin().await?;
        if checks::finish(&mut tx, worker.clock.now(), (&leased, &worker.name), &findings).await? {
            tx.commit().await?;
            answered += 1;
        }
    }
    Ok(answered)
}

async fn look(worker: &Worker, leased: &Leased) -> Vec<Finding> {
    let Some(target) = worker.configured.iter().find(|target| target.key() == leased.system.0) else {
        let text = format!("{} is not set up on worker {}: no [[target]] of that key", leased.system, worker.name);
        return vec![Finding::new(Health::Ill, text)];
    };
    let looked = async {
        let scope = targets::check::scope(Some(&worker.pool), target.key(), &leased.units).await;
        targets::check::look(target, Some(&worker.pool), &scope).await
    };
    tokio::time::timeout(PATIENCE, looked).await.unwrap_or_else(|_| {
        let text = format!("no end within {} s: something answers and then falls silent", PATIENCE.as_secs());
        vec![Finding::new(Health::Ill, text)]
    })
}
