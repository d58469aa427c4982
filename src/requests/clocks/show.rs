//! Clocks to be looked at: what is used and left of them, in working time and in all.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::{Clock, Stands, Wait, WaitsFor, count, events};
use crate::catalog::{self, ServiceLevels, Times};
use crate::ids::RequestId;
use crate::people::{self, AllHours, Hours};
use crate::requests::list::Line;
use crate::requests::{Request, RequestError, catalog_error};

/// One clock of a request.
#[derive(Debug, Clone)]
pub struct Told {
    /// None: it stands still, and nobody knows until when.
    pub due: Option<DateTime<Utc>>,
    /// Answered, or settled.
    pub stopped: Option<DateTime<Utc>>,
    pub within: TimeDelta,
    /// The working time used so far, or until it stopped.
    pub worked: TimeDelta,
    /// All the time since it was asked for, until then.
    pub elapsed: TimeDelta,
    /// The working time by which it is over, or was.
    pub over: TimeDelta,
    /// It stands still now.
    pub waits: Option<Stands>,
}

/// The clocks of a request, response and resolution, with the site by whose calendar they count; None before there are
/// service levels.
///
/// # Errors
/// Where the database does not answer.
pub async fn told(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    request: &Request,
) -> Result<Option<([Told; 2], Hours)>, RequestError> {
    let Some(levels) = catalog::service_levels(conn).await.map_err(catalog_error)? else { return Ok(None) };
    let row = sqlx::query!(
        r#"select site, coalesce(level_kind, kind) as "kind!", waits_for, waits_until from request where id = $1"#,
        request.id.0
    )
    .fetch_one(&mut *conn)
    .await?;
    let times = levels.body.times(&row.kind, request.priority);
    let hours = counts_by(people::hours(conn).await?.of(row.site), times);
    let waits = count::waits(&events(conn, RequestId(request.id.0)).await?);
    let waiting = waiting(now, (row.waits_for.as_deref(), row.waits_until));
    let clock = |due: Option<DateTime<Utc>>, stopped: Option<DateTime<Utc>>, within: TimeDelta| {
        let clock = Clock { hours: &hours, started: request.asked_at, waits: &waits, stopped };
        one(clock, now, (due, within), waiting)
    };
    let both = [
        clock(request.respond_by, request.first_response_at.or(request.settled_at), times.respond_within()),
        clock(request.resolve_by, request.settled_at, times.resolve_within()),
    ];
    Ok(Some((both, hours)))
}

fn counts_by(hours: &Hours, times: Times) -> Hours {
    if times.around_the_clock { hours.around_the_clock() } else { hours.clone() }
}

fn one(
    clock: Clock<'_>,
    now: DateTime<Utc>,
    (due, within): (Option<DateTime<Utc>>, TimeDelta),
    waits: Option<Stands>,
) -> Told {
    let by = clock.stopped.unwrap_or(now);
    let over = due.map_or(TimeDelta::zero(), |due| clock.worked(by) - clock.worked(due.min(by)));
    Told {
        due,
        stopped: clock.stopped,
        within,
        worked: clock.worked(by),
        elapsed: (by - clock.started).max(TimeDelta::zero()),
        over,
        waits: waits.filter(|_| clock.stopped.is_none()),
    }
}

/// What is stored of a wait, as long as it lasts.
fn waiting(now: DateTime<Utc>, (waits_for, until): (Option<&str>, Option<DateTime<Utc>>)) -> Option<Stands> {
    let waits = WaitsFor::parse(waits_for?)?;
    until.is_none_or(|until| until > now).then_some((waits, until))
}

/// The next clock of a line of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It stands still.
    Stands(WaitsFor, Option<DateTime<Utc>>),
    /// The working time that is left, of how much.
    Runs { left: TimeDelta, within: TimeDelta },
    /// The working time by which it is over.
    Over(TimeDelta),
}

/// What clocks of many requests are counted by: read once for a list.
pub struct Board {
    levels: Option<ServiceLevels>,
    hours: AllHours,
}

impl Board {
    /// # Errors
    /// Where the database does not answer.
    pub async fn read(conn: &mut PgConnection) -> Result<Self, RequestError> {
        let levels = catalog::service_levels(conn).await.map_err(catalog_error)?;
        Ok(Self { levels: levels.map(|levels| levels.body), hours: people::hours(conn).await? })
    }

    /// The clock that runs out first: the response while nobody has answered, then the resolution.
    ///
    /// Needs none of a request's events: from now until it is due, nothing has happened yet.
    pub fn next(&self, now: DateTime<Utc>, line: &Line) -> Option<Left> {
        let times = self.levels.as_ref()?.times(&line.level_kind, line.priority);
        if let Some((waits, until)) = waiting(now, (line.clock_waits.as_deref(), line.clock_until)) {
            return Some(Left::Stands(waits, until));
        }
        let (due, within) = match line.first_response_at {
            None => (line.respond_by.or(line.resolve_by), times.respond_within()),
            Some(_) => (line.resolve_by, times.resolve_within()),
        };
        let (due, hours) = (due?, counts_by(self.hours.of(line.site), times));
        let clock = Clock { hours: &hours, started: due.min(now), waits: &[] as &[Wait], stopped: None };
        let between = clock.worked(due.max(now));
        Some(if due < now { Left::Over(between) } else { Left::Runs { left: between, within } })
    }
}
