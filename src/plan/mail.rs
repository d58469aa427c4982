//! What the kinds of request about mailboxes and lists share: reading recipients and addresses, and steps on them.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::field::{FieldError, Reader};
use super::{Known, Offer, PlannedItem, PlannedStep, Sight, slug, unique_name};
use crate::catalog::{Held, TargetSystem};
use crate::ids::PersonId;
use crate::mirror::mail::{Object, Recipient};
use crate::target::{Change, Difference, Key, Kind, Presence, Reference, SystemKey, Value};

pub const FULL_ACCESS: &str = "full_access";
pub const SEND_AS: &str = "send_as";
pub const SEND_ON_BEHALF: &str = "send_on_behalf";
/// The rights on a mailbox that can be asked for, with how they are called.
pub const RIGHTS: [(&str, &str); 3] =
    [(FULL_ACCESS, "Full access"), (SEND_AS, "Send as"), (SEND_ON_BEHALF, "Send on behalf")];
/// Roles on a calendar, as Exchange names them, with what they mean.
pub const CALENDAR_ROLES: [(&str, &str); 5] = [
    ("AvailabilityOnly", "Sees when they are busy"),
    ("LimitedDetails", "Sees subjects and places"),
    ("Reviewer", "Reads everything"),
    ("Author", "Reads, and adds entries of their own"),
    ("Editor", "Reads, adds, changes and deletes"),
];
/// Whether Outlook opens the mailbox by itself. It cannot be read back.
pub const AUTOMAPPING: &str = "automapping";
/// People and lists named in one request, at most.
pub const MOST: usize = 500;

/// “Send as”, “Calendar: Editor”: a right in words.
pub fn right_name(right: &str) -> String {
    match (RIGHTS.iter().find(|(word, _)| *word == right), right.split_once('/')) {
        (Some((_, name)), _) => (*name).to_owned(),
        (None, Some((folder, role))) => {
            let mut name = folder.to_owned();
            name[..1].make_ascii_uppercase();
            format!("{name}: {role}")
        }
        _ => right.to_owned(),
    }
}

/// The holding of a right, as the catalogue will call it.
pub fn offer(right: &str, name: &str, requestable: bool) -> Offer {
    let held = if right.contains('/') { Held::FolderPermission } else { Held::MailboxPermission };
    Offer { held, right: right.to_owned(), name: format!("{} – {name}", right_name(right)), requestable }
}

/// The organisation that something is made in: the one that was chosen, or the only one.
pub fn system<'a>(reader: &mut Reader<'_>, known: &'a Known) -> Option<&'a TargetSystem> {
    let typed = reader.raw.first("system").to_owned();
    let found = match typed.as_str() {
        "" => known.exchange.first(),
        key => known.exchange.iter().find(|system| system.key.0 == key),
    };
    if found.is_none() {
        let names: Vec<&str> = known.exchange.iter().map(|system| system.key.0.as_str()).collect();
        let why = match names.as_slice() {
            [] => "No Exchange organisation is set up here".to_owned(),
            _ => format!("Choose an Exchange organisation; known: {}", names.join(", ")),
        };
        reader.fail("system", why);
    }
    found
}

/// The mailbox or list that it is about.
pub fn object<'a>(reader: &mut Reader<'_>, known: &'a Known, field: &str, lists: bool) -> Option<&'a Object> {
    let typed = reader.raw.first(field).to_owned();
    let what = if lists { "list" } else { "mailbox" };
    if typed.is_empty() {
        reader.fail(field, format!("Choose a {what}"));
        return None;
    }
    match find(known, &typed) {
        Some(found) if found.recipient.is_list() == lists => Some(found),
        Some(found) => {
            reader.fail(field, format!("{} is not a {what}", found.recipient.name));
            None
        }
        None => {
            reader.fail(field, format!("No one {what} is found as “{typed}”; use its address"));
            None
        }
    }
}

/// Whether nothing of it may be deleted.
pub fn on_hold(object: &Object) -> bool {
    object.state.get("litigationHold").as_bool() == Some(true)
}

/// Whether it is the stub, on premises, of a mailbox that is Online: what people do with the mailbox is set there.
pub fn is_stub(recipient: &Recipient) -> bool {
    matches!(recipient.kind.as_str(), "remote" | "remote_shared")
}

/// Refuses at `field` what a stub cannot hold.
pub fn not_on_a_stub(reader: &mut Reader<'_>, field: &str, recipient: Option<&Recipient>, asked: bool) {
    if let Some(stub) = recipient.filter(|recipient| asked && is_stub(recipient)) {
        let why = "is Online, in an organisation that is not set up here: this can only be set there";
        reader.fail(field, format!("The mailbox of {} {why}", stub.name));
    }
}

/// A mailbox or list as typed: its own address, alias or name, or a person who has one.
fn find<'a>(known: &'a Known, typed: &str) -> Option<&'a Object> {
    known.objects.get(typed).or_else(|| {
        let person = known.people.get(typed)?;
        known.mailboxes.get(&person.id)?.first()
    })
}

