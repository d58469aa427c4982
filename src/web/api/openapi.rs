//! The API described in OpenAPI 3.1, at `/api/v1/openapi.json`. A test compares it with the route table, both ways; the
//! shapes stand in [`super::schemas`].

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::paging::{LONGEST, MOST, USUAL};
use super::requests;
use super::schemas::{of, schemas};
use crate::access::token::SCOPES;
use crate::web::AppState;

/// `GET /api/v1/openapi.json`: no secret is in it, so no token is asked for.
pub async fn document(State(state): State<AppState>) -> Json<Value> {
    Json(described(&state.config.web.base_url))
}

/// One operation.
struct Call {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    scopes: &'static [&'static str],
    parameters: Vec<Value>,
    /// The body's schema; such operations change something.
    body: Option<&'static str>,
    /// The status and the answer's schema.
    answer: (&'static str, &'static str),
}

impl Call {
    fn get(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        scopes: &'static [&'static str],
        answer: &'static str,
    ) -> Self {
        Self { method: "get", path, id, summary, scopes, parameters: Vec::new(), body: None, answer: ("200", answer) }
    }

    /// A list: with `limit` and `cursor` beside its own parameters.
    fn list(mut self, own: Vec<Value>) -> Self {
        self.parameters = own;
        let limit = json!({"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL});
        self.parameters.push(query("limit", "How many lines a page has at most.", limit));
        let place = "The `next` of the page before: good for the same list, filter and token.";
        self.parameters.push(query("cursor", place, json!({"type": "string", "maxLength": 1000})));
        self
    }

    fn sends(mut self, method: &'static str, body: &'static str, status: &'static str) -> Self {
        self.method = method;
        self.body = Some(body);
        self.answer.0 = status;
        self
    }

    /// Takes a key so that it is done once.
    fn once(mut self) -> Self {
        self.parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "The same key with the same body gives the same answer and does nothing twice; with another body 409.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
        }));
        self
    }

    fn json(self) -> Value {
        let mut parameters: Vec<Value> = self.path.split('{').skip(1).map(in_path).collect();
        parameters.extend(self.parameters);
        let mut answer = json!({
            "description": "As asked.",
            "content": {"application/json": {"schema": of(self.answer.1)}},
        });
        if self.id == "submit" {
            answer["headers"] = json!({"Location": {"description": "The request.", "schema": {"type": "string"}}});
        }
        let mut responses = problems(self.body.is_some());
        responses.insert(self.answer.0.to_owned(), answer);
        if self.id == "decide" {
            responses.insert("409".to_owned(), problem("The item has changed: it comes with the answer.", "Stale"));
        }
        let mut call = json!({
            "operationId": self.id,
            "summary": self.summary,
            "parameters": parameters,
            "responses": responses,
            "security": [{"token": self.scopes}],
        });
        if let Some(body) = self.body {
            call["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": of(body)}}});
        }
        call
    }
}

fn query(name: &str, description: &str, schema: Value) -> Value {
    json!({"name": name, "in": "query", "required": false, "description": description, "schema": schema})
}

fn in_path(part: &str) -> Value {
    let name = part.split('}').next().unwrap_or(part);
    let schema = match name {
        "number" => json!({"type": "string", "pattern": "^(REQ-)?[0-9]{1,12}$", "examples": ["482", "REQ-000482"]}),
        "item" => json!({"type": "integer", "minimum": 1, "maximum": 10000}),
        _ => json!({"type": "string", "format": "uuid"}),
    };
    json!({"name": name, "in": "path", "required": true, "schema": schema})
}

fn problem(description: &str, schema: &str) -> Value {
    json!({"description": description, "content": {"application/problem+json": {"schema": of(schema)}}})
}

