//! Memberships: single values, added and removed, and what reading back decides.

use std::collections::HashSet;

use ldap3::Mod;
use tenure::target::*;
use uuid::Uuid;

use crate::ad_lab::{Lab, guid, in_own_unit};

fn to(presence: Presence) -> Difference {
    let from = if presence == Presence::Present { Presence::Absent } else { Presence::Present };
    Difference { presence: Some((from, presence)), changes: vec![] }
}

#[tokio::test]
async fn a_membership_comes_and_goes_and_each_twice_is_once() {
    in_own_unit(async |lab: &mut Lab| {
        let (group, member) = (lab.group("sales").await, lab.account("member").await);
        let other = lab.account("other").await;
        let what = lab.membership(group, member);
        let none = Secrets::default();
        lab.connector
            .ensure(&lab.server, &lab.membership(group, other), &to(Presence::Present), &none)
            .await
            .expect("added");
        for (presence, there) in [(Presence::Present, true), (Presence::Absent, false)] {
            for _ in 0..2 {
                lab.connector.ensure(&lab.server, &what, &to(presence), &none).await.expect("done");
                let seen = lab.connector.observe(&lab.server, &what).await.expect("a look");
                assert_eq!(seen.is_some(), there);
            }
        }
        assert_eq!(lab.connector.members(&lab.server, group).await, Ok(vec![other]), "others are left alone");
    })
    .await;
}

#[tokio::test]
async fn many_at_once_lose_nobody() {
    in_own_unit(async |lab: &mut Lab| {
        let group = lab.group("crowd").await;
        let mut members = Vec::new();
        for name in ["a", "b", "c", "d", "e", "f"] {
            members.push(lab.account(name).await);
        }
        let (difference, none) = (to(Presence::Present), Secrets::default());
        let resources: Vec<_> = members.iter().map(|member| lab.membership(group, *member)).collect();
        let all = resources.iter().map(|what| lab.connector.ensure(&lab.server, what, &difference, &none));
        for outcome in futures_util::future::join_all(all).await {
            outcome.expect("added");
        }
        let mut found = lab.connector.members(&lab.server, group).await.expect("listed");
        found.sort_unstable();
        members.sort_unstable();
        assert_eq!(found, members);
    })
    .await;
}

#[tokio::test]
async fn what_is_gone_is_refused_or_already_so() {
    in_own_unit(async |lab: &mut Lab| {
        let (group, member) = (lab.group("gone").await, lab.account("gone").await);
        let none = Secrets::default();
        for what in [lab.membership(Uuid::new_v4(), member), lab.membership(group, Uuid::new_v4())] {
            assert_eq!(lab.connector.observe(&lab.server, &what).await, Ok(None));
            let added = lab.connector.ensure(&lab.server, &what, &to(Presence::Present), &none).await;
            assert!(matches!(added, Err(Fault::Refused { .. })), "{added:?}");
            lab.connector.ensure(&lab.server, &what, &to(Presence::Absent), &none).await.expect("it is not there");
        }
    })
    .await;
}

#[tokio::test]
async fn the_primary_group_counts_and_is_not_taken_away() {
    in_own_unit(async |lab: &mut Lab| {
        let (group, member) = (lab.group("primary").await, lab.account("primary").await);
        let none = Secrets::default();
        let what = lab.membership(group, member);
        lab.connector.ensure(&lab.server, &what, &to(Presence::Present), &none).await.expect("added");
        let sid = lab
            .seen(&Resource { system: what.system.clone(), kind: Kind::Group, address: Address::Native(group) })
            .await
            .state
            .get("objectSid")
            .to_string();
        let rid = sid.rsplit('-').next().expect("a SID");
        lab.meddle(&guid(member), "primaryGroupID", rid).await;
        assert!(lab.connector.observe(&lab.server, &what).await.expect("a look").is_some());
        let removed = lab.connector.ensure(&lab.server, &what, &to(Presence::Absent), &none).await;
        assert!(matches!(removed, Err(Fault::NeedsPerson { .. })), "{removed:?}");
    })
    .await;
}

#[tokio::test]
async fn protected_groups_and_accounts_are_left_to_a_person() {
    in_own_unit(async |lab: &mut Lab| {
        let base = crate::ad_lab::env("LDAP_BASE_DN");
        let admins = lab.id_of(&format!("CN=Domain Admins,CN=Users,{base}")).await;
        let (nested, member) = (lab.group("nested").await, lab.account("admin").await);
        let none = Secrets::default();
        let refused =
            lab.connector.ensure(&lab.server, &lab.membership(admins, member), &to(Presence::Present), &none).await;
        assert!(matches!(refused, Err(Fault::NeedsPerson { .. })), "{refused:?}");
        assert_eq!(lab.state(member).await.get("protected"), &Value::Bool(false));

        let inside = lab.membership(nested, member);
        lab.connector
            .ensure(&lab.server, &inside, &to(Presence::Present), &none)
            .await
            .expect("still an ordinary group");
        let value = HashSet::from([guid(nested)]);
        let dn = guid(admins);
        let mods = vec![Mod::Add("member".to_owned(), value.clone())];
        lab.admin.modify(&dn, mods).await.and_then(ldap3::LdapResult::success).expect("nested");
        assert_eq!(lab.state(member).await.get("protected"), &Value::Bool(true));
        let refused = lab.ensure(member, vec![crate::ad_lab::change("title", Value::Null, "Lead")]).await;
        assert!(matches!(refused, Err(Fault::NeedsPerson { .. })), "{refused:?}");
        let refused = lab.connector.ensure(&lab.server, &inside, &to(Presence::Absent), &none).await;
        assert!(matches!(refused, Err(Fault::NeedsPerson { .. })), "{refused:?}");
        let mods = vec![Mod::Delete("member".to_owned(), value)];
        lab.admin.modify(&dn, mods).await.and_then(ldap3::LdapResult::success).expect("taken out");
    })
    .await;
}
