//! What a file would change, person by person, before anything is written; and a digest of exactly that.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::line::{self, Line};
use super::mapping::{FIELDS, Mapping};
use super::table::Table;
use super::{Known, RowError};
use crate::ids::PersonId;
use crate::people::{NewPerson, PeopleError, write};

/// One value that becomes another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// As people call it.
    pub words: &'static str,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// One person who is new or becomes different.
#[derive(Debug, Clone)]
pub struct Change {
    /// Where in the file.
    pub line: u64,
    pub number: String,
    /// Known already, as they are now.
    pub known: Option<Known>,
    /// The manager by id is filled in as it is written.
    pub person: NewPerson,
    pub phone: Option<String>,
    pub manager: Option<String>,
    pub differences: Vec<Difference>,
}

/// What a file would do.
#[derive(Debug, Clone, Default)]
pub struct Preview {
    /// Those who are new or become different, in the file's order.
    pub changes: Vec<Change>,
    /// In the file, and so already.
    pub unchanged: usize,
    /// Known and not in the file: left alone.
    pub left_alone: usize,
    /// With any of these nothing is applied.
    pub errors: Vec<RowError>,
    /// Of every change: who, what it was and what it becomes.
    pub digest: String,
}

impl Preview {
    /// How many are new.
    pub fn new_people(&self) -> usize {
        self.changes.iter().filter(|change| change.known.is_none()).count()
    }

    /// How many become different.
    pub fn changed_people(&self) -> usize {
        self.changes.len() - self.new_people()
    }
}

/// What that table would do to people as they are now.
///
/// # Errors
/// Where the database does not answer.
pub async fn preview(conn: &mut PgConnection, table: &Table, mapping: &Mapping) -> Result<Preview, PeopleError> {
    let sites: BTreeSet<String> = crate::people::sites(conn).await?.into_iter().map(|site| site.code).collect();
    let (lines, mut errors) = line::lines(table, mapping, &sites);
    let known = super::known(conn).await?;
    line::check_managers(&lines, &known, &mut errors);
    errors.sort_by(|left, right| (left.line, &left.field).cmp(&(right.line, &right.field)));
    let names = names(&lines, &known);
    let mut preview = Preview { errors, ..Preview::default() };
    let mut spoken_of = BTreeSet::new();
    let mut digest = Sha256::new();
    for line in lines {
        spoken_of.insert(line.number.clone());
        let now = known.get(&line.number);
        let change = change(line, now, mapping, &names);
        if change.known.is_some() && change.differences.is_empty() {
            preview.unchanged += 1;
            continue;
        }
        digest.update(format!("{:?}\n{:?}\n", change.number, change.known.as_ref().map(|known| known.id)));
        for difference in &change.differences {
            digest.update(format!("{difference:?}\n"));
        }
        preview.changes.push(change);
    }
    preview.left_alone = known.keys().filter(|number| !spoken_of.contains(*number)).count();
    preview.digest = hex::encode(digest.finalize());
    Ok(preview)
}

/// The same, while nobody else writes people. Their records' locks come before their rows', as everywhere.
pub(super) async fn held(conn: &mut PgConnection, table: &Table, mapping: &Mapping) -> Result<Preview, PeopleError> {
    let first = preview(conn, table, mapping).await?;
    let mut ids: Vec<PersonId> = first.changes.iter().filter_map(|change| Some(change.known.as_ref()?.id)).collect();
    ids.sort_unstable();
    for id in ids {
        crate::evidence::hold(conn, &format!("person:{id}")).await?;
    }
    write::hold_everybody(conn).await?;
    preview(conn, table, mapping).await
}

/// Names by number, for managers.
fn names(lines: &[Line], known: &BTreeMap<String, Known>) -> BTreeMap<String, String> {
    let mut names: BTreeMap<String, String> =
        known.iter().map(|(number, known)| (number.clone(), known.person.display_name.clone())).collect();
    for line in lines {
        names.entry(line.number.clone()).or_insert_with(|| line.person.display_name.clone());
    }
    names
}

