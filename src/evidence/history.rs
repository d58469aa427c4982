//! Reading records back: a request's timeline, the auditor's change history, one record with its bytes.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde_json::Value as Json;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::ids::RequestNumber;

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

impl Filter {
    /// A filter as the command line takes it: `action=step.applied&from=2026-10-01&sox=yes`. Days are UTC.
    ///
    /// # Errors
    /// Where a part is not known or has no such value; names it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("“{part}”: expected name=value"))?;
            let wrong = |what: &str| format!("{name}: “{value}” is not {what}");
            let text = Some(value.to_owned());
            match name {
                "from" => {
                    filter.from =
                        Some(time(value).ok_or_else(|| wrong("a day such as 2026-11-30, or a time in RFC 3339"))?)
                }
                "until" => {
                    filter.until =
                        Some(time(value).ok_or_else(|| wrong("a day such as 2026-11-30, or a time in RFC 3339"))?)
                }
                "action" | "kind" => filter.action = text,
                "actor" => filter.actor = Some(value.parse().map_err(|_| wrong("a person's id"))?),
                "request" => {
                    let number: RequestNumber = value.parse().map_err(|_| wrong("a request number"))?;
                    filter.request = Some(number.0);
                }
                "system" => filter.system = text,
                "object" => filter.object = text,
                "subject" => filter.subject = text,
                "sox" => filter.sox = value == "yes" || value == "true" || value == "1",
                _ => {
                    return Err(format!(
                        "“{name}” is not one of action, kind, from, until, actor, request, system, object, subject, sox"
                    ));
                }
            }
        }
        Ok(filter)
    }
}

/// A day's beginning in UTC, or an instant.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let day = || text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN).and_utc());
    day().or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc)))
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
    query.push(format_args!(" order by r.at desc, r.id desc limit {limit}"));
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

/// The ids of records that match, oldest first, at most `limit`.
///
/// # Errors
/// Where the database does not answer.
pub async fn ids(conn: &mut PgConnection, filter: &Filter, limit: i64) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut query = QueryBuilder::new("select r.id from evidence_record r where true");
    narrow(&mut query, filter);
    query.push(" order by r.at, r.id limit ").push_bind(limit);
    query.build_query_scalar().fetch_all(conn).await
}

/// How many records match, counted up to `most`.
///
/// # Errors
/// Where the database does not answer.
pub async fn count(conn: &mut PgConnection, filter: &Filter, most: i64) -> Result<i64, sqlx::Error> {
    let mut query = QueryBuilder::new("select count(*) from (select from evidence_record r where true");
    narrow(&mut query, filter);
    query.push(format_args!(" limit {most}) as counted"));
    query.build_query_scalar().fetch_one(conn).await
}

/// The requests that these records are about.
///
/// # Errors
/// Where the database does not answer.
pub async fn requests_of(conn: &mut PgConnection, records: &[Uuid]) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select distinct request as "request!" from evidence_record where id = any($1) and request is not null"#,
        records
    )
    .fetch_all(conn)
    .await
}

/// Records by their ids.
///
/// # Errors
/// Where the database does not answer.
pub async fn by_ids(conn: &mut PgConnection, records: &[Uuid]) -> Result<HashMap<Uuid, Entry>, sqlx::Error> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push(" and r.id = any(").push_bind(records).push(")");
    let entries: Result<Vec<Entry>, _> = query.build().fetch_all(conn).await?.iter().map(entry).collect();
    Ok(entries?.into_iter().map(|entry| (entry.id, entry)).collect())
}

/// A value that may be shown, with the key that opens its commitment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Disclosure {
    /// JSON pointer into the record.
    pub path: String,
    /// Canonical JSON text of the value.
    pub value: String,
    /// 64 hex digits.
    pub key: String,
}

/// What can be opened of these records; what was erased is left out.
///
/// # Errors
/// Where the database does not answer.
pub async fn disclosures(
    conn: &mut PgConnection,
    records: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Disclosure>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select record, path, value as "value!", key as "key!" from evidence_disclosure
            where record = any($1) and value is not null order by record, path"#,
        records
    )
    .fetch_all(conn)
    .await?;
    let mut opened: HashMap<Uuid, Vec<Disclosure>> = HashMap::new();
    for row in rows {
        let disclosure = Disclosure { path: row.path, value: row.value, key: hex::encode(row.key) };
        opened.entry(row.record).or_default().push(disclosure);
    }
    Ok(opened)
}

fn narrowed(filter: &Filter) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(COLUMNS);
    narrow(&mut query, filter);
    query
}

fn narrow(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
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
            " and (r.request is null
                   or r.request not in (select q.number from request q where q.restricted and q.settled_at is null))",
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
