//! The directory's change feed: DirSync (MS-ADTS 3.1.1.3.4.1.3), asked again and again with the cookie of the last answer.
//!
//! The feed tells *which* objects changed, and single members added or removed. The objects are then read whole, so that
//! what the mirror keeps has the same readings as what a step observes (lock state and nested protection are computed by
//! the server and in no feed). Without a cookie it is a sweep of everything, with the whole member lists.
//!
//! What the feed does not say and we add: below a renamed container every name changes, and when a protected group
//! changes, accounts become or cease to be protected. What nobody tells a service account that may not read the container of
//! deleted objects: deletions. For those the mirror compares ids now and then ([`AdConnector::every_id`]).
//!
//! Cursor: one byte of format, one of flags (1: the first sweep is not finished), then the server's cookie.

use std::collections::{BTreeMap, BTreeSet};

use ldap3::Scope;
use uuid::Uuid;

use super::entry::Entry;
use super::escape::{ExtendedDn, guid_dn, is_within};
use super::fault::reading;
use super::observe::{complete_members, id_filter};
use super::session::{Failure, Session};
use super::{AdConnector, attributes, controls};
use crate::target::{Batch, Changed, ChangedObject, Fault, Kind, Server};

const FORMAT: u8 = 1;
const SWEEPING: u8 = 1;
/// Objects read in one search.
const READ_AT_ONCE: usize = 100;
const OBJECTS: &str = "(|(&(objectCategory=person)(objectClass=user))(objectClass=group))";
const WATCHED: &str = "(|(&(objectCategory=person)(objectClass=user))(objectClass=group)(objectClass=container)\
                       (objectClass=organizationalUnit)(isDeleted=TRUE))";

/// What one answer of the feed said, object by object.
#[derive(Debug, Default)]
struct Told {
    touched: BTreeSet<Uuid>,
    gone: BTreeSet<Uuid>,
    added: BTreeMap<Uuid, Vec<Uuid>>,
    removed: BTreeMap<Uuid, Vec<Uuid>>,
}

impl AdConnector {
    pub(super) async fn next_changes(&self, at: Server, cursor: Option<&[u8]>) -> Result<Batch, Fault> {
        let session = &mut self.pool.session(&at.url).await?;
        let (sweeping, cookie) = match cursor {
            Some([FORMAT, flags, cookie @ ..]) => (flags & SWEEPING != 0, cookie),
            _ => (true, &[][..]),
        };
        let failed = |failure: Failure| reading(&failure, "reading the directory's change feed");
        let root =
            session.read("", &["currentTime", "defaultNamingContext"]).await.map_err(failed)?.unwrap_or_default();
        let clock = root.text("currentTime").and_then(|text| attributes::from_generalized(&text));
        let head = root.text("defaultNamingContext").map(|text| ExtendedDn::parse(&text).dn);
        let head = head.unwrap_or_else(|| self.settings.base_dn.clone());
        let asked = self.ask(session, &head, cookie).await;
        let (entries, more, cookie) = match asked {
            // A cookie that this server does not take (restored, another forest) costs a new sweep, nothing more.
            Err(Failure::Said { rc: 1 | 2 | 12 | 53 | 80, .. }) if !cookie.is_empty() => {
                tracing::warn!(system = %self.settings.system, "the change feed's cookie is not taken; reading all anew");
                return Ok(Batch {
                    changed: Vec::new(),
                    cursor: vec![FORMAT, SWEEPING],
                    more: true,
                    server: at,
                    at: clock.unwrap_or_default(),
                });
            }
            other => other.map_err(failed)?,
        };
        let told = told(entries, sweeping);
        let changed = self.read_all(session, &at, told, sweeping).await?;
        let mut cursor = vec![FORMAT, if sweeping && more { SWEEPING } else { 0 }];
        cursor.extend(cookie);
        Ok(Batch { changed, cursor, more, server: at, at: clock.unwrap_or_default() })
    }

