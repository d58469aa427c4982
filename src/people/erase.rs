//! Forgetting who a person was. The row stays, because everybody else's past refers to it.

use sqlx::PgConnection;

use crate::evidence::erase::Traces;

/// Names, number, mail and phone go. Of the employments type, site, department and the years stay, for the counts.
///
/// # Errors
/// Where the database refuses.
pub async fn erase(conn: &mut PgConnection, traces: &Traces) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update person set employee_number = null, given_name = 'Erased', family_name = 'person', display_name = $2,
                mail = null, phone = null, language = 'en', folded = '', state = 'erased', updated_at = now()
          where id = $1",
        traces.person.0,
        traces.name()
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update employment set title = '', manager = null, first_day = date_trunc('year', first_day)::date,
                last_day = (date_trunc('year', last_day) + interval '1 year - 1 day')::date
          where person = $1",
        traces.person.0
    )
    .execute(&mut *conn)
    .await?;
    // Files on their way in: their own, and those that speak of them.
    sqlx::query!(
        "delete from import_draft where person = $1 or content ~ $2 or name ~ $2",
        traces.person.0,
        traces.pattern
    )
    .execute(conn)
    .await?;
    Ok(())
}
