//! Persons: the list, one person, the team, the org chart, and searching.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::response::Response;
use axum_extra::extract::Query;
use sqlx::PgConnection;

use super::lookup::{self, Find, Line};
use super::requests::{ROWS, links};
use super::view::lists::Tab;
use super::view::parts::{Count, Crumb, Empty, Fact, Facts, Link, Person};
use super::view::people::{AccountRow, HeldRow, OpenRequest, PastChange, PeoplePage, PersonPage, PersonRow};
use super::view::request::{MenuAction, Notice};
use super::view::shell::Nav;
use super::view::states;
use super::view::{Timeline, Tone};
use super::viewer::{self, SignedIn};
use super::{AppState, Error, Fields, cursor, words};
use crate::access::{self, Actor, Object, Operation, op, permit};
use crate::catalog;
use crate::evidence::{action, history};
use crate::grants;
use crate::grants::together::{Together, together};
use crate::ids::PersonId;
use crate::mirror::look;
use crate::requests::list::{Filter, Sort, list};

/// Whom the list's fields ask for; whether the viewer sees people fully, and the view that they may have.
pub fn find<'a>(me: &SignedIn, fields: &'a Fields) -> (bool, &'a str, Find) {
    // Whether somebody leaves or lacks an account is seen by those who see them fully.
    let wide = me.may(Operation::SeeQueue) || me.may(Operation::SeeSettings);
    let view = if wide { fields.text("view") } else { "" };
    let find = Find {
        search: fields.text("q").to_owned(),
        joining: view == "joining",
        leaving: view == "leaving",
        without_account: view == "none",
        left: view == "left",
        here: view.is_empty() && !wide,
        after: cursor::open(&me.live, fields.text("after")).filter(|_| fields.text("q").is_empty()),
        ..Find::default()
    };
    (wide, view, find)
}

/// `GET /people`
pub async fn people(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let fields = Fields(query);
    let mut conn = state.pool.acquire().await?;
    permit::<op::SearchPeople>(&mut conn, &me.actor(), Object::None).await?;
    let (wide, view, find) = find(&me, &fields);
    let all = lookup::count(&mut conn, &find).await?;
    let mut lines = lookup::people(&mut conn, &find, ROWS + 1).await?;
    let more = i64::try_from(lines.len()).unwrap_or(0) > ROWS && find.search.is_empty();
    lines.truncate(usize::try_from(ROWS).unwrap_or(50));
    let next = lines.last().filter(|_| more).map(|line| cursor::seal(&me.live, &(&line.name, line.id.0)));
    let tab = |key: &str, label: &str| {
        let href = if key.is_empty() { "/people".to_owned() } else { format!("/people?view={key}") };
        Tab::new(label, None, href, view == key)
    };
    let mut tabs = vec![tab("", "All")];
    if wide {
        tabs.extend([
            tab("joining", "Joining"),
            tab("leaving", "Leaving"),
            tab("none", "Without an account"),
            tab("left", "Left"),
        ]);
    }
    let mut places = vec![Link::new("Org chart", "/org")];
    if me.may(Operation::SeeAdoption) {
        places.push(Link::new("Accounts without a person", "/adoption"));
    }
    if me.may(Operation::ChangePerson) {
        places.push(Link::new("New person", "/people/new"));
    }
    if me.may(Operation::ImportPeople) {
        places.push(Link::new("Import people …", "/people/import"));
    }
    if me.may(Operation::SeeErasures) {
        places.push(Link::new("Erasures", "/erasures"));
    }
    let page = PeoplePage {
        summary: if all == 1 {
            "1 person".to_owned()
        } else {
            format!("{} people", Count::up_to(all, lookup::COUNTED))
        },
        tabs,
        query: find.search.clone(),
        view: view.to_owned(),
        rows: lines.iter().map(|line| person_row(&me, line, wide)).collect(),
        pager: links("/people", &fields, next),
        empty: Empty::new("Nobody found", "Try another spelling; accents and capitals do not matter."),
        places,
        shell: me.shell(&state, &mut conn, "People", Nav::People).await?,
    };
    viewer::page(&page)
}

