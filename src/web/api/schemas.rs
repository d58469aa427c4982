//! The shapes of bodies and answers, as JSON Schema.

use serde_json::{Map, Value, json};

use super::requests;
use crate::plan::RequestKind;

/// A schema by its name.
pub fn of(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn or_null(schema: Value) -> Value {
    match schema.get("type").and_then(Value::as_str).map(str::to_owned) {
        Some(kind) if schema.get("enum").is_none() => {
            let mut schema = schema;
            schema["type"] = json!([kind, "null"]);
            schema
        }
        _ => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

fn text() -> Value {
    json!({"type": "string"})
}

fn number() -> Value {
    json!({"type": "integer"})
}

fn yes() -> Value {
    json!({"type": "boolean"})
}

fn format(format: &str) -> Value {
    json!({"type": "string", "format": format})
}

fn list(of: Value) -> Value {
    json!({"type": "array", "items": of})
}

/// An answer: every field is always there, null where there is nothing to say.
fn always(fields: Vec<(&str, Value)>) -> Value {
    let required: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Value> =
        fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

/// A body: nothing else may be in it.
fn body(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
}

fn page(name: &str) -> Value {
    let next = json!({"type": ["string", "null"], "description": "The cursor of the next page; null on the last."});
    always(vec![("items", list(of(name))), ("next", next)])
}

fn named() -> Value {
    always(vec![("id", format("uuid")), ("name", text())])
}

fn line_of_person() -> Vec<(&'static str, Value)> {
    vec![
        ("id", format("uuid")),
        ("name", text()),
        ("user_name", or_null(text())),
        ("state", or_null(text())),
        ("title", or_null(text())),
        ("department", or_null(text())),
        ("site", or_null(text())),
        ("manager", or_null(of("Named"))),
    ]
}

fn person() -> Value {
    let mut fields = line_of_person();
    fields.extend([
        ("mail", or_null(text())),
        ("phone", or_null(text())),
        ("employee_number", or_null(text())),
        ("source", or_null(text())),
        ("employments", or_null(list(of("Employment")))),
        ("grants", or_null(list(of("Grant")))),
    ]);
    always(fields)
}

fn employment() -> Value {
    always(vec![
        ("title", text()),
        ("department", text()),
        ("site", text()),
        ("first_day", format("date")),
        ("last_day", or_null(format("date"))),
    ])
}

fn grant() -> Value {
    always(vec![
        ("id", format("uuid")),
        ("entitlement", of("Named")),
        ("sox", yes()),
        ("account", format("uuid")),
        ("reason", json!({"type": "string", "enum": ["rule", "request", "before_tenure", "review"]})),
        ("reason_text", text()),
        ("starts_at", format("date-time")),
        ("until_on", or_null(format("date"))),
        ("request", or_null(number())),
        ("asked_by", or_null(text())),
        ("decided_by", or_null(text())),
    ])
}

fn line_of_catalogue() -> Vec<(&'static str, Value)> {
    vec![
        ("id", format("uuid")),
        ("name", text()),
        ("description", text()),
        ("system", text()),
        ("kind", text()),
        ("right", text()),
        ("native_id", format("uuid")),
        ("owner", or_null(of("Named"))),
        ("risk", json!({"type": "string", "enum": ["low", "normal", "high"]})),
        ("sox", yes()),
        ("requestable", yes()),
    ]
}

fn entitlement() -> Value {
    let mut fields = line_of_catalogue();
    fields.push(("holders", or_null(number())));
    always(fields)
}

fn line_of_request() -> Value {
    always(vec![
        ("number", number()),
        ("kind", text()),
        ("title", text()),
        ("state", json!({"type": "string", "enum": requests::STATES})),
        ("priority", number()),
        ("restricted", yes()),
        ("asked_by", or_null(text())),
        ("asked_at", format("date-time")),
        ("assignee", or_null(text())),
        ("respond_by", or_null(format("date-time"))),
        ("resolve_by", or_null(format("date-time"))),
        ("settled_at", or_null(format("date-time"))),
        ("steps", number()),
        ("steps_done", number()),
        ("waits_for", list(text())),
    ])
}

fn request() -> Value {
    always(vec![
        ("number", number()),
        ("kind", text()),
        ("state", json!({"type": "string", "enum": requests::STATES})),
        ("title", text()),
        ("asked_by", or_null(text())),
        ("asked_at", format("date-time")),
        ("settled_at", or_null(format("date-time"))),
        (
            "answers",
            json!({"type": "object", "description": "As they are asked for; empty for who sees single items only."}),
        ),
        ("items", list(of("Item"))),
        ("comments", list(of("Comment"))),
    ])
}

fn item() -> Value {
    let decision = always(vec![
        ("by", text()),
        ("for", or_null(text())),
        ("decision", text()),
        ("digest", text()),
        ("comment", text()),
        ("at", format("date-time")),
    ]);
    let stage = always(vec![
        ("name", text()),
        ("role", text()),
        ("state", text()),
        ("reason", text()),
        ("needs", json!({"oneOf": [{"type": "integer"}, {"const": "all"}]})),
        ("deciders", list(text())),
        ("decisions", list(decision)),
    ]);
    let step = always(vec![
        ("id", text()),
        ("system", text()),
        ("kind", text()),
        ("key", json!({"type": "object"})),
        ("label", text()),
        ("why", text()),
        ("state", text()),
        ("told", or_null(text())),
        ("after", list(text())),
        ("not_before", or_null(format("date-time"))),
        ("presence", json!({"type": ["array", "null"], "items": {"enum": ["absent", "present"]}})),
        ("changes", list(json!({"type": "object", "required": ["attribute"]}))),
    ]);
    always(vec![
        ("item", number()),
        ("label", text()),
        ("state", text()),
        ("sox", yes()),
        ("digest", text()),
        ("why", or_null(text())),
        ("stages", list(stage)),
        ("steps", list(step)),
    ])
}

fn comment() -> Value {
    always(vec![("id", format("uuid")), ("by", text()), ("body", text()), ("at", format("date-time"))])
}

fn line_of_records() -> Vec<(&'static str, Value)> {
    vec![
        ("id", format("uuid")),
        ("at", format("date-time")),
        ("action", text()),
        ("subject", text()),
        ("seq", number()),
        ("by", or_null(text())),
        ("for", or_null(text())),
        ("via", text()),
        ("request", or_null(number())),
        ("item", or_null(number())),
        ("system", or_null(text())),
        ("kind", or_null(text())),
        ("object", or_null(text())),
        ("record", json!({"type": "object", "description": "The record, opened as far as it may be."})),
    ]
}

fn whole_record() -> Value {
    let mut fields = line_of_records();
    fields.push(("canonical", json!({"type": "string", "description": "The bytes as hashed: canonical JSON."})));
    fields.push(("canonical_sha256", json!({"type": "string", "pattern": "^[0-9a-f]{64}$"})));
    always(fields)
}

fn problem() -> Value {
    let field = always(vec![("field", text()), ("message", text())]);
    json!({
        "type": "object",
        "description": "RFC 9457.",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"const": "about:blank"},
            "title": text(),
            "status": number(),
            "detail": text(),
            "request_id": text(),
            "errors": list(field),
        },
    })
}

fn bodies() -> Vec<(&'static str, Value)> {
    let kinds: Vec<&str> = RequestKind::ASKABLE.iter().map(|kind| kind.as_str()).collect();
    let scalar = json!({"type": ["string", "number", "boolean"]});
    let value =
        json!({"anyOf": [{"type": ["string", "number", "boolean", "null"]}, {"type": "array", "items": scalar}]});
    let answers = json!({
        "type": "object",
        "description": "The fields of the kind’s form; people by user name, groups by name, days as 2026-11-30.",
        "additionalProperties": value,
    });
    let words = |most: u32| json!({"type": "string", "maxLength": most, "pattern": "^[^\\u0000]*$"});
    vec![
        (
            "NewRequest",
            body(&["kind", "answers"], json!({"kind": {"type": "string", "enum": kinds}, "answers": answers})),
        ),
        ("NewAnswers", body(&["answers"], json!({"answers": answers}))),
        (
            "NewComment",
            body(
                &["body"],
                json!({"body": {"type": "string", "minLength": 1, "maxLength": 10000, "pattern": "^[^\\u0000]*\\S[^\\u0000]*$"}}),
            ),
        ),
        ("Cancellation", body(&[], json!({"reason": words(2000)}))),
        (
            "NewDecision",
            body(
                &["decision", "digest"],
                json!({
                    "decision": {"type": "string", "enum": ["approve", "reject", "send_back"]},
                    "digest": {"type": "string", "description": "The item’s digest, as it was seen."},
                    "comment": words(2000),
                }),
            ),
        ),
    ]
}

/// All of them, by name.
pub fn schemas() -> Map<String, Value> {
    let mut stale = problem();
    stale["properties"]["item"] = or_null(of("Item"));
    let mut all = vec![
        ("Named", named()),
        ("PersonLine", always(line_of_person())),
        ("People", page("PersonLine")),
        ("Person", person()),
        ("Employment", employment()),
        ("Grant", grant()),
        ("Grants", page("Grant")),
        ("EntitlementLine", always(line_of_catalogue())),
        ("Catalogue", page("EntitlementLine")),
        ("Entitlement", entitlement()),
        ("RequestLine", line_of_request()),
        ("Requests", page("RequestLine")),
        ("Request", request()),
        ("Item", item()),
        ("Comment", comment()),
        ("RecordLine", always(line_of_records())),
        ("Records", page("RecordLine")),
        ("WholeRecord", whole_record()),
        ("Problem", problem()),
        ("Stale", stale),
    ];
    all.extend(bodies());
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}
