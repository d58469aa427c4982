//! The change feed: what others do in the directory is seen, and nothing twice needed for it.

use std::collections::{HashMap, HashSet};

use ldap3::Mod;
use tenure::target::*;
use uuid::Uuid;

use crate::ad_lab::{Lab, guid, in_own_unit};

/// Follows the feed to its end; the last that was said of each object.
async fn follow(lab: &Lab, cursor: &mut Option<Vec<u8>>) -> HashMap<Uuid, Option<ChangedObject>> {
    let mut all: HashMap<Uuid, Option<ChangedObject>> = HashMap::new();
    loop {
        let batch = lab.connector.changes(cursor.as_deref()).await.expect("the feed answers");
        all.extend(batch.changed.into_iter().map(|changed| (changed.id, changed.seen)));
        *cursor = Some(batch.cursor);
        if !batch.more {
            return all;
        }
    }
}

#[tokio::test]
async fn the_sweep_shows_everything_and_the_feed_what_follows() {
    in_own_unit(async |lab: &mut Lab| {
        let (id, group) = (lab.account("feed").await, lab.group("feed").await);
        let dn = guid(group);
        let add = vec![Mod::Add("member".to_owned(), HashSet::from([guid(id)]))];
        lab.admin.modify(&dn, add).await.and_then(ldap3::LdapResult::success).expect("a member");

        let mut cursor = None;
        let swept = follow(lab, &mut cursor).await;
        let account = swept[&id].as_ref().expect("there");
        assert!(account.whole);
        assert_eq!(account.state, lab.state(id).await, "the feed and a look agree");
        let seen = swept[&group].as_ref().expect("there");
        assert!(seen.members_whole);
        assert_eq!((seen.kind, seen.members_added.as_slice()), (Kind::Group, [id].as_slice()));
        assert!(swept.values().flatten().any(|object| object.state.get("protected") == &Value::Bool(true)));
        assert!(!follow(lab, &mut cursor).await.contains_key(&id), "nothing new");

        lab.meddle(&guid(id), "title", "Lead").await;
        let told = follow(lab, &mut cursor).await;
        assert_eq!(told[&id].as_ref().expect("there").state.get("title"), &Value::text("Lead"));

        let remove = vec![Mod::Delete("member".to_owned(), HashSet::from([guid(id)]))];
        lab.admin.modify(&dn, remove).await.and_then(ldap3::LdapResult::success).expect("removed");
        let told = follow(lab, &mut cursor).await;
        let seen = told[&group].as_ref().expect("there");
        assert_eq!((seen.members_whole, seen.members_removed.as_slice()), (false, [id].as_slice()));

        let newcomer = lab.account("late").await;
        let told = follow(lab, &mut cursor).await;
        assert!(told[&newcomer].is_some());
    })
    .await;
}

#[tokio::test]
async fn renames_of_accounts_and_of_what_is_above_them_are_told() {
    in_own_unit(async |lab: &mut Lab| {
        let id = lab.account("renamed").await;
        let mut cursor = None;
        follow(lab, &mut cursor).await;
        let renamed =
            lab.admin.modifydn(&lab.state(id).await.get("dn").to_string(), "CN=Smith\\, Jr.", true, None).await;
        renamed.and_then(ldap3::LdapResult::success).expect("renamed");
        let told = follow(lab, &mut cursor).await;
        assert_eq!(told[&id].as_ref().expect("there").state.get("cn"), &Value::text("Smith, Jr."));

        let above = format!("OU=again-{}", lab.tag);
        let renamed = lab.admin.modifydn(&lab.ou, &above, true, None).await;
        renamed.and_then(ldap3::LdapResult::success).expect("renamed");
        lab.ou = lab.ou.replacen(&format!("OU=test-{}", lab.tag), &above, 1);
        let told = follow(lab, &mut cursor).await;
        assert_eq!(told[&id].as_ref().expect("there").state.get("parent"), &Value::text(lab.ou.clone()));
    })
    .await;
}

#[tokio::test]
async fn a_deletion_is_found_by_comparing_ids() {
    in_own_unit(async |lab: &mut Lab| {
        let (stays, goes) = (lab.account("stays").await, lab.account("goes").await);
        let before = lab.connector.all_ids().await.expect("listed");
        assert!(before.contains(&stays) && before.contains(&goes));
        lab.admin.delete(&guid(goes)).await.and_then(ldap3::LdapResult::success).expect("deleted");
        let after = lab.connector.all_ids().await.expect("listed");
        assert!(after.contains(&stays) && !after.contains(&goes));
    })
    .await;
}

#[tokio::test]
async fn protection_through_a_group_is_told_of_its_members() {
    in_own_unit(async |lab: &mut Lab| {
        let (group, id) = (lab.group("ops").await, lab.account("ops").await);
        let operators = format!("CN=Backup Operators,CN=Builtin,{}", crate::ad_lab::env("LDAP_BASE_DN"));
        let member = |id: Uuid| HashSet::from([guid(id)]);
        let inside = vec![Mod::Add("member".to_owned(), member(id))];
        lab.admin.modify(&guid(group), inside).await.and_then(ldap3::LdapResult::success).expect("inside");
        let mut cursor = None;
        follow(lab, &mut cursor).await;
        for (mods, protected) in [
            (vec![Mod::Add("member".to_owned(), member(group))], true),
            (vec![Mod::Delete("member".to_owned(), member(group))], false),
        ] {
            lab.admin.modify(&operators, mods).await.and_then(ldap3::LdapResult::success).expect("changed");
            let told = follow(lab, &mut cursor).await;
            assert_eq!(told[&id].as_ref().expect("told").state.get("protected"), &Value::Bool(protected));
        }
    })
    .await;
}

#[tokio::test]
async fn a_cursor_the_server_does_not_take_begins_anew() {
    in_own_unit(async |lab: &mut Lab| {
        let id = lab.account("anew").await;
        let mut cursor = Some([&[1, 0][..], b"no cookie of this server"].concat());
        assert!(follow(lab, &mut cursor).await.contains_key(&id));
    })
    .await;
}
