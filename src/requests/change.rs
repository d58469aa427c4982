//! Planning again: because the answers changed, or because the target showed something else than what was approved.
//!
//! The items that come out the same keep their decisions; those whose effect differs start deciding anew, with the steps
//! that are done kept and the rest replaced. Both plans stay: steps of the old one are marked superseded.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::items::{self, NewItem};
use super::stages;
use super::submit::{self, Prepared, Seen};
use super::{Item, Request, RequestError, clocks, notify, settle, sight};
use crate::access::{self, Actor, Object, op};
use crate::changes::{self, Step};
use crate::evidence::{By, Facts, Record, action, append, hold};
use crate::ids::{ItemId, RequestId, RequestNumber};
use crate::people;
use crate::plan::field::Raw;
use crate::plan::{Answers, PlannedItem, PlannedStep, RequestKind, digest, joiner};

/// Changes a request's answers and plans anew.
///
/// # Errors
/// Field errors with nothing written; [`RequestError::Conflict`] where it has ended or is being applied;
/// [`RequestError::Stale`] where it amounts to something else than was seen.
pub async fn change(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    number: RequestNumber,
    (raw, seen): (&Raw, Option<&Seen>),
) -> Result<(), RequestError> {
    let mut tx = pool.begin().await?;
    let Changed { request, by, answers, planned } = changed(&mut tx, now, actor, (number, raw)).await?;
    planned.is_what_was_seen(seen)?;
    let json = serde_json::to_value(&answers).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let mut detail = Facts::default();
    for (name, value) in json["answers"].as_object().into_iter().flatten() {
        if request.answers["answers"].get(name) != Some(value) {
            detail = detail.personal(&format!("answers.{name}"), super::fact(value));
        }
    }
    append(&mut tx, now, &Record { detail, ..Record::of_request(action::REQUEST_CHANGED, number.0, by.clone()) })
        .await?;
    sqlx::query!("update request set answers = $2, title = $3 where id = $1", request.id.0, json, planned.title)
        .execute(&mut *tx)
        .await?;
    if let (Answers::Joiner(joiner), Some(person)) = (&answers, request.subject) {
        people::change_expected(&mut tx, now, &by, person, &submit::new_person(joiner, &planned.plan))
            .await
            .map_err(super::people_error)?;
    }
    submit::parties(&mut tx, request.id, &answers).await?;
    apply(&mut tx, now, &by, (number, request.id), &planned).await?;
    settle::settle(&mut tx, now, &by, request.id).await?;
    let people = [request.subject, request.asked_by];
    clocks::asked_anew(&mut tx, now, &by, request.id, (people, answers.route_kind())).await?;
    tx.commit().await?;
    Ok(())
}

/// What changed answers would amount to; writes nothing.
///
/// # Errors
/// As [`change`].
pub async fn prepare(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    number: RequestNumber,
    raw: &Raw,
) -> Result<Prepared, RequestError> {
    let mut tx = pool.begin().await?;
    let Changed { request, answers, planned, .. } = changed(&mut tx, now, actor, (number, raw)).await?;
    let asked_by = request.asked_by.ok_or(RequestError::Stale)?;
    Ok(planned.prepared(&mut tx, (answers, asked_by)).await?)
}

struct Changed {
    request: Request,
    by: By,
    answers: Answers,
    planned: submit::PlannedNow,
}

async fn changed(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    actor: &Actor,
    (number, raw): (RequestNumber, &Raw),
) -> Result<Changed, RequestError> {
    hold(conn, &super::subject(number)).await?;
    let request = super::find(conn, number).await?.ok_or(RequestError::Denied(access::Denied::NotFound))?;
    let by = access::permit::<op::Change>(conn, actor, Object::Request(request.id)).await?.by();
    if settle::is_settled(&request.state) {
        return Err(RequestError::Conflict("This request has ended; ask anew.".to_owned()));
    }
    let kind = RequestKind::parse(&request.kind).ok_or(RequestError::Stale)?;
    let known = sight::known(conn, now, (kind, raw), Some(request.id)).await?;
    let answers = submit::parse(kind, raw, &known).map_err(RequestError::Fields)?;
    if answers.subject().is_some() && answers.subject() != request.subject {
        return Err(RequestError::Conflict("A request stays about the person it was made for; ask anew.".to_owned()));
    }
    made_already(conn, &request, &answers).await?;
    let asked_by = request.asked_by.ok_or(RequestError::Stale)?;
    let planned = submit::plan_now(conn, now, (&answers, asked_by, request.subject), Some(request.id)).await?;
    Ok(Changed { request, by, answers, planned })
}

