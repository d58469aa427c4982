//! A witness (c2sp.org/tlog-witness): somebody outside who remembers how far a log had come, and says so by a signature.
//!
//! A log asks it to cosign each new checkpoint. The witness does so only if the tree goes on from the one that it
//! cosigned last; that one it keeps in a folder of its own, on disk before the cosignature leaves. Whoever holds the log's
//! key and its database can rewrite both; to rewrite what a witness has cosigned, they would need the witness as well.
//!
//! Here are the rules, without HTTP ([`Witness`]), what it remembers ([`memory`]), its folder ([`open`], [`keygen`]),
//! the log's side of the exchange ([`client`]), and what refused checkpoints amount to ([`judge`]).

pub mod client;
mod folder;
pub mod judge;
pub mod memory;

use std::collections::BTreeMap;

use super::checkpoint::{self, Checkpoint};
use super::note::{Note, SigningKey, VerifierKey};
use super::tree::{self, Hash};

pub use folder::{FolderError, keygen, open};
pub use memory::{Memory, origin_hash};

/// The longest submission, in bytes.
pub const LONGEST: usize = 64 * 1024;
/// Hashes of a consistency proof; a tree cannot have more.
const MOST_HASHES: usize = 63;
/// How far this machine's clock may step back, in seconds, before nothing more is cosigned.
const CLOCK_STEP: u64 = 60;

/// Why a checkpoint was not cosigned. Displayed as the answer says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("not a submission: {0}")]
    Malformed(String),
    #[error("no signature by a key that is trusted for {0}")]
    Untrusted(String),
    #[error("{0} is not a log that is witnessed here")]
    UnknownLog(String),
    /// The proof begins elsewhere than at the size that was cosigned last, which is this.
    #[error("{0}")]
    Behind(u64),
    #[error("another tree of {0} leaves was cosigned")]
    OtherRoot(u64),
    #[error("the tree of {new} leaves is not shown to begin with the {old} that were cosigned")]
    Inconsistent { old: u64, new: u64 },
    #[error("this witness's clock is behind its last cosignature, nothing is cosigned until it is right")]
    Clock,
    /// Nothing was cosigned. The log of this process says why.
    #[error("this witness cannot use its memory, nothing is cosigned")]
    Memory,
}

impl Refusal {
    /// The status that the protocol gives it.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Untrusted(_) => 403,
            Self::UnknownLog(_) => 404,
            Self::Behind(_) | Self::OtherRoot(_) => 409,
            Self::Inconsistent { .. } => 422,
            Self::Clock | Self::Memory => 500,
        }
    }

    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Behind(_) => "text/x.tlog.size",
            _ => "text/plain; charset=utf-8",
        }
    }
}

/// What is asked: cosign this, here is how it goes on from the tree of `old` leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    pub old: u64,
    pub proof: Vec<Hash>,
    pub note: Note,
    pub checkpoint: Checkpoint,
}

impl Submission {
    /// # Errors
    /// Where the text is not one; says which part.
    pub fn parse(body: &str) -> Result<Self, Refusal> {
        let bad = |what: &str| Refusal::Malformed(what.to_owned());
        if body.len() > LONGEST {
            return Err(bad("too long"));
        }
        let (head, rest) = body.split_once("\n\n").ok_or_else(|| bad("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(checkpoint::decimal);
        let old = old.ok_or_else(|| bad("its first line is “old SIZE”"))?;
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() == MOST_HASHES {
                return Err(bad("more than 63 hashes"));
            }
            proof.push(checkpoint::hash(line).ok_or_else(|| bad("a line of the proof is not a hash in base64"))?);
        }
        let note: Note = rest.parse().map_err(|error| Refusal::Malformed(format!("{error}")))?;
        let checkpoint: Checkpoint = note.text.parse().map_err(|error| Refusal::Malformed(format!("{error}")))?;
        Ok(Self { old, proof, note, checkpoint })
    }
}

/// A key, the logs that it watches, and what it remembers of them.
#[derive(Debug)]
pub struct Witness {
    key: SigningKey,
    /// By origin. Several keys where a log has changed its own.
    logs: BTreeMap<String, Vec<VerifierKey>>,
    memory: Memory,
}

impl Witness {
    pub fn new(key: SigningKey, logs: BTreeMap<String, Vec<VerifierKey>>, memory: Memory) -> Self {
        Self { key, logs, memory }
    }

