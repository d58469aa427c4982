//! Signing in, one's own things, the commands, adoption, erasing, bundles.

use axum::http::StatusCode;
use tenure::access::{Role, roles, sign_in};
use tenure::catalog::{self, NewEntitlement, Retention, Risk};
use tenure::evidence::By;
use tenure::mirror::linking;
use tenure::people::{self, SiteData};
use tenure::target::SystemKey;
use uuid::Uuid;

use super::walk::Walk;
use crate::support::company::SYSTEM;

const PASSWORD: &str = "correct horse battery";

fn command() -> By {
    By { via: "command".to_owned(), ..By::default() }
}

pub async fn signing_in(walk: &mut Walk) {
    let (pool, now, company) = (walk.portal.pool.clone(), walk.portal.clock.now(), walk.company);
    walk.set("delete from sign_in where user_name = 'elang'").await;
    walk.set("update sign_in set user_name = 'lead', user_name_folded = 'lead' where user_name = 'lroth'").await;
    walk.noted("command: a sign-in", async {
        let mut tx = pool.begin().await.unwrap();
        sign_in::create(&mut tx, now, &command(), company.employee, ("elang", PASSWORD)).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    let mut browser = walk.portal.browser();
    let fields = [("user", "elang"), ("password", PASSWORD)];
    let opened = walk.did("POST /signin", browser.post("/signin", &fields)).await;
    browser.cookie = opened.cookie().split(';').next().map(str::to_owned);
    let csrf = browser.get("/me").await.value("csrf").unwrap();
    walk.did("POST /signout", browser.post_raw("/signout", &[("csrf", csrf.as_str())])).await;
    let visitor = walk.portal.browser();
    walk.did("POST /signin/demo", visitor.post("/signin/demo", &[("user", "lead")])).await;

    let (ben, _other) = (walk.portal.browser_of(company.ben).await, walk.portal.browser_of(company.ben).await);
    let other = walk.id("select s.id from session s join person p on p.id = s.person where p.given_name = 'Ben' order by s.id desc limit 1").await;
    walk.did("POST /me/sessions/{id}/end", ben.post(&format!("/me/sessions/{other}/end"), &[])).await;
    let _third = walk.portal.browser_of(company.ben).await;
    walk.did("POST /me/sessions/end-others", ben.post("/me/sessions/end-others", &[])).await;
}

pub async fn tokens_and_delegations(walk: &mut Walk) {
    let owner = walk.portal.browser_of(walk.company.owner).await;
    let token = [("name", "Nightly"), ("scope", "requests:read"), ("days", "30")];
    walk.did("POST /me/tokens", owner.post("/me/tokens", &token)).await;
    let id = walk.id("select id from api_token where name = 'Nightly'").await;
    walk.did("POST /me/tokens/{id}/revoke", owner.post(&format!("/me/tokens/{id}/revoke"), &[])).await;
    let days = [
        ("to", "dweiss"),
        ("from_day", "1"),
        ("from_month", "12"),
        ("from_year", "2026"),
        ("until_day", "5"),
        ("until_month", "12"),
        ("until_year", "2026"),
    ];
    walk.did("POST /me/delegations", owner.post("/me/delegations", &days)).await;
    let id = walk.id("select id from delegation").await;
    walk.did("POST /me/delegations/{id}/end", owner.post(&format!("/me/delegations/{id}/end"), &[])).await;
    // The same by the lead, for who is ill.
    let lead = walk.portal.browser_of(walk.company.lead).await;
    let theirs = format!("/people/{}/delegations", walk.company.owner);
    walk.did("POST /people/{id}/delegations", lead.post(&theirs, &days)).await;
    let id = walk.id("select id from delegation where ended_at is null").await;
    let name = "POST /people/{id}/delegations/{delegation}/end";
    walk.did(name, lead.post(&format!("{theirs}/{id}/end"), &[])).await;
}

const PEOPLE: &str = "employee_number,given_name,family_name,type,department,title,site,manager_employee_number,first_day,last_day,mail,phone,user_name
I-1,Ida,Imp,employee,Finance,Clerk,Kiel,,2020-01-01,,ida@example.com,,
";

pub async fn commands(walk: &mut Walk) {
    let (pool, now, company) = (walk.portal.pool.clone(), walk.portal.clock.now(), walk.company);
    walk.noted("command: a site", async {
        let mut tx = pool.begin().await.unwrap();
        let site = SiteData { code: "Kiel", name: "Kiel", zone: "Europe/Berlin", country: "DE" };
        people::site(&mut tx, now, &command(), &site).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    for (name, text) in [
        ("command: people imported", PEOPLE.to_owned()),
        ("command: people imported again", PEOPLE.replace("Clerk", "Head")),
    ] {
        walk.noted(name, async {
            people::import(&pool, now, &command(), text.as_bytes()).await.unwrap().unwrap();
        })
        .await;
    }
    for (name, gives) in [("command: a role given", true), ("command: a role taken", false)] {
        walk.noted(name, async {
            let mut tx = pool.begin().await.unwrap();
            if gives {
                roles::give(&mut tx, now, &command(), company.employee, Role::Desk).await.unwrap();
            } else {
                roles::take(&mut tx, now, &command(), company.employee, Role::Desk).await.unwrap();
            }
            tx.commit().await.unwrap();
        })
        .await;
    }
    walk.noted("command: a sign-in closed", async {
        let mut tx = pool.begin().await.unwrap();
        sign_in::disable(&mut tx, now, &command(), company.employee).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    walk.noted("command: a target system", async {
        let mut tx = pool.begin().await.unwrap();
        let key = SystemKey("ad:other".to_owned());
        catalog::target_system(&mut tx, now, &command(), &key, ("Other", true), &catalog::SystemFacts::default())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    let mut entitlement = NewEntitlement {
        system: SystemKey("ad:other".to_owned()),
        held: catalog::Held::GroupMembership,
        native_id: Uuid::now_v7(),
        right: String::new(),
        name: "Archive".to_owned(),
        description: String::new(),
        owner: None,
        risk: Risk::Low,
        sox: false,
        requestable: false,
    };
    for name in ["command: an entitlement", "command: an entitlement changed"] {
        walk.noted(name, async {
            let mut tx = pool.begin().await.unwrap();
            catalog::add(&mut tx, now, &command(), &entitlement).await.unwrap();
            tx.commit().await.unwrap();
        })
        .await;
        entitlement.risk = Risk::High;
    }
    walk.noted("command: a setting", async {
        let mut tx = pool.begin().await.unwrap();
        catalog::release(&mut tx, now, &command(), &Retention::default(), "As the law has it").await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
}

pub async fn adoption(walk: &mut Walk) {
    let admin = walk.portal.browser_of(walk.company.admin).await;
    for (choice, person) in [("person", "Ben Vogt (bvogt)"), ("service", ""), ("nobody", "")] {
        let account = Uuid::now_v7();
        sqlx::query(
            "insert into account (system, native_id, user_name, display_name, dn, enabled, attributes)
             values ($1, $2, $2::text, $3, 'CN=x,DC=corp', true, '{}')",
        )
        .bind(SYSTEM)
        .bind(account)
        .bind(choice)
        .execute(&walk.portal.owner)
        .await
        .unwrap();
        let fields = [("link", choice), ("person", person), ("comment", "Asked around")];
        let name = format!("POST /adoption/{{account}} ({choice})");
        walk.did(&name, admin.post(&format!("/adoption/{account}"), &fields)).await;
        if choice == "person" {
            let (pool, now) = (walk.portal.pool.clone(), walk.portal.clock.now());
            walk.noted("command: an account unlinked", async {
                let mut tx = pool.begin().await.unwrap();
                let system = SystemKey(SYSTEM.to_owned());
                assert!(linking::unlink(&mut tx, now, &command(), (&system, account), "Not his").await.unwrap());
                tx.commit().await.unwrap();
            })
            .await;
        }
    }
}

pub async fn erasures(walk: &mut Walk) {
    let admin = walk.portal.browser_of(walk.company.admin).await;
    let security = walk.portal.browser_of(walk.company.security).await;
    for decision in ["reject", "approve"] {
        let id = Uuid::now_v7();
        sqlx::query(
            "insert into person (id, given_name, family_name, display_name, state, source, folded)
             values ($1, 'Otto', $2, 'Otto ' || $2, 'left', 'seed', 'otto')",
        )
        .bind(id)
        .bind(decision)
        .execute(&walk.portal.owner)
        .await
        .unwrap();
        sqlx::query(
            "insert into employment (id, person, type, site, department, title, first_day, last_day, source)
             values ($1, $2, 'employee', $3, $4, 'Clerk', '2001-01-01', '2010-12-31', 'seed')",
        )
        .bind(Uuid::now_v7())
        .bind(id)
        .bind(walk.company.site)
        .bind(walk.company.department)
        .execute(&walk.portal.owner)
        .await
        .unwrap();
        let proposal = [("basis", "retention"), ("reason", "Yearly list")];
        let proposed =
            walk.did("POST /people/{id}/erasure", admin.post(&format!("/people/{id}/erasure"), &proposal)).await;
        let address = proposed.location().to_owned();
        let fields = [("decision", decision), ("comment", "Looked at")];
        walk.did(&format!("POST /erasures/{{id}} ({decision})"), security.post(&address, &fields)).await;
    }
    walk.working("routine: erase-persons", "select exists (select from erasure where state = 'done')").await;
}

pub async fn bundle(walk: &mut Walk) {
    walk.work("select count(*) > 100 and count(*) > (select count(*) from evidence_record) - 5 from evidence_leaf")
        .await;
    let auditor = walk.portal.browser_of(walk.company.auditor).await;
    let taken = walk.did("POST /history/bundle", auditor.post("/history/bundle", &[("request", "1")])).await;
    assert_eq!(taken.status, StatusCode::OK);
}

/// Sessions run out.
pub async fn forgotten(walk: &mut Walk) {
    let _ben = walk.portal.browser_of(walk.company.ben).await;
    walk.set("update session set last_seen_at = now() - interval '31 minutes' where ended_at is null").await;
    walk.working("routine: forget", "select not exists (select from session where ended_at is null)").await;
}
