//! Speaking to target systems, one folder per protocol. A connector uses [`crate::target`] alone: it knows nothing of
//! requests, people or the database, and could be lifted out as a crate tomorrow.

pub mod ad;

pub mod exchange;
