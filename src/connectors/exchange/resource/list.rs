//! Lists: distribution, mail-enabled security, dynamic.

use crate::connectors::exchange::attributes::{self, delta, param, put, texts};
use crate::connectors::exchange::calls::{Calls, at};
use crate::connectors::exchange::cmdlet::{Class, Cmdlet, Object, Param};
use crate::connectors::exchange::flavour::Flavour;
use crate::connectors::exchange::value::Properties;
use crate::target::{Address, Change, Difference, Fault, Presence, Seen, State, Value};

use super::{Way, by_correlation, first_name, left, mark, wanted};

/// Looks at a list.
pub async fn observe(calls: &mut Calls<'_>, address: &Address) -> Result<Option<Seen>, Fault> {
    for cmdlet in ["Get-DistributionGroup", "Get-DynamicDistributionGroup"] {
        let found = match address {
            Address::Native(id) => calls.one(at(Cmdlet::read(cmdlet), &id.to_string())).await?,
            Address::New { correlation } => calls.ours(by_correlation(cmdlet, *correlation), *correlation).await?,
            _ => return Err(super::super::odd_address()),
        };
        if let Some(object) = found {
            return Ok(Some(seen(calls, &object).await?));
        }
    }
    Ok(None)
}

/// A list as Exchange gives it, as a sighting.
pub async fn seen(calls: &mut Calls<'_>, object: &Object) -> Result<Seen, Fault> {
    let from = Properties(object);
    let id = attributes::id_of(from)?;
    let mut state = State::default();
    let details = from.text("RecipientTypeDetails").ok().flatten().unwrap_or_default();
    let kind = match details.as_str() {
        "MailUniversalSecurityGroup" => "security",
        "DynamicDistributionGroup" => "dynamic",
        _ => "distribution",
    };
    put(&mut state, "type", Value::from(kind));
    for (attribute, property) in [("displayName", "DisplayName"), ("alias", "Alias")] {
        put(&mut state, attribute, attributes::text(from, property)?);
    }
    attributes::addresses(&mut state, from)?;
    for (attribute, property) in [
        ("hidden", "HiddenFromAddressListsEnabled"),
        ("moderated", "ModerationEnabled"),
        ("internalOnly", "RequireSenderAuthenticationEnabled"),
    ] {
        put(&mut state, attribute, attributes::flag(from, property)?);
    }
    for (attribute, property) in [
        ("owners", "ManagedBy"),
        ("moderators", "ModeratedBy"),
        ("acceptOnlyFrom", "AcceptMessagesOnlyFromSendersOrMembers"),
    ] {
        let ids = attributes::recipients(calls, from, property).await?;
        put(&mut state, attribute, ids);
    }
    if kind == "dynamic" {
        let departments = from.list("ConditionalDepartment").map_err(|error| super::super::fault::of_value(&error))?;
        put(&mut state, "departments", Value::List(departments.into_iter().map(Value::Text).collect()));
    }
    Ok(Seen { id: Some(id), state, native: calls.native() })
}

/// Changes it from what was just seen to what the step says.
pub async fn ensure(
    calls: &mut Calls<'_>,
    way: Way<'_>,
    address: &Address,
    step: &Difference,
    seen: Option<&Seen>,
) -> Result<(), Fault> {
    let state = seen.map(|seen| seen.state.clone());
    let known = seen.and_then(|seen| seen.id).map(|id| id.to_string());
    if let (Some((_, Presence::Absent)), Some(id)) = (step.presence, &known) {
        calls.write(removal(id, state.as_ref()), &[Class::NotFound]).await?;
        return Ok(());
    }
    let (id, state) = match (known, state) {
        (Some(id), Some(state)) => (id, state),
        _ => {
            let Address::New { correlation } = address else {
                return Err(Fault::Refused { why: "The list is not there any more.".to_owned(), attribute: None });
            };
            calls.write(creation(way, *correlation, step), &[]).await?;
            let made = observe(calls, address).await?.ok_or_else(|| Fault::Unknown {
                why: "Exchange accepted the list, but does not show it yet.".to_owned(),
            })?;
            (made.id.map(|id| id.to_string()).unwrap_or_default(), made.state)
        }
    };
    let dynamic = state.get("type").as_text() == Some("dynamic");
    if let Address::New { correlation } = address {
        calls.write(naming(dynamic, &id, *correlation, state.get("alias").as_text()), &[]).await?;
    }
    for cmdlet in changes(way, &id, dynamic, &left(step, Some(&state))) {
        calls.write(cmdlet, &[]).await?;
    }
    Ok(())
}

