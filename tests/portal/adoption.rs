//! Adoption as a guided job: rules are tried, applied to exactly what was seen, switched; what nobody explains is listed.

use axum::http::StatusCode;
use scraper::Selector;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::target::SystemKey;
use uuid::Uuid;

use crate::support::Portal;
use crate::support::browser::Answer;
use crate::support::company::{SYSTEM, rules};

async fn account(db: &PgPool, user_name: &str, display_name: &str, mail: Option<&str>) -> Uuid {
    let id = Uuid::now_v7();
    sqlx::query(
        "insert into account (system, native_id, user_name, display_name, mail, dn, enabled, attributes)
         values ($1, $2, $3, $4, $5, 'CN=x,DC=corp', true, '{\"objectSid\": \"S-1-5-21-1-2-3-1200\"}')",
    )
    .bind(SYSTEM)
    .bind(id)
    .bind(user_name)
    .bind(display_name)
    .bind(mail)
    .execute(db)
    .await
    .unwrap();
    id
}

fn digest(page: &Answer, rule: &str) -> Option<String> {
    let selector = Selector::parse(&format!("form[action='/adoption/rules/{rule}'] input[name=digest]")).unwrap();
    page.html().select(&selector).next()?.value().attr("value").map(str::to_owned)
}

async fn of(db: &PgPool, account: Uuid) -> (Option<Uuid>, Option<String>) {
    sqlx::query_as("select person, linked_by_rule from account where native_id = $1")
        .bind(account)
        .fetch_one(db)
        .await
        .unwrap()
}

#[sqlx::test]
async fn a_rule_is_tried_and_links_exactly_what_was_seen(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let db = &portal.owner;
    let (ben, emil) = (account(db, "benvogt", "Room 4", None).await, account(db, "elang", "Room 5", None).await);
    let doubtful = account(db, "x1", "Ben Vogt", Some("somebody.else@example.com")).await;
    let service = account(db, "svc-scan", "Scanner", None).await;
    let admin = portal.browser_of(company.admin).await;
    let page = admin.get("/adoption/rules").await;
    assert!(page.text.contains("Room 4") && page.text.contains("Emil Lang"), "{}", page.text);
    assert_eq!(of(db, ben).await, (None, None), "looking links nothing");
    let seen = digest(&page, "user_name").unwrap();
    // Somebody new comes meanwhile: nothing is linked before it is looked at again.
    sqlx::query("update account set user_name = 'blang' where native_id = $1").bind(emil).execute(db).await.unwrap();
    let late = admin.post("/adoption/rules/user_name", &[("system", SYSTEM), ("digest", &seen)]).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.text.contains("have changed since you looked") && of(db, ben).await.0.is_none(), "{}", late.text);
    let seen = digest(&late, "user_name").unwrap();
    let done = admin.post("/adoption/rules/user_name", &[("system", SYSTEM), ("digest", &seen)]).await;
    assert_eq!(done.location(), "/adoption", "{}", done.text);
    assert_eq!(of(db, ben).await, (Some(company.ben.0), Some("user_name".to_owned())));
    assert!(of(db, emil).await.0.is_none() && of(db, service).await.0.is_none());
    let records: i64 =
        sqlx::query_scalar("select count(*) from evidence_record where action = 'account.linked' and actor = $1")
            .bind(company.admin)
            .fetch_one(db)
            .await
            .unwrap();
    assert_eq!(records, 1);
    let list = admin.get("/adoption?view=doubt").await;
    assert!(list.text.contains("in doubt: they have an account already"), "{}", list.text);
    assert!(list.text.contains(&doubtful.to_string()) && !list.text.contains(&emil.to_string()));
    assert!(admin.get("/adoption").await.find(".lead").unwrap().contains("1 of 4 accounts are decided about"));
}

