//! Being on a list: one member at a time, never the whole list.

use uuid::Uuid;

use crate::connectors::exchange::attributes;
use crate::connectors::exchange::calls::{Calls, at};
use crate::connectors::exchange::cmdlet::{Class, Cmdlet};
use crate::connectors::exchange::value::Properties;
use crate::target::{Fault, Presence, Seen, State};

/// The members of a list, by immutable id.
pub async fn members(calls: &mut Calls<'_>, list: Uuid) -> Result<Vec<Uuid>, Fault> {
    let look = at(Cmdlet::read("Get-DistributionGroupMember"), &list.to_string()).text("ResultSize", "Unlimited");
    let found = calls.all(look).await?;
    found.iter().map(|object| attributes::id_of(Properties(object))).collect()
}

/// Looks whether the member is on the list.
pub async fn observe(calls: &mut Calls<'_>, (list, member): (Uuid, Uuid)) -> Result<Option<Seen>, Fault> {
    let there = members(calls, list).await?.contains(&member);
    Ok(there.then(|| Seen { id: None, state: State::default(), native: calls.native() }))
}

/// Puts the member on the list, or takes them off.
pub async fn ensure(calls: &mut Calls<'_>, ends: (Uuid, Uuid), to: Presence) -> Result<(), Fault> {
    let (list, member) = (ends.0.to_string(), ends.1.to_string());
    let fine = match to {
        Presence::Present => [Class::AlreadyMember],
        Presence::Absent => [Class::NotMember],
    };
    calls.write(command((&list, &member), to), &fine).await?;
    Ok(())
}

/// The cmdlet for that.
pub fn command((list, member): (&str, &str), to: Presence) -> Cmdlet {
    let name = match to {
        Presence::Present => "Add-DistributionGroupMember",
        Presence::Absent => "Remove-DistributionGroupMember",
    };
    at(Cmdlet::write(name), list).text("Member", member).switch("BypassSecurityGroupManagerCheck")
}
