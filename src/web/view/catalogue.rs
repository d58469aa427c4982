//! The catalogue: entitlements, who decides about them, who holds them.

use askama::Template;

use super::forms::Choice;
use super::lists::Tab;
use super::parts::{Badge, Crumb, Empty, Facts, Link, Pager, Person, When};
use super::progress::Stages;
use super::shell::Shell;

/// An entitlement in the list.
#[derive(Clone, Debug)]
pub struct EntitlementRow {
    /// "Finance – Ledger (read)".
    pub name: String,
    /// Its page.
    pub href: String,
    /// What it gives.
    pub description: String,
    /// "Active Directory · group".
    pub kind: String,
    /// Who owns it; none is a finding.
    pub owner: Option<Person>,
    /// Its risk ([`super::states::risk`]).
    pub risk: Badge,
    /// SOX-relevant.
    pub sox: bool,
    /// How many hold it; none if the viewer is not told.
    pub holders: Option<u64>,
    /// The viewer holds it.
    pub held: bool,
}

/// `GET /catalogue`. Filters: `q`, `risk`, `view`.
#[derive(Template)]
#[template(path = "catalogue/catalogue.html")]
pub struct CataloguePage {
    /// Surroundings.
    pub shell: Shell,
    /// "84 entitlements, 12 of them SOX".
    pub summary: String,
    /// All, SOX, mine to decide, without an owner.
    pub tabs: Vec<Tab>,
    /// As typed.
    pub query: String,
    /// Kept by the filter.
    pub view: String,
    /// Risks to filter by.
    pub risks: Vec<Choice>,
    /// The page's rows.
    pub rows: Vec<EntitlementRow>,
    /// Neighbouring pages.
    pub pager: Pager,
    /// What to say when there are none.
    pub empty: Empty,
    /// Settings, and adding an entry.
    pub places: Vec<Link>,
}

/// Somebody who holds an entitlement.
#[derive(Clone, Debug)]
pub struct HolderRow {
    /// Who; an account without a person is named by itself.
    pub person: Person,
    /// "direct", "birthright", "before Tenure".
    pub how: String,
    /// Since when.
    pub since: Option<When>,
    /// Until when.
    pub until: Option<When>,
    /// The request or rule.
    pub reason: Option<Link>,
}

/// `GET /catalogue/{id}`.
#[derive(Template)]
#[template(path = "catalogue/entitlement.html")]
pub struct EntitlementPage {
    /// Surroundings.
    pub shell: Shell,
    /// The path above the heading.
    pub crumbs: Vec<Crumb>,
    /// "Finance – Ledger (read)".
    pub name: String,
    /// What it gives.
    pub description: String,
    /// SOX-relevant.
    pub sox: bool,
    /// Its risk.
    pub risk: Badge,
    /// Owner, system, object, since when in the catalogue, …
    pub facts: Facts,
    /// Who must decide, and why.
    pub route: Stages,
    /// Given by rule to: "everybody in Finance"; empty for no rule.
    pub by_rule: Vec<String>,
    /// The viewer may see who holds it.
    pub holders_shown: bool,
    /// Who holds it.
    pub holders: Vec<HolderRow>,
    /// "23 people".
    pub holders_summary: String,
    /// Neighbouring pages of the holders.
    pub pager: Pager,
    /// Asks for it: a link to the form with it chosen; none if the viewer may not ask.
    pub ask: Option<Link>,
    /// Its versions, and a change of it; none where the viewer may not see settings.
    pub settings: Option<Link>,
}

/// A group that is not in the catalogue.
#[derive(Clone, Debug)]
pub struct GroupRow {
    pub name: String,
    /// Its description and place.
    pub text: String,
    pub system: String,
    pub native_id: String,
    /// "12 members".
    pub members: String,
}

/// `GET /catalogue/new` (`q`): groups of the mirror that nobody can ask for yet.
#[derive(Template)]
#[template(path = "catalogue/new.html")]
pub struct NewEntryPage {
    pub shell: Shell,
    pub crumbs: Vec<Crumb>,
    pub summary: String,
    /// As typed.
    pub query: String,
    pub rows: Vec<GroupRow>,
    pub pager: Pager,
    pub empty: Empty,
}
