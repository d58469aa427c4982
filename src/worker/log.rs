//! The evidence log's own loop: several times a second, so not one of the table's routines.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Worker, routines};
use crate::evidence::log::{LogError, Sequencer, Turn, note_trouble};

/// Between two looks for new records.
const PAUSE: Duration = Duration::from_millis(100);
/// How often the lease is renewed; it lasts some seconds longer.
const RENEWED: Duration = Duration::from_secs(1);
const LEASE: &str = "sequence-evidence";

/// Keeps the log up with the records until told to stop. A failure is logged once, until it goes well again.
pub(super) async fn sequence(worker: &Worker, mut sequencer: Sequencer, stop: &CancellationToken) {
    let mut failing = false;
    let mut renewed: Option<Instant> = None;
    while !stop.is_cancelled() {
        if renewed.is_none_or(|at| at.elapsed() >= RENEWED) {
            renewed = match routines::leased(worker, LEASE, RENEWED).await {
                Ok(true) => Some(Instant::now()),
                Ok(false) | Err(_) => None,
            };
        }
        let mut pause = PAUSE;
        if renewed.is_some() {
            match sequencer.turn(&worker.pool, worker.clock.now()).await {
                Ok(turn) => {
                    if failing {
                        tracing::info!("the evidence log goes on again");
                        failing = false;
                    }
                    measure(&turn);
                    if turn.more {
                        pause = Duration::ZERO;
                    }
                }
                Err(LogError::Overtaken) => renewed = None,
                Err(error) => {
                    if !failing {
                        tracing::error!(%error, "the evidence log does not go on; it is tried again");
                    }
                    failing = true;
                    metrics::gauge!("tenure_evidence_trouble").set(1.0);
                    drop(note_trouble(&worker.pool, &error.to_string()).await);
                    pause = RENEWED;
                }
            }
        } else {
            pause = RENEWED;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floating-point; a log of 2^53 leaves is not near")]
fn measure(turn: &Turn) {
    metrics::gauge!("tenure_evidence_trouble").set(0.0);
    metrics::gauge!("tenure_evidence_log_size").set(turn.size as f64);
    metrics::gauge!("tenure_evidence_lag_seconds").set(turn.lag.as_secs_f64());
    if turn.sequenced > 0 {
        metrics::counter!("tenure_evidence_records_total").increment(turn.sequenced as u64);
        metrics::histogram!("tenure_evidence_checkpoint_lag_seconds").record(turn.lag.as_secs_f64());
    }
}
