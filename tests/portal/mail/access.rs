//! Rights on mailboxes and calendars: given until a day, changed, taken away; by the form for mailboxes and by the ordinary one.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::plan::RequestKind;
use tenure::target::{Address, Kind, State, Value};
use uuid::Uuid;

use super::{Stage, state};

async fn billing(stage: &Stage) -> Uuid {
    let id = Uuid::now_v7();
    stage.sees_mailbox(id, "shared", ("Billing", "billing@example.com"), &[]).await;
    id
}

#[sqlx::test]
async fn sending_as_ends_with_its_last_day(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let billing = billing(&stage).await;
    stage.offers("mailbox_permission", billing, "send_on_behalf", "On behalf – Billing", company.owner).await;
    let ben = stage.account_id("bvogt").await;
    let asked = [
        ("person", "bvogt"),
        ("mailbox", "billing@example.com"),
        ("rights", "send_as"),
        ("rights", "full_access"),
        ("automapping", "no"),
        ("until", "2026-12-31"),
    ];
    let number = stage.ask(company.anna, RequestKind::MailboxAccess, &asked).await;
    assert_eq!(stage.items(number).await.len(), 2, "each right is decided by itself");
    for item in [1, 2] {
        assert_eq!(stage.roles(number, item).await, ["owner"], "asked by the manager, decided by who answers for it");
        for other in [company.ben, company.anna, company.desk, company.lead] {
            assert!(stage.decides(other, number, item).await.is_none());
        }
        assert!(stage.decides(company.owner, number, item).await.is_some());
    }
    let full = stage.step_on(number, "full-access", billing).await;
    assert_eq!(full.to("automapping"), &Value::Bool(false));
    assert_eq!(full.key, serde_json::json!({"object": billing, "trustee": ben, "right": "full_access"}));
    stage.done(number).await;
    assert!(stage.exchange.has_right(billing, ben, "send_as") && stage.exchange.has_right(billing, ben, "full_access"));
    let until = Some("2026-12-31".to_owned());
    let held = [("Full access – Billing".to_owned(), until.clone()), ("Send as – Billing".to_owned(), until)];
    assert_eq!(stage.holds(company.ben).await, held.into());
    // Asked again for what is held.
    let again = [("person", "bvogt"), ("mailbox", "billing"), ("rights", "send_as")];
    stage.refuses(company.anna, RequestKind::MailboxAccess, &again, ("rights", "Ben Vogt holds this already")).await;

    stage.the_day_has_come().await;
    stage.work("select count(*) = 2 from request where kind = 'expiry' and state = 'done'").await;
    assert!(
        !stage.exchange.has_right(billing, ben, "send_as") && !stage.exchange.has_right(billing, ben, "full_access")
    );
    assert!(stage.holds(company.ben).await.is_empty());
    let cites: i64 = sqlx::query_scalar(
        "select count(*) from evidence_record e join request r on r.number = e.request
          where r.kind = 'expiry' and convert_from(e.canonical, 'UTF8') like '%follows_from%'",
    )
    .fetch_one(&stage.portal.owner)
    .await
    .unwrap();
    assert_eq!(cites, 2);
}

