//! The end of an attempt: its outcome, both sights, its record, grants, the next steps; one transaction, behind the fence.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::books;
use super::lease::{Leased, record};
use super::perform::Outcome;
use crate::evidence::{EvidenceError, Facts, Record, Target, action, append, append_all};
use crate::target::{Address, Native, Seen, Server, State};

/// What became of the step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Applied, or it was so already.
    Done,
    /// It will be tried again by itself.
    Later,
    /// A person must act.
    Stopped { why: String },
    /// The target shows something else than what was approved.
    Drifted,
    /// Another attempt has taken over; nothing of ours was written.
    Superseded,
}

/// Unknown outcomes in a row after which a person is asked to look.
const UNKNOWN_LIMIT: i32 = 5;

/// How long to wait before try number `failures` + 1: doubling from one second to two minutes.
pub fn delay(failures: i32) -> Duration {
    let exponent = u32::try_from(failures.clamp(0, 7)).unwrap_or(0);
    Duration::from_secs(2u64.pow(exponent)).min(Duration::from_secs(120))
}

struct Row<'a> {
    state: &'static str,
    outcome: &'static str,
    due: Option<Duration>,
    failures: i32,
    told: Option<String>,
    given: Option<String>,
    before: Option<&'a State>,
    after: Option<&'a State>,
    native: Option<&'a Native>,
    server: Option<&'a Server>,
    resolved: Option<Uuid>,
    sent: bool,
}

impl Default for Row<'_> {
    fn default() -> Self {
        Self {
            state: "applied",
            outcome: "applied",
            due: None,
            failures: 0,
            told: None,
            given: None,
            before: None,
            after: None,
            native: None,
            server: None,
            resolved: None,
            sent: false,
        }
    }
}

/// Writes the outcomes of a run in the caller's transaction. Where one is [`Settled::Superseded`] the caller rolls back, calls
/// [`superseded`] for it in a transaction of its own, and settles the others.
///
/// # Errors
/// Where the database refuses; the lease then runs out and the next attempt looks.
pub async fn settle(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    run: &[(&Leased, &Outcome)],
) -> Result<Vec<Settled>, EvidenceError> {
    // The records first: they take the subject's lock, in the same order as everything else about this request.
    let records: Vec<Record> = run.iter().map(|(leased, outcome)| outcome_record(leased, outcome)).collect();
    append_all(conn, now, &records).await?;
    let (rows, mut settled): (Vec<Row>, Vec<Settled>) =
        run.iter().map(|(leased, outcome)| row(leased, outcome)).unzip();
    let written = write(conn, run, &rows).await?;
    for ((leased, _), settled) in run.iter().zip(&mut settled) {
        if !written.contains(&leased.step.0) {
            *settled = Settled::Superseded;
        }
    }
    if settled.contains(&Settled::Superseded) {
        return Ok(settled);
    }
    let done = run.iter().zip(&rows).zip(&settled).filter(|(_, settled)| **settled == Settled::Done);
    let done: Vec<(&Leased, Option<Uuid>)> = done.map(|(((leased, _), row), _)| (*leased, row.resolved)).collect();
    if let Some((first, _)) = done.first() {
        books::keep(conn, now, &done).await?;
        super::unlock(conn, first.request).await?;
    }
    Ok(settled)
}

fn row<'a>(leased: &'a Leased, outcome: &'a Outcome) -> (Row<'a>, Settled) {
    match outcome {
        Outcome::Applied { server, before, after, native } => {
            let row = Row { native: Some(native), sent: true, ..done(leased, server, (before, after)) };
            (row, Settled::Done)
        }
        Outcome::Unchanged { server, seen } => {
            let native = seen.as_ref().map(|seen| &seen.native);
            let row = Row { state: "unchanged", outcome: "unchanged", native, ..done(leased, server, (seen, seen)) };
            (row, Settled::Done)
        }
        Outcome::Retry { after, why } => {
            let due = Some(after.unwrap_or_else(|| delay(leased.failures)));
            (Row { state: "retrying", outcome: "retry", due, ..failed(leased, why, why) }, Settled::Later)
        }
        Outcome::Unknown { why } => {
            let row = Row { outcome: "unknown", sent: true, ..failed(leased, why, why) };
            if row.failures >= UNKNOWN_LIMIT {
                (Row { state: "blocked", ..row }, Settled::Stopped { why: why.clone() })
            } else {
                (Row { state: "retrying", due: Some(delay(leased.failures)), ..row }, Settled::Later)
            }
        }
        Outcome::Refused { why, given } => {
            let row = Row { state: "blocked", outcome: "refused", sent: true, ..failed(leased, why, given) };
            (row, Settled::Stopped { why: why.clone() })
        }
        Outcome::Drifted { server, found } => {
            let told = "The target shows neither what was approved nor what was wanted; it is planned again.";
            let row = Row {
                state: "drifted",
                outcome: "drifted",
                before: found.as_ref(),
                server: server.as_ref(),
                ..failed(leased, told, told)
            };
            (row, Settled::Drifted)
        }
    }
}

