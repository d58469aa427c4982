//! The end of an attempt: its outcome, both sights, its record, grants, the next steps; one transaction, behind the fence.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::books;
use super::lease::{Leased, record};
use super::perform::Outcome;
use crate::evidence::{EvidenceError, Facts, Record, Target, action, append};
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

/// Writes the outcome in the caller's transaction. On [`Settled::Superseded`] the caller rolls back and calls
/// [`superseded`] in a transaction of its own.
///
/// # Errors
/// Where the database refuses; the lease then runs out and the next attempt looks.
pub async fn settle(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    leased: &Leased,
    outcome: &Outcome,
) -> Result<Settled, EvidenceError> {
    // The record first: it takes the subject's lock, in the same order as everything else about this request.
    append(conn, now, &outcome_record(leased, outcome)).await?;
    let (row, settled) = row(leased, outcome);
    if !write(conn, leased, &row).await? {
        return Ok(Settled::Superseded);
    }
    sqlx::query!("delete from busy where step = $1 and attempt = $2", leased.step.0, leased.attempt)
        .execute(&mut *conn)
        .await?;
    if settled == Settled::Done {
        books::keep(conn, now, leased, row.resolved).await?;
        sqlx::query!("update secret set usable_at = now() where step = $1", leased.step.0).execute(&mut *conn).await?;
        super::unlock(conn, leased.request).await?;
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

/// Step and attempt, only while the attempt is still the step's. False: another worker took over.
async fn write(conn: &mut PgConnection, leased: &Leased, row: &Row<'_>) -> Result<bool, sqlx::Error> {
    let finished = row.due.is_none();
    let updated = sqlx::query!(
        "update step set state = $3, due_at = now() + make_interval(secs => $4), failures = $5, told = $6, before = $7,
                after_state = $8, native = $9, server = coalesce($10, server), resolved = coalesce($11, resolved),
                lease_until = null, settled_at = case when $12 then now() end
          where id = $1 and state = 'running' and attempt = $2",
        leased.step.0,
        leased.attempt,
        row.state,
        row.due.map(|delay| delay.as_secs_f64()),
        row.failures,
        row.told,
        row.before.map(sqlx::types::Json) as _,
        row.after.map(sqlx::types::Json) as _,
        row.native.map(sqlx::types::Json) as _,
        row.server.map(sqlx::types::Json) as _,
        row.resolved,
        finished,
    )
    .execute(&mut *conn)
    .await?;
    if updated.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "update attempt set outcome = $3, ended_at = now(), server = $4, before = $5, after_state = $6, native = $7,
                error_given = $8, error_told = $9, sent = $10
          where step = $1 and number = $2",
        leased.step.0,
        leased.attempt,
        row.outcome,
        row.server.map(|server| server.name.as_str()),
        row.before.map(sqlx::types::Json) as _,
        row.after.map(sqlx::types::Json) as _,
        row.native.map(sqlx::types::Json) as _,
        row.given,
        row.told,
        row.sent,
    )
    .execute(conn)
    .await?;
    Ok(true)
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
