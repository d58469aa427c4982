//! Lists that go on, what is refused, how often, and what the document says.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::{bearer, call, call_with, document, joiner, names, set};
use crate::support::Portal;
use crate::support::browser::send;

#[sqlx::test]
async fn lists_go_on_where_they_ended(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let desk = bearer(&portal, company.desk).await;
    let (_, all) = call(&portal, &desk, Method::GET, "/api/v1/people", None).await;
    let all = names(&all, "name");
    assert_eq!(all.len(), 10);
    let (mut seen, mut address, mut cursor) = (Vec::new(), "/api/v1/people?limit=4".to_owned(), String::new());
    for _ in 0..3 {
        let (answer, page) = call(&portal, &desk, Method::GET, &address, None).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        seen.extend(names(&page, "name"));
        let Some(next) = page["next"].as_str() else { break };
        next.clone_into(&mut cursor);
        address = format!("/api/v1/people?limit=4&cursor={next}");
    }
    assert_eq!(seen, all);
    // A place is good for one list, one filter and one token, as it was given.
    let other = bearer(&portal, company.lead).await;
    let mut bent = cursor.clone();
    bent.replace_range(30..31, if &cursor[30..31] == "A" { "B" } else { "A" });
    for (token, address) in [
        (&desk, format!("/api/v1/people?cursor={bent}")),
        (&desk, "/api/v1/people?cursor=x".to_owned()),
        (&desk, format!("/api/v1/people?q=a&cursor={cursor}")),
        (&desk, format!("/api/v1/catalogue?cursor={cursor}")),
        (&other, format!("/api/v1/people?cursor={cursor}")),
    ] {
        let (answer, problem) = call(&portal, token, Method::GET, &address, None).await;
        assert_eq!(
            (answer.status, problem["errors"][0]["field"].as_str()),
            (StatusCode::BAD_REQUEST, Some("cursor")),
            "{address}"
        );
    }
    for (address, field) in [
        ("/api/v1/people?limit=0", "limit"),
        ("/api/v1/people?limit=201", "limit"),
        ("/api/v1/people?limt=3", "limt"),
        ("/api/v1/people?q=%00", "q"),
        ("/api/v1/people?q=a&q=b", "q"),
        ("/api/v1/requests?state=lost", "state"),
        ("/api/v1/requests?person=me", "person"),
        ("/api/v1/requests/1?x=1", "x"),
    ] {
        let (answer, problem) = call(&portal, &desk, Method::GET, address, None).await;
        let named = problem["errors"][0]["field"].as_str();
        assert_eq!((answer.status, named), (StatusCode::BAD_REQUEST, Some(field)), "{address}: {}", answer.text);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
    }
    let (_, found) = call(&portal, &desk, Method::GET, "/api/v1/people?q=vog", None).await;
    assert_eq!(names(&found, "name"), ["Anna Vogel", "Ben Vogt"]);
}

#[sqlx::test]
async fn whoever_calls_too_often_is_told_when_to_come_back(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::with(options, connect, |config| config.web.api_per_minute = 3.try_into().unwrap()).await;
    let company = portal.company().await;
    let (desk, lead) = (bearer(&portal, company.desk).await, bearer(&portal, company.lead).await);
    for _ in 0..3 {
        let (answer, _) = call(&portal, &desk, Method::GET, "/api/v1/people", None).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    let (answer, problem) = call(&portal, &desk, Method::GET, "/api/v1/people", None).await;
    assert_eq!((answer.status, problem["status"].as_i64()), (StatusCode::TOO_MANY_REQUESTS, Some(429)));
    let wait: u64 = answer.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    let (answer, _) = call(&portal, &lead, Method::GET, "/api/v1/people", None).await;
    assert_eq!(answer.status, StatusCode::OK, "another token has its own");
}

#[sqlx::test]
async fn what_is_no_json_is_refused_as_a_problem(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let manager = bearer(&portal, company.manager).await;
    let cases = [
        (Method::POST, "text/plain", "{}".to_owned(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Method::POST, "application/json", "{".to_owned(), StatusCode::BAD_REQUEST),
        (Method::POST, "application/json", "[\"joiner\", {}]".to_owned(), StatusCode::UNPROCESSABLE_ENTITY),
        (Method::POST, "application/json", format!("\"{}\"", "x".repeat(2 << 20)), StatusCode::PAYLOAD_TOO_LARGE),
        (Method::DELETE, "application/json", String::new(), StatusCode::METHOD_NOT_ALLOWED),
    ];
    for (method, kind, body, status) in cases {
        let request = Request::builder()
            .method(method.clone())
            .uri("/api/v1/requests")
            .header(header::HOST, "tenure.test")
            .header(header::AUTHORIZATION, format!("Bearer {manager}"))
            .header(header::CONTENT_TYPE, kind);
        let answer = send(&portal.app, request.body(Body::from(body)).unwrap()).await;
        let told = answer.headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap());
        assert_eq!((answer.status, told), (status, Some("application/problem+json")), "{method} {kind}");
    }
}

#[sqlx::test]
async fn the_document_and_the_route_table_say_the_same(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let document = document(&portal).await;
    let mut described: Vec<String> = Vec::new();
    for (path, calls) in document["paths"].as_object().unwrap() {
        described.extend(calls.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    described.sort();
    let mut there: Vec<String> = crate::safety::routes()
        .into_iter()
        .filter(|(_, path)| path.starts_with("/api/"))
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    there.sort();
    assert_eq!(described, there);
    assert!(there.len() >= 15, "the search finds the routes: {there:?}");
    // Every shape that is named is described.
    let text = document.to_string();
    for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[sqlx::test]
async fn the_same_key_at_the_same_moment_asks_once(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let manager = bearer(&portal, company.manager).await;
    let key = [("idempotency-key", "both")];
    let asks = || call_with(&portal, &manager, (Method::POST, "/api/v1/requests"), Some(joiner()), &key);
    let (first, second, third) = tokio::join!(asks(), asks(), asks());
    for (answer, made) in [first, second, third] {
        assert_eq!((answer.status, made["number"].as_i64()), (StatusCode::CREATED, Some(1)), "{}", answer.text);
    }
    let path = "/api/v1/requests/1/comments";
    let body = serde_json::json!({"body": "Soon?"});
    let says = || call_with(&portal, &manager, (Method::POST, path), Some(body.clone()), &key);
    let ((first, one), (second, other)) = tokio::join!(says(), says());
    assert_eq!((first.status, second.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(one, other);
    let counts: (i64, i64) = sqlx::query_as("select (select count(*) from request), (select count(*) from comment)")
        .fetch_one(&portal.owner)
        .await
        .unwrap();
    assert_eq!(counts, (1, 1));
}
