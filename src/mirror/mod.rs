//! What the target systems looked like when last seen: accounts, groups and memberships, mailboxes, lists and rights, kept fresh from each target's own
//! change feed, and whose they are.
//!
//! [`refresh`] is called about once a second. It asks the connector for the next piece of its feed (no transaction is open
//! meanwhile) and applies each piece in one transaction together with the feed's cursor: after a crash the feed goes on
//! exactly where the mirror stands. Several workers may do it at once; the cursor's position is the fence, and the second to
//! arrive throws its copy away.
//!
//! A feed does not show everything (deletions are hidden from a plain service account), so ids are compared in full every
//! ten minutes and at the end of each sweep: what the target no longer has is marked gone, what the mirror has missed begins a new
//! sweep. Once a day a sweep is made anyway: it mends what a lost race between a step's look and the feed may have left. Rows are never deleted: an account that is gone was somebody's, and records speak of it.
//!
//! Whose an account is ([`adoption`]): a request of ours says so, rules find out (employee number, mail, name), or
//! a person says it by hand; what nobody can say is listed. The mirror is never written from a plan or a form: what a step did
//! comes back by the feed, or at once by [`saw`], which takes only what a connector saw.

pub mod adoption;
mod apply;
mod compare;
pub mod erase;
pub mod linking;
pub mod look;
pub mod mail;
pub mod trial;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

pub use self::apply::{saw, saw_memberships, went};
use crate::db;
use crate::evidence::EvidenceError;
use crate::ids::PersonId;
use crate::target::{Batch, Connector, Fault, SystemKey};

/// Pieces applied in one call, at most: a sweep of a large directory is spread over several.
const PIECES: usize = 50;

/// Why the mirror could not be brought up to date. What was applied before stays; the next call goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    #[error(transparent)]
    Target(#[from] Fault),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
}

/// What one call of [`refresh`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Objects that the feed spoke of.
    pub changed: usize,
    /// Objects found gone by comparing ids.
    pub gone: usize,
    /// Accounts that rules linked to persons. What they hold becomes grants by way of [`linking::to_adopt`], which lasts
    /// over a crash.
    pub linked: Vec<Linked>,
    /// The mirror's position afterwards.
    pub position: i64,
    /// More is waiting in the feed: call again at once.
    pub more: bool,
}

/// An account that became somebody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    pub system: SystemKey,
    pub account: Uuid,
    pub person: PersonId,
}

/// Where the mirror of one system stands.
#[derive(Debug, Clone)]
struct Standing {
    cursor: Option<Vec<u8>>,
    position: i64,
    /// The database's clock before the feed is asked.
    asked_at: DateTime<Utc>,
    /// Ids are to be compared: never done, or ten minutes ago.
    compare: bool,
    /// Persons may have changed since links were last looked for.
    adopt: bool,
}

/// Brings the mirror of the connector's system up to date. The system's row in `target_system` must be there.
///
/// # Errors
/// When the target or the database does not answer; the failure is kept with the cursor for the pages to tell.
pub async fn refresh(pool: &PgPool, connector: &dyn Connector, now: DateTime<Utc>) -> Result<Refreshed, RefreshError> {
    let outcome = follow(pool, connector, now).await;
    if let Err(RefreshError::Target(fault)) = &outcome {
        sqlx::query!(
            "update mirror_cursor set failure = $2, failing_since = coalesce(failing_since, now()) where system = $1",
            connector.system().0,
            fault.to_string()
        )
        .execute(pool)
        .await?;
    }
    outcome
}

async fn follow(pool: &PgPool, connector: &dyn Connector, now: DateTime<Utc>) -> Result<Refreshed, RefreshError> {
    let system = connector.system();
    let mut done = Refreshed::default();
    for _ in 0..PIECES {
        let standing = standing(pool, system).await?;
        let batch = connector.changes(standing.cursor.as_deref()).await?;
        done.more = batch.more;
        done.changed += batch.changed.len();
        if !take_in(pool, system, &standing, &batch).await? {
            // Another worker took this piece in.
            return Ok(done);
        }
        if let Some(there) = &batch.whole {
            done.gone += compare::swept(pool, system, there).await?;
        }
        if !batch.more {
            break;
        }
    }
    let standing = standing(pool, system).await?;
    done.position = standing.position;
    if done.more {
        return Ok(done);
    }
    if standing.compare {
        let compared = compare::compare(pool, connector).await?;
        done.gone += compared.gone;
        done.more = compared.missing > 0;
    }
    if standing.adopt || done.changed > 0 {
        done.linked = adoption::adopt(pool, system, now).await?;
    }
    Ok(done)
}

async fn standing(pool: &PgPool, system: &SystemKey) -> Result<Standing, sqlx::Error> {
    sqlx::query!("insert into mirror_cursor (system) values ($1) on conflict do nothing", system.0)
        .execute(pool)
        .await?;
    sqlx::query_as!(
        Standing,
        r#"select cursor, position, clock_timestamp() as "asked_at!",
                  compared_at is null or compared_at < now() - interval '10 minutes' as "compare!",
                  adopted_at is null
                    or exists (select from person p where p.updated_at > adopted_at)
                    or exists (select from target_system t where t.key = $1 and t.scope_at > adopted_at) as "adopt!"
             from mirror_cursor where system = $1"#,
        system.0
    )
    .fetch_one(pool)
    .await
}

/// One piece of the feed and its cursor, in one transaction. False: the mirror no longer stands where the piece begins.
async fn take_in(pool: &PgPool, system: &SystemKey, standing: &Standing, batch: &Batch) -> Result<bool, sqlx::Error> {
    let mut tx = pool.begin_with(db::BY_INDEX).await?;
    let fence = sqlx::query!(
        "update mirror_cursor
            set cursor = $3, server = $4, position = position + $5, looked_at = now(), failure = null, failing_since = null,
                swept_at = case when cursor is null then $6 else swept_at end
          where system = $1 and position = $2",
        system.0,
        standing.position,
        batch.cursor,
        batch.server.name,
        i64::from(!batch.changed.is_empty()),
        standing.asked_at,
    )
    .execute(&mut *tx)
    .await?;
    if fence.rows_affected() == 0 {
        return Ok(false);
    }
    apply::apply(&mut tx, system, batch).await?;
    tx.commit().await?;
    Ok(true)
}

/// Forgets where the feed was: the next refresh begins with the whole directory. Nothing that is known is lost.
///
/// # Errors
/// Where the database refuses.
pub async fn begin_anew(conn: &mut PgConnection, system: &SystemKey) -> Result<(), sqlx::Error> {
    sqlx::query!("update mirror_cursor set cursor = null, compared_at = null where system = $1", system.0)
        .execute(conn)
        .await?;
    Ok(())
}
