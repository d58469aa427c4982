//! Forgetting a person in the catalogue's words.

use sqlx::PgConnection;

use crate::evidence::erase::Traces;

/// Takes the person's name out of descriptions. Names of entitlements are their target system's and stay.
///
/// # Errors
/// Where the database refuses.
pub async fn erase(conn: &mut PgConnection, traces: &Traces) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update entitlement set description = forgotten(description, $1), folded = forgotten(folded, $1)
          where description ~ $1",
        traces.pattern
    )
    .execute(conn)
    .await?;
    Ok(())
}
