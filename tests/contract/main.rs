//! The API does what its document says: schemathesis (PyPI) reads `/api/v1/openapi.json`, sends what the document allows and
//! what it does not, and judges each answer: status, type, shape, headers, methods, and that no token means no answer.

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::access::token;
use tenure::config::DemoConfig;
use tenure::ids::PersonId;
use tokio::process::Command;

use support::Portal;
use support::company::rules;

/// Whoever listens for a moment, so that the portal knows its own address.
async fn listener() -> tokio::net::TcpListener {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn bearer(portal: &Portal, person: PersonId) -> String {
    let demo = DemoConfig { enabled: true, ..DemoConfig::default() };
    let mut conn = portal.owner.acquire().await.unwrap();
    token::for_demo(&mut conn, portal.clock.now(), &demo, person).await.unwrap()
}

fn joiner(number: u32) -> Value {
    json!({"kind": "joiner", "answers": {
        "given_name": "Lan", "family_name": format!("Nguyen{number}"), "employee_number": format!("E-{number}"),
        "type": "employee", "department": "Finance", "title": "Accountant", "site": "Hamburg", "manager": "mkeller",
        "start_on": "2026-11-30", "groups": ["Ledger"],
    }})
}

/// The document, with what is really there as examples: otherwise nearly every guess finds nothing.
fn with_examples(mut document: Value, there: &[(&str, Value)]) -> Value {
    for (path, calls) in document["paths"].as_object_mut().unwrap() {
        for call in calls.as_object_mut().unwrap().values_mut() {
            let id = call["operationId"].clone();
            for parameter in call.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
                let key = match parameter["name"].as_str().unwrap() {
                    "number" if id == "decide" => "to decide",
                    "number" if id == "change" => "to change",
                    "id" if path.contains("/people/") => "person",
                    "id" => "entitlement",
                    other => other,
                };
                if let Some((_, value)) = there.iter().find(|(name, _)| *name == key) {
                    parameter["example"] = value.clone();
                }
            }
            if let Some((_, body)) = there.iter().find(|(name, _)| id == *name) {
                call["requestBody"]["content"]["application/json"]["example"] = body.clone();
            }
        }
    }
    document
}

#[sqlx::test]
async fn the_api_is_what_its_document_says(options: PgPoolOptions, connect: PgConnectOptions) {
    let program = std::env::var("TENURE_SCHEMATHESIS").unwrap_or_else(|_| {
        panic!("TENURE_SCHEMATHESIS is not set: it names the program schemathesis. scripts/test sets it: run scripts/test --test contract")
    });
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    let portal = Portal::with(options, connect, |config| {
        config.web.listen = address;
        config.web.base_url = format!("http://{address}");
        config.web.api_per_minute = std::num::NonZeroU32::MAX;
    })
    .await;
    let company = portal.company().await;
    rules(&portal, &company).await;
    // Somebody who may ask, decide, read everything: each answer has something in it.
    for role in ["administrator", "desk_lead"] {
        sqlx::query("insert into role_holding (person, role) values ($1, $2) on conflict do nothing")
            .bind(company.lead)
            .bind(role)
            .execute(&portal.owner)
            .await
            .unwrap();
    }
    let serving = tokio::spawn(tenure::web::serve(listener, portal.app.clone(), portal.stop.clone()));
    let (token, manager) = (bearer(&portal, company.lead).await, bearer(&portal, company.manager).await);
    let client = support::http();
    let base = format!("http://{address}/api/v1");
    // One to take back, one to decide about, one to change.
    for (number, asker) in [(1, &token), (2, &manager), (3, &token)] {
        let asked =
            client.post(format!("{base}/requests")).bearer_auth(asker).json(&joiner(number)).send().await.unwrap();
        assert_eq!(asked.status(), 201, "{}", asked.text().await.unwrap());
    }
    let get = async |path: &str| -> Value {
        client.get(format!("{base}{path}")).bearer_auth(&token).send().await.unwrap().json().await.unwrap()
    };
    let request = get("/requests/2").await;
    let record = get("/evidence?subject=request:1").await["items"][0]["id"].clone();
    let there = [
        ("person", json!(company.anna)),
        ("entitlement", json!(company.ledger)),
        ("number", json!("1")),
        ("to decide", json!("2")),
        ("to change", json!("3")),
        ("item", json!(1)),
        ("record", record),
        ("submit", joiner(4)),
        ("comment", json!({"body": "Which group?"})),
        ("change", json!({"answers": joiner(3)["answers"]})),
        ("decide", json!({"decision": "approve", "digest": request["items"][0]["digest"], "comment": ""})),
    ];
    let place = tempfile::tempdir().unwrap();
    let document = place.path().join("openapi.json");
    let described = get("/openapi.json").await;
    let count = described["paths"].as_object().unwrap().values().flat_map(|calls| calls.as_object().unwrap()).count();
    std::fs::write(&document, with_examples(described, &there).to_string()).unwrap();

    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/schemathesis.toml");
    let run = Command::new(program)
        .arg("--config-file")
        .arg(settings)
        .args(["run", "--url", &format!("http://{address}"), "--header", &format!("Authorization: Bearer {token}")])
        .args([
            "--phases",
            "examples,coverage,fuzzing,stateful",
            "--max-examples",
            "12",
            "--seed",
            "1",
            "--checks",
            "all",
        ])
        .args(["--generation-database", "none", "--request-timeout", "20", "--continue-on-failure", "--no-color"])
        .args(["--suppress-health-check", "all"])
        .arg(&document)
        .current_dir(place.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let run = tokio::time::timeout(Duration::from_secs(280), run).await.expect("it ends in time").unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{text}\n{}", String::from_utf8_lossy(&run.stderr));
    assert!(text.contains(&format!("Tested: {count}")), "it tried all {count}:\n{text}");
    // What was sent as an example did what it says.
    let done: Vec<String> =
        sqlx::query_scalar("select distinct action from evidence_record").fetch_all(&portal.owner).await.unwrap();
    for action in ["request.commented", "request.changed", "request.cancelled", "approval.granted"] {
        assert!(done.iter().any(|seen| seen == action), "{action}: {done:?}\n{text}");
    }
    portal.stop.cancel();
    serving.await.unwrap().unwrap();
}