/// One recipient of that organisation; None where the field is empty or wrong.
pub fn recipient(reader: &mut Reader<'_>, known: &Known, field: &str, system: Option<&SystemKey>) -> Option<Recipient> {
    let typed = reader.raw.first(field).to_owned();
    if typed.is_empty() { None } else { one(reader, known, (field, &typed), system) }
}

/// Several recipients of that organisation, each once.
pub fn recipients(reader: &mut Reader<'_>, known: &Known, field: &str, system: Option<&SystemKey>) -> Vec<Recipient> {
    let typed: Vec<String> = reader.raw.lines(field).into_iter().map(str::to_owned).collect();
    if typed.len() > MOST {
        reader.fail(field, format!("At most {MOST} in one request; these are {}", typed.len()));
        return Vec::new();
    }
    let mut found: Vec<Recipient> = Vec::new();
    for typed in typed {
        if let Some(one) = one(reader, known, (field, &typed), system)
            && !found.iter().any(|other| other.id == one.id)
        {
            found.push(one);
        }
    }
    found
}

fn one(
    reader: &mut Reader<'_>,
    known: &Known,
    (field, typed): (&str, &str),
    system: Option<&SystemKey>,
) -> Option<Recipient> {
    let here = |object: &&Object| system.is_none_or(|system| object.recipient.system == *system);
    let direct = known.objects.get(typed).filter(here);
    let person = known.people.get(typed);
    let of_person = person.and_then(|person| known.mailboxes.get(&person.id)?.iter().find(here));
    match (direct.or(of_person), person) {
        (Some(object), _) => Some(object.recipient.clone()),
        (None, Some(person)) => {
            reader.fail(field, format!("{} has no mailbox in that organisation", person.display_name));
            None
        }
        (None, None) if known.objects.contains_key(typed) => {
            reader.fail(field, format!("{typed} is in another Exchange organisation"));
            None
        }
        (None, None) => {
            reader.fail(
                field,
                format!("Nobody is found as “{typed}”; use a user name, an employee number or an address"),
            );
            None
        }
    }
}

/// Who answers for a mailbox or a list: whoever is known to; only where nobody is, who is named (and then the desk's lead
/// decides in their place, see [`settled_owner`]).
pub fn owner(reader: &mut Reader<'_>, known: &Known, object: Option<&Recipient>) -> Option<PersonId> {
    let typed = reader.raw.first("owner").to_owned();
    if let Some((object, settled)) = object.and_then(|object| Some((object, *known.owners.get(&object.id)?))) {
        if !typed.is_empty() && known.people.get(&typed).is_none_or(|person| person.id != settled) {
            let why = format!("Somebody else answers for {} already: leave this empty", object.name);
            reader.fail("owner", why);
            return None;
        }
        return Some(settled);
    }
    if !typed.is_empty() {
        return match known.people.get(&typed) {
            Some(person) if person.state == "active" => Some(person.id),
            Some(person) => {
                reader
                    .fail("owner", format!("{} does not work here now; choose somebody who does", person.display_name));
                None
            }
            None => {
                reader.fail("owner", format!("Nobody is found as “{typed}”; use a user name or an employee number"));
                None
            }
        };
    }
    let name = object.map_or("it", |object| object.name.as_str());
    reader.fail("owner", format!("Name who answers for {name}"));
    None
}

/// Who decides as owner. None where nobody was known to answer for it: whoever is named in the request decides nothing by that.
pub fn settled_owner(sight: &Sight<'_>, object: &Recipient) -> Option<PersonId> {
    sight.owners.get(&object.id).copied()
}

/// Refuses at `field` what is decided otherwise: a holding that is in the catalogue as a group's, in scope of SOX, or of high risk.
///
/// # Errors
/// A field error that names the entry to ask for.
pub fn not_guarded(sight: &Sight<'_>, field: &str, object: &Recipient, right: &str) -> Result<(), Vec<FieldError>> {
    match sight.guarded.get(&(object.id, right.to_owned())) {
        Some(name) => {
            let why = format!("This is decided person by person: ask for access to “{name}”");
            Err(vec![FieldError::new(field, why)])
        }
        None => Ok(()),
    }
}