fn person_row(me: &SignedIn, line: &Line, wide: bool) -> PersonRow {
    let employment = line.employment.as_ref();
    let manager = employment.and_then(|e| Some(Person::to(e.manager_name.clone()?, format!("/people/{}", e.manager?))));
    PersonRow {
        person: Person::to(&line.name, line.href()),
        user_name: line.key.clone().unwrap_or_default(),
        title: employment.map_or(String::new(), |e| e.title.clone()),
        department: employment.map_or(String::new(), |e| e.department.clone()),
        site: employment.map_or(String::new(), |e| e.site.clone()),
        manager,
        badge: if wide { line.badge(me.today()) } else { None },
    }
}

/// `GET /people/{id}`
pub async fn person(State(state): State<AppState>, Path(id): Path<PersonId>, me: SignedIn) -> Result<Response, Error> {
    let mut tx = state.reading().await?;
    let conn = &mut *tx;
    let actor = me.actor();
    permit::<op::SeePerson>(conn, &actor, Object::Person(id)).await?;
    let may = May::of(conn, &actor, id).await?;
    let fully = may.they(Operation::SeePersonFully);
    let line = lookup::person(conn, id).await?.ok_or_else(Error::not_found)?;
    let accounts = if fully { look::accounts_of(conn, id).await? } else { Vec::new() };
    let held = if fully { held(conn, &me, id).await? } else { Vec::new() };
    let open = open_requests(conn, &me, id).await?;
    let direct = Find { team_of: Some(id), direct: true, here: true, ..Find::default() };
    let reports = lookup::people(conn, &direct, 100).await?;
    let page = PersonPage {
        crumbs: vec![Crumb::to("People", "/people"), Crumb::here(&line.name)],
        id: id.to_string(),
        name: line.name.clone(),
        summary: summary(&me, &line, fully),
        state: (fully || matches!(line.state.as_str(), "left" | "erased")).then(|| line.badge(me.today())).flatten(),
        buttons: buttons(&may, &line),
        changes: changes(&may, &line),
        notices: all_notices(conn, (&me, &may), &line, fully.then_some(&accounts)).await?,
        seen: accounts
            .iter()
            .map(|account| account.seen_at)
            .max()
            .map_or(String::new(), |at| format!("changed {}", me.when(at).relative)),
        accounts: accounts.iter().map(|account| account_row(&me, account)).collect(),
        may_look: false,
        held_summary: words::count(held.len(), "entitlement", "entitlements"),
        held,
        held_hidden: !fully,
        now: Timeline::default(),
        open,
        facts: facts(&line, fully),
        reports: reports.iter().map(|line| Person::to(&line.name, line.href())).collect(),
        history: past(conn, &me, &accounts).await?,
        shell: me.shell(&state, conn, line.name.clone(), Nav::People).await?,
    };
    viewer::page(&page)
}

/// What the viewer may do about somebody: asked at once, for what the page offers.
struct May(Vec<Operation>);

/// What a person's page offers.
const OFFERED: [Operation; 9] = [
    Operation::SeePersonFully,
    Operation::ChangePerson,
    Operation::GiveRole,
    Operation::AskUnlock,
    Operation::AskPasswordReset,
    Operation::AskAccess,
    Operation::AskLeaver,
    Operation::ProposeErasure,
    Operation::DelegateFor,
];

impl May {
    async fn of(conn: &mut PgConnection, actor: &Actor, person: PersonId) -> Result<Self, Error> {
        let allowed = access::allowed(conn, actor, Object::Person(person), OFFERED).await?;
        Ok(Self(OFFERED.into_iter().zip(allowed).filter_map(|(operation, may)| may.then_some(operation)).collect()))
    }

