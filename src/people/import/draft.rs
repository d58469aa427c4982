//! A file in the browser: kept with the choice of its columns until it is applied, thrown away, or a week old.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::mapping::{self, Mapping, field_of};
use super::table::{self, Table};
use super::{Imported, RowError, difference};
use crate::access::{Permit, op};
use crate::ids::PersonId;
use crate::people::{PeopleError, write};

/// A file as its owner left it.
#[derive(Debug, Clone)]
pub struct Draft {
    pub id: Uuid,
    pub name: String,
    pub content: String,
    pub mapping: Mapping,
    pub updated_at: DateTime<Utc>,
}

/// A file in the list of those begun.
#[derive(Debug, Clone)]
pub struct Begun {
    pub id: Uuid,
    pub name: String,
    pub updated_at: DateTime<Utc>,
}

/// Keeps a file; its columns are guessed.
///
/// # Errors
/// Inner: what is wrong with the whole file. Outer: the database.
pub async fn begin(
    conn: &mut PgConnection,
    permit: &Permit<op::ImportPeople>,
    person: PersonId,
    (name, bytes): (&str, &[u8]),
) -> Result<Result<Uuid, RowError>, PeopleError> {
    let read = table::text(bytes).and_then(|text| Ok((text, table::table(text)?)));
    let (text, table) = match read {
        Ok(read) => read,
        Err(error) => return Ok(Err(error)),
    };
    let _ = permit;
    let mapping = Mapping::guess(&table.headers, &mapping::remembered(conn).await?);
    let id = Uuid::now_v7();
    sqlx::query!(
        "insert into import_draft (id, person, name, content, mapping) values ($1, $2, $3, $4, $5)",
        id,
        person.0,
        name,
        text,
        Json(&mapping) as _
    )
    .execute(conn)
    .await?;
    Ok(Ok(id))
}

/// A person's own file.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(conn: &mut PgConnection, person: PersonId, id: Uuid) -> Result<Option<Draft>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"select id, name, content, mapping as "mapping: Json<Mapping>", updated_at from import_draft
            where id = $1 and person = $2"#,
        id,
        person.0
    )
    .fetch_optional(conn)
    .await
    .map(|row| row.map(Draft::from))
}

struct Row {
    id: Uuid,
    name: String,
    content: String,
    mapping: Json<Mapping>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for Draft {
    fn from(row: Row) -> Self {
        let Row { id, name, content, mapping: Json(mapping), updated_at } = row;
        Self { id, name, content, mapping, updated_at }
    }
}

impl Draft {
    /// Its cells.
    ///
    /// # Errors
    /// Never for what [`begin`] took.
    pub fn table(&self) -> Result<Table, RowError> {
        table::table(&self.content)
    }
}

/// A person's files, the last first.
///
/// # Errors
/// Where the database does not answer.
pub async fn begun(conn: &mut PgConnection, person: PersonId) -> Result<Vec<Begun>, sqlx::Error> {
    sqlx::query_as!(
        Begun,
        "select id, name, updated_at from import_draft where person = $1 order by updated_at desc limit 20",
        person.0
    )
    .fetch_all(conn)
    .await
}

/// Chooses which column is which field; a column is one field at most. The choice is remembered for the next file.
///
/// # Errors
/// Outer: the database. Inner: the fields that name a column twice.
pub async fn choose(
    conn: &mut PgConnection,
    permit: &Permit<op::ImportPeople>,
    draft: &Draft,
    chosen: &[(String, usize)],
) -> Result<Result<(), Vec<RowError>>, PeopleError> {
    let _ = permit;
    let Ok(table) = draft.table() else { return Ok(Ok(())) };
    let mut mapping = Mapping::default();
    let mut errors = Vec::new();
    for (field, at) in chosen {
        let (Some(field), true) = (field_of(field), *at < table.headers.len()) else { continue };
        if let Some((other, _)) = mapping.0.iter().find(|(_, column)| *column == at) {
            let other = field_of(other).map_or("", |field| field.words);
            let header = &table.headers[*at];
            errors.push(RowError::new(1, field.name, format!("“{header}” is {other} already; choose another column")));
            continue;
        }
        mapping.0.insert(field.name.to_owned(), *at);
    }
    if !errors.is_empty() {
        return Ok(Err(errors));
    }
    sqlx::query!(
        "update import_draft set mapping = $2, updated_at = now() where id = $1",
        draft.id,
        Json(&mapping) as _
    )
    .execute(&mut *conn)
    .await?;
    mapping::remember(conn, &table.headers, &mapping).await?;
    Ok(Ok(()))
}

/// Throws a file away.
///
/// # Errors
/// Where the database refuses.
pub async fn discard(conn: &mut PgConnection, person: PersonId, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from import_draft where id = $1 and person = $2", id, person.0).execute(conn).await?;
    Ok(())
}

/// Throws away what nobody came back to.
///
/// # Errors
/// Where the database refuses.
pub async fn forget_old(conn: &mut PgConnection) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query!("delete from import_draft where updated_at < now() - interval '7 days'")
        .execute(conn)
        .await?
        .rows_affected())
}

/// Why a file was not applied.
#[derive(Debug)]
pub enum NotApplied {
    /// People or the file are not what was looked at; nothing was written.
    Moved,
    /// Cells that cannot be taken.
    Errors,
}

/// Applies what was looked at, exactly, in the caller's transaction; the file is gone then.
///
/// # Errors
/// Outer: the database. Inner: nothing was written; look again.
pub async fn apply(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::ImportPeople>,
    (draft, digest): (&Draft, &str),
) -> Result<Result<Imported, NotApplied>, PeopleError> {
    let Ok(table) = draft.table() else { return Ok(Err(NotApplied::Errors)) };
    let found = difference::held(conn, &table, &draft.mapping).await?;
    if draft.mapping.missing().next().is_some() || !found.errors.is_empty() {
        return Ok(Err(NotApplied::Errors));
    }
    if found.digest != digest {
        return Ok(Err(NotApplied::Moved));
    }
    let imported = difference::apply(conn, now, &permit.by(), found).await?;
    write::settle_states(conn, now).await?;
    sqlx::query!("delete from import_draft where id = $1", draft.id).execute(conn).await?;
    Ok(Ok(imported))
}
