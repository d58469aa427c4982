//! The change history for auditors: what is looked for, and the list of what was found.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use axum_extra::extract::Query;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::requests::links;
use super::view::forms::Choice;
use super::view::history::{BundleForms, HistoryFilter, HistoryPage, HistoryRow};
use super::view::parts::{Badge, Empty, Pager, When, thousands};
use super::view::shell::Nav;
use super::viewer::{self, SignedIn};
use super::{AppState, Error, Fields, cursor, record, words};
use crate::access::{Object, Operation, op, permit, sign_in};
use crate::evidence::bundle;
use crate::evidence::history::{self, Entry, Filter};
use crate::ids::RequestNumber;

/// Records on a page.
const RECORDS: i64 = 50;

/// The filter's fields.
pub const FILTER: [&str; 6] = ["q", "from", "to", "kind", "actor", "sox"];

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
    let all = Filter { before: None, ..filter.clone() };
    let found = history::count(&mut conn, &all, bundle::MOST + 1).await?;
    let kind = fields.text("kind");
    let mut kinds = vec![Choice::new("", "All kinds").chosen_if(kind)];
    kinds.extend(KINDS.iter().map(|(key, words)| Choice::new(*key, *words).chosen_if(kind)));
    let pager = links("/history", &fields, next);
    let page = HistoryPage {
        summary: matching(found),
        bundle: me.may(Operation::TakeReport).then(|| bundle_forms(&state, &fields, found)).flatten(),
        filter: HistoryFilter {
            query: fields.text("q").to_owned(),
            from: fields.text("from").to_owned(),
            to: fields.text("to").to_owned(),
            kinds,
            actors: actors(&mut conn, fields.text("actor")).await?,
            sox: filter.sox,
            words: typed_words(&fields),
            error,
        },
        rows: rows(&mut conn, &me, &entries).await?,
        pager: Pager { older_label: "Older".into(), newer_label: "Newest".into(), ..pager },
        empty: Empty::new("No records match", "Widen the dates or take a filter away."),
        shell: me.shell(&state, &mut conn, "Change history", Nav::History).await?,
    };
    viewer::page(&page)
}

/// "1,204 records", as far as they are counted.
fn matching(found: i64) -> String {
    match found {
        1 => "1 record".to_owned(),
        found if found > bundle::MOST => format!("more than {} records", thousands(&bundle::MOST.cast_unsigned())),
        found => format!("{} records", thousands(&found.cast_unsigned())),
    }
}

/// Taking what is listed, or a sample of it; none where there is no log to take proofs from.
fn bundle_forms(state: &AppState, fields: &Fields, found: i64) -> Option<BundleForms> {
    let log = state.config.evidence.is_some() && found > 0;
    log.then(|| BundleForms {
        records: matching(found),
        too_many: found > bundle::MOST,
        fields: FILTER
            .iter()
            .map(|name| ((*name).to_owned(), fields.text(name).to_owned()))
            .filter(|(_, value)| !value.is_empty())
            .collect(),
        seed: hex::encode(rand::random::<[u8; 8]>()),
    })
}

/// The filter as the viewer typed it, in words; empty for all.
fn typed_words(fields: &Fields) -> String {
    let mut parts = Vec::new();
    let kind = fields.text("kind");
    parts.extend(KINDS.iter().find(|(key, _)| *key == kind).map(|(_, words)| (*words).to_owned()));
    parts.extend(Some(fields.text("q")).filter(|text| !text.is_empty()).map(|text| format!("“{text}”")));
    parts.extend(Some(fields.text("actor")).filter(|text| !text.is_empty()).map(|_| "by one person".to_owned()));
    parts.extend(Some(fields.text("from")).filter(|text| !text.is_empty()).map(|day| format!("from {day}")));
    parts.extend(Some(fields.text("to")).filter(|text| !text.is_empty()).map(|day| format!("to {day}")));
    parts.extend((!fields.text("sox").is_empty()).then(|| "SOX only".to_owned()));
    parts.join(" · ")
}

/// The filter, and what is wrong with a date.
pub async fn filter(conn: &mut PgConnection, me: &SignedIn, fields: &Fields) -> Result<(Filter, String), Error> {
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
pub async fn rows(conn: &mut PgConnection, me: &SignedIn, entries: &[Entry]) -> Result<Vec<HistoryRow>, Error> {
    let person = |entry: &Entry| entry.subject.strip_prefix("person:").and_then(|id| id.parse::<Uuid>().ok());
    let ids: Vec<Uuid> = entries.iter().filter_map(person).collect();
    let found =
        sqlx::query!("select id, display_name from person where id = any($1)", &ids).fetch_all(&mut *conn).await?;
    let names: HashMap<Uuid, String> = found.into_iter().map(|row| (row.id, row.display_name)).collect();
    let ids: Vec<Uuid> = entries.iter().map(|entry| entry.id).collect();
    let mut badges = record::badges(conn, &ids).await?;
    let rows = entries.iter().map(|entry| {
        let mut row = row(me, entry);
        row.proof = badges.remove(&entry.id).unwrap_or(row.proof);
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
        proof: Badge::quiet("recorded"),
    }
}

/// Who, as lists say it.
pub fn by(entry: &Entry) -> String {
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
