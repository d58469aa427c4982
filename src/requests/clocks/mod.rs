//! Service clocks: how soon somebody answers a request, and how soon it is done.
//!
//! Both count the working time of one site: where the person works whom it is about, else who asked, else the company's
//! first. It is chosen when something is asked for or its answers change, and stays: whoever moves does not move the clocks
//! of what was asked before. How long they have follows from the kind and the priority.
//!
//! They stand still while all that is open waits for the requester or for a day to come. As long as anybody else could act
//! they run, so that sending back one item of ten stops nothing. The response clock ends with the first sign of life by
//! somebody who is no party; the other when the request is settled. What has ended is not counted again.
//!
//! What is stored (`respond_by`, `resolve_by`: null while nobody can say) is never adjusted. Whenever something changes, a
//! wait, the priority, the rules, the calendar, [`count`] begins anew from when it was asked and from its `clock_event`s.
//! Those are rows of their own because stages and steps are replaced when a request is planned again, and with them goes
//! what could be derived from them. A moved clock is a record.
//!
//! With what is due, the moment from which a clock is *at risk* is counted in the same way and stored beside it: when
//! [`AT_RISK`] of its working time will be used. A share, because a fixed number of hours is all that an urgent request has
//! and nothing of what a low one has. While a clock stands still it is not at risk, however late it is.

mod count;
mod show;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

pub use count::{Clock, Event, Wait, waits};
pub use show::{Board, Left, Told, told};

use super::RequestError;
use crate::catalog::{self, ServiceLevels, Times, Versioned};
use crate::evidence::{By, Facts, Record, action, append, hold};
use crate::ids::{PersonId, RequestId, RequestNumber};
use crate::people::{self, Hours};
use crate::target::Value;

/// How much of a clock's working time is used from when on it is at risk, in per cent: of eight hours an hour and a half is
/// left then, of six working days a little more than one. From there on pages warn.
pub const AT_RISK: u8 = 80;

/// The working time after which a clock is at risk.
fn until_risk(within: TimeDelta) -> TimeDelta {
    within / 100 * i32::from(AT_RISK)
}

/// Why clocks stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    Requester,
    /// A first day, a last day.
    Day,
}

impl WaitsFor {
    fn as_str(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::Day => "day",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Requester, Self::Day].into_iter().find(|waits| waits.as_str() == text)
    }
}

/// Why clocks stand still, and when they go on by themselves.
pub type Stands = (WaitsFor, Option<DateTime<Utc>>);

/// What makes clocks be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Because {
    /// Something about the request changed.
    Moved,
    /// Another priority.
    Priority,
    /// Other service levels, another calendar.
    Rules,
    /// Other answers, by which another site's calendar counts.
    Answers,
}

/// What the clocks of a new request are.
pub(super) struct Begun {
    pub site: Option<Uuid>,
    pub respond_by: DateTime<Utc>,
    pub resolve_by: DateTime<Utc>,
    /// From when on they are at risk.
    pub respond_at_risk: DateTime<Utc>,
    pub resolve_at_risk: DateTime<Utc>,
    /// What they were counted by.
    pub rules: String,
}

/// By which service levels and calendar something is counted, in one word to compare.
fn rules_word(version: i32, hours: &Hours) -> String {
    format!("{version}:{}", hours.digest)
}

/// The hours that count for a request: of where the first of these works, else of the company's first site.
async fn hours_for(conn: &mut PgConnection, people: &[Option<PersonId>]) -> Result<Hours, sqlx::Error> {
    let known: Vec<PersonId> = people.iter().flatten().copied().collect();
    let places = people::places_of(conn, &known).await?;
    let site = known.iter().find_map(|person| places.get(person)).copied();
    Ok(people::hours(conn).await?.of(site).clone())
}

/// The clocks of what is asked for now, about the first of these people and by the second.
///
/// # Errors
/// Where the database does not answer.
pub(super) async fn begin(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    people: [Option<PersonId>; 2],
    (levels, kind): (&Versioned<ServiceLevels>, &str),
) -> Result<Begun, sqlx::Error> {
    let hours = hours_for(conn, &people).await?;
    let times = levels.body.times(kind, levels.body.for_request(kind).priority);
    let counted = if times.around_the_clock { hours.around_the_clock() } else { hours.clone() };
    Ok(Begun {
        site: hours.site,
        respond_by: counted.add(now, times.respond_within()),
        resolve_by: counted.add(now, times.resolve_within()),
        respond_at_risk: counted.add(now, until_risk(times.respond_within())),
        resolve_at_risk: counted.add(now, until_risk(times.resolve_within())),
        rules: rules_word(levels.version, &hours),
    })
}

