//! What follows when something about an item changed: its state from its steps, the request's from its items, and whoever
//! should know is told. Called in the transaction of whatever changed it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::clocks::{self, Because};
use super::{RequestError, notify};
use crate::evidence::{By, Facts, Record, action, append};
use crate::ids::{ItemId, PersonId, RequestId};
use crate::people;

/// A request's state from its items' states.
///
/// What needs somebody comes first, then what is moving, then what waits; only when every item has ended has the request:
/// as done, if anything was done.
pub fn derive(items: &[&str]) -> &'static str {
    let any = |state: &str| items.contains(&state);
    if any("needs_person") {
        "needs_person"
    } else if any("sent_back") {
        "sent_back"
    } else if any("applying") || any("approved") {
        "applying"
    } else if any("deciding") {
        "deciding"
    } else if any("done") {
        "done"
    } else if any("rejected") {
        "rejected"
    } else if any("lapsed") {
        "lapsed"
    } else {
        "cancelled"
    }
}

/// Whether nothing more will happen in this state by itself or by somebody's decision.
pub fn is_settled(state: &str) -> bool {
    matches!(state, "done" | "rejected" | "cancelled" | "lapsed")
}

/// An approved item's state from the states of its present plan's steps.
fn item_state(steps: &[String]) -> &'static str {
    let all = |states: &[&str]| steps.iter().all(|state| states.contains(&state.as_str()));
    if steps.iter().any(|state| state == "blocked") {
        "needs_person"
    } else if all(&["applied", "unchanged", "skipped", "undone"]) {
        "done"
    } else if all(&["waiting", "ready"]) {
        "approved"
    } else {
        "applying"
    }
}

/// Brings items and request up to date with their steps and decisions, and says what changed.
///
/// # Errors
/// Where the database refuses; the caller's transaction does not commit then.
pub async fn settle(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    request: RequestId,
) -> Result<(), RequestError> {
    let row = sqlx::query!(
        r#"select number, kind, state, subject as "subject: PersonId" from request where id = $1 for update"#,
        request.0
    )
    .fetch_one(&mut *conn)
    .await?;
    let items = sqlx::query!(
        r#"select i.id as "id: ItemId", i.ordinal, i.label, i.state, i.digest, i.entitlement,
                  coalesce(array_agg(s.state) filter (where s.id is not null), '{}') as "steps!: Vec<String>",
                  (array_agg(s.told) filter (where s.state = 'blocked'))[1] as told
             from item i left join step s on s.item = i.id and s.plan_number = i.plan_number and s.state <> 'superseded'
            where i.request = $1
            group by i.id
            order by i.ordinal"#,
        request.0
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut states: Vec<&str> = Vec::with_capacity(items.len());
    for item in &items {
        let state = match item.state.as_str() {
            "approved" | "applying" | "needs_person" => item_state(&item.steps),
            other => other,
        };
        if state != item.state {
            set_item(conn, (item.id, state), item.told.as_deref()).await?;
            if state == "done" || state == "needs_person" {
                let record = Record {
                    item: Some(item.ordinal),
                    plan_digest: Some(item.digest.clone()),
                    detail: Facts::default().plain("state", state),
                    ..Record::of_request(action::ITEM_SETTLED, row.number, by.clone())
                };
                append(conn, now, &record).await?;
            }
            if state == "needs_person" {
                let why = item.told.as_deref().unwrap_or_default();
                notify::needs_person(conn, now, request, (&item.label, why)).await?;
            }
        }
        states.push(state);
    }
    let state = derive(&states);
    let newly_settled = is_settled(state) && !is_settled(&row.state);
    sqlx::query!(
        "update request set state = $2, version = version + 1, settled_at = case when $3 then coalesce(settled_at, $4) end
          where id = $1",
        request.0,
        state,
        is_settled(state),
        now,
    )
    .execute(&mut *conn)
    .await?;
    clocks::keep(conn, now, by, request, Because::Moved).await?;
    if newly_settled {
        ended(conn, now, by, (request, row.number, &row.kind, row.subject), (state, &states)).await?;
    }
    Ok(())
}

async fn set_item(
    conn: &mut PgConnection,
    (item, state): (ItemId, &str),
    told: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update item set state = $2, why = $3, settled_at = case when $2 in ('done', 'rejected', 'cancelled', 'lapsed') then now() end
          where id = $1",
        item.0,
        state,
        told,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn ended(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (request, number, kind, subject): (RequestId, i64, &str, Option<PersonId>),
    (state, items): (&str, &[&str]),
) -> Result<(), RequestError> {
    let record = Record {
        detail: Facts::default().plain("state", state),
        ..Record::of_request(action::REQUEST_SETTLED, number, by.clone())
    };
    append(conn, now, &record).await?;
    sqlx::query!("delete from reservation where request = $1", request.0).execute(&mut *conn).await?;
    // A joiner whose account will not be made was expected and will not come.
    if kind == "joiner"
        && items.first().is_some_and(|first| *first != "done")
        && let Some(person) = subject
    {
        people::withdraw(conn, now, by, person).await.map_err(super::people_error)?;
    }
    notify::settled(conn, now, request, state).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_somebody_comes_first() {
        assert_eq!(derive(&["done", "needs_person", "applying"]), "needs_person");
        assert_eq!(derive(&["done", "deciding"]), "deciding");
        assert_eq!(derive(&["applying", "deciding"]), "applying");
        assert_eq!(derive(&["done", "rejected"]), "done");
        assert_eq!(derive(&["rejected", "cancelled"]), "rejected");
        assert_eq!(derive(&["cancelled"]), "cancelled");
    }

    #[test]
    fn an_item_is_done_when_every_step_is() {
        let steps = |states: &[&str]| item_state(&states.iter().map(|state| (*state).to_owned()).collect::<Vec<_>>());
        assert_eq!(steps(&["applied", "unchanged", "skipped"]), "done");
        assert_eq!(steps(&["applied", "ready"]), "applying");
        assert_eq!(steps(&["waiting", "ready"]), "approved");
        assert_eq!(steps(&["applied", "blocked", "running"]), "needs_person");
        assert_eq!(steps(&["drifted"]), "applying");
    }
}