fn change(line: Line, now: Option<&Known>, mapping: &Mapping, names: &BTreeMap<String, String>) -> Change {
    let Line { line, number, mut manager, mut phone, mut person } = line;
    if let Some(now) = now {
        keep(&mut person, now, mapping);
        if mapping.column("manager_employee_number").is_none() {
            manager.clone_from(&now.manager);
        } else if manager == now.manager {
            person.manager = now.person.manager;
        }
        if mapping.column("phone").is_none() {
            phone.clone_from(&now.phone);
        }
    }
    let told = |person: &NewPerson, manager: &Option<String>, phone: &Option<String>| {
        let by_number = manager.as_ref().map(|number| match names.get(number) {
            Some(name) => format!("{name} ({number})"),
            None => number.clone(),
        });
        // A manager without a number cannot stand in a file, and is told apart from none.
        let manager = by_number.or_else(|| person.manager.map(|_| "somebody without a number".to_owned()));
        values(person, manager, phone.clone())
    };
    let after = told(&person, &manager, &phone);
    let before = now.map(|now| told(&now.person, &now.manager, &now.phone)).unwrap_or_default();
    let differences = after
        .into_iter()
        .filter_map(|(words, after)| {
            let before = before.iter().find(|(other, _)| *other == words).and_then(|(_, value)| value.clone());
            (before != after).then_some(Difference { words, before, after })
        })
        .collect();
    Change { line, number, known: now.cloned(), person, phone, manager, differences }
}

/// What the file does not speak of stays as it is, and so does a person's own order of names.
fn keep(person: &mut NewPerson, now: &Known, mapping: &Mapping) {
    let before = &now.person;
    if mapping.column("manager_employee_number").is_none() {
        person.manager = before.manager;
    }
    if mapping.column("mail").is_none() {
        person.mail.clone_from(&before.mail);
    }
    person.last_day = person.last_day.or(before.last_day.filter(|day| *day >= person.first_day));
    if (&person.given_name, &person.family_name) == (&before.given_name, &before.family_name) {
        person.display_name.clone_from(&before.display_name);
    }
}

/// A person's values in the fields' words, as they are compared and shown.
fn values(person: &NewPerson, manager: Option<String>, phone: Option<String>) -> Vec<(&'static str, Option<String>)> {
    let value = |name: &str| match name {
        "employee_number" => person.employee_number.clone(),
        "given_name" => Some(person.given_name.clone()),
        "family_name" => Some(person.family_name.clone()),
        "type" => Some(person.kind.as_str().to_owned()),
        "department" => Some(person.department.clone()),
        "title" => Some(person.title.clone()),
        "site" => Some(person.site.clone()),
        "manager_employee_number" => manager.clone(),
        "first_day" => Some(person.first_day.to_string()),
        "last_day" => person.last_day.map(|day| day.to_string()),
        "mail" => person.mail.clone(),
        "phone" => phone.clone(),
        _ => None,
    };
    let words = |name: &'static str, words| if name == "manager_employee_number" { "Manager" } else { words };
    let mut values: Vec<_> = FIELDS.iter().map(|field| (words(field.name, field.words), value(field.name))).collect();
    values.push(("Shown as", Some(person.display_name.clone())));
    values
}

/// Writes the changes, each with its record.
pub(super) async fn apply(
    conn: &mut PgConnection,
    now: chrono::DateTime<chrono::Utc>,
    by: &crate::evidence::By,
    preview: Preview,
) -> Result<super::Imported, PeopleError> {
    let mut imported = super::Imported { unchanged: preview.unchanged, ..super::Imported::default() };
    let mut ids: BTreeMap<String, PersonId> =
        super::known(conn).await?.into_iter().map(|(number, known)| (number, known.id)).collect();
    // Persons first, managers after: they may stand anywhere in the file.
    for change in preview.changes.iter().filter(|change| change.known.is_none()) {
        let id = write::insert(conn, &change.person, ("expected", "import")).await?;
        ids.insert(change.number.clone(), id);
    }
    for change in preview.changes {
        let id = ids[&change.number];
        let manager = change.manager.as_ref().and_then(|number| ids.get(number).copied());
        let person = NewPerson { manager: manager.or(change.person.manager), ..change.person };
        write::update(conn, id, &person).await?;
        write::set_phone(conn, id, change.phone.as_deref()).await?;
        let before = change.known.as_ref().map(|known| (&known.person, known.phone.as_deref()));
        let record = write::imported(by, id, before, (&person, change.phone.as_deref()));
        crate::evidence::append(conn, now, &record).await?;
        if before.is_none() {
            imported.created += 1;
        } else {
            imported.changed += 1;
        }
    }
    Ok(imported)
}
