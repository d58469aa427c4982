//! Settings: what is set, version by version; drafts; proposals and their release.

pub mod drafts;
mod fill;
mod letters;
pub mod proposals;
mod spec;
mod words;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum_extra::extract::Query;
use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use sqlx::PgConnection;

use super::view::errors::Wrong;
use super::view::forms::FormErrors;
use super::view::parts::{Badge, Crumb, Link};
use super::view::settings::{
    Changes, Differs, HeldTogether, ProposalRow, SettingGroup, SettingPage, SettingRow, SettingVersion, SettingsPage,
    Trial,
};
use super::view::shell::Nav;
use super::viewer::{self, SignedIn};
use super::{AppState, Error, Fields, systems, words as shared};
use crate::access::{Object, Operation, op, permit};
use crate::catalog::proposals::{self as proposed, Kind, Proposal, Subject, Wanted};
use crate::catalog::{self, CatalogError};
use crate::grants::together::{Together, together};
use crate::people;
use crate::requests::trial;

impl From<CatalogError> for Error {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Invalid { wrong, .. } => {
                Error::fields(wrong.into_iter().map(|wrong| (wrong.field, wrong.message)).collect())
            }
            CatalogError::Conflict(why) => Error::wrong(Wrong::Conflict, why),
            CatalogError::Denied(denied) => denied.into(),
            CatalogError::Database(error) => error.into(),
            other => Error::broken(other),
        }
    }
}

/// What each kind of rules decides.
fn decides(kind: Kind) -> &'static str {
    match kind {
        Kind::Routes => "Who must decide, by kind of request and risk.",
        Kind::Naming => "How user names, mail addresses and places are made, with their fall-backs.",
        Kind::Birthright => "What comes by itself with department, site and contract.",
        Kind::Separation => "What one person must not hold together, and what follows where somebody would.",
        Kind::ServiceLevels => {
            "How soon somebody answers, how soon it is done, and what happens where no decision comes."
        }
        Kind::Retention => "How long the personal values of people who left are kept.",
        Kind::Mail => "What the company writes around the facts of each mail.",
    }
}

/// What a subject is called on pages.
async fn named(conn: &mut PgConnection, subject: &Subject) -> Result<String, Error> {
    Ok(match subject {
        Subject::Rules(kind) => kind.to_string(),
        Subject::Entitlement(id) => {
            catalog::find(conn, *id).await?.map_or("A new entry of the catalogue".to_owned(), |found| found.name)
        }
        Subject::Site(code) => format!("Site {code}"),
        Subject::System(key) => shared::system(&key.0),
    })
}

/// One version as stored.
struct Version {
    version: i32,
    digest: String,
    body: Json,
    note: String,
    released_at: DateTime<Utc>,
    released_by: Option<String>,
    proposed_by: Option<String>,
    alone: bool,
}

