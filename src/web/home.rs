//! The first page after signing in, by what the viewer is.

use axum::extract::State;
use axum::response::Response;
use chrono::{TimeDelta, Timelike};
use sqlx::PgConnection;

use super::lookup::{self, Find};
use super::view::home::{Figure, HomePage, TeamMember, TourStep, Waiting};
use super::view::lists::RequestRow;
use super::view::parts::{Badge, Count, Link, Person};
use super::view::shell::Nav;
use super::viewer::{self, SignedIn};
use super::{AppState, Error, requests, words};
use crate::access::Operation;
use crate::evidence::history;
use crate::requests::list::{COUNTED, Filter, Line, Sort, counts, list, waiting_for};

/// How far the records of a week are counted.
const RECORDS_COUNTED: i64 = 10_000;

/// `GET /`
pub async fn page(State(state): State<AppState>, me: SignedIn) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    let waits = waits(&mut conn, &me).await?;
    let (list_title, list_link, filter) = listed(&me);
    let lines = list(&mut conn, me.viewer(), &filter, 8).await?;
    let (team, team_count) = team(&mut conn, &me).await?;
    let page = HomePage {
        greeting: greeting(&me),
        figures: figures(&mut conn, &me).await?,
        waits,
        list_title: list_title.to_owned(),
        list_link: Some(list_link),
        list: lines.iter().map(|line| row(&me, line)).collect(),
        list_due: if me.may(Operation::SeeQueue) { "Next clock" } else { "Expected" },
        ask: asks(&me),
        team,
        team_count,
        places: places(&me),
        tour: if state.config.demo.enabled { tour(&mut conn, &me).await? } else { Vec::new() },
        shell: me.shell(&state, &mut conn, "Home", Nav::Home).await?,
    };
    viewer::page(&page)
}

/// The demo's five steps, each ticked off by what has really happened.
async fn tour(conn: &mut PgConnection, me: &SignedIn) -> Result<Vec<TourStep>, Error> {
    let done = sqlx::query!(
        r#"select exists (select from request where kind = 'joiner') as "asked!",
                  exists (select from decision d join item i on i.id = d.item join request r on r.id = i.request
                           where r.kind = 'joiner' and i.ordinal = 1 and d.verdict = 'approve') as "approved!",
                  exists (select from step s join request r on r.id = s.request
                           where r.kind = 'joiner' and s.name = 'account' and s.state = 'applied') as "made!",
                  exists (select from decision d join item i on i.id = d.item where i.sox) as "owned!",
                  exists (select from session e join role_holding h on h.person = e.person and h.role = 'auditor') as "read!""#
    )
    .fetch_one(conn)
    .await?;
    let step = |title: &str, text: &str, (words, href, operation): (&str, &str, Operation), done| TourStep {
        title: title.to_owned(),
        text: text.to_owned(),
        link: me.may(operation).then(|| Link::new(words, href)),
        done,
    };
    let join = ("Someone joins", "/requests/new/joiner", Operation::AskJoiner);
    let decide = ("Approvals", "/approvals", Operation::Decide);
    let watch = ("Requests", "/requests?view=all", Operation::SeeRequest);
    let prove = ("Change history", "/history", Operation::SeeHistory);
    Ok(vec![
        step("Ask for a new colleague", "As the manager, with one SOX group.", join, done.asked),
        step("Approve the account", "As the service desk: read the plan of item 1.", decide, done.approved),
        step("Watch it appear", "On the request’s page the timeline moves by itself.", watch, done.made),
        step("Decide about the SOX group", "As its owner; only then is it given.", decide, done.owned),
        step("Prove it", "As the auditor: every change, who asked and who decided.", prove, done.read),
    ])
}

fn greeting(me: &SignedIn) -> String {
    let part = match me.now.with_timezone(&me.live.zone).hour() {
        5..12 => "Good morning",
        12..18 => "Good afternoon",
        _ => "Good evening",
    };
    let name = me.viewer().name.split_whitespace().next().unwrap_or_default();
    format!("{part}, {name}")
}

