//! Asking and deciding.
//!
//! A request has a number, whoever asked, whom it is about, typed answers, and items. An item carries the plan that is
//! decided and applied as a unit: its steps (`changes`), their digest, and the stages that a route asks for. Items do not
//! wait for each other. `deciding` → `approved` → `applying` → `done`; aside: `sent_back`, `rejected`, `cancelled`,
//! `needs_person`. The request's own state is derived from its items' by [`settle::derive`], in the same transaction as
//! whatever changed them.
//!
//! Nobody decides about themselves: whoever asks and whom it is about are `party` in `request_role`, a decision's foreign
//! keys want `decider`, and the key of that table allows one of the two. Every operation takes the subject's lock first
//! (`evidence::hold`), so that they never wait for each other in a circle.

pub mod apart;
pub mod cancel;
pub mod change;
pub mod clocks;
pub mod decide;
pub mod desk;
pub mod draft;
pub mod erase;
pub mod expiry;
mod items;
pub mod list;
mod notify;
pub mod patience;
mod receivers;
pub mod settle;
pub mod sight;
mod sight_mail;
mod sight_scope;
mod stages;
pub mod standing_in;
pub mod submit;
pub mod trial;
mod trial_scope;

pub use sight_mail::organisations;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::access::Denied;
use crate::evidence::EvidenceError;
use crate::ids::{EntitlementId, ItemId, PersonId, RequestId, RequestNumber};
use crate::plan::field::FieldError;

/// Why something about a request was not done. Nothing was written then.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("some answers need another look")]
    Fields(Vec<FieldError>),
    #[error(transparent)]
    Denied(#[from] Denied),
    /// What was seen is no longer what is there: look again.
    #[error("this has changed since you looked at it")]
    Stale,
    /// The state does not allow it; plain words.
    #[error("{0}")]
    Conflict(String),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Evidence(EvidenceError),
}

/// A program's key for doing something once, sent again with something else.
fn key_used() -> RequestError {
    RequestError::Conflict(
        "This Idempotency-Key was used for something else. Send the same as then, or choose another key.".to_owned(),
    )
}

impl From<EvidenceError> for RequestError {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::Database(error) => Self::Database(error),
            other => Self::Evidence(other),
        }
    }
}

/// A request as its page and the API show it.
#[derive(Debug, Clone)]
pub struct Request {
    pub id: RequestId,
    pub number: RequestNumber,
    pub kind: String,
    pub state: String,
    pub title: String,
    pub subject: Option<PersonId>,
    pub subject_name: Option<String>,
    pub asked_by: Option<PersonId>,
    pub asked_by_name: Option<String>,
    pub asked_at: DateTime<Utc>,
    pub answers: serde_json::Value,
    pub priority: i16,
    pub restricted: bool,
    pub assignee: Option<PersonId>,
    pub assignee_name: Option<String>,
    pub first_response_at: Option<DateTime<Utc>>,
    pub respond_by: Option<DateTime<Utc>>,
    pub resolve_by: Option<DateTime<Utc>>,
    pub settled_at: Option<DateTime<Utc>>,
    pub version: i64,
}

/// One thing asked for.
#[derive(Debug, Clone)]
pub struct Item {
    pub id: ItemId,
    pub ordinal: i32,
    pub label: String,
    pub state: String,
    pub entitlement: Option<EntitlementId>,
    pub sox: bool,
    pub plan_number: i32,
    pub digest: String,
    pub basis: serde_json::Value,
    pub why: Option<String>,
}

/// A stage of an item's present plan, with what was decided.
#[derive(Debug, Clone)]
pub struct Stage {
    pub id: uuid::Uuid,
    pub item: ItemId,
    pub ordinal: i32,
    pub role: String,
    pub name: String,
    pub needed: Option<i32>,
    pub reason: String,
    pub state: String,
    pub opened_at: Option<DateTime<Utc>>,
    /// Names of those asked by name; empty where a role is asked.
    pub deciders: Vec<String>,
    pub decisions: Vec<Decision>,
}

/// What one person decided about one item's digest.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Decision {
    pub person: PersonId,
    pub name: String,
    /// Set where a delegate decided.
    pub stands_for: Option<String>,
    pub verdict: String,
    pub digest: String,
    pub comment: String,
    pub decided_at: DateTime<Utc>,
}

/// The evidence subject of a request, whose lock orders everything about it.
pub fn subject(number: RequestNumber) -> String {
    format!("request:{}", number.0)
}

/// A request by its number, whoever looks: callers have asked `access` first.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(conn: &mut PgConnection, number: RequestNumber) -> Result<Option<Request>, sqlx::Error> {
    sqlx::query_as!(
        Request,
        r#"select r.id as "id: RequestId", r.number as "number: RequestNumber", r.kind, r.state, r.title,
                  r.subject as "subject: PersonId", s.display_name as "subject_name?",
                  r.asked_by as "asked_by: PersonId", a.display_name as "asked_by_name?", r.asked_at, r.answers,
                  r.priority, r.restricted, r.assignee as "assignee: PersonId", g.display_name as "assignee_name?",
                  r.first_response_at, r.respond_by, r.resolve_by, r.settled_at, r.version
             from request r
             left join person s on s.id = r.subject
             left join person a on a.id = r.asked_by
             left join person g on g.id = r.assignee
            where r.number = $1"#,
        number.0
    )
    .fetch_optional(conn)
    .await
}

