//! What others said about the log: timestamped and cosigned checkpoints under `anchors/<size>/`.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::source::Source;
use super::times::Times;
use super::{Failure, Report, entry, signed, witnessed};
use crate::evidence::action::LOG_ANCHORED;
use crate::evidence::checkpoint::{Checkpoint, decimal};
use crate::evidence::note::VerifierKey;
use crate::evidence::timestamp;

/// Everything that was anchored, looked through and found to hold.
#[derive(Default)]
pub(super) struct Anchors {
    /// With the folder's name in the source.
    pub checkpoints: Vec<(String, Checkpoint)>,
    /// By the token's digest: (authority, size, time in microseconds).
    tokens: HashMap<String, (String, u64, i64)>,
    pub times: Times,
}

/// Reads every anchor of a log or bundle.
pub(super) fn read(
    source: &Source,
    names: &[String],
    keys: &[VerifierKey],
    witnesses: &[VerifierKey],
    report: &mut Report,
) -> Result<Anchors, Failure> {
    let mut anchors = Anchors::default();
    for name in names {
        let Some((folder, file)) = name.strip_prefix("anchors/").and_then(|rest| rest.split_once('/')) else {
            continue;
        };
        let folder = format!("anchors/{folder}");
        if file == "checkpoint" {
            let (checkpoint, note) = signed(source, name, keys)?;
            if decimal(folder.trim_start_matches("anchors/")) != Some(checkpoint.size) {
                return Err(Failure::new(source.place(name), format!("it is of {} leaves", checkpoint.size)));
            }
            let seen = witnessed(&note, witnesses).map_err(|error| Failure::new(source.place(name), error))?;
            report.count("cosignatures of witnesses on anchored checkpoints", seen.len() as u64);
            anchors.witnessed(checkpoint.size, &seen);
            report.count("anchored checkpoints, signed by the log", 1);
            anchors.checkpoints.push((folder, checkpoint));
        } else if let Some(authority) = file.strip_suffix(".tsr") {
            let data = source.read(&format!("{folder}/checkpoint"))?;
            let token = source.read(name)?;
            let roots = source.text(&format!("tsa/{authority}.pem"))?;
            let stamp = timestamp::verify(&token, &data, &roots, None)
                .map_err(|error| Failure::new(source.place(name), error))?;
            let size = decimal(folder.trim_start_matches("anchors/"))
                .ok_or_else(|| Failure::new(source.place(name), "its folder is not named after a size"))?;
            let at = stamp.gen_time.timestamp_micros();
            anchors.times.existed(size, at);
            anchors.tokens.insert(hex::encode(Sha256::digest(&token)), (authority.to_owned(), size, at));
            report.count("timestamps, their signatures and certificates", 1);
        }
    }
    Ok(anchors)
}

impl Anchors {
    /// Witnesses saw the log at that size at these times.
    pub(super) fn witnessed(&mut self, size: u64, times: &[i64]) {
        for at in times {
            self.times.existed(size, *at);
            self.times.after(size, *at);
        }
    }

    /// Whether a record is a heartbeat of the log itself. A log that was begun after a restore holds those of the one before as
    /// well: their timestamps stand beside that one and say nothing of this one's indexes.
    pub(super) fn own_heartbeat(entry: &entry::Entry<'_>, checkpoint: &Checkpoint) -> bool {
        entry.action == LOG_ANCHORED && entry.subject.strip_prefix("log:") == Some(checkpoint.origin.as_str())
    }

    /// A heartbeat's record names a token that is here, and says of it what it says itself. Gives the token's time.
    pub(super) fn heartbeat(&self, bytes: &[u8]) -> Result<i64, String> {
        let said = entry::heartbeat(bytes)?;
        let Some((authority, size, at)) = self.tokens.get(&said.token_sha256) else {
            return Err(format!("its timestamp ({} at {} leaves) is not there", said.authority, said.size));
        };
        let told = chrono::DateTime::parse_from_rfc3339(&said.gen_time).map(|told| told.timestamp_micros());
        if (authority, *size) != (&said.authority, said.size) || told != Ok(*at) {
            return Err("it says something else of its timestamp than the timestamp itself".to_owned());
        }
        Ok(*at)
    }
}
