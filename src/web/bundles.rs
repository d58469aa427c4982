//! Taking records away as a bundle: streamed as a zip, and itself recorded.

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::Query;
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::{StreamExt as _, stream};
use sqlx::PgConnection;
use tokio::sync::mpsc;

use super::view::errors::Wrong;
use super::view::parts::thousands;
use super::viewer::{Posted, SignedIn};
use super::{AppState, Error, Fields};
use crate::access::{Object, op, permit};
use crate::evidence::bundle::{self, BundleError, Selection};
use crate::evidence::history::Filter;
use crate::ids::RequestNumber;

/// The largest sample; firms take 25 of what happens daily.
const LARGEST_SAMPLE: usize = 1000;
/// The longest seed, in characters.
const LONGEST_SEED: usize = 100;
/// Pieces of the zip that may wait for the reader.
const PIECES: usize = 8;

/// `POST /history/bundle`: what a filter finds (fields as the history's), one request (`request`), or a sample (`size`, `seed`).
pub async fn take(
    State(state): State<AppState>,
    Query(query): Query<Vec<(String, String)>>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let fields = Fields(fields.0.into_iter().chain(query).collect());
    let mut tx = state.pool.begin().await?;
    let permit = permit::<op::TakeReport>(&mut tx, &me.actor(), Object::None).await?;
    let Some(config) = &state.config.evidence else {
        return Err(senseless("No signed log is set up here, so there are no proofs to take away."));
    };
    let selection = selection(&mut tx, &me, &fields).await?;
    let chosen = bundle::choose(&mut tx, me.now, &permit.by(), selection).await?;
    tx.commit().await?;
    let name = chosen.file_name();
    let gathered = bundle::gather(&state.pool, &config.log_dir, chosen).await?;
    let (sender, pieces) = mpsc::channel(PIECES);
    let pool = state.pool.clone();
    tokio::spawn(async move { bundle::zip(&pool, &gathered, sender).await });
    let pieces = stream::unfold(pieces, |mut pieces| async move { pieces.recv().await.map(|piece| (piece, pieces)) });
    // Layers may ask once more after the end.
    let pieces = pieces.fuse();
    let about = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((about, Body::from_stream(pieces)).into_response())
}

async fn selection(conn: &mut PgConnection, me: &SignedIn, fields: &Fields) -> Result<Selection, Error> {
    let (mut filter, error) = super::history::filter(conn, me, fields).await?;
    if !error.is_empty() {
        return Err(senseless(&error));
    }
    filter.before = None;
    if fields.has("request") {
        let number: RequestNumber = fields.text("request").parse().map_err(|_| Error::not_found())?;
        filter.request = Some(number.0);
    }
    let words = words(&filter);
    let size = fields.text("size");
    if size.is_empty() {
        return Ok(Selection::Filter { filter, words });
    }
    let fits = |size: &usize| (1..=LARGEST_SAMPLE).contains(size);
    let size = size.parse().ok().filter(fits).ok_or_else(|| {
        senseless(&format!("Sample size: “{size}” is not a number from 1 to {}.", thousands(&(LARGEST_SAMPLE as u64))))
    })?;
    let seed = fields.text("seed");
    if seed.is_empty() || seed.chars().count() > LONGEST_SEED || seed.chars().any(char::is_control) {
        return Err(senseless(&format!(
            "Seed: 1 to {LONGEST_SEED} letters or digits, so that the sample can be drawn again."
        )));
    }
    Ok(Selection::Sample { filter, words, size, seed: seed.to_owned() })
}

/// The filter as the record of the export has it: ids and times, nobody's name.
fn words(filter: &Filter) -> String {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let parts = [
        filter.request.map(|number| format!("request {}", RequestNumber(number))),
        filter.action.as_ref().map(|action| format!("action {action}")),
        filter.actor.map(|person| format!("by person {person}")),
        filter.subject.as_ref().map(|subject| format!("subject {subject}")),
        filter.object.as_ref().map(|object| format!("object {object}")),
        filter.from.map(|at| format!("from {}", time(at))),
        filter.until.map(|at| format!("before {}", time(at))),
        filter.sox.then(|| "SOX items".to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "the whole history".to_owned() } else { parts.join(", ") }
}

fn senseless(why: &str) -> Error {
    Error::wrong(Wrong::Senseless, why).link("Back to the history", "/history")
}

impl From<BundleError> for Error {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Database(error) => error.into(),
            BundleError::Nothing => Error::wrong(Wrong::NotFound, "No record matches."),
            BundleError::TooMany => senseless(&format!(
                "More than {} records match: that is too much for one bundle. Narrow the filter, or take a sample.",
                thousands(&bundle::MOST.cast_unsigned())
            )),
            BundleError::NotSequenced => Error::with_status(
                StatusCode::SERVICE_UNAVAILABLE,
                Wrong::NotYet,
                "Not all of these records are in the signed log yet. That takes seconds while the worker runs.",
            )
            .link("How the log stands", "/evidence"),
            BundleError::Log(error) => {
                tracing::warn!(%error, "the published log cannot be read");
                let why = format!("The published log cannot be read from here: {error}.");
                Error::with_status(StatusCode::SERVICE_UNAVAILABLE, Wrong::NotYet, why)
                    .link("How the log stands", "/evidence")
            }
            other => Error::broken(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_ids_and_times_alone() {
        assert_eq!(words(&Filter::default()), "the whole history");
        let filter = Filter {
            request: Some(482),
            from: Some("2026-09-30T22:00:00Z".parse().unwrap()),
            sox: true,
            ..Filter::default()
        };
        assert_eq!(words(&filter), "request REQ-000482, from 2026-09-30T22:00:00Z, SOX items");
    }
}
