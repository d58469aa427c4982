//! Separation of duties in a plan: what would be held together is refused, or security is asked as well. Pure.
//!
//! What counts as held is what the person holds, what is on its way to them by other requests, and what this request gives
//! them; what it takes counts no longer, and then the taking comes first.

use std::collections::{BTreeMap, BTreeSet};

use super::field::FieldError;
use super::{GrantEffect, Plan, PlannedStep, Sight};
use crate::catalog::{Consequence, Separation};
use crate::grants::Reason;
use crate::ids::EntitlementId;

/// What the person holds or is about to hold, with its name.
pub type Holds = BTreeMap<EntitlementId, String>;

/// Marks the items by which something comes to be held together, and puts what is taken before what is given.
///
/// What rules alone bring together is not refused: nobody who asks could mend it, so security is asked.
///
/// # Errors
/// A field error where a rule refuses it.
pub(super) fn apply(plan: &mut Plan, sight: &Sight<'_>) -> Result<(), Vec<FieldError>> {
    let rules: &Separation = &sight.rules.separation.body;
    if rules.rules.is_empty() {
        return Ok(());
    }
    let taken = taken(plan);
    let mut refused = BTreeSet::new();
    let by_rule: BTreeSet<EntitlementId> = given(plan, true).into_iter().map(|(_, id)| id).collect();
    let held: BTreeSet<EntitlementId> = sight.holds.keys().filter(|id| !taken.contains_key(id)).copied().collect();
    let given = given(plan, false);
    let name = |id: EntitlementId| {
        let known = sight.entitlements.get(&id).map(|one| one.name.clone());
        known.or_else(|| sight.holds.get(&id).cloned()).unwrap_or_default()
    };
    let mut errors: Vec<FieldError> = Vec::new();
    for (at, entitlement) in &given {
        // Both sides are told where one request gives both: each may be decided, and planned again, without the other.
        let others = held.iter().copied().chain(given.iter().map(|(_, other)| *other)).collect();
        for conflict in rules.conflicts(*entitlement, &others) {
            // What comes by rule does not wait for what is asked for beyond it: that side is marked.
            let (one_by_rule, other_by_rule) = (by_rule.contains(&conflict.one), by_rule.contains(&conflict.other));
            if one_by_rule && !other_by_rule {
                continue;
            }
            let told = conflict.words(name);
            let pair = (conflict.one.max(conflict.other), conflict.one.min(conflict.other));
            if conflict.rule.consequence == Consequence::Refuse && !one_by_rule && refused.insert(pair) {
                errors.push(FieldError::new("groups", told.clone()));
            }
            plan.items[*at].together.push(told);
        }
        first_take(plan, *at, *entitlement, (rules, &taken));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Entitlements that items give, with the item's place; those by rule alone where that is wanted.
fn given(plan: &Plan, by_rule: bool) -> Vec<(usize, EntitlementId)> {
    let mut given = Vec::new();
    for (at, item) in plan.items.iter().enumerate() {
        for step in &item.steps {
            if let Some(GrantEffect::Give { entitlement, reason, .. }) = &step.grant
                && (!by_rule || *reason == Reason::Rule)
            {
                given.push((at, *entitlement));
            }
        }
    }
    given
}

/// Entitlements that the plan takes, with the step that does it.
fn taken(plan: &Plan) -> BTreeMap<EntitlementId, String> {
    let steps = plan.items.iter().flat_map(|item| &item.steps);
    steps
        .filter_map(|step| match &step.grant {
            Some(GrantEffect::Take { entitlement, .. }) => Some((*entitlement, step.name.clone())),
            _ => None,
        })
        .collect()
}

/// What is allowed only because something else is taken waits until that is done.
fn first_take(
    plan: &mut Plan,
    at: usize,
    entitlement: EntitlementId,
    (rules, taken): (&Separation, &BTreeMap<EntitlementId, String>),
) {
    let gone: BTreeSet<EntitlementId> = taken.keys().copied().collect();
    for conflict in rules.conflicts(entitlement, &gone) {
        let Some(name) = taken.get(&conflict.other) else { continue };
        let gives = |step: &&mut PlannedStep| matches!(&step.grant, Some(GrantEffect::Give { entitlement: given, .. }) if *given == entitlement);
        for step in plan.items[at].steps.iter_mut().filter(gives) {
            if !step.after.contains(name) {
                step.after.push(name.clone());
            }
        }
    }
}