/// Once a joiner's account is made, only what is asked for beyond it can change here.
async fn made_already(conn: &mut PgConnection, request: &Request, answers: &Answers) -> Result<(), RequestError> {
    let (Answers::Joiner(new), Ok(Answers::Joiner(old))) = (answers, serde_json::from_value(request.answers.clone()))
    else {
        return Ok(());
    };
    let beyond =
        |joiner: joiner::Answers| joiner::Answers { groups: Vec::new(), groups_until: None, reason: None, ..joiner };
    let steps = changes::steps(conn, request.id, false).await?;
    let begun = steps.iter().any(|step| step.name == joiner::ACCOUNT && (step.is_done() || step.attempt > 0));
    if begun && beyond(new.clone()) != beyond(old) {
        return Err(RequestError::Conflict(
            "The account is made already: here only the groups can change. Ask the service desk to mend the rest."
                .to_owned(),
        ));
    }
    Ok(())
}

/// Lays the new plan over the old one, item by item.
async fn apply(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (number, request): (RequestNumber, RequestId),
    new: &submit::PlannedNow,
) -> Result<(), RequestError> {
    let old = super::items(conn, request).await?;
    let key = items::digest_key(conn, request).await?;
    sqlx::query!("delete from reservation where request = $1", request.0).execute(&mut *conn).await?;
    submit::reserve(conn, (request, new)).await?;
    let mut next = old.iter().map(|item| item.ordinal).max().unwrap_or(0) + 1;
    let mut left: Vec<&Item> = old.iter().collect();
    for (item, stages) in new.plan.items.iter().zip(&new.stages) {
        let same = |other: &&Item| match item.entitlement {
            Some(entitlement) => other.entitlement == Some(entitlement) && other.label == item.label,
            None => other.entitlement.is_none(),
        };
        let named = left.iter().position(|other| same(other) && other.label == item.label);
        if let Some(position) = named.or_else(|| left.iter().position(same)) {
            let was = left.remove(position);
            replace(conn, now, by, (number, request, was), (item, stages, &key, &new.basis)).await?;
        } else {
            let place = NewItem { request, id: ItemId::new(), ordinal: next, key: &key, basis: &new.basis };
            items::add(conn, now, (by, number), (place, item, stages)).await?;
            next += 1;
        }
    }
    for gone in left {
        if settle::is_settled(&gone.state) {
            continue;
        }
        if !changes::supersede(conn, gone.id).await? {
            return Err(busy());
        }
        sqlx::query!(
            "update item set state = 'cancelled', why = 'No longer asked for.', settled_at = now() where id = $1",
            gone.id.0
        )
        .execute(&mut *conn)
        .await?;
    }
    changes::unlock(conn, request).await?;
    Ok(())
}

fn busy() -> RequestError {
    RequestError::Conflict("A step is being applied at this very moment. Try again in a few seconds.".to_owned())
}

/// One item's new plan over its old one. Where what is left to do is the same, nothing happens, and what was decided stands.
async fn replace(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (number, request, was): (RequestNumber, RequestId, &Item),
    (item, stages, key, basis): (&PlannedItem, &[stages::Planned], &[u8], &serde_json::Value),
) -> Result<(), RequestError> {
    let old: Vec<Step> =
        changes::steps(conn, request, false).await?.into_iter().filter(|step| step.item == was.id).collect();
    let done: BTreeSet<&str> = old.iter().filter(|step| step.is_done()).map(|step| step.name.as_str()).collect();
    let rest: Vec<PlannedStep> = item.steps.iter().filter(|step| !done.contains(step.name.as_str())).cloned().collect();
    let left: Vec<PlannedStep> = old.iter().filter(|step| !step.is_done()).map(Step::as_planned).collect();
    let decided = !matches!(was.state.as_str(), "sent_back" | "rejected" | "lapsed" | "cancelled");
    let encode = |error| sqlx::Error::Encode(Box::new(error));
    if decided && still_to_do(now, &rest, &done).map_err(encode)? == still_to_do(now, &left, &done).map_err(encode)? {
        return Ok(());
    }
    let item = PlannedItem { steps: rest, ..item.clone() };
    let effect = item.effect().map_err(encode)?;
    let digest = digest(key, &effect);
    if !changes::supersede(conn, was.id).await? {
        return Err(busy());
    }
    sqlx::query!("update stage set state = 'superseded', closed_at = coalesce(closed_at, now()) where item = $1 and state in ('open', 'waiting')", was.id.0)
        .execute(&mut *conn)
        .await?;
    let plan_number = was.plan_number + 1;
    // Nothing left to do is nothing left to decide.
    let without_stage = item.steps.is_empty() || stages.is_empty();
    sqlx::query!(
        "update item set plan_number = $2, digest = $3, effect = $4, basis = $5, label = $6, replan_after = null, why = null,
                settled_at = null, state = $7
          where id = $1",
        was.id.0,
        plan_number,
        digest,
        effect,
        basis,
        item.label,
        if without_stage { "approved" } else { "deciding" },
    )
    .execute(&mut *conn)
    .await?;
    changes::write(conn, request, &[(was.id, plan_number, &item.steps)]).await?;
    if !without_stage {
        stages::write(conn, now, &[(was.id, plan_number, stages)]).await?;
        notify::please_decide_all(conn, now, (request, was.id)).await?;
    }
    items::planned(conn, now, by, (number, was.ordinal), (&item, &digest, basis, without_stage)).await
}

