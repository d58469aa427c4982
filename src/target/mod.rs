//! The shared vocabulary of everything that speaks to a target system or plans for one.
//!
//! A *resource* is one thing in a target system (an account, a membership). Its *state* is what a connector saw; a
//! *difference* is what a step changes, attribute by attribute, with the `from` that was approved. A connector observes,
//! ensures, and observes again; what it cannot do it says with a [`Fault`], never with a guess. Nothing here knows SQL or I/O.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Names a target system, e.g. `ad:corp.example.com` or `exchange:onprem`: connector family, colon, instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SystemKey(pub String);

impl SystemKey {
    /// The connector family before the colon (`ad`).
    pub fn family(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// What follows the colon (`corp.example.com`).
    pub fn instance(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, rest)| rest)
    }
}

impl fmt::Display for SystemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What sort of thing a resource is. A membership is a resource of its own: asked for, owned, timed and undone by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    User,
    Group,
    Membership,
    /// A mailbox of any type; on premises the mail side of a directory object, with its id.
    Mailbox,
    /// A mailbox's answer while its owner is away.
    AutoReply,
    /// How a room or a piece of equipment answers invitations.
    Booking,
    /// A distribution list, a mail-enabled security group or a dynamic list.
    List,
    ListMembership,
    /// Full access, send as, send on behalf: one right of one trustee on one mailbox or list.
    MailboxPermission,
    /// A role on one folder of a mailbox.
    FolderPermission,
}

impl Kind {
    pub const ALL: [Kind; 10] = [
        Kind::User,
        Kind::Group,
        Kind::Membership,
        Kind::Mailbox,
        Kind::AutoReply,
        Kind::Booking,
        Kind::List,
        Kind::ListMembership,
        Kind::MailboxPermission,
        Kind::FolderPermission,
    ];

    /// The word used in tables, records and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::Group => "group",
            Kind::Membership => "membership",
            Kind::Mailbox => "mailbox",
            Kind::AutoReply => "auto_reply",
            Kind::Booking => "booking",
            Kind::List => "list",
            Kind::ListMembership => "list_membership",
            Kind::MailboxPermission => "mailbox_permission",
            Kind::FolderPermission => "folder_permission",
        }
    }

    /// Whether the mirror holds what is seen of it. Where not, a plan does not know what it was before, and a change's empty
    /// `from` stands for whatever is there.
    pub fn is_mirrored(self) -> bool {
        !matches!(self, Kind::AutoReply | Kind::Booking)
    }

    /// From a table's word; only words that [`Kind::as_str`] gives are ever written there.
    pub fn parse(word: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).unwrap_or(Kind::User)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One end of a membership in a plan: an object that exists (its immutable id), or what an earlier step creates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reference {
    Native(Uuid),
    Step { step: String },
}

/// How a plan names a resource before every reference is resolved.
///
/// JSON: `{"new": true}`, `{"step": "account"}`, `{"id": "6b1f…"}`, `{"group": "6b1f…", "member": {"step": "account"}}`,
/// `{"object": "6b1f…", "trustee": {"step": "mailbox"}, "right": "send_as"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Key {
    Member { group: Reference, member: Reference },
    Permission { object: Reference, trustee: Reference, right: String },
    Step { step: String },
    Native { id: Uuid },
    New { new: bool },
}

/// A resource whose references are resolved: what a connector is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    pub system: SystemKey,
    pub kind: Kind,
    pub address: Address,
}

impl Resource {
    /// What two workers must not touch at the same time: the object itself, or for a membership or a right the pair.
    pub fn lock_name(&self) -> String {
        match &self.address {
            Address::New { correlation } => format!("{}/{}/new/{correlation}", self.system, self.kind),
            Address::Native(id) => format!("{}/{}/{id}", self.system, self.kind),
            Address::Member { group, member } => format!("{}/{}/{group}/{member}", self.system, self.kind),
            Address::Permission { object, trustee, right } => {
                format!("{}/{}/{object}/{trustee}/{right}", self.system, self.kind)
            }
        }
    }
}

