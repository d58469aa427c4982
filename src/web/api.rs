//! The JSON API under `/api/v1`: the same functions as the pages, for programs that bear a person's token.
//!
//! Errors are problem details (RFC 9457) that name the fields. No cookie is read here, so no other site can borrow one. A
//! request made with the header `Idempotency-Key` is made once, however often it is sent.

use std::collections::HashMap;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value as Json_, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::guard::Address;
use super::view::errors::Wrong;
use super::{AppState, Error, lookup};
use crate::access::{Actor, Object, Viewer, op, permit, scope, token};
use crate::catalog;
use crate::changes::{self, Step};
use crate::ids::{EntitlementId, ItemId, PersonId, RequestNumber};
use crate::plan::RequestKind;
use crate::plan::field::Raw;
use crate::requests::decide::{self, Deciding, Verdict};
use crate::requests::submit::{self, Asked};
use crate::requests::{self as asking, Item, Request, RequestError, Stage};

/// Whoever bears a valid token.
pub struct Bearer {
    viewer: Viewer,
    now: DateTime<Utc>,
}

impl Bearer {
    fn actor(&self) -> Actor {
        Actor::Person(self.viewer.clone())
    }

    /// Asked before anything is looked up, so that a token without the scope learns nothing.
    fn scope(&self, needed: &str) -> Result<(), Error> {
        let has = self.viewer.scopes.iter().any(|scope| scope == needed);
        has.then_some(()).ok_or_else(|| Error::wrong(Wrong::NotForYou, format!("This token lacks the scope {needed}.")))
    }
}

impl FromRequestParts<AppState> for Bearer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let shown = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown =
            shown.and_then(|value| value.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        let Some((_, shown)) = shown else { return Err(Error::SignIn) };
        let address = parts.extensions.get::<Address>().and_then(|address| address.0.clone());
        let mut conn = state.pool.acquire().await?;
        let viewer = token::resume(&mut conn, shown.trim(), address).await?.ok_or(Error::SignIn)?;
        Ok(Self { viewer, now: state.clock.now() })
    }
}

/// A JSON body, or what is wrong with it.
fn body<T>(read: Result<Json<T>, JsonRejection>) -> Result<T, Error> {
    read.map(|Json(body)| body).map_err(|rejection| {
        let status = rejection.status();
        let wrong = if status == StatusCode::PAYLOAD_TOO_LARGE { Wrong::TooLarge } else { Wrong::Senseless };
        Error::with_status(status, wrong, rejection.body_text())
    })
}

/// What `POST /requests` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRequest {
    kind: String,
    #[serde(default)]
    answers: Json_,
}

/// `POST /api/v1/requests`
pub async fn submit(
    State(state): State<AppState>,
    bearer: Bearer,
    headers: HeaderMap,
    read: Result<Json<NewRequest>, JsonRejection>,
) -> Result<Response, Error> {
    bearer.scope("requests:write")?;
    let new = body(read)?;
    let kind = RequestKind::parse(&new.kind).filter(|kind| *kind != RequestKind::Expiry).ok_or_else(|| {
        let known: Vec<&str> = RequestKind::ASKABLE.iter().map(|kind| kind.as_str()).collect();
        Error::fields(vec![("kind".to_owned(), format!("kind is one of {}", known.join(", ")))])
    })?;
    let raw = Raw::from_json(&new.answers).map_err(RequestError::Fields)?;
    let nonce = match headers.get("idempotency-key").map(|key| key.to_str()) {
        None => Uuid::new_v4().to_string(),
        Some(Ok(key)) if (1..=200).contains(&key.len()) => format!("api:{}:{key}", bearer.viewer.person),
        Some(_) => {
            return Err(Error::wrong(Wrong::Senseless, "Idempotency-Key has 1 to 200 visible ASCII characters."));
        }
    };
    let number = submit::submit(&state.pool, bearer.now, &bearer.actor(), &Asked { kind, raw, nonce }).await?;
    let mut conn = state.pool.acquire().await?;
    let request = asking::find(&mut conn, number).await?.ok_or_else(Error::not_found)?;
    let shown = whole(&mut conn, &bearer, &request).await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("/api/v1/requests/{}", number.0))], Json(shown))
        .into_response())
}

async fn find(conn: &mut PgConnection, bearer: &Bearer, number: &str) -> Result<Request, Error> {
    let number: RequestNumber = number.parse().map_err(|_| Error::not_found())?;
    let request = asking::find(conn, number).await?.ok_or_else(Error::not_found)?;
    permit::<op::See>(conn, &bearer.actor(), Object::Request(request.id)).await?;
    Ok(request)
}

/// `GET /api/v1/requests/{number}`
pub async fn request(
    State(state): State<AppState>,
    Path(number): Path<String>,
    bearer: Bearer,
) -> Result<Json<Json_>, Error> {
    bearer.scope("requests:read")?;
    let mut conn = state.pool.acquire().await?;
    let request = find(&mut conn, &bearer, &number).await?;
    Ok(Json(whole(&mut conn, &bearer, &request).await?))
}

/// What a decision takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDecision {
    decision: String,
    digest: String,
    #[serde(default)]
    comment: String,
}

