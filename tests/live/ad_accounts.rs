//! Accounts: created, named, changed, enabled, unlocked, reset.

use ldap3::Scope;
use tenure::connectors::ad::signin::BindResult;
use tenure::target::*;
use uuid::Uuid;

use crate::ad_lab::{Lab, PASSWORD, change, guid, in_own_unit, secrets};

#[tokio::test]
async fn a_new_account_is_there_once_disabled_and_marked() {
    in_own_unit(async |lab: &mut Lab| {
        let what = lab.user(Address::New { correlation: Uuid::new_v4() });
        let logon = format!("new{}", lab.tag);
        let step = lab.joiner("Nguyễn Thị Lan", &logon);
        assert_eq!(lab.connector.observe(&lab.server, &what).await, Ok(None));
        lab.connector.ensure(&lab.server, &what, &step, &secrets()).await.expect("created");
        let seen = lab.seen(&what).await;
        assert!(seen.native.versions.contains_key("password"));
        lab.connector.ensure(&lab.server, &what, &step, &secrets()).await.expect("it is there");
        assert_eq!(lab.seen(&what).await, seen, "nothing is written twice");
        assert_eq!(step.standing(Some(&seen.state), &["password"]), Standing::Already);
        let found = lab
            .raw(&lab.ou.clone(), Scope::OneLevel, "(objectClass=user)", &["userAccountControl", "pwdLastSet"])
            .await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].attrs["userAccountControl"], ["514"]);
        assert_eq!(found[0].attrs["pwdLastSet"], ["0"]);
    })
    .await;
}

#[tokio::test]
async fn names_that_break_things_become_correct_accounts() {
    in_own_unit(async |lab: &mut Lab| {
        let names = [
            "O'Brien",
            "Smith, Jr.",
            "#lead",
            "ends ",
            "a=b+c;d<e>f",
            "back\\slash",
            "\"q\"",
            "Nguyễn Thị",
            "李小龙",
            "José-María 🙂",
            "*)(cn=*",
        ];
        for (index, name) in names.into_iter().enumerate() {
            let what = lab.user(Address::New { correlation: Uuid::new_v4() });
            let step = lab.joiner(name, &format!("h{index}{}", lab.tag));
            lab.connector
                .ensure(&lab.server, &what, &step, &secrets())
                .await
                .unwrap_or_else(|fault| panic!("{name}: {fault}"));
            let seen = lab.seen(&what).await;
            assert_eq!(seen.state.get("cn"), &Value::text(name));
            assert_eq!(step.standing(Some(&seen.state), &["password"]), Standing::Already, "{name}: {:?}", seen.state);
            // And away again under another such name.
            let id = seen.id.expect("an id");
            let other = format!("{name}, #2 ");
            lab.ensure(id, vec![change("cn", name, other.as_str())])
                .await
                .unwrap_or_else(|fault| panic!("{name}: {fault}"));
            assert_eq!(lab.state(id).await.get("cn"), &Value::text(other));
        }
    })
    .await;
}

#[tokio::test]
async fn what_the_directory_is_lax_about_is_refused_by_us() {
    in_own_unit(async |lab: &mut Lab| {
        let first = lab.account("first").await;
        let taken = lab.state(first).await;
        for (attribute, value) in [
            ("sAMAccountName", "a-logon-name-of-twenty-two"),
            ("sAMAccountName", taken.get("sAMAccountName").as_text().expect("set")),
            ("userPrincipalName", taken.get("userPrincipalName").as_text().expect("set")),
            ("mail", taken.get("mail").as_text().expect("set")),
            ("cn", taken.get("cn").as_text().expect("set")),
            ("givenName", &"x".repeat(300)),
            ("parent", "OU=Nowhere,DC=corp,DC=example,DC=com"),
            ("parent", "OU=Staff,DC=other,DC=example"),
        ] {
            let mut step = lab.joiner(&format!("Second {}", lab.tag), &format!("second{}", lab.tag));
            step.changes.retain(|change| change.attribute != attribute);
            step.changes.push(change(attribute, Value::Null, value));
            let what = lab.user(Address::New { correlation: Uuid::new_v4() });
            let refused = lab.connector.ensure(&lab.server, &what, &step, &secrets()).await;
            let named = matches!(&refused, Err(Fault::Refused { attribute: Some(named), .. }) if named == attribute);
            assert!(named, "{attribute} {value}: {refused:?}");
            assert_eq!(lab.connector.observe(&lab.server, &what).await, Ok(None));
        }
    })
    .await;
}