    /// One of [`OFFERED`].
    fn they(&self, operation: Operation) -> bool {
        debug_assert!(OFFERED.contains(&operation), "{operation:?} was not asked for");
        self.0.contains(&operation)
    }
}

fn summary(me: &SignedIn, line: &Line, fully: bool) -> String {
    if line.state == "erased" {
        return "Their personal values have been erased; what happened stays, under this name".to_owned();
    }
    let Some(employment) = &line.employment else { return "No employment is known".to_owned() };
    let mut parts = vec![line.position()];
    parts.extend(employment.manager_name.iter().map(|name| format!("reports to {name}")));
    if fully {
        parts.push(format!("since {}", super::view::parts::short_day(employment.first_day, me.today())));
        parts.extend(employment.last_day.map(|day| format!("until {}", super::view::parts::long_day(day))));
    }
    parts.join(" · ")
}

fn facts(line: &Line, fully: bool) -> Facts {
    if line.state == "erased" {
        return Facts(vec![Fact::code("Id", line.id.to_string())]);
    }
    let mut facts = Vec::new();
    let mut add =
        |term: &str, value: Option<String>| facts.extend(value.filter(|v| !v.is_empty()).map(|v| Fact::new(term, v)));
    add("Mail", line.mail.clone());
    add("Phone", line.phone.clone());
    if fully {
        add("Employee number", line.employee_number.clone());
        add("Contract", line.employment.as_ref().map(|e| e.kind.clone()));
        add("First day", line.employment.as_ref().map(|e| super::view::parts::long_day(e.first_day)));
        add("Last day", line.employment.as_ref().and_then(|e| e.last_day).map(super::view::parts::long_day));
        add("Known from", Some(line.source.clone()));
    }
    if let Some((name, id)) = line.employment.as_ref().and_then(|e| Some((e.manager_name.clone()?, e.manager?))) {
        facts.push(Fact::new("Manager", name).href(format!("/people/{id}")));
    }
    Facts(facts)
}

/// Who decides for them while they are away, for everybody; the rest for those who see them fully.
async fn all_notices(
    conn: &mut PgConnection,
    (me, may): (&SignedIn, &May),
    line: &Line,
    accounts: Option<&Vec<look::Account>>,
) -> Result<Vec<Notice>, Error> {
    let away = super::away::of_person(conn, me, line.id).await?.into_iter();
    let mut all: Vec<Notice> =
        away.map(|text| Notice { tone: Tone::Quiet, lead: "Away.".to_owned(), text, action: None }).collect();
    if let Some(accounts) = accounts {
        all.extend(held_together(conn, (me, may), line).await?);
        all.extend(notices(conn, may, line, accounts).await?);
    }
    Ok(all)
}

/// What they hold against the rules of separation, why it matters, and where the viewer can do something about it.
async fn held_together(
    conn: &mut PgConnection,
    (me, may): (&SignedIn, &May),
    line: &Line,
) -> Result<Vec<Notice>, Error> {
    let rules = catalog::separation(conn).await?;
    let found = together(conn, &rules, Some(line.id)).await?;
    let action = if line.state == "active" && may.they(Operation::AskAccess) {
        Some(Link::new("Give up one …", format!("/requests/new/access?person={}", line.id)))
    } else {
        me.may(Operation::SeeSettings).then(|| Link::new("The rules", "/settings/separation"))
    };
    let notice = |one: Together| Notice {
        tone: Tone::Warn,
        lead: "Holds together what is kept apart:".to_owned(),
        text: format!("{} and {}, by the rule “{}”. {}", one.one, one.other, one.rule, one.reason),
        action: action.clone(),
    };
    Ok(found.into_iter().map(notice).collect())
}

