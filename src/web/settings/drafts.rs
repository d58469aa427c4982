//! Drafts of settings: begun from what is in force (or from an earlier version), changed in forms, tried, proposed.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, NaiveTime, TimeZone as _, Utc};
use serde_json::{Value as Json, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::spec::{self, Places, Section};
use super::{changes, fill, letters, named, overview, versions, words};
use crate::access::{Object, op, permit};
use crate::catalog::proposals::{self as proposed, Draft, EntryBody, Kind, NewProposal, SiteBody, Subject};
use crate::catalog::{CatalogError, Held, Risk};
use crate::mail;
use crate::mirror::look;
use crate::people::{self, Calendar};
use crate::web::view::errors::Wrong;
use crate::web::view::forms::FormErrors;
use crate::web::view::parts::Crumb;
use crate::web::view::settings::{DraftPage, RulePage, RuleRow};
use crate::web::view::shell::Nav;
use crate::web::viewer::{self, Posted, Said, SignedIn};
use crate::web::{AppState, Error, Fields, words as shared};

/// `POST /settings/drafts`: of `subject` (from `version`), of a new `site`, or of the group `native_id` in `system`, which is not in
/// the catalogue yet.
pub async fn begin(State(state): State<AppState>, Posted { me, fields }: Posted) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    let permit = permit::<op::ProposeSetting>(&mut tx, &me.actor(), Object::None).await?;
    let (subject, body, anew) = if fields.has("site") {
        match new_site(&mut tx, &fields).await? {
            Ok((subject, body)) => (subject, body, false),
            Err(message) => {
                drop(tx);
                let mut errors = FormErrors::default();
                errors.add("site", message);
                let typed = fields.raw("site").to_owned();
                return overview(&state, &me, StatusCode::UNPROCESSABLE_ENTITY, (errors, typed)).await;
            }
        }
    } else if fields.has("native_id") {
        let (subject, body) = new_entry(&mut tx, &fields).await?;
        (subject, body, false)
    } else {
        let subject = Subject::parse(fields.text("subject")).ok_or_else(Error::not_found)?;
        let current = proposed::current(&mut tx, &subject).await?.body;
        if current.is_null() {
            return Err(Error::not_found());
        }
        match fields.text("version") {
            "" => (subject, current, false),
            version => {
                let known = versions(&mut tx, &subject.to_string()).await?;
                let earlier = known.into_iter().find(|one| one.version.to_string() == version);
                let body = proposed::normal(&subject, &earlier.ok_or_else(Error::not_found)?.body);
                (subject, body.map_err(|wrong| Error::wrong(Wrong::Conflict, wrong.message))?, true)
            }
        }
    };
    let id = proposed::draft(&mut tx, me.now, &permit, (&subject, &body), anew).await?;
    tx.commit().await?;
    Ok(viewer::see(&format!("/settings/drafts/{id}")))
}

async fn new_site(conn: &mut PgConnection, fields: &Fields) -> Result<Result<(Subject, Json), String>, Error> {
    let code = fields.text("site");
    let allowed = |letter: char| letter.is_alphanumeric() || " -.,'’()&".contains(letter);
    let Some(subject) = Subject::parse(&format!("site:{code}")).filter(|_| code.chars().all(allowed)) else {
        return Ok(Err("Enter a name of 1 to 64 letters, digits, spaces and dashes".to_owned()));
    };
    if people::whole_site(conn, code).await?.is_some() {
        return Ok(Err(format!("There is a site {code} already: change that one")));
    }
    let zone = people::sites(conn).await?.first().map_or("Europe/Berlin".to_owned(), |site| site.zone.to_string());
    let body = SiteBody { name: code.to_owned(), zone, country: String::new(), calendar: Calendar::default() };
    Ok(Ok((subject, json!(body))))
}

