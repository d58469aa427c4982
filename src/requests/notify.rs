//! Who is told what, once: messages into the outbox, in the transaction of what they tell.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::RequestError;
use crate::ids::{ItemId, PersonId, RequestId, RequestNumber};
use crate::mail::{self, Message};

struct About {
    number: RequestNumber,
    title: String,
    asked_by: Option<PersonId>,
    asked_by_name: Option<String>,
    assignee: Option<PersonId>,
}

async fn about(conn: &mut PgConnection, request: RequestId) -> Result<About, sqlx::Error> {
    sqlx::query_as!(
        About,
        r#"select r.number as "number: RequestNumber", r.title, r.asked_by as "asked_by: PersonId",
                  a.display_name as "asked_by_name?", r.assignee as "assignee: PersonId"
             from request r left join person a on a.id = r.asked_by where r.id = $1"#,
        request.0
    )
    .fetch_one(conn)
    .await
}

/// The requester: it is here and has a number. The first deciders: please decide.
pub(super) async fn submitted(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    request: RequestId,
) -> Result<(), RequestError> {
    let about = about(conn, request).await?;
    if let Some(asker) = about.asked_by {
        mail::enqueue(conn, now, &Message::Submitted { number: about.number, title: about.title }, asker).await?;
    }
    let items = sqlx::query_scalar!(
        r#"select id as "id: ItemId" from item where request = $1 and state = 'deciding' order by ordinal"#,
        request.0
    )
    .fetch_all(&mut *conn)
    .await?;
    for item in items {
        please_decide(conn, now, request, item).await?;
    }
    Ok(())
}

/// Whoever the item's open stage asks.
pub(super) async fn please_decide(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    request: RequestId,
    item: ItemId,
) -> Result<(), RequestError> {
    let about = about(conn, request).await?;
    let asked = sqlx::query!(
        r#"select a.person as "person!: PersonId", i.ordinal, i.label, s.reason
             from item i
             join stage s on s.item = i.id and s.plan_number = i.plan_number and s.state = 'open'
             cross join lateral (
                 select d.person from stage_decider d where d.stage = s.id
                  union
                 select h.person from role_holding h where h.role = s.role and s.role in ('desk', 'security', 'desk_lead')
                  union
                 select g.delegate from stage_decider d join delegation g on g.person = d.person and g.ended_at is null
                  where d.stage = s.id and $2::timestamptz::date between g.from_day and g.last_day
             ) a
            where i.id = $1
              and not exists (select from request_role p
                               where p.request = i.request and p.person = a.person and p.role = 'party')"#,
        item.0,
        now
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in asked {
        let message = Message::PleaseDecide {
            number: about.number,
            title: about.title.clone(),
            item: row.ordinal,
            label: row.label,
            reason: row.reason,
            asked_by: about.asked_by_name.clone().unwrap_or_default(),
        };
        mail::enqueue(conn, now, &message, row.person).await?;
    }
    Ok(())
}

/// The requester: an item was approved, rejected or sent back.
pub(super) async fn decided(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    request: RequestId,
    (item, verdict, comment): (i32, &str, &str),
) -> Result<(), RequestError> {
    let about = about(conn, request).await?;
    let Some(asker) = about.asked_by else { return Ok(()) };
    let label = sqlx::query_scalar!("select label from item where request = $1 and ordinal = $2", request.0, item)
        .fetch_one(&mut *conn)
        .await?;
    let message = Message::Decided {
        number: about.number,
        title: about.title,
        label,
        verdict: verdict.to_owned(),
        comment: comment.to_owned(),
    };
    mail::enqueue(conn, now, &message, asker).await?;
    Ok(())
}

/// The requester: everything that will happen has.
pub(super) async fn settled(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    request: RequestId,
    state: &str,
) -> Result<(), RequestError> {
    let about = about(conn, request).await?;
    if let Some(asker) = about.asked_by.filter(|_| state == "done") {
        mail::enqueue(conn, now, &Message::Done { number: about.number, title: about.title }, asker).await?;
    }
    Ok(())
}

/// Whoever works on it, else the desk: a step stopped and a person must act.
pub(super) async fn needs_person(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    request: RequestId,
    why: &str,
) -> Result<(), RequestError> {
    let about = about(conn, request).await?;
    let told = match about.assignee {
        Some(assignee) => vec![assignee],
        None => {
            sqlx::query_scalar!(
                r#"select person as "person: PersonId" from role_holding where role in ('desk', 'desk_lead')"#
            )
            .fetch_all(&mut *conn)
            .await?
        }
    };
    for person in told {
        let message = Message::NeedsPerson { number: about.number, title: about.title.clone(), why: why.to_owned() };
        mail::enqueue(conn, now, &message, person).await?;
    }
    Ok(())
}
