//! The log's signer: holds the key and the head, the last checkpoint that it signed, in a folder outside the database.
//!
//! It signs a checkpoint only if the tree that it names begins with the head's tree, and puts it in the head's place under
//! the folder's lock: two sequencers at once, or a database restored from an older backup, cannot make it sign two
//! histories. The head is on disk before the signature leaves. It may run as a process and user of its own
//! (`tenure sign`); [`Line`] is how the sequencer reaches it either way.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::checkpoint::{self, Checkpoint};
use super::note::{Algorithm, Note, SigningKey, VerifierKey};
use super::tiles::write_whole;
use super::tree::{self, Hash};

/// The longest question: a checkpoint and 63 hashes.
const LONGEST: u64 = 16 * 1024;
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Somebody signed meanwhile: prove from this size and ask again.
    #[error("the signed head is at {0} leaves by now")]
    Behind(u64),
    /// The tree is not the one that was signed before. Nothing mends this but an administrator.
    #[error("refused: {0}")]
    Inconsistent(String),
    #[error("the signer's folder: {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the signer's folder {0} has no key; `tenure evidence keygen` makes one")]
    NoKey(PathBuf),
    #[error(
        "the signer's folder {0} has a key but no head: it was lost or taken away, and nothing is signed without it"
    )]
    NoHead(PathBuf),
    #[error("{0}: {1}")]
    Unreadable(PathBuf, String),
    #[error("the signer at {0} does not answer: {1}")]
    Unreachable(PathBuf, String),
}

/// What is asked to be signed.
#[derive(Debug, Clone)]
pub struct Question {
    pub checkpoint: Checkpoint,
    /// The head's size that the proof begins at.
    pub old: u64,
    pub proof: Vec<Hash>,
}

/// The folder with `key` and `head`.
#[derive(Debug, Clone)]
pub struct Keeper {
    folder: PathBuf,
}

impl Keeper {
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn io(&self, name: &str) -> impl FnOnce(io::Error) -> SignError {
        let path = self.folder.join(name);
        move |source| SignError::Io { path, source }
    }

    /// Makes the key of a new log, its public half beside it, and its head, the checkpoint of a log without leaves. No key
    /// is overwritten.
    ///
    /// # Errors
    /// Where a key is there already, or the disk refuses.
    pub fn make(&self, origin: &str) -> Result<VerifierKey, SignError> {
        let key = new_key(origin)?;
        fs::create_dir_all(&self.folder).map_err(self.io(""))?;
        write_private(&self.folder.join("key"), &key.text()).map_err(self.io("key"))?;
        let text = Checkpoint::empty(origin).to_string();
        let head = Note { signatures: vec![key.sign(&text)], text };
        write_whole(&self.folder.join("head"), head.to_string().as_bytes()).map_err(self.io("head"))?;
        let public = format!("{}\n", key.verifier());
        write_whole(&self.folder.join("log.vkey"), public.as_bytes()).map_err(self.io("log.vkey"))?;
        Ok(key.verifier().clone())
    }

    /// The key. Refused where others may read its file.
    ///
    /// # Errors
    /// Where it is not there, not a key, or not private.
    pub fn key(&self) -> Result<SigningKey, SignError> {
        let path = self.folder.join("key");
        if !path.exists() {
            return Err(SignError::NoKey(self.folder.clone()));
        }
        let text = read_private(&path)?;
        text.parse().map_err(|error| SignError::Unreadable(path, format!("{error}")))
    }

