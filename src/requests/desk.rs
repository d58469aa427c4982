//! What the desk and the parties do besides deciding: comment, take, retry or skip a step.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::clocks::{self, Because};
use super::{RequestError, settle};
use crate::access::{self, Actor, Object, op};
use crate::catalog::PRIORITIES;
use crate::changes;
use crate::evidence::{By, Facts, Record, action, append, hold};
use crate::ids::{PersonId, RequestId, RequestNumber, StepId};
use crate::plan::field::FieldError;
use crate::target::Value;

/// A comment on a request's page.
#[derive(Debug, Clone)]
pub struct Comment {
    pub id: Uuid,
    pub person: PersonId,
    pub name: String,
    pub body: String,
    pub written_at: DateTime<Utc>,
}

/// Comments, oldest first.
///
/// # Errors
/// Where the database does not answer.
pub async fn comments(conn: &mut PgConnection, request: RequestId) -> Result<Vec<Comment>, sqlx::Error> {
    sqlx::query_as!(
        Comment,
        r#"select c.id, c.person as "person: PersonId", p.display_name as name, c.body, c.written_at
             from comment c join person p on p.id = c.person where c.request = $1 order by c.written_at, c.id"#,
        request.0
    )
    .fetch_all(conn)
    .await
}

/// Writes a comment.
///
/// # Errors
/// A field error where it is empty or too long; denied where the request is not this actor's to see.
pub async fn comment(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    number: RequestNumber,
    body: &str,
) -> Result<(), RequestError> {
    comment_once(pool, now, actor, number, (Uuid::now_v7(), body)).await
}

/// The same under an id that the caller chose: written once, however often it is sent.
///
/// # Errors
/// As [`comment`]; a conflict where that id stands for another comment.
pub async fn comment_once(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    number: RequestNumber,
    (id, body): (Uuid, &str),
) -> Result<(), RequestError> {
    let body = body.trim();
    if body.is_empty() {
        return Err(RequestError::Fields(vec![FieldError::new("body", "Write something first")]));
    }
    if body.chars().count() > 10_000 {
        return Err(RequestError::Fields(vec![FieldError::new("body", "A comment can be at most 10,000 characters")]));
    }
    if body.contains('\0') {
        return Err(RequestError::Fields(vec![FieldError::new(
            "body",
            "The comment contains an invisible character (U+0000)",
        )]));
    }
    let mut tx = pool.begin().await?;
    hold(&mut tx, &super::subject(number)).await?;
    let request = super::id(&mut tx, number).await?;
    let permit = access::permit::<op::Comment>(&mut tx, actor, Object::Request(request)).await?;
    let person = permit.person()?;
    let written =
        sqlx::query!("select request, person, body from comment where id = $1", id).fetch_optional(&mut *tx).await?;
    if let Some(written) = written {
        let same = (written.request, written.person, written.body.as_str()) == (request.0, person.0, body);
        return if same { Ok(()) } else { Err(super::key_used()) };
    }
    let record = Record {
        reason: Some(body.to_owned()),
        ..Record::of_request(action::REQUEST_COMMENTED, number.0, permit.by())
    };
    append(&mut tx, now, &record).await?;
    sqlx::query!(
        "insert into comment (id, request, person, body, written_at) values ($1, $2, $3, $4, $5)",
        id,
        request.0,
        person.0,
        body,
        now
    )
    .execute(&mut *tx)
    .await
    // On another request at this very moment.
    .map_err(|error| {
        if crate::db::constraint(&error) == Some("comment_pkey") { super::key_used() } else { error.into() }
    })?;
    respond(&mut tx, now, &permit.by(), (request, person)).await?;
    tx.commit().await?;
    Ok(())
}

/// The first sign of life by somebody who is no party stops the response clock.
async fn respond(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (request, person): (RequestId, PersonId),
) -> Result<(), RequestError> {
    sqlx::query!(
        "update request r set version = version + 1,
                first_response_at = case
                    when exists (select from request_role p where p.request = r.id and p.person = $2 and p.role = 'party')
                    then first_response_at else coalesce(first_response_at, $3) end
          where id = $1",
        request.0,
        person.0,
        now
    )
    .execute(&mut *conn)
    .await?;
    clocks::keep(conn, now, by, request, Because::Moved).await
}

/// What a request's priority becomes, and why.
#[derive(Debug, Clone, Copy)]
pub struct Prioritised<'a> {
    pub priority: i16,
    pub reason: &'a str,
}