/// What every end that shows `to` has.
fn done<'a>(leased: &Leased, server: &'a Server, (before, after): (&'a Option<Seen>, &'a Option<Seen>)) -> Row<'a> {
    let known = match leased.resource.address {
        Address::Native(id) => Some(id),
        Address::New { .. } | Address::Member { .. } | Address::Permission { .. } => None,
    };
    Row {
        before: before.as_ref().map(|seen| &seen.state),
        after: after.as_ref().map(|seen| &seen.state),
        server: Some(server),
        resolved: after.as_ref().and_then(|seen| seen.id).or(known),
        ..Row::default()
    }
}

/// What every other end has: one failure more, in our words and in the target's.
fn failed<'a>(leased: &Leased, told: &str, given: &str) -> Row<'a> {
    Row { failures: leased.failures + 1, told: Some(told.to_owned()), given: Some(given.to_owned()), ..Row::default() }
}

/// Steps and attempts, each only while the attempt is still the step's; which of them were. At the others another worker is.
async fn write(
    conn: &mut PgConnection,
    run: &[(&Leased, &Outcome)],
    rows: &[Row<'_>],
) -> Result<Vec<Uuid>, sqlx::Error> {
    let states = |state: fn(&Row) -> Option<Json>| rows.iter().map(state).collect::<Vec<Option<Json>>>();
    sqlx::query_scalar!(
        r#"with given as (
               select * from unnest($1::uuid[], $2::int[], $3::text[], $4::float8[], $5::int[], $6::text[], $7::jsonb[], $8::jsonb[],
                                    $9::jsonb[], $10::jsonb[], $11::uuid[], $12::text[], $13::text[], $14::bool[])
                        as given (step, attempt, state, due, failures, told, before, after_state, native, server, resolved,
                                  outcome, error_given, sent)),
           written as (
               update step s
                  set state = g.state, due_at = now() + make_interval(secs => g.due), failures = g.failures, told = g.told,
                      before = g.before, after_state = g.after_state, native = g.native,
                      server = coalesce(g.server, s.server), resolved = coalesce(g.resolved, s.resolved), lease_until = null,
                      settled_at = case when g.due is null then now() end
                 from given g where s.id = g.step and s.state = 'running' and s.attempt = g.attempt
               returning s.id, s.attempt),
           tried as (
               update attempt a
                  set outcome = g.outcome, ended_at = now(), server = g.server->>'name', before = g.before,
                      after_state = g.after_state, native = g.native, error_given = g.error_given, error_told = g.told,
                      sent = g.sent
                 from given g join written w on w.id = g.step where a.step = g.step and a.number = g.attempt),
           freed as (
               delete from busy b using written w where b.step = w.id and b.attempt = w.attempt),
           usable as (
               update secret x set usable_at = now()
                 from given g join written w on w.id = g.step
                where x.step = g.step and g.state in ('applied', 'unchanged'))
           select id as "id!" from written"#,
        &run.iter().map(|(leased, _)| leased.step.0).collect::<Vec<_>>(),
        &run.iter().map(|(leased, _)| leased.attempt).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.state).collect::<Vec<_>>() as &[&str],
        &rows.iter().map(|row| row.due.map(|due| due.as_secs_f64())).collect::<Vec<_>>() as &[Option<f64>],
        &rows.iter().map(|row| row.failures).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.told.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &states(|row| row.before.map(|state| json!(state))) as &[Option<Json>],
        &states(|row| row.after.map(|state| json!(state))) as &[Option<Json>],
        &states(|row| row.native.map(|native| json!(native))) as &[Option<Json>],
        &states(|row| row.server.map(|server| json!(server))) as &[Option<Json>],
        &rows.iter().map(|row| row.resolved).collect::<Vec<_>>() as &[Option<Uuid>],
        &rows.iter().map(|row| row.outcome).collect::<Vec<_>>() as &[&str],
        &rows.iter().map(|row| row.given.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &rows.iter().map(|row| row.sent).collect::<Vec<_>>(),
    )
    .fetch_all(conn)
    .await
}