#[tokio::test]
async fn attributes_place_and_name_change_in_one_step() {
    in_own_unit(async |lab: &mut Lab| {
        let (boss, id) = (lab.account("boss").await, lab.account("worker").await);
        let below = format!("OU=Below,{}", lab.ou);
        lab.admin
            .add(&below, vec![("objectClass", std::collections::HashSet::from(["organizationalUnit"]))])
            .await
            .and_then(ldap3::LdapResult::success)
            .expect("a unit");
        let before = lab.state(id).await;
        let changes = vec![
            change("parent", before.get("parent").as_text().expect("set"), below.as_str()),
            change("cn", before.get("cn").as_text().expect("set"), "Renamed, Jr."),
            change("department", "Sales", "Finance"),
            change("title", Value::Null, "Lead"),
            change("mail", before.get("mail").clone(), Value::Null),
            change("manager", Value::Null, boss.to_string()),
            change("accountExpires", Value::Null, "2026-12-31T22:59:59Z"),
        ];
        let step = Difference { presence: None, changes };
        let what = lab.user(Address::Native(id));
        lab.connector.ensure(&lab.server, &what, &step, &secrets()).await.expect("changed");
        let seen = lab.seen(&what).await;
        assert_eq!(step.standing(Some(&seen.state), &[]), Standing::Already, "{:?}", seen.state);
        assert_eq!(seen.native.versions.get("title"), Some(&1));
        // The manager's own name changes; the reference stays.
        let name = lab.state(boss).await.get("cn").clone();
        lab.ensure(boss, vec![change("cn", name, "Other Boss")]).await.expect("renamed");
        assert_eq!(lab.state(id).await.get("manager"), &Value::Text(boss.to_string()));
        let back = vec![
            change("manager", boss.to_string(), Value::Null),
            change("accountExpires", "2026-12-31T22:59:59Z", Value::Null),
        ];
        lab.ensure(id, back).await.expect("changed back");
        let seen = lab.seen(&what).await;
        assert_eq!(seen.state.get("accountExpires"), &Value::Null);
        assert!(seen.native.versions["accountExpires"] > 2, "{:?}", seen.native);
    })
    .await;
}

#[tokio::test]
async fn somebody_elses_change_is_found_and_never_overwritten() {
    in_own_unit(async |lab: &mut Lab| {
        let id = lab.account("drift").await;
        lab.meddle(&guid(id), "department", "Legal").await;
        let approved = vec![change("title", Value::Null, "Lead"), change("department", "Sales", "Finance")];
        let fault = lab.ensure(id, approved).await.expect_err("drifted");
        let Fault::Drifted { found } = fault else { panic!("{fault:?}") };
        assert_eq!(found.expect("a state").get("department"), &Value::text("Legal"));
        let state = lab.state(id).await;
        assert_eq!((state.get("department"), state.get("title")), (&Value::text("Legal"), &Value::Null));
        let gone = lab.ensure(Uuid::new_v4(), vec![change("title", Value::Null, "Lead")]).await;
        assert_eq!(gone, Err(Fault::Drifted { found: Box::new(None) }));
    })
    .await;
}

#[tokio::test]
async fn an_enabled_account_is_exactly_512_and_a_disabled_one_cannot_sign_in() {
    in_own_unit(async |lab: &mut Lab| {
        let id = lab.account("enable").await;
        let upn = lab.state(id).await.get("userPrincipalName").to_string();
        lab.ensure(id, vec![change("enabled", false, true)]).await.expect("enabled");
        assert_eq!(lab.state(id).await.get("userAccountControl"), &Value::Number(512));
        let bound = lab.connector.verify_password(&lab.server, &upn, PASSWORD).await;
        assert_eq!(bound, Ok(BindResult::MustChange));
        let wrong = lab.connector.verify_password(&lab.server, &upn, "wrong").await;
        assert_eq!(wrong, Ok(BindResult::Wrong));
        let empty = lab.connector.verify_password(&lab.server, &upn, "").await;
        assert_eq!(empty, Ok(BindResult::Wrong));
        lab.ensure(id, vec![change("mustChangePassword", true, false)]).await.expect("settled");
        let bound = lab.connector.verify_password(&lab.server, &upn, PASSWORD).await;
        assert_eq!(bound, Ok(BindResult::Right));
        lab.ensure(id, vec![change("enabled", true, false)]).await.expect("disabled");
        assert_eq!(lab.state(id).await.get("userAccountControl"), &Value::Number(514));
        let bound = lab.connector.verify_password(&lab.server, &upn, PASSWORD).await;
        assert_eq!(bound, Ok(BindResult::Disabled));
    })
    .await;
}