async fn new_entry(conn: &mut PgConnection, fields: &Fields) -> Result<(Subject, Json), Error> {
    let id: Uuid = fields.text("native_id").parse().map_err(|_| Error::not_found())?;
    let system = fields.text("system");
    let group = sqlx::query!(
        "select name from directory_group where system = $1 and native_id = $2 and gone_at is null",
        system,
        id
    )
    .fetch_optional(conn)
    .await?
    .ok_or_else(Error::not_found)?;
    let body = EntryBody {
        system: crate::target::SystemKey(system.to_owned()),
        held: Held::GroupMembership,
        native_id: id,
        right: String::new(),
        name: group.name,
        description: String::new(),
        owner: None,
        risk: Risk::Normal,
        sox: false,
        requestable: true,
    };
    Ok((Subject::Entitlement(crate::ids::EntitlementId::new()), json!(body)))
}

/// Units that are offered, at most.
const UNITS: i64 = 60;

/// The form of a subject, with what its fields could name.
async fn form(conn: &mut PgConnection, subject: &Subject) -> Result<Vec<Section>, Error> {
    let mut sections = spec::form(subject);
    if let (Subject::System(key), Some(section)) = (subject, sections.iter_mut().find(|one| one.title == spec::UNITS)) {
        let seen = look::units(conn, &key.0, UNITS).await?.into_iter().map(|unit| {
            let (accounts, groups) = (usize::try_from(unit.accounts), usize::try_from(unit.groups));
            let accounts = shared::count(accounts.unwrap_or(0), "account", "accounts");
            (unit.dn, format!("{accounts}, {}", shared::count(groups.unwrap_or(0), "group", "groups")))
        });
        section.offered = seen.collect();
    }
    Ok(sections)
}

async fn found(conn: &mut PgConnection, me: &SignedIn, id: Uuid) -> Result<Draft, Error> {
    proposed::find_draft(conn, id, me.viewer().person).await?.ok_or_else(Error::not_found)
}

/// `GET /settings/drafts/{id}`
pub async fn page(State(state): State<AppState>, Path(id): Path<Uuid>, me: SignedIn) -> Result<Response, Error> {
    show(&state, &me, id, StatusCode::OK, (FormErrors::default(), None)).await
}

/// The draft's page: with what was typed, or as the draft is.
async fn show(
    state: &AppState,
    me: &SignedIn,
    id: Uuid,
    status: StatusCode,
    (mut errors, typed): (FormErrors, Option<Fields>),
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::ProposeSetting>(&mut conn, &me.actor(), Object::None).await?;
    let draft = found(&mut conn, me, id).await?;
    let current = proposed::current(&mut conn, &draft.subject).await?;
    let sections = form(&mut conn, &draft.subject).await?;
    let fields = match typed {
        Some(typed) => typed,
        None => fill::typed(&mut conn, &sections, &draft.body).await?,
    };
    let changes = changes(&mut conn, me, &draft.subject, (&current.body, &draft.body)).await?;
    // What stands in the draft and cannot come into force is said before it is proposed.
    if errors.is_empty()
        && !changes.differs.is_empty()
        && let Err(CatalogError::Invalid { wrong, .. }) = proposed::check(&mut conn, &draft.subject, &draft.body).await
    {
        wrong.into_iter().for_each(|wrong| errors.add(wrong.field, wrong.message));
    }
    let title = named(&mut conn, &draft.subject).await?;
    let chosen = fields.raw("letter").to_owned();
    let listed = match spec::list(&draft.subject) {
        Some(list) => {
            let named = words::names(&mut conn, &draft.body).await?;
            let ordered = draft.subject != Subject::Rules(Kind::Separation);
            Some(rules(id, &draft.body[list], (&named, ordered)))
        }
        None => None,
    };
    let page = DraftPage {
        crumbs: vec![
            Crumb::to("Settings", "/settings"),
            Crumb::to(&title, format!("/settings/{}", shared::segment(&draft.subject.to_string()))),
            Crumb::here("Draft"),
        ],
        summary: match current.version {
            0 => "A draft that only you see".to_owned(),
            version => format!("A draft that only you see, beside version {version}"),
        },
        action: format!("/settings/drafts/{id}"),
        base: current.version,
        rules: listed,
        add: format!("/settings/drafts/{id}/rules/new"),
        sections: fill::shown(&sections, &fields, &errors),
        changes,
        errors,
        fields,
        alone: state.config.web.one_administrator,
        tests: letters::offered(&draft.subject, &chosen),
        shell: me.shell(state, &mut conn, format!("{title}: draft"), Nav::Settings).await?,
        title,
    };
    viewer::page_with(status, &page)
}

