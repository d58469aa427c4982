//! Persons: one, many, found while typing, a team, the org chart.

use askama::Template;

use super::lists::Tab;
use super::parts::{Avatar, Badge, Crumb, Empty, Facts, Link, Pager, Person, When};
use super::plan::PlanView;
use super::progress::Timeline;
use super::request::MenuAction;
use super::shell::Shell;

/// An account of a person.
#[derive(Clone, Debug)]
pub struct AccountRow {
    /// "Active Directory".
    pub system: String,
    /// "pwolf".
    pub name: String,
    /// Lines: "locked since 13:41 after 5 wrong passwords · password 62 of 90 days".
    pub lines: Vec<String>,
    /// Its state ([`super::states::account`]).
    pub state: Badge,
    /// What its system knows about it, shown on demand: distinguished name, object id, mail …
    pub facts: Facts,
}

/// Something a person holds.
#[derive(Clone, Debug)]
pub struct HeldRow {
    /// "Finance – Ledger (post)".
    pub name: String,
    /// Its page in the catalogue.
    pub href: Option<String>,
    /// SOX-relevant.
    pub sox: bool,
    /// "direct", "birthright", "through Finance staff", "before Tenure".
    pub how: String,
    /// Since when; none if before anybody looked.
    pub since: Option<When>,
    /// Until when.
    pub until: Option<When>,
    /// The request or rule: "REQ-000112", "rule “location”".
    pub reason: Link,
    /// Who asked and who decided: "M. Keller / J. Berg"; may be empty.
    pub parties: String,
    /// It waits: asked for and not yet given, or about to end.
    pub badge: Option<Badge>,
}

/// A request that is open about a person.
#[derive(Clone, Debug)]
pub struct OpenRequest {
    /// "REQ-000474".
    pub number: String,
    /// Its page.
    pub href: String,
    /// "Cannot open the finance share".
    pub title: String,
    /// "waiting for Peter since yesterday".
    pub detail: String,
}

/// `GET /people/{id}`.
#[derive(Template)]
#[template(path = "people/person.html")]
pub struct PersonPage {
    /// Surroundings.
    pub shell: Shell,
    /// The path above the heading.
    pub crumbs: Vec<Crumb>,
    /// For addresses.
    pub id: String,
    /// "Peter Wolf".
    pub name: String,
    /// "Accountant, Finance, Hamburg · reports to Maria Keller · since 1 March 2022".
    pub summary: String,
    /// Their state, if it is worth a word (joins, leaves, has left).
    pub state: Option<Badge>,
    /// Buttons beside the heading: "Unlock", "Reset password…"; links to forms with the person filled in.
    pub buttons: Vec<Link>,
    /// Under "Request a change"; empty for none.
    pub changes: Vec<MenuAction>,
    /// What concerns everybody who looks: already leaving, no account, two accounts.
    pub notices: Vec<super::request::Notice>,
    /// Their accounts.
    pub accounts: Vec<AccountRow>,
    /// "seen 2 s ago"; empty when nothing was ever seen.
    pub seen: String,
    /// The viewer may have the directory looked at again (a form to `/people/{id}/look`).
    pub may_look: bool,
    /// What they hold.
    pub held: Vec<HeldRow>,
    /// "14 direct, 9 through nesting".
    pub held_summary: String,
    /// The viewer may not see what they hold: nothing is shown, and that is said.
    pub held_hidden: bool,
    /// What happens about them now.
    pub now: Timeline,
    /// Their open requests that the viewer may see.
    pub open: Vec<OpenRequest>,
    /// Number, contract, phone, source, …
    pub facts: Facts,
    /// Who reports to them.
    pub reports: Vec<Person>,
    /// The last changes to their objects, as plans; empty for none or not allowed.
    pub history: Vec<PastChange>,
}

impl PersonPage {
    fn avatar(&self) -> Avatar {
        Avatar::large(&self.name)
    }
}

/// A change in the past.
#[derive(Clone, Debug)]
pub struct PastChange {
    /// When.
    pub when: When,
    /// "Name change, REQ-000455".
    pub link: Link,
    /// Exactly what.
    pub plan: PlanView,
}

/// A person in a list.
#[derive(Clone, Debug)]
pub struct PersonRow {
    /// Who, with their page.
    pub person: Person,
    /// "pwolf"; may be empty.
    pub user_name: String,
    /// "Accountant".
    pub title: String,
    /// "Finance".
    pub department: String,
    /// "Hamburg".
    pub site: String,
    /// Their manager.
    pub manager: Option<Person>,
    /// What is worth knowing.
    pub badge: Option<Badge>,
}

