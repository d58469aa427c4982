//! Separation of duties: what one person must not hold together. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::settings::{Invalid, Setting, invalid};
use crate::ids::EntitlementId;

/// What follows where somebody would hold both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consequence {
    /// It cannot be asked for.
    Refuse,
    /// Security decides as well, after everybody else whom policy asks.
    AskSecurity,
}

/// Two sides; nobody holds something of the one and something of the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeparationRule {
    /// As shown: “enter and release payments”.
    pub name: String,
    /// What somebody could do who held both; read by whoever is refused or asked.
    pub reason: String,
    pub one: Vec<EntitlementId>,
    pub other: Vec<EntitlementId>,
    #[serde(rename = "then")]
    pub consequence: Consequence,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Separation {
    pub rules: Vec<SeparationRule>,
}

/// Two entitlements that a rule keeps apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict<'a> {
    pub rule: &'a SeparationRule,
    /// The one that was looked at.
    pub one: EntitlementId,
    /// What it must not be held with.
    pub other: EntitlementId,
}

impl Conflict<'_> {
    /// "Payments (create) and Payments (release) must not be held together (“payments”): one person could pay".
    pub fn words(&self, name: impl Fn(EntitlementId) -> String) -> String {
        format!(
            "{} and {} must not be held together (“{}”): {}",
            name(self.one),
            name(self.other),
            self.rule.name,
            self.rule.reason.trim().trim_end_matches('.')
        )
    }
}

impl Separation {
    /// What that entitlement must not be held with among these: by rule, then in the order of ids.
    pub fn conflicts(&self, one: EntitlementId, others: &BTreeSet<EntitlementId>) -> Vec<Conflict<'_>> {
        let mut found = Vec::new();
        for rule in &self.rules {
            for (side, against) in [(&rule.one, &rule.other), (&rule.other, &rule.one)] {
                if side.contains(&one) {
                    let against = others.iter().filter(|other| against.contains(other));
                    found.extend(against.map(|other| Conflict { rule, one, other: *other }));
                }
            }
        }
        found
    }

    /// Every entitlement that a rule names.
    pub fn named(&self) -> BTreeSet<EntitlementId> {
        self.rules.iter().flat_map(|rule| rule.one.iter().chain(&rule.other)).copied().collect()
    }
}

impl Setting for Separation {
    const KIND: &'static str = "separation";

    fn wrong(&self) -> Vec<Invalid> {
        let mut wrong = Vec::new();
        for (at, rule) in self.rules.iter().enumerate() {
            let mut at = |field: &str, message: &str| wrong.push(invalid(format!("rules.{at}.{field}"), message));
            if rule.name.trim().is_empty() {
                at("name", "Give the rule a name, such as “enter and release payments”");
            }
            if rule.reason.trim().is_empty() {
                at("reason", "Say what somebody could do who held both: people read it");
            }
            if rule.one.is_empty() {
                at("one", "Name at least one entry of the catalogue for one side");
            }
            if rule.other.is_empty() {
                at("other", "Name at least one entry of the catalogue for the other side");
            }
            if rule.one.iter().any(|one| rule.other.contains(one)) {
                at("other", "Nothing can be kept apart from itself: it stands on one side only");
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_kept_apart() {
        let [enter, import, release, other] = [(); 4].map(|()| EntitlementId::new());
        let rule = SeparationRule {
            name: "payments".to_owned(),
            reason: "Pay themselves".to_owned(),
            one: vec![enter, import],
            other: vec![release],
            consequence: Consequence::Refuse,
        };
        let rules = Separation { rules: vec![rule] };
        assert_eq!(rules.wrong(), []);
        let with = |held: &[EntitlementId], asked| -> Vec<EntitlementId> {
            let held = held.iter().copied().collect();
            rules.conflicts(asked, &held).into_iter().map(|found| found.other).collect()
        };
        assert_eq!(with(&[enter, import, other], release), [enter, import]);
        assert_eq!(with(&[release], import), [release]);
        assert_eq!(with(&[import, other], enter), [], "one side may be held together");
        assert_eq!(with(&[enter, release], other), []);
    }

    #[test]
    fn nothing_is_kept_apart_from_itself() {
        let one = EntitlementId::new();
        let rule = |one, other| SeparationRule {
            name: "x".to_owned(),
            reason: "y".to_owned(),
            one,
            other,
            consequence: Consequence::AskSecurity,
        };
        let wrong = |rule| Separation { rules: vec![rule] }.wrong().remove(0).field;
        assert_eq!(wrong(rule(vec![one], vec![one])), "rules.0.other");
        assert_eq!(wrong(rule(vec![], vec![one])), "rules.0.one");
        assert_eq!(wrong(SeparationRule { reason: " ".to_owned(), ..rule(vec![one], vec![one]) }), "rules.0.reason");
    }
}
