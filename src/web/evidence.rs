//! The evidence log as auditors see it: state, anchors, keys, and what to run to check it elsewhere.

use std::path::PathBuf;

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};

use super::view::evidence::{AnchorRow, EarlierLog, EvidencePage, KeyRow, LogView, OutsideRow};
use super::view::home::Figure;
use super::view::parts::{Badge, Fact, Facts, Link, Tone, When, thousands};
use super::view::request::Notice;
use super::view::shell::Nav;
use super::viewer::{self, SignedIn};
use super::{AppState, Error, words};
use crate::access::{Object, op, permit};
use crate::config::EvidenceConfig;
use crate::evidence::checkpoint::Checkpoint;
use crate::evidence::log;
use crate::evidence::note::{Note, VerifierKey};
use crate::evidence::state::{self, LogState, Outside, Waiting};

/// Records that wait longer than that are late.
const LATE: i64 = 5;
/// How soon a witness is to have cosigned, in seconds, while the log grows.
const COSIGNED_WITHIN: i64 = 60;
/// Timestamps shown.
const ANCHORS: i64 = 20;

/// What the published folder says, as far as it can be read from here.
struct Published {
    keys: String,
    witnesses: String,
    /// Why it cannot be read; None where it can, or where there is nothing to read yet.
    trouble: Option<String>,
}

/// `GET /evidence`
pub async fn page(State(state): State<AppState>, me: SignedIn) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeHistory>(&mut conn, &me.actor(), Object::None).await?;
    let config = state.config.evidence.as_ref();
    let logs = state::logs(&mut conn).await?;
    let waiting = state::waiting(&mut conn).await?;
    let shell = me.shell(&state, &mut conn, "Evidence log", Nav::Evidence).await?;
    let Some((newest, earlier)) = logs.split_first() else {
        return viewer::page(&before(&me, config, &waiting, EvidencePage { shell, ..empty() }));
    };
    let outside = parties(config, state::outside(&mut conn, newest.id).await?);
    let anchors = state::anchors(&mut conn, newest.id, ANCHORS).await?;
    let published = published(config.map(|config| config.log_dir.clone()), newest).await?;
    let rows: Vec<OutsideRow> = outside.iter().map(|party| party_row(&me, config, newest, party)).collect();
    let view = LogView {
        origin: newest.origin.clone(),
        facts: facts(&me, newest),
        missing: missing(&outside).to_owned(),
        anchors: anchors.iter().map(|anchor| anchor_row(&me, anchor)).collect(),
        checkpoint: newest.checkpoint.clone().unwrap_or_default(),
        keys: keys(&published),
        commands: commands(&published),
        earlier: earlier.iter().zip(&logs).map(|(log, next)| earlier_log(&me, log, next)).collect(),
        outside: rows,
    };
    let page = EvidencePage {
        state: badge(&me, newest, &waiting, &view.outside),
        summary: format!("Every record, in signed order; begun {}", me.when(newest.started_at).relative),
        notices: notices(&me, config, newest, &waiting, &published),
        figures: figures(&me, newest, &waiting, (&outside, &view.outside)),
        log: Some(view),
        shell,
        ..empty()
    };
    viewer::page(&page)
}

fn empty() -> EvidencePage {
    EvidencePage {
        shell: Default::default(),
        state: Badge::quiet("not set up"),
        summary: String::new(),
        notices: Vec::new(),
        figures: Vec::new(),
        log: None,
        set_up: false,
    }
}

/// Before there is a log: nobody set one up, or the worker did not begin it yet.
fn before(me: &SignedIn, config: Option<&EvidenceConfig>, waiting: &Waiting, page: EvidencePage) -> EvidencePage {
    match config {
        None => EvidencePage {
            summary: "Records are kept, numbered and insert-only; nothing outside the database proves it yet."
                .to_owned(),
            set_up: true,
            ..page
        },
        Some(_) => EvidencePage {
            state: Badge::warn("not begun"),
            summary: "It begins with the worker’s first turn.".to_owned(),
            notices: vec![Notice {
                tone: Tone::Warn,
                lead: "The log has not begun.".to_owned(),
                text: format!(
                    "{} of the last hour {}. Does “tenure work” run, with the same [evidence] section, and can it read the signer’s key?",
                    words::count(usize::try_from(waiting.records).unwrap_or(0), "record", "records"),
                    waits(me, waiting),
                ),
                action: None,
            }],
            ..page
        },
    }
}

fn waits(me: &SignedIn, waiting: &Waiting) -> String {
    waiting
        .oldest
        .map_or("are waiting".to_owned(), |oldest| format!("wait, the oldest from {}", me.when(oldest).relative))
}

