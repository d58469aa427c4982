//! Doing: approved steps become changes in target systems, once, provably.
//!
//! The `step` table is the queue. A worker *leases* a due step ([`lease`]: attempt number + 1, the object taken in `busy`,
//! intent recorded, committed), *performs* it with no transaction open ([`perform`]: observe, ensure, observe), and
//! *settles* it ([`settle`]: one transaction, only where the attempt is still the step's) into an outcome with both
//! sights, a record, grants, and the next steps unlocked. Steps of one request that are due together in one system are
//! leased and settled together, a *run*; each keeps its own attempt, intent, sights and outcome.
//!
//! A crash anywhere between lease and settle leaves a running step whose lease runs out: the next lease records
//! "outcome unknown" and begins by observing. Recovery is the normal path. The attempt's number is the fence: a worker
//! that was frozen finds zero rows when it comes back, and stops.
//!
//! States: `waiting` (for a step or a decision) → `ready` (due at an instant) → `running` → `applied` | `unchanged` |
//! `retrying` → `running` … | `drifted` (neither `from` nor `to`: planned and decided again) | `blocked` (a person must
//! act) | `skipped` | `undone` | `superseded` (another plan took its place).

mod books;
pub mod boundary;
mod due;
mod erase;
pub mod lease;
pub mod perform;
pub mod scope;
pub mod secret;
pub mod settle;

pub use erase::erase;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::evidence::{By, EvidenceError, Record, action, append};
use crate::ids::{ItemId, RequestId, StepId};
use crate::plan::{GrantEffect, PlannedStep};
use crate::target::{Difference, Key, Kind, Native, State, SystemKey};

/// The digests of the rule versions in an item's basis, by kind of rule, as records carry them.
pub fn rules(basis: &serde_json::Value) -> BTreeMap<String, String> {
    let settings = basis.get("settings").and_then(serde_json::Value::as_object);
    let digest =
        |setting: &serde_json::Value| setting.get("digest").and_then(|digest| digest.as_str()).map(str::to_owned);
    settings.into_iter().flatten().filter_map(|(kind, setting)| Some((kind.clone(), digest(setting)?))).collect()
}

/// A step as pages, the API and decisions see it.
#[derive(Debug, Clone)]
pub struct Step {
    pub id: StepId,
    pub request: RequestId,
    pub item: ItemId,
    pub plan_number: i32,
    pub ordinal: i32,
    pub name: String,
    pub system: String,
    pub kind: String,
    pub key: Key,
    pub difference: Difference,
    pub label: String,
    pub why: String,
    pub after: Vec<String>,
    pub not_before: Option<DateTime<Utc>>,
    pub grant: Option<GrantEffect>,
    pub state: String,
    pub attempt: i32,
    pub failures: i32,
    pub due_at: Option<DateTime<Utc>>,
    pub resolved: Option<Uuid>,
    pub told: Option<String>,
    pub before: Option<State>,
    pub after_state: Option<State>,
    pub native: Option<Native>,
    pub settled_at: Option<DateTime<Utc>>,
}

impl Step {
    /// Done, or said by a person to be not needed.
    pub fn is_done(&self) -> bool {
        matches!(self.state.as_str(), "applied" | "unchanged" | "skipped")
    }

    /// As it was planned, as far as its effect goes.
    pub fn as_planned(&self) -> PlannedStep {
        PlannedStep {
            name: self.name.clone(),
            system: SystemKey(self.system.clone()),
            kind: Kind::parse(&self.kind),
            key: self.key.clone(),
            difference: self.difference.clone(),
            after: self.after.clone(),
            not_before: self.not_before,
            grant: self.grant.clone(),
            secret: None,
            label: self.label.clone(),
            why: self.why.clone(),
        }
    }
}

