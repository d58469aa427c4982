//! The change history for auditors, and one record of it.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::response::Response;
use axum_extra::extract::Query;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::requests::links;
use super::view::forms::Choice;
use super::view::history::{HistoryFilter, HistoryPage, HistoryRow, RecordPage};
use super::view::parts::{Badge, Crumb, Empty, Fact, Facts, Link, Pager, When};
use super::view::plan::{ChangeView, ItemView, Mark, PlanView, StepView};
use super::view::shell::Nav;
use super::viewer::{self, SignedIn};
use super::{AppState, Error, Fields, cursor, words};
use crate::access::{Object, op, permit, sign_in};
use crate::evidence::history::{self, Entry, Filter};
use crate::ids::RequestNumber;

/// Records on a page.
const RECORDS: i64 = 50;

/// Groups of actions to choose from: what stands before the dot.
const KINDS: [(&str, &str); 12] = [
    ("request", "Requests"),
    ("item", "Items and plans"),
    ("approval", "Decisions"),
    ("step", "Changes in target systems"),
    ("grant", "Access given and ended"),
    ("secret", "Passwords handed over"),
    ("session", "Signing in"),
    ("token", "API tokens"),
    ("role", "Roles"),
    ("account", "Accounts linked"),
    ("person", "Persons"),
    ("setting", "Settings"),
];

/// `GET /history`
pub async fn page(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let fields = Fields(query);
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeHistory>(&mut conn, &me.actor(), Object::None).await?;
    let (filter, error) = filter(&mut conn, &me, &fields).await?;
    let mut entries = history::list(&mut conn, &filter, RECORDS + 1).await?;
    let more = i64::try_from(entries.len()).unwrap_or(0) > RECORDS;
    entries.truncate(usize::try_from(RECORDS).unwrap_or(50));
    let next = entries.last().filter(|_| more).map(|last| cursor::seal(&me.live, &(last.at, last.id)));
    let kind = fields.text("kind");
    let mut kinds = vec![Choice::new("", "All kinds").chosen_if(kind)];
    kinds.extend(KINDS.iter().map(|(key, words)| Choice::new(*key, *words).chosen_if(kind)));
    let pager = links("/history", &fields, next);
    let page = HistoryPage {
        summary: words::count(entries.len(), "record on this page", "records on this page"),
        filter: HistoryFilter {
            query: fields.text("q").to_owned(),
            from: fields.text("from").to_owned(),
            to: fields.text("to").to_owned(),
            kinds,
            actors: actors(&mut conn, fields.text("actor")).await?,
            sox: filter.sox,
            words: String::new(),
            error,
        },
        rows: rows(&mut conn, &me, &entries).await?,
        pager: Pager { older_label: "Older".into(), newer_label: "Newest".into(), ..pager },
        empty: Empty::new("No records match", "Widen the dates or take a filter away."),
        shell: me.shell(&state, &mut conn, "Change history", Nav::History).await?,
    };
    viewer::page(&page)
}

