//! Deciding: one person, one item, the digest they saw; the next stage opens or the item is approved.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{RequestError, notify, settle, stages};
use crate::access::{self, Actor, Object, op};
use crate::changes;
use crate::evidence::{By, Facts, Record, action, append, hold};
use crate::ids::{ItemId, PersonId, RequestId, RequestNumber};

/// What can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Approve,
    Reject,
    /// Back to the requester with a question.
    SendBack,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::SendBack => "send_back",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Approve, Self::Reject, Self::SendBack].into_iter().find(|verdict| verdict.as_str() == text)
    }
}

/// A decision as it came in.
#[derive(Debug, Clone)]
pub struct Deciding {
    pub number: RequestNumber,
    pub item: i32,
    pub verdict: Verdict,
    /// The digest that the decider saw.
    pub digest: String,
    pub comment: String,
}

struct Open {
    request: RequestId,
    /// The digests of the rule versions that the item was planned by.
    rules: BTreeMap<String, String>,
    item: ItemId,
    stage: Uuid,
    plan_number: i32,
    stage_ordinal: i32,
    stage_name: String,
    needed: Option<i32>,
}

/// Records a decision. Two hundred at once: exactly one counts per voice.
///
/// # Errors
/// [`RequestError::Stale`] where the digest is not the item's any more, or it was decided meanwhile; [`RequestError::Denied`];
/// a field error where a comment is missing.
pub async fn decide(pool: &PgPool, now: DateTime<Utc>, actor: &Actor, deciding: &Deciding) -> Result<(), RequestError> {
    let comment = deciding.comment.trim();
    if comment.chars().count() > 2000 {
        return Err(field("comment", "A comment can be at most 2,000 characters"));
    }
    if deciding.verdict != Verdict::Approve && comment.is_empty() {
        return Err(field("comment", "Say why, so that whoever asked can mend it"));
    }
    for round in 0..3 {
        match try_decide(pool, now, actor, (deciding, comment)).await {
            Err(RequestError::Database(error)) if round < 2 && crate::db::is_transient(&error) => {}
            other => return other,
        }
    }
    Err(RequestError::Conflict("The database is very busy. Nothing was lost: send it again.".to_owned()))
}

fn field(name: &str, message: &str) -> RequestError {
    RequestError::Fields(vec![super::FieldError::new(name, message)])
}

