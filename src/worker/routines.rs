//! Everything periodic, in one table; each row is run by one worker at a time, whoever holds its lease.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{Worker, checks};
use crate::changes::{secret, settle};
use crate::evidence::By;
use crate::target::Connector;
use crate::{access, catalog, erasure, grants, mail, mirror, people, requests};

/// One periodic task.
pub(super) struct Routine {
    pub name: &'static str,
    pub every: Duration,
    run: for<'a> fn(&'a Worker) -> BoxFuture<'a, anyhow::Result<usize>>,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What is done again and again, how often, and by what.
pub(super) const TABLE: &[Routine] = &[
    Routine { name: "deliver-secrets", every: Duration::from_millis(200), run: |w| Box::pin(deliver(w)) },
    Routine { name: "check-connections", every: Duration::from_millis(300), run: |w| Box::pin(checks::answer(w)) },
    Routine { name: "end-grants", every: seconds(1), run: |w| Box::pin(end_grants(w)) },
    Routine { name: "replan-drifted", every: seconds(1), run: |w| Box::pin(replan(w)) },
    Routine { name: "chase-decisions", every: seconds(30), run: |w| Box::pin(chase(w)) },
    Routine { name: "count-clocks", every: seconds(5), run: |w| Box::pin(count_clocks(w)) },
    Routine { name: "settings-in-force", every: seconds(5), run: |w| Box::pin(settings_in_force(w)) },
    Routine { name: "send-mail", every: seconds(1), run: |w| Box::pin(send_mail(w)) },
    Routine { name: "anchor-evidence", every: seconds(15), run: |w| Box::pin(anchor(w)) },
    Routine { name: "settle-persons", every: seconds(30), run: |w| Box::pin(settle_persons(w)) },
    Routine { name: "erase-persons", every: seconds(2), run: |w| Box::pin(erase_persons(w)) },
    Routine { name: "forget", every: seconds(600), run: |w| Box::pin(forget(w)) },
];

async fn deliver(worker: &Worker) -> anyhow::Result<usize> {
    Ok(secret::deliver(&worker.pool, &worker.vault).await?)
}

async fn end_grants(worker: &Worker) -> anyhow::Result<usize> {
    Ok(requests::expiry::end_due(&worker.pool, worker.clock.now()).await?)
}

async fn replan(worker: &Worker) -> anyhow::Result<usize> {
    Ok(requests::change::replan_drifted(&worker.pool, worker.clock.now()).await?)
}

async fn chase(worker: &Worker) -> anyhow::Result<usize> {
    Ok(requests::patience::chase(&worker.pool, worker.clock.now()).await?)
}

async fn count_clocks(worker: &Worker) -> anyhow::Result<usize> {
    Ok(requests::clocks::count_again(&worker.pool, worker.clock.now()).await?)
}

fn tell<'a>(
    conn: &'a mut sqlx::PgConnection,
    now: chrono::DateTime<chrono::Utc>,
    proposal: &'a catalog::proposals::Proposal,
) -> BoxFuture<'a, Result<(), catalog::CatalogError>> {
    Box::pin(mail::settings::answered(conn, now, proposal))
}

async fn settings_in_force(worker: &Worker) -> anyhow::Result<usize> {
    Ok(catalog::proposals::in_force_due(&worker.pool, worker.clock.now(), tell).await?)
}

async fn send_mail(worker: &Worker) -> anyhow::Result<usize> {
    match &worker.mail {
        Some(config) => Ok(mail::send_due(&worker.pool, config, (&worker.base_url, &worker.company)).await?),
        None => Ok(0),
    }
}

async fn anchor(worker: &Worker) -> anyhow::Result<usize> {
    match &worker.anchoring {
        Some(anchoring) => Ok(anchoring.turn(&worker.pool, worker.clock.now()).await?),
        None => Ok(0),
    }
}

async fn settle_persons(worker: &Worker) -> anyhow::Result<usize> {
    let mut tx = worker.pool.begin().await?;
    let settled = people::settle_states(&mut tx, worker.clock.now()).await?;
    tx.commit().await?;
    Ok(settled)
}

async fn erase_persons(worker: &Worker) -> anyhow::Result<usize> {
    Ok(erasure::carry_out(&worker.pool, worker.clock.now()).await?)
}

async fn forget(worker: &Worker) -> anyhow::Result<usize> {
    let now = worker.clock.now();
    let mut tx = worker.pool.begin().await?;
    let secrets = secret::forget_expired(&mut tx, now).await?;
    tx.commit().await?;
    let mut tx = worker.pool.begin().await?;
    let drafts = requests::draft::forget_old(&mut tx).await?;
    tx.commit().await?;
    let mut tx = worker.pool.begin().await?;
    let imports = people::import::draft::forget_old(&mut tx).await?;
    tx.commit().await?;
    let mut tx = worker.pool.begin().await?;
    let sessions = access::session::sweep(&mut tx, now).await?;
    tx.commit().await?;
    Ok(usize::try_from(secrets + drafts + imports + sessions)?)
}

