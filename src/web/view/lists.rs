//! Lists of requests and of approvals.

use askama::Template;

use super::forms::Choice;
use super::parts::{Badge, Count, Empty, Link, Pager, When};
use super::shell::Shell;

/// A request in a list.
#[derive(Clone, Debug)]
pub struct RequestRow {
    /// "REQ-000482".
    pub number: String,
    /// Its page.
    pub href: String,
    /// "New joiner: Nguyễn Thị Lan".
    pub title: String,
    /// One line more; may be empty.
    pub detail: String,
    /// Its state.
    pub state: Badge,
    /// When it is expected to be done, or was.
    pub expected: Option<When>,
    /// When it was asked for.
    pub asked: Option<When>,
    /// Who asked, where that is not the viewer.
    pub asked_by: String,
    /// Seen by parties, deciders and the desk lead only.
    pub restricted: bool,
}

/// A chosen part of a list, as a link: "Open 12".
#[derive(Clone, Debug)]
pub struct Tab {
    /// Its words.
    pub label: String,
    /// How many; none for not counted.
    pub count: Option<Count>,
    /// Its address.
    pub href: String,
    /// The one shown.
    pub current: bool,
}

impl Tab {
    /// A tab.
    pub fn new(label: &str, count: Option<u64>, href: impl Into<String>, current: bool) -> Self {
        Self { label: label.to_owned(), count: count.map(Count::from), href: href.into(), current }
    }
    /// The same with a number that may be counted only so far.
    #[must_use]
    pub fn counted(self, count: Count) -> Self {
        Self { count: Some(count), ..self }
    }
}

/// `GET /requests`: what the viewer may see.
#[derive(Template)]
#[template(path = "lists/requests.html")]
pub struct RequestsPage {
    /// Surroundings.
    pub shell: Shell,
    /// "12 open".
    pub summary: String,
    /// Asked by me, about my team, all.
    pub tabs: Vec<Tab>,
    /// The page's rows.
    pub rows: Vec<RequestRow>,
    /// Neighbouring pages.
    pub pager: Pager,
    /// What to say when there are none.
    pub empty: Empty,
    /// May ask for something new.
    pub may_ask: bool,
    /// The filter by state, submitted as `state` by GET; empty for none.
    pub states: Vec<Choice>,
    /// The text filter, submitted as `q`.
    pub query: String,
}

/// An item that waits for the viewer's decision, or that they decided.
#[derive(Clone, Debug)]
pub struct ApprovalRow {
    /// "REQ-000479 · item 1".
    pub number: String,
    /// The page where they decide, or the request.
    pub href: String,
    /// "New joiner: Nguyễn Thị Lan".
    pub title: String,
    /// The item: "Finance – Ledger (read)".
    pub item: String,
    /// SOX-relevant.
    pub sox: bool,
    /// As what they decide: "as owner", "for Jonas Berg (away until 4 Dec)".
    pub role: String,
    /// "6 changes in 2 systems".
    pub size: String,
    /// Who asked.
    pub asked_by: String,
    /// Since when it waits, or when it was decided.
    pub when: When,
    /// Its state, or the decision.
    pub state: Badge,
}

/// `GET /approvals`: what waits for the viewer's decision, and what they decided.
#[derive(Template)]
#[template(path = "lists/approvals.html")]
pub struct ApprovalsPage {
    /// Surroundings.
    pub shell: Shell,
    /// Waiting, decided.
    pub tabs: Vec<Tab>,
    /// The rows.
    pub rows: Vec<ApprovalRow>,
    /// They still wait: each row has a "Review" button.
    pub waiting: bool,
    /// Neighbouring pages.
    pub pager: Pager,
    /// What to say when there are none.
    pub empty: Empty,
    /// A line about delegation: "You stand in for Jonas Berg until 4 December".
    pub standing_in: Option<Link>,
}
