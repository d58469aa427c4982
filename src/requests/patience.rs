//! Decisions that do not come: whoever is asked is reminded, then somebody above them is asked as well, and finally the item
//! lapses. Never is anything approved by default, and never is whoever gains by it asked.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{RequestError, cancel, notify, settle};
use crate::catalog::{self, Patience};
use crate::evidence::{By, Facts, Record, action, append, hold};
use crate::ids::{ItemId, PersonId, RequestId, RequestNumber};
use crate::people;

/// A stage that waits for a decision.
struct Open {
    stage: Uuid,
    role: String,
    item: ItemId,
    ordinal: i32,
    request: RequestId,
    number: RequestNumber,
    opened_at: DateTime<Utc>,
    reminded_at: Option<DateTime<Utc>>,
    escalated_at: Option<DateTime<Utc>>,
    /// Somebody is there who may decide it.
    has_voice: bool,
}

impl Open {
    fn record(&self, action: &'static str, by: &By) -> Record {
        Record {
            item: Some(self.ordinal),
            detail: Facts::default().plain("stage", self.role.clone()),
            ..Record::of_request(action, self.number.0, by.clone())
        }
    }
}

/// Does what is due; returns how many stages something was done about.
///
/// # Errors
/// Where the database does not answer; what was done before stays done.
pub async fn chase(pool: &PgPool, now: DateTime<Utc>) -> Result<usize, RequestError> {
    let mut conn = pool.acquire().await?;
    // A site before its first rules has no stages either.
    let patience = match catalog::rules(&mut conn).await {
        Ok(rules) => rules.service_levels.body.patience,
        Err(catalog::CatalogError::Missing(_)) => return Ok(0),
        Err(error) => return Err(super::catalog_error(error)),
    };
    let waiting = open(&mut conn, None).await?;
    drop(conn);
    let mut done = 0;
    for stage in waiting.iter().filter(|stage| due(stage, &patience, now).is_some()) {
        let mut tx = pool.begin().await?;
        hold(&mut tx, &super::subject(stage.number)).await?;
        // Decided meanwhile, or chased by another worker: then it is not due any more.
        if let Some(stage) = open(&mut tx, Some(stage.stage)).await?.pop()
            && let Some(due) = due(&stage, &patience, now)
        {
            done += usize::from(act(&mut tx, now, &stage, due).await?);
        }
        tx.commit().await?;
    }
    Ok(done)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Reminder,
    Escalation,
    Lapse,
}

fn due(stage: &Open, patience: &Patience, now: DateTime<Utc>) -> Option<Due> {
    let since = |then: DateTime<Utc>| now - then;
    if since(stage.opened_at) >= patience.lapse() {
        Some(Due::Lapse)
    } else if stage.escalated_at.is_none() && (!stage.has_voice || since(stage.opened_at) >= patience.escalate()) {
        Some(Due::Escalation)
    } else if since(stage.reminded_at.unwrap_or(stage.opened_at)) >= patience.remind() {
        Some(Due::Reminder)
    } else {
        None
    }
}

/// Open stages of items that wait for a decision; or that one, if it still is.
async fn open(conn: &mut PgConnection, one: Option<Uuid>) -> Result<Vec<Open>, sqlx::Error> {
    sqlx::query_as!(
        Open,
        r#"select s.id as stage, s.role, i.id as "item: ItemId", i.ordinal, r.id as "request: RequestId",
                  r.number as "number: RequestNumber", s.opened_at as "opened_at!", s.reminded_at, s.escalated_at,
                  exists (select from (
                              select d.person from stage_decider d where d.stage = s.id
                              union
                              select h.person from role_holding h
                               where s.role in ('desk', 'security', 'desk_lead')
                                 and (h.role = s.role or (s.role = 'desk' and h.role = 'desk_lead'))) asked
                            join person p on p.id = asked.person and p.state = 'active'
                           where not exists (select from request_role q
                                              where q.request = r.id and q.person = asked.person and q.role = 'party')
                         ) as "has_voice!"
             from stage s
             join item i on i.id = s.item and i.plan_number = s.plan_number and i.state = 'deciding'
             join request r on r.id = i.request and r.settled_at is null
            where s.state = 'open' and s.opened_at is not null and ($1::uuid is null or s.id = $1)
            order by s.opened_at"#,
        one
    )
    .fetch_all(conn)
    .await
}

