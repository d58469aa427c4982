//! The sequencer: gives records their places in the log, writes its tiles, has the checkpoint signed, publishes it.
//!
//! Each turn is the same path, whether the turn before went well or died anywhere:
//! 1. records without a place get one (`evidence_leaf`), under the fence `evidence_log.leaves`;
//! 2. tiles and bundles of the new size are on disk before anybody signs it;
//! 3. the signer's head moves on, if the tree begins with the head's tree ([`super::signer`]);
//! 4. the checkpoint is published.
//!
//! A crash after 1 leaves places without tiles, after 2 tiles without a signature, after 3 a signature that is not
//! published: opening ([`Sequencer::open`]) begins at the signer's head and does what is missing. The order between
//! transactions is whatever they are found in; within a subject it is the subject's own.

mod search;

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::boundary::{Boundary, pass};
use super::checkpoint::Checkpoint;
use super::note::Note;
use super::record::{By, EvidenceError, Facts, Record, append};
use super::signer::{Line, Question, SignError};
use super::tiles::{Edge, Folder, Pending, Stored, TileError, WIDTH, write_whole};
use super::{action, tree};
use search::{BATCH, Found, Search};

/// Why the log does not go on.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error("the published log: {0}")]
    Tile(#[from] TileError),
    #[error("the published log: {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    /// Another sequencer is at work; this one begins again at the head.
    #[error("another sequencer went on meanwhile")]
    Overtaken,
    /// Only an administrator can mend it: `tenure evidence new-origin`.
    #[error("{0}")]
    Refused(String),
}

/// One log as its row says.
#[derive(Debug, Clone)]
pub struct Log {
    pub id: i32,
    pub origin: String,
    pub leaves: u64,
}

/// The log that records go into now; None before the first turn.
///
/// # Errors
/// Where the database does not answer.
pub async fn current(conn: &mut PgConnection) -> Result<Option<Log>, sqlx::Error> {
    let row = sqlx::query!("select id, origin, leaves from evidence_log order by id desc limit 1")
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| Log { id: row.id, origin: row.origin, leaves: row.leaves.cast_unsigned() }))
}

/// Where a log's files are: one folder per log below the published directory.
pub fn folder(published: &Path, log: i32) -> Folder {
    Folder(published.join(log.to_string()))
}

/// What a turn did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Turn {
    /// Records that got their place.
    pub sequenced: usize,
    /// Leaves of the published log.
    pub size: u64,
    /// From the oldest of these records' time to now.
    pub lag: Duration,
    /// There may be more at once.
    pub more: bool,
}

/// Gives records their places and has the log signed; one at a time, by a lease row.
pub struct Sequencer {
    published: PathBuf,
    line: Line,
    open: Option<Open>,
}

/// The log as it is at the signer's head.
struct Open {
    log: Log,
    folder: Folder,
    edge: Edge,
    head: Checkpoint,
    note: Note,
    search: Search,
    announced: bool,
}

impl Sequencer {
    pub fn new(published: impl Into<PathBuf>, line: Line) -> Self {
        Self { published: published.into(), line, open: None }
    }

    /// One turn. After any error the next one begins at the signer's head again.
    ///
    /// # Errors
    /// As [`LogError`] lists.
    pub async fn turn(&mut self, pool: &PgPool, now: DateTime<Utc>) -> Result<Turn, LogError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open(pool, now).await?,
        };
        let turn = self.go_on(&mut open, pool, now).await?;
        self.open = Some(open);
        Ok(turn)
    }

    async fn go_on(&self, open: &mut Open, pool: &PgPool, now: DateTime<Utc>) -> Result<Turn, LogError> {
        let mut conn = pool.acquire().await?;
        let mut turn = Turn { size: open.edge.size(), ..Turn::default() };
        let found = open.search.next(&mut conn, open.log.id).await?;
        if found.is_empty() {
            open.still_ours(&mut conn).await?;
        } else {
            turn.more = i64::try_from(found.len()).unwrap_or(0) >= BATCH;
            turn.sequenced = found.len();
            turn.lag = found.iter().map(|one| one.at).min().and_then(|at| (now - at).to_std().ok()).unwrap_or_default();
            open.place(&mut conn, &found).await?;
            pass(Boundary::Placed);
            let entries: Vec<Vec<u8>> = found.into_iter().map(|one| one.canonical).collect();
            open.write(&entries).await?;
        }
        drop(conn);
        if open.head.size != open.edge.size() || !open.announced {
            open.sign(&self.line).await?;
            pass(Boundary::Signed);
            open.publish(pool, now).await?;
            turn.size = open.head.size;
        }
        Ok(turn)
    }

    /// Begins at the signer's head: what the database and the folder have must fit it.
    async fn open(&self, pool: &PgPool, now: DateTime<Utc>) -> Result<Open, LogError> {
        let (head, note) = self.line.head().await?;
        let mut conn = pool.acquire().await?;
        let log = match current(&mut conn).await? {
            Some(log) => log,
            None => first(&mut conn, &head, now).await?,
        };
        if log.origin != head.origin {
            return Err(LogError::Refused(format!(
                "the signer signs {}, this database's log is {}: it is another database, or was restored from an older backup. {MEND}",
                head.origin, log.origin
            )));
        }
        if log.leaves < head.size {
            return Err(LogError::Refused(format!(
                "{} leaves were signed and this database has {}: it was restored from an older backup. {MEND}",
                head.size, log.leaves
            )));
        }
        let folder = folder(&self.published, log.id);
        self.publish_key(&folder).await?;
        let mut edge = Edge::load(&folder, head.size)?;
        let Ok(root) = tree::root(&mut edge, head.size);
        if root != head.root {
            return Err(LogError::Refused(format!(
                "the tiles in {} are not those of the signed checkpoint of {} leaves: they were changed. Bring them back from a copy",
                folder.0.display(),
                head.size
            )));
        }
        let newest = sqlx::query_scalar!(
            "select record_id from evidence_leaf where log = $1 order by record_id desc limit 1",
            log.id
        )
        .fetch_optional(&mut *conn)
        .await?;
        let mut open = Open { log, folder, edge, head, note, search: Search::after(newest), announced: false };
        open.recent_leaves_are_ours(&mut conn).await?;
        while open.edge.size() < open.log.leaves {
            let from = open.edge.size();
            let entries = placed(&mut conn, open.log.id, from).await?;
            if entries.is_empty() {
                return Err(LogError::Refused(format!("leaf {from} has no record in this database. {MEND}")));
            }
            open.write(&entries).await?;
        }
        Ok(open)
    }

    /// The log's public key beside its tiles, so that the folder can be checked by itself.
    async fn publish_key(&self, folder: &Folder) -> Result<(), LogError> {
        add_key(folder, &self.line.key().await?.to_string())
    }
}

