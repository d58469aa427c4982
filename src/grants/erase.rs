//! Forgetting what was written beside a person's grants.

use sqlx::PgConnection;

use crate::evidence::erase::Traces;

/// Plain words beside grants that name the person. Who held what and until when stays, under the person's id.
///
/// # Errors
/// Where the database refuses.
pub async fn erase(conn: &mut PgConnection, traces: &Traces) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update access_grant set reason_text = forgotten(reason_text, $1) where reason_text ~ $1",
        traces.pattern
    )
    .execute(conn)
    .await?;
    Ok(())
}
