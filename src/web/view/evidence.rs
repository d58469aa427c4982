//! The evidence log at a glance: how far it has come, who outside vouches for it, what to compare and how to check it.

use askama::Template;

use super::home::Figure;
use super::parts::{Badge, Facts, Link, When};
use super::request::Notice;
use super::shell::Shell;

/// `GET /evidence`.
#[derive(Template)]
#[template(path = "evidence/evidence.html")]
pub struct EvidencePage {
    /// Surroundings.
    pub shell: Shell,
    /// How it goes: "up to date", "stands still".
    pub state: Badge,
    /// "Every record, in signed order; begun 1 Oct".
    pub summary: String,
    /// What is the matter, and what to do about it; the worst first.
    pub notices: Vec<Notice>,
    /// Size, what waits, the last timestamp, the last cosignature.
    pub figures: Vec<Figure>,
    /// The log; none before it has begun.
    pub log: Option<LogView>,
    /// No log is set up here: shows how to.
    pub set_up: bool,
}

/// The newest log.
#[derive(Clone, Debug)]
pub struct LogView {
    /// What its checkpoints call it.
    pub origin: String,
    /// Records, root, signed, begun.
    pub facts: Facts,
    /// Everybody outside who is asked to vouch.
    pub outside: Vec<OutsideRow>,
    /// What is missing among them, in a sentence; empty for nothing.
    pub missing: String,
    /// The newest anchors.
    pub anchors: Vec<AnchorRow>,
    /// The signed note as published.
    pub checkpoint: String,
    /// The log's own keys and the witnesses', to compare.
    pub keys: Vec<KeyRow>,
    /// What to run elsewhere: what for, and the command.
    pub commands: Vec<(String, String)>,
    /// Logs before this one.
    pub earlier: Vec<EarlierLog>,
}

/// A witness or a timestamp authority.
#[derive(Clone, Debug)]
pub struct OutsideRow {
    /// Its name.
    pub name: String,
    /// "timestamp authority", "witness".
    pub what: String,
    /// "in time", "overdue", "does not answer".
    pub state: Badge,
    /// When it last vouched.
    pub last: Option<When>,
    /// "at 1,204,001 records"; may be empty.
    pub detail: String,
    /// What goes wrong; empty for nothing.
    pub trouble: String,
}

/// Somebody's word for a state of the log.
#[derive(Clone, Debug)]
pub struct AnchorRow {
    /// The time that it states.
    pub when: When,
    /// "timestamp", "cosignature".
    pub kind: String,
    /// Whose.
    pub by: String,
    /// "1,204,001".
    pub records: String,
    /// SHA-256 of what it gave, hex.
    pub digest: String,
    /// The heartbeat that put it into the log.
    pub heartbeat: Option<Link>,
}

impl AnchorRow {
    fn short(&self) -> &str {
        self.digest.get(..16).unwrap_or(&self.digest)
    }
}

/// A public key.
#[derive(Clone, Debug)]
pub struct KeyRow {
    /// "The log’s key", "Witness audit.example.com".
    pub whose: String,
    /// `name+id+key`.
    pub key: String,
}

/// A log that does not go on any more.
#[derive(Clone, Debug)]
pub struct EarlierLog {
    /// Its origin.
    pub origin: String,
    /// "12,004 records, last signed 3 Oct".
    pub detail: String,
    /// Why the next one was begun.
    pub reason: String,
    /// When.
    pub ended: When,
}