const MEND: &str = "Begin a new log that says so: `tenure evidence new-origin --reason …`";

/// Adds a line to the folder's list of the log's keys, oldest first.
pub(super) fn add_key(folder: &Folder, key: &str) -> Result<(), LogError> {
    let path = folder.0.join("keys/log.vkey");
    let mut keys = std::fs::read_to_string(&path).unwrap_or_default();
    if keys.lines().any(|line| line == key) {
        return Ok(());
    }
    keys.push_str(key);
    keys.push('\n');
    write_whole(&path, keys.as_bytes()).map_err(|source| LogError::Io { path, source })
}

/// The first log, with its first leaf. Only where the signer has signed nothing yet.
async fn first(conn: &mut PgConnection, head: &Checkpoint, now: DateTime<Utc>) -> Result<Log, LogError> {
    if head.size > 0 || !head.origin.ends_with("/1") {
        return Err(LogError::Refused(format!(
            "the signer has signed {} leaves of {} and this database has no log: it is another database, or was restored. {MEND}",
            head.size, head.origin
        )));
    }
    start(conn, now, (1, &head.origin), None).await
}

/// A log's row and its first leaf, in one transaction. `after` holds the last checkpoint of the log before, and why it
/// does not go on.
///
/// # Errors
/// Where the database does not answer.
pub async fn start(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (id, origin): (i32, &str),
    after: Option<(&Note, &str)>,
) -> Result<Log, LogError> {
    let mut tx = sqlx::Acquire::begin(conn).await?;
    let (previous, reason) = after.map(|(note, reason)| (note.to_string(), reason)).unzip();
    sqlx::query!(
        "insert into evidence_log (id, origin, started_at, reason, previous_checkpoint, leaves) values ($1, $2, $3, $4, $5, 1)",
        id,
        origin,
        now,
        reason,
        previous
    )
    .execute(&mut *tx)
    .await?;
    let mut detail = Facts::default().plain("origin", origin);
    if let (Some(previous), Some(reason)) = (previous, reason) {
        detail = detail.plain("reason", reason).plain("previous_checkpoint", previous);
    }
    let record =
        Record { detail, ..Record::new(action::LOG_STARTED, format!("log:{origin}"), By::routine("evidence")) };
    let record = append(&mut tx, now, &record).await?;
    sqlx::query!("insert into evidence_leaf (log, leaf_index, record_id) values ($1, 0, $2)", id, record)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Log { id, origin: origin.to_owned(), leaves: 1 })
}

/// Entries that have their places, from one index on.
async fn placed(conn: &mut PgConnection, log: i32, from: u64) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!(
        "select r.canonical from evidence_leaf l join evidence_record r on r.id = l.record_id
          where l.log = $1 and l.leaf_index >= $2 and l.leaf_index < $2 + $3 order by l.leaf_index",
        log,
        from.cast_signed(),
        BATCH
    )
    .fetch_all(conn)
    .await
}

impl Open {
    /// Nobody else gave places meanwhile: who did may have died before its tiles were written or signed.
    async fn still_ours(&self, conn: &mut PgConnection) -> Result<(), LogError> {
        match current(conn).await? {
            Some(log) if (log.id, log.leaves) == (self.log.id, self.log.leaves) => Ok(()),
            _ => Err(LogError::Overtaken),
        }
    }