    async fn ask(
        &self,
        session: &mut Session,
        head: &str,
        cookie: &[u8],
    ) -> Result<(Vec<Entry>, bool, Vec<u8>), Failure> {
        let mut attributes = self.user_attributes();
        attributes.retain(|name| !["uSNChanged", "replPropertyMetaData"].contains(name));
        attributes.extend(attributes::GROUP.iter().filter(|name| **name != "uSNChanged"));
        attributes.extend(["member", "name", "isDeleted"]);
        let controls = vec![controls::dirsync(cookie), controls::extended_dn()];
        let (entries, answer) = session.search_with(head, Scope::Subtree, WATCHED, &attributes, controls).await?;
        let answer = controls::dirsync_answer(&answer);
        let (more, cookie) = answer.ok_or_else(|| Failure::Broken("an answer without its cookie".to_owned()))?;
        Ok((entries, more, cookie))
    }

    /// Reads what the feed named, and what follows from it.
    async fn read_all(
        &self,
        session: &mut Session,
        at: &Server,
        told: Told,
        sweeping: bool,
    ) -> Result<Vec<Changed>, Fault> {
        let failed = |failure: Failure| reading(&failure, "reading what has changed");
        let mut wanted: BTreeSet<Uuid> = told.touched.clone();
        let containers = if sweeping { Vec::new() } else { self.containers(session, &wanted).await.map_err(failed)? };
        for container in &containers {
            wanted.remove(container);
            let below = session.search_all(&guid_dn(*container), OBJECTS, &["objectGUID"]).await;
            match below {
                Ok(entries) => wanted.extend(entries.iter().filter_map(Entry::guid)),
                Err(Failure::Said { rc: 32, .. }) => {}
                Err(failure) => return Err(failed(failure)),
            }
        }
        if !sweeping {
            wanted.extend(self.newly_judged(session, &told).await?);
        }
        let mut gone: BTreeSet<Uuid> = told.gone.clone();
        let mut changed = Vec::new();
        let ids: Vec<Uuid> = wanted.difference(&told.gone).copied().collect();
        for ids in ids.chunks(READ_AT_ONCE) {
            let read = self.read_objects(session, at, ids, &told, sweeping).await.map_err(failed)?;
            let found: BTreeSet<Uuid> = read.iter().map(|changed| changed.id).collect();
            gone.extend(ids.iter().filter(|id| !found.contains(id) && told.touched.contains(id)));
            changed.extend(read);
        }
        changed.extend(gone.into_iter().map(|id| Changed { id, seen: None }));
        Ok(changed)
    }

    /// Those of the objects that hold others: when one is renamed or moved, so is everything below it.
    async fn containers(&self, session: &mut Session, ids: &BTreeSet<Uuid>) -> Result<Vec<Uuid>, Failure> {
        let ids: Vec<Uuid> = ids.iter().copied().collect();
        let mut found = Vec::new();
        for ids in ids.chunks(READ_AT_ONCE) {
            let filter = format!("(&(|(objectClass=container)(objectClass=organizationalUnit)){})", id_filter(ids));
            let entries = session.search_all(&self.settings.base_dn, &filter, &["objectGUID"]).await?;
            found.extend(entries.iter().filter_map(Entry::guid));
        }
        Ok(found)
    }

    async fn read_objects(
        &self,
        session: &mut Session,
        at: &Server,
        ids: &[Uuid],
        told: &Told,
        sweeping: bool,
    ) -> Result<Vec<Changed>, Failure> {
        let mut attributes = self.user_attributes();
        attributes.extend(attributes::GROUP);
        if sweeping {
            attributes.push("member");
        }
        let filter = format!("(&{OBJECTS}{})", id_filter(ids));
        let base = self.settings.base_dn.clone();
        let entries = session.search_all(&base, &filter, &attributes).await?;
        let groups = self.protected_groups(session).await.map_err(|fault| Failure::NotSent(fault.to_string()))?;
        let mut changed = Vec::new();
        for entry in entries.iter().filter(|entry| is_within(&entry.dn, &base)) {
            let Some(id) = entry.guid() else { continue };
            let list = |members: &BTreeMap<Uuid, Vec<Uuid>>| members.get(&id).cloned().unwrap_or_default();
            let object = if entry.has_class("group") {
                let members_added =
                    if sweeping { complete_members(session, id, entry).await? } else { list(&told.added) };
                let seen = Self::seen_group(at, id, entry);
                ChangedObject {
                    kind: Kind::Group,
                    whole: true,
                    state: seen.state,
                    members_added,
                    members_removed: if sweeping { Vec::new() } else { list(&told.removed) },
                    members_whole: sweeping,
                    rights: None,
                    native: seen.native,
                }
            } else {
                ChangedObject {
                    kind: Kind::User,
                    whole: true,
                    state: attributes::user_state(entry, &self.settings.correlation_attribute, groups.hold(id, entry)),
                    members_added: Vec::new(),
                    members_removed: Vec::new(),
                    members_whole: false,
                    rights: None,
                    native: super::observe::native(at, entry),
                }
            };
            changed.push(Changed { id, seen: Some(object) });
        }
        Ok(changed)
    }

