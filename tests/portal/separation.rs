//! Separation of duties: refused or asked about while choosing, in the plan, across requests; and who holds both already.

use axum::http::StatusCode;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::access::{Actor, session};
use tenure::catalog::{self, Consequence, Separation, SeparationRule};
use tenure::evidence::By;
use tenure::ids::{EntitlementId, PersonId, RequestNumber};
use tenure::plan::RequestKind;
use tenure::plan::field::Raw;
use tenure::requests::RequestError;
use tenure::requests::submit::{Asked, submit};
use uuid::Uuid;

use crate::support::Portal;
use crate::support::browser::with;
use crate::support::company::{Company, SYSTEM, administrator, rules};

struct Set {
    portal: Portal,
    company: Company,
    /// Anna's account.
    account: Uuid,
    payments: EntitlementId,
}

impl Set {
    /// "Ledger" and "Payments" are kept apart.
    async fn start(options: PgPoolOptions, connect: PgConnectOptions, consequence: Consequence) -> Self {
        let portal = Portal::start(options, connect).await;
        let company = portal.company().await;
        let (_, account) = rules(&portal, &company).await;
        let payments = EntitlementId::new();
        sqlx::query(
            "insert into entitlement (id, system, kind, native_id, name, owner, folded)
             values ($1, $2, 'group_membership', $3, 'Payments', $4, 'payments')",
        )
        .bind(payments)
        .bind(SYSTEM)
        .bind(Uuid::now_v7())
        .bind(company.owner)
        .execute(&portal.owner)
        .await
        .unwrap();
        let rule = SeparationRule {
            name: "post and pay".to_owned(),
            reason: "One person could book an invoice and pay it.".to_owned(),
            one: vec![company.ledger],
            other: vec![payments],
            consequence,
        };
        let mut conn = portal.owner.acquire().await.unwrap();
        let body = Separation { rules: vec![rule] };
        catalog::release(&mut conn, portal.clock.now(), &By::routine("test"), &body, "").await.unwrap();
        Self { portal, company, account, payments }
    }

    async fn hold(&self, person: PersonId, entitlement: EntitlementId) {
        sqlx::query(
            "insert into access_grant (id, person, entitlement, account, reason, reason_text, starts_at)
             values ($1, $2, $3, $4, 'before_tenure', '', now())",
        )
        .bind(Uuid::now_v7())
        .bind(person)
        .bind(entitlement)
        .bind(self.account)
        .execute(&self.portal.owner)
        .await
        .unwrap();
    }

    /// The manager asks for Anna.
    async fn ask(&self, answers: &[(&str, EntitlementId)], nonce: &str) -> Result<RequestNumber, RequestError> {
        let mut raw = Raw::from_pairs([("person".to_owned(), "avogel".to_owned())]);
        for name in ["groups", "leave"] {
            let of = answers.iter().filter(|(field, _)| *field == name).map(|(_, id)| id.to_string());
            raw.set(name, of.collect());
        }
        let mut conn = self.portal.owner.acquire().await.unwrap();
        let now = self.portal.clock.now();
        let token = session::open(&mut conn, now, self.company.manager, &session::From::default()).await.unwrap();
        let viewer = session::resume(&mut conn, &token, None).await.unwrap().unwrap().viewer;
        let asked = Asked { kind: RequestKind::Access, raw, nonce: nonce.to_owned(), sent: None, seen: None };
        submit(&self.portal.pool, now, &Actor::Person(viewer), &asked).await
    }

    /// The stages of each item, in order.
    async fn stages(&self, number: RequestNumber) -> Vec<String> {
        sqlx::query_scalar(
            "select string_agg(s.role, ' ' order by s.ordinal) from request r join item i on i.request = r.id
               join stage s on s.item = i.id where r.number = $1 group by i.ordinal order by i.ordinal",
        )
        .bind(number.0)
        .fetch_all(&self.portal.owner)
        .await
        .unwrap()
    }
}

fn refused(result: Result<RequestNumber, RequestError>) -> String {
    match result {
        Err(RequestError::Fields(errors)) => {
            assert!(errors.iter().all(|error| error.field == "groups"), "{errors:?}");
            errors.into_iter().map(|error| error.message).collect::<Vec<_>>().join(" / ")
        }
        other => panic!("{other:?}"),
    }
}

#[sqlx::test]
async fn what_is_held_together_is_refused(options: PgPoolOptions, connect: PgConnectOptions) {
    let set = Set::start(options, connect, Consequence::Refuse).await;
    let (ledger, payments) = (set.company.ledger, set.payments);
    // Both in one request.
    let told = refused(set.ask(&[("groups", ledger), ("groups", payments)], "both").await);
    assert_eq!(
        told,
        "Ledger and Payments must not be held together (“post and pay”): One person could book an invoice and pay it"
    );
    // Beside what another request is about to give.
    set.ask(&[("groups", ledger)], "first").await.unwrap();
    let told = refused(set.ask(&[("groups", payments)], "second").await);
    assert!(told.contains("Payments and Ledger must not"), "{told}");
    // Beside what is held, however it came.
    set.hold(set.company.anna, payments).await;
    refused(set.ask(&[("groups", ledger)], "third").await);
    let records: i64 = sqlx::query_scalar("select count(*) from request").fetch_one(&set.portal.owner).await.unwrap();
    assert_eq!(records, 1, "what is refused leaves nothing");
}

