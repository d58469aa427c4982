//! Shared mailboxes, rooms and equipment; and that an address is given once.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::plan::RequestKind;
use tenure::requests::RequestError;
use tenure::target::{Kind, State, Value};
use uuid::Uuid;

use super::{Stage, on};

const BILLING: [(&str, &str); 6] = [
    ("type", "shared"),
    ("name", "Billing"),
    ("address", "Billing"),
    ("owner", "avogel"),
    ("full_access", "bvogt\nelang@example.com"),
    ("send_as", "bvogt"),
];

#[sqlx::test]
async fn it_is_made_with_its_delegates_and_its_owner_decides_from_then_on(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let (ben, emil) = (stage.account_id("bvogt").await, stage.account_id("elang").await);
    let number = stage.ask(company.manager, RequestKind::SharedMailbox, &BILLING).await;
    let step = stage.step(number, "mailbox").await;
    assert_eq!(step.key, serde_json::json!({"new": true}));
    assert_eq!(step.to("primaryAddress"), &Value::from("billing@example.com"), "the domain is the organisation's");
    assert_eq!(
        stage.names(number).await,
        ["mailbox".to_owned(), on("full-access", ben), on("full-access", emil), on("send-as", ben)]
    );
    // Owner, delegates and whoever asked decide nothing, whichever role they hold; another of the desk does.
    for party in [company.anna, company.ben, company.employee, company.manager] {
        sqlx::query("insert into role_holding (person, role) values ($1, 'desk')")
            .bind(party)
            .execute(&stage.portal.owner)
            .await
            .unwrap();
        assert!(stage.decides(party, number, 1).await.is_none(), "{party} is a party");
        sqlx::query("delete from role_holding where person = $1")
            .bind(party)
            .execute(&stage.portal.owner)
            .await
            .unwrap();
    }
    assert_eq!(stage.roles(number, 1).await, ["desk"]);
    stage.approve(number).await;
    stage.done(number).await;

    let made = stage.step(number, "mailbox").await.resolved.unwrap();
    assert!(stage.exchange.has_right(made, ben, "full_access") && stage.exchange.has_right(made, ben, "send_as"));
    assert!(stage.exchange.has_right(made, emil, "full_access") && !stage.exchange.has_right(made, emil, "send_as"));
    let right = |name: &str, word: &str| {
        (format!("{name} – Billing"), "mailbox_permission".to_owned(), word.to_owned(), Some(company.anna))
    };
    assert_eq!(
        stage.catalogue().await,
        [right("Full access", "full_access"), right("Send as", "send_as"), right("Send on behalf", "send_on_behalf")]
    );
    assert_eq!(
        stage.holds(company.ben).await.into_keys().collect::<Vec<_>>(),
        ["Full access – Billing", "Send as – Billing"]
    );
    assert_eq!(stage.holds(company.employee).await.into_keys().collect::<Vec<_>>(), ["Full access – Billing"]);
    let reserved: i64 =
        sqlx::query_scalar("select count(*) from reservation").fetch_one(&stage.portal.owner).await.unwrap();
    assert_eq!(reserved, 0, "the mailbox itself holds the address now");

    // Emil wants to send as it: the ordinary request for access, decided by Anna.
    let send_as = stage.entitlement("Send as – Billing").await.to_string();
    let asked = [("person", "elang"), ("groups", send_as.as_str())];
    let number = stage.ask(company.employee, RequestKind::Access, &asked).await;
    assert_eq!(stage.roles(number, 1).await, ["desk_lead", "owner"]);
    assert!(stage.decides(company.lead, number, 1).await.is_some());
    assert!(stage.decides(company.owner, number, 1).await.is_none(), "owns something else");
    assert!(stage.decides(company.anna, number, 1).await.is_some());
    stage.done(number).await;
    assert!(stage.exchange.has_right(made, emil, "send_as"));
    stage.records_name_nobody().await;
    // Held already.
    stage.refuses(company.employee, RequestKind::Access, &asked, ("groups", "is held already")).await;
}