async fn versions(conn: &mut PgConnection, subject: &str) -> Result<Vec<Version>, Error> {
    let rows = sqlx::query_as!(
        Version,
        r#"select s.version, s.digest, s.body, s.note, s.released_at, r.display_name as "released_by?",
                  p.display_name as "proposed_by?", s.alone
             from setting_version s left join person r on r.id = s.released_by left join person p on p.id = s.proposed_by
            where s.kind = $1 order by s.version desc limit 100"#,
        subject
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// `GET /settings`
pub async fn settings(State(state): State<AppState>, me: SignedIn) -> Result<Response, Error> {
    overview(&state, &me, StatusCode::OK, (FormErrors::default(), String::new())).await
}

async fn overview(
    state: &AppState,
    me: &SignedIn,
    status: StatusCode,
    (errors, new_site): (FormErrors, String),
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeSettings>(&mut conn, &me.actor(), Object::None).await?;
    let proposes = me.may(Operation::ProposeSetting);
    let page = SettingsPage {
        errors,
        waiting: waiting(&mut conn, me).await?,
        drafts: if proposes { drafts_of(&mut conn, me).await? } else { Vec::new() },
        groups: groups(&mut conn, me).await?,
        proposes,
        new_site,
        shell: me.shell(state, &mut conn, "Settings", Nav::Settings).await?,
    };
    viewer::page_with(status, &page)
}

async fn waiting(conn: &mut PgConnection, me: &SignedIn) -> Result<Vec<SettingRow>, Error> {
    let mut rows = Vec::new();
    for proposal in proposed::list(conn, Wanted { open: true, ..Wanted::default() }).await? {
        rows.push(SettingRow {
            title: named(conn, &proposal.subject).await?,
            text: proposal.note.clone(),
            href: format!("/settings/proposals/{}", proposal.id),
            state: format!("{}, {}", proposal.proposed_by_name, me.when(proposal.proposed_at).relative),
            badge: Some(badge(&proposal, me)),
        });
    }
    Ok(rows)
}

async fn drafts_of(conn: &mut PgConnection, me: &SignedIn) -> Result<Vec<SettingRow>, Error> {
    let mut rows = Vec::new();
    for draft in proposed::drafts(conn, me.viewer().person).await? {
        rows.push(SettingRow {
            title: named(conn, &draft.subject).await?,
            text: "Only you see it.".to_owned(),
            href: format!("/settings/drafts/{}", draft.id),
            state: String::new(),
            badge: None,
        });
    }
    Ok(rows)
}

async fn groups(conn: &mut PgConnection, me: &SignedIn) -> Result<Vec<SettingGroup>, Error> {
    let newest = sqlx::query!(
        "select distinct on (kind) kind, version, released_at from setting_version order by kind, version desc"
    )
    .fetch_all(&mut *conn)
    .await?;
    let rules = Kind::ALL.map(|kind| {
        let latest = newest.iter().find(|row| row.kind == kind.as_str());
        SettingRow {
            title: kind.to_string(),
            text: decides(kind).to_owned(),
            href: format!("/settings/{}", kind.as_str()),
            state: latest.map_or("as it comes with Tenure".to_owned(), |row| {
                format!("version {}, since {}", row.version, me.when(row.released_at).relative)
            }),
            badge: None,
        }
    });
    let sites = people::sites(conn).await?.into_iter().map(|site| SettingRow {
        href: format!("/settings/site:{}", shared::segment(&site.code)),
        text: site.zone.to_string(),
        title: site.name,
        state: site.code,
        badge: None,
    });
    let known = sqlx::query!("select key, name, mode, held_back from target_system order by created_at, key")
        .fetch_all(&mut *conn)
        .await?;
    let target_systems = known.into_iter().map(|row| SettingRow {
        title: row.name,
        text: row.key.clone(),
        href: systems::address(&crate::target::SystemKey(row.key)),
        state: String::new(),
        badge: Some(match (row.held_back, row.mode.as_str()) {
            (true, _) => Badge::warn("observe only, by setting"),
            (false, "observe_only") => Badge::warn("observe only, by configuration"),
            _ => Badge::ok("managed"),
        }),
    });
    let catalogue = SettingRow {
        title: "Entries of the catalogue".to_owned(),
        text: "What can be asked for, who owns it, its risk, and whether it is in scope of SOX: each on its page."
            .to_owned(),
        href: "/catalogue".to_owned(),
        state: String::new(),
        badge: None,
    };
    let group = |title: &str, rows: Vec<SettingRow>| SettingGroup { title: title.to_owned(), rows };
    Ok(vec![
        group("Rules", rules.into_iter().chain([catalogue]).collect()),
        group("Sites", sites.collect()),
        group("Target systems", target_systems.collect()),
    ])
}

/// `GET /settings/{subject}?version=`
pub async fn setting(
    State(state): State<AppState>,
    Path(subject): Path<String>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let wanted: Option<i32> = Fields(query).text("version").parse().ok();
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeSettings>(&mut conn, &me.actor(), Object::None).await?;
    let subject = Subject::parse(&subject).ok_or_else(Error::not_found)?;
    let current = proposed::current(&mut conn, &subject).await?;
    if current.body.is_null() {
        return Err(Error::not_found());
    }
    let versions = versions(&mut conn, &subject.to_string()).await?;
    let shown = match wanted {
        Some(wanted) => Some(versions.iter().find(|version| version.version == wanted).ok_or_else(Error::not_found)?),
        None => None,
    };
    let title = named(&mut conn, &subject).await?;
    let body = shown.map_or(&current.body, |version| &version.body);
    let told = shown.or(versions.first());
    let earlier = shown.filter(|version| version.version != current.version);
    let proposals =
        proposed::list(&mut conn, Wanted { subject: Some(&subject.to_string()), ..Wanted::default() }).await?;
    let page = SettingPage {
        crumbs: vec![Crumb::to("Settings", "/settings"), Crumb::here(&title)],
        summary: told.map_or("As it was set up".to_owned(), |version| summary(version, &me)),
        digest: told.map_or(String::new(), |version| shared::short(&version.digest)),
        blocks: words::blocks(&mut conn, body).await?,
        together: held_together(&mut conn, &subject).await?,
        body: serde_json::to_string_pretty(body).map_err(Error::broken)?,
        versions: versions.iter().map(|version| line(version, (&subject, &me), (current.version, told))).collect(),
        proposals: proposals.iter().map(|proposal| proposal_row(proposal, &me)).collect(),
        subject: subject.to_string(),
        begin: match (me.may(Operation::ProposeSetting), earlier) {
            (false, _) => String::new(),
            (true, None) => "Propose a change".to_owned(),
            (true, Some(version)) => format!("Propose to go back to version {}", version.version),
        },
        begin_from: earlier.map_or(String::new(), |version| version.version.to_string()),
        about: about(&me, &subject),
        shell: me.shell(&state, &mut conn, title.clone(), Nav::Settings).await?,
        title,
    };
    viewer::page(&page)
}

/// The page of what a subject is set for, where it has one that the viewer may see.
fn about(me: &SignedIn, subject: &Subject) -> Option<Link> {
    match subject {
        Subject::System(key) if me.may(Operation::SeeSystem) => {
            Some(Link::new("The system’s page", systems::address(key)))
        }
        Subject::Entitlement(id) => Some(Link::new("Its page in the catalogue", format!("/catalogue/{id}"))),
        _ => None,
    }
}

/// Who holds together what the rules in force keep apart; the first of them. None for other subjects.
async fn held_together(conn: &mut PgConnection, subject: &Subject) -> Result<Option<HeldTogether>, Error> {
    if *subject != Subject::Rules(Kind::Separation) {
        return Ok(None);
    }
    let rules = catalog::separation(conn).await?;
    let found = together(conn, &rules, None).await?;
    let mut people: Vec<_> = found.iter().map(|one| one.person).collect();
    people.dedup();
    let summary = match people.len() {
        0 => "Nobody holds what these rules keep apart".to_owned(),
        1 => "1 person holds what these rules keep apart".to_owned(),
        many => format!("{many} people hold what these rules keep apart"),
    };
    let row = |one: &Together| (Link::new(&one.person_name, format!("/people/{}", one.person)), one.words());
    Ok(Some(HeldTogether { summary, rows: found.iter().take(100).map(row).collect() }))
}

/// Versions and proposals of a subject, the newest first, as asides list them.
///
/// # Errors
/// Where the database does not answer.
pub async fn history(
    conn: &mut PgConnection,
    me: &SignedIn,
    subject: &Subject,
) -> Result<(Vec<SettingVersion>, Vec<ProposalRow>), Error> {
    let versions = versions(conn, &subject.to_string()).await?;
    let in_force = versions.first().map_or(0, |version| version.version);
    let lines = versions.iter().map(|version| line(version, (subject, me), (in_force, None))).collect();
    let wanted = subject.to_string();
    let proposals = proposed::list(conn, Wanted { subject: Some(&wanted), ..Wanted::default() }).await?;
    Ok((lines, proposals.iter().map(|proposal| proposal_row(proposal, me)).collect()))
}

fn summary(version: &Version, me: &SignedIn) -> String {
    let note = if version.note.is_empty() { String::new() } else { format!(": {}", version.note) };
    format!("Version {}, released {}{note}", version.version, me.when(version.released_at).relative)
}

fn line(
    version: &Version,
    (subject, me): (&Subject, &SignedIn),
    (in_force, told): (i32, Option<&Version>),
) -> SettingVersion {
    let by = match (&version.released_by, &version.proposed_by) {
        (Some(releaser), Some(_)) if version.alone => format!("released alone by {releaser}"),
        (Some(releaser), Some(proposer)) => format!("released by {releaser}, proposed by {proposer}"),
        (Some(releaser), None) => format!("released by {releaser}"),
        (None, _) => "released with the program".to_owned(),
    };
    SettingVersion {
        number: version.version.to_string(),
        href: format!("/settings/{}?version={}", shared::segment(&subject.to_string()), version.version),
        when: me.when(version.released_at),
        by,
        state: if version.version == in_force { Badge::ok("in force") } else { Badge::quiet("superseded") },
        current: told.is_some_and(|told| told.version == version.version),
    }
}

fn badge(proposal: &Proposal, me: &SignedIn) -> Badge {
    match proposal.state.as_str() {
        "proposed" => Badge::warn("waits to be released"),
        "scheduled" => Badge::info(
            proposal.from_at.map_or("released".to_owned(), |from| format!("in force {}", me.when(from).relative)),
        ),
        "in_force" => Badge::ok(proposal.version.map_or("in force".to_owned(), |version| format!("version {version}"))),
        "rejected" => Badge::bad("rejected"),
        "overtaken" => Badge::quiet("overtaken"),
        _ => Badge::quiet("withdrawn"),
    }
}

fn proposal_row(proposal: &Proposal, me: &SignedIn) -> ProposalRow {
    ProposalRow {
        href: format!("/settings/proposals/{}", proposal.id),
        when: me.when(proposal.proposed_at),
        by: format!("By {}", proposal.proposed_by_name),
        state: badge(proposal, me),
    }
}

/// What a body changes beside another, and what came of trying it.
async fn changes(
    conn: &mut PgConnection,
    me: &SignedIn,
    subject: &Subject,
    (from, to): (&Json, &Json),
) -> Result<Changes, Error> {
    let differs = words::difference(conn, from, to).await?;
    let tried = match differs.is_empty() {
        true => None,
        false => trial::tried(conn, me.now, subject, (from, to)).await?,
    };
    let trial = tried.map(|tried| {
        let rest = tried.differ.saturating_sub(tried.rows.len());
        Trial {
            summary: match tried.differ {
                0 => format!("Tried on {}: nothing comes out differently.", tried.on),
                1 => format!("Tried on {}: 1 comes out differently.", tried.on),
                many => format!("Tried on {}: {many} come out differently.", tried.on),
            },
            rows: tried.rows.into_iter().map(|row| Differs { what: row.what, from: row.from, to: row.to }).collect(),
            more: if rest == 0 { String::new() } else { format!("And {rest} more.") },
            follows: tried.follows.to_owned(),
        }
    });
    Ok(Changes { differs, trial })
}
