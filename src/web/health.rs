//! For machines that look after this one: alive, ready, numbers.

use axum::extract::State;
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::guard::Peer;
use super::{AppState, Error};
use crate::db;

/// `GET /healthz`: the process lives. Says nothing about anything else, so that a restart is not the answer to a database
/// that is down.
pub async fn alive() -> &'static str {
    "alive\n"
}

/// `GET /readyz`: the database answers and its schema is the one that this program was built for.
pub async fn ready(State(state): State<AppState>) -> Response {
    if state.stop.is_cancelled() {
        return not_ready("stopping\n");
    }
    match applied(&state).await {
        Ok(applied) if applied >= newest() => "ready\n".into_response(),
        Ok(_) => not_ready("the database's schema is older: run tenure migrate\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready: the database does not answer");
            not_ready("the database does not answer\n")
        }
    }
}

/// Why not, for machines: a type of its own keeps people's error page away from it.
fn not_ready(why: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "text/plain")], why).into_response()
}

/// The newest migration compiled in.
fn newest() -> i64 {
    db::MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

async fn applied(state: &AppState) -> Result<i64, sqlx::Error> {
    let mut conn = state.pool.acquire().await?;
    sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations where success")
        .fetch_one(&mut *conn)
        .await
}

/// `GET /metrics`, for this machine's own collector: what came through a proxy or from elsewhere does not see it.
pub async fn metrics(
    State(state): State<AppState>,
    extensions: Extensions,
    headers: HeaderMap,
) -> Result<String, Error> {
    let near = extensions.get::<Peer>().is_none_or(|peer| peer.0.ip().is_loopback());
    if !near || headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded") {
        return Err(Error::not_found());
    }
    metrics::gauge!("tenure_database_connections").set(f64::from(state.pool.size()));
    Ok(state.metrics.render())
}
