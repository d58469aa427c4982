//! How the log stands, and what it says of one record: for pages, `doctor` and bundles. Read from the database and the
//! published folder; the proof itself is the files'.

use std::path::Path;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::log::{self, LogError};
use super::note::Note;
use super::proof::Proof;
use super::tiles::{Folder, Stored, TileError};
use super::{checkpoint::Checkpoint, tree};

/// A log as its row says.
#[derive(Debug, Clone)]
pub struct LogState {
    pub id: i32,
    pub origin: String,
    pub started_at: DateTime<Utc>,
    /// Why it was begun, where it follows another one.
    pub reason: Option<String>,
    /// Leaves of the newest signed checkpoint.
    pub size: u64,
    /// The signed note, as published.
    pub checkpoint: Option<String>,
    pub signed_at: Option<DateTime<Utc>>,
    /// Why it does not go on, and since when.
    pub trouble: Option<String>,
    pub trouble_since: Option<DateTime<Utc>>,
}

/// All logs, newest first; empty before the first turn of the worker.
///
/// # Errors
/// Where the database does not answer.
pub async fn logs(conn: &mut PgConnection) -> Result<Vec<LogState>, sqlx::Error> {
    let rows = sqlx::query!(
        "select id, origin, started_at, reason, size, checkpoint, signed_at, trouble, trouble_since
           from evidence_log order by id desc"
    )
    .fetch_all(conn)
    .await?;
    let state = rows.into_iter().map(|row| LogState {
        id: row.id,
        origin: row.origin,
        started_at: row.started_at,
        reason: row.reason,
        size: row.size.cast_unsigned(),
        checkpoint: row.checkpoint,
        signed_at: row.signed_at,
        trouble: row.trouble,
        trouble_since: row.trouble_since,
    });
    Ok(state.collect())
}

/// Records of the last hour that have no place in the newest log, and the oldest one's time (by the database's clock).
#[derive(Debug, Clone)]
pub struct Waiting {
    pub records: i64,
    pub oldest: Option<DateTime<Utc>>,
}

/// What waits to come into the log.
///
/// # Errors
/// Where the database does not answer.
pub async fn waiting(conn: &mut PgConnection) -> Result<Waiting, sqlx::Error> {
    sqlx::query_as!(
        Waiting,
        r#"select count(*) as "records!", min(r.at) as oldest from evidence_record r
            where r.at > now() - interval '1 hour'
              and (select l.leaf_index from evidence_leaf l
                    where l.record_id = r.id and l.log = (select max(id) from evidence_log)) is null"#
    )
    .fetch_one(conn)
    .await
}

/// What somebody outside said about the log's state.
#[derive(Debug, Clone)]
pub struct Anchor {
    pub log: i32,
    /// Leaves of the checkpoint that it is about.
    pub size: u64,
    /// `timestamp` or `cosignature`.
    pub kind: String,
    /// The authority's or witness's name.
    pub authority: String,
    /// The time that it states.
    pub at: DateTime<Utc>,
    /// SHA-256 of the token or the cosigned note, hex.
    pub digest: String,
    /// The heartbeat that put a token's digest into the log.
    pub record: Option<Uuid>,
}

/// The newest anchors of a log, newest first: the last cosignature of each witness and at most `limit` timestamps.
///
/// # Errors
/// Where the database does not answer.
pub async fn anchors(conn: &mut PgConnection, log: i32, limit: i64) -> Result<Vec<Anchor>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"(select size as "size!", 'cosignature' as "kind!", name as "authority!", at as "at!", digest as "digest!",
                   null::uuid as record_id
              from evidence_outside where log = $1 and kind = 'cosignature' and at is not null)
           union all
           (select size, 'timestamp', authority, at, digest, record_id from evidence_anchor
             where log = $1 order by made_at desc limit $2)
           order by 4 desc"#,
        log,
        limit
    )
    .fetch_all(conn)
    .await?;
    let anchor = rows.into_iter().map(|row| Anchor {
        log,
        size: row.size.cast_unsigned(),
        kind: row.kind,
        authority: row.authority,
        at: row.at,
        digest: row.digest,
        record: row.record_id,
    });
    Ok(anchor.collect())
}

