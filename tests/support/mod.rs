//! What the suites share: a portal on a database of its own, browsers that keep cookies, and a small company.
//!
//! `#[sqlx::test]` hands each test a fresh, migrated database as its owner; the portal itself runs under the application's
//! role (`SET ROLE` on every connection), so that a missing right shows here and not in production.

#![allow(dead_code, reason = "each suite uses its part")]

pub mod browser;
pub mod company;
pub mod recorded;
pub mod scripted;

use axum::Router;
use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor, PgPool};
use tenure::clock::Clock;
use tenure::config::Config;
use tenure::db;
use tenure::web::{self, AppState};
use tokio_util::sync::CancellationToken;

/// The application's role in tests; roles belong to the cluster, so it is made once.
const APP_ROLE: &str = "tenure_app";

/// Monday 23 November 2026, 09:00 in Hamburg.
pub fn monday() -> DateTime<Utc> {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

/// A portal on a database of its own.
pub struct Portal {
    pub app: Router,
    /// As the application's role.
    pub pool: PgPool,
    /// As the schema's owner, for setting a stage and for looking.
    pub owner: PgPool,
    pub clock: Clock,
    pub stop: CancellationToken,
    pub config: Config,
}

impl Portal {
    pub async fn start(options: PgPoolOptions, connect: PgConnectOptions) -> Self {
        Self::with(options, connect, |_| {}).await
    }

    /// With a configuration of its own.
    pub async fn with(options: PgPoolOptions, connect: PgConnectOptions, change: impl FnOnce(&mut Config)) -> Self {
        let (owner, pool) = pools(options, connect).await;
        let clock = Clock::fixed(monday());
        let stop = CancellationToken::new();
        let mut config = config();
        change(&mut config);
        let state = AppState::new(pool.clone(), config.clone(), clock.clone(), stop.clone());
        Self { app: web::router(state), pool, owner, clock, stop, config }
    }
}

/// The owner's pool, and one whose connections have the application's role.
pub async fn pools(options: PgPoolOptions, connect: PgConnectOptions) -> (PgPool, PgPool) {
    // The day of the portal's clock, whatever the machine's calendar says.
    let connect = connect.options([("tenure.business_day", monday().date_naive().to_string())]);
    let owner = options.connect_with(connect.clone()).await.unwrap();
    let mut conn = owner.acquire().await.unwrap();
    // Two tests may come here at once; whoever is second finds it made.
    conn.execute(sqlx::raw_sql(
        "do $$ begin
             if not exists (select from pg_roles where rolname = 'tenure_app') then create role tenure_app; end if;
         exception when duplicate_object or unique_violation then null; end $$",
    ))
    .await
    .unwrap();
    db::grant(&mut conn, APP_ROLE).await.unwrap();
    recorded::demand(&mut conn).await;
    drop(conn);
    let pool = PgPoolOptions::new()
        .max_connections(8)
        .after_connect(|conn, _| {
            Box::pin(async move {
                conn.execute("set role tenure_app").await?;
                Ok(())
            })
        })
        .connect_with(connect)
        .await
        .unwrap();
    (owner, pool)
}

/// A client for a portal on a socket of its own.
pub fn http() -> reqwest::Client {
    // It wants a provider also for plain HTTP.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Plain loopback HTTP, no demo, no targets.
pub fn config() -> Config {
    toml::from_str(
        "[database]\nurl = \"postgres://unused\"\n[web]\nbase_url = \"http://tenure.test\"\ncompany = \"Example\"\ninsecure_http = true\n",
    )
    .unwrap()
}
