//! Tenure, the identity lifecycle portal: the map of its parts, from the ground up. A module uses those above it in
//! this list, never those below.

/// What Tenure is told from outside: one TOML file and the environment.
pub mod config;

/// Business time as a parameter.
pub mod clock;

/// Typed ids.
pub mod ids;

/// Numbers in sentences.
pub mod numbers;

/// PostgreSQL: pool, migrations, rights, errors worth another try.
pub mod db;

/// Logs and metrics.
pub mod telemetry;

/// The shared vocabulary of target systems: resources, states, differences, faults.
pub mod target;

/// Speaking to target systems; uses `target` alone.
pub mod connectors;

/// Proving: records in the same transaction as what they record.
pub mod evidence;

/// Who may: actors, permits, sessions.
pub mod access;

/// Who exists: persons, employments, the org chart.
pub mod people;

/// What can be asked for, who owns it, and the rules as versions.
pub mod catalog;

/// Who holds what, why, until when.
pub mod grants;

/// What the target systems looked like when last seen.
pub mod mirror;

/// What a request amounts to: pure.
pub mod plan;

/// Doing: steps, attempts, leases, outcomes.
pub mod changes;

/// Mail on its way.
pub mod mail;

/// Checks of a target system's connection: asked for in the browser, answered by a worker.
pub mod checks;

/// Asking and deciding.
pub mod requests;

/// Forgetting a person: proposed by one, approved by another, carried out by the worker.
pub mod erasure;

/// From the configuration to connectors, and what plans know of target systems.
pub mod targets;

/// The demo company.
pub mod seed;

/// The loop that does steps, and everything periodic.
pub mod worker;

/// `tenure doctor`.
pub mod doctor;

/// The portal: pages, forms and the JSON API.
pub mod web;
