//! A witness's folder: `key` (0600), `logs/*.vkey`, `memory/`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::note::{Algorithm, NoteError, SigningKey, VerifierKey};
use super::super::signer::{SignError, read_private, write_private};
use super::{Memory, Witness};

/// Why a witness cannot be had from a folder; says the mend.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{0} has no key; `tenure witness keygen` makes one")]
    NoKey(PathBuf),
    #[error(transparent)]
    Key(#[from] SignError),
    #[error("{0}: {1}")]
    Note(PathBuf, NoteError),
    #[error("{0}: a witness's key is of type cosignature/v1; `tenure witness keygen` makes one")]
    NotAWitness(PathBuf),
    #[error("{0}, line {1}: a log's key is of type Ed25519; this is a witness's")]
    NotALog(PathBuf, usize),
    #[error("no log is witnessed: put its verifier key into {0}, one a line, in a file that ends in .vkey")]
    NoLogs(PathBuf),
    #[error(
        "{0} is not there. It is what this witness remembers: bring it back from a backup. To begin anew, trusting each \
         log as it is now, make the folder"
    )]
    NoMemory(PathBuf),
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    move |source| FolderError::Io { path: path.to_owned(), source }
}

/// Makes a witness's folder with a new key in it. An existing key is not overwritten.
///
/// # Errors
/// Where the name cannot be a key's, a key is there already, or the disk refuses.
pub fn keygen(dir: &Path, name: &str) -> Result<VerifierKey, FolderError> {
    let path = dir.join("key");
    let key = SigningKey::from_seed(name, Algorithm::CosignatureV1, rand::random())
        .map_err(|error| FolderError::Note(path.clone(), error))?;
    fs::create_dir_all(dir).map_err(io_error(dir))?;
    write_private(&path, &key.text()).map_err(io_error(&path))?;
    for part in ["logs", "memory"] {
        fs::create_dir_all(dir.join(part)).map_err(io_error(&dir.join(part)))?;
    }
    Ok(key.verifier().clone())
}

/// The witness of a folder. `more` are further files of logs' keys.
///
/// # Errors
/// Where key, logs or memory are not there or not what they should be.
pub fn open(dir: &Path, more: &[PathBuf]) -> Result<Witness, FolderError> {
    let path = dir.join("key");
    if !path.exists() {
        return Err(FolderError::NoKey(dir.to_owned()));
    }
    let key: SigningKey = read_private(&path)?.parse().map_err(|error| FolderError::Note(path.clone(), error))?;
    if key.verifier().algorithm != Algorithm::CosignatureV1 {
        return Err(FolderError::NotAWitness(path));
    }
    let mut logs = BTreeMap::new();
    let mut files = vkey_files(&dir.join("logs"))?;
    files.extend_from_slice(more);
    for file in files {
        read_logs(&file, &mut logs)?;
    }
    if logs.is_empty() {
        return Err(FolderError::NoLogs(dir.join("logs")));
    }
    let memory = dir.join("memory");
    if !memory.is_dir() {
        return Err(FolderError::NoMemory(memory));
    }
    Ok(Witness::new(key, logs, Memory::new(memory)))
}

fn vkey_files(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error(folder)(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(io_error(folder))?.path();
        if path.extension().is_some_and(|ending| ending == "vkey") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// One key a line; a line that begins with `#` is a remark.
fn read_logs(file: &Path, logs: &mut BTreeMap<String, Vec<VerifierKey>>) -> Result<(), FolderError> {
    let text = fs::read_to_string(file).map_err(io_error(file))?;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key: VerifierKey = line.parse().map_err(|error| FolderError::Note(file.to_owned(), error))?;
        if key.algorithm != Algorithm::Ed25519 {
            return Err(FolderError::NotALog(file.to_owned(), number));
        }
        let keys = logs.entry(key.name.clone()).or_default();
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_says_what_it_lacks() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("witness");
        assert!(matches!(open(&dir, &[]), Err(FolderError::NoKey(_))));
        assert!(matches!(keygen(&dir, "a name"), Err(FolderError::Note(..))));
        let key = keygen(&dir, "witness.example/w1").unwrap();
        assert!(keygen(&dir, "witness.example/w1").is_err(), "a key is not overwritten");
        assert!(matches!(open(&dir, &[]), Err(FolderError::NoLogs(_))));
        let keys = [1, 2].map(|seed| {
            SigningKey::from_seed("example.com/log", Algorithm::Ed25519, [seed; 32]).unwrap().verifier().to_string()
        });
        let file = dir.join("logs/ours.vkey");
        fs::write(&file, format!("# before the rotation\n{}\n\n{}\r\n", keys[0], keys[1])).unwrap();
        let more = dir.join("more");
        fs::write(&more, &keys[1]).unwrap();
        let witness = open(&dir, std::slice::from_ref(&more)).unwrap();
        assert_eq!(witness.verifier(), &key);
        assert_eq!(witness.origins().collect::<Vec<_>>(), ["example.com/log"]);
        assert_eq!(witness.logs["example.com/log"].len(), 2);
        fs::write(&more, key.to_string()).unwrap();
        assert!(matches!(open(&dir, &[more]), Err(FolderError::NotALog(_, 1))));
        fs::remove_dir(dir.join("memory")).unwrap();
        assert!(matches!(open(&dir, &[]), Err(FolderError::NoMemory(_))));
    }
}
