//! How much is taken from a peer.

/// Bounds on what one peer can make this side hold. A message over one of them is [`super::ProtocolError::TooMuch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message, put together from its fragments.
    pub message_bytes: usize,
    /// Messages that have begun and not ended.
    pub open_messages: usize,
    /// Bytes held in all of them together.
    pub open_bytes: usize,
    /// Values within values.
    pub depth: usize,
    /// Elements in one message, what references stand for counted again each time.
    pub nodes: usize,
    /// Bytes of text in one message, counted the same way. A small message may become less: eight times its size and a
    /// little.
    pub text_bytes: usize,
    /// Pipelines of one pool at a time.
    pub pipelines: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 16 << 20,
            open_messages: 64,
            open_bytes: 32 << 20,
            depth: 48,
            nodes: 250_000,
            text_bytes: 32 << 20,
            pipelines: 64,
        }
    }
}
