//! What others are asked to say about the log: witnesses cosign its newest state within a minute, timestamp authorities
//! put a time to it. A token's digest comes back into the log as a heartbeat, so that time is bounded on both sides.
//!
//! Files first, then the row and the heartbeat in one transaction: a crash between leaves a token that nothing refers to,
//! which does no harm, and the next turn fetches another.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use super::checkpoint::Checkpoint;
use super::log::{self, Log, LogError};
use super::note::{Note, Signature};
use super::record::{By, Facts, Record, append};
use super::state::{published, read_note};
use super::tiles::{Folder, Stored, write_whole};
use super::witness::client::{self, SubmitError, WitnessAddress};
use super::{action, timestamp};
use crate::config::EvidenceConfig;
use crate::target::Value;

/// How far a witness's or authority's clock may be from ours.
const SKEW: i64 = super::verify::SKEW;
/// The longest token that is read.
const LONGEST: usize = 64 * 1024;

struct Authority {
    name: String,
    url: String,
    /// PEM.
    roots: String,
}

/// Everybody who is asked.
pub struct Anchoring {
    published: PathBuf,
    http: reqwest::Client,
    witnesses: Vec<WitnessAddress>,
    authorities: Vec<Authority>,
    every: Duration,
}

impl Anchoring {
    /// As configured.
    ///
    /// # Errors
    /// A witness's key that is none, or an authority's certificates that cannot be read.
    pub fn new(config: &EvidenceConfig) -> anyhow::Result<Self> {
        let witness = |witness: &crate::config::WitnessConfig| -> anyhow::Result<WitnessAddress> {
            let key: super::note::VerifierKey = witness
                .key
                .parse()
                .map_err(|error| anyhow::anyhow!("evidence.witness key “{}”: {error}", witness.key))?;
            Ok(WitnessAddress { name: key.name.clone(), url: witness.url.clone(), key })
        };
        let authority = |authority: &crate::config::TimestampAuthorityConfig| -> anyhow::Result<Authority> {
            let roots = std::fs::read_to_string(&authority.roots_file).map_err(|error| {
                anyhow::anyhow!("evidence.timestamp_authority roots_file {}: {error}", authority.roots_file.display())
            })?;
            Ok(Authority { name: authority.name.clone(), url: authority.url.clone(), roots })
        };
        Ok(Self {
            published: config.log_dir.clone(),
            http: client::http()?,
            witnesses: config.witness.iter().map(witness).collect::<Result<_, _>>()?,
            authorities: config.timestamp_authority.iter().map(authority).collect::<Result<_, _>>()?,
            every: Duration::minutes(config.timestamp_minutes.into()),
        })
    }

    /// Asks whoever is due; the number of answers. A party that does not answer is noted and asked again next time.
    ///
    /// # Errors
    /// Where the database or the published log cannot be read.
    pub async fn turn(&self, pool: &PgPool, now: DateTime<Utc>) -> Result<usize, LogError> {
        let mut conn = pool.acquire().await?;
        let Some(log) = log::current(&mut conn).await? else { return Ok(0) };
        drop(conn);
        let folder = log::folder(&self.published, log.id);
        if !folder.checkpoint().exists() {
            return Ok(0);
        }
        let cosigned = self.cosign(pool, now, &log, &folder).await?;
        let due = self.due(pool, now, &log).await?;
        if due.is_empty() {
            return Ok(cosigned);
        }
        let stamped = self.stamp(pool, now, (&log, &folder), &due).await?;
        Ok(cosigned + stamped)
    }

    /// Witnesses that have not seen the newest state.
    async fn cosign(&self, pool: &PgPool, now: DateTime<Utc>, log: &Log, folder: &Folder) -> Result<usize, LogError> {
        if self.witnesses.is_empty() {
            return Ok(0);
        }
        let keys: String = self.witnesses.iter().map(|witness| format!("{}\n", witness.key)).collect();
        keep(&folder.0.join("keys/witnesses.vkey"), keys.as_bytes())?;
        let (checkpoint, note) = published(folder)?;
        let mut signatures = Vec::new();
        for witness in &self.witnesses {
            let known = known(pool, log, &witness.name).await?;
            if known == Some(checkpoint.size) {
                continue;
            }
            let mut nodes = Stored::new(folder.clone(), checkpoint.size);
            let answer = client::submit(&self.http, witness, &note, &mut nodes, known.unwrap_or(0)).await;
            match answer.map_err(|error| trouble(&error)).and_then(|line| timed(witness, &note, line, now)) {
                Ok((line, at)) => {
                    vouched(pool, log, ("cosignature", &witness.name), (&checkpoint, at, line.to_string().as_bytes()))
                        .await?;
                    signatures.push(line);
                }
                Err(why) => note_trouble(pool, log, ("cosignature", &witness.name), &why).await?,
            }
        }
        let count = signatures.len();
        if count > 0 {
            let mut signed = note;
            // Those who were asked before for this very checkpoint stay on it.
            if let Ok((before, cosigned)) = read_note(&folder.0.join("checkpoint.cosigned"))
                && before == checkpoint
            {
                signed.signatures = cosigned.signatures;
            }
            signed.signatures.extend(signatures);
            keep(&folder.0.join("checkpoint.cosigned"), signed.to_string().as_bytes())?;
        }
        Ok(count)
    }