#[sqlx::test]
async fn two_who_ask_at_once_do_not_get_both(options: PgPoolOptions, connect: PgConnectOptions) {
    let set = Set::start(options, connect, Consequence::Refuse).await;
    for round in 0..5 {
        let (one, other) = (format!("one {round}"), format!("other {round}"));
        let (ledger, payments) = ([("groups", set.company.ledger)], [("groups", set.payments)]);
        let (one, other) = tokio::join!(set.ask(&ledger, &one), set.ask(&payments, &other));
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
        sqlx::query("update request set settled_at = now() where settled_at is null")
            .execute(&set.portal.owner)
            .await
            .unwrap();
    }
}

#[sqlx::test]
async fn security_is_asked_last(options: PgPoolOptions, connect: PgConnectOptions) {
    let set = Set::start(options, connect, Consequence::AskSecurity).await;
    let alone = set.ask(&[("groups", set.payments)], "alone").await.unwrap();
    assert_eq!(set.stages(alone).await, ["owner"]);
    let beside = set.ask(&[("groups", set.company.ledger)], "beside").await.unwrap();
    // High risk asks security by its route; the conflict is a question of its own, and comes last.
    assert_eq!(set.stages(beside).await, ["owner security security"]);
    let reason: String =
        sqlx::query_scalar("select reason from stage order by opened_at nulls last, ordinal desc limit 1")
            .fetch_one(&set.portal.owner)
            .await
            .unwrap();
    let reasons: Vec<String> =
        sqlx::query_scalar("select reason from stage where name = 'Security: separation of duties'")
            .fetch_all(&set.portal.owner)
            .await
            .unwrap();
    assert_eq!(reasons.len(), 1, "{reason}");
    assert!(reasons[0].starts_with("Separation of duties, version 1. Ledger and Payments must not"), "{}", reasons[0]);
    let basis: i64 = sqlx::query_scalar(
        "select (basis->'settings'->'separation'->>'version')::bigint from item order by id desc limit 1",
    )
    .fetch_one(&set.portal.owner)
    .await
    .unwrap();
    assert_eq!(basis, 1, "the plan names the version of the rules");
}

#[sqlx::test]
async fn what_is_left_is_taken_first(options: PgPoolOptions, connect: PgConnectOptions) {
    let set = Set::start(options, connect, Consequence::Refuse).await;
    // Anna is in Payments, as the directory says.
    let group: Uuid = sqlx::query_scalar("select native_id from entitlement where id = $1")
        .bind(set.payments)
        .fetch_one(&set.portal.owner)
        .await
        .unwrap();
    sqlx::query("insert into directory_group (system, native_id, name, dn, attributes) values ($1, $2, 'Payments', 'CN=Payments', '{}')")
        .bind(SYSTEM)
        .bind(group)
        .execute(&set.portal.owner)
        .await
        .unwrap();
    sqlx::query("insert into membership (system, group_id, member_id) values ($1, $2, $3)")
        .bind(SYSTEM)
        .bind(group)
        .bind(set.account)
        .execute(&set.portal.owner)
        .await
        .unwrap();
    refused(set.ask(&[("groups", set.company.ledger)], "kept").await);
    let number = set.ask(&[("groups", set.company.ledger), ("leave", set.payments)], "left").await.unwrap();
    let after: Vec<String> = sqlx::query_scalar(
        "select unnest(s.after) from step s join request r on r.id = s.request where r.number = $1 and s.name = 'ledger'",
    )
    .bind(number.0)
    .fetch_all(&set.portal.owner)
    .await
    .unwrap();
    assert_eq!(after, ["out-of-payments"], "the one waits until the other is gone");
}

#[sqlx::test]
async fn it_is_said_while_choosing(options: PgPoolOptions, connect: PgConnectOptions) {
    let set = Set::start(options, connect, Consequence::Refuse).await;
    set.hold(set.company.anna, set.payments).await;
    let manager = set.portal.browser_of(set.company.manager).await;
    let form = manager.get("/requests/new/access").await.filled("main form.columns");
    let person = [("person", "Anna Vogel (avogel)"), ("find", ""), ("go", "find")];
    let page = manager.post("/requests/new/access", &with(&form, &person)).await;
    assert!(page.find_all(".choice.off").join(" ").contains("Ledger and Payments must not be held together"));
    // Chosen all the same (an older page): told at the field, before anything is planned.
    let id = set.company.ledger.to_string();
    let wrong =
        manager.post("/requests/new/access", &with(&form, &[("person", "Anna Vogel (avogel)"), ("join", &id)])).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("must not be held together"), "{}", wrong.text);
    // Somebody who may not see what Anna holds is not told by it.
    let other = set.portal.browser_of(set.company.employee).await;
    let page = other.post("/requests/new/access", &with(&form, &person)).await;
    assert!(!page.text.contains("must not be held together"));
}