/// Everybody who is asked: those who answered once, and those who are configured and never did.
fn parties(config: Option<&EvidenceConfig>, mut known: Vec<Outside>) -> Vec<Outside> {
    let authorities = config.into_iter().flat_map(|config| &config.timestamp_authority);
    let witnesses = config.into_iter().flat_map(|config| &config.witness);
    let configured: Vec<(&str, String)> = witnesses
        .filter_map(|witness| Some(("cosignature", witness.key.parse::<VerifierKey>().ok()?.name)))
        .chain(authorities.map(|authority| ("timestamp", authority.name.clone())))
        .collect();
    if config.is_some() {
        // Whoever is not asked any more is not overdue; what they said stays among the anchors.
        known.retain(|party| configured.iter().any(|(kind, name)| party.kind == *kind && party.name == *name));
    }
    for (kind, name) in configured {
        if !known.iter().any(|party| party.kind == kind && party.name == name) {
            let (size, at, trouble, trouble_since) = (None, None, None, None);
            known.push(Outside { kind: kind.to_owned(), name, size, at, trouble, trouble_since });
        }
    }
    known
}

/// Whether somebody should have vouched again by now.
fn overdue(now: DateTime<Utc>, config: Option<&EvidenceConfig>, log: &LogState, party: &Outside) -> bool {
    let since = party.at.unwrap_or(log.started_at);
    if party.kind == "timestamp" {
        let minutes = config.map_or(60, |config| i64::from(config.timestamp_minutes));
        return now - since > TimeDelta::minutes(2 * minutes);
    }
    let grew = party.size.is_none_or(|size| size.cast_unsigned() < log.size);
    grew && now - since > TimeDelta::seconds(2 * COSIGNED_WITHIN)
}

fn party_row(me: &SignedIn, config: Option<&EvidenceConfig>, log: &LogState, party: &Outside) -> OutsideRow {
    let late = overdue(me.now, config, log, party);
    let state = match (late, &party.trouble, party.at) {
        (true, _, _) => Badge::bad("overdue"),
        (false, Some(_), _) => Badge::warn("in trouble"),
        (false, None, None) => Badge::info("not yet asked"),
        (false, None, Some(_)) => Badge::ok("in time"),
    };
    let since = |at: DateTime<Utc>| format!(" (since {})", me.when(at).relative);
    let trouble =
        party.trouble.as_ref().map(|why| format!("{why}{}", party.trouble_since.map_or(String::new(), since)));
    OutsideRow {
        name: party.name.clone(),
        what: if party.kind == "timestamp" { "timestamp authority" } else { "witness" }.to_owned(),
        state,
        last: party.at.map(|at| me.when(at)),
        detail: party.size.map_or(String::new(), |size| format!("at {} records", thousands(&size.cast_unsigned()))),
        trouble: trouble.unwrap_or_default(),
    }
}

fn missing(outside: &[Outside]) -> &'static str {
    let some = |kind: &str| outside.iter().any(|party| party.kind == kind);
    match (some("cosignature"), some("timestamp")) {
        (true, true) => "",
        (false, true) => {
            "No witness is set up: whoever holds both the database and the log’s key could show two histories, until a timestamp or a copy of a checkpoint tells them apart."
        }
        (true, false) => {
            "No timestamp authority is set up: the witness states when it saw the log; no trusted third party states by when a record existed."
        }
        (false, false) => {
            "Nobody: neither a witness nor a timestamp authority is set up. The log is signed, but whoever holds its key and the database could write another one."
        }
    }
}

fn anchor_row(me: &SignedIn, anchor: &state::Anchor) -> AnchorRow {
    AnchorRow {
        when: When::clock(anchor.at, me.now, me.live.zone),
        kind: anchor.kind.clone(),
        by: anchor.authority.clone(),
        records: thousands(&anchor.size),
        digest: anchor.digest.clone(),
        heartbeat: anchor.record.map(|id| Link::new("heartbeat", format!("/history/{id}"))),
    }
}

fn earlier_log(me: &SignedIn, log: &LogState, next: &LogState) -> EarlierLog {
    let signed = log.signed_at.map_or(String::new(), |at| format!(", last signed {}", me.when(at).relative));
    EarlierLog {
        origin: log.origin.clone(),
        detail: format!("{} records{signed}", thousands(&log.size)),
        reason: next.reason.clone().unwrap_or_default(),
        ended: me.when(next.started_at),
    }
}

/// The checkpoint in a signed note.
fn checkpoint(text: &str) -> Option<Checkpoint> {
    text.parse::<Note>().ok()?.text.parse().ok()
}

fn facts(me: &SignedIn, log: &LogState) -> Facts {
    let mut facts = vec![Fact::code("Origin", &log.origin), Fact::new("Records", thousands(&log.size))];
    if let Some(checkpoint) = log.checkpoint.as_deref().and_then(checkpoint) {
        facts.push(Fact::code("Root", STANDARD.encode(checkpoint.root)));
    }
    facts.extend(log.signed_at.map(|at| Fact::new("Signed", me.when(at).exact)));
    facts.push(Fact::new("Begun", me.when(log.started_at).exact));
    facts.extend(log.reason.as_ref().map(|reason| Fact::new("Because", reason)));
    Facts(facts)
}

