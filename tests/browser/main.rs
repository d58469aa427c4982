//! Real people's journeys in a real browser, on the lab: Chromium against a portal and a worker of their own, the lab's
//! PostgreSQL, directory and mail behind them. `scripts/test` starts the lab and sets the environment.

#[allow(dead_code, reason = "the live suite uses the rest")]
#[path = "../live/ad_lab.rs"]
mod ad_lab;
mod adoption;
mod chrome;
mod evidence;
mod journey;
mod mail;
mod pages;
mod people;
mod settings;
#[allow(dead_code, reason = "the live suite uses the rest")]
#[path = "../live/site.rs"]
mod site;
mod standing_in;
mod systems;
