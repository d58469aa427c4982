//! Taking due steps: attempt number + 1, the object taken, intent recorded, committed before anything is touched.
//!
//! A worker takes a *run*: what of one request is due in one system, as many as that system takes at once. Each step of a run
//! keeps its own attempt, intent and outcome; leasing them together, and settling them together, saves transactions. While
//! settling it takes what has become due by that ([`more`]), so that a request's steps follow each other without a pause.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::due;
use crate::evidence::{By, EvidenceError, Facts, Record, Target, action, append, append_all};
use crate::ids::{ItemId, PersonId, RequestId, StepId};
use crate::plan::{GrantEffect, address};
use crate::target::{Address, Difference, Key, Kind, Resource, Server, State, SystemKey};

/// A step in this worker's hands until its lease runs out.
#[derive(Debug, Clone)]
pub struct Leased {
    pub step: StepId,
    pub request: RequestId,
    pub number: i64,
    pub item: ItemId,
    pub item_ordinal: i32,
    pub digest: String,
    /// The digests of the rule versions that the item was planned by.
    pub rules: BTreeMap<String, String>,
    pub subject: Option<PersonId>,
    pub name: String,
    pub label: String,
    pub resource: Resource,
    /// Set where the step makes a new object.
    pub creates: bool,
    pub difference: Difference,
    pub grant: Option<GrantEffect>,
    pub secret: Option<(PersonId, DateTime<Utc>)>,
    /// The fence.
    pub attempt: i32,
    pub failures: i32,
    /// An earlier attempt may have reached the target without our knowing.
    pub maybe_done: bool,
    /// Where the request's earlier steps were done, and the last of them on an object: another server is used only once it
    /// shows that.
    pub last: Last,
    pub worker: String,
    pub lease_seconds: i32,
    /// When it was leased, by this machine's monotonic clock: the worker gives up before the lease ends.
    pub at: Instant,
}

/// The request's last done step in the same system.
#[derive(Debug, Clone, Default)]
pub struct Last {
    pub server: Option<Server>,
    pub wrote: Option<(Resource, State)>,
    /// The server of another system in which the request wrote last: for a mailbox, the directory's.
    pub beside: Option<Server>,
}

/// Who takes steps, and how.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    pub worker: &'a str,
    pub lease_seconds: i32,
    pub run: &'a (dyn Runs + 'a),
}

/// How many steps of one request are taken together, by their system.
pub trait Runs: Sync {
    fn of(&self, system: &str) -> i64;
}

/// The same for every system.
impl Runs for i64 {
    fn of(&self, _: &str) -> i64 {
        *self
    }
}

/// What asking for work gave. Whatever it is, the caller commits.
#[derive(Debug)]
pub enum Lease {
    Nothing,
    /// Something was due and could not be taken; there may be more.
    Passed,
    /// Steps of one request in one system, to be done in this order.
    Taken(Vec<Leased>),
}

/// Leases a run that begins with the step that is due longest, or whose worker has gone silent.
///
/// Records lapsed attempts as "outcome unknown" and the new ones as intended, in the caller's transaction.
///
/// # Errors
/// Where the database does not answer; nothing is leased then.
pub async fn lease(conn: &mut PgConnection, now: DateTime<Utc>, terms: Terms<'_>) -> Result<Lease, EvidenceError> {
    let Some((request, system)) = due::first(conn).await? else { return Ok(Lease::Nothing) };
    let run = more(conn, now, terms, (request, &system)).await?;
    Ok(if run.is_empty() { Lease::Passed } else { Lease::Taken(run) })
}

/// Leases what of this request is due in this system now.
///
/// # Errors
/// As [`lease`].
pub async fn more(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    terms: Terms<'_>,
    (request, system): (RequestId, &str),
) -> Result<Vec<Leased>, EvidenceError> {
    let rows = due::of(conn, (request, system), terms.run.of(system)).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let last = due::last(conn, request, system).await?;
    let (mut run, mut lapsed) = (Vec::new(), BTreeSet::new());
    let mut objects = BTreeSet::new();
    for row in rows {
        let correlation = correlation(row.request, &row.name);
        let resolved = row.resolved.as_ref().map(|json| json.0.clone()).unwrap_or_default();
        let Some(address) = address(&row.key.0, correlation, &resolved) else {
            unreachable_step(conn, now, terms.worker, &row).await?;
            continue;
        };
        let resource = Resource { system: SystemKey(row.system.clone()), kind: Kind::parse(&row.kind), address };
        // Two steps on one object are not taken together: the second looks when the first has its outcome.
        if !objects.insert(resource.lock_name()) {
            continue;
        }
        if row.state == "running" {
            lapsed.insert(row.id);
        }
        run.push(leased(row, resource, terms, last.clone()));
    }
    let taken = take(conn, &run, terms.lease_seconds).await?;
    run.retain(|leased| taken.contains(&leased.step.0));
    intend(conn, now, terms, &run, &lapsed).await?;
    Ok(run)
}

fn leased(row: due::Row, resource: Resource, terms: Terms<'_>, last: Last) -> Leased {
    Leased {
        step: row.id,
        request: row.request,
        number: row.number,
        item: row.item,
        item_ordinal: row.item_ordinal,
        digest: row.digest,
        rules: super::rules(&row.basis),
        subject: row.subject,
        name: row.name,
        label: row.label,
        creates: matches!(row.key.0, Key::New { .. }),
        resource,
        difference: row.difference.0,
        grant: row.grant.map(|json| json.0),
        secret: row.secret_reader.zip(row.secret_from),
        attempt: row.attempt + 1,
        failures: row.failures,
        maybe_done: row.maybe_done,
        last,
        worker: terms.worker.to_owned(),
        lease_seconds: terms.lease_seconds,
        at: Instant::now(),
    }
}

