//! The places where a crash would matter, named, so that a test can have one there.
//!
//! In debug builds `TENURE_DIE_AT=NAME` (or `NAME:STEP` for one step's name) ends the process at that place as a power
//! cut would: nothing is flushed, nothing said. Optimised builds do not look.

/// Between which two of its deeds a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// The step is leased, intent recorded, nothing else done.
    Leased,
    /// It has looked, and is about to send.
    Observed,
    /// The target has done it; we have not looked again.
    Applied,
    /// Both sights are there; nothing is committed.
    ReadBack,
    /// The outcome is committed; its worker does not know yet.
    Settled,
}

impl Boundary {
    pub const ALL: [Boundary; 5] = [Self::Leased, Self::Observed, Self::Applied, Self::ReadBack, Self::Settled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leased => "leased",
            Self::Observed => "observed",
            Self::Applied => "applied",
            Self::ReadBack => "read_back",
            Self::Settled => "settled",
        }
    }
}

/// Dies here if a test asked for it.
#[cfg(debug_assertions)]
pub fn pass(boundary: Boundary, step: &str) {
    if let Ok(wanted) = std::env::var("TENURE_DIE_AT") {
        let here = boundary.as_str();
        if wanted == here || wanted.split_once(':') == Some((here, step)) {
            std::process::abort();
        }
    }
}

/// Optimised builds do not look.
#[cfg(not(debug_assertions))]
pub fn pass(_: Boundary, _: &str) {}