fn outcome_record(leased: &Leased, outcome: &Outcome) -> Record {
    let with = |action, server: Option<&Server>, id: Option<Uuid>| {
        let mut record = record(leased, action);
        if let Some(target) = &mut record.target {
            target.server = server.map(|server| server.name.clone());
            if target.id.is_none() {
                target.id = id.map(|id| id.to_string());
            }
        }
        record
    };
    let seen_state = |seen: &Option<Seen>| Facts::of_state(seen.as_ref().map(|seen| &seen.state));
    let id = |seen: &Option<Seen>| seen.as_ref().and_then(|seen| seen.id);
    match outcome {
        Outcome::Applied { server, before, after, native } => Record {
            before: Some(seen_state(before)),
            after: Some(seen_state(after)),
            native: Some(json!(native.without_text())),
            ..said(with(action::STEP_APPLIED, Some(server), id(after)), native)
        },
        Outcome::Unchanged { server, seen } => Record {
            before: Some(seen_state(seen)),
            after: Some(seen_state(seen)),
            native: seen.as_ref().map(|seen| json!(seen.native.without_text())),
            ..with(action::STEP_UNCHANGED, Some(server), id(seen))
        },
        Outcome::Retry { why, .. } => Record { reason: Some(why.clone()), ..with(action::STEP_RETRIED, None, None) },
        Outcome::Refused { given, .. } => {
            Record { reason: Some(given.clone()), ..with(action::STEP_REFUSED, None, None) }
        }
        Outcome::Unknown { why } => Record { reason: Some(why.clone()), ..with(action::STEP_UNKNOWN, None, None) },
        Outcome::Drifted { server, found } => Record {
            before: Some(Facts::of_state(found.as_ref())),
            ..with(action::STEP_DRIFTED, server.as_ref(), None)
        },
    }
}

/// What was sent and what the server warned of hold names and addresses: personal values, erasable.
fn said(mut record: Record, native: &Native) -> Record {
    for (name, lines) in [("commands", &native.commands), ("warnings", &native.warnings)] {
        if !lines.is_empty() {
            record.detail = record.detail.personal(name, lines.join("\n"));
        }
    }
    record
}

/// Records that our attempt came back after another had taken over; nothing else is written.
///
/// # Errors
/// Where the database refuses.
pub async fn superseded(conn: &mut PgConnection, now: DateTime<Utc>, leased: &Leased) -> Result<(), EvidenceError> {
    let mut late = record(leased, action::STEP_SUPERSEDED);
    late.target = late.target.map(|target| Target { server: None, ..target });
    append(conn, now, &late).await?;
    sqlx::query!(
        "update attempt set outcome = 'superseded', ended_at = coalesce(ended_at, now()) where step = $1 and number = $2",
        leased.step.0,
        leased.attempt
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A target answers again after a pause: what waits to be tried there is due now.
///
/// # Errors
/// Where the database does not answer.
pub async fn hurry(conn: &mut PgConnection, system: &str) -> Result<u64, sqlx::Error> {
    let hurried = sqlx::query!(
        "update step set due_at = now() where system = $1 and state = 'retrying' and due_at > now()",
        system
    )
    .execute(conn)
    .await?;
    Ok(hurried.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_stay_bearable() {
        assert_eq!([0, 1, 2, 6, 7, 99].map(|failures| delay(failures).as_secs()), [1, 2, 4, 64, 120, 120]);
    }
}
