//! Rules that would put somebody where Tenure does not work: told when they are proposed, not when the first joiner is refused.

use serde_json::Value as Json;
use sqlx::PgConnection;

use super::super::settings::{CatalogError, Invalid, invalid};
use super::super::{Birthright, Held, Naming, TargetSystem, UnitScope, entitlements, systems};
use super::read;
use crate::ids::EntitlementId;

/// What of the naming rules lies outside that scope: the field, and the unit.
pub fn places_outside<'a>(rules: &'a Naming, scope: &UnitScope) -> Vec<(&'static str, &'a str)> {
    let made = rules.parent.values().map(|unit| ("parent", unit.as_str()));
    let kept = std::iter::once(("quarantine_ou", rules.quarantine_ou.as_str()));
    made.chain(kept).filter(|(_, unit)| !unit.is_empty() && !scope.covers(unit)).collect()
}

/// The directory that people get their account in, where its units are bounded.
async fn bounded(conn: &mut PgConnection) -> Result<Option<TargetSystem>, sqlx::Error> {
    let first = systems::target_systems(conn).await?.into_iter().find(|system| system.key.family() == "ad");
    Ok(first.filter(|system| !system.scope.is_whole()))
}

pub(super) async fn naming(conn: &mut PgConnection, body: &Json) -> Result<Vec<Invalid>, CatalogError> {
    let (Ok(rules), Some(directory)) = (read::<Naming>(body), bounded(conn).await?) else { return Ok(Vec::new()) };
    let wrong = |(field, unit): (&'static str, &str)| {
        let scope = directory.scope.words();
        let message = format!(
            "{unit} lies outside the units that Tenure works in ({scope}): choose another, or have the unit put in scope first"
        );
        invalid(field, message)
    };
    Ok(places_outside(&rules, &directory.scope).into_iter().map(wrong).collect())
}

pub(super) async fn birthright(conn: &mut PgConnection, rules: &Birthright) -> Result<Vec<Invalid>, CatalogError> {
    let mut wrong = Vec::new();
    for (at, rule) in rules.rules.iter().enumerate() {
        if let Some((name, dn)) = groups_outside(conn, &rule.entitlements).await?.into_iter().next() {
            let message = format!(
                "{name} is a group outside the units that Tenure works in ({dn}): leave it out, or have its unit put in scope first"
            );
            wrong.push(invalid(format!("rules.{at}.entitlements"), message));
        }
    }
    Ok(wrong)
}

/// Which of these entitlements are groups outside the scope of their directory: name, and where the group lies.
async fn groups_outside(conn: &mut PgConnection, ids: &[EntitlementId]) -> Result<Vec<(String, String)>, CatalogError> {
    let mut outside = Vec::new();
    for entry in entitlements::find_many(conn, ids).await?.into_iter().filter(|one| one.held == Held::GroupMembership) {
        let found = sqlx::query_scalar!(
            "select g.dn from directory_group g join target_system t on t.key = g.system
              where g.system = $1 and g.native_id = $2 and not in_scope(g.dn, t.scope)",
            entry.system.0,
            entry.native_id
        );
        outside.extend(found.fetch_optional(&mut *conn).await?.map(|dn| (entry.name, dn)));
    }
    Ok(outside)
}
