//! One record for auditors: what happened, its exact bytes, its proof, and how to check it here and elsewhere.

use std::collections::HashMap;

use axum::Json as AsJson;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::history::{by, rows};
use super::view::errors::Wrong;
use super::view::history::{Elsewhere, RecordPage, VerifyView};
use super::view::parts::{Badge, Crumb, Fact, Facts, Link, Pager, When, thousands};
use super::view::plan::{ChangeView, ItemView, Mark, PlanView, StepView};
use super::view::shell::Nav;
use super::viewer::{self, SignedIn};
use super::{AppState, Error, words};
use crate::access::{Object, op, permit};
use crate::evidence::history::{self, Entry};
use crate::evidence::note::VerifierKey;
use crate::evidence::proof::Proof;
use crate::evidence::state::{self, LogState, Place};
use crate::ids::RequestNumber;

/// The record, where the viewer may see it.
async fn seen(conn: &mut PgConnection, me: &SignedIn, id: Uuid) -> Result<Entry, Error> {
    permit::<op::SeeHistory>(conn, &me.actor(), Object::None).await?;
    let entry = history::find(conn, id).await?.ok_or_else(Error::not_found)?;
    discreet(conn, &entry).await?;
    Ok(entry)
}

/// Where a record stands in the proof.
struct Standing {
    /// The newest log.
    log: Option<LogState>,
    /// Its place, once a signed checkpoint holds it.
    place: Option<Place>,
}

impl Standing {
    fn badge(&self) -> Badge {
        match (&self.log, self.place) {
            (None, _) => Badge::quiet("recorded"),
            (Some(_), Some(_)) => Badge::ok("in log"),
            (Some(log), None) if log.trouble.is_some() => Badge::warn("waiting"),
            (Some(_), None) => Badge::info("waiting"),
        }
    }
}

/// Where these records stand: two queries, however many they are.
async fn standings(conn: &mut PgConnection, records: &[Uuid]) -> Result<HashMap<Uuid, Standing>, Error> {
    let log = state::logs(conn).await?.into_iter().next();
    let places: HashMap<Uuid, Place> = state::places(conn, records).await?.into_iter().collect();
    let size = log.as_ref().map_or(0, |log| log.size);
    let standing = |id: &Uuid| {
        let place = places.get(id).copied().filter(|place| place.index < size);
        (*id, Standing { log: log.clone(), place })
    };
    Ok(records.iter().map(standing).collect())
}

/// How each of these records stands in the proof, for lists.
pub async fn badges(conn: &mut PgConnection, records: &[Uuid]) -> Result<HashMap<Uuid, Badge>, Error> {
    Ok(standings(conn, records).await?.into_iter().map(|(id, standing)| (id, standing.badge())).collect())
}

/// `GET /history/{record}`
pub async fn page(State(state): State<AppState>, Path(id): Path<Uuid>, me: SignedIn) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    let entry = seen(&mut conn, &me, id).await?;
    let (before, after) = neighbours(&mut conn, &entry).await?;
    let row = rows(&mut conn, &me, std::slice::from_ref(&entry)).await?.pop().ok_or_else(Error::not_found)?;
    let to = |id: Uuid| format!("/history/{id}");
    let standing = standings(&mut conn, &[id]).await?.remove(&id).ok_or_else(Error::not_found)?;
    let proof_facts = proof_facts(&mut conn, &me, &state, &entry, &standing).await?;
    let (verify, cannot_verify) = verify(&state, id, standing.place).await?;
    let page = RecordPage {
        crumbs: vec![Crumb::to("Change history", "/history"), Crumb::here(row.what.clone())],
        title: sentence_case(&row.what),
        summary: [row.object.clone(), row.object_detail.clone(), row.when.exact.clone()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" · "),
        proof: standing.badge(),
        change: change(&entry, &row.object),
        facts: facts(&entry),
        proof_facts,
        standing: standing_words(&standing),
        proved: standing.place.is_some() && verify.is_some(),
        id: id.to_string(),
        verify,
        cannot_verify,
        related: related(&mut conn, &me, &entry).await?,
        canonical: String::from_utf8_lossy(&entry.canonical).into_owned(),
        canonical_hash: hex::encode(Sha256::digest(&entry.canonical)),
        withheld: String::new(),
        pager: Pager::by_order(before.map(to), after.map(to), format!("{} of {}", entry.seq, entry.subject)),
        shell: me.shell(&state, &mut conn, "Record", Nav::History).await?,
    };
    viewer::page(&page)
}