#[sqlx::test]
async fn a_rule_that_is_only_tried_links_nothing_by_itself(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let db = &portal.owner;
    sqlx::query("update person set mail = 'ben@example.com' where id = $1")
        .bind(company.ben)
        .execute(db)
        .await
        .unwrap();
    let ben = account(db, "x4", "Room 4", Some("ben@example.com")).await;
    sqlx::query("insert into mirror_cursor (system) values ($1)").bind(SYSTEM).execute(db).await.unwrap();
    let admin = portal.browser_of(company.admin).await;
    let lead = portal.browser_of(company.lead).await;
    let refused = lead.post("/adoption/rules/mail/switch", &[("automatic", "no")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "the lead links, and switches nothing");
    assert!(lead.get("/adoption/rules").await.find("form[action='/adoption/rules/mail/switch']").is_none());
    let answer = admin.post("/adoption/rules/mail/switch", &[("automatic", "no")]).await;
    assert_eq!(answer.location(), "/adoption/rules");
    let system = SystemKey(SYSTEM.to_owned());
    let adopt =
        async || tenure::mirror::adoption::adopt(&portal.pool, &system, portal.clock.now()).await.unwrap().len();
    assert_eq!(adopt().await, 0);
    assert_eq!(of(db, ben).await.0, None);
    admin.post("/adoption/rules/mail/switch", &[("automatic", "yes")]).await;
    assert_eq!(adopt().await, 1);
    assert_eq!(of(db, ben).await, (Some(company.ben.0), Some("mail".to_owned())));
    let records: i64 = sqlx::query_scalar("select count(*) from evidence_record where action = 'adoption.changed'")
        .fetch_one(db)
        .await
        .unwrap();
    assert_eq!(records, 2);
    assert_eq!(admin.post("/adoption/rules/hand/switch", &[("automatic", "yes")]).await.status, StatusCode::NOT_FOUND);
}

#[sqlx::test]
async fn nobody_links_their_own_account_in_bulk(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let db = &portal.owner;
    let (given, family): (String, String) = sqlx::query_as("select given_name, family_name from person where id = $1")
        .bind(company.admin)
        .fetch_one(db)
        .await
        .unwrap();
    let own = account(db, &format!("{given}.{family}"), "Room 9", None).await;
    let ben = account(db, "benvogt", "Room 4", None).await;
    let admin = portal.browser_of(company.admin).await;
    let page = admin.get("/adoption/rules").await;
    assert!(
        page.text.contains("yours: somebody else links it") && page.text.contains("Link 1 account"),
        "{}",
        page.text
    );
    let seen = digest(&page, "user_name").unwrap();
    admin.post("/adoption/rules/user_name", &[("system", SYSTEM), ("digest", &seen)]).await;
    assert!(of(db, own).await.0.is_none() && of(db, ben).await.0.is_some());
}

#[sqlx::test]
async fn what_neither_rule_nor_request_explains_is_listed(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let db = &portal.owner;
    let (_, anna) = rules(&portal, &company).await;
    for (name, sql) in [
        (
            "All Hamburg",
            "insert into directory_group (system, native_id, name, dn, attributes) select system, native_id, name, 'CN=a', '{}' from entitlement where name = $1",
        ),
        (
            "Ledger",
            "insert into directory_group (system, native_id, name, dn, attributes) select system, native_id, name || left($1, 0), 'CN=b', '{}' from entitlement where name <> 'All Hamburg'",
        ),
        (
            "Old share",
            "insert into directory_group (system, native_id, name, dn, attributes) select system, gen_random_uuid(), $1, 'CN=c', '{}' from entitlement where name = 'All Hamburg'",
        ),
    ] {
        sqlx::query(sql).bind(name).execute(db).await.unwrap();
    }
    sqlx::query(
        "insert into membership (system, group_id, member_id) select system, native_id, $1 from directory_group",
    )
    .bind(anna)
    .execute(db)
    .await
    .unwrap();
    let admin = portal.browser_of(company.admin).await;
    let page = admin.get("/adoption/beyond").await;
    let rows = page.find_all("tbody tr");
    assert!(rows.iter().all(|row| !row.contains("All Hamburg")), "birthright gives it: {rows:?}");
    assert!(rows.iter().any(|row| row.contains("Old share") && row.contains("Not in the catalogue")), "{rows:?}");
    assert!(rows.iter().any(|row| row.contains("held before Tenure")), "{rows:?}");
    assert!(page.find(".lead").unwrap().contains(&format!("{} memberships of 1 person", rows.len())), "{}", page.text);
    assert_eq!(admin.get("/adoption/beyond?q=old").await.find_all("tbody tr").len(), 1);
    let employee = portal.browser_of(company.employee).await;
    for path in ["/adoption/beyond", "/adoption/rules"] {
        assert_eq!(employee.get(path).await.status, StatusCode::FORBIDDEN);
    }
}
