//! Who exists: persons, and their employments in time.
//!
//! A *person* is a human known to the company; an *employment* is a position with type, site, department, title, manager,
//! first and last day. Who comes back, or turns from contractor to employee, is the same person with another employment.
//! Dates are local to the site; instants are derived from them. Nobody is ever deleted, only erased.

mod by_hand;
mod calendar;
mod erase;
mod hours;
pub mod import;
mod org;
mod write;

use std::fmt;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

pub use by_hand::{Typed, Written, begin_employment, change, check, employments, make, written};
pub use calendar::Calendar;
pub use erase::erase;
pub use hours::{AllHours, Hours, hours, places_of};
pub use import::{Imported, RowError, import};
pub use org::{Branch, Reports, manager_of, org, reports_to, team};
pub use write::{
    NewPerson, SiteData, WholeSite, change_expected, expect, set_last_day, set_mail, settle_states, site,
    site_calendar, whole_site, withdraw,
};

use crate::evidence::EvidenceError;
use crate::ids::PersonId;

/// Why a person could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    #[error("{message}")]
    Field { field: String, message: String },
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
}

/// How somebody is employed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmploymentType {
    Employee,
    Contractor,
    Intern,
}

impl EmploymentType {
    pub const ALL: [EmploymentType; 3] = [Self::Employee, Self::Contractor, Self::Intern];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Employee => "employee",
            Self::Contractor => "contractor",
            Self::Intern => "intern",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text.trim().to_lowercase())
    }
}

impl fmt::Display for EmploymentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Employee => "Employee",
            Self::Contractor => "Contractor",
            Self::Intern => "Intern",
        })
    }
}

/// A place of work, with its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    pub id: Uuid,
    pub code: String,
    pub name: String,
    pub zone: chrono_tz::Tz,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Employment {
    pub id: Uuid,
    pub kind: EmploymentType,
    pub site: Site,
    pub department: String,
    pub title: String,
    pub manager: Option<PersonId>,
    pub manager_name: Option<String>,
    pub first_day: NaiveDate,
    pub last_day: Option<NaiveDate>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub id: PersonId,
    pub employee_number: Option<String>,
    pub given_name: String,
    pub family_name: String,
    pub display_name: String,
    pub mail: Option<String>,
    pub phone: Option<String>,
    /// expected, active, left, withdrawn, erased
    pub state: String,
    /// Where the row came from.
    pub source: String,
    /// The present employment, else the next, else the last.
    pub employment: Option<Employment>,
}

/// A line of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonHit {
    pub id: PersonId,
    pub display_name: String,
    pub employee_number: Option<String>,
    pub user_name: Option<String>,
    pub state: String,
    pub title: Option<String>,
    pub department: Option<String>,
    pub site: Option<String>,
}

struct Row {
    id: PersonId,
    employee_number: Option<String>,
    given_name: String,
    family_name: String,
    display_name: String,
    mail: Option<String>,
    phone: Option<String>,
    state: String,
    source: String,
    employment: Option<Uuid>,
    kind: Option<String>,
    site: Option<Uuid>,
    site_code: Option<String>,
    site_name: Option<String>,
    zone: Option<String>,
    department: Option<String>,
    title: Option<String>,
    manager: Option<PersonId>,
    manager_name: Option<String>,
    first_day: Option<NaiveDate>,
    last_day: Option<NaiveDate>,
}

impl TryFrom<Row> for Person {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let employment = match (row.employment, row.kind, row.site, row.zone) {
            (Some(id), Some(kind), Some(site), Some(zone)) => Some(Employment {
                id,
                kind: EmploymentType::parse(&kind).ok_or_else(|| odd("employment.type", &kind))?,
                site: Site {
                    id: site,
                    code: row.site_code.unwrap_or_default(),
                    name: row.site_name.unwrap_or_default(),
                    zone: zone.parse().map_err(|_| odd("site.zone", &zone))?,
                },
                department: row.department.unwrap_or_default(),
                title: row.title.unwrap_or_default(),
                manager: row.manager,
                manager_name: row.manager_name,
                first_day: row.first_day.unwrap_or_default(),
                last_day: row.last_day,
            }),
            _ => None,
        };
        Ok(Self {
            id: row.id,
            employee_number: row.employee_number,
            given_name: row.given_name,
            family_name: row.family_name,
            display_name: row.display_name,
            mail: row.mail,
            phone: row.phone,
            state: row.state,
            source: row.source,
            employment,
        })
    }
}

/// A row that should not be: names table, column and value.
fn odd(column: &str, value: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{column} holds “{value}”, which this program does not know").into())
}

/// One person.
///
/// # Errors
/// Where the database does not answer or a row does not decode.
pub async fn find(conn: &mut PgConnection, id: PersonId) -> Result<Option<Person>, sqlx::Error> {
    Ok(find_many(conn, &[id]).await?.pop())
}

