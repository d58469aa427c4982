//! What an administrator does to a log by hand: a new key, and a new log where the old one cannot go on.

use std::path::Path;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::log::{self, Log, LogError};
use super::note::VerifierKey;
use super::record::{By, Facts, Record, append};
use super::signer::Keeper;
use super::tiles::write_whole;
use super::{action, checkpoint::Checkpoint};

/// Takes a new key into use. The old one signs a statement of it, which is published beside the log's keys and recorded.
///
/// # Errors
/// Where the signer's folder, the published log or the database cannot be written.
pub async fn rotate_key(
    pool: &PgPool,
    now: DateTime<Utc>,
    published: &Path,
    keeper: &Keeper,
) -> Result<VerifierKey, LogError> {
    let mut tx = pool.begin().await?;
    let current = log::current(&mut tx)
        .await?
        .ok_or_else(|| LogError::Refused("there is no log yet; the worker starts it".to_owned()))?;
    let old = keeper.key()?.verifier().clone();
    if old.name != current.origin {
        return Err(LogError::Refused(format!("the key is of {}, the log is {}", old.name, current.origin)));
    }
    let (new, statement) = keeper.next()?;
    let folder = log::folder(published, current.id);
    let path = folder.0.join("keys").join(format!("rotation-{}", hex::encode(new.id())));
    // The statement first: a list that names a key which nobody introduced does not verify.
    log::add_key(&folder, &old.to_string())?;
    write_whole(&path, statement.to_string().as_bytes()).map_err(|source| LogError::Io { path, source })?;
    log::add_key(&folder, &new.to_string())?;
    let detail = Facts::default().plain("old_key", old.to_string()).plain("new_key", new.to_string());
    let by = By { via: "command".to_owned(), ..By::default() };
    let record = Record { detail, ..Record::new(action::LOG_KEY_ROTATED, format!("log:{}", current.origin), by) };
    append(&mut tx, now, &record).await?;
    tx.commit().await?;
    // Last of all: what is broken off before is done again, with the same key.
    keeper.turn_to_next()?;
    Ok(new)
}

/// A log that was begun, and its key.
#[derive(Debug)]
pub struct Started {
    pub log: Log,
    pub key: VerifierKey,
}

/// Begins a new log: its first leaf holds the last signed checkpoint of the old one, and the reason. Every record that the
/// database has comes into it anew.
///
/// # Errors
/// Where the old head cannot be read, or something cannot be written.
pub async fn new_origin(
    pool: &PgPool,
    now: DateTime<Utc>,
    published: &Path,
    keeper: &Keeper,
    reason: &str,
) -> Result<Started, LogError> {
    let mut conn = pool.acquire().await?;
    let current = log::current(&mut conn).await?;
    let (head, note) = keeper.head()?;
    let (base, signed) = numbered(&head)?;
    let known = current.as_ref().map_or(0, |log| log.id);
    // Begun before and broken off: the signer has its new key already, the database does not know it.
    let resumed = head.size == 0 && signed > known.max(1) && keeper.aside(signed - 1).is_some();
    let (id, previous) = match keeper.aside(signed - 1).filter(|_| resumed) {
        Some(previous) => (signed, previous),
        None => (signed.max(known) + 1, note),
    };
    let origin = format!("{base}/{id}");
    if log::folder(published, id).0.exists() {
        return Err(LogError::Refused(format!(
            "{} exists already: a log of that number was published before",
            log::folder(published, id).0.display()
        )));
    }
    if !resumed {
        keeper.retire(signed, &origin)?;
    }
    let key = keeper.key()?.verifier().clone();
    let log = log::start(&mut conn, now, (id, &origin), Some((&previous, reason))).await?;
    Ok(Started { log, key })
}

/// An origin's base and number.
fn numbered(head: &Checkpoint) -> Result<(&str, i32), LogError> {
    head.origin
        .rsplit_once('/')
        .and_then(|(base, number)| Some((base, number.parse().ok()?)))
        .ok_or_else(|| LogError::Refused(format!("the signer's origin {} does not end with a number", head.origin)))
}
