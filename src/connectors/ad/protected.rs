//! Accounts and groups that delegated rights do not reach: AdminSDHolder resets their permissions, so a write would fail
//! or, worse, succeed with rights nobody meant us to use. Found by nested membership in the protected groups' SIDs
//! (MS-ADTS 3.1.1.6.1); `adminCount` comes up to an hour late and stays behind, so it decides nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ldap3::Scope;
use uuid::Uuid;

use super::entry::Entry;
use super::escape::{filter_bytes, filter_value, guid_dn};
use super::fault::reading;
use super::observe::complete_members;
use super::session::{Failure, Session};
use super::{AdConnector, attributes};
use crate::target::Fault;

const NESTED: &str = "memberOf:1.2.840.113556.1.4.1941:";
const FRESH: Duration = Duration::from_mins(2);

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
    /// The named ones: their DNs as filter values.
    filters: Vec<String>,
    /// They and all groups nested in them.
    pub ids: Vec<Uuid>,
    /// Relative ids of those in the domain: a primary group is not in `memberOf`.
    rids: Vec<u32>,
    /// Direct members of any of them. For judging many accounts at once: asking the server about each costs it some
    /// milliseconds.
    pub members: BTreeSet<Uuid>,
}

impl ProtectedGroups {
    /// Matches whatever is in one of them, at any depth.
    pub fn nested_filter(&self) -> String {
        let each = self.filters.iter().map(|dn| format!("({NESTED}={dn})"));
        format!("(|{})", each.collect::<String>())
    }

    /// Whether an account read a moment ago is in one of them, by what was known then.
    pub fn hold(&self, id: Uuid, entry: &Entry) -> bool {
        let primary = entry.number("primaryGroupID").and_then(|rid| u32::try_from(rid).ok());
        let own = entry.bytes("objectSid").and_then(attributes::rid);
        self.members.contains(&id)
            || primary.is_some_and(|rid| self.rids.contains(&rid))
            || own.is_some_and(is_fixed_account)
    }

    /// As [`Self::nested_filter`], with the primary group counted.
    pub fn account_filter(&self) -> String {
        let primary: String = self.rids.iter().map(|rid| format!("(primaryGroupID={rid})")).collect();
        format!("(|{}{primary})", self.nested_filter())
    }
}

impl AdConnector {
    /// The protected groups, read again every two minutes. The accounts themselves are asked about each time.
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

    /// Refuses to touch a protected group.
    pub(super) async fn refuse_protected_group(&self, session: &mut Session, group: Uuid) -> Result<(), Fault> {
        let groups = self.protected_groups(session).await?;
        let inside = session.matches(&guid_dn(group), &groups.nested_filter()).await;
        if groups.ids.contains(&group) || inside.map_err(|failure| reading(&failure, "reading a group"))? {
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
    let named = session.search(base, Scope::Subtree, &format!("(|{each})"), &attributes).await?;

    let mut groups = ProtectedGroups {
        filters: named.iter().map(|entry| filter_value(&entry.dn)).collect(),
        rids: DOMAIN_RIDS.to_vec(),
        ..ProtectedGroups::default()
    };
    let filter = format!("(&(objectClass=group){})", groups.nested_filter());
    let nested = session.search_all(base, &filter, &attributes).await?;
    for entry in named.iter().chain(&nested) {
        let Some(id) = entry.guid() else { continue };
        groups.ids.push(id);
        groups.rids.extend(entry.bytes("objectSid").and_then(attributes::rid));
        groups.members.extend(complete_members(session, id, entry).await?);
    }
    groups.rids.sort_unstable();
    groups.rids.dedup();
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
