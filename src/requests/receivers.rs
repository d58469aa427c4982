//! Whom a stage that waits for a decision has reached: asked by name or by role, or standing in; with their working time.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::{ItemId, PersonId};
use crate::people::{self, Hours};

/// Somebody who may decide a stage: never a party of its request, never for one.
#[derive(Debug, Clone)]
pub(super) struct Receiver {
    pub stage: Uuid,
    pub person: PersonId,
    /// The name of the one in whose place they would decide.
    pub on_behalf: Option<String>,
    /// When they were last told of it, beyond its beginning.
    pub told_at: Option<DateTime<Utc>>,
    /// When they work.
    pub hours: Hours,
}

/// Of the open stage of an item's present plan.
///
/// # Errors
/// Where the database does not answer.
pub(super) async fn of_item(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    item: ItemId,
) -> Result<Vec<Receiver>, sqlx::Error> {
    let stages = sqlx::query_scalar!(
        "select s.id from stage s join item i on i.id = s.item and i.plan_number = s.plan_number
          where i.id = any ($1) and s.state = 'open'",
        &[item.0][..]
    )
    .fetch_all(&mut *conn)
    .await?;
    of_stages(conn, now, &stages).await
}

/// Of those stages.
///
/// # Errors
/// Where the database does not answer.
pub(super) async fn of_stages(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    stages: &[Uuid],
) -> Result<Vec<Receiver>, sqlx::Error> {
    if stages.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"select s.id as stage, a.person as "person!: PersonId", f.display_name as "on_behalf?", t.told_at as "told_at?"
             from stage s
             join item i on i.id = s.item
            cross join lateral (
                 select d.person, null::uuid as other from stage_decider d where d.stage = s.id
                  union
                 select h.person, null from role_holding h where h.role = s.role and s.role in ('desk', 'security', 'desk_lead')
                  union
                 select g.delegate, d.person from stage_decider d join delegation g on g.person = d.person and g.ended_at is null
                  where d.stage = s.id and local_day(g.person, $2) between g.from_day and g.last_day
             ) a
             join person p on p.id = a.person and p.state = 'active'
             left join person f on f.id = a.other
             left join stage_told t on t.stage = s.id and t.person = a.person
            where s.id = any ($1)
              and not exists (select from request_role q
                               where q.request = i.request and q.person in (a.person, a.other) and q.role = 'party')
            order by s.id, a.other nulls first, a.person"#,
        stages,
        now
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut people: Vec<PersonId> = rows.iter().map(|row| row.person).collect();
    people.sort_unstable();
    people.dedup();
    let (places, hours) = (people::places_of(conn, &people).await?, people::hours(conn).await?);
    // Who is asked themselves is not asked once more for somebody else.
    let mut seen: HashMap<(Uuid, PersonId), ()> = HashMap::new();
    Ok(rows
        .into_iter()
        .filter(|row| seen.insert((row.stage, row.person), ()).is_none())
        .map(|row| Receiver {
            stage: row.stage,
            person: row.person,
            on_behalf: row.on_behalf,
            told_at: row.told_at,
            hours: hours.of(places.get(&row.person).copied()).clone(),
        })
        .collect())
}
