//! What an auditor takes away: records with proofs, opened values, anchors, keys, and the means to check them without us.
//!
//! [`choose`] fixes which records it is about and records that somebody took them; [`gather`] finds their places, the
//! checkpoint that covers them and the anchors around them; [`write`] puts the files into a folder or a zip, streamed.

mod anchors;
mod index;
mod sink;
mod write;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::action;
use super::history::{self, Filter};
use super::log::LogError;
use super::record::{By, EvidenceError, Facts, Record, append};
use super::tiles::TileError;
use crate::target::Value;

pub use sink::{FolderSink, Sink, ZipSink};
pub use write::{Gathered, gather, write, zip};

/// The most records that one bundle holds.
pub const MOST: i64 = 50_000;

/// The most that a sample is drawn from: two million ids are 32 MB.
const LARGEST_POPULATION: i64 = 2_000_000;

/// Which records.
#[derive(Debug, Clone)]
pub enum Selection {
    /// Everything about one request.
    Request(i64),
    /// What a filter of the history finds. `words` say which, for the cover sheet.
    Filter { filter: Filter, words: String },
    /// Some of what a filter finds, drawn reproducibly, each with everything about its request.
    Sample { filter: Filter, words: String, size: usize, seed: String },
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the published log: {0}")]
    Tile(#[from] TileError),
    #[error("no record matches")]
    Nothing,
    #[error("more than {MOST} records match; narrow it")]
    TooMany,
    #[error("the records are not in the signed log yet; does the worker run, with [evidence] set up?")]
    NotSequenced,
    #[error("writing the bundle: {0}")]
    Io(#[from] std::io::Error),
    #[error("writing the bundle: {0}")]
    Zip(#[from] zip::result::ZipError),
    #[error("writing the workbook: {0}")]
    Workbook(#[from] rust_xlsxwriter::XlsxError),
    #[error("writing the bundle: {0}")]
    Template(#[from] askama::Error),
}

/// What everything was drawn from, so that a sample can be drawn again and an export be counted again.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Population {
    pub records: usize,
    /// SHA-256 over the sorted ids, one per line, hex.
    pub digest: String,
}

/// Records that were chosen; the taking is recorded.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// For people.
    pub words: String,
    pub records: Vec<Uuid>,
    /// Of a sample: those that were drawn; the others belong to their requests.
    pub drawn: Vec<Uuid>,
    pub population: Population,
    pub seed: Option<String>,
    pub at: DateTime<Utc>,
    /// The record of this export.
    pub report: Uuid,
}

impl Chosen {
    /// `tenure-evidence-20261123-080000.zip`
    pub fn file_name(&self) -> String {
        format!("tenure-evidence-{}.zip", self.at.format("%Y%m%d-%H%M%S"))
    }
}

/// Fixes the records, and records that they were taken, in the caller's transaction.
///
/// # Errors
/// Where nothing matches, too much does, or the database does not answer.
pub async fn choose(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    selection: Selection,
) -> Result<Chosen, BundleError> {
    let (filter, words) = match &selection {
        Selection::Request(number) => {
            (Filter { request: Some(*number), ..Filter::default() }, format!("request REQ-{number:06}"))
        }
        Selection::Filter { filter, words } | Selection::Sample { filter, words, .. } => {
            (filter.clone(), words.clone())
        }
    };
    let most = if matches!(selection, Selection::Sample { .. }) { LARGEST_POPULATION } else { MOST };
    let found = history::ids(conn, &filter, most + 1).await?;
    if found.is_empty() {
        return Err(BundleError::Nothing);
    }
    if i64::try_from(found.len()).unwrap_or(i64::MAX) > most {
        return Err(BundleError::TooMany);
    }
    let population = population(&found);
    let (records, drawn, words, seed) = match selection {
        Selection::Sample { size, seed, filter, .. } => {
            let drawn = draw(&found, size, &seed);
            let words = format!("a sample of {} of the {} records of {words}, seed “{seed}”", drawn.len(), found.len());
            (with_requests(conn, &drawn, &filter).await?, drawn, words, Some(seed))
        }
        _ => (found.clone(), found, words, None),
    };
    let mut detail = Facts::default()
        .plain("selection", words.clone())
        .plain("records", count(records.len()))
        .plain("population", count(population.records))
        .plain("population_digest", population.digest.clone());
    if let Some(seed) = &seed {
        detail = detail.plain("seed", seed.clone()).plain("method", "smallest SHA-256 of seed and id");
    }
    let record =
        Record { detail, request: filter.request, ..Record::new(action::REPORT_TAKEN, "report:evidence", by.clone()) };
    let report = append(conn, now, &record).await?;
    Ok(Chosen { words, records, drawn, population, seed, at: now, report })
}

fn count(records: usize) -> Value {
    Value::Number(i64::try_from(records).unwrap_or(i64::MAX))
}

fn population(ids: &[Uuid]) -> Population {
    let mut sorted: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    sorted.sort();
    let digest = Sha256::digest(sorted.iter().fold(String::new(), |all, id| all + id + "\n"));
    Population { records: ids.len(), digest: hex::encode(digest) }
}

/// The `size` records whose `SHA-256(seed 0x0A id)` is smallest: the same seed draws the same from the same population, and
/// a larger sample holds the smaller one.
fn draw(population: &[Uuid], size: usize, seed: &str) -> Vec<Uuid> {
    let mut lots: Vec<([u8; 32], Uuid)> =
        population.iter().map(|id| (Sha256::digest(format!("{seed}\n{id}")).into(), *id)).collect();
    lots.sort_unstable();
    lots.truncate(size);
    lots.into_iter().map(|(_, id)| id).collect()
}

/// The drawn records, and whatever else is about their requests.
async fn with_requests(conn: &mut PgConnection, drawn: &[Uuid], filter: &Filter) -> Result<Vec<Uuid>, BundleError> {
    let discreet = Filter { discreet: filter.discreet, ..Filter::default() };
    let mut all = drawn.to_vec();
    for request in history::requests_of(conn, drawn).await? {
        all.extend(history::ids(conn, &Filter { request: Some(request), ..discreet.clone() }, MOST).await?);
    }
    all.sort_unstable();
    all.dedup();
    if i64::try_from(all.len()).unwrap_or(i64::MAX) > MOST { Err(BundleError::TooMany) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_sample_and_a_larger_one_extends_it() {
        let population: Vec<Uuid> = (0..1000).map(|_| Uuid::now_v7()).collect();
        let small = draw(&population, 25, "2026-Q4");
        let mut shuffled = population.clone();
        shuffled.reverse();
        assert_eq!(draw(&shuffled, 25, "2026-Q4"), small);
        assert_eq!(draw(&population, 40, "2026-Q4")[..25], small[..]);
        assert_ne!(draw(&population, 25, "2027-Q1"), small);
    }
}
