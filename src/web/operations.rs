//! How the machinery does: mails on their way, connectors, the worker.

use axum::extract::{Path, State};
use axum::response::Response;
use axum_extra::extract::Query;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::requests::{ROWS, links};
use super::view::errors::Wrong;
use super::view::home::Figure;
use super::view::lists::Tab;
use super::view::operations::{MailPage, MailRow, OutboxPage, PartRow, StuckRow, SystemPage};
use super::view::parts::{Badge, Empty, Fact, Facts, Link, When};
use super::view::shell::Nav;
use super::view::states;
use super::viewer::{self, Posted, Said, SignedIn};
use super::{AppState, Error, Fields, cursor, systems, words};
use crate::access::{Object, Operation, op, permit, scope};
use crate::catalog;
use crate::mail::MailRefused;
use crate::mirror::look;

#[derive(sqlx::FromRow)]
pub struct Mail {
    pub id: Uuid,
    pub subject: String,
    pub address: String,
    pub request: Option<i64>,
    pub created_at: DateTime<Utc>,
    due_at: DateTime<Utc>,
    pub tries: i32,
    pub error: Option<String>,
    pub sent_at: Option<DateTime<Utc>>,
    pub failed_at: Option<DateTime<Utc>>,
    letter: serde_json::Value,
    test: bool,
}

const MAILS: &str = "select id, subject, address, request, created_at, due_at, tries, error, sent_at, failed_at, letter, test from outbox where true";

/// Mails, without those about a request that the viewer may not see while it is restricted and open.
fn mails(me: &SignedIn) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(MAILS);
    query.push(
        " and (request is null or exists (select from request r where r.number = outbox.request
                and (not r.restricted or r.settled_at is not null or ",
    );
    scope::visible_requests(&mut query, me.viewer());
    query.push(")))");
    query
}

impl Mail {
    fn state(&self) -> Badge {
        states::mail(match (self.sent_at, self.failed_at, self.tries) {
            (Some(_), _, _) => "sent",
            (None, Some(_), _) => "failed",
            (None, None, 0) => "queued",
            _ => "retrying",
        })
    }

    fn link(&self) -> Option<Link> {
        self.request.map(|number| Link::new(format!("REQ-{number:06}"), format!("/requests/{number}")))
    }

    fn note(&self, me: &SignedIn) -> String {
        match (&self.error, self.sent_at, self.failed_at) {
            (Some(error), None, None) => format!("{error}; tried again {}", me.when(self.due_at).relative),
            (Some(error), None, Some(_)) => error.clone(),
            _ => String::new(),
        }
    }
}

/// Mails as the list's filter has them, the newest first, older than that place.
pub async fn listed(
    conn: &mut PgConnection,
    me: &SignedIn,
    fields: &Fields,
    (after, limit): (Option<(DateTime<Utc>, Uuid)>, i64),
) -> Result<Vec<Mail>, Error> {
    let mut query = mails(me);
    query.push(match fields.text("view") {
        "waiting" => " and sent_at is null and failed_at is null",
        "failed" => " and failed_at is not null",
        _ => "",
    });
    if let Some((at, id)) = after {
        query.push(" and (created_at, id) < (").push_bind(at).push(", ").push_bind(id).push(")");
    }
    query.push(" order by created_at desc, id desc limit ").push_bind(limit);
    Ok(query.build_query_as().fetch_all(conn).await?)
}

