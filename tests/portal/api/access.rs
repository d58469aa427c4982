//! Who reads and does what with a token.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::access::token;

use super::{bearer, call, document, joiner, names, set};
use crate::support::Portal;

#[sqlx::test]
async fn everybody_reads_what_their_pages_show(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    sqlx::query(
        "insert into access_grant (id, person, entitlement, account, reason, reason_text, starts_at)
         values ($1, $2, $3, $4, 'before_tenure', '', now())",
    )
    .bind(uuid::Uuid::now_v7())
    .bind(company.anna)
    .bind(company.ledger)
    .bind(uuid::Uuid::now_v7())
    .execute(&portal.owner)
    .await
    .unwrap();
    let (employee, manager) = (bearer(&portal, company.employee).await, bearer(&portal, company.manager).await);
    let (anna, auditor) = (bearer(&portal, company.anna).await, bearer(&portal, company.auditor).await);
    let of_anna = format!("/api/v1/people/{}", company.anna);
    for (token, sees) in [(&employee, false), (&manager, true), (&anna, true), (&auditor, true)] {
        let (answer, person) = call(&portal, token, Method::GET, &of_anna, None).await;
        assert_eq!((answer.status, person["name"].as_str()), (StatusCode::OK, Some("Anna Vogel")));
        assert_eq!(person["employments"].is_array(), sees, "{person}");
        assert_eq!(person["grants"][0]["entitlement"]["name"].as_str(), sees.then_some("Ledger"));
        let (answer, grants) = call(&portal, token, Method::GET, &format!("{of_anna}/grants"), None).await;
        assert_eq!(answer.status == StatusCode::OK, sees, "{}", answer.text);
        assert_eq!(grants["items"].as_array().map(Vec::len), sees.then_some(1));
    }
    let (answer, _) =
        call(&portal, &employee, Method::GET, &format!("/api/v1/people/{}", uuid::Uuid::nil()), None).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let entitlement = format!("/api/v1/catalogue/{}", company.ledger);
    let owner = bearer(&portal, company.owner).await;
    for (token, holders) in [(&employee, None), (&owner, Some(1))] {
        let (_, listed) = call(&portal, token, Method::GET, "/api/v1/catalogue", None).await;
        assert!(names(&listed, "name").contains(&"Ledger".to_owned()), "{listed}");
        let (_, one) = call(&portal, token, Method::GET, &entitlement, None).await;
        assert_eq!(one["holders"].as_i64(), holders, "{one}");
    }
    call(&portal, &manager, Method::POST, "/api/v1/requests", Some(joiner())).await;
    for (token, sees) in [(&manager, 1), (&owner, 1), (&auditor, 1), (&employee, 0)] {
        let (_, listed) = call(&portal, token, Method::GET, "/api/v1/requests?kind=joiner&state=deciding", None).await;
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(sees), "{listed}");
    }
    let (_, mine) = call(&portal, &owner, Method::GET, "/api/v1/requests?mine=true", None).await;
    assert_eq!(mine["items"], json!([]));
    let (answer, records) = call(&portal, &auditor, Method::GET, "/api/v1/evidence?subject=request:1", None).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(names(&records, "action").contains(&"request.submitted".to_owned()), "{records}");
    let record = format!("/api/v1/evidence/{}", records["items"][0]["id"].as_str().unwrap());
    let (_, whole) = call(&portal, &auditor, Method::GET, &record, None).await;
    assert!(whole["canonical"].as_str().unwrap().starts_with('{'), "{whole}");
    for path in ["/api/v1/evidence", record.as_str()] {
        let (answer, _) = call(&portal, &manager, Method::GET, path, None).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "a manager reads no history");
    }
    let (_, none) = call(&portal, &auditor, Method::GET, "/api/v1/evidence?to=2020-01-01T00:00:00Z", None).await;
    assert_eq!(none, json!({"items": [], "next": null}));
}

