//! Forgetting a person: their values and the keys that open them go, what happened stays.
//!
//! An *erasure* is proposed by one, approved by another and carried out by the worker; neither of the two is the person.
//! Its basis is the end of the retention, or a lawful request before that, with the reason. Nobody is erased who is
//! employed, whose accounts are still in a target system, or who has to do with an open request. Records, ids, digests and
//! proofs stay as they are; what was said about the person becomes unreadable for good.

mod carry_out;

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

pub use carry_out::carry_out;

use crate::access::{self, Actor, Denied, Object, Role, op};
use crate::catalog::{self, CatalogError};
use crate::evidence::erase::Traces;
use crate::evidence::{By, EvidenceError, Facts, Record, action, append, hold};
use crate::ids::{PersonId, RequestNumber};
use crate::mirror::erase::{Present, present};
use crate::requests;

/// Why somebody's values may be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// They have been kept as long as the setting says.
    Retention,
    /// The person, or a court, may ask for it before that; the reason says so.
    LawfulRequest,
}

impl Basis {
    pub const ALL: [Self; 2] = [Self::Retention, Self::LawfulRequest];

    /// The word in tables and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::LawfulRequest => "lawful_request",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|basis| basis.as_str() == word)
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retention => "the retention is over",
            Self::LawfulRequest => "a lawful request",
        })
    }
}

/// What is in the way of erasing somebody, each said with its mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    Erased,
    /// Not left yet: the person's state.
    Here(String),
    Account(Present),
    Open(RequestNumber),
    /// The day from which it may be done without another reason.
    Kept(NaiveDate),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Erased => f.write_str("Their values have been erased already."),
            Self::Here(state) if state == "expected" => {
                f.write_str("They are expected: cancel the request that they come by first.")
            }
            Self::Here(_) => f.write_str("They are still employed: ask for them to leave first."),
            Self::Account(account) => write!(
                f,
                "Their account {} is still in {}: it is deleted there first.",
                account.user_name, account.system
            ),
            Self::Open(number) => write!(f, "{number} is open and has to do with them: it ends first."),
            Self::Kept(day) => write!(
                f,
                "Their values are kept until {}. Before that only a lawful request allows it.",
                day.format("%-d %B %Y")
            ),
        }
    }
}

/// Why an erasure was not proposed or decided.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    #[error("{message}")]
    Field { field: &'static str, message: String },
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))]
    InTheWay(Vec<Obstacle>),
    /// The state does not allow it; plain words.
    #[error("{0}")]
    Conflict(&'static str),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// One erasure as its page shows it.
#[derive(Debug, Clone)]
pub struct Erasure {
    pub id: Uuid,
    pub person: PersonId,
    /// As the person is called now.
    pub person_name: String,
    /// retention, lawful_request
    pub basis: String,
    pub reason: String,
    /// proposed, approved, rejected, done
    pub state: String,
    /// None: the command line.
    pub proposed_by: Option<PersonId>,
    pub proposed_by_name: Option<String>,
    pub proposed_at: DateTime<Utc>,
    pub decided_by_name: Option<String>,
    pub decided_at: Option<DateTime<Utc>>,
    pub comment: String,
    /// Why the worker has not carried it out yet.
    pub held_back: Option<String>,
    pub done_at: Option<DateTime<Utc>>,
    pub values_erased: Option<i64>,
}

impl Erasure {
    /// Whether somebody with these roles may, who neither proposed it nor is the person.
    pub fn may_be_decided_by(&self, roles: &[Role]) -> bool {
        roles.contains(&Role::Security) || (self.proposed_by.is_some() && roles.contains(&Role::Administrator))
    }

    /// Who may decide about it, in words. The command line has no person, and whoever holds it may be an administrator.
    pub fn approvers(&self) -> &'static str {
        if self.proposed_by.is_none() { "security" } else { "security, or another administrator" }
    }
}

/// Which to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Which {
    pub one: Option<Uuid>,
    /// Neither done nor rejected.
    pub open: bool,
}