#[tokio::test]
async fn an_account_without_a_password_is_not_enabled() {
    in_own_unit(async |lab: &mut Lab| {
        let what = lab.user(Address::New { correlation: Uuid::new_v4() });
        let mut step = lab.joiner("Without", &format!("without{}", lab.tag));
        step.changes.retain(|change| change.attribute != "password");
        lab.connector.ensure(&lab.server, &what, &step, &Secrets::default()).await.expect("created");
        let id = lab.seen(&what).await.id.expect("an id");
        let refused = lab.ensure(id, vec![change("enabled", false, true)]).await;
        assert!(matches!(refused, Err(Fault::Refused { attribute: Some(name), .. }) if name == "enabled"));
    })
    .await;
}

#[tokio::test]
async fn a_reset_gives_a_new_password_that_must_be_changed_and_leaves_traces() {
    in_own_unit(async |lab: &mut Lab| {
        let id = lab.account("reset").await;
        lab.ensure(id, vec![change("enabled", false, true), change("mustChangePassword", true, false)])
            .await
            .expect("ready");
        let before = lab.seen(&lab.user(Address::Native(id))).await;
        let upn = before.state.get("userPrincipalName").to_string();
        let fresh = lab.connector.new_password(&lab.server).await.expect("a password");
        let step = Difference {
            presence: None,
            changes: vec![change("password", Value::SEALED, Value::SEALED), change("mustChangePassword", false, true)],
        };
        let secrets = Secrets { password: Some(fresh.clone()) };
        let what = lab.user(Address::Native(id));
        lab.connector.ensure(&lab.server, &what, &step, &secrets).await.expect("reset");
        assert!(lab.seen(&what).await.native.versions["password"] > before.native.versions["password"]);
        let with = |password: &str| {
            let (upn, password) = (upn.clone(), password.to_owned());
            let (connector, server) = (&lab.connector, &lab.server);
            async move { connector.verify_password(server, &upn, &password).await }
        };
        assert_eq!(with(&fresh).await, Ok(BindResult::MustChange));
        assert_eq!(with(PASSWORD).await, Ok(BindResult::Wrong));
        // Again, with the account already as wanted: it must still be changed.
        lab.connector.ensure(&lab.server, &lab.user(Address::Native(id)), &step, &secrets).await.expect("reset again");
        assert_eq!(lab.state(id).await.get("mustChangePassword"), &Value::Bool(true));
        let weak = Secrets { password: Some("short".to_owned().into()) };
        let refused = lab.connector.ensure(&lab.server, &lab.user(Address::Native(id)), &step, &weak).await;
        let named = matches!(&refused, Err(Fault::Refused { attribute: Some(name), .. }) if name == "password");
        assert!(named, "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn a_locked_account_is_unlocked() {
    in_own_unit(async |lab: &mut Lab| {
        let base = crate::ad_lab::env("LDAP_BASE_DN");
        let policy = lab.raw(&base, Scope::Base, "(objectClass=*)", &["lockoutThreshold"]).await.remove(0);
        let threshold = &policy.attrs["lockoutThreshold"][0];
        if threshold == "0" {
            lab.meddle(&base, "lockoutThreshold", "5").await;
        }
        let tries = threshold.parse().ok().filter(|tries| *tries > 0).unwrap_or(5);
        let id = lab.account("lock").await;
        lab.ensure(id, vec![change("enabled", false, true), change("mustChangePassword", true, false)])
            .await
            .expect("ready");
        let upn = lab.state(id).await.get("userPrincipalName").to_string();
        for _ in 0..tries {
            assert_eq!(lab.connector.verify_password(&lab.server, &upn, "wrong").await, Ok(BindResult::Wrong));
        }
        assert_eq!(lab.state(id).await.get("locked"), &Value::Bool(true));
        assert_eq!(lab.connector.verify_password(&lab.server, &upn, PASSWORD).await, Ok(BindResult::Locked));
        lab.ensure(id, vec![change("locked", true, false)]).await.expect("unlocked");
        assert_eq!(lab.state(id).await.get("locked"), &Value::Bool(false));
        assert_eq!(lab.connector.verify_password(&lab.server, &upn, PASSWORD).await, Ok(BindResult::Right));
    })
    .await;
}