/// The rules of a draft, a line each. Where their order says nothing they are not moved.
fn rules(draft: Uuid, list: &Json, (names, ordered): (&words::Names, bool)) -> Vec<RuleRow> {
    let rules = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |(at, rule): (usize, &Json)| RuleRow {
        at,
        title: rule["name"].as_str().unwrap_or("without a name").to_owned(),
        text: in_short(rule, names),
        href: format!("/settings/drafts/{draft}/rules/{at}"),
        first: !ordered || at == 0,
        last: !ordered || at + 1 == rules.len(),
    };
    rules.iter().enumerate().map(row).collect()
}

/// A rule in a line: whom it is for, and what follows.
fn in_short(rule: &Json, names: &words::Names) -> String {
    let texts = |value: &Json, of: Option<&str>| -> Vec<String> {
        let texts = value.as_array().into_iter().flatten().map(|one| of.map_or(one, |of| &one[of]));
        texts.filter_map(|text| text.as_str().map(spec::kind_words)).collect()
    };
    if let Some(given) = rule["entitlements"].as_array() {
        let when = rule["when"].as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str());
        let when = when.collect::<Vec<_>>().join(", ");
        let whom = if when.is_empty() { "everybody" } else { &when };
        return format!("{whom}: {}", words::some(given, names));
    }
    if let (Some(one), Some(other)) = (rule["one"].as_array(), rule["other"].as_array()) {
        let then = if rule["then"] == "refuse" { "cannot be asked for" } else { "security decides as well" };
        return format!("{} apart from {}: {then}", words::some(one, names), words::some(other, names));
    }
    let (kinds, stages) = (texts(&rule["kinds"], None), texts(&rule["stages"], Some("role")));
    let kinds = if kinds.is_empty() { "every kind".to_owned() } else { kinds.join(", ") };
    format!(
        "{kinds} → {}",
        if stages.is_empty() { "nobody is asked".to_owned() } else { stages.join(", then ").to_lowercase() }
    )
}