/// Where a resource is found in its system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// To be created; `correlation` is written into the object, so that an ambiguous create finds its own work.
    New { correlation: Uuid },
    /// By the immutable id (AD: objectGUID).
    Native(Uuid),
    /// A membership: both ends by immutable id.
    Member { group: Uuid, member: Uuid },
    /// One right of one trustee on one object, both by immutable id. `right` for mailboxes and lists: `full_access`, `send_as`,
    /// `send_on_behalf`; for folders the folder: `calendar`, `inbox`, `contacts`, `tasks`.
    Permission { object: Uuid, trustee: Uuid, right: String },
}

impl Address {
    /// Whose holding it is, where it is one: the member's or the trustee's id.
    pub fn holder(&self) -> Option<Uuid> {
        match self {
            Address::Member { member, .. } => Some(*member),
            Address::Permission { trustee, .. } => Some(*trustee),
            Address::New { .. } | Address::Native(_) => None,
        }
    }
}

impl fmt::Display for Address {
    /// The immutable ids; empty for what is not there yet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::New { .. } => Ok(()),
            Address::Native(id) => write!(f, "{id}"),
            Address::Member { group, member } => write!(f, "{group}/{member}"),
            Address::Permission { object, trustee, right } => write!(f, "{object}/{trustee}/{right}"),
        }
    }
}

/// An attribute's value. A secret is only ever [`Value::Sealed`]: that there is one, not what it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Null,
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<Value>),
    Sealed { sealed: bool },
}

impl Value {
    pub const SEALED: Value = Value::Sealed { sealed: true };

    pub fn text(value: impl Into<String>) -> Self {
        Value::Text(value.into())
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("nothing"),
            Value::Bool(true) => f.write_str("yes"),
            Value::Bool(false) => f.write_str("no"),
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
            Value::List(values) => {
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{value}")?;
                }
                Ok(())
            }
            Value::Sealed { .. } => f.write_str("sealed"),
        }
    }
}

/// A present resource's attributes as a connector saw them. Absent is `Option::None` around it. Never holds a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct State(pub BTreeMap<String, Value>);

impl State {
    /// The attribute's value; what is not set is [`Value::Null`].
    pub fn get(&self, attribute: &str) -> &Value {
        self.0.get(attribute).unwrap_or(&Value::Null)
    }
}

/// Whether the resource is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    Absent,
    Present,
}

/// One attribute's change: `from` is what the mirror last saw and part of what is approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub attribute: String,
    pub from: Value,
    pub to: Value,
}

/// What one step changes on one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// `[from, to]` when the resource appears or disappears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<(Presence, Presence)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// What a look at the target says about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The target shows `from`: the step can be done as approved.
    AsPlanned,
    /// The target already shows `to`.
    Already,
    /// It shows neither: what was approved no longer fits.
    Neither,
}

impl Difference {
    pub fn change(&self, attribute: &str) -> Option<&Change> {
        self.changes.iter().find(|change| change.attribute == attribute)
    }

    /// Judges a sighting against `from` and `to`, only on the attributes that the step changes.
    ///
    /// Attributes in `unreadable` (a password) cannot be compared and never count as `to`: a step that changes one is
    /// done again unless something else tells (the attempts' own records).
    pub fn standing(&self, seen: Option<&State>, unreadable: &[&str]) -> Standing {
        let presence = if seen.is_some() { Presence::Present } else { Presence::Absent };
        if let Some((from, to)) = self.presence {
            if presence == to && to == Presence::Absent {
                return Standing::Already;
            }
            if presence == from {
                // What goes must still be what was approved to go.
                let goes_otherwise = to == Presence::Absent
                    && seen.is_some_and(|state| !self.shows(state, unreadable, |change| &change.from));
                return if goes_otherwise { Standing::Neither } else { Standing::AsPlanned };
            }
            // Present, and meant to be: as planned only if every attribute is.
            return match seen {
                Some(state) if self.shows(state, unreadable, |change| &change.to) => Standing::Already,
                _ => Standing::Neither,
            };
        }
        let Some(state) = seen else { return Standing::Neither };
        let writes_unreadable = self.changes.iter().any(|change| unreadable.contains(&change.attribute.as_str()));
        if !writes_unreadable && self.shows(state, unreadable, |change| &change.to) {
            Standing::Already
        } else if self.shows_either(state, unreadable) {
            // Some attributes may already be as wanted (a partly applied earlier attempt); none is anything else.
            Standing::AsPlanned
        } else {
            Standing::Neither
        }
    }

