//! Memberships: single values of `member`, added and removed one by one; the list is never replaced.
//!
//! "Already there" (68, 20) and "already gone" (16, 53, 32) are success only after reading back. The primary group is a
//! membership that `member` does not show: it counts as there, and it cannot be taken away here.

use std::collections::HashSet;

use ldap3::Mod;
use uuid::Uuid;

use super::AdConnector;
use super::escape::guid_dn;
use super::fault::{reading, refused, writing};
use super::observe::{is_member, is_primary, native};
use super::session::{Failure, Session};
use crate::target::{Difference, Fault, Native, Presence, Server};

impl AdConnector {
    pub(super) async fn ensure_membership(
        &self,
        at: &Server,
        group: Uuid,
        member: Uuid,
        step: &Difference,
    ) -> Result<Native, Fault> {
        let Some((_, to)) = step.presence else {
            return Err(refused("member", "A membership is there or not; it has nothing else to change."));
        };
        let session = &mut self.pool.session(&at.url).await?;
        let looked = |failure: Failure| reading(&failure, "reading a membership");
        let there = is_member(session, group, member).await.map_err(looked)?;
        if there != (to == Presence::Present) {
            self.refuse_protected_group(session, group).await?;
            write_membership(session, group, member, to).await?;
        }
        let entry = session.read(&guid_dn(group), &["uSNChanged"]).await.ok().flatten();
        Ok(entry
            .map_or_else(|| Native { server: Some(at.name.clone()), ..Native::default() }, |entry| native(at, &entry)))
    }
}

async fn write_membership(session: &mut Session, group: Uuid, member: Uuid, to: Presence) -> Result<(), Fault> {
    let looked = |failure: Failure| reading(&failure, "reading a membership");
    let target = session.read(&guid_dn(group), &["objectSid"]).await.map_err(looked)?;
    let who = session.read(&guid_dn(member), &["objectSid", "primaryGroupID"]).await.map_err(looked)?;
    let Some(target) = target else { return gone(to, "group") };
    let Some(who) = who else { return gone(to, "account") };
    if to == Presence::Absent && is_primary(&target, &who) {
        return Err(Fault::NeedsPerson {
            why: format!(
                "{} is the primary group of {}: give the account another primary group first.",
                target.dn, who.dn
            ),
        });
    }
    let value = HashSet::from([guid_dn(member).into_bytes()]);
    let change = match to {
        Presence::Present => Mod::Add(b"member".to_vec(), value),
        Presence::Absent => Mod::Delete(b"member".to_vec(), value),
    };
    let done = session.modify(&guid_dn(group), vec![change]).await;
    let Err(failure) = done else { return Ok(()) };
    if matches!(failure, Failure::Said { rc: 16 | 20 | 32 | 53 | 68, .. })
        && is_member(session, group, member).await.map_err(looked)? == (to == Presence::Present)
    {
        return Ok(());
    }
    let (verb, link) = if to == Presence::Present { ("adding", "to") } else { ("removing", "from") };
    Err(writing(&failure, &format!("{verb} {} {link} {}", who.dn, target.dn)))
}

fn gone(to: Presence, what: &str) -> Result<(), Fault> {
    match to {
        Presence::Absent => Ok(()),
        Presence::Present => Err(refused("member", format!("The {what} is not there any more."))),
    }
}
