//! People from a CSV file: all of it, or nothing and every error by line and field. The same file twice changes nothing.
//!
//! The command reads a header row with these words, comma, semicolon or tab, UTF-8 with or without a byte-order mark:
//! `employee_number,given_name,family_name,type,department,title,site,manager_employee_number,first_day,last_day,mail,phone,user_name`.
//! The last five columns and the manager may be empty or missing: a column that is missing changes nothing, and an empty last
//! day does not take back one that is known (a leaver's request may have set it). Managers may stand anywhere in the file, or
//! be known already.
//!
//! The browser takes any header: columns are guessed and chosen ([`Mapping`]), what would change is shown ([`preview`]), and
//! exactly that is applied ([`draft`]), by the functions that the command uses.

mod difference;
pub mod draft;
mod line;
mod mapping;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::{EmploymentType, NewPerson, PeopleError};
use crate::evidence::By;
use crate::ids::PersonId;

pub use difference::{Change, Difference, Preview, preview};
pub use line::text;
pub use mapping::{FIELDS, Field, Mapping, field_of};
pub use table::{LARGEST, Table, table};

/// A cell that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// As an editor counts, the header being line 1.
    pub line: u64,
    pub field: String,
    pub message: String,
}

impl RowError {
    fn new(line: u64, field: &str, message: String) -> Self {
        Self { line, field: field.to_owned(), message }
    }

    fn file(line: u64, message: String) -> Self {
        Self::new(line, "file", message)
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, {}: {}", self.line, self.field, self.message)
    }
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    pub created: usize,
    pub changed: usize,
    pub unchanged: usize,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} created, {} changed, {} as they were", self.created, self.changed, self.unchanged)
    }
}

/// Somebody with a number, as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub id: PersonId,
    pub person: NewPerson,
    /// The manager's employee number.
    pub manager: Option<String>,
    pub phone: Option<String>,
}

/// Imports everything in one transaction.
///
/// # Errors
/// Outer: the database. Inner: every cell that cannot be taken; nothing was written then.
pub async fn import(
    pool: &PgPool,
    now: DateTime<Utc>,
    by: &By,
    mut reader: impl Read,
) -> Result<Result<Imported, Vec<RowError>>, PeopleError> {
    let mut bytes = Vec::new();
    if let Err(error) = reader.by_ref().take(LARGEST as u64 + 1).read_to_end(&mut bytes) {
        return Ok(Err(vec![RowError::file(1, format!("cannot be read: {error}"))]));
    }
    let table = match table::text(&bytes).and_then(table::table) {
        Ok(table) => table,
        Err(error) => return Ok(Err(vec![error])),
    };
    let mapping = match Mapping::exact(&table.headers) {
        Ok(mapping) => mapping,
        Err(errors) => return Ok(Err(errors)),
    };
    let mut tx = pool.begin().await?;
    let found = difference::held(&mut tx, &table, &mapping).await?;
    if !found.errors.is_empty() {
        return Ok(Err(found.errors));
    }
    let imported = difference::apply(&mut tx, now, by, found).await?;
    super::settle_states(&mut tx, now).await?;
    tx.commit().await?;
    Ok(Ok(imported))
}

/// Reads one person as a line of a file is read: our fields and their values. The manager is left out.
///
/// # Errors
/// What is wrong with which field.
pub(super) async fn one(
    conn: &mut PgConnection,
    values: &[(&'static str, String)],
) -> Result<Result<(NewPerson, Option<String>), Vec<RowError>>, sqlx::Error> {
    let sites = super::sites(conn).await?.into_iter().map(|site| site.code).collect();
    let mapping = Mapping(values.iter().enumerate().map(|(at, (name, _))| ((*name).to_owned(), at)).collect());
    let row = (1, values.iter().map(|(_, value)| value.clone()).collect());
    let table = Table { headers: Vec::new(), rows: vec![row], odd: Vec::new() };
    let (mut lines, errors) = line::lines(&table, &mapping, &sites);
    Ok(match lines.pop() {
        Some(line) if errors.is_empty() => Ok((line.person, line.phone)),
        _ => Err(errors),
    })
}

/// Everybody with a number and an employment, as an import would write them.
async fn known(conn: &mut PgConnection) -> Result<BTreeMap<String, Known>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select p.id as "id: PersonId", p.employee_number as "number!", p.given_name, p.family_name, p.display_name, p.mail,
                  p.phone, e.type as kind, s.code as site, d.name as department, e.title, e.manager as "manager: PersonId",
                  m.employee_number as "manager_number?", e.first_day, e.last_day
             from person p
             join lateral (select * from employment e where e.person = p.id order by e.first_day desc limit 1) e on true
             join site s on s.id = e.site join department d on d.id = e.department
             left join person m on m.id = e.manager
            where p.employee_number is not null and p.state not in ('withdrawn', 'erased')"#
    )
    .fetch_all(conn)
    .await?;
    let known = rows.into_iter().filter_map(|row| {
        let person = NewPerson {
            employee_number: Some(row.number.clone()),
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
        Some((row.number, Known { id: row.id, person, manager: row.manager_number, phone: row.phone }))
    });
    Ok(known.collect())
}
