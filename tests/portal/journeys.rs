//! What people come for, through the pages as a browser without scripts sends them.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tower::ServiceExt;

use crate::support::Portal;
use crate::support::browser::{Answer, Browser};
use crate::support::company::{Company, SYSTEM, rules};

async fn set(options: PgPoolOptions, connect: PgConnectOptions) -> (Portal, Company) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    rules(&portal, &company).await;
    (portal, company)
}

const WHO: [(&str, &str); 5] = numbered("E-4711");

const fn numbered(number: &'static str) -> [(&'static str, &'static str); 5] {
    [
        ("given_name", "Thị Lan"),
        ("family_name", "Nguyễn"),
        ("type", "employee"),
        ("employee_number", number),
        ("go", "continue"),
    ]
}

fn work() -> Vec<(&'static str, &'static str)> {
    vec![
        ("department", "Finance"),
        ("title", "Accountant"),
        ("site", "Hamburg"),
        ("manager", "Maria Keller (mkeller)"),
        ("start_on_day", "30"),
        ("start_on_month", "11"),
        ("start_on_year", "2026"),
        ("end_on_day", ""),
        ("end_on_month", ""),
        ("end_on_year", ""),
        ("go", "continue"),
    ]
}

/// Through the joiner's forms to "check your answers": that page, and the draft's address.
async fn joiner(manager: &Browser, ledger: &str) -> (Answer, String) {
    joiner_called(manager, ledger, &WHO).await
}

async fn joiner_called(manager: &Browser, ledger: &str, who: &[(&str, &str)]) -> (Answer, String) {
    let first = manager.get("/requests/new/joiner").await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text);
    let begun = manager.post("/requests/new/joiner", who).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text);
    let draft = begun.location().trim_end_matches("/work").to_owned();
    let filled = manager.get(begun.location()).await;
    assert_eq!(filled.value("manager").as_deref(), Some("Maria Keller (mkeller)"), "what is known is filled in");
    let on = manager.post(begun.location(), &work()).await;
    assert_eq!(on.location(), format!("{draft}/access"), "{}", on.text);
    let extra = manager.get(on.location()).await;
    assert!(extra.text.contains("All Hamburg"), "what comes by rule is told at the side");
    let check =
        manager.post(on.location(), &[("groups", ledger), ("reason", "Month-end closing"), ("go", "continue")]).await;
    assert_eq!(check.location(), format!("{draft}/check"), "{}", check.text);
    (manager.get(check.location()).await, draft)
}

fn hidden(page: &Answer, name: &str) -> Vec<String> {
    let html = page.html();
    let selector = scraper::Selector::parse(&format!("input[name=\"{name}\"]")).unwrap();
    html.select(&selector).filter_map(|input| input.value().attr("value").map(str::to_owned)).collect()
}

async fn send(manager: &Browser, check: &Answer) -> Answer {
    let (draft, digests) = (check.value("draft").unwrap(), hidden(check, "digest"));
    let mut fields = vec![("draft", draft.as_str()), ("nonce", draft.as_str())];
    fields.extend(digests.iter().map(|digest| ("digest", digest.as_str())));
    manager.post("/requests", &fields).await
}

#[sqlx::test]
async fn nobody_asks_for_what_they_have_not_seen(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let manager = portal.browser_of(company.manager).await;
    let ledger = company.ledger.to_string();
    // Two of one name: both are shown the logon name that only one of them can have.
    let (one, _) = joiner(&manager, &ledger).await;
    let (other, _) = joiner_called(&manager, &ledger, &numbered("E-4712")).await;
    assert!(one.text.contains("<ins>tnguyen</ins>") && other.text.contains("<ins>tnguyen</ins>"), "{}", other.text);
    assert_eq!(send(&manager, &other).await.location(), "/requests/1");
    let stale = send(&manager, &one).await;
    assert_eq!(stale.status, StatusCode::CONFLICT, "{}", stale.text);
    assert!(stale.text.contains("has changed while you were reading") && !stale.text.contains("<ins>tnguyen</ins>"));
    let count: i64 = sqlx::query_scalar("select count(*) from request").fetch_one(&portal.owner).await.unwrap();
    assert_eq!(count, 1, "nothing was asked for");
    assert_eq!(send(&manager, &stale).await.location(), "/requests/2", "what stands there now can be");
}

