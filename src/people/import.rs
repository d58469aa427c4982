//! People from a CSV file: all of it, or nothing and every error by line and field. The same file twice changes nothing.
//!
//! Header row, comma or semicolon, UTF-8 with or without a byte-order mark:
//! `employee_number,given_name,family_name,type,department,title,site,manager_employee_number,first_day,last_day,mail,phone,user_name`.
//! The last five columns and the manager may be empty or missing: a column that is missing changes nothing, and an empty last
//! day does not take back one that is known (a leaver's request may have set it). Managers may stand anywhere in the file, or be known already.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};

use super::{EmploymentType, NewPerson, PeopleError, write};
use crate::evidence::{By, append};
use crate::ids::PersonId;

/// A cell that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// As an editor counts, the header being line 1.
    pub line: u64,
    pub field: String,
    pub message: String,
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

const REQUIRED: [&str; 8] =
    ["employee_number", "given_name", "family_name", "type", "department", "title", "site", "first_day"];
const OPTIONAL: [&str; 5] = ["manager_employee_number", "last_day", "mail", "phone", "user_name"];

struct Line {
    line: u64,
    number: String,
    manager: Option<String>,
    phone: Option<String>,
    person: NewPerson,
}

/// Imports everything in one transaction.
///
/// # Errors
/// Outer: the database. Inner: every cell that cannot be taken; nothing was written then.
pub async fn import(
    pool: &PgPool,
    now: DateTime<Utc>,
    by: &By,
    reader: impl Read,
) -> Result<Result<Imported, Vec<RowError>>, PeopleError> {
    let mut tx = pool.begin().await?;
    let sites: BTreeSet<String> = super::sites(&mut tx).await?.into_iter().map(|site| site.code).collect();
    let (lines, columns, mut errors) = read(reader, &sites);
    let known = known(&mut tx).await?;
    check_managers(&lines, &known, &mut errors);
    if !errors.is_empty() {
        errors.sort_by(|left, right| (left.line, &left.field).cmp(&(right.line, &right.field)));
        return Ok(Err(errors));
    }
    let imported = apply(&mut tx, now, by, (lines, &columns), known).await?;
    super::settle_states(&mut tx, now).await?;
    tx.commit().await?;
    Ok(Ok(imported))
}

/// Everybody with a number, as they are now.
async fn known(conn: &mut PgConnection) -> Result<BTreeMap<String, (PersonId, Option<String>)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select p.id as "id: PersonId", p.employee_number as "number!", m.employee_number as manager
             from person p
             left join lateral (select manager from employment e where e.person = p.id order by first_day desc limit 1) e on true
             left join person m on m.id = e.manager
            where p.employee_number is not null and p.state not in ('withdrawn', 'erased')"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.number, (row.id, row.manager))).collect())
}

/// Lines, the columns that the file has, and what is wrong.
fn read(mut reader: impl Read, sites: &BTreeSet<String>) -> (Vec<Line>, BTreeSet<String>, Vec<RowError>) {
    let fail = |line, field: &str, message: String| RowError { line, field: field.to_owned(), message };
    let mut bytes = Vec::new();
    if let Err(error) = reader.by_ref().take(64 << 20).read_to_end(&mut bytes) {
        return (Vec::new(), BTreeSet::new(), vec![fail(1, "file", format!("cannot be read: {error}"))]);
    }
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text.trim_start_matches('\u{FEFF}'),
        Err(error) => {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            return (
                Vec::new(),
                BTreeSet::new(),
                vec![fail(line, "file", "is not UTF-8; save it as “CSV UTF-8”".to_owned())],
            );
        }
    };
    let header = text.lines().next().unwrap_or_default();
    let delimiter = if header.matches(';').count() > header.matches(',').count() { b';' } else { b',' };
    let mut rows = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    let headers = match rows.headers() {
        Ok(headers) => headers.clone(),
        Err(error) => return (Vec::new(), BTreeSet::new(), vec![fail(1, "file", error.to_string())]),
    };
    let mut errors: Vec<RowError> = REQUIRED
        .iter()
        .filter(|name| !headers.iter().any(|header| header == **name))
        .map(|name| fail(1, name, format!("the column is missing; the header must have {}", REQUIRED.join(", "))))
        .collect();
    let strange = headers.iter().filter(|header| !REQUIRED.contains(header) && !OPTIONAL.contains(header));
    errors.extend(strange.map(|name| {
        fail(1, name, format!("is not a column of this import; optional ones are {}", OPTIONAL.join(", ")))
    }));
    if !errors.is_empty() {
        return (Vec::new(), BTreeSet::new(), errors);
    }
    let mut lines = Vec::new();
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows.records() {
        match row {
            Ok(row) => {
                let at = row.position().map_or(0, csv::Position::line);
                let cells: BTreeMap<&str, &str> = headers.iter().zip(row.iter()).collect();
                let mut cells = Cells { line: at, cells, errors: &mut errors };
                let Some(line) = cells.line(sites) else { continue };
                if let Some(first) = seen.insert(line.number.clone(), at) {
                    errors.push(fail(at, "employee_number", format!("{} stands on line {first} as well", line.number)));
                }
                lines.push(line);
            }
            Err(error) => {
                let at = error.position().map_or(0, csv::Position::line);
                errors.push(fail(at, "file", "this line has another number of cells than the header".to_owned()));
            }
        }
    }
    (lines, headers.iter().map(str::to_owned).collect(), errors)
}

