//! Birthright: what comes with a department, a site or a type of employment. Pure.

use serde::{Deserialize, Serialize};

use super::settings::{Invalid, Setting, invalid};
use crate::ids::EntitlementId;
use crate::people::EmploymentType;

/// When a rule applies; what is absent fits everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<EmploymentType>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BirthrightRule {
    /// As shown: “location”.
    pub name: String,
    #[serde(default)]
    pub when: Condition,
    pub entitlements: Vec<EntitlementId>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Birthright {
    pub rules: Vec<BirthrightRule>,
}

/// What the rules look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BirthrightInput {
    pub department: String,
    pub site: String,
    pub kind: EmploymentType,
}

impl Birthright {
    /// What comes by rule, each entitlement once, with the first rule that gives it.
    pub fn for_person(&self, person: &BirthrightInput) -> Vec<(EntitlementId, String)> {
        let mut given: Vec<(EntitlementId, String)> = Vec::new();
        for rule in &self.rules {
            let when = &rule.when;
            let fits = when.department.as_ref().is_none_or(|department| *department == person.department)
                && when.site.as_ref().is_none_or(|site| *site == person.site)
                && when.kind.is_none_or(|kind| kind == person.kind);
            if fits {
                for entitlement in &rule.entitlements {
                    if !given.iter().any(|(id, _)| id == entitlement) {
                        given.push((*entitlement, rule.name.clone()));
                    }
                }
            }
        }
        given
    }
}

impl Setting for Birthright {
    const KIND: &'static str = "birthright";

    fn wrong(&self) -> Vec<Invalid> {
        let mut wrong = Vec::new();
        for (at, rule) in self.rules.iter().enumerate() {
            if rule.name.trim().is_empty() {
                wrong.push(invalid(format!("rules.{at}.name"), "Give the rule a name, such as “location”"));
            }
            if rule.entitlements.is_empty() {
                let message = format!("Rule “{}” gives nothing: name at least one entitlement", rule.name);
                wrong.push(invalid(format!("rules.{at}.entitlements"), message));
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_comes_once() {
        let (all, site, interns) = (EntitlementId::new(), EntitlementId::new(), EntitlementId::new());
        let rule = |name: &str, when, entitlements| BirthrightRule { name: name.to_owned(), when, entitlements };
        let rules = Birthright {
            rules: vec![
                rule("everybody", Condition::default(), vec![all]),
                rule("location", Condition { site: Some("Hamburg".into()), ..Condition::default() }, vec![site, all]),
                rule(
                    "interns",
                    Condition { kind: Some(EmploymentType::Intern), ..Condition::default() },
                    vec![interns],
                ),
            ],
        };
        let person =
            BirthrightInput { department: "Finance".into(), site: "Hamburg".into(), kind: EmploymentType::Employee };
        assert_eq!(rules.for_person(&person), [(all, "everybody".to_owned()), (site, "location".to_owned())]);
    }
}
