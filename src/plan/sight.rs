//! What parsing and planning know of the world; gathered by `requests`, without a connection in it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Holds;
use super::scope::Scopes;
use crate::catalog::{Entitlement, Rules, TargetSystem};
use crate::ids::{EntitlementId, PersonId};
use crate::mirror::mail::{HeldRight, Object};
use crate::people::{Person, Site};
use crate::target::{State, SystemKey};

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
    /// What the person holds in Exchange that is in the catalogue, with its name.
    pub held: BTreeMap<EntitlementId, String>,
    /// The Exchange organisations.
    pub exchange: Vec<TargetSystem>,
    /// Mailboxes and lists, by what was typed: an id, an address, an alias, a name.
    pub objects: BTreeMap<String, Object>,
    /// The mailboxes of everybody in `people`.
    pub mailboxes: BTreeMap<PersonId, Vec<Object>>,
    /// Who owns a mailbox or a list, as the catalogue says.
    pub owners: BTreeMap<Uuid, PersonId>,
    /// Members of the lists in `objects`.
    pub members: BTreeMap<Uuid, Vec<Uuid>>,
    /// Addresses that were typed and are taken, with by what.
    pub addresses_taken: BTreeMap<String, String>,
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
    /// The systems whose organisational units are bounded.
    pub scopes: Scopes,
    /// What of a leaver lies outside these units: it is left as it is.
    pub left: Vec<String>,
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
    /// What rules of separation name and the subject holds or is about to hold.
    pub holds: Holds,
    /// Entitlements that answers or rules name.
    pub entitlements: BTreeMap<EntitlementId, Entitlement>,
    /// The Exchange organisations.
    pub exchange: Vec<TargetSystem>,
    /// The licence groups that they speak of, by name.
    pub licence_groups: BTreeMap<String, Uuid>,
    /// Mailboxes and lists that answers name, and the subject's own, as last seen.
    pub objects: BTreeMap<Uuid, Object>,
    /// Who is known to answer for them.
    pub owners: BTreeMap<Uuid, PersonId>,
    /// Holdings of them that are asked for as access, with the name of their entry in the catalogue.
    pub guarded: BTreeMap<(Uuid, String), String>,
    /// What the subject holds in Exchange: mailboxes of their own by id, rights elsewhere, lists that they are on or own.
    pub mail: MailSight,
}

/// The subject in Exchange.
#[derive(Debug, Clone, Default)]
pub struct MailSight {
    pub mailboxes: Vec<Object>,
    /// Mailboxes that their accounts had before: the account, and what the database still knows the mailbox by.
    pub earlier: Vec<(Uuid, String)>,
    /// Held by the subject on what is not theirs.
    pub rights: Vec<(HeldRight, Option<EntitlementId>)>,
    pub lists: Vec<ListSight>,
}

/// A list that the subject is on or owns.
#[derive(Debug, Clone)]
pub struct ListSight {
    pub list: Object,
    pub member: bool,
    pub owner: bool,
    /// Set where membership is in the catalogue.
    pub entitlement: Option<EntitlementId>,
}
