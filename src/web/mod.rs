//! The portal: translates HTTP to the domain's functions and back, and holds no rule of its own.
//!
//! A request passes [`guard`] (hostile paths, wrong hosts, other sites, time and size limits), then its handler, whose
//! arguments say what it needs: [`viewer::SignedIn`] for a page, [`viewer::Posted`] for a form, which proves session and
//! form token before anything else happens. What goes wrong travels as an [`Error`] to [`errors`], which makes a designed
//! page of it (or problem details under `/api`). The table of all routes stands here.

mod assets;
mod errors;
mod fields;
mod guard;
mod health;
mod me;
mod server;
mod signin;
mod status;
pub mod view;
mod viewer;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;

use crate::clock::Clock;
use crate::config::Config;

pub use errors::Error;
pub use fields::Fields;
pub use guard::{Peer, RequestId};
pub use server::serve;
pub use viewer::{Posted, SignedIn};

/// The largest form or document that is read.
const BODY_LIMIT: usize = 1 << 20;

/// What every handler shares.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

/// The parts of [`AppState`].
pub struct Inner {
    pub pool: PgPool,
    pub config: Config,
    pub clock: Clock,
    pub metrics: PrometheusHandle,
    /// Cancelled when the process stops: live pages end, readiness says no.
    pub stop: CancellationToken,
    status: status::Cache,
}

impl std::ops::Deref for AppState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl AppState {
    pub fn new(pool: PgPool, config: Config, clock: Clock, stop: CancellationToken) -> Self {
        let metrics = crate::telemetry::metrics();
        Self(Arc::new(Inner { pool, config, clock, metrics, stop, status: status::Cache::default() }))
    }

    /// The session cookie's name: with the prefix that binds it to this host and to TLS, except on plain loopback.
    pub fn cookie_name(&self) -> &'static str {
        if self.config.web.insecure_http { "tenure" } else { "__Host-tenure" }
    }
}

/// What a worker that runs by itself answers: its health and its numbers.
pub fn health_router(state: AppState) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .with_state(state)
}

/// The whole portal as one service.
pub fn router(state: AppState) -> Router {
    let pages = Router::new()
        .route("/signin", get(signin::page).post(signin::sign_in))
        .route("/signin/demo", post(signin::demo))
        .route("/signout", post(signin::sign_out))
        .route("/me", get(me::page))
        .route("/me/sessions/{id}/end", post(me::end_session))
        .route("/me/sessions/end-others", post(me::end_other_sessions))
        .route("/me/tokens", get(me::page).post(me::make_token))
        .route("/me/tokens/{id}/revoke", post(me::revoke_token))
        .route("/me/delegations", get(me::page).post(me::delegate))
        .route("/me/delegations/{id}/end", post(me::end_delegation));
    let machinery = Router::new()
        .route("/static/{name}", get(assets::file))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics));
    pages
        .merge(machinery)
        .fallback(errors::not_found)
        .method_not_allowed_fallback(errors::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(RequestBodyLimitLayer::new(BODY_LIMIT))
        .layer(CatchPanicLayer::custom(errors::panicked))
        .layer(axum::middleware::from_fn_with_state(state.clone(), guard::around))
        .layer(CompressionLayer::new())
        .with_state(state)
}
