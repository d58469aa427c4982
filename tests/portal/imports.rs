//! A file of people in the browser: its columns are guessed and chosen, what would change is shown, and that is applied.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::Portal;
use crate::support::browser::{Answer, Browser, send};

/// A spreadsheet as it is saved in Germany: semicolons, a byte-order mark, headers of its own.
const FILE: &str =
    "\u{FEFF}Personnel number;First name;Last name;Contract;Department;Job title;Location;Manager;Start date;Colour
N-1;Nora;Nordmann;employee;Finance;Clerk;Hamburg;;2026-12-01;red
N-2;Ola;Nordmann;intern;Finance;Trainee;Hamburg;N-1;2026-12-01;blue
";

async fn upload(portal: &Portal, browser: &Browser, csrf: &str, bytes: &[u8]) -> Answer {
    let mut body = format!("--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{csrf}\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"hr.csv\"\r\nContent-Type: text/csv\r\n\r\n").into_bytes();
    body.extend_from_slice(bytes);
    body.extend_from_slice(b"\r\n--x--\r\n");
    let request = browser
        .request(Method::POST, "/people/import")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=x")
        .body(Body::from(body))
        .unwrap();
    send(&portal.app, request).await
}

async fn csrf(browser: &Browser) -> String {
    browser.get("/me").await.value("csrf").unwrap()
}

#[sqlx::test]
async fn a_file_is_looked_at_and_applied(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let admin = portal.browser_of(company.admin).await;
    assert!(admin.get("/people").await.text.contains("Import people"));
    let begun = upload(&portal, &admin, &csrf(&admin).await, FILE.as_bytes()).await;
    let page = begun.location().to_owned();
    let shown = admin.get(&page).await;
    assert_eq!(shown.find("h1").as_deref(), Some("hr.csv"));
    let figures = shown.find_all(".figures strong");
    assert_eq!((figures[0].as_str(), figures[1].as_str(), figures[4].as_str()), ("2", "0", "0"), "{}", shown.text);
    assert!(shown.text.contains("Nora Nordmann (N-1)"), "the manager by name: {}", shown.text);
    assert!(admin.get("/people/import").await.text.contains("hr.csv"), "it is found again");
    let digest = shown.value("digest").unwrap();
    let applied = admin.post(&page, &[("digest", &digest)]).await;
    assert_eq!(applied.location(), "/people", "{}", applied.text);
    let states: Vec<(String, String, Option<String>)> = sqlx::query_as(
        "select p.given_name, p.state, m.given_name from person p join employment e on e.person = p.id
           left join person m on m.id = e.manager where p.employee_number like 'N-%' order by 1",
    )
    .fetch_all(&portal.owner)
    .await
    .unwrap();
    let row = |name: &str, manager: Option<&str>| (name.to_owned(), "expected".to_owned(), manager.map(str::to_owned));
    assert_eq!(states, [row("Nora", None), row("Ola", Some("Nora"))]);
    let kept: i64 = sqlx::query_scalar("select count(*) from import_draft").fetch_one(&portal.owner).await.unwrap();
    assert_eq!(kept, 0, "the file is gone once it is applied");
    let (records, by): (i64, i64) = sqlx::query_as(
        "select count(*), count(*) filter (where actor = $1) from evidence_record where action = 'person.imported'",
    )
    .bind(company.admin)
    .fetch_one(&portal.owner)
    .await
    .unwrap();
    assert_eq!((records, by), (2, 2));
    // The same file once more changes nothing, and says so.
    let again = upload(&portal, &admin, &csrf(&admin).await, FILE.as_bytes()).await;
    let shown = admin.get(again.location()).await;
    assert!(shown.text.contains("Nothing to import") && shown.value("digest").is_none(), "{}", shown.text);
}

#[sqlx::test]
async fn what_changed_meanwhile_is_shown_anew(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let admin = portal.browser_of(company.admin).await;
    for (title, changes) in [("Clerk", 2), ("Head of books", 1)] {
        let file = FILE.replace("Clerk", title);
        let begun = admin.post("/people/import", &[("pasted", file.as_str())]).await;
        let shown = admin.get(begun.location()).await;
        assert_eq!(shown.find_all(".step").len(), changes, "{}", shown.text);
        let digest = shown.value("digest").unwrap();
        if changes == 1 {
            assert!(
                shown.find("del").as_deref() == Some("Clerk") && shown.find("ins").as_deref() == Some("Head of books")
            );
            sqlx::query("update employment set title = 'Intern' where title = 'Clerk'")
                .execute(&portal.owner)
                .await
                .unwrap();
            let answer = admin.post(begun.location(), &[("digest", &digest)]).await;
            assert_eq!(answer.status, StatusCode::CONFLICT);
            assert!(answer.text.contains("People have changed since you looked"), "{}", answer.text);
            assert_eq!(answer.find("del").as_deref(), Some("Intern"), "the preview is a new one");
            let digest = answer.value("digest").unwrap();
            assert_eq!(admin.post(begun.location(), &[("digest", &digest)]).await.location(), "/people");
        } else {
            assert_eq!(admin.post(begun.location(), &[("digest", &digest)]).await.location(), "/people");
        }
    }
    let title: String = sqlx::query_scalar(
        "select title from employment e join person p on p.id = e.person where p.employee_number = 'N-1'",
    )
    .fetch_one(&portal.owner)
    .await
    .unwrap();
    assert_eq!(title, "Head of books");
}

