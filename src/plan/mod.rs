//! What a request amounts to: items, each an ordered list of exact differences. Pure: same inputs, same steps, same digest.
//!
//! One file per kind of request holds its typed `Answers`, its `parse` (what may be asked) and its `plan` (what it amounts
//! to). What they need to know of the world comes in as [`Known`] (for parsing) and [`Sight`] (for planning); both are
//! gathered by `requests` and hold no connection.
//!
//! An item is what is decided and applied as a unit. Its *effect* is its steps without labels, reasons, row ids or times
//! of planning; its digest is an HMAC of the canonical effect under the request's own key. A decision is bound to that
//! digest, and the worker applies steps of that effect and no others.

pub mod access;
pub mod field;
pub mod joiner;
pub mod leaver;
pub mod password_reset;
pub mod unlock;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::Sha256;
use uuid::Uuid;

use crate::catalog::{Entitlement, Rules};
use crate::grants::Reason;
use crate::ids::{EntitlementId, PersonId};
use crate::people::{Person, Site};
use crate::target::{Address, Change, Difference, Key, Kind, Presence, Reference, State, SystemKey, Value};

/// The kinds of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    Joiner,
    Leaver,
    Access,
    PasswordReset,
    Unlock,
    /// Made by a routine: the last grant that supported an access has ended.
    Expiry,
}

impl RequestKind {
    pub const ASKABLE: [RequestKind; 5] = [Self::Joiner, Self::Leaver, Self::Access, Self::PasswordReset, Self::Unlock];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joiner => "joiner",
            Self::Leaver => "leaver",
            Self::Access => "access",
            Self::PasswordReset => "password_reset",
            Self::Unlock => "unlock",
            Self::Expiry => "expiry",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ASKABLE.into_iter().chain([Self::Expiry]).find(|kind| kind.as_str() == text)
    }
}

/// Typed answers of any kind; kept with the request as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "answers", rename_all = "snake_case")]
pub enum Answers {
    Joiner(joiner::Answers),
    Leaver(leaver::Answers),
    Access(access::Answers),
    PasswordReset(password_reset::Answers),
    Unlock(unlock::Answers),
}

impl Answers {
    pub fn kind(&self) -> RequestKind {
        match self {
            Self::Joiner(_) => RequestKind::Joiner,
            Self::Leaver(_) => RequestKind::Leaver,
            Self::Access(_) => RequestKind::Access,
            Self::PasswordReset(_) => RequestKind::PasswordReset,
            Self::Unlock(_) => RequestKind::Unlock,
        }
    }

    /// The person it is about; a joiner's is not there yet.
    pub fn subject(&self) -> Option<PersonId> {
        match self {
            Self::Joiner(_) => None,
            Self::Leaver(answers) => Some(answers.person),
            Self::Access(answers) => Some(answers.person),
            Self::PasswordReset(answers) => Some(answers.person),
            Self::Unlock(answers) => Some(answers.person),
        }
    }

    /// Seen by the parties, the deciders and the desk lead only.
    pub fn restricted(&self) -> bool {
        matches!(self, Self::Leaver(answers) if answers.immediate)
    }

    /// The name under which routes and service levels list it; an immediate leaver is not decided beforehand.
    pub fn route_kind(&self) -> &'static str {
        match self {
            Self::Leaver(answers) if answers.immediate => "leaver_immediate",
            other => other.kind().as_str(),
        }
    }
}

/// What parsing needs to know: everything that an answer may refer to, looked up by what was typed.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub now: DateTime<Utc>,
    pub sites: Vec<Site>,
    pub departments: Vec<String>,
    /// By user name, employee number or id, as typed.
    pub people: BTreeMap<String, Person>,
    /// By id or name, as typed.
    pub entitlements: BTreeMap<String, Entitlement>,
    /// Who already has the employee number that was typed.
    pub number_taken_by: Option<(PersonId, String)>,
    /// The accounts of the person it is about.
    pub accounts: Vec<AccountSight>,
    /// An open request of the same kind about the same person, if any.
    pub open_twin: Option<i64>,
}

/// One account of the person it is about, as the mirror last saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountSight {
    pub system: SystemKey,
    pub id: Uuid,
    pub user_name: String,
    pub display_name: String,
    /// person, admin, …
    pub kind: String,
    pub state: State,
    pub groups: Vec<GroupSight>,
}

/// A direct membership of an account.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSight {
    pub id: Uuid,
    pub name: String,
    /// Set where the group is in the catalogue.
    pub entitlement: Option<EntitlementId>,
}

