//! One target system: what it is, how it does, what Tenure may do there, and whether it is reached.

use askama::Template;

use super::forms::{AreaField, FormErrors};
use super::parts::{Badge, Crumb, Facts, Link, When};
use super::settings::{ProposalRow, SettingVersion};
use super::shell::Shell;

/// One thing that a check looked at.
#[derive(Clone, Debug)]
pub struct FindingRow {
    /// "well", "doubtful", "to mend".
    pub state: Badge,
    pub text: String,
    /// Commands that mend it, one a line; may be empty.
    pub mend: String,
}

/// The last check of the connection, in whatever state it is: a piece that replaces itself while a worker is at it.
#[derive(Clone, Debug, Template)]
#[template(path = "operations/check.html")]
pub struct CheckFragment {
    /// `/system/{key}/checks`.
    pub address: String,
    /// Waits or runs: it is looked at again.
    pub open: bool,
    /// "14 well", "2 to mend"; none before the first.
    pub state: Option<Badge>,
    /// "A worker is at it.", "Nobody has tested this connection yet."
    pub summary: String,
    /// Who asked, when, how long it took; none before the first.
    pub asked: Option<(String, When)>,
    /// " It took 1.2 s."
    pub took: String,
    pub findings: Vec<FindingRow>,
}
embeddable!(CheckFragment);

/// An answered check before the last.
#[derive(Clone, Debug)]
pub struct EarlierCheck {
    pub state: Badge,
    pub when: When,
    pub by: String,
}

/// `GET /system/{key}`; posts `units` to `/system/{key}/checks`.
#[derive(Template)]
#[template(path = "operations/target.html")]
pub struct TargetPage {
    pub shell: Shell,
    pub crumbs: Vec<Crumb>,
    pub title: String,
    pub state: Badge,
    /// "Tenure reads and writes here."
    pub summary: String,
    pub errors: FormErrors,
    /// The viewer may have it checked.
    pub may_check: bool,
    /// Organisational units can be named besides.
    pub has_units: bool,
    /// As typed.
    pub units: String,
    pub check: CheckFragment,
    pub earlier: Vec<EarlierCheck>,
    /// Key, address, account, base.
    pub reach: Facts,
    /// Position, freshness, what was seen.
    pub mirror: Facts,
    /// What it can do with each kind of thing.
    pub kinds: Facts,
    /// Observe only, units in scope and excluded: in force.
    pub set: Facts,
    /// `system:ad:…`, to draft a change of.
    pub subject: String,
    /// The viewer may propose.
    pub proposes: bool,
    /// The setting's page.
    pub setting: Link,
    pub versions: Vec<SettingVersion>,
    pub proposals: Vec<ProposalRow>,
}

impl TargetPage {
    fn units_field(&self) -> AreaField {
        AreaField { rows: 2, max: 4000, ..AreaField::new("units", "Units to look at besides").value(&self.units) }
            .hint("One name on a line, such as OU=Staff,DC=corp,DC=example,DC=com. Those in scope and those of the naming rules are looked at anyway.")
            .optional()
            .error(&self.errors)
    }
}
