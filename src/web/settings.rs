//! The settings, version by version, to read.

use axum::extract::{Path, State};
use axum::response::Response;
use axum_extra::extract::Query;
use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use sqlx::PgConnection;

use super::view::catalogue::{SettingBlock, SettingKind, SettingPage, SettingVersion, SettingsPage};
use super::view::parts::{Badge, Crumb, Fact, Facts};
use super::view::shell::Nav;
use super::viewer::{self, SignedIn};
use super::{AppState, Error, Fields, words};
use crate::access::{Object, op, permit};
use crate::catalog::{self};
use crate::ids::EntitlementId;

/// The kinds of settings: key, title, what it decides.
const KINDS: [(&str, &str, &str); 5] = [
    ("routes", "Routes", "Who must decide, by kind of request and risk."),
    ("naming", "Naming rules", "How user names, mail addresses and places are made, with their fall-backs."),
    ("birthright", "Birthright", "What comes by itself with department, site and contract."),
    ("service_levels", "Service levels", "How soon somebody answers, and how soon it is done."),
    ("retention", "Retention", "How long the personal values of people who left are kept."),
];

/// One version as stored.
struct Version {
    version: i32,
    digest: String,
    body: Json,
    note: String,
    released_at: DateTime<Utc>,
    released_by: Option<String>,
}

