//! A joiner's mailbox: made by Exchange for the account that the directory has just got; what is held by it waits for it.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::catalog::{self, Birthright, BirthrightRule, Condition, JoinerMailbox};
use tenure::evidence::By;
use tenure::ids::{EntitlementId, RequestNumber};
use tenure::plan::RequestKind;
use tenure::target::{Kind, Native, SystemKey, Value};
use uuid::Uuid;

use super::{EXCHANGE, Stage, organisation, state};
use crate::support::company::SYSTEM;

const LAN: [(&str, &str); 8] = [
    ("given_name", "Thị Lan"),
    ("family_name", "Nguyễn"),
    ("type", "employee"),
    ("department", "Finance"),
    ("title", "Accountant"),
    ("site", "Hamburg"),
    ("manager", "mkeller"),
    ("start_on", "2026-11-23"),
];

async fn joiner(stage: &Stage, more: &[(&str, &str)]) -> RequestNumber {
    stage.ask(stage.company.manager, RequestKind::Joiner, &[LAN.as_slice(), more].concat()).await
}

/// The directory has the group that the licence comes with.
pub async fn licence_group(stage: &Stage, group: Uuid) {
    let mut conn = stage.portal.owner.acquire().await.unwrap();
    let state = state(&[("name", "Licences E3".into()), ("dn", "CN=Licences E3,DC=corp".into())]);
    let system = SystemKey(SYSTEM.to_owned());
    tenure::mirror::saw(&mut conn, &system, Kind::Group, group, &state, &Native::default()).await.unwrap();
}

/// Everybody in Hamburg gets these, by rule.
async fn by_rule(stage: &Stage, entitlements: Vec<EntitlementId>) {
    let when = Condition { site: Some("Hamburg".to_owned()), ..Condition::default() };
    let rules = vec![BirthrightRule { name: "location".to_owned(), when, entitlements }];
    let mut conn = stage.portal.owner.acquire().await.unwrap();
    let by = By::routine("test");
    catalog::release(&mut conn, stage.portal.clock.now(), &by, &Birthright { rules }, "").await.unwrap();
}

