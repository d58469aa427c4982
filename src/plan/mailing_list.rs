//! A list: distribution, mail-enabled security, or dynamic by department; with owners, members, moderation, who may send.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::field::{FieldError, Raw, Reader};
use super::{GrantEffect, Known, Offer, Plan, PlannedStep, Sight, mail, set};
use crate::catalog::Held;
use crate::ids::PersonId;
use crate::mirror::mail::Recipient;
use crate::target::{Difference, Key, Kind, Presence, Reference, SystemKey, Value};

/// The step that makes the list; others refer to it.
const LIST: &str = "list";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    pub system: SystemKey,
    /// distribution, security, dynamic
    #[serde(rename = "type")]
    pub list_type: String,
    pub name: String,
    pub address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who answers for it and decides who may join.
    pub owner: PersonId,
    /// Who may change it in Exchange; the owner's mailbox among them.
    #[serde(default)]
    pub owners: Vec<Recipient>,
    #[serde(default)]
    pub members: Vec<Recipient>,
    /// Dynamic lists: everybody with a mailbox in these departments.
    #[serde(default)]
    pub departments: Vec<String>,
    /// Messages wait for one of these; empty: not moderated.
    #[serde(default)]
    pub moderators: Vec<Recipient>,
    /// Only these may send; empty: everybody who may.
    #[serde(default)]
    pub senders: Vec<Recipient>,
    /// Senders from outside are refused.
    #[serde(default)]
    pub internal_only: bool,
    #[serde(default)]
    pub hidden: bool,
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
    let system = mail::system(&mut reader, known);
    let list_type = match raw.first("type") {
        "" => "distribution",
        typed => typed,
    };
    if !matches!(list_type, "distribution" | "security" | "dynamic") {
        reader.fail("type", "Choose distribution, security or dynamic");
    }
    let dynamic = list_type == "dynamic";
    let name = reader.required("name", "Name", "Enter the name as people will see it", 64);
    let description = reader.text("description", "Description", 200);
    let address = match raw.first("address") {
        "" => {
            reader.fail("address", "Enter the address");
            None
        }
        typed => mail::address(&mut reader, known, ("address", typed), system),
    };
    let owner = mail::owner(&mut reader, known, None);
    let key = system.map(|system| &system.key);
    let mut owners = mail::recipients(&mut reader, known, "owners", key);
    if let Some(mailbox) = own_mailbox(known, owner, key)
        && !owners.iter().any(|other| other.id == mailbox.id)
    {
        owners.insert(0, mailbox);
    }
    if owners.is_empty() && owner.is_some() {
        reader.fail("owner", "Whoever answers for a list needs a mailbox in this organisation");
    }
    let members = if dynamic { Vec::new() } else { mail::recipients(&mut reader, known, "members", key) };
    let departments: Vec<String> = raw.lines("departments").into_iter().map(str::to_owned).collect();
    if dynamic && departments.is_empty() {
        reader.fail("departments", "Choose at least one department");
    }
    for odd in departments.iter().filter(|department| dynamic && !known.departments.contains(department)) {
        reader.fail("departments", format!("“{odd}” is not a department here"));
    }
    let moderators = mail::recipients(&mut reader, known, "moderators", key);
    let moderated = reader.choice("moderated");
    if moderated == Some(true) && moderators.is_empty() && reader.errors.is_empty() {
        reader.fail("moderators", "Name at least one person who looks at messages before they go out");
    }
    let senders = mail::recipients(&mut reader, known, "senders", key);
    let internal_only = reader.choice("internal_only") != Some(false);
    let reason = reader.reason();
    match (reader.errors.is_empty(), system, address, owner) {
        (true, Some(system), Some(address), Some(owner)) => Ok(Answers {
            system: system.key.clone(),
            list_type: list_type.to_owned(),
            name,
            address,
            description,
            owner,
            owners,
            members,
            departments: if dynamic { departments } else { Vec::new() },
            moderators: if moderated == Some(false) { Vec::new() } else { moderators },
            senders,
            internal_only,
            hidden: raw.checked("hidden"),
            reason,
        }),
        _ => Err(reader.errors),
    }
}

/// The mailbox that a person has in that organisation.
pub(super) fn own_mailbox(known: &Known, person: Option<PersonId>, system: Option<&SystemKey>) -> Option<Recipient> {
    let mailboxes = known.mailboxes.get(&person?)?;
    let here = mailboxes.iter().find(|mailbox| system.is_none_or(|system| mailbox.recipient.system == *system))?;
    Some(here.recipient.clone())
}

/// What it amounts to.
///
/// # Errors
/// None at present; kept for what only planning can see.
pub fn plan(answers: &Answers, _: &Sight<'_>) -> Result<Plan, Vec<FieldError>> {
    let mut used: BTreeSet<String> = [LIST.to_owned()].into();
    let mut changes = vec![
        set("type", answers.list_type.clone()),
        set("displayName", answers.name.clone()),
        set("alias", mail::alias(&answers.address)),
        set("primaryAddress", answers.address.clone()),
        super::set_value("owners", mail::id_list(&answers.owners)),
        set("internalOnly", answers.internal_only),
        set("hidden", answers.hidden),
        set("moderated", !answers.moderators.is_empty()),
    ];
    if !answers.moderators.is_empty() {
        changes.push(super::set_value("moderators", mail::id_list(&answers.moderators)));
    }
    if !answers.senders.is_empty() {
        changes.push(super::set_value("acceptOnlyFrom", mail::id_list(&answers.senders)));
    }
    if let Some(description) = &answers.description {
        changes.push(set("description", description.clone()));
    }
    if !answers.departments.is_empty() {
        let departments = answers.departments.iter().cloned().map(Value::Text).collect();
        changes.push(super::set_value("departments", Value::List(departments)));
    }
    let offers = if answers.list_type == "dynamic" { Vec::new() } else { vec![membership_offer(&answers.name)] };
    let create = PlannedStep {
        grant: Some(GrantEffect::Offer { owner: answers.owner, offers }),
        why: "new".to_owned(),
        ..mail::step(
            (&answers.system, Kind::List, Key::New { new: true }),
            LIST.to_owned(),
            Difference { presence: Some((Presence::Absent, Presence::Present)), changes },
            &answers.name,
        )
    };
    let mut steps = vec![create];
    for member in &answers.members {
        let name = mail::named(&mut used, &["member", &mail::code(member.id)]);
        let ends = (Reference::Step { step: LIST.to_owned() }, Reference::Native(member.id));
        let on = (&answers.system, answers.name.as_str());
        let step = mail::membership(on, name, ends, (Presence::Absent, Presence::Present));
        let grant = member.person.map(|person| GrantEffect::GiveHere {
            offer: membership_offer(&answers.name),
            owner: Some(answers.owner),
            person,
            reason_text: String::new(),
            until_on: None,
            until_at: None,
        });
        steps.push(PlannedStep { grant, why: format!("member {}", member.name), ..step });
    }
    let names = vec![("mail".to_owned(), answers.address.clone())];
    let label = format!("List {}", answers.name);
    Ok(Plan { items: vec![mail::item(label, Some(answers.owner), steps)], names })
}

/// Being on a list, as the catalogue will call it.
pub(super) fn membership_offer(name: &str) -> Offer {
    Offer { held: Held::ListMembership, right: String::new(), name: name.to_owned(), requestable: true }
}
