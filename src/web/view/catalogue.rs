//! The catalogue and the settings that decide: entitlements, routes, naming rules, birthrights.

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
    /// Settings that can be read: routes, naming rules, birthrights.
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
}

/// A block of a setting: "Joiner · high risk" with what applies.
#[derive(Clone, Debug)]
pub struct SettingBlock {
    /// Its name.
    pub title: String,
    /// A sentence; may be empty.
    pub text: String,
    /// Its lines: term and values; values of templates in monospace.
    pub facts: Facts,
}

/// A version of a setting.
#[derive(Clone, Debug)]
pub struct SettingVersion {
    /// "3".
    pub number: String,
    /// Its page.
    pub href: String,
    /// In force since, or from when to when.
    pub when: When,
    /// "released by Lena Sørensen, proposed by Ruth Tanaka".
    pub by: String,
    /// In force, superseded.
    pub state: Badge,
    /// The one shown.
    pub current: bool,
}

/// `GET /settings`: what can be read.
#[derive(Template)]
#[template(path = "catalogue/settings.html")]
pub struct SettingsPage {
    /// Surroundings.
    pub shell: Shell,
    /// Name, what it decides, address, version in force.
    pub kinds: Vec<SettingKind>,
}

/// A kind of setting.
#[derive(Clone, Debug)]
pub struct SettingKind {
    /// "Routes".
    pub title: String,
    /// "Who must decide, by kind of request and risk."
    pub text: String,
    /// `/settings/{kind}`.
    pub href: String,
    /// "version 3, since 2 March".
    pub version: String,
}

/// `GET /settings/{kind}` (`?version=`): one version, to read.
#[derive(Template)]
#[template(path = "catalogue/setting.html")]
pub struct SettingPage {
    /// Surroundings.
    pub shell: Shell,
    /// The path above the heading.
    pub crumbs: Vec<Crumb>,
    /// "Naming rules".
    pub title: String,
    /// "Version 3, in force since 2 March 2026".
    pub summary: String,
    /// "9f2c…e1a7".
    pub digest: String,
    /// What it says, in words.
    pub blocks: Vec<SettingBlock>,
    /// The body as stored, indented JSON.
    pub body: String,
    /// All versions.
    pub versions: Vec<SettingVersion>,
}
