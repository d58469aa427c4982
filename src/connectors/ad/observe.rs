//! Looking: accounts, groups and memberships as they are. Nothing here writes.

use std::collections::BTreeMap;

use ldap3::Scope;
use uuid::Uuid;

use super::entry::Entry;
use super::escape::{filter_bytes, filter_value, guid_dn};
use super::fault::reading;
use super::session::{Failure, Session};
use super::{AdConnector, attributes, metadata};
use crate::target::{Address, Fault, Kind, Native, Resource, Seen, Server};

/// Objects named in one filter.
const AT_ONCE: usize = 100;
/// Relative ids of groups that are remembered.
const MOST_RIDS: usize = 10_000;

/// An account as it was read: the entry and whether a protected group holds it.
pub struct Account {
    pub id: Uuid,
    pub entry: Entry,
    pub protected: bool,
}

/// The mark that a step of ours leaves in what it creates. `tenure:new:…` while the creation is under way, `tenure:…`
/// from its last write on: what is not finished does not count as there, and the next attempt finds and completes it.
pub fn mark(correlation: Uuid, finished: bool) -> String {
    if finished { format!("tenure:{correlation}") } else { format!("tenure:new:{correlation}") }
}

impl AdConnector {
    pub(super) async fn look(&self, at: &Server, what: &Resource) -> Result<Option<Seen>, Fault> {
        let session = &mut self.pool.session(&at.url).await?;
        match (what.kind, &what.address) {
            (Kind::User, Address::New { correlation }) => {
                let found = self.created(session, *correlation).await?;
                let finished = found.as_ref().filter(|(_, finished)| *finished).map(|(account, _)| account);
                let seen = finished.map(|account| self.seen_user(at, account));
                self.looked.lock().await.account(&at.url, *correlation, found);
                Ok(seen)
            }
            (Kind::User, Address::Native(id)) => {
                let account = self.account(session, *id).await?;
                let seen = account.as_ref().map(|account| self.seen_user(at, account));
                self.looked.lock().await.account(&at.url, *id, account.map(|account| (account, true)));
                Ok(seen)
            }
            (Kind::Group, Address::Native(id)) => {
                let entry = session.read(&guid_dn(*id), attributes::GROUP).await;
                let entry = entry.map_err(|failure| reading(&failure, "reading a group"))?;
                Ok(entry.filter(|entry| entry.has_class("group")).map(|entry| Self::seen_group(at, *id, &entry)))
            }
            (Kind::Membership, Address::Member { group, member }) => {
                let found = self.memberships(session, *member, &[*group]).await;
                let found = found.map_err(|failure| reading(&failure, "reading a membership"))?;
                Ok(found.get(group).map(|entry| seen_membership(at, entry)))
            }
            (kind, _) => Err(Fault::Refused {
                why: format!("A {kind} in Active Directory cannot be looked up this way."),
                attribute: None,
            }),
        }
    }

    /// Memberships of one member are one question; everything else is looked at by itself.
    pub(super) async fn look_at_all(&self, at: &Server, whats: &[&Resource]) -> Result<Vec<Option<Seen>>, Fault> {
        let pair = |what: &Resource| match what.address {
            Address::Member { group, member } if what.kind == Kind::Membership => Some((group, member)),
            _ => None,
        };
        let mut groups: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        for (group, member) in whats.iter().filter_map(|what| pair(what)) {
            groups.entry(member).or_default().push(group);
        }
        let mut found = BTreeMap::new();
        for (member, groups) in groups {
            let session = &mut self.pool.session(&at.url).await?;
            let entries = self.memberships(session, member, &groups).await;
            self.looked.lock().await.groups(&groups);
            found.insert(member, entries.map_err(|failure| reading(&failure, "reading memberships"))?);
        }
        let mut seen = Vec::with_capacity(whats.len());
        for what in whats {
            seen.push(match pair(what) {
                Some((group, member)) => {
                    found.get(&member).and_then(|groups| groups.get(&group)).map(|entry| seen_membership(at, entry))
                }
                None => self.look(at, what).await?,
            });
        }
        Ok(seen)
    }

