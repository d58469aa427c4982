//! A proof that stands alone (c2sp.org/tlog-proof): a leaf's place, the path to the root, and the signed checkpoint.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{Checkpoint, decimal, hash};
use super::note::Note;
use super::tree::{self, Hash};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// That some leaf stands at `index` in the log at that checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub index: u64,
    pub path: Vec<Hash>,
    pub note: Note,
}

/// Not a proof; says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a tlog-proof: {0}")]
pub struct ProofError(String);

impl Proof {
    /// Whether the entry stands where the proof says. The note's signatures are looked at elsewhere.
    ///
    /// # Errors
    /// Where the note holds no checkpoint.
    pub fn proves(&self, entry: &[u8]) -> Result<bool, ProofError> {
        let checkpoint: Checkpoint = self.note.text.parse().map_err(|error| ProofError(format!("{error}")))?;
        Ok(tree::includes(&tree::leaf_hash(entry), self.index, checkpoint.size, &self.path, &checkpoint.root))
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}\nindex {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash)))?;
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for Proof {
    type Err = ProofError;

    fn from_str(text: &str) -> Result<Self, ProofError> {
        let bad = |what: &str| ProofError(what.to_owned());
        let (head, note) = text.split_once("\n\n").ok_or_else(|| bad("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FIRST_LINE) {
            return Err(bad("its first line is c2sp.org/tlog-proof@v1"));
        }
        let mut line = lines.next().unwrap_or_default();
        if let Some(extra) = line.strip_prefix("extra ") {
            STANDARD.decode(extra).map_err(|_| bad("the extra data is base64"))?;
            line = lines.next().unwrap_or_default();
        }
        let index = line.strip_prefix("index ").and_then(decimal).ok_or_else(|| bad("a line “index N”"))?;
        let path: Vec<Hash> = lines.map(hash).collect::<Option<_>>().ok_or_else(|| bad("a line is not a hash"))?;
        if path.len() > 63 {
            return Err(bad("the path is too long"));
        }
        let note = note.parse().map_err(|error| ProofError(format!("{error}")))?;
        Ok(Self { index, path, note })
    }
}
