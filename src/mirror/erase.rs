//! Forgetting accounts that are gone from their target systems.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::evidence::erase::{GONE, Traces};
use crate::ids::PersonId;

/// An account that its target system still shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    pub system: String,
    pub id: Uuid,
    pub user_name: String,
}

/// The person's accounts that are still there: what they show is the target's to delete, not ours to forget.
///
/// # Errors
/// Where the database does not answer.
pub async fn present(conn: &mut PgConnection, person: PersonId) -> Result<Vec<Present>, sqlx::Error> {
    sqlx::query_as!(
        Present,
        r#"select system as "system!", native_id as "id!", user_name as "user_name!" from (
               select system, native_id, user_name from account where person = $1 and gone_at is null
               union all
               select m.system, m.native_id, m.alias from mailbox m join account a on a.native_id = m.directory_id
                where a.person = $1 and m.gone_at is null) there
            order by system, user_name"#,
        person.0
    )
    .fetch_all(conn)
    .await
}

/// What the mirror kept of the person's accounts; in what it keeps of others that are gone, their name.
///
/// # Errors
/// Where the database refuses.
pub async fn erase(conn: &mut PgConnection, traces: &Traces) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update account set user_name = $2, upn = null, display_name = $3, mail = null, employee_number = null, dn = $2,
                attributes = '{}', password_set_at = null, expires_at = null, last_sign_in_at = null
          where person = $1 and gone_at is not null",
        traces.person.0,
        GONE,
        traces.name()
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update account set attributes = forgotten(attributes, $1) where gone_at is not null and attributes::text ~ $1",
        traces.pattern
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update mailbox m set display_name = $2, alias = $3, address = $3, addresses = '{}', attributes = '{}', native = '{}'
           from account a
          where a.native_id = m.directory_id and a.person = $1 and m.gone_at is not null",
        traces.person.0,
        traces.name(),
        GONE
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update mailbox set attributes = forgotten(attributes, $1), display_name = forgotten(display_name, $1),
                alias = forgotten(alias, $1), address = forgotten(address, $1),
                addresses = array(select forgotten(one, $1) from unnest(addresses) one)
          where gone_at is not null and concat_ws(' ', display_name, alias, addresses, attributes) ~ $1",
        traces.pattern
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update mailing_list set attributes = forgotten(attributes, $1), display_name = forgotten(display_name, $1),
                alias = forgotten(alias, $1), address = forgotten(address, $1),
                addresses = array(select forgotten(one, $1) from unnest(addresses) one)
          where gone_at is not null and concat_ws(' ', display_name, alias, addresses, attributes) ~ $1",
        traces.pattern
    )
    .execute(conn)
    .await?;
    Ok(())
}
