//! What is said of much: counts as far as they are counted, searching in a company where many have a name.

use axum::http::StatusCode;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::Portal;
use crate::support::company::person;

#[sqlx::test]
async fn a_long_queue_is_counted_so_far_and_says_so(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    sqlx::query(
        "insert into request (id, number, kind, state, title, subject, asked_by, asked_at, answers, nonce, resolve_by,
                              respond_by, first_response_at)
         select gen_random_uuid(), k, 'access', 'deciding', 'Access ' || k, $1, $1, now(), '{}', 'n' || k,
                case when k % 2 = 0 then now() + make_interval(days => 10, mins => k) end,
                case when k % 3 = 0 then now() + make_interval(days => 10, mins => 2 * k) end, case when k % 5 = 0 then now() end
           from generate_series(1, 1100) k",
    )
    .bind(company.anna)
    .execute(&portal.owner)
    .await
    .unwrap();
    let desk = portal.browser_of(company.desk).await;
    let page = desk.get("/queue").await.text;
    assert!(page.contains("1,000+ open") && page.contains("99+"), "{page}");
    assert!(page.contains("REQ-000002") && !page.contains("REQ-000001"), "what breaches next stands first");
    assert!(desk.get("/").await.text.contains("1,000+"));
    // What has no clock comes last, and every page follows from the one before.
    let (mut path, mut seen) = ("/queue".to_owned(), 0);
    loop {
        let text = desk.get(&path).await.text;
        let document = scraper::Html::parse_document(&text);
        let rows = scraper::Selector::parse("input[name=number]").unwrap();
        seen += document.select(&rows).count();
        let links = scraper::Selector::parse("a[rel=next]").unwrap();
        let Some(next) = document.select(&links).next() else { break };
        path = next.value().attr("href").unwrap().to_owned();
    }
    assert_eq!(seen, 1100);
    let manager = portal.browser_of(company.manager).await;
    assert!(manager.get("/requests?view=all").await.text.contains("1,000+ open"), "Anna's, whose manager she is");
    let nobody = portal.browser_of(company.employee).await;
    assert!(nobody.get("/requests?view=all").await.text.contains("0 open"));
}

#[sqlx::test]
async fn somebody_is_found_while_many_have_a_name(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let place = (company.site, company.department);
    for at in 0..26 {
        let family = format!("Mu{}", char::from(b'a' + at));
        person(&portal.owner, place, ("Marta", &family, &format!("marta{at}")), None).await;
    }
    person(&portal.owner, place, ("Zoe", "Marquardt", "zmarq"), None).await;
    let gone = person(&portal.owner, place, ("Marlon", "Never", "mnever"), None).await;
    sqlx::query("update person set state = 'withdrawn' where id = $1").bind(gone).execute(&portal.owner).await.unwrap();
    let desk = portal.browser_of(company.desk).await;
    let found = async |path: &str, typed: &str| {
        let answer = desk.get(&format!("{path}?q={typed}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.text
    };
    for (typed, name) in [
        ("marq", "Zoe Marquardt"),
        ("zmar", "Zoe Marquardt"),
        ("quardt", "Zoe Marquardt"),
        ("zoe+marqu", "Zoe Marquardt"),
        ("Marquart", "Zoe Marquardt"),
        ("kell", "Maria Keller"),
        ("M%C3%A1ria", "Maria Keller"),
    ] {
        for path in ["/search/suggest", "/search/people", "/people"] {
            assert!(found(path, typed).await.contains(name), "{typed} at {path}");
        }
    }
    assert!(found("/search/suggest", "mart").await.contains("Marta Mu"));
    assert!(!found("/people", "marlon").await.contains("Marlon Never"), "who never came is in no list");
    assert!(found("/people", "marta").await.contains("26 people"));
}
