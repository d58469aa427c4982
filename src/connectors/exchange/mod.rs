//! Exchange, on premises and Online: one cmdlet notion, two transports, resources on top.
//!
//! ```text
//! resource/  mailbox, list, membership, permission, folder, settings: Get, compare, change, Get
//! calls      one look's or one write's cmdlets, checked against flavour's table, pinned to a directory server
//! cmdlet     name, parameters, outcome; value and classify read what comes back
//! onprem     PowerShell remoting (psrp/)          online/    the admin REST endpoint
//! ```
//!
//! No write of Exchange carries what it replaces, so nothing here guards against somebody who changes an object between
//! our look and our write: those steps rely on `busy` and short leases. What was there is in the step's `before`.

mod attributes;
mod calls;
pub mod classify;
pub mod cmdlet;
mod fault;
pub mod flavour;
pub mod online;
pub mod onprem;
pub mod preview;
pub mod psrp;
mod resource;
mod sweep;
pub mod value;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;
use zeroize::Zeroizing;

use self::calls::{Calls, Ids};
use self::cmdlet::Transport;
use self::flavour::Flavour;
pub use self::resource::Places;
use self::resource::{Way, folder, list, mailbox, membership, permission, settings};
use crate::target::{
    Address, Batch, Capability, Connector, Difference, Fault, Kind, Native, Presence, Resource, Secrets, Seen, Server,
    SystemKey, Wish,
};

/// One organisation's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    pub system: SystemKey,
    pub flavour: Flavour,
    pub places: Places,
    /// Plans, compares and reports, and refuses to write.
    pub observe_only: bool,
    /// How often what has changed is asked for.
    pub look_every: Duration,
    /// How often everything is read, rights included.
    pub sweep_every: Duration,
}

impl Settings {
    pub fn new(system: SystemKey, flavour: Flavour) -> Self {
        Self {
            system,
            flavour,
            places: Places::default(),
            observe_only: false,
            look_every: Duration::from_secs(60),
            sweep_every: Duration::from_secs(900),
        }
    }
}

/// The connector of one organisation.
pub struct Exchange {
    settings: Settings,
    transport: Arc<dyn Transport>,
    ids: Ids,
}

/// What mailboxes can be written; see the module's own words on `unguarded`.
const MAILBOX: &[&str] = &[
    "type",
    "displayName",
    "alias",
    "primaryAddress",
    "addresses",
    "hidden",
    "archive",
    "litigationHold",
    "litigationHoldDays",
    "forwardTo",
    "forwardToAddress",
    "deliverAndForward",
    "warningQuota",
    "sendQuota",
    "sendReceiveQuota",
    "capacity",
    "reconnect",
    "removal",
];
const REPLY: &[&str] = &["state", "internal", "external", "audience", "from", "until"];
const BOOKING: &[&str] = &[
    "processing",
    "allowConflicts",
    "bookingWindowDays",
    "maximumDurationMinutes",
    "delegates",
    "allBookIn",
    "allRequestIn",
];
const LIST: &[&str] = &[
    "type",
    "displayName",
    "alias",
    "primaryAddress",
    "addresses",
    "hidden",
    "owners",
    "moderated",
    "moderators",
    "acceptOnlyFrom",
    "internalOnly",
    "description",
    "departments",
];

const fn can(kind: Kind, writable: &'static [&'static str], unreadable: &'static [&'static str]) -> Capability {
    Capability { kind, writable, unreadable, unguarded: writable }
}

/// What Exchange can be planned for.
pub const CAPABILITIES: &[Capability] = &[
    can(Kind::Mailbox, MAILBOX, &["reconnect", "removal"]),
    can(Kind::AutoReply, REPLY, &[]),
    can(Kind::Booking, BOOKING, &[]),
    can(Kind::List, LIST, &["description"]),
    can(Kind::ListMembership, &[], &[]),
    can(Kind::MailboxPermission, &["automapping"], &["automapping"]),
    can(Kind::FolderPermission, &["role"], &[]),
];

/// A kind that was given an address of another kind.
fn odd_address() -> Fault {
    Fault::Refused { why: "This cannot be addressed so in Exchange.".to_owned(), attribute: None }
}

impl Exchange {
    pub fn new(settings: Settings, transport: Arc<dyn Transport>) -> Self {
        Self { settings, transport, ids: Ids::default() }
    }

