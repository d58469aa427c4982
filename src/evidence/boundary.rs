//! The places where a crash of the sequencer would matter, named, so that a test can have one there: in debug builds
//! `TENURE_DIE_AT=evidence:NAME` ends the process at that place as a power cut would. Optimised builds do not look.

/// Between which two of its deeds the sequencer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// Records have their places; no tile is written.
    Placed,
    /// Tiles are written; nothing is signed.
    Written,
    /// Signed, and the signer's head moved on; not published.
    Signed,
    /// Published; the database does not say so yet.
    Published,
}

impl Boundary {
    pub const ALL: [Boundary; 4] = [Self::Placed, Self::Written, Self::Signed, Self::Published];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Written => "written",
            Self::Signed => "signed",
            Self::Published => "published",
        }
    }
}

/// Dies here if a test asked for it.
#[cfg(debug_assertions)]
pub fn pass(boundary: Boundary) {
    if std::env::var("TENURE_DIE_AT").is_ok_and(|wanted| wanted.strip_prefix("evidence:") == Some(boundary.as_str())) {
        std::process::abort();
    }
}

/// Optimised builds do not look.
#[cfg(not(debug_assertions))]
pub fn pass(_: Boundary) {}
