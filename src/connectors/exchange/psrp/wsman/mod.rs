//! WS-Management (DSP0226, MS-WSMV) as far as PowerShell remoting needs it: six actions out of a shell's life (Create,
//! Command, Send, Receive, Signal, Delete), their answers and their faults.
//!
//! [`Envelopes`] builds requests and [`Answer`] reads answers; both are pure. [`Wire`] carries one to the server and
//! the other back, over HTTPS with whatever authentication the endpoint wants. It repeats nothing that may have been done: what a
//! lost connection means is for the caller, who knows what was asked. Nothing here knows of PowerShell's own messages,
//! which travel inside as bytes.

mod answer;
mod envelope;
mod fault;
mod tree;
mod wire;

pub use answer::{Answer, AnswerError, Body, Stream};
pub use envelope::{Envelopes, PROTOCOL, Signal, max_fragment};
pub use fault::{Fault, Meaning, stated_wait};
pub use wire::{Wire, WireError, WireSettings};
