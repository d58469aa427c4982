//! The directory's change feed: DirSync (MS-ADTS 3.1.1.3.4.1.3), asked again and again with the cookie of the last answer.
//!
//! The feed tells *which* objects changed, and single members added or removed. The objects are then read whole, so that
//! what the mirror keeps has the same readings as what a step observes (lock state and nested protection are computed by
//! the server and in no feed). Without a cookie the whole directory is read first ([`super::sweep`]).
//!
//! What the feed does not say and we add: below a renamed container every name changes, and when a protected group
//! changes, accounts become or cease to be protected. What nobody tells a service account that may not read the container of
//! deleted objects: deletions. For those the mirror compares ids now and then ([`AdConnector::every_id`]).
//!
//! Cursor: one byte of format, one of flags (1: a sweep is under way), then the server's cookie, or the sweep's name.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use ldap3::Scope;
use uuid::Uuid;

use super::entry::Entry;
use super::escape::{ExtendedDn, guid_dn, is_within};
use super::fault::reading;
use super::observe::{id_filter, with_locks};
use super::session::{Failure, Session};
use super::{AdConnector, attributes, controls};
use crate::target::{Batch, Changed, ChangedObject, Fault, Server};

pub const FORMAT: u8 = 1;
pub const SWEEPING: u8 = 1;
/// Objects read in one search.
const READ_AT_ONCE: usize = 100;
pub const OBJECTS: &str = "(|(&(objectCategory=person)(objectClass=user))(objectClass=group))";
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

/// What a server says of itself at each look.
pub struct Root {
    pub head: String,
    pub clock: DateTime<Utc>,
    /// The number of the last change that it made or took over.
    pub highest: Option<String>,
}

/// An answer without changes: until the server makes another change, the next one is the same.
#[derive(Debug, PartialEq, Eq)]
pub struct Quiet {
    pub url: String,
    pub highest: String,
    pub cookie: Vec<u8>,
}

impl AdConnector {
    pub(super) async fn next_changes(&self, at: Server, cursor: Option<&[u8]>) -> Result<Batch, Fault> {
        let cookie = match cursor {
            Some([FORMAT, 0, cookie @ ..]) => cookie,
            Some([FORMAT, SWEEPING, name @ ..]) => return self.sweep(at, name).await,
            _ => return self.sweep(at, &[]).await,
        };
        let session = &mut self.pool.session(&at.url).await?;
        let failed = |failure: Failure| reading(&failure, "reading the directory's change feed");
        let root = self.root(session).await.map_err(failed)?;
        let clock = root.clock;
        // Asking the feed makes a server look through all it has, so it is not asked where nothing can have changed.
        let quiet = root.highest.map(|highest| Quiet { url: at.url.clone(), highest, cookie: cookie.to_vec() });
        if quiet.is_some() && *self.quiet.lock().await == quiet {
            let cursor = cursor.unwrap_or_default().to_vec();
            return Ok(Batch { changed: Vec::new(), cursor, more: false, whole: None, server: at, at: clock });
        }
        let asked = self.ask(session, (&root.head, WATCHED), cookie).await;
        let (entries, more, cookie) = match asked {
            // A cookie that this server does not take (restored, another forest) costs a new sweep, nothing more.
            Err(Failure::Said { rc: 1 | 2 | 12 | 53 | 80, .. }) => {
                tracing::warn!(system = %self.settings.system, "the change feed's cookie is not taken; reading all anew");
                let cursor = vec![FORMAT, SWEEPING];
                return Ok(Batch { changed: Vec::new(), cursor, more: true, whole: None, server: at, at: clock });
            }
            other => other.map_err(failed)?,
        };
        let nothing = entries.is_empty() && !more;
        let changed = self.read_all(session, &at, told(entries)).await?;
        *self.quiet.lock().await = quiet.filter(|_| nothing).map(|quiet| Quiet { cookie: cookie.clone(), ..quiet });
        let cursor = [&[FORMAT, 0], cookie.as_slice()].concat();
        Ok(Batch { changed, cursor, more, whole: None, server: at, at: clock })
    }

