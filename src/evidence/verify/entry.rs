//! What verification reads of a record: who, when, which place in its subject's sequence. Every version of the record's
//! shape has these.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::DateTime;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The versions of a record's shape that are read.
const VERSIONS: std::ops::RangeInclusive<u64> = 1..=1;

/// The parts of a record that the rules are about.
pub(super) struct Entry<'a> {
    pub subject: Cow<'a, str>,
    pub action: Cow<'a, str>,
    pub seq: u64,
    /// Microseconds since 1970.
    pub at: i64,
}

#[derive(Deserialize)]
struct Raw<'a> {
    v: u64,
    #[serde(borrow)]
    subject: Cow<'a, str>,
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    at: Cow<'a, str>,
    seq: Number,
}

/// A number, as text from 2^53 on.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Small(u64),
    Large(String),
}

impl Number {
    fn value(&self) -> Option<u64> {
        match self {
            Self::Small(value) => Some(*value),
            Self::Large(text) => text.parse().ok(),
        }
    }
}

/// Reads a record's bytes.
pub(super) fn read(bytes: &[u8]) -> Result<Entry<'_>, String> {
    let raw: Raw = serde_json::from_slice(bytes).map_err(|error| format!("not a record: {error}"))?;
    if !VERSIONS.contains(&raw.v) {
        return Err(format!("a record of version {}, which this program does not read", raw.v));
    }
    let at = DateTime::parse_from_rfc3339(&raw.at).map_err(|error| format!("its time “{}”: {error}", raw.at))?;
    let seq = raw.seq.value().ok_or("its number in the sequence is none")?;
    Ok(Entry { subject: raw.subject, action: raw.action, seq, at: at.timestamp_micros() })
}

/// What a heartbeat (`log.anchored`) says.
#[derive(Deserialize)]
pub(super) struct Heartbeat {
    pub authority: String,
    pub gen_time: String,
    pub size: u64,
    pub token_sha256: String,
}

pub(super) fn heartbeat(bytes: &[u8]) -> Result<Heartbeat, String> {
    #[derive(Deserialize)]
    struct Record {
        detail: Heartbeat,
    }
    let record: Record = serde_json::from_slice(bytes).map_err(|error| format!("not a heartbeat: {error}"))?;
    Ok(record.detail)
}

/// Numbers within subjects. In a whole log each subject counts 1, 2, 3 without a gap; in a bundle it only rises.
#[derive(Default)]
pub(super) struct Sequences {
    /// By digest, so that a million subjects take little memory.
    last: HashMap<u128, u64>,
}

impl Sequences {
    pub(super) fn next(&mut self, subject: &str, seq: u64, gapless: bool) -> Result<(), String> {
        let digest: [u8; 32] = Sha256::digest(subject).into();
        let key = digest.first_chunk::<16>().map_or(0, |half| u128::from_be_bytes(*half));
        let last = self.last.insert(key, seq).unwrap_or(0);
        if seq <= last {
            return Err(format!("{subject} is at {seq} after {last}: doubled or out of order"));
        }
        if gapless && seq != last + 1 {
            return Err(format!(
                "{subject} goes from {last} to {seq}: {} of its records never came into the log",
                seq - last - 1
            ));
        }
        Ok(())
    }
}
