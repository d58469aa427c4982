//! Full access, send as, send on behalf: one right of one trustee. Every change is looked at afterwards: removing what is not
//! there is only a warning, and sometimes has no effect.

use uuid::Uuid;

use crate::connectors::exchange::attributes;
use crate::connectors::exchange::calls::{Calls, at};
use crate::connectors::exchange::cmdlet::{Anchor, Class, Cmdlet, Object, Param};
use crate::connectors::exchange::flavour::Flavour;
use crate::connectors::exchange::value::Properties;
use crate::target::{Difference, Fault, Presence, Seen, State};

pub const FULL_ACCESS: &str = "full_access";
pub const SEND_AS: &str = "send_as";
pub const SEND_ON_BEHALF: &str = "send_on_behalf";

/// Looks whether the trustee holds the right.
pub async fn observe(
    calls: &mut Calls<'_>,
    (object, trustee, right): (Uuid, Uuid, &str),
) -> Result<Option<Seen>, Fault> {
    let (id, to) = (object.to_string(), trustee.to_string());
    let there = match (right, calls.flavour()) {
        (FULL_ACCESS, _) => {
            let look =
                at(Cmdlet::read("Get-MailboxPermission"), &id).text("User", &to).anchored(Anchor::Mailbox(id.clone()));
            calls.all(look).await?.iter().any(gives_full_access)
        }
        (SEND_AS, Flavour::OnPremises) => {
            let look = at(Cmdlet::read("Get-ADPermission"), &id).text("User", &to);
            calls.all(look).await?.iter().any(gives_send_as)
        }
        (SEND_AS, Flavour::Online) => {
            let look = at(Cmdlet::read("Get-RecipientPermission"), &id).text("Trustee", &to);
            calls.all(look).await?.iter().any(gives_send_as)
        }
        (SEND_ON_BEHALF, _) => match holder_of_delegates(calls, &id).await? {
            Some((_, object)) => delegates(calls, &object).await?.contains(&trustee),
            None => false,
        },
        (other, _) => return Err(unknown(other)),
    };
    Ok(there.then(|| Seen { id: None, state: State::default(), native: calls.native() }))
}

fn unknown(right: &str) -> Fault {
    Fault::Refused { why: format!("“{right}” is not a right on a mailbox."), attribute: None }
}

fn listed(object: &Object, property: &str, wanted: &str) -> bool {
    Properties(object).list(property).is_ok_and(|values| {
        let mut each = values.iter().flat_map(|value| value.split(',')).map(|value| value.trim().replace('-', " "));
        each.any(|value| value.eq_ignore_ascii_case(wanted))
    })
}

fn is_own(object: &Object) -> bool {
    let from = Properties(object);
    let no = |name: &str| from.flag(name).ok().flatten() != Some(true);
    let denied = from.text("AccessControlType").ok().flatten().is_some_and(|word| word.eq_ignore_ascii_case("Deny"));
    no("IsInherited") && no("Deny") && !denied
}

/// Given by somebody here, not inherited and not a refusal.
pub fn gives_full_access(object: &Object) -> bool {
    is_own(object) && listed(object, "AccessRights", "FullAccess")
}

/// On premises an extended right of the directory, Online an access right of its own.
pub fn gives_send_as(object: &Object) -> bool {
    is_own(object)
        && (listed(object, "ExtendedRights", "Send As")
            || listed(object, "AccessRights", "SendAs")
            || listed(object, "AccessRights", "Send As"))
}

/// The object that holds delegates, with the cmdlet that sets them.
async fn holder_of_delegates(calls: &mut Calls<'_>, id: &str) -> Result<Option<(&'static str, Object)>, Fault> {
    let mut looks = vec![("Get-Mailbox", "Set-Mailbox"), ("Get-DistributionGroup", "Set-DistributionGroup")];
    if calls.flavour() == Flavour::OnPremises {
        looks.insert(1, ("Get-RemoteMailbox", "Set-RemoteMailbox"));
    }
    for (get, set) in looks {
        if let Some(object) = calls.one(at(Cmdlet::read(get), id)).await? {
            return Ok(Some((set, object)));
        }
    }
    Ok(None)
}

/// Who may send on behalf of it.
pub async fn delegates(calls: &mut Calls<'_>, object: &Object) -> Result<Vec<Uuid>, Fault> {
    let ids = attributes::recipients(calls, Properties(object), "GrantSendOnBehalfTo").await?;
    Ok(attributes::texts(&ids).iter().filter_map(|id| id.parse().ok()).collect())
}

/// Gives the right or takes it away.
pub async fn ensure(
    calls: &mut Calls<'_>,
    (object, trustee, right): (Uuid, Uuid, &str),
    step: &Difference,
) -> Result<(), Fault> {
    let (id, to) = (object.to_string(), trustee.to_string());
    let set = match right {
        SEND_ON_BEHALF => match holder_of_delegates(calls, &id).await? {
            Some((set, _)) => set,
            None => {
                return Err(Fault::Refused { why: "The mailbox is not there any more.".to_owned(), attribute: None });
            }
        },
        FULL_ACCESS | SEND_AS => "Set-Mailbox",
        other => return Err(unknown(other)),
    };
    let fine = [Class::AlreadyMember, Class::NotMember, Class::AlreadyExists];
    for cmdlet in commands(calls.flavour(), (&id, &to, right), step, set) {
        calls.write(cmdlet, &fine).await?;
    }
    Ok(())
}

/// The cmdlet for that. `set`: which cmdlet holds the object's delegates.
pub fn commands(flavour: Flavour, (id, to, right): (&str, &str, &str), step: &Difference, set: &str) -> Vec<Cmdlet> {
    let gives = matches!(step.presence, None | Some((_, Presence::Present)));
    let verb = |noun: &str| {
        let cmdlet = if gives { Cmdlet::write(format!("Add-{noun}")) } else { Cmdlet::write(format!("Remove-{noun}")) };
        at(cmdlet, id)
    };
    let one = |right: &str| Param::List(vec![right.to_owned()]);
    let cmdlet = match (right, flavour) {
        (FULL_ACCESS, _) => {
            let cmdlet = verb("MailboxPermission").text("User", to).with("AccessRights", one("FullAccess"));
            let cmdlet = cmdlet.text("InheritanceType", "All").anchored(Anchor::Mailbox(id.to_owned()));
            let maps = step.change("automapping").and_then(|change| change.to.as_bool());
            match maps {
                Some(maps) if gives => cmdlet.flag("AutoMapping", maps),
                _ => cmdlet,
            }
        }
        (SEND_AS, Flavour::OnPremises) => verb("ADPermission").text("User", to).with("ExtendedRights", one("Send As")),
        (SEND_AS, Flavour::Online) => {
            verb("RecipientPermission").text("Trustee", to).with("AccessRights", one("SendAs"))
        }
        _ => {
            let who = vec![to.to_owned()];
            let (add, remove) = if gives { (who, Vec::new()) } else { (Vec::new(), who) };
            at(Cmdlet::write(set), id).with("GrantSendOnBehalfTo", Param::Delta { add, remove })
        }
    };
    vec![cmdlet]
}