/// What the list in the middle shows: the desk sees what breaches next, readers what was done lately, the rest their own.
fn listed(me: &SignedIn) -> (&'static str, Link, Filter) {
    if me.may(Operation::SeeQueue) {
        let filter = Filter { open: Some(true), sort: Sort::Clock, ..Filter::default() };
        return ("Breaches next", Link::new("The queue", "/queue"), filter);
    }
    let newest = Filter { sort: Sort::Number, ..Filter::default() };
    if me.may(Operation::SeeHistory) {
        return ("Latest requests", Link::new("All requests", "/requests?view=all"), newest);
    }
    let mine = Filter { asked_by: Some(me.viewer().person), ..newest };
    ("You asked for", Link::new("All requests", "/requests"), mine)
}

/// A line of it: to the desk with what it is sorted by.
fn row(me: &SignedIn, line: &Line) -> RequestRow {
    let row = requests::row(me, line);
    if me.may(Operation::SeeQueue) {
        RequestRow { expected: line.next_due().map(|at| me.when(at)), ..row }
    } else {
        row
    }
}

async fn waits(conn: &mut PgConnection, me: &SignedIn) -> Result<Vec<Waiting>, Error> {
    let mut waits = Vec::new();
    let person = me.viewer().person;
    let secrets = sqlx::query!(
        r#"select s.id, r.title from secret s join request r on r.id = s.request
            where s.reader = $1 and s.revealed_at is null and s.usable_at is not null and s.readable_from <= $2
              and s.expires_at > $2 and s.sealed is not null order by s.created_at limit 10"#,
        person.0,
        me.now
    )
    .fetch_all(&mut *conn)
    .await?;
    waits.extend(secrets.into_iter().map(|secret| Waiting {
        badge: Badge::ok("reveal"),
        title: secret.title,
        detail: "The password is ready; it is shown once, to you.".to_owned(),
        actions: vec![Link::new("Reveal", format!("/secrets/{}", secret.id))],
    }));
    if me.may(Operation::Decide) {
        for waiting in waiting_for(conn, me.now, person, 5).await? {
            let steps = words::count(usize::try_from(waiting.changes).unwrap_or(0), "step", "steps");
            let asked = waiting.opened_at.map_or(String::new(), |at| format!(" · asked {}", me.when(at).relative));
            waits.push(Waiting {
                badge: Badge::warn("decide"),
                title: format!("{}: {}", waiting.title, waiting.label),
                detail: format!("{} · {steps}{asked}", waiting.number),
                actions: vec![Link::new(
                    "Review",
                    format!("/requests/{}/items/{}/decision", waiting.number.0, waiting.item),
                )],
            });
        }
    }
    let sent_back =
        Filter { asked_by: Some(person), state: Some("sent_back".to_owned()), sort: Sort::Number, ..Filter::default() };
    for line in list(conn, me.viewer(), &sent_back, 5).await? {
        waits.push(Waiting {
            badge: Badge::warn("answer"),
            title: line.title,
            detail: format!("{} was sent back to you with a question", line.number),
            actions: vec![Link::new("Read and answer", format!("/requests/{}", line.number.0))],
        });
    }
    Ok(waits)
}

fn asks(me: &SignedIn) -> Vec<Link> {
    let kinds = [
        (Operation::AskJoiner, "Someone joins", "joiner"),
        (Operation::AskLeaver, "Someone leaves", "leaver"),
        (Operation::AskAccess, "Access", "access"),
        (Operation::AskPasswordReset, "Reset a password", "password_reset"),
        (Operation::AskUnlock, "Unlock an account", "unlock"),
    ];
    let asked = kinds.iter().filter(|(operation, _, _)| me.may(*operation));
    asked.map(|(_, label, kind)| Link::new(*label, format!("/requests/new/{kind}"))).collect()
}