#[sqlx::test]
async fn cells_are_mended_and_columns_are_remembered(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let admin = portal.browser_of(company.admin).await;
    let wrong = FILE.replace("2026-12-01;red", "01.12.2026;red").replace("intern", "boss").replace("Location", "Haus");
    let begun = admin.post("/people/import", &[("pasted", wrong.as_str())]).await;
    let page = begun.location().to_owned();
    let shown = admin.get(&page).await;
    assert!(shown.text.contains("Choose the columns for Site first"), "{}", shown.text);
    assert!(shown.find("details[open]").is_some() && shown.value("digest").is_none());
    let chosen = |site: &'static str| {
        let fields = ["employee_number", "given_name", "family_name", "type", "department", "title"];
        let mut chosen: Vec<(&str, &str)> = fields.into_iter().zip(["0", "1", "2", "3", "4", "5"]).collect();
        chosen.extend([("site", site), ("manager_employee_number", "7"), ("first_day", "8")]);
        chosen
    };
    let twice = admin.post(&format!("{page}/columns"), &chosen("5")).await;
    assert_eq!(twice.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(twice.text.contains("“Job title” is Title already"), "{}", twice.text);
    assert_eq!(admin.post(&format!("{page}/columns"), &chosen("6")).await.location(), page);
    let shown = admin.get(&page).await;
    for part in ["“01.12.2026” is not a day such as 2026-11-30", "“boss” is neither", "Start date", "Contract"]
    {
        assert!(shown.text.contains(part), "{part}: {}", shown.text);
    }
    assert!(shown.value("digest").is_none() && shown.text.contains("Mend 2 cells"), "{}", shown.text);
    let forced = admin.post(&page, &[("digest", "")]).await;
    assert_eq!(forced.status, StatusCode::CONFLICT, "with errors nothing is applied");
    let right = FILE.replace("Location", "Haus");
    let begun = admin.post("/people/import", &[("pasted", right.as_str())]).await;
    let shown = admin.get(begun.location()).await;
    assert!(shown.value("digest").is_some(), "the odd header is remembered: {}", shown.text);
}

#[sqlx::test]
async fn a_file_is_its_owners_and_administrators_alone(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let admin = portal.browser_of(company.admin).await;
    let page = admin.post("/people/import", &[("pasted", FILE)]).await.location().to_owned();
    for other in [company.lead, company.security, company.employee] {
        let browser = portal.browser_of(other).await;
        assert_eq!(browser.get("/people/import").await.status, StatusCode::FORBIDDEN);
        assert_eq!(browser.get(&page).await.status, StatusCode::FORBIDDEN);
        assert_eq!(browser.post(&page, &[("digest", "x")]).await.status, StatusCode::FORBIDDEN);
    }
    sqlx::query("insert into role_holding (person, role) values ($1, 'administrator')")
        .bind(company.ben)
        .execute(&portal.owner)
        .await
        .unwrap();
    let other = portal.browser_of(company.ben).await;
    assert_eq!(other.get(&page).await.status, StatusCode::NOT_FOUND, "another administrator’s file");
    let token = csrf(&admin).await;
    for (bytes, part) in
        [(b"".as_slice(), "Choose a file"), (b"a;b\n\xff\xfe", "is not UTF-8; save it as"), (b"a,b\n\0,1\n", "NUL")]
    {
        let answer = upload(&portal, &admin, &token, bytes).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.text.contains(part), "{part}: {}", answer.text);
    }
    let forged = upload(&portal, &admin, "guessed", FILE.as_bytes()).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let large = upload(&portal, &admin, &token, &vec![b'a'; 9 << 20]).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    // Pasted text is kept where it cannot be read.
    let lone = admin.post("/people/import", &[("pasted", ",\n,")]).await;
    assert_eq!(lone.status, StatusCode::UNPROCESSABLE_ENTITY);
}