    /// With what was seen in the place of each empty `from`: for kinds that the mirror does not hold.
    #[must_use]
    pub fn from_seen(&self, seen: Option<&State>) -> Self {
        let mut known = self.clone();
        for change in known.changes.iter_mut().filter(|change| change.from == Value::Null) {
            change.from = seen.map_or(Value::Null, |state| state.get(&change.attribute).clone());
        }
        known
    }

    fn shows(&self, state: &State, unreadable: &[&str], side: impl Fn(&Change) -> &Value) -> bool {
        self.readable(unreadable).all(|change| same_for(&change.attribute, state.get(&change.attribute), side(change)))
    }

    fn shows_either(&self, state: &State, unreadable: &[&str]) -> bool {
        self.readable(unreadable).all(|change| {
            let seen = state.get(&change.attribute);
            same_for(&change.attribute, seen, &change.from) || same_for(&change.attribute, seen, &change.to)
        })
    }

    fn readable<'a>(&'a self, unreadable: &'a [&str]) -> impl Iterator<Item = &'a Change> {
        self.changes.iter().filter(|change| !unreadable.contains(&change.attribute.as_str()))
    }
}

/// Equality of one attribute's values. Where an object lies is a name in a tree, and such names do not distinguish case.
fn same_for(attribute: &str, left: &Value, right: &Value) -> bool {
    match (attribute, left, right) {
        ("parent", Value::Text(left), Value::Text(right)) => left.to_lowercase() == right.to_lowercase(),
        _ => same(left, right),
    }
}

/// Equality as a directory understands it: an empty list is nothing, and lists are sets.
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::List(values), Value::Null) | (Value::Null, Value::List(values)) => values.is_empty(),
        (Value::List(left), Value::List(right)) => {
            let (mut left, mut right) = (left.clone(), right.clone());
            left.sort();
            right.sort();
            left == right
        }
        _ => left == right,
    }
}

/// The target's own traces of a change or of a sighting: server, `uSNChanged`, attribute versions, request ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Native {
    /// The server that answered (AD: its `dnsHostName`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// AD: `uSNChanged` of the object on that server. Text: it may exceed 2^53.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usn: Option<String>,
    /// Attribute → version from `replPropertyMetaData` (MS-ADTS 3.1.1.1.9).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<String, u32>,
    /// Exchange: the calls' own ids, as the server's logs name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<String>,
    /// Exchange: each cmdlet that was sent, with its parameters, secrets masked. Holds names and addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Exchange: what the server warned of meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Native {
    /// Without what may hold names: what goes into evidence in clear.
    #[must_use]
    pub fn without_text(&self) -> Self {
        Self { commands: Vec::new(), warnings: Vec::new(), ..self.clone() }
    }
}

/// What `observe` saw of a resource that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The immutable id, known even where the resource was asked for by correlation. None for memberships.
    pub id: Option<Uuid>,
    pub state: State,
    pub native: Native,
}

/// One server of a target system: where a run of steps looks and writes, so that it sees its own writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// How the connector reaches it, e.g. `ldaps://dc1.corp.example.com:636`.
    pub url: String,
    /// How it names itself, e.g. `dc1.corp.example.com`.
    pub name: String,
    /// Exchange on premises: the domain controller that it is to read and write, where an earlier step wrote the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}

/// What a run of steps wishes of the server it is given.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    /// Where the request's last step in this system was done; kept while it answers.
    pub preferred: Option<&'a Server>,
    /// Another server only once it shows this: the last write to this system.
    pub must_show: Option<(&'a Resource, &'a State)>,
    /// The directory server that the request's earlier steps wrote to, for systems that look into the same directory.
    pub directory: Option<&'a str>,
}

/// Secrets a step needs, in clear only in the worker's memory.
#[derive(Default)]
pub struct Secrets {
    pub password: Option<Zeroizing<String>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// Why a look or a write did not come to its end. The worker decides what follows from the variant alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing was changed; the same will be tried again, not before `after` where the target said so.
    #[error("{why}")]
    Retry { after: Option<Duration>, why: String },
    /// The target said no, for good: another try gives the same. `attribute` where it can be named.
    #[error("{why}")]
    Refused { why: String, attribute: Option<String> },
    /// Only a person can mend it (missing rights, a protected account).
    #[error("{why}")]
    NeedsPerson { why: String },
    /// It may or may not have been done (the connection broke after sending): look before anything else.
    #[error("{why}")]
    Unknown { why: String },
    /// The target shows neither what was approved as `from` nor `to`.
    #[error("the target shows neither what was approved nor what was wanted")]
    Drifted { found: Box<Option<State>> },
}