/// A request as far as its clocks go, and what it waits for now.
struct Row {
    number: RequestNumber,
    kind: String,
    priority: i16,
    asked_at: DateTime<Utc>,
    first_response_at: Option<DateTime<Utc>>,
    settled_at: Option<DateTime<Utc>>,
    respond_by: Option<DateTime<Utc>>,
    resolve_by: Option<DateTime<Utc>>,
    site: Option<Uuid>,
    waits_for: Option<String>,
    waits_until: Option<DateTime<Utc>>,
    counted: bool,
    sent_back: bool,
    /// Somebody but the requester, or the worker, can act now.
    runs: bool,
    /// The next step that waits for its day.
    next_day: Option<DateTime<Utc>>,
}

impl Row {
    async fn read(conn: &mut PgConnection, now: DateTime<Utc>, request: RequestId) -> Result<Self, sqlx::Error> {
        sqlx::query_as!(
            Row,
            r#"with open as (
                   select s.state, s.not_before
                     from step s join item i on i.id = s.item and i.plan_number = s.plan_number
                    where s.request = $1 and i.state in ('approved', 'applying')
               )
               select r.number as "number: RequestNumber", coalesce(r.level_kind, r.kind) as "kind!", r.priority, r.asked_at,
                      r.first_response_at, r.settled_at, r.respond_by, r.resolve_by, r.site, r.waits_for, r.waits_until,
                      r.clock_rules is not null as "counted!",
                      exists (select from item where request = r.id and state = 'sent_back') as "sent_back!",
                      exists (select from item where request = r.id and state in ('deciding', 'needs_person'))
                      or exists (select from open where state in ('running', 'retrying', 'blocked', 'drifted')
                                                     or (state = 'ready' and (not_before is null or not_before <= $2))) as "runs!",
                      (select min(not_before) from open where state = 'ready' and not_before > $2) as next_day
                 from request r where r.id = $1"#,
            request.0,
            now
        )
        .fetch_one(conn)
        .await
    }

    /// Why it stands still now, and when it goes on by itself.
    fn waits(&self) -> Option<Stands> {
        if self.settled_at.is_some() || self.runs {
            return None;
        }
        match (self.sent_back, self.next_day) {
            (true, next_day) => Some((WaitsFor::Requester, next_day)),
            (false, Some(day)) => Some((WaitsFor::Day, Some(day))),
            (false, None) => None,
        }
    }

    fn stored_waits(&self) -> Option<Stands> {
        let waits = self.waits_for.as_deref().and_then(WaitsFor::parse)?;
        Some((waits, self.waits_until))
    }
}

/// What a request's clocks heeded, oldest first.
async fn events(conn: &mut PgConnection, request: RequestId) -> Result<Vec<Event>, sqlx::Error> {
    sqlx::query_as!(
        Event,
        r#"select at, waits_for is not null as "stands!", until from clock_event where request = $1 order by at, id"#,
        request.0
    )
    .fetch_all(conn)
    .await
}

/// Both due times, counted from the beginning. What has ended and has a time keeps it.
fn counted(row: &Row, (hours, times): (&Hours, Times), waits: &[Wait]) -> [Option<DateTime<Utc>>; 2] {
    let of = |stopped: Option<DateTime<Utc>>, stored: Option<DateTime<Utc>>, within| {
        let clock = Clock { hours, started: row.asked_at, waits, stopped };
        stored.filter(|_| stopped.is_some()).or_else(|| clock.due(within))
    };
    [
        of(row.first_response_at.or(row.settled_at), row.respond_by, times.respond_within()),
        of(row.settled_at, row.resolve_by, times.resolve_within()),
    ]
}

/// From when on each clock is at risk, counted from the beginning too; none while nobody can say when it goes on.
fn at_risk(
    row: &Row,
    (hours, times): (&Hours, Times),
    waits: &[Wait],
    stands: Option<Stands>,
) -> [Option<DateTime<Utc>>; 2] {
    let clock = Clock { hours, started: row.asked_at, waits, stopped: None };
    [times.respond_within(), times.resolve_within()].map(|within| {
        let from = clock.due(until_risk(within))?;
        match stands {
            None => Some(from),
            // Where it was at risk before, it is again when it goes on.
            Some((_, until)) => until.map(|until| from.max(until)),
        }
    })
}