#[sqlx::test]
async fn a_room_books_itself(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let room = [
        ("type", "room"),
        ("name", "Alster"),
        ("address", "room.alster@example.com"),
        ("owner", "avogel"),
        ("capacity", "12"),
        ("window_days", "180"),
    ];
    let number = stage.carried_out(stage.company.desk, RequestKind::SharedMailbox, &room).await;
    let booking = stage.step(number, "booking").await;
    assert_eq!((booking.kind.as_str(), booking.after.as_slice()), ("booking", ["mailbox".to_owned()].as_slice()));
    let made = stage.exchange.object(stage.step(number, "mailbox").await.resolved.unwrap()).unwrap();
    assert_eq!((made.get("type"), made.get("capacity")), (&Value::from("room"), &Value::Number(12)));
    assert_eq!(
        (made.get("processing"), made.get("bookingWindowDays")),
        (&Value::from("auto_accept"), &Value::Number(180))
    );
    let car = [
        ("type", "equipment"),
        ("name", "Car 1"),
        ("address", "car1"),
        ("owner", "avogel"),
        ("capacity", "4"),
        ("accepts", "no"),
    ];
    let number = stage.ask(stage.company.desk, RequestKind::SharedMailbox, &car).await;
    assert_eq!(stage.step(number, "booking").await.to("processing"), &Value::from("auto_update"));
    assert_eq!(stage.step(number, "mailbox").await.to("capacity"), &Value::Null, "only a room has places");
    for (field, typed, says) in [
        ("capacity", "many", "whole number"),
        ("capacity", "0", "from 1"),
        ("window_days", "5000", "to 1080"),
        ("type", "yacht", "shared, room or equipment"),
        ("owner", "nobody", "Nobody is found"),
        ("full_access", "dweiss", "Dana Weiss has no mailbox in that organisation"),
        ("send_as", "who@example.com", "Nobody is found"),
        ("system", "exchange:other", "known: exchange:onprem"),
    ] {
        let mut asked = room.to_vec();
        asked.retain(|(name, _)| *name != field);
        asked[2].1 = "other@example.com";
        if field != "address" {
            asked.iter_mut().filter(|(name, _)| *name == "address").for_each(|pair| pair.1 = "other@example.com");
            asked.iter_mut().filter(|(name, _)| *name == "name").for_each(|pair| pair.1 = "Other");
        }
        asked.push((field, typed));
        let errors = stage.wrong(stage.company.desk, RequestKind::SharedMailbox, &asked).await;
        assert!(errors.iter().any(|error| error.field == field && error.message.contains(says)), "{field}: {errors:?}");
    }
}

#[sqlx::test]
async fn an_address_is_given_once(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let desk = stage.company.desk;
    stage.sees_list(Uuid::now_v7(), "Finance Team", &[], &[]).await;
    let also = [("addresses", Value::List(vec!["Invoices@Example.com".into()]))];
    stage.sees_mailbox(Uuid::now_v7(), "shared", ("Billing", "billing@example.com"), &also).await;
    stage.set("update account set upn = 'Office@example.com' where user_name = 'elang'").await;
    stage.set("insert into account (system, native_id, kind, user_name, display_name, dn, enabled, mail, attributes)
               values ('ad:corp.example.com', gen_random_uuid(), 'service', 'svc', 'Scanner', 'CN=Scanner', true, 'Scanner@example.com', '{}')").await;
    let asked = |address: &'static str| [("name", "X"), ("address", address), ("owner", "avogel")];
    for (address, says) in [
        ("billing@example.com", "taken by Billing"),
        ("BILLING", "taken by Billing"),
        ("invoices", "taken by Billing"),
        ("finance.team", "taken by Finance Team"),
        ("office", "taken by Emil Lang"),
        ("scanner@example.com", "taken by Scanner"),
        ("avogel", "taken by Anna Vogel"),
        ("x@evil.example", "not a domain of this organisation"),
        ("a b", "before its @"),
        ("ä", "before its @"),
        ("a..b", "before its @"),
        (".a", "before its @"),
        ("a@b@example.com", "not a domain"),
        ("", "Enter the address"),
    ] {
        stage.refuses(desk, RequestKind::SharedMailbox, &asked(address), ("address", says)).await;
        if !address.is_empty() {
            let mut list = asked(address).to_vec();
            list.push(("type", "distribution"));
            stage.refuses(desk, RequestKind::MailingList, &list, ("address", says)).await;
        }
    }
    // What is asked for holds the address until it is made or not wanted any more.
    let first = stage.ask(desk, RequestKind::SharedMailbox, &asked("press")).await;
    stage.refuses(desk, RequestKind::MailingList, &asked("Press"), ("address", "taken by another request")).await;
    let change = [("mailbox", "billing@example.com"), ("owner", "avogel"), ("add_addresses", "press")];
    stage.refuses(desk, RequestKind::MailboxChange, &change, ("add_addresses", "taken by another request")).await;
    let actor = stage.actor(desk).await;
    tenure::requests::cancel::cancel(&stage.portal.pool, stage.portal.clock.now(), &actor, first, "Not needed")
        .await
        .unwrap();
    stage.ask(desk, RequestKind::MailingList, &asked("press")).await;
}

/// Two ask for one address at the same moment, many times over: one gets it, the other is told.
#[sqlx::test]
async fn two_at_once_do_not_get_the_same_address(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    for round in 0..5 {
        let address = format!("team{round}");
        let asked = [("name", "Team"), ("address", address.as_str()), ("owner", "avogel")];
        let (mailbox, list, third) = tokio::join!(
            stage.try_ask(company.desk, RequestKind::SharedMailbox, &asked),
            stage.try_ask(company.lead, RequestKind::MailingList, &asked),
            stage.try_ask(company.manager, RequestKind::SharedMailbox, &asked),
        );
        let all = [mailbox, list, third];
        assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 1, "{all:?}");
        for lost in all.iter().filter_map(|one| one.as_ref().err()) {
            let RequestError::Fields(errors) = lost else { panic!("{lost:?}") };
            assert!(errors[0].field == "address" && errors[0].message.contains("another request"), "{errors:?}");
        }
    }
}