/// What may go wrong with every operation; more where a body is sent.
fn problems(sends: bool) -> Map<String, Value> {
    let mut all = vec![
        ("400", "A parameter is unknown or cannot be taken: it is named."),
        ("401", "No valid token."),
        ("403", "The token lacks the scope, or its person may not do this."),
        ("404", "Nothing is there, or it is not this person’s to see."),
        ("429", "Too many calls by this token."),
        ("503", "The database does not answer; try again."),
    ];
    if sends {
        all.extend([
            ("409", "Its state does not allow it, or the key was used for something else."),
            ("413", "More than a mebibyte."),
            ("415", "The body is not application/json."),
            ("422", "The body cannot be taken: the fields are named."),
        ]);
    }
    let mut problems: Map<String, Value> =
        all.into_iter().map(|(status, words)| (status.to_owned(), problem(words, "Problem"))).collect();
    let wait = json!({"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}});
    problems["429"]["headers"] = wait.clone();
    problems["503"]["headers"] = wait;
    problems["401"]["headers"] = json!({"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}}});
    problems
}

fn text() -> Value {
    json!({"type": "string", "maxLength": LONGEST, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"})
}

fn reads() -> Vec<Call> {
    let search = || query("q", "Words of the name; accents and capitals do not matter.", text());
    let narrowed = vec![
        query("state", "Only those in this state.", json!({"type": "string", "enum": requests::STATES})),
        query("kind", "Only those of this kind.", json!({"type": "string", "enum": requests::kinds()})),
        query("mine", "Only what the token’s person asked for.", json!({"type": "boolean"})),
        query("person", "Only those about this person.", json!({"type": "string", "format": "uuid"})),
    ];
    let instant = || json!({"type": "string", "format": "date-time"});
    let recorded = vec![
        query("subject", "What the records are about, such as request:482.", text()),
        query(
            "action",
            "An action such as step.applied, or the part before the dot.",
            json!({"type": "string", "pattern": "^[a-z_]+(\\.[a-z_]+)?$", "maxLength": LONGEST}),
        ),
        query("from", "Not before.", instant()),
        query("to", "Before.", instant()),
    ];
    vec![
        Call::get("/api/v1/people", "people", "People by name.", &["people:read"], "People").list(vec![search()]),
        Call::get(
            "/api/v1/people/{id}",
            "person",
            "One person: employments and grants too, for those who see them fully.",
            &["people:read"],
            "Person",
        ),
        Call::get(
            "/api/v1/people/{id}/grants",
            "grants",
            "What somebody holds, all at once.",
            &["people:read", "grants:read"],
            "Grants",
        ),
        Call::get("/api/v1/catalogue", "catalogue", "What can be held.", &["catalogue:read"], "Catalogue")
            .list(vec![search()]),
        Call::get(
            "/api/v1/catalogue/{id}",
            "entitlement",
            "One entitlement; how many hold it, for those who may see who (scope grants:read too).",
            &["catalogue:read"],
            "Entitlement",
        ),
        Call::get("/api/v1/requests", "requests", "Requests, newest first.", &["requests:read"], "Requests")
            .list(narrowed),
        Call::get(
            "/api/v1/requests/{number}",
            "request",
            "One request with its items, stages, steps and comments.",
            &["requests:read"],
            "Request",
        ),
        Call::get("/api/v1/evidence", "evidence", "The change history, newest first.", &["evidence:read"], "Records")
            .list(recorded),
        Call::get(
            "/api/v1/evidence/{record}",
            "record",
            "One record with its exact bytes.",
            &["evidence:read"],
            "WholeRecord",
        ),
    ]
}

fn writes() -> Vec<Call> {
    let write: &[&str] = &["requests:write"];
    vec![
        Call::get("/api/v1/requests", "submit", "Asks for something.", write, "Request")
            .sends("post", "NewRequest", "201")
            .once(),
        Call::get("/api/v1/requests/{number}/comments", "comment", "Comments a request.", write, "Comment")
            .sends("post", "NewComment", "201")
            .once(),
        Call::get(
            "/api/v1/requests/{number}/cancellation",
            "cancel",
            "Takes a request back: what is not done yet will not be.",
            write,
            "Request",
        )
        .sends("post", "Cancellation", "200"),
        Call::get(
            "/api/v1/requests/{number}/answers",
            "change",
            "Changes a request’s answers; what differs is planned and decided anew.",
            write,
            "Request",
        )
        .sends("put", "NewAnswers", "200"),
        Call::get(
            "/api/v1/requests/{number}/items/{item}/decisions",
            "decide",
            "Decides about an item as it was seen.",
            &["decisions:write"],
            "Item",
        )
        .sends("post", "NewDecision", "201"),
    ]
}

/// The whole document.
pub fn described(base_url: &str) -> Value {
    let mut paths = Map::new();
    for call in reads().into_iter().chain(writes()) {
        let (path, method) = (call.path, call.method);
        paths.entry(path).or_insert_with(|| json!({}))[method] = call.json();
    }
    paths.insert(
        "/api/v1/openapi.json".to_owned(),
        json!({"get": {
            "operationId": "openapi",
            "summary": "This document.",
            "security": [],
            "responses": {"200": {
                "description": "OpenAPI 3.1.",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }},
        }}),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tenure",
            "version": "1",
            "description": format!(
                "The portal’s functions for programs. A person makes a token on their page; it may do what they may, as far as its scopes go: {}.",
                SCOPES.join(", ")
            ),
        },
        "servers": [{"url": base_url}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas(),
        },
    })
}
