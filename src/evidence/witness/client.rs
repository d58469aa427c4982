//! The log's side: has a checkpoint cosigned by a witness.

use std::fmt::Display;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::CONTENT_TYPE;

use super::super::checkpoint::{self, Checkpoint};
use super::super::note::{Note, Signature, VerifierKey};
use super::super::tree::{self, Nodes};

/// How long a witness may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes.
const LONGEST: usize = 16 * 1024;
/// Submissions of one checkpoint: where the witness is, from there, and once more if somebody else was faster.
const ATTEMPTS: usize = 3;

/// A witness as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessAddress {
    /// For people.
    pub name: String,
    /// What `/add-checkpoint` is appended to.
    pub url: String,
    pub key: VerifierKey,
}

/// Why there is no cosignature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Another try may help.
    #[error("the witness does not answer: {0}")]
    Unreachable(String),
    #[error("the witness answered {status}: {text}")]
    Failing { status: u16, text: String },
    /// Its operator has to be given the log's verifier key.
    #[error("the witness does not trust this log's key ({status}: {text})")]
    KeyRefused { status: u16, text: String },
    /// A log restored from a backup, or a second one under the same name.
    #[error("the witness has cosigned {known} leaves of this log, and here are only {ours}")]
    KnowsLarger { known: u64, ours: u64 },
    /// The tree here is not the one that was cosigned. Nothing mends this but an administrator.
    #[error("the witness has cosigned another history of this log: {0}")]
    Inconsistent(String),
    #[error("other submissions were faster each time, the last with {0} leaves")]
    Overtaken(u64),
    #[error("the witness's answer cannot be used: {0}")]
    BadAnswer(String),
    #[error("the log here cannot be read: {0}")]
    Log(String),
}

/// What one submission came to, short of a failure.
enum Answer {
    Lines(String),
    /// The witness knows the tree of this size.
    Knows(u64),
}

/// A client as [`submit`] wants it: it goes where it was told to and nowhere else.
///
/// # Errors
/// Where the machine has no trusted roots.
pub fn http() -> Result<reqwest::Client, reqwest::Error> {
    // Without a provider in this process there would be a panic; where there is one already, this changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).build()
}

/// Has the checkpoint cosigned, and gives the cosignature, verified. `nodes` is the tree that the checkpoint names, `known` the size
/// that this witness is thought to know (0 where that is not known: it says so itself). What time the cosignature
/// states, [`Note::verify`] says; whether that is near enough to now is the caller's to judge.
///
/// # Errors
/// As [`SubmitError`] lists.
pub async fn submit<N>(
    http: &reqwest::Client,
    witness: &WitnessAddress,
    note: &Note,
    nodes: &mut N,
    known: u64,
) -> Result<Signature, SubmitError>
where
    N: Nodes + Send,
    N::Error: Display,
{
    let ours: Checkpoint = note.text.parse().map_err(|error| SubmitError::Log(format!("{error}")))?;
    let mut old = known;
    for _ in 0..ATTEMPTS {
        if old > ours.size {
            return Err(SubmitError::KnowsLarger { known: old, ours: ours.size });
        }
        let proof = tree::consistency(nodes, old, ours.size).map_err(|error| SubmitError::Log(error.to_string()))?;
        let mut body = format!("old {old}\n");
        for hash in proof {
            body.push_str(&STANDARD.encode(hash));
            body.push('\n');
        }
        body.push('\n');
        body.push_str(&note.to_string());
        match ask(http, witness, body).await? {
            Answer::Lines(lines) => return cosignature(&lines, note, &witness.key),
            // Nothing to prove from but what was proved from already: the roots differ.
            Answer::Knows(size) if size == old => {
                return Err(SubmitError::Inconsistent(format!("another tree of {size} leaves")));
            }
            Answer::Knows(size) => {
                if size < old {
                    tracing::warn!(
                        witness = witness.name,
                        size,
                        expected = old,
                        "a witness knows less than it has cosigned: has it lost its memory?"
                    );
                }
                old = size;
            }
        }
    }
    Err(SubmitError::Overtaken(old))
}

async fn ask(http: &reqwest::Client, witness: &WitnessAddress, body: String) -> Result<Answer, SubmitError> {
    let unreachable = |error: reqwest::Error| SubmitError::Unreachable(causes(&error));
    let address = format!("{}/add-checkpoint", witness.url.trim_end_matches('/'));
    let request = http.post(address).timeout(PATIENCE).header(CONTENT_TYPE, "text/plain; charset=utf-8").body(body);
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status().as_u16();
    let is_size =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/x.tlog.size"));
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > LONGEST {
            return Err(SubmitError::BadAnswer("far too long".to_owned()));
        }
        bytes.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(bytes).map_err(|_| SubmitError::BadAnswer("not text".to_owned()))?;
    match status {
        200 => Ok(Answer::Lines(text)),
        409 if is_size => checkpoint::decimal(text.trim_end_matches('\n'))
            .map(Answer::Knows)
            .ok_or_else(|| SubmitError::BadAnswer(format!("“{}” is not a size", brief(&text)))),
        403 | 404 => Err(SubmitError::KeyRefused { status, text: brief(&text) }),
        409 | 422 => Err(SubmitError::Inconsistent(brief(&text))),
        _ => Err(SubmitError::Failing { status, text: brief(&text) }),
    }
}

/// The witness's own line among those of the answer, if it holds.
fn cosignature(lines: &str, note: &Note, key: &VerifierKey) -> Result<Signature, SubmitError> {
    let id = key.id();
    let own = lines
        .lines()
        .filter_map(|line| line.parse::<Signature>().ok())
        .find(|signature| signature.name == key.name && signature.id == id)
        .ok_or_else(|| SubmitError::BadAnswer(format!("no cosignature by {key}")))?;
    let cosigned = Note { text: note.text.clone(), signatures: vec![own.clone()] };
    cosigned.verify(key).map_err(|error| SubmitError::BadAnswer(error.to_string()))?;
    Ok(own)
}

/// An error and what caused it, in one line.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// What somebody else's program says, short enough for a message and without line ends.
fn brief(text: &str) -> String {
    text.trim().chars().take(200).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