    /// The account as the look that the write follows found it ([`Looked`](super::looked::Looked)); else looked at now.
    pub(super) async fn account_before_write(
        &self,
        session: &mut Session,
        at: &Server,
        id: Uuid,
    ) -> Result<Option<Account>, Fault> {
        match self.looked.lock().await.take_account(&at.url, id) {
            Some(found) => Ok(found.map(|(account, _)| account)),
            None => self.account(session, id).await,
        }
    }

    /// As [`Self::account_before_write`], for [`Self::created`].
    pub(super) async fn created_before_write(
        &self,
        session: &mut Session,
        at: &Server,
        correlation: Uuid,
    ) -> Result<Option<(Account, bool)>, Fault> {
        match self.looked.lock().await.take_account(&at.url, correlation) {
            Some(found) => Ok(found),
            None => self.created(session, correlation).await,
        }
    }

    pub(super) fn seen_user(&self, at: &Server, account: &Account) -> Seen {
        let state = attributes::user_state(&account.entry, &self.settings.correlation_attribute, account.protected);
        Seen { id: Some(account.id), state, native: native(at, &account.entry) }
    }

    pub(super) fn seen_group(at: &Server, id: Uuid, entry: &Entry) -> Seen {
        Seen { id: Some(id), state: attributes::group_state(entry), native: native(at, entry) }
    }

    /// The names of all attributes that an account's state is made of; see also [`with_locks`].
    pub(super) fn user_attributes(&self) -> Vec<&str> {
        let table = attributes::USER.iter().map(|attribute| attribute.ldap);
        let readable = table.filter(|name| *name != "unicodePwd" && *name != "distinguishedName");
        let correlation = self.settings.correlation_attribute.as_str();
        readable.chain(attributes::USER_EXTRAS.iter().copied()).chain([correlation]).collect()
    }

    /// What a step's look asks for besides: the groups that it is judged by, and the directory's own traces.
    fn looked_for(&self) -> Vec<&str> {
        [self.user_attributes(), vec!["memberOf", "replPropertyMetaData"]].concat()
    }

    pub(super) async fn account(&self, session: &mut Session, id: Uuid) -> Result<Option<Account>, Fault> {
        let doing = "reading an account";
        let entry = session.read(&guid_dn(id), &self.looked_for()).await;
        match entry.map_err(|failure| reading(&failure, doing))? {
            Some(entry) if entry.has_class("user") => Ok(Some(self.judged(session, id, entry).await?)),
            _ => Ok(None),
        }
    }

    /// What a creation with this correlation id made, and whether it came to its end.
    pub(super) async fn created(
        &self,
        session: &mut Session,
        correlation: Uuid,
    ) -> Result<Option<(Account, bool)>, Fault> {
        let attribute = &self.settings.correlation_attribute;
        let [new, done] = [false, true].map(|finished| filter_value(&mark(correlation, finished)));
        let filter = format!("(&(objectClass=user)(|({attribute}={new})({attribute}={done})))");
        let found = session.search(&self.settings.base_dn, Scope::Subtree, &filter, &self.looked_for()).await;
        let mut found = found.map_err(|failure| reading(&failure, "looking for an account by its correlation id"))?;
        if found.len() > 1 {
            let names: Vec<_> = found.iter().map(|entry| entry.dn.as_str()).collect();
            return Err(Fault::NeedsPerson {
                why: format!(
                    "More than one account carries the mark of this step in {attribute}: {}. Clear it in those that \
                     were copied.",
                    names.join("; ")
                ),
            });
        }
        let Some(entry) = found.pop() else { return Ok(None) };
        let Some(id) = entry.guid() else { return Ok(None) };
        let finished = entry.text(attribute).is_some_and(|text| text.eq_ignore_ascii_case(&mark(correlation, true)));
        Ok(Some((self.judged(session, id, entry).await?, finished)))
    }

