//! Who decides for whom while they are away: from a day until a day, by the calendar where the one who is away works.
//!
//! Everybody sets it for themselves; for who cannot, because they are ill, a desk lead does, who does not stand in then. It is
//! recorded by whom. Nobody stands in for themselves, and whoever is a party of a request decides nothing in it, also not in
//! somebody's place: that is said where decisions are (`requests::stages::stands_for`).

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Denied, Object, Permit, op};
use crate::db;
use crate::evidence::{self, By, Facts, Record, action};
use crate::ids::PersonId;

/// Why a delegation cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DelegationError {
    #[error("Choose somebody else: nobody stands in for themselves.")]
    Oneself,
    #[error("Choose somebody else: whoever sets it does not decide in their place.")]
    Setter,
    #[error("Choose somebody else: an auditor decides nothing.")]
    Auditor,
    #[error("They do not work here now, so nobody decides in their place.")]
    Gone,
    #[error("Choose somebody who works here now.")]
    NotHere,
    #[error("The last day is before the first.")]
    Days,
    #[error("The last day has passed already.")]
    Past,
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// One delegation.
#[derive(Debug, Clone)]
pub struct Delegation {
    pub id: Uuid,
    pub person: PersonId,
    pub person_name: String,
    pub delegate: PersonId,
    pub delegate_name: String,
    pub from_day: NaiveDate,
    pub last_day: NaiveDate,
    /// Who set it, where they did not themselves.
    pub made_by_name: Option<String>,
}

/// Who decides in whose place, and from when until when (both days included).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub delegate: PersonId,
    pub from_day: NaiveDate,
    pub last_day: NaiveDate,
}

/// Lets somebody decide in the actor's place.
///
/// # Errors
/// [`DelegationError`] naming what to mend.
pub async fn make(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::Delegate>,
    wanted: &Wanted,
) -> Result<Uuid, DelegationError> {
    write(conn, now, (&permit.by(), permit.person()?), permit.person()?, wanted).await
}

/// Lets somebody decide in the place of who cannot say so themselves.
///
/// # Errors
/// [`DelegationError`] naming what to mend.
pub async fn make_for(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::DelegateFor>,
    wanted: &Wanted,
) -> Result<Uuid, DelegationError> {
    let Object::Person(person) = permit.object() else { return Err(Denied::NotFound.into()) };
    write(conn, now, (&permit.by(), permit.person()?), person, wanted).await
}

/// What stands in the way of it.
async fn check(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (actor, person): (PersonId, PersonId),
    wanted: &Wanted,
) -> Result<(), DelegationError> {
    if person == wanted.delegate {
        return Err(DelegationError::Oneself);
    }
    if actor != person && actor == wanted.delegate {
        return Err(DelegationError::Setter);
    }
    if wanted.last_day < wanted.from_day {
        return Err(DelegationError::Days);
    }
    let found = sqlx::query!(
        r#"select local_day($1, $3) as "today!",
                  exists (select from person where id = $1 and state = 'active') as "person!",
                  exists (select from person where id = $2 and state = 'active') as "delegate!",
                  exists (select from role_holding where person = $2 and role = 'auditor') as "auditor!""#,
        person.0,
        wanted.delegate.0,
        now
    )
    .fetch_one(conn)
    .await?;
    if !found.person {
        return Err(DelegationError::Gone);
    }
    if wanted.last_day < found.today {
        return Err(DelegationError::Past);
    }
    match (found.delegate, found.auditor) {
        (false, _) => Err(DelegationError::NotHere),
        (true, true) => Err(DelegationError::Auditor),
        (true, false) => Ok(()),
    }
}

async fn write(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (by, actor): (&By, PersonId),
    person: PersonId,
    wanted: &Wanted,
) -> Result<Uuid, DelegationError> {
    check(conn, now, (actor, person), wanted).await?;
    let id = Uuid::now_v7();
    let mut record = Record::new(action::DELEGATION_MADE, format!("person:{person}"), by.clone());
    record.detail = Facts::default()
        .plain("delegation", id.to_string())
        .plain("delegate", wanted.delegate.to_string())
        .plain("from_day", wanted.from_day.to_string())
        .plain("last_day", wanted.last_day.to_string())
        .plain("by_themselves", actor == person);
    evidence::append(conn, now, &record).await.map_err(sqlx::Error::from)?;
    let made = sqlx::query!(
        "insert into delegation (id, person, delegate, from_day, last_day, created_at, made_by) values ($1, $2, $3, $4, $5, $6, $7)",
        id,
        person.0,
        wanted.delegate.0,
        wanted.from_day,
        wanted.last_day,
        now,
        (actor != person).then_some(actor.0)
    )
    .execute(conn)
    .await;
    match made {
        Err(error) if db::constraint(&error) == Some("delegation_not_self") => Err(DelegationError::Oneself),
        Err(error) if db::constraint(&error) == Some("delegation_days") => Err(DelegationError::Days),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(id),
    }
}

