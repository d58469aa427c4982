//! Deciding: about an item as it was seen, by its digest.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Bearer, body, id, shown};
use crate::requests::RequestError;
use crate::requests::decide::{self, Deciding, Verdict};
use crate::web::{AppState, Error};

/// What a decision takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDecision {
    decision: String,
    digest: String,
    #[serde(default)]
    comment: String,
}

/// `POST /api/v1/requests/{number}/items/{item}/decisions`
pub async fn decide(
    State(state): State<AppState>,
    Path((number, item)): Path<(String, String)>,
    bearer: Bearer,
    read: Result<Json<Value>, JsonRejection>,
) -> Result<Response, Error> {
    bearer.scope("decisions:write")?;
    let (number, item) = (id(&number)?, id(&item)?);
    let new: NewDecision = body(read)?;
    let verdict = Verdict::parse(&new.decision).ok_or_else(|| {
        Error::fields(vec![("decision".to_owned(), "decision is approve, reject or send_back".to_owned())])
    })?;
    if new.comment.contains('\0') {
        let words = "The comment contains an invisible character (U+0000)".to_owned();
        return Err(Error::fields(vec![("comment".to_owned(), words)]));
    }
    let deciding = Deciding { number, item, verdict, digest: new.digest, comment: new.comment };
    let decided = decide::decide(&state.pool, bearer.now, &bearer.actor(), &deciding).await;
    let mut conn = state.pool.acquire().await?;
    match decided {
        Ok(()) => {
            let item = shown::item(&mut conn, &bearer, number, item).await?.ok_or_else(Error::not_found)?;
            Ok((StatusCode::CREATED, Json(item)).into_response())
        }
        Err(RequestError::Stale) => {
            let now = shown::item(&mut conn, &bearer, number, item).await?;
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