/// A step that it refers to was skipped or undone: it cannot be addressed, and no other attempt would change that.
async fn unreachable_step(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    worker: &str,
    row: &due::Row,
) -> Result<(), EvidenceError> {
    let why = "It builds on a step that was not done. Skip it, or change the answers to plan again.";
    let by = By { via: format!("worker:{worker}"), ..By::default() };
    let record = Record {
        item: Some(row.item_ordinal),
        step: Some(row.id.0),
        reason: Some(why.to_owned()),
        ..Record::of_request(action::STEP_BLOCKED, row.number, by)
    };
    append(conn, now, &record).await?;
    sqlx::query!(
        "update step set state = 'blocked', due_at = null, lease_until = null, told = $2 where id = $1",
        row.id.0,
        why
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a new object carries, so that an attempt whose answer was lost finds its own work: the same over every attempt
/// and every plan of the step.
fn correlation(request: RequestId, name: &str) -> Uuid {
    use sha2::{Digest, Sha256};
    let hash = Sha256::new().chain_update(request.0.as_bytes()).chain_update(name.as_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Takes the objects; the steps whose object is ours now. At the others another attempt is, and its lease lasts: they are
/// looked at again shortly, and keep their attempt.
async fn take(conn: &mut PgConnection, run: &[Leased], lease_seconds: i32) -> Result<Vec<Uuid>, sqlx::Error> {
    if run.is_empty() {
        return Ok(Vec::new());
    }
    let objects: Vec<String> = run.iter().map(|leased| leased.resource.lock_name()).collect();
    let steps: Vec<Uuid> = run.iter().map(|leased| leased.step.0).collect();
    let attempts: Vec<i32> = run.iter().map(|leased| leased.attempt).collect();
    let taken = sqlx::query_scalar!(
        "insert into busy (resource, step, attempt, lease_until)
         select resource, step, attempt, now() + make_interval(secs => $4)
           from unnest($1::text[], $2::uuid[], $3::int[]) as given (resource, step, attempt) order by resource
         on conflict (resource) do update
            set step = excluded.step, attempt = excluded.attempt, lease_until = excluded.lease_until
          where busy.lease_until < now() or busy.step = excluded.step
         returning step",
        &objects,
        &steps,
        &attempts,
        f64::from(lease_seconds),
    )
    .fetch_all(&mut *conn)
    .await?;
    let passed: Vec<Uuid> = steps.into_iter().filter(|step| !taken.contains(step)).collect();
    if !passed.is_empty() {
        sqlx::query!("update step set due_at = now() + interval '300 milliseconds' where id = any($1)", &passed)
            .execute(conn)
            .await?;
    }
    Ok(taken)
}

/// Intent, and for attempts before ours that never came back: their outcome is unknown, and said so.
async fn intend(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    terms: Terms<'_>,
    run: &[Leased],
    lapsed: &BTreeSet<StepId>,
) -> Result<(), EvidenceError> {
    if run.is_empty() {
        return Ok(());
    }
    let mut records = Vec::with_capacity(run.len());
    for leased in run {
        if lapsed.contains(&leased.step) {
            records.push(Record { attempt: Some(leased.attempt - 1), ..record(leased, action::STEP_UNKNOWN) });
        }
        records.push(record(leased, action::STEP_INTENDED));
    }
    append_all(conn, now, &records).await?;
    sqlx::query!(
        "with given as (select step, attempt from unnest($1::uuid[], $2::int[]) as given (step, attempt)),
              ended as (
                  update attempt a
                     set outcome = 'unknown', ended_at = now(), error_told = 'The worker stopped before it could say.'
                    from given g where a.step = g.step and a.number = g.attempt - 1 and a.outcome is null),
              begun as (
                  update step s
                     set state = 'running', attempt = g.attempt, worker = $3, due_at = null,
                         lease_until = now() + make_interval(secs => $4)
                    from given g where s.id = g.step)
         insert into attempt (step, number, worker) select step, attempt, $3 from given",
        &run.iter().map(|leased| leased.step.0).collect::<Vec<_>>(),
        &run.iter().map(|leased| leased.attempt).collect::<Vec<_>>(),
        terms.worker,
        f64::from(terms.lease_seconds),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The fields that every record about this attempt has.
pub(super) fn record(leased: &Leased, action: &'static str) -> Record {
    let id = match &leased.resource.address {
        Address::New { .. } => None,
        address => Some(address.to_string()),
    };
    Record {
        item: Some(leased.item_ordinal),
        plan_digest: Some(leased.digest.clone()),
        rules: leased.rules.clone(),
        step: Some(leased.step.0),
        attempt: Some(leased.attempt),
        target: Some(Target {
            system: leased.resource.system.0.clone(),
            kind: leased.resource.kind.as_str().to_owned(),
            id,
            server: None,
        }),
        detail: Facts::default().personal("step", leased.name.clone()).personal("label", leased.label.clone()),
        ..Record::of_request(action, leased.number, By { via: format!("worker:{}", leased.worker), ..By::default() })
    }
}
