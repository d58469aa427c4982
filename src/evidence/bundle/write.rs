//! Finding what belongs to a bundle, and writing it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::SecondsFormat;
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::index::{Cover, Page, Readme, Row, workbook};
use super::sink::{Sink, Summed, ZipSink};
use super::{BundleError, Chosen, anchors};
use crate::evidence::checkpoint::Checkpoint;
use crate::evidence::note::{Note, VerifierKey};
use crate::evidence::state::{self, prove, read_note};
use crate::evidence::tiles::{Folder, Stored};
use crate::evidence::{history, log, tree};

/// Records read at a time.
const CHUNK: usize = 200;
/// How long the newest records are waited for to come into the log.
const PATIENCE: Duration = Duration::from_secs(5);

const VERIFY_PY: &[u8] = include_bytes!("../../../templates/bundle/verify.py");
const VERIFY_GO: &[u8] = include_bytes!("../../../templates/bundle/verify.go");

/// Everything that a bundle is written from.
pub struct Gathered {
    chosen: Chosen,
    folder: Folder,
    checkpoint: (Checkpoint, Note),
    /// Records by their place.
    records: BTreeMap<u64, Uuid>,
    /// Sizes of the timestamped checkpoints that belong to them.
    anchors: BTreeSet<u64>,
}

impl Gathered {
    /// How many records it holds, heartbeats included.
    pub fn records(&self) -> usize {
        self.records.len()
    }
}

