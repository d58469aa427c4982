//! The web's own safety: other sites' forms, hostile paths, headers, hosts, sizes, a database that is down.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use uuid::Uuid;

use crate::support::Portal;
use crate::support::browser::{encoded, request, send};

/// Every route that changes something. A test below reads the route table and finds it complete.
const MUTATING: &[&str] = &[
    "/me/sessions/{id}/end",
    "/me/sessions/end-others",
    "/me/tokens",
    "/me/tokens/{id}/revoke",
    "/me/delegations",
    "/me/delegations/{id}/end",
    "/requests",
    "/requests/new/{kind}",
    "/drafts/{id}/discard",
    "/drafts/{id}/{step}",
    "/requests/{number}/comments",
    "/requests/{number}/assignment",
    "/requests/{number}/priority",
    "/requests/{number}/answers",
    "/requests/{number}/cancellation",
    "/requests/{number}/steps/{step}/retry",
    "/requests/{number}/steps/{step}/skip",
    "/requests/{number}/items/{item}/decision",
    "/queue/assignment",
    "/secrets/{id}",
    "/adoption/{account}",
    "/people/{id}/erasure",
    "/erasures/{id}",
    "/outbox/{id}/retry",
    "/system/{key}/checks",
    "/history/bundle",
    "/settings/drafts",
    "/settings/drafts/{id}",
    "/settings/drafts/{id}/rules/{rule}",
    "/settings/proposals/{id}",
    "/people/new",
    "/people/{id}/edit",
    "/people/{id}/employment",
    "/people/{id}/roles",
    "/people/{id}/delegations",
    "/people/{id}/delegations/{delegation}/end",
    "/people/import",
    "/people/import/{id}",
    "/people/import/{id}/columns",
    "/people/import/{id}/discard",
    "/adoption/rules/{rule}",
    "/adoption/rules/{rule}/switch",
];
/// Those in front of the session.
const OPEN: &[&str] = &["/signin", "/signin/demo", "/signout"];

fn filled(route: &str) -> String {
    let id = Uuid::nil().to_string();
    let route = route
        .replace("{id}", &id)
        .replace("{account}", &id)
        .replace("{delegation}", &id)
        .replace("/steps/{step}", &format!("/steps/{id}"));
    route
        .replace("{number}", "1")
        .replace("{item}", "1")
        .replace("{kind}", "access")
        .replace("{step}", "answers")
        .replace("{rule}", "0")
        .replace("{key}", "ad:corp.example.com")
}

/// The route table as it stands in the source: each method and path.
pub fn routes() -> Vec<(Method, String)> {
    let table = include_str!("../../src/web/mod.rs");
    let mut routes = Vec::new();
    for part in table.split(".route(").skip(1) {
        let Some(path) = part.split('"').nth(1) else { continue };
        let handlers = part.split('"').nth(2).unwrap_or_default().split(";").next().unwrap_or_default();
        for (word, method) in [
            ("get(", Method::GET),
            ("post(", Method::POST),
            ("delete(", Method::DELETE),
            ("put(", Method::PUT),
            ("patch(", Method::PATCH),
        ] {
            if handlers.contains(word) {
                routes.push((method, path.to_owned()));
            }
        }
    }
    routes.sort_by_key(|(method, path)| (path.clone(), method.to_string()));
    routes.dedup();
    routes
}

/// Paths that a form is posted to.
fn posted_routes() -> Vec<String> {
    routes()
        .into_iter()
        .filter(|(method, path)| *method != Method::GET && !path.starts_with("/api/"))
        .map(|(_, path)| path)
        .collect()
}

#[test]
fn the_list_of_mutating_routes_is_complete() {
    for route in posted_routes() {
        assert!(MUTATING.contains(&route.as_str()) || OPEN.contains(&route.as_str()), "{route} is not listed here");
    }
}

#[sqlx::test]
async fn without_a_session_nothing_changes(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    for route in MUTATING {
        let answer = portal.browser().post(&filled(route), &[("csrf", "x")]).await;
        assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/signin"), "{route}");
    }
}

#[sqlx::test]
async fn a_form_needs_its_sessions_token(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let (mine, other) = (portal.browser_of(company.anna).await, portal.browser_of(company.ben).await);
    let foreign = other.get("/me").await.value("csrf").unwrap();
    for route in MUTATING {
        for fields in [vec![], vec![("csrf", "")], vec![("csrf", foreign.as_str())]] {
            let answer = mine.post_raw(&filled(route), &fields).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{route} {fields:?}");
        }
    }
}

#[sqlx::test]
async fn forms_of_other_sites_are_refused(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let browser = portal.browser_of(company.anna).await;
    let csrf = browser.get("/me").await.value("csrf").unwrap();
    let cases: [(&[(&str, &str)], bool); 9] = [
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "none")], false),
        (&[("origin", "http://tenure.test")], true),
        (&[("origin", "http://evil.test")], false),
        (&[("origin", "null")], false),
        (&[("sec-fetch-site", "cross-site"), ("origin", "http://tenure.test")], false),
        (&[], false),
    ];
    for (headers, accepted) in cases {
        for path in ["/me/sessions/end-others", "/signin"] {
            let mut request = Request::builder()
                .method(Method::POST)
                .uri(path)
                .header(header::HOST, "tenure.test")
                .header(header::COOKIE, browser.cookie.clone().unwrap())
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let body = Body::from(encoded(&[("csrf", &csrf)]));
            let answer = send(&portal.app, request.body(body).unwrap()).await;
            assert_eq!(answer.status != StatusCode::FORBIDDEN, accepted, "{path} {headers:?}");
        }
    }
}