/// A request's items, in order.
///
/// # Errors
/// Where the database does not answer.
pub async fn items(conn: &mut PgConnection, request: RequestId) -> Result<Vec<Item>, sqlx::Error> {
    sqlx::query_as!(
        Item,
        r#"select id as "id: ItemId", ordinal, label, state, entitlement as "entitlement: EntitlementId", sox,
                  plan_number, digest, basis, why
             from item where request = $1 order by ordinal"#,
        request.0
    )
    .fetch_all(conn)
    .await
}

/// The stages of the present plans of a request's items, with who was asked and what they said.
///
/// # Errors
/// Where the database does not answer or a row does not decode.
pub async fn stages(conn: &mut PgConnection, request: RequestId) -> Result<Vec<Stage>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select s.id, s.item as "item: ItemId", s.ordinal, s.role, s.name, s.needed, s.reason, s.state, s.opened_at,
                  array(select p.display_name from stage_decider d join person p on p.id = d.person
                         where d.stage = s.id order by p.display_name) as "deciders!: Vec<String>",
                  coalesce((select json_agg(json_build_object(
                               'person', d.person, 'name', p.display_name,
                               'stands_for', case when d.stands_for <> d.person then f.display_name end,
                               'verdict', d.verdict, 'digest', d.digest, 'comment', d.comment,
                               'decided_at', d.decided_at) order by d.decided_at)
                              from decision d join person p on p.id = d.person join person f on f.id = d.stands_for
                             where d.stage = s.id), '[]') as "decisions!: sqlx::types::Json<Vec<Decision>>"
             from stage s join item i on i.id = s.item
            where i.request = $1 and s.plan_number = i.plan_number
            order by i.ordinal, s.ordinal"#,
        request.0
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Stage {
            id: row.id,
            item: row.item,
            ordinal: row.ordinal,
            role: row.role,
            name: row.name,
            needed: row.needed,
            reason: row.reason,
            state: row.state,
            opened_at: row.opened_at,
            deciders: row.deciders,
            decisions: row.decisions.0,
        })
        .collect())
}

fn people_error(error: crate::people::PeopleError) -> RequestError {
    match error {
        crate::people::PeopleError::Field { field, message } => {
            RequestError::Fields(vec![FieldError::new(&field, message)])
        }
        crate::people::PeopleError::Database(error) => RequestError::Database(error),
        crate::people::PeopleError::Evidence(error) => error.into(),
    }
}

fn catalog_error(error: crate::catalog::CatalogError) -> RequestError {
    match error {
        crate::catalog::CatalogError::Database(error) => RequestError::Database(error),
        other => RequestError::Conflict(other.to_string()),
    }
}

/// A JSON answer as a fact of a record.
fn fact(value: &serde_json::Value) -> crate::target::Value {
    use crate::target::Value;
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Array(values) => Value::List(values.iter().map(fact).collect()),
        serde_json::Value::String(text) => Value::Text(text.clone()),
        other => Value::Text(other.to_string()),
    }
}

/// A request's id by its number.
async fn id(conn: &mut PgConnection, number: RequestNumber) -> Result<RequestId, RequestError> {
    sqlx::query_scalar!(r#"select id as "id: RequestId" from request where number = $1"#, number.0)
        .fetch_optional(conn)
        .await?
        .ok_or(RequestError::Denied(Denied::NotFound))
}

/// What an approval changes besides steps: a leaver's last day becomes the employment's; an immediate leaver's sign-in here
/// ends with it. (Who leaves on a day can sign in until it is over: `access` reads the person's state.)
async fn settle_approved(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &crate::evidence::By,
    request: RequestId,
) -> Result<(), RequestError> {
    let row =
        sqlx::query!(r#"select kind, subject as "subject: PersonId", answers from request where id = $1"#, request.0)
            .fetch_one(&mut *conn)
            .await?;
    if row.kind == "leaver"
        && let Some(person) = row.subject
        && let Ok(crate::plan::Answers::Leaver(leaver)) = serde_json::from_value(row.answers)
    {
        crate::people::set_last_day(conn, now, by, person, leaver.last_day).await.map_err(people_error)?;
        if leaver.immediate {
            crate::access::sign_in::disable(conn, now, by, person).await?;
        }
    }
    Ok(())
}

/// Steps of these items are in a worker's hands: items and request are being applied.
///
/// # Errors
/// Where the database refuses.
pub async fn begun(conn: &mut PgConnection, request: RequestId, items: &[ItemId]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with begun as (update item set state = 'applying' where id = any($2) and state = 'approved')
         update request set version = version + 1, state = case when state = 'deciding' then 'applying' else state end
          where id = $1",
        request.0,
        &items.iter().map(|item| item.0).collect::<Vec<_>>()
    )
    .execute(conn)
    .await?;
    Ok(())
}