#[sqlx::test]
async fn a_joiner_is_asked_for_decided_and_seen(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let manager = portal.browser_of(company.manager).await;
    let ledger = company.ledger.to_string();
    let (check, _) = joiner(&manager, &ledger).await;
    assert_eq!(check.status, StatusCode::OK, "{}", check.text);
    for part in ["Nguyễn", "tnguyen", "All Hamburg", "Ledger", "Who decides", "Service desk"] {
        assert!(check.text.contains(part), "{part}: {}", check.text);
    }
    let sent = send(&manager, &check).await;
    assert_eq!(sent.location(), "/requests/1", "{}", sent.text);
    let again = send(&manager, &check).await;
    assert_eq!(again.location(), "/requests/1", "a second click finds the first one's request");
    let count: i64 = sqlx::query_scalar("select count(*) from request").fetch_one(&portal.owner).await.unwrap();
    assert_eq!(count, 1);

    let page = manager.get("/requests/1").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    for part in [
        "New joiner: Thị Lan Nguyễn",
        "REQ-000001",
        "Maria Keller",
        "asked for this",
        "Month-end closing",
        "Monday 30 November 2026",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert_eq!(
        manager.get("/requests/1/items/1/decision").await.find("form.decision"),
        None,
        "not about one's own request"
    );

    // The desk approves item 1, bound to the digest seen.
    let desk = portal.browser_of(company.desk).await;
    assert!(desk.get("/approvals").await.text.contains("Account and basic access"));
    assert!(desk.get("/queue").await.text.contains("REQ-000001"));
    let decision = "/requests/1/items/1/decision";
    let asks = desk.get(decision).await;
    let digest = asks.value("digest").unwrap();
    let without = desk.post(decision, &[("decision", "reject"), ("digest", &digest), ("comment", " ")]).await;
    assert_eq!(without.status, StatusCode::UNPROCESSABLE_ENTITY, "a rejection says why");
    let stale = desk.post(decision, &[("decision", "approve"), ("digest", "0000"), ("comment", "Looks right")]).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    assert!(stale.text.contains("This changed while you were reading") && stale.text.contains("Looks right"));
    let approved = desk.post(decision, &[("decision", "approve"), ("digest", &digest), ("comment", "Checked")]).await;
    assert_eq!(approved.location(), "/requests/1", "{}", approved.text);
    let page = desk.get("/requests/1").await;
    assert!(page.text.contains("approved item 1") && page.text.contains("Checked"), "{}", page.text);

    // The owner sees item 2 and not everything about the person.
    let owner = portal.browser_of(company.owner).await;
    let seen = owner.get("/requests/1").await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(seen.text.contains("Ledger") && !seen.text.contains("sAMAccountName"), "{}", seen.text);
    assert_eq!(owner.get("/requests/1/items/1/decision").await.status, StatusCode::NOT_FOUND);
    let asks = owner.get("/requests/1/items/2/decision").await;
    let digest = asks.value("digest").unwrap();
    let answer = owner.post("/requests/1/items/2/decision", &[("decision", "approve"), ("digest", &digest)]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);

    // Nobody else knows of it.
    let employee = portal.browser_of(company.employee).await;
    assert_eq!(employee.get("/requests/1").await.status, StatusCode::NOT_FOUND);
    assert_eq!(employee.get("/requests/1/events").await.status, StatusCode::NOT_FOUND);

    // The auditor reads what happened, record by record.
    let auditor = portal.browser_of(company.auditor).await;
    let history = auditor.get("/history?q=REQ-000001&kind=approval").await;
    let records: Vec<String> = history
        .html()
        .select(&scraper::Selector::parse("a[href^=\"/history/\"]").unwrap())
        .filter_map(|link| link.value().attr("href").map(str::to_owned))
        .collect();
    assert!(!records.is_empty(), "{}", history.text);
    let record = auditor.get(&records[0]).await;
    assert!(record.text.contains("Canonical") || record.text.contains("canonical"), "{}", record.text);
}

#[sqlx::test]
async fn errors_stand_at_their_field_and_nothing_typed_is_lost(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let manager = portal.browser_of(company.manager).await;
    let long = "x".repeat(300);
    let wrong = manager
        .post("/requests/new/joiner", &[("given_name", &long), ("family_name", " O'Brien "), ("go", "continue")])
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.find("#e-given_name").is_some_and(|error| error.contains("at most 64")), "{}", wrong.text);
    assert_eq!(wrong.value("family_name").as_deref(), Some("O'Brien"));
    assert_eq!(wrong.value("given_name").as_deref(), Some(long.as_str()));
    // It was kept as a draft and can be found again.
    assert!(manager.get("/requests/new").await.text.contains("Go on"));
    // A step skipped by typing addresses leads back to where something is missing.
    let begun = manager.post("/requests/new/joiner", &WHO).await;
    let draft = begun.location().trim_end_matches("/work").to_owned();
    let check = manager.get(&format!("{draft}/check")).await;
    assert_eq!(check.location(), format!("{draft}/work?check=mend"));
    assert!(manager.get(check.location()).await.find("#e-start_on").is_some());
    // Somebody else's draft is not there.
    let desk = portal.browser_of(company.desk).await;
    assert_eq!(desk.get(&format!("{draft}/who")).await.status, StatusCode::NOT_FOUND);
}

