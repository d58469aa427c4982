//! What becomes of a leaver's mail.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::plan::RequestKind;
use tenure::target::{Address, Kind, State, Value};
use uuid::Uuid;

use super::{Stage, ids, on, state};

/// Anna has rights on Billing and on Maria's calendar, is on a list, and owns two, one of them alone.
struct Mail {
    stage: Stage,
    anna: Uuid,
    ben: Uuid,
    maria: Uuid,
    billing: Uuid,
    team: Uuid,
    payroll: Uuid,
}

async fn mail(options: PgPoolOptions, connect: PgConnectOptions) -> Mail {
    let stage = Stage::new(options, connect).await;
    let (anna, ben, maria) =
        (stage.account_id("avogel").await, stage.account_id("bvogt").await, stage.account_id("mkeller").await);
    let (billing, team, payroll) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    stage.sees_mailbox(billing, "shared", ("Billing", "billing@example.com"), &[]).await;
    stage.sees_right(Kind::MailboxPermission, (billing, anna, "full_access"), &State::default()).await;
    stage.sees_right(Kind::FolderPermission, (maria, anna, "calendar"), &state(&[("role", "Editor".into())])).await;
    stage.sees_list(team, "Finance Team", &[anna, ben], &[("owners", ids(&[anna, maria]))]).await;
    stage.sees_list(payroll, "Payroll", &[], &[("owners", ids(&[anna]))]).await;
    stage.offers("mailbox_permission", billing, "full_access", "Full access – Billing", stage.company.owner).await;
    let entitlement = stage.entitlement("Full access – Billing").await;
    sqlx::query(
        "insert into access_grant (id, person, entitlement, account, reason, starts_at) values ($1, $2, $3, $4, 'request', now())",
    )
    .bind(Uuid::now_v7())
    .bind(stage.company.anna)
    .bind(entitlement)
    .bind(anna)
    .execute(&stage.portal.owner)
    .await
    .unwrap();
    Mail { stage, anna, ben, maria, billing, team, payroll }
}

const LEAVES: [(&str, &str); 7] = [
    ("person", "avogel"),
    ("mailbox", "convert"),
    ("delegate", "bvogt"),
    ("forward_to", "mkeller"),
    ("forward_until", "2026-12-31"),
    ("auto_reply", "Anna Vogel has left.\nWrite to \"billing\"; thank you."),
    ("lists_to", "bvogt"),
];

#[sqlx::test]
async fn everything_of_their_mail_is_planned_for_the_end_of_the_last_day(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let mail = mail(options, connect).await;
    let stage = &mail.stage;
    let asked = [LEAVES.as_slice(), &[("last_day", "2026-11-30")]].concat();
    let number = stage.ask(stage.company.manager, RequestKind::Leaver, &asked).await;
    let at = Some("2026-11-30T23:00:00Z".parse().unwrap());
    for name in [
        "disable-avogel".to_owned(),
        "quarantine-avogel".to_owned(),
        on("mailbox", mail.anna),
        on("full-access", mail.ben),
        on("auto-reply", mail.anna),
        on("no-full-access", mail.billing),
        on("no-calendar", mail.maria),
        "off-finance-team".to_owned(),
        "hand-over-finance-team".to_owned(),
        "hand-over-payroll".to_owned(),
    ] {
        let step = stage.step(number, &name).await;
        assert_eq!(step.not_before, at, "{name}");
        assert!(
            step.name.starts_with("disable") || step.after.contains(&"disable-avogel".to_owned()),
            "{name}: {:?}",
            step.after
        );
    }
    let kept = stage.step_on(number, "mailbox", mail.anna).await;
    assert_eq!(kept.key, serde_json::json!({"id": mail.anna}));
    assert_eq!(kept.to("type"), &Value::from("shared"));
    assert_eq!(kept.to("hidden"), &Value::Bool(true));
    assert_eq!(kept.to("forwardTo"), &Value::Text(mail.maria.to_string()));
    let ends = stage.step_on(number, "stop-forwarding", mail.anna).await;
    assert_eq!(ends.not_before, Some("2026-12-31T23:00:00Z".parse().unwrap()), "after the day, in Hamburg");
    assert!(ends.after.contains(&on("mailbox", mail.anna)), "{:?}", ends.after);
    assert_eq!(ends.to("forwardTo"), &Value::Null);
    let team = stage.step(number, "hand-over-finance-team").await;
    let mut owners = [mail.ben.to_string(), mail.maria.to_string()];
    owners.sort();
    assert_eq!(team.to("owners"), &Value::List(owners.map(Value::Text).to_vec()));
    assert_eq!(stage.step(number, "hand-over-payroll").await.to("owners"), &ids(&[mail.ben]));
    // Whoever gets the mailbox decides nothing about it, whoever asked neither.
    assert_eq!(stage.roles(number, 1).await, ["desk"]);
    for party in [stage.company.ben, stage.company.manager, stage.company.anna] {
        sqlx::query("insert into role_holding (person, role) values ($1, 'desk') on conflict do nothing")
            .bind(party)
            .execute(&stage.portal.owner)
            .await
            .unwrap();
        assert!(stage.decides(party, number, 1).await.is_none(), "a party decides");
    }
    assert!(stage.decides(stage.company.desk, number, 1).await.is_some());
}