/// The filter, and what is wrong with a date.
async fn filter(conn: &mut PgConnection, me: &SignedIn, fields: &Fields) -> Result<(Filter, String), Error> {
    let mut error = String::new();
    let mut day = |name: &str, next: bool| -> Option<DateTime<Utc>> {
        let text = fields.text(name);
        if text.is_empty() {
            return None;
        }
        match text.parse::<NaiveDate>() {
            Ok(day) => {
                let day = if next { day.succ_opt()? } else { day };
                me.live
                    .zone
                    .from_local_datetime(&day.and_time(NaiveTime::MIN))
                    .earliest()
                    .map(|at| at.with_timezone(&Utc))
            }
            Err(_) => {
                error = format!("“{text}” is not a day; write it as 2026-11-30.");
                None
            }
        }
    };
    let (from, until) = (day("from", false), day("to", true));
    let mut filter = Filter {
        from,
        until,
        before: cursor::open(&me.live, fields.text("after")),
        discreet: true,
        ..Filter::default()
    };
    filter.action = Some(fields.text("kind").to_owned()).filter(|kind| KINDS.iter().any(|(key, _)| key == kind));
    filter.actor = fields.text("actor").parse().ok();
    filter.sox = !fields.text("sox").is_empty();
    // What is typed is a request's number, an object's or subject's id, or somebody by user name.
    let text = fields.text("q");
    if let Ok(number) = text.parse::<RequestNumber>() {
        filter.request = Some(number.0);
    } else if text.contains(':') {
        filter.subject = Some(text.to_owned());
    } else if text.parse::<Uuid>().is_ok() {
        filter.object = Some(text.to_owned());
    } else if !text.is_empty() {
        match sign_in::by_user_name(conn, super::view::forms::picked(text)).await? {
            Some(person) => filter.actor = Some(person.0),
            None => error = format!("“{text}” is no request number, id or user name."),
        }
    }
    Ok((filter, error))
}

/// Those who hold a role here: whom an auditor asks about first. Anybody else is found by user name.
async fn actors(conn: &mut PgConnection, chosen: &str) -> Result<Vec<Choice>, Error> {
    let people = sqlx::query!(
        "select p.id, p.display_name from person p where exists (select from role_holding h where h.person = p.id)
          order by p.display_name, p.id limit 100"
    )
    .fetch_all(conn)
    .await?;
    let mut choices = vec![Choice::new("", "Anybody").chosen_if(chosen)];
    choices.extend(people.into_iter().map(|row| Choice::new(row.id.to_string(), row.display_name).chosen_if(chosen)));
    Ok(choices)
}

/// Rows, with people named where a record's subject is a person.
async fn rows(conn: &mut PgConnection, me: &SignedIn, entries: &[Entry]) -> Result<Vec<HistoryRow>, Error> {
    let person = |entry: &Entry| entry.subject.strip_prefix("person:").and_then(|id| id.parse::<Uuid>().ok());
    let ids: Vec<Uuid> = entries.iter().filter_map(person).collect();
    let found = sqlx::query!("select id, display_name from person where id = any($1)", &ids).fetch_all(conn).await?;
    let names: HashMap<Uuid, String> = found.into_iter().map(|row| (row.id, row.display_name)).collect();
    let rows = entries.iter().map(|entry| {
        let mut row = row(me, entry);
        if row.object == subject(&entry.subject)
            && let Some(name) = person(entry).and_then(|id| names.get(&id))
        {
            row.object.clone_from(name);
        }
        row
    });
    Ok(rows.collect())
}

fn row(me: &SignedIn, entry: &Entry) -> HistoryRow {
    let alarm = ["step.refused", "step.drifted", "step.unknown", "session.refused", "approval.rejected"]
        .contains(&entry.action.as_str());
    let label = [entry.text("/detail/label"), entry.text("/detail/title"), entry.text("/detail/user_name")];
    let object = label.into_iter().find(|text| !text.is_empty()).unwrap_or_else(|| subject(&entry.subject));
    let mut detail = Vec::new();
    detail.extend(entry.request.map(|number| RequestNumber(number).to_string()));
    detail.extend(entry.item.map(|item| format!("item {item}")));
    detail.extend(entry.system.as_deref().filter(|system| !system.is_empty()).map(words::system));
    HistoryRow {
        record: entry.id.to_string().chars().take(13).collect(),
        href: format!("/history/{}", entry.id),
        when: When::clock(entry.at, me.now, me.live.zone),
        what: entry.action.replace(['.', '_'], " "),
        alarm,
        object,
        object_detail: detail.join(" · "),
        by: by(entry),
        by_detail: entry.on_behalf_of_name.as_ref().map_or(String::new(), |name| format!("for {name}")),
        proof: Badge::info("recorded"),
    }
}