/// `GET /outbox`
pub async fn outbox(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let fields = Fields(query);
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeOutbox>(&mut conn, &me.actor(), Object::None).await?;
    let view = fields.text("view");
    let after = cursor::open::<(DateTime<Utc>, Uuid)>(&me.live, fields.text("after"));
    let mut mails = listed(&mut conn, &me, &fields, (after, ROWS + 1)).await?;
    let more = i64::try_from(mails.len()).unwrap_or(0) > ROWS;
    mails.truncate(usize::try_from(ROWS).unwrap_or(50));
    let next = mails.last().filter(|_| more).map(|last| cursor::seal(&me.live, &(last.created_at, last.id)));
    let counts = sqlx::query!(
        r#"select count(*) filter (where sent_at is not null) as "sent!", count(*) filter (where failed_at is not null) as "failed!",
                  count(*) filter (where sent_at is null and failed_at is null) as "waiting!" from outbox"#
    )
    .fetch_one(&mut *conn)
    .await?;
    let tab = |key: &str, label: &str, count: i64| {
        let href = if key.is_empty() { "/outbox".to_owned() } else { format!("/outbox?view={key}") };
        Tab::new(label, u64::try_from(count).ok(), href, view == key)
    };
    let rows = mails.iter().map(|mail| MailRow {
        href: format!("/outbox/{}", mail.id),
        subject: mail.subject.clone(),
        to: mail.address.clone(),
        request: mail.link(),
        written: me.when(mail.created_at),
        state: mail.state(),
        note: mail.note(&me),
        tries: u32::try_from(mail.tries).unwrap_or(0),
    });
    let page = OutboxPage {
        summary: format!("{} accepted, {} waiting, {} not delivered", counts.sent, counts.waiting, counts.failed),
        tabs: vec![
            tab("", "All", counts.sent + counts.waiting + counts.failed),
            tab("waiting", "Waiting", counts.waiting),
            tab("failed", "Not delivered", counts.failed),
        ],
        rows: rows.collect(),
        pager: links("/outbox", &fields, next),
        empty: Empty::new("No mail here", "Mails appear as soon as somebody is told something."),
        shell: me.shell(&state, &mut conn, "Mail", Nav::Outbox).await?,
    };
    viewer::page(&page)
}

/// `GET /outbox/{id}`
pub async fn mail(State(state): State<AppState>, Path(id): Path<Uuid>, me: SignedIn) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeOutbox>(&mut conn, &me.actor(), Object::None).await?;
    let mut query = mails(&me);
    query.push(" and id = ").push_bind(id);
    let mail: Mail = query.build_query_as().fetch_optional(&mut *conn).await?.ok_or_else(Error::not_found)?;
    let mut facts = vec![
        Fact::code("To", &mail.address),
        Fact::new("Written", me.when(mail.created_at).exact),
        Fact::new("Tries", mail.tries.to_string()),
        Fact::state("State", mail.state()),
    ];
    if mail.test {
        facts.push(Fact::new("Test", "of a wording, to whoever tried it"));
    }
    if let Some(link) = mail.link() {
        facts.push(Fact::new("Request", link.label).href(link.href));
    }
    facts.extend(mail.sent_at.map(|at| Fact::new("Accepted", me.when(at).exact)));
    let (tries, all) = tries(&mut conn, &me, id).await?;
    let earlier = all.saturating_sub(tries.len());
    let waits = mail.sent_at.is_none() && mail.failed_at.is_none();
    // Mails of earlier versions have no tries to list: what is known is the last answer.
    match Some(mail.note(&me)).filter(|note| !note.is_empty()) {
        Some(note) if tries.is_empty() => facts.push(Fact::new("The mail server said", note)),
        Some(_) if waits => facts.push(Fact::new("Tried again", me.when(mail.due_at).relative)),
        _ => {}
    }
    let again = mail.failed_at.is_some() && mail.sent_at.is_none() && me.may(Operation::SendMailAgain);
    // What was erased cannot be sent.
    let again = again && mail.letter.as_object().is_some_and(|letter| !letter.is_empty());
    let page = MailPage {
        subject: mail.subject.clone(),
        facts: Facts(facts),
        text: crate::mail::text(mail.letter.clone(), (&state.config.web.base_url, &state.config.web.company))
            .unwrap_or_default(),
        tries,
        earlier: if earlier == 0 { String::new() } else { format!("and {earlier} earlier") },
        retry: again.then(|| format!("/outbox/{id}/retry")),
        shell: me.shell(&state, &mut conn, mail.subject.clone(), Nav::Outbox).await?,
    };
    viewer::page(&page)
}

/// How many tries at a mail are listed.
const TRIES: i64 = 10;

