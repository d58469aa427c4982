//! Accounts and groups that delegated rights do not reach: AdminSDHolder resets their permissions, so a write would fail
//! or, worse, succeed with rights nobody meant us to use. Found by nested membership in the protected groups' SIDs
//! (MS-ADTS 3.1.1.6.1); `adminCount` comes up to an hour late and stays behind, so it decides nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ldap3::Scope;
use uuid::Uuid;

use super::entry::Entry;
use super::escape::filter_bytes;
use super::fault::reading;
use super::looked::Group;
use super::observe::{complete_values, id_filter};
use super::session::{Failure, Session};
use super::{AdConnector, attributes};
use crate::target::Fault;

const FRESH: Duration = Duration::from_mins(2);
/// Objects named in one filter.
const AT_ONCE: usize = 100;

/// Relative ids in the domain: Domain Admins, Domain Controllers, Schema Admins, Enterprise Admins, Read-only Domain
/// Controllers, Key Admins, Enterprise Key Admins.
const DOMAIN_RIDS: [u32; 7] = [512, 516, 518, 519, 521, 526, 527];
/// In S-1-5-32: Administrators, Account, Server, Print and Backup Operators, Replicator.
const BUILTIN_RIDS: [u32; 6] = [544, 548, 549, 550, 551, 552];

/// The built-in Administrator and krbtgt.
pub fn is_fixed_account(rid: u32) -> bool {
    matches!(rid, 500 | 502)
}

/// The protected groups of the domain as last read.
#[derive(Debug, Clone, Default)]
pub struct ProtectedGroups {
    /// Those that the rule names. They are always the same.
    named: BTreeSet<Uuid>,
    /// They and all groups nested in them.
    pub ids: BTreeSet<Uuid>,
    /// Relative ids of those in the domain: a primary group is not in `memberOf`.
    rids: BTreeSet<u32>,
    /// Direct members of any of them. For judging many accounts at once: asking the server about each costs it some
    /// milliseconds.
    pub members: BTreeSet<Uuid>,
}

impl ProtectedGroups {
    /// Whether an account read a moment ago is in one of them, by what was known then.
    pub fn hold(&self, id: Uuid, entry: &Entry) -> bool {
        self.members.contains(&id) || self.hold_by_itself(entry)
    }

    /// Whether the account's own entry says so: its primary group, or that it is a fixed one.
    pub fn hold_by_itself(&self, entry: &Entry) -> bool {
        let primary = entry.number("primaryGroupID").and_then(|rid| u32::try_from(rid).ok());
        let own = entry.bytes("objectSid").and_then(attributes::rid);
        primary.is_some_and(|rid| self.rids.contains(&rid)) || own.is_some_and(is_fixed_account)
    }

    /// Whether one of these groups is a protected one or inside one, at any depth.
    ///
    /// The server is asked each time, upwards and level by level: an account is in a few groups, and most of those in none.
    /// Its own matching rule for nesting goes the whole way for each protected group anew (seen: 12 ms an account).
    pub async fn reached_from(&self, session: &mut Session, base: &str, groups: Vec<Uuid>) -> Result<bool, Failure> {
        let mut seen = BTreeSet::new();
        let mut level = groups;
        loop {
            level.retain(|id| seen.insert(*id));
            if level.iter().any(|id| self.named.contains(id)) {
                return Ok(true);
            }
            if level.is_empty() {
                return Ok(false);
            }
            let mut above = Vec::new();
            for ids in level.chunks(AT_ONCE) {
                for entry in session.search_all(base, &id_filter(ids), &["objectGUID", "memberOf"]).await? {
                    let Some(id) = entry.guid() else { continue };
                    above.extend(complete_values(session, id, &entry, "memberOf").await?);
                }
            }
            level = above;
        }
    }
}

impl AdConnector {
    /// The protected groups, read again every two minutes. Whether something is inside one is asked each time.
    pub(super) async fn protected_groups(&self, session: &mut Session) -> Result<Arc<ProtectedGroups>, Fault> {
        let known = self.protected.lock().await.clone();
        if let Some((groups, at)) = known
            && at.elapsed() < FRESH
        {
            return Ok(groups);
        }
        let read = read_groups(session, &self.settings.base_dn).await;
        let groups = Arc::new(read.map_err(|failure| reading(&failure, "reading the protected groups"))?);
        *self.protected.lock().await = Some((groups.clone(), Instant::now()));
        Ok(groups)
    }