    /// Authorities whose last token is old enough.
    async fn due(&self, pool: &PgPool, now: DateTime<Utc>, log: &Log) -> Result<Vec<&Authority>, LogError> {
        let last = sqlx::query!(
            "select name, at, trouble_since from evidence_outside where log = $1 and kind = 'timestamp'",
            log.id
        )
        .fetch_all(pool)
        .await?;
        let fresh = |authority: &&Authority| {
            last.iter().any(|row| row.name == authority.name && row.at.is_some_and(|at| now - at < self.every))
        };
        Ok(self.authorities.iter().filter(|authority| !fresh(authority)).collect())
    }

    /// Has the newest state stamped, the cosigned one where there is one.
    async fn stamp(
        &self,
        pool: &PgPool,
        now: DateTime<Utc>,
        (log, folder): (&Log, &Folder),
        due: &[&Authority],
    ) -> Result<usize, LogError> {
        let newest = published(folder)?;
        let cosigned = read_note(&folder.0.join("checkpoint.cosigned")).ok();
        let fresh = |at: &(Checkpoint, Note)| !self.witnesses.is_empty() && at.0.size + 2048 >= newest.0.size;
        let (checkpoint, note) = cosigned.filter(fresh).unwrap_or(newest);
        let place = folder.0.join("anchors").join(checkpoint.size.to_string());
        let path = place.join("checkpoint");
        // What was stamped once stays as it was: tokens are about these very bytes.
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(_) => {
                let bytes = note.to_string().into_bytes();
                keep(&path, &bytes)?;
                bytes
            }
        };
        let mut count = 0;
        for authority in due {
            match self.ask(authority, &bytes, now).await {
                Ok((token, at)) => {
                    keep_roots(&folder.0.join("tsa").join(format!("{}.pem", authority.name)), &authority.roots)?;
                    keep(&place.join(format!("{}.tsr", authority.name)), &token)?;
                    heartbeat(pool, now, log, (&authority.name, &checkpoint, at, &token)).await?;
                    count += 1;
                }
                Err(why) => note_trouble(pool, log, ("timestamp", &authority.name), &why).await?,
            }
        }
        Ok(count)
    }

    /// One token, looked through before it is kept.
    async fn ask(
        &self,
        authority: &Authority,
        data: &[u8],
        now: DateTime<Utc>,
    ) -> Result<(Vec<u8>, DateTime<Utc>), String> {
        let nonce = rand::random::<u64>() >> 1;
        let question = timestamp::request(Sha256::digest(data).into(), nonce);
        let request =
            self.http.post(&authority.url).header("content-type", "application/timestamp-query").body(question);
        let mut response =
            request.send().await.map_err(|error| format!("it does not answer: {}", error.without_url()))?;
        if !response.status().is_success() {
            return Err(format!("it answers {}", response.status()));
        }
        let mut token = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| error.without_url().to_string())? {
            if token.len() + chunk.len() > LONGEST {
                return Err("its answer is far too long".to_owned());
            }
            token.extend_from_slice(&chunk);
        }
        let stamp =
            timestamp::verify(&token, data, &authority.roots, Some(nonce)).map_err(|error| error.to_string())?;
        if (stamp.gen_time - now).num_seconds().abs() > SKEW {
            return Err(format!("it says {}; one of the two clocks is wrong", stamp.gen_time));
        }
        Ok((token, stamp.gen_time))
    }
}

fn keep(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    write_whole(path, bytes).map_err(|source| LogError::Io { path: path.to_owned(), source })
}