    pub fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// The origins that are witnessed here.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.logs.keys().map(String::as_str)
    }

    /// The last cosigned checkpoint of the log whose origin has this hash ([`origin_hash`]).
    ///
    /// # Errors
    /// Where that log is not witnessed here, was never cosigned, or the memory cannot be read.
    pub fn last(&self, hash: &str) -> Result<Note, Refusal> {
        let unknown = || Refusal::UnknownLog(hash.to_owned());
        let origin = self.origins().find(|origin| origin_hash(origin) == hash).ok_or_else(unknown)?;
        let last = self.memory.last(origin).map_err(|error| forgetful(&error))?;
        last.map(|(_, note)| note).ok_or_else(unknown)
    }

    /// Cosigns at `now` (seconds since 1970), and gives the signature's line. Blocks: on the disk, and while another
    /// submission is looked at.
    ///
    /// # Errors
    /// As [`Refusal`] lists; nothing was cosigned then.
    pub fn add_checkpoint(&self, body: &str, now: u64) -> Result<String, Refusal> {
        let asked = Submission::parse(body)?;
        let asked = Submission { note: self.trusted(&asked)?, ..asked };
        let new = &asked.checkpoint;
        if asked.old > new.size {
            return Err(Refusal::Malformed("the old size is above the checkpoint's".to_owned()));
        }
        // From here to the write nobody else looks or writes: not another request, not another process.
        let _lock = self.memory.lock().map_err(|error| forgetful(&error))?;
        let last = self.memory.last(&new.origin).map_err(|error| forgetful(&error))?;
        let (known, known_note) = match &last {
            Some((known, note)) => (known.clone(), Some(note)),
            None => (Checkpoint::empty(new.origin.as_str()), None),
        };
        if let Err(refusal) = continues(&asked, &known) {
            if let (Some(why), Some(known_note)) = (memory::suspicion(&refusal, new, &known), known_note) {
                self.memory.keep(why, &asked.note, known_note);
            }
            return Err(refusal);
        }
        let time = self.time(now, known_note)?;
        let cosignature = self.key.cosign(&asked.note.text, time);
        let mut note = asked.note.clone();
        note.signatures.push(cosignature.clone());
        self.memory.put(&new.origin, &note).map_err(|error| forgetful(&error))?;
        if known_note.is_none() {
            tracing::warn!(origin = new.origin, size = new.size, "a log is seen for the first time");
        }
        Ok(cosignature.to_string())
    }

    /// The note with the signatures of trusted keys alone.
    fn trusted(&self, asked: &Submission) -> Result<Note, Refusal> {
        let origin = &asked.checkpoint.origin;
        let keys = self.logs.get(origin).ok_or_else(|| Refusal::UnknownLog(origin.clone()))?;
        let by_known = |signature: &super::note::Signature| {
            keys.iter().find(|key| key.name == signature.name && key.id() == signature.id)
        };
        let mut note = asked.note.clone();
        note.signatures.retain(|signature| by_known(signature).is_some_and(|key| alone(&asked.note, signature, key)));
        if note.signatures.is_empty() { Err(Refusal::Untrusted(origin.clone())) } else { Ok(note) }
    }

    /// The time to state: never before the one that was stated last. A clock that went back a little (a leap, a slow
    /// correction) repeats the last time; one that went back far may be somebody's attempt to back-date.
    fn time(&self, now: u64, known: Option<&Note>) -> Result<u64, Refusal> {
        // A cosignature of a former key of this witness binds nothing.
        let last = known.and_then(|note| note.verify(self.verifier()).ok().flatten()).unwrap_or(0);
        if now.saturating_add(CLOCK_STEP) < last {
            tracing::error!(now, last, "the clock is behind the last cosignature: nothing is cosigned");
            return Err(Refusal::Clock);
        }
        Ok(now.max(last))
    }
}