#[sqlx::test]
async fn names_from_outside_are_text_and_never_markup(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let hostile = "<script>alert(1)</script>\"'><img src=x>";
    sqlx::query("update person set display_name = $2, folded = lower($2) where id = $1")
        .bind(company.anna)
        .bind(hostile)
        .execute(&portal.owner)
        .await
        .unwrap();
    sqlx::query("update entitlement set name = $1, description = $1")
        .bind(hostile)
        .execute(&portal.owner)
        .await
        .unwrap();
    sqlx::query("update account set display_name = $1, dn = $1, user_name = $1")
        .bind(hostile)
        .execute(&portal.owner)
        .await
        .unwrap();
    let desk = portal.browser_of(company.lead).await;
    let manager = portal.browser_of(company.manager).await;
    let anna = format!("/people/{}", company.anna);
    let ledger = format!("/catalogue/{}", company.ledger);
    let searched = "/search?q=%3Cscript%3E";
    for path in [
        "/people",
        anna.as_str(),
        "/org",
        searched,
        "/search/people?q=script",
        "/search/suggest?q=script",
        "/catalogue",
        ledger.as_str(),
        "/requests/new/access",
    ] {
        for browser in [&desk, &manager] {
            let page = browser.get(path).await;
            assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
            assert!(!page.text.contains("<script>alert") && !page.text.contains("<img src=x"), "{path}");
        }
    }
}

/// A request about Anna's access to the ledger, asked by her manager.
async fn access(manager: &Browser, company: &Company) -> String {
    let ledger = company.ledger.to_string();
    let begun = manager
        .post(
            "/requests/new/access",
            &[
                ("person", "Anna Vogel (avogel)"),
                ("join", &ledger),
                ("limited", "yes"),
                ("until_day", "1"),
                ("until_month", "3"),
                ("until_year", "2027"),
                ("reason", "Cover"),
                ("go", "continue"),
            ],
        )
        .await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text);
    let check = manager.get(begun.location()).await;
    assert!(check.text.contains("until 1 March 2027"), "{}", check.text);
    send(manager, &check).await.location().to_owned()
}

