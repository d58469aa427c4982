//! Lists as CSV: the page's rows by the page's filter, for whoever may see the page, streamed to their end.

use axum::http::{StatusCode, header};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::Portal;
use crate::support::browser::Answer;
use crate::support::company::rules;

/// The rows of a file, its header first.
fn rows(answer: &Answer) -> Vec<Vec<String>> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert!(answer.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/csv"));
    let text = answer.text.strip_prefix('\u{feff}').expect("begins with a byte order mark");
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[sqlx::test]
async fn a_file_has_the_pages_rows_and_no_formula(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    rules(&portal, &company).await;
    sqlx::query("update person set display_name = '=HYPERLINK(\"http://x\";\"Emil, \"\"Lang\"\"\")' where id = $1")
        .bind(company.employee)
        .execute(&portal.owner)
        .await
        .unwrap();
    let desk = portal.browser_of(company.desk).await;
    let page = desk.get("/people").await;
    assert!(page.text.contains("href=\"/exports/people.csv?\""));
    let file = desk.get("/exports/people.csv").await;
    let name = file.headers[header::CONTENT_DISPOSITION].to_str().unwrap().to_owned();
    assert!(name.starts_with("attachment; filename=\"people-20") && name.ends_with(".csv\""), "{name}");
    let found = rows(&file);
    let count: i64 = sqlx::query_scalar("select count(*) from person").fetch_one(&portal.owner).await.unwrap();
    assert_eq!(found.len() as i64, count + 1);
    assert_eq!(found[0][..3], ["name", "user_name", "state"]);
    assert!(found.iter().any(|row| row[0].starts_with("'=HYPERLINK")), "{found:?}");
    let some = rows(&desk.get("/exports/people.csv?q=vogel").await);
    assert!(some.len() == 2 && some[1][0] == "Anna Vogel", "{some:?}");
    // Everybody sees who is here, not how they stand.
    let employee = portal.browser_of(company.employee).await;
    let theirs = rows(&employee.get("/exports/people.csv").await);
    assert!(theirs.len() > 2 && theirs[1..].iter().all(|row| row[2].is_empty() && row[7].is_empty()), "{theirs:?}");
}

#[sqlx::test]
async fn the_history_is_taken_whole_and_taking_it_is_a_record(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let by = tenure::evidence::By::routine("test");
    let mut conn = portal.owner.acquire().await.unwrap();
    for n in 0..1203 {
        let record = tenure::evidence::Record::new("session.opened", format!("person:{}", n % 7), by.clone());
        tenure::evidence::append(&mut conn, portal.clock.now(), &record).await.unwrap();
    }
    let auditor = portal.browser_of(company.auditor).await;
    let before: i64 =
        sqlx::query_scalar("select count(*) from evidence_record").fetch_one(&portal.owner).await.unwrap();
    let found = rows(&auditor.get("/exports/history.csv").await);
    // Itself is recorded before it is read.
    assert_eq!(found.len() as i64, before + 2);
    let mut ids: Vec<&str> = found[1..].iter().map(|row| row.last().unwrap().as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), found.len() - 1);
    let taken: i64 = sqlx::query_scalar(
        "select count(*) from evidence_record where action = 'report.taken' and subject = 'report:list'",
    )
    .fetch_one(&portal.owner)
    .await
    .unwrap();
    assert_eq!(taken, 1);
    let none = rows(&auditor.get("/exports/history.csv?kind=grant").await);
    assert_eq!(none.len(), 1);
    let wrong = auditor.get("/exports/history.csv?from=never").await;
    assert!(wrong.status.is_client_error(), "{}", wrong.status);
}

#[sqlx::test]
async fn whoever_may_not_see_the_page_gets_no_file(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    rules(&portal, &company).await;
    let employee = portal.browser_of(company.employee).await;
    for list in ["history", "queue", "accounts", "beyond", "outbox", "erasures"] {
        let refused = employee.get(&format!("/exports/{list}.csv")).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{list}");
    }
    for list in ["requests", "people", "catalogue", "approvals"] {
        rows(&employee.get(&format!("/exports/{list}.csv")).await);
    }
    let admin = portal.browser_of(company.admin).await;
    for list in ["history", "accounts", "beyond", "outbox", "erasures", "catalogue"] {
        rows(&admin.get(&format!("/exports/{list}.csv")).await);
    }
    rows(&portal.browser_of(company.desk).await.get("/exports/queue.csv").await);
    for nothing in ["/exports/history", "/exports/person.csv", "/exports/..csv"] {
        assert_eq!(admin.get(nothing).await.status, StatusCode::NOT_FOUND, "{nothing}");
    }
    assert_eq!(portal.browser().get("/exports/people.csv").await.status, StatusCode::SEE_OTHER);
    let taken: i64 = sqlx::query_scalar("select count(*) from evidence_record where action = 'report.taken'")
        .fetch_one(&portal.owner)
        .await
        .unwrap();
    assert_eq!(taken, 11, "each file that was given, and none that was not");
}

#[sqlx::test]
async fn what_is_held_and_who_holds_it_are_files(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    rules(&portal, &company).await;
    let (person, ledger) = (company.anna, company.ledger);
    sqlx::query(
        "insert into access_grant (id, person, entitlement, account, reason, reason_text, starts_at, until_on, until_at)
         select gen_random_uuid(), $1, $2, native_id, 'before_tenure', '', now(), '2027-03-31', '2027-04-01' from account
          where person = $1 limit 1",
    )
    .bind(person)
    .bind(ledger)
    .execute(&portal.owner)
    .await
    .unwrap();
    let manager = portal.browser_of(company.manager).await;
    let grants = format!("/exports/grants.csv?person={person}");
    assert!(manager.get(&format!("/people/{person}")).await.text.contains(&format!("href=\"{grants}\"")));
    let held = rows(&manager.get(&grants).await);
    assert_eq!(held.len(), 2);
    assert_eq!((held[1][0].as_str(), held[1][5].as_str()), ("Ledger", "2027-03-31"));
    let holders = format!("/exports/holders.csv?entitlement={ledger}");
    let owner = portal.browser_of(company.owner).await;
    assert!(owner.get(&format!("/catalogue/{ledger}")).await.text.contains(&format!("href=\"{holders}\"")));
    let who = rows(&owner.get(&holders).await);
    assert_eq!((who.len(), who[1][0].as_str(), who[1][1].as_str()), (2, "Anna Vogel", "before Tenure"));
    // The team: those who report directly, or everybody below.
    assert!(manager.get("/team?view=all").await.text.contains("href=\"/exports/team.csv?view=all\""));
    let names = |rows: Vec<Vec<String>>| rows.into_iter().skip(1).map(|row| row[0].clone()).collect::<Vec<_>>();
    let direct = names(rows(&manager.get("/exports/team.csv").await));
    let all = names(rows(&manager.get("/exports/team.csv?view=all").await));
    assert!(direct.contains(&"Anna Vogel".to_owned()) && !direct.contains(&"Ben Vogt".to_owned()), "{direct:?}");
    assert!(all.contains(&"Ben Vogt".to_owned()), "{all:?}");
    // Nobody else's business.
    let employee = portal.browser_of(company.employee).await;
    for (path, status) in [
        (grants.as_str(), StatusCode::FORBIDDEN),
        (&holders, StatusCode::FORBIDDEN),
        ("/exports/team.csv", StatusCode::FORBIDDEN),
        ("/exports/grants.csv", StatusCode::NOT_FOUND),
        ("/exports/holders.csv?entitlement=x", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(employee.get(path).await.status, status, "{path}");
    }
}
