//! Accounts that the directory had before Tenure and that match no person: found, and linked by hand.

use askama::Template;

use super::forms::{AreaField, Choice, FormErrors, PickerField, PickerOption, RadioField};
use super::lists::Tab;
use super::parts::{Badge, Crumb, Empty, Facts, Pager, When};
use super::shell::Shell;

/// An account without a person.
#[derive(Clone, Debug)]
pub struct OrphanRow {
    /// "svc-backup".
    pub name: String,
    /// `/adoption/{account}`.
    pub href: String,
    /// Display name as the directory has it.
    pub display_name: String,
    /// "Active Directory".
    pub system: String,
    /// Where it lies: "OU=Service,DC=corp,DC=example,DC=com".
    pub place: String,
    /// Enabled, disabled, locked.
    pub state: Badge,
    /// Last sign-in that was seen.
    pub last_sign_in: Option<When>,
    /// The best guess: "Peter Wolf, by mail"; empty for none.
    pub guess: String,
    /// What was decided: linked, service account, nobody's; none while open.
    pub decided: Option<Badge>,
}

/// `GET /adoption`.
#[derive(Template)]
#[template(path = "adoption/adoption.html")]
pub struct AdoptionPage {
    /// Surroundings.
    pub shell: Shell,
    /// "57 of 63 accounts are linked; 6 need a look".
    pub summary: String,
    /// To do, linked, service accounts.
    pub tabs: Vec<Tab>,
    /// Text filter, submitted as `q`.
    pub query: String,
    /// Kept by the filter.
    pub view: String,
    /// The page's rows.
    pub rows: Vec<OrphanRow>,
    /// Neighbouring pages.
    pub pager: Pager,
    /// What to say when there are none.
    pub empty: Empty,
}

/// A person who could be the owner.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What is submitted as `candidate`.
    pub id: String,
    /// "Peter Wolf".
    pub name: String,
    /// What they are, and what speaks for them: "same mail address; name differs in one letter".
    pub detail: String,
}

/// `GET/POST /adoption/{account}`. Posts `link` (`person`, `service`, `nobody`), `person` (see
/// [`super::forms::picked`]), `comment`.
#[derive(Template)]
#[template(path = "adoption/account.html")]
pub struct AdoptPage {
    /// Surroundings.
    pub shell: Shell,
    /// The path above the heading.
    pub crumbs: Vec<Crumb>,
    /// "svc-backup".
    pub name: String,
    /// "Active Directory · created 4 March 2019 · last sign-in 20 November".
    pub summary: String,
    /// Its state.
    pub state: Badge,
    /// What the directory knows about it.
    pub facts: Facts,
    /// Groups it is in.
    pub groups: Vec<String>,
    /// Who it could be.
    pub candidates: Vec<Candidate>,
    /// Problems.
    pub errors: FormErrors,
    /// `/adoption/{account}`.
    pub action: String,
    /// As answered: `person`, `service`, `nobody` or empty.
    pub link: String,
    /// "Peter Wolf (pwolf)", as typed.
    pub person: String,
    /// As typed.
    pub comment: String,
    /// The viewer may only read; the form is not shown and this sentence is.
    pub read_only: String,
}

impl AdoptPage {
    fn link_field(&self) -> RadioField {
        let choices = vec![
            Choice::new("person", "A person’s").hint("It is linked; what it holds becomes “before Tenure”."),
            Choice::new("service", "A service account").hint("It stays as it is, with the person below as its owner."),
            Choice::new("nobody", "Nobody’s").hint("It stays listed as an orphan until somebody removes it."),
        ];
        RadioField::new("link", "Whose is it?", choices).value(&self.link).error(&self.errors)
    }
    fn person_field(&self) -> PickerField {
        let options = self.candidates.iter().map(|candidate| PickerOption {
            value: candidate.id.clone(),
            label: candidate.name.clone(),
            detail: format!("{} · {}", candidate.name, candidate.detail),
            badge: None,
        });
        PickerField::person("person", "Person").value(&self.person).suggestions(options.collect()).error(&self.errors)
    }
    fn comment_field(&self) -> AreaField {
        AreaField::new("comment", "How do you know?")
            .hint("Goes into the evidence")
            .value(&self.comment)
            .error(&self.errors)
    }
}