/// The steps of a request's present plans, in order; those that another plan replaced only where `superseded` is set.
///
/// # Errors
/// Where the database does not answer or a row does not decode.
pub async fn steps(conn: &mut PgConnection, request: RequestId, superseded: bool) -> Result<Vec<Step>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select s.id as "id: StepId", s.request as "request: RequestId", s.item as "item: ItemId", s.plan_number,
                  s.ordinal, s.name, s.system, s.kind, s.key as "key: sqlx::types::Json<Key>",
                  s.difference as "difference: sqlx::types::Json<Difference>", s.label, s.why, s.after, s.not_before,
                  s.grant_effect as "grant: sqlx::types::Json<GrantEffect>", s.state, s.attempt, s.failures, s.due_at,
                  s.resolved, s.told, s.before as "before: sqlx::types::Json<State>",
                  s.after_state as "after_state: sqlx::types::Json<State>",
                  s.native as "native: sqlx::types::Json<Native>", s.settled_at
             from step s join item i on i.id = s.item
            where s.request = $1 and (s.state <> 'superseded' or $2)
            order by i.ordinal, s.plan_number, s.ordinal"#,
        request.0,
        superseded
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Step {
            id: row.id,
            request: row.request,
            item: row.item,
            plan_number: row.plan_number,
            ordinal: row.ordinal,
            name: row.name,
            system: row.system,
            kind: row.kind,
            key: row.key.0,
            difference: row.difference.0,
            label: row.label,
            why: row.why,
            after: row.after,
            not_before: row.not_before,
            grant: row.grant.map(|json| json.0),
            state: row.state,
            attempt: row.attempt,
            failures: row.failures,
            due_at: row.due_at,
            resolved: row.resolved,
            told: row.told,
            before: row.before.map(|json| json.0),
            after_state: row.after_state.map(|json| json.0),
            native: row.native.map(|json| json.0),
            settled_at: row.settled_at,
        })
        .collect())
}

