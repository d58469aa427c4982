//! The organisational units of a directory that Tenure works in.
//!
//! Reading is not bounded by it: the mirror sees everything below the base. What is written is: a plan that would change an
//! object elsewhere is refused, and a step that was planned before the units changed stops and asks for a person.

use serde::{Deserialize, Serialize};

use super::settings::{Invalid, invalid};
use crate::connectors::ad::escape::{canonical, is_name, is_within};

/// Units in scope, and those below them that are not. Without units: everything below the base.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitScope {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<String>,
}

/// Units that can be named, at most.
const MOST: usize = 500;

impl UnitScope {
    /// Whether it bounds nothing.
    pub fn is_whole(&self) -> bool {
        self.units.is_empty() && self.excluded.is_empty()
    }

    /// Whether the object (or unit) of that name is Tenure's to write to. The schema's `in_scope` says the same.
    pub fn covers(&self, dn: &str) -> bool {
        (self.units.is_empty() || self.units.iter().any(|unit| is_within(dn, unit)))
            && !self.excluded.iter().any(|unit| is_within(dn, unit))
    }

    /// In one spelling, each unit once.
    #[must_use]
    pub fn normal(&self) -> Self {
        let spelt = |units: &[String]| {
            let mut once: Vec<String> = Vec::new();
            for unit in units.iter().map(|unit| canonical(unit.trim())) {
                if !once.iter().any(|known| known.eq_ignore_ascii_case(&unit)) {
                    once.push(unit);
                }
            }
            once
        };
        Self { units: spelt(&self.units), excluded: spelt(&self.excluded) }
    }

    /// Whether these can be units of a directory with that base.
    ///
    /// # Errors
    /// The first that cannot, at `units_in_scope` or `units_excluded`.
    pub fn check(&self, base: Option<&str>) -> Result<(), Invalid> {
        for (field, units) in [("units_in_scope", &self.units), ("units_excluded", &self.excluded)] {
            if units.len() > MOST {
                return Err(invalid(field, format!("At most {MOST} units: name one above them")));
            }
            for unit in units {
                if !is_name(unit) {
                    let message = format!("“{unit}” is not a name such as OU=Staff,DC=corp,DC=example,DC=com");
                    return Err(invalid(field, message));
                }
                if let Some(base) = base.filter(|base| !is_within(unit, base)) {
                    return Err(invalid(field, format!("{unit} does not lie below {base}")));
                }
            }
        }
        if let Some(unit) =
            self.units.iter().find(|unit| self.excluded.iter().any(|excluded| is_within(unit, excluded)))
        {
            return Err(invalid(
                "units_excluded",
                format!("{unit} is in scope and excluded: nothing of it would be left"),
            ));
        }
        if let Some(unit) = self
            .excluded
            .iter()
            .find(|unit| !self.units.is_empty() && !self.units.iter().any(|above| is_within(unit, above)))
        {
            return Err(invalid(
                "units_excluded",
                format!("{unit} lies in no unit in scope: there is nothing to exclude"),
            ));
        }
        Ok(())
    }

    /// The units in words: "OU=Staff,… and 2 more".
    pub fn words(&self) -> String {
        match self.units.as_slice() {
            [] => "everything below the base".to_owned(),
            [one] => one.clone(),
            [one, rest @ ..] => format!("{one} and {} more", rest.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(units: &[&str], excluded: &[&str]) -> UnitScope {
        let own = |units: &[&str]| units.iter().map(|unit| (*unit).to_owned()).collect();
        UnitScope { units: own(units), excluded: own(excluded) }
    }

    #[test]
    fn what_lies_below_is_covered_and_what_is_excluded_is_not() {
        assert!(scope(&[], &[]).covers("CN=a,DC=corp") && scope(&[], &[]).is_whole());
        let staff = scope(&["OU=Staff,DC=corp"], &["ou=robots, ou=staff, dc=corp"]);
        assert!(staff.covers("CN=a,OU=Hamburg,ou=STAFF,DC=corp") && staff.covers("OU=Staff,DC=corp"));
        assert!(!staff.covers("CN=a,OU=Robots,OU=Staff,DC=corp"));
        assert!(!staff.covers("CN=a,OU=AStaff,DC=corp") && !staff.covers("CN=a,DC=corp"));
        assert!(!staff.covers("CN=a\\,OU\\=Staff,DC=corp"), "an escaped comma is part of a value");
    }

    #[test]
    fn wrong_units_are_named() {
        let base = Some("DC=corp");
        let wrong = |scope: UnitScope| scope.check(base).unwrap_err();
        assert_eq!(wrong(scope(&["Staff"], &[])).field, "units_in_scope");
        assert_eq!(wrong(scope(&[""], &[])).field, "units_in_scope");
        assert!(wrong(scope(&["OU=Staff,DC=other"], &[])).message.contains("below DC=corp"));
        assert!(wrong(scope(&["OU=A,DC=corp"], &["OU=B,DC=corp"])).message.contains("nothing to exclude"));
        assert!(wrong(scope(&["OU=A,DC=corp"], &["DC=corp"])).message.contains("nothing of it"));
        scope(&["OU=A,DC=corp"], &["OU=B,OU=A,DC=corp"]).check(base).unwrap();
        scope(&[], &["OU=B,DC=corp"]).check(None).unwrap();
    }

    #[test]
    fn one_spelling_each_once() {
        let normal = scope(&["ou=Staff, dc=corp", "OU=STAFF,DC=corp"], &[]).normal();
        assert_eq!(normal, scope(&["OU=Staff,DC=corp"], &[]));
    }
}
