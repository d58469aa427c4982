//! The plan: exact differences, by item, step and attribute. The same component everywhere a change is shown: before
//! submitting, on the request, when deciding, in a person's history and on a change record.

use askama::Template;

use super::parts::{Badge, Link};

/// What is done to an object, or to one of its attributes. Its sign and its word distinguish it beside the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Comes into being.
    Added,
    /// Is there and becomes different.
    Changed,
    /// Ceases to be.
    Removed,
    /// Stays as it is; shown for completeness.
    Kept,
}

impl Mark {
    /// The sign.
    pub fn sign(&self) -> &'static str {
        match self {
            Self::Added => "+",
            Self::Changed => "~",
            Self::Removed => "−",
            Self::Kept => "=",
        }
    }
    /// The word for those who do not see the sign.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Kept => "unchanged",
        }
    }
}

/// One attribute of a step.
#[derive(Clone, Debug)]
pub struct ChangeView {
    /// What people call it: "family name". Falls back to the raw name.
    pub attribute_words: String,
    /// What the system calls it: `sn`. Shown quietly beside the words when it differs from them.
    pub raw_name: String,
    /// The value before; none when there was none.
    pub from: Option<String>,
    /// The value after; none when it is removed. Secrets arrive here as words ("sealed for Maria Keller …").
    pub to: Option<String>,
}

impl ChangeView {
    /// A difference: `ChangeView::new("family name", "sn", Some("Vogel"), Some("Vogel-Brandt"))`.
    pub fn new(words: &str, raw: &str, from: Option<&str>, to: Option<&str>) -> Self {
        Self {
            attribute_words: words.to_owned(),
            raw_name: raw.to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        }
    }
    /// Whether the system's name says something that the words do not.
    pub fn shows_raw(&self) -> bool {
        !self.raw_name.is_empty() && !self.raw_name.eq_ignore_ascii_case(&self.attribute_words)
    }
    /// What happens to the attribute, in a word.
    pub fn word(&self) -> &'static str {
        match (&self.from, &self.to) {
            (None, _) => "added",
            (Some(_), None) => "removed",
            _ => "changed",
        }
    }
}

/// A button or link on a step that stopped: try again, plan again, leave out.
#[derive(Clone, Debug)]
pub struct StepAction {
    /// "Try again".
    pub label: String,
    /// For a form: where it posts to. For a link: where it leads (a page that asks for a reason first).
    pub href: String,
    /// A form with a button (true) or a link to a page of its own (false).
    pub posts: bool,
}

impl StepAction {
    /// Acts at once, by a form.
    pub fn post(label: &str, href: impl Into<String>) -> Self {
        Self { label: label.to_owned(), href: href.into(), posts: true }
    }
    /// Leads to a page that asks first.
    pub fn ask(label: &str, href: impl Into<String>) -> Self {
        Self { label: label.to_owned(), href: href.into(), posts: false }
    }
}

/// One difference on one object.
#[derive(Clone, Debug)]
pub struct StepView {
    /// Added, changed, removed.
    pub mark: Mark,
    /// The object: "Nguyễn Thị Lan", "All Hamburg".
    pub title: String,
    /// Its kind in words: "user", "membership".
    pub kind_words: String,
    /// Its system in words: "Active Directory · corp.example.com".
    pub system_words: String,
    /// The step's state; none before submitting.
    pub badge: Option<Badge>,
    /// Its attributes, in the order of the plan.
    pub changes: Vec<ChangeView>,
    /// Why it is there: `rule “location”`; may be empty.
    pub why: String,
    /// When it happens, if not at once: "Monday 30 November 07:00, Hamburg"; may be empty.
    pub when: String,
    /// What came of it or what is the matter, in plain words; may be empty.
    pub outcome_note: String,
    /// The note is about something that a person has to see to.
    pub alarm: bool,
    /// What the viewer may do about it.
    pub actions: Vec<StepAction>,
    /// The commands that it amounts to, or that were really sent, for those who want to see them.
    pub commands: Vec<String>,
    /// What the server warned of meanwhile.
    pub warnings: Vec<String>,
    /// The commands were sent already.
    pub sent: bool,
}

impl StepView {
    /// Whether the commands leave something open that is only known when they are sent.
    pub fn has_gaps(&self) -> bool {
        self.commands.iter().any(|command| command.contains("'<") || command.contains("<mark>"))
    }

    /// A step with nothing but its object; the rest by struct update.
    pub fn new(mark: Mark, title: impl Into<String>, kind: &str, system: &str) -> Self {
        Self {
            mark,
            title: title.into(),
            kind_words: kind.to_owned(),
            system_words: system.to_owned(),
            badge: None,
            changes: Vec::new(),
            why: String::new(),
            when: String::new(),
            outcome_note: String::new(),
            alarm: false,
            actions: Vec::new(),
            commands: Vec::new(),
            warnings: Vec::new(),
            sent: false,
        }
    }
}

/// One item: what is decided and applied as a unit.
#[derive(Clone, Debug)]
pub struct ItemView {
    /// Its number in the request, from 1; 0 hides the item's own line (one item alone, a change record).
    pub ordinal: u32,
    /// "Account and basic access".
    pub label: String,
    /// A SOX-relevant entitlement is part of it.
    pub sox: bool,
    /// One clause: who decided or will decide, and why.
    pub note: String,
    /// First and last four characters of the digest: "9f2c…e1a7"; may be empty.
    pub digest_short: String,
    /// The item's state; none before submitting.
    pub badge: Option<Badge>,
    /// Its steps in order.
    pub steps: Vec<StepView>,
    /// What the viewer may do about the item: "Decide" for whom it waits for.
    pub action: Option<Link>,
}

impl ItemView {
    /// Steps without an item's line, for records and single decisions.
    pub fn bare(steps: Vec<StepView>) -> Self {
        Self {
            ordinal: 0,
            label: String::new(),
            sox: false,
            note: String::new(),
            digest_short: String::new(),
            badge: None,
            steps,
            action: None,
        }
    }
}

/// The whole plan, as a card with its heading.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "components/plan.html")]
pub struct PlanView {
    /// The heading: "Plan", "6 changes in 2 systems".
    pub title: String,
    /// At the right of the heading: "what is approved is what is applied".
    pub aside: String,
    /// The items in order.
    pub items: Vec<ItemView>,
    /// The anti-forgery token for the steps' forms; empty where there are none.
    pub csrf: String,
    /// The element's id, so that live updates find it; empty for none.
    pub id: String,
    /// This rendering replaces the element with the same id (htmx out-of-band swap).
    pub replaces: bool,
}
embeddable!(PlanView);

impl PlanView {
    /// A plan with the usual heading.
    pub fn new(items: Vec<ItemView>) -> Self {
        Self {
            title: "Plan".to_owned(),
            aside: "what is approved is what is applied".to_owned(),
            items,
            ..Self::default()
        }
    }
    /// How many differences: attributes, and objects that have none of their own.
    pub fn count(&self) -> usize {
        self.items.iter().flat_map(|item| &item.steps).map(|step| step.changes.len().max(1)).sum()
    }
}