/// `POST /settings/drafts/{id}`
pub async fn change(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    let permit = permit::<op::ProposeSetting>(&mut tx, &me.actor(), Object::None).await?;
    let mut draft = found(&mut tx, &me, id).await?;
    let here = format!("/settings/drafts/{id}");
    if fields.text("what") == "discard" {
        proposed::discard(&mut tx, &permit, id).await?;
        tx.commit().await?;
        return viewer::see_saying(&state, "/settings", Said::Discarded);
    }
    let sections = spec::form(&draft.subject);
    let mut errors = match sections.is_empty() {
        true => FormErrors::default(),
        false => fill::carry(&mut tx, &me, &sections, &fields, &mut draft.body).await?,
    };
    let moved = moved(&mut draft, fields.text("what"));
    match proposed::normal(&draft.subject, &draft.body) {
        Ok(body) => draft.body = body,
        Err(wrong) if errors.is_empty() => errors.add(wrong.field, wrong.message),
        Err(_) => {}
    }
    if !errors.is_empty() {
        drop(tx);
        return show(&state, &me, id, StatusCode::UNPROCESSABLE_ENTITY, (errors, Some(fields))).await;
    }
    proposed::keep(&mut tx, me.now, &permit, (id, &draft.body)).await?;
    if fields.text("what") == "test" {
        // The draft is kept first, also where the tests are refused.
        tx.commit().await?;
        let mut tx = state.pool.begin().await?;
        letters::send(&mut tx, &me, (&draft.subject, &draft.body), (fields.text("letter"), &here)).await?;
        tx.commit().await?;
        return viewer::see_saying(&state, &here, Said::TestsSent);
    }
    if moved || fields.text("what") != "propose" {
        tx.commit().await?;
        return Ok(viewer::see(&here));
    }
    let from_at = match fields.date("from") {
        Ok(day) => day.map(|day| midnight(&me, day)),
        Err(message) => {
            errors.add("from", message);
            None
        }
    };
    let base_version = fields.text("base").parse().unwrap_or(-1);
    let new = NewProposal { draft: &draft, base_version, note: fields.raw("note"), from_at };
    let proposal = match errors.is_empty() {
        true => proposed::propose(&mut tx, me.now, &permit, &new).await,
        false => Err(CatalogError::Conflict("")),
    };
    match proposal {
        Ok(proposal) => {
            mail::settings::proposed(&mut tx, me.now, proposal).await?;
            tx.commit().await?;
            return viewer::see_saying(&state, &format!("/settings/proposals/{proposal}"), Said::SettingProposed);
        }
        Err(CatalogError::Invalid { wrong, .. }) => {
            wrong.into_iter().for_each(|wrong| errors.add(wrong.field, wrong.message));
        }
        Err(CatalogError::Conflict(why)) if !why.is_empty() => errors.add("", why),
        Err(CatalogError::Conflict(_)) => {}
        Err(other) => return Err(other.into()),
    }
    // What was typed is kept, though it could not be proposed.
    drop(tx);
    let mut tx = state.pool.begin().await?;
    proposed::keep(&mut tx, me.now, &permit, (id, &draft.body)).await?;
    tx.commit().await?;
    show(&state, &me, id, StatusCode::UNPROCESSABLE_ENTITY, (errors, Some(fields))).await
}

/// The beginning of a day where the viewer works.
fn midnight(me: &SignedIn, day: chrono::NaiveDate) -> DateTime<Utc> {
    let local = day.and_time(NaiveTime::MIN);
    me.live.zone.from_local_datetime(&local).earliest().map_or_else(|| local.and_utc(), |at| at.with_timezone(&Utc))
}

/// Moves or removes a rule of a list: `up:3`, `down:3`, `remove:3`. False where that is not what was pressed.
fn moved(draft: &mut Draft, what: &str) -> bool {
    let Some((what, at)) = what.split_once(':').and_then(|(what, at)| Some((what, at.parse::<usize>().ok()?))) else {
        return false;
    };
    let list = spec::list(&draft.subject).and_then(|list| draft.body.get_mut(list)).and_then(Json::as_array_mut);
    let Some(rules) = list.filter(|rules| at < rules.len()) else { return false };
    match what {
        "up" if at > 0 => rules.swap(at, at - 1),
        "down" if at + 1 < rules.len() => rules.swap(at, at + 1),
        "remove" => drop(rules.remove(at)),
        _ => {}
    }
    true
}

async fn rule_sections(conn: &mut PgConnection, subject: &Subject) -> Result<Vec<Section>, Error> {
    let sites = people::sites(conn).await?.into_iter().map(|site| site.code).collect();
    let places = Places { departments: people::departments(conn).await?, sites };
    Ok(spec::rule(subject, &places))
}

/// The rule at that place of the draft: its body and place; `new` is one behind the last.
fn rule_at(draft: &Draft, rule: &str) -> Result<(&'static str, usize, Json), Error> {
    let list = spec::list(&draft.subject).ok_or_else(Error::not_found)?;
    let rules = draft.body[list].as_array().map(Vec::as_slice).unwrap_or_default();
    match rule {
        "new" => Ok((list, rules.len(), json!({}))),
        at => {
            let at: usize = at.parse().map_err(|_| Error::not_found())?;
            Ok((list, at, rules.get(at).ok_or_else(Error::not_found)?.clone()))
        }
    }
}