#[sqlx::test]
async fn another_role_on_a_calendar_takes_the_place_of_the_first(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let (emil, maria) = (stage.account_id("elang").await, stage.account_id("mkeller").await);
    let asked = |role: &'static str| [("person", "elang"), ("mailbox", "mkeller"), ("calendar", role)];
    let number = stage.ask(company.employee, RequestKind::MailboxAccess, &asked("Reviewer")).await;
    assert_eq!(stage.roles(number, 1).await, ["owner"], "the mailbox is Maria's");
    assert!(stage.decides(company.employee, number, 1).await.is_none());
    assert!(stage.decides(company.manager, number, 1).await.is_some());
    stage.done(number).await;
    let step = stage.step_on(number, "calendar", maria).await;
    assert_eq!((step.kind.as_str(), step.to("role")), ("folder_permission", &Value::from("Reviewer")));
    let calendar = Address::Permission { object: maria, trustee: emil, right: "calendar".to_owned() };
    assert_eq!(stage.exchange.held(&calendar), Some(state(&[("role", "Reviewer".into())])));
    assert_eq!(
        stage.holds(company.employee).await.into_keys().collect::<Vec<_>>(),
        ["Calendar: Reviewer – Maria Keller"]
    );

    let number = stage.carried_out(company.employee, RequestKind::MailboxAccess, &asked("Editor")).await;
    let step = stage.step_on(number, "calendar", maria).await;
    assert_eq!(step.presence(), "null", "it is there; its role changes");
    assert_eq!(step.difference.change("role").unwrap().from, Value::from("Reviewer"));
    assert_eq!(stage.exchange.held(&calendar), Some(state(&[("role", "Editor".into())])));
    assert_eq!(
        stage.holds(company.employee).await.into_keys().collect::<Vec<_>>(),
        ["Calendar: Editor – Maria Keller"]
    );
    stage
        .refuses(company.employee, RequestKind::MailboxAccess, &asked("Editor"), ("rights", "holds this already"))
        .await;
    stage.refuses(company.employee, RequestKind::MailboxAccess, &asked("King"), ("calendar", "not a role")).await;
    // The ordinary form lets go of it.
    let editor = stage.entitlement("Calendar: Editor – Maria Keller").await.to_string();
    stage.carried_out(company.employee, RequestKind::Access, &[("person", "elang"), ("leave", &editor)]).await;
    assert_eq!(stage.exchange.held(&calendar), None);
    stage.records_name_nobody().await;
    assert!(stage.holds(company.employee).await.is_empty());
}

#[sqlx::test]
async fn the_catalogues_entries_are_asked_for_as_groups_are(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let billing = billing(&stage).await;
    let (list, ben) = (Uuid::now_v7(), stage.account_id("bvogt").await);
    stage.sees_list(list, "Tips", &[], &[]).await;
    let full = stage
        .offers("mailbox_permission", billing, "full_access", "Full access – Billing", company.owner)
        .await
        .to_string();
    let role = stage
        .offers("folder_permission", billing, "calendar/Author", "Calendar: Author – Billing", company.owner)
        .await
        .to_string();
    let tips = stage.offers("list_membership", list, "", "Tips", company.owner).await.to_string();
    let asked =
        [("person", "bvogt"), ("groups", full.as_str()), ("groups", &role), ("groups", &tips), ("until", "2026-12-31")];
    let number = stage.carried_out(company.anna, RequestKind::Access, &asked).await;
    let kinds: Vec<String> = stage.steps(number).await.into_iter().map(|step| step.kind).collect();
    assert_eq!(kinds, ["mailbox_permission", "folder_permission", "list_membership"]);
    assert!(stage.exchange.has_right(billing, ben, "full_access") && stage.exchange.is_member(list, ben));
    let calendar = Address::Permission { object: billing, trustee: ben, right: "calendar".to_owned() };
    assert_eq!(stage.exchange.held(&calendar), Some(state(&[("role", "Author".into())])));
    assert_eq!(stage.holds(company.ben).await.len(), 3);
    for held in [&full, &role, &tips] {
        let asked = [("person", "bvogt"), ("groups", held.as_str())];
        stage.refuses(company.anna, RequestKind::Access, &asked, ("groups", "is held already")).await;
    }
    // One is left, two end with their day.
    stage.carried_out(company.anna, RequestKind::Access, &[("person", "bvogt"), ("leave", &full)]).await;
    assert!(!stage.exchange.has_right(billing, ben, "full_access"));
    stage.the_day_has_come().await;
    stage.work("select count(*) = 2 from request where kind = 'expiry' and state = 'done'").await;
    assert!(!stage.exchange.is_member(list, ben) && stage.exchange.held(&calendar).is_none());
    assert!(stage.holds(company.ben).await.is_empty());
    // Whoever has no mailbox cannot hold it.
    sqlx::query(
        "insert into account (system, native_id, person, kind, linked_by_rule, user_name, display_name, dn, enabled, attributes)
         values ('ad:corp.example.com', gen_random_uuid(), $1, 'person', 'hand', 'dweiss', 'Dana Weiss', 'CN=Dana', true, '{}')",
    )
    .bind(company.desk)
    .execute(&stage.portal.owner)
    .await
    .unwrap();
    let asked = [("person", "dweiss"), ("groups", tips.as_str())];
    stage.refuses(company.lead, RequestKind::Access, &asked, ("groups", "Tips needs a mailbox")).await;
}