/// Writes an item's planned steps, waiting.
///
/// # Errors
/// Where the database refuses.
pub async fn write(
    conn: &mut PgConnection,
    request: RequestId,
    items: &[(ItemId, i32, &[PlannedStep])],
) -> Result<(), sqlx::Error> {
    let rows: Vec<Json> = items
        .iter()
        .flat_map(|(item, plan_number, steps)| {
            (1i32..).zip(*steps).map(move |(ordinal, step)| (*item, *plan_number, ordinal, step))
        })
        .map(|(item, plan_number, ordinal, step)| {
            json!({
                "id": Uuid::now_v7(), "item": item, "plan_number": plan_number, "ordinal": ordinal, "name": step.name, "system": step.system, "kind": step.kind.as_str(),
                "key": step.key, "difference": step.difference, "label": step.label, "why": step.why, "after": step.after,
                "not_before": step.not_before, "grant_effect": step.grant, "secret_reader": step.secret.map(|(reader, _)| reader),
                "secret_from": step.secret.map(|(_, from)| from),
            })
        })
        .collect();
    sqlx::query!(
        "insert into step (id, request, item, plan_number, ordinal, name, system, kind, key, difference, label, why,
                           after, not_before, grant_effect, secret_reader, secret_from, state)
         select s.id, $1, s.item, s.plan_number, s.ordinal, s.name, s.system, s.kind, s.key, s.difference, s.label, s.why,
                s.after, s.not_before, s.grant_effect, s.secret_reader, s.secret_from, 'waiting'
           from jsonb_to_recordset($2) as s (id uuid, item uuid, plan_number integer, ordinal integer, name text, system text, kind text, key jsonb,
                                             difference jsonb, label text, why text, after text[], not_before timestamptz,
                                             grant_effect jsonb, secret_reader uuid, secret_from timestamptz)",
        request.0,
        Json::Array(rows),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes ready what nothing holds back any more: the item is approved, and every step named in `after` is done.
///
/// A step is due at its own time or at once, by the database's clock. Idempotent; called after each decision and outcome.
///
/// # Errors
/// Where the database does not answer.
pub async fn unlock(conn: &mut PgConnection, request: RequestId) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update step s set state = 'ready', due_at = greatest(coalesce(s.not_before, now()), now())
           from item i
          where s.request = $1 and s.state = 'waiting' and i.id = s.item and i.state in ('approved', 'applying', 'needs_person')
            and s.plan_number = i.plan_number
            and not exists (
                select from unnest(s.after) as needed (name)
                 where not exists (select from step d
                                    where d.request = s.request and d.name = needed.name
                                      and d.state in ('applied', 'unchanged', 'skipped')))",
        request.0
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Sets aside the steps of an item that have not been done: another plan takes their place, or nothing does.
///
/// False where one is running at this moment; the caller tries again later.
///
/// # Errors
/// Where the database refuses.
pub async fn supersede(conn: &mut PgConnection, item: ItemId) -> Result<bool, sqlx::Error> {
    // Locked in one order, so that a worker leasing one of them waits or is waited for.
    let states = sqlx::query_scalar!("select state from step where item = $1 order by id for update", item.0)
        .fetch_all(&mut *conn)
        .await?;
    if states.iter().any(|state| state == "running") {
        return Ok(false);
    }
    sqlx::query!(
        "update step set state = 'superseded', due_at = null
          where item = $1 and state in ('waiting', 'ready', 'retrying', 'drifted', 'blocked')",
        item.0
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// A person says: try again now. Only for what stopped or waits to be tried.
///
/// # Errors
/// Where the database refuses.
pub async fn release(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (number, step): (i64, StepId),
) -> Result<bool, EvidenceError> {
    append(conn, now, &Record { step: Some(step.0), ..Record::of_request(action::STEP_RELEASED, number, by.clone()) })
        .await?;
    let rows = sqlx::query!(
        "update step set state = 'retrying', failures = 0, due_at = now(), told = null
          where id = $1 and state in ('blocked', 'retrying')",
        step.0
    )
    .execute(conn)
    .await?;
    Ok(rows.rows_affected() == 1)
}

/// A person says: this one will not be done, for this reason; what waits for it goes on.
///
/// # Errors
/// Where the database refuses.
pub async fn skip(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (number, request, step): (i64, RequestId, StepId),
    reason: &str,
) -> Result<bool, EvidenceError> {
    let record = Record {
        step: Some(step.0),
        reason: Some(reason.to_owned()),
        ..Record::of_request(action::STEP_SKIPPED, number, by.clone())
    };
    append(conn, now, &record).await?;
    let rows = sqlx::query!(
        "update step set state = 'skipped', told = $2, settled_at = now(), due_at = null
          where id = $1 and state in ('blocked', 'retrying')",
        step.0,
        reason
    )
    .execute(&mut *conn)
    .await?;
    unlock(conn, request).await?;
    Ok(rows.rows_affected() == 1)
}

/// Drifts in a row, with the same plan each time, after which a person is asked to look.
const DRIFT_LIMIT: i32 = 6;
const DRIFTS_ON: &str = "The target keeps showing something else than what was approved, and planning again gives the same. Somebody must look.";

/// What drifted and came out the same when planned again (the target went back to `from`) is simply due again.
///
/// # Errors
/// Where the database refuses.
pub async fn retry_drifted(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (number, request): (i64, RequestId),
) -> Result<(), EvidenceError> {
    // What keeps drifting though its plan stays the same is tried ever more rarely, and then handed to a person.
    let stuck = sqlx::query_scalar!(
        "update step s set state = 'blocked', told = $2 from item i
          where i.id = s.item and i.request = $1 and s.state = 'drifted' and s.plan_number = i.plan_number and s.failures >= $3
      returning s.id",
        request.0,
        DRIFTS_ON,
        DRIFT_LIMIT
    )
    .fetch_all(&mut *conn)
    .await?;
    for step in stuck {
        let record = Record {
            step: Some(step),
            reason: Some(DRIFTS_ON.to_owned()),
            ..Record::of_request(action::STEP_BLOCKED, number, by.clone())
        };
        append(conn, now, &record).await?;
    }
    let steps = sqlx::query_scalar!(
        "update step s set state = 'retrying', due_at = now() + make_interval(secs => power(2, s.failures) - 2), told = null
           from item i
          where i.id = s.item and i.request = $1 and s.state = 'drifted' and s.plan_number = i.plan_number
      returning s.id",
        request.0
    )
    .fetch_all(&mut *conn)
    .await?;
    for step in steps {
        let record = Record { step: Some(step), ..Record::of_request(action::STEP_RELEASED, number, by.clone()) };
        append(conn, now, &record).await?;
    }
    Ok(())
}

/// What drifted cannot be planned again by itself: a person must look.
///
/// # Errors
/// Where the database refuses.
pub async fn block_drifted(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (number, request): (i64, RequestId),
    why: &str,
) -> Result<(), EvidenceError> {
    let steps = sqlx::query_scalar!(
        "update step set state = 'blocked', told = $2 where request = $1 and state = 'drifted' returning id",
        request.0,
        why
    )
    .fetch_all(&mut *conn)
    .await?;
    for step in steps {
        let record = Record {
            step: Some(step),
            reason: Some(why.to_owned()),
            ..Record::of_request(action::STEP_BLOCKED, number, by.clone())
        };
        append(conn, now, &record).await?;
    }
    Ok(())
}
