//! What Exchange holds, one file per resource: how it is looked at, and the cmdlets that change it. The cmdlets are made by
//! functions without a connection, so that a plan shows exactly what will be sent.

pub(super) mod folder;
pub(super) mod list;
pub(super) mod mailbox;
pub(super) mod membership;
pub(super) mod permission;
pub(super) mod settings;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cmdlet::{Cmdlet, Object};
use super::flavour::Flavour;
use super::value::Properties;
use crate::target::{Change, Difference, State, Value, same};

/// What resources need to know of their organisation to make something new in it; nothing secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Where shared mailboxes and lists are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organizational_unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// What stands behind the @ of a remote mailbox's routing address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_routing_domain: Option<String>,
}

/// What commands are made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    pub flavour: Flavour,
    pub places: &'a Places,
}

/// The object's name while nobody has renamed it: it carries the correlation, so that a creation whose answer was lost
/// finds its own work.
pub(super) fn first_name(correlation: Uuid) -> String {
    format!("tenure-{}", correlation.simple())
}

/// The mark that stays on the object.
pub(super) fn mark(correlation: Uuid) -> String {
    format!("tenure:{}", correlation.simple())
}

/// By mark, then by first name: both reads that find an object of ours.
pub(super) fn by_correlation(cmdlet: &str, correlation: Uuid) -> [Cmdlet; 2] {
    [
        Cmdlet::read(cmdlet).text("Filter", format!("CustomAttribute15 -eq '{}'", mark(correlation))),
        Cmdlet::read(cmdlet).text("Identity", first_name(correlation)),
    ]
}

/// Whether the object is the one that carries the correlation: what a filter gave is looked at, not believed.
pub(super) fn is_ours(object: &Object, correlation: Uuid) -> bool {
    let from = Properties(object);
    let is = |name: &str, wanted: String| from.text(name).ok().flatten() == Some(wanted);
    is("CustomAttribute15", mark(correlation)) || is("Name", first_name(correlation))
}

/// The changes that are still to be made, each from what was seen.
pub(super) fn left(step: &Difference, seen: Option<&State>) -> Vec<Change> {
    let nothing = State::default();
    let seen = seen.unwrap_or(&nothing);
    let left = step.changes.iter().filter(|change| !same(seen.get(&change.attribute), &change.to));
    left.map(|change| Change { from: seen.get(&change.attribute).clone(), ..change.clone() }).collect()
}

/// The wanted value of an attribute among changes.
pub(super) fn wanted<'a>(changes: &'a [Change], attribute: &str) -> Option<&'a Value> {
    changes.iter().find(|change| change.attribute == attribute).map(|change| &change.to)
}
