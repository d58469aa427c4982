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
mod answers;
pub mod field;
pub mod joiner;
pub mod leaver;
pub mod leaver_mail;
pub mod list_change;
pub mod mail;
pub mod mailbox_access;
pub mod mailbox_change;
pub mod mailing_list;
pub mod password_reset;
pub mod personal_mailbox;
pub mod scope;
mod separation;
pub mod shared_mailbox;
mod sight;
pub mod unlock;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::Sha256;
use uuid::Uuid;

pub use self::answers::{Answers, Concerned, RequestKind};
pub use self::separation::Holds;
pub use self::sight::{AccountSight, GroupSight, Known, ListSight, MailSight, Sight};
use crate::catalog::{Entitlement, Held};
use crate::connectors::exchange::flavour::{Flavour, supports};
use crate::grants::Reason;
use crate::ids::{EntitlementId, PersonId};
use crate::people::Site;
use crate::target::{Address, Change, Difference, Key, Kind, Presence, Reference, State, SystemKey, Value};

/// The differences that one thing asked for amounts to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlannedItem {
    pub label: String,
    /// What it is about; None: accounts.
    pub entitlement: Option<EntitlementId>,
    pub sox: bool,
    pub steps: Vec<PlannedStep>,
    /// Who owns what it is about, where that is not in the catalogue (yet).
    pub owner: Option<PersonId>,
    /// What somebody would hold together by it against the rules of separation, in words: security decides as well.
    pub together: Vec<String>,
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
    /// What the step makes can be held: it goes into the catalogue.
    Offer {
        owner: PersonId,
        offers: Vec<Offer>,
    },
    /// Somebody answers for the step's object from then on: its entries in the catalogue are theirs.
    Owned {
        owner: PersonId,
    },
    /// The step's object goes, and whatever was held of it.
    Gone,
    /// The step itself is the end of a holding: whatever grants it had end.
    TakeHere {
        why: String,
    },
    /// The step itself is a holding: it goes into the catalogue where it is not there yet, and the grant begins.
    GiveHere {
        offer: Offer,
        owner: Option<PersonId>,
        /// Who holds it from then on.
        person: PersonId,
        reason_text: String,
        until_on: Option<NaiveDate>,
        until_at: Option<DateTime<Utc>>,
    },
}

/// A holding of an object that is not in the catalogue yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    pub held: Held,
    /// Empty for memberships.
    pub right: String,
    pub name: String,
    pub requestable: bool,
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
            Some(GrantEffect::Take { .. } | GrantEffect::TakeHere { .. } | GrantEffect::Gone) => {
                effect["grant"] = json!({ "ends": true })
            }
            Some(GrantEffect::Offer { owner, .. } | GrantEffect::Owned { owner }) => effect["owner"] = json!(owner),
            Some(GrantEffect::GiveHere { until_on, person, owner, .. }) => {
                effect["grant"] = json!({ "until": until_on, "person": person });
                effect["owner"] = json!(owner);
            }
            None => {}
        }
        effect
    }

    /// A holding that begins.
    pub fn give(name: String, entitlement: &Entitlement, holder: Reference) -> Self {
        let step = Self::holding(name, entitlement, holder, (Presence::Absent, Presence::Present));
        let changes = match (entitlement.held, entitlement.right.split_once('/')) {
            (Held::FolderPermission, Some((_, role))) => vec![set("role", role)],
            (Held::MailboxPermission, _) if entitlement.right == mail::FULL_ACCESS => {
                vec![set(mail::AUTOMAPPING, true)]
            }
            _ => Vec::new(),
        };
        Self { difference: Difference { changes, ..step.difference }, ..step }
    }

    /// A holding that ends.
    pub fn take(name: String, entitlement: &Entitlement, holder: Uuid) -> Self {
        Self::holding(name, entitlement, Reference::Native(holder), (Presence::Present, Presence::Absent))
    }

    fn holding(name: String, entitlement: &Entitlement, holder: Reference, presence: (Presence, Presence)) -> Self {
        let object = Reference::Native(entitlement.native_id);
        let on = (&entitlement.system, entitlement.name.as_str());
        match entitlement.held {
            Held::GroupMembership => Self::membership(on.0, name, (entitlement.native_id, on.1), holder, presence),
            Held::ListMembership => mail::membership(on, name, (object, holder), presence),
            Held::MailboxPermission => mail::permission(on, name, (object, holder, &entitlement.right), presence),
            Held::FolderPermission => {
                let folder = entitlement.right.split('/').next().unwrap_or_default();
                PlannedStep {
                    kind: Kind::FolderPermission,
                    ..mail::permission(on, name, (object, holder, folder), presence)
                }
            }
        }
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
    let mut plan = match answers {
        Answers::Joiner(answers) => joiner::plan(answers, sight),
        Answers::Leaver(answers) => leaver::plan(answers, sight),
        Answers::Access(answers) => access::plan(answers, sight),
        Answers::PasswordReset(answers) => password_reset::plan(answers, sight),
        Answers::Unlock(answers) => unlock::plan(answers, sight),
        Answers::SharedMailbox(answers) => shared_mailbox::plan(answers, sight),
        Answers::MailboxAccess(answers) => mailbox_access::plan(answers, sight),
        Answers::MailboxChange(answers) => mailbox_change::plan(answers, sight),
        Answers::MailingList(answers) => mailing_list::plan(answers, sight),
        Answers::ListChange(answers) => list_change::plan(answers, sight),
    }?;
    possible(&plan, sight)?;
    separation::apply(&mut plan, sight)?;
    Ok(plan)
}

/// A step that its organisation cannot do is refused now, not when it is due.
fn possible(plan: &Plan, sight: &Sight<'_>) -> Result<(), Vec<field::FieldError>> {
    for step in plan.items.iter().flat_map(|item| &item.steps) {
        let organisation = sight.exchange.iter().find(|system| system.key == step.system);
        let flavour = organisation.and_then(|system| Flavour::parse(system.facts.flavour.as_deref()?));
        let new = matches!(step.key, Key::New { .. });
        if let Some(Err(why)) = flavour.map(|flavour| supports(flavour, step.kind, &step.difference, new)) {
            return Err(vec![field::FieldError::new("system", why)]);
        }
    }
    Ok(())
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

fn set_number(attribute: &str, to: i64) -> Change {
    set_value(attribute, Value::Number(to))
}

fn set_value(attribute: &str, to: Value) -> Change {
    Change { attribute: attribute.to_owned(), from: Value::Null, to }
}

fn set(attribute: &str, to: impl Into<Value>) -> Change {
    Change { attribute: attribute.to_owned(), from: Value::Null, to: to.into() }
}

/// A change from what the mirror saw; None where it is so already.
fn changed(state: &State, attribute: &str, to: impl Into<Value>) -> Option<Change> {
    let (from, to) = (state.get(attribute).clone(), to.into());
    (!crate::target::same(&from, &to)).then(|| Change { attribute: attribute.to_owned(), from, to })
}