#[sqlx::test]
async fn it_is_carried_out_and_forwarding_ends_by_itself(options: PgPoolOptions, connect: PgConnectOptions) {
    let mail = mail(options, connect).await;
    let stage = &mail.stage;
    // At once, nobody decides; so nobody gains.
    let asked = [LEAVES.as_slice(), &[("immediate", "true")]].concat();
    let errors = stage.wrong(stage.company.lead, RequestKind::Leaver, &asked).await;
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["delegate", "forward_to", "lists_to"]);
    let asked = [LEAVES.as_slice(), &[("last_day", "2026-11-30")]].concat();
    let number = stage.ask(stage.company.manager, RequestKind::Leaver, &asked).await;
    stage.approve(number).await;
    stage.set("update step set not_before = null, due_at = now() where name not like 'stop-forwarding-%'").await;
    stage.forwarding_ends_much_later().await;
    stage
        .work(&format!(
            "select count(*) = 0 from step s join request r on r.id = s.request where r.number = {} and s.name not like 'stop-forwarding-%'
                and s.state not in ('applied', 'unchanged')",
            number.0
        ))
        .await;
    let shown = stage.exchange.object(mail.anna).unwrap();
    assert_eq!(shown.get("type"), &Value::from("shared"));
    assert_eq!(shown.get("hidden"), &Value::Bool(true));
    assert_eq!(shown.get("forwardTo"), &Value::Text(mail.maria.to_string()));
    assert_eq!(shown.get("internal"), &Value::from("Anna Vogel has left.\nWrite to \"billing\"; thank you."));
    assert!(stage.exchange.has_right(mail.anna, mail.ben, "full_access"));
    assert!(!stage.exchange.has_right(mail.billing, mail.anna, "full_access"));
    assert!(
        stage
            .exchange
            .held(&Address::Permission { object: mail.maria, trustee: mail.anna, right: "calendar".into() })
            .is_none()
    );
    assert!(!stage.exchange.is_member(mail.team, mail.anna) && stage.exchange.is_member(mail.team, mail.ben));
    assert_eq!(stage.exchange.object(mail.payroll).unwrap().get("owners"), &ids(&[mail.ben]));
    // The books: the leaver holds nothing, whoever takes over does.
    assert!(stage.holds(stage.company.anna).await.is_empty());
    let ben: Vec<String> = stage.holds(stage.company.ben).await.into_keys().collect();
    assert_eq!(ben, ["Full access – Anna Vogel"]);
    let offered: Vec<String> = stage.catalogue().await.into_iter().map(|(name, ..)| name).collect();
    assert_eq!(offered, ["Full access – Anna Vogel", "Full access – Billing", "Send as – Anna Vogel"]);
    // The mirror.
    let kinds: Vec<String> = sqlx::query_scalar("select type from mailbox where native_id = $1")
        .bind(mail.anna)
        .fetch_all(&stage.portal.owner)
        .await
        .unwrap();
    assert_eq!(kinds, ["shared"]);
    let rights: i64 = sqlx::query_scalar("select count(*) from mail_right where trustee_id = $1")
        .bind(mail.anna)
        .fetch_one(&stage.portal.owner)
        .await
        .unwrap();
    assert_eq!(rights, 0);
    assert_eq!(stage.step_on(number, "stop-forwarding", mail.anna).await.state, "ready");
    stage.the_day_has_come().await;
    stage.done(number).await;
    let shown = stage.exchange.object(mail.anna).unwrap();
    assert_eq!((shown.get("forwardTo"), shown.get("deliverAndForward")), (&Value::Null, &Value::Bool(false)));
    stage.records_name_nobody().await;
}

