//! A log's state (c2sp.org/tlog-checkpoint): its origin, how many leaves it has, and their root.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::tree::{Hash, empty_root};

/// The text of a checkpoint's note. Displayed as it is signed, with its last line's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
    /// Lines after the third; carried along, without meaning here.
    pub extensions: Vec<String>,
}

/// Not a checkpoint; says which line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint: {0}")]
pub struct CheckpointError(&'static str);

impl Checkpoint {
    pub fn new(origin: impl Into<String>, size: u64, root: Hash) -> Self {
        Self { origin: origin.into(), size, root, extensions: Vec::new() }
    }

    /// Before the first leaf.
    pub fn empty(origin: impl Into<String>) -> Self {
        Self::new(origin, 0, empty_root())
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let text = text.strip_suffix('\n').ok_or(CheckpointError("its last line does not end"))?;
        let mut lines = text.split('\n');
        let origin = lines.next().filter(|line| !line.is_empty()).ok_or(CheckpointError("no origin"))?;
        let size = lines.next().and_then(decimal).ok_or(CheckpointError("the second line is its size"))?;
        let root = lines.next().and_then(hash).ok_or(CheckpointError("the third line is its root in base64"))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(CheckpointError("an empty line"));
        }
        if size == 0 && root != empty_root() {
            return Err(CheckpointError("a log without leaves has another root"));
        }
        Ok(Self { origin: origin.to_owned(), size, root, extensions })
    }
}

/// A number without sign, spaces or leading zeroes.
pub fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// A hash in base64.
pub fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_read_as_it_is_written() {
        let text = "example.com/log\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\nmore\n";
        let checkpoint: Checkpoint = text.parse().unwrap();
        assert_eq!((checkpoint.size, checkpoint.extensions.len()), (20_852_163, 1));
        assert_eq!(checkpoint.to_string(), text);
        assert_eq!(Checkpoint::empty("a").to_string().parse(), Ok(Checkpoint::empty("a")));
        for (from, to) in
            [("20852163", "020852163"), ("20852163", "+2"), ("2I=", "2I"), ("more\n", "more"), ("more", "")]
        {
            assert!(text.replace(from, to).parse::<Checkpoint>().is_err(), "{from} {to}");
        }
    }
}
