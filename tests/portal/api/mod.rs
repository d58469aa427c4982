//! The JSON API: the same rules as the pages, for whoever bears a token.

mod access;
mod lists;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::access::token;
use tenure::config::DemoConfig;
use tenure::ids::PersonId;

use crate::support::Portal;
use crate::support::browser::{Answer, send};
use crate::support::company::{Company, rules};

async fn set(options: PgPoolOptions, connect: PgConnectOptions) -> (Portal, Company) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    rules(&portal, &company).await;
    (portal, company)
}

async fn bearer(portal: &Portal, person: PersonId) -> String {
    let demo = DemoConfig { enabled: true, ..DemoConfig::default() };
    let mut conn = portal.owner.acquire().await.unwrap();
    token::for_demo(&mut conn, portal.clock.now(), &demo, person).await.unwrap()
}

async fn call(portal: &Portal, token: &str, method: Method, path: &str, body: Option<Value>) -> (Answer, Value) {
    call_with(portal, token, (method, path), body, &[]).await
}

async fn call_with(
    portal: &Portal,
    token: &str,
    (method, path): (Method, &str),
    body: Option<Value>,
    headers: &[(&str, &str)],
) -> (Answer, Value) {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "tenure.test");
    if !token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = match body {
        Some(body) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    let answer = send(&portal.app, request.body(body).unwrap()).await;
    let json = serde_json::from_str(&answer.text).unwrap_or(Value::Null);
    (answer, json)
}

fn joiner() -> Value {
    json!({"kind": "joiner", "answers": {
        "given_name": "José-María", "family_name": "de la Cruz y Vega-Santamaría", "employee_number": "E-1", "type": "employee",
        "department": "Finance", "title": "Accountant", "site": "Hamburg", "manager": "mkeller", "start_on": "2026-11-30",
        "end_on": null, "groups": ["Ledger"],
    }})
}

#[sqlx::test]
async fn a_joiner_is_asked_for_read_and_decided(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let manager = bearer(&portal, company.manager).await;
    let (answer, made) = call(&portal, &manager, Method::POST, "/api/v1/requests", Some(joiner())).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    assert_eq!(answer.location(), "/api/v1/requests/1");
    assert_eq!((made["number"].as_i64(), made["kind"].as_str()), (Some(1), Some("joiner")));
    assert_eq!(made["answers"]["manager"], "mkeller");
    assert_eq!(made["answers"]["groups"], json!(["Ledger"]));
    let item = &made["items"][0];
    assert_eq!((item["item"].as_i64(), item["label"].as_str()), (Some(1), Some("Account and basic access")));
    assert_eq!(item["steps"][0]["id"], "account");
    assert_eq!(item["steps"][0]["key"], json!({"new": true}));
    assert_eq!(item["steps"][0]["presence"], json!(["absent", "present"]));
    assert!(
        item["steps"][0]["changes"].as_array().unwrap().iter().any(|change| change["attribute"] == "sAMAccountName")
    );
    assert_eq!(item["stages"][0]["name"].as_str().map(str::is_empty), Some(false));

    let (_, read) = call(&portal, &manager, Method::GET, "/api/v1/requests/REQ-000001", None).await;
    assert_eq!(read, made);
    let decisions = "/api/v1/requests/1/items/1/decisions";
    let digest = item["digest"].as_str().unwrap();
    let approve = |digest: &str| Some(json!({"decision": "approve", "digest": digest, "comment": ""}));
    let (own, _) = call(&portal, &manager, Method::POST, decisions, approve(digest)).await;
    assert_eq!(own.status, StatusCode::FORBIDDEN, "not about one's own request");
    let desk = bearer(&portal, company.desk).await;
    let (stale, problem) = call(&portal, &desk, Method::POST, decisions, approve("0000")).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    assert_eq!(problem["item"]["digest"], digest, "the item as it is now");
    let (reject, problem) =
        call(&portal, &desk, Method::POST, decisions, Some(json!({"decision": "reject", "digest": digest}))).await;
    assert_eq!(
        (reject.status, problem["errors"][0]["field"].as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Some("comment"))
    );
    let (done, item) = call(&portal, &desk, Method::POST, decisions, approve(digest)).await;
    assert_eq!(done.status, StatusCode::CREATED, "{}", done.text);
    assert_eq!(item["stages"][0]["decisions"][0]["decision"], "approve");
    let employee = bearer(&portal, company.employee).await;
    let (hidden, _) = call(&portal, &employee, Method::GET, "/api/v1/requests/1", None).await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
    let owner = bearer(&portal, company.owner).await;
    let (_, part) = call(&portal, &owner, Method::GET, "/api/v1/requests/1", None).await;
    assert_eq!(part["items"].as_array().map(Vec::len), Some(1), "the owner sees their item");
    assert_eq!(part["answers"], json!({}));
}

