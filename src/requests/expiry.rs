//! The end of what was given until a day: grants end when due; where none is left to support an access, a request of its
//! own takes it away, citing what it follows from. Nobody decides it again: the end was part of what was approved.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::items::{self, NewItem};
use super::{RequestError, clocks, settle, sight};
use crate::catalog::{self, Entitlement};
use crate::changes;
use crate::evidence::{By, Facts, Record, action, append, hold};
use crate::grants::{self, DueGrant};
use crate::ids::{ItemId, RequestId, RequestNumber};
use crate::mirror::mail;
use crate::people;
use crate::plan::{GrantEffect, PlannedItem, PlannedStep, slug};

/// Ends what is due; returns how many grants ended.
///
/// # Errors
/// Where the database does not answer; whatever ended before stays ended.
pub async fn end_due(pool: &PgPool, now: DateTime<Utc>) -> Result<usize, RequestError> {
    let mut ended = 0;
    loop {
        let mut tx = pool.begin().await?;
        let Some(due) = grants::due(&mut tx, now, 1).await?.pop() else { return Ok(ended) };
        end_one(&mut tx, now, &due).await?;
        tx.commit().await?;
        ended += 1;
    }
}

async fn end_one(conn: &mut PgConnection, now: DateTime<Utc>, due: &DueGrant) -> Result<(), RequestError> {
    let by = By::routine("expiry");
    if grants::end_due(conn, now, &by, due).await? {
        return Ok(());
    }
    let Some(entitlement) = catalog::find(conn, due.entitlement).await? else { return Ok(()) };
    // What is gone holds nothing any more.
    let accounts = sight::accounts(conn, due.person).await?;
    let mailboxes = mail::of_person(conn, due.person).await?;
    let there = accounts.iter().map(|account| account.id).chain(mailboxes.iter().map(|mailbox| mailbox.recipient.id));
    if !there.into_iter().any(|id| id == due.account) {
        return Ok(());
    }
    take_away(conn, now, &by, due, &entitlement).await
}

async fn take_away(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    due: &DueGrant,
    entitlement: &Entitlement,
) -> Result<(), RequestError> {
    let person = people::find(conn, due.person).await?.ok_or(RequestError::Stale)?;
    let number = RequestNumber(
        sqlx::query_scalar!("update request_counter set last = last + 1 returning last").fetch_one(&mut *conn).await?,
    );
    hold(conn, &super::subject(number)).await?;
    let rules = catalog::rules(conn).await.map_err(super::catalog_error)?;
    let (levels, kind) = (&rules.service_levels, "access");
    let clocks = clocks::begin(conn, now, [Some(due.person), None], (levels, kind)).await?;
    let request = RequestId::new();
    let digest_key: [u8; 32] = rand::random();
    sqlx::query!(
        "insert into request (id, number, kind, state, title, subject, asked_at, answers, nonce, priority, digest_key,
                              respond_by, resolve_by, site, level_kind, clock_rules, respond_at_risk, resolve_at_risk)
         values ($1, $2, 'expiry', 'applying', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        request.0,
        number.0,
        format!("Access ended: {} for {}", entitlement.name, person.display_name),
        due.person.0,
        now,
        serde_json::json!({"kind": "expiry", "answers": {"grant": due.id, "until": due.until_on}}),
        format!("expiry:{}", due.id),
        levels.body.for_request(kind).priority,
        &digest_key[..],
        clocks.respond_by,
        clocks.resolve_by,
        clocks.site,
        kind,
        clocks.rules,
        clocks.respond_at_risk,
        clocks.resolve_at_risk,
    )
    .execute(&mut *conn)
    .await?;
    let cause = match due.item {
        Some(item) => cause(conn, item).await?,
        None => None,
    };
    let mut detail = Facts::default()
        .plain("kind", "expiry")
        .plain("subject", due.person.to_string())
        .plain("grant", due.id.to_string())
        .plain("until_on", due.until_on.to_string());
    if let Some((request, item, digest)) = cause {
        detail = detail.plain("follows_from", format!("request:{request} item:{item} digest:{digest}"));
    }
    let record = Record { detail, ..Record::of_request(action::REQUEST_SUBMITTED, number.0, by.clone()) };
    append(conn, now, &record).await?;
    let step = PlannedStep::take(format!("out-of-{}", slug(&entitlement.name)), entitlement, due.account);
    let item = PlannedItem {
        label: format!("{} ends", entitlement.name),
        entitlement: Some(entitlement.id),
        sox: entitlement.sox,
        steps: vec![PlannedStep {
            grant: Some(GrantEffect::Take { entitlement: entitlement.id, why: "due".to_owned() }),
            why: format!("was given until {}", due.until_on.format("%-d %B %Y")),
            ..step
        }],
        ..PlannedItem::default()
    };
    let key = items::digest_key(conn, request).await?;
    let basis = serde_json::json!({ "grant": due.id });
    let place = NewItem { request, id: ItemId::new(), ordinal: 1, key: &key, basis: &basis };
    items::add(conn, now, (by, number), (place, &item, &[])).await?;
    changes::unlock(conn, request).await?;
    settle::settle(conn, now, by, request).await
}

/// The item that gave the access: request number, ordinal, and the digest that was approved.
async fn cause(conn: &mut PgConnection, item: uuid::Uuid) -> Result<Option<(i64, i32, String)>, sqlx::Error> {
    let row = sqlx::query!(
        "select r.number, i.ordinal, i.digest from item i join request r on r.id = i.request where i.id = $1",
        item
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.number, row.ordinal, row.digest)))
}