    /// Refuses to touch a protected group. Groups that were looked at together are asked about together, before the first of
    /// them is written to; the answer serves each once.
    pub(super) async fn refuse_protected_group(&self, session: &mut Session, group: Uuid) -> Result<(), Fault> {
        let beside = match self.looked.lock().await.take_group(group) {
            Group::Harmless => return Ok(()),
            Group::With(groups) => groups,
        };
        let groups = self.protected_groups(session).await?;
        let failed = |failure: Failure| reading(&failure, "reading a group");
        let mut inside = async |ids: Vec<Uuid>| -> Result<bool, Failure> {
            let known = ids.iter().any(|id| groups.ids.contains(id));
            Ok(known || groups.reached_from(session, &self.settings.base_dn, ids).await?)
        };
        if !inside(beside.clone()).await.map_err(failed)? {
            self.looked.lock().await.harmless(beside.into_iter().filter(|id| *id != group));
            return Ok(());
        }
        if inside(vec![group]).await.map_err(failed)? {
            return Err(Fault::NeedsPerson {
                why: "The group is one of the directory's protected groups, or inside one: its members are \
                      administrators. Such changes need a route and a credential of their own."
                    .to_owned(),
            });
        }
        Ok(())
    }
}

pub fn protected_account() -> Fault {
    Fault::NeedsPerson {
        why: "The account is protected: it is a member of an administrators' group, directly or through others. Take \
              it out of there first, or change it by hand."
            .to_owned(),
    }
}

async fn read_groups(session: &mut Session, base: &str) -> Result<ProtectedGroups, Failure> {
    let head = session.read(base, &["objectSid"]).await?;
    let domain = head.and_then(|entry| entry.bytes("objectSid").map(<[u8]>::to_vec)).unwrap_or_default();
    let builtin: Vec<u8> = vec![1, 1, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0];
    let domain_sids = DOMAIN_RIDS.iter().filter(|_| !domain.is_empty()).map(|rid| child(&domain, *rid));
    let sids = domain_sids.chain(BUILTIN_RIDS.iter().map(|rid| child(&builtin, *rid)));
    let each: String = sids.map(|sid| format!("(objectSid={})", filter_bytes(&sid))).collect();
    let attributes = ["objectGUID", "objectSid", "member"];
    let mut level = session.search(base, Scope::Subtree, &format!("(|{each})"), &attributes).await?;

    let mut groups = ProtectedGroups {
        named: level.iter().filter_map(Entry::guid).collect(),
        rids: DOMAIN_RIDS.into(),
        ..ProtectedGroups::default()
    };
    while !level.is_empty() {
        let mut below = Vec::new();
        for entry in &level {
            let Some(id) = entry.guid() else { continue };
            groups.ids.insert(id);
            groups.rids.extend(entry.bytes("objectSid").and_then(attributes::rid));
            let members = complete_values(session, id, entry, "member").await?;
            below.extend(members.into_iter().filter(|id| groups.members.insert(*id)));
        }
        level.clear();
        for ids in below.chunks(AT_ONCE) {
            let filter = format!("(&(objectClass=group){})", id_filter(ids));
            let inside = session.search_all(base, &filter, &attributes).await?;
            level.extend(inside.into_iter().filter(|entry| entry.guid().is_some_and(|id| !groups.ids.contains(&id))));
        }
    }
    Ok(groups)
}

/// The SID of `rid` in a domain.
fn child(domain: &[u8], rid: u32) -> Vec<u8> {
    let mut sid = domain.to_vec();
    sid[1] += 1;
    sid.extend(rid.to_le_bytes());
    sid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sids_of_groups_are_built() {
        let administrators = child(&[1, 1, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0], 544);
        assert_eq!(attributes::sid_text(&administrators).as_deref(), Some("S-1-5-32-544"));
    }
}