/// The first timestamp of each authority over a state of the log that holds this place.
///
/// # Errors
/// Where the database does not answer.
pub async fn stamps(conn: &mut PgConnection, place: Place) -> Result<Vec<Anchor>, sqlx::Error> {
    let rows = sqlx::query!(
        "select distinct on (authority) size, authority, at, digest, record_id from evidence_anchor
          where log = $1 and size > $2 order by authority, size, made_at",
        place.log,
        place.index.cast_signed()
    )
    .fetch_all(conn)
    .await?;
    let anchor = rows.into_iter().map(|row| Anchor {
        log: place.log,
        size: row.size.cast_unsigned(),
        kind: "timestamp".to_owned(),
        authority: row.authority,
        at: row.at,
        digest: row.digest,
        record: Some(row.record_id),
    });
    Ok(anchor.collect())
}

/// How a witness or an authority stands.
#[derive(Debug, Clone)]
pub struct Outside {
    /// `timestamp` or `cosignature`.
    pub kind: String,
    pub name: String,
    /// The size that it last vouched for, and when.
    pub size: Option<i64>,
    pub at: Option<DateTime<Utc>>,
    /// What goes wrong, and since when.
    pub trouble: Option<String>,
    pub trouble_since: Option<DateTime<Utc>>,
}

/// Every witness and authority of a log that was asked so far.
///
/// # Errors
/// Where the database does not answer.
pub async fn outside(conn: &mut PgConnection, log: i32) -> Result<Vec<Outside>, sqlx::Error> {
    sqlx::query_as!(
        Outside,
        "select kind, name, size, at, trouble, trouble_since from evidence_outside where log = $1 order by kind, name",
        log
    )
    .fetch_all(conn)
    .await
}

/// A record's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub log: i32,
    pub index: u64,
}

/// The places of these records in the newest log, by record; those that have none yet are left out.
///
/// # Errors
/// Where the database does not answer.
pub async fn places(conn: &mut PgConnection, records: &[Uuid]) -> Result<Vec<(Uuid, Place)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select record_id, log, leaf_index from evidence_leaf
          where record_id = any($1) and log = (select max(id) from evidence_log) order by leaf_index",
        records
    )
    .fetch_all(conn)
    .await?;
    let place = |log, index: i64| Place { log, index: index.cast_unsigned() };
    Ok(rows.into_iter().map(|row| (row.record_id, place(row.log, row.leaf_index))).collect())
}

/// The log's newest published checkpoint.
///
/// # Errors
/// Where the folder has none, or it cannot be read.
pub fn published(folder: &Folder) -> Result<(Checkpoint, Note), LogError> {
    read_note(&folder.checkpoint())
}

/// A signed checkpoint's file. Whether the signatures hold is looked at where it is verified.
///
/// # Errors
/// Where there is none, or it cannot be read.
pub fn read_note(path: &Path) -> Result<(Checkpoint, Note), LogError> {
    let text = std::fs::read_to_string(path).map_err(|source| LogError::Io { path: path.to_owned(), source })?;
    let unreadable = |error: String| LogError::Refused(format!("{}: {error}", path.display()));
    let note: Note = text.parse().map_err(|error| unreadable(format!("{error}")))?;
    let checkpoint = note.text.parse().map_err(|error| unreadable(format!("{error}")))?;
    Ok((checkpoint, note))
}

/// The proof that a leaf stands at its place at that checkpoint.
///
/// # Errors
/// Where a tile cannot be read.
pub fn prove(folder: &Folder, (checkpoint, note): &(Checkpoint, Note), index: u64) -> Result<Proof, TileError> {
    let path = tree::inclusion(&mut Stored::new(folder.clone(), checkpoint.size), index, checkpoint.size)?;
    Ok(Proof { index, path, note: note.clone() })
}

/// A record's proof at the newest published checkpoint, the cosigned one where that reaches it; None where neither does yet.
///
/// # Errors
/// Where the published log cannot be read.
pub fn proof(published_dir: &Path, place: Place) -> Result<Option<Proof>, LogError> {
    let folder = log::folder(published_dir, place.log);
    let reaches = |at: &(Checkpoint, Note)| at.0.size > place.index;
    let cosigned = read_note(&folder.0.join("checkpoint.cosigned")).ok().filter(reaches);
    let newest = cosigned.map_or_else(|| published(&folder), Ok)?;
    if reaches(&newest) { Ok(Some(prove(&folder, &newest, place.index)?)) } else { Ok(None) }
}

/// The public keys beside the log: the log's own, oldest first, and the witnesses'.
pub fn keys(published_dir: &Path, log: i32) -> (String, String) {
    let read = |name: &str| std::fs::read_to_string(log::folder(published_dir, log).0.join(name)).unwrap_or_default();
    (read("keys/log.vkey"), read("keys/witnesses.vkey"))
}
