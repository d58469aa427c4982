//! Rules as versions: read the latest, release another.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Birthright, Naming, Retention, Routes, Separation, ServiceLevels, Wording};
use crate::evidence::{By, EvidenceError, Facts, Record, action, append};
use crate::ids::PersonId;
use crate::target::Value;

/// Why rules could not be read or released.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error("No {0} rules have been released yet: an administrator releases a first version.")]
    Missing(&'static str),
    #[error("Version {version} of the {kind} rules cannot be read: {source}")]
    Unreadable { kind: &'static str, version: i32, source: serde_json::Error },
    #[error("These {kind} rules cannot be used: {}", sentences(wrong))]
    Invalid { kind: &'static str, wrong: Vec<Invalid> },
    /// The state does not allow it; plain words.
    #[error("{0}")]
    Conflict(&'static str),
    #[error(transparent)]
    Denied(#[from] crate::access::Denied),
    #[error(transparent)]
    People(#[from] crate::people::PeopleError),
}

/// What is wrong with a body, and in which field of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// The path in the body: `user_name`, `routes.3.stages`; empty for the whole.
    pub field: String,
    pub message: String,
}

fn sentences(wrong: &[Invalid]) -> String {
    wrong.iter().map(|wrong| wrong.message.as_str()).collect::<Vec<_>>().join(". ")
}

/// That field, with what is wrong and how to mend it.
pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Invalid {
    Invalid { field: field.into(), message: message.into() }
}

/// A kind of rules: its name in tables and records, and what makes a body usable.
pub trait Setting: Serialize + DeserializeOwned {
    const KIND: &'static str;

    /// Everything in it that cannot be used; nothing where it can.
    fn wrong(&self) -> Vec<Invalid>;
}

/// # Errors
/// [`CatalogError::Invalid`] where anything is wrong.
pub(super) fn usable(kind: &'static str, wrong: Vec<Invalid>) -> Result<(), CatalogError> {
    if wrong.is_empty() { Ok(()) } else { Err(CatalogError::Invalid { kind, wrong }) }
}

/// One released version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Versioned<T> {
    pub version: i32,
    /// SHA-256 of the body's canonical JSON, hex.
    pub digest: String,
    pub released_at: DateTime<Utc>,
    pub released_by: Option<String>,
    pub note: String,
    pub body: T,
}

/// The rules in force.
#[derive(Debug, Clone)]
pub struct Rules {
    pub routes: Versioned<Routes>,
    pub naming: Versioned<Naming>,
    pub birthright: Versioned<Birthright>,
    pub service_levels: Versioned<ServiceLevels>,
    pub separation: Versioned<Separation>,
}

/// The latest version of every kind.
///
/// # Errors
/// [`CatalogError::Missing`] where one was never released.
pub async fn rules(conn: &mut PgConnection) -> Result<Rules, CatalogError> {
    let kinds = [Routes::KIND, Naming::KIND, Birthright::KIND, Separation::KIND, ServiceLevels::KIND];
    let rows = sqlx::query_as!(
        Row,
        r#"select distinct on (s.kind) s.kind, s.version, s.digest, s.body, s.note, s.released_at, p.display_name as "released_by?"
             from setting_version s left join person p on p.id = s.released_by
            where s.kind = any ($1) order by s.kind, s.version desc"#,
        &kinds as &[&str]
    )
    .fetch_all(conn)
    .await?;
    Ok(Rules {
        routes: of(&rows)?,
        naming: of(&rows)?,
        birthright: of(&rows)?,
        service_levels: of(&rows)?,
        // A site without such rules has version 0 of them.
        separation: match of(&rows) {
            Err(CatalogError::Missing(_)) => Versioned::default(),
            other => other?,
        },
    })
}

/// A version as stored.
struct Row {
    kind: String,
    version: i32,
    digest: String,
    body: serde_json::Value,
    note: String,
    released_at: DateTime<Utc>,
    released_by: Option<String>,
}

impl Row {
    fn versioned<T: Setting>(&self) -> Result<Versioned<T>, CatalogError> {
        let body = T::deserialize(&self.body).map_err(|source| CatalogError::Unreadable {
            kind: T::KIND,
            version: self.version,
            source,
        })?;
        Ok(Versioned {
            version: self.version,
            digest: self.digest.clone(),
            released_at: self.released_at,
            released_by: self.released_by.clone(),
            note: self.note.clone(),
            body,
        })
    }
}

/// The version of that kind among these.
fn of<T: Setting>(rows: &[Row]) -> Result<Versioned<T>, CatalogError> {
    rows.iter().find(|row| row.kind == T::KIND).ok_or(CatalogError::Missing(T::KIND))?.versioned()
}

/// The service levels in force; None where none were ever released.
///
/// # Errors
/// Where the database does not answer or the body is not of its kind.
pub async fn service_levels(conn: &mut PgConnection) -> Result<Option<Versioned<ServiceLevels>>, CatalogError> {
    Ok(history::<ServiceLevels>(conn, 1).await?.pop())
}

/// How long the values of people who left are kept: the latest version, seven years where none was ever released.
///
/// # Errors
/// Where the database does not answer or the body is not of its kind.
pub async fn retention(conn: &mut PgConnection) -> Result<Retention, CatalogError> {
    Ok(history::<Retention>(conn, 1).await?.pop().map(|version| version.body).unwrap_or_default())
}

/// What one person must not hold together: the latest version, nothing where none was ever released.
///
/// # Errors
/// Where the database does not answer or the body is not of its kind.
pub async fn separation(conn: &mut PgConnection) -> Result<Separation, CatalogError> {
    Ok(history::<Separation>(conn, 1).await?.pop().map(|version| version.body).unwrap_or_default())
}

/// The wording of mails: the latest version, as it comes with Tenure where none was ever released.
///
/// # Errors
/// Where the database does not answer or the body is not of its kind.
pub async fn wording(conn: &mut PgConnection) -> Result<Wording, CatalogError> {
    Ok(history::<Wording>(conn, 1).await?.pop().map(|version| version.body).unwrap_or_default())
}

/// Versions of one kind, newest first.
///
/// # Errors
/// Where the database does not answer or a body is not of its kind.
pub async fn history<T: Setting>(conn: &mut PgConnection, limit: i64) -> Result<Vec<Versioned<T>>, CatalogError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select s.kind, s.version, s.digest, s.body, s.note, s.released_at, p.display_name as "released_by?"
             from setting_version s left join person p on p.id = s.released_by
            where s.kind = $1 order by s.version desc limit $2"#,
        T::KIND,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.iter().map(Row::versioned).collect()
}

/// Releases a version; the same body as the latest is not released again. Returns the version in force.
///
/// # Errors
/// [`CatalogError::Invalid`] where the rules cannot be used.
pub async fn release<T: Setting>(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    body: &T,
    note: &str,
) -> Result<i32, CatalogError> {
    usable(T::KIND, body.wrong())?;
    let json = serde_json::to_value(body).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let released = Released {
        kind: T::KIND,
        body: &json,
        note,
        proposed_by: None,
        released_by: by.person.map(PersonId),
        alone: false,
        proposal: None,
    };
    insert(conn, now, by, &released).await
}

/// A version about to come into force.
pub(super) struct Released<'a> {
    pub kind: &'a str,
    pub body: &'a Json,
    pub note: &'a str,
    pub proposed_by: Option<PersonId>,
    pub released_by: Option<PersonId>,
    /// The proposer released it.
    pub alone: bool,
    pub proposal: Option<Uuid>,
}

/// SHA-256 of the body's canonical JSON, hex.
pub(super) fn digest(body: &Json) -> Result<String, sqlx::Error> {
    let canonical = serde_json_canonicalizer::to_vec(body).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    Ok(hex::encode(Sha256::digest(&canonical)))
}

/// The version in force of a kind, 0 for none, and its digest. Holds the kind until the transaction ends.
pub(super) async fn newest(conn: &mut PgConnection, kind: &str) -> Result<(i32, String), CatalogError> {
    crate::evidence::hold(conn, &format!("setting:{kind}")).await?;
    let known =
        sqlx::query!("select version, digest from setting_version where kind = $1 order by version desc limit 1", kind)
            .fetch_optional(conn)
            .await?;
    Ok(known.map_or((0, String::new()), |row| (row.version, row.digest)))
}

/// Writes the next version, unless the one in force says the same. Returns the version in force.
pub(super) async fn insert(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    new: &Released<'_>,
) -> Result<i32, CatalogError> {
    let digest = digest(new.body)?;
    let (known, same) = newest(conn, new.kind).await?;
    if same == digest {
        return Ok(known);
    }
    let version = known + 1;
    let mut detail = Facts::default()
        .plain("version", Value::Number(version.into()))
        .plain("digest", digest.clone())
        .personal("note", new.note);
    if let (Some(proposer), Some(proposal)) = (new.proposed_by, new.proposal) {
        detail = detail
            .plain("proposal", proposal.to_string())
            .plain("proposed_by", proposer.to_string())
            .plain("alone", new.alone);
    }
    let record =
        Record { detail, ..Record::new(action::SETTING_RELEASED, format!("setting:{}", new.kind), by.clone()) };
    append(conn, now, &record).await?;
    sqlx::query!(
        "insert into setting_version (kind, version, digest, body, note, proposed_by, released_by, released_at, alone, proposal)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        new.kind,
        version,
        digest,
        new.body,
        new.note,
        new.proposed_by.map(|person| person.0),
        new.released_by.map(|person| person.0),
        now,
        new.alone,
        new.proposal
    )
    .execute(conn)
    .await?;
    Ok(version)
}
