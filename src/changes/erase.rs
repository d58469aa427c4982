//! Forgetting what steps wrote and saw.

use sqlx::PgConnection;

use crate::evidence::erase::Traces;

/// Values, sights, labels and the target's words of every step about the person; in the steps about others, their name.
/// Which attributes were changed, when and with what outcome stays.
///
/// # Errors
/// Where the database refuses.
pub async fn erase(conn: &mut PgConnection, traces: &Traces) -> Result<(), sqlx::Error> {
    let (person, pattern) = (traces.person.0, &traces.pattern);
    sqlx::query!(
        "update attempt a set before = blanked(a.before), after_state = blanked(a.after_state), error_given = null, error_told = null,
                native = a.native - 'commands' - 'warnings'
           from step s join request r on r.id = s.request
          where s.id = a.step and r.subject = $1",
        person
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update step s set difference = blanked_difference(s.difference), before = blanked(s.before),
                after_state = blanked(s.after_state), told = null, label = forgotten(s.label, $2), why = forgotten(s.why, $2),
                native = s.native - 'commands' - 'warnings', grant_effect = forgotten(s.grant_effect, $2),
                name = 'erased-' || s.plan_number || '-' || s.id, after = '{}'
           from request r where r.id = s.request and r.subject = $1",
        person,
        pattern
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update attempt set before = forgotten(before, $1), after_state = forgotten(after_state, $1),
                error_given = forgotten(error_given, $1), error_told = forgotten(error_told, $1), native = forgotten(native, $1)
          where concat_ws(' ', before, after_state, error_given, error_told, native) ~ $1",
        pattern
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update step set difference = forgotten(difference, $1), before = forgotten(before, $1),
                after_state = forgotten(after_state, $1), told = forgotten(told, $1), label = forgotten(label, $1),
                why = forgotten(why, $1), native = forgotten(native, $1), grant_effect = forgotten(grant_effect, $1)
          where concat_ws(' ', difference, before, after_state, told, label, why, native, grant_effect) ~ $1",
        pattern
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update delivery d set sealed = null from secret x join request r on r.id = x.request
          where x.id = d.secret and (r.subject = $1 or d.person = $1)",
        person
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update secret x set sealed = null from request r where r.id = x.request and (r.subject = $1 or x.reader = $1)",
        person
    )
    .execute(conn)
    .await?;
    Ok(())
}