/// The last tries at a mail, the newest first, and how many there were.
async fn tries(
    conn: &mut PgConnection,
    me: &SignedIn,
    mail: Uuid,
) -> Result<(Vec<(When, Badge, String)>, usize), Error> {
    let rows = sqlx::query!(
        r#"select began_at, said, count(*) over () as "all!",
                  coalesce(outcome, case when began_at > now() - interval '1 minute' then 'sending' else 'unknown' end)
                      as "outcome!"
             from mail_try where mail = $1 order by began_at desc, id desc limit $2"#,
        mail,
        TRIES
    )
    .fetch_all(conn)
    .await?;
    let all = rows.first().map_or(0, |row| usize::try_from(row.all).unwrap_or(0));
    let tried = rows.into_iter().map(|row| {
        let words = match (row.outcome.as_str(), row.said) {
            ("unknown", _) => {
                "The worker stopped before the mail server answered; the next try may be a second copy.".to_owned()
            }
            (_, said) => said.unwrap_or_default(),
        };
        // Many are hours or days old: which hour says more than how long ago.
        let at = row.began_at.with_timezone(&me.live.zone).format("%a %-d %b, %H:%M").to_string();
        (When { relative: at, ..me.when(row.began_at) }, states::mail_try(&row.outcome), words)
    });
    Ok((tried.collect(), all))
}

impl From<MailRefused> for Error {
    fn from(error: MailRefused) -> Self {
        match error {
            MailRefused::Denied(denied) => denied.into(),
            MailRefused::Database(error) => error.into(),
            MailRefused::Evidence(error) => Error::broken(error),
            MailRefused::Not(why) => Error::wrong(Wrong::Conflict, why),
        }
    }
}

/// `POST /outbox/{id}/retry`
pub async fn send_again(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Posted { me, .. }: Posted,
) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    let permit = permit::<op::SendMailAgain>(&mut tx, &me.actor(), Object::None).await?;
    // Only what its page shows them.
    let mut query = mails(&me);
    query.push(" and id = ").push_bind(id);
    query.build_query_as::<Mail>().fetch_optional(&mut *tx).await?.ok_or_else(Error::not_found)?;
    crate::mail::send_again(&mut tx, me.now, &permit, id).await?;
    tx.commit().await?;
    viewer::see_saying(&state, &format!("/outbox/{id}"), Said::MailAgain)
}

/// `GET /system`
pub async fn system(State(state): State<AppState>, me: SignedIn) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeSystem>(&mut conn, &me.actor(), Object::None).await?;
    let mut parts = connectors(&mut conn, &me).await?;
    parts.push(worker(&mut conn, &me).await?);
    parts.push(post(&mut conn).await?);
    let down = parts.iter().filter(|part| part.state.word == states::health("down").word).count();
    let stuck = stuck(&mut conn, &me).await?;
    let (summary, badge) = match down {
        0 => ("Everything works".to_owned(), states::health("up")),
        down => (format!("{} not answer", words::count(down, "part does", "parts do")), states::health("down")),
    };
    let page = SystemPage {
        summary,
        state: badge,
        figures: figures(&mut conn).await?,
        parts,
        stuck,
        facts: Facts(vec![Fact::code("Version", env!("CARGO_PKG_VERSION")), Fact::new("Now", me.when(me.now).exact)]),
        shell: me.shell(&state, &mut conn, "System", Nav::System).await?,
    };
    viewer::page(&page)
}

async fn connectors(conn: &mut PgConnection, me: &SignedIn) -> Result<Vec<PartRow>, Error> {
    let fresh = look::freshness(conn).await?;
    let mut parts = Vec::new();
    for system in catalog::target_systems(conn).await? {
        let (key, name) = (&system.key.0, &system.name);
        let seen = fresh.iter().find(|fresh| fresh.system == *key);
        let failing = seen.and_then(|seen| seen.failing_since);
        let health = systems::health(&system, seen);
        let mut lines = Vec::new();
        if let Some(seen) = seen {
            lines.extend(seen.server.iter().map(|server| format!("on {server}")));
            lines.extend(seen.looked_at.map(|at| format!("last looked {}", me.when(at).relative)));
            lines.extend(failing.map(|at| format!("failing since {}", me.when(at).relative)));
            lines.extend(seen.failure.clone());
        }
        let accounts = sqlx::query_scalar!(
            r#"select count(*) as "count!" from account where system = $1 and gone_at is null"#,
            key
        )
        .fetch_one(&mut *conn)
        .await?;
        let mut facts = vec![Fact::new("Accounts", accounts.to_string())];
        facts.extend(seen.map(|seen| Fact::new("Mirror’s position", seen.position.to_string())));
        parts.push(PartRow {
            name: format!("{name} · {key}"),
            state: states::health(health),
            href: Some(systems::address(&system.key)),
            lines,
            facts: Facts(facts),
        });
    }
    Ok(parts)
}

