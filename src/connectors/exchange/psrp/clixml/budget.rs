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

/// What even the smallest message may become.
const NODES: usize = 128;
const TEXT: usize = 4096;

/// What one value cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weight {
    nodes: usize,
    text: usize,
}

impl Budget {
    /// For `bytes` of CLIXML. No element is shorter than four bytes and no text longer than it is written, so that only
    /// references are ever refused for what the message's own size lets through: many small messages with a bomb in each
    /// are no way around the limits.
    pub(super) fn new(limits: &Limits, bytes: usize) -> Self {
        let nodes = limits.nodes.min(NODES + bytes / 2);
        let text_bytes = limits.text_bytes.min(TEXT.saturating_add(bytes.saturating_mul(8)));
        Self { nodes: 0, text: 0, limits: Limits { nodes, text_bytes, ..*limits } }
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