/// Brings a request's clocks up to date with what it waits for now, and with the rules where that is the reason.
///
/// The caller holds the request's lock and records what it did; a clock that moved is recorded here.
///
/// # Errors
/// Where the database refuses.
pub(super) async fn keep(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    request: RequestId,
    because: Because,
) -> Result<(), RequestError> {
    let row = Row::read(conn, now, request).await?;
    let (waits, stored) = (row.waits(), row.stored_waits());
    let unsaid = (row.first_response_at.is_some() && row.respond_by.is_none())
        || (row.settled_at.is_some() && row.resolve_by.is_none());
    if because == Because::Moved && waits == stored && !unsaid && row.counted {
        return Ok(());
    }
    // A site before its first rules has no clocks either.
    let Some(levels) = catalog::service_levels(conn).await.map_err(super::catalog_error)? else { return Ok(()) };
    if waits != stored {
        sqlx::query!(
            "insert into clock_event (id, request, at, waits_for, until) values ($1, $2, $3, $4, $5)",
            Uuid::now_v7(),
            request.0,
            now,
            waits.map(|(waits, _)| waits.as_str()),
            waits.and_then(|(_, until)| until)
        )
        .execute(&mut *conn)
        .await?;
    }
    let hours = people::hours(conn).await?.of(row.site).clone();
    let times = levels.body.times(&row.kind, row.priority);
    let by_hours = if times.around_the_clock { hours.around_the_clock() } else { hours.clone() };
    let all = count::waits(&events(conn, request).await?);
    let due = counted(&row, (&by_hours, times), &all);
    let risk = at_risk(&row, (&by_hours, times), &all, waits);
    // A wait that ended with its day is noticed by the routine alone: then nobody else has said so.
    let alone = waits != stored && because == Because::Rules;
    if alone || due != [row.respond_by, row.resolve_by] {
        append(conn, now, &moved(&row, by, (because, waits), due, &levels)).await?;
    }
    sqlx::query!(
        "update request set respond_by = $2, resolve_by = $3, waits_for = $4, waits_until = $5, site = coalesce(site, $6),
                clock_rules = $7, respond_at_risk = $8, resolve_at_risk = $9
          where id = $1",
        request.0,
        due[0],
        due[1],
        waits.map(|(waits, _)| waits.as_str()),
        waits.and_then(|(_, until)| until),
        hours.site,
        rules_word(levels.version, &hours),
        risk[0],
        risk[1]
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The record of clocks that moved: from where to where, and why.
fn moved(
    row: &Row,
    by: &By,
    (because, waits): (Because, Option<Stands>),
    due: [Option<DateTime<Utc>>; 2],
    levels: &Versioned<ServiceLevels>,
) -> Record {
    let why = match (because, waits) {
        (Because::Priority, _) => "priority",
        (Because::Rules, _) => "rules",
        (Because::Answers, _) => "answers",
        (Because::Moved, Some((waits, _))) => waits.as_str(),
        (Because::Moved, None) => "runs",
    };
    let at = |at: Option<DateTime<Utc>>| at.map_or(Value::Null, |at| at.to_rfc3339().into());
    let facts = |[respond_by, resolve_by]: [Option<DateTime<Utc>>; 2]| {
        Facts::default().plain("respond_by", at(respond_by)).plain("resolve_by", at(resolve_by))
    };
    Record {
        before: Some(facts([row.respond_by, row.resolve_by])),
        after: Some(facts(due)),
        detail: Facts::default()
            .plain("because", why)
            .plain("until", at(waits.and_then(|(_, until)| until)))
            .plain("service_levels", Value::Number(levels.version.into())),
        ..Record::of_request(action::CLOCK_MOVED, row.number.0, by.clone())
    }
}

/// The answers changed: whom it is about may work elsewhere now, and it may be of another kind to the service levels.
///
/// # Errors
/// Where the database refuses.
pub(super) async fn asked_anew(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    request: RequestId,
    (people, kind): ([Option<PersonId>; 2], &str),
) -> Result<(), RequestError> {
    let site = hours_for(conn, &people).await?.site;
    let changed = sqlx::query!(
        "update request set site = $2, level_kind = $3
          where id = $1 and (site is distinct from $2 or level_kind is distinct from $3)",
        request.0,
        site,
        kind
    )
    .execute(&mut *conn)
    .await?;
    if changed.rows_affected() == 1 { keep(conn, now, by, request, Because::Answers).await } else { Ok(()) }
}

/// How many requests are looked for at once.
const BATCH: i64 = 200;

/// Counts anew what was counted by other service levels or another calendar than those in force; returns how many.
///
/// # Errors
/// Where the database does not answer; what was counted before stays counted.
pub async fn count_again(pool: &PgPool, now: DateTime<Utc>) -> Result<usize, RequestError> {
    let by = By::routine("count-clocks");
    let mut done = 0;
    loop {
        let found = sqlx::query!(
            r#"select r.id as "id: RequestId", r.number as "number: RequestNumber"
                 from request r
                 left join site s on s.id = r.site
                cross join (select max(version) as version from setting_version where kind = 'service_levels') v
                where r.settled_at is null and v.version is not null
                  and r.clock_rules is distinct from v.version || ':' || coalesce(md5(s.zone || coalesce(s.calendar::text, '')), '')
                order by r.number limit $1"#,
            BATCH
        )
        .fetch_all(pool)
        .await?;
        for request in &found {
            let mut tx = pool.begin().await?;
            hold(&mut tx, &super::subject(request.number)).await?;
            keep(&mut tx, now, &by, request.id, Because::Rules).await?;
            tx.commit().await?;
            done += 1;
        }
        if found.len() < usize::try_from(BATCH).unwrap_or(usize::MAX) {
            return Ok(done);
        }
    }
}