async fn try_decide(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    (deciding, comment): (&Deciding, &str),
) -> Result<(), RequestError> {
    let mut tx = pool.begin().await?;
    hold(&mut tx, &super::subject(deciding.number)).await?;
    let item = sqlx::query_scalar!(
        r#"select i.id as "id: ItemId" from item i join request r on r.id = i.request
            where r.number = $1 and i.ordinal = $2"#,
        deciding.number.0,
        deciding.item
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(RequestError::Denied(access::Denied::NotFound))?;
    let permit = access::permit::<op::Decide>(&mut tx, actor, Object::Item(item)).await?;
    let open = open_stage(&mut tx, item, &deciding.digest).await?;
    let person = permit.person()?;
    let stands_for = stages::stands_for(&mut tx, now, (open.request, open.stage), person).await?.ok_or_else(|| {
        RequestError::Conflict("This is not yours to decide, or you have decided it already.".to_owned())
    })?;
    let mut by = permit.by();
    by.on_behalf_of = (stands_for != person).then_some(stands_for.0);
    write(&mut tx, now, (&by, person, stands_for), &open, (deciding, comment)).await?;
    follow(&mut tx, now, &by, &open, (deciding, comment)).await?;
    settle::settle(&mut tx, now, &by, open.request).await?;
    tx.commit().await?;
    metrics::counter!("tenure_decisions_total", "verdict" => deciding.verdict.as_str()).increment(1);
    Ok(())
}

async fn open_stage(conn: &mut PgConnection, item: ItemId, digest: &str) -> Result<Open, RequestError> {
    let found = sqlx::query!(
        r#"select i.request as "request: RequestId", i.digest, i.basis, i.plan_number, s.id as "stage?", s.ordinal as "stage_ordinal?",
                  s.name as "name?", s.needed
             from item i
             left join stage s on s.item = i.id and s.plan_number = i.plan_number and s.state = 'open'
            where i.id = $1
              for update of i"#,
        item.0
    )
    .fetch_one(conn)
    .await?;
    // Compared in constant time by habit, not need: a digest is no secret to whoever may decide.
    let same: bool = subtle::ConstantTimeEq::ct_eq(found.digest.as_bytes(), digest.as_bytes()).into();
    match (same, found.stage, found.stage_ordinal) {
        (true, Some(stage), Some(stage_ordinal)) => Ok(Open {
            request: found.request,
            rules: changes::rules(&found.basis),
            item,
            stage,
            plan_number: found.plan_number,
            stage_ordinal,
            stage_name: found.name.unwrap_or_default(),
            needed: found.needed,
        }),
        _ => Err(RequestError::Stale),
    }
}

async fn write(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (by, person, stands_for): (&By, PersonId, PersonId),
    open: &Open,
    (deciding, comment): (&Deciding, &str),
) -> Result<(), RequestError> {
    let action = match deciding.verdict {
        Verdict::Approve => action::APPROVAL_GRANTED,
        Verdict::Reject => action::APPROVAL_REJECTED,
        Verdict::SendBack => action::APPROVAL_SENT_BACK,
    };
    let record = Record {
        item: Some(deciding.item),
        plan_digest: Some(deciding.digest.clone()),
        reason: Some(comment.to_owned()),
        rules: open.rules.clone(),
        detail: Facts::default().personal("stage", open.stage_name.clone()),
        ..Record::of_request(action, deciding.number.0, by.clone())
    };
    append(conn, now, &record).await?;
    // The key of request_role refuses whoever is a party already; the decision's foreign keys want a decider.
    for decider in [person, stands_for] {
        sqlx::query!(
            "insert into request_role (request, person, role) values ($1, $2, 'decider')
             on conflict (request, person) do nothing",
            open.request.0,
            decider.0
        )
        .execute(&mut *conn)
        .await?;
    }
    sqlx::query!(
        "insert into decision (id, stage, item, request, person, stands_for, verdict, digest, comment, session, decided_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        Uuid::now_v7(),
        open.stage,
        open.item.0,
        open.request.0,
        person.0,
        stands_for.0,
        deciding.verdict.as_str(),
        deciding.digest,
        comment,
        by.session,
        now,
    )
    .execute(&mut *conn)
    .await
    .map_err(|error| match crate::db::constraint(&error) {
        Some("decision_once" | "decision_once_by_person") => RequestError::Stale,
        Some(name) if name.starts_with("decision_request_") => {
            RequestError::Conflict("Nobody decides about what they asked for or what is about themselves.".to_owned())
        }
        _ => RequestError::Database(error),
    })?;
    Ok(())
}

/// The stage closes or waits for more voices; the next opens; the item is approved, rejected or sent back.
async fn follow(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    open: &Open,
    (deciding, comment): (&Deciding, &str),
) -> Result<(), RequestError> {
    sqlx::query!(
        "update request set first_response_at = coalesce(first_response_at, $2) where id = $1",
        open.request.0,
        now
    )
    .execute(&mut *conn)
    .await?;
    match deciding.verdict {
        Verdict::Approve => {
            if !enough(conn, open).await? {
                return Ok(());
            }
            close(conn, now, open, "approved").await?;
            if open_next(conn, now, open).await? {
                notify::please_decide_all(conn, now, (open.request, open.item)).await?;
            } else {
                sqlx::query!("update item set state = 'approved', why = null where id = $1", open.item.0)
                    .execute(&mut *conn)
                    .await?;
                changes::unlock(conn, open.request).await?;
                super::settle_approved(conn, now, by, open.request).await?;
                notify::decided(conn, now, open.request, (deciding.item, "approved", comment)).await?;
            }
        }
        Verdict::Reject | Verdict::SendBack => {
            let state = if deciding.verdict == Verdict::Reject { "rejected" } else { "sent_back" };
            close(conn, now, open, state).await?;
            sqlx::query!(
                "update item set state = $2, why = $3, settled_at = case when $2 = 'rejected' then now() end where id = $1",
                open.item.0,
                state,
                comment
            )
            .execute(&mut *conn)
            .await?;
            if deciding.verdict == Verdict::Reject {
                changes::supersede(conn, open.item).await?;
                let why = "It builds on an item that was rejected.";
                super::cancel::depending(conn, now, by, (deciding.number, open.request, open.item), why).await?;
            }
            notify::decided(conn, now, open.request, (deciding.item, state, comment)).await?;
        }
    }
    Ok(())
}

async fn enough(conn: &mut PgConnection, open: &Open) -> Result<bool, sqlx::Error> {
    let count = sqlx::query!(
        r#"select (select count(*) from decision where stage = $1 and verdict = 'approve') as "voices!",
                  (select count(*) from stage_decider where stage = $1) as "asked!""#,
        open.stage
    )
    .fetch_one(conn)
    .await?;
    let needed = open.needed.map_or(count.asked.max(1), i64::from);
    Ok(count.voices >= needed)
}

async fn close(conn: &mut PgConnection, now: DateTime<Utc>, open: &Open, state: &str) -> Result<(), RequestError> {
    let closed = sqlx::query!(
        "update stage set state = $2, closed_at = $3 where id = $1 and state = 'open'",
        open.stage,
        state,
        now
    )
    .execute(conn)
    .await?;
    if closed.rows_affected() == 1 { Ok(()) } else { Err(RequestError::Stale) }
}

async fn open_next(conn: &mut PgConnection, now: DateTime<Utc>, open: &Open) -> Result<bool, sqlx::Error> {
    let opened = sqlx::query!(
        "update stage set state = 'open', opened_at = $4
          where item = $1 and plan_number = $2 and ordinal = $3 and state = 'waiting'",
        open.item.0,
        open.plan_number,
        open.stage_ordinal + 1,
        now
    )
    .execute(conn)
    .await?;
    Ok(opened.rows_affected() == 1)
}

/// What one person may decide in a request: item ordinal and for whom, where it is not themselves.
///
/// # Errors
/// Where the database does not answer.
pub async fn decidable(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    request: RequestId,
    person: PersonId,
) -> Result<Vec<(i32, Option<PersonId>)>, sqlx::Error> {
    let open = sqlx::query!(
        "select i.ordinal, s.id from stage s join item i on i.id = s.item
          where i.request = $1 and s.state = 'open' and s.plan_number = i.plan_number and i.state = 'deciding'
          order by i.ordinal",
        request.0
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut decidable = Vec::new();
    for stage in open {
        if let Some(stands_for) = stages::stands_for(conn, now, (request, stage.id), person).await? {
            decidable.push((stage.ordinal, (stands_for != person).then_some(stands_for)));
        }
    }
    Ok(decidable)
}

/// Whether the person is a party of the request: they asked, it is about them, or they gain by it. Parties decide nothing.
///
/// # Errors
/// Where the database does not answer.
pub async fn is_party(conn: &mut PgConnection, request: RequestId, person: PersonId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from request_role where request = $1 and person = $2 and role = 'party') as "is_party!""#,
        request.0,
        person.0
    )
    .fetch_one(conn)
    .await
}
