//! Persons and employments written by an administrator: read and written as a line of a file is, each with its record.

use chrono::{DateTime, NaiveDate, Utc};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::import::{self, RowError};
use super::{EmploymentType, NewPerson, PeopleError, write};
use crate::access::{Permit, op};
use crate::evidence::{self, action, append};
use crate::ids::PersonId;

/// A person with their latest employment, as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub person: NewPerson,
    pub phone: Option<String>,
}

impl Written {
    /// Tells whether somebody changed them since a form was shown.
    pub fn digest(&self) -> String {
        hex::encode(Sha256::digest(format!("{self:?}")))
    }

    fn both(&self) -> (&NewPerson, Option<&str>) {
        (&self.person, self.phone.as_deref())
    }
}

/// What a form brought: our fields with their values, days as 2026-11-30, and what a file cannot say.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    /// Without the manager; an empty number is none.
    pub values: Vec<(&'static str, String)>,
    /// As the person has it; empty: given name, family name.
    pub display_name: String,
    pub manager: Option<PersonId>,
}

/// A person and their latest employment; None where there is no such employment.
///
/// # Errors
/// Where the database does not answer.
pub async fn written(conn: &mut PgConnection, id: PersonId) -> Result<Option<Written>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select p.employee_number, p.given_name, p.family_name, p.display_name, p.mail, p.phone, e.type as kind,
                  s.code as site, d.name as department, e.title, e.manager as "manager: PersonId", e.first_day, e.last_day
             from person p
             join lateral (select * from employment e where e.person = p.id order by e.first_day desc limit 1) e on true
             join site s on s.id = e.site join department d on d.id = e.department
            where p.id = $1 and p.state not in ('withdrawn', 'erased')"#,
        id.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.and_then(|row| {
        let person = NewPerson {
            employee_number: row.employee_number,
            given_name: row.given_name,
            family_name: row.family_name,
            display_name: row.display_name,
            kind: EmploymentType::parse(&row.kind)?,
            site: row.site,
            department: row.department,
            title: row.title,
            manager: row.manager,
            first_day: row.first_day,
            last_day: row.last_day,
            mail: row.mail,
        };
        Some(Written { person, phone: row.phone })
    }))
}

/// An employment in a list.
#[derive(Debug, Clone)]
pub struct Employed {
    pub title: String,
    pub department: String,
    pub site: String,
    pub first_day: NaiveDate,
    pub last_day: Option<NaiveDate>,
}

/// Every employment of a person, the latest first.
///
/// # Errors
/// Where the database does not answer.
pub async fn employments(conn: &mut PgConnection, id: PersonId) -> Result<Vec<Employed>, sqlx::Error> {
    sqlx::query_as!(
        Employed,
        r#"select e.title, d.name as department, s.code as site, e.first_day, e.last_day
             from employment e join department d on d.id = e.department join site s on s.id = e.site
            where e.person = $1 order by e.first_day desc"#,
        id.0
    )
    .fetch_all(conn)
    .await
}

/// What was typed as a person, or everything that is wrong with it, field by field. `id`: whose form it is.
///
/// # Errors
/// Outer: the database.
pub async fn check(
    conn: &mut PgConnection,
    id: Option<PersonId>,
    typed: &Typed,
) -> Result<Result<Written, Vec<RowError>>, sqlx::Error> {
    let mut values = typed.values.clone();
    let mut numbered = true;
    for (_, value) in values.iter_mut().filter(|(name, value)| *name == "employee_number" && value.trim().is_empty()) {
        // A file needs the number to find people by; here they are found already.
        numbered = false;
        "none".clone_into(value);
    }
    let mut errors = Vec::new();
    let read = import::one(conn, &values).await?;
    let name = import::text(&typed.display_name, 130);
    if let Err(message) = &name {
        errors.push(RowError { line: 1, field: "display_name".to_owned(), message: message.clone() });
    }
    if let Some(message) = not_above(conn, id, typed.manager).await? {
        errors.push(RowError { line: 1, field: "manager".to_owned(), message });
    }
    let (mut person, phone) = match read {
        Ok(read) if errors.is_empty() => read,
        Ok(_) => return Ok(Err(errors)),
        Err(found) => return Ok(Err([found, errors].concat())),
    };
    if !numbered {
        person.employee_number = None;
    }
    person.manager = typed.manager;
    if let Ok(Some(name)) = name {
        person.display_name = name;
    }
    Ok(Ok(Written { person, phone }))
}