    /// The last checkpoint that was signed, and its note.
    ///
    /// # Errors
    /// Where it is missing or not by this key.
    pub fn head(&self) -> Result<(Checkpoint, Note), SignError> {
        self.finish()?;
        let key = self.key()?;
        let path = self.folder.join("head");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SignError::NoHead(self.folder.clone()));
            }
            Err(source) => return Err(SignError::Io { path, source }),
        };
        let wrong = |error: String| SignError::Unreadable(path.clone(), error);
        let note: Note = text.parse().map_err(|error| wrong(format!("{error}")))?;
        note.verify(key.verifier()).map_err(|error| wrong(error.to_string()))?;
        let checkpoint = note.text.parse().map_err(|error| wrong(format!("{error}")))?;
        Ok((checkpoint, note))
    }

    /// Signs, if the tree goes on from the head, and makes it the head. The same checkpoint again is given again: so a
    /// sequencer that died after asking finds its answer.
    ///
    /// # Errors
    /// As [`SignError`] lists.
    pub fn sign(&self, question: &Question) -> Result<Note, SignError> {
        let lock = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.folder.join("lock"))
            .map_err(self.io("lock"))?;
        lock.lock().map_err(self.io("lock"))?;
        let (head, note) = self.head()?;
        let new = &question.checkpoint;
        if new.origin != head.origin {
            return Err(SignError::Inconsistent(format!("this key signs {}, not {}", head.origin, new.origin)));
        }
        if *new == head {
            return Ok(note);
        }
        if new.size < head.size {
            return Err(SignError::Inconsistent(format!(
                "{} leaves were signed and {} are offered: the log would lose {}",
                head.size,
                new.size,
                head.size - new.size
            )));
        }
        if question.old != head.size {
            return Err(SignError::Behind(head.size));
        }
        if !tree::consistent((head.size, &head.root), (new.size, &new.root), &question.proof) {
            return Err(SignError::Inconsistent(format!(
                "the tree of {} leaves does not begin with the {} that were signed",
                new.size, head.size
            )));
        }
        let text = new.to_string();
        let note = Note { signatures: vec![self.key()?.sign(&text)], text };
        write_whole(&self.folder.join("head"), note.to_string().as_bytes()).map_err(self.io("head"))?;
        Ok(note)
    }

    /// Makes the next key, which waits until [`Keeper::turn_to_next`], and the statement of the change, signed by both keys.
    /// The same key again where one waits already.
    ///
    /// # Errors
    /// As [`Keeper::head`], or where the disk refuses.
    pub fn next(&self) -> Result<(VerifierKey, Note), SignError> {
        let (old, (head, _)) = (self.key()?, self.head()?);
        let new = self.waiting(&old.verifier().name)?;
        let text = rotation_text(&head, new.verifier());
        let statement = Note { signatures: vec![old.sign(&text), new.sign(&text)], text };
        Ok((new.verifier().clone(), statement))
    }

    /// Takes the waiting key into use; the old one stays beside it.
    ///
    /// # Errors
    /// As [`Keeper::head`], or where the disk refuses.
    pub fn turn_to_next(&self) -> Result<(), SignError> {
        let (old, (_, note)) = (self.key()?, self.head()?);
        let new = self.waiting(&old.verifier().name)?;
        self.keep("key", &hex::encode(old.verifier().id()))?;
        let public = format!("{}\n{}\n", old.verifier(), new.verifier());
        write_whole(&self.folder.join("log.vkey"), public.as_bytes()).map_err(self.io("log.vkey"))?;
        // Signed by both: whichever of the two keys a crash leaves in its place, the head is one that it knows.
        let head = Note { signatures: vec![old.sign(&note.text), new.sign(&note.text)], text: note.text };
        write_whole(&self.folder.join("head"), head.to_string().as_bytes()).map_err(self.io("head"))?;
        self.finish()
    }

    /// Puts copies of key and head of the log that ends aside under its number, and makes those of the next log.
    ///
    /// # Errors
    /// As [`Keeper::make`].
    pub fn retire(&self, number: i32, origin: &str) -> Result<VerifierKey, SignError> {
        self.keep("key", &number.to_string())?;
        self.keep("head", &number.to_string())?;
        let new = self.waiting(origin)?;
        let text = Checkpoint::empty(origin).to_string();
        let head = Note { signatures: vec![new.sign(&text)], text };
        let public = format!("{}\n", new.verifier());
        write_whole(&self.folder.join("log.vkey"), public.as_bytes()).map_err(self.io("log.vkey"))?;
        write_whole(&self.folder.join("head"), head.to_string().as_bytes()).map_err(self.io("head"))?;
        self.finish()?;
        Ok(new.verifier().clone())
    }

    /// The key that waits to be used under that name, made where there is none.
    fn waiting(&self, name: &str) -> Result<SigningKey, SignError> {
        let path = self.folder.join("key.new");
        if path.exists() {
            let key: SigningKey = read_private(&path)?
                .parse()
                .map_err(|error| SignError::Unreadable(path.clone(), format!("{error}")))?;
            if key.verifier().name == name {
                return Ok(key);
            }
            fs::remove_file(&path).map_err(self.io("key.new"))?;
        }
        let key = new_key(name)?;
        write_private(&path, &key.text()).map_err(self.io("key.new"))?;
        Ok(key)
    }

    /// A copy beside the file, unless there is one.
    fn keep(&self, name: &str, suffix: &str) -> Result<(), SignError> {
        let kept = format!("{name}-{suffix}");
        let path = self.folder.join(&kept);
        if path.exists() {
            return Ok(());
        }
        let text = fs::read_to_string(self.folder.join(name)).map_err(self.io(name))?;
        write_private(&path, text.trim_end_matches('\n')).map_err(self.io(&kept))
    }

    /// A change of keys takes effect with the head that the waiting key signed; a crash may have left its key waiting.
    fn finish(&self) -> Result<(), SignError> {
        let waiting = self.folder.join("key.new");
        if !waiting.exists() {
            return Ok(());
        }
        let key: Option<SigningKey> = read_private(&waiting)?.parse().ok();
        let head: Option<Note> = fs::read_to_string(self.folder.join("head")).ok().and_then(|text| text.parse().ok());
        if let (Some(key), Some(head)) = (key, head)
            && head.verify(key.verifier()).is_ok()
        {
            fs::rename(&waiting, self.folder.join("key")).map_err(self.io("key"))?;
        }
        Ok(())
    }

    /// The last head of a log that was put aside.
    pub fn aside(&self, number: i32) -> Option<Note> {
        fs::read_to_string(self.folder.join(format!("head-{number}"))).ok()?.parse().ok()
    }
}

