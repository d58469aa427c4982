//! Forgetting a person's ways in.

use sqlx::PgConnection;

use crate::evidence::erase::{GONE, Traces};

/// Sign-in, credentials, sessions, tokens, roles and counted tries of that person. The rows that others refer to stay,
/// under a name that says nothing.
///
/// # Errors
/// Where the database refuses.
pub async fn erase(conn: &mut PgConnection, traces: &Traces) -> Result<(), sqlx::Error> {
    let (person, name) = (traces.person.0, format!("erased-{}", traces.short()));
    sqlx::query!(
        "delete from sign_in_throttle
          where key in (select 'name:' || user_name_folded from sign_in where person = $1
                        union select 'address:' || address from session where person = $1)
             or key ~ $2",
        person,
        traces.pattern
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from credential where person = $1", person).execute(&mut *conn).await?;
    sqlx::query!("delete from role_holding where person = $1", person).execute(&mut *conn).await?;
    sqlx::query!(
        "update session set address = null, user_agent = null, csrf = '', ended_at = coalesce(ended_at, now()),
                ended_why = coalesce(ended_why, 'disabled')
          where person = $1",
        person
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update api_token set name = $2, revoked_at = coalesce(revoked_at, now()) where person = $1",
        person,
        GONE
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update delegation set ended_at = coalesce(ended_at, now()) where person = $1 or delegate = $1",
        person
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update sign_in set user_name = $2, user_name_folded = $2, disabled_at = coalesce(disabled_at, now()) where person = $1",
        person,
        name
    )
    .execute(conn)
    .await?;
    Ok(())
}