/// Naming somebody as the one who answers for a mailbox gives them no say in it, whoever they are.
#[sqlx::test]
async fn whoever_is_named_as_owner_decides_nothing_by_that(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let billing = billing(&stage).await;
    let asked = [("person", "elang"), ("mailbox", "billing"), ("owner", "bvogt"), ("rights", "full_access")];
    let number = stage.ask(company.employee, RequestKind::MailboxAccess, &asked).await;
    assert_eq!(stage.roles(number, 1).await, ["desk_lead"]);
    assert!(stage.decides(company.ben, number, 1).await.is_none());
    // Maria's mailbox is Maria's, the catalogue's entry is its owner's.
    for mailbox in ["mkeller", "billing"] {
        if mailbox == "billing" {
            stage.offers("mailbox_permission", billing, "send_as", "Send as – Billing", company.owner).await;
        }
        let asked = [("person", "elang"), ("mailbox", mailbox), ("owner", "bvogt"), ("rights", "full_access")];
        let said = ("owner", "Somebody else answers for");
        stage.refuses(company.employee, RequestKind::MailboxAccess, &asked, said).await;
        let forward = [("mailbox", mailbox), ("owner", "elang"), ("forward", "yes"), ("forward_to", "elang")];
        stage.refuses(company.employee, RequestKind::MailboxChange, &forward, said).await;
    }
    // Without the word about the owner it is a request about Maria's, which Emil may not make.
    let hold = [("mailbox", "mkeller"), ("hold", "no")];
    let refused = stage.try_ask(company.employee, RequestKind::MailboxChange, &hold).await;
    assert!(matches!(refused, Err(tenure::requests::RequestError::Denied(_))), "{refused:?}");
}

/// What the catalogue holds as a directory group's, as SOX or as high risk is not given by a form about mail.
#[sqlx::test]
async fn what_is_guarded_is_asked_for_as_access(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let (billing, vault) = (billing(&stage).await, Uuid::now_v7());
    stage.sees_list(vault, "Vault", &[], &[("type", "security".into())]).await;
    stage.offers("group_membership", vault, "", "Vault (directory)", company.owner).await;
    stage.offers("mailbox_permission", billing, "full_access", "Full access – Billing", company.owner).await;
    sqlx::query("update entitlement set sox = true where native_id = $1")
        .bind(billing)
        .execute(&stage.portal.owner)
        .await
        .unwrap();
    let add = [("list", "vault"), ("add", "elang")];
    stage.refuses(company.desk, RequestKind::ListChange, &add, ("add", "ask for access to “Vault (directory)”")).await;
    let full = [("person", "elang"), ("mailbox", "billing"), ("rights", "full_access")];
    let says = ("rights", "ask for access to “Full access – Billing”");
    stage.refuses(company.employee, RequestKind::MailboxAccess, &full, says).await;
    let hidden = [("list", "vault"), ("hidden", "yes")];
    let number = stage.ask(company.desk, RequestKind::ListChange, &hidden).await;
    assert_eq!(stage.roles(number, 1).await, ["owner", "desk"], "what gives nothing to anybody changes here");
}

#[sqlx::test]
async fn what_cannot_be_given_is_said_at_its_field(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    billing(&stage).await;
    let desk = stage.company.desk;
    let asked = [("person", "bvogt"), ("mailbox", "billing"), ("owner", "obrandt"), ("rights", "send_as")];
    for (field, typed, says) in [
        ("person", "", "Choose a person"),
        ("person", "dweiss", "no mailbox in that organisation"),
        ("mailbox", "", "Choose a mailbox"),
        ("mailbox", "nothing", "No one mailbox is found"),
        ("mailbox", "bvogt", "their own mailbox"),
        ("owner", "", "Name who answers for Billing"),
        ("rights", "everything", "not a right"),
        ("rights", "calendar/Owner", "not a right"),
        ("rights", "", "Choose at least one right"),
        ("until", "2026-11-01", "today or later"),
    ] {
        let mut pairs: Vec<(&str, &str)> = asked.into_iter().filter(|(name, _)| *name != field).collect();
        pairs.push((field, typed));
        pairs.retain(|pair| typed != "bvogt" || pair.0 != "owner");
        stage.refuses(desk, RequestKind::MailboxAccess, &pairs, (field, says)).await;
    }
    // Nobody is asked about their own access: Olaf owns it and wants it, his own manager is not known.
    let own = [("person", "obrandt"), ("mailbox", "billing"), ("owner", "obrandt"), ("rights", "send_as")];
    let number = stage.ask(stage.company.owner, RequestKind::MailboxAccess, &own).await;
    assert!(!stage.roles(number, 1).await.contains(&"owner".to_owned()));
    assert!(stage.decides(stage.company.owner, number, 1).await.is_none());
}

