//! Through the router and the operations with a real PostgreSQL of their own per test, as the application's role.

#[path = "../support/mod.rs"]
mod support;

mod absence;
mod access;
mod adoption;
mod api;
mod auditing;
mod by_hand;
mod changes;
mod clocks;
mod decisions;
mod erasure;
mod evidence;
mod exports;
mod imports;
mod journeys;
mod mail;
mod mirror;
mod patience;
mod people;
mod permissions;
mod queries;
mod recorded;
mod safety;
mod scope;
mod separation;
mod setting_letters;
mod settings;
mod systems;
mod wide;
mod witness;
