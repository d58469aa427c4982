//! Against the lab's real servers: what the connectors and the worker do is looked at from outside, by other means than
//! ours. `scripts/test` starts the lab and sets the environment (`scripts/lab env test`).

mod ad_accounts;
mod ad_crash;
mod ad_faults;
mod ad_feed;
mod ad_lab;
mod ad_memberships;
mod ad_mirror;
mod delegation;
mod exchange;
mod kill;
mod outage;
mod site;
mod systems;
mod thread;