/// What the feed tells replaces what was there: rights, members, and what is gone.
#[sqlx::test]
async fn the_mirror_takes_in_what_the_feed_tells(options: PgPoolOptions, connect: PgConnectOptions) {
    use super::mirrored::{gone, list, mailbox, right, told};
    let stage = Stage::new(options, connect).await;
    let (anna, ben) = (stage.account_id("avogel").await, stage.account_id("bvogt").await);
    let (billing, team) = (Uuid::now_v7(), Uuid::now_v7());
    let rights = vec![
        right(Kind::MailboxPermission, anna, "full_access", State::default()),
        right(Kind::MailboxPermission, anna, "send_as", State::default()),
        right(Kind::FolderPermission, ben, "calendar", state(&[("role", "Editor".into())])),
    ];
    told(
        &stage,
        vec![
            mailbox(billing, "Billing", &["Invoices@example.com"], Some(rights)),
            list(team, "Team", &[anna], &[anna, ben], &[], true),
        ],
    )
    .await;
    assert_eq!(rights_on(&stage, billing).await, ["calendar Editor", "full_access ", "send_as "]);
    let addresses: Vec<String> = sqlx::query_scalar("select unnest(addresses) from mailbox where native_id = $1")
        .bind(billing)
        .fetch_all(&stage.portal.owner)
        .await
        .unwrap();
    assert_eq!(addresses, ["billing@example.com", "invoices@example.com"]);
    let owners: Vec<Uuid> = sqlx::query_scalar("select owners from mailing_list where native_id = $1")
        .bind(team)
        .fetch_one(&stage.portal.owner)
        .await
        .unwrap();
    assert_eq!(owners, [anna]);
    assert_eq!(members(&stage, team).await.len(), 2);

    // A role changes, a right goes; a feed that did not ask for rights leaves them.
    let rights = vec![
        right(Kind::MailboxPermission, anna, "send_as", State::default()),
        right(Kind::FolderPermission, ben, "calendar", state(&[("role", "Reviewer".into())])),
    ];
    told(
        &stage,
        vec![mailbox(billing, "Billing 2", &[], Some(rights)), list(team, "Team", &[ben], &[], &[anna], false)],
    )
    .await;
    told(&stage, vec![mailbox(billing, "Billing 2", &[], None)]).await;
    assert_eq!(rights_on(&stage, billing).await, ["calendar Reviewer", "send_as "]);
    assert_eq!(members(&stage, team).await, [ben]);
    told(&stage, vec![list(team, "Team", &[ben], &[anna], &[], true)]).await;
    assert_eq!(members(&stage, team).await, [anna], "the whole list");

    // Gone: its rights and members with it; and what a trustee who is gone held.
    told(&stage, vec![gone(team), gone(ben)]).await;
    assert!(members(&stage, team).await.is_empty());
    assert_eq!(rights_on(&stage, billing).await, ["send_as "]);
    let mut conn = stage.portal.owner.acquire().await.unwrap();
    assert!(tenure::mirror::mail::by_ids(&mut conn, &[team, ben]).await.unwrap().is_empty());
    assert!(tenure::mirror::mail::by_typed(&mut conn, "team@example.com").await.unwrap().is_none());
    // It comes back under the same id.
    told(&stage, vec![list(team, "Team", &[ben], &[anna], &[], true)]).await;
    assert_eq!(members(&stage, team).await, [anna]);
}

async fn members(stage: &Stage, list: Uuid) -> Vec<Uuid> {
    let mut conn = stage.portal.owner.acquire().await.unwrap();
    tenure::mirror::mail::members_of(&mut conn, list).await.unwrap()
}

async fn rights_on(stage: &Stage, object: Uuid) -> Vec<String> {
    sqlx::query_scalar(
        "select right_name || ' ' || coalesce(attributes ->> 'role', '') from mail_right where object_id = $1 order by 1",
    )
    .bind(object)
    .fetch_all(&stage.portal.owner)
    .await
    .unwrap()
}
