//! Settings: what is set, drafts, proposals, and what proposed rules would have done.

use askama::Template;

use super::forms::{AnyField, AreaField, DateField, FormErrors, SelectField, TextField};
use super::parts::{Badge, Crumb, Facts, Link, When};
use super::shell::Shell;
use crate::web::Fields;

/// A row of the settings page: name, what it decides, where it leads, how it stands.
#[derive(Clone, Debug)]
pub struct SettingRow {
    pub title: String,
    pub text: String,
    pub href: String,
    /// "version 3, since 2 March".
    pub state: String,
    pub badge: Option<Badge>,
}

/// Rows under a heading.
#[derive(Clone, Debug)]
pub struct SettingGroup {
    pub title: String,
    pub rows: Vec<SettingRow>,
}

/// `GET /settings`: rules, sites, target systems; what waits to be released, and the viewer's drafts.
#[derive(Template)]
#[template(path = "settings/settings.html")]
pub struct SettingsPage {
    pub shell: Shell,
    pub errors: FormErrors,
    /// Proposed or scheduled.
    pub waiting: Vec<SettingRow>,
    pub drafts: Vec<SettingRow>,
    pub groups: Vec<SettingGroup>,
    /// The viewer may propose: the form for a new site is shown.
    pub proposes: bool,
    /// As typed.
    pub new_site: String,
}

impl SettingsPage {
    fn site_field(&self) -> TextField {
        TextField { max: 64, ..TextField::new("site", "Its name in imports and rules").value(&self.new_site) }
            .hint("Such as Hamburg. It never changes.")
            .width("medium")
            .error(&self.errors)
    }
}

/// One thing that differs.
#[derive(Clone, Debug)]
pub struct Differs {
    /// The field, the rule and its field, the person.
    pub what: String,
    pub from: Option<String>,
    pub to: Option<String>,
}

/// Who holds together what rules of separation keep apart.
#[derive(Clone, Debug)]
pub struct HeldTogether {
    /// "3 people", "Nobody".
    pub summary: String,
    pub rows: Vec<(Link, String)>,
}

/// Rules tried on what is there.
#[derive(Clone, Debug)]
pub struct Trial {
    /// "Tried on 500 people: 12 come out differently".
    pub summary: String,
    pub rows: Vec<Differs>,
    /// "38 more"; empty where all are shown.
    pub more: String,
    pub follows: String,
}

/// What a proposed body changes, and what came of trying it.
#[derive(Clone, Debug, Template)]
#[template(path = "settings/changes.html")]
pub struct Changes {
    pub differs: Vec<Differs>,
    pub trial: Option<Trial>,
}
embeddable!(Changes);

/// A wording of mails can be tried: the letters to choose from. Posted as `letter`, with the page's own word for it.
pub struct TestLetters {
    pub which: SelectField,
}

/// Fields under a heading.
pub struct FormSection {
    pub title: String,
    pub text: String,
    /// What could be named in its fields: a name, and what is known of it.
    pub offered: Vec<(String, String)>,
    /// Side by side.
    pub beside: bool,
    pub fields: Vec<AnyField>,
}

/// A rule of a list, in a draft.
#[derive(Clone, Debug)]
pub struct RuleRow {
    /// Its place, from 0.
    pub at: usize,
    pub title: String,
    /// "joiner · the account: line manager, service desk".
    pub text: String,
    pub href: String,
    pub first: bool,
    pub last: bool,
}

/// `GET/POST /settings/drafts/{id}`. Posts the form's fields by their paths, `note`, `from` in boxes, `base`, and `what`: `keep`,
/// `propose`, `discard`, `test` (with `letter`), `up:3`, `down:3`, `remove:3`.
#[derive(Template)]
#[template(path = "settings/draft.html")]
pub struct DraftPage {
    pub shell: Shell,
    pub crumbs: Vec<Crumb>,
    pub title: String,
    pub summary: String,
    pub errors: FormErrors,
    pub action: String,
    /// The version in force that the difference was made from.
    pub base: i32,
    pub sections: Vec<FormSection>,
    /// Some for a list of rules.
    pub rules: Option<Vec<RuleRow>>,
    pub add: String,
    pub changes: Changes,
    /// As typed.
    pub fields: Fields,
    /// The site has one administrator, who releases alone.
    pub alone: bool,
    /// Of the wording of mails: tried by `what=test`.
    pub tests: Option<TestLetters>,
}

impl DraftPage {
    fn note(&self) -> AreaField {
        AreaField::new("note", "Why")
            .value(self.fields.raw("note"))
            .hint("Whoever releases it reads this, and so do auditors.")
            .error(&self.errors)
    }
    fn from(&self) -> DateField {
        let [day, month, year] = self.fields.date_boxes("from");
        DateField::new("from", "In force from")
            .typed(day, month, year)
            .hint("Left empty: as soon as it is released")
            .optional()
            .error(&self.errors)
    }
}

/// `GET/POST /settings/drafts/{id}/rules/{rule}`.
#[derive(Template)]
#[template(path = "settings/rule.html")]
pub struct RulePage {
    pub shell: Shell,
    pub crumbs: Vec<Crumb>,
    pub title: String,
    pub errors: FormErrors,
    pub action: String,
    pub sections: Vec<FormSection>,
    pub back: String,
}

/// `GET/POST /settings/proposals/{id}`. Posts `answer` (`release`, `reject`, `withdraw`), `digest`, `comment`.
#[derive(Template)]
#[template(path = "settings/proposal.html")]
pub struct ProposalPage {
    pub shell: Shell,
    pub crumbs: Vec<Crumb>,
    pub title: String,
    pub state: Badge,
    pub summary: String,
    pub errors: FormErrors,
    pub action: String,
    pub digest: String,
    pub facts: Facts,
    pub changes: Changes,
    pub comment: String,
    /// Why the viewer cannot release or reject it; empty where they can.
    pub closed: String,
    pub may_withdraw: bool,
    /// The setting as it is now.
    pub again: Option<Link>,
    /// Of the wording of mails: tried by `answer=test`.
    pub tests: Option<TestLetters>,
}

impl ProposalPage {
    fn comment_field(&self) -> AreaField {
        AreaField::new("comment", "Comment")
            .value(&self.comment)
            .hint("Needed to reject.")
            .optional()
            .error(&self.errors)
    }
}

/// A version's line beside a setting.
#[derive(Clone, Debug)]
pub struct ProposalRow {
    pub href: String,
    pub when: When,
    pub by: String,
    pub state: Badge,
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

/// `GET /settings/{kind}` (`?version=`): one version, to read.
#[derive(Template)]
#[template(path = "settings/setting.html")]
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
    /// Rules of separation: who holds together what they keep apart.
    pub together: Option<HeldTogether>,
    /// All versions.
    pub versions: Vec<SettingVersion>,
    /// What was proposed of it, the newest first.
    pub proposals: Vec<ProposalRow>,
    /// `routes`, `entitlement:…`.
    pub subject: String,
    /// "Propose a change", "Propose to go back to version 2"; empty where the viewer may not.
    pub begin: String,
    /// The version that the draft begins with; empty: what is in force.
    pub begin_from: String,
    /// The page of what it is set for: a target system, an entry of the catalogue.
    pub about: Option<Link>,
}