/// Finds the records' places, the checkpoint that covers them, and the anchors around them. The newest records may take a
/// moment to come into the log.
///
/// # Errors
/// Where they do not come in in time, or the published log cannot be read.
pub async fn gather(pool: &PgPool, published: &Path, chosen: Chosen) -> Result<Gathered, BundleError> {
    let began = std::time::Instant::now();
    loop {
        let mut conn = pool.acquire().await?;
        let places = state::places(&mut conn, &chosen.records).await?;
        if let Some((_, first)) = places.first()
            && places.len() == chosen.records.len()
        {
            let folder = log::folder(published, first.log);
            let newest = state::published(&folder)?;
            let mut records: BTreeMap<u64, Uuid> = places.iter().map(|(id, place)| (place.index, *id)).collect();
            let indexes: Vec<u64> = records.keys().copied().collect();
            let (beats, sizes) = anchors::around(&anchors::beats(&mut conn, first.log).await?, &indexes);
            records.extend(beats.iter().map(|beat| (beat.index, beat.record)));
            let last = records.keys().next_back().copied().unwrap_or(0).max(sizes.last().copied().unwrap_or(0));
            if newest.0.size > last || (newest.0.size == last && !records.contains_key(&last)) {
                // One that a witness cosigned, where it reaches as far.
                let cosigned = read_note(&folder.0.join("checkpoint.cosigned")).ok();
                let checkpoint = cosigned.filter(|(cosigned, _)| cosigned.size > last).unwrap_or(newest);
                return Ok(Gathered { chosen, folder, checkpoint, records, anchors: sizes });
            }
        }
        drop(conn);
        if began.elapsed() > PATIENCE {
            return Err(BundleError::NotSequenced);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Writes a bundle as a zip, piece by piece. An error ends the pieces with it: a reader sees a broken download, not a
/// short zip.
pub async fn zip(pool: &PgPool, gathered: &Gathered, out: mpsc::Sender<Result<Vec<u8>, std::io::Error>>) {
    if let Err(error) = write(pool, gathered, ZipSink::new(out.clone())).await {
        tracing::warn!(%error, "a bundle was not written to its end");
        drop(out.send(Err(std::io::Error::other(error.to_string()))).await);
    }
}

/// Writes every file, the sums last.
///
/// # Errors
/// Where something cannot be read or written.
pub async fn write<S: Sink>(pool: &PgPool, gathered: &Gathered, sink: S) -> Result<(), BundleError> {
    let mut out = Summed::new(sink);
    let (checkpoint, note) = &gathered.checkpoint;
    let chosen = &gathered.chosen;
    let readme = Readme {
        origin: &checkpoint.origin,
        size: checkpoint.size,
        made_at: chosen.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        selection: &chosen.words,
        records: gathered.records.len(),
    };
    out.put("README.md", askama::Template::render(&readme)?.as_bytes()).await?;
    out.put("verify.py", VERIFY_PY).await?;
    out.put("verify.go", VERIFY_GO).await?;
    out.put("checkpoint", note.to_string().as_bytes()).await?;
    keys(gathered, &mut out).await?;
    let mut authorities = BTreeSet::new();
    for size in &gathered.anchors {
        anchor(gathered, *size, &mut authorities, &mut out).await?;
    }
    for name in authorities {
        let path = gathered.folder.0.join("tsa").join(format!("{name}.pem"));
        out.put(&format!("tsa/{name}.pem"), &std::fs::read(path)?).await?;
    }
    let rows = records(pool, gathered, &mut out).await?;
    let cover = Cover {
        origin: checkpoint.origin.clone(),
        size: checkpoint.size,
        made_at: chosen.at,
        selection: chosen.words.clone(),
        population: chosen.population.records,
        population_digest: chosen.population.digest.clone(),
        seed: chosen.seed.clone().unwrap_or_default(),
        report: chosen.report.to_string(),
        sample: chosen.seed.is_some(),
    };
    out.put("index.html", askama::Template::render(&Page { cover: &cover, rows: &rows })?.as_bytes()).await?;
    out.put("index.xlsx", &workbook(&cover, &rows)?).await?;
    let about = json!({
        "format": "tenure-bundle/1", "origin": checkpoint.origin, "size": checkpoint.size,
        "made_at": readme.made_at, "selection": chosen.words, "population": chosen.population, "seed": chosen.seed,
        "sampled": chosen.seed.is_some().then_some(&chosen.drawn), "report": chosen.report,
        "records": gathered.records.iter().map(|(index, id)| json!({"index": index, "id": id})).collect::<Vec<_>>(),
    });
    out.put("bundle.json", format!("{about:#}\n").as_bytes()).await?;
    out.end().await
}

/// The keys, as the published log has them.
async fn keys<S: Sink>(gathered: &Gathered, out: &mut Summed<S>) -> Result<(), BundleError> {
    let folder = gathered.folder.0.join("keys");
    let log = std::fs::read_to_string(folder.join("log.vkey"))?;
    let mut names: Vec<String> = std::fs::read_dir(&folder)?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("rotation-"))
        .collect();
    names.sort();
    out.put("keys/log.vkey", log.as_bytes()).await?;
    if let Some(newest) = log.lines().last().and_then(|line| line.parse::<VerifierKey>().ok()) {
        out.put("keys/log.pem", newest.pem().as_bytes()).await?;
    }
    let witnesses = std::fs::read(folder.join("witnesses.vkey")).unwrap_or_default();
    out.put("keys/witnesses.vkey", &witnesses).await?;
    for name in names {
        out.put(&format!("keys/{name}"), &std::fs::read(folder.join(&name))?).await?;
    }
    Ok(())
}

/// One timestamped checkpoint: its file, its tokens, and the proof that the log only grew since.
async fn anchor<S: Sink>(
    gathered: &Gathered,
    size: u64,
    authorities: &mut BTreeSet<String>,
    out: &mut Summed<S>,
) -> Result<(), BundleError> {
    let name = format!("anchors/{size}");
    let folder = gathered.folder.0.join(&name);
    let newest = gathered.checkpoint.0.size;
    let path = tree::consistency(&mut Stored::new(gathered.folder.clone(), newest), size, newest)?;
    let path = path.iter().fold(String::new(), |all, hash| all + &STANDARD.encode(hash) + "\n");
    out.put(&format!("{name}/checkpoint"), &std::fs::read(folder.join("checkpoint"))?).await?;
    out.put(&format!("{name}/consistency"), path.as_bytes()).await?;
    let mut tokens: Vec<String> =
        std::fs::read_dir(&folder)?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    tokens.sort();
    for token in tokens {
        if let Some(authority) = token.strip_suffix(".tsr") {
            out.put(&format!("{name}/{token}"), &std::fs::read(folder.join(&token))?).await?;
            authorities.insert(authority.to_owned());
        }
    }
    Ok(())
}

/// Each record with its proof and what may be opened of it; gives the rows of the index.
async fn records<S: Sink>(pool: &PgPool, gathered: &Gathered, out: &mut Summed<S>) -> Result<Vec<Row>, BundleError> {
    let drawn: HashSet<Uuid> = gathered.chosen.drawn.iter().copied().collect();
    let all: Vec<(u64, Uuid)> = gathered.records.iter().map(|(index, id)| (*index, *id)).collect();
    let mut rows = Vec::with_capacity(all.len());
    for chunk in all.chunks(CHUNK) {
        let ids: Vec<Uuid> = chunk.iter().map(|(_, id)| *id).collect();
        let mut conn = pool.acquire().await?;
        let mut entries = history::by_ids(&mut conn, &ids).await?;
        let mut opened = history::disclosures(&mut conn, &ids).await?;
        drop(conn);
        for (index, id) in chunk {
            let Some(entry) = entries.remove(id) else { continue };
            let proof = prove(&gathered.folder, &gathered.checkpoint, *index)?;
            out.put(&format!("records/{index}.json"), &entry.canonical).await?;
            out.put(&format!("proofs/{index}.tlog-proof"), proof.to_string().as_bytes()).await?;
            if let Some(opened) = opened.remove(id) {
                let text = serde_json::to_vec(&opened).map_err(std::io::Error::other)?;
                out.put(&format!("disclosures/{index}.json"), &text).await?;
            }
            rows.push(Row::new(*index, &entry, drawn.contains(id)));
        }
    }
    Ok(rows)
}
