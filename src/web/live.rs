//! Live pages: one poller per process looks at the versions of all requests that somebody watches, and tells their pages.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::Query;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::{AppState, Error, SignedIn, requests};
use crate::access::{Object, op, permit};
use crate::ids::RequestId;

/// How often the poller looks.
const EVERY: Duration = Duration::from_millis(400);
/// How long a stream lives; browsers connect again by themselves.
const LIFE: Duration = Duration::from_secs(300);

/// A request's version, and whether it has ended.
type Seen = (i64, bool);

/// The requests that pages of this process watch.
#[derive(Default)]
pub struct Hub(Mutex<HashMap<Uuid, watch::Sender<Seen>>>);

impl Hub {
    fn watch(&self, request: RequestId, seen: Seen) -> watch::Receiver<Seen> {
        let Ok(mut watched) = self.0.lock() else { return watch::channel(seen).1 };
        watched.entry(request.0).or_insert_with(|| watch::channel(seen).0).subscribe()
    }

    /// Those still watched; the others are forgotten.
    fn watched(&self) -> Vec<Uuid> {
        let Ok(mut watched) = self.0.lock() else { return Vec::new() };
        watched.retain(|_, sender| sender.receiver_count() > 0);
        watched.keys().copied().collect()
    }

    fn tell(&self, request: Uuid, seen: Seen) {
        let Ok(watched) = self.0.lock() else { return };
        if let Some(sender) = watched.get(&request) {
            sender.send_if_modified(|known| std::mem::replace(known, seen) != seen);
        }
    }
}

/// Looks until the process stops. While the database is down the pages simply stand still.
pub async fn poll(state: AppState) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = state.stop.cancelled() => return,
        }
        let watched = state.live.watched();
        if watched.is_empty() {
            continue;
        }
        let looked = sqlx::query!(
            r#"select id, version, settled_at is not null as "ended!" from request where id = any($1)"#,
            &watched
        )
        .fetch_all(&state.pool)
        .await;
        match looked {
            Ok(rows) => rows.iter().for_each(|row| state.live.tell(row.id, (row.version, row.ended))),
            Err(error) => tracing::debug!(%error, "live pages could not be looked after"),
        }
    }
}

/// `GET /requests/{number}/events?seen={version}`: what the page shows; without it nothing before the stream is told.
pub async fn events(
    State(state): State<AppState>,
    Path(number): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    me: SignedIn,
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    let request = requests::find(&mut conn, &number).await?;
    permit::<op::See>(&mut conn, &me.actor(), Object::Request(request.id)).await?;
    drop(conn);
    // A stream that is opened again says what it told last, the page's first one what the page shows.
    let told = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let shown = || query.iter().find(|(name, _)| name == "seen").and_then(|(_, version)| version.parse().ok());
    let watching = Watching {
        changes: state.live.watch(request.id, (request.version, request.settled_at.is_some())),
        last: told.or_else(shown).unwrap_or(request.version),
        until: Instant::now() + LIFE,
        stop: state.stop.clone(),
        over: false,
    };
    let stream = stream::unfold(watching, |mut watching| async move {
        let event = watching.next().await?;
        Some((Ok::<_, Infallible>(event), watching))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response())
}

struct Watching {
    changes: watch::Receiver<Seen>,
    /// The version that the page shows.
    last: i64,
    until: Instant,
    stop: tokio_util::sync::CancellationToken,
    over: bool,
}

impl Watching {
    /// The next thing to tell; None ends the stream.
    async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        loop {
            // What changed between the page and its stream is told at once.
            let (version, ended) = *self.changes.borrow_and_update();
            if version != self.last {
                self.last = version;
                return Some(Event::default().event("changed").id(version.to_string()).data(version.to_string()));
            }
            if ended {
                self.over = true;
                return Some(Event::default().event("finished").data("finished"));
            }
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.until) => return None,
                () = self.stop.cancelled() => return None,
            }
        }
    }
}