    /// Gives them their places, unless another sequencer was here.
    async fn place(&mut self, conn: &mut PgConnection, found: &[Found]) -> Result<(), LogError> {
        let ids: Vec<Uuid> = found.iter().map(|one| one.id).collect();
        let count = found.len() as u64;
        let mut tx = sqlx::Acquire::begin(conn).await?;
        let fenced = sqlx::query!(
            "update evidence_log set leaves = leaves + $3 where id = $1 and leaves = $2
                and id = (select max(id) from evidence_log)",
            self.log.id,
            self.log.leaves.cast_signed(),
            count.cast_signed()
        )
        .execute(&mut *tx)
        .await?;
        if fenced.rows_affected() != 1 {
            return Err(LogError::Overtaken);
        }
        sqlx::query!(
            "insert into evidence_leaf (log, leaf_index, record_id)
             select $1, $2 + place - 1, id from unnest($3::uuid[]) with ordinality as given (id, place)",
            self.log.id,
            self.log.leaves.cast_signed(),
            &ids
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.log.leaves += count;
        self.search.placed(ids.into_iter().max());
        Ok(())
    }

    /// Appends entries to the tree and has every file on disk that a checkpoint of the new size needs.
    async fn write(&mut self, entries: &[Vec<u8>]) -> Result<(), LogError> {
        let files = self.edge.append(entries);
        let folder = self.folder.clone();
        tokio::task::spawn_blocking(move || store(&folder, &files))
            .await
            .map_err(|error| LogError::Refused(format!("writing tiles was broken off: {error}")))??;
        pass(Boundary::Written);
        Ok(())
    }

    async fn sign(&mut self, line: &Line) -> Result<(), LogError> {
        let size = self.edge.size();
        let Ok(root) = tree::root(&mut self.edge, size);
        let checkpoint = Checkpoint::new(&self.head.origin, size, root);
        if checkpoint != self.head {
            let proof = tree::consistency(&mut Stored::new(self.folder.clone(), size), self.head.size, size)?;
            let question = Question { checkpoint: checkpoint.clone(), old: self.head.size, proof };
            self.note = match line.sign(&question).await {
                Err(SignError::Behind(_)) => return Err(LogError::Overtaken),
                signed => signed?,
            };
            self.head = checkpoint;
            self.announced = false;
        }
        Ok(())
    }

    async fn publish(&mut self, pool: &PgPool, now: DateTime<Utc>) -> Result<(), LogError> {
        let path = self.folder.checkpoint();
        let text = self.note.to_string();
        write_whole(&path, text.as_bytes()).map_err(|source| LogError::Io { path, source })?;
        pass(Boundary::Published);
        sqlx::query!(
            "update evidence_log set size = $2, checkpoint = $3, signed_at = $4, trouble = null, trouble_since = null
              where id = $1 and size <= $2",
            self.log.id,
            self.head.size.cast_signed(),
            text,
            now
        )
        .execute(pool)
        .await?;
        self.announced = true;
        Ok(())
    }

    /// The last leaves before the head are this database's records: one that was restored and then filled with other
    /// records does not go on unseen. (All of them: `tenure evidence verify --live`.)
    async fn recent_leaves_are_ours(&mut self, conn: &mut PgConnection) -> Result<(), LogError> {
        let size = self.head.size;
        if size == 0 {
            return Ok(());
        }
        let number = (size - 1) / WIDTH;
        let hashes = self.folder.hashes(0, number, size - number * WIDTH)?;
        let ours = placed(conn, self.log.id, number * WIDTH).await?;
        for (index, hash) in (number * WIDTH..).zip(&hashes) {
            let place = usize::try_from(index - number * WIDTH).unwrap_or(usize::MAX);
            if ours.get(place).map(|entry| tree::leaf_hash(entry)).as_ref() != Some(hash) {
                return Err(LogError::Refused(format!(
                    "leaf {index} of the signed log is another record in this database. {MEND}"
                )));
            }
        }
        Ok(())
    }
}

/// Writes the files; a full tile takes the place of its partial ones.
fn store(folder: &Folder, files: &[Pending]) -> Result<(), LogError> {
    for file in files {
        let path = folder.tile(file.kind, file.number, file.width);
        write_whole(&path, &file.bytes).map_err(|source| LogError::Io { path, source })?;
    }
    for file in files.iter().filter(|file| file.width == WIDTH) {
        let partial = folder.tile(file.kind, file.number, 1);
        if let Some(partials) = partial.parent() {
            // Not being there is the usual case; what stays does no harm.
            drop(std::fs::remove_dir_all(partials));
        }
    }
    Ok(())
}

/// Writes down why the log does not go on, for pages and `doctor`.
///
/// # Errors
/// Where the database does not answer.
pub async fn note_trouble(pool: &PgPool, trouble: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update evidence_log set trouble = $1, trouble_since = coalesce(trouble_since, now())
          where id = (select max(id) from evidence_log)",
        trouble
    )
    .execute(pool)
    .await?;
    Ok(())
}
