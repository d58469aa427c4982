//! Signing in, sessions, tokens, delegations: through the pages.

use axum::http::StatusCode;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::access::{Role, roles, session, sign_in, token};
use tenure::evidence::By;

use crate::support::Portal;

const PASSWORD: &str = "correct horse battery";

async fn with_password(portal: &Portal) -> crate::support::company::Company {
    let company = portal.company().await;
    sqlx::query("delete from sign_in where person = $1").bind(company.manager).execute(&portal.owner).await.unwrap();
    let mut conn = portal.owner.acquire().await.unwrap();
    let by = By { via: "command".to_owned(), ..By::default() };
    sign_in::create(&mut conn, portal.clock.now(), &by, company.manager, ("mkeller", PASSWORD)).await.unwrap();
    company
}

#[sqlx::test]
async fn somebody_signs_in_looks_and_signs_out(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    with_password(&portal).await;
    let mut browser = portal.browser();
    let sent_away = browser.get("/me").await;
    assert_eq!((sent_away.status, sent_away.location()), (StatusCode::SEE_OTHER, "/signin?next=/me"));
    let answer = browser.post("/signin", &[("user", " MKeller "), ("password", PASSWORD), ("next", "/me")]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/me"));
    let cookie = answer.cookie().to_owned();
    assert!(
        cookie.starts_with("tenure=") && cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let token = cookie.split(';').next().unwrap().to_owned();
    let stored: Vec<u8> =
        sqlx::query_scalar("select token_sha256 from session").fetch_one(&portal.owner).await.unwrap();
    assert!(!token.contains(&hex::encode(&stored)), "only the hash is stored");
    browser.cookie = Some(token);
    let me = browser.get("/me").await;
    assert_eq!(me.status, StatusCode::OK, "{}", me.text);
    assert!(me.text.contains("Maria Keller"));
    let csrf = me.value("csrf").unwrap();
    let out = browser.post_raw("/signout", &[("csrf", &csrf)]).await;
    assert_eq!(out.location(), "/signin");
    assert!(out.cookie().contains("Max-Age=0"));
    assert_eq!(browser.get("/me").await.status, StatusCode::SEE_OTHER, "the old cookie opens nothing");
    let actions: Vec<String> =
        sqlx::query_scalar("select action from evidence_record order by id").fetch_all(&portal.owner).await.unwrap();
    assert_eq!(actions, ["sign_in.created", "session.opened", "session.ended"]);
}

#[sqlx::test]
async fn cookies_are_bound_to_host_and_tls_outside_loopback(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::with(options, connect, |config| {
        config.web.insecure_http = false;
        config.web.base_url = "https://tenure.test".to_owned();
    })
    .await;
    with_password(&portal).await;
    let answer = portal.browser().post("/signin", &[("user", "mkeller"), ("password", PASSWORD)]).await;
    let cookie = answer.cookie();
    assert!(cookie.starts_with("__Host-tenure=") && cookie.contains("Secure") && cookie.contains("Path=/"), "{cookie}");
    assert!(!cookie.contains("Domain"), "{cookie}");
    assert!(answer.headers.contains_key("strict-transport-security"));
}

#[sqlx::test]
async fn unknown_names_and_wrong_passwords_are_answered_alike(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    with_password(&portal).await;
    let browser = portal.browser();
    let known = browser.post("/signin", &[("user", "mkeller"), ("password", "wrong password")]).await;
    let unknown = browser.post("/signin", &[("user", "mkelle_"), ("password", "wrong password")]).await;
    assert_eq!((known.status, unknown.status), (StatusCode::UNPROCESSABLE_ENTITY, StatusCode::UNPROCESSABLE_ENTITY));
    assert_eq!(known.text.replace("mkeller", "mkelle_"), unknown.text);
    // The same rows are written: one count and one record each.
    let counts: Vec<i32> = sqlx::query_scalar("select failures from sign_in_throttle where key like 'name:%'")
        .fetch_all(&portal.owner)
        .await
        .unwrap();
    assert_eq!(counts, [1, 1]);
    let refused: i64 = sqlx::query_scalar(
        "select count(*) from evidence_record where action = 'session.refused' and subject = 'sign_in'",
    )
    .fetch_one(&portal.owner)
    .await
    .unwrap();
    assert_eq!(refused, 2);
}

#[sqlx::test]
async fn tries_are_slowed_down_with_growing_delays(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    with_password(&portal).await;
    let browser = portal.browser();
    for _ in 0..6 {
        let answer = browser.post("/signin", &[("user", "mkeller"), ("password", "wrong password")]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let mut delays = Vec::new();
    for _ in 0..3 {
        sqlx::query("update sign_in_throttle set blocked_until = now()").execute(&portal.owner).await.unwrap();
        browser.post("/signin", &[("user", "mkeller"), ("password", "wrong password")]).await;
        let delay: f64 = sqlx::query_scalar("select extract(epoch from blocked_until - last_failure_at)::float8 from sign_in_throttle where key = 'name:mkeller'")
            .fetch_one(&portal.owner)
            .await
            .unwrap();
        delays.push(delay);
    }
    let right = browser.post("/signin", &[("user", "mkeller"), ("password", PASSWORD)]).await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS, "even the right password waits");
    assert!(delays.windows(2).all(|pair| pair[1] > pair[0]), "{delays:?}");
    sqlx::query("update sign_in_throttle set blocked_until = now()").execute(&portal.owner).await.unwrap();
    let right = browser.post("/signin", &[("user", "mkeller"), ("password", PASSWORD)]).await;
    assert_eq!(right.status, StatusCode::SEE_OTHER);
    let left: i32 = sqlx::query_scalar("select failures from sign_in_throttle where key = 'name:mkeller'")
        .fetch_one(&portal.owner)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[sqlx::test]
async fn whoever_left_or_is_disabled_does_not_get_in(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = with_password(&portal).await;
    let inside = portal.browser_of(company.manager).await;
    assert_eq!(inside.get("/me").await.status, StatusCode::OK);
    let mut conn = portal.owner.acquire().await.unwrap();
    sign_in::disable(&mut conn, portal.clock.now(), &By::routine("command"), company.manager).await.unwrap();
    assert_eq!(inside.get("/me").await.status, StatusCode::SEE_OTHER, "open sessions end at once");
    let again = portal.browser().post("/signin", &[("user", "mkeller"), ("password", PASSWORD)]).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    let why: Option<String> =
        sqlx::query_scalar("select ended_why from session").fetch_one(&portal.owner).await.unwrap();
    assert_eq!(why.as_deref(), Some("disabled"));
}

#[sqlx::test]
async fn a_changed_role_ends_the_sessions(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let browser = portal.browser_of(company.employee).await;
    let mut conn = portal.owner.acquire().await.unwrap();
    roles::give(&mut conn, portal.clock.now(), &By::routine("command"), company.employee, Role::Desk).await.unwrap();
    assert_eq!(browser.get("/me").await.status, StatusCode::SEE_OTHER);
}

#[sqlx::test]
async fn people_see_and_end_their_own_sessions_only(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let (here, elsewhere) = (portal.browser_of(company.anna).await, portal.browser_of(company.anna).await);
    let other = portal.browser_of(company.ben).await;
    let foreign: uuid::Uuid = sqlx::query_scalar("select id from session where person = $1")
        .bind(company.ben)
        .fetch_one(&portal.owner)
        .await
        .unwrap();
    let answer = here.post(&format!("/me/sessions/{foreign}/end"), &[]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(other.get("/me").await.status, StatusCode::OK);
    assert_eq!(here.post("/me/sessions/end-others", &[]).await.location(), "/me");
    assert_eq!(here.get("/me").await.status, StatusCode::OK);
    assert_eq!(elsewhere.get("/me").await.status, StatusCode::SEE_OTHER);
}

#[sqlx::test]
async fn a_token_is_shown_once_and_can_be_revoked(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let browser = portal.browser_of(company.anna).await;
    let wrong = browser.post("/me/tokens", &[("name", ""), ("scope", "requests:read"), ("days", "30")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let wrong = browser.post("/me/tokens", &[("name", "x"), ("scope", "everything"), ("days", "30")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let made = browser
        .post(
            "/me/tokens",
            &[("name", "nightly"), ("scope", "requests:read"), ("scope", "requests:write"), ("days", "30")],
        )
        .await;
    assert_eq!(made.status, StatusCode::OK);
    let at = made.text.find(token::PREFIX).expect("the page shows the token");
    let shown: String =
        made.text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect();
    assert_eq!(shown.len(), token::PREFIX.len() + 43, "{shown}");
    assert!(!browser.get("/me").await.text.contains(&shown), "only once");
    let mut conn = portal.owner.acquire().await.unwrap();
    let bearer = token::resume(&mut conn, &shown, None).await.unwrap().unwrap();
    assert_eq!((bearer.person, bearer.scopes.len()), (company.anna, 2));
    browser.post(&format!("/me/tokens/{}/revoke", bearer.token.unwrap()), &[]).await;
    assert!(token::resume(&mut conn, &shown, None).await.unwrap().is_none());
}

#[sqlx::test]
async fn tokens_in_other_names_exist_in_the_demo_only(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let mut conn = portal.owner.acquire().await.unwrap();
    let mut demo = portal.config.demo.clone();
    let refused = token::for_demo(&mut conn, portal.clock.now(), &demo, company.anna).await;
    assert!(matches!(refused, Err(token::TokenError::NotTheDemo)));
    demo.enabled = true;
    let made = token::for_demo(&mut conn, portal.clock.now(), &demo, company.anna).await.unwrap();
    assert!(token::resume(&mut conn, &made, None).await.unwrap().is_some());
}

#[sqlx::test]
async fn somebody_stands_in_from_a_day_until_a_day(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let browser = portal.browser_of(company.manager).await;
    let days = [
        ("from_day", "24"),
        ("from_month", "11"),
        ("from_year", "2026"),
        ("until_day", "4"),
        ("until_month", "12"),
        ("until_year", "2026"),
    ];
    let with = |to| [&[("to", to)], days.as_slice()].concat();
    let oneself = browser.post("/me/delegations", &with("Maria Keller (mkeller)")).await;
    assert_eq!(oneself.status, StatusCode::UNPROCESSABLE_ENTITY);
    let made = browser.post("/me/delegations", &with("Dana Weiss (dweiss)")).await;
    assert_eq!(made.location(), "/me", "{}", made.text);
    assert!(browser.get("/me").await.text.contains("Dana Weiss"));
    let mut conn = portal.owner.acquire().await.unwrap();
    let day = |text: &str| text.parse().unwrap();
    use tenure::access::delegation::{delegates_for, stands_for};
    assert_eq!(delegates_for(&mut conn, company.manager, day("2026-11-23")).await.unwrap(), []);
    assert_eq!(delegates_for(&mut conn, company.manager, day("2026-11-24")).await.unwrap(), [company.desk]);
    assert_eq!(stands_for(&mut conn, company.desk, day("2026-12-04")).await.unwrap(), [company.manager]);
    assert_eq!(stands_for(&mut conn, company.desk, day("2026-12-05")).await.unwrap(), []);
}

#[sqlx::test]
async fn the_demo_lets_one_in_with_a_click_and_nowhere_else(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::with(options, connect, |config| config.demo.enabled = true).await;
    let company = portal.company().await;
    sqlx::query("update sign_in set user_name = 'manager', user_name_folded = 'manager' where person = $1")
        .bind(company.manager)
        .execute(&portal.owner)
        .await
        .unwrap();
    let browser = portal.browser();
    assert!(browser.get("/signin").await.text.contains("Maria Keller"));
    let inside = browser.post("/signin/demo", &[("user", "manager")]).await;
    assert_eq!(inside.location(), "/");
    assert!(inside.cookie().starts_with("tenure="));
    assert_eq!(
        browser.post("/signin/demo", &[("user", "dweiss")]).await.status,
        StatusCode::NOT_FOUND,
        "not one of the six"
    );
}

#[sqlx::test]
async fn what_ran_out_is_swept(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    portal.browser_of(company.anna).await;
    sqlx::query("update session set last_seen_at = now() - interval '31 minutes'")
        .execute(&portal.owner)
        .await
        .unwrap();
    let mut conn = portal.owner.acquire().await.unwrap();
    assert_eq!(session::sweep(&mut conn, portal.clock.now()).await.unwrap(), 1);
    assert_eq!(session::sweep(&mut conn, portal.clock.now()).await.unwrap(), 0);
}