    pub(super) async fn root(&self, session: &mut Session) -> Result<Root, Failure> {
        let asked = ["currentTime", "defaultNamingContext", "highestCommittedUSN"];
        let root = session.read("", &asked).await?.unwrap_or_default();
        let head = root.text("defaultNamingContext").map(|text| ExtendedDn::parse(&text).dn);
        Ok(Root {
            head: head.unwrap_or_else(|| self.settings.base_dn.clone()),
            clock: root.text("currentTime").and_then(|text| attributes::from_generalized(&text)).unwrap_or_default(),
            highest: root.text("highestCommittedUSN"),
        })
    }

    pub(super) async fn ask(
        &self,
        session: &mut Session,
        (head, filter): (&str, &str),
        cookie: &[u8],
    ) -> Result<(Vec<Entry>, bool, Vec<u8>), Failure> {
        let mut attributes = self.user_attributes();
        attributes.retain(|name| *name != "uSNChanged");
        attributes.extend(attributes::GROUP.iter().filter(|name| **name != "uSNChanged"));
        attributes.extend(["member", "name", "isDeleted"]);
        let controls = vec![controls::dirsync(cookie), controls::extended_dn()];
        let (entries, answer) = session.search_with(head, Scope::Subtree, filter, &attributes, controls).await?;
        let answer = controls::dirsync_answer(&answer);
        let (more, cookie) = answer.ok_or_else(|| Failure::Broken("an answer without its cookie".to_owned()))?;
        Ok((entries, more, cookie))
    }

    /// Reads what the feed named, and what follows from it.
    async fn read_all(&self, session: &mut Session, at: &Server, told: Told) -> Result<Vec<Changed>, Fault> {
        let failed = |failure: Failure| reading(&failure, "reading what has changed");
        let mut wanted: BTreeSet<Uuid> = told.touched.clone();
        for container in self.containers(session, &wanted).await.map_err(failed)? {
            wanted.remove(&container);
            let below = session.search_all(&guid_dn(container), OBJECTS, &["objectGUID"]).await;
            match below {
                Ok(entries) => wanted.extend(entries.iter().filter_map(Entry::guid)),
                Err(Failure::Said { rc: 32, .. }) => {}
                Err(failure) => return Err(failed(failure)),
            }
        }
        wanted.extend(self.newly_judged(session, &told).await?);
        let mut gone: BTreeSet<Uuid> = told.gone.clone();
        let mut changed = Vec::new();
        let ids: Vec<Uuid> = wanted.difference(&told.gone).copied().collect();
        for ids in ids.chunks(READ_AT_ONCE) {
            let read = self.read_objects(session, at, ids, &told).await.map_err(failed)?;
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
    ) -> Result<Vec<Changed>, Failure> {
        let mut attributes = self.user_attributes();
        attributes.extend(attributes::GROUP);
        let filter = format!("(&{OBJECTS}{})", id_filter(ids));
        let base = self.settings.base_dn.clone();
        let mut entries = session.search_all(&base, &filter, &attributes).await?;
        with_locks(session, &base, &mut entries).await?;
        let groups = self.protected_groups(session).await.map_err(|fault| Failure::NotSent(fault.to_string()))?;
        let mut changed = Vec::new();
        for entry in entries.iter().filter(|entry| is_within(&entry.dn, &base)) {
            let Some(id) = entry.guid() else { continue };
            let list = |members: &BTreeMap<Uuid, Vec<Uuid>>| members.get(&id).cloned().unwrap_or_default();
            let object = if entry.has_class("group") {
                let (members_added, members_removed) = (list(&told.added), list(&told.removed));
                ChangedObject { members_added, members_removed, ..Self::changed_group(at, id, entry) }
            } else {
                self.changed_account(at, entry, groups.hold(id, entry))
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

fn told(entries: Vec<Entry>) -> Told {
    let mut told = Told::default();
    for entry in entries {
        let Some(id) = entry.guid() else { continue };
        if entry.text("isDeleted").as_deref() == Some("TRUE") {
            told.gone.insert(id);
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
