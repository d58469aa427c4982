//! The change history, for those who may read it.

use axum::Json;
use axum::extract::{Path, State};
use axum_extra::extract::Query;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::paging::{Page, Params};
use super::{Bearer, id};
use crate::access::{Object, op, permit};
use crate::evidence::history::{self, Entry, Filter};
use crate::web::{AppState, Error, record};

/// An action, or its part before the dot.
fn action(text: &str) -> Option<String> {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let (kind, what) = text.split_once('.').map_or((text, None), |(kind, what)| (kind, Some(what)));
    (part(kind) && what.is_none_or(part)).then(|| text.to_owned())
}

/// `GET /api/v1/evidence`: newest first.
pub async fn list(
    State(state): State<AppState>,
    bearer: Bearer,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Error> {
    bearer.scope("evidence:read")?;
    let params = Params::of(query, &["subject", "action", "from", "to", "limit", "cursor"])?;
    let page: Page<(DateTime<Utc>, Uuid)> = Page::of(&bearer, "evidence", &params)?;
    let filter = Filter {
        subject: params.text("subject").map(str::to_owned),
        action: params.read("action", "an action such as step.applied, or step for all of a kind", action)?,
        from: params.instant("from")?,
        until: params.instant("to")?,
        before: page.after,
        discreet: true,
        ..Filter::default()
    };
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeHistory>(&mut conn, &bearer.actor(), Object::None).await?;
    let entries = history::list(&mut conn, &filter, page.fetch()).await?;
    Ok(Json(page.answer(entries, |entry| (entry.at, entry.id), shown)))
}

fn shown(entry: &Entry) -> Value {
    json!({
        "id": entry.id,
        "at": entry.at,
        "action": entry.action,
        "subject": entry.subject,
        "seq": entry.seq,
        "by": entry.actor_name,
        "for": entry.on_behalf_of_name,
        "via": entry.via,
        "request": entry.request,
        "item": entry.item,
        "system": entry.system,
        "kind": entry.kind,
        "object": entry.object,
        "record": entry.record,
    })
}

/// `GET /api/v1/evidence/{record}`: with the bytes that its proof is about.
pub async fn one(
    State(state): State<AppState>,
    Path(path): Path<String>,
    bearer: Bearer,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Error> {
    bearer.scope("evidence:read")?;
    Params::of(query, &[])?;
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeHistory>(&mut conn, &bearer.actor(), Object::None).await?;
    let entry = history::find(&mut conn, id(&path)?).await?.ok_or_else(Error::not_found)?;
    record::discreet(&mut conn, &entry).await?;
    let mut shown = shown(&entry);
    shown["canonical"] = json!(String::from_utf8_lossy(&entry.canonical));
    shown["canonical_sha256"] = json!(hex::encode(Sha256::digest(&entry.canonical)));
    Ok(Json(shown))
}
