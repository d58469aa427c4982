//! The portal: translates HTTP to the domain's functions and back, and holds no rule of its own.
//!
//! A request passes [`guard`] (hostile paths, wrong hosts, other sites, time and size limits), then its handler, whose
//! arguments say what it needs: [`viewer::SignedIn`] for a page, [`viewer::Posted`] for a form, which proves session and
//! form token before anything else happens. What goes wrong travels as an [`Error`] to [`errors`], which makes a designed
//! page of it (or problem details under `/api`). The table of all routes stands here.

mod adoption;
mod adoption_rules;
mod api;
mod approvals;
mod assets;
mod away;
mod bundles;
mod catalogue;
mod cursor;
mod drafts;
mod erasures;
mod errors;
mod evidence;
mod exports;
mod fields;
mod guard;
mod health;
mod history;
mod home;
mod imports;
mod live;
mod lookup;
mod me;
mod operations;
mod people;
mod person_delegations;
mod person_form;
mod person_roles;
mod plans;
mod queue;
mod record;
mod requests;
mod secrets;
mod server;
mod settings;
mod signin;
mod status;
mod systems;
mod teams;
mod timeline;
pub mod view;
mod viewer;
pub mod witness;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::{PgPool, Postgres, Transaction};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use tower_http::limit::RequestBodyLimitLayer;

use crate::clock::Clock;
use crate::config::Config;
use crate::db;

pub use errors::Error;
pub use fields::Fields;
pub use guard::{Peer, RequestId};
pub use server::serve;
pub use viewer::{Posted, SignedIn, Uploaded};

/// The largest form or document that is read.
const BODY_LIMIT: usize = 1 << 20;

