//! The whole directory, once: paged reading in bulk, with the feed's place taken before it begins.
//!
//! A feed asked from its beginning would tell what is there object by object, and each would be read after it. So the feed is
//! asked for its present place alone, by a filter that no object matches; then everything is read in pages; then the feed goes
//! on from that place. What changes meanwhile is read in some page or told afterwards, or both; nothing is missed.
//!
//! The next page is on its way while the mirror takes in the one before: two pages and the ids so far are in memory, however
//! large the directory. With the last page the mirror gets all ids, so that it need not ask for them to find out what is gone.
//! Pages belong to a connection, so a sweep that is interrupted (a restart, another worker) begins anew. Its name in the cursor
//! says whether it is the one that this connector has in hand.

use chrono::{DateTime, Utc};
use ldap3::Scope;
use ldap3::controls::Control;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::dirsync::{FORMAT, OBJECTS, Quiet, SWEEPING};
use super::entry::Entry;
use super::fault::reading;
use super::observe::{complete_values, with_locks};
use super::session::{Failure, Session};
use super::{AdConnector, attributes, controls};
use crate::target::{Batch, Changed, ChangedObject, Fault, Kind, Server};

/// Objects on a page: what a domain controller gives at once.
const PAGE: i32 = 1000;
/// No object has this id.
const NOTHING: &str = r"(objectGUID=\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00)";

type Found = Result<(Vec<Entry>, Vec<Control>), Failure>;

/// A sweep under way.
pub struct Sweep {
    name: Uuid,
    at: Server,
    /// The server's clock then.
    clock: DateTime<Utc>,
    /// Where the feed stood when it began.
    place: Vec<u8>,
    /// What the pages so far held.
    ids: Vec<Uuid>,
    next: JoinHandle<(Session, Found)>,
}

impl AdConnector {
    /// The next page of the sweep that `name` is of; from the beginning where this connector has another one in hand, or none.
    pub(super) async fn sweep(&self, at: Server, name: &[u8]) -> Result<Batch, Fault> {
        let under_way = self.sweeping.lock().await.take().filter(|sweep| sweep.name.as_bytes() == name);
        let sweep = match under_way {
            Some(sweep) => sweep,
            None => self.begin(at).await?,
        };
        self.go_on(sweep).await
    }

    async fn begin(&self, at: Server) -> Result<Sweep, Fault> {
        let failed = |failure: Failure| reading(&failure, "beginning to read the whole directory");
        let mut session = self.pool.session(&at.url).await?.patient();
        let root = self.root(&mut session).await.map_err(failed)?;
        let mut place = Vec::new();
        loop {
            let (_, more, cookie) = self.ask(&mut session, (&root.head, NOTHING), &place).await.map_err(failed)?;
            let stands = place == cookie;
            place = cookie;
            if !more || stands {
                break;
            }
        }
        // Where nobody writes meanwhile, the feed has nothing to tell from there on.
        let quiet = root.highest.map(|highest| Quiet { url: at.url.clone(), highest, cookie: place.clone() });
        *self.quiet.lock().await = quiet;
        let next = self.page(session, Vec::new());
        Ok(Sweep { name: Uuid::new_v4(), at, clock: root.clock, place, ids: Vec::new(), next })
    }

    async fn go_on(&self, sweep: Sweep) -> Result<Batch, Fault> {
        let failed = |failure: Failure| reading(&failure, "reading the whole directory");
        let Sweep { name, at, clock, place, mut ids, next } = sweep;
        let (session, found) = next.await.map_err(|error| failed(Failure::Broken(error.to_string())))?;
        let (entries, answer) = found.map_err(failed)?;
        let cookie = controls::next_page(&answer);
        let last = cookie.is_empty();
        let next = (!last).then(|| self.page(session, cookie));
        let changed = self.swept(&at, entries).await?;
        ids.extend(changed.iter().map(|changed| changed.id));
        let mut cursor = vec![FORMAT, if last { 0 } else { SWEEPING }];
        cursor.extend_from_slice(if last { &place } else { name.as_bytes() });
        let whole = match next {
            Some(next) => {
                *self.sweeping.lock().await = Some(Sweep { name, at: at.clone(), clock, place, ids, next });
                None
            }
            None => Some(ids),
        };
        // After the last page comes what the feed has to tell of the time since the first.
        Ok(Batch { changed, cursor, more: true, whole, server: at, at: clock })
    }

    /// Asks for a page, and does not wait for it.
    fn page(&self, mut session: Session, cookie: Vec<u8>) -> JoinHandle<(Session, Found)> {
        let base = self.settings.base_dn.clone();
        let mut names: Vec<String> = self.user_attributes().into_iter().map(str::to_owned).collect();
        names.extend(attributes::GROUP.iter().map(|name| (*name).to_owned()));
        names.push("member".to_owned());
        names.sort_unstable();
        names.dedup();
        tokio::spawn(async move {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let controls = vec![controls::no_referrals(), controls::extended_dn(), controls::page(PAGE, cookie)];
            let found = session.search_with(&base, Scope::Subtree, OBJECTS, &names, controls).await;
            (session, found)
        })
    }

    async fn swept(&self, at: &Server, mut entries: Vec<Entry>) -> Result<Vec<Changed>, Fault> {
        let failed = |failure: Failure| reading(&failure, "reading the whole directory");
        let session = &mut self.pool.session(&at.url).await?;
        with_locks(session, &self.settings.base_dn, &mut entries).await.map_err(failed)?;
        let groups = self.protected_groups(session).await?;
        let mut changed = Vec::with_capacity(entries.len());
        for entry in &entries {
            let Some(id) = entry.guid() else { continue };
            let object = if entry.has_class("group") {
                let members_added = complete_values(session, id, entry, "member").await.map_err(failed)?;
                ChangedObject { members_added, members_whole: true, ..Self::changed_group(at, id, entry) }
            } else {
                self.changed_account(at, entry, groups.hold(id, entry))
            };
            changed.push(Changed { id, seen: Some(object) });
        }
        Ok(changed)
    }

    pub(super) fn changed_group(at: &Server, id: Uuid, entry: &Entry) -> ChangedObject {
        let seen = Self::seen_group(at, id, entry);
        ChangedObject {
            kind: Kind::Group,
            whole: true,
            state: seen.state,
            members_added: Vec::new(),
            members_removed: Vec::new(),
            members_whole: false,
            rights: None,
            native: seen.native,
        }
    }

    pub(super) fn changed_account(&self, at: &Server, entry: &Entry, protected: bool) -> ChangedObject {
        ChangedObject {
            kind: Kind::User,
            whole: true,
            state: attributes::user_state(entry, &self.settings.correlation_attribute, protected),
            members_added: Vec::new(),
            members_removed: Vec::new(),
            members_whole: false,
            rights: None,
            native: super::observe::native(at, entry),
        }
    }
}