/// What a connector can do with one kind of resource.
#[derive(Debug, Clone, Copy)]
pub struct Capability {
    pub kind: Kind,
    /// Attributes it can write.
    pub writable: &'static [&'static str],
    /// Attributes it writes but cannot read back (a password): shown by other traces.
    pub unreadable: &'static [&'static str],
    /// Attributes where the write itself cannot carry `from`; those rely on `busy` and short leases.
    pub unguarded: &'static [&'static str],
}

/// One object as the target's change feed gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    pub id: Uuid,
    /// None: the object is gone.
    pub seen: Option<ChangedObject>,
}

/// One right that somebody holds on a mailbox or a list, as a feed gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    pub kind: Kind,
    pub trustee: Uuid,
    /// As in [`Address::Permission`].
    pub right: String,
    pub state: State,
}

/// The parts of an object that a feed entry carries. A feed may carry only what changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedObject {
    pub kind: Kind,
    /// Whether `state` is the whole object, or only the attributes that changed.
    pub whole: bool,
    pub state: State,
    /// For groups: members added and removed since the last look (immutable ids), or the whole list if `members_whole`.
    pub members_added: Vec<Uuid>,
    pub members_removed: Vec<Uuid>,
    pub members_whole: bool,
    /// Who holds which right on it as a whole (not on its folders), all of them; None where the feed did not ask.
    pub rights: Option<Vec<Right>>,
    pub native: Native,
}

/// A piece of the change feed.
#[derive(Debug, Clone)]
pub struct Batch {
    pub changed: Vec<Changed>,
    /// Opaque; handed back at the next call.
    pub cursor: Vec<u8>,
    /// More is waiting: ask again at once.
    pub more: bool,
    /// With the last piece of a look at everything: the ids of all that is there.
    pub whole: Option<Vec<Uuid>>,
    pub server: Server,
    pub at: DateTime<Utc>,
}

/// A connector speaks one target system's protocol. It knows nothing of requests, people or the database.
#[async_trait]
pub trait Connector: Send + Sync {
    fn system(&self) -> &SystemKey;

    /// What can be planned for this system; a plan that asks for more is refused when it is made.
    fn capabilities(&self) -> &'static [Capability];

    /// How many steps of one request are leased together. More than one where each takes milliseconds: all of them are to
    /// be done well within one lease.
    fn run(&self) -> i64 {
        1
    }

    /// Chooses a server that answers, as [`Wish`] says.
    async fn server(&self, wish: Wish<'_>) -> Result<Server, Fault>;

    /// Looks. Never writes. `None`: not there.
    async fn observe(&self, at: &Server, what: &Resource) -> Result<Option<Seen>, Fault>;

    /// Looks at each, in their order: for a connector that knows of several in fewer questions.
    async fn observe_all(&self, at: &Server, whats: &[&Resource]) -> Result<Vec<Option<Seen>>, Fault> {
        let mut seen = Vec::with_capacity(whats.len());
        for what in whats {
            seen.push(self.observe(at, what).await?);
        }
        Ok(seen)
    }

    /// Changes `from` to `to`, or says why not. Only what differs is written; the write carries `from` where it can. What
    /// [`Connector::observe`] saw a moment ago need not be looked at again.
    async fn ensure(&self, at: &Server, what: &Resource, step: &Difference, secrets: &Secrets)
    -> Result<Native, Fault>;

    /// A fresh secret that satisfies this system's policy (AD: domain and fine-grained password policy).
    async fn new_password(&self, at: &Server) -> Result<Zeroizing<String>, Fault>;

    /// The next piece of the target's own change feed after `cursor`; the whole directory where there is none.
    async fn changes(&self, cursor: Option<&[u8]>) -> Result<Batch, Fault>;

    /// Gives back what the target holds for us (a session, a shell); the worker stops. What is lost here runs out by itself.
    async fn close(&self) {}

    /// The ids of everything the feed speaks of. Deletions are not shown to a plain service account; whatever the mirror
    /// has beyond these is gone. Asked for now and then, not each time.
    async fn all_ids(&self) -> Result<Vec<Uuid>, Fault>;
}
