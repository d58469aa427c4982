//! Target systems: one's page, and having its connection checked by a worker.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::settings;
use super::view::forms::FormErrors;
use super::view::parts::{Badge, Crumb, Fact, Facts, Link};
use super::view::shell::Nav;
use super::view::states;
use super::view::systems::{CheckFragment, EarlierCheck, FindingRow, TargetPage};
use super::viewer::{self, Posted, SignedIn};
use super::{AppState, Error, Fields, words};
use crate::access::{Object, Operation, op, permit};
use crate::catalog::proposals::Subject;
use crate::catalog::{self, TargetSystem};
use crate::checks::{self, Check, CheckError, Finding, Health};
use crate::connectors::ad::escape::is_name;
use crate::mirror::look::{self, Freshness};
use crate::target::{Capability, Kind, SystemKey};
use crate::targets;

/// How long a check may wait before the page wonders whether a worker runs.
const UNTAKEN: TimeDelta = TimeDelta::seconds(5);
/// Answered checks that are listed.
const EARLIER: i64 = 6;

impl From<CheckError> for Error {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Denied(denied) => denied.into(),
            CheckError::Database(error) => error.into(),
            CheckError::Evidence(error) => Error::broken(error),
        }
    }
}

/// `/system/{key}`
pub fn address(key: &SystemKey) -> String {
    format!("/system/{}", words::segment(&key.0))
}

/// The word for how a system does ([`states::health`]).
pub fn health(system: &TargetSystem, seen: Option<&Freshness>) -> &'static str {
    let observes = system.held_back || system.mode == "observe_only";
    match (seen, seen.and_then(|seen| seen.failing_since)) {
        (_, Some(_)) => "down",
        (None, None) => "off",
        _ if observes => "observing",
        _ => "up",
    }
}

/// `GET /system/{key}`
pub async fn page(State(state): State<AppState>, Path(key): Path<String>, me: SignedIn) -> Result<Response, Error> {
    show(&state, &me, SystemKey(key), StatusCode::OK, (FormErrors::default(), String::new())).await
}

async fn show(
    state: &AppState,
    me: &SignedIn,
    key: SystemKey,
    status: StatusCode,
    (errors, units): (FormErrors, String),
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeSystem>(&mut conn, &me.actor(), Object::None).await?;
    let system = catalog::find_system(&mut conn, &key).await?.ok_or_else(Error::not_found)?;
    let seen = look::freshness(&mut conn).await?.into_iter().find(|seen| seen.system == key.0);
    let subject = Subject::System(key.clone());
    let (versions, proposals) = settings::history(&mut conn, me, &subject).await?;
    let setting = format!("/settings/{}", words::segment(&subject.to_string()));
    let title = format!("{} · {key}", system.name);
    let page = TargetPage {
        crumbs: vec![Crumb::to("System", "/system"), Crumb::here(&title)],
        state: states::health(health(&system, seen.as_ref())),
        summary: mode(&system).to_owned(),
        errors,
        may_check: me.may(Operation::CheckSystem),
        has_units: key.family() == "ad",
        units,
        check: last_check(&mut conn, me, &key).await?,
        earlier: earlier(&mut conn, me, &key).await?,
        reach: reach(&system),
        mirror: mirrored(&mut conn, me, &system, seen.as_ref()).await?,
        kinds: Facts(targets::capabilities(&key).iter().map(kind).collect()),
        set: set(&system),
        subject: subject.to_string(),
        proposes: me.may(Operation::ProposeSetting),
        setting: Link::new("The setting and its versions", setting),
        versions,
        proposals,
        shell: me.shell(state, &mut conn, title.clone(), Nav::System).await?,
        title,
    };
    viewer::page_with(status, &page)
}

fn mode(system: &TargetSystem) -> &'static str {
    match (system.held_back, system.mode.as_str()) {
        (_, "observe_only") => {
            "Observe only, by the configuration: Tenure reads, compares and plans, and writes nothing."
        }
        (true, _) => "Observe only, by a setting: Tenure reads, compares and plans, and writes nothing.",
        _ => "Managed: Tenure reads, and writes what was decided.",
    }
}

fn listed(units: &[String], none: &str) -> Fact {
    match units {
        [] => Fact::new("", none),
        [first, rest @ ..] => rest.iter().fold(Fact::code("", first), Fact::also),
    }
}

fn set(system: &TargetSystem) -> Facts {
    let observes = match (system.mode.as_str(), system.held_back) {
        ("observe_only", _) => "yes, by the configuration",
        (_, true) => "yes, by a setting",
        _ => "no",
    };
    let mut facts = vec![Fact::new("Observe only", observes)];
    if system.key.family() == "ad" {
        let whole = "everything below the base";
        facts.push(Fact { term: "Units in scope".to_owned(), ..listed(&system.scope.units, whole) });
        facts.push(Fact { term: "Units excluded".to_owned(), ..listed(&system.scope.excluded, "none") });
    }
    Facts(facts)
}