/// An address of the organisation that nobody has: typed whole, or only what stands before the @.
pub fn address(
    reader: &mut Reader<'_>,
    known: &Known,
    (field, typed): (&str, &str),
    system: Option<&TargetSystem>,
) -> Option<String> {
    let address = whole_address(typed, system.and_then(|system| system.facts.mail_domain.as_deref()));
    let Some((local, domain)) = address.split_once('@') else {
        reader.fail(field, format!("“{typed}” is not an address: it needs an @"));
        return None;
    };
    let letters = |text: &str| {
        text.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-+".contains(letter))
            && !text.starts_with('.')
            && !text.ends_with('.')
            && !text.contains("..")
    };
    if local.is_empty() || local.len() > 64 || !letters(local) {
        reader.fail(
            field,
            "An address has before its @ 1 to 64 letters without accents, digits, dots, dashes and underscores",
        );
        return None;
    }
    let known_domain = system.and_then(|system| system.facts.mail_domain.as_deref());
    if known_domain.is_some_and(|known| known != domain) || !letters(domain) || !domain.contains('.') {
        reader.fail(
            field,
            format!(
                "{domain} is not a domain of this organisation{}",
                known_domain.map_or_else(String::new, |known| format!("; use {known}"))
            ),
        );
        return None;
    }
    if let Some(holder) = known.addresses_taken.get(&address) {
        reader.fail(field, format!("{address} is taken by {holder}"));
        return None;
    }
    Some(address)
}

/// As addresses are compared: lower case, with the organisation's domain where none was typed.
pub fn whole_address(typed: &str, domain: Option<&str>) -> String {
    let typed = typed.trim().to_lowercase();
    match domain {
        Some(domain) if !typed.contains('@') && !typed.is_empty() => format!("{typed}@{domain}"),
        _ => typed,
    }
}

/// What stands before the @, as Exchange's alias.
pub fn alias(address: &str) -> String {
    address.split('@').next().unwrap_or_default().replace('+', "-")
}

/// A step on a right.
pub fn permission(
    (system, label): (&SystemKey, &str),
    name: String,
    (object, trustee, right): (Reference, Reference, &str),
    presence: (Presence, Presence),
) -> PlannedStep {
    let key = Key::Permission { object: object.clone(), trustee: trustee.clone(), right: right.to_owned() };
    let difference = Difference { presence: Some(presence), changes: Vec::new() };
    let step = step((system, Kind::MailboxPermission, key), name, difference, label);
    PlannedStep { after: steps_of([&object, &trustee]), ..step }
}

/// A step on a list's membership.
pub fn membership(
    (system, label): (&SystemKey, &str),
    name: String,
    (list, member): (Reference, Reference),
    presence: (Presence, Presence),
) -> PlannedStep {
    let after = steps_of([&list, &member]);
    let key = Key::Member { group: list, member };
    let difference = Difference { presence: Some(presence), changes: Vec::new() };
    PlannedStep { after, ..step((system, Kind::ListMembership, key), name, difference, label) }
}

fn steps_of(references: [&Reference; 2]) -> Vec<String> {
    let step = |reference: &Reference| match reference {
        Reference::Step { step } => Some(step.clone()),
        Reference::Native(_) => None,
    };
    references.into_iter().filter_map(step).collect()
}

/// A step with nothing but what it changes.
pub fn step(
    (system, kind, key): (&SystemKey, Kind, Key),
    name: String,
    difference: Difference,
    label: &str,
) -> PlannedStep {
    PlannedStep {
        name,
        system: system.clone(),
        kind,
        key,
        difference,
        after: Vec::new(),
        not_before: None,
        grant: None,
        secret: None,
        label: label.to_owned(),
        why: String::new(),
    }
}

/// Changes on a mailbox or list that is there; None where there are none.
pub fn changes_on(object: &Object, kind: Kind, name: String, changes: Vec<Change>) -> Option<PlannedStep> {
    let recipient = &object.recipient;
    let difference = Difference { presence: None, changes };
    let step = step((&recipient.system, kind, Key::Native { id: recipient.id }), name, difference, &recipient.name);
    (!step.difference.changes.is_empty()).then_some(step)
}

/// Ids as a state's list holds them: sorted texts.
pub fn id_list(recipients: &[Recipient]) -> Value {
    let ids: BTreeSet<String> = recipients.iter().map(|recipient| recipient.id.to_string()).collect();
    Value::List(ids.into_iter().map(Value::Text).collect())
}

/// The object as last seen, or words for the field that named it.
pub fn seen<'a>(sight: &'a Sight<'_>, id: Uuid, field: &str) -> Result<&'a Object, Vec<FieldError>> {
    sight
        .objects
        .get(&id)
        .ok_or_else(|| vec![FieldError::new(field, "It is not in Exchange any more; look it up again")])
}

/// One item without an entitlement of its own.
pub fn item(label: String, owner: Option<PersonId>, steps: Vec<PlannedStep>) -> PlannedItem {
    PlannedItem { label, steps, owner, ..PlannedItem::default() }
}

/// A recipient in a step's name: names of steps stay in evidence, so no person's is in them.
pub fn code(id: Uuid) -> String {
    id.simple().to_string().split_off(24)
}

/// A step's name made of several words, unique in the plan.
pub fn named(used: &mut BTreeSet<String>, parts: &[&str]) -> String {
    unique_name(&slug(&parts.join(" ")), used)
}

/// Ids in a state's list.
pub fn ids_in(value: &Value) -> BTreeSet<String> {
    match value {
        Value::List(values) => values.iter().filter_map(Value::as_text).map(str::to_owned).collect(),
        _ => BTreeSet::new(),
    }
}
