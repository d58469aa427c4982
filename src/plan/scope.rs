//! What a plan would write where Tenure does not work is refused, before anybody decides about it.
//!
//! What counts is the object that is written: the account, the group whose members change, the unit that something is made in
//! or moved to. A leaver's plan does not come here with what it cannot touch: see [`super::leaver`].

use std::collections::BTreeMap;

use uuid::Uuid;

use super::field::FieldError;
use super::{Plan, PlannedStep};
use crate::catalog::UnitScope;
use crate::target::{Key, Kind, Reference};

/// The systems whose units are bounded, by key.
pub type Scopes = BTreeMap<String, UnitScope>;

/// Where objects lie: system and name, by id.
pub type Places = BTreeMap<Uuid, (String, String)>;

impl PlannedStep {
    /// The existing object that it writes to.
    fn written(&self) -> Option<Uuid> {
        match &self.key {
            Key::Native { id } => Some(*id),
            Key::Member { group: Reference::Native(id), .. } => Some(*id),
            Key::Permission { object: Reference::Native(id), .. } => Some(*id),
            _ => None,
        }
    }

    /// The unit that it makes something in, or moves it to.
    fn unit(&self) -> Option<&str> {
        self.difference.change("parent")?.to.as_text()
    }
}

/// The existing objects that a plan writes to.
pub fn written(plan: &Plan) -> Vec<Uuid> {
    plan.items.iter().flat_map(|item| &item.steps).filter_map(PlannedStep::written).collect()
}

/// Whether everything that the plan writes lies in scope.
///
/// # Errors
/// One error for each step that does not, at the field that it comes from.
pub fn within(plan: &Plan, scopes: &Scopes, places: &Places) -> Result<(), Vec<FieldError>> {
    let errors: Vec<FieldError> =
        plan.items.iter().flat_map(|item| &item.steps).filter_map(|step| outside(step, scopes, places)).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn outside(step: &PlannedStep, scopes: &Scopes, places: &Places) -> Option<FieldError> {
    if let Some((system, dn)) = step.written().and_then(|id| places.get(&id))
        && let Some(scope) = scopes.get(system).filter(|scope| !scope.covers(dn))
    {
        let field = if step.kind == Kind::Membership { "groups" } else { "person" };
        return Some(FieldError::new(field, refusal(&format!("“{}” lies at {dn}", step.label), scope)));
    }
    let (unit, scope) = (step.unit()?, scopes.get(&step.system.0)?);
    if scope.covers(unit) {
        return None;
    }
    let (field, what) = match step.key {
        Key::New { .. } => ("site", format!("The naming rules put this account into {unit}")),
        _ => ("person", format!("This would move the account to {unit}")),
    };
    Some(FieldError::new(field, refusal(&what, scope)))
}

/// Why not, and the mend.
pub fn refusal(what: &str, scope: &UnitScope) -> String {
    format!(
        "{what}, outside the units that Tenure works in ({}). An administrator can put the unit in scope; else it is done there by hand.",
        scope.words()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PlannedItem;
    use crate::target::{Change, Difference, SystemKey, Value};

    const SYSTEM: &str = "ad:corp";

    fn plan(key: Key, kind: Kind, parent: Option<&str>) -> Plan {
        let changes = parent.map(|unit| Change { attribute: "parent".into(), from: Value::Null, to: unit.into() });
        let step = PlannedStep {
            name: "account".into(),
            system: SystemKey(SYSTEM.into()),
            kind,
            key,
            difference: Difference { presence: None, changes: changes.into_iter().collect() },
            after: Vec::new(),
            not_before: None,
            grant: None,
            secret: None,
            label: "Anna".into(),
            why: String::new(),
        };
        let item = PlannedItem { steps: vec![step], ..PlannedItem::default() };
        Plan { items: vec![item], names: Vec::new() }
    }

    #[test]
    fn what_is_written_decides() {
        let staff = UnitScope { units: vec!["OU=Staff,DC=corp".into()], excluded: Vec::new() };
        let scopes = Scopes::from([(SYSTEM.to_owned(), staff)]);
        let [inside, outside] = [1, 2].map(Uuid::from_u128);
        let place = |dn: &str| (SYSTEM.to_owned(), dn.to_owned());
        let places =
            Places::from([(inside, place("CN=a,OU=Staff,DC=corp")), (outside, place("CN=b,OU=Robots,DC=corp"))]);
        let field = |plan: Plan| within(&plan, &scopes, &places).err().map(|errors| errors[0].field.clone());
        let member = |group, member| Key::Member { group: Reference::Native(group), member: Reference::Native(member) };
        assert_eq!(field(plan(Key::Native { id: inside }, Kind::User, None)), None);
        assert_eq!(field(plan(Key::Native { id: outside }, Kind::User, None)).as_deref(), Some("person"));
        assert_eq!(field(plan(member(outside, inside), Kind::Membership, None)).as_deref(), Some("groups"));
        assert_eq!(field(plan(member(inside, outside), Kind::Membership, None)), None, "only the group is written");
        let new = |unit| plan(Key::New { new: true }, Kind::User, Some(unit));
        assert_eq!(field(new("OU=Hamburg,OU=Staff,DC=corp")), None);
        assert_eq!(field(new("OU=Robots,DC=corp")).as_deref(), Some("site"));
        let moved = plan(Key::Native { id: inside }, Kind::User, Some("OU=Gone,DC=corp"));
        let told = within(&moved, &scopes, &places).unwrap_err().remove(0).message;
        assert!(told.contains("OU=Gone,DC=corp") && told.contains("OU=Staff,DC=corp"), "{told}");
        assert!(within(&plan(Key::Native { id: outside }, Kind::User, None), &Scopes::new(), &places).is_ok());
    }
}
