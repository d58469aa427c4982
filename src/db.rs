//! PostgreSQL: the pool, migrations, the application role's rights, and which errors are worth another try.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _, Executor, PgConnection, PgPool, Postgres, Transaction};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::config::{DatabaseConfig, read_secret};

/// The schema's history, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// How long a connection may have been idle and is used without asking whether it still holds: less than any restart of
/// PostgreSQL takes.
const UNASKED: Duration = Duration::from_millis(100);

/// Begins a transaction in which each statement keeps the plan that a connection has made for it once. For statements that find
/// their rows by keys, whatever the keys are: planning some of ours anew each time takes longer than running them. Not for
/// searches, where what is searched for decides the way. By indexes, as [`BY_INDEX`] says.
pub const BY_KEY: &str = "begin; set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off";

/// Begins a transaction whose statements find their rows by indexes, planned as PostgreSQL sees fit. A plan that was made and
/// kept while a table was nearly empty would read all of it when it is full.
pub const BY_INDEX: &str = "begin; set local enable_seqscan = off";

/// [`BY_KEY`] for a few statements; inside of a transaction they are planned as all of it is.
pub enum ByKey<'c> {
    Own(Transaction<'c, Postgres>),
    Within(&'c mut PgConnection),
}

impl<'c> ByKey<'c> {
    /// # Errors
    /// Where the database does not answer.
    pub async fn begin(conn: &'c mut PgConnection) -> Result<Self, sqlx::Error> {
        if conn.is_in_transaction() {
            return Ok(Self::Within(conn));
        }
        Ok(Self::Own(conn.begin_with(BY_KEY).await?))
    }

    /// # Errors
    /// Where the database does not answer.
    pub async fn end(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Own(tx) => tx.commit().await,
            Self::Within(_) => Ok(()),
        }
    }
}

impl Deref for ByKey<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Own(tx) => tx,
            Self::Within(conn) => conn,
        }
    }
}

impl DerefMut for ByKey<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Own(tx) => tx,
            Self::Within(conn) => conn,
        }
    }
}

/// How often a password file is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// A pool as the application uses it: statement and idle limits set, so that no lock outlives a lost client.
///
/// # Errors
/// Where the address or its password's file cannot be read. Connecting itself waits for the first use: a portal whose
/// database is down starts, and says so.
pub fn pool(config: &DatabaseConfig) -> Result<PgPool, sqlx::Error> {
    Ok(PgPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(Duration::from_secs(5))
        // A connection that was used a moment ago is not asked first whether it still holds.
        .test_before_acquire(false)
        .before_acquire(|conn, meta| {
            Box::pin(async move {
                if meta.idle_for > UNASKED {
                    conn.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options(config)?))
}

fn options(config: &DatabaseConfig) -> Result<PgConnectOptions, sqlx::Error> {
    let options = address(&config.url, config.password_file.as_deref())?;
    Ok(options
        .application_name("tenure")
        .log_slow_statements(log::LevelFilter::Warn, Duration::from_millis(500))
        .options([
            ("idle_in_transaction_session_timeout", "30s"),
            ("statement_timeout", "30s"),
            ("lock_timeout", "10s"),
            // Compiling a statement, or starting processes for it, takes longer than answering any of ours.
            ("jit", "off"),
            ("max_parallel_workers_per_gather", "0"),
        ]))
}

/// The address with the password from its file, where there is one.
///
/// # Errors
/// Where either cannot be read.
pub fn address(url: &str, password_file: Option<&Path>) -> Result<PgConnectOptions, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let Some(file) = password_file else { return Ok(options) };
    let password = read_secret(file).map_err(|error| sqlx::Error::Configuration(Box::new(error)))?;
    Ok(options.password(&password))
}

/// Follows the password's file until told to stop: connections that are opened from then on use the new one, those that are
/// open stay. Returns at once where no file is named.
pub async fn follow_password(pool: PgPool, config: DatabaseConfig, stop: CancellationToken) {
    if config.password_file.is_none() {
        return;
    }
    let mut known = None;
    while !stop.is_cancelled() {
        renew(&pool, &config, &mut known);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// One look at the file; one that is just being replaced is looked at again.
fn renew(pool: &PgPool, config: &DatabaseConfig, known: &mut Option<Zeroizing<String>>) {
    let Some(Ok(password)) = config.password_file.as_deref().map(read_secret) else { return };
    if known.as_ref() == Some(&password) {
        return;
    }
    if let Ok(options) = options(config) {
        pool.set_connect_options(options);
        if known.replace(password).is_some() {
            tracing::info!("new connections to the database use a new password");
        }
    }
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
         revoke delete on evidence_subject, evidence_log, request, item, stage, step, attempt, person, access_grant, erasure, setting_proposal from {role};
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_new_password_in_its_file_is_used_by_new_connections() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let write = |text: &str| {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        };
        write("first\n");
        let config = DatabaseConfig {
            url: "postgres://tenure_app@127.0.0.1:1/tenure".to_owned(),
            password_file: Some(file.clone()),
            owner_url: None,
            owner_password_file: None,
            app_role: "tenure_app".to_owned(),
            max_connections: 1,
        };
        let pool = pool(&config).unwrap();
        let password = || {
            let url = pool.connect_options().to_url_lossy();
            url.password().map(str::to_owned)
        };
        assert_eq!(password().as_deref(), Some("first"));
        let mut known = None;
        renew(&pool, &config, &mut known);
        write("second\n");
        renew(&pool, &config, &mut known);
        assert_eq!(password().as_deref(), Some("second"));
        std::fs::remove_file(&file).unwrap();
        renew(&pool, &config, &mut known);
        assert_eq!(password().as_deref(), Some("second"));
    }
}