/// Runs a routine again and again until told to stop. A failure is logged once, until it goes well again.
pub(super) async fn repeat(worker: &Worker, routine: &Routine, stop: &CancellationToken) {
    let mut failing = false;
    while !stop.is_cancelled() {
        match turn(worker, routine).await {
            Ok(()) if failing => {
                tracing::info!(routine = routine.name, "routine works again");
                failing = false;
            }
            Ok(()) => {}
            Err(error) if !failing => {
                tracing::warn!(routine = routine.name, %error, "routine failed; it is tried again");
                failing = true;
            }
            Err(_) => {}
        }
        let pause = if failing { routine.every.max(seconds(1)) } else { routine.every };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn turn(worker: &Worker, routine: &Routine) -> anyhow::Result<()> {
    if !leased(worker, routine.name, routine.every).await? {
        return Ok(());
    }
    let outcome = (routine.run)(worker).await;
    let failure = outcome.as_ref().err().map(|error| format!("{error:#}"));
    sqlx::query!(
        "update routine set finished_at = now(), failure = $3, runs = runs + 1 where name = $1 and worker = $2",
        routine.name,
        worker.name,
        failure
    )
    .execute(&worker.pool)
    .await?;
    outcome.map(drop)
}

/// Takes the routine's lease, or keeps it; false while another worker has it.
///
/// The lease is short and may run out during a long turn: every routine locks the rows it works on, so two workers at it
/// do no harm, and the next worker after a crash does not wait long.
pub(super) async fn leased(worker: &Worker, name: &str, every: Duration) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query!(
        "insert into routine (name, worker, started_at, lease_until)
         values ($1, $2, now(), now() + make_interval(secs => $3))
         on conflict (name) do update set worker = excluded.worker, started_at = now(), lease_until = excluded.lease_until
          where routine.worker = excluded.worker or routine.lease_until is null or routine.lease_until < now()",
        name,
        worker.name,
        every.as_secs_f64() * 2.0 + 5.0,
    )
    .execute(&worker.pool)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Keeps the mirror of one system fresh, and lets steps that wait for it go on when it answers again.
pub(super) async fn mirror(worker: &Worker, connector: &dyn Connector, stop: &CancellationToken) {
    let system = connector.system().0.clone();
    let name = format!("mirror:{system}");
    let mut failing = false;
    while !stop.is_cancelled() {
        let looked = match leased(worker, &name, seconds(1)).await {
            Ok(true) => Some(look(worker, connector).await),
            Ok(false) | Err(_) => None,
        };
        match looked {
            Some(Ok(_)) if failing => {
                failing = false;
                tracing::info!(%system, "target system answers again");
                if let Ok(mut conn) = worker.pool.acquire().await {
                    drop(settle::hurry(&mut conn, &system).await);
                }
            }
            Some(Err(error)) if !failing => {
                failing = true;
                tracing::warn!(%system, %error, "target system cannot be looked at; it is tried again");
            }
            _ => {}
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(seconds(1)) => {}
        }
    }
}

/// Brings the mirror up to date, and makes grants of what newly linked accounts already hold.
async fn look(worker: &Worker, connector: &dyn Connector) -> anyhow::Result<()> {
    let now = worker.clock.now();
    let refreshed = mirror::refresh(&worker.pool, connector, now).await?;
    if refreshed.more {
        // Not all memberships may be here yet.
        return Ok(());
    }
    let mut conn = worker.pool.acquire().await?;
    let linked = mirror::linking::to_adopt(&mut conn, connector.system(), 500).await?;
    drop(conn);
    for linked in linked {
        let mut tx = worker.pool.begin().await?;
        let by = By::routine("adoption");
        grants::adopt(&mut tx, now, &by, linked.person, (&linked.system.0, linked.account)).await?;
        mirror::linking::adopted(&mut tx, now, &linked).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Says every few seconds that this worker lives; what has been silent for a day is forgotten.
pub(super) async fn beat(worker: &Worker, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let beaten = sqlx::query!(
            "insert into worker_heartbeat (worker, version) values ($1, $2) on conflict (worker) do update set beat_at = now()",
            worker.name,
            env!("CARGO_PKG_VERSION")
        )
        .execute(&worker.pool)
        .await;
        if beaten.is_ok() {
            let old = sqlx::query!("delete from worker_heartbeat where beat_at < now() - interval '1 day'");
            drop(old.execute(&worker.pool).await);
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(seconds(5)) => {}
        }
    }
    let gone = sqlx::query!("delete from worker_heartbeat where worker = $1", worker.name).execute(&worker.pool).await;
    drop(gone);
}

/// Gives up every lease of this worker, so that another need not wait for them to run out.
pub(super) async fn release(worker: &Worker) {
    let released = sqlx::query!("update routine set lease_until = null where worker = $1", worker.name)
        .execute(&worker.pool)
        .await;
    drop(released);
}
