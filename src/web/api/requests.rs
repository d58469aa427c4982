//! Requests: asking, looking, and what whoever asked does after.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::Query;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::paging::{Page, Params};
use super::{Bearer, body, id, once, shown};
use crate::access::{Object, op, permit};
use crate::ids::RequestNumber;
use crate::plan::RequestKind;
use crate::plan::field::Raw;
use crate::requests::list::{self as lists, Filter, Key, Line, Sort};
use crate::requests::submit::{self, Asked};
use crate::requests::{self as asking, Request, RequestError, cancel as cancelling, change as changing, desk};
use crate::web::{AppState, Error};

/// What a request's state can be.
pub const STATES: [&str; 9] = [
    "deciding",
    "applying",
    "waiting_for_requester",
    "sent_back",
    "needs_person",
    "done",
    "rejected",
    "cancelled",
    "lapsed",
];

/// Kinds that a list can be narrowed to: all that are asked for, and what a routine asks.
pub fn kinds() -> Vec<&'static str> {
    RequestKind::ASKABLE.iter().chain([&RequestKind::Expiry]).map(|kind| kind.as_str()).collect()
}

/// What `POST /requests` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRequest {
    kind: String,
    #[serde(default)]
    answers: Value,
}

/// `POST /api/v1/requests`
pub async fn submit(
    State(state): State<AppState>,
    bearer: Bearer,
    headers: HeaderMap,
    read: Result<Json<Value>, JsonRejection>,
) -> Result<Response, Error> {
    bearer.scope("requests:write")?;
    let key = once(&headers)?;
    let new: NewRequest = body(read)?;
    let kind = RequestKind::parse(&new.kind).filter(|kind| *kind != RequestKind::Expiry).ok_or_else(|| {
        let known: Vec<&str> = RequestKind::ASKABLE.iter().map(|kind| kind.as_str()).collect();
        Error::fields(vec![("kind".to_owned(), format!("kind is one of {}", known.join(", ")))])
    })?;
    let raw = Raw::from_json(&new.answers).map_err(RequestError::Fields)?;
    let asked = match key {
        None => Asked { kind, raw, nonce: Uuid::new_v4().to_string(), sent: None, seen: None },
        Some(key) => {
            // The same however it was written: fields in order, no blanks.
            let sent = Sha256::digest(json!([new.kind, new.answers]).to_string()).into();
            Asked { kind, raw, nonce: format!("api:{}:{key}", bearer.viewer.person), sent: Some(sent), seen: None }
        }
    };
    let number = submit::submit(&state.pool, bearer.now, &bearer.actor(), &asked).await?;
    let mut tx = state.reading().await?;
    let request = asking::find(&mut tx, number).await?.ok_or_else(Error::not_found)?;
    let shown = shown::request(&mut tx, &bearer, &request).await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("/api/v1/requests/{}", number.0))], Json(shown))
        .into_response())
}

async fn find(conn: &mut PgConnection, bearer: &Bearer, number: &str) -> Result<Request, Error> {
    let request = asking::find(conn, id(number)?).await?.ok_or_else(Error::not_found)?;
    permit::<op::See>(conn, &bearer.actor(), Object::Request(request.id)).await?;
    Ok(request)
}