/// Why that person cannot be the manager; None where they can.
async fn not_above(
    conn: &mut PgConnection,
    id: Option<PersonId>,
    manager: Option<PersonId>,
) -> Result<Option<String>, sqlx::Error> {
    let (Some(id), Some(manager)) = (id, manager) else { return Ok(None) };
    if id == manager {
        return Ok(Some("Nobody is their own manager".to_owned()));
    }
    let below = sqlx::query_scalar!(
        r#"select exists (select from team_of($1) t (person) where t.person = $2) as "below!""#,
        id.0,
        manager.0
    )
    .fetch_one(conn)
    .await?;
    Ok(below.then(|| "They report to this person; nobody is above themselves".to_owned()))
}

/// Writes down somebody new.
///
/// # Errors
/// A field error where the employee number is taken.
pub async fn make(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::ChangePerson>,
    new: &Written,
) -> Result<PersonId, PeopleError> {
    let id = write::insert(conn, &new.person, ("expected", "hand")).await?;
    write::set_phone(conn, id, new.phone.as_deref()).await?;
    append(conn, now, &write::written(action::PERSON_MADE, &permit.by(), id, None, new.both())).await?;
    write::settle_states(conn, now).await?;
    Ok(id)
}

/// Brings a person and their latest employment up to date. False: they are not as `seen` any more; nothing was written.
///
/// # Errors
/// A field error where the employee number is taken.
pub async fn change(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::ChangePerson>,
    id: PersonId,
    (seen, new): (&str, &Written),
) -> Result<bool, PeopleError> {
    let Some(before) = held(conn, id, seen).await? else { return Ok(false) };
    if before == *new {
        return Ok(true);
    }
    write::update(conn, id, &new.person).await?;
    record(conn, now, permit, id, (&before, new)).await?;
    Ok(true)
}

/// Somebody who was here begins another employment; the one before has ended. False: as for [`change`].
///
/// # Errors
/// A field error where the one before goes on, or ends after the new one begins.
pub async fn begin_employment(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::ChangePerson>,
    id: PersonId,
    (seen, new): (&str, &Written),
) -> Result<bool, PeopleError> {
    let Some(before) = held(conn, id, seen).await? else { return Ok(false) };
    let wrong = |message: String| PeopleError::Field { field: "first_day".to_owned(), message };
    match before.person.last_day {
        None => return Err(wrong("The employment before has no last day; set that first".to_owned())),
        Some(day) if day >= new.person.first_day => {
            return Err(wrong(format!("Enter a day after {day}, the last day of the employment before")));
        }
        Some(_) => {}
    }
    write::employment(conn, id, &new.person, "hand").await?;
    write::update(conn, id, &new.person).await?;
    record(conn, now, permit, id, (&before, new)).await?;
    Ok(true)
}

/// The person, locked, as long as they are as seen.
async fn held(conn: &mut PgConnection, id: PersonId, seen: &str) -> Result<Option<Written>, PeopleError> {
    evidence::hold(conn, &format!("person:{id}")).await?;
    sqlx::query!("select 1 as one from person where id = $1 for update", id.0).fetch_optional(&mut *conn).await?;
    sqlx::query!("select 1 as one from employment where person = $1 for update", id.0).fetch_all(&mut *conn).await?;
    Ok(written(conn, id).await?.filter(|written| written.digest() == seen))
}

async fn record(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::ChangePerson>,
    id: PersonId,
    (before, after): (&Written, &Written),
) -> Result<(), PeopleError> {
    write::set_phone(conn, id, after.phone.as_deref()).await?;
    let record = write::written(action::PERSON_CHANGED, &permit.by(), id, Some(before.both()), after.both());
    append(conn, now, &record).await?;
    write::settle_states(conn, now).await?;
    Ok(())
}