/// Sets a priority by hand; the clocks are counted anew by it, from when it was asked for.
///
/// # Errors
/// Field errors where no such priority or no reason is given; a conflict where the request has ended.
pub async fn prioritise(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    number: RequestNumber,
    new: Prioritised<'_>,
) -> Result<(), RequestError> {
    let reason = new.reason.trim();
    let wrong = |field, message| Err(RequestError::Fields(vec![FieldError::new(field, message)]));
    if !PRIORITIES.iter().any(|(priority, _)| *priority == new.priority) {
        return wrong("priority", "Choose a priority");
    }
    if reason.is_empty() {
        return wrong("reason", "Say why, so that others can follow");
    }
    if reason.chars().count() > 2000 || reason.contains('\0') {
        return wrong("reason", "A reason can be at most 2,000 characters, all of them visible");
    }
    let mut tx = pool.begin().await?;
    hold(&mut tx, &super::subject(number)).await?;
    let request = super::id(&mut tx, number).await?;
    let permit = access::permit::<op::Prioritise>(&mut tx, actor, Object::Request(request)).await?;
    let row =
        sqlx::query!("select priority, settled_at from request where id = $1", request.0).fetch_one(&mut *tx).await?;
    if row.settled_at.is_some() {
        return Err(RequestError::Conflict("This request has ended.".to_owned()));
    }
    if row.priority == new.priority {
        return Ok(());
    }
    let fact = |priority: i16| Facts::default().plain("priority", Value::Number(priority.into()));
    let record = Record {
        reason: Some(reason.to_owned()),
        before: Some(fact(row.priority)),
        after: Some(fact(new.priority)),
        ..Record::of_request(action::REQUEST_PRIORITISED, number.0, permit.by())
    };
    append(&mut tx, now, &record).await?;
    sqlx::query!("update request set priority = $2 where id = $1", request.0, new.priority).execute(&mut *tx).await?;
    clocks::keep(&mut tx, now, &permit.by(), request, Because::Priority).await?;
    respond(&mut tx, now, &permit.by(), (request, permit.person()?)).await?;
    tx.commit().await?;
    Ok(())
}

/// Gives the request to somebody of the desk, or to nobody.
///
/// # Errors
/// A field error where that person is not of the desk.
pub async fn assign(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    number: RequestNumber,
    assignee: Option<PersonId>,
) -> Result<(), RequestError> {
    let mut tx = pool.begin().await?;
    hold(&mut tx, &super::subject(number)).await?;
    let request = super::id(&mut tx, number).await?;
    let permit = access::permit::<op::Assign>(&mut tx, actor, Object::Request(request)).await?;
    if let Some(person) = assignee {
        let of_the_desk = sqlx::query_scalar!(
            r#"select exists (select from role_holding where person = $1 and role in ('desk', 'desk_lead', 'security')) as "is!""#,
            person.0
        )
        .fetch_one(&mut *tx)
        .await?;
        if !of_the_desk {
            return Err(RequestError::Fields(vec![FieldError::new("assignee", "Choose somebody of the service desk")]));
        }
    }
    let assignee_fact = assignee.map_or(crate::target::Value::Null, |person| person.to_string().into());
    let record = Record {
        detail: Facts::default().plain("assignee", assignee_fact),
        ..Record::of_request(action::REQUEST_ASSIGNED, number.0, permit.by())
    };
    append(&mut tx, now, &record).await?;
    sqlx::query!("update request set assignee = $2 where id = $1", request.0, assignee.map(|person| person.0))
        .execute(&mut *tx)
        .await?;
    respond(&mut tx, now, &permit.by(), (request, permit.person()?)).await?;
    tx.commit().await?;
    Ok(())
}

/// What a person can say about a step that stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Say {
    Retry,
    Skip { reason: String },
}

/// Retries or skips a step that stopped or waits to be tried.
///
/// # Errors
/// [`RequestError::Stale`] where it goes on by itself already; a field error where a reason is missing.
pub async fn step(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    (number, step): (RequestNumber, StepId),
    say: &Say,
) -> Result<(), RequestError> {
    let mut tx = pool.begin().await?;
    hold(&mut tx, &super::subject(number)).await?;
    let request = super::id(&mut tx, number).await?;
    let by = match say {
        Say::Retry => access::permit::<op::Retry>(&mut tx, actor, Object::Request(request)).await?.by(),
        Say::Skip { .. } => access::permit::<op::Skip>(&mut tx, actor, Object::Request(request)).await?.by(),
    };
    let belongs = sqlx::query_scalar!(
        r#"select exists (select from step where id = $1 and request = $2) as "belongs!""#,
        step.0,
        request.0
    )
    .fetch_one(&mut *tx)
    .await?;
    if !belongs {
        return Err(RequestError::Denied(access::Denied::NotFound));
    }
    let done = match say {
        Say::Retry => changes::release(&mut tx, now, &by, (number.0, step)).await?,
        Say::Skip { reason } if reason.trim().is_empty() => {
            return Err(RequestError::Fields(vec![FieldError::new("reason", "Say why this step is not needed")]));
        }
        Say::Skip { reason } => changes::skip(&mut tx, now, &by, (number.0, request, step), reason.trim()).await?,
    };
    if !done {
        return Err(RequestError::Stale);
    }
    if let Some(person) = actor.person() {
        respond(&mut tx, now, &by, (request, person)).await?;
    }
    settle::settle(&mut tx, now, &by, request).await?;
    tx.commit().await?;
    Ok(())
}