async fn worker(conn: &mut PgConnection, me: &SignedIn) -> Result<PartRow, Error> {
    let routines = sqlx::query!("select name, worker, finished_at, failure, runs from routine order by name")
        .fetch_all(conn)
        .await?;
    let last = routines.iter().filter_map(|routine| routine.finished_at).max();
    let failing: Vec<String> = routines
        .iter()
        .filter_map(|routine| Some(format!("{}: {}", routine.name, routine.failure.as_ref()?)))
        .collect();
    let health = match last {
        None => "off",
        Some(at) if me.now - at > TimeDelta::seconds(30) => "down",
        Some(_) if !failing.is_empty() => "behind",
        Some(_) => "up",
    };
    let mut lines: Vec<String> =
        last.map(|at| format!("last sign of life {}", me.when(at).relative)).into_iter().collect();
    lines.extend(failing);
    let facts = routines.iter().map(|routine| {
        Fact::new(&routine.name, words::count(usize::try_from(routine.runs).unwrap_or(0), "run", "runs"))
    });
    Ok(PartRow {
        name: "Worker".to_owned(),
        href: None,
        state: states::health(health),
        lines,
        facts: Facts(facts.collect()),
    })
}

async fn post(conn: &mut PgConnection) -> Result<PartRow, Error> {
    let row = sqlx::query!(
        r#"select count(*) filter (where sent_at is null and failed_at is null) as "waiting!",
                  (select error from outbox where sent_at is null and error is not null order by created_at desc limit 1) as error
             from outbox"#
    )
    .fetch_one(conn)
    .await?;
    let health = if row.error.is_some() { "down" } else { "up" };
    let lines = row.error.into_iter().collect();
    let facts = Facts(vec![Fact::new("Waiting", row.waiting.to_string()).href("/outbox?view=waiting")]);
    Ok(PartRow { name: "Mail server".to_owned(), href: None, state: states::health(health), lines, facts })
}

async fn figures(conn: &mut PgConnection) -> Result<Vec<Figure>, Error> {
    let row = sqlx::query!(
        r#"select count(*) filter (where state in ('ready', 'retrying')) as "due!", count(*) filter (where state = 'running') as "running!",
                  count(*) filter (where state = 'blocked') as "blocked!" from step"#
    )
    .fetch_one(conn)
    .await?;
    let figure = |label: &str, value: i64, tone| Figure {
        label: label.to_owned(),
        value: value.to_string(),
        detail: "steps".to_owned(),
        href: None,
        tone,
    };
    Ok(vec![
        figure("Due", row.due, ""),
        figure("Running", row.running, ""),
        figure("Needs a person", row.blocked, if row.blocked > 0 { "bad" } else { "" }),
    ])
}

/// Stopped steps of requests that the viewer may see.
async fn stuck(conn: &mut PgConnection, me: &SignedIn) -> Result<Vec<StuckRow>, Error> {
    let mut query = QueryBuilder::<Postgres>::new(
        "select r.number, s.label, s.told, coalesce((select max(a.ended_at) from attempt a where a.step = s.id), r.asked_at)
           from step s join request r on r.id = s.request where s.state = 'blocked' and ",
    );
    scope::visible_requests(&mut query, me.viewer());
    query.push(" order by 4 limit 50");
    let rows: Vec<(i64, String, Option<String>, DateTime<Utc>)> = query.build_query_as().fetch_all(conn).await?;
    let stuck = rows.into_iter().map(|(number, title, why, since)| StuckRow {
        request: Link::new(format!("REQ-{number:06}"), format!("/requests/{number}")),
        title,
        why: why.unwrap_or_default(),
        since: me.when(since),
    });
    Ok(stuck.collect())
}
