//! A whole published log: every entry, every tile, every anchor.

use std::path::Path;

use super::anchors::{self, Anchors};
use super::entry::{self, Sequences};
use super::source::Source;
use super::{Failure, Report, Trust, by_log, keys, signed, witnessed};
use crate::evidence::checkpoint::Checkpoint;
use crate::evidence::note::{Note, VerifierKey};
use crate::evidence::tiles::{Edge, Folder, Kind, Stored, WIDTH, width_at};
use crate::evidence::tree;

pub(super) fn verify(path: &Path, trust: &Trust) -> Report {
    let mut report = Report::new("log", path);
    if let Err(failure) = all(path, trust, &mut report) {
        report.failure = Some(failure);
    }
    report
}

/// The last checkpoint of the log before, as the first leaf of this one says; None where it follows none, or cannot be
/// read, which its own verification tells.
pub(super) fn predecessor(path: &Path) -> Option<Note> {
    let text = std::fs::read_to_string(path.join("checkpoint")).ok()?;
    let checkpoint: Checkpoint = text.parse::<Note>().ok()?.text.parse().ok()?;
    let first = Folder(path.to_owned()).entry(0, checkpoint.size).ok()?;
    let first: serde_json::Value = serde_json::from_slice(&first).ok()?;
    first.pointer("/detail/previous_checkpoint")?.as_str()?.parse().ok()
}

fn all(path: &Path, trust: &Trust, report: &mut Report) -> Result<(), Failure> {
    let source = Source::folder(path);
    let folder = Folder(path.to_owned());
    let keys = keys::of_log(&source, trust, report)?;
    let witnesses = keys::of_witnesses(&source, trust, report)?;
    let (checkpoint, note) = signed(&source, "checkpoint", &keys)?;
    (report.origin, report.size) = (checkpoint.origin.clone(), checkpoint.size);
    report.count("checkpoint, signed by the log", 1);
    let names: Vec<String> = anchor_names(path)?;
    let mut anchors = anchors::read(&source, &names, &keys, &witnesses, report)?;
    let seen = witnessed(&note, &witnesses).map_err(|error| Failure::new(source.place("checkpoint"), error))?;
    report.count("cosignatures of witnesses on the checkpoint", seen.len() as u64);
    anchors.witnessed(checkpoint.size, &seen);
    if source.find("checkpoint.cosigned")?.is_some() {
        let (cosigned, note) = signed(&source, "checkpoint.cosigned", &keys)?;
        let seen =
            witnessed(&note, &witnesses).map_err(|error| Failure::new(source.place("checkpoint.cosigned"), error))?;
        anchors.witnessed(cosigned.size, &seen);
        anchors.checkpoints.push(("checkpoint.cosigned".to_owned(), cosigned));
    }
    walk(&folder, &checkpoint, &mut anchors, report)?;
    for (name, anchor) in &anchors.checkpoints {
        began_with(&folder, &checkpoint, anchor).map_err(|error| Failure::new(source.place(name), error))?;
        report.count("earlier checkpoints that the log goes on from", 1);
    }
    for known in &trust.checkpoints {
        elsewhere(&folder, &checkpoint, known, &keys, report)?;
    }
    Ok(())
}

/// The files below `anchors/`; the tiles are too many to be listed.
fn anchor_names(path: &Path) -> Result<Vec<String>, Failure> {
    let anchors = path.join("anchors");
    if !anchors.is_dir() {
        return Ok(Vec::new());
    }
    Ok(Source::folder(&anchors).names()?.into_iter().map(|name| format!("anchors/{name}")).collect())
}

/// Every entry and tile, from the first to the last.
fn walk(folder: &Folder, checkpoint: &Checkpoint, anchors: &mut Anchors, report: &mut Report) -> Result<(), Failure> {
    let size = checkpoint.size;
    let mut edge = Edge::empty();
    let mut sequences = Sequences::default();
    let (mut open, mut heartbeats, mut tiles) = (0, 0, 0);
    for number in 0..size.div_ceil(WIDTH) {
        let width = width_at(0, number, size);
        let entries = folder.entries(number, width).map_err(|error| Failure::new("entries", error))?;
        for (index, bytes) in (number * WIDTH..).zip(&entries) {
            let fail = |what: String| Failure::new(format!("leaf {index}"), what);
            let entry = entry::read(bytes).map_err(fail)?;
            sequences.next(&entry.subject, entry.seq, true).map_err(fail)?;
            if !anchors.times.allow(index, entry.at).map_err(fail)? {
                open += 1;
            }
            if Anchors::own_heartbeat(&entry, checkpoint) {
                let at = anchors.heartbeat(bytes).map_err(fail)?;
                anchors.times.raise(at);
                heartbeats += 1;
            }
        }
        let last = number + 1 == size.div_ceil(WIDTH);
        for file in edge.append(&entries) {
            let Kind::Hashes(level) = file.kind else { continue };
            if file.width < WIDTH && !last {
                continue;
            }
            let stored = folder.hashes(level, file.number, file.width).map_err(|error| Failure::new("tiles", error))?;
            if stored.as_flattened() != file.bytes {
                let path = folder.tile(file.kind, file.number, file.width);
                return Err(Failure::at(&path, "its hashes are not those of the entries"));
            }
            tiles += 1;
        }
    }
    let Ok(root) = tree::root(&mut edge, size);
    if root != checkpoint.root {
        return Err(Failure::at(&folder.checkpoint(), "its root is not that of the entries"));
    }
    report.count("entries, each in its place, its subject's sequence and its time", size);
    report.count("tiles of hashes", tiles);
    report.count("heartbeats with their timestamps", heartbeats);
    if open > 0 {
        report.note(format!("{open} entries are newer than the last timestamp or cosignature: not anchored yet"));
    }
    Ok(())
}

/// Whether the log goes on from that checkpoint. The tiles hold by now.
fn began_with(folder: &Folder, checkpoint: &Checkpoint, earlier: &Checkpoint) -> Result<(), String> {
    if earlier.origin != checkpoint.origin {
        return Err(format!("it is of {}", earlier.origin));
    }
    if earlier.size > checkpoint.size {
        return Err(format!("it has {} leaves and the log has {}: its tail was cut", earlier.size, checkpoint.size));
    }
    let root =
        tree::root(&mut Stored::new(folder.clone(), earlier.size), earlier.size).map_err(|error| error.to_string())?;
    if root == earlier.root { Ok(()) } else { Err("the log's tree was another one then: it was rewritten".to_owned()) }
}

/// A checkpoint from other hands.
fn elsewhere(
    folder: &Folder,
    checkpoint: &Checkpoint,
    known: &Note,
    keys: &[VerifierKey],
    report: &mut Report,
) -> Result<(), Failure> {
    let fail = |what: String| Failure::new("a checkpoint that you brought", what);
    let brought: Checkpoint = known.text.parse().map_err(|error| fail(format!("{error}")))?;
    if brought.origin != checkpoint.origin {
        report.note(format!("a checkpoint that you brought is of another log, {}", brought.origin));
        return Ok(());
    }
    by_log(known, keys).map_err(fail)?;
    began_with(folder, checkpoint, &brought).map_err(fail)?;
    report.count("checkpoints that you brought, which the log goes on from", 1);
    Ok(())
}
