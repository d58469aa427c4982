//! The witness: every answer of its protocol, what it refuses and keeps, and that its memory never goes back. No database.

mod network;
mod rules;

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tenure::evidence::checkpoint::Checkpoint;
use tenure::evidence::note::{Algorithm, Note, SigningKey};
use tenure::evidence::tiles::{Edge, Folder, Stored};
use tenure::evidence::tree;
use tenure::evidence::witness::{Memory, Witness, keygen, origin_hash};

const ORIGIN: &str = "example.com/tenure/1";
const NOW: u64 = 1_795_420_800;

/// A published log that grows.
struct Log {
    dir: tempfile::TempDir,
    edge: Edge,
    key: SigningKey,
    /// Goes into every entry: two logs of different words are two histories.
    word: &'static str,
}

impl Log {
    fn new(word: &'static str) -> Self {
        let key = SigningKey::from_seed(ORIGIN, Algorithm::Ed25519, [3; 32]).unwrap();
        Self { dir: tempfile::tempdir().unwrap(), edge: Edge::empty(), key, word }
    }

    fn folder(&self) -> Folder {
        Folder(self.dir.path().to_owned())
    }

    /// The tree as it is now: those of smaller sizes are read from its files.
    fn tree(&self) -> Stored {
        Stored::new(self.folder(), self.edge.size())
    }

    /// Appends entries up to that size and signs the checkpoint.
    fn grow(&mut self, size: u64) -> Note {
        let entries: Vec<Vec<u8>> =
            (self.edge.size()..size).map(|index| format!("{} {index}", self.word).into_bytes()).collect();
        let folder = self.folder();
        for file in self.edge.append(&entries) {
            let path = folder.tile(file.kind, file.number, file.width);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file.bytes).unwrap();
        }
        let note = self.note(size);
        fs::write(folder.checkpoint(), note.to_string()).unwrap();
        note
    }

    /// The signed checkpoint of a size that it has, or had.
    fn note(&self, size: u64) -> Note {
        let text = Checkpoint::new(ORIGIN, size, tree::root(&mut self.tree(), size).unwrap()).to_string();
        Note { signatures: vec![self.key.sign(&text)], text }
    }

    /// What a client that knows the witness's size sends.
    fn submission(&self, old: u64, size: u64) -> String {
        body(old, &tree::consistency(&mut self.tree(), old, size).unwrap(), &self.note(size))
    }
}

fn body(old: u64, proof: &[tree::Hash], note: &Note) -> String {
    let lines: String = proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
    format!("old {old}\n{lines}\n{note}")
}

/// A witness's folder that trusts the log.
fn folder(log: &Log) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    keygen(dir.path(), "witness.example/w1").unwrap();
    fs::write(dir.path().join("logs/tenure.vkey"), log.key.verifier().to_string()).unwrap();
    dir
}

/// What the witness remembers, by its size.
fn remembered(witness: &Witness) -> u64 {
    witness.last(&origin_hash(ORIGIN)).unwrap().text.parse::<Checkpoint>().unwrap().size
}

fn forks(dir: &Path) -> Vec<String> {
    let forks = Memory::new(dir.join("memory")).forks().unwrap();
    forks
        .iter()
        .map(|(path, checkpoint)| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(path.with_extension("known").exists(), "what was known then stands beside it");
            format!("{} {}", name[17..].trim_end_matches(|letter: char| letter.is_ascii_hexdigit()), checkpoint.size)
        })
        .collect()
}
