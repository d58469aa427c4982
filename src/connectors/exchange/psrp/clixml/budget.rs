//! How much of a message may still be held.

use super::super::{Limits, ProtocolError};

/// Counts elements and bytes of text, those that a reference stands for again each time it is used: a few kilobytes of
/// references to references cannot become gigabytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    nodes: usize,
    text: usize,
    limits: Limits,
}

/// What one value cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weight {
    nodes: usize,
    text: usize,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { nodes: 0, text: 0, limits: *limits }
    }

    pub(super) fn node(&mut self) -> Result<(), ProtocolError> {
        self.charge(Weight { nodes: 1, text: 0 })
    }

    pub(super) fn text(&mut self, bytes: usize) -> Result<(), ProtocolError> {
        self.charge(Weight { nodes: 0, text: bytes })
    }

    /// Before `weight` is held once more.
    pub(super) fn charge(&mut self, weight: Weight) -> Result<(), ProtocolError> {
        self.nodes = self.nodes.saturating_add(weight.nodes);
        self.text = self.text.saturating_add(weight.text);
        if self.nodes > self.limits.nodes {
            return Err(ProtocolError::TooMuch(format!("a value of more than {} elements", self.limits.nodes)));
        }
        if self.text > self.limits.text_bytes {
            return Err(ProtocolError::TooMuch(format!(
                "a value of more than {} bytes of text",
                self.limits.text_bytes
            )));
        }
        Ok(())
    }

    pub(super) fn depth(&self, depth: usize) -> Result<(), ProtocolError> {
        if depth > self.limits.depth {
            return Err(ProtocolError::TooMuch(format!("a value more than {} deep", self.limits.depth)));
        }
        Ok(())
    }

    /// What was used since `earlier`.
    pub(super) fn since(&self, earlier: &Budget) -> Weight {
        Weight { nodes: self.nodes - earlier.nodes, text: self.text - earlier.text }
    }
}
