//! Erasing a person's values: the proposal, the list, the decision.

use askama::Template;

use super::forms::{AreaField, Choice, FormErrors, RadioField};
use super::parts::{Badge, Crumb, Empty, Facts, Person, When};
use super::shell::Shell;

/// What an erasure removes and what it leaves, said the same to whoever proposes and whoever decides.
#[derive(Clone, Debug)]
pub struct Consequences {
    pub removed: Vec<String>,
    pub stays: Vec<String>,
}

/// `GET/POST /people/{id}/erasure`. Posts `basis` (`retention`, `lawful_request`) and `reason`.
#[derive(Template)]
#[template(path = "erasure/propose.html")]
pub struct ProposePage {
    pub shell: Shell,
    pub crumbs: Vec<Crumb>,
    /// "Peter Wolf".
    pub name: String,
    /// What is in the way on either basis; empty for nothing. With any of these no form is shown.
    pub obstacles: Vec<String>,
    /// "23 November 2033": the day from which the retention is over.
    pub retention_ends: String,
    /// It is over.
    pub retention_over: bool,
    pub consequences: Consequences,
    pub errors: FormErrors,
    pub action: String,
    /// As answered.
    pub basis: String,
    /// As typed.
    pub reason: String,
    /// Where "No" leads.
    pub back: String,
}

impl ProposePage {
    fn basis_field(&self) -> RadioField {
        let mut retention = Choice::new("retention", "The retention is over");
        retention.disabled = !self.retention_over;
        let until = if self.retention_over { "It was over on" } else { "Not before" };
        let choices = vec![
            retention.hint(format!("{until} {}", self.retention_ends)),
            Choice::new("lawful_request", "A lawful request")
                .hint("The person, or a court, asks for it; say who and why."),
        ];
        RadioField::new("basis", "Why may it be erased?", choices).value(&self.basis).error(&self.errors)
    }
    fn reason_field(&self) -> AreaField {
        AreaField::new("reason", "Reason")
            .hint("Goes into the evidence and stays: name the case, not the person")
            .value(&self.reason)
            .error(&self.errors)
    }
}

/// One in the list.
#[derive(Clone, Debug)]
pub struct ErasureRow {
    pub person: Person,
    /// "/erasures/…".
    pub href: String,
    /// "the retention is over".
    pub basis: String,
    /// "Adam Kern", "the command line".
    pub proposed_by: String,
    pub proposed: When,
    pub state: Badge,
    /// Why it waits; may be empty.
    pub note: String,
}

/// `GET /erasures`.
#[derive(Template)]
#[template(path = "erasure/list.html")]
pub struct ErasuresPage {
    pub shell: Shell,
    pub crumbs: Vec<Crumb>,
    pub summary: String,
    pub rows: Vec<ErasureRow>,
    pub empty: Empty,
}

/// `GET/POST /erasures/{id}`. Posts `decision` (`approve`, `reject`) and `comment`.
#[derive(Template)]
#[template(path = "erasure/decide.html")]
pub struct DecidePage {
    pub shell: Shell,
    pub crumbs: Vec<Crumb>,
    /// "Peter Wolf".
    pub name: String,
    pub state: Badge,
    pub summary: String,
    pub facts: Facts,
    pub consequences: Consequences,
    pub errors: FormErrors,
    pub action: String,
    /// As typed.
    pub comment: String,
    /// Instead of the form; empty where the viewer may decide.
    pub closed: String,
}

impl DecidePage {
    fn comment_field(&self) -> AreaField {
        AreaField::new("comment", "Comment")
            .hint("Needed where you reject it; goes into the evidence and stays")
            .optional()
            .value(&self.comment)
            .error(&self.errors)
    }
}