#[sqlx::test]
async fn fields_are_named_and_a_key_is_used_once(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let manager = bearer(&portal, company.manager).await;
    let wrong = json!({"kind": "joiner", "answers": {"given_name": {"$ne": ""}, "title": "x".repeat(300)}});
    let (answer, problem) = call(&portal, &manager, Method::POST, "/api/v1/requests", Some(wrong)).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(problem["errors"][0]["field"], "given_name");
    for body in [json!({"kind": "everything"}), json!({"kind": "joiner", "answers": [], "more": 1}), json!([])] {
        let (answer, _) = call(&portal, &manager, Method::POST, "/api/v1/requests", Some(body)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
    }
    let key = [("idempotency-key", "nightly-1")];
    let (_, first) = call_with(&portal, &manager, (Method::POST, "/api/v1/requests"), Some(joiner()), &key).await;
    let (_, second) = call_with(&portal, &manager, (Method::POST, "/api/v1/requests"), Some(joiner()), &key).await;
    assert_eq!((first["number"].as_i64(), second["number"].as_i64()), (Some(1), Some(1)));
    let mut other = joiner();
    other["answers"]["title"] = json!("Controller");
    let (answer, _) = call_with(&portal, &manager, (Method::POST, "/api/v1/requests"), Some(other), &key).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "another body: {}", answer.text);
    let long = [("idempotency-key", "x".repeat(201))];
    let long = [(long[0].0, long[0].1.as_str())];
    let (answer, problem) =
        call_with(&portal, &manager, (Method::POST, "/api/v1/requests"), Some(joiner()), &long).await;
    assert_eq!(
        (answer.status, problem["errors"][0]["field"].as_str()),
        (StatusCode::BAD_REQUEST, Some("Idempotency-Key"))
    );

    let path = "/api/v1/requests/1/comments";
    let said = |body: &str| Some(json!({"body": body}));
    let (answer, comment) = call_with(&portal, &manager, (Method::POST, path), said("Soon, please"), &key).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let (answer, again) = call_with(&portal, &manager, (Method::POST, path), said("Soon, please"), &key).await;
    assert_eq!((answer.status, &again), (StatusCode::CREATED, &comment));
    let (answer, _) = call_with(&portal, &manager, (Method::POST, path), said("Later"), &key).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    let (_, whole) = call(&portal, &manager, Method::GET, "/api/v1/requests/1", None).await;
    assert_eq!(whole["comments"], json!([comment]));
    let records: i64 = sqlx::query_scalar("select count(*) from evidence_record where action = 'request.commented'")
        .fetch_one(&portal.owner)
        .await
        .unwrap();
    assert_eq!(records, 1, "written and recorded once");
}

#[sqlx::test]
async fn only_a_token_with_the_scope_gets_in(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    for token in ["", "nonsense", "tenure_AAAA"] {
        let (answer, problem) = call(&portal, token, Method::GET, "/api/v1/requests/1", None).await;
        assert_eq!((answer.status, problem["status"].as_i64()), (StatusCode::UNAUTHORIZED, Some(401)));
        assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
    }
    // A session's cookie is no key here.
    let browser = portal.browser_of(company.manager).await;
    assert_eq!(browser.get("/api/v1/requests/1").await.status, StatusCode::UNAUTHORIZED);
    let reads = bearer(&portal, company.manager).await;
    sqlx::query("update api_token set scopes = '{requests:read}'").execute(&portal.owner).await.unwrap();
    let (answer, _) = call(&portal, &reads, Method::POST, "/api/v1/requests", Some(joiner())).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let (answer, _) = call(&portal, &reads, Method::GET, "/api/v1/requests/1", None).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    sqlx::query("update api_token set expires_at = now()").execute(&portal.owner).await.unwrap();
    let (answer, _) = call(&portal, &reads, Method::GET, "/api/v1/requests/1", None).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[sqlx::test]
async fn answers_are_changed_and_requests_taken_back(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let (manager, desk) = (bearer(&portal, company.manager).await, bearer(&portal, company.desk).await);
    call(&portal, &manager, Method::POST, "/api/v1/requests", Some(joiner())).await;
    let mut answers = joiner()["answers"].take();
    answers["title"] = json!("Controller");
    let put = |answers: &Value| Some(json!({"answers": answers}));
    let path = "/api/v1/requests/1/answers";
    let (answer, _) = call(&portal, &desk, Method::PUT, path, put(&answers)).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "changed by whoever gave them");
    let (answer, changed) = call(&portal, &manager, Method::PUT, path, put(&answers)).await;
    assert_eq!((answer.status, changed["answers"]["title"].as_str()), (StatusCode::OK, Some("Controller")));
    answers["title"] = json!("");
    let (answer, problem) = call(&portal, &manager, Method::PUT, path, put(&answers)).await;
    assert_eq!(
        (answer.status, problem["errors"][0]["field"].as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Some("title"))
    );
    let employee = bearer(&portal, company.employee).await;
    let path = "/api/v1/requests/1/cancellation";
    let because = |reason: &str| Some(json!({"reason": reason}));
    let (answer, _) = call(&portal, &employee, Method::POST, path, because("Mine")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let (answer, _) = call(&portal, &manager, Method::POST, path, because(&"x".repeat(2001))).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let (answer, cancelled) = call(&portal, &manager, Method::POST, path, because("They found another post")).await;
    assert_eq!((answer.status, cancelled["state"].as_str()), (StatusCode::OK, Some("cancelled")), "{}", answer.text);
    let (answer, _) = call(&portal, &manager, Method::POST, path, because("Again")).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
}

fn names(list: &Value, field: &str) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|line| line[field].as_str().unwrap_or_default().to_owned()).collect()
}

async fn document(portal: &Portal) -> Value {
    let (answer, document) = call(portal, "", Method::GET, "/api/v1/openapi.json", None).await;
    assert_eq!(answer.status, StatusCode::OK);
    document
}
