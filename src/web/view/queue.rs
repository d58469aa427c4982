//! The desk's queue: everything open, ordered by what breaches next.

use askama::Template;

use super::forms::Choice;
use super::lists::Tab;
use super::parts::{Badge, Empty, Meter, Pager};
use super::shell::Shell;

/// A request in the queue.
#[derive(Clone, Debug)]
pub struct QueueRow {
    /// "482": submitted as `number` by the boxes.
    pub id: String,
    /// "REQ-000482".
    pub number: String,
    /// "New joiner: Nguyễn Thị Lan".
    pub title: String,
    /// One line more: "Finance, Hamburg · starts 30 November".
    pub detail: String,
    /// Seen by few.
    pub restricted: bool,
    /// Its priority ([`super::states::priority`]).
    pub priority: Badge,
    /// Its state.
    pub state: Badge,
    /// Who works on it; empty for nobody.
    pub assignee: String,
    /// "6 min", "paused", "overdue by 2 h".
    pub clock: String,
    /// How much of the clock is used; its tone colours the words too. None when paused.
    pub meter: Option<Meter>,
}

impl QueueRow {
    /// The class of the clock's words.
    fn clock_tone(&self) -> &'static str {
        self.meter.map_or("quiet", |meter| meter.tone.class())
    }
}

/// A heading of the table that sorts by it.
#[derive(Clone, Debug)]
pub struct SortHead {
    /// "Priority".
    pub label: String,
    /// The address that sorts by it; none if it does not sort.
    pub href: Option<String>,
    /// `ascending`, `descending`, or empty: not sorted by it.
    pub sorted: &'static str,
}

impl SortHead {
    /// A heading that does not sort.
    pub fn plain(label: &str) -> Self {
        Self { label: label.to_owned(), href: None, sorted: "" }
    }
    /// A heading that sorts.
    pub fn sorts(label: &str, href: impl Into<String>, sorted: &'static str) -> Self {
        Self { label: label.to_owned(), href: Some(href.into()), sorted }
    }
}

/// `GET /queue`. Filters are the query parameters `view`, `q`, `kind`, `state`, `assignee`, `sort` and the cursor.
///
/// Bulk assignment posts `number` (several), `assignee` (`me`, or `chosen` with the id in `to`, empty for nobody) and
/// `back` (this address) to
/// `/queue/assignment`; answer with [`BulkAssignPage`] when more than one is chosen.
#[derive(Template)]
#[template(path = "queue/queue.html")]
pub struct QueuePage {
    /// Surroundings.
    pub shell: Shell,
    /// "38 open · sorted by what breaches next".
    pub summary: String,
    /// Views: all open, mine, unassigned, at risk, …
    pub tabs: Vec<Tab>,
    /// Text filter as typed.
    pub query: String,
    /// The view that filters keep, submitted as `view`.
    pub view: String,
    /// Kinds to filter by; the first is "All kinds" with an empty value.
    pub kinds: Vec<Choice>,
    /// States to filter by.
    pub states: Vec<Choice>,
    /// Assignees to filter by.
    pub assignees: Vec<Choice>,
    /// Number, request, priority, state, assignee, next clock: exactly six.
    pub heads: Vec<SortHead>,
    /// The page's rows.
    pub rows: Vec<QueueRow>,
    /// Agents that can be assigned; empty when the viewer may not assign (then no boxes are shown).
    pub agents: Vec<Choice>,
    /// This address, to come back to.
    pub here: String,
    /// Neighbouring pages.
    pub pager: Pager,
    /// What to say when there are none.
    pub empty: Empty,
}

/// A row's part in a preview of something done to many.
#[derive(Clone, Debug)]
pub struct BulkRow {
    /// "REQ-000482".
    pub number: String,
    /// The request.
    pub title: String,
    /// What will happen, or why nothing: "unassigned → Amira Said", "is done already".
    pub effect: String,
    /// It will be done.
    pub included: bool,
    /// "482".
    pub id: String,
}

/// The preview of an assignment of several requests: posts `number` (several), `assignee`, `back`, `sure=yes`.
#[derive(Template)]
#[template(path = "queue/bulk.html")]
pub struct BulkAssignPage {
    /// Surroundings.
    pub shell: Shell,
    /// "Assign 3 requests to Amira Said?"
    pub title: String,
    /// The rows.
    pub rows: Vec<BulkRow>,
    /// Submitted again.
    pub assignee: String,
    /// Where to return.
    pub back: String,
}
