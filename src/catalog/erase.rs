//! Forgetting a person in the catalogue's words.

use sqlx::PgConnection;

use crate::evidence::erase::Traces;

/// Takes the person's name out of descriptions, and out of the names of rights on their mailbox. Names of groups and lists are
/// their target system's and stay.
///
/// # Errors
/// Where the database refuses.
pub async fn erase(conn: &mut PgConnection, traces: &Traces) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update entitlement set description = forgotten(description, $1), folded = forgotten(folded, $1)
          where description ~ $1",
        traces.pattern
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update entitlement set name = forgotten(name, $1), folded = forgotten(lower(name), $1)
          where kind in ('mailbox_permission', 'folder_permission') and name ~ $1",
        traces.pattern
    )
    .execute(conn)
    .await?;
    Ok(())
}
