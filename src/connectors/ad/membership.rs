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
use super::observe::is_primary;
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
        self.refuse_protected_group(session, group).await?;
        // Sent without another look: adding what is there and taking away what is not are refused by the directory itself,
        // so the write carries what it replaces.
        let value = HashSet::from([guid_dn(member).into_bytes()]);
        let change = match to {
            Presence::Present => Mod::Add(b"member".to_vec(), value),
            Presence::Absent => Mod::Delete(b"member".to_vec(), value),
        };
        if let Err(failure) = session.modify(&guid_dn(group), vec![change]).await {
            self.not_written(session, (group, member), to, &failure).await?;
        }
        Ok(super::user::traces(at))
    }

    /// What a refused write means, by what is there: it was so already, one of both is gone, or it cannot be.
    async fn not_written(
        &self,
        session: &mut Session,
        (group, member): (Uuid, Uuid),
        to: Presence,
        failure: &Failure,
    ) -> Result<(), Fault> {
        let looked = |failure: Failure| reading(&failure, "reading a membership");
        if !matches!(failure, Failure::Said { .. }) {
            return Err(writing(failure, "changing a membership"));
        }
        let target = session.read(&guid_dn(group), &["objectSid"]).await.map_err(looked)?;
        let who = session.read(&guid_dn(member), &["objectSid", "primaryGroupID"]).await.map_err(looked)?;
        let Some(target) = target else { return gone(to, "group") };
        let Some(who) = who else { return gone(to, "account") };
        let primary = is_primary(&target, &who);
        if to == Presence::Absent && primary {
            return Err(Fault::NeedsPerson {
                why: format!(
                    "{} is the primary group of {}: give the account another primary group first.",
                    target.dn, who.dn
                ),
            });
        }
        if matches!(failure, Failure::Said { rc: 16 | 20 | 32 | 53 | 68, .. }) {
            let there = !self.memberships(session, member, &[group]).await.map_err(looked)?.is_empty();
            if there == (to == Presence::Present) {
                return Ok(());
            }
        }
        let (verb, link) = if to == Presence::Present { ("adding", "to") } else { ("removing", "from") };
        Err(writing(failure, &format!("{verb} {} {link} {}", who.dn, target.dn)))
    }
}

fn gone(to: Presence, what: &str) -> Result<(), Fault> {
    match to {
        Presence::Absent => Ok(()),
        Presence::Present => Err(refused("member", format!("The {what} is not there any more."))),
    }
}
