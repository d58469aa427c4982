//! A list changes: name, visibility, owners, members in bulk, moderation, who may send; it is handed over, or deleted.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::field::{FieldError, Raw, Reader};
use super::mailing_list::{membership_offer, own_mailbox};
use super::{GrantEffect, Known, Plan, PlannedStep, Sight, changed, mail};
use crate::ids::PersonId;
use crate::mirror::mail::{Object, Recipient};
use crate::target::{Change, Difference, Key, Kind, Presence, Reference, State};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    pub list: Recipient,
    /// Who answers for it.
    pub owner: PersonId,
    /// Who answers for it from then on, where it is handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_owner: Option<PersonId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_only: Option<bool>,
    /// Everybody who may change it in Exchange from then on; empty: as it is.
    #[serde(default)]
    pub owners: Vec<Recipient>,
    /// Who looks at messages before they go out. Some and empty: nobody any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moderators: Option<Vec<Recipient>>,
    /// Who alone may send. Some and empty: everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub senders: Option<Vec<Recipient>>,
    #[serde(default)]
    pub add: Vec<Recipient>,
    #[serde(default)]
    pub remove: Vec<Recipient>,
    #[serde(default)]
    pub delete: bool,
    /// Why, in the requester's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What may be asked.
///
/// # Errors
/// Every field that cannot be taken, at once.
pub fn parse(raw: &Raw, known: &Known) -> Result<Answers, Vec<FieldError>> {
    let mut reader = Reader::new(raw);
    let object = mail::object(&mut reader, known, "list", true);
    let system = object.map(|object| &object.recipient.system);
    let owner = object.and_then(|object| mail::owner(&mut reader, known, Some(&object.recipient)));
    let name = reader.text("name", "Name", 64);
    let mut owners = mail::recipients(&mut reader, known, "owners", system);
    let new_owner = new_owner(&mut reader, known);
    if new_owner.is_some() && owners.is_empty() {
        // Handed over: whoever answers for it from now on may change it.
        owners.extend(own_mailbox(known, new_owner, system));
    }
    let moderators = mail::recipients(&mut reader, known, "moderators", system);
    let moderators = match reader.choice("moderated") {
        Some(false) => Some(Vec::new()),
        Some(true) if moderators.is_empty() && reader.errors.is_empty() => {
            reader.fail("moderators", "Name at least one person who looks at messages before they go out");
            None
        }
        _ => Some(moderators).filter(|named| !named.is_empty()),
    };
    let senders = mail::recipients(&mut reader, known, "senders", system);
    let senders = match reader.choice("restricted") {
        Some(false) => Some(Vec::new()),
        Some(true) if senders.is_empty() && reader.errors.is_empty() => {
            reader.fail("senders", "Name at least one person or list who may send");
            None
        }
        _ => Some(senders).filter(|named| !named.is_empty()),
    };
    let (add, remove) =
        (mail::recipients(&mut reader, known, "add", system), mail::recipients(&mut reader, known, "remove", system));
    members(&mut reader, known, object, (&add, &remove));
    let (hidden, internal_only) = (reader.choice("hidden"), reader.choice("internal_only"));
    let reason = reader.reason();
    match (object, owner, reader.errors.is_empty()) {
        (Some(object), Some(owner), true) => Ok(Answers {
            list: object.recipient.clone(),
            owner,
            new_owner,
            name,
            hidden,
            internal_only,
            owners,
            moderators,
            senders,
            add,
            remove,
            delete: raw.checked("delete"),
            reason,
        }),
        _ => Err(reader.errors),
    }
}

fn new_owner(reader: &mut Reader<'_>, known: &Known) -> Option<PersonId> {
    let typed = reader.raw.first("new_owner").to_owned();
    match known.people.get(&typed) {
        _ if typed.is_empty() => None,
        Some(person) if person.state == "active" => Some(person.id),
        Some(person) => {
            reader
                .fail("new_owner", format!("{} does not work here now; choose somebody who does", person.display_name));
            None
        }
        None => {
            reader.fail("new_owner", format!("Nobody is found as “{typed}”; use a user name or an employee number"));
            None
        }
    }
}

