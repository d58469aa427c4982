//! Rules as versions: read the latest, release another.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::{Birthright, Naming, Retention, Routes, ServiceLevels};
use crate::evidence::{By, EvidenceError, Facts, Record, action, append};
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
    #[error("These {kind} rules cannot be used: {message}")]
    Invalid { kind: &'static str, message: String },
}

/// A kind of rules: its name in tables and records, and what makes a body usable.
pub trait Setting: Serialize + DeserializeOwned {
    const KIND: &'static str;

    /// What is wrong with it, in plain words.
    ///
    /// # Errors
    /// The first thing that cannot be used.
    fn check(&self) -> Result<(), String>;
}

/// One released version.
#[derive(Debug, Clone, PartialEq)]
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
}

/// The latest version of every kind.
///
/// # Errors
/// [`CatalogError::Missing`] where one was never released.
pub async fn rules(conn: &mut PgConnection) -> Result<Rules, CatalogError> {
    Ok(Rules {
        routes: latest(conn).await?,
        naming: latest(conn).await?,
        birthright: latest(conn).await?,
        service_levels: latest(conn).await?,
    })
}

/// How long the values of people who left are kept: the latest version, seven years where none was ever released.
///
/// # Errors
/// Where the database does not answer or the body is not of its kind.
pub async fn retention(conn: &mut PgConnection) -> Result<Retention, CatalogError> {
    Ok(history::<Retention>(conn, 1).await?.pop().map(|version| version.body).unwrap_or_default())
}

async fn latest<T: Setting>(conn: &mut PgConnection) -> Result<Versioned<T>, CatalogError> {
    history::<T>(conn, 1).await?.pop().ok_or(CatalogError::Missing(T::KIND))
}

/// Versions of one kind, newest first.
///
/// # Errors
/// Where the database does not answer or a body is not of its kind.
pub async fn history<T: Setting>(conn: &mut PgConnection, limit: i64) -> Result<Vec<Versioned<T>>, CatalogError> {
    let rows = sqlx::query!(
        r#"select s.version, s.digest, s.body, s.note, s.released_at, p.display_name as "released_by?"
             from setting_version s left join person p on p.id = s.released_by
            where s.kind = $1 order by s.version desc limit $2"#,
        T::KIND,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let body = serde_json::from_value(row.body).map_err(|source| CatalogError::Unreadable {
                kind: T::KIND,
                version: row.version,
                source,
            })?;
            Ok(Versioned {
                version: row.version,
                digest: row.digest,
                released_at: row.released_at,
                released_by: row.released_by,
                note: row.note,
                body,
            })
        })
        .collect()
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
    body.check().map_err(|message| CatalogError::Invalid { kind: T::KIND, message })?;
    let json = serde_json::to_value(body).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let canonical = serde_json_canonicalizer::to_vec(&json).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let digest = hex::encode(Sha256::digest(&canonical));
    crate::evidence::hold(conn, &format!("setting:{}", T::KIND)).await?;
    let before = history::<T>(conn, 1).await?.pop();
    if let Some(before) = before.as_ref().filter(|before| before.digest == digest) {
        return Ok(before.version);
    }
    let version = before.map_or(1, |before| before.version + 1);
    let record = Record {
        detail: Facts::default()
            .plain("version", Value::Number(version.into()))
            .plain("digest", digest.clone())
            .personal("note", note),
        ..Record::new(action::SETTING_RELEASED, format!("setting:{}", T::KIND), by.clone())
    };
    append(conn, now, &record).await?;
    sqlx::query!(
        "insert into setting_version (kind, version, digest, body, note, proposed_by, released_by, released_at)
         values ($1, $2, $3, $4, $5, $6, $6, $7)",
        T::KIND,
        version,
        digest,
        json,
        note,
        by.person,
        now
    )
    .execute(conn)
    .await?;
    Ok(version)
}