#[sqlx::test]
async fn confusing_paths_lead_nowhere(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let browser = portal.browser_of(company.admin).await;
    for path in [
        "/./me",
        "//me",
        "/me/.",
        "/signin/../me",
        "/%2e/me",
        "/static/%2e%2e/me",
        "/signin;x/me",
        "/me;x",
        "/me%2f",
        "/static/..%2fme",
        "/me/",
        "/ME",
        "/me%00",
        "/healthz/../me",
        "/static/../me",
        "/static/..%5cme",
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!answer.text.contains("My account</h1>"), "{path}");
    }
}

#[sqlx::test]
async fn every_answer_carries_the_headers(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    for (method, path) in [
        (Method::GET, "/signin"),
        (Method::GET, "/me"),
        (Method::GET, "/nothing"),
        (Method::GET, "/healthz"),
        (Method::GET, "/%2e/"),
        (Method::POST, "/me"),
        (Method::DELETE, "/signin"),
        (Method::GET, "/static/tenure.css"),
        (Method::GET, "/api/v1/nothing"),
    ] {
        let answer = send(&portal.app, request(method.clone(), path).body(Body::empty()).unwrap()).await;
        let header = |name: &str| answer.headers.get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(
            header("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            "{method} {path}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert!(!header("x-request-id").is_empty() && !header("cache-control").is_empty(), "{path}");
    }
}

#[sqlx::test]
async fn other_names_for_our_address_get_nothing(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    for host in ["evil.test", "tenure.test.evil.test", "tenure.test:99"] {
        let request = Request::builder().uri("/signin").header(header::HOST, host).body(Body::empty()).unwrap();
        assert_eq!(send(&portal.app, request).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{host}");
    }
    let nameless = Request::builder().uri("/signin").body(Body::empty()).unwrap();
    assert_eq!(send(&portal.app, nameless).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[sqlx::test]
async fn too_much_is_refused_in_words(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let browser = portal.browser_of(company.anna).await;
    let large = browser.post("/me/tokens", &[("name", &"x".repeat(2 << 20))]).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(large.text.contains("That is too much at once"), "{}", large.text);
    let many: Vec<(&str, &str)> = (0..1100).map(|_| ("scope", "x")).collect();
    assert_eq!(browser.post("/me/tokens", &many).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let json = browser
        .request(Method::POST, "/me/tokens")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(send(&portal.app, json).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[sqlx::test]
async fn errors_of_the_api_are_problem_details(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let answer = portal.browser().get("/api/v1/nothing").await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
    let problem: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!((problem["status"].as_u64(), problem["title"].as_str()), (Some(404), Some("Not Found")));
}

#[sqlx::test]
async fn static_files_are_cached_by_their_content(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let page = portal.browser().get("/signin").await;
    let at = page.text.find("/static/tenure.css").unwrap();
    let address: String = page.text[at..].chars().take_while(|c| *c != '"').collect();
    let file = portal.browser().get(&address).await;
    assert_eq!(file.status, StatusCode::OK);
    assert_eq!(file.headers[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
    let old = portal.browser().get("/static/tenure.css?v=old").await;
    assert_eq!(old.headers[header::CACHE_CONTROL], "no-cache");
    assert_eq!(portal.browser().get("/static/Cargo.toml").await.status, StatusCode::NOT_FOUND);
}

#[sqlx::test]
async fn a_database_that_is_down_is_said_and_work_goes_on(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let browser = portal.browser_of(company.anna).await;
    assert_eq!(browser.get("/readyz").await.status, StatusCode::OK);
    // A pool whose server is not there, in the same portal's clothes.
    let nowhere: PgConnectOptions = "postgres://nobody@127.0.0.1:9/nothing".parse().unwrap();
    let pool = PgPoolOptions::new().acquire_timeout(std::time::Duration::from_millis(200)).connect_lazy_with(nowhere);
    let state = tenure::web::AppState::new(pool, portal.config.clone(), portal.clock.clone(), portal.stop.clone());
    let app = tenure::web::router(state);
    let page = send(&app, browser.request(Method::GET, "/me").body(Body::empty()).unwrap()).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        page.text.contains("The database does not answer") && page.headers.contains_key("retry-after"),
        "{}",
        page.text
    );
    let ready = send(&app, request(Method::GET, "/readyz").body(Body::empty()).unwrap()).await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let alive = send(&app, request(Method::GET, "/healthz").body(Body::empty()).unwrap()).await;
    assert_eq!(alive.status, StatusCode::OK);
}

#[sqlx::test]
async fn connections_are_served_and_stop_gracefully(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(tenure::web::serve(listener, portal.app.clone(), portal.stop.clone()));
    let client = crate::support::http();
    let answer = client.get(format!("http://{address}/healthz")).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "alive\n");
    let numbers = client.get(format!("http://{address}/metrics")).send().await.unwrap();
    assert!(numbers.text().await.unwrap().contains("tenure_http_requests_total"));
    let proxied =
        client.get(format!("http://{address}/metrics")).header("x-forwarded-for", "192.0.2.1").send().await.unwrap();
    assert_eq!(proxied.status(), 404);
    portal.stop.cancel();
    tokio::time::timeout(std::time::Duration::from_secs(15), serving).await.expect("stops").unwrap().unwrap();
    assert!(client.get(format!("http://{address}/healthz")).send().await.is_err());
}
