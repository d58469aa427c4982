//! Taking a due step: attempt number + 1, the object taken, intent recorded, committed before anything is touched.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::evidence::{By, EvidenceError, Facts, Record, Target, action, append};
use crate::ids::{ItemId, PersonId, RequestId, StepId};
use crate::plan::{GrantEffect, address};
use crate::target::{Address, Difference, Key, Kind, Resource, Server, State, SystemKey, Value};

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
}

/// The request's last done step in the same system.
#[derive(Debug, Clone, Default)]
pub struct Last {
    pub server: Option<Server>,
    pub wrote: Option<(Resource, State)>,
    /// The server of another system in which the request wrote last: for a mailbox, the directory's.
    pub beside: Option<Server>,
}

struct Row {
    id: StepId,
    request: RequestId,
    number: i64,
    item: ItemId,
    item_ordinal: i32,
    digest: String,
    basis: serde_json::Value,
    subject: Option<PersonId>,
    name: String,
    label: String,
    system: String,
    kind: String,
    key: sqlx::types::Json<Key>,
    difference: sqlx::types::Json<Difference>,
    grant: Option<sqlx::types::Json<GrantEffect>>,
    secret_reader: Option<PersonId>,
    secret_from: Option<DateTime<Utc>>,
    state: String,
    attempt: i32,
    failures: i32,
}

/// What asking for work gave. Whatever it is, the caller commits.
#[derive(Debug)]
pub enum Lease {
    Nothing,
    /// Something was due and could not be taken; there may be more.
    Passed,
    Taken(Box<Leased>),
}

/// Leases one due step, or one whose worker has gone silent.
///
/// Records a lapsed attempt as "outcome unknown" and the new one as intended, in the caller's transaction.
///
/// # Errors
/// Where the database does not answer; nothing is leased then.
pub async fn lease(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    worker: &str,
    lease_seconds: i32,
) -> Result<Lease, EvidenceError> {
    let Some(row) = due(conn).await? else { return Ok(Lease::Nothing) };
    let resolved = resolved(conn, row.request).await?;
    let correlation = correlation(row.request, &row.name);
    let kind = Kind::parse(&row.kind);
    let Some(address) = address(&row.key.0, correlation, &resolved) else {
        // A step it refers to was skipped or undone: it cannot be addressed, and no other attempt would change that.
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
        .execute(&mut *conn)
        .await?;
        return Ok(Lease::Passed);
    };
    let resource = Resource { system: SystemKey(row.system.clone()), kind, address };
    let attempt = row.attempt + 1;
    if !take(conn, &resource, (row.id, attempt), lease_seconds).await? {
        // Somebody else is at this object; look again shortly. The step keeps its attempt.
        sqlx::query!("update step set due_at = now() + interval '300 milliseconds' where id = $1", row.id.0)
            .execute(&mut *conn)
            .await?;
        return Ok(Lease::Passed);
    }
    let leased = Leased {
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
        attempt,
        failures: row.failures,
        maybe_done: maybe_done(conn, row.id).await?,
        last: last(conn, row.request, &row.system).await?,
        worker: worker.to_owned(),
        lease_seconds,
    };
    if row.state == "running" {
        lapsed(conn, now, &leased, row.attempt).await?;
    }
    intend(conn, now, &leased).await?;
    Ok(Lease::Taken(Box::new(leased)))
}

async fn due(conn: &mut PgConnection) -> Result<Option<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"select s.id as "id: StepId", s.request as "request: RequestId", r.number, s.item as "item: ItemId",
                  i.ordinal as item_ordinal, i.digest, i.basis, r.subject as "subject: PersonId", s.name, s.label, s.system, s.kind,
                  s.key as "key: sqlx::types::Json<Key>", s.difference as "difference: sqlx::types::Json<Difference>",
                  s.grant_effect as "grant: sqlx::types::Json<GrantEffect>", s.secret_reader as "secret_reader: PersonId",
                  s.secret_from, s.state, s.attempt, s.failures
             from step s
             join item i on i.id = s.item
             join request r on r.id = s.request
            where ((s.state in ('ready', 'retrying') and s.due_at <= now())
                   or (s.state = 'running' and s.lease_until < now()))
              and i.state in ('approved', 'applying', 'needs_person')
              and not exists (select from target_system t where t.key = s.system and t.held_back)
            order by coalesce(s.due_at, s.lease_until), s.id
            limit 1
              for update of s skip locked"#
    )
    .fetch_optional(conn)
    .await
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

