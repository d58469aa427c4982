//! What a witness's memory says of a published log: whether it still is the one that was cosigned, and which of the
//! refused checkpoints are of another history.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use super::super::checkpoint::Checkpoint;
use super::super::note::Note;
use super::super::tiles::{Folder, Stored};
use super::super::tree;
use super::memory::{Memory, MemoryError};

/// What became of one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The log has this tree at that size.
    Same,
    /// The log has another tree at that size: it was rewritten, or signed twice.
    Other,
    /// The log is smaller by now: something was cut off, or it is not all there yet.
    Beyond,
}

/// One checkpoint of the memory, and what the log says to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file of a refused checkpoint; None for the one that was cosigned last.
    pub refused: Option<PathBuf>,
    pub size: u64,
    pub verdict: Verdict,
}

impl Finding {
    /// Whether it speaks against the log. A refused checkpoint that is larger than the log may be a forged one that never
    /// came to be published; the signature below it is the log's all the same.
    pub fn accuses(&self) -> bool {
        self.verdict != Verdict::Same
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.verdict {
            Verdict::Same => "is of this log",
            Verdict::Other => "IS OF ANOTHER HISTORY",
            Verdict::Beyond => "IS LARGER THAN THIS LOG",
        };
        match &self.refused {
            None => write!(f, "the checkpoint of {} leaves, cosigned last, {what}", self.size),
            Some(path) => write!(f, "the refused checkpoint of {} leaves {what}: {}", self.size, path.display()),
        }
    }
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error("the published log: {0}")]
    Log(String),
    #[error("nothing is remembered of {0}")]
    Unknown(String),
}

/// Compares the memory with a published log.
///
/// # Errors
/// Where memory or log cannot be read, or the log was never cosigned.
pub fn judge(memory: &Memory, log: &Folder) -> Result<Vec<Finding>, JudgeError> {
    let path = log.checkpoint();
    let unreadable = |error: String| JudgeError::Log(format!("{}: {error}", path.display()));
    let text = fs::read_to_string(&path).map_err(|error| unreadable(error.to_string()))?;
    let note: Note = text.parse().map_err(|error| unreadable(format!("{error}")))?;
    let head: Checkpoint = note.text.parse().map_err(|error| unreadable(format!("{error}")))?;
    let (last, _) = memory.last(&head.origin)?.ok_or_else(|| JudgeError::Unknown(head.origin.clone()))?;
    let mut findings = vec![Finding { refused: None, size: last.size, verdict: verdict(&last, &head, log)? }];
    for (path, fork) in memory.forks()? {
        if fork.origin == head.origin {
            let verdict = verdict(&fork, &head, log)?;
            findings.push(Finding { refused: Some(path), size: fork.size, verdict });
        }
    }
    Ok(findings)
}

fn verdict(checkpoint: &Checkpoint, head: &Checkpoint, log: &Folder) -> Result<Verdict, JudgeError> {
    if checkpoint.size > head.size {
        return Ok(Verdict::Beyond);
    }
    let mut nodes = Stored::new(log.clone(), head.size);
    let root = tree::root(&mut nodes, checkpoint.size).map_err(|error| JudgeError::Log(error.to_string()))?;
    Ok(if root == checkpoint.root { Verdict::Same } else { Verdict::Other })
}