#[sqlx::test]
async fn each_call_wants_its_scope(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let token = bearer(&portal, company.auditor).await;
    let document = document(&portal).await;
    let mut tried = 0;
    for (path, calls) in document["paths"].as_object().unwrap() {
        for (method, described) in calls.as_object().unwrap() {
            let needed = described["security"][0]["token"].as_array().cloned().unwrap_or_default();
            for scope in &needed {
                assert!(token::SCOPES.contains(&scope.as_str().unwrap()), "{scope}");
                let others: Vec<&str> = token::SCOPES.into_iter().filter(|other| *scope != *other).collect();
                sqlx::query("update api_token set scopes = $1").bind(others).execute(&portal.owner).await.unwrap();
                let path = path.replace("{number}", "1").replace("{item}", "1");
                let path = path.replace("{id}", &company.anna.to_string()).replace("{record}", "x");
                let method: Method = method.to_uppercase().parse().unwrap();
                let (answer, problem) = call(&portal, &token, method, &path, Some(json!({}))).await;
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} without {scope}");
                assert!(problem["detail"].as_str().unwrap().contains(scope.as_str().unwrap()), "{problem}");
                tried += 1;
            }
        }
    }
    assert!(tried > 12, "{tried}");
}

/// A joiner with a number of their own.
fn one_more() -> Value {
    let mut asked = joiner();
    asked["answers"]["employee_number"] = json!(format!("E-{}", uuid::Uuid::now_v7()).get(..30));
    asked
}

/// One more request of the manager's.
async fn another(portal: &Portal, manager: &str) -> i64 {
    let (answer, made) = call(portal, manager, Method::POST, "/api/v1/requests", Some(one_more())).await;
    made["number"].as_i64().unwrap_or_else(|| panic!("{}", answer.text))
}

/// Every call × everybody × what is theirs and what is not: what a token with all scopes is answered.
#[sqlx::test]
async fn everybody_may_what_the_matrix_says(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let manager = bearer(&portal, company.manager).await;
    call(&portal, &manager, Method::POST, "/api/v1/requests", Some(joiner())).await;
    let auditor = bearer(&portal, company.auditor).await;
    let (_, records) = call(&portal, &auditor, Method::GET, "/api/v1/evidence?subject=request:1", None).await;
    let record = records["items"][0]["id"].as_str().unwrap().to_owned();
    let routes: Vec<(Method, String)> = crate::safety::routes()
        .into_iter()
        .filter(|(_, path)| path.starts_with("/api/") && !path.ends_with("openapi.json"))
        .collect();
    let mut table = String::new();
    for (method, route) in &routes {
        let about: &[&str] = if route.contains("/people/{id}") { &["own", "another's"] } else { &[""] };
        for object in about {
            let mut line = format!("{method} {} {object}", route.trim_start_matches("/api/v1"));
            for (name, person) in company.everybody() {
                let token = bearer(&portal, person).await;
                let id = match (route.contains("/catalogue/"), *object) {
                    (true, _) => company.ledger.to_string(),
                    (false, "own") => person.to_string(),
                    (false, _) => company.ben.to_string(),
                };
                let path = route.replace("{id}", &id).replace("{record}", &record);
                let cancels = route.ends_with("/cancellation");
                let number = if cancels { another(&portal, &manager).await } else { 1 };
                let path = path.replace("{number}", &number.to_string()).replace("{item}", "1");
                let body = match (*method == Method::GET, route.rsplit('/').next()) {
                    (true, _) => None,
                    (_, Some("comments")) => Some(json!({"body": "Seen"})),
                    (_, Some("decisions")) => Some(json!({"decision": "approve", "digest": "0"})),
                    (_, Some("cancellation")) => Some(json!({"reason": "Not needed"})),
                    (_, Some("answers")) => Some(json!({"answers": joiner()["answers"]})),
                    _ => Some(one_more()),
                };
                let (answer, _) = call(&portal, &token, method.clone(), &path, body).await;
                line.push_str(&format!(" · {name} {}", answer.status.as_u16()));
            }
            table.push_str(line.trim_end());
            table.push('\n');
        }
    }
    insta::assert_snapshot!(table);
}
