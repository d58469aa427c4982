//! `tenure witness`: a witness's HTTP (c2sp.org/tlog-witness) and its command. Needs neither database nor configuration.
//!
//! Asked without any sign-in: the signature below a checkpoint is what is looked at, and the answer is no secret.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::clock::Clock;
use crate::config::TelemetryConfig;
use crate::evidence::tiles::Folder;
use crate::evidence::witness::{self, LONGEST, Memory, Refusal, Witness, judge};
use crate::telemetry;

/// For one request, its body included.
const PATIENCE: Duration = Duration::from_secs(20);
/// Submissions that are looked at or wait for it at once; further ones are told to come again.
const AT_ONCE: usize = 64;

const TEXT: &str = "text/plain; charset=utf-8";

/// A witness: cosigns a log's checkpoints as long as each goes on from the one before. To be run by somebody else than
/// those who run the log.
#[derive(Debug, Clone, clap::Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub struct Command {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    serve: Option<Serve>,
}

#[derive(Debug, Clone, clap::Args)]
struct Serve {
    /// The folder with `key`, `logs/` and `memory/`.
    #[arg(long)]
    dir: PathBuf,
    /// Where it answers, as 192.0.2.7:8090.
    #[arg(long)]
    listen: SocketAddr,
    /// A file with further logs' verifier keys, one a line.
    #[arg(long)]
    log: Vec<PathBuf>,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Other {
    /// Makes the folder and a new key in it, and prints the verifier key, which the logs' operators are given.
    Keygen {
        #[arg(long)]
        dir: PathBuf,
        /// As an address without “https://”: witness.example.com/tenure
        #[arg(long)]
        name: String,
    },
    /// Compares what was cosigned and what was refused with a published log.
    Check {
        #[arg(long)]
        dir: PathBuf,
        /// The published log's folder.
        published: PathBuf,
    },
}

impl Command {
    /// Does what was asked for; a witness that answers does so until `stop` is cancelled.
    ///
    /// # Errors
    /// Where the folder is not a witness's, the address cannot be listened on, or the check finds something.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        match (self.other, self.serve) {
            (Some(Other::Keygen { dir, name }), _) => {
                println!("{}", witness::keygen(&dir, &name)?);
                Ok(())
            }
            (Some(Other::Check { dir, published }), _) => check(&Memory::new(dir.join("memory")), &Folder(published)),
            (None, Some(serve)) => answer(serve, stop).await,
            (None, None) => anyhow::bail!("tell --dir and --listen"),
        }
    }
}

async fn answer(serve: Serve, stop: CancellationToken) -> anyhow::Result<()> {
    telemetry::logs(&TelemetryConfig::default());
    let witness = witness::open(&serve.dir, &serve.log)?;
    let listener = tokio::net::TcpListener::bind(serve.listen)
        .await
        .with_context(|| format!("{} cannot be listened on; is something else there?", serve.listen))?;
    println!("{} answers on http://{}", witness.verifier(), listener.local_addr()?);
    for origin in witness.origins() {
        tracing::info!(origin, path = format!("/{}/checkpoint", witness::origin_hash(origin)), "a log is witnessed");
    }
    Ok(super::serve(listener, router(witness, Clock::System), stop).await?)
}

fn check(memory: &Memory, log: &Folder) -> anyhow::Result<()> {
    let findings = judge::judge(memory, log)?;
    for finding in &findings {
        println!("{finding}");
    }
    let against = findings.iter().filter(|finding| finding.accuses()).count();
    anyhow::ensure!(against == 0, "{against} of {} checkpoints are not of this log", findings.len());
    Ok(())
}

#[derive(Clone)]
struct Shared {
    witness: Arc<Witness>,
    clock: Clock,
    places: Arc<tokio::sync::Semaphore>,
}

/// What a witness answers to.
pub fn router(witness: Witness, clock: Clock) -> Router {
    let places = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/{origin}/checkpoint", get(checkpoint))
        .route("/healthz", get(super::health::alive))
        .layer(DefaultBodyLimit::max(LONGEST))
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, PATIENCE))
        .with_state(Shared { witness: Arc::new(witness), clock, places })
}

/// `POST /add-checkpoint`.
async fn add_checkpoint(State(shared): State<Shared>, body: Bytes) -> Response {
    let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "too many submissions at once\n".to_owned());
    };
    let Ok(body) = String::from_utf8(body.into()) else {
        return refuse(&Refusal::Malformed("not UTF-8".to_owned()));
    };
    // Disk and lock: not on the threads that answer everybody else.
    let looked = tokio::task::spawn_blocking(move || {
        let _place = place;
        let now = u64::try_from(shared.clock.now().timestamp()).unwrap_or(0);
        shared.witness.add_checkpoint(&body, now)
    });
    match looked.await {
        Ok(Ok(line)) => text(StatusCode::OK, line),
        Ok(Err(refusal)) => refuse(&refusal),
        Err(error) => {
            tracing::error!(%error, "a submission was not looked at to its end");
            refuse(&Refusal::Memory)
        }
    }
}

/// `GET /<SHA-256 of the origin in hex>/checkpoint`: the note that was cosigned last.
async fn checkpoint(State(shared): State<Shared>, Path(origin): Path<String>) -> Response {
    match tokio::task::spawn_blocking(move || shared.witness.last(&origin)).await {
        Ok(Ok(note)) => text(StatusCode::OK, note.to_string()),
        Ok(Err(refusal)) => refuse(&refusal),
        Err(error) => {
            tracing::error!(%error, "the memory was not read to its end");
            refuse(&Refusal::Memory)
        }
    }
}

fn refuse(refusal: &Refusal) -> Response {
    tracing::info!(status = refusal.status(), why = %refusal, "refused");
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, refusal.content_type())], format!("{refusal}\n")).into_response()
}

fn text(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, "no-store")], body).into_response()
}
