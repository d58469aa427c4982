//! Proving: what happened, written down in the same transaction as the change itself.
//!
//! A [`Record`] names the actor, the action (a past-tense noun of the domain, see [`action`]), the subject, and what was
//! seen before and after. It is kept as canonical JSON (RFC 8785), the bytes as they will be hashed. Personal values
//! never stand in it: a record holds pseudonymous ids and commitments `HMAC-SHA256(key, value)`, each with its own random
//! key; values and keys lie beside it in `evidence_disclosure`, where they can be erased while every proof still holds.
//!
//! Within a subject records are numbered without gaps, under the subject's row lock; between transactions no order is
//! claimed. The application's role can insert and read, nothing else.

pub mod action;
pub mod anchoring;
pub mod boundary;
pub mod bundle;
pub mod checkpoint;
pub mod commitment;
pub mod erase;
pub mod history;
pub mod live;
pub mod log;
pub mod note;
pub mod proof;
mod record;
pub mod renewal;
pub mod signer;
pub mod state;
pub mod tiles;
pub mod timestamp;
pub mod tree;
pub mod verify;
pub mod witness;

pub use record::{By, EvidenceError, Fact, Facts, Record, Target, append, append_all, hold};