async fn versions(conn: &mut PgConnection, kind: &str) -> Result<Vec<Version>, Error> {
    let rows = sqlx::query_as!(
        Version,
        r#"select s.version, s.digest, s.body, s.note, s.released_at, p.display_name as "released_by?"
             from setting_version s left join person p on p.id = s.released_by
            where s.kind = $1 order by s.version desc limit 100"#,
        kind
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// `GET /settings`
pub async fn settings(State(state): State<AppState>, me: SignedIn) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeSettings>(&mut conn, &me.actor(), Object::None).await?;
    let mut kinds = Vec::new();
    for (key, title, text) in KINDS {
        let latest = versions(&mut conn, key).await?.into_iter().next();
        kinds.push(SettingKind {
            title: title.to_owned(),
            text: text.to_owned(),
            href: format!("/settings/{key}"),
            version: latest.map_or("never released".to_owned(), |latest| {
                format!("version {}, since {}", latest.version, me.when(latest.released_at).relative)
            }),
        });
    }
    viewer::page(&SettingsPage { kinds, shell: me.shell(&state, &mut conn, "Settings", Nav::Settings).await? })
}

/// `GET /settings/{kind}?version=`
pub async fn setting(
    State(state): State<AppState>,
    Path(kind): Path<String>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let wanted: Option<i32> = Fields(query).text("version").parse().ok();
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeSettings>(&mut conn, &me.actor(), Object::None).await?;
    let (_, title, _) = KINDS.iter().find(|(key, _, _)| *key == kind).ok_or_else(Error::not_found)?;
    let versions = versions(&mut conn, &kind).await?;
    let shown = versions
        .iter()
        .find(|version| wanted.is_none_or(|wanted| version.version == wanted))
        .ok_or_else(Error::not_found)?;
    let latest = versions.first().map(|version| version.version);
    let rows = versions.iter().map(|version| SettingVersion {
        number: version.version.to_string(),
        href: format!("/settings/{kind}?version={}", version.version),
        when: me.when(version.released_at),
        by: version
            .released_by
            .as_ref()
            .map_or("released with the program".to_owned(), |name| format!("released by {name}")),
        state: if Some(version.version) == latest { Badge::ok("in force") } else { Badge::quiet("superseded") },
        current: version.version == shown.version,
    });
    let page = SettingPage {
        crumbs: vec![Crumb::to("Settings", "/settings"), Crumb::here(*title)],
        title: (*title).to_owned(),
        summary: format!(
            "Version {}, released {}{}",
            shown.version,
            me.when(shown.released_at).relative,
            if shown.note.is_empty() { String::new() } else { format!(": {}", shown.note) }
        ),
        digest: words::short(&shown.digest),
        blocks: blocks(&mut conn, &shown.body).await?,
        body: serde_json::to_string_pretty(&shown.body).map_err(Error::broken)?,
        versions: rows.collect(),
        shell: me.shell(&state, &mut conn, *title, Nav::Settings).await?,
    };
    viewer::page(&page)
}

/// A body in words: one block per rule of a list, one for everything else.
async fn blocks(conn: &mut PgConnection, body: &Json) -> Result<Vec<SettingBlock>, Error> {
    let names = names(conn, body).await?;
    let mut blocks = Vec::new();
    let mut rest = Vec::new();
    for (key, value) in body.as_object().into_iter().flatten() {
        match value {
            Json::Array(rules) if rules.iter().all(Json::is_object) => {
                blocks.extend(rules.iter().map(|rule| block(rule, &names)))
            }
            Json::Object(inner) => {
                blocks.push(SettingBlock { title: label(key), text: String::new(), facts: facts(inner, &names) })
            }
            value => rest.push(fact(key, value, &names)),
        }
    }
    if !rest.is_empty() {
        blocks.insert(0, SettingBlock { title: "In general".to_owned(), text: String::new(), facts: Facts(rest) });
    }
    Ok(blocks)
}

type Names = std::collections::HashMap<String, String>;

/// Names of the entitlements that rules speak of by id.
async fn names(conn: &mut PgConnection, body: &Json) -> Result<Names, Error> {
    let mut ids = Vec::new();
    let mut places = vec![body];
    while let Some(place) = places.pop() {
        match place {
            Json::Array(values) => places.extend(values),
            Json::Object(values) => places.extend(values.values()),
            Json::String(text) => ids.extend(text.parse::<EntitlementId>().ok()),
            _ => {}
        }
    }
    Ok(catalog::find_many(conn, &ids).await?.into_iter().map(|found| (found.id.to_string(), found.name)).collect())
}

fn block(rule: &Json, names: &Names) -> SettingBlock {
    let object = rule.as_object().cloned().unwrap_or_default();
    let title = object.get("name").and_then(Json::as_str).unwrap_or("Rule").to_owned();
    let rest = object.into_iter().filter(|(key, _)| key != "name").collect();
    SettingBlock { title, text: String::new(), facts: facts(&rest, names) }
}

fn facts(object: &serde_json::Map<String, Json>, names: &Names) -> Facts {
    Facts(object.iter().map(|(key, value)| fact(key, value, names)).collect())
}

fn label(key: &str) -> String {
    let mut words = key.replace('_', " ");
    if let Some(first) = words.get(..1) {
        let first = first.to_uppercase();
        words.replace_range(..1, &first);
    }
    words
}

fn fact(key: &str, value: &Json, names: &Names) -> Fact {
    let lines: Vec<String> = match value {
        Json::Array(values) if values.is_empty() => {
            vec![if key == "stages" { "nobody is asked; looked at afterwards" } else { "all" }.to_owned()]
        }
        Json::Array(values) => {
            values.iter().map(|value| stage_line(value).unwrap_or_else(|| line(value, names))).collect()
        }
        other => vec![line(other, names)],
    };
    let template = lines.iter().any(|line| line.contains("{{"));
    let first = lines.first().cloned().unwrap_or_else(|| "none".to_owned());
    let fact = if template { Fact::code(label(key), first) } else { Fact::new(label(key), first) };
    lines.into_iter().skip(1).fold(fact, |fact, line| fact.also(line))
}

/// A stage of a route as a sentence.
fn stage_line(value: &Json) -> Option<String> {
    let (role, reason) = (value.get("role")?.as_str()?, value.get("reason")?.as_str()?);
    let role = match role {
        "manager" => "Line manager",
        "owner" => "Owner",
        "desk" => "Service desk",
        "security" => "Security",
        other => other,
    };
    let unless = value.get("unless_asked_by_manager").and_then(Json::as_bool).unwrap_or(false);
    let unless = if unless { " Left out where the manager asks." } else { "" };
    let all = if value.get("needed").and_then(Json::as_str) == Some("all") { " (all of them)" } else { "" };
    Some(format!("{role}{all}: {reason}{unless}"))
}

fn line(value: &Json, names: &Names) -> String {
    match value {
        Json::Null => "any".to_owned(),
        Json::Bool(value) => if *value { "yes" } else { "no" }.to_owned(),
        Json::String(text) => names.get(text).cloned().unwrap_or_else(|| text.clone()),
        Json::Array(values) => values.iter().map(|value| line(value, names)).collect::<Vec<_>>().join(", "),
        Json::Object(inner) if inner.is_empty() => "everybody".to_owned(),
        Json::Object(inner) => inner
            .iter()
            .map(|(key, value)| format!("{}: {}", key.replace('_', " "), line(value, names)))
            .collect::<Vec<_>>()
            .join(" · "),
        number => number.to_string(),
    }
}