/// What planning sees of the world. Gathered in the transaction that submits; nothing else goes into a plan.
#[derive(Debug, Clone)]
pub struct Sight<'a> {
    pub now: DateTime<Utc>,
    /// The directory in which people get their account.
    pub directory: SystemKey,
    /// The mirror's position per system.
    pub position: BTreeMap<String, i64>,
    pub rules: &'a Rules,
    /// Names that are taken, in the directory or by requests in flight: (namespace, folded value).
    pub taken: BTreeSet<(String, String)>,
    /// Whom it is about.
    pub subject: Option<Person>,
    pub accounts: Vec<AccountSight>,
    /// Who asks: reads the password after a reset.
    pub asked_by: PersonId,
    /// The joiner's manager and the manager's account.
    pub manager: Option<Person>,
    pub manager_account: Option<Uuid>,
    pub site: Option<Site>,
    /// Entitlements that answers or rules name.
    pub entitlements: BTreeMap<EntitlementId, Entitlement>,
}

/// The differences that one thing asked for amounts to.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedItem {
    pub label: String,
    /// What it is about; None: accounts.
    pub entitlement: Option<EntitlementId>,
    pub sox: bool,
    pub steps: Vec<PlannedStep>,
}

/// One difference on one object.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedStep {
    /// Unique in the request; what `after` and references name.
    pub name: String,
    pub system: SystemKey,
    pub kind: Kind,
    pub key: Key,
    pub difference: Difference,
    pub after: Vec<String>,
    pub not_before: Option<DateTime<Utc>>,
    pub grant: Option<GrantEffect>,
    /// Who may read the password that it sets, and from when.
    pub secret: Option<(PersonId, DateTime<Utc>)>,
    pub label: String,
    pub why: String,
}

/// What a step does to the books of who holds what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantEffect {
    Give {
        entitlement: EntitlementId,
        reason: Reason,
        reason_text: String,
        until_on: Option<NaiveDate>,
        until_at: Option<DateTime<Utc>>,
    },
    Take {
        entitlement: EntitlementId,
        why: String,
    },
}

/// Names that a plan takes, reserved until the request is settled: (namespace, folded value).
pub type Names = Vec<(String, String)>;

/// What a request amounts to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    pub items: Vec<PlannedItem>,
    pub names: Names,
}

impl PlannedItem {
    /// The canonical effect: what is approved, byte for byte.
    ///
    /// # Errors
    /// Never for the values a plan holds; the serialiser's signature says otherwise.
    pub fn effect(&self) -> Result<Vec<u8>, serde_json::Error> {
        let steps: Vec<Json> = self.steps.iter().map(PlannedStep::effect).collect();
        serde_json_canonicalizer::to_vec(&Json::Array(steps))
    }

    /// How many differences a person has to read.
    pub fn change_count(&self) -> usize {
        self.steps.iter().map(|step| step.difference.changes.len().max(1)).sum()
    }
}

impl PlannedStep {
    fn effect(&self) -> Json {
        let mut effect = json!({
            "id": self.name,
            "system": self.system,
            "kind": self.kind,
            "key": self.key,
            "changes": self.difference.changes,
            "after": self.after,
        });
        if let Some(presence) = self.difference.presence {
            effect["presence"] = json!(presence);
        }
        if let Some(at) = self.not_before {
            effect["not_before"] = json!(at);
        }
        match &self.grant {
            Some(GrantEffect::Give { until_on, .. }) => effect["grant"] = json!({ "until": until_on }),
            Some(GrantEffect::Take { .. }) => effect["grant"] = json!({ "ends": true }),
            None => {}
        }
        effect
    }

    /// A membership that appears.
    pub fn join(system: &SystemKey, name: String, group: &Entitlement, member: Reference) -> Self {
        Self::membership(system, name, (group.native_id, &group.name), member, (Presence::Absent, Presence::Present))
    }

    /// A membership that goes.
    pub fn leave(system: &SystemKey, name: String, (group, group_name): (Uuid, &str), member: Uuid) -> Self {
        let presence = (Presence::Present, Presence::Absent);
        Self::membership(system, name, (group, group_name), Reference::Native(member), presence)
    }

    fn membership(
        system: &SystemKey,
        name: String,
        (group, group_name): (Uuid, &str),
        member: Reference,
        presence: (Presence, Presence),
    ) -> Self {
        let after = match &member {
            Reference::Step { step } => vec![step.clone()],
            Reference::Native(_) => Vec::new(),
        };
        Self {
            name,
            system: system.clone(),
            kind: Kind::Membership,
            key: Key::Member { group: Reference::Native(group), member },
            difference: Difference { presence: Some(presence), changes: Vec::new() },
            after,
            not_before: None,
            grant: None,
            secret: None,
            label: group_name.to_owned(),
            why: String::new(),
        }
    }