#[sqlx::test]
async fn what_is_sent_back_is_changed_and_decided_again(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let (manager, owner) = (portal.browser_of(company.manager).await, portal.browser_of(company.owner).await);
    let address = access(&manager, &company).await;
    let decision = format!("{address}/items/1/decision");
    let digest = owner.get(&decision).await.value("digest").unwrap();
    let back = owner
        .post(&decision, &[("decision", "send_back"), ("digest", &digest), ("comment", "Until when exactly?")])
        .await;
    assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.text);
    let page = manager.get(&address).await;
    assert!(page.text.contains("Until when exactly?") && page.text.contains("sent back"), "{}", page.text);
    assert!(manager.get("/").await.text.contains("was sent back to you"));
    let draft = manager.post(&format!("{address}/answers"), &[]).await;
    let form = manager.get(draft.location()).await;
    assert_eq!(form.value("person").as_deref(), Some("Anna Vogel (avogel)"), "{}", form.text);
    assert_eq!(form.value("until_year").as_deref(), Some("2027"));
    let ledger = company.ledger.to_string();
    let changed = manager
        .post(
            draft.location(),
            &[
                ("person", "Anna Vogel (avogel)"),
                ("join", &ledger),
                ("limited", "yes"),
                ("until_day", "1"),
                ("until_month", "2"),
                ("until_year", "2027"),
                ("go", "continue"),
            ],
        )
        .await;
    let check = manager.get(changed.location()).await;
    assert_eq!(check.status, StatusCode::OK, "{}", check.text);
    let done = send(&manager, &check).await;
    assert_eq!(done.location(), address, "{}", done.text);
    let digest_now = owner.get(&decision).await.value("digest").unwrap();
    assert_ne!(digest, digest_now);
}

#[sqlx::test]
async fn comments_assignment_and_cancelling(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let (manager, desk) = (portal.browser_of(company.manager).await, portal.browser_of(company.desk).await);
    let address = access(&manager, &company).await;
    let empty = desk.post(&format!("{address}/comments"), &[("comment", " ")]).await;
    assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY);
    let mut said = desk.clone();
    let commented = desk.post(&format!("{address}/comments"), &[("comment", "On it")]).await;
    let told = commented.cookie().split(';').next().unwrap().to_owned();
    said.cookie = said.cookie.map(|cookie| format!("{cookie}; {told}"));
    let page = said.get(&address).await;
    assert!(page.find(".flash").is_some_and(|told| told.contains("Your comment")), "{}", page.text);
    assert!(page.cookie().starts_with("said=;") && page.cookie().contains("Max-Age=0"), "told once");
    assert!(manager.get(&address).await.text.contains("On it"));
    let took =
        desk.post("/queue/assignment", &[("number", "1"), ("assignee", "me"), ("back", "/queue?view=mine")]).await;
    assert_eq!(took.location(), "/queue?view=mine", "{}", took.text);
    assert!(desk.get("/queue?view=mine").await.text.contains("REQ-000001"));
    let outside =
        desk.post("/queue/assignment", &[("number", "1"), ("assignee", ""), ("back", "https://evil.test")]).await;
    assert_eq!(outside.location(), "/queue");
    assert_eq!(
        manager.post("/queue/assignment", &[("number", "1"), ("assignee", "me")]).await.status,
        StatusCode::FORBIDDEN
    );
    assert!(manager.get(&format!("{address}/cancellation")).await.text.contains("Cancel REQ-000001?"));
    let cancelled = manager.post(&format!("{address}/cancellation"), &[("reason", "Not needed")]).await;
    assert_eq!(cancelled.location(), address);
    let page = manager.get(&address).await;
    assert!(page.text.contains("cancelled") && page.text.contains("Not needed"), "{}", page.text);
    let again = manager.post(&format!("{address}/cancellation"), &[("reason", "x")]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
}