/// What to know about how it stands, in a sentence.
fn standing_words(standing: &Standing) -> String {
    let words = match (&standing.log, standing.place) {
        (None, _) => "Recorded, numbered within its subject. No signed log is set up here.",
        (Some(_), Some(_)) => "",
        (Some(log), None) if log.trouble.is_some() => {
            "Not in the signed log yet, and the log does not go on: the evidence log’s page says why."
        }
        (Some(_), None) => "Not in the signed log yet. That takes seconds: load this page again.",
    };
    words.to_owned()
}

async fn proof_facts(
    conn: &mut PgConnection,
    me: &SignedIn,
    state: &AppState,
    entry: &Entry,
    standing: &Standing,
) -> Result<Facts, Error> {
    let mut facts = Vec::new();
    if let (Some(log), Some(place)) = (&standing.log, standing.place) {
        facts.push(Fact::new("Place", thousands(&place.index)).also(log.origin.clone()).href("/evidence"));
        facts.push(Fact::new("Signed with", format!("{} records", thousands(&log.size))));
        facts.extend(anchor_facts(conn, me, state, log, place).await?);
    }
    facts.extend([
        Fact::code("Record", entry.id.to_string()),
        Fact::code("Subject", &entry.subject),
        Fact::new("Number within it", entry.seq.to_string()),
        Fact::new("Shape", format!("version {}", entry.text("/v"))),
    ]);
    Ok(Facts(facts))
}

/// Who outside has vouched for a state of the log that holds the place.
async fn anchor_facts(
    conn: &mut PgConnection,
    me: &SignedIn,
    state: &AppState,
    log: &LogState,
    place: Place,
) -> Result<Vec<Fact>, Error> {
    let clock = |at| When::clock(at, me.now, me.live.zone);
    let mut facts = Vec::new();
    for stamp in state::stamps(conn, place).await? {
        let words = format!("{} by {}", clock(stamp.at).relative, stamp.authority);
        let fact = Fact::new("Timestamped", words).also(format!("at {} records", thousands(&stamp.size)));
        facts.push(fact.href(stamp.record.map_or("/evidence".to_owned(), |id| format!("/history/{id}"))));
    }
    let expected = state.config.evidence.as_ref().filter(|config| !config.timestamp_authority.is_empty());
    if facts.is_empty()
        && let Some(config) = expected
    {
        facts.push(Fact::new("Timestamped", format!("not yet; every {} minutes", config.timestamp_minutes)));
    }
    for witness in state::outside(conn, log.id).await?.into_iter().filter(|party| party.kind == "cosignature") {
        let holds = witness.size.is_some_and(|size| size.cast_unsigned() > place.index);
        if let Some(at) = witness.at.filter(|_| holds) {
            let words = format!("{} by {}", clock(at).relative, witness.name);
            let size = witness.size.unwrap_or_default().cast_unsigned();
            facts.push(Fact::new("Cosigned", words).also(format!("at {} records", thousands(&size))));
        }
    }
    Ok(facts)
}

