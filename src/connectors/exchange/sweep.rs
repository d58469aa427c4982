//! The mirror's feed. Exchange has no change feed: what has changed is asked for by its time of change, and everything,
//! rights included, is read again now and then, a few mailboxes a piece.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Settings;
use super::attributes;
use super::calls::{Calls, at};
use super::cmdlet::{Cmdlet, Object};
use super::flavour::Flavour;
use super::resource::permission::{self, FULL_ACCESS, SEND_AS, SEND_ON_BEHALF};
use super::resource::{list, mailbox, membership};
use super::value::Properties;
use crate::target::{Batch, Changed, ChangedObject, Fault, Kind, Right, Seen, Server, State};

/// Objects whose rights are read in one piece.
const PIECE: usize = 20;
/// Clocks of different servers, and changes on their way between them.
const OVERLAP: TimeDelta = TimeDelta::minutes(5);

/// Where the feed is.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Cursor {
    /// When objects were asked for last, and when everything was.
    looked_at: Option<DateTime<Utc>>,
    swept_at: Option<DateTime<Utc>>,
    /// Whose rights are still to be read.
    rights: VecDeque<Uuid>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long ago a server was asked is this machine's time, not business time"
)]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The next piece.
pub(super) async fn changes(
    calls: &mut Calls<'_>,
    settings: &Settings,
    endpoint: String,
    cursor: Option<&[u8]>,
) -> Result<Batch, Fault> {
    let mut cursor: Cursor = cursor.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
    let at = now();
    let since = |then: Option<DateTime<Utc>>| then.and_then(|then| (at - then).to_std().ok());
    let mut changed = Vec::new();
    if !cursor.rights.is_empty() {
        for _ in 0..PIECE {
            let Some(id) = cursor.rights.pop_front() else { break };
            changed.extend(readable(with_rights(calls, id).await)?.flatten());
        }
    } else if since(cursor.swept_at).is_none_or(|ago| ago >= settings.sweep_every) {
        calls.ids().forget();
        changed = objects(calls, None).await?;
        cursor.rights = changed.iter().map(|one| one.id).collect();
        (cursor.swept_at, cursor.looked_at) = (Some(at), Some(at));
    } else if since(cursor.looked_at).is_none_or(|ago| ago >= settings.look_every) {
        changed = objects(calls, cursor.looked_at.map(|then| then - OVERLAP)).await?;
        cursor.looked_at = Some(at);
    }
    let more = !cursor.rights.is_empty();
    let cursor = serde_json::to_vec(&cursor).unwrap_or_default();
    let server = Server { url: endpoint.clone(), name: endpoint, directory: None };
    Ok(Batch { changed, cursor, more, whole: None, server, at })
}