/// What concerns everybody who looks. A last day by itself changes no account: only a leaver's request does.
async fn notices(
    conn: &mut PgConnection,
    may: &May,
    line: &Line,
    accounts: &[look::Account],
) -> Result<Vec<Notice>, Error> {
    let notice =
        |tone, lead: &str, text: &str| Notice { tone, lead: lead.to_owned(), text: text.to_owned(), action: None };
    let mut notices = Vec::new();
    match (line.state.as_str(), accounts.len()) {
        ("active", 0) => {
            notices.push(notice(Tone::Warn, "No account.", "Nothing in the directory is known to be theirs."));
        }
        ("left", 1..) if accounts.iter().all(|account| !account.enabled) => {
            notices.push(notice(Tone::Quiet, "Has left.", "The account is kept, disabled, until its retention ends."));
        }
        ("left", 1..) => {
            notices.push(notice(Tone::Bad, "Has left.", "An account of theirs is still enabled."));
        }
        _ => {}
    }
    let last_day = line.employment.as_ref().and_then(|employment| employment.last_day);
    let open_end = accounts.iter().any(|account| account.enabled && account.expires_at.is_none());
    let asked = sqlx::query_scalar!(
        r#"select exists (select from request where subject = $1 and kind = 'leaver'
                             and (settled_at is null or state = 'done')) as "asked!""#,
        line.id.0
    )
    .fetch_one(&mut *conn)
    .await?;
    if let Some(day) = last_day.filter(|_| line.state == "active" && open_end && !asked) {
        let mut leaves = notice(Tone::Warn, &format!("Leaves on {}.", super::view::parts::long_day(day)), "");
        "Nobody has asked for the end of their accounts: they would stay enabled.".clone_into(&mut leaves.text);
        if may.they(Operation::AskLeaver) {
            leaves.action = Some(Link::new("Leaves …", format!("/requests/new/leaver?person={}", line.id)));
        }
        notices.push(leaves);
    }
    Ok(notices)
}

fn buttons(may: &May, line: &Line) -> Vec<Link> {
    let mut buttons = Vec::new();
    if may.they(Operation::ChangePerson) && !matches!(line.state.as_str(), "withdrawn" | "erased") {
        buttons.push(Link::new("Change …", format!("/people/{}/edit", line.id)));
    }
    if may.they(Operation::GiveRole) && line.state == "active" {
        buttons.push(Link::new("Roles …", format!("/people/{}/roles", line.id)));
    }
    if line.locked && may.they(Operation::AskUnlock) {
        buttons.push(Link::new("Unlock", format!("/requests/new/unlock?person={}", line.id)));
    }
    if line.accounts > 0 && may.they(Operation::AskPasswordReset) {
        buttons.push(Link::new("Reset password …", format!("/requests/new/password_reset?person={}", line.id)));
    }
    buttons
}

fn changes(may: &May, line: &Line) -> Vec<MenuAction> {
    let mut changes = Vec::new();
    if matches!(line.state.as_str(), "left" | "withdrawn") && may.they(Operation::ProposeErasure) {
        changes.push(MenuAction::link("Erase personal data …", format!("/people/{}/erasure", line.id)).danger());
    }
    if matches!(line.state.as_str(), "left" | "withdrawn" | "erased") {
        return changes;
    }
    if may.they(Operation::DelegateFor) && line.state == "active" {
        changes.push(MenuAction::link("Who stands in …", format!("/people/{}/delegations", line.id)));
    }
    if may.they(Operation::AskAccess) {
        changes.push(MenuAction::link("Access …", format!("/requests/new/access?person={}", line.id)));
    }
    if may.they(Operation::AskLeaver) {
        changes.push(MenuAction::link("Leaves …", format!("/requests/new/leaver?person={}", line.id)));
    }
    changes
}

