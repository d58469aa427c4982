//! Taking a request back: what is not done yet will not be; what is done stays, and says so.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::{RequestError, settle};
use crate::access::{self, Actor, Object, op};
use crate::changes;
use crate::evidence::{By, Facts, Record, action, append, hold};
use crate::ids::{ItemId, RequestId, RequestNumber};
use crate::plan::field::FieldError;

/// Cancels every item that has not ended.
///
/// # Errors
/// [`RequestError::Conflict`] while a step is being applied at this moment, or where nothing is left to cancel.
pub async fn cancel(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    number: RequestNumber,
    reason: &str,
) -> Result<(), RequestError> {
    if reason.chars().count() > 2000 {
        return Err(RequestError::Fields(vec![FieldError::new("reason", "A reason can be at most 2,000 characters")]));
    }
    if reason.contains('\0') {
        return Err(RequestError::Fields(vec![FieldError::new(
            "reason",
            "The reason contains an invisible character (U+0000)",
        )]));
    }
    let mut tx = pool.begin().await?;
    hold(&mut tx, &super::subject(number)).await?;
    let request = super::id(&mut tx, number).await?;
    let by = access::permit::<op::Cancel>(&mut tx, actor, Object::Request(request)).await?.by();
    let open = sqlx::query!(
        r#"select id as "id: ItemId", ordinal from item
            where request = $1 and state not in ('done', 'rejected', 'cancelled', 'lapsed') order by ordinal"#,
        request.0
    )
    .fetch_all(&mut *tx)
    .await?;
    if open.is_empty() {
        return Err(RequestError::Conflict("Nothing is left to cancel.".to_owned()));
    }
    let record = Record {
        reason: Some(reason.trim().to_owned()),
        ..Record::of_request(action::REQUEST_CANCELLED, number.0, by.clone())
    };
    append(&mut tx, now, &record).await?;
    for item in open {
        end_item(&mut tx, item.id, ("cancelled", "Taken back.")).await?;
    }
    settle::settle(&mut tx, now, &by, request).await?;
    tx.commit().await?;
    Ok(())
}

/// An item ends in `state`, cancelled or lapsed, with what it would still have done.
pub(super) async fn end_item(
    conn: &mut PgConnection,
    item: ItemId,
    (state, why): (&str, &str),
) -> Result<(), RequestError> {
    if !changes::supersede(conn, item).await? {
        return Err(RequestError::Conflict(
            "A step is being applied at this very moment. Try again in a few seconds.".to_owned(),
        ));
    }
    sqlx::query!("update item set state = $3, why = $2, settled_at = now() where id = $1", item.0, why, state)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "update stage set state = 'superseded', closed_at = now() where item = $1 and state in ('open', 'waiting')",
        item.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An item was rejected or lapsed: those that build on what it would have made cannot be done either.
pub(super) async fn depending(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (number, request, item): (RequestNumber, RequestId, ItemId),
    why: &str,
) -> Result<(), RequestError> {
    let depending = sqlx::query!(
        r#"select distinct i.id as "id: ItemId", i.ordinal
             from step s join item i on i.id = s.item
            where s.request = $1 and i.id <> $2 and s.state <> 'superseded'
              and i.state not in ('done', 'rejected', 'cancelled', 'lapsed')
              and s.after && array(select name from step where item = $2)
            order by i.ordinal"#,
        request.0,
        item.0
    )
    .fetch_all(&mut *conn)
    .await?;
    for other in depending {
        let record = Record {
            item: Some(other.ordinal),
            detail: Facts::default().plain("state", "cancelled"),
            ..Record::of_request(action::ITEM_SETTLED, number.0, by.clone())
        };
        append(conn, now, &record).await?;
        end_item(conn, other.id, ("cancelled", why)).await?;
    }
    Ok(())
}
