//! Checks of a target system's connection, asked for in the browser and answered by a worker.
//!
//! The portal holds nothing that could reach a target. Whoever wants to know whether one is reached leaves a row here; a
//! worker leases it, looks as `tenure doctor` looks (`targets::check`), and writes what it found. One check at a time for
//! each system: asking again while one is open finds that one. A worker that dies leaves it to the next when its lease runs out;
//! after [`ATTEMPTS`] of them the check itself is said to be what kills them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::access::{Permit, op};
use crate::catalog;
use crate::evidence::erase::Traces;
use crate::evidence::{self, By, EvidenceError, Facts, Record, action, append};
use crate::ids::PersonId;
use crate::target::{SystemKey, Value};

/// Workers that may begin one check.
const ATTEMPTS: i32 = 3;
/// How long a worker has for one, seconds; it gives up a little before.
pub const LEASE_SECONDS: u32 = 90;
/// Answered checks that are kept of each system.
const KEPT: i64 = 20;

/// How one thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    Well,
    /// Works, but not as it should.
    Doubtful,
    /// Must be mended.
    Ill,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub state: Health,
    pub text: String,
    /// Commands that mend it; may be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mend: Vec<String>,
}

impl Finding {
    pub fn new(state: Health, text: impl Into<String>) -> Self {
        Self { state, text: text.into(), mend: Vec::new() }
    }
}

/// Why a check cannot be asked for.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Denied(#[from] crate::access::Denied),
}

/// A check as its page shows it.
#[derive(Debug, Clone)]
pub struct Check {
    pub id: Uuid,
    pub asked_by: PersonId,
    pub asked_by_name: String,
    pub asked_at: DateTime<Utc>,
    pub units: Vec<String>,
    pub worker: Option<String>,
    /// Its worker's lease has run out: it went silent.
    pub silent: bool,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub findings: Option<sqlx::types::Json<Vec<Finding>>>,
}

impl Check {
    pub fn is_open(&self) -> bool {
        self.finished_at.is_none()
    }

    /// What was found; nothing while it is open.
    pub fn findings(&self) -> &[Finding] {
        self.findings.as_ref().map_or(&[], |findings| &findings.0)
    }
}

/// Asks for a check; one that is open already is the one.
///
/// # Errors
/// [`crate::access::Denied::NotFound`] where there is no such system.
pub async fn ask(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::CheckSystem>,
    (system, units): (&SystemKey, &[String]),
) -> Result<Uuid, CheckError> {
    let person = permit.person()?;
    if catalog::find_system(conn, system).await?.is_none() {
        return Err(crate::access::Denied::NotFound.into());
    }
    let subject = format!("system:{system}");
    evidence::hold(conn, &subject).await?;
    let open =
        sqlx::query_scalar!("select id from connection_check where system = $1 and finished_at is null", system.0)
            .fetch_optional(&mut *conn)
            .await?;
    if let Some(open) = open {
        return Ok(open);
    }
    let id = Uuid::now_v7();
    let detail = Facts::default().plain("check", id.to_string()).plain("units", units.join("; "));
    append(conn, now, &Record { detail, ..Record::new(action::SYSTEM_CHECK_ASKED, subject, permit.by()) }).await?;
    sqlx::query!(
        "insert into connection_check (id, system, asked_by, asked_at, units) values ($1, $2, $3, $4, $5)",
        id,
        system.0,
        person.0,
        now,
        units
    )
    .execute(conn)
    .await?;
    Ok(id)
}

/// The last checks of a system, the newest first.
///
/// # Errors
/// Where the database does not answer.
pub async fn latest(conn: &mut PgConnection, system: &SystemKey, limit: i64) -> Result<Vec<Check>, sqlx::Error> {
    sqlx::query_as!(
        Check,
        r#"select c.id, c.asked_by as "asked_by: PersonId", p.display_name as asked_by_name, c.asked_at, c.units, c.worker,
                  coalesce(c.lease_until < now(), false) as "silent!",
                  c.started_at, c.finished_at,
                  c.findings as "findings: sqlx::types::Json<Vec<Finding>>"
             from connection_check c join person p on p.id = c.asked_by
            where c.system = $1 order by c.asked_at desc, c.id desc limit $2"#,
        system.0,
        limit
    )
    .fetch_all(conn)
    .await
}

/// A check in this worker's hands until its lease runs out.
#[derive(Debug, Clone)]
pub struct Leased {
    pub id: Uuid,
    pub system: SystemKey,
    pub units: Vec<String>,
    /// The fence.
    attempt: i32,
}

/// Takes a check that waits, or whose worker went silent.
///
/// # Errors
/// Where the database does not answer.
pub async fn lease(pool: &PgPool, worker: &str) -> Result<Option<Leased>, sqlx::Error> {
    let row = sqlx::query!(
        "update connection_check
            set worker = $1, attempt = attempt + 1, started_at = now(), lease_until = now() + make_interval(secs => $2)
          where id = (select id from connection_check
                       where finished_at is null and (lease_until is null or lease_until < now())
                       order by asked_at, id limit 1 for update skip locked)
        returning id, system, units, attempt",
        worker,
        f64::from(LEASE_SECONDS)
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Leased { id: row.id, system: SystemKey(row.system), units: row.units, attempt: row.attempt }))
}

impl Leased {
    /// What is said instead of looking once more, where one worker after the other died at it.
    pub fn given_up(&self) -> Option<Finding> {
        (self.attempt > ATTEMPTS).then(|| {
            let text = format!("{ATTEMPTS} workers began this check and none came to its end: their logs say why.");
            Finding::new(Health::Ill, text)
        })
    }
}

/// Keeps what was found. False: another worker has taken over; nothing was kept.
///
/// # Errors
/// Where the database refuses; the check is left to the next.
pub async fn finish(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (leased, worker): (&Leased, &str),
    findings: &[Finding],
) -> Result<bool, EvidenceError> {
    let subject = format!("system:{}", leased.system);
    evidence::hold(conn, &subject).await?;
    let done = sqlx::query!(
        "update connection_check set finished_at = clock_timestamp(), lease_until = null, findings = $4
          where id = $1 and worker = $2 and attempt = $3 and finished_at is null",
        leased.id,
        worker,
        leased.attempt,
        sqlx::types::Json(findings) as _
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let count = |state| {
        let of = findings.iter().filter(|finding| finding.state == state).count();
        Value::Number(i64::try_from(of).unwrap_or(i64::MAX))
    };
    let by = By { via: format!("worker:{worker}"), ..By::default() };
    let detail = Facts::default()
        .plain("check", leased.id.to_string())
        .plain("well", count(Health::Well))
        .plain("doubtful", count(Health::Doubtful))
        .plain("ill", count(Health::Ill));
    append(conn, now, &Record { detail, ..Record::new(action::SYSTEM_CHECKED, subject, by) }).await?;
    sqlx::query!(
        "delete from connection_check where system = $1 and finished_at is not null and id not in
             (select id from connection_check where system = $1 order by asked_at desc, id desc limit $2)",
        leased.system.0,
        KEPT
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// Findings that name the person forget the name.
///
/// # Errors
/// Where the database refuses.
pub async fn erase(conn: &mut PgConnection, traces: &Traces) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update connection_check set findings = forgotten(findings, $1) where findings::text ~ $1",
        traces.pattern
    )
    .execute(conn)
    .await?;
    Ok(())
}