fn by(entry: &Entry) -> String {
    entry.actor_name.clone().unwrap_or_else(|| entry.via.trim_start_matches("routine:").to_owned())
}

/// "request:482" as people read it.
fn subject(subject: &str) -> String {
    match subject.split_once(':') {
        Some(("request", number)) => {
            number.parse().map_or(subject.to_owned(), |number| RequestNumber(number).to_string())
        }
        Some((kind, id)) => format!("{kind} {id}"),
        None => subject.replace('_', " "),
    }
}

/// `GET /history/{record}`
pub async fn record(State(state): State<AppState>, Path(id): Path<Uuid>, me: SignedIn) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeHistory>(&mut conn, &me.actor(), Object::None).await?;
    let entry = history::find(&mut conn, id).await?.ok_or_else(Error::not_found)?;
    discreet(&mut conn, &entry).await?;
    let (before, after) = neighbours(&mut conn, &entry).await?;
    let row = rows(&mut conn, &me, std::slice::from_ref(&entry)).await?.pop().ok_or_else(Error::not_found)?;
    let to = |id: Uuid| format!("/history/{id}");
    let page = RecordPage {
        crumbs: vec![Crumb::to("Change history", "/history"), Crumb::here(row.what.clone())],
        title: sentence_case(&row.what),
        summary: [row.object.clone(), row.object_detail.clone(), row.when.exact.clone()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" · "),
        proof: Badge::info("recorded"),
        change: change(&entry, &row.object),
        facts: facts(&entry),
        proof_facts: Facts(vec![
            Fact::code("Record", entry.id.to_string()),
            Fact::code("Subject", &entry.subject),
            Fact::code("Place in its sequence", entry.seq.to_string()),
            Fact::code("Shape", format!("version {}", entry.text("/v"))),
        ]),
        related: related(&mut conn, &me, &entry).await?,
        canonical: String::from_utf8_lossy(&entry.canonical).into_owned(),
        canonical_hash: hex::encode(Sha256::digest(&entry.canonical)),
        withheld: String::new(),
        pager: Pager::by_order(before.map(to), after.map(to), format!("{} of {}", entry.seq, entry.subject)),
        shell: me.shell(&state, &mut conn, "Record", Nav::History).await?,
    };
    viewer::page(&page)
}

fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

/// A record about a restricted request that is still open is not shown, not even by its address.
async fn discreet(conn: &mut PgConnection, entry: &Entry) -> Result<(), Error> {
    let hidden = sqlx::query_scalar!(
        r#"select exists (select from request where number = $1 and restricted and settled_at is null) as "hidden!""#,
        entry.request
    )
    .fetch_one(conn)
    .await?;
    if hidden { Err(Error::not_found()) } else { Ok(()) }
}

/// The records before and after in the subject's own sequence.
async fn neighbours(conn: &mut PgConnection, entry: &Entry) -> Result<(Option<Uuid>, Option<Uuid>), Error> {
    let row = sqlx::query!(
        "select (select id from evidence_record where subject = $1 and seq = $2::bigint - 1) as before,
                (select id from evidence_record where subject = $1 and seq = $2::bigint + 1) as after",
        entry.subject,
        entry.seq
    )
    .fetch_one(conn)
    .await?;
    Ok((row.before, row.after))
}