/// What both keys sign when one takes the other's place.
pub fn rotation_text(head: &Checkpoint, new: &VerifierKey) -> String {
    format!("tenure key rotation\n{}\n{}\n{new}\n", head.origin, head.size)
}

fn new_key(origin: &str) -> Result<SigningKey, SignError> {
    SigningKey::from_seed(origin, Algorithm::Ed25519, rand::random())
        .map_err(|error| SignError::Unreadable(PathBuf::from(origin), error.to_string()))
}

/// Writes a new file that only its owner can read.
///
/// # Errors
/// Where it is there already.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

/// Reads a file that nobody else can read.
///
/// # Errors
/// Where others may read it.
pub fn read_private(path: &Path) -> Result<zeroize::Zeroizing<String>, SignError> {
    use std::os::unix::fs::PermissionsExt as _;
    let io = |source| SignError::Io { path: path.to_owned(), source };
    let mut file = fs::File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.permissions().mode() & 0o077 != 0 {
        return Err(SignError::Unreadable(path.to_owned(), "others may read this key: chmod 600".to_owned()));
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

/// How the sequencer reaches the signer: in its own process, or through a socket that only the two can open.
#[derive(Debug, Clone)]
pub enum Line {
    Here(Keeper),
    Socket(PathBuf),
}

impl Line {
    /// The head as the signer has it.
    ///
    /// # Errors
    /// As [`Keeper::head`], or where the signer does not answer.
    pub async fn head(&self) -> Result<(Checkpoint, Note), SignError> {
        match self {
            Self::Here(keeper) => keeper.head(),
            Self::Socket(path) => {
                let note = note(path, &ask(path, "head\n").await?)?;
                let unreadable = |error: String| SignError::Unreadable(path.clone(), error);
                let checkpoint = note.text.parse().map_err(|error| unreadable(format!("{error}")))?;
                Ok((checkpoint, note))
            }
        }
    }

    /// The public half of the key that signs.
    ///
    /// # Errors
    /// As [`Keeper::key`], or where the signer does not answer.
    pub async fn key(&self) -> Result<VerifierKey, SignError> {
        match self {
            Self::Here(keeper) => Ok(keeper.key()?.verifier().clone()),
            Self::Socket(path) => {
                let key = ask(path, "key\n").await?;
                key.parse().map_err(|error| SignError::Unreadable(path.clone(), format!("{error}")))
            }
        }
    }

    /// Has the checkpoint signed.
    ///
    /// # Errors
    /// As [`Keeper::sign`], or where the signer does not answer.
    pub async fn sign(&self, question: &Question) -> Result<Note, SignError> {
        match self {
            Self::Here(keeper) => keeper.sign(question),
            Self::Socket(path) => {
                let mut text = format!("old {}\n", question.old);
                for hash in &question.proof {
                    text.push_str(&STANDARD.encode(hash));
                    text.push('\n');
                }
                text.push('\n');
                text.push_str(&question.checkpoint.to_string());
                note(path, &ask(path, &text).await?)
            }
        }
    }
}

fn note(path: &Path, text: &str) -> Result<Note, SignError> {
    text.parse().map_err(|error| SignError::Unreadable(path.to_owned(), format!("{error}")))
}

/// One question through the socket. The answer begins with `ok`, `behind SIZE` or `refused WHY` on a line of its own.
async fn ask(path: &Path, question: &str) -> Result<String, SignError> {
    let unreachable = |error: String| SignError::Unreachable(path.to_owned(), error);
    let exchange = async {
        let mut stream = UnixStream::connect(path).await?;
        stream.write_all(question.as_bytes()).await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.take(LONGEST).read_to_string(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, exchange)
        .await
        .map_err(|_| unreachable("no answer in time".to_owned()))?
        .map_err(|error| unreachable(error.to_string()))?;
    let (first, rest) = answer.split_once('\n').unwrap_or((&answer, ""));
    match first.split_once(' ').unwrap_or((first, "")) {
        ("ok", _) => Ok(rest.to_owned()),
        ("behind", size) => Err(SignError::Behind(size.parse().map_err(|_| unreachable(answer.clone()))?)),
        ("refused", why) => Err(SignError::Inconsistent(why.trim_start_matches("refused: ").to_owned())),
        _ => Err(unreachable(first.to_owned())),
    }
}

/// Answers at the socket until told to stop: what `tenure sign` does.
///
/// # Errors
/// Where the socket cannot be made.
pub async fn serve(keeper: Keeper, socket: &Path, stop: CancellationToken) -> Result<(), SignError> {
    use std::os::unix::fs::PermissionsExt as _;
    let io = |source| SignError::Io { path: socket.to_owned(), source };
    if socket.exists() {
        fs::remove_file(socket).map_err(io)?;
    }
    let listener = UnixListener::bind(socket).map_err(io)?;
    // The sequencer's user shares the socket's group; nobody else may ask.
    fs::set_permissions(socket, fs::Permissions::from_mode(0o660)).map_err(io)?;
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted.map_err(io)?.0,
        };
        let keeper = keeper.clone();
        tokio::spawn(async move {
            if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, one(&keeper, stream)).await {
                tracing::warn!(%error, "a question to the signer was not answered");
            }
        });
    }
    drop(fs::remove_file(socket));
    Ok(())
}

