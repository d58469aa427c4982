//! A target system's page, and its connection tested: asked for in the browser, leased and answered by a worker.

use axum::http::StatusCode;
use chrono::TimeDelta;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::checks::{self, Finding, Health, Leased};

use crate::settings::{Two, records};
use crate::support::company::SYSTEM;

const PAGE: &str = "/system/ad:corp.example.com";
const CHECKS: &str = "/system/ad:corp.example.com/checks";

impl Two {
    async fn lease(&self, worker: &str) -> Option<Leased> {
        checks::lease(&self.portal.pool, worker).await.unwrap()
    }

    /// Every lease has run out.
    async fn silence(&self) {
        let query = "update connection_check set lease_until = now() - interval '1 second' where finished_at is null";
        sqlx::query(query).execute(&self.portal.owner).await.unwrap();
    }

    async fn finish(&self, leased: &Leased, worker: &str, findings: &[Finding]) -> bool {
        let mut tx = self.portal.pool.begin().await.unwrap();
        let done = checks::finish(&mut tx, self.portal.clock.now(), (leased, worker), findings).await.unwrap();
        tx.commit().await.unwrap();
        done
    }
}

#[sqlx::test]
async fn a_connection_is_tested_by_a_worker_and_told(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    let db = &two.portal.owner;
    let page = two.one.get(PAGE).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Nobody has tested this connection yet") && page.find("form button.chief").is_some());
    assert!(two.one.get("/system").await.text.contains(&format!("href=\"{PAGE}\"")));
    let wrong = two.one.post(CHECKS, &[("units", "Staff")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("is not a name such as") && wrong.text.contains("Staff</textarea>"));
    let asked = two.one.post(CHECKS, &[("units", " OU=New,DC=corp \n\n")]).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.text);
    let waits = two.one.get(PAGE).await;
    assert!(waits.text.contains("It waits for a worker") && waits.text.contains("hx-trigger=\"every"));
    // Asking again, by whomever, is the same check.
    two.other.post(CHECKS, &[("units", "")]).await;
    assert_eq!(records(db, "system.check_asked").await, 1);
    // No worker runs: the page says so, whenever it is looked at.
    two.portal.clock.set(two.portal.clock.now() + TimeDelta::seconds(6));
    assert!(two.one.get(CHECKS).await.text.contains("No worker has taken it up"));

    let first = two.lease("one").await.expect("a check waits");
    assert_eq!(first.units, ["OU=New,DC=corp"]);
    assert!(two.lease("two").await.is_none(), "one at a time");
    assert!(two.one.get(CHECKS).await.text.contains("A worker is at it"));
    two.silence().await;
    assert!(two.one.get(CHECKS).await.text.contains("went silent"));
    let second = two.lease("two").await.expect("left to the next");
    let found = [
        Finding::new(Health::Well, "ldaps://dc1 answers"),
        Finding {
            mend: vec!["dsacls \"OU=New\" /I:S".to_owned()],
            ..Finding::new(Health::Ill, "Reset passwords: <b>not</b>")
        },
    ];
    assert!(!two.finish(&first, "one", &[]).await, "it comes too late");
    assert!(two.finish(&second, "two", &found).await);
    assert_eq!(records(db, "system.checked").await, 1);
    let told = two.one.get(CHECKS).await;
    assert!(!told.text.contains("hx-trigger"), "nothing more to wait for");
    let rows = told.find_all(".findings li");
    assert!(rows[0].starts_with("to mendReset passwords: <b>not</b>"), "what is to be mended comes first: {rows:?}");
    assert!(told.text.contains("dsacls &#34;OU=New&#34;") && rows[1].starts_with("wellldaps://dc1"), "{}", told.text);
    assert!(told.text.contains("Asked by Adam Kern") && told.text.contains("It took "), "{}", told.text);
    // Who only looks sees it, and cannot have it done.
    for person in [two.company.desk, two.company.auditor] {
        let browser = two.portal.browser_of(person).await;
        let page = browser.get(PAGE).await;
        assert!(page.text.contains("Reset passwords") && page.find("form button.chief").is_none());
        assert_eq!(browser.post(CHECKS, &[]).await.status, StatusCode::FORBIDDEN);
    }
    let nobody = two.portal.browser_of(two.company.employee).await;
    assert_eq!(nobody.get(PAGE).await.status, StatusCode::FORBIDDEN);
    assert_eq!(two.one.get("/system/ad:nowhere").await.status, StatusCode::NOT_FOUND);
    assert_eq!(two.one.post("/system/ad:nowhere/checks", &[]).await.status, StatusCode::NOT_FOUND);
}

#[sqlx::test]
async fn a_check_that_kills_its_workers_is_given_up_and_old_ones_go(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    two.one.post(CHECKS, &[]).await;
    for _ in 0..3 {
        assert!(two.lease("one").await.expect("still worth a try").given_up().is_none());
        two.silence().await;
    }
    let last = two.lease("one").await.unwrap();
    let said = last.given_up().expect("three have died at it");
    assert!(two.finish(&last, "one", &[said]).await);
    assert!(two.one.get(PAGE).await.text.contains("3 workers began this check"));
    for _ in 0..25 {
        two.one.post(CHECKS, &[]).await;
        let leased = two.lease("one").await.unwrap();
        two.finish(&leased, "one", &[Finding::new(Health::Well, "fine")]).await;
    }
    let kept: i64 = sqlx::query_scalar("select count(*) from connection_check where system = $1")
        .bind(SYSTEM)
        .fetch_one(&two.portal.owner)
        .await
        .unwrap();
    assert_eq!(kept, 20);
    let page = two.one.get(PAGE).await;
    assert!(page.text.contains("Earlier tests") && page.text.contains("1 well"));
}

#[sqlx::test]
async fn a_system_and_its_setting_lead_to_each_other(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    let setting = format!("/settings/system:{SYSTEM}");
    let (links, back) = (format!("a[href='{setting}']"), format!("a.button[href='{PAGE}']"));
    for person in [two.company.admin, two.company.auditor] {
        let browser = two.portal.browser_of(person).await;
        assert_eq!(browser.get(PAGE).await.find(&links).as_deref(), Some("The setting and its versions"));
        assert_eq!(browser.get(&setting).await.find(&back).as_deref(), Some("The system’s page"));
    }
    // So does an entry of the catalogue; what has no page of its own leads nowhere.
    let ledger = two.company.ledger;
    let entry = two.one.get(&format!("/settings/entitlement:{ledger}")).await;
    assert!(entry.find(&format!("a.button[href='/catalogue/{ledger}']")).is_some(), "{}", entry.text);
    assert!(two.one.get("/settings/routes").await.find(".page-head a.button").is_none());
}
