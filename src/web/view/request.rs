//! One request: its plan by item, its stages and clocks, everything that happened.
//!
//! The page is live through one stream of server-sent events at `/requests/{number}/events`: each event named `changed`
//! makes the page fetch [`RequestLiveFragment`] from `/requests/{number}/timeline`, which carries the timeline and, out
//! of band, the other parts that move. Without a script there is a link that loads the page again.

use askama::Template;

use super::Empty;
use super::forms::{AreaField, Choice, FormErrors, SelectField};
use super::parts::{Badge, Crumb, Facts, Link, Tone};
use super::plan::PlanView;
use super::progress::{Clocks, Stages, Timeline};
use super::shell::Shell;

/// Something to be said at the top of the page: what is the matter, what is ready for the viewer.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Its tone.
    pub tone: Tone,
    /// In bold.
    pub lead: String,
    /// The rest.
    pub text: String,
    /// What to do about it.
    pub action: Option<Link>,
}

/// An entry of "More".
#[derive(Clone, Debug)]
pub struct MenuAction {
    /// "Cancel the request".
    pub label: String,
    /// Where it leads, or posts to.
    pub href: String,
    /// A form with a button instead of a link.
    pub posts: bool,
    /// Written in red.
    pub danger: bool,
}

impl MenuAction {
    /// Leads to a page.
    pub fn link(label: &str, href: impl Into<String>) -> Self {
        Self { label: label.to_owned(), href: href.into(), posts: false, danger: false }
    }
    /// Acts at once.
    pub fn post(label: &str, href: impl Into<String>) -> Self {
        Self { posts: true, ..Self::link(label, href) }
    }
    /// In red.
    #[must_use]
    pub fn danger(self) -> Self {
        Self { danger: true, ..self }
    }
}

/// Who works on it, changed by the desk: fields `assignee` (empty for nobody) to `action`.
#[derive(Clone, Debug)]
pub struct AssignForm {
    /// `/requests/{number}/assignment`.
    pub action: String,
    /// Agents; one chosen. The empty value stands for "unassigned".
    pub agents: Vec<Choice>,
}

/// What moves while the worker works.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "request/moving.html")]
pub struct Moving {
    /// The request's state.
    pub state: Option<Badge>,
    /// Notices.
    pub notices: Vec<Notice>,
    /// The stages.
    pub stages: Stages,
    /// The clocks.
    pub clocks: Clocks,
    /// The plan; `id` is set to "plan" by the templates' contract, leave `replaces` false.
    pub plan: PlanView,
}
embeddable!(Moving);

/// `GET /requests/{number}`.
#[derive(Template)]
#[template(path = "request/request.html")]
pub struct RequestPage {
    /// Surroundings.
    pub shell: Shell,
    /// "REQ-000482".
    pub number: String,
    /// "482", for addresses.
    pub id: String,
    /// The path above the heading.
    pub crumbs: Vec<Crumb>,
    /// "New joiner: Nguyễn Thị Lan".
    pub title: String,
    /// "Accountant, Finance, Hamburg · starts Monday 30 November · asked for by Maria Keller".
    pub summary: String,
    /// Seen by parties, deciders and the desk lead only.
    pub restricted: bool,
    /// State, notices, stages, clocks, plan.
    pub moving: Moving,
    /// Category, priority, assignee, contract, …
    pub details: Facts,
    /// Everything that happened.
    pub timeline: Timeline,
    /// Buttons beside the heading (the chief one first); at most two.
    pub buttons: Vec<Link>,
    /// Under "More".
    pub more: Vec<MenuAction>,
    /// Assigning, for the desk.
    pub assign: Option<AssignForm>,
    /// The viewer may comment.
    pub may_comment: bool,
    /// A comment that was not accepted, as typed.
    pub comment: String,
    /// Problems of the comment.
    pub errors: FormErrors,
    /// Nothing will move any more: no stream is opened.
    pub finished: bool,
    /// The request's version that is shown; its stream tells what comes after it.
    pub version: i64,
}

impl RequestPage {
    fn comment_field(&self) -> AreaField {
        AreaField::new("comment", "Comment")
            .hint("Everybody involved can read it")
            .value(&self.comment)
            .error(&self.errors)
    }
    fn assign_field(&self, form: &AssignForm) -> SelectField {
        SelectField::new("assignee", "Assignee", form.agents.clone())
    }
    fn nothing_planned(&self) -> Empty {
        Empty::new("No plan", "This request changes nothing by itself; it is answered in the timeline.")
    }
}

/// `GET /requests/{number}/timeline`: the timeline, and out of band everything else that moved.
#[derive(Template)]
#[template(path = "request/live.html")]
pub struct RequestLiveFragment {
    /// The timeline.
    pub timeline: Timeline,
    /// The rest.
    pub moving: Moving,
}