fn reach(system: &TargetSystem) -> Facts {
    let facts = &system.facts;
    let mut found = vec![Fact::code("Key", &system.key.0)];
    if let [first, rest @ ..] = facts.addresses.as_slice() {
        found.push(rest.iter().fold(Fact::code("Address", first), Fact::also));
    }
    found.extend(facts.account.as_ref().map(|account| Fact::code("Account", account)));
    found.extend(facts.base.as_ref().map(|base| Fact::code("Base", base)));
    found.extend(facts.flavour.as_ref().map(|flavour| Fact::new("Kind", flavour.replace('_', " "))));
    found.extend(facts.directory.as_ref().map(|key| Fact::code("Directory", &key.0).href(address(key))));
    found.extend(facts.mail_domain.as_ref().map(|domain| Fact::code("Mail domain", domain)));
    if facts.addresses.is_empty() {
        found.push(Fact::new("Address", "told by a worker when it starts"));
    }
    Facts(found)
}

/// What it can do with one kind of thing.
fn kind(capability: &Capability) -> Fact {
    let what = match capability.kind {
        Kind::User => "Accounts",
        Kind::Group => "Groups",
        Kind::Membership => "Memberships",
        Kind::Mailbox => "Mailboxes",
        Kind::AutoReply => "Answers while away",
        Kind::Booking => "Booking rules",
        Kind::List => "Lists",
        Kind::ListMembership => "Members of lists",
        Kind::MailboxPermission => "Rights on mailboxes",
        Kind::FolderPermission => "Rights on folders",
    };
    let can = match (capability.kind, capability.writable.len()) {
        (Kind::Group, 0) => "read".to_owned(),
        (Kind::AutoReply | Kind::Booking, _) => "read when needed, and changed".to_owned(),
        (Kind::User | Kind::Mailbox | Kind::List, many) => {
            format!("read, made and changed: {}", words::count(many, "attribute", "attributes"))
        }
        _ => "read, given and taken".to_owned(),
    };
    Fact::new(what, can)
}

async fn mirrored(
    conn: &mut PgConnection,
    me: &SignedIn,
    system: &TargetSystem,
    seen: Option<&Freshness>,
) -> Result<Facts, Error> {
    let counts = sqlx::query!(
        r#"select (select count(*) from account where system = $1 and gone_at is null) as "accounts!",
                  (select count(*) from account where system = $1 and gone_at is null and person is not null) as "linked!",
                  (select count(*) from account a join target_system t on t.key = a.system
                    where a.system = $1 and a.gone_at is null and t.scope <> '{}' and not in_scope(a.dn, t.scope)) as "outside!",
                  (select count(*) from directory_group where system = $1 and gone_at is null) as "groups!",
                  (select count(*) from mailbox where system = $1 and gone_at is null) as "mailboxes!",
                  (select count(*) from mailing_list where system = $1 and gone_at is null) as "lists!""#,
        system.key.0
    )
    .fetch_one(conn)
    .await?;
    let mut facts = Vec::new();
    if system.key.family() == "exchange" {
        facts.push(Fact::new("Mailboxes", counts.mailboxes.to_string()));
        facts.push(Fact::new("Lists", counts.lists.to_string()));
    } else {
        facts.push(Fact::new("Accounts", counts.accounts.to_string()).also(format!("{} of people", counts.linked)));
        facts.push(Fact::new("Groups", counts.groups.to_string()));
        if !system.scope.is_whole() {
            let outside = Fact::new("Accounts outside the units in scope", counts.outside.to_string());
            facts.push(if me.may(Operation::SeeAdoption) { outside.href("/adoption?view=outside") } else { outside });
        }
    }
    let Some(seen) = seen else {
        facts.push(Fact::new("Last looked", "never: no worker has read it yet"));
        return Ok(Facts(facts));
    };
    facts.extend(seen.looked_at.map(|at| Fact::new("Last looked", me.when(at).relative).also(me.when(at).exact)));
    facts.extend(seen.server.as_ref().map(|server| Fact::code("On", server)));
    facts.push(Fact::new("Mirror’s position", seen.position.to_string()));
    if let Some(at) = seen.failing_since {
        let fact = Fact::new("Failing since", me.when(at).exact);
        facts.push(seen.failure.iter().fold(fact, Fact::also));
    }
    Ok(Facts(facts))
}

/// How the findings stand together.
fn verdict(findings: &[Finding]) -> Badge {
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    match (count(Health::Ill), count(Health::Doubtful), count(Health::Well)) {
        (0, 0, well) => Badge::ok(format!("{well} well")),
        (0, doubtful, _) => Badge::warn(format!("{doubtful} doubtful")),
        (ill, ..) => Badge::bad(format!("{ill} to mend")),
    }
}

fn finding(finding: &Finding) -> FindingRow {
    FindingRow {
        state: match finding.state {
            Health::Well => Badge::ok("well"),
            Health::Doubtful => Badge::warn("doubtful"),
            Health::Ill => Badge::bad("to mend"),
        },
        text: finding.text.clone(),
        mend: finding.mend.join("\n"),
    }
}