/// The effect of steps as it matters now: without waiting for what is done, or for a time that has passed.
fn still_to_do(now: DateTime<Utc>, steps: &[PlannedStep], done: &BTreeSet<&str>) -> Result<Vec<u8>, serde_json::Error> {
    let steps = steps
        .iter()
        .cloned()
        .map(|mut step| {
            step.after.retain(|name| !done.contains(name.as_str()));
            step.not_before = step.not_before.filter(|at| *at > now);
            step
        })
        .collect();
    PlannedItem { steps, ..PlannedItem::default() }.effect()
}

/// Marks an item to be planned again, once the mirror has looked after this moment.
///
/// # Errors
/// Where the database refuses.
pub async fn after_drift(conn: &mut PgConnection, item: ItemId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update item set replan_after = now(), why = 'The target shows something else than what was approved; planned again.'
          where id = $1",
        item.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Plans again what drifted and the mirror has seen since. Returns how many requests were planned again.
///
/// # Errors
/// Where the database does not answer. A request that cannot be planned again is handed to a person.
pub async fn replan_drifted(pool: &PgPool, now: DateTime<Utc>) -> Result<usize, RequestError> {
    let due = sqlx::query!(
        r#"select distinct r.number as "number: RequestNumber"
             from item i join request r on r.id = i.request
             join step s on s.item = i.id and s.state = 'drifted'
             join mirror_cursor c on c.system = s.system
            where i.replan_after is not null and c.looked_at > i.replan_after
              and not exists (select from step b where b.item = i.id and b.state = 'running')
            limit 20"#
    )
    .fetch_all(pool)
    .await?;
    let mut done = 0;
    for row in due {
        match replan_one(pool, now, row.number).await {
            Ok(()) => done += 1,
            Err(RequestError::Conflict(why)) => hand_over(pool, now, row.number, &why).await?,
            Err(RequestError::Fields(errors)) => {
                let why = errors.first().map_or_else(String::new, |error| error.message.clone());
                hand_over(pool, now, row.number, &why).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

async fn replan_one(pool: &PgPool, now: DateTime<Utc>, number: RequestNumber) -> Result<(), RequestError> {
    let by = By::routine("replan");
    let mut tx = pool.begin().await?;
    hold(&mut tx, &super::subject(number)).await?;
    let request = super::find(&mut tx, number).await?.ok_or(RequestError::Stale)?;
    let answers: Answers = serde_json::from_value(request.answers.clone())
        .map_err(|_| RequestError::Conflict("It cannot be planned again by itself.".to_owned()))?;
    let asked_by = request.asked_by.ok_or(RequestError::Stale)?;
    let replanned = submit::plan_now(&mut tx, now, (&answers, asked_by, request.subject), Some(request.id)).await?;
    apply(&mut tx, now, &by, (number, request.id), &replanned).await?;
    // An item whose new plan is the old one (the target went back to `from`): its drifted steps are simply due again.
    changes::retry_drifted(&mut tx, now, &by, (number.0, request.id)).await?;
    sqlx::query!("update item set replan_after = null where request = $1", request.id.0).execute(&mut *tx).await?;
    settle::settle(&mut tx, now, &by, request.id).await?;
    tx.commit().await?;
    Ok(())
}

async fn hand_over(pool: &PgPool, now: DateTime<Utc>, number: RequestNumber, why: &str) -> Result<(), RequestError> {
    let mut tx = pool.begin().await?;
    hold(&mut tx, &super::subject(number)).await?;
    let request = super::id(&mut tx, number).await?;
    let by = By::routine("replan");
    changes::block_drifted(&mut tx, now, &by, (number.0, request), why).await?;
    sqlx::query!("update item set replan_after = null where request = $1", request.0).execute(&mut *tx).await?;
    settle::settle(&mut tx, now, &by, request).await?;
    tx.commit().await?;
    Ok(())
}