    /// Changes on an account that exists.
    pub fn on_account(account: &AccountSight, name: String, changes: Vec<Change>) -> Self {
        Self {
            name,
            system: account.system.clone(),
            kind: Kind::User,
            key: Key::Native { id: account.id },
            difference: Difference { presence: None, changes },
            after: Vec::new(),
            not_before: None,
            grant: None,
            secret: None,
            label: account.display_name.clone(),
            why: String::new(),
        }
    }
}

/// The digest that decisions are bound to, lower-case hex.
pub fn digest(key: &[u8], effect: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(effect);
    hex::encode(mac.finalize().into_bytes())
}

/// Plans any kind.
///
/// # Errors
/// Field errors where what is asked cannot be planned (a name cannot be made, an account is missing).
pub fn plan(answers: &Answers, sight: &Sight<'_>) -> Result<Plan, Vec<field::FieldError>> {
    match answers {
        Answers::Joiner(answers) => joiner::plan(answers, sight),
        Answers::Leaver(answers) => leaver::plan(answers, sight),
        Answers::Access(answers) => access::plan(answers, sight),
        Answers::PasswordReset(answers) => password_reset::plan(answers, sight),
        Answers::Unlock(answers) => unlock::plan(answers, sight),
    }
}

/// Turns a plan's key into an address, with the ids that earlier steps of the request made.
///
/// `correlation` is what a new object will carry. None: a step it refers to has not made anything yet.
pub fn address(key: &Key, correlation: Uuid, resolved: &BTreeMap<String, Uuid>) -> Option<Address> {
    let end = |reference: &Reference| match reference {
        Reference::Native(id) => Some(*id),
        Reference::Step { step } => resolved.get(step).copied(),
    };
    Some(match key {
        Key::New { .. } => Address::New { correlation },
        Key::Native { id } => Address::Native(*id),
        Key::Step { step } => Address::Native(*resolved.get(step)?),
        Key::Member { group, member } => Address::Member { group: end(group)?, member: end(member)? },
        Key::Permission { object, trustee, right } => {
            Address::Permission { object: end(object)?, trustee: end(trustee)?, right: right.clone() }
        }
    })
}

/// `name` → a step name's part: lower-case ASCII, digits and dashes.
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for letter in deunicode::deunicode(name).to_lowercase().chars() {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter);
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// Gives every step of a request a name of its own: a second `all-hamburg` becomes `all-hamburg-2`.
pub fn unique_name(wanted: &str, used: &mut BTreeSet<String>) -> String {
    let wanted = if wanted.is_empty() { "step" } else { wanted };
    let mut name = wanted.to_owned();
    let mut number = 2;
    while !used.insert(name.clone()) {
        name = format!("{wanted}-{number}");
        number += 1;
    }
    name
}

/// When on a first day an account is enabled, local time at the site: before anybody starts, after night-time work.
const FIRST_DAY_AT: NaiveTime = NaiveTime::from_hms_opt(7, 0, 0).expect("seven o'clock exists");

/// The instant of a local time on a day; where clocks jump over it, the first instant after the gap.
pub fn local_instant(site: &Site, day: NaiveDate, time: NaiveTime) -> DateTime<Utc> {
    let mut local = day.and_time(time);
    loop {
        if let Some(instant) = site.zone.from_local_datetime(&local).earliest() {
            return instant.with_timezone(&Utc);
        }
        local += chrono::TimeDelta::minutes(15);
    }
}

/// The start of the day that follows: when something that lasts through `day` ends.
pub fn end_of_day(site: &Site, day: NaiveDate) -> DateTime<Utc> {
    local_instant(site, day.checked_add_days(Days::new(1)).unwrap_or(day), NaiveTime::MIN)
}

/// Today at the site.
pub fn today(site: &Site, now: DateTime<Utc>) -> NaiveDate {
    now.with_timezone(&site.zone).date_naive()
}

fn set(attribute: &str, to: impl Into<Value>) -> Change {
    Change { attribute: attribute.to_owned(), from: Value::Null, to: to.into() }
}

/// A change from what the mirror saw; None where it is so already.
fn changed(state: &State, attribute: &str, to: impl Into<Value>) -> Option<Change> {
    let (from, to) = (state.get(attribute).clone(), to.into());
    (!crate::target::same(&from, &to)).then(|| Change { attribute: attribute.to_owned(), from, to })
}
