//! docs/operating.md, "What the directory has to allow", taken by its word: an account with no rights, the guide's commands run
//! as they stand there, and `doctor` before, in between and after.

use std::path::Path;
use std::process::Command;

use ldap3::Mod;
use tenure::clock::Clock;
use tenure::connectors::ad::check::Finding;
use tenure::connectors::ad::signin::BindResult;
use tenure::connectors::ad::{AdConnector, BindPassword};
use tenure::target::*;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::ad_lab::{Lab, PASSWORD, add, change, env, in_own_unit, secrets, settings};

/// The guide's commands for Samba by the heading that they stand under, in its order.
fn guide() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md")).unwrap();
    let start = text.find("## What the directory has to allow").expect("the guide's part on the directory");
    let part = text[start..].split("\n## ").next().unwrap();
    let mut parts = Vec::new();
    for part in part.split("\n#### ") {
        let heading = part.lines().next().unwrap().to_owned();
        let blocks: Vec<&str> = part.split("```sh\n").skip(1).filter_map(|block| block.split("```").next()).collect();
        parts.push((heading, blocks.join("\n")));
    }
    parts
}

/// A corner of the directory laid out as the guide's example, and an account that may do nothing.
struct Corner {
    units: [String; 2],
    groups: String,
    account: String,
    connector: AdConnector,
}