/// Several persons, by name; those that are not there are left out.
///
/// # Errors
/// As [`find`].
pub async fn find_many(conn: &mut PgConnection, ids: &[PersonId]) -> Result<Vec<Person>, sqlx::Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"select p.id as "id: PersonId", p.employee_number, p.given_name, p.family_name, p.display_name, p.mail, p.phone,
                  p.state, p.source, e.id as "employment?", e.type as "kind?", s.id as "site?", s.code as "site_code?",
                  s.name as "site_name?", s.zone as "zone?", d.name as "department?", e.title as "title?",
                  e.manager as "manager: PersonId", m.display_name as "manager_name?", e.first_day as "first_day?", e.last_day
             from person p
             left join lateral (
                 select * from employment e where e.person = p.id
                  order by (e.first_day <= current_date and (e.last_day is null or e.last_day >= current_date)) desc,
                           (e.first_day > current_date) desc,
                           case when e.first_day > current_date then e.first_day end,
                           e.first_day desc
                  limit 1) e on true
             left join site s on s.id = e.site
             left join department d on d.id = e.department
             left join person m on m.id = e.manager
            where p.id = any ($1)
            order by p.display_name, p.id"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Person::try_from).collect()
}

/// By the user name that somebody signs in with, letters' case aside.
///
/// # Errors
/// Where the database does not answer.
pub async fn by_user_name(conn: &mut PgConnection, user_name: &str) -> Result<Option<PersonId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select person as "person: PersonId" from sign_in where user_name_folded = lower($1)"#,
        user_name.trim()
    )
    .fetch_optional(conn)
    .await
}

/// By employee number; withdrawn and erased persons have none.
///
/// # Errors
/// Where the database does not answer.
pub async fn by_employee_number(conn: &mut PgConnection, number: &str) -> Result<Option<PersonId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select id as "id: PersonId" from person where employee_number = $1 and state not in ('withdrawn', 'erased')"#,
        number.trim()
    )
    .fetch_optional(conn)
    .await
}

/// Every site, by name.
///
/// # Errors
/// Where the database does not answer or a zone is not one.
pub async fn sites(conn: &mut PgConnection) -> Result<Vec<Site>, sqlx::Error> {
    let rows = sqlx::query!("select id, code, name, zone from site order by name").fetch_all(conn).await?;
    rows.into_iter()
        .map(|row| {
            let zone = row.zone.parse().map_err(|_| odd("site.zone", &row.zone))?;
            Ok(Site { id: row.id, code: row.code, name: row.name, zone })
        })
        .collect()
}

/// Every department's name.
///
/// # Errors
/// Where the database does not answer.
pub async fn departments(conn: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!("select name from department order by name").fetch_all(conn).await
}

/// People whose names, number, mail or user name contain every word typed, accents and case aside; those whose name begins
/// with it first. People who left are listed last.
///
/// # Errors
/// Where the database does not answer.
pub async fn search(conn: &mut PgConnection, typed: &str, limit: i64) -> Result<Vec<PersonHit>, sqlx::Error> {
    let words: Vec<String> = fold(typed)
        .split_whitespace()
        .take(6)
        .map(|word| format!("%{}%", word.replace('\\', "").replace('%', "\\%").replace('_', "\\_")))
        .collect();
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let begins = format!("{}%", words[0].trim_matches('%'));
    hits(conn, (&words, &begins), None, limit).await
}

/// People by name, after the last of the page before.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(
    conn: &mut PgConnection,
    after: Option<(&str, PersonId)>,
    limit: i64,
) -> Result<Vec<PersonHit>, sqlx::Error> {
    hits(conn, (&[], ""), after, limit).await
}

async fn hits(
    conn: &mut PgConnection,
    (words, begins): (&[String], &str),
    after: Option<(&str, PersonId)>,
    limit: i64,
) -> Result<Vec<PersonHit>, sqlx::Error> {
    sqlx::query_as!(
        PersonHit,
        r#"select p.id as "id: PersonId", p.display_name, p.employee_number, i.user_name as "user_name?", p.state,
                  e.title as "title?", d.name as "department?", s.code as "site?"
             from (select p.* from person p
                    where p.state not in ('withdrawn', 'erased')
                      and (cardinality($1::text[]) = 0 or p.folded like all ($1))
                      and ($3::text is null or (p.display_name, p.id) > ($3, $4))
                    order by (p.state = 'left' and $2 <> ''), ($2 <> '' and p.folded like $2) desc, p.display_name, p.id
                    limit $5) p
             left join sign_in i on i.person = p.id
             left join lateral (select * from employment e where e.person = p.id order by e.first_day desc limit 1) e on true
             left join department d on d.id = e.department
             left join site s on s.id = e.site
            order by (p.state = 'left' and $2 <> ''), ($2 <> '' and p.folded like $2) desc, p.display_name, p.id"#,
        words,
        begins,
        after.map(|(name, _)| name),
        after.map(|(_, id)| id.0),
        limit
    )
    .fetch_all(conn)
    .await
}

/// Lower case, Latin letters: what is searched.
pub(crate) fn fold(text: &str) -> String {
    deunicode::deunicode(text).to_lowercase()
}

/// Whether that can be a mail address: something, one at sign, something, no spaces.
pub(crate) fn is_mail(text: &str) -> bool {
    text.matches('@').count() == 1
        && text.split('@').all(|part| !part.is_empty())
        && !text.contains(char::is_whitespace)
}