/// The largest form with a file of people in it: the file, and some fields.
const FILE_LIMIT: usize = crate::people::import::LARGEST + (64 << 10);

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
    live: live::Hub,
    /// How often each API token may still come.
    calls: api::Calls,
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
        Self(Arc::new(Inner {
            pool,
            config,
            clock,
            metrics,
            stop,
            status: status::Cache::default(),
            live: live::Hub::default(),
            calls: api::Calls::default(),
        }))
    }

    /// What a page reads with that finds everything by keys ([`db::BY_KEY`]); it ends when dropped.
    ///
    /// # Errors
    /// Where the database does not answer.
    async fn reading(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.pool.begin_with(db::BY_KEY).await
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

/// Serves the portal until its `stop` is cancelled, looking after live pages meanwhile.
///
/// # Errors
/// As [`serve`].
pub async fn run(state: AppState, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    let looking = tokio::spawn(live::poll(state.clone()));
    let stop = state.stop.clone();
    let served = serve(listener, router(state), stop).await;
    looking.abort();
    served
}

/// The way in, the first page, and the viewer's own.
fn own() -> Router<AppState> {
    Router::new()
        .route("/", get(home::page))
        .route("/signin", get(signin::page).post(signin::sign_in))
        .route("/signin/demo", post(signin::demo))
        .route("/signout", post(signin::sign_out))
        .route("/me", get(me::page))
        .route("/me/sessions/{id}/end", post(me::end_session))
        .route("/me/sessions/end-others", post(me::end_other_sessions))
        .route("/me/tokens", get(me::page).post(me::make_token))
        .route("/me/tokens/{id}/revoke", post(me::revoke_token))
        .route("/me/delegations", get(me::page).post(me::delegate))
        .route("/me/delegations/{id}/end", post(me::end_delegation))
}

/// Asking, deciding, and what follows.
fn asking() -> Router<AppState> {
    Router::new()
        .route("/requests", get(requests::list).post(drafts::submit))
        .route("/requests/new", get(drafts::chooser))
        .route("/requests/new/{kind}", get(drafts::start).post(drafts::begin))
        .route("/drafts/choices", get(drafts::found))
        .route("/drafts/{id}/check", get(drafts::check_page))
        .route("/drafts/{id}/discard", post(drafts::discard))
        .route("/drafts/{id}/{step}", get(drafts::page).post(drafts::answer))
        .route("/requests/{number}", get(requests::page))
        .route("/requests/{number}/timeline", get(requests::moved))
        .route("/requests/{number}/events", get(live::events))
        .route("/requests/{number}/comments", post(requests::comment))
        .route("/requests/{number}/assignment", post(requests::assign))
        .route("/requests/{number}/priority", get(requests::priority_page).post(requests::prioritise))
        .route("/requests/{number}/answers", get(drafts::change_page).post(drafts::change))
        .route("/requests/{number}/cancellation", get(requests::cancellation_page).post(requests::cancel))
        .route("/requests/{number}/steps/{step}/retry", post(requests::retry))
        .route("/requests/{number}/steps/{step}/skip", get(requests::skip_page).post(requests::skip))
        .route("/requests/{number}/items/{item}/decision", get(approvals::page).post(approvals::decide))
        .route("/approvals", get(approvals::list))
        .route("/queue", get(queue::page))
        .route("/queue/assignment", post(queue::assign))
        .route("/secrets/{id}", get(secrets::page).post(secrets::reveal))
}

/// Looking: people, catalogue, evidence, machinery.
fn looking() -> Router<AppState> {
    Router::new()
        .route("/people", get(people::people))
        .route("/people/{id}", get(people::person))
        .route("/people/new", get(person_form::blank).post(person_form::make))
        .route("/people/{id}/edit", get(person_form::page).post(person_form::change))
        .route("/people/{id}/employment", get(person_form::another).post(person_form::begin))
        .route("/people/{id}/delegations", get(person_delegations::page).post(person_delegations::make))
        .route("/people/{id}/delegations/{delegation}/end", post(person_delegations::end))
        .route("/people/{id}/roles", get(person_roles::page).post(person_roles::change))
        .route("/people/{id}/erasure", get(erasures::proposal_page).post(erasures::propose))
        .route("/erasures", get(erasures::list))
        .route("/erasures/{id}", get(erasures::page).post(erasures::decide))
        .route("/team", get(teams::team))
        .route("/org", get(teams::org))
        .route("/search", get(teams::search))
        .route("/search/people", get(teams::pick))
        .route("/search/mailboxes", get(teams::pick_mail))
        .route("/search/lists", get(teams::pick_mail))
        .route("/search/suggest", get(teams::suggest))
        .route("/catalogue", get(catalogue::page))
        .route("/catalogue/new", get(catalogue::new))
        .route("/catalogue/{id}", get(catalogue::entitlement))
        .route("/settings", get(settings::settings))
        .route("/settings/{subject}", get(settings::setting))
        .route("/settings/drafts", post(settings::drafts::begin))
        .route("/settings/drafts/{id}", get(settings::drafts::page).post(settings::drafts::change))
        .route(
            "/settings/drafts/{id}/rules/{rule}",
            get(settings::drafts::rule_page).post(settings::drafts::change_rule),
        )
        .route("/settings/proposals/{id}", get(settings::proposals::page).post(settings::proposals::decide))
        .route("/evidence", get(evidence::page))
        .route("/history", get(history::page))
        .route("/history/bundle", post(bundles::take))
        .route("/history/{record}", get(record::page))
        .route("/history/{record}/bytes", get(record::bytes))
        .route("/history/{record}/proof", get(record::proof))
        .route("/history/{record}/disclosures", get(record::disclosures))
        .route("/adoption", get(adoption::page))
        .route("/adoption/rules", get(adoption_rules::page))
        .route("/adoption/rules/{rule}", post(adoption_rules::link))
        .route("/adoption/rules/{rule}/switch", post(adoption_rules::switch))
        .route("/adoption/beyond", get(adoption_rules::beyond))
        .route("/adoption/{account}", get(adoption::account).post(adoption::link))
        .route("/exports/{file}", get(exports::take))
        .route("/outbox", get(operations::outbox))
        .route("/outbox/{id}", get(operations::mail))
        .route("/outbox/{id}/retry", post(operations::send_again))
        .route("/system", get(operations::system))
        .route("/system/{key}", get(systems::page))
        .route("/system/{key}/checks", get(systems::check).post(systems::ask))
}

/// Files of people, which may be larger than other forms.
fn files() -> Router<AppState> {
    Router::new()
        .route("/people/import", get(imports::start).post(imports::begin))
        .route("/people/import/{id}", get(imports::page).post(imports::apply))
        .route("/people/import/{id}/columns", post(imports::choose))
        .route("/people/import/{id}/discard", post(imports::discard))
        .layer(DefaultBodyLimit::max(FILE_LIMIT))
        .layer(RequestBodyLimitLayer::new(FILE_LIMIT))
}

/// The API.
fn programs() -> Router<AppState> {
    Router::new()
        .route("/api/v1/openapi.json", get(api::openapi::document))
        .route("/api/v1/people", get(api::people::list))
        .route("/api/v1/people/{id}", get(api::people::one))
        .route("/api/v1/people/{id}/grants", get(api::people::grants))
        .route("/api/v1/catalogue", get(api::catalogue::list))
        .route("/api/v1/catalogue/{id}", get(api::catalogue::one))
        .route("/api/v1/requests", get(api::requests::list).post(api::requests::submit))
        .route("/api/v1/requests/{number}", get(api::requests::one))
        .route("/api/v1/requests/{number}/comments", post(api::requests::comment))
        .route("/api/v1/requests/{number}/cancellation", post(api::requests::cancel))
        .route("/api/v1/requests/{number}/answers", put(api::requests::change))
        .route("/api/v1/requests/{number}/items/{item}/decisions", post(api::decisions::decide))
        .route("/api/v1/evidence", get(api::evidence::list))
        .route("/api/v1/evidence/{record}", get(api::evidence::one))
}

/// What browsers and machines need.
fn machinery() -> Router<AppState> {
    Router::new()
        .route("/static/{name}", get(assets::file))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
}

/// The whole portal as one service.
pub fn router(state: AppState) -> Router {
    // A bundle is compressed already.
    let compressible = DefaultPredicate::new().and(NotForContentType::new("application/zip"));
    own()
        .merge(asking())
        .merge(looking())
        .merge(programs())
        .merge(machinery())
        .fallback(errors::not_found)
        .method_not_allowed_fallback(errors::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(RequestBodyLimitLayer::new(BODY_LIMIT))
        .merge(files())
        .layer(CatchPanicLayer::custom(errors::panicked))
        .layer(axum::middleware::from_fn_with_state(state.clone(), guard::around))
        .layer(CompressionLayer::new().compress_when(compressible))
        .with_state(state)
}