    async fn judged(&self, session: &mut Session, id: Uuid, entry: Entry) -> Result<Account, Fault> {
        let groups = self.protected_groups(session).await?;
        let failed = |failure: Failure| reading(&failure, "looking for protected groups of an account");
        let protected = groups.hold_by_itself(&entry) || {
            let direct = complete_values(session, id, &entry, "memberOf").await.map_err(failed)?;
            groups.reached_from(session, &self.settings.base_dn, direct).await.map_err(failed)?
        };
        let mut entries = [entry];
        with_locks(session, &self.settings.base_dn, &mut entries).await.map_err(failed)?;
        let [entry] = entries;
        Ok(Account { id, entry, protected })
    }

    /// The entries of those of the groups that `member` is a direct member of, by value or as primary group; none where either
    /// is not there. The groups are asked, all at once: whose list it is decides, and each answer brings its change number.
    pub(super) async fn memberships(
        &self,
        session: &mut Session,
        member: Uuid,
        groups: &[Uuid],
    ) -> Result<BTreeMap<Uuid, Entry>, Failure> {
        let attributes = ["objectGUID", "uSNChanged", "objectSid", "primaryGroupID"];
        let mut found = BTreeMap::new();
        for groups in groups.chunks(AT_ONCE) {
            // The member comes along, for its primary group.
            let (listed, own) = (filter_value(&guid_dn(member)), id_filter(&[member]));
            let filter = format!("(|(&{}(member={listed})){own})", id_filter(groups));
            let entries = session.search(&self.settings.base_dn, Scope::Subtree, &filter, &attributes).await?;
            found.extend(entries.into_iter().filter_map(|entry| Some((entry.guid()?, entry))));
        }
        let Some(who) = found.remove(&member) else { return Ok(BTreeMap::new()) };
        let missing: Vec<Uuid> = groups.iter().copied().filter(|group| !found.contains_key(group)).collect();
        for group in missing {
            if self.may_be_primary(session, group, &who).await?
                && let Some(target) = session.read(&guid_dn(group), &attributes).await?
                && is_primary(&target, &who)
            {
                found.insert(group, target);
            }
        }
        Ok(found)
    }

    /// Whether the group's relative id is the account's primary group's. A group keeps its id as long as it lives, so it is
    /// asked for once.
    async fn may_be_primary(&self, session: &mut Session, group: Uuid, member: &Entry) -> Result<bool, Failure> {
        let Some(primary) = member.number("primaryGroupID") else { return Ok(false) };
        let known = self.rids.lock().await.get(&group).copied();
        let rid = match known {
            Some(rid) => rid,
            None => {
                let Some(entry) = session.read(&guid_dn(group), &["objectSid"]).await? else { return Ok(false) };
                let Some(rid) = entry.bytes("objectSid").and_then(attributes::rid) else { return Ok(false) };
                let mut rids = self.rids.lock().await;
                if rids.len() >= MOST_RIDS {
                    rids.clear();
                }
                rids.insert(group, rid);
                rid
            }
        };
        Ok(i64::from(rid) == primary)
    }

    /// All direct members of a group, however many: the server gives 1,500 at once, the rest by `member;range=1500-*`
    /// (MS-ADTS 3.1.1.3.1.3.3). Those for whom it is the primary group are not in `member`.
    ///
    /// # Errors
    /// [`Fault::Refused`] when the group is not there.
    pub async fn members(&self, at: &Server, group: Uuid) -> Result<Vec<Uuid>, Fault> {
        let session = &mut self.pool.session(&at.url).await?;
        let read = members(session, group).await;
        read.map_err(|failure| reading(&failure, "reading the members of a group"))?
            .ok_or_else(|| Fault::Refused { why: "The group is not there any more.".to_owned(), attribute: None })
    }
}

fn seen_membership(at: &Server, group: &Entry) -> Seen {
    Seen { id: None, state: crate::target::State::default(), native: native(at, group) }
}

/// The traces of an object on this server.
pub fn native(at: &Server, entry: &Entry) -> Native {
    Native {
        server: Some(at.name.clone()),
        usn: entry.text("uSNChanged"),
        versions: entry.bytes("replPropertyMetaData").map(metadata::named).unwrap_or_default(),
        ..Native::default()
    }
}