fn members(
    reader: &mut Reader<'_>,
    known: &Known,
    object: Option<&Object>,
    (add, remove): (&[Recipient], &[Recipient]),
) {
    let Some(list) = object.map(|object| &object.recipient) else { return };
    if list.kind == "dynamic" && !(add.is_empty() && remove.is_empty()) {
        reader.fail("add", "A dynamic list has no members of its own: its rule says who is on it");
        return;
    }
    let members: &[Uuid] = known.members.get(&list.id).map_or(&[], Vec::as_slice);
    for one in add {
        if one.id == list.id {
            reader.fail("add", "A list cannot be on itself");
        } else if members.contains(&one.id) {
            reader.fail("add", format!("{} is on it already", one.name));
        }
        if remove.iter().any(|other| other.id == one.id) {
            reader.fail("remove", format!("{} cannot be added and removed at once", one.name));
        }
    }
    for one in remove.iter().filter(|one| !members.contains(&one.id)) {
        reader.fail("remove", format!("{} is not on it", one.name));
    }
}

/// What it amounts to.
///
/// # Errors
/// A field error where the list is gone, or is so already.
pub fn plan(answers: &Answers, sight: &Sight<'_>) -> Result<Plan, Vec<FieldError>> {
    let object = mail::seen(sight, answers.list.id, "list")?;
    let list = &object.recipient;
    if !answers.add.is_empty() {
        mail::not_guarded(sight, "add", list, "")?;
    }
    let mut used = BTreeSet::new();
    let mut steps = Vec::new();
    if answers.delete {
        let difference = Difference { presence: Some((Presence::Present, Presence::Absent)), changes: Vec::new() };
        let on = (&list.system, Kind::List, Key::Native { id: list.id });
        let step = mail::step(on, mail::named(&mut used, &["list"]), difference, &list.name);
        steps.push(PlannedStep { grant: Some(GrantEffect::Gone), why: "deleted".to_owned(), ..step });
    } else {
        let changes = changes(answers, &object.state);
        let step = mail::changes_on(object, Kind::List, mail::named(&mut used, &["list"]), changes);
        let owned = answers.new_owner.map(|owner| GrantEffect::Owned { owner });
        steps.extend(step.map(|step| PlannedStep { grant: owned, ..step }));
        for member in &answers.add {
            steps.push(member_step(answers, (list, member), true, &mut used));
        }
        for member in &answers.remove {
            steps.push(member_step(answers, (list, member), false, &mut used));
        }
    }
    if steps.is_empty() {
        return Err(vec![FieldError::new("list", "Nothing would change: it is so already")]);
    }
    let label = if answers.delete { format!("Delete list {}", list.name) } else { format!("List {}", list.name) };
    let owner = mail::settled_owner(sight, list);
    Ok(Plan { items: vec![mail::item(label, owner, steps)], names: Vec::new() })
}

fn changes(answers: &Answers, state: &State) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    changes.extend(answers.name.clone().and_then(|name| changed(state, "displayName", name)));
    changes.extend(answers.hidden.and_then(|hidden| changed(state, "hidden", hidden)));
    changes.extend(answers.internal_only.and_then(|inside| changed(state, "internalOnly", inside)));
    if !answers.owners.is_empty() {
        changes.extend(changed(state, "owners", mail::id_list(&answers.owners)));
    }
    if let Some(moderators) = &answers.moderators {
        changes.extend(changed(state, "moderated", !moderators.is_empty()));
        changes.extend(changed(state, "moderators", mail::id_list(moderators)));
    }
    if let Some(senders) = &answers.senders {
        changes.extend(changed(state, "acceptOnlyFrom", mail::id_list(senders)));
    }
    changes
}

fn member_step(
    answers: &Answers,
    (list, member): (&Recipient, &Recipient),
    joins: bool,
    used: &mut BTreeSet<String>,
) -> PlannedStep {
    let name = mail::named(used, &[if joins { "add" } else { "remove" }, &mail::code(member.id)]);
    let ends = (Reference::Native(list.id), Reference::Native(member.id));
    let presence = if joins { (Presence::Absent, Presence::Present) } else { (Presence::Present, Presence::Absent) };
    let grant = member.person.filter(|_| joins).map(|person| GrantEffect::GiveHere {
        offer: membership_offer(&list.name),
        owner: Some(answers.new_owner.unwrap_or(answers.owner)),
        person,
        reason_text: String::new(),
        until_on: None,
        until_at: None,
    });
    let grant = grant.or_else(|| (!joins).then(|| GrantEffect::TakeHere { why: "request".to_owned() }));
    let why = if joins { format!("add {}", member.name) } else { format!("remove {}", member.name) };
    PlannedStep { grant, why, ..mail::membership((&list.system, &list.name), name, ends, presence) }
}
