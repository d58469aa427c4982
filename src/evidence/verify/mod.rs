//! Verification without us: a published log or a bundle, from its files alone. No database, no network, no configuration.
//!
//! Everything is looked at in one order and the first thing that does not hold ends it; the [`Report`] says what was
//! checked, how many of it, and where it failed. What is trusted stands in [`Trust`]: the log's first key and the
//! witnesses' keys; where none are given, those in the folder are taken, and the report says so.

mod anchors;
mod bundle;
mod entry;
mod folder;
mod keys;
mod source;
mod times;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::checkpoint::Checkpoint;
use super::note::{Note, NoteError, VerifierKey};
use source::Source;

/// How far a record's time may lie outside its anchors, seconds: clocks, late commits, the open seconds of a log.
pub const SKEW: i64 = 300;

/// What the verifier was given from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The log's keys; the first is where its own statements of rotation are believed from.
    pub keys: Vec<VerifierKey>,
    pub witnesses: Vec<VerifierKey>,
    /// Checkpoints of the same log from other hands: a witness's memory, an older bundle.
    pub checkpoints: Vec<Note>,
}

/// One kind of thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub what: &'static str,
    pub count: u64,
}

/// The first thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Failure {
    /// A file, or a leaf.
    pub place: String,
    pub what: String,
}

impl Failure {
    pub(in crate::evidence) fn new(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { place: place.to_string(), what: what.to_string() }
    }

    pub(super) fn at(path: &Path, what: impl fmt::Display) -> Self {
        Self::new(path.display(), what)
    }
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `log` or `bundle`.
    pub kind: &'static str,
    pub path: PathBuf,
    pub origin: String,
    /// Leaves of the checkpoint.
    pub size: u64,
    pub checked: Vec<Check>,
    /// What a reader should know, although nothing failed.
    pub notes: Vec<String>,
    pub failure: Option<Failure>,
}

impl Report {
    pub(in crate::evidence) fn new(kind: &'static str, path: &Path) -> Self {
        Self {
            kind,
            path: path.to_owned(),
            origin: String::new(),
            size: 0,
            checked: Vec::new(),
            notes: Vec::new(),
            failure: None,
        }
    }

    pub(in crate::evidence) fn count(&mut self, what: &'static str, more: u64) {
        match self.checked.iter_mut().find(|check| check.what == what) {
            Some(check) => check.count += more,
            None => self.checked.push(Check { what, count: more }),
        }
    }

    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Whether all of it holds.
    pub fn holds(&self) -> bool {
        self.failure.is_none()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {} ({}, {} leaves)", self.kind, self.path.display(), self.origin, self.size)?;
        for check in &self.checked {
            writeln!(f, "  {:>9}  {}", check.count, check.what)?;
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        match &self.failure {
            None => write!(f, "  everything that was checked holds"),
            Some(failure) => write!(f, "  FAILED at {}\n    {}", failure.place, failure.what),
        }
    }
}

/// Verifies whatever lies there: a bundle's folder or zip, one log's folder, or the published directory with all its logs.
pub fn path(path: &Path, trust: &Trust) -> Vec<Report> {
    if path.is_file() {
        return vec![bundle::zipped(path, trust)];
    }
    if path.join("records").is_dir() {
        return vec![bundle::verify(path, trust)];
    }
    if path.join("checkpoint").is_file() || path.join("tile").is_dir() {
        return vec![folder::verify(path, trust)];
    }
    let mut logs: Vec<(u32, PathBuf)> = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .collect();
    logs.sort();
    if logs.is_empty() {
        let mut report = Report::new("log", path);
        report.failure = Some(Failure::at(path, "neither a bundle (records/) nor a log (checkpoint, tile/)"));
        return vec![report];
    }
    let reports = logs.iter().enumerate().map(|(place, (_, path))| {
        // A log that follows another one says where that one ended: the older log must still go that far.
        let mut trust = trust.clone();
        trust.checkpoints.extend(logs.get(place + 1).and_then(|(_, next)| folder::predecessor(next)));
        folder::verify(path, &trust)
    });
    reports.collect()
}

/// A signed checkpoint of the log: its text, and that one of the log's keys signed it.
fn signed(source: &Source, name: &str, keys: &[VerifierKey]) -> Result<(Checkpoint, Note), Failure> {
    let fail = |error: String| Failure::new(source.place(name), error);
    let note: Note = source.text(name)?.parse().map_err(|error: NoteError| fail(error.to_string()))?;
    let checkpoint = by_log(&note, keys).map_err(fail)?;
    Ok((checkpoint, note))
}

/// The checkpoint in a note that one of the log's keys signed, and none of them wrongly.
fn by_log(note: &Note, keys: &[VerifierKey]) -> Result<Checkpoint, String> {
    let checkpoint: Checkpoint = note.text.parse().map_err(|error| format!("{error}"))?;
    let mut found = false;
    for key in keys.iter().filter(|key| key.name == checkpoint.origin) {
        match note.verify(key) {
            Ok(_) => found = true,
            Err(NoteError::Unsigned(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    if found { Ok(checkpoint) } else { Err(format!("no trusted key of {} signed it", checkpoint.origin)) }
}

/// The times at which trusted witnesses say they saw this checkpoint; a wrong signature under a trusted key is a failure.
fn witnessed(note: &Note, witnesses: &[VerifierKey]) -> Result<Vec<i64>, String> {
    let mut times = Vec::new();
    for witness in witnesses {
        match note.verify(witness) {
            Ok(Some(time)) => times.push(i64::try_from(time).unwrap_or(i64::MAX / 1_000_000).saturating_mul(1_000_000)),
            Ok(None) | Err(NoteError::Unsigned(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(times)
}
