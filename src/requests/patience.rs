//! Decisions that do not come: whoever is asked is reminded, then somebody above them is asked as well, and finally the item
//! lapses. Never is anything approved by default, and never is whoever gains by it asked.
//!
//! Patience with somebody is counted in their own working time, and nobody is reminded or asked at night or on a holiday of
//! theirs: it waits until their work begins. Somebody above is asked once all who were asked have had that much time. An item
//! lapses by the calendar: after a month it is stale, however many holidays were in it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::receivers::{self, Receiver};
use super::{RequestError, cancel, notify, settle};
use crate::catalog::{self, Patience};
use crate::evidence::{By, Facts, Record, action, append, hold};
use crate::ids::{ItemId, PersonId, RequestId, RequestNumber};
use crate::people::{self, Hours};

/// A stage that waits for a decision.
struct Open {
    stage: Uuid,
    role: String,
    item: ItemId,
    ordinal: i32,
    request: RequestId,
    number: RequestNumber,
    opened_at: DateTime<Utc>,
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
    let Some(levels) = catalog::service_levels(&mut conn).await.map_err(super::catalog_error)? else { return Ok(0) };
    let patience = levels.body.patience;
    let waiting = open(&mut conn, None).await?;
    // Working time is never more than all time: most stages are too young to be looked at closely.
    let waiting: Vec<Open> = waiting
        .into_iter()
        .filter(|stage| !stage.has_voice || now - stage.opened_at >= patience.remind().min(patience.escalate()))
        .collect();
    let stages: Vec<Uuid> = waiting.iter().map(|stage| stage.stage).collect();
    let asked = Asked::read(&mut conn, now, &stages).await?;
    drop(conn);
    let mut done = 0;
    for stage in waiting.iter().filter(|stage| due(stage, asked.of(stage), &patience, now).is_some()) {
        let mut tx = pool.begin().await?;
        hold(&mut tx, &super::subject(stage.number)).await?;
        // Decided meanwhile, or chased by another worker: then it is not due any more.
        if let Some(stage) = open(&mut tx, Some(stage.stage)).await?.pop() {
            let asked = Asked::read(&mut tx, now, &[stage.stage]).await?;
            if let Some(due) = due(&stage, asked.of(&stage), &patience, now) {
                done += usize::from(act(&mut tx, now, &stage, due).await?);
            }
        }
        tx.commit().await?;
    }
    Ok(done)
}

/// Whom each stage has reached.
struct Asked(HashMap<Uuid, Vec<Receiver>>);

impl Asked {
    async fn read(conn: &mut PgConnection, now: DateTime<Utc>, stages: &[Uuid]) -> Result<Self, sqlx::Error> {
        let mut of_stage: HashMap<Uuid, Vec<Receiver>> = HashMap::new();
        for receiver in receivers::of_stages(conn, now, stages).await? {
            of_stage.entry(receiver.stage).or_default().push(receiver);
        }
        Ok(Self(of_stage))
    }

    fn of(&self, stage: &Open) -> &[Receiver] {
        self.0.get(&stage.stage).map_or(&[], Vec::as_slice)
    }
}

#[derive(Debug)]
enum Due {
    /// Of these.
    Reminder(Vec<Receiver>),
    Escalation,
    Lapse,
}

fn due(stage: &Open, asked: &[Receiver], patience: &Patience, now: DateTime<Utc>) -> Option<Due> {
    if now - stage.opened_at >= patience.lapse() {
        return Some(Due::Lapse);
    }
    let themselves: Vec<&Receiver> = asked.iter().filter(|receiver| receiver.on_behalf.is_none()).collect();
    let had = |receiver: &Receiver, since| receiver.hours.between(since, now);
    let patient = || match themselves.as_slice() {
        // A role that only leads hold, for instance: then by the plain clock of working days.
        [] => Hours::default().between(stage.opened_at, now) < patience.escalate(),
        all => all.iter().any(|receiver| had(receiver, stage.opened_at) < patience.escalate()),
    };
    if stage.escalated_at.is_none() && (!stage.has_voice || !patient()) {
        return Some(Due::Escalation);
    }
    let forgot = |receiver: &&Receiver| {
        let since = receiver.told_at.unwrap_or(stage.opened_at);
        receiver.hours.next_open(now) == now && had(receiver, since) >= patience.remind()
    };
    let forgot: Vec<Receiver> = asked.iter().filter(forgot).cloned().collect();
    (!forgot.is_empty()).then_some(Due::Reminder(forgot))
}

/// Open stages of items that wait for a decision; or that one, if it still is.
async fn open(conn: &mut PgConnection, one: Option<Uuid>) -> Result<Vec<Open>, sqlx::Error> {
    sqlx::query_as!(
        Open,
        r#"select s.id as stage, s.role, i.id as "item: ItemId", i.ordinal, r.id as "request: RequestId",
                  r.number as "number: RequestNumber", s.opened_at as "opened_at!", s.escalated_at,
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
        Due::Reminder(forgot) => {
            let record = stage.record(action::DECISION_REMINDED, &by);
            let people: Vec<PersonId> = forgot.iter().map(|receiver| receiver.person).collect();
            append(conn, now, &Record { detail: record.detail.clone().plain("reminded", names(&people)), ..record })
                .await?;
            sqlx::query!("update stage set reminded_at = $2 where id = $1", stage.stage, now)
                .execute(&mut *conn)
                .await?;
            tell(conn, now, stage, &forgot).await?;
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

fn names(people: &[PersonId]) -> String {
    people.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Asks these, again or for the first time, and notes that they were.
async fn tell(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    stage: &Open,
    receivers: &[Receiver],
) -> Result<(), RequestError> {
    let people: Vec<Uuid> = receivers.iter().map(|receiver| receiver.person.0).collect();
    sqlx::query!(
        "insert into stage_told (stage, person, told_at) select $1, unnest($2::uuid[]), $3
         on conflict (stage, person) do update set told_at = excluded.told_at",
        stage.stage,
        &people,
        now
    )
    .execute(&mut *conn)
    .await?;
    notify::please_decide(conn, now, stage.request, (receivers.to_vec(), Some(stage.opened_at))).await
}

/// Whether one of these is at work now.
async fn at_work(conn: &mut PgConnection, now: DateTime<Utc>, people: &[PersonId]) -> Result<bool, sqlx::Error> {
    let (places, hours) = (people::places_of(conn, people).await?, people::hours(conn).await?);
    Ok(people.iter().any(|person| hours.of(places.get(person).copied()).next_open(now) == now))
}

/// Asks somebody above as well, once one of them is at work. Nobody known: nothing is done, and looked at again; the request
/// waits, it is not approved.
async fn escalate(conn: &mut PgConnection, now: DateTime<Utc>, by: &By, stage: &Open) -> Result<bool, RequestError> {
    let above = above(conn, stage).await?;
    if !at_work(conn, now, &above).await? {
        return Ok(false);
    }
    let record = stage.record(action::DECISION_ESCALATED, by);
    append(conn, now, &Record { detail: record.detail.clone().plain("asked", names(&above)), ..record }).await?;
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
    let everybody = receivers::of_item(conn, now, stage.item).await?;
    tell(conn, now, stage, &everybody).await?;
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
