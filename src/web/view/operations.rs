//! How the machinery does: mails on their way, connectors, the worker.

use askama::Template;

use super::lists::Tab;
use super::parts::{Badge, Empty, Facts, Link, Pager, When};
use super::shell::Shell;

/// A mail in the outbox.
#[derive(Clone, Debug)]
pub struct MailRow {
    /// `/outbox/{id}`.
    pub href: String,
    /// "Please decide: New joiner …".
    pub subject: String,
    /// To whom.
    pub to: String,
    /// The request it belongs to.
    pub request: Option<Link>,
    /// When it was written.
    pub written: When,
    /// How it stands.
    pub state: Badge,
    /// What the mail server said last, and when it is tried again; may be empty.
    pub note: String,
    /// How many tries.
    pub tries: u32,
}

/// `GET /outbox`.
#[derive(Template)]
#[template(path = "operations/outbox.html")]
pub struct OutboxPage {
    /// Surroundings.
    pub shell: Shell,
    /// "412 accepted, 3 waiting".
    pub summary: String,
    /// All, waiting, not delivered.
    pub tabs: Vec<Tab>,
    /// The page's rows.
    pub rows: Vec<MailRow>,
    /// Neighbouring pages.
    pub pager: Pager,
    /// What to say when there are none.
    pub empty: Empty,
}

/// `GET /outbox/{id}`: one mail as it was sent.
#[derive(Template)]
#[template(path = "operations/mail.html")]
pub struct MailPage {
    /// Surroundings.
    pub shell: Shell,
    /// Its subject.
    pub subject: String,
    /// From, to, written, thread, state.
    pub facts: Facts,
    /// Its plain text.
    pub text: String,
    /// Each try, the newest first: when, how it ended, and what the server said.
    pub tries: Vec<(When, Badge, String)>,
    /// "and 12 earlier"; empty where all are listed.
    pub earlier: String,
    /// `/outbox/{id}/retry`; none if there is nothing to try.
    pub retry: Option<String>,
}

/// A part of the machinery.
#[derive(Clone, Debug)]
pub struct PartRow {
    /// "Active Directory · corp.example.com".
    pub name: String,
    /// Its own page, where it has one.
    pub href: Option<String>,
    /// How it does ([`super::states::health`]).
    pub state: Badge,
    /// What it is doing, in words: "dc1.corp.example.com, last change seen 2 s ago".
    pub lines: Vec<String>,
    /// Numbers about it.
    pub facts: Facts,
}

/// Steps that wait for a person.
#[derive(Clone, Debug)]
pub struct StuckRow {
    /// The request.
    pub request: Link,
    /// "Account of Nguyễn Thị Lan".
    pub title: String,
    /// Why, in plain words.
    pub why: String,
    /// Since when.
    pub since: When,
}

/// `GET /system`.
#[derive(Template)]
#[template(path = "operations/system.html")]
pub struct SystemPage {
    /// Surroundings.
    pub shell: Shell,
    /// "Everything works", "The directory does not answer".
    pub summary: String,
    /// Its tone's badge.
    pub state: Badge,
    /// Numbers: due steps, oldest due, per minute, outbox.
    pub figures: Vec<super::home::Figure>,
    /// Connectors, workers, database, mail server.
    pub parts: Vec<PartRow>,
    /// What waits for a person.
    pub stuck: Vec<StuckRow>,
    /// Version, commit, started, settings in force.
    pub facts: Facts,
}
