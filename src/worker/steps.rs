//! The loop that does steps: lease, perform, settle.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Acquire, PgConnection};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::Worker;
use crate::changes::boundary::{Boundary, pass};
use crate::changes::lease::{Lease, Leased, lease};
use crate::changes::perform::{Outcome, perform};
use crate::changes::settle::{Settled, settle, superseded};
use crate::evidence::By;
use crate::mirror;
use crate::mirror::adoption::Rule;
use crate::mirror::linking::{self, Link};
use crate::requests;
use crate::requests::RequestError;
use crate::target::{Address, Kind, Native, Seen, State};

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
            Ok(Lease::Taken(leased)) => {
                let worker = worker.clone();
                tokio::spawn(async move {
                    one(&worker, &leased).await;
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
    let mut tx = worker.pool.begin().await?;
    let lease = lease(&mut tx, worker.clock.now(), &worker.name, worker.lease_seconds).await?;
    if let Lease::Taken(leased) = &lease {
        requests::begun(&mut tx, leased.request, leased.item).await?;
    }
    tx.commit().await?;
    Ok(lease)
}

async fn one(worker: &Worker, leased: &Leased) {
    let started = std::time::Instant::now();
    let outcome = match worker.connectors.get(&leased.resource.system.0) {
        Some(connector) => perform(&worker.pool, connector.as_ref(), &worker.vault, leased).await,
        None => Outcome::Refused {
            why: format!("{} is not set up on this worker.", leased.resource.system),
            given: "no [[target]] of that key".to_owned(),
        },
    };
    let label = match &outcome {
        Outcome::Applied { .. } => "applied",
        Outcome::Unchanged { .. } => "unchanged",
        Outcome::Retry { .. } => "retry",
        Outcome::Refused { .. } => "refused",
        Outcome::Unknown { .. } => "unknown",
        Outcome::Drifted { .. } => "drifted",
    };
    metrics::counter!("tenure_attempts_total", "outcome" => label).increment(1);
    metrics::histogram!("tenure_attempt_seconds").record(started.elapsed().as_secs_f64());
    for round in 1..=SETTLE_TRIES {
        match write(worker, leased, &outcome).await {
            Ok(settled) => {
                tracing::info!(request = leased.number, step = %leased.step, name = %leased.name, attempt = leased.attempt,
                    outcome = label, ?settled, ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX), "step attempted");
                return;
            }
            Err(error) if round == SETTLE_TRIES => {
                tracing::error!(request = leased.number, step = %leased.step, attempt = leased.attempt, %error,
                    "an outcome could not be written; the lease runs out and the next attempt looks");
            }
            Err(_) => tokio::time::sleep(TROUBLE).await,
        }
    }
}

async fn write(worker: &Worker, leased: &Leased, outcome: &Outcome) -> Result<Settled, RequestError> {
    let mut conn = worker.pool.acquire().await?;
    let now = worker.clock.now();
    let mut tx = conn.begin().await?;
    let settled = settle(&mut tx, now, leased, outcome).await?;
    if settled == Settled::Superseded {
        tx.rollback().await?;
        let mut tx = conn.begin().await?;
        superseded(&mut tx, now, leased).await?;
        tx.commit().await?;
        return Ok(settled);
    }
    mirrored(&mut tx, now, leased, outcome).await?;
    follow(&mut tx, worker, leased, &settled).await?;
    tx.commit().await?;
    pass(Boundary::Settled, &leased.name);
    Ok(settled)
}

/// What was just seen goes into the mirror at once; the feed says the same a second later. An account that the step made
/// is the request's subject's from the start.
async fn mirrored(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    leased: &Leased,
    outcome: &Outcome,
) -> Result<(), RequestError> {
    if let Outcome::Drifted { found, .. } = outcome {
        return drifted(conn, leased, found.as_ref()).await;
    }
    let seen = match outcome {
        Outcome::Applied { after, .. } => after.as_ref(),
        Outcome::Unchanged { seen, .. } => seen.as_ref(),
        _ => return Ok(()),
    };
    let what = &leased.resource;
    match (&what.address, seen) {
        (Address::Member { group, member }, seen) if what.kind == Kind::ListMembership => {
            mirror::mail::saw_member(conn, &what.system, (*group, *member), seen.is_some()).await?;
        }
        (Address::Member { group, member }, seen) => {
            mirror::saw_membership(conn, &what.system, (*group, *member), seen.is_some()).await?;
        }
        (Address::Permission { object, trustee, right }, seen) => {
            let right = (what.kind, *object, *trustee, right.as_str());
            mirror::mail::saw_right(conn, &what.system, right, seen.map(|seen| &seen.state)).await?;
        }
        (Address::Native(id), None) => mirror::went(conn, &what.system, *id).await?,
        (_, Some(Seen { id: Some(id), state, native })) => {
            mirror::saw(conn, &what.system, what.kind, *id, state, native).await?;
            if let Some(person) = leased.subject.filter(|_| leased.creates && what.kind == Kind::User) {
                let by = By { via: format!("worker:{}", leased.worker), ..By::default() };
                let kind = linking::Kind::Person;
                let link = Link { system: &what.system, account: *id, person, kind, rule: Rule::Request };
                linking::link(conn, now, &by, &link).await?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// What a step found instead of what was approved is what it is planned again from. A directory's feed tells it in a
/// moment; Exchange has none.
async fn drifted(conn: &mut PgConnection, leased: &Leased, found: Option<&State>) -> Result<(), RequestError> {
    let what = &leased.resource;
    match (&what.address, what.kind, found) {
        (Address::Native(id), Kind::Mailbox | Kind::List, Some(state)) => {
            mirror::saw(conn, &what.system, what.kind, *id, state, &Native::default()).await?;
        }
        (Address::Native(id), Kind::Mailbox | Kind::List, None) => mirror::went(conn, &what.system, *id).await?,
        (Address::Permission { object, trustee, right }, kind, state) => {
            mirror::mail::saw_right(conn, &what.system, (kind, *object, *trustee, right), state).await?;
        }
        _ => {}
    }
    Ok(())
}

async fn follow(
    conn: &mut PgConnection,
    worker: &Worker,
    leased: &Leased,
    settled: &Settled,
) -> Result<(), RequestError> {
    if *settled == Settled::Drifted {
        requests::change::after_drift(conn, leased.item).await?;
    }
    let by = By { via: format!("worker:{}", worker.name), ..By::default() };
    requests::settle::settle(conn, worker.clock.now(), &by, leased.request).await
}