#[sqlx::test]
async fn a_rule_is_tried_on_those_who_hold_both_and_released(options: PgPoolOptions, connect: PgConnectOptions) {
    let set = Set::start(options, connect, Consequence::Refuse).await;
    let db = &set.portal.owner;
    set.hold(set.company.anna, set.company.ledger).await;
    set.hold(set.company.anna, set.payments).await;
    administrator(db, set.company.lead).await;
    let (one, other) = (set.portal.browser_of(set.company.admin).await, set.portal.browser_of(set.company.lead).await);
    let now = one.get("/settings/separation").await;
    assert!(now.text.contains("1 person holds what these rules keep apart"));
    assert!(now.text.contains("post and pay: Ledger and Payments"));
    let file = one.get("/exports/together.csv").await;
    assert!(file.text.contains("Anna Vogel,post and pay,Ledger,Payments"), "{}", file.text);
    let person = one.get(&format!("/people/{}", set.company.anna)).await;
    let notice = person.find(".note.warn").unwrap();
    assert!(notice.contains("Holds together what is kept apart: Ledger and Payments, by the rule “post and pay”."));
    assert!(notice.contains("One person could book an invoice and pay it."), "and why it matters: {notice}");
    assert!(person.find(".note.warn a[href='/settings/separation']").is_some(), "an administrator changes the rule");
    let asks = set.portal.browser_of(set.company.lead).await.get(&format!("/people/{}", set.company.anna)).await;
    let give_up = format!(".note.warn a[href='/requests/new/access?person={}']", set.company.anna);
    assert!(asks.find(&give_up).is_some(), "who may ask for access asks for less: {}", asks.text);
    // The rule is taken out, and another drawn up in the form: what is wrong is told at its field.
    let draft = one.post("/settings/drafts", &[("subject", "separation")]).await.location().to_owned();
    let page = one.get(&draft).await;
    assert!(page.text.contains("Ledger apart from Payments: cannot be asked for"), "by name: {}", page.text);
    assert!(page.find("button[value^=up], button[value^=down]").is_none(), "their order says nothing");
    // Also where a rule before it wants mending already.
    sqlx::query("update setting_draft set body = jsonb_set(body, '{rules,0,reason}', '\"\"')")
        .execute(db)
        .await
        .unwrap();
    let rule = format!("{draft}/rules/new");
    let form = one.get(&rule).await.filled("main form.columns");
    let nothing = one.post(&rule, &with(&form, &[("name", ""), ("reason", ""), ("then", "\"refuse\"")])).await;
    assert_eq!(nothing.status, StatusCode::UNPROCESSABLE_ENTITY);
    for told in ["Give the rule a name", "Say what somebody could do", "Name at least one entry"] {
        assert!(nothing.text.contains(told), "{told}: {}", nothing.text);
    }
    one.post(&draft, &with(&page.filled("main form.columns"), &[("what", "remove:0")])).await;
    let tried = one.get(&draft).await;
    let shown = tried.find_all(".changes > div").join(" / ");
    assert!(shown.contains("Rules removed: 1 · post and pay") && !shown.contains("Order"), "{shown}");
    assert!(shown.contains("Anna Vogel") && shown.contains("post and pay: Ledger and Payments"), "{shown}");
    let typed = [("name", "twice"), ("reason", "No."), ("one", "Ledger"), ("other", "Ledger"), ("then", "\"refuse\"")];
    let wrong = one.post(&rule, &with(&form, &typed)).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("Nothing can be kept apart from itself"), "{}", wrong.text);
    let right =
        [("name", "pay"), ("reason", "Two."), ("one", "Payments"), ("other", "Ledger"), ("then", "\"ask_security\"")];
    let kept = one.post(&rule, &with(&form, &right)).await;
    assert_eq!(kept.status, StatusCode::SEE_OTHER, "{:?}", kept.find_all(".form-errors, .error"));
    let form = one.get(&draft).await.filled("main form.columns");
    let proposed = one.post(&draft, &with(&form, &[("what", "propose"), ("note", "As agreed")])).await;
    assert_eq!(proposed.status, StatusCode::SEE_OTHER, "{:?}", proposed.find_all(".form-errors, .error"));
    let proposal = proposed.location().to_owned();
    let digest = other.get(&proposal).await.value("digest").unwrap_or_default();
    let released = other.post(&proposal, &[("answer", "release"), ("digest", &digest)]).await;
    assert_eq!(released.status, StatusCode::SEE_OTHER, "{}", released.text);
    let mut conn = set.portal.pool.acquire().await.unwrap();
    let in_force = catalog::separation(&mut conn).await.unwrap();
    assert_eq!((in_force.rules.len(), in_force.rules[0].consequence), (1, Consequence::AskSecurity));
}
