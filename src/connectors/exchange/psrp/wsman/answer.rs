//! Answers: what the server made of a request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::fault::Fault;
use super::tree::{self, Element};

/// A piece of a stream: one element's octets, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// The pipeline it is about; the pool itself where absent.
    pub command: Option<Uuid>,
    pub bytes: Vec<u8>,
}

/// An answer's contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The shell is open under this id, which is the server's to choose.
    Created {
        shell: String,
    },
    /// The pipeline was taken.
    Started,
    /// What there was. `done`: nothing will come after it.
    Received {
        streams: Vec<Stream>,
        done: bool,
    },
    /// Sent, signalled, deleted: nothing to say.
    Done,
    Fault(Fault),
}

/// Why an answer cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server's answer cannot be read: {0}")]
pub struct AnswerError(String);

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The message that it answers, where it says so.
    pub relates_to: Option<Uuid>,
    pub body: Body,
}

impl Answer {
    /// Reads an answer's SOAP text.
    ///
    /// # Errors
    /// Where it is not an envelope of a kind that we ask for.
    pub fn read(text: &str) -> Result<Self, AnswerError> {
        let root = tree::parse(text).map_err(AnswerError)?;
        if root.name != "Envelope" {
            return Err(AnswerError("it is not a SOAP envelope".to_owned()));
        }
        let relates_to = root
            .child("Header")
            .and_then(|header| header.child("RelatesTo"))
            .and_then(|id| guid(id.text.trim().trim_start_matches("uuid:")));
        let body = root.child("Body").ok_or_else(|| AnswerError("it has no body".to_owned()))?;
        Ok(Self { relates_to, body: read_body(body)? })
    }
}

fn read_body(body: &Element) -> Result<Body, AnswerError> {
    if let Some(fault) = body.child("Fault") {
        return Ok(Body::Fault(Fault::read(fault)));
    }
    if let Some(received) = body.child("ReceiveResponse") {
        return received_body(received);
    }
    if body.child("CommandResponse").is_some() {
        return Ok(Body::Started);
    }
    if body.child("SendResponse").is_some() || body.child("SignalResponse").is_some() {
        return Ok(Body::Done);
    }
    if let Some(shell) = created(body) {
        return Ok(Body::Created { shell });
    }
    if body.children.is_empty() {
        return Ok(Body::Done);
    }
    Err(AnswerError(format!("“{}” was not expected", super::fault::brief(&body.children[0].name))))
}

/// The id that selects the shell from now on; a shell's own id says the same where the selector is missing.
fn created(body: &Element) -> Option<String> {
    let selector =
        body.child("ResourceCreated").and_then(|made| made.child("ReferenceParameters")).and_then(|reference| {
            let selectors = reference.child("SelectorSet")?;
            selectors.all("Selector").find(|selector| selector.attribute("Name") == Some("ShellId"))
        });
    let id = selector.or_else(|| body.child("Shell").and_then(|shell| shell.child("ShellId")))?;
    let id = id.text.trim();
    (!id.is_empty() && id.len() <= 200).then(|| id.to_owned())
}

fn received_body(received: &Element) -> Result<Body, AnswerError> {
    let mut streams = Vec::new();
    for stream in received.all("Stream") {
        // Servers break long lines in some versions.
        let packed: String = stream.text.chars().filter(|letter| !letter.is_whitespace()).collect();
        if packed.is_empty() {
            continue;
        }
        let bytes = STANDARD.decode(packed).map_err(|error| AnswerError(format!("a stream's base64: {error}")))?;
        streams.push(Stream { command: stream.attribute("CommandId").and_then(guid), bytes });
    }
    let done = received
        .all("CommandState")
        .any(|state| state.attribute("State").is_some_and(|state| state.ends_with("/CommandState/Done")));
    Ok(Body::Received { streams, done })
}

fn guid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok()
}