/// `POST /api/v1/requests/{number}/items/{item}/decisions`
pub async fn decide(
    State(state): State<AppState>,
    Path((number, item)): Path<(String, i32)>,
    bearer: Bearer,
    read: Result<Json<NewDecision>, JsonRejection>,
) -> Result<Response, Error> {
    bearer.scope("decisions:write")?;
    let new = body(read)?;
    let verdict = Verdict::parse(&new.decision).ok_or_else(|| {
        Error::fields(vec![("decision".to_owned(), "decision is approve, reject or send_back".to_owned())])
    })?;
    let number: RequestNumber = number.parse().map_err(|_| Error::not_found())?;
    let deciding = Deciding { number, item, verdict, digest: new.digest, comment: new.comment };
    let decided = decide::decide(&state.pool, bearer.now, &bearer.actor(), &deciding).await;
    let mut conn = state.pool.acquire().await?;
    match decided {
        Ok(()) => {
            let item = one(&mut conn, &bearer, number, item).await?.ok_or_else(Error::not_found)?;
            Ok((StatusCode::CREATED, Json(item)).into_response())
        }
        Err(RequestError::Stale) => {
            let now = one(&mut conn, &bearer, number, item).await?;
            let problem = json!({
                "type": "about:blank",
                "title": "Conflict",
                "status": 409,
                "detail": "The item is not what the digest stands for: it was planned anew or decided meanwhile. Nothing was decided.",
                "item": now,
            });
            Ok((StatusCode::CONFLICT, [(header::CONTENT_TYPE, "application/problem+json")], problem.to_string())
                .into_response())
        }
        Err(other) => Err(other.into()),
    }
}

/// One item as the decider sees it.
async fn one(
    conn: &mut PgConnection,
    bearer: &Bearer,
    number: RequestNumber,
    ordinal: i32,
) -> Result<Option<Json_>, Error> {
    let Some(request) = asking::find(conn, number).await? else { return Ok(None) };
    let visible = scope::visible_items(conn, &bearer.viewer, request.id).await?;
    let items = asking::items(conn, request.id).await?;
    let Some(item) = items.iter().find(|item| item.ordinal == ordinal && visible.shows(item.id)) else {
        return Ok(None);
    };
    let stages = asking::stages(conn, request.id).await?;
    let steps = changes::steps(conn, request.id, false).await?;
    Ok(Some(item_json(item, &stages, &steps)))
}

/// A request with the items that the bearer may see.
async fn whole(conn: &mut PgConnection, bearer: &Bearer, request: &Request) -> Result<Json_, Error> {
    let visible = scope::visible_items(conn, &bearer.viewer, request.id).await?;
    let items = asking::items(conn, request.id).await?;
    let stages = asking::stages(conn, request.id).await?;
    let steps = changes::steps(conn, request.id, false).await?;
    let shown: Vec<Json_> =
        items.iter().filter(|item| visible.shows(item.id)).map(|item| item_json(item, &stages, &steps)).collect();
    // Whoever decides about one item sees that item, not everything about the person.
    let answers = if visible == scope::Items::All { answers(conn, request).await? } else { json!({}) };
    Ok(json!({
        "number": request.number.0,
        "kind": request.kind,
        "state": request.state,
        "title": request.title,
        "asked_by": request.asked_by_name,
        "asked_at": request.asked_at,
        "settled_at": request.settled_at,
        "answers": answers,
        "items": shown,
    }))
}

/// The answers as they are asked for: people by what is typed for them, groups by name.
async fn answers(conn: &mut PgConnection, request: &Request) -> Result<Json_, Error> {
    let mut answers = request.answers["answers"].clone();
    for name in ["manager", "person"] {
        let id: Option<PersonId> = answers[name].as_str().and_then(|id| id.parse().ok());
        if let Some(id) = id
            && let Some(line) = lookup::person(conn, id).await?
        {
            answers[name] = json!(line.key);
        }
    }
    for name in ["groups", "leave"] {
        let ids: Vec<EntitlementId> = answers[name]
            .as_array()
            .map(|ids| ids.iter().filter_map(|id| id.as_str()?.parse().ok()).collect())
            .unwrap_or_default();
        if !ids.is_empty() {
            let found = catalog::find_many(conn, &ids).await?;
            let names: HashMap<EntitlementId, String> = found.into_iter().map(|found| (found.id, found.name)).collect();
            answers[name] = ids.iter().map(|id| names.get(id).map_or_else(|| json!(id), |name| json!(name))).collect();
        }
    }
    Ok(answers)
}

fn item_json(item: &Item, stages: &[Stage], steps: &[Step]) -> Json_ {
    let of = |other: ItemId| other == item.id;
    json!({
        "item": item.ordinal,
        "label": item.label,
        "state": item.state,
        "sox": item.sox,
        "digest": item.digest,
        "why": item.why,
        "stages": stages.iter().filter(|stage| of(stage.item)).map(stage_json).collect::<Vec<_>>(),
        "steps": steps.iter().filter(|step| of(step.item)).map(step_json).collect::<Vec<_>>(),
    })
}

fn stage_json(stage: &Stage) -> Json_ {
    let decisions: Vec<Json_> = stage
        .decisions
        .iter()
        .map(|decision| {
            json!({
                "by": decision.name,
                "for": decision.stands_for,
                "decision": decision.verdict,
                "digest": decision.digest,
                "comment": decision.comment,
                "at": decision.decided_at,
            })
        })
        .collect();
    json!({
        "name": stage.name,
        "role": stage.role,
        "state": stage.state,
        "reason": stage.reason,
        "needs": stage.needed.map_or(json!("all"), |needed| json!(needed)),
        "deciders": stage.deciders,
        "decisions": decisions,
    })
}

fn step_json(step: &Step) -> Json_ {
    json!({
        "id": step.name,
        "system": step.system,
        "kind": step.kind,
        "key": step.key,
        "label": step.label,
        "why": step.why,
        "state": step.state,
        "told": step.told,
        "after": step.after,
        "not_before": step.not_before,
        "presence": step.difference.presence,
        "changes": step.difference.changes,
    })
}