/// Whoever comes to gain by changed answers decides nothing from then on; whoever has decided cannot come to gain.
#[sqlx::test]
async fn changed_answers_make_parties_too(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    sqlx::query("insert into role_holding (person, role) values ($1, 'desk')")
        .bind(company.employee)
        .execute(&stage.portal.owner)
        .await
        .unwrap();
    let first: Vec<(&str, &str)> = vec![("name", "Press"), ("address", "press"), ("owner", "avogel")];
    let with = |more: &[(&'static str, &'static str)]| {
        let pairs = first.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        tenure::plan::field::Raw::from_pairs(pairs)
    };
    let number = stage.ask(company.manager, RequestKind::SharedMailbox, &first).await;
    let manager = stage.actor(company.manager).await;
    let (pool, now) = (&stage.portal.pool, stage.portal.clock.now());
    let change = async |raw| tenure::requests::change::change(pool, now, &manager, number, (&raw, None)).await;
    change(with(&[("full_access", "elang")])).await.unwrap();
    assert!(stage.decides(company.employee, number, 1).await.is_none(), "Emil gains by it now");
    assert!(stage.decides(company.desk, number, 1).await.is_some());
    // Dana has decided; she gets a mailbox and is named.
    sqlx::query(
        "insert into account (system, native_id, person, kind, linked_by_rule, user_name, display_name, dn, enabled, attributes)
         values ('ad:corp.example.com', gen_random_uuid(), $1, 'person', 'hand', 'dweiss', 'Dana Weiss', 'CN=Dana', true, '{}')",
    )
    .bind(company.desk)
    .execute(&stage.portal.owner)
    .await
    .unwrap();
    let dana = stage.account_id("dweiss").await;
    let own = [("directoryId", dana.to_string().into())];
    stage.sees_mailbox(dana, "user", ("Dana Weiss", "dweiss@example.com"), &own).await;
    let refused = change(with(&[("full_access", "dweiss")])).await;
    assert!(
        matches!(&refused, Err(RequestError::Conflict(why)) if why.contains("Dana Weiss has decided")),
        "{refused:?}"
    );
}

#[sqlx::test]
async fn who_gains_by_a_list_or_a_forward_decides_nothing(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    sqlx::query("insert into role_holding (person, role) values ($1, 'desk')")
        .bind(company.employee)
        .execute(&stage.portal.owner)
        .await
        .unwrap();
    let group = Uuid::now_v7();
    stage.sees_list(group, "Vault", &[], &[("type", "security".into())]).await;
    stage.offers("list_membership", group, "", "Vault", company.manager).await;
    // Emil opens it, and is on the list behind it.
    let (pool, crew) = (Uuid::now_v7(), Uuid::now_v7());
    let emil = stage.account_id("elang").await;
    stage.sees_mailbox(pool, "shared", ("Pool", "pool@example.com"), &[]).await;
    stage.sees_right(Kind::MailboxPermission, (pool, emil, "full_access"), &State::default()).await;
    stage.sees_list(crew, "Crew", &[emil], &[]).await;
    for (kind, pairs, decides) in [
        (
            RequestKind::MailingList,
            vec![("type", "security"), ("members", "elang"), ("name", "A"), ("address", "a1"), ("owner", "avogel")],
            false,
        ),
        (
            RequestKind::MailingList,
            vec![("owners", "elang"), ("name", "B"), ("address", "b1"), ("owner", "avogel")],
            false,
        ),
        (
            RequestKind::MailingList,
            vec![("moderators", "elang"), ("name", "C"), ("address", "c1"), ("owner", "avogel")],
            false,
        ),
        (
            RequestKind::MailingList,
            vec![("members", "elang"), ("name", "D"), ("address", "d1"), ("owner", "avogel")],
            true,
        ),
        (RequestKind::ListChange, vec![("list", "vault"), ("add", "elang")], false),
        (RequestKind::MailboxChange, vec![("mailbox", "mkeller"), ("forward_to", "elang")], false),
        (RequestKind::MailboxChange, vec![("mailbox", "mkeller"), ("forward_to", "pool")], false),
        (RequestKind::MailboxChange, vec![("mailbox", "mkeller"), ("forward_to", "crew")], false),
    ] {
        let number = stage.ask(company.manager, kind, &pairs).await;
        assert_eq!(stage.decides(company.employee, number, 1).await.is_some(), decides, "{pairs:?}");
        assert!(stage.decides(company.desk, number, 1).await.is_some() != decides, "{pairs:?}");
    }
}