#[sqlx::test]
async fn an_immediate_leaver_is_seen_by_few(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let desk = portal.browser_of(company.desk).await;
    let begun =
        desk.post("/requests/new/leaver", &[("person", "avogel"), ("when", "immediate"), ("go", "continue")]).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text);
    let check = desk.get(begun.location()).await;
    let sent = send(&desk, &check).await;
    assert_eq!(sent.location(), "/requests/1", "{}", sent.text);
    for path in ["/history", "/history?q=REQ-000001", "/outbox"] {
        let auditor = portal.browser_of(company.auditor).await;
        let page = auditor.get(path).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(
            !page.text.contains("Immediate leaver") && !page.text.contains("request submitted"),
            "{path}: {}",
            page.text
        );
    }
    for (who, status) in [
        (company.desk, 200),
        (company.lead, 200),
        (company.manager, 404),
        (company.auditor, 404),
        (company.admin, 404),
        (company.employee, 404),
    ] {
        let browser = portal.browser_of(who).await;
        assert_eq!(browser.get("/requests/1").await.status.as_u16(), status);
        assert_eq!(browser.get("/search?q=leaver").await.text.contains("Immediate leaver"), status == 200);
    }
}

#[sqlx::test]
async fn a_page_is_told_when_something_moves(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let (manager, desk) = (portal.browser_of(company.manager).await, portal.browser_of(company.desk).await);
    let address = access(&manager, &company).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let state = tenure::web::AppState::new(
        portal.pool.clone(),
        portal.config.clone(),
        portal.clock.clone(),
        portal.stop.clone(),
    );
    let serving = tokio::spawn(tenure::web::run(state, listener));
    let client = crate::support::http();
    // What moves after the page was shown and before its stream is open is not missed.
    let page = manager.get(&address).await;
    let live = page.text.split_once("data-live=\"").and_then(|(_, rest)| rest.split_once('"')).unwrap().0.to_owned();
    desk.post(&format!("{address}/comments"), &[("comment", "Between")]).await;
    let mut stream = client
        .get(format!("http://{at}{live}"))
        .header("host", "tenure.test")
        .header("cookie", manager.cookie.clone().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(stream.status(), 200);
    assert!(stream.headers().get("content-encoding").is_none());
    let mut told = async || {
        let told = tokio::time::timeout(std::time::Duration::from_secs(10), stream.chunk()).await;
        String::from_utf8_lossy(&told.expect("told in time").unwrap().unwrap()).into_owned()
    };
    let said = told().await;
    assert!(said.contains("event: changed"), "{said}");
    // And what moves while it is open.
    desk.post(&format!("{address}/comments"), &[("comment", "Hello")]).await;
    let said = told().await;
    assert!(said.contains("event: changed") && said.contains("id: "), "{said}");
    let moved = manager.get(&format!("{address}/timeline")).await;
    assert!(moved.text.contains("Hello") && moved.text.contains("hx-swap-oob"), "{}", moved.text);
    portal.stop.cancel();
    tokio::time::timeout(std::time::Duration::from_secs(15), serving)
        .await
        .expect("streams end at the stop")
        .unwrap()
        .unwrap();
}

#[sqlx::test]
async fn an_account_without_a_person_is_linked_by_hand(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let orphan = uuid::Uuid::now_v7();
    sqlx::query(
        "insert into account (system, native_id, user_name, display_name, dn, enabled, attributes)
         values ('ad:corp.example.com', $1, 'elang', 'Emil Lang', 'CN=Emil Lang,DC=corp', true, '{}')",
    )
    .bind(orphan)
    .execute(&portal.owner)
    .await
    .unwrap();
    let admin = portal.browser_of(company.admin).await;
    assert!(admin.get("/adoption").await.text.contains("elang"));
    let address = format!("/adoption/{orphan}");
    assert!(admin.get(&address).await.text.contains("Emil Lang"));
    let wrong = admin.post(&address, &[("link", "person"), ("person", "nobody"), ("comment", "")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let own = admin.post(&address, &[("link", "person"), ("person", "akern"), ("comment", "It is mine")]).await;
    assert_eq!(own.status, StatusCode::FORBIDDEN, "never to oneself");
    let linked = admin
        .post(&address, &[("link", "person"), ("person", "Emil Lang (elang)"), ("comment", "Same name and mail")])
        .await;
    assert_eq!(linked.location(), "/adoption", "{}", linked.text);
    assert!(admin.get(&format!("/people/{}", company.employee)).await.text.contains("elang"));
    let auditor = portal.browser_of(company.auditor).await;
    assert_eq!(auditor.get(&address).await.status, StatusCode::OK);
    assert_eq!(auditor.post(&address, &[("link", "nobody")]).await.status, StatusCode::FORBIDDEN);
}

/// Every page and form × every role, on somebody else's objects: complete, as an auditor can read it.
#[sqlx::test]
async fn who_gets_where(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let manager = portal.browser_of(company.manager).await;
    access(&manager, &company).await;
    let nobody = uuid::Uuid::nil();
    let routes: Vec<(Method, String)> = crate::safety::routes()
        .into_iter()
        .map(|(method, route)| {
            let path = route
                .replace("/people/{id}", &format!("/people/{}", company.ben))
                .replace("/catalogue/{id}", &format!("/catalogue/{}", company.ledger))
                .replace("/settings/{subject}", "/settings/routes")
                .replace("{rule}", "0")
                .replace("{key}", SYSTEM)
                .replace("{file}", "history.csv")
                .replace("/requests/new/{kind}", "/requests/new/joiner")
                .replace("/steps/{step}", &format!("/steps/{nobody}"))
                .replace("{number}", "1")
                .replace("{item}", "1")
                .replace("/drafts/{id}/{step}", &format!("/drafts/{nobody}/who"))
                .replace("{name}", "tenure.css")
                .replace("{id}", &nobody.to_string())
                .replace("{account}", &nobody.to_string())
                .replace("{delegation}", &nobody.to_string())
                .replace("{record}", &nobody.to_string());
            (method, path)
        })
        .filter(|(_, path)| !path.ends_with("/events") && !path.starts_with("/sign") && !path.starts_with("/api/"))
        .collect();
    let filled = [
        ("comment", "x"),
        ("reason", "x"),
        ("decision", "approve"),
        ("digest", "0"),
        ("assignee", "me"),
        ("number", "1"),
        ("link", "nobody"),
    ];
    let mut table = format!("{:<70}", "");
    let everybody = company.everybody();
    everybody.iter().for_each(|(name, _)| table.push_str(&format!("{name:<14}")));
    for (method, path) in routes {
        let shown = path
            .replace(&nobody.to_string(), "{nobody}")
            .replace(&company.ben.to_string(), "{Ben}")
            .replace(&company.ledger.to_string(), "{Ledger}");
        table.push_str(&format!("\n{:<70}", format!("{method} {shown}")));
        for (_, person) in everybody {
            let browser = portal.browser_of(person).await;
            let status = match method {
                Method::GET => {
                    let request = browser.request(Method::GET, &path).body(Body::empty()).unwrap();
                    portal.app.clone().oneshot(request).await.unwrap().status()
                }
                _ => {
                    // Each on a request of its own: one role's cancelling must not decide another's answer.
                    let mut path = path.clone();
                    if path.starts_with("/requests/1/") {
                        let asker = portal.browser_of(company.manager).await;
                        path = path.replacen("/requests/1", &access(&asker, &company).await, 1);
                    }
                    browser.post(&path, &filled).await.status
                }
            };
            assert!(!status.is_server_error(), "{method} {path}");
            table.push_str(&format!("{:<14}", status.as_u16()));
        }
    }
    let table: Vec<&str> = table.lines().map(str::trim_end).collect();
    insta::assert_snapshot!(table.join("\n"));
}

#[sqlx::test]
async fn a_password_reaches_one_person_once(options: PgPoolOptions, connect: PgConnectOptions) {
    use tenure::changes::{lease, perform, secret, settle};
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let (_, account) = rules(&portal, &company).await;
    let desk = portal.browser_of(company.desk).await;
    let begun =
        desk.post("/requests/new/password_reset", &[("person", "Anna Vogel (avogel)"), ("go", "continue")]).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text);
    let check = desk.get(begun.location()).await;
    assert_eq!(send(&desk, &check).await.location(), "/requests/1", "{}", check.text);

    // The worker does it.
    let target = crate::support::scripted::Scripted::new(crate::support::company::SYSTEM);
    target.put(account, serde_json::from_str("{\"enabled\": true}").unwrap());
    let vault = std::sync::Arc::new(secret::Vault::from_hex(&secret::Vault::generate()).unwrap());
    let now = portal.clock.now();
    let mut tx = portal.pool.begin().await.unwrap();
    let terms = lease::Terms { worker: "test", lease_seconds: 60, run: &1 };
    let lease::Lease::Taken(run) = lease::lease(&mut tx, now, terms).await.unwrap() else { panic!("nothing is due") };
    tx.commit().await.unwrap();
    let outcome = perform::perform(&portal.pool, &target, &vault, &[&run[0]]).await.remove(0);
    let mut tx = portal.pool.begin().await.unwrap();
    settle::settle(&mut tx, now, &[(&run[0], &outcome)]).await.unwrap();
    tx.commit().await.unwrap();
    let password = target.passwords().pop().expect("a password was set");

    // Whoever asked is told where it is; nobody else finds it.
    let page = desk.get("/requests/1").await;
    let id: uuid::Uuid = sqlx::query_scalar("select id from secret").fetch_one(&portal.owner).await.unwrap();
    let address = format!("/secrets/{id}");
    assert!(page.text.contains(&address) && !page.text.contains(&password), "{}", page.text);
    for other in [company.lead, company.manager, company.anna, company.auditor, company.admin] {
        let browser = portal.browser_of(other).await;
        assert_eq!(browser.get(&address).await.status, StatusCode::NOT_FOUND);
        assert_eq!(browser.post(&address, &[]).await.status, StatusCode::NOT_FOUND);
    }
    let looked = desk.get(&address).await;
    assert!(looked.text.contains("Reveal it now") && !looked.text.contains(&password), "looking reveals nothing");

    // The worker reseals meanwhile, so that one press is enough.
    let (pool, stop) = (portal.pool.clone(), portal.stop.clone());
    let worker = tokio::spawn(async move {
        while !stop.is_cancelled() {
            secret::deliver(&pool, &vault).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    let shown = desk.post(&address, &[]).await;
    assert!(shown.find("#secret").is_some_and(|text| text == password), "{}", shown.text);
    assert_eq!(shown.headers["cache-control"], "no-store");
    assert!(shown.cookie().starts_with("reveal-") && shown.cookie().contains("Max-Age=0"), "{}", shown.cookie());
    let again = desk.post(&address, &[]).await;
    assert!(again.text.contains("It was revealed before") && !again.text.contains(&password), "{}", again.text);
    portal.stop.cancel();
    worker.await.unwrap();

    // It is nowhere: not in evidence, not in mail, not in any plain column.
    let tables: Vec<String> = sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public'")
        .fetch_all(&portal.owner)
        .await
        .unwrap();
    for table in tables {
        let query = format!(
            "select count(*) from \"{table}\" t where t::text like '%' || $1 || '%' or t::text like '%' || $2 || '%'"
        );
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .bind(&password)
            .bind(hex::encode(&password))
            .fetch_one(&portal.owner)
            .await
            .unwrap();
        assert_eq!(found, 0, "{table}");
    }
    let page = desk.get("/requests/1").await;
    assert!(page.text.contains("saw the password, once"), "{}", page.text);
}
