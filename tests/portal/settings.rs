//! Settings in the browser: proposed by one administrator, released by another, tried on who is there, dated, taken back.

use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool};
use tenure::access::{Actor, session};
use tenure::catalog::{self, proposals};
use tenure::ids::{PersonId, RequestNumber};
use tenure::mail;
use tenure::plan::RequestKind;
use tenure::plan::field::Raw;
use tenure::requests::RequestError;
use tenure::requests::submit::{Asked, submit};
use uuid::Uuid;

use crate::support::Portal;
use crate::support::browser::{Answer, Browser, with};
use crate::support::company::{Company, SYSTEM, administrator, rules};

pub struct Two {
    pub portal: Portal,
    pub company: Company,
    pub one: Browser,
    pub other: Browser,
}

impl Two {
    pub async fn start(options: PgPoolOptions, connect: PgConnectOptions) -> Self {
        Self::with(Portal::start(options, connect).await).await
    }

    pub async fn with(portal: Portal) -> Self {
        let company = portal.company().await;
        rules(&portal, &company).await;
        administrator(&portal.owner, company.lead).await;
        let (one, other) = (portal.browser_of(company.admin).await, portal.browser_of(company.lead).await);
        Self { portal, company, one, other }
    }

    pub async fn draft(&self, subject: &str) -> String {
        let begun = self.one.post("/settings/drafts", &[("subject", subject)]).await;
        assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text);
        begun.location().to_owned()
    }

    /// Sends the draft's form with these answers changed.
    pub async fn send(&self, draft: &str, changed: &[(&str, &str)]) -> Answer {
        let form = self.one.get(draft).await.filled("main form.columns");
        self.one.post(draft, &with(&form, changed)).await
    }

    pub async fn propose(&self, draft: &str, changed: &[(&str, &str)]) -> String {
        let fields = [changed, &[("what", "propose"), ("note", "As agreed")]].concat();
        let made = self.send(draft, &fields).await;
        assert_eq!(made.status, StatusCode::SEE_OTHER, "{:?}", made.find_all(".form-errors, .error"));
        made.location().to_owned()
    }

    pub async fn actor(&self, person: PersonId) -> Actor {
        let mut conn = self.portal.owner.acquire().await.unwrap();
        let token = session::open(&mut conn, self.portal.clock.now(), person, &session::From::default()).await.unwrap();
        Actor::Person(session::resume(&mut conn, &token, None).await.unwrap().unwrap().viewer)
    }

    /// Asks for that kind of request; its number.
    pub async fn ask(
        &self,
        actor: &Actor,
        kind: &str,
        answers: &[(&str, &str)],
    ) -> Result<RequestNumber, RequestError> {
        let pairs = answers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let kind = RequestKind::parse(kind).unwrap();
        let asked =
            Asked { kind, raw: Raw::from_pairs(pairs), nonce: Uuid::now_v7().to_string(), sent: None, seen: None };
        submit(&self.portal.pool, self.portal.clock.now(), actor, &asked).await
    }

    pub async fn release(&self, proposal: &str) -> Answer {
        let digest = self.other.get(proposal).await.value("digest").unwrap_or_default();
        self.other.post(proposal, &[("answer", "release"), ("digest", &digest)]).await
    }
}

pub fn tell<'a>(
    conn: &'a mut PgConnection,
    now: DateTime<Utc>,
    proposal: &'a proposals::Proposal,
) -> BoxFuture<'a, Result<(), catalog::CatalogError>> {
    Box::pin(mail::settings::answered(conn, now, proposal))
}

pub async fn state(db: &PgPool, proposal: &str) -> String {
    let id = proposal.rsplit('/').next().unwrap();
    sqlx::query_scalar("select state from setting_proposal where id::text = $1").bind(id).fetch_one(db).await.unwrap()
}

pub async fn records(db: &PgPool, action: &str) -> i64 {
    let count = sqlx::query_scalar("select count(*) from evidence_record where action = $1").bind(action);
    count.fetch_one(db).await.unwrap()
}

