//! What is due, and what a worker has to know of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::lease::Last;
use crate::ids::{ItemId, PersonId, RequestId, StepId};
use crate::plan::GrantEffect;
use crate::target::{Address, Difference, Key, Kind, Resource, Server, State, SystemKey, Value};

/// A due step, its row held.
pub(super) struct Row {
    pub id: StepId,
    pub request: RequestId,
    pub number: i64,
    pub item: ItemId,
    pub item_ordinal: i32,
    pub digest: String,
    pub basis: serde_json::Value,
    pub subject: Option<PersonId>,
    pub name: String,
    pub label: String,
    pub system: String,
    pub kind: String,
    pub key: Json<Key>,
    pub difference: Json<Difference>,
    pub grant: Option<Json<GrantEffect>>,
    pub secret_reader: Option<PersonId>,
    pub secret_from: Option<DateTime<Utc>>,
    pub state: String,
    pub attempt: i32,
    pub failures: i32,
    /// An earlier attempt may have reached the target without our knowing.
    pub maybe_done: bool,
    /// Ids that the request's done steps made or found, by step name.
    pub resolved: Option<Json<BTreeMap<String, Uuid>>>,
}

/// Whose step is due longest, and in which system; its row is held. One that runs is due when its lease is over: it has no other
/// time while it runs.
pub(super) async fn first(conn: &mut PgConnection) -> Result<Option<(RequestId, String)>, sqlx::Error> {
    let found = sqlx::query!(
        r#"select s.request as "request: RequestId", s.system
             from step s
             join item i on i.id = s.item
            where s.state in ('ready', 'retrying', 'running') and coalesce(s.due_at, s.lease_until) <= now()
              and i.state in ('approved', 'applying', 'needs_person')
              and not exists (select from target_system t where t.key = s.system and t.held_back)
            order by coalesce(s.due_at, s.lease_until), s.id
            limit 1
              for update of s skip locked"#
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.map(|row| (row.request, row.system)))
}

/// What of the request is due in the system, at most so many, longest due first; the rows are held.
pub(super) async fn of(
    conn: &mut PgConnection,
    (request, system): (RequestId, &str),
    most: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"select s.id as "id: StepId", s.request as "request: RequestId", r.number, s.item as "item: ItemId",
                  i.ordinal as item_ordinal, i.digest, i.basis, r.subject as "subject: PersonId", s.name, s.label, s.system, s.kind,
                  s.key as "key: Json<Key>", s.difference as "difference: Json<Difference>",
                  s.grant_effect as "grant: Json<GrantEffect>", s.secret_reader as "secret_reader: PersonId",
                  s.secret_from, s.state, s.attempt, s.failures,
                  exists (select from attempt a
                           where a.step = s.id and (a.outcome is null or a.outcome in ('unknown', 'retry'))) as "maybe_done!",
                  (select jsonb_object_agg(d.name, d.resolved) from step d
                    where d.request = s.request and d.resolved is not null and d.state in ('applied', 'unchanged'))
                    as "resolved: Json<BTreeMap<String, Uuid>>"
             from step s
             join item i on i.id = s.item
             join request r on r.id = s.request
            where s.request = $1 and s.system = $2
              and s.state in ('ready', 'retrying', 'running') and coalesce(s.due_at, s.lease_until) <= now()
              and i.state in ('approved', 'applying', 'needs_person')
              and not exists (select from target_system t where t.key = s.system and t.held_back)
            order by coalesce(s.due_at, s.lease_until), s.id
            limit $3
              for update of s skip locked"#,
        request.0,
        system,
        most
    )
    .fetch_all(conn)
    .await
}

/// Where the request's earlier steps were done: the last in this system, and the last in any other.
pub(super) async fn last(conn: &mut PgConnection, request: RequestId, system: &str) -> Result<Last, sqlx::Error> {
    let row = sqlx::query!(
        r#"select own.server as "server?: Json<Server>", own.kind as "kind?", own.resolved, own.state as "state?",
                  own.difference as "difference?: Json<Difference>", other.server as "beside?: Json<Server>"
             from (values (1)) one (row)
             left join lateral (select server, kind, resolved, state, difference from step
                                 where request = $1 and system = $2 and server is not null
                                 order by settled_at desc nulls last limit 1) own on true
             left join lateral (select server from step
                                 where request = $1 and system <> $2 and server is not null and state = 'applied'
                                 order by settled_at desc nulls last limit 1) other on true"#,
        request.0,
        system
    )
    .fetch_one(conn)
    .await?;
    let applied = row.resolved.filter(|_| row.state.as_deref() == Some("applied"));
    let wrote = applied.zip(row.kind).zip(row.difference).map(|((id, kind), difference)| {
        let readable = difference.0.changes.into_iter().filter(|change| change.to != Value::SEALED);
        let state = State(readable.map(|change| (change.attribute, change.to)).collect());
        let kind = Kind::parse(&kind);
        (Resource { system: SystemKey(system.to_owned()), kind, address: Address::Native(id) }, state)
    });
    Ok(Last { server: row.server.map(|json| json.0), wrote, beside: row.beside.map(|json| json.0) })
}