/// Ends one of the actor's own delegations, whoever set it; false where it is not theirs or has ended.
///
/// # Errors
/// Where the database does not answer, or the permit is not a person's.
pub async fn end(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::Delegate>,
    delegation: Uuid,
) -> Result<bool, DelegationError> {
    end_one(conn, now, &permit.by(), (permit.person()?, delegation)).await
}

/// Ends a delegation of whom the permit is about; false where it is not theirs or has ended.
///
/// # Errors
/// Where the database does not answer.
pub async fn end_for(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::DelegateFor>,
    delegation: Uuid,
) -> Result<bool, DelegationError> {
    let Object::Person(person) = permit.object() else { return Err(Denied::NotFound.into()) };
    end_one(conn, now, &permit.by(), (person, delegation)).await
}

async fn end_one(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (person, delegation): (PersonId, Uuid),
) -> Result<bool, DelegationError> {
    let ended = sqlx::query!(
        "update delegation set ended_at = $3 where id = $1 and person = $2 and ended_at is null",
        delegation,
        person.0,
        now
    )
    .execute(&mut *conn)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(false);
    }
    let mut record = Record::new(action::DELEGATION_ENDED, format!("person:{person}"), by.clone());
    record.detail = Facts::default().plain("delegation", delegation.to_string());
    evidence::append(conn, now, &record).await.map_err(sqlx::Error::from)?;
    Ok(true)
}

/// One delegation, also one that has ended.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(conn: &mut PgConnection, delegation: Uuid) -> Result<Option<Delegation>, sqlx::Error> {
    sqlx::query_as!(
        Delegation,
        r#"select d.id, d.person as "person: PersonId", p.display_name as person_name,
                  d.delegate as "delegate: PersonId", q.display_name as delegate_name, d.from_day, d.last_day,
                  m.display_name as "made_by_name?"
             from delegation d join person p on p.id = d.person join person q on q.id = d.delegate
             left join person m on m.id = d.made_by
            where d.id = $1"#,
        delegation
    )
    .fetch_optional(conn)
    .await
}

/// Delegations from that person or to them that have not ended and whose last day is not before `day`.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(conn: &mut PgConnection, person: PersonId, day: NaiveDate) -> Result<Vec<Delegation>, sqlx::Error> {
    sqlx::query_as!(
        Delegation,
        r#"select d.id, d.person as "person: PersonId", p.display_name as person_name,
                  d.delegate as "delegate: PersonId", q.display_name as delegate_name, d.from_day, d.last_day,
                  m.display_name as "made_by_name?"
             from delegation d join person p on p.id = d.person join person q on q.id = d.delegate
             left join person m on m.id = d.made_by
            where (d.person = $1 or d.delegate = $1) and d.ended_at is null and d.last_day >= $2
            order by d.from_day, d.id"#,
        person.0,
        day
    )
    .fetch_all(conn)
    .await
}

/// Who decides in that person's place on that day.
///
/// # Errors
/// Where the database does not answer.
pub async fn delegates_for(
    conn: &mut PgConnection,
    person: PersonId,
    day: NaiveDate,
) -> Result<Vec<PersonId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select distinct delegate as "delegate: PersonId" from delegation
            where person = $1 and ended_at is null and $2 between from_day and last_day order by 1"#,
        person.0,
        day
    )
    .fetch_all(conn)
    .await
}

/// In whose place that delegate decides on that day.
///
/// # Errors
/// Where the database does not answer.
pub async fn stands_for(
    conn: &mut PgConnection,
    delegate: PersonId,
    day: NaiveDate,
) -> Result<Vec<PersonId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select distinct person as "person: PersonId" from delegation
            where delegate = $1 and ended_at is null and $2 between from_day and last_day order by 1"#,
        delegate.0,
        day
    )
    .fetch_all(conn)
    .await
}