/// Ids that the request's done steps made or found, by step name.
async fn resolved(conn: &mut PgConnection, request: RequestId) -> Result<BTreeMap<String, Uuid>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select name, resolved as "id!" from step
            where request = $1 and resolved is not null and state in ('applied', 'unchanged')"#,
        request.0
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.id)).collect())
}

/// Takes the object; false while another attempt has it and its lease lasts.
async fn take(
    conn: &mut PgConnection,
    resource: &Resource,
    (step, attempt): (StepId, i32),
    lease_seconds: i32,
) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query!(
        "insert into busy (resource, step, attempt, lease_until)
         values ($1, $2, $3, now() + make_interval(secs => $4))
         on conflict (resource) do update
            set step = excluded.step, attempt = excluded.attempt, lease_until = excluded.lease_until
          where busy.lease_until < now() or busy.step = excluded.step",
        resource.lock_name(),
        step.0,
        attempt,
        f64::from(lease_seconds),
    )
    .execute(conn)
    .await?;
    Ok(taken.rows_affected() == 1)
}

async fn maybe_done(conn: &mut PgConnection, step: StepId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from attempt where step = $1 and (outcome is null or outcome in ('unknown', 'retry')))
            as "maybe!""#,
        step.0
    )
    .fetch_one(conn)
    .await
}

async fn last(conn: &mut PgConnection, request: RequestId, system: &str) -> Result<Last, sqlx::Error> {
    let found = sqlx::query!(
        r#"select server as "server!: sqlx::types::Json<Server>", kind, resolved, state,
                  difference as "difference: sqlx::types::Json<Difference>"
             from step
            where request = $1 and system = $2 and server is not null
            order by settled_at desc nulls last limit 1"#,
        request.0,
        system
    )
    .fetch_optional(&mut *conn)
    .await?;
    let beside = beside(conn, request, system).await?;
    let Some(row) = found else { return Ok(Last { beside, ..Last::default() }) };
    let wrote = row.resolved.filter(|_| row.state == "applied").map(|id| {
        let readable = row.difference.0.changes.into_iter().filter(|change| change.to != Value::SEALED);
        let state = State(readable.map(|change| (change.attribute, change.to)).collect());
        let resource = Resource {
            system: SystemKey(system.to_owned()),
            kind: Kind::parse(&row.kind),
            address: Address::Native(id),
        };
        (resource, state)
    });
    Ok(Last { server: Some(row.server.0), wrote, beside })
}

/// Where the request's last step in any other system was written.
async fn beside(conn: &mut PgConnection, request: RequestId, system: &str) -> Result<Option<Server>, sqlx::Error> {
    let server = sqlx::query_scalar!(
        r#"select server as "server!: sqlx::types::Json<Server>" from step
            where request = $1 and system <> $2 and server is not null and state = 'applied'
            order by settled_at desc nulls last limit 1"#,
        request.0,
        system
    )
    .fetch_optional(conn)
    .await?;
    Ok(server.map(|server| server.0))
}

/// The attempt before us never came back: its outcome is unknown, and said so.
async fn lapsed(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    leased: &Leased,
    attempt: i32,
) -> Result<(), EvidenceError> {
    append(conn, now, &Record { attempt: Some(attempt), ..record(leased, action::STEP_UNKNOWN) }).await?;
    sqlx::query!(
        "update attempt set outcome = 'unknown', ended_at = now(), error_told = 'The worker stopped before it could say.'
          where step = $1 and number = $2 and outcome is null",
        leased.step.0,
        attempt
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn intend(conn: &mut PgConnection, now: DateTime<Utc>, leased: &Leased) -> Result<(), EvidenceError> {
    append(conn, now, &record(leased, action::STEP_INTENDED)).await?;
    sqlx::query!(
        "update step set state = 'running', attempt = $2, worker = $3, due_at = null,
                lease_until = now() + make_interval(secs => $4)
          where id = $1",
        leased.step.0,
        leased.attempt,
        leased.worker,
        f64::from(leased.lease_seconds),
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into attempt (step, number, worker) values ($1, $2, $3)",
        leased.step.0,
        leased.attempt,
        leased.worker
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