/// One object that cannot be read (two of one name, a value of another sort) is left as it was last seen: the others follow.
/// A server that does not answer stops the piece, which is asked for again.
fn readable<T>(read: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(Fault::Refused { .. } | Fault::NeedsPerson { .. }) => {
            tracing::warn!("an object of Exchange was left out of the look, for it cannot be read");
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

/// Mailboxes and lists with their members; those changed since, or all.
async fn objects(calls: &mut Calls<'_>, since: Option<DateTime<Utc>>) -> Result<Vec<Changed>, Fault> {
    let mut changed = Vec::new();
    for object in every(calls, mailboxes(calls.flavour()), since).await? {
        let Some(seen) = readable(mailbox::seen(calls, &object).await)? else { continue };
        changed.extend(changed_object(Kind::Mailbox, seen));
    }
    for object in every(calls, LISTS, since).await? {
        // Kept in step from the directory: it is changed there, and Online refuses.
        if Properties(&object).flag("IsDirSynced").ok().flatten() == Some(true) {
            continue;
        }
        let Some(seen) = readable(list::seen(calls, &object).await)? else { continue };
        let dynamic = seen.state.get("type").as_text() == Some("dynamic");
        let members = match seen.id {
            Some(id) if !dynamic => match readable(membership::members(calls, id).await)? {
                Some(members) => members,
                None => continue,
            },
            _ => Vec::new(),
        };
        if let Some(mut one) = changed_object(Kind::List, seen) {
            if let Some(object) = &mut one.seen {
                object.members_added = members;
                object.members_whole = true;
            }
            changed.push(one);
        }
    }
    Ok(changed)
}

const LISTS: &[&str] = &["Get-DistributionGroup", "Get-DynamicDistributionGroup"];

fn mailboxes(flavour: Flavour) -> &'static [&'static str] {
    match flavour {
        Flavour::OnPremises => &["Get-Mailbox", "Get-RemoteMailbox"],
        Flavour::Online => &["Get-Mailbox"],
    }
}

async fn every(calls: &mut Calls<'_>, cmdlets: &[&str], since: Option<DateTime<Utc>>) -> Result<Vec<Object>, Fault> {
    let mut found = Vec::new();
    for cmdlet in cmdlets {
        let mut look = Cmdlet::read(*cmdlet).text("ResultSize", "Unlimited");
        if let Some(since) = since {
            look = look.text("Filter", format!("WhenChangedUTC -gt '{}'", since.format("%m/%d/%Y %H:%M:%S")));
        }
        let objects = calls.all(look).await?;
        for object in &objects {
            let from = Properties(object);
            if let (Ok(Some(name)), Ok(Some(id))) = (from.text("Identity"), from.guid("Guid")) {
                calls.ids().learn(&name, Some(id));
            }
        }
        found.extend(objects);
    }
    Ok(found)
}

fn changed_object(kind: Kind, seen: Seen) -> Option<Changed> {
    let object = ChangedObject {
        kind,
        whole: true,
        state: seen.state,
        members_added: Vec::new(),
        members_removed: Vec::new(),
        members_whole: false,
        rights: None,
        native: seen.native,
    };
    Some(Changed { id: seen.id?, seen: Some(object) })
}

/// One object with who holds which right on it; nothing where it has gone meanwhile.
async fn with_rights(calls: &mut Calls<'_>, id: Uuid) -> Result<Option<Changed>, Fault> {
    let identity = id.to_string();
    for cmdlet in mailboxes(calls.flavour()) {
        if let Some(object) = calls.one(at(Cmdlet::read(*cmdlet), &identity)).await? {
            let stub = *cmdlet == "Get-RemoteMailbox";
            let rights = rights(calls, &identity, &object, !stub).await?;
            let seen = mailbox::seen(calls, &object).await?;
            return Ok(changed_object(Kind::Mailbox, seen).map(|one| one_with(one, rights)));
        }
    }
    if let Some(object) = calls.one(at(Cmdlet::read("Get-DistributionGroup"), &identity)).await? {
        let rights = rights(calls, &identity, &object, false).await?;
        let members = membership::members(calls, id).await?;
        let seen = list::seen(calls, &object).await?;
        return Ok(changed_object(Kind::List, seen).map(|mut one| {
            if let Some(object) = &mut one.seen {
                object.members_added = members;
                object.members_whole = true;
            }
            one_with(one, rights)
        }));
    }
    Ok(None)
}

fn one_with(mut one: Changed, rights: Vec<Right>) -> Changed {
    if let Some(object) = &mut one.seen {
        object.rights = Some(rights);
    }
    one
}

async fn rights(calls: &mut Calls<'_>, id: &str, object: &Object, is_mailbox: bool) -> Result<Vec<Right>, Fault> {
    let mut found = Vec::new();
    let mut hold = |trustee: Option<Uuid>, right: &str| {
        let right = right.to_owned();
        found.extend(trustee.map(|trustee| Right {
            kind: Kind::MailboxPermission,
            trustee,
            right,
            state: State::default(),
        }));
    };
    if is_mailbox {
        for entry in calls.all(at(Cmdlet::read("Get-MailboxPermission"), id)).await? {
            if permission::gives_full_access(&entry) {
                hold(trustee(calls, &entry, "User").await?, FULL_ACCESS);
            }
        }
    }
    let (cmdlet, property) = match calls.flavour() {
        Flavour::OnPremises => ("Get-ADPermission", "User"),
        Flavour::Online => ("Get-RecipientPermission", "Trustee"),
    };
    for entry in calls.all(at(Cmdlet::read(cmdlet), id)).await? {
        if permission::gives_send_as(&entry) {
            hold(trustee(calls, &entry, property).await?, SEND_AS);
        }
    }
    for delegate in permission::delegates(calls, object).await? {
        hold(Some(delegate), SEND_ON_BEHALF);
    }
    Ok(found)
}

/// Whose entry it is; None for the system's own and for what is no recipient.
async fn trustee(calls: &mut Calls<'_>, entry: &Object, property: &str) -> Result<Option<Uuid>, Fault> {
    let name = Properties(entry).text(property).ok().flatten();
    match name.filter(|name| !name.to_uppercase().starts_with("NT AUTHORITY\\")) {
        Some(name) => calls.id(&name).await,
        None => Ok(None),
    }
}

/// The ids of every mailbox and list.
pub(super) async fn all_ids(calls: &mut Calls<'_>) -> Result<Vec<Uuid>, Fault> {
    let mut found = every(calls, mailboxes(calls.flavour()), None).await?;
    let lists = every(calls, LISTS, None).await?;
    found.extend(lists.into_iter().filter(|list| Properties(list).flag("IsDirSynced").ok().flatten() != Some(true)));
    found.iter().map(|object| attributes::id_of(Properties(object))).collect()
}