/// `GET /settings/drafts/{id}/rules/{rule}`
pub async fn rule_page(
    State(state): State<AppState>,
    Path((id, rule)): Path<(Uuid, String)>,
    me: SignedIn,
) -> Result<Response, Error> {
    show_rule(&state, &me, (id, &rule), StatusCode::OK, (FormErrors::default(), None)).await
}

async fn show_rule(
    state: &AppState,
    me: &SignedIn,
    (id, rule): (Uuid, &str),
    status: StatusCode,
    (errors, typed): (FormErrors, Option<Fields>),
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::ProposeSetting>(&mut conn, &me.actor(), Object::None).await?;
    let draft = found(&mut conn, me, id).await?;
    let (_, _, body) = rule_at(&draft, rule)?;
    let sections = rule_sections(&mut conn, &draft.subject).await?;
    let fields = match typed {
        Some(typed) => typed,
        None => fill::typed(&mut conn, &sections, &body).await?,
    };
    let title = named(&mut conn, &draft.subject).await?;
    let here = body["name"].as_str().unwrap_or("A new rule").to_owned();
    let page = RulePage {
        crumbs: vec![
            Crumb::to("Settings", "/settings"),
            Crumb::to(format!("{title}: draft"), format!("/settings/drafts/{id}")),
            Crumb::here(&here),
        ],
        sections: fill::shown(&sections, &fields, &errors),
        errors,
        action: format!("/settings/drafts/{id}/rules/{rule}"),
        back: format!("/settings/drafts/{id}"),
        shell: me.shell(state, &mut conn, here.clone(), Nav::Settings).await?,
        title: here,
    };
    viewer::page_with(status, &page)
}

/// `POST /settings/drafts/{id}/rules/{rule}`
pub async fn change_rule(
    State(state): State<AppState>,
    Path((id, rule)): Path<(Uuid, String)>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    let permit = permit::<op::ProposeSetting>(&mut tx, &me.actor(), Object::None).await?;
    let mut draft = found(&mut tx, &me, id).await?;
    let (list, at, mut body) = rule_at(&draft, &rule)?;
    let sections = rule_sections(&mut tx, &draft.subject).await?;
    let mut errors = fill::carry(&mut tx, &me, &sections, &fields, &mut body).await?;
    let mut whole = draft.body.clone();
    if let Some(rules) = whole.get_mut(list).and_then(Json::as_array_mut) {
        if at < rules.len() { rules[at] = body } else { rules.push(body) }
    }
    if errors.is_empty() {
        let checked = match proposed::normal(&draft.subject, &whole) {
            Ok(normal) => {
                whole = normal;
                proposed::check(&mut tx, &draft.subject, &whole).await
            }
            Err(wrong) => Err(CatalogError::Invalid { kind: "proposed", wrong: vec![wrong] }),
        };
        match checked {
            // Another rule may still want mending: this one is kept all the same.
            Err(CatalogError::Invalid { wrong, .. }) => {
                let here = format!("{list}.{at}.");
                for wrong in wrong {
                    match wrong.field.strip_prefix(&here) {
                        Some("stages") => errors.add("stages.0.role", wrong.message),
                        Some(field) => errors.add(field, wrong.message),
                        None if wrong.field.is_empty() => errors.add("", wrong.message),
                        None => {}
                    }
                }
            }
            Err(other) => return Err(other.into()),
            Ok(()) => {}
        }
    }
    if !errors.is_empty() {
        drop(tx);
        return show_rule(&state, &me, (id, &rule), StatusCode::UNPROCESSABLE_ENTITY, (errors, Some(fields))).await;
    }
    draft.body = whole;
    proposed::keep(&mut tx, me.now, &permit, (id, &draft.body)).await?;
    tx.commit().await?;
    Ok(viewer::see(&format!("/settings/drafts/{id}")))
}