fn account_row(me: &SignedIn, account: &look::Account) -> AccountRow {
    let mut lines = Vec::new();
    lines.extend(account.password_set_at.map(|at| format!("password set {}", me.when(at).relative)));
    lines.extend(account.expires_at.map(|at| format!("expires {}", me.when(at).relative)));
    lines.extend(
        account.last_sign_in_at.map(|at| format!("last sign-in {} (may lag up to 14 days)", me.when(at).relative)),
    );
    if account.must_change_password {
        lines.push("must set a password at the next sign-in".to_owned());
    }
    if account.protected {
        lines.push("protected: in an administrators’ group".to_owned());
    }
    let state = if account.locked {
        "locked"
    } else if account.enabled {
        "enabled"
    } else {
        "disabled"
    };
    let mut facts = vec![Fact::code("Place", &account.dn), Fact::code("Object id", account.id.to_string())];
    facts.extend(account.upn.as_ref().map(|upn| Fact::code("Sign-in name", upn)));
    facts.extend(account.mail.as_ref().map(|mail| Fact::code("Mail", mail)));
    if let Some(rule) = &account.linked_by_rule {
        facts.push(Fact::new("Linked by", rule.replace('_', " ")));
    }
    AccountRow {
        system: words::system(&account.system),
        name: account.user_name.clone(),
        lines,
        state: states::account(state),
        facts: Facts(facts),
    }
}

async fn held(conn: &mut PgConnection, me: &SignedIn, person: PersonId) -> Result<Vec<HeldRow>, Error> {
    let held = grants::held_by(conn, person).await?;
    let mut rows: HashMap<_, HeldRow> = HashMap::new();
    for grant in held {
        let page = format!("/catalogue/{}", grant.entitlement);
        let (how, reason) = match (grant.reason.as_str(), grant.request) {
            ("rule", _) => ("birthright", Link::new(format!("rule “{}”", grant.reason_text), page.clone())),
            (_, Some(number)) => ("asked for", Link::new(format!("REQ-{number:06}"), format!("/requests/{number}"))),
            ("before_tenure", None) => ("before Tenure", Link::new("found at adoption", page.clone())),
            (_, None) => ("given", Link::new(grant.reason_text.clone(), page.clone())),
        };
        // Several grants may support one entitlement; the first is told.
        let parties = [grant.asked_by, grant.decided_by].into_iter().flatten().collect::<Vec<_>>().join(" / ");
        rows.entry(grant.entitlement).or_insert_with(|| HeldRow {
            name: grant.name,
            href: Some(page),
            sox: grant.sox,
            how: how.to_owned(),
            since: Some(me.when(grant.starts_at)),
            until: grant.until_on.map(|day| me.day(day)),
            reason,
            parties,
            badge: None,
        });
    }
    let mut rows: Vec<HeldRow> = rows.into_values().collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(rows)
}

/// The last changes to somebody's accounts, exactly as they were seen.
async fn past(conn: &mut PgConnection, me: &SignedIn, accounts: &[look::Account]) -> Result<Vec<PastChange>, Error> {
    let mut past = Vec::new();
    for account in accounts {
        let filter = history::Filter {
            action: Some(action::STEP_APPLIED.to_owned()),
            object: Some(account.id.to_string()),
            ..history::Filter::default()
        };
        for entry in history::list(conn, &filter, 5).await? {
            let Some(plan) = super::record::change(&entry, &account.display_name) else { continue };
            let link = match entry.request {
                Some(number) => Link::new(format!("REQ-{number:06}"), format!("/requests/{number}")),
                None => Link::new(words::system(&account.system), "/history"),
            };
            past.push(PastChange { when: me.when(entry.at), link, plan });
        }
    }
    Ok(past)
}

async fn open_requests(conn: &mut PgConnection, me: &SignedIn, person: PersonId) -> Result<Vec<OpenRequest>, Error> {
    let filter = Filter { open: Some(true), subject: Some(person), sort: Sort::Number, ..Filter::default() };
    let lines = list(conn, me.viewer(), &filter, 20).await?;
    let open = lines.into_iter().map(|line| OpenRequest {
        number: line.number.to_string(),
        href: format!("/requests/{}", line.number.0),
        detail: format!("{} · asked {}", states::request(&line.state).word, me.when(line.asked_at).relative),
        title: line.title,
    });
    Ok(open.collect())
}