/// Whether the group is the account's primary group, which `member` does not show.
pub fn is_primary(group: &Entry, member: &Entry) -> bool {
    let rid = group.bytes("objectSid").and_then(attributes::rid).map(i64::from);
    rid.is_some() && rid == member.number("primaryGroupID")
}

/// Adds what the server computes about locks to the entries of accounts. It takes the server as long as everything else
/// about an account, and only those that were ever locked can be, so the others are not asked about.
pub async fn with_locks(session: &mut Session, base: &str, entries: &mut [Entry]) -> Result<(), Failure> {
    let locked = entries.iter().filter(|entry| entry.number("lockoutTime").is_some_and(|time| time != 0));
    let ids: Vec<Uuid> = locked.filter_map(Entry::guid).collect();
    for ids in ids.chunks(AT_ONCE) {
        let attributes = ["objectGUID", attributes::COMPUTED];
        for found in session.search_all(base, &id_filter(ids), &attributes).await? {
            let mut same = entries.iter_mut().filter(|entry| entry.guid() == found.guid());
            if let Some(entry) = same.next() {
                entry.take(attributes::COMPUTED, &found);
            }
        }
    }
    Ok(())
}

/// All direct members; `None` when the group is not there.
pub async fn members(session: &mut Session, group: Uuid) -> Result<Option<Vec<Uuid>>, Failure> {
    let Some(entry) = session.read(&guid_dn(group), &["member"]).await? else { return Ok(None) };
    complete_values(session, group, &entry, "member").await.map(Some)
}

/// The objects that a list in `entry` names (`member`, `memberOf`), and those that the server held back.
pub async fn complete_values(session: &mut Session, id: Uuid, entry: &Entry, list: &str) -> Result<Vec<Uuid>, Failure> {
    let mut all = entry.ids(list);
    let mut next = range_of(entry, list, &mut all);
    while let Some(start) = next {
        let attribute = format!("{list};range={start}-*");
        let Some(page) = session.read(&guid_dn(id), &[&attribute]).await? else { break };
        let before = all.len();
        next = range_of(&page, list, &mut all);
        if all.len() == before {
            break;
        }
    }
    Ok(all)
}

/// Takes the values of a `LIST;range=a-b` into `all`; where the next piece starts, if there is one.
fn range_of(entry: &Entry, list: &str, all: &mut Vec<Uuid>) -> Option<usize> {
    let ranged = |option: &str| option.starts_with("range=");
    let found = entry.optioned.iter().find(|(name, option, _)| name.eq_ignore_ascii_case(list) && ranged(option));
    let (_, option, values) = found?;
    let ids = values.iter().filter_map(|value| super::escape::ExtendedDn::parse(&String::from_utf8_lossy(value)).guid);
    all.extend(ids);
    let (_, end) = option.strip_prefix("range=")?.split_once('-')?;
    end.parse::<usize>().ok().map(|end| end + 1)
}

/// A filter for objects by id, any of them.
pub fn id_filter(ids: &[Uuid]) -> String {
    let each = ids.iter().map(|id| format!("(objectGUID={})", filter_bytes(&id.to_bytes_le())));
    format!("(|{})", each.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(option: &str, count: u128) -> Entry {
        let values = (0..count).map(|n| format!("<GUID={}>;CN={n},DC=corp", Uuid::from_u128(n)).into_bytes()).collect();
        let mut entry = Entry::default();
        entry.optioned.push(("member".to_owned(), option.to_owned(), values));
        entry
    }

    #[test]
    fn long_lists_come_in_pieces() {
        let mut all = Vec::new();
        assert_eq!(range_of(&page("range=0-1499", 1500), "member", &mut all), Some(1500));
        assert_eq!(range_of(&page("range=1500-*", 7), "member", &mut all), None, "the last piece");
        assert_eq!(all.len(), 1507);
        assert_eq!(range_of(&Entry::default(), "member", &mut all), None, "a short list has no range");
    }
}