#[sqlx::test]
async fn the_mailbox_follows_the_account_and_lists_follow_the_mailbox(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let stage = Stage::new(options, connect).await;
    let (news, tips) = (Uuid::now_v7(), Uuid::now_v7());
    stage.sees_list(news, "News Hamburg", &[], &[]).await;
    stage.sees_list(tips, "Tips", &[], &[]).await;
    let on_news = stage.offers("list_membership", news, "", "News Hamburg", stage.company.owner).await;
    let on_tips = stage.offers("list_membership", tips, "", "Tips", stage.company.owner).await;
    by_rule(&stage, vec![stage.everybody, on_news]).await;

    let number = joiner(&stage, &[("groups", &on_tips.to_string())]).await;
    let account = stage.step(number, "account").await;
    assert_eq!((account.system.as_str(), account.to("mail")), (SYSTEM, &Value::Null), "Exchange writes it");
    assert_eq!(account.to("userPrincipalName"), &Value::from("thi-lan.nguyen@corp.example.com"));
    let mailbox = stage.step(number, "mailbox").await;
    assert_eq!((mailbox.system.as_str(), mailbox.kind.as_str()), (EXCHANGE, "mailbox"));
    assert_eq!(mailbox.key, serde_json::json!({"step": "account"}));
    assert_eq!(mailbox.presence(), r#"["absent","present"]"#);
    assert_eq!(mailbox.after, ["account"]);
    assert_eq!(mailbox.to("type"), &Value::from("user"));
    assert_eq!(mailbox.to("alias"), &Value::from("thi-lan.nguyen"));
    assert_eq!(mailbox.to("primaryAddress"), &Value::from("thi-lan.nguyen@example.com"));
    let all = stage.step(number, "all-hamburg").await;
    assert_eq!((all.kind.as_str(), all.after.as_slice()), ("membership", ["account".to_owned()].as_slice()));
    for (name, list, item) in [("news-hamburg", news, 1), ("tips", tips, 2)] {
        let step = stage.step(number, name).await;
        assert_eq!((step.kind.as_str(), step.system.as_str(), step.item), ("list_membership", EXCHANGE, item));
        assert_eq!(step.key, serde_json::json!({"group": list, "member": {"step": "mailbox"}}));
        assert_eq!(step.after, ["mailbox"]);
    }

    stage.approve(number).await;
    stage.done(number).await;
    let made = stage.step(number, "account").await.resolved.unwrap();
    assert_eq!(stage.step(number, "mailbox").await.resolved, Some(made), "one object, two views of it");
    assert!(stage.exchange.is_member(news, made) && stage.exchange.is_member(tips, made));
    let (person, address): (tenure::ids::PersonId, String) = sqlx::query_as(
        "select a.person, m.address from mailbox m join account a on a.native_id = m.directory_id where m.native_id = $1",
    )
    .bind(made)
    .fetch_one(&stage.portal.owner)
    .await
    .unwrap();
    assert_eq!(address, "thi-lan.nguyen@example.com");
    let held: Vec<String> = stage.holds(person).await.into_keys().collect();
    assert_eq!(held, ["All Hamburg", "News Hamburg", "Tips"]);
    let mail: String = sqlx::query_scalar("select mail from person where id = $1")
        .bind(person)
        .fetch_one(&stage.portal.owner)
        .await
        .unwrap();
    assert_eq!(mail, "thi-lan.nguyen@example.com");
}

#[sqlx::test]
async fn addresses_of_mailboxes_and_lists_are_passed_over(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    stage.sees_list(Uuid::now_v7(), "Thi-Lan Nguyen", &[], &[]).await;
    let address = ("Somebody", "somebody@example.com");
    let also = Value::List(vec!["Thi-Lan.Nguyen2@EXAMPLE.com".into()]);
    stage.sees_mailbox(Uuid::now_v7(), "shared", address, &[("addresses", also)]).await;
    let number = joiner(&stage, &[]).await;
    assert_eq!(
        stage.step(number, "mailbox").await.to("primaryAddress"),
        &Value::from("thi-lan.nguyen3@example.com"),
        "neither a list's nor a further address of a mailbox"
    );
    let again = joiner(&stage, &[]).await;
    assert_eq!(stage.step(again, "mailbox").await.to("primaryAddress"), &Value::from("thi-lan.nguyen4@example.com"));
}

#[sqlx::test]
async fn hybrid_is_enabled_as_remote_with_its_licence(options: PgPoolOptions, connect: PgConnectOptions) {
    let group = Uuid::now_v7();
    let facts = tenure::catalog::SystemFacts {
        licence_group: Some("Licences E3".to_owned()),
        ..organisation(JoinerMailbox::Remote)
    };
    let stage = Stage::with(options, connect, Some(facts)).await;
    stage.refuses(stage.company.manager, RequestKind::Joiner, &LAN, ("system", "“Licences E3”")).await;
    licence_group(&stage, group).await;
    let number = joiner(&stage, &[]).await;
    let mailbox = stage.step(number, "mailbox").await;
    assert_eq!(mailbox.to("type"), &Value::from("remote"));
    assert_eq!(stage.step(number, "account").await.to("mail"), &Value::Null);
    let licence = stage.step(number, "licence").await;
    assert_eq!((licence.system.as_str(), licence.kind.as_str()), (SYSTEM, "membership"));
    assert_eq!(licence.key, serde_json::json!({"group": group, "member": {"step": "account"}}));
    stage.approve(number).await;
    stage.done(number).await;
    let made = stage.step(number, "account").await.resolved.unwrap();
    assert!(stage.directory.is_member(group, made));
}

#[sqlx::test]
async fn a_licence_alone_makes_the_mailbox_online(options: PgPoolOptions, connect: PgConnectOptions) {
    let group = Uuid::now_v7();
    let facts = tenure::catalog::SystemFacts {
        licence_group: Some("Licences E3".to_owned()),
        ..organisation(JoinerMailbox::Licence)
    };
    let stage = Stage::with(options, connect, Some(facts)).await;
    licence_group(&stage, group).await;
    let number = joiner(&stage, &[]).await;
    assert_eq!(stage.names(number).await, ["account", "enable", "licence", "all-hamburg"]);
    assert_eq!(stage.step(number, "account").await.to("mail"), &Value::from("thi-lan.nguyen@example.com"));
    // What a mailbox holds cannot be asked for with it: there is none yet.
    let list = Uuid::now_v7();
    stage.sees_list(list, "Tips", &[], &[]).await;
    let tips = stage.offers("list_membership", list, "", "Tips", stage.company.owner).await.to_string();
    let asked = [LAN.as_slice(), &[("groups", tips.as_str())]].concat();
    stage.refuses(stage.company.manager, RequestKind::Joiner, &asked, ("groups", "Tips needs a mailbox")).await;
    // By rule it is left out, rather than in the way of everybody who joins.
    let tips = stage.entitlement("Tips").await;
    by_rule(&stage, vec![tips]).await;
    let number = joiner(&stage, &[]).await;
    assert_eq!(stage.names(number).await, ["account", "enable", "licence"]);
}

#[sqlx::test]
async fn a_site_without_exchange_is_as_before(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::with(options, connect, None).await;
    let number = joiner(&stage, &[]).await;
    assert_eq!(stage.names(number).await, ["account", "enable", "all-hamburg"]);
    assert_eq!(stage.step(number, "account").await.to("mail"), &Value::from("thi-lan.nguyen@example.com"));
    let leaver = stage
        .ask(stage.company.manager, RequestKind::Leaver, &[("person", "avogel"), ("last_day", "2026-11-30")])
        .await;
    assert!(stage.steps(leaver).await.iter().all(|step| step.system == SYSTEM));
    stage
        .refuses(
            stage.company.manager,
            RequestKind::SharedMailbox,
            &[("name", "Billing"), ("address", "billing@example.com"), ("owner", "avogel")],
            ("system", "No Exchange organisation is set up here"),
        )
        .await;
    let employee = stage.portal.browser_of(stage.company.manager).await;
    assert!(!employee.get("/requests/new").await.text.contains("Mailboxes and lists"));
}