fn alone(note: &Note, signature: &super::note::Signature, key: &VerifierKey) -> bool {
    Note { text: note.text.clone(), signatures: vec![signature.clone()] }.verify(key).is_ok()
}

fn forgetful(error: &memory::MemoryError) -> Refusal {
    tracing::error!(%error, "the memory cannot be used: nothing is cosigned");
    Refusal::Memory
}

/// Whether what is asked goes on from what was cosigned last.
fn continues(asked: &Submission, known: &Checkpoint) -> Result<(), Refusal> {
    let new = &asked.checkpoint;
    if asked.old != known.size {
        return Err(Refusal::Behind(known.size));
    }
    if new.size == known.size && new.root != known.root {
        return Err(Refusal::OtherRoot(known.size));
    }
    if !tree::consistent((known.size, &known.root), (new.size, &new.root), &asked.proof) {
        return Err(Refusal::Inconsistent { old: known.size, new: new.size });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::note::Algorithm;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_specification_is_read() {
        let body = "old 20852014\n\
            PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
            jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
            5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
            /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
            \n\
            example.com/behind-the-sofa\n\
            20852163\n\
            CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
            \n\
            — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
            — example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";
        let read = Submission::parse(body).unwrap();
        assert_eq!((read.old, read.proof.len(), read.note.signatures.len()), (20_852_014, 4, 2));
        assert_eq!(read.checkpoint.size, 20_852_163);
        for (from, to) in [
            ("old 20852014", "old 020852014"),
            ("old 20852014", "20852014"),
            ("old 20852014", "old  20852014"),
            ("old 20852014", "old 99999999999999999999"),
            ("PlRN", "Pl\n"),
            ("PlRN", ""),
            ("\n\n", "\n"),
            ("8=\n— ex", "8=\r\n— ex"),
        ] {
            assert!(Submission::parse(&body.replacen(from, to, 1)).is_err(), "{from:?} {to:?}");
        }
        let line = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n";
        assert!(Submission::parse(&body.replacen(line, &line.repeat(60), 1)).is_ok());
        assert!(Submission::parse(&body.replacen(line, &line.repeat(61), 1)).is_err(), "64 hashes");
    }

    fn witness(folder: &std::path::Path) -> (Witness, SigningKey) {
        let log = SigningKey::from_seed("example.com/log", Algorithm::Ed25519, [1; 32]).unwrap();
        let key = SigningKey::from_seed("example.com/w", Algorithm::CosignatureV1, [2; 32]).unwrap();
        let logs = BTreeMap::from([("example.com/log".to_owned(), vec![log.verifier().clone()])]);
        (Witness::new(key, logs, Memory::new(folder)), log)
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let dir = tempfile::tempdir().unwrap();
            let (witness, _) = witness(dir.path());
            prop_assert!(witness.add_checkpoint(&String::from_utf8_lossy(&bytes), 1).is_err());
        }

        /// Whatever is changed in a submission that would be cosigned, either it still is one of the very same
        /// checkpoint, or it is refused.
        #[test]
        fn no_change_slips_through(at in any::<prop::sample::Index>(), with in ".{0,3}", cut in 0usize..4) {
            let dir = tempfile::tempdir().unwrap();
            let (witness, log) = witness(dir.path());
            let text = Checkpoint::new("example.com/log", 7, [9; 32]).to_string();
            let body = format!("old 0\n\n{}", Note { signatures: vec![log.sign(&text)], text: text.clone() });
            let mut letters: Vec<char> = body.chars().collect();
            let start = at.index(letters.len());
            let end = (start + cut).min(letters.len());
            letters.splice(start..end, with.chars());
            let changed: String = letters.into_iter().collect();
            if witness.add_checkpoint(&changed, 1).is_ok() {
                prop_assert_eq!(witness.last(&origin_hash("example.com/log")).unwrap().text, text);
            }
        }
    }
}