struct Cells<'a> {
    line: u64,
    cells: BTreeMap<&'a str, &'a str>,
    errors: &'a mut Vec<RowError>,
}

impl Cells<'_> {
    fn fail(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(RowError { line: self.line, field: field.to_owned(), message: message.into() });
    }

    fn text(&mut self, field: &str, max: usize) -> Option<String> {
        let text = self.cells.get(field).copied().unwrap_or_default().trim().to_owned();
        let length = text.chars().count();
        if length > max {
            self.fail(field, format!("can be at most {max} characters; this has {length}"));
            return None;
        }
        // The same characters as in forms: control characters, direction overrides, zero-width ones.
        let hidden = |letter: char| {
            letter.is_control()
                || matches!(letter, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
        };
        if let Some(letter) = text.chars().find(|letter| hidden(*letter)) {
            self.fail(field, format!("contains an invisible character (U+{:04X})", letter as u32));
            return None;
        }
        (!text.is_empty()).then_some(text)
    }

    fn required(&mut self, field: &str, max: usize) -> Option<String> {
        let before = self.errors.len();
        let text = self.text(field, max);
        if text.is_none() && self.errors.len() == before {
            self.fail(field, "is empty");
        }
        text
    }

    fn day(&mut self, field: &str) -> Option<NaiveDate> {
        let text = self.text(field, 10)?;
        let day = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok();
        if day.is_none() {
            self.fail(field, format!("“{text}” is not a day such as 2026-11-30"));
        }
        day
    }

    fn line(&mut self, sites: &BTreeSet<String>) -> Option<Line> {
        let before = self.errors.len();
        let number = self.required("employee_number", 32);
        let given_name = self.required("given_name", 64);
        let family_name = self.required("family_name", 64);
        let kind = self.required("type", 20).and_then(|text| {
            let kind = EmploymentType::parse(&text);
            if kind.is_none() {
                self.fail("type", format!("“{text}” is neither employee, contractor nor intern"));
            }
            kind
        });
        let department = self.required("department", 100);
        let title = self.required("title", 100);
        let site = self.required("site", 100);
        if let Some(site) = site.as_ref().filter(|site| !sites.contains(*site)) {
            let known = sites.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            self.fail("site", format!("“{site}” is not a site here; known: {known}"));
        }
        let manager = self.text("manager_employee_number", 32);
        let first_day = self.day("first_day");
        if first_day.is_none() && self.cells.get("first_day").is_none_or(|text| text.is_empty()) {
            self.fail("first_day", "is empty");
        }
        let last_day = self.day("last_day");
        if first_day.zip(last_day).is_some_and(|(first, last)| last < first) {
            self.fail("last_day", "lies before the first day");
        }
        let mail = self.text("mail", 254);
        if mail
            .as_ref()
            .is_some_and(|mail| mail.split('@').filter(|part| !part.is_empty()).count() != 2 || mail.contains(' '))
        {
            self.fail("mail", "is not a mail address");
        }
        let phone = self.text("phone", 40);
        if self.errors.len() > before {
            return None;
        }
        let (given_name, family_name) = (given_name?, family_name?);
        Some(Line {
            line: self.line,
            number: number.clone()?,
            manager,
            phone,
            person: NewPerson {
                employee_number: number,
                display_name: format!("{given_name} {family_name}"),
                given_name,
                family_name,
                kind: kind?,
                site: site?,
                department: department?,
                title: title?,
                manager: None,
                first_day: first_day?,
                last_day,
                mail,
            },
        })
    }
}

