//! The database against the published log: whether every leaf is still the record that it was, and every record a leaf.

use std::path::Path;

use serde_json::Value as Json;
use sqlx::{PgConnection, PgPool};

use super::commitment;
use super::log::{self, Log, LogError};
use super::note::Note;
use super::tiles::{Folder, WIDTH, width_at};
use super::verify::{Failure, Report};

/// Leaves compared at a time.
const CHUNK: u64 = 8 * WIDTH;

/// A record that is younger may not have come into the log yet.
const GRACE: &str = "1 minute";

/// Compares all of it. What it finds is in the report; the published files themselves are checked by [`super::verify`].
///
/// # Errors
/// Where the database does not answer.
pub async fn verify(pool: &PgPool, published: &Path) -> Result<Report, LogError> {
    let mut conn = pool.acquire().await?;
    let mut report = Report::new("database", published);
    let Some(log) = log::current(&mut conn).await? else {
        report.failure = Some(Failure::new("database", "it has no log"));
        return Ok(report);
    };
    report.origin.clone_from(&log.origin);
    let folder = log::folder(published, log.id);
    report.failure = match whole(&mut conn, &log, &folder, &mut report).await {
        Ok(()) => None,
        Err(Stop::Failure(failure)) => Some(failure),
        Err(Stop::Error(error)) => return Err(error),
    };
    Ok(report)
}

enum Stop {
    Failure(Failure),
    Error(LogError),
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Error(error.into())
    }
}

async fn whole(conn: &mut PgConnection, log: &Log, folder: &Folder, report: &mut Report) -> Result<(), Stop> {
    let failed = |place: &dyn std::fmt::Display, what: String| Stop::Failure(Failure::new(place, what));
    let path = folder.checkpoint();
    let text = std::fs::read_to_string(&path).map_err(|error| failed(&path.display(), error.to_string()))?;
    let note: Note = text.parse().map_err(|error| failed(&path.display(), format!("{error}")))?;
    let checkpoint: super::checkpoint::Checkpoint =
        note.text.parse().map_err(|error| failed(&path.display(), format!("{error}")))?;
    if checkpoint.origin != log.origin {
        return Err(failed(&path.display(), format!("it is of {}", checkpoint.origin)));
    }
    report.size = checkpoint.size;
    let mut from = 0;
    while from < checkpoint.size {
        let until = (from + CHUNK).min(checkpoint.size);
        compare(conn, log, folder, (from, until, checkpoint.size)).await?;
        report.count("leaves, each the database's record", until - from);
        from = until;
    }
    let missing = sqlx::query_scalar!(
        r#"select r.id from evidence_record r
            where r.at < now() - $2::text::interval
              and not exists (select from evidence_leaf l where l.log = $1 and l.record_id = r.id) limit 1"#,
        log.id,
        GRACE
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(id) = missing {
        return Err(failed(&format!("record {id}"), "it is in the database and not in the log".to_owned()));
    }
    disclosures(conn, report).await
}

/// A stretch of leaves beside the same stretch of the published entries.
async fn compare(
    conn: &mut PgConnection,
    log: &Log,
    folder: &Folder,
    (from, until, size): (u64, u64, u64),
) -> Result<(), Stop> {
    let rows = sqlx::query!(
        r#"select l.leaf_index, r.id, r.canonical, r.at, r.action, r.subject, r.seq
             from evidence_leaf l join evidence_record r on r.id = l.record_id
            where l.log = $1 and l.leaf_index >= $2 and l.leaf_index < $3 order by l.leaf_index"#,
        log.id,
        from.cast_signed(),
        until.cast_signed()
    )
    .fetch_all(conn)
    .await?;
    let mut rows = rows.into_iter().peekable();
    for number in from / WIDTH..until.div_ceil(WIDTH) {
        let entries = folder
            .entries(number, width_at(0, number, size))
            .map_err(|error| Stop::Failure(Failure::new("published entries", error)))?;
        for (index, entry) in (number * WIDTH..).zip(entries) {
            let fail = |what: &str| Stop::Failure(Failure::new(format!("leaf {index}"), what));
            let row = rows
                .next_if(|row| row.leaf_index.cast_unsigned() == index)
                .ok_or_else(|| fail("the log has it and the database has not: it was deleted"))?;
            if row.canonical != entry {
                return Err(fail("the database's record is another one than the log's: it was changed"));
            }
            // The columns repeat parts of the bytes so that they can be searched; what is shown must be what is proved.
            let record: Json = serde_json::from_slice(&entry).map_err(|error| fail(&error.to_string()))?;
            let at = record["at"].as_str().and_then(|at| chrono::DateTime::parse_from_rfc3339(at).ok());
            let seq = record["seq"].as_i64().or_else(|| record["seq"].as_str().and_then(|seq| seq.parse().ok()));
            if record["id"].as_str() != Some(&row.id.to_string())
                || record["action"].as_str() != Some(&row.action)
                || record["subject"].as_str() != Some(&row.subject)
                || seq != Some(row.seq)
                || at.is_none_or(|at| at != row.at)
            {
                return Err(fail(
                    "the columns beside the record say something else than the record: they were changed",
                ));
            }
        }
    }
    Ok(())
}

/// Every value that can be opened fits its commitment.
async fn disclosures(conn: &mut PgConnection, report: &mut Report) -> Result<(), Stop> {
    let mut after = uuid::Uuid::nil();
    loop {
        let rows = sqlx::query!(
            r#"select d.record, d.path, d.value as "value!", d.key as "key!", r.canonical
                 from evidence_disclosure d join evidence_record r on r.id = d.record
                where d.value is not null and d.record in (
                      select distinct record from evidence_disclosure where record > $1 and value is not null order by record limit 1000)
                order by d.record"#,
            after
        )
        .fetch_all(&mut *conn)
        .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.record;
        for row in &rows {
            let fail = |what: String| Stop::Failure(Failure::new(format!("record {} {}", row.record, row.path), what));
            let record: Json = serde_json::from_slice(&row.canonical).map_err(|error| fail(error.to_string()))?;
            if !commitment::fits(&record, &row.path, &row.key, row.value.as_bytes()) {
                return Err(fail("the value does not fit the record's commitment: it was changed".to_owned()));
            }
        }
        report.count("values, each fitting its commitment", rows.len() as u64);
    }
}
