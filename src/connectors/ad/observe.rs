//! Looking: accounts, groups and memberships as they are. Nothing here writes.

use ldap3::Scope;
use uuid::Uuid;

use super::entry::Entry;
use super::escape::{filter_bytes, filter_value, guid_dn};
use super::fault::reading;
use super::session::{Failure, Session};
use super::{AdConnector, attributes, metadata, protected};
use crate::target::{Address, Fault, Kind, Native, Resource, Seen, Server};

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
                let finished = found.filter(|(_, finished)| *finished).map(|(account, _)| account);
                Ok(finished.map(|account| self.seen_user(at, &account)))
            }
            (Kind::User, Address::Native(id)) => {
                let account = self.account(session, *id).await?;
                Ok(account.map(|account| self.seen_user(at, &account)))
            }
            (Kind::Group, Address::Native(id)) => {
                let entry = session.read(&guid_dn(*id), attributes::GROUP).await;
                let entry = entry.map_err(|failure| reading(&failure, "reading a group"))?;
                Ok(entry.filter(|entry| entry.has_class("group")).map(|entry| Self::seen_group(at, *id, &entry)))
            }
            (Kind::Membership, Address::Member { group, member }) => {
                self.look_at_membership(session, at, *group, *member).await
            }
            (kind, _) => Err(Fault::Refused {
                why: format!("A {kind} in Active Directory cannot be looked up this way."),
                attribute: None,
            }),
        }
    }

    pub(super) fn seen_user(&self, at: &Server, account: &Account) -> Seen {
        let state = attributes::user_state(&account.entry, &self.settings.correlation_attribute, account.protected);
        Seen { id: Some(account.id), state, native: native(at, &account.entry) }
    }

    pub(super) fn seen_group(at: &Server, id: Uuid, entry: &Entry) -> Seen {
        Seen { id: Some(id), state: attributes::group_state(entry), native: native(at, entry) }
    }

    /// The names of all attributes asked for an account.
    pub(super) fn user_attributes(&self) -> Vec<&str> {
        let table = attributes::USER.iter().map(|attribute| attribute.ldap);
        let readable = table.filter(|name| *name != "unicodePwd" && *name != "distinguishedName");
        let correlation = self.settings.correlation_attribute.as_str();
        readable.chain(attributes::USER_EXTRAS.iter().copied()).chain([correlation]).collect()
    }

    pub(super) async fn account(&self, session: &mut Session, id: Uuid) -> Result<Option<Account>, Fault> {
        let doing = "reading an account";
        let entry = session.read(&guid_dn(id), &self.user_attributes()).await;
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
        let found = session.search(&self.settings.base_dn, Scope::Subtree, &filter, &self.user_attributes()).await;
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

    /// The account that was added under this name a moment ago. By name, because the mark is in an attribute that is seldom
    /// indexed.
    pub(super) async fn just_added(
        &self,
        session: &mut Session,
        dn: &str,
        correlation: Uuid,
    ) -> Result<Option<Account>, Fault> {
        let entry = session.read(dn, &self.user_attributes()).await;
        let entry = entry.map_err(|failure| super::fault::writing(&failure, "looking at a new account"))?;
        let ours = mark(correlation, false);
        let attribute = &self.settings.correlation_attribute;
        match entry.filter(|entry| entry.text(attribute).is_some_and(|text| text.eq_ignore_ascii_case(&ours))) {
            Some(entry) => match entry.guid() {
                Some(id) => Ok(Some(self.judged(session, id, entry).await?)),
                None => Ok(None),
            },
            None => Ok(None),
        }
    }

    async fn judged(&self, session: &mut Session, id: Uuid, entry: Entry) -> Result<Account, Fault> {
        let groups = self.protected_groups(session).await?;
        let fixed = entry.bytes("objectSid").and_then(attributes::rid).is_some_and(protected::is_fixed_account);
        let protected = fixed || {
            let answer = session.matches(&guid_dn(id), &groups.account_filter()).await;
            answer.map_err(|failure| reading(&failure, "looking for protected groups of an account"))?
        };
        Ok(Account { id, entry, protected })
    }

    async fn look_at_membership(
        &self,
        session: &mut Session,
        at: &Server,
        group: Uuid,
        member: Uuid,
    ) -> Result<Option<Seen>, Fault> {
        let there = is_member(session, group, member).await;
        if !there.map_err(|failure| reading(&failure, "reading a membership"))? {
            return Ok(None);
        }
        let entry = session.read(&guid_dn(group), &["uSNChanged"]).await;
        let entry = entry.map_err(|failure| reading(&failure, "reading a group"))?;
        Ok(entry.map(|entry| Seen { id: None, state: crate::target::State::default(), native: native(at, &entry) }))
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

/// Whether `member` is a direct member of `group`, by value or as primary group. `false` when either is not there.
pub async fn is_member(session: &mut Session, group: Uuid, member: Uuid) -> Result<bool, Failure> {
    let Some(who) = session.read(&guid_dn(member), &["primaryGroupID", "objectSid"]).await? else { return Ok(false) };
    let Some(target) = session.read(&guid_dn(group), &["objectSid"]).await? else { return Ok(false) };
    if is_primary(&target, &who) {
        return Ok(true);
    }
    session.matches(&guid_dn(group), &format!("(member={})", filter_value(&who.dn))).await
}

/// All direct members; `None` when the group is not there.
pub async fn members(session: &mut Session, group: Uuid) -> Result<Option<Vec<Uuid>>, Failure> {
    let Some(entry) = session.read(&guid_dn(group), &["member"]).await? else { return Ok(None) };
    complete_members(session, group, &entry).await.map(Some)
}

/// The members in `entry` and those that the server held back.
pub async fn complete_members(session: &mut Session, group: Uuid, entry: &Entry) -> Result<Vec<Uuid>, Failure> {
    let mut all = entry.ids("member");
    let mut next = range_of(entry, &mut all);
    while let Some(start) = next {
        let attribute = format!("member;range={start}-*");
        let Some(page) = session.read(&guid_dn(group), &[&attribute]).await? else { break };
        let before = all.len();
        next = range_of(&page, &mut all);
        if all.len() == before {
            break;
        }
    }
    Ok(all)
}

/// Takes the values of a `member;range=a-b` into `all`; where the next piece starts, if there is one.
fn range_of(entry: &Entry, all: &mut Vec<Uuid>) -> Option<usize> {
    let (_, option, values) = entry.optioned.iter().find(|(name, _, _)| name == "member")?;
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
        assert_eq!(range_of(&page("range=0-1499", 1500), &mut all), Some(1500));
        assert_eq!(range_of(&page("range=1500-*", 7), &mut all), None, "the last piece");
        assert_eq!(all.len(), 1507);
        assert_eq!(range_of(&Entry::default(), &mut all), None, "a short list has no range");
    }
}