/// `GET /people`.
#[derive(Template)]
#[template(path = "people/people.html")]
pub struct PeoplePage {
    /// Surroundings.
    pub shell: Shell,
    /// "60 people".
    pub summary: String,
    /// All, joining, leaving, without an account.
    pub tabs: Vec<Tab>,
    /// Text filter, submitted as `q`.
    pub query: String,
    /// Kept by the filter, submitted as `view`.
    pub view: String,
    /// The page's rows.
    pub rows: Vec<PersonRow>,
    /// Neighbouring pages.
    pub pager: Pager,
    /// What to say when there are none.
    pub empty: Empty,
    /// Further places: org chart, adoption, import.
    pub places: Vec<Link>,
}

/// One thing found by the search.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Its page.
    pub href: String,
    /// "Peter Wolf".
    pub title: String,
    /// "Accountant, Finance, Hamburg".
    pub detail: String,
    /// What is worth knowing.
    pub badge: Option<Badge>,
}

/// Found things of one sort.
#[derive(Clone, Debug)]
pub struct HitGroup {
    /// "People", "Requests", "Catalogue", "Accounts and groups".
    pub title: String,
    /// The best of them.
    pub hits: Vec<Hit>,
}

/// `GET /search?q=`.
#[derive(Template)]
#[template(path = "people/search.html")]
pub struct SearchPage {
    /// Surroundings; put the query into `shell.search`.
    pub shell: Shell,
    /// Groups that have hits.
    pub groups: Vec<HitGroup>,
}

/// `GET /search/suggest?q=`: the same below the search box, a few of each.
#[derive(Template)]
#[template(path = "people/suggest.html")]
pub struct SuggestFragment {
    /// What was searched for.
    pub query: String,
    /// Groups that have hits.
    pub groups: Vec<HitGroup>,
}

/// A member of the viewer's team, with what a manager asks about.
#[derive(Clone, Debug)]
pub struct TeamRow {
    /// Who.
    pub person: Person,
    /// "Accountant, Hamburg".
    pub position: String,
    /// What is up ("locked", "joins Monday", "ends 4 Dec").
    pub badge: Option<Badge>,
    /// "2 open requests"; may be empty.
    pub open: String,
    /// How many entitlements they hold; none if not told.
    pub held: Option<u32>,
    /// What can be asked for: "Access", "Leaves"; links to forms with the person filled in.
    pub actions: Vec<Link>,
    /// How far below the viewer: 0 reports directly.
    pub level: u8,
}

/// `GET /team`.
#[derive(Template)]
#[template(path = "people/team.html")]
pub struct TeamPage {
    /// Surroundings.
    pub shell: Shell,
    /// "9 people report to you, 23 in all".
    pub summary: String,
    /// Direct reports, everybody below.
    pub tabs: Vec<Tab>,
    /// The members.
    pub rows: Vec<TeamRow>,
    /// May ask for a joiner.
    pub may_ask: bool,
    /// The same rows as a file.
    pub csv: String,
}

/// A person in the org chart, in the order of a walk from the top: each after their manager.
#[derive(Clone, Debug)]
pub struct OrgNode {
    /// Who.
    pub person: Person,
    /// "Head of Finance, Hamburg".
    pub position: String,
    /// What is worth knowing.
    pub badge: Option<Badge>,
    /// The people below them.
    pub reports: Vec<Self>,
    /// How many are below them in all.
    pub below: u32,
    /// Unfolded when the page opens (the path to the viewer).
    pub open: bool,
}

/// One node with those below it.
#[derive(Template)]
#[template(path = "people/org_node.html")]
struct OrgBranch<'a> {
    node: &'a OrgNode,
}
impl askama::filters::HtmlSafe for OrgBranch<'_> {}

impl OrgNode {
    fn branch(&self) -> OrgBranch<'_> {
        OrgBranch { node: self }
    }
}

/// `GET /org`.
#[derive(Template)]
#[template(path = "people/org.html")]
pub struct OrgPage {
    /// Surroundings.
    pub shell: Shell,
    /// "60 people, 7 departments".
    pub summary: String,
    /// Those without a manager.
    pub roots: Vec<OrgNode>,
    /// Whose manager is missing or has left: said above the chart.
    pub loose: Vec<Person>,
}
