//! Reading records back: a request's timeline, the auditor's change history, one record with its bytes.

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row};
use uuid::Uuid;

/// A record with the values that it may show put back in their places; what was erased stays a commitment.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub action: String,
    pub subject: String,
    pub seq: i64,
    /// The actor's present name; None for routines.
    pub actor_name: Option<String>,
    pub on_behalf_of_name: Option<String>,
    pub via: String,
    pub request: Option<i64>,
    pub item: Option<i32>,
    pub step: Option<Uuid>,
    pub attempt: Option<i32>,
    pub system: Option<String>,
    pub kind: Option<String>,
    pub object: Option<String>,
    /// The whole record as JSON, opened.
    pub record: Json,
    /// The bytes as hashed.
    pub canonical: Vec<u8>,
}

impl Entry {
    /// A value of the record by JSON pointer, as text for people; empty where there is none.
    pub fn text(&self, pointer: &str) -> String {
        match self.record.pointer(pointer) {
            None | Some(Json::Null) => String::new(),
            Some(Json::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }
}

/// What of the history is asked for. Everything is optional; together they narrow.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    /// An action, or its part before the dot.
    pub action: Option<String>,
    pub actor: Option<Uuid>,
    pub request: Option<i64>,
    pub system: Option<String>,
    pub object: Option<String>,
    pub subject: Option<String>,
    /// Only what is about an item in scope of SOX.
    pub sox: bool,
    /// Not what is about a restricted request that is still open: few may know of it yet.
    pub discreet: bool,
    /// Only records older than this one: the last of the page before.
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

const COLUMNS: &str = "select r.id, r.at, r.action, r.subject, r.seq, p.display_name as actor_name,
        b.display_name as on_behalf_of_name, r.via, r.request, r.item, r.step, r.attempt, r.system, r.kind, r.object,
        r.canonical,
        (select json_object_agg(d.path, d.value) from evidence_disclosure d where d.record = r.id and d.value is not null) as shown
   from evidence_record r
   left join person p on p.id = r.actor
   left join person b on b.id = r.on_behalf_of
  where true";

/// Records that match, newest first, at most `limit`.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(conn: &mut PgConnection, filter: &Filter, limit: i64) -> Result<Vec<Entry>, sqlx::Error> {
    let mut query = narrowed(filter);
    query.push(" order by r.at desc, r.id desc limit ").push_bind(limit);
    query.build().fetch_all(conn).await?.iter().map(entry).collect()
}

/// One record by its id.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(conn: &mut PgConnection, id: Uuid) -> Result<Option<Entry>, sqlx::Error> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push(" and r.id = ").push_bind(id);
    query.build().fetch_optional(conn).await?.as_ref().map(entry).transpose()
}

/// A request's records in their own order, oldest first.
///
/// # Errors
/// Where the database does not answer.
pub async fn timeline(conn: &mut PgConnection, request: i64) -> Result<Vec<Entry>, sqlx::Error> {
    let mut query = narrowed(&Filter { request: Some(request), ..Filter::default() });
    query.push(" order by r.at, r.id");
    query.build().fetch_all(conn).await?.iter().map(entry).collect()
}

fn narrowed(filter: &Filter) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(COLUMNS);
    if let Some(from) = filter.from {
        query.push(" and r.at >= ").push_bind(from);
    }
    if let Some(until) = filter.until {
        query.push(" and r.at < ").push_bind(until);
    }
    if let Some(action) = &filter.action {
        if action.contains('.') {
            query.push(" and r.action = ").push_bind(action.clone());
        } else {
            query.push(" and r.action like ").push_bind(format!("{}.%", action.replace(['%', '_', '\\'], "")));
        }
    }
    if let Some(actor) = filter.actor {
        query.push(" and r.actor = ").push_bind(actor);
    }
    if let Some(request) = filter.request {
        query.push(" and r.request = ").push_bind(request);
    }
    for (column, value) in [("system", &filter.system), ("object", &filter.object), ("subject", &filter.subject)] {
        if let Some(value) = value {
            query.push(format_args!(" and r.{column} = ")).push_bind(value.clone());
        }
    }
    if filter.discreet {
        query.push(
            " and not exists (select from request q
                               where q.number = r.request and q.restricted and q.settled_at is null)",
        );
    }
    if filter.sox {
        query.push(
            " and exists (select from request q join item i on i.request = q.id
                           where q.number = r.request and i.ordinal = r.item and i.sox)",
        );
    }
    if let Some((at, id)) = filter.before {
        query.push(" and (r.at, r.id) < (").push_bind(at).push(", ").push_bind(id).push(")");
    }
    query
}

fn entry(row: &sqlx::postgres::PgRow) -> Result<Entry, sqlx::Error> {
    let canonical: Vec<u8> = row.try_get("canonical")?;
    let mut record: Json = serde_json::from_slice(&canonical).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    if let Some(Json::Object(shown)) = row.try_get::<Option<Json>, _>("shown")? {
        for (path, value) in shown {
            let value = value.as_str().and_then(|text| serde_json::from_str::<Json>(text).ok());
            if let (Some(place), Some(value)) = (record.pointer_mut(&path), value) {
                *place = value;
            }
        }
    }
    Ok(Entry {
        id: row.try_get("id")?,
        at: row.try_get("at")?,
        action: row.try_get("action")?,
        subject: row.try_get("subject")?,
        seq: row.try_get("seq")?,
        actor_name: row.try_get("actor_name")?,
        on_behalf_of_name: row.try_get("on_behalf_of_name")?,
        via: row.try_get("via")?,
        request: row.try_get("request")?,
        item: row.try_get("item")?,
        step: row.try_get("step")?,
        attempt: row.try_get("attempt")?,
        system: row.try_get("system")?,
        kind: row.try_get("kind")?,
        object: row.try_get("object")?,
        record,
        canonical,
    })
}