async fn earlier(conn: &mut PgConnection, me: &SignedIn, key: &SystemKey) -> Result<Vec<EarlierCheck>, Error> {
    let checks = checks::latest(conn, key, EARLIER).await?;
    let row = |check: &Check| {
        let when = me.when(check.finished_at?);
        Some(EarlierCheck { state: verdict(check.findings()), when, by: format!("asked by {}", check.asked_by_name) })
    };
    Ok(checks.iter().skip(1).filter_map(row).collect())
}

async fn last_check(conn: &mut PgConnection, me: &SignedIn, key: &SystemKey) -> Result<CheckFragment, Error> {
    let mut fragment = CheckFragment {
        address: format!("{}/checks", address(key)),
        open: false,
        state: None,
        summary: "Nobody has tested this connection yet.".to_owned(),
        asked: None,
        took: String::new(),
        findings: Vec::new(),
    };
    let Some(check) = checks::latest(conn, key, 1).await?.pop() else { return Ok(fragment) };
    fragment.open = check.is_open();
    fragment.asked = Some((check.asked_by_name.clone(), me.when(check.asked_at)));
    let Some(finished) = check.finished_at else {
        (fragment.state, fragment.summary) = waiting(me, &check, last_sign(conn).await?);
        return Ok(fragment);
    };
    if let Some(started) = check.started_at {
        let seconds = (finished - started).as_seconds_f64().max(0.0);
        fragment.took = format!(" It took {seconds:.1} s.");
    }
    // What is to be mended first; each kind in the order of looking.
    let mut found: Vec<&Finding> = check.findings().iter().collect();
    found.sort_by_key(|finding| match finding.state {
        Health::Ill => 0,
        Health::Doubtful => 1,
        Health::Well => 2,
    });
    fragment.state = Some(verdict(check.findings()));
    fragment.summary = format!("Tested {}.", me.when(finished).relative);
    fragment.findings = found.into_iter().map(finding).collect();
    Ok(fragment)
}

/// The last sign of life of any worker.
async fn last_sign(conn: &mut PgConnection) -> Result<Option<DateTime<Utc>>, Error> {
    Ok(sqlx::query_scalar!("select max(beat_at) from worker_heartbeat").fetch_one(conn).await?)
}

fn waiting(me: &SignedIn, check: &Check, sign: Option<DateTime<Utc>>) -> (Option<Badge>, String) {
    let life = sign.map_or("No worker has ever given a sign of life.".to_owned(), |at| {
        format!("The last sign of life of a worker: {}.", me.when(at).relative)
    });
    match &check.worker {
        None if me.now - check.asked_at > UNTAKEN => {
            (Some(Badge::bad("not answered")), format!("No worker has taken it up; the next that runs will. {life}"))
        }
        None => (Some(Badge::info("waits")), "It waits for a worker.".to_owned()),
        Some(_) if check.silent => {
            let text = format!("The worker that took it up went silent; the next begins again. {life}");
            (Some(Badge::bad("not answered")), text)
        }
        Some(_) => (Some(Badge::info("running")), "A worker is at it.".to_owned()),
    }
}

/// `GET /system/{key}/checks`: the last check, for a page that waits for it.
pub async fn check(State(state): State<AppState>, Path(key): Path<String>, me: SignedIn) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeSystem>(&mut conn, &me.actor(), Object::None).await?;
    let key = SystemKey(key);
    catalog::find_system(&mut conn, &key).await?.ok_or_else(Error::not_found)?;
    viewer::page(&last_check(&mut conn, &me, &key).await?)
}

/// `POST /system/{key}/checks`
pub async fn ask(
    State(state): State<AppState>,
    Path(key): Path<String>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let key = SystemKey(key);
    let units = match units(&fields) {
        Ok(units) => units,
        Err(message) => {
            let mut errors = FormErrors::default();
            errors.add("units", message);
            let typed = fields.raw("units").to_owned();
            return show(&state, &me, key, StatusCode::UNPROCESSABLE_ENTITY, (errors, typed)).await;
        }
    };
    let mut tx = state.pool.begin().await?;
    let permit = permit::<op::CheckSystem>(&mut tx, &me.actor(), Object::None).await?;
    checks::ask(&mut tx, me.now, &permit, (&key, &units)).await?;
    tx.commit().await?;
    Ok(viewer::see(&format!("{}#connection", address(&key))))
}

/// Units asked about, one on a line.
fn units(fields: &Fields) -> Result<Vec<String>, String> {
    let lines = fields.raw("units").lines().map(str::trim).filter(|line| !line.is_empty());
    let units: Vec<String> = lines.map(str::to_owned).collect();
    match units.iter().find(|unit| !is_name(unit)) {
        Some(wrong) => Err(format!("“{wrong}” is not a name such as OU=Staff,DC=corp,DC=example,DC=com")),
        None if units.len() > 50 => Err("At most 50 units at once".to_owned()),
        None => Ok(units),
    }
}
