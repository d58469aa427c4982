//! A request's items as rows: what each amounts to, its digest, steps, stages, and the record that says so.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{RequestError, stages};
use crate::changes;
use crate::evidence::{By, Facts, Record, action, append, append_all};
use crate::ids::{ItemId, RequestId, RequestNumber};
use crate::plan::{PlannedItem, digest};
use crate::target::Value;

/// The key of a request's digests; gone with its personal data.
pub(super) async fn digest_key(conn: &mut PgConnection, request: RequestId) -> Result<Vec<u8>, RequestError> {
    sqlx::query_scalar!("select digest_key from request where id = $1", request.0)
        .fetch_one(conn)
        .await?
        .ok_or_else(|| RequestError::Conflict("This request's personal data has been erased.".to_owned()))
}

/// Where a new item goes.
pub(super) struct NewItem<'a> {
    pub request: RequestId,
    pub id: ItemId,
    pub ordinal: i32,
    pub key: &'a [u8],
    pub basis: &'a serde_json::Value,
}

/// An item with what it amounts to and who is asked.
pub(super) type Written<'a> = (NewItem<'a>, &'a PlannedItem, &'a [stages::Planned]);

/// An item with its steps, stages and record; without stages it is approved as it is, which is what its route says.
pub(super) async fn add(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (by, number): (&By, RequestNumber),
    item: Written<'_>,
) -> Result<(), RequestError> {
    let items = [item];
    let digests = write(conn, now, &items).await?;
    append_all(conn, now, &records(by, number, &items, &digests)).await?;
    Ok(())
}

/// Items of one request, each kind of row in one statement; their digests. Their [`records`] are the caller's to append.
pub(super) async fn write(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    items: &[Written<'_>],
) -> Result<Vec<String>, RequestError> {
    let Some((first, ..)) = items.first() else { return Ok(Vec::new()) };
    let (mut effects, mut rows, mut digests) = (Vec::new(), Vec::new(), Vec::new());
    for (new, item, stages) in items {
        let effect = item.effect().map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        let digest = digest(new.key, &effect);
        rows.push(serde_json::json!({
            "id": new.id, "ordinal": new.ordinal, "label": item.label, "entitlement": item.entitlement, "sox": item.sox,
            "state": if stages.is_empty() { "approved" } else { "deciding" }, "digest": digest, "basis": new.basis,
        }));
        effects.push(effect);
        digests.push(digest);
    }
    sqlx::query!(
        "insert into item (id, request, ordinal, label, state, entitlement, sox, digest, effect, basis)
         select i.id, $1, i.ordinal, i.label, i.state, i.entitlement, i.sox, i.digest, i.effect, i.basis
           from rows from (jsonb_to_recordset($2) as (id uuid, ordinal integer, label text, state text, entitlement uuid,
                                                      sox boolean, digest text, basis jsonb),
                           unnest($3::bytea[]))
                as i (id, ordinal, label, state, entitlement, sox, digest, basis, effect)",
        first.request.0,
        serde_json::Value::Array(rows),
        &effects,
    )
    .execute(&mut *conn)
    .await?;
    let steps: Vec<_> = items.iter().map(|(new, item, _)| (new.id, 1, item.steps.as_slice())).collect();
    changes::write(conn, first.request, &steps).await?;
    let stages: Vec<_> = items.iter().map(|(new, _, stages)| (new.id, 1, *stages)).collect();
    stages::write(conn, now, &stages).await?;
    Ok(digests)
}

/// What evidence says of new items: what each amounts to, what from, and who is asked.
pub(super) fn records(by: &By, number: RequestNumber, items: &[Written<'_>], digests: &[String]) -> Vec<Record> {
    let record = |((new, item, stages), digest): (&Written<'_>, &String)| {
        planned_record(by, (number, new.ordinal), (item, digest, new.basis, stages.is_empty()))
    };
    items.iter().zip(digests).map(record).collect()
}

/// Says the same of an item that was planned anew.
pub(super) async fn planned(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    of: (RequestNumber, i32),
    plan: (&PlannedItem, &str, &serde_json::Value, bool),
) -> Result<(), RequestError> {
    append(conn, now, &planned_record(by, of, plan)).await?;
    Ok(())
}

fn planned_record(
    by: &By,
    (number, ordinal): (RequestNumber, i32),
    (item, digest, basis, without_stage): (&PlannedItem, &str, &serde_json::Value, bool),
) -> Record {
    let detail = Facts::default()
        .personal("label", item.label.clone())
        .plain("steps", Value::Number(i64::try_from(item.steps.len()).unwrap_or(i64::MAX)))
        .plain("sox", item.sox)
        .plain("without_stage", without_stage)
        .plain("basis", basis.to_string());
    Record {
        item: Some(ordinal),
        plan_digest: Some(digest.to_owned()),
        detail,
        rules: changes::rules(basis),
        ..Record::of_request(action::ITEM_PLANNED, number.0, by.clone())
    }
}