fn places(me: &SignedIn) -> Vec<Link> {
    let places = [
        (Operation::SeeHistory, "Change history", "/history"),
        (Operation::SeeHistory, "Evidence log", "/evidence"),
        (Operation::SeeAdoption, "Accounts without a person", "/adoption"),
        (Operation::SeeSettings, "Settings", "/settings"),
        (Operation::SeeOutbox, "Mail", "/outbox"),
        (Operation::SeeSystem, "System", "/system"),
    ];
    let reads = me.may(Operation::SeeHistory) || me.may(Operation::SeeOutbox);
    places
        .iter()
        .filter(|(operation, _, _)| reads && me.may(*operation))
        .map(|(_, label, href)| Link::new(*label, *href))
        .collect()
}

async fn team(conn: &mut PgConnection, me: &SignedIn) -> Result<(Vec<TeamMember>, u32), Error> {
    if !me.may(Operation::SeeTeam) {
        return Ok((Vec::new(), 0));
    }
    let find = Find { team_of: Some(me.viewer().person), direct: true, here: true, ..Find::default() };
    let mut lines = lookup::people(conn, &find, 200).await?;
    let all = u32::try_from(lines.len()).unwrap_or(0);
    lines.sort_by_key(|line| line.badge(me.today()).is_none());
    lines.truncate(8);
    let team = lines
        .iter()
        .map(|line| TeamMember { person: Person::to(&line.name, line.href()), badge: line.badge(me.today()) });
    Ok((team.collect(), all))
}

async fn figures(conn: &mut PgConnection, me: &SignedIn) -> Result<Vec<Figure>, Error> {
    let figure = |label: &str, value: Count, detail: &str, href: &str, tone| Figure {
        label: label.to_owned(),
        value: value.to_string(),
        detail: detail.to_owned(),
        href: Some(href.to_owned()),
        tone,
    };
    let mut figures = Vec::new();
    if me.may(Operation::SeeQueue) {
        let open = Filter { open: Some(true), ..Filter::default() };
        let risk = Filter { at_risk: Some(me.now), ..open.clone() };
        let stuck = Filter { state: Some("needs_person".to_owned()), ..open.clone() };
        let free = Filter { unassigned: true, ..open.clone() };
        let counted = counts(conn, me.viewer(), [&open, &risk, &stuck, &free]).await?;
        let [open, risk, stuck, free] = counted.map(|found| Count::up_to(found, COUNTED));
        figures.push(figure("Open", open, "in the queue", "/queue", ""));
        figures.push(figure(
            "At risk",
            risk,
            "little of their time is left",
            "/queue?view=risk",
            if risk.number > 0 { "warn" } else { "" },
        ));
        figures.push(figure(
            "Needs a person",
            stuck,
            "stopped steps",
            "/queue?view=stuck",
            if stuck.number > 0 { "bad" } else { "" },
        ));
        figures.push(figure("Unassigned", free, "", "/queue?view=unassigned", ""));
    }
    if me.may(Operation::SeeAdoption) {
        let orphans = sqlx::query_scalar!(
            r#"select count(*) as "count!" from (
                   select from account where person is null and kind = 'unknown' and gone_at is null limit $1) counted"#,
            COUNTED + 1
        )
        .fetch_one(&mut *conn)
        .await?;
        figures.push(figure(
            "Without a person",
            Count::up_to(orphans, COUNTED),
            "accounts to look at",
            "/adoption",
            if orphans > 0 { "warn" } else { "" },
        ));
    }
    if me.may(Operation::SeeHistory) {
        let since = me.now - TimeDelta::days(7);
        let lately = history::Filter { from: Some(since), ..history::Filter::default() };
        let records = history::count(conn, &lately, RECORDS_COUNTED + 1).await?;
        figures.push(figure("Records", Count::up_to(records, RECORDS_COUNTED), "in the last 7 days", "/history", ""));
    }
    Ok(figures)
}
