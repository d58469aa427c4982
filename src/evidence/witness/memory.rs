//! What a witness remembers: of each log the note that it cosigned last, and the signed checkpoints that it refused.
//!
//! `memory/<origin's hash>` is that note, written whole and synced. `memory/forks/` holds what was refused although the log's key
//! had signed it, each beside the note that was known then (`….known`): together they show what the log has done.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::super::checkpoint::Checkpoint;
use super::super::note::Note;
use super::super::tiles::write_whole;
use super::Refusal;

/// Refused checkpoints that are kept for each reason; the oldest goes when there are more.
const MOST_KEPT: usize = 200;

/// The memory does not do what it is for.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{0} is not what this witness has written: {1}")]
    Unreadable(PathBuf, String),
}

/// SHA-256 of a log's origin, in hex: the log's name in files and addresses.
pub fn origin_hash(origin: &str) -> String {
    hex::encode(Sha256::digest(origin))
}

/// Why a signed checkpoint was refused, as far as it casts a doubt on the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Two signed trees of one size: the proof that the log has two histories.
    OtherRoot,
    /// Not shown to go on from what was cosigned: another history, or a wrong proof.
    Inconsistent,
    /// Smaller than what was cosigned: a log restored from a backup, a rewritten one, or only an old checkpoint.
    Smaller,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherRoot => "other-root",
            Self::Inconsistent => "inconsistent",
            Self::Smaller => "smaller",
        })
    }
}

/// What a refusal says of the log. That a proof began at the wrong size says nothing of it by itself.
pub(super) fn suspicion(refusal: &Refusal, new: &Checkpoint, known: &Checkpoint) -> Option<Why> {
    match refusal {
        Refusal::Behind(_) | Refusal::OtherRoot(_) if new.size == known.size && new.root != known.root => {
            Some(Why::OtherRoot)
        }
        // Every log begins empty.
        Refusal::Behind(_) if new.size < known.size && new.size > 0 => Some(Why::Smaller),
        Refusal::Inconsistent { .. } => Some(Why::Inconsistent),
        _ => None,
    }
}

/// A folder that only this witness writes to.
#[derive(Debug, Clone)]
pub struct Memory {
    folder: PathBuf,
}

impl Memory {
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Holds everybody else off until the file is dropped. The folder itself is not made here: where it has gone, a
    /// person decides whether to begin anew.
    pub(super) fn lock(&self) -> Result<fs::File, MemoryError> {
        let path = self.folder.join("lock");
        let locked = || {
            let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        locked().map_err(|source| MemoryError::Io { path: path.clone(), source })
    }

    /// The note that was cosigned last, None before the first.
    ///
    /// # Errors
    /// Where the file cannot be read, or is not a checkpoint of that log.
    pub fn last(&self, origin: &str) -> Result<Option<(Checkpoint, Note)>, MemoryError> {
        let path = self.folder.join(origin_hash(origin));
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(MemoryError::Io { path, source }),
        };
        let (checkpoint, note) = read(&path, &text)?;
        if checkpoint.origin != origin {
            return Err(MemoryError::Unreadable(path, format!("it is about {}", checkpoint.origin)));
        }
        Ok(Some((checkpoint, note)))
    }

    /// Makes the note the last one, on disk when this returns.
    pub(super) fn put(&self, origin: &str, note: &Note) -> Result<(), MemoryError> {
        let path = self.folder.join(origin_hash(origin));
        write_whole(&path, note.to_string().as_bytes()).map_err(|source| MemoryError::Io { path, source })?;
        // What could not be shown to go on, and now was, casts no doubt any more.
        for name in [self.fork(Why::Inconsistent, origin, note), self.known(Why::Inconsistent, origin, note)] {
            drop(fs::remove_file(name));
        }
        Ok(())
    }

    fn fork(&self, why: Why, origin: &str, refused: &Note) -> PathBuf {
        let digest = hex::encode(Sha256::digest(&refused.text));
        self.folder.join("forks").join(format!("{}-{why}-{}", &origin_hash(origin)[..16], &digest[..16]))
    }

    fn known(&self, why: Why, origin: &str, refused: &Note) -> PathBuf {
        self.fork(why, origin, refused).with_extension("known")
    }

    /// Keeps a refused checkpoint beside what was known. The refusal stands whether or not the disk takes it.
    pub(super) fn keep(&self, why: Why, refused: &Note, known: &Note) {
        let origin = refused.text.split('\n').next().unwrap_or_default();
        let path = self.fork(why, origin, refused);
        if path.exists() {
            return;
        }
        let sizes = [known, refused].map(|note| note.text.split('\n').nth(1).unwrap_or_default().to_owned());
        let [known_size, refused_size] = sizes;
        // Old checkpoints come back in the ordinary course of things; the other two do not.
        if why == Why::Smaller {
            tracing::warn!(origin, known_size, refused_size, %why, file = %path.display(),
                "a signed checkpoint is smaller than what was cosigned: refused and kept");
        } else {
            tracing::error!(origin, known_size, refused_size, %why, file = %path.display(),
                "a signed checkpoint does not go on from what was cosigned: refused and kept as proof");
        }
        let kept = write_whole(&self.known(why, origin, refused), known.to_string().as_bytes())
            .and_then(|()| write_whole(&path, refused.to_string().as_bytes()))
            .and_then(|()| self.thin(why));
        if let Err(error) = kept {
            tracing::error!(%error, file = %path.display(), "a refused checkpoint could not be kept: {refused}");
        }
    }

    /// Lets the oldest go where there are too many for one reason.
    fn thin(&self, why: Why) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(self.folder.join("forks"))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains(&format!("-{why}-")) && !name.contains('.') {
                files.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        files.sort();
        for (_, path) in files.iter().take(files.len().saturating_sub(MOST_KEPT)) {
            fs::remove_file(path)?;
            drop(fs::remove_file(path.with_extension("known")));
        }
        Ok(())
    }

    /// What was refused: each checkpoint with its file.
    ///
    /// # Errors
    /// Where the folder or a file of it cannot be read.
    pub fn forks(&self) -> Result<Vec<(PathBuf, Checkpoint)>, MemoryError> {
        let folder = self.folder.join("forks");
        let io = |source| MemoryError::Io { path: folder.clone(), source };
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(error)),
        };
        let mut forks = Vec::new();
        for entry in entries {
            let path = entry.map_err(io)?.path();
            if path.file_name().is_some_and(|name| !name.to_string_lossy().contains('.')) {
                let text = fs::read_to_string(&path).map_err(io)?;
                forks.push((path.clone(), read(&path, &text)?.0));
            }
        }
        forks.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(forks)
    }
}

fn read(path: &Path, text: &str) -> Result<(Checkpoint, Note), MemoryError> {
    let unreadable = |error: String| MemoryError::Unreadable(path.to_owned(), error);
    let note: Note = text.parse().map_err(|error| unreadable(format!("{error}")))?;
    let checkpoint = note.text.parse().map_err(|error| unreadable(format!("{error}")))?;
    Ok((checkpoint, note))
}
