//! Who decides for whom while they are away: from a day until a day, ended by its owner, never for oneself.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Denied, Permit, op};
use crate::db;
use crate::evidence::{self, Facts, Record, action};
use crate::ids::PersonId;

/// Why a delegation cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DelegationError {
    #[error("Choose somebody else: nobody stands in for themselves.")]
    Oneself,
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
}

/// Lets somebody decide in the actor's place, from a day until a day (both included).
///
/// # Errors
/// [`DelegationError`] naming what to mend.
pub async fn make(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::Delegate>,
    delegate: PersonId,
    (from_day, last_day): (NaiveDate, NaiveDate),
) -> Result<Uuid, DelegationError> {
    let person = permit.person()?;
    if person == delegate {
        return Err(DelegationError::Oneself);
    }
    if last_day < from_day {
        return Err(DelegationError::Days);
    }
    if last_day < now.date_naive() {
        return Err(DelegationError::Past);
    }
    let here = sqlx::query_scalar!("select state = 'active' from person where id = $1", delegate.0)
        .fetch_optional(&mut *conn)
        .await?;
    if here != Some(Some(true)) {
        return Err(DelegationError::NotHere);
    }
    let id = Uuid::now_v7();
    let mut record = Record::new(action::DELEGATION_MADE, format!("person:{person}"), permit.by());
    record.detail = Facts::default()
        .plain("delegation", id.to_string())
        .plain("delegate", delegate.to_string())
        .plain("from_day", from_day.to_string())
        .plain("last_day", last_day.to_string());
    evidence::append(conn, now, &record).await.map_err(sqlx::Error::from)?;
    let made = sqlx::query!(
        "insert into delegation (id, person, delegate, from_day, last_day, created_at) values ($1, $2, $3, $4, $5, $6)",
        id,
        person.0,
        delegate.0,
        from_day,
        last_day,
        now
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

/// Ends one of the actor's own delegations; false where it is not theirs or has ended.
///
/// # Errors
/// Where the database does not answer, or the permit is not a person's.
pub async fn end(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::Delegate>,
    delegation: Uuid,
) -> Result<bool, DelegationError> {
    let person = permit.person()?;
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
    let mut record = Record::new(action::DELEGATION_ENDED, format!("person:{person}"), permit.by());
    record.detail = Facts::default().plain("delegation", delegation.to_string());
    evidence::append(conn, now, &record).await.map_err(sqlx::Error::from)?;
    Ok(true)
}

/// Delegations from that person or to them that have not ended and whose last day is not before `day`.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(conn: &mut PgConnection, person: PersonId, day: NaiveDate) -> Result<Vec<Delegation>, sqlx::Error> {
    sqlx::query_as!(
        Delegation,
        r#"select d.id, d.person as "person: PersonId", p.display_name as person_name,
                  d.delegate as "delegate: PersonId", q.display_name as delegate_name, d.from_day, d.last_day
             from delegation d join person p on p.id = d.person join person q on q.id = d.delegate
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
