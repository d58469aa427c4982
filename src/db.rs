//! PostgreSQL: the pool, migrations, the application role's rights, and which errors are worth another try.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Executor, PgConnection, PgPool};

use crate::config::DatabaseConfig;

/// The schema's history, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// A pool as the application uses it: statement and idle limits set, so that no lock outlives a lost client.
///
/// # Errors
/// Where the address cannot be read. Connecting itself waits for the first use: a portal whose database is down
/// starts, and says so.
pub fn pool(config: &DatabaseConfig) -> Result<PgPool, sqlx::Error> {
    let options: PgConnectOptions = config.url.parse()?;
    let options = options
        .application_name("tenure")
        .log_slow_statements(log::LevelFilter::Warn, Duration::from_millis(500))
        .options([
            ("idle_in_transaction_session_timeout", "30s"),
            ("statement_timeout", "30s"),
            ("lock_timeout", "10s"),
        ]);
    Ok(PgPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy_with(options))
}

/// Brings the schema up to date as its owner, then gives the application's role what it needs and no more.
///
/// # Errors
/// Where the database does not answer, a migration fails, or the role does not exist.
pub async fn migrate(owner: &mut PgConnection, app_role: &str) -> anyhow::Result<()> {
    MIGRATOR.run(&mut *owner).await?;
    grant(owner, app_role).await?;
    Ok(())
}

/// Rights of the application's role. Evidence, decisions and rule versions can be added to, never changed.
///
/// # Errors
/// Where the role does not exist or the caller does not own the tables.
pub async fn grant(owner: &mut PgConnection, app_role: &str) -> Result<(), sqlx::Error> {
    // An identifier cannot be a bound parameter; quoted as PostgreSQL quotes it.
    let role = format!("\"{}\"", app_role.replace('"', "\"\""));
    let statements = format!(
        "grant usage on schema public to {role};
         grant select, insert, update, delete on all tables in schema public to {role};
         grant usage on all sequences in schema public to {role};
         revoke update, delete, truncate on evidence_record, evidence_disclosure, evidence_leaf, evidence_anchor, decision, setting_version from {role};
         revoke delete on evidence_subject, evidence_log, request, item, stage, step, attempt, person, access_grant, erasure from {role};
         grant execute on function erase_evidence(uuid) to {role};
         revoke insert, update, delete on _sqlx_migrations from {role};"
    );
    owner.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statements))).await?;
    Ok(())
}

/// Whether the same transaction, done again, may well succeed: serialisation failures, deadlocks, lost connections.
pub fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // 40001, 40P01; class 08 connection, 53 resources, 57 operator intervention; 55P03 lock not available.
            ["40001", "40P01", "55P03"].contains(&code.as_ref())
                || ["08", "53", "57"].iter().any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

/// The violated constraint's name, for turning it into a field's error.
pub fn constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(|error| error.constraint())
}