fn set(dynamic: bool, id: &str) -> Cmdlet {
    if dynamic {
        at(Cmdlet::write("Set-DynamicDistributionGroup"), id)
    } else {
        at(Cmdlet::write("Set-DistributionGroup"), id).switch("BypassSecurityGroupManagerCheck")
    }
}

/// The cmdlet that makes it. What it cannot take is set afterwards.
pub fn creation(way: Way<'_>, correlation: uuid::Uuid, step: &Difference) -> Cmdlet {
    let text = |attribute: &str| wanted(&step.changes, attribute).and_then(Value::as_text);
    let kind = text("type").unwrap_or("distribution");
    let name = if kind == "dynamic" { "New-DynamicDistributionGroup" } else { "New-DistributionGroup" };
    let mut cmdlet = Cmdlet::write(name).text("Name", first_name(correlation));
    for (parameter, attribute) in
        [("DisplayName", "displayName"), ("Alias", "alias"), ("PrimarySmtpAddress", "primaryAddress")]
    {
        if let Some(value) = text(attribute) {
            cmdlet = cmdlet.text(parameter, value);
        }
    }
    if way.flavour == Flavour::OnPremises
        && let Some(unit) = &way.places.organizational_unit
    {
        cmdlet = cmdlet.text("OrganizationalUnit", unit);
    }
    if kind == "dynamic" {
        let departments = wanted(&step.changes, "departments").map(texts).unwrap_or_default();
        return cmdlet
            .text("IncludedRecipients", "MailboxUsers")
            .with("ConditionalDepartment", Param::List(departments));
    }
    // Only here: no cmdlet changes it later, and those that read lists do not show it.
    let cmdlet = text("description").into_iter().fold(cmdlet, |cmdlet, notes| cmdlet.text("Notes", notes));
    let owners = wanted(&step.changes, "owners").map(texts).unwrap_or_default();
    let cmdlet = cmdlet.text("Type", if kind == "security" { "Security" } else { "Distribution" });
    if owners.is_empty() { cmdlet } else { cmdlet.with("ManagedBy", Param::List(owners)) }
}

/// The cmdlet that gives a new one its mark and its lasting name.
pub fn naming(dynamic: bool, id: &str, correlation: uuid::Uuid, alias: Option<&str>) -> Cmdlet {
    let named = set(dynamic, id).text("CustomAttribute15", mark(correlation));
    alias.into_iter().fold(named, |named, alias| named.text("Name", alias))
}

/// The cmdlet that deletes it.
pub fn removal(id: &str, seen: Option<&State>) -> Cmdlet {
    match seen.and_then(|state| state.get("type").as_text()) {
        Some("dynamic") => at(Cmdlet::destructive("Remove-DynamicDistributionGroup"), id),
        _ => at(Cmdlet::destructive("Remove-DistributionGroup"), id).switch("BypassSecurityGroupManagerCheck"),
    }
}

/// The cmdlets that change one that is there.
pub fn changes(way: Way<'_>, id: &str, dynamic: bool, changes: &[Change]) -> Vec<Cmdlet> {
    let mut cmdlets = Vec::new();
    let mut plain = set(dynamic, id);
    let bare = plain.params.len();
    for change in changes {
        let parameter = match change.attribute.as_str() {
            "displayName" => "DisplayName",
            "alias" => "Alias",
            "primaryAddress" => "PrimarySmtpAddress",
            "hidden" => "HiddenFromAddressListsEnabled",
            "moderated" => "ModerationEnabled",
            "moderators" => "ModeratedBy",
            "internalOnly" => "RequireSenderAuthenticationEnabled",
            "acceptOnlyFrom" => "AcceptMessagesOnlyFromSendersOrMembers",
            "owners" if dynamic => {
                // A dynamic list has one owner.
                let first = texts(&change.to).into_iter().next();
                plain = plain.with("ManagedBy", first.map_or(Param::Null, Param::Text));
                continue;
            }
            "owners" => "ManagedBy",
            "departments" if dynamic => "ConditionalDepartment",
            "description" if dynamic => "Notes",
            _ => continue,
        };
        plain = plain.with(parameter, param(&change.to));
    }
    let others =
        changes.iter().find(|change| change.attribute == "addresses").and_then(|change| delta(change, "smtp:"));
    let primary = wanted(changes, "primaryAddress").is_some();
    if way.flavour == Flavour::OnPremises && (primary || others.is_some()) {
        cmdlets.push(set(dynamic, id).flag("EmailAddressPolicyEnabled", false));
    }
    if plain.params.len() > bare {
        cmdlets.push(plain);
    }
    cmdlets.extend(others.map(|others| set(dynamic, id).with("EmailAddresses", others)));
    cmdlets
}
