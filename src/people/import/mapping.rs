//! Which column of a file is which of our fields: by the exact words, guessed, or as somebody chose.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::RowError;

/// One of our fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The header that the command reads.
    pub name: &'static str,
    /// As people call it.
    pub words: &'static str,
    pub required: bool,
    /// Other headers that mean it, in letters and digits.
    also: &'static [&'static str],
}

const fn field(name: &'static str, words: &'static str, required: bool, also: &'static [&'static str]) -> Field {
    Field { name, words, required, also }
}

/// What a file can tell about a person, in the command's order.
pub const FIELDS: [Field; 12] = [
    field(
        "employee_number",
        "Employee number",
        true,
        &["number", "personnelnumber", "employeeid", "staffnumber", "personalnummer", "id"],
    ),
    field("given_name", "Given name", true, &["firstname", "givenname", "forename", "vorname"]),
    field("family_name", "Family name", true, &["lastname", "surname", "familyname", "nachname", "name"]),
    field("type", "Contract", true, &["contract", "contracttype", "employmenttype", "kind", "vertragsart"]),
    field("department", "Department", true, &["team", "unit", "orgunit", "abteilung"]),
    field("title", "Title", true, &["jobtitle", "position", "job", "role", "funktion"]),
    field("site", "Site", true, &["location", "office", "place", "city", "standort"]),
    field(
        "manager_employee_number",
        "Manager’s employee number",
        false,
        &["manager", "managernumber", "managerid", "reportsto", "supervisor", "vorgesetzter"],
    ),
    field("first_day", "First day", true, &["startdate", "start", "entrydate", "hiredate", "joined", "eintritt"]),
    field("last_day", "Last day", false, &["enddate", "end", "exitdate", "leavingdate", "left", "austritt"]),
    field("mail", "Mail", false, &["email", "mailaddress", "emailaddress"]),
    field("phone", "Phone", false, &["telephone", "phonenumber", "telefon", "telefonnummer"]),
];

/// The command takes this column and reads nothing from it: user names come from the directory.
const UNREAD: &str = "user_name";

/// Our field of that name.
pub fn field_of(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

/// Our field → which column, from 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mapping(pub BTreeMap<String, usize>);

/// Letters and digits alone, lower case.
fn plain(header: &str) -> String {
    crate::people::fold(header).chars().filter(char::is_ascii_alphanumeric).collect()
}

impl Mapping {
    /// The column of that field.
    pub fn column(&self, field: &str) -> Option<usize> {
        self.0.get(field).copied()
    }

    /// Headers that are our words exactly: what the command reads.
    pub(super) fn exact(headers: &[String]) -> Result<Self, Vec<RowError>> {
        let all = |required: bool| {
            let of = FIELDS.iter().filter(|field| field.required == required).map(|field| field.name);
            of.collect::<Vec<_>>().join(", ")
        };
        let mut mapping = Self::default();
        let mut errors = Vec::new();
        for (at, header) in headers.iter().enumerate() {
            match field_of(header) {
                Some(field) => drop(mapping.0.entry(field.name.to_owned()).or_insert(at)),
                None if header == UNREAD => {}
                None => errors.push(RowError::new(
                    1,
                    header,
                    format!("is not a column of this import; optional ones are {}, {UNREAD}", all(false)),
                )),
            }
        }
        let missing = FIELDS.iter().filter(|field| field.required && mapping.column(field.name).is_none());
        errors.extend(missing.map(|field| {
            RowError::new(1, field.name, format!("the column is missing; the header must have {}", all(true)))
        }));
        if errors.is_empty() { Ok(mapping) } else { Err(errors) }
    }

    /// What the headers probably mean: as chosen the last time, else by their words. Each field and each column once.
    pub fn guess(headers: &[String], remembered: &BTreeMap<String, String>) -> Self {
        let mut mapping = Self::default();
        let headers: Vec<String> = headers.iter().map(|header| plain(header)).collect();
        let mut take = |meant: &dyn Fn(&str) -> Option<&'static str>| {
            for (at, header) in headers.iter().enumerate() {
                let Some(field) = meant(header) else { continue };
                if mapping.column(field).is_none() && !mapping.0.values().any(|column| *column == at) {
                    mapping.0.insert(field.to_owned(), at);
                }
            }
        };
        take(&|header| field_of(remembered.get(header)?).map(|field| field.name));
        let fresh = |header: &str| (!remembered.contains_key(header)).then(|| header.to_owned());
        take(&|header| {
            let header = fresh(header)?;
            FIELDS.iter().find(|field| plain(field.name) == header || plain(field.words) == header).map(|f| f.name)
        });
        take(&|header| {
            let header = fresh(header)?;
            FIELDS.iter().find(|field| field.also.contains(&header.as_str())).map(|field| field.name)
        });
        mapping
    }

    /// Required fields that no column is chosen for.
    pub fn missing(&self) -> impl Iterator<Item = &'static Field> {
        FIELDS.iter().filter(|field| field.required && self.column(field.name).is_none())
    }
}

/// What headers meant the last time.
///
/// # Errors
/// Where the database does not answer.
pub async fn remembered(conn: &mut PgConnection) -> Result<BTreeMap<String, String>, sqlx::Error> {
    let rows = sqlx::query!("select header, field from import_column").fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.header, row.field)).collect())
}

/// Keeps what every header means, for the next file.
pub(super) async fn remember(
    conn: &mut PgConnection,
    headers: &[String],
    mapping: &Mapping,
) -> Result<(), sqlx::Error> {
    for (at, header) in headers.iter().enumerate() {
        let field = mapping.0.iter().find(|(_, column)| **column == at).map_or("", |(field, _)| field);
        let header = plain(header);
        if header.is_empty() || header.len() > 100 {
            continue;
        }
        sqlx::query!(
            "insert into import_column (header, field) values ($1, $2)
             on conflict (header) do update set field = excluded.field, chosen_at = now()",
            header,
            field
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn headers_are_guessed_and_choices_are_kept() {
        let file = headers(&["Personalnummer", "Vorname", "Nachname", "E-Mail", "Start date", "Colour"]);
        let guessed = Mapping::guess(&file, &BTreeMap::new());
        let expected = [("employee_number", 0), ("given_name", 1), ("family_name", 2), ("mail", 3), ("first_day", 4)];
        assert_eq!(guessed.0, expected.map(|(field, at)| (field.to_owned(), at)).into());
        let chosen = [("colour", "department"), ("email", "")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        let again = Mapping::guess(&file, &chosen);
        assert_eq!((again.column("department"), again.column("mail")), (Some(5), None));
    }

    #[test]
    fn a_column_is_one_field_and_a_field_one_column() {
        let guessed = Mapping::guess(&headers(&["Name", "family_name", "id", "number"]), &BTreeMap::new());
        assert_eq!(guessed.column("family_name"), Some(1), "our own word before another");
        assert_eq!(guessed.0.len(), 2);
    }
}
