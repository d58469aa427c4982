//! What everybody should know now (something does not answer), and how much waits for the viewer.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::view::parts::Count;
use super::view::shell::Problem;
use super::{AppState, Error};
use crate::access::{Operation, Viewer, scope};
use crate::db::ByKey;

/// The last look at the machinery; every page shows it, so it is looked at only every few seconds.
#[derive(Default)]
pub struct Cache(Mutex<Option<(Instant, Option<Trouble>)>>);

const FRESH: Duration = Duration::from_secs(3);

/// Something is the matter.
#[derive(Debug, Clone)]
enum Trouble {
    Worker,
    Target { name: String, since: String },
}

/// Things are counted up to this many: nobody works by the difference, and every page would wait for the rest.
const MOST: i64 = 99;

/// How many things wait for the viewer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waiting {
    pub approvals: Count,
    pub queue: Count,
}

/// Counts for the navigation, in one statement: every page shows them.
pub async fn waiting(conn: &mut PgConnection, viewer: &Viewer) -> Result<Waiting, Error> {
    let (decides, works) = (Operation::Decide.may(&viewer.roles), Operation::SeeQueue.may(&viewer.roles));
    if !decides && !works {
        return Ok(Waiting::default());
    }
    let mut query = QueryBuilder::<Postgres>::new("select (");
    if decides {
        scope::count_waiting(&mut query, viewer, MOST + 1);
    } else {
        query.push("0::bigint");
    }
    query.push("), (");
    if works {
        query.push("select count(*) from (select from request r where r.settled_at is null and ");
        scope::visible_requests(&mut query, viewer);
        query.push(format_args!(" limit {}) open", MOST + 1));
    } else {
        query.push("0::bigint");
    }
    query.push(")");
    let mut conn = ByKey::begin(conn).await?;
    let (approvals, queue): (i64, i64) = query.build_query_as().fetch_one(&mut *conn).await?;
    conn.end().await?;
    Ok(Waiting { approvals: Count::up_to(approvals, MOST), queue: Count::up_to(queue, MOST) })
}

/// The banner, where something is the matter.
pub async fn problem(state: &AppState, conn: &mut PgConnection, viewer: &Viewer) -> Result<Option<Problem>, Error> {
    let known = state.status.0.lock().ok().and_then(|last| last.clone()).filter(|(at, _)| at.elapsed() < FRESH);
    let trouble = match known {
        Some((_, trouble)) => trouble,
        None => {
            let trouble = look(conn).await?;
            if let Ok(mut last) = state.status.0.lock() {
                *last = Some((Instant::now(), trouble.clone()));
            }
            trouble
        }
    };
    let closer = Operation::SeeSystem.may(&viewer.roles).then(|| ("Look closer".to_owned(), "/system".to_owned()));
    Ok(trouble.map(|trouble| Problem { what: trouble.what(), meaning: trouble.meaning().to_owned(), link: closer }))
}

impl Trouble {
    fn what(&self) -> String {
        match self {
            Self::Worker => "The worker stands still".to_owned(),
            Self::Target { name, since } => format!("{name} does not answer since {since}"),
        }
    }

    fn meaning(&self) -> &'static str {
        match self {
            Self::Worker => "Requests are kept and decided as usual; they are carried out when it runs again.",
            Self::Target { .. } => "Requests are kept and decided as usual; they are carried out when it is back.",
        }
    }
}

/// Both are quiet until there was something to miss: a fresh database has no worker and no directory yet.
async fn look(conn: &mut PgConnection) -> Result<Option<Trouble>, Error> {
    let still = sqlx::query_scalar!(
        r#"select coalesce(max(finished_at) < now() - interval '30 seconds', false) as "still!" from routine"#
    )
    .fetch_one(&mut *conn)
    .await?;
    if still {
        return Ok(Some(Trouble::Worker));
    }
    let silent = sqlx::query!(
        r#"select t.name, to_char(c.failing_since at time zone 'UTC', 'HH24:MI "UTC"') as "since!"
             from mirror_cursor c join target_system t on t.key = c.system
            where c.failing_since < now() - interval '5 seconds' order by c.failing_since limit 1"#
    )
    .fetch_optional(conn)
    .await?;
    Ok(silent.map(|row| Trouble::Target { name: row.name, since: row.since }))
}