/// Before and after, where the record holds sightings.
pub fn change(entry: &Entry, title: &str) -> Option<PlanView> {
    let seen = |part: &str| entry.record.get(part).and_then(Json::as_object);
    let (before, after) = (seen("before"), seen("after"));
    if before.is_none() && after.is_none() {
        return None;
    }
    let mut names: Vec<&String> = before.into_iter().chain(after).flat_map(|state| state.keys()).collect();
    names.sort();
    names.dedup();
    let value = |state: Option<&serde_json::Map<String, Json>>, name: &str| {
        state.and_then(|state| state.get(name)).and_then(text)
    };
    let mut changes = Vec::new();
    for name in names.into_iter().filter(|name| *name != "present") {
        let (from, to) = (value(before, name), value(after, name));
        if from != to {
            changes.push(ChangeView {
                attribute_words: words::attribute(name).to_owned(),
                raw_name: name.clone(),
                from,
                to,
            });
        }
    }
    let present = |state: Option<&serde_json::Map<String, Json>>| {
        state.and_then(|state| state.get("present")).and_then(Json::as_bool)
    };
    let mark = match (present(before), present(after)) {
        (Some(false), Some(true)) => Mark::Added,
        (Some(true), Some(false)) => Mark::Removed,
        _ if changes.is_empty() => Mark::Kept,
        _ => Mark::Changed,
    };
    let kind = entry.kind.as_deref().map_or("record", words::step_kind);
    let step = StepView {
        changes,
        ..StepView::new(mark, title, kind, &entry.system.as_deref().map(words::system).unwrap_or_default())
    };
    let title = "Before and after".to_owned();
    Some(PlanView {
        title,
        aside: "as seen by the connector".to_owned(),
        ..PlanView::new(vec![ItemView::bare(vec![step])])
    })
}

/// A value of a record in words; what was erased stays a commitment and says so.
fn text(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::Bool(true) => Some("yes".to_owned()),
        Json::Bool(false) => Some("no".to_owned()),
        Json::String(text) => Some(text.clone()),
        Json::Array(values) => Some(values.iter().filter_map(text).collect::<Vec<_>>().join(", ")),
        Json::Object(object) if object.contains_key("hmac") => Some("erased; its commitment stands".to_owned()),
        other => Some(other.to_string()),
    }
}

fn facts(entry: &Entry) -> Facts {
    let mut facts = vec![Fact::new("By", by(entry))];
    let mut add = |term: &str, value: String, code: bool| {
        if !value.is_empty() {
            facts.push(if code { Fact::code(term, value) } else { Fact::new(term, value) });
        }
    };
    add("In the place of", entry.on_behalf_of_name.clone().unwrap_or_default(), false);
    add("Via", entry.via.clone(), false);
    add("Network address", entry.text("/actor/address"), true);
    add("Session or token", entry.text("/actor/session"), true);
    add("Reason", entry.text("/reason"), false);
    add("Server", entry.text("/target/server"), true);
    add("Object", entry.object.clone().unwrap_or_default(), true);
    add("Attempt", entry.attempt.map_or(String::new(), |attempt| attempt.to_string()), false);
    add("Plan’s digest", entry.text("/plan_digest"), true);
    add("Change ids of the target", entry.record.get("native").map_or(String::new(), Json::to_string), true);
    for (name, value) in entry.record.get("detail").and_then(Json::as_object).into_iter().flatten() {
        if name != "label" {
            add(&sentence_case(&name.replace(['_', '.'], " ")), text(value).unwrap_or_default(), false);
        }
    }
    if let Some(number) = entry.request {
        facts.push(Fact::new("Request", RequestNumber(number).to_string()).href(format!("/requests/{number}")));
    }
    Facts(facts)
}

/// Records of the same step, and the decisions of the same item.
async fn related(conn: &mut PgConnection, me: &SignedIn, entry: &Entry) -> Result<Vec<(When, Link)>, Error> {
    let Some(request) = entry.request else { return Ok(Vec::new()) };
    let mut related = Vec::new();
    for other in history::timeline(conn, request).await? {
        let same_step = entry.step.is_some() && other.step == entry.step;
        let decision = other.action.starts_with("approval.") && entry.item.is_some() && other.item == entry.item;
        if other.id != entry.id && (same_step || decision || other.action == "request.submitted") {
            let words = format!("{} · {}", sentence_case(&other.action.replace(['.', '_'], " ")), by(&other));
            related.push((
                When::clock(other.at, me.now, me.live.zone),
                Link::new(words, format!("/history/{}", other.id)),
            ));
        }
    }
    related.truncate(30);
    Ok(related)
}