/// `GET /api/v1/requests/{number}`
pub async fn one(
    State(state): State<AppState>,
    Path(number): Path<String>,
    bearer: Bearer,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Error> {
    bearer.scope("requests:read")?;
    Params::of(query, &[])?;
    let mut tx = state.reading().await?;
    let request = find(&mut tx, &bearer, &number).await?;
    Ok(Json(shown::request(&mut tx, &bearer, &request).await?))
}

/// `GET /api/v1/requests`: newest first.
pub async fn list(
    State(state): State<AppState>,
    bearer: Bearer,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Error> {
    bearer.scope("requests:read")?;
    let params = Params::of(query, &["state", "kind", "mine", "person", "limit", "cursor"])?;
    let page: Page<Key> = Page::of(&bearer, "requests", &params)?;
    let filter = Filter {
        state: params.word("state", &STATES)?,
        kind: params.word("kind", &kinds())?,
        asked_by: params.yes("mine")?.then_some(bearer.viewer.person),
        subject: params.read("person", "a person's id", |text| text.parse().ok())?,
        sort: Sort::Number,
        after: page.after.clone(),
        ..Filter::default()
    };
    let mut conn = state.pool.acquire().await?;
    permit::<op::See>(&mut conn, &bearer.actor(), Object::None).await?;
    let lines = lists::list(&mut conn, &bearer.viewer, &filter, page.fetch()).await?;
    Ok(Json(page.answer(lines, |line| Key::from(line), line_json)))
}

fn line_json(line: &Line) -> Value {
    json!({
        "number": line.number,
        "kind": line.kind,
        "title": line.title,
        "state": line.state,
        "priority": line.priority,
        "restricted": line.restricted,
        "asked_by": line.asked_by,
        "asked_at": line.asked_at,
        "assignee": line.assignee,
        "respond_by": line.respond_by,
        "resolve_by": line.resolve_by,
        "settled_at": line.settled_at,
        "steps": line.steps,
        "steps_done": line.steps_done,
        "waits_for": line.waits_for,
    })
}

/// What a comment takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewComment {
    body: String,
}

/// The comment's id: whoever sends the same key again means the same comment.
fn comment_id(bearer: &Bearer, key: Option<&str>) -> Uuid {
    let Some(key) = key else { return Uuid::now_v7() };
    let hash = Sha256::digest(format!("comment:{}:{key}", bearer.viewer.person));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// `POST /api/v1/requests/{number}/comments`
pub async fn comment(
    State(state): State<AppState>,
    Path(number): Path<String>,
    bearer: Bearer,
    headers: HeaderMap,
    read: Result<Json<Value>, JsonRejection>,
) -> Result<Response, Error> {
    bearer.scope("requests:write")?;
    let number: RequestNumber = id(&number)?;
    let comment = comment_id(&bearer, once(&headers)?);
    let new: NewComment = body(read)?;
    desk::comment_once(&state.pool, bearer.now, &bearer.actor(), number, (comment, &new.body)).await?;
    let mut conn = state.pool.acquire().await?;
    let request = asking::find(&mut conn, number).await?.ok_or_else(Error::not_found)?;
    let comments = desk::comments(&mut conn, request.id).await?;
    let written = comments.iter().find(|written| written.id == comment).ok_or_else(Error::not_found)?;
    Ok((StatusCode::CREATED, Json(shown::comment(written))).into_response())
}

/// What a cancellation takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancellation {
    #[serde(default)]
    reason: String,
}

/// `POST /api/v1/requests/{number}/cancellation`
pub async fn cancel(
    State(state): State<AppState>,
    Path(number): Path<String>,
    bearer: Bearer,
    read: Result<Json<Value>, JsonRejection>,
) -> Result<Json<Value>, Error> {
    bearer.scope("requests:write")?;
    let number: RequestNumber = id(&number)?;
    let wanted: Cancellation = body(read)?;
    cancelling::cancel(&state.pool, bearer.now, &bearer.actor(), number, &wanted.reason).await?;
    after(&state, &bearer, number).await
}

/// What changed answers take.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAnswers {
    answers: Value,
}

/// `PUT /api/v1/requests/{number}/answers`
pub async fn change(
    State(state): State<AppState>,
    Path(number): Path<String>,
    bearer: Bearer,
    read: Result<Json<Value>, JsonRejection>,
) -> Result<Json<Value>, Error> {
    bearer.scope("requests:write")?;
    let number: RequestNumber = id(&number)?;
    let new: NewAnswers = body(read)?;
    let raw = Raw::from_json(&new.answers).map_err(RequestError::Fields)?;
    changing::change(&state.pool, bearer.now, &bearer.actor(), number, (&raw, None)).await?;
    after(&state, &bearer, number).await
}

/// The request as it is after something was done to it: whoever may do that may see it.
async fn after(state: &AppState, bearer: &Bearer, number: RequestNumber) -> Result<Json<Value>, Error> {
    let mut conn = state.pool.acquire().await?;
    let request = asking::find(&mut conn, number).await?.ok_or_else(Error::not_found)?;
    Ok(Json(shown::request(&mut conn, bearer, &request).await?))
}
