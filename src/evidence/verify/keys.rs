//! Which keys are the log's: the first one, and those that it introduced.

use super::source::Source;
use super::{Failure, Report, Trust};
use crate::evidence::note::{Algorithm, Note, NoteError, VerifierKey};

const LOG: &str = "keys/log.vkey";
const WITNESSES: &str = "keys/witnesses.vkey";

/// The log's keys, oldest first. Each after the first trusted one needs the statement that the one before signed.
pub(super) fn of_log(source: &Source, trust: &Trust, report: &mut Report) -> Result<Vec<VerifierKey>, Failure> {
    let fail = |what: &str| Failure::new(source.place(LOG), what);
    let listed = read(source, LOG, Algorithm::Ed25519)?;
    let mut trusted: Vec<VerifierKey> = trust.keys.iter().filter(|key| listed.contains(key)).cloned().collect();
    if trust.keys.is_empty() {
        let first = listed.first().ok_or_else(|| fail("no key"))?;
        report.note(format!("the log's key was taken from the folder itself: compare {first} with what you were told"));
        trusted.push(first.clone());
    } else if trusted.is_empty() {
        return Err(fail("none of the log's keys is one that you trust"));
    }
    for new in &listed {
        let place = |key: &VerifierKey| listed.iter().position(|other| other == key);
        if trusted.contains(new) || place(new) < place(&trusted[0]) {
            continue;
        }
        introduced(source, new, &trusted)?;
        report.count("key rotations, signed by the key before", 1);
        trusted.push(new.clone());
    }
    Ok(trusted)
}

/// A key that took another's place has that one's word for it.
fn introduced(source: &Source, new: &VerifierKey, trusted: &[VerifierKey]) -> Result<(), Failure> {
    let name = format!("keys/rotation-{}", hex::encode(new.id()));
    let fail = |what: String| Failure::new(source.place(&name), what);
    let statement: Note = source.text(&name)?.parse().map_err(|error: NoteError| fail(error.to_string()))?;
    let lines: Vec<&str> = statement.text.lines().collect();
    let key = new.to_string();
    if !matches!(lines.as_slice(), ["tenure key rotation", origin, _, introduced] if *origin == new.name && *introduced == key)
    {
        return Err(fail("it does not introduce this key".to_owned()));
    }
    statement.verify(new).map_err(|error| fail(error.to_string()))?;
    if trusted.iter().any(|old| statement.verify(old).is_ok()) {
        Ok(())
    } else {
        Err(fail("no key that was trusted before signed it".to_owned()))
    }
}

/// The witnesses' keys: those given, else those in the folder.
pub(super) fn of_witnesses(source: &Source, trust: &Trust, report: &mut Report) -> Result<Vec<VerifierKey>, Failure> {
    if !trust.witnesses.is_empty() {
        return Ok(trust.witnesses.clone());
    }
    if source.find(WITNESSES)?.is_none() {
        return Ok(Vec::new());
    }
    let keys = read(source, WITNESSES, Algorithm::CosignatureV1)?;
    if !keys.is_empty() {
        report.note(
            "the witnesses' keys were taken from the folder itself: compare them with what the witnesses say"
                .to_owned(),
        );
    }
    Ok(keys)
}

fn read(source: &Source, name: &str, algorithm: Algorithm) -> Result<Vec<VerifierKey>, Failure> {
    let fail = |what: String| Failure::new(source.place(name), what);
    let text = source.text(name)?;
    let keys: Vec<VerifierKey> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|error: NoteError| fail(error.to_string()))?;
    if keys.iter().map(|key| format!("{key}\n")).collect::<String>() != text {
        return Err(fail("not one key on each line".to_owned()));
    }
    match keys.iter().find(|key| key.algorithm != algorithm) {
        Some(other) => Err(fail(format!("{other} is a key of another kind"))),
        None => Ok(keys),
    }
}