async fn corner(lab: &mut Lab) -> Corner {
    let [people, gone, groups] = ["Staff", "Quarantine", "Groups"].map(|name| format!("OU={name},{}", lab.ou));
    for unit in [&people, &gone, &groups] {
        add(&mut lab.admin, unit, &[("objectClass", "organizationalUnit")]).await;
    }
    let account = format!("svc-{}", lab.tag);
    let dn = format!("CN={account},{}", lab.ou);
    add(&mut lab.admin, &dn, &[("objectClass", "user"), ("sAMAccountName", &account), ("userAccountControl", "514")])
        .await;
    let quoted: Vec<u8> = format!("\"{PASSWORD}\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mods = vec![Mod::Replace(b"unicodePwd".to_vec(), [quoted].into())];
    lab.admin.modify(&dn, mods).await.unwrap().success().unwrap();
    lab.meddle(&dn, "userAccountControl", "66048").await;
    let mut settings = settings();
    settings.bind_dn = dn;
    settings.password = BindPassword::Fixed(Zeroizing::new(PASSWORD.to_owned()));
    Corner { units: [people, gone], groups, account, connector: AdConnector::new(settings) }
}

impl Corner {
    /// Runs the guide's commands under these headings, after its two preparing blocks.
    fn run(&self, headings: &[&str]) {
        let guide = guide();
        let mut script = "set -eu\n".to_owned();
        script.push_str(&guide[0].1);
        // What the guide says to set to one's own.
        script = script.replacen(
            "UNITS=\"OU=Staff,$DOMAIN\nOU=Quarantine,$DOMAIN\"",
            &format!("UNITS='{}'", self.units.join("\n")),
            1,
        );
        script = script.replacen("GROUP_UNITS=\"OU=Groups,$DOMAIN\"", &format!("GROUP_UNITS='{}'", self.groups), 1);
        script = script.replacen("ACCOUNT=svc-tenure", &format!("ACCOUNT={}", self.account), 1);
        assert!(script.contains(&self.units[0]) && script.contains(&self.groups) && script.contains(&self.account));
        for heading in headings {
            let part = guide.iter().find(|(name, _)| name == heading).unwrap_or_else(|| panic!("no part {heading}"));
            script.push_str(&part.1);
        }
        let place = Path::new(&env("LDAP_CA_FILE")).parent().unwrap().join("directory/etc/smb.conf");
        let done = Command::new("bash").arg("-c").arg(&script).env("SMB_CONF_PATH", place).output().unwrap();
        assert!(done.status.success(), "{script}\n{}", String::from_utf8_lossy(&done.stderr));
    }

    async fn check(&self, group: Uuid) -> Vec<Finding> {
        let connector = &self.connector;
        let mut findings = connector.check(&self.units, Clock::System.now()).await;
        findings.extend(connector.check_groups(&[group]).await);
        findings
    }
}

/// The parts of the guide that are not as they should be.
fn wrong(findings: &[Finding]) -> Vec<&str> {
    let wrong = findings.iter().filter(|finding| !finding.good || finding.doubtful);
    wrong.map(|finding| finding.text.split(": ").next().unwrap()).collect()
}

/// A finding with the commands that mend it.
fn text(findings: &[Finding], part: &str) -> String {
    let found = findings.iter().find(|finding| finding.text.starts_with(part));
    let found = found.unwrap_or_else(|| panic!("{findings:#?}"));
    std::iter::once(&found.text).chain(&found.mend).cloned().collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn doctor_names_the_missing_right_and_the_guides_commands_give_it() {
    in_own_unit(async |lab: &mut Lab| {
        let corner = corner(lab).await;
        let group = lab.group_in("access", &corner.groups.clone()).await;
        let step = lab.joiner_in("Sample", &format!("sample{}", lab.tag), &corner.units[0]);
        let what = lab.user(Address::New { correlation: Uuid::new_v4() });
        lab.connector.ensure(&lab.server, &what, &step, &secrets()).await.expect("an account to look at");

        let before = corner.check(group).await;
        let all = [
            "Create accounts",
            "Keep accounts up to date",
            "Rename and move accounts",
            "Enable, disable and end accounts",
            "Reset passwords",
            "Unlock accounts",
            "See deletions (Deleted Objects)",
            "Read password policies",
            "Change group memberships",
        ];
        assert_eq!(wrong(&before), all, "{before:#?}");
        assert!(text(&before, "Keep accounts").contains("sAMAccountName, userPrincipalName, givenName"), "{before:#?}");

        corner.run(&[
            "Create accounts",
            "Keep accounts up to date",
            "Rename and move accounts",
            "Enable, disable and end accounts",
            "Unlock accounts",
            "Read password policies",
        ]);
        let between = corner.check(group).await;
        assert_eq!(
            wrong(&between),
            ["Reset passwords", "See deletions (Deleted Objects)", "Change group memberships"],
            "{between:#?}"
        );
        let reset = text(&between, "Reset passwords");
        assert!(
            reset.contains("reset passwords of users, nor write pwdLastSet of users")
                && reset.contains(&corner.units[0]),
            "{reset}"
        );
        let account = &corner.account;
        let argument = format!("/I:S /G \"{account}:CA;Reset Password;user\" \"{account}:WP;pwdLastSet;user\"");
        assert!(reset.contains(&argument), "{reset}");

        corner.run(&[
            "Read accounts and groups",
            "Reset passwords",
            "See deletions (Deleted Objects)",
            "Change group memberships",
        ]);
        let after = corner.check(group).await;
        assert_eq!(wrong(&after), Vec::<&str>::new(), "{after:#?}");
        a_life(lab, &corner, group).await;
    })
    .await;
}

/// What the rights are for: a joiner in a group, a reset, an unlock, a change of name, a leaver.
async fn a_life(lab: &mut Lab, corner: &Corner, group: Uuid) {
    let connector = &corner.connector;
    let at = &connector.server(Wish::default()).await.unwrap();
    let logon = format!("life{}", lab.tag);
    let what = lab.user(Address::New { correlation: Uuid::new_v4() });
    let mut step = lab.joiner_in("Life Long", &logon, &corner.units[0]);
    step.changes
        .iter_mut()
        .filter(|change| change.attribute == "enabled")
        .for_each(|change| change.to = Value::Bool(true));
    connector.ensure(at, &what, &step, &secrets()).await.expect("a joiner");
    let seen = connector.observe(at, &what).await.unwrap().expect("the account");
    assert_eq!(seen.state.get("enabled"), &Value::Bool(true));
    let id = seen.id.unwrap();
    let what = lab.user(Address::Native(id));
    let member = |from, to| Difference { presence: Some((from, to)), changes: vec![] };
    let (absent, present) = (Presence::Absent, Presence::Present);
    let membership = lab.membership(group, id);
    connector.ensure(at, &membership, &member(absent, present), &Secrets::default()).await.expect("a member");

    for (name, changes) in [
        ("reset", vec![change("password", Value::Null, Value::SEALED), change("mustChangePassword", true, false)]),
        ("unlock and change", vec![change("title", Value::Null, "Lead"), change("cn", "Life Long", "Life Longer")]),
        (
            "leaver",
            vec![
                change("enabled", true, false),
                change("parent", corner.units[0].as_str(), corner.units[1].as_str()),
                change("accountExpires", Value::Null, "2026-01-31T23:00:00Z"),
            ],
        ),
    ] {
        if name == "reset" {
            let bound = connector.verify_password(at, &format!("{logon}@corp.example.com"), PASSWORD).await.unwrap();
            assert!(matches!(bound, BindResult::MustChange), "{bound:?}");
        }
        let step = Difference { presence: None, changes };
        connector.ensure(at, &what, &step, &secrets()).await.unwrap_or_else(|fault| panic!("{name}: {fault}"));
    }
    connector.ensure(at, &membership, &member(present, absent), &Secrets::default()).await.expect("no member");
    let state = connector.observe(at, &what).await.unwrap().unwrap().state;
    assert_eq!(state.get("enabled"), &Value::Bool(false));
    assert_eq!(state.get("parent").as_text().unwrap().to_lowercase(), corner.units[1].to_lowercase());

    // A locked account is unlocked; somebody else deletes it; the feed says so.
    let mut cursor = connector.changes(None).await.unwrap();
    while cursor.more {
        cursor = connector.changes(Some(&cursor.cursor)).await.unwrap();
    }
    lab.admin.delete(&crate::ad_lab::guid(id)).await.unwrap().success().unwrap();
    let told = connector.changes(Some(&cursor.cursor)).await.unwrap();
    assert!(
        told.changed.iter().any(|changed| changed.id == id && changed.seen.is_none()),
        "the deletion is in the feed"
    );
}