/// Certificates that older tokens lead to stay beside the new ones.
fn keep_roots(path: &Path, roots: &str) -> Result<(), LogError> {
    let there = std::fs::read_to_string(path).unwrap_or_default();
    if there.contains(roots.trim()) { Ok(()) } else { keep(path, (there + roots).as_bytes()) }
}

/// A cosignature with the time that it states, if that is near to ours.
fn timed(
    witness: &WitnessAddress,
    note: &Note,
    line: Signature,
    now: DateTime<Utc>,
) -> Result<(Signature, DateTime<Utc>), String> {
    let alone = Note { text: note.text.clone(), signatures: vec![line.clone()] };
    let stated = alone.verify(&witness.key).map_err(|error| error.to_string())?;
    let at = stated
        .and_then(|seconds| DateTime::from_timestamp(i64::try_from(seconds).ok()?, 0))
        .ok_or_else(|| "its cosignature states no time".to_owned())?;
    if (at - now).num_seconds().abs() > SKEW {
        return Err(format!("it says {at}; one of the two clocks is wrong"));
    }
    Ok((line, at))
}

fn trouble(error: &SubmitError) -> String {
    let text = error.to_string();
    match error {
        SubmitError::Inconsistent(_) | SubmitError::KnowsLarger { .. } => {
            tracing::error!(%error, "a witness has seen another log than this one");
            text
        }
        _ => text,
    }
}

/// The size that a witness has last cosigned.
async fn known(pool: &PgPool, log: &Log, witness: &str) -> Result<Option<u64>, sqlx::Error> {
    let size = sqlx::query_scalar!(
        "select size from evidence_outside where log = $1 and kind = 'cosignature' and name = $2",
        log.id,
        witness
    )
    .fetch_optional(pool)
    .await?;
    Ok(size.flatten().map(i64::cast_unsigned))
}

async fn vouched(
    pool: &PgPool,
    log: &Log,
    (kind, name): (&str, &str),
    (checkpoint, at, given): (&Checkpoint, DateTime<Utc>, &[u8]),
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into evidence_outside (log, kind, name, size, at, digest) values ($1, $2, $3, $4, $5, $6)
         on conflict (log, kind, name) do update
            set size = excluded.size, at = excluded.at, digest = excluded.digest, trouble = null, trouble_since = null",
        log.id,
        kind,
        name,
        checkpoint.size.cast_signed(),
        at,
        hex::encode(Sha256::digest(given))
    )
    .execute(pool)
    .await?;
    let seconds = u32::try_from(at.timestamp()).unwrap_or(u32::MAX);
    metrics::gauge!("tenure_evidence_anchored_at_seconds", "kind" => kind.to_owned(), "by" => name.to_owned())
        .set(seconds);
    Ok(())
}

async fn note_trouble(pool: &PgPool, log: &Log, (kind, name): (&str, &str), why: &str) -> Result<(), sqlx::Error> {
    tracing::warn!(party = name, kind, why, "the log was not anchored; it is tried again");
    sqlx::query!(
        "insert into evidence_outside (log, kind, name, trouble, trouble_since) values ($1, $2, $3, $4, now())
         on conflict (log, kind, name) do update
            set trouble = excluded.trouble, trouble_since = coalesce(evidence_outside.trouble_since, now())",
        log.id,
        kind,
        name,
        why
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Puts a token's digest into the log.
async fn heartbeat(
    pool: &PgPool,
    now: DateTime<Utc>,
    log: &Log,
    (authority, checkpoint, at, token): (&str, &Checkpoint, DateTime<Utc>, &[u8]),
) -> Result<(), LogError> {
    let digest = hex::encode(Sha256::digest(token));
    let detail = Facts::default()
        .plain("size", Value::Number(checkpoint.size.cast_signed()))
        .plain("authority", authority)
        .plain("gen_time", at.to_rfc3339_opts(SecondsFormat::Micros, true))
        .plain("token_sha256", digest.clone());
    let mut tx = pool.begin().await?;
    let record =
        Record { detail, ..Record::new(action::LOG_ANCHORED, format!("log:{}", log.origin), By::routine("evidence")) };
    let record = append(&mut tx, now, &record).await?;
    sqlx::query!(
        "insert into evidence_anchor (id, log, size, authority, at, digest, record_id) values ($1, $2, $3, $4, $5, $6, $7)",
        Uuid::now_v7(),
        log.id,
        checkpoint.size.cast_signed(),
        authority,
        at,
        digest,
        record
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    vouched(pool, log, ("timestamp", authority), (checkpoint, at, token)).await?;
    Ok(())
}
