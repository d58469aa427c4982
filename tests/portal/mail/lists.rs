//! Lists: made, joined and left in bulk, moderated, handed over, deleted; and dynamic ones.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::plan::RequestKind;
use tenure::target::Value;
use uuid::Uuid;

use super::{EXCHANGE, Stage, ids, texts};

/// So many mailboxes, as the mirror has them; their addresses.
async fn many(stage: &Stage, count: i32) -> Vec<String> {
    sqlx::query(
        "insert into mailbox (system, native_id, type, display_name, alias, address, addresses, attributes)
         select $1, gen_random_uuid(), 'shared', 'Member ' || n, 'm' || n, 'm' || n || '@example.com', array['m' || n || '@example.com'], '{}'
           from generate_series(1, $2) n",
    )
    .bind(EXCHANGE)
    .bind(count)
    .execute(&stage.portal.owner)
    .await
    .unwrap();
    (1..=count).map(|n| format!("m{n}@example.com")).collect()
}

async fn members(stage: &Stage, list: Uuid) -> usize {
    let mut conn = stage.portal.owner.acquire().await.unwrap();
    tenure::mirror::mail::members_of(&mut conn, list).await.unwrap().len()
}

#[sqlx::test]
async fn two_hundred_join_a_moderated_list_and_leave_it_again(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let (anna, ben, maria) =
        (stage.account_id("avogel").await, stage.account_id("bvogt").await, stage.account_id("mkeller").await);
    let many = many(&stage, 200).await.join("\n");
    let all = format!("{many}\nelang\nm1@example.com");
    let list = [
        ("type", "distribution"),
        ("name", "All Finance"),
        ("address", "all.finance"),
        ("description", "Everybody in Finance"),
        ("owner", "avogel"),
        ("owners", "bvogt"),
        ("members", all.as_str()),
        ("moderated", "yes"),
        ("moderators", "mkeller"),
        ("senders", "avogel; bvogt"),
        ("hidden", "yes"),
    ];
    let number = stage.carried_out(stage.company.manager, RequestKind::MailingList, &list).await;
    let made = stage.step(number, "list").await;
    assert_eq!(made.to("owners"), &sorted(&[anna, ben]));
    assert_eq!(made.to("moderators"), &ids(&[maria]));
    assert_eq!(made.to("acceptOnlyFrom"), &sorted(&[anna, ben]));
    for (attribute, value) in [("moderated", true), ("hidden", true), ("internalOnly", true)] {
        assert_eq!(made.to(attribute), &Value::Bool(value), "{attribute}");
    }
    assert_eq!(stage.steps(number).await.len(), 202, "each member once");
    let id = made.resolved.unwrap();
    assert_eq!(members(&stage, id).await, 201);
    assert_eq!(stage.holds(stage.company.employee).await.into_keys().collect::<Vec<_>>(), ["All Finance"]);
    let offered = stage.catalogue().await;
    assert_eq!(
        offered,
        [("All Finance".to_owned(), "list_membership".to_owned(), String::new(), Some(stage.company.anna))]
    );

    // Changed: everybody out but one, moderation off, everybody may send, Ben answers for it.
    let leave = all.lines().filter(|line| *line != "m200@example.com").collect::<Vec<_>>().join("\n");
    let change = [
        ("list", "all.finance@example.com"),
        ("remove", leave.as_str()),
        ("add", "mkeller"),
        ("moderated", "no"),
        ("restricted", "no"),
        ("internal_only", "no"),
        ("hidden", "no"),
        ("name", "Finance, all"),
        ("new_owner", "bvogt"),
    ];
    let number = stage.carried_out(stage.company.desk, RequestKind::ListChange, &change).await;
    let changed = stage.step(number, "list").await;
    assert_eq!(
        changed.difference.change("owners").unwrap().from,
        sorted(&[anna, ben]),
        "what is approved says from where"
    );
    let state = stage.exchange.object(id).unwrap();
    assert_eq!(state.get("owners"), &ids(&[ben]), "handed over");
    assert_eq!(state.get("moderators"), &ids(&[]));
    for attribute in ["moderated", "hidden", "internalOnly"] {
        assert_eq!(state.get(attribute), &Value::Bool(false), "{attribute}");
    }
    assert_eq!(members(&stage, id).await, 2);
    assert!(stage.exchange.is_member(id, maria));
    assert!(stage.holds(stage.company.employee).await.is_empty(), "whoever is taken off holds it no longer");
    assert_eq!(stage.holds(stage.company.manager).await.len(), 1);
    let owner: Option<tenure::ids::PersonId> = sqlx::query_scalar("select owner from entitlement where native_id = $1")
        .bind(id)
        .fetch_one(&stage.portal.owner)
        .await
        .unwrap();
    assert_eq!(owner, Some(stage.company.ben), "whoever takes it over decides who joins");

    // Deleted.
    let number = stage
        .carried_out(
            stage.company.ben,
            RequestKind::ListChange,
            &[("list", "all.finance@example.com"), ("delete", "yes")],
        )
        .await;
    assert_eq!(stage.step(number, "list").await.presence(), r#"["present","absent"]"#);
    assert!(stage.exchange.object(id).is_none());
    assert_eq!(members(&stage, id).await, 0);
    assert!(stage.holds(stage.company.manager).await.is_empty(), "what is gone is held by nobody");
    let on_it: bool = sqlx::query_scalar("select requestable from entitlement where native_id = $1")
        .bind(id)
        .fetch_one(&stage.portal.owner)
        .await
        .unwrap();
    assert!(!on_it, "nobody can ask to join what is gone");
    stage
        .refuses(
            stage.company.desk,
            RequestKind::ListChange,
            &[("list", "all.finance@example.com"), ("delete", "yes")],
            ("list", "No one list is found"),
        )
        .await;
}

fn sorted(of: &[Uuid]) -> Value {
    let mut texts: Vec<String> = of.iter().map(Uuid::to_string).collect();
    texts.sort();
    Value::List(texts.into_iter().map(Value::Text).collect())
}

#[sqlx::test]
async fn what_cannot_be_is_said_at_its_field(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let (anna, ben) = (stage.account_id("avogel").await, stage.account_id("bvogt").await);
    let (team, dynamic) = (Uuid::now_v7(), Uuid::now_v7());
    stage.sees_list(team, "Finance Team", &[anna], &[("owners", ids(&[ben]))]).await;
    let of_type = [("type", "dynamic".into()), ("departments", texts(&["Finance"]))];
    stage.sees_list(dynamic, "Everybody", &[], &of_type).await;
    let desk = stage.company.desk;
    let new = [("name", "Tips"), ("address", "tips"), ("owner", "avogel")];
    for (more, (field, says)) in [
        (("type", "pigeon"), ("type", "distribution, security or dynamic")),
        (("type", "dynamic"), ("departments", "at least one department")),
        (("moderated", "yes"), ("moderators", "at least one person")),
        (("members", "nobody@example.com"), ("members", "Nobody is found")),
        (("members", "dweiss"), ("members", "Dana Weiss has no mailbox in that organisation")),
        (("description", "x\u{202e}y"), ("description", "invisible character")),
    ] {
        stage.refuses(desk, RequestKind::MailingList, &[new.as_slice(), &[more]].concat(), (field, says)).await;
    }
    let odd = [new.as_slice(), &[("type", "dynamic"), ("departments", "Alchemy")]].concat();
    stage.refuses(desk, RequestKind::MailingList, &odd, ("departments", "not a department here")).await;
    let too_many = (0..501).map(|n| format!("x{n}@example.com\n")).collect::<String>();
    let crowd = [new.as_slice(), &[("members", too_many.as_str())]].concat();
    stage.refuses(desk, RequestKind::MailingList, &crowd, ("members", "At most 500")).await;
    let without = [("name", "Tips"), ("address", "tips"), ("owner", "dweiss")];
    stage.refuses(desk, RequestKind::MailingList, &without, ("owner", "needs a mailbox")).await;

    let change = [("list", "finance.team@example.com"), ("owner", "bvogt")];
    for (more, (field, says)) in [
        (("add", "avogel"), ("add", "Anna Vogel is on it already")),
        (("add", "finance.team"), ("add", "on itself")),
        (("remove", "bvogt"), ("remove", "Ben Vogt is not on it")),
        (("moderated", "yes"), ("moderators", "at least one person")),
        (("hidden", "perhaps"), ("hidden", "neither yes nor no")),
        (("new_owner", "nobody"), ("new_owner", "Nobody is found")),
    ] {
        stage.refuses(desk, RequestKind::ListChange, &[change.as_slice(), &[more]].concat(), (field, says)).await;
    }
    stage.refuses(desk, RequestKind::ListChange, &change, ("list", "Nothing would change")).await;
    let mailbox = [("list", "avogel@example.com")];
    stage.refuses(desk, RequestKind::ListChange, &mailbox, ("list", "Anna Vogel is not a list")).await;
    let nobody = [("list", "everybody"), ("hidden", "yes")];
    stage.refuses(desk, RequestKind::ListChange, &nobody, ("owner", "Name who answers for Everybody")).await;
    let members = [("list", "everybody@example.com"), ("owner", "bvogt"), ("add", "avogel")];
    stage.refuses(desk, RequestKind::ListChange, &members, ("add", "its rule says who is on it")).await;
}

#[sqlx::test]
async fn a_dynamic_list_is_a_rule(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let list = [
        ("type", "dynamic"),
        ("name", "Finance"),
        ("address", "finance"),
        ("owner", "avogel"),
        ("departments", "Finance"),
        ("members", "bvogt"),
    ];
    let number = stage.carried_out(stage.company.desk, RequestKind::MailingList, &list).await;
    assert_eq!(stage.names(number).await, ["list"], "nobody is put on it");
    assert_eq!(stage.step(number, "list").await.to("departments"), &texts(&["Finance"]));
    assert!(stage.catalogue().await.is_empty(), "nobody asks to join it");
    let (of_type, address): (String, String) =
        sqlx::query_as("select type, address from mailing_list").fetch_one(&stage.portal.owner).await.unwrap();
    assert_eq!((of_type.as_str(), address.as_str()), ("dynamic", "finance@example.com"));
}