#[sqlx::test]
async fn what_stands_in_the_way_is_said_at_its_field(options: PgPoolOptions, connect: PgConnectOptions) {
    let mail = mail(options, connect).await;
    let stage = &mail.stage;
    let manager = stage.company.manager;
    let leaves = [("person", "avogel"), ("last_day", "2026-11-30")];
    let with = |more: &[(&'static str, &'static str)]| [leaves.as_slice(), more].concat();
    stage.refuses(manager, RequestKind::Leaver, &leaves, ("lists_to", "They alone own the list Payroll")).await;
    for (field, typed, says) in [
        ("lists_to", "nobody here", "Nobody is found"),
        ("delegate", "avogel", "Choose somebody else"),
        ("forward_to", "avogel", "Choose somebody else"),
        ("delegate", "dweiss", "Dana Weiss has no mailbox"),
        ("mailbox", "burn", "Choose whether"),
    ] {
        let asked =
            if field == "lists_to" { with(&[(field, typed)]) } else { with(&[("lists_to", "bvogt"), (field, typed)]) };
        stage.refuses(manager, RequestKind::Leaver, &asked, (field, says)).await;
    }
    let early = with(&[("lists_to", "bvogt"), ("forward_to", "bvogt"), ("forward_until", "2026-11-29")]);
    stage.refuses(manager, RequestKind::Leaver, &early, ("forward_until", "cannot end before")).await;
    // On hold nothing of it changes; as it is it may stay.
    stage
        .sees_mailbox(
            mail.anna,
            "user",
            ("Anna Vogel", "avogel@example.com"),
            &[("litigationHold", true.into()), ("directoryId", mail.anna.to_string().into())],
        )
        .await;
    for more in [("mailbox", "convert"), ("forward_to", "bvogt")] {
        let asked = with(&[("lists_to", "bvogt"), more]);
        stage.refuses(manager, RequestKind::Leaver, &asked, ("mailbox", "legal hold")).await;
    }
    let number = stage.ask(manager, RequestKind::Leaver, &with(&[("lists_to", "bvogt"), ("mailbox", "keep")])).await;
    assert!(!stage.names(number).await.iter().any(|name| name.starts_with("mailbox")));
}

/// Nothing stands in the way of an immediate leaver.
#[sqlx::test]
async fn an_immediate_leaver_waits_for_nobody(options: PgPoolOptions, connect: PgConnectOptions) {
    let mail = mail(options, connect).await;
    let stage = &mail.stage;
    let number =
        stage.ask(stage.company.lead, RequestKind::Leaver, &[("person", "avogel"), ("immediate", "true")]).await;
    let names = stage.names(number).await;
    assert!(
        !names.contains(&"hand-over-payroll".to_owned()),
        "it keeps its owner until somebody takes it over: {names:?}"
    );
    assert!(names.contains(&on("no-full-access", mail.billing)), "{names:?}");
    stage.done(number).await;
    assert_eq!(stage.exchange.object(mail.payroll).unwrap().get("owners"), &ids(&[mail.anna]));
    let team = stage.exchange.object(mail.team).unwrap();
    assert_eq!(team.get("owners"), &ids(&[mail.maria]), "the other owner keeps it");
}

/// Messages that went to a private address until now go there no longer, however the mailbox is kept.
#[sqlx::test]
async fn forwarding_of_their_own_ends(options: PgPoolOptions, connect: PgConnectOptions) {
    let mail = mail(options, connect).await;
    let stage = &mail.stage;
    let outside = [("forwardToAddress", "anna@private.example".into()), ("directoryId", mail.anna.to_string().into())];
    stage.sees_mailbox(mail.anna, "user", ("Anna Vogel", "avogel@example.com"), &outside).await;
    let asked = [("person", "avogel"), ("immediate", "true"), ("mailbox", "keep")];
    let number = stage.ask(stage.company.lead, RequestKind::Leaver, &asked).await;
    let step = stage.step_on(number, "mailbox", mail.anna).await;
    let change = step.difference.change("forwardToAddress").unwrap();
    assert_eq!((&change.from, &change.to), (&Value::from("anna@private.example"), &Value::Null));
    assert_eq!(step.difference.changes.len(), 1, "and nothing else: {step:?}");
}

/// Without its licence Online deletes a mailbox: it goes after the conversion, and stays with what is kept.
#[sqlx::test]
async fn the_licence_goes_last_or_stays(options: PgPoolOptions, connect: PgConnectOptions) {
    let facts = tenure::catalog::SystemFacts {
        licence_group: Some("Licences E3".to_owned()),
        ..super::organisation(tenure::catalog::JoinerMailbox::Remote)
    };
    let stage = super::Stage::with(options, connect, Some(facts)).await;
    let group = Uuid::now_v7();
    super::joiner::licence_group(&stage, group).await;
    let anna = stage.account_id("avogel").await;
    sqlx::query("insert into membership (system, group_id, member_id) values ('ad:corp.example.com', $1, $2)")
        .bind(group)
        .bind(anna)
        .execute(&stage.portal.owner)
        .await
        .unwrap();
    let leaves = |mailbox: &'static str| [("person", "avogel"), ("last_day", "2026-11-30"), ("mailbox", mailbox)];
    let kept = stage.ask(stage.company.manager, RequestKind::Leaver, &leaves("keep")).await;
    assert!(!stage.names(kept).await.iter().any(|name| name.contains("licences")), "kept with its mailbox");
    let mut conn = stage.portal.owner.acquire().await.unwrap();
    let cancelled = sqlx::query("update request set settled_at = now(), state = 'cancelled' where number = $1");
    cancelled.bind(kept.0).execute(&mut *conn).await.unwrap();
    let converted = stage.ask(stage.company.manager, RequestKind::Leaver, &leaves("convert")).await;
    let licence = stage.step(converted, "out-of-licences-e3-avogel").await;
    assert!(licence.after.contains(&on("mailbox", anna)), "{:?}", licence.after);
}