/// Erasures, the newest first, at most two hundred.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(conn: &mut PgConnection, which: Which) -> Result<Vec<Erasure>, sqlx::Error> {
    sqlx::query_as!(
        Erasure,
        r#"select e.id, e.person as "person: PersonId", p.display_name as person_name, e.basis, e.reason, e.state,
                  e.proposed_by as "proposed_by: PersonId", b.display_name as "proposed_by_name?", e.proposed_at,
                  d.display_name as "decided_by_name?", e.decided_at, e.comment, e.held_back, e.done_at, e.values_erased
             from erasure e join person p on p.id = e.person
             left join person b on b.id = e.proposed_by
             left join person d on d.id = e.decided_by
            where ($1::uuid is null or e.id = $1) and (not $2 or e.state in ('proposed', 'approved'))
            order by e.proposed_at desc, e.id desc limit 200"#,
        which.one,
        which.open
    )
    .fetch_all(conn)
    .await
}

/// The last day that counts for the retention: of the last employment, or the day that somebody who never came was
/// to begin.
async fn last_day(conn: &mut PgConnection, person: PersonId) -> Result<Option<NaiveDate>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select coalesce((select max(coalesce(last_day, first_day)) from employment where person = $1), created_at::date) as "day!"
             from person where id = $1"#,
        person.0
    )
    .fetch_optional(conn)
    .await
}

/// When the values of that person have been kept long enough.
///
/// # Errors
/// Where the database does not answer or the setting cannot be read.
pub async fn retention_ends(conn: &mut PgConnection, person: PersonId) -> Result<NaiveDate, ErasureError> {
    let kept = catalog::retention(conn).await?;
    Ok(last_day(conn, person).await?.map_or(NaiveDate::MAX, |day| kept.ends(day)))
}

/// What is in the way of erasing that person on that basis.
///
/// # Errors
/// Where the database does not answer or the setting cannot be read.
pub async fn obstacles(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (person, basis): (PersonId, Basis),
) -> Result<Vec<Obstacle>, ErasureError> {
    let state = sqlx::query_scalar!("select state from person where id = $1", person.0)
        .fetch_optional(&mut *conn)
        .await?
        .ok_or(Denied::NotFound)?;
    if state == "erased" {
        return Ok(vec![Obstacle::Erased]);
    }
    let mut found = Vec::new();
    if !matches!(state.as_str(), "left" | "withdrawn") {
        found.push(Obstacle::Here(state));
    }
    found.extend(present(conn, person).await?.into_iter().map(Obstacle::Account));
    let traces = Traces::of(conn, person).await?;
    found.extend(requests::erase::open_with(conn, &traces).await?.into_iter().map(Obstacle::Open));
    let ends = retention_ends(conn, person).await?;
    if basis == Basis::Retention && now.date_naive() < ends {
        found.push(Obstacle::Kept(ends));
    }
    Ok(found)
}

/// How evidence names who acts; the command line as everywhere else.
fn by(actor: &Actor, permitted: By) -> By {
    match actor {
        Actor::Routine("command") => By { via: "command".to_owned(), ..By::default() },
        _ => permitted,
    }
}

fn subject(id: Uuid) -> String {
    format!("erasure:{id}")
}

fn record(action: &'static str, (id, person): (Uuid, PersonId), by: By, reason: &str) -> Record {
    Record {
        detail: Facts::default().plain("person", person.to_string()),
        reason: Some(reason.to_owned()),
        ..Record::new(action, subject(id), by)
    }
}

fn text(field: &'static str, typed: &str) -> Result<String, ErasureError> {
    let text = typed.trim();
    if text.chars().count() > 4000 || text.contains('\0') {
        return Err(ErasureError::Field { field, message: "Use at most 4,000 characters".to_owned() });
    }
    Ok(text.to_owned())
}

