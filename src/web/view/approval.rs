//! Deciding about one item.

use askama::Template;

use super::forms::{AreaField, FormErrors};
use super::parts::{Crumb, Facts};
use super::plan::PlanView;
use super::progress::Stages;
use super::shell::Shell;

/// The form of a decision. Posts `decision` (`approve`, `reject`, `send_back`), `digest`, `comment`.
#[derive(Clone, Debug)]
pub struct DecisionForm {
    /// `/requests/{number}/items/{item}/decision`.
    pub action: String,
    /// The whole digest, submitted with the decision.
    pub digest: String,
    /// "41d0…77bc".
    pub digest_short: String,
    /// "these 6 changes", "this change": completes "Approve …".
    pub what: String,
    /// As typed.
    pub comment: String,
    /// Until when the directory could still change: "Tuesday"; empty when it is applied at once.
    pub until: String,
    /// For whom the viewer stands in: "Jonas Berg"; empty for themselves.
    pub on_behalf: String,
}

/// `GET/POST /requests/{number}/items/{item}/decision`.
#[derive(Template)]
#[template(path = "approval/approval.html")]
pub struct ApprovalPage {
    /// Surroundings.
    pub shell: Shell,
    /// The path above the heading.
    pub crumbs: Vec<Crumb>,
    /// "Name change: Anna Vogel → Anna Vogel-Brandt".
    pub title: String,
    /// "asked for by Anna Vogel · effective Tuesday 1 December, 08:00 Hamburg".
    pub summary: String,
    /// In bold: "You decide as Anna’s manager."
    pub role: String,
    /// Why policy asks them: "Policy asks a manager for every name change, then the service desk."
    pub why: String,
    /// The item changed since the viewer saw it: said above the plan, which is the new one (409).
    pub changed_since: bool,
    /// Problems of the form (a rejection without a comment).
    pub errors: FormErrors,
    /// This item's differences, bare, with the title "6 changes in 2 systems".
    pub plan: PlanView,
    /// The form; none when there is nothing to decide for the viewer.
    pub form: Option<DecisionForm>,
    /// Instead of the form: "Ravi Menon approved this at 11:20.", "You cannot decide about your own access."
    pub closed: String,
    /// What the requester said, who is concerned, dates, the risk.
    pub details: Facts,
    /// The item's stages.
    pub stages: Stages,
    /// "2 other items of this request are decided by others."; may be empty.
    pub others: String,
}

impl ApprovalPage {
    fn comment_field(&self, form: &DecisionForm) -> AreaField {
        AreaField::new("comment", "Comment")
            .value(&form.comment)
            .placeholder("Optional when you approve")
            .error(&self.errors)
    }
}