async fn one(keeper: &Keeper, mut stream: UnixStream) -> io::Result<()> {
    let mut text = String::new();
    (&mut stream).take(LONGEST).read_to_string(&mut text).await?;
    let answer = match text.as_str() {
        "head\n" => keeper.head().map(|(_, note)| note.to_string()),
        "key\n" => keeper.key().map(|key| format!("{}\n", key.verifier())),
        other => match question(other) {
            Some(question) => keeper.sign(&question).map(|note| note.to_string()),
            None => Err(SignError::Inconsistent("the question could not be read".to_owned())),
        },
    };
    let answer = match answer {
        Ok(text) => format!("ok\n{text}"),
        Err(SignError::Behind(size)) => format!("behind {size}\n"),
        Err(error) => {
            tracing::warn!(%error, "nothing was signed");
            format!("refused {}\n", error.to_string().replace('\n', " "))
        }
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

fn question(text: &str) -> Option<Question> {
    let (head, body) = text.split_once("\n\n")?;
    let mut lines = head.split('\n');
    let old = checkpoint::decimal(lines.next()?.strip_prefix("old ")?)?;
    let proof: Vec<Hash> = lines.map(checkpoint::hash).collect::<Option<_>>()?;
    Some(Question { checkpoint: body.parse().ok()?, old, proof })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::tree::{leaf_hash, node_hash};

    fn two() -> (Hash, Hash, Hash) {
        let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
        (a, b, node_hash(&a, &b))
    }

    #[tokio::test]
    async fn one_history_is_signed_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = Keeper::new(dir.path().join("signer"));
        assert!(matches!(keeper.head(), Err(SignError::NoKey(_))));
        let key = keeper.make("example.com/1").unwrap();
        assert!(keeper.make("example.com/1").is_err(), "a key is not overwritten");
        let (a, b, both) = two();
        let ask =
            |size, root, old, proof| Question { checkpoint: Checkpoint::new("example.com/1", size, root), old, proof };
        let stop = CancellationToken::new();
        let socket = dir.path().join("socket");
        let serving = tokio::spawn({
            let (keeper, socket, stop) = (keeper.clone(), socket.clone(), stop.clone());
            async move { serve(keeper, &socket, stop).await }
        });
        while !socket.exists() {
            tokio::task::yield_now().await;
        }
        for line in [Line::Here(keeper.clone()), Line::Socket(socket.clone())] {
            line.sign(&ask(1, a, 0, vec![])).await.ok();
            let note = line.sign(&ask(2, both, 1, vec![b])).await.unwrap();
            assert_eq!(note.verify(&key), Ok(None));
            assert_eq!(line.sign(&ask(2, both, 0, vec![])).await.unwrap(), note, "the same again");
            assert_eq!(line.head().await.unwrap().1, note);
            assert_eq!(line.key().await.unwrap(), key);
            // Another history, a shorter one, one that skips, another log.
            for (question, behind) in [
                (ask(2, a, 2, vec![]), false),
                (ask(1, a, 1, vec![]), false),
                (ask(3, a, 2, vec![b]), false),
                (ask(3, a, 1, vec![b]), true),
                (Question { checkpoint: Checkpoint::new("example.com/2", 3, a), old: 2, proof: vec![] }, false),
            ] {
                let error = line.sign(&question).await.unwrap_err();
                assert_eq!(matches!(error, SignError::Behind(2)), behind, "{error}");
                assert_eq!(matches!(error, SignError::Inconsistent(_)), !behind, "{error}");
            }
        }
        stop.cancel();
        serving.await.unwrap().unwrap();
        fs::remove_file(dir.path().join("signer/head")).unwrap();
        assert!(
            matches!(keeper.sign(&ask(3, a, 2, vec![])), Err(SignError::NoHead(_))),
            "a lost head is not made anew"
        );
    }

    #[test]
    fn a_new_key_is_introduced_by_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = Keeper::new(dir.path());
        let old = keeper.make("example.com/1").unwrap();
        let (new, statement) = keeper.next().unwrap();
        assert_ne!(old, new);
        assert_eq!(keeper.next().unwrap().0, new, "broken off here, the same key waits");
        assert_eq!(keeper.key().unwrap().verifier(), &old);
        keeper.turn_to_next().unwrap();
        assert!(statement.verify(&old).is_ok() && statement.verify(&new).is_ok());
        assert!(statement.text.ends_with(&format!("0\n{new}\n")));
        assert_eq!(keeper.key().unwrap().verifier(), &new);
        assert!(keeper.head().is_ok());
    }

    #[test]
    fn a_change_of_keys_that_was_broken_off_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = Keeper::new(dir.path());
        let old = keeper.make("example.com/1").unwrap();
        let before = keeper.key().unwrap().text();
        let new = keeper.retire(1, "example.com/2").unwrap();
        // As if the power had gone before the last rename.
        fs::rename(dir.path().join("key"), dir.path().join("key.new")).unwrap();
        write_private(&dir.path().join("key"), &before).unwrap();
        assert_eq!(keeper.head().unwrap().0, Checkpoint::empty("example.com/2"));
        assert_eq!(keeper.key().unwrap().verifier(), &new);
        assert!(keeper.aside(1).unwrap().verify(&old).is_ok());
    }
}