#[sqlx::test]
async fn a_naming_rule_is_changed_by_two_and_taken_back(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    let db = &two.portal.owner;
    let draft = two.draft("naming").await;
    // What cannot work is told at its field, and nothing typed is lost.
    let wrong = two.send(&draft, &[("user_name", "{{ family|ascii|lower }}"), ("what", "keep")]).await;
    let page = if wrong.status == StatusCode::SEE_OTHER { two.one.get(wrong.location()).await } else { wrong };
    assert!(page.text.contains("needs “{{ n }}”"), "{:?}", page.find_all(".field.wrong"));
    assert!(page.text.contains("{{ family|ascii|lower }}"));
    let refused = two.send(&draft, &[("what", "propose"), ("note", "x")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    // Family names first: the page shows what differs, and what it would have done to real people.
    let rule = "{{ family|ascii|lower|letters }}{{ given|ascii|lower|first(1) }}\n{{ family|ascii|lower|letters|first(15) }}{{ n }}";
    two.send(&draft, &[("user_name", rule), ("what", "keep")]).await;
    let page = two.one.get(&draft).await;
    let shown = page.find_all(".changes > div").join(" / ");
    assert!(shown.contains("Anna Vogel from avogel → to vogela"), "{shown}");
    let silent = two.send(&draft, &[("what", "propose"), ("note", " ")]).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(silent.text.contains("Say why"));
    let proposal = two.propose(&draft, &[]).await;
    assert_eq!(records(db, "setting.proposed").await, 1);
    // Not by whoever proposed it: neither by the page, nor past it, nor in the schema.
    let own = two.one.get(&proposal).await;
    assert!(own.text.contains("another administrator releases it") && own.find("button[value=release]").is_none());
    let digest: String = sqlx::query_scalar("select digest from setting_proposal").fetch_one(db).await.unwrap();
    let forced = two.one.post(&proposal, &[("answer", "release"), ("digest", &digest)]).await;
    assert_eq!(forced.status, StatusCode::CONFLICT);
    let past =
        sqlx::query("update setting_proposal set state = 'scheduled', decided_by = proposed_by, decided_at = now()");
    assert!(past.execute(db).await.unwrap_err().to_string().contains("setting_proposal_by_two"));
    let rewritten = sqlx::query("update setting_proposal set body = '{}'").execute(db).await.unwrap_err();
    assert!(rewritten.to_string().contains("one way"), "{rewritten}");
    let stale = two.other.post(&proposal, &[("answer", "release"), ("digest", "00")]).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    let released = two.release(&proposal).await;
    assert_eq!(released.status, StatusCode::SEE_OTHER, "{}", released.text);
    assert_eq!(state(db, &proposal).await, "in_force");
    let mut conn = two.portal.pool.acquire().await.unwrap();
    let now = catalog::rules(&mut conn).await.unwrap().naming;
    assert_eq!((now.version, now.body.user_name[0].as_str()), (2, rule.lines().next().unwrap()));
    let (proposer, releaser): (Uuid, Uuid) =
        sqlx::query_as("select proposed_by, released_by from setting_version where kind = 'naming' and version = 2")
            .fetch_one(db)
            .await
            .unwrap();
    assert_eq!((proposer, releaser), (two.company.admin.0, two.company.lead.0));
    // Back to the first version, as a version of its own.
    let begun = two.one.post("/settings/drafts", &[("subject", "naming"), ("version", "1")]).await;
    let proposal = two.propose(begun.location(), &[]).await;
    two.release(&proposal).await;
    let versions = catalog::history::<catalog::Naming>(&mut conn, 9).await.unwrap();
    assert_eq!(versions.len(), 3);
    assert_eq!((&versions[0].body, &versions[0].digest), (&versions[2].body, &versions[2].digest));
}

#[sqlx::test]
async fn what_is_dated_comes_into_force_at_its_time_and_the_second_is_overtaken(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let two = Two::start(options, connect).await;
    let db = &two.portal.owner;
    let past = [("from_day", "1"), ("from_month", "1"), ("from_year", "2020")];
    let draft = two.draft("retention").await;
    let wrong = two.send(&draft, &[&past[..], &[("what", "propose"), ("note", "x"), ("years", "8")]].concat()).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let day = [("from_day", "1"), ("from_month", "6"), ("from_year", "2035")];
    let mut proposals_made = Vec::new();
    for years in ["8", "9"] {
        let draft = two.draft("retention").await;
        let proposal = two.propose(&draft, &[&day[..], &[("years", years)]].concat()).await;
        assert_eq!(two.release(&proposal).await.status, StatusCode::SEE_OTHER);
        assert_eq!(state(db, &proposal).await, "scheduled");
        proposals_made.push(proposal);
    }
    let mut conn = two.portal.pool.acquire().await.unwrap();
    assert_eq!(catalog::retention(&mut conn).await.unwrap().years, 7);
    let due: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select min(from_at) from setting_proposal").fetch_one(db).await.unwrap();
    let pool = &two.portal.pool;
    assert_eq!(proposals::in_force_due(pool, due - TimeDelta::seconds(1), tell).await.unwrap(), 0);
    assert_eq!(proposals::in_force_due(pool, due, tell).await.unwrap(), 2);
    assert_eq!(catalog::retention(&mut conn).await.unwrap().years, 8);
    assert_eq!(state(db, &proposals_made[0]).await, "in_force");
    assert_eq!(state(db, &proposals_made[1]).await, "overtaken");
    assert_eq!(proposals::in_force_due(pool, due, tell).await.unwrap(), 0);
}

#[sqlx::test]
async fn routes_are_edited_rule_by_rule(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    let draft = two.draft("routes").await;
    let names = |page: &Answer| page.find_all("ul.rows strong");
    let before = names(&two.one.get(&draft).await);
    two.send(&draft, &[("what", "down:0")]).await;
    let after = names(&two.one.get(&draft).await);
    assert_eq!(after[0].trim_start_matches("1 · "), before[1].trim_start_matches("2 · "));
    // Every route as its form shows it is the route: nothing is lost by opening and keeping it.
    let count = before.len();
    let body = |draft: &str| draft.rsplit('/').next().unwrap().to_owned();
    let stored = async |id: String| -> serde_json::Value {
        sqlx::query_scalar("select body from setting_draft where id::text = $1")
            .bind(id)
            .fetch_one(&two.portal.owner)
            .await
            .unwrap()
    };
    let whole = stored(body(&draft)).await;
    for at in 0..count {
        let page = format!("{draft}/rules/{at}");
        let form = two.one.get(&page).await.filled("main form.form");
        let kept = two.one.post(&page, &with(&form, &[])).await;
        assert_eq!(kept.status, StatusCode::SEE_OTHER, "{at}: {:?}", kept.find_all(".field.wrong"));
    }
    assert_eq!(stored(body(&draft)).await, whole);
    // A route that asks nobody is refused where it is typed.
    let page = format!("{draft}/rules/new");
    let nobody = two.one.post(&page, &[("name", "Nobody"), ("kinds", "access")]).await;
    assert_eq!(nobody.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(nobody.text.contains("asks nobody"), "{:?}", nobody.find_all(".field.wrong"));
    let new = [
        ("name", "Security looks at everything in scope of SOX"),
        ("kinds", "access"),
        ("about", "\"entitlement\""),
        ("sox", "true"),
        ("stages.0.role", "\"security\""),
        ("stages.0.needed", "{\"count\":2}"),
        ("stages.0.reason", "Two of security look at it."),
    ];
    let added = two.one.post(&page, &new).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{:?}", added.find_all(".field.wrong"));
    let rules = stored(body(&draft)).await;
    let last = rules["routes"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        last,
        json!({"name": new[0].1, "kinds": ["access"], "about": "entitlement", "sox": true, "risks": [],
               "stages": [{"role": "security", "needed": {"count": 2}, "reason": new[6].1, "unless_asked_by_manager": false}]})
    );
    two.send(&draft, &[("what", &format!("remove:{count}"))]).await;
    assert_eq!(stored(body(&draft)).await, whole);
    let proposal = two.propose(&draft, &[]).await;
    assert_eq!(two.release(&proposal).await.status, StatusCode::SEE_OTHER);
}

#[sqlx::test]
async fn birthright_is_tried_on_who_is_there(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    let draft = two.draft("birthright").await;
    let page = format!("{draft}/rules/new");
    let unknown = two.one.post(&page, &[("name", "ledger"), ("entitlements", "No such thing")]).await;
    assert!(unknown.text.contains("“No such thing” is not in the catalogue") && unknown.text.contains("No such thing"));
    let ledger: String = sqlx::query_scalar("select name from entitlement where id = $1")
        .bind(two.company.ledger)
        .fetch_one(&two.portal.owner)
        .await
        .unwrap();
    two.one.post(&page, &[("name", "ledger"), ("entitlements", &ledger), ("when.type", "\"employee\"")]).await;
    let shown = two.one.get(&draft).await.find_all(".changes > div").join(" / ");
    assert!(shown.contains(&format!("Anna Vogel {ledger}")), "{shown}");
}

#[sqlx::test]
async fn an_entry_of_the_catalogue_is_added_and_changed_by_two(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    let (db, group) = (&two.portal.owner, Uuid::now_v7());
    sqlx::query("insert into directory_group (system, native_id, name, dn, attributes) values ($1, $2, 'APP-Payroll', 'CN=APP-Payroll,DC=corp', '{}')")
        .bind(SYSTEM)
        .bind(group)
        .execute(db)
        .await
        .unwrap();
    let page = two.one.get("/catalogue/new?q=payroll").await;
    assert!(page.text.contains("APP-Payroll"));
    let begun = two.one.post("/settings/drafts", &[("system", SYSTEM), ("native_id", &group.to_string())]).await;
    let draft = begun.location().to_owned();
    // What is in scope of SOX has an owner.
    let wrong = two.send(&draft, &[("sox", "yes"), ("what", "propose"), ("note", "x")]).await;
    assert!(wrong.text.contains("needs an owner"), "{:?}", wrong.find_all(".field.wrong"));
    let owner = format!("{} ({})", "Otto Owner", "nobody-such");
    let unknown = two.send(&draft, &[("owner", &owner), ("what", "keep")]).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unknown.text.contains("nobody-such"));
    let name: String = sqlx::query_scalar("select user_name from sign_in where person = $1")
        .bind(two.company.owner)
        .fetch_one(db)
        .await
        .unwrap();
    let proposal = two.propose(&draft, &[("owner", &name), ("sox", "yes"), ("risk", "\"high\"")]).await;
    let none: i64 = sqlx::query_scalar("select count(*) from entitlement where native_id = $1")
        .bind(group)
        .fetch_one(db)
        .await
        .unwrap();
    assert_eq!(none, 0, "nothing before it is released");
    assert_eq!(two.release(&proposal).await.status, StatusCode::SEE_OTHER);
    let (id, sox, risk, by): (Uuid, bool, String, Uuid) =
        sqlx::query_as("select id, sox, risk, owner from entitlement where native_id = $1")
            .bind(group)
            .fetch_one(db)
            .await
            .unwrap();
    assert_eq!((sox, risk.as_str(), by), (true, "high", two.company.owner.0));
    assert!(two.one.get(&format!("/catalogue/{id}")).await.text.contains("APP-Payroll"));
    let draft = two.draft(&format!("entitlement:{id}")).await;
    let proposal = two.propose(&draft, &[("description", "Payroll of all companies")]).await;
    // The command line changes the entry meanwhile: it was compared with something else.
    sqlx::query("update entitlement set risk = 'low' where id = $1").bind(id).execute(db).await.unwrap();
    let overtaken = two.release(&proposal).await;
    assert_eq!(overtaken.status, StatusCode::CONFLICT);
    assert!(overtaken.text.contains("Another version came into force"));
}

#[sqlx::test]
async fn a_site_works_by_its_calendar_and_a_system_is_held_back(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    let db = &two.portal.owner;
    let twice = two.one.post("/settings/drafts", &[("site", "Hamburg")]).await;
    assert_eq!(twice.status, StatusCode::UNPROCESSABLE_ENTITY);
    let strange = two.one.post("/settings/drafts", &[("site", "Lyon 2/b")]).await;
    assert!(strange.status == StatusCode::UNPROCESSABLE_ENTITY && strange.text.contains("Lyon 2/b"));
    let begun = two.one.post("/settings/drafts", &[("site", "Lyon 2")]).await;
    let draft = begun.location().to_owned();
    let half = two.send(&draft, &[("calendar.pause.0", "12:00"), ("what", "keep")]).await;
    assert!(half.text.contains("A break has a beginning and an end"));
    let changed = [
        ("zone", "Europe/Paris"),
        ("country", "FR"),
        ("calendar.pause.0", "12:00"),
        ("calendar.pause.1", "13:30"),
        ("calendar.holidays", "2026-12-25\n2027-01-01"),
    ];
    let proposal = two.propose(&draft, &changed).await;
    assert_eq!(two.release(&proposal).await.status, StatusCode::SEE_OTHER);
    let mut conn = two.portal.pool.acquire().await.unwrap();
    let site = tenure::people::whole_site(&mut conn, "Lyon 2").await.unwrap().unwrap();
    assert_eq!((site.zone.as_str(), site.calendar.unwrap().holidays.len()), ("Europe/Paris", 2));
    assert_eq!(two.one.get("/settings/site:Lyon%202").await.status, StatusCode::OK);
    let draft = two.draft(&format!("system:{SYSTEM}")).await;
    let proposal = two.propose(&draft, &[("observe_only", "yes")]).await;
    assert_eq!(two.release(&proposal).await.status, StatusCode::SEE_OTHER);
    let held: bool = sqlx::query_scalar("select held_back from target_system where key = $1")
        .bind(SYSTEM)
        .fetch_one(db)
        .await
        .unwrap();
    assert!(held && two.one.get("/settings").await.text.contains("observe only, by setting"));
}

#[sqlx::test]
async fn a_site_with_one_administrator_says_so(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::with(options, connect, |config| config.web.one_administrator = true).await;
    let two = Two::with(portal).await;
    let draft = two.draft("retention").await;
    let proposal = two.propose(&draft, &[("years", "10")]).await;
    let digest = two.one.get(&proposal).await.value("digest").unwrap();
    let released = two.one.post(&proposal, &[("answer", "release"), ("digest", &digest)]).await;
    assert_eq!(released.status, StatusCode::SEE_OTHER, "{}", released.text);
    let alone: bool = sqlx::query_scalar("select alone from setting_version where kind = 'retention' and version = 1")
        .fetch_one(&two.portal.owner)
        .await
        .unwrap();
    assert!(alone && two.one.get("/settings/retention").await.text.contains("released alone by"));
    let said: i64 = sqlx::query_scalar(
        "select count(*) from evidence_record where action in ('setting.approved', 'setting.released')
            and convert_from(canonical, 'UTF8')::jsonb -> 'detail' ->> 'alone' = 'true'",
    )
    .fetch_one(&two.portal.owner)
    .await
    .unwrap();
    assert_eq!(said, 2);
}

#[sqlx::test]
async fn mails_say_what_the_company_says(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    let draft = two.draft("mail").await;
    let wrong =
        two.send(&draft, &[("letters.submitted.opening", "{{ password }}"), ("what", "propose"), ("note", "x")]).await;
    assert!(wrong.text.contains("This template does not work"), "{:?}", wrong.find_all(".field.wrong"));
    let changed = [
        ("letters.submitted.subject", "We have your request"),
        ("letters.submitted.opening", "Dear {{ to }},\nthank you for {{ number }}."),
        ("footer", "Desk <desk@example.com>"),
    ];
    let proposal = two.propose(&draft, &changed).await;
    assert_eq!(two.release(&proposal).await.status, StatusCode::SEE_OTHER);
    let mut conn = two.portal.owner.acquire().await.unwrap();
    let token =
        session::open(&mut conn, two.portal.clock.now(), two.company.manager, &session::From::default()).await.unwrap();
    let manager = Actor::Person(session::resume(&mut conn, &token, None).await.unwrap().unwrap().viewer);
    let pairs =
        [("person", "avogel"), ("last_day", "2026-12-31")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let asked = Asked {
        kind: RequestKind::Leaver,
        raw: Raw::from_pairs(pairs),
        nonce: "worded".to_owned(),
        sent: None,
        seen: None,
    };
    submit(&two.portal.pool, two.portal.clock.now(), &manager, &asked).await.unwrap();
    let (subject, letter): (String, serde_json::Value) =
        sqlx::query_as("select subject, letter from outbox where template = 'submitted'")
            .fetch_one(&two.portal.owner)
            .await
            .unwrap();
    assert!(subject.ends_with("] We have your request"), "{subject}");
    let text = tenure::mail::text(letter, ("https://tenure.test", "Example")).unwrap();
    assert!(text.contains("thank you for REQ-") && text.ends_with("Desk <desk@example.com>\n"), "{text}");
}

#[sqlx::test]
async fn only_administrators_draft_and_release(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    let draft = two.draft("retention").await;
    // A draft is its author's alone.
    assert_eq!(two.other.get(&draft).await.status, StatusCode::NOT_FOUND);
    assert_eq!(two.other.post(&draft, &[("years", "9"), ("what", "keep")]).await.status, StatusCode::NOT_FOUND);
    let proposal = two.propose(&draft, &[("years", "9")]).await;
    for person in [two.company.employee, two.company.desk, two.company.auditor, two.company.security] {
        let browser = two.portal.browser_of(person).await;
        let begun = browser.post("/settings/drafts", &[("subject", "retention")]).await;
        assert_eq!(begun.status, StatusCode::FORBIDDEN);
        let digest: String =
            sqlx::query_scalar("select digest from setting_proposal").fetch_one(&two.portal.owner).await.unwrap();
        let released = browser.post(&proposal, &[("answer", "release"), ("digest", &digest)]).await;
        assert_eq!(released.status, StatusCode::FORBIDDEN);
    }
    let auditor = two.portal.browser_of(two.company.auditor).await;
    let read = auditor.get(&proposal).await;
    assert!(read.status == StatusCode::OK && read.find("button[value=release]").is_none());
    assert_eq!(state(&two.portal.owner, &proposal).await, "proposed");
}