    /// Accounts to be judged again because a protected group changed: all who are protected now, and whoever was taken
    /// out or was inside what was taken out.
    async fn newly_judged(&self, session: &mut Session, told: &Told) -> Result<Vec<Uuid>, Fault> {
        let moved: BTreeSet<Uuid> = told.added.keys().chain(told.removed.keys()).copied().collect();
        if moved.is_empty() {
            return Ok(Vec::new());
        }
        let before = self.protected_groups(session).await?;
        if !before.ids.iter().any(|id| moved.contains(id)) {
            return Ok(Vec::new());
        }
        *self.protected.lock().await = None;
        let now = self.protected_groups(session).await?;
        let failed = |failure: Failure| reading(&failure, "reading the protected accounts");
        let base = &self.settings.base_dn;
        let mut found: Vec<Uuid> = before.members.union(&now.members).copied().collect();
        let mut out = Vec::new();
        for id in &before.ids {
            out.extend(told.removed.get(id).into_iter().flatten().copied());
        }
        for out in out {
            let Some(entry) = session.read(&guid_dn(out), &["objectGUID", "objectClass"]).await.map_err(failed)? else {
                continue;
            };
            if !entry.has_class("group") {
                found.push(out);
                continue;
            }
            let nested = format!("memberOf:1.2.840.113556.1.4.1941:={}", super::escape::filter_value(&entry.dn));
            let filter = format!("(&(objectCategory=person)(objectClass=user)({nested}))");
            let inside = session.search_all(base, &filter, &["objectGUID"]).await.map_err(failed)?;
            found.extend(inside.iter().filter_map(Entry::guid));
        }
        Ok(found)
    }

    /// The ids of all accounts and groups: what the mirror has beyond these is gone.
    pub(super) async fn every_id(&self, at: &Server) -> Result<Vec<Uuid>, Fault> {
        let session = &mut self.pool.session(&at.url).await?;
        let found = session.search_all(&self.settings.base_dn, OBJECTS, &["objectGUID"]).await;
        let found = found.map_err(|failure| reading(&failure, "listing the directory"))?;
        Ok(found.iter().filter_map(Entry::guid).collect())
    }
}

fn told(entries: Vec<Entry>, sweeping: bool) -> Told {
    let mut told = Told::default();
    for entry in entries {
        let Some(id) = entry.guid() else { continue };
        if entry.text("isDeleted").as_deref() == Some("TRUE") {
            // What was gone before the first sweep was never here.
            if !sweeping {
                told.gone.insert(id);
            }
            continue;
        }
        // A sweep tells whatever lies below by itself. Later, an entry has only what changed, and not its class.
        if sweeping && !entry.has_class("user") && !entry.has_class("group") {
            continue;
        }
        for (name, option, values) in &entry.optioned {
            let list = match (name.as_str(), option.as_str()) {
                ("member", "range=1-1") => &mut told.added,
                ("member", "range=0-0") => &mut told.removed,
                _ => continue,
            };
            let ids = values.iter().filter_map(|value| ExtendedDn::parse(&String::from_utf8_lossy(value)).guid);
            list.entry(id).or_default().extend(ids);
        }
        told.touched.insert(id);
    }
    told
}