/// Reads the folder beside the pages' own work: it may be a slow share, or not be there.
async fn published(dir: Option<PathBuf>, log: &LogState) -> Result<Published, Error> {
    let Some(dir) = dir else {
        let trouble = Some("evidence.log_dir is not set for this portal".to_owned());
        return Ok(Published { keys: String::new(), witnesses: String::new(), trouble });
    };
    let (id, expected) = (log.id, log.checkpoint.is_some());
    let read = move || {
        let (keys, witnesses) = state::keys(&dir, id);
        let trouble =
            state::published(&log::folder(&dir, id)).err().filter(|_| expected).map(|error| error.to_string());
        Published { keys, witnesses, trouble }
    };
    tokio::task::spawn_blocking(read).await.map_err(Error::broken)
}

fn keys(published: &Published) -> Vec<KeyRow> {
    let count = published.keys.lines().count();
    let own = published.keys.lines().enumerate().map(|(number, key)| KeyRow {
        whose: if number + 1 == count { "The log’s key" } else { "The log’s key before" }.to_owned(),
        key: key.to_owned(),
    });
    let witnesses = published.witnesses.lines().map(|key| KeyRow {
        whose: format!("Witness {}", key.split('+').next().unwrap_or_default()),
        key: key.to_owned(),
    });
    own.chain(witnesses).collect()
}

fn commands(published: &Published) -> Vec<(String, String)> {
    let key = published.keys.lines().last().map_or("KEY".to_owned(), |key| format!("'{key}'"));
    let witnesses: String = published.witnesses.lines().map(|key| format!(" --witness '{key}'")).collect();
    let command =
        |what: &str, path: &str| (what.to_owned(), format!("tenure evidence verify {path} --key {key}{witnesses}"));
    vec![
        command("The whole log, from a copy of the published folder:", "/srv/evidence"),
        command("A bundle that was taken here:", "tenure-evidence-….zip"),
        (
            "The database against the published log, on the server:".to_owned(),
            "tenure evidence verify --live".to_owned(),
        ),
    ]
}

fn seconds_late(now: DateTime<Utc>, waiting: &Waiting) -> bool {
    waiting.oldest.is_some_and(|oldest| now - oldest > TimeDelta::seconds(LATE))
}

fn badge(me: &SignedIn, log: &LogState, waiting: &Waiting, outside: &[OutsideRow]) -> Badge {
    if log.trouble.is_some() {
        Badge::bad("stands still")
    } else if seconds_late(me.now, waiting) {
        Badge::warn("behind")
    } else if outside.iter().any(|row| row.state.tone == Tone::Bad) {
        Badge::warn("anchor overdue")
    } else {
        Badge::ok("up to date")
    }
}

fn notices(
    me: &SignedIn,
    config: Option<&EvidenceConfig>,
    log: &LogState,
    waiting: &Waiting,
    published: &Published,
) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut say = |tone, lead: String, text: String| notices.push(Notice { tone, lead, text, action: None });
    if let Some(trouble) = &log.trouble {
        let since = log.trouble_since.map_or(String::new(), |at| format!(" since {}", me.when(at).relative));
        say(
            Tone::Bad,
            format!("The log does not go on{since}."),
            format!("{trouble} Records are still written and kept; they come into the log when it goes on."),
        );
    } else if seconds_late(me.now, waiting) {
        say(
            Tone::Warn,
            "The log is behind.".to_owned(),
            "Records wait longer than five seconds. Does “tenure work” run? Nothing is lost: they come in when it does.".to_owned(),
        );
    }
    if let Some(trouble) = &published.trouble {
        let who = if config.is_some() {
            "This portal cannot read the published log."
        } else {
            "No published log is set here."
        };
        say(
            Tone::Warn,
            who.to_owned(),
            format!(
                "{trouble}. Proofs and bundles cannot be given from here until it can be read; the log itself is not affected."
            ),
        );
    }
    notices
}

fn figures(
    me: &SignedIn,
    log: &LogState,
    waiting: &Waiting,
    (outside, rows): (&[Outside], &[OutsideRow]),
) -> Vec<Figure> {
    let figure = |label: &str, value: String, detail: String, tone| Figure {
        label: label.to_owned(),
        value,
        detail,
        href: None,
        tone,
    };
    let last = |kind: &str, label: &str, who: &str| {
        let newest = outside.iter().filter(|party| party.kind == kind).max_by_key(|party| party.at);
        let late = outside.iter().zip(rows).any(|(party, row)| party.kind == kind && row.state.tone == Tone::Bad);
        let tone = if late { "bad" } else { "" };
        match newest {
            None => figure(label, "none".to_owned(), format!("no {who} is set up"), "warn"),
            Some(party) => {
                let value = party.at.map_or("none yet".to_owned(), |at| me.when(at).relative);
                figure(label, value, party.name.clone(), tone)
            }
        }
    };
    let signed = log.signed_at.map_or("not signed yet".to_owned(), |at| format!("signed {}", me.when(at).relative));
    let oldest = waiting.oldest.map_or("everything is in".to_owned(), |at| format!("oldest {}", me.when(at).relative));
    let late = if seconds_late(me.now, waiting) { "warn" } else { "" };
    vec![
        figure("Records in the log", thousands(&log.size), signed, ""),
        figure("Waiting to come in", thousands(&waiting.records.cast_unsigned()), oldest, late),
        last("timestamp", "Last timestamp", "timestamp authority"),
        last("cosignature", "Last cosignature", "witness"),
    ]
}
