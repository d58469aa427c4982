//! What is refused changes nothing.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use uuid::Uuid;

use super::walk::Walk;
use crate::safety::routes;
use crate::support::browser::{encoded, send};
use crate::support::recorded::{changed, look};

/// What a refusal may leave, by route.
const LEAVES: &[(&str, &[&str], &str)] = &[
    ("/signin", &["sign_in_throttle"], "somebody who mistypes waits; the refusal is recorded"),
    ("/requests/new/{kind}", &["draft"], "what was typed is kept, so that it can be mended"),
    ("/drafts/{id}/{step}", &["draft"], "what was typed is kept, so that it can be mended"),
];

/// Every mutating route × everybody, about somebody else's things and with answers that cannot be taken.
#[sqlx::test]
async fn a_refused_operation_changes_nothing(options: PgPoolOptions, connect: PgConnectOptions) {
    let walk = Walk::start(options, connect).await;
    let (portal, company, nobody) = (&walk.portal, walk.company, Uuid::nil().to_string());
    let ids = [
        ("/people/{id}", format!("/people/{}", company.ben)),
        ("/adoption/{account}", format!("/adoption/{}", walk.account)),
        ("/requests/new/{kind}", "/requests/new/joiner".to_owned()),
        ("/drafts/{id}/{step}", format!("/drafts/{nobody}/who")),
        ("{number}", "1".to_owned()),
        ("{item}", "1".to_owned()),
        ("{step}", nobody.clone()),
        ("{id}", nobody.clone()),
    ];
    let filled = [("comment", " "), ("reason", ""), ("decision", "maybe"), ("digest", "0"), ("assignee", "chosen")];
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    let mutating: Vec<(Method, String)> = routes().into_iter().filter(|(method, _)| *method != Method::GET).collect();
    for (method, route) in &mutating {
        let path = ids.iter().fold(route.clone(), |path, (from, to)| path.replace(from, to));
        for (name, person) in company.everybody() {
            let browser = portal.browser_of(person).await;
            let csrf = browser.get("/me").await.value("csrf").unwrap();
            for (fields, token) in [(&filled[..], "0"), (&filled[..], csrf.as_str()), (&[][..], csrf.as_str())] {
                let mut fields = fields.to_vec();
                fields.push(("csrf", token));
                let (kind, body) = match route.starts_with("/api/") {
                    true => ("application/json", json!({"kind": "joiner", "answers": {}}).to_string()),
                    false => ("application/x-www-form-urlencoded", encoded(&fields)),
                };
                let request =
                    browser.request(method.clone(), &path).header("content-type", kind).body(body.into()).unwrap();
                let before = look(&portal.owner).await;
                let answer = send(&portal.app, request).await;
                // A log that is not there yet is no fault of ours, and no more to change by.
                let not_yet = answer.status == StatusCode::SERVICE_UNAVAILABLE && route == "/history/bundle";
                assert!(!answer.status.is_server_error() || not_yet, "{route} by {name}: {}", answer.text);
                if !answer.status.is_client_error() && !not_yet {
                    continue;
                }
                let tables = changed(&before, &look(&portal.owner).await);
                let may = LEAVES.iter().find(|(of, ..)| of == route).map_or(&[][..], |(_, tables, _)| tables);
                assert!(
                    tables.iter().all(|table| may.contains(&table.as_str())),
                    "{route} by {name} was refused ({}) and changed {tables:?}",
                    answer.status
                );
                *refused.entry(route.clone()).or_default() += 1;
            }
        }
    }
    let never: Vec<&String> =
        mutating.iter().map(|(_, route)| route).filter(|route| !refused.contains_key(*route)).collect();
    assert!(never.is_empty(), "never refused: {never:?}");
}
