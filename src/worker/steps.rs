//! The loop that does steps: lease a run, perform it, settle it, and take what has become due by that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Worker, sightings};
use crate::changes::boundary::{Boundary, pass};
use crate::changes::lease::{Lease, Leased, Terms, lease, more};
use crate::changes::perform::{Outcome, perform};
use crate::changes::scope;
use crate::changes::settle::{Settled, settle, superseded};
use crate::db;
use crate::evidence::By;
use crate::ids::ItemId;
use crate::requests;
use crate::requests::RequestError;
use crate::target::Kind;

/// How long an idle worker waits before it asks again.
const IDLE: Duration = Duration::from_millis(100);
/// How long it waits where the database does not answer.
const TROUBLE: Duration = Duration::from_secs(1);
/// How often an outcome is tried to be written before it is left to the next attempt, which looks.
const SETTLE_TRIES: u32 = 5;

/// Does steps until told to stop, then waits for those that have begun.
pub(super) async fn work(worker: &Arc<Worker>, stop: &CancellationToken) {
    let places = Arc::new(Semaphore::new(worker.concurrency));
    let mut was_down = false;
    while !stop.is_cancelled() {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let pause = match take(worker).await {
            Ok(Lease::Taken(run)) => {
                let (worker, stop) = (worker.clone(), stop.clone());
                tokio::spawn(async move {
                    go_through(&worker, run, &stop).await;
                    drop(place);
                });
                Duration::ZERO
            }
            Ok(Lease::Passed) => Duration::ZERO,
            Ok(Lease::Nothing) => IDLE,
            Err(error) => {
                if !was_down {
                    tracing::warn!(worker = %worker.name, %error, "no steps can be taken; the database does not answer as it should");
                }
                was_down = true;
                TROUBLE
            }
        };
        if pause < TROUBLE && was_down {
            tracing::info!(worker = %worker.name, "the database answers again");
            was_down = false;
        }
        if pause > Duration::ZERO {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
    let all = u32::try_from(worker.concurrency).unwrap_or(1);
    // Every place free again: nothing is running.
    drop(tokio::time::timeout(Duration::from_secs(30), places.acquire_many(all)).await);
}

async fn take(worker: &Worker) -> Result<Lease, RequestError> {
    let mut tx = worker.pool.begin_with(db::BY_KEY).await?;
    let lease = lease(&mut tx, worker.clock.now(), worker.terms()).await?;
    if let Lease::Taken(run) = &lease {
        begun(&mut tx, run).await?;
    }
    tx.commit().await?;
    Ok(lease)
}

async fn begun(conn: &mut PgConnection, run: &[Leased]) -> Result<(), sqlx::Error> {
    let Some(first) = run.first() else { return Ok(()) };
    let mut items: Vec<ItemId> = run.iter().map(|leased| leased.item).collect();
    items.dedup();
    requests::begun(conn, first.request, &items).await
}

/// Does a run, and the next one of the same request, and so on.
async fn go_through(worker: &Worker, mut run: Vec<Leased>, stop: &CancellationToken) {
    while !run.is_empty() {
        let mut outcomes = Vec::with_capacity(run.len());
        // Memberships are looked at together: three groups of a joiner are one question before and one after.
        for steps in run.chunk_by(|one, next| [one, next].iter().all(|leased| leased.resource.kind == Kind::Membership))
        {
            let started = Instant::now();
            let of_these = attempt(worker, steps).await;
            let took = started.elapsed();
            outcomes.extend(of_these.into_iter().map(|outcome| (outcome, took)));
        }
        let ended = run.into_iter().zip(outcomes);
        let ended: Vec<Ended> = ended.map(|(leased, (outcome, took))| Ended { leased, outcome, took }).collect();
        run = settled(worker, &ended, stop).await;
    }
}

/// A step of a run, attempted.
struct Ended {
    leased: Leased,
    outcome: Outcome,
    /// With those that were looked at together with it.
    took: Duration,
}

impl Ended {
    fn label(&self) -> &'static str {
        match &self.outcome {
            Outcome::Applied { .. } => "applied",
            Outcome::Unchanged { .. } => "unchanged",
            Outcome::Retry { .. } => "retry",
            Outcome::Refused { .. } => "refused",
            Outcome::Unknown { .. } => "unknown",
            Outcome::Drifted { .. } => "drifted",
        }
    }
}

/// Attempts steps of one system: those that may not be done as they stand are refused, the others performed.
async fn attempt(worker: &Worker, steps: &[Leased]) -> Vec<Outcome> {
    let Some(first) = steps.first() else { return Vec::new() };
    let Some(connector) = worker.connectors.get(&first.resource.system.0) else {
        let missing = || Outcome::Refused {
            why: format!("{} is not set up on this worker.", first.resource.system),
            given: "no [[target]] of that key".to_owned(),
        };
        return steps.iter().map(|_| missing()).collect();
    };
    let mut outcomes = scope::refused(&worker.pool, steps).await;
    let allowed: Vec<&Leased> =
        steps.iter().zip(&outcomes).filter(|(_, refused)| refused.is_none()).map(|(leased, _)| leased).collect();
    let mut performed = perform(&worker.pool, connector.as_ref(), &worker.vault, &allowed).await.into_iter();
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
        *outcome = performed.next();
    }
    outcomes.into_iter().flatten().collect()
}

