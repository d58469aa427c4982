//! PowerShell remoting (MS-PSRP, protocol 2.1 to 2.3): a client that runs commands, never scripts.
//!
//! The layers, from the wire up. None of these does any input or output: bytes go in, bytes and events come out.
//!
//! ```text
//! pool      one runspace pool: opens, exchanges a key, starts pipelines, sorts what arrives into events
//! pipeline  a command with its parameters as a CreatePipeline message; the states of one that runs
//! records   errors, progress and information as the server tells them
//! message   40 bytes of header, then CLIXML: who it is for and what it is
//! fragment  21 bytes of header: a message cut to what the transport carries, put together again at the other end
//! clixml    .NET values as XML
//! ```
//!
//! Under them a transport (WS-Management in `wsman`) carries the fragments: those of [`Pool::open`] in the Shell's
//! `creationXml`, the first of [`Pool::pipeline`] as the Command's argument, all others by Send; what Receive brings
//! goes into [`Pool::receive`], one decoded `rsp:Stream` at a time.
//!
//! **Commands only.** Every CreatePipeline says `IsScript=false`, and Exchange's sessions accept nothing else (no-language
//! mode): a value never becomes code, whatever it holds.
//!
//! **No host.** The pool is opened with a null host: nobody sits there to be asked. A server that asks nevertheless shows
//! as [`Event::HostCall`]; where it waits for an answer there is none to give, and the pipeline is to be stopped and its
//! failure told in words.
//!
//! **A hostile peer** costs bounded memory and an error: every length is checked before anything is allocated for it
//! ([`Limits`]), depth, nodes and text are counted, a reference is charged as the whole it stands for, and a message for
//! a pool or pipeline that is not ours is refused.
//!
//! Sources: MS-PSRP for messages, fragments and CLIXML (2.2.1 to 2.2.5); MS-PSRP 2.2.3.17 and 3.1.4 for states.

pub mod auth;
mod client;
pub mod clixml;
mod error;
mod event;
mod finished;
mod fragment;
mod host;
mod inboxes;
mod limits;
mod message;
mod pipeline;
mod pool;
mod records;
mod secure;
mod session;
pub mod wsman;

pub use client::{Client, ClientError, ClientSettings};
pub use error::ProtocolError;
pub use event::{Event, PoolState};
pub use finished::Finished;
pub use limits::Limits;
pub use pipeline::{Argument, Command, PipelineState};
pub use pool::{Pool, PoolOptions};
pub use records::{ErrorRecord, Information, Progress};