    fn calls<'a>(&'a self, at: Option<&'a Server>) -> Calls<'a> {
        let directory = at.and_then(|server| server.directory.as_deref());
        Calls::new(self.transport.as_ref(), self.settings.flavour, directory, &self.ids)
    }

    async fn look(&self, calls: &mut Calls<'_>, what: &Resource) -> Result<Option<Seen>, Fault> {
        match (what.kind, &what.address) {
            (Kind::Mailbox, address) => mailbox::observe(calls, address).await,
            (Kind::AutoReply, address) => settings::observe_reply(calls, address).await,
            (Kind::Booking, address) => settings::observe_booking(calls, address).await,
            (Kind::List, address) => list::observe(calls, address).await,
            (Kind::ListMembership, Address::Member { group, member }) => {
                membership::observe(calls, (*group, *member)).await
            }
            (Kind::MailboxPermission, Address::Permission { object, trustee, right }) => {
                permission::observe(calls, (*object, *trustee, right)).await
            }
            (Kind::FolderPermission, Address::Permission { object, trustee, right }) => {
                folder::observe(calls, (*object, *trustee, right)).await
            }
            _ => Err(odd_address()),
        }
    }
}

#[async_trait]
impl Connector for Exchange {
    fn system(&self) -> &SystemKey {
        &self.settings.system
    }

    fn capabilities(&self) -> &'static [Capability] {
        CAPABILITIES
    }

    /// The one endpoint; it reads and writes through the directory server that the request's account was written to.
    async fn server(&self, wish: Wish<'_>) -> Result<Server, Fault> {
        let kept = wish.preferred.and_then(|server| server.directory.clone());
        let directory = wish.directory.map(str::to_owned).or(kept);
        let directory = directory.filter(|_| self.settings.flavour == Flavour::OnPremises);
        let endpoint = self.transport.endpoint();
        Ok(Server { url: endpoint.clone(), name: endpoint, directory })
    }

    async fn observe(&self, at: &Server, what: &Resource) -> Result<Option<Seen>, Fault> {
        self.look(&mut self.calls(Some(at)), what).await
    }

    async fn ensure(&self, at: &Server, what: &Resource, step: &Difference, _: &Secrets) -> Result<Native, Fault> {
        if self.settings.observe_only {
            return Err(Fault::NeedsPerson {
                why: format!("{} is set to observe only: nothing is written there.", self.settings.system),
            });
        }
        let mut calls = self.calls(Some(at));
        let seen = self.look(&mut calls, what).await?;
        let way = Way { flavour: self.settings.flavour, places: &self.settings.places };
        let to = step.presence.map_or(Presence::Present, |(_, to)| to);
        match (what.kind, &what.address) {
            (Kind::Mailbox, address) => mailbox::ensure(&mut calls, way, address, step, seen.as_ref()).await?,
            (Kind::List, address) => list::ensure(&mut calls, way, address, step, seen.as_ref()).await?,
            (Kind::AutoReply, address) => settings::ensure_reply(&mut calls, address, step, seen.as_ref()).await?,
            (Kind::Booking, address) => settings::ensure_booking(&mut calls, address, step, seen.as_ref()).await?,
            (Kind::ListMembership, Address::Member { group, member }) => {
                membership::ensure(&mut calls, (*group, *member), to).await?;
            }
            (Kind::MailboxPermission, Address::Permission { object, trustee, right }) => {
                permission::ensure(&mut calls, (*object, *trustee, right), step).await?;
            }
            (Kind::FolderPermission, Address::Permission { object, trustee, right }) => {
                folder::ensure(&mut calls, (*object, *trustee, right), step, seen.as_ref()).await?;
            }
            _ => return Err(odd_address()),
        }
        Ok(calls.native())
    }

    /// Exchange has no passwords of its own: accounts are the directory's.
    async fn new_password(&self, _: &Server) -> Result<Zeroizing<String>, Fault> {
        Err(Fault::Refused { why: "Passwords belong to the directory.".to_owned(), attribute: None })
    }

    async fn close(&self) {
        self.transport.close().await;
    }

    async fn changes(&self, cursor: Option<&[u8]>) -> Result<Batch, Fault> {
        sweep::changes(&mut self.calls(None), &self.settings, self.transport.endpoint(), cursor).await
    }

    async fn all_ids(&self) -> Result<Vec<Uuid>, Fault> {
        sweep::all_ids(&mut self.calls(None)).await
    }
}
