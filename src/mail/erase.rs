//! Forgetting what was written to a person, and about them.

use sqlx::PgConnection;

use crate::evidence::erase::{GONE, Traces};

/// Letters to the person lose address and text, letters to others about the person's requests their text, and what else
/// names the person that name; so does what the mail server answered. That a mail went out, when and on which template stays.
///
/// # Errors
/// Where the database refuses.
pub async fn erase(conn: &mut PgConnection, traces: &Traces) -> Result<(), sqlx::Error> {
    let person = traces.person.0;
    // What has not gone out yet goes out no more: it would say "erased" to an address that is gone.
    sqlx::query!(
        "update outbox set letter = '{}', subject = $2, error = null,
                address = case when person = $1 then $2 else address end,
                failed_at = case when sent_at is null then coalesce(failed_at, now()) else failed_at end
          where person = $1 or request in (select number from request where subject = $1)",
        person,
        GONE
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update outbox set letter = forgotten(letter, $1), subject = forgotten(subject, $1), error = forgotten(error, $1)
          where concat_ws(' ', letter, subject, error) ~ $1",
        traces.pattern
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update mail_try t set said = null from outbox o
          where o.id = t.mail and t.said is not null
            and (o.person = $1 or o.request in (select number from request where subject = $1))",
        person
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("update mail_try set said = forgotten(said, $1) where said ~ $1", traces.pattern)
        .execute(conn)
        .await?;
    Ok(())
}