/// Everything to verify the record with; or why that cannot be given, in words.
async fn verify(state: &AppState, id: Uuid, place: Option<Place>) -> Result<(Option<VerifyView>, String), Error> {
    let (Some(place), Some(config)) = (place, state.config.evidence.as_ref()) else {
        let why =
            place.map(|_| "No published log is set for this portal (evidence.log_dir), so it has no proofs to give.");
        return Ok((None, why.unwrap_or_default().to_owned()));
    };
    let dir = config.log_dir.clone();
    let read = move || (state::proof(&dir, place), state::keys(&dir, place.log));
    let (proof, (keys, witnesses)) = tokio::task::spawn_blocking(read).await.map_err(Error::broken)?;
    match proof {
        Err(error) => Ok((None, format!("The published log cannot be read from here: {error}."))),
        Ok(None) => Ok((None, "The published log does not reach this record yet: load this page again.".to_owned())),
        Ok(Some(proof)) => {
            let commands = elsewhere(id, &proof, &keys);
            let line = |keys: &str| keys.split_whitespace().collect::<Vec<_>>().join(" ");
            Ok((Some(VerifyView { keys: line(&keys), witnesses: line(&witnesses), commands }), String::new()))
        }
    }
}

/// The commands for a machine without any of ours; None where no key of the log's own list signed the checkpoint.
fn elsewhere(id: Uuid, proof: &Proof, keys: &str) -> Option<Elsewhere> {
    let mut keys = keys.lines().filter_map(|line| line.parse::<VerifierKey>().ok());
    let signed = |key: &VerifierKey| {
        let of_key = |line: &crate::evidence::note::Signature| line.name == key.name && line.id == key.id();
        proof.note.signatures.iter().any(of_key)
    };
    let key = keys.rfind(signed)?;
    // In base64 three bytes are four letters: a signature by this key begins with them.
    let begins = STANDARD.encode(&key.id()[..3]);
    Some(Elsewhere { id: id.to_string(), name: key.name.clone(), key: key.to_string(), begins })
}

/// A file to keep. Its name is made of our own words and ids alone.
fn file(kind: &'static str, name: &str, bytes: impl IntoResponse) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let about = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    (about, bytes).into_response()
}

/// `GET /history/{record}/bytes`: the canonical bytes exactly as hashed.
pub async fn bytes(State(state): State<AppState>, Path(id): Path<Uuid>, me: SignedIn) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    let entry = seen(&mut conn, &me, id).await?;
    Ok(file("application/json", &format!("{id}.json"), entry.canonical))
}

/// `GET /history/{record}/proof`: a tlog-proof.
pub async fn proof(State(state): State<AppState>, Path(id): Path<Uuid>, me: SignedIn) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    seen(&mut conn, &me, id).await?;
    let place = state::places(&mut conn, &[id]).await?.pop().map(|(_, place)| place);
    drop(conn);
    let not_yet = |why: &str| Error::wrong(Wrong::NotYet, why).link("Back to the record", format!("/history/{id}"));
    let Some(dir) = state.config.evidence.as_ref().map(|config| config.log_dir.clone()) else {
        return Err(not_yet("No published log is set for this portal, so it has no proofs to give."));
    };
    let place = place.ok_or_else(|| not_yet("This record is not in the signed log yet."))?;
    let read = move || state::proof(&dir, place);
    match tokio::task::spawn_blocking(read).await.map_err(Error::broken)? {
        Ok(Some(proof)) => Ok(file("text/plain; charset=utf-8", &format!("{id}.tlog-proof"), proof.to_string())),
        Ok(None) => Err(not_yet("No signed checkpoint reaches this record yet.")),
        Err(error) => {
            tracing::warn!(%error, "the published log cannot be read");
            let why = format!("The published log cannot be read from here: {error}.");
            Err(Error::with_status(StatusCode::SERVICE_UNAVAILABLE, Wrong::NotYet, why))
        }
    }
}

/// `GET /history/{record}/disclosures`: the personal values that the record's page shows, each with the key that opens its
/// commitment; what was erased is not among them.
pub async fn disclosures(State(state): State<AppState>, Path(id): Path<Uuid>, me: SignedIn) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    seen(&mut conn, &me, id).await?;
    let opened = history::disclosures(&mut conn, &[id]).await?.remove(&id).unwrap_or_default();
    Ok(file("application/json", &format!("{id}.disclosures.json"), AsJson(opened)))
}

fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

/// A record about a restricted request that is still open is not shown, not even by its address.
pub async fn discreet(conn: &mut PgConnection, entry: &Entry) -> Result<(), Error> {
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
