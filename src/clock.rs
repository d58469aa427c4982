//! Business time as a parameter: operations are handed `now`, so that a test can say what day it is.
//!
//! Leases and due times compare with the database's own `now()`, never with this clock (several machines, one truth).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};

/// Where operations get "now" from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A test's clock: microseconds since the epoch, moved by hand.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self::Fixed(Arc::new(AtomicI64::new(at.timestamp_micros())))
    }

    /// Moves a fixed clock; the system's cannot be moved.
    pub fn set(&self, at: DateTime<Utc>) {
        if let Self::Fixed(micros) = self {
            micros.store(at.timestamp_micros(), Ordering::SeqCst);
        }
    }

    /// Now, cut to whole microseconds: what PostgreSQL keeps and what records are written with.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine's clock")]
    pub fn now(&self) -> DateTime<Utc> {
        let micros = match self {
            Self::System => Utc::now().timestamp_micros(),
            Self::Fixed(micros) => micros.load(Ordering::SeqCst),
        };
        DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH)
    }
}
