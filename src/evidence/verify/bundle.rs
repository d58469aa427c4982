//! A bundle: some records, with everything that it takes to check them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::anchors::{self, Anchors};
use super::entry::{self, Sequences};
use super::source::Source;
use super::{Failure, Report, Trust, by_log, keys, signed, witnessed};
use crate::evidence::checkpoint::{Checkpoint, decimal, hash};
use crate::evidence::commitment;
use crate::evidence::note::{Note, VerifierKey};
use crate::evidence::proof::{Proof, ProofError};
use crate::evidence::tree::{self, Hash};

const SUMS: &str = "SHA256SUMS";

/// Files that may lie in a bundle beside records, disclosures, proofs and anchors.
const KNOWN: [&str; 9] = [
    "README.md",
    "index.html",
    "index.xlsx",
    SUMS,
    "bundle.json",
    "checkpoint",
    "verify.py",
    "verify.go",
    "keys/log.pem",
];

pub(super) fn verify(path: &Path, trust: &Trust) -> Report {
    report(path, Ok(Source::folder(path)), trust)
}

pub(super) fn zipped(path: &Path, trust: &Trust) -> Report {
    report(path, Source::zip(path), trust)
}

fn report(path: &Path, source: Result<Source, Failure>, trust: &Trust) -> Report {
    let mut report = Report::new("bundle", path);
    if let Err(failure) = source.and_then(|source| all(&source, trust, &mut report)) {
        report.failure = Some(failure);
    }
    report
}

/// One opened value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disclosure {
    path: String,
    value: String,
    key: String,
}

fn all(source: &Source, trust: &Trust, report: &mut Report) -> Result<(), Failure> {
    let names = source.names()?;
    sums(source, &names, report)?;
    let keys = keys::of_log(source, trust, report)?;
    let witnesses = keys::of_witnesses(source, trust, report)?;
    let (checkpoint, note) = signed(source, "checkpoint", &keys)?;
    (report.origin, report.size) = (checkpoint.origin.clone(), checkpoint.size);
    report.count("checkpoint, signed by the log", 1);
    let seen = witnessed(&note, &witnesses).map_err(|error| Failure::new(source.place("checkpoint"), error))?;
    report.count("cosignatures of witnesses on the checkpoint", seen.len() as u64);
    let mut anchors = anchors::read(source, &names, &keys, &witnesses, report)?;
    anchors.witnessed(checkpoint.size, &seen);
    consistent(source, &anchors, &checkpoint, report)?;
    let records = records(source, &names, &note, report)?;
    times(source, (&checkpoint, &records), &mut anchors, report)?;
    brought(&checkpoint, &anchors, trust, &keys, report)
}

/// Every file has its line and every line its file; nothing else lies there.
fn sums(source: &Source, names: &[String], report: &mut Report) -> Result<(), Failure> {
    let fail = |what: String| Failure::new(source.place(SUMS), what);
    let text = source.text(SUMS)?;
    let mut listed = BTreeSet::new();
    for line in text.lines() {
        let (sum, name) = line.split_once("  ").ok_or_else(|| fail(format!("“{line}” is not a sum and a name")))?;
        if !names.iter().any(|other| other == name) {
            return Err(Failure::new(source.place(name), "it is missing"));
        }
        if hex::encode(Sha256::digest(source.read(name)?)) != sum {
            return Err(Failure::new(source.place(name), "it is not the file whose sum was taken"));
        }
        listed.insert(name);
    }
    let known = |name: &str| {
        let folder = |folder: &str| name.strip_prefix(folder).is_some_and(|rest| !rest.is_empty());
        KNOWN.contains(&name)
            || ["records/", "disclosures/", "proofs/", "anchors/", "tsa/", "keys/"].iter().any(|part| folder(part))
    };
    if let Some(stray) = names.iter().find(|name| *name != SUMS && (!listed.contains(name.as_str()) || !known(name))) {
        return Err(Failure::new(source.place(stray), "it does not belong to the bundle"));
    }
    report.count("files, by their sums", listed.len() as u64);
    Ok(())
}

/// Each anchored checkpoint is a beginning of the bundle's.
fn consistent(source: &Source, anchors: &Anchors, checkpoint: &Checkpoint, report: &mut Report) -> Result<(), Failure> {
    for (folder, anchor) in &anchors.checkpoints {
        let name = format!("{folder}/consistency");
        let fail = |what: &str| Failure::new(source.place(&name), what);
        let text = source.text(&name)?;
        let path: Vec<Hash> =
            text.lines().map(hash).collect::<Option<_>>().ok_or_else(|| fail("a line is not a hash"))?;
        // An anchor may be newer than the checkpoint that the proofs were made for.
        let (old, new) = if anchor.size <= checkpoint.size { (anchor, checkpoint) } else { (checkpoint, anchor) };
        if anchor.origin != checkpoint.origin || !tree::consistent((old.size, &old.root), (new.size, &new.root), &path)
        {
            return Err(fail("the log did not grow from one checkpoint to the other: it was rewritten"));
        }
        report.count("consistency proofs between anchored checkpoints and this one", 1);
    }
    Ok(())
}

