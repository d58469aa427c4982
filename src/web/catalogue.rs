//! The catalogue and the settings, to read.

use axum::extract::{Path, State};
use axum::response::Response;
use axum_extra::extract::Query;
use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::requests::{ROWS, links};
use super::view::catalogue::{
    CataloguePage, EntitlementPage, EntitlementRow, HolderRow, SettingBlock, SettingKind, SettingPage, SettingVersion,
    SettingsPage,
};
use super::view::forms::Choice;
use super::view::lists::Tab;
use super::view::parts::{Badge, Crumb, Empty, Fact, Facts, Link, Pager, Person};
use super::view::progress::{Stage, StageMark, Stages};
use super::view::shell::Nav;
use super::view::states;
use super::viewer::{self, SignedIn};
use super::{AppState, Error, Fields, cursor, words};
use crate::access::{Object, Operation, op, permit};
use crate::catalog::{self, About, Entitlement, RouteInput};
use crate::ids::EntitlementId;

/// `GET /catalogue`
pub async fn page(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let fields = Fields(query);
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeCatalogue>(&mut conn, &me.actor(), Object::None).await?;
    let (view, risk) = (fields.text("view"), fields.text("risk"));
    let mut query = QueryBuilder::<Postgres>::new("select e.id from entitlement e where true");
    match view {
        "sox" => drop(query.push(" and e.sox")),
        "mine" => drop(query.push(" and e.owner = ").push_bind(me.viewer().person)),
        "orphan" => drop(query.push(" and e.owner is null")),
        _ => {}
    }
    if ["low", "normal", "high"].contains(&risk) {
        query.push(" and e.risk = ").push_bind(risk.to_owned());
    }
    let like = deunicode::deunicode(fields.text("q")).to_lowercase().replace(['%', '_', '\\', '\0'], "");
    if !like.is_empty() {
        query.push(" and e.folded like ").push_bind(format!("%{like}%"));
    }
    if let Some((name, id)) = cursor::open::<(String, Uuid)>(&me.live, fields.text("after")) {
        query.push(" and (e.name, e.id) > (").push_bind(name).push(", ").push_bind(id).push(")");
    }
    query.push(" order by e.name, e.id limit ").push_bind(ROWS + 1);
    let mut ids: Vec<EntitlementId> = query.build_query_scalar().fetch_all(&mut *conn).await?;
    let more = i64::try_from(ids.len()).unwrap_or(0) > ROWS;
    ids.truncate(usize::try_from(ROWS).unwrap_or(50));
    let found = catalog::find_many(&mut conn, &ids).await?;
    let next = found.last().filter(|_| more).map(|last| cursor::seal(&me.live, &(&last.name, last.id.0)));
    let counts = sqlx::query!(r#"select count(*) as "all!", count(*) filter (where sox) as "sox!" from entitlement"#)
        .fetch_one(&mut *conn)
        .await?;
    let tab = |key: &str, label: &str| {
        let href = if key.is_empty() { "/catalogue".to_owned() } else { format!("/catalogue?view={key}") };
        Tab::new(label, None, href, view == key)
    };
    let mut risks = vec![Choice::new("", "All risks").chosen_if(risk)];
    risks.extend(["low", "normal", "high"].map(|word| Choice::new(word, format!("{word} risk")).chosen_if(risk)));
    let mut rows = Vec::new();
    for entitlement in &found {
        rows.push(row(&mut conn, &me, entitlement).await?);
    }
    let settings = me.may(Operation::SeeSettings);
    let page = CataloguePage {
        summary: format!(
            "{}, {} in scope of SOX",
            words::count(usize::try_from(counts.all).unwrap_or(0), "entitlement", "entitlements"),
            counts.sox
        ),
        tabs: vec![tab("", "All"), tab("sox", "SOX"), tab("mine", "Mine to decide"), tab("orphan", "Without an owner")],
        query: fields.text("q").to_owned(),
        view: view.to_owned(),
        risks,
        rows,
        pager: links("/catalogue", &fields, next),
        empty: Empty::new("Nothing found", "Try another word, or another view."),
        places: if settings { vec![Link::new("Settings", "/settings")] } else { Vec::new() },
        shell: me.shell(&state, &mut conn, "Catalogue", Nav::Catalogue).await?,
    };
    viewer::page(&page)
}

fn owner(entitlement: &Entitlement) -> Option<Person> {
    Some(Person::to(entitlement.owner_name.clone()?, format!("/people/{}", entitlement.owner?)))
}

async fn row(conn: &mut PgConnection, me: &SignedIn, entitlement: &Entitlement) -> Result<EntitlementRow, Error> {
    let counted = sqlx::query!(
        r#"select count(distinct person) as "holders!", coalesce(bool_or(person = $2), false) as "held!"
             from access_grant where entitlement = $1 and ended_at is null"#,
        entitlement.id.0,
        me.viewer().person.0
    )
    .fetch_one(&mut *conn)
    .await?;
    let shown = me.may(Operation::SeeHolders)
        && permit::<op::SeeHolders>(conn, &me.actor(), Object::Entitlement(entitlement.id)).await.is_ok();
    Ok(EntitlementRow {
        name: entitlement.name.clone(),
        href: format!("/catalogue/{}", entitlement.id),
        description: entitlement.description.clone(),
        kind: format!("{} · group", words::system(&entitlement.system.0)),
        owner: owner(entitlement),
        risk: states::risk(entitlement.risk.as_str()),
        sox: entitlement.sox,
        holders: if shown { u64::try_from(counted.holders).ok() } else { None },
        held: counted.held,
    })
}

/// `GET /catalogue/{id}`
pub async fn entitlement(
    State(state): State<AppState>,
    Path(id): Path<EntitlementId>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let fields = Fields(query);
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeCatalogue>(&mut conn, &me.actor(), Object::Entitlement(id)).await?;
    let found = catalog::find(&mut conn, id).await?.ok_or_else(Error::not_found)?;
    let holders_shown = permit::<op::SeeHolders>(&mut conn, &me.actor(), Object::Entitlement(id)).await.is_ok();
    let (holders, holders_summary, pager) = match holders_shown {
        true => holders(&mut conn, &me, id, &fields).await?,
        false => (Vec::new(), String::new(), Pager::default()),
    };
    let rules = catalog::rules(&mut conn).await.ok();
    let route = rules.as_ref().map_or(Stages::default(), |rules| route(&rules.routes.body, &found));
    let by_rule =
        rules.iter().flat_map(|rules| &rules.birthright.body.rules).filter(|rule| rule.entitlements.contains(&id));
    let facts = vec![
        match owner(&found) {
            Some(owner) => Fact::new("Owner", owner.name).href(owner.href.unwrap_or_default()),
            None => Fact::new("Owner", "nobody: a finding"),
        },
        Fact::new("System", words::system(&found.system.0)),
        Fact::code("Object id", found.native_id.to_string()),
    ];
    let may_ask = found.requestable && me.may(Operation::AskAccess);
    let page = EntitlementPage {
        crumbs: vec![Crumb::to("Catalogue", "/catalogue"), Crumb::here(&found.name)],
        name: found.name.clone(),
        description: found.description.clone(),
        sox: found.sox,
        risk: states::risk(found.risk.as_str()),
        facts: Facts(facts),
        route,
        by_rule: by_rule.map(|rule| format!("{}: {}", rule.name, condition(&rule.when))).collect(),
        holders_shown,
        holders,
        holders_summary,
        pager,
        ask: may_ask.then(|| Link::new("Ask for this", format!("/requests/new/access?join={id}"))),
        shell: me.shell(&state, &mut conn, found.name.clone(), Nav::Catalogue).await?,
    };
    viewer::page(&page)
}

fn condition(when: &catalog::Condition) -> String {
    let parts = [
        when.department.as_ref().map(|name| format!("department {name}")),
        when.site.as_ref().map(|name| format!("site {name}")),
        when.kind.map(|kind| format!("contract {}", kind.as_str())),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "everybody".to_owned() } else { parts.join(", ") }
}

fn route(routes: &catalog::Routes, entitlement: &Entitlement) -> Stages {
    let about = About::Entitlement { risk: entitlement.risk, sox: entitlement.sox };
    let input = RouteInput { kind: "access".to_owned(), about, asked_by_manager: false, privileged: false };
    let stages = routes.stages(&input);
    if stages.is_empty() {
        return Stages(vec![Stage::new(
            StageMark::NotNeeded,
            0,
            "Nobody is asked",
            &["Policy asks for no decision here."],
        )]);
    }
    let shown = stages.iter().map(|stage| {
        let name = match stage.role {
            catalog::DeciderRole::Manager => "Line manager",
            catalog::DeciderRole::Owner => "Owner",
            catalog::DeciderRole::Desk => "Service desk",
            catalog::DeciderRole::Security => "Security",
        };
        Stage::new(StageMark::Later, 0, name, &[stage.reason.as_str()])
    });
    Stages(shown.collect())
}

async fn holders(
    conn: &mut PgConnection,
    me: &SignedIn,
    id: EntitlementId,
    fields: &Fields,
) -> Result<(Vec<HolderRow>, String, Pager), Error> {
    let after: Option<(String, Uuid)> = cursor::open(&me.live, fields.text("after"));
    let mut rows = sqlx::query!(
        r#"select g.id, g.person, p.display_name, g.reason, g.reason_text, g.starts_at, g.until_on, r.number as "number?"
             from access_grant g join person p on p.id = g.person
             left join item i on i.id = g.item left join request r on r.id = i.request
            where g.entitlement = $1 and g.ended_at is null
              and ($2::text is null or (p.display_name, g.id) > ($2, $3))
            order by p.display_name, g.id limit $4"#,
        id.0,
        after.as_ref().map(|(name, _)| name.as_str()),
        after.as_ref().map(|(_, id)| *id),
        ROWS + 1
    )
    .fetch_all(&mut *conn)
    .await?;
    let more = i64::try_from(rows.len()).unwrap_or(0) > ROWS;
    rows.truncate(usize::try_from(ROWS).unwrap_or(50));
    let next = rows.last().filter(|_| more).map(|row| cursor::seal(&me.live, &(&row.display_name, row.id)));
    let count = sqlx::query_scalar!(
        r#"select count(distinct person) as "count!" from access_grant where entitlement = $1 and ended_at is null"#,
        id.0
    )
    .fetch_one(conn)
    .await?;
    let holders = rows.into_iter().map(|row| HolderRow {
        person: Person::to(row.display_name, format!("/people/{}", row.person)),
        how: match row.reason.as_str() {
            "rule" => format!("birthright: {}", row.reason_text),
            "before_tenure" => "before Tenure".to_owned(),
            _ => "asked for".to_owned(),
        },
        since: Some(me.when(row.starts_at)),
        until: row.until_on.map(|day| me.day(day)),
        reason: row.number.map(|number| Link::new(format!("REQ-{number:06}"), format!("/requests/{number}"))),
    });
    let summary = words::count(usize::try_from(count).unwrap_or(0), "person", "people");
    Ok((holders.collect(), summary, links(&format!("/catalogue/{id}"), fields, next)))
}

/// The kinds of settings: key, title, what it decides.
const KINDS: [(&str, &str, &str); 4] = [
    ("routes", "Routes", "Who must decide, by kind of request and risk."),
    ("naming", "Naming rules", "How user names, mail addresses and places are made, with their fall-backs."),
    ("birthright", "Birthright", "What comes by itself with department, site and contract."),
    ("service_levels", "Service levels", "How soon somebody answers, and how soon it is done."),
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
