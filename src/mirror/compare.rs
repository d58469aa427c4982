//! Comparing ids in full: what the feed does not show.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{RefreshError, apply};
use crate::target::{Connector, SystemKey};

/// What a comparison found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// In the mirror, not in the target any more: marked gone.
    pub gone: usize,
    /// In the target, not in the mirror: a new sweep fetches them.
    pub missing: usize,
}

pub async fn compare(pool: &PgPool, connector: &dyn Connector) -> Result<Compared, RefreshError> {
    let system = connector.system();
    // Whatever is first seen while we ask is not in the list and not gone either.
    let began = sqlx::query_scalar!(r#"select clock_timestamp() as "at!""#).fetch_one(pool).await?;
    let there: HashSet<Uuid> = connector.all_ids().await?.into_iter().collect();

    let mut tx = pool.begin().await?;
    let compared = against(&mut tx, system, began, &there).await?;
    ended(&mut tx, system, compared).await?;
    tx.commit().await?;
    if compared.missing > 0 {
        let missing = compared.missing;
        tracing::info!(%system, missing, "the directory has objects that its feed did not show; reading all anew");
    }
    Ok(compared)
}

/// Compares with what a look at everything has just found; how many are gone. What the mirror has missed meanwhile, the feed
/// tells.
pub async fn swept(pool: &PgPool, system: &SystemKey, there: &[Uuid]) -> Result<usize, RefreshError> {
    let there: HashSet<Uuid> = there.iter().copied().collect();
    let mut tx = pool.begin().await?;
    let began = sqlx::query_scalar!("select swept_at from mirror_cursor where system = $1", system.0);
    let Some(began) = began.fetch_one(&mut *tx).await? else { return Ok(0) };
    let compared = Compared { missing: 0, ..against(&mut tx, system, began, &there).await? };
    ended(&mut tx, system, compared).await?;
    tx.commit().await?;
    Ok(compared.gone)
}

/// Marks as gone what is not there and was last seen before `began`.
async fn against(
    conn: &mut PgConnection,
    system: &SystemKey,
    began: DateTime<Utc>,
    there: &HashSet<Uuid>,
) -> Result<Compared, sqlx::Error> {
    let known = known(conn, &system.0, began).await?;
    let gone: Vec<Uuid> =
        known.iter().filter(|(id, settled)| *settled && !there.contains(id)).map(|(id, _)| *id).collect();
    let known: HashSet<Uuid> = known.into_iter().map(|(id, _)| id).collect();
    apply::gone(conn, system, &gone).await?;
    Ok(Compared { gone: gone.len(), missing: there.difference(&known).count() })
}

async fn ended(conn: &mut PgConnection, system: &SystemKey, compared: Compared) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update mirror_cursor
            set compared_at = now(), position = position + $2,
                cursor = case when $3 or swept_at < now() - interval '1 day' then null else cursor end
          where system = $1",
        system.0,
        i64::from(compared.gone > 0),
        compared.missing > 0,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The ids that the mirror holds as there, and whether each was last seen before `began`.
async fn known(conn: &mut PgConnection, system: &str, began: DateTime<Utc>) -> Result<Vec<(Uuid, bool)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select native_id as "id!", seen_at < $2 as "settled!" from account where system = $1 and gone_at is null
           union all
           select native_id, seen_at < $2 from directory_group where system = $1 and gone_at is null
           union all
           select native_id, seen_at < $2 from mailbox where system = $1 and gone_at is null
           union all
           select native_id, seen_at < $2 from mailing_list where system = $1 and gone_at is null"#,
        system,
        began
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.settled)).collect())
}