/// Writes the outcomes; the next run of the same request.
async fn settled(worker: &Worker, run: &[Ended], stop: &CancellationToken) -> Vec<Leased> {
    for ended in run {
        metrics::counter!("tenure_attempts_total", "outcome" => ended.label()).increment(1);
        metrics::histogram!("tenure_attempt_seconds").record(ended.took.as_secs_f64());
    }
    for round in 1..=SETTLE_TRIES {
        match write(worker, run, stop).await {
            Ok((settled, next)) => {
                for (ended, settled) in run.iter().zip(settled) {
                    let leased = &ended.leased;
                    tracing::info!(request = leased.number, step = %leased.step, name = %leased.name, attempt = leased.attempt,
                        outcome = ended.label(), ?settled, ms = u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX), "step attempted");
                }
                return next;
            }
            Err(error) if round == SETTLE_TRIES => {
                for Ended { leased, .. } in run {
                    tracing::error!(request = leased.number, step = %leased.step, attempt = leased.attempt, %error,
                        "an outcome could not be written; the lease runs out and the next attempt looks");
                }
            }
            Err(_) => tokio::time::sleep(TROUBLE).await,
        }
    }
    Vec::new()
}

/// One transaction for the run. Steps that another worker has taken over are left out of it, and recorded by themselves.
async fn write(
    worker: &Worker,
    run: &[Ended],
    stop: &CancellationToken,
) -> Result<(Vec<Settled>, Vec<Leased>), RequestError> {
    let mut conn = worker.pool.acquire().await?;
    let now = worker.clock.now();
    let mut all = vec![Settled::Superseded; run.len()];
    let mut ours: Vec<usize> = (0..run.len()).collect();
    while !ours.is_empty() {
        let these: Vec<(&Leased, &Outcome)> = ours.iter().map(|at| (&run[*at].leased, &run[*at].outcome)).collect();
        let mut tx = conn.begin_with(db::BY_KEY).await?;
        let settled = settle(&mut tx, now, &these).await?;
        if settled.contains(&Settled::Superseded) {
            tx.rollback().await?;
            let mut tx = conn.begin().await?;
            let late = these.iter().zip(&settled).filter(|(_, settled)| **settled == Settled::Superseded);
            for ((leased, _), _) in late {
                superseded(&mut tx, now, leased).await?;
            }
            tx.commit().await?;
            let mut settled = settled.iter();
            ours.retain(|_| settled.next() != Some(&Settled::Superseded));
            continue;
        }
        sightings::keep(&mut tx, now, &these).await?;
        let next = follow(&mut tx, worker, (now, &these, &settled), stop).await?;
        tx.commit().await?;
        for (leased, _) in &these {
            pass(Boundary::Settled, &leased.name);
        }
        for (at, settled) in ours.into_iter().zip(settled) {
            all[at] = settled;
        }
        return Ok((all, next));
    }
    Ok((all, Vec::new()))
}

/// What follows for items and request, and the run that this worker goes on with: what of the request has become due here.
async fn follow(
    conn: &mut PgConnection,
    worker: &Worker,
    (now, run, settled): (DateTime<Utc>, &[(&Leased, &Outcome)], &[Settled]),
    stop: &CancellationToken,
) -> Result<Vec<Leased>, RequestError> {
    let Some((first, _)) = run.first() else { return Ok(Vec::new()) };
    for ((leased, _), settled) in run.iter().zip(settled) {
        if *settled == Settled::Drifted {
            requests::change::after_drift(conn, leased.item).await?;
        }
    }
    let by = By { via: format!("worker:{}", worker.name), ..By::default() };
    requests::settle::settle(conn, now, &by, first.request).await?;
    if stop.is_cancelled() {
        return Ok(Vec::new());
    }
    let next = more(conn, now, worker.terms(), (first.request, &first.resource.system.0)).await?;
    begun(conn, &next).await?;
    Ok(next)
}

impl Worker {
    fn terms(&self) -> Terms<'_> {
        Terms { worker: &self.name, lease_seconds: self.lease_seconds, run: self }
    }
}

impl crate::changes::lease::Runs for Worker {
    fn of(&self, system: &str) -> i64 {
        self.connectors.get(system).map_or(1, |connector| connector.run())
    }
}