/// Records with their proofs and disclosures, by index.
fn records(
    source: &Source,
    names: &[String],
    note: &Note,
    report: &mut Report,
) -> Result<BTreeMap<u64, Vec<u8>>, Failure> {
    let mut records = BTreeMap::new();
    let numbered =
        |name: &str, folder: &str, ending: &str| name.strip_prefix(folder)?.strip_suffix(ending).and_then(decimal);
    for name in names.iter().filter(|name| name.starts_with("records/")) {
        let fail = |what: String| Failure::new(source.place(name), what);
        let index =
            numbered(name, "records/", ".json").ok_or_else(|| fail("it is not named after its index".to_owned()))?;
        let bytes = source.read(name)?;
        let proof_name = format!("proofs/{index}.tlog-proof");
        let wrong = |what: String| Failure::new(source.place(&proof_name), what);
        let proof: Proof = source.text(&proof_name)?.parse().map_err(|error: ProofError| wrong(error.to_string()))?;
        if proof.note != *note || proof.index != index {
            return Err(wrong("it is of another checkpoint or another index".to_owned()));
        }
        if !proof.proves(&bytes).map_err(|error| wrong(error.to_string()))? {
            return Err(fail("this record does not stand in the log at this place".to_owned()));
        }
        let disclosed = disclosed(source, index, &bytes)?;
        report.count("records, in the log at their place", 1);
        report.count("values opened, each fitting its commitment", disclosed);
        records.insert(index, bytes);
    }
    for name in names {
        let index = numbered(name, "proofs/", ".tlog-proof").or_else(|| numbered(name, "disclosures/", ".json"));
        let loose = (name.starts_with("proofs/") || name.starts_with("disclosures/"))
            && index.is_none_or(|index| !records.contains_key(&index));
        if loose {
            return Err(Failure::new(source.place(name), "there is no record for it"));
        }
    }
    if records.is_empty() {
        return Err(Failure::new(source.place("records"), "there are none"));
    }
    Ok(records)
}

/// Opens what is disclosed of a record.
fn disclosed(source: &Source, index: u64, bytes: &[u8]) -> Result<u64, Failure> {
    let name = format!("disclosures/{index}.json");
    let Some(text) = source.find(&name)? else { return Ok(0) };
    let fail = |what: String| Failure::new(source.place(&name), what);
    let disclosures: Vec<Disclosure> = serde_json::from_slice(&text).map_err(|error| fail(error.to_string()))?;
    let record: Json = serde_json::from_slice(bytes).map_err(|error| fail(error.to_string()))?;
    for disclosure in &disclosures {
        let key = hex::decode(&disclosure.key).map_err(|error| fail(format!("{}: {error}", disclosure.path)))?;
        if !commitment::fits(&record, &disclosure.path, &key, disclosure.value.as_bytes()) {
            return Err(fail(format!("{}: the value does not fit the record's commitment", disclosure.path)));
        }
    }
    Ok(disclosures.len() as u64)
}

/// Sequences and times, oldest first.
fn times(
    source: &Source,
    (checkpoint, records): (&Checkpoint, &BTreeMap<u64, Vec<u8>>),
    anchors: &mut Anchors,
    report: &mut Report,
) -> Result<(), Failure> {
    let place = |index: u64| source.place(&format!("records/{index}.json"));
    let mut heartbeats = 0;
    for (index, bytes) in records {
        let entry = entry::read(bytes).map_err(|error| Failure::new(place(*index), error))?;
        if Anchors::own_heartbeat(&entry, checkpoint) {
            let at = anchors.heartbeat(bytes).map_err(|error| Failure::new(place(*index), error))?;
            anchors.times.after(index + 1, at);
            heartbeats += 1;
        }
    }
    let mut sequences = Sequences::default();
    let mut open = 0;
    for (index, bytes) in records {
        let fail = |error: String| Failure::new(place(*index), error);
        let entry = entry::read(bytes).map_err(fail)?;
        sequences.next(&entry.subject, entry.seq, false).map_err(fail)?;
        if !anchors.times.allow(*index, entry.at).map_err(fail)? {
            open += 1;
        }
    }
    report.count("heartbeats with their timestamps", heartbeats);
    if open > 0 {
        report.note(format!("{open} records are newer than the last timestamp or cosignature here: not anchored yet"));
    }
    Ok(())
}

/// Checkpoints from other hands: of the same size they must be the same. For other sizes the log itself is needed.
fn brought(
    checkpoint: &Checkpoint,
    anchors: &Anchors,
    trust: &Trust,
    keys: &[VerifierKey],
    report: &mut Report,
) -> Result<(), Failure> {
    for note in &trust.checkpoints {
        let fail = |what: String| Failure::new("a checkpoint that you brought", what);
        let other = by_log(note, keys).map_err(fail)?;
        let same = std::iter::once(checkpoint)
            .chain(anchors.checkpoints.iter().map(|(_, anchor)| anchor))
            .find(|known| known.size == other.size);
        match same {
            Some(known) if known.root == other.root => {
                report.count("checkpoints that you brought, equal to one here", 1)
            }
            Some(_) => {
                return Err(fail(format!("at {} leaves it is of another tree: one of the two is forged", other.size)));
            }
            None => report
                .note(format!("your checkpoint of {} leaves can be compared with the published log only", other.size)),
        }
    }
    Ok(())
}
