//! Accounts that the directory had before Tenure and that match no person: found, and linked by hand.

use askama::Template;

use super::forms::{AreaField, Choice, FormErrors, PickerField, PickerOption, RadioField};
use super::lists::Tab;
use super::parts::{Badge, Crumb, Empty, Facts, Link, Meter, Pager, Person, Tone, When};
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
    /// What keeps the rules from linking it, though they find somebody; empty for nothing.
    pub doubt: String,
    /// What was decided: linked, service account, nobody's; none while open.
    pub decided: Option<Badge>,
}

/// `GET /adoption`.
#[derive(Template)]
#[template(path = "adoption/adoption.html")]
pub struct AdoptionPage {
    /// Surroundings.
    pub shell: Shell,
    /// "57 of 63 accounts are decided about; 6 to look at".
    pub summary: String,
    /// How many of a hundred are decided about.
    pub percent: u8,
    /// The rules, the report.
    pub places: Vec<Link>,
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

impl AdoptionPage {
    fn meter(&self) -> Meter {
        Meter { percent: self.percent, tone: if self.percent == 100 { Tone::Ok } else { Tone::Quiet } }
    }
}

/// An account that a rule would link.
#[derive(Clone, Debug)]
pub struct LinkRow {
    /// "pwolf".
    pub account: String,
    pub href: String,
    pub display_name: String,
    pub person: Person,
    /// "as their second account"; may be empty.
    pub note: String,
}

/// What one rule would do in one system.
#[derive(Clone, Debug)]
pub struct RuleCard {
    /// For ids: "mail-1".
    pub id: String,
    /// "Mail address".
    pub title: String,
    pub explanation: String,
    /// `employee_number`, `mail`, `name`, `user_name`.
    pub word: &'static str,
    /// The system's key.
    pub system: String,
    /// "Active Directory".
    pub system_words: String,
    pub automatic: bool,
    pub count: String,
    /// The first of them.
    pub links: Vec<LinkRow>,
    /// "and 12 more"; may be empty.
    pub more: String,
    pub digest: String,
    /// "Link 12 accounts"; empty where there is nothing to link, or the viewer may not.
    pub button: String,
}

/// `GET /adoption/rules`. Posts `system` and `digest` to `/adoption/rules/{rule}`, `automatic` to `…/switch`.
#[derive(Template)]
#[template(path = "adoption/rules.html")]
pub struct RulesPage {
    pub shell: Shell,
    pub crumbs: Vec<Crumb>,
    pub errors: FormErrors,
    pub cards: Vec<RuleCard>,
    /// The viewer may have a rule link by itself, or no longer.
    pub may_switch: bool,
}

/// A membership that nothing explains.
#[derive(Clone, Debug)]
pub struct BeyondRow {
    pub person: Person,
    /// "pwolf".
    pub account: String,
    pub group: String,
    /// The group's page in the catalogue.
    pub href: Option<String>,
    pub sox: bool,
    /// "In the catalogue, held before Tenure".
    pub standing: String,
}

/// `GET /adoption/beyond`.
#[derive(Template)]
#[template(path = "adoption/beyond.html")]
pub struct BeyondPage {
    pub shell: Shell,
    pub crumbs: Vec<Crumb>,
    pub summary: String,
    pub query: String,
    pub rows: Vec<BeyondRow>,
    pub pager: Pager,
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