/// Managers exist, and nobody is above themselves.
fn check_managers(lines: &[Line], known: &BTreeMap<String, (PersonId, Option<String>)>, errors: &mut Vec<RowError>) {
    let mut above: BTreeMap<&str, Option<&str>> =
        known.iter().map(|(number, (_, manager))| (number.as_str(), manager.as_deref())).collect();
    above.extend(lines.iter().map(|line| (line.number.as_str(), line.manager.as_deref())));
    for line in lines {
        let Some(manager) = &line.manager else { continue };
        let fail = |message| RowError { line: line.line, field: "manager_employee_number".to_owned(), message };
        if !above.contains_key(manager.as_str()) {
            errors.push(fail(format!("{manager} is neither in this file nor known")));
            continue;
        }
        let mut at = Some(manager.as_str());
        let mut steps = 0;
        while let Some(number) = at {
            steps += 1;
            if number == line.number || steps > above.len() {
                errors.push(fail(format!("{} would be above themselves, through {manager}", line.number)));
                break;
            }
            at = above.get(number).copied().flatten();
        }
    }
}

async fn apply(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (lines, columns): (Vec<Line>, &BTreeSet<String>),
    known: BTreeMap<String, (PersonId, Option<String>)>,
) -> Result<Imported, PeopleError> {
    let mut imported = Imported::default();
    let mut ids: BTreeMap<String, PersonId> = known.into_iter().map(|(number, (id, _))| (number, id)).collect();
    // Persons first, managers after: they may stand anywhere in the file.
    let mut made = BTreeSet::new();
    for line in &lines {
        if !ids.contains_key(&line.number) {
            let id = write::insert(conn, &line.person, ("expected", "import")).await?;
            ids.insert(line.number.clone(), id);
            made.insert(id);
        }
    }
    for line in lines {
        let id = ids[&line.number];
        let manager = line.manager.as_ref().and_then(|number| ids.get(number).copied());
        let mut person = NewPerson { manager, ..line.person };
        let before = as_written(conn, id).await?;
        if let Some(before) = before.as_ref().filter(|_| !made.contains(&id)) {
            keep(&mut person, before, columns);
        }
        let phone_before =
            sqlx::query_scalar!("select phone from person where id = $1", id.0).fetch_one(&mut *conn).await?;
        if before.as_ref() == Some(&person)
            && (phone_before == line.phone || !columns.contains("phone"))
            && !made.contains(&id)
        {
            imported.unchanged += 1;
            continue;
        }
        write::update(conn, id, &person).await?;
        if columns.contains("phone") {
            sqlx::query!("update person set phone = $2 where id = $1", id.0, line.phone).execute(&mut *conn).await?;
        }
        let is_new = made.contains(&id);
        append(conn, now, &write::imported(by, id, before.as_ref().filter(|_| !is_new), &person)).await?;
        if is_new {
            imported.created += 1;
        } else {
            imported.changed += 1;
        }
    }
    Ok(imported)
}

/// What the file does not speak of stays as it is, and so does a person's own order of names.
fn keep(person: &mut NewPerson, before: &NewPerson, columns: &BTreeSet<String>) {
    if !columns.contains("manager_employee_number") {
        person.manager = before.manager;
    }
    if !columns.contains("mail") {
        person.mail.clone_from(&before.mail);
    }
    person.last_day = person.last_day.or(before.last_day.filter(|day| *day >= person.first_day));
    if (&person.given_name, &person.family_name) == (&before.given_name, &before.family_name) {
        person.display_name.clone_from(&before.display_name);
    }
}

/// A person as an import would write them.
async fn as_written(conn: &mut PgConnection, id: PersonId) -> Result<Option<NewPerson>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select p.employee_number, p.given_name, p.family_name, p.display_name, p.mail, e.type as kind, s.code as site,
                  d.name as department, e.title, e.manager as "manager: PersonId", e.first_day, e.last_day
             from person p
             join lateral (select * from employment e where e.person = p.id order by e.first_day desc limit 1) e on true
             join site s on s.id = e.site join department d on d.id = e.department
            where p.id = $1"#,
        id.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.and_then(|row| {
        Some(NewPerson {
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
        })
    }))
}