async fn act(conn: &mut PgConnection, now: DateTime<Utc>, stage: &Open, due: Due) -> Result<bool, RequestError> {
    let by = By::routine("chase-decisions");
    match due {
        Due::Reminder => {
            append(conn, now, &stage.record(action::DECISION_REMINDED, &by)).await?;
            sqlx::query!("update stage set reminded_at = $2 where id = $1", stage.stage, now)
                .execute(&mut *conn)
                .await?;
            notify::please_decide(conn, now, stage.request, (stage.item, Some(stage.opened_at))).await?;
            Ok(true)
        }
        Due::Escalation => escalate(conn, now, &by, stage).await,
        Due::Lapse => {
            let record =
                Record { detail: Facts::default().plain("state", "lapsed"), ..stage.record(action::ITEM_SETTLED, &by) };
            append(conn, now, &record).await?;
            let why = "Nobody decided it in time. Ask again if it is still needed.";
            cancel::end_item(conn, stage.item, ("lapsed", why)).await?;
            let place = (stage.number, stage.request, stage.item);
            cancel::depending(conn, now, &by, place, "It builds on an item that lapsed.").await?;
            settle::settle(conn, now, &by, stage.request).await?;
            notify::decided(conn, now, stage.request, (stage.ordinal, "lapsed", "")).await?;
            Ok(true)
        }
    }
}

/// Asks somebody above as well. Nobody known: nothing is done, and looked at again; the request waits, it is not approved.
async fn escalate(conn: &mut PgConnection, now: DateTime<Utc>, by: &By, stage: &Open) -> Result<bool, RequestError> {
    let above = above(conn, stage).await?;
    if above.is_empty() {
        return Ok(false);
    }
    let names: Vec<String> = above.iter().map(ToString::to_string).collect();
    let record = stage.record(action::DECISION_ESCALATED, by);
    append(conn, now, &Record { detail: record.detail.clone().plain("asked", names.join(" ")), ..record }).await?;
    let ids: Vec<Uuid> = above.iter().map(|person| person.0).collect();
    // Where all of those who were asked must agree, it stays at their number.
    let why = if stage.has_voice {
        "No answer came, so it is asked one step higher as well."
    } else {
        "Nobody who was asked can decide it now, so it is asked one step higher."
    };
    sqlx::query!(
        "update stage set escalated_at = $2, reminded_at = $2, reason = reason || ' ' || $3,
                needed = coalesce(needed, (select greatest(count(*), 1) from stage_decider where stage = $1)::integer)
          where id = $1",
        stage.stage,
        now,
        why
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into stage_decider (stage, person) select $1, unnest($2::uuid[]) on conflict do nothing",
        stage.stage,
        &ids
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("update request set version = version + 1 where id = $1", stage.request.0).execute(&mut *conn).await?;
    notify::please_decide(conn, now, stage.request, (stage.item, Some(stage.opened_at))).await?;
    Ok(true)
}

/// Who is above those who are asked by name and works here; where nobody is, or a role was asked, the desk's leads.
async fn above(conn: &mut PgConnection, stage: &Open) -> Result<Vec<PersonId>, RequestError> {
    let asked = sqlx::query_scalar!(
        r#"select person as "person: PersonId" from stage_decider where stage = $1 order by person"#,
        stage.stage
    )
    .fetch_all(&mut *conn)
    .await?;
    let parties = sqlx::query_scalar!(
        r#"select person as "person: PersonId" from request_role where request = $1 and role = 'party'"#,
        stage.request.0
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut above = Vec::new();
    for person in &asked {
        let mut next = people::manager_of(conn, *person).await?;
        // An org chart has few levels; the bound guards against a circle in the data.
        for _ in 0..20 {
            let Some(candidate) = next else { break };
            let may = !parties.contains(&candidate) && !asked.contains(&candidate);
            if may && people::find(conn, candidate).await?.is_some_and(|person| person.state == "active") {
                above.push(candidate);
                break;
            }
            next = people::manager_of(conn, candidate).await?;
        }
    }
    if above.is_empty() {
        above = sqlx::query_scalar!(
            r#"select h.person as "person: PersonId" from role_holding h join person p on p.id = h.person and p.state = 'active'
                where h.role = 'desk_lead' and h.person <> all ($1::uuid[]) and h.person <> all ($2::uuid[])"#,
            &parties.iter().map(|person| person.0).collect::<Vec<_>>(),
            &asked.iter().map(|person| person.0).collect::<Vec<_>>()
        )
        .fetch_all(&mut *conn)
        .await?;
    }
    above.sort_unstable();
    above.dedup();
    Ok(above)
}