/// Proposes; somebody else decides. Returns its id.
///
/// # Errors
/// [`ErasureError::InTheWay`] with everything that is; a field error where a lawful request has no reason.
pub async fn propose(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    (person, basis, reason): (PersonId, Basis, &str),
) -> Result<Uuid, ErasureError> {
    let id = Uuid::now_v7();
    let mut tx = pool.begin().await?;
    let permit = access::permit::<op::ProposeErasure>(&mut tx, actor, Object::Person(person)).await?;
    let reason = text("reason", reason)?;
    if basis == Basis::LawfulRequest && reason.is_empty() {
        let message = "Say who asks for it and on what ground".to_owned();
        return Err(ErasureError::Field { field: "reason", message });
    }
    let found = obstacles(&mut tx, now, (person, basis)).await?;
    if !found.is_empty() {
        return Err(ErasureError::InTheWay(found));
    }
    let mut told = record(action::ERASURE_PROPOSED, (id, person), by(actor, permit.by()), &reason);
    told.detail = told.detail.plain("basis", basis.as_str());
    append(&mut tx, now, &told).await?;
    let written = sqlx::query!(
        "insert into erasure (id, person, basis, reason, state, proposed_by, proposed_at) values ($1, $2, $3, $4, 'proposed', $5, $6)",
        id,
        person.0,
        basis.as_str(),
        reason,
        actor.person().map(|person| person.0),
        now
    )
    .execute(&mut *tx)
    .await;
    match written {
        Err(error) if crate::db::constraint(&error) == Some("erasure_open") => {
            return Err(ErasureError::Conflict("This is proposed already and waits to be decided or carried out."));
        }
        other => other?,
    };
    tx.commit().await?;
    Ok(id)
}

/// Approves or rejects. What is approved the worker carries out.
///
/// # Errors
/// [`ErasureError::Denied`] for whoever proposed it, for the person, and for an administrator where the command line
/// proposed it; a field error where a rejection says nothing.
pub async fn decide(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    (id, approve, comment): (Uuid, bool, &str),
) -> Result<(), ErasureError> {
    let mut tx = pool.begin().await?;
    // Whether there is such an erasure is told to those alone who may decide at all.
    access::permit::<op::DecideErasure>(&mut tx, actor, Object::None).await?;
    hold(&mut tx, &subject(id)).await?;
    let erasure = list(&mut tx, Which { one: Some(id), open: false }).await?.pop().ok_or(Denied::NotFound)?;
    let permit = access::permit::<op::DecideErasure>(&mut tx, actor, Object::Person(erasure.person)).await?;
    let decider = permit.person()?;
    if erasure.proposed_by == Some(decider) {
        return Err(Denied::Forbidden("You proposed this; somebody else decides.").into());
    }
    if !erasure.may_be_decided_by(permit.roles()) {
        return Err(Denied::Forbidden("The command line proposed this; security decides.").into());
    }
    if erasure.state != "proposed" {
        return Err(ErasureError::Conflict("Somebody has decided about this meanwhile."));
    }
    let comment = text("comment", comment)?;
    if !approve && comment.is_empty() {
        return Err(ErasureError::Field { field: "comment", message: "Say why not; the proposer reads it".to_owned() });
    }
    let basis = Basis::parse(&erasure.basis).unwrap_or(Basis::Retention);
    let found = if approve { obstacles(&mut tx, now, (erasure.person, basis)).await? } else { Vec::new() };
    if !found.is_empty() {
        return Err(ErasureError::InTheWay(found));
    }
    let action = if approve { action::ERASURE_APPROVED } else { action::ERASURE_REJECTED };
    append(&mut tx, now, &record(action, (id, erasure.person), permit.by(), &comment)).await?;
    sqlx::query!(
        "update erasure set state = $2, decided_by = $3, decided_at = $4, comment = $5 where id = $1",
        id,
        if approve { "approved" } else { "rejected" },
        decider.0,
        now,
        comment
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Who can be erased by that employee number, or that id where they have none; for the command line.
///
/// # Errors
/// Where the database does not answer.
pub async fn by_number(conn: &mut PgConnection, number: &str) -> Result<Option<PersonId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select id as "id: PersonId" from person where (employee_number = $1 or id::text = $1) and state <> 'erased'
            order by state = 'withdrawn', created_at desc limit 1"#,
        number.trim()
    )
    .fetch_optional(conn)
    .await
}
