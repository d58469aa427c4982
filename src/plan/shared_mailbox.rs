//! A new mailbox: shared, a room, a piece of equipment, with who may use it from the start; or a person's own.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::field::{FieldError, Raw, Reader};
use super::mail::{self, AUTOMAPPING, FULL_ACCESS, SEND_AS, SEND_ON_BEHALF};
use super::personal_mailbox::{self, MAILBOX};
use super::{GrantEffect, Known, Plan, PlannedStep, Sight, set};
use crate::ids::PersonId;
use crate::mirror::mail::Recipient;
use crate::target::{Difference, Key, Kind, Presence, Reference, SystemKey};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    pub system: SystemKey,
    /// shared, room, equipment; user: of the person who answers for it
    #[serde(rename = "type")]
    pub mailbox_type: String,
    pub name: String,
    pub address: String,
    /// Who answers for it and decides who may use it.
    pub owner: PersonId,
    #[serde(default)]
    pub full_access: Vec<Recipient>,
    #[serde(default)]
    pub send_as: Vec<Recipient>,
    /// Rooms and equipment: invitations are accepted where it is free.
    #[serde(default)]
    pub accepts: bool,
    /// How many people a room holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<i64>,
    /// How many days ahead it can be booked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_days: Option<i64>,
    /// A person's: the one that they had before, with its messages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reconnect: bool,
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
    let mailbox_type = match raw.first("type") {
        "" => "shared",
        typed => typed,
    };
    if !matches!(mailbox_type, "user" | "shared" | "room" | "equipment") {
        reader.fail("type", "Choose user, shared, room or equipment");
    }
    let personal = mailbox_type == "user";
    let owner = mail::owner(&mut reader, known, None);
    let (name, address) = match (personal, raw.first("address")) {
        (true, _) => {
            let (name, address) = personal_mailbox::name_and_address(&mut reader, known, system);
            (name.unwrap_or_default(), address)
        }
        (false, typed) => {
            let name = reader.required("name", "Name", "Enter the name as people will see it", 64);
            if typed.is_empty() {
                reader.fail("address", "Enter the address");
            }
            let typed = Some(typed).filter(|typed| !typed.is_empty());
            (name, typed.and_then(|typed| mail::address(&mut reader, known, ("address", typed), system)))
        }
    };
    let key = system.map(|system| &system.key).filter(|_| !personal);
    let holders = |reader: &mut Reader<'_>, field: &str| {
        if personal { Vec::new() } else { mail::recipients(reader, known, field, key) }
    };
    let (full_access, send_as) = (holders(&mut reader, "full_access"), holders(&mut reader, "send_as"));
    let books = matches!(mailbox_type, "room" | "equipment");
    let capacity = reader.number("capacity", "Places", (1, 10_000)).filter(|_| mailbox_type == "room");
    let window_days = reader.number("window_days", "Days ahead", (1, 1080)).filter(|_| books);
    let accepts = reader.choice("accepts") != Some(false);
    let reconnect = reader.choice("reconnect") == Some(true);
    let reason = reader.reason();
    match (reader.errors.is_empty(), system, address, owner) {
        (true, Some(system), Some(address), Some(owner)) => Ok(Answers {
            system: system.key.clone(),
            mailbox_type: mailbox_type.to_owned(),
            name,
            address,
            owner,
            full_access,
            send_as,
            accepts: books && accepts,
            capacity,
            window_days,
            reconnect: personal && reconnect,
            reason,
        }),
        _ => Err(reader.errors),
    }
}

/// What it amounts to.
///
/// # Errors
/// A field error where a person's mailbox cannot be made or given back.
pub fn plan(answers: &Answers, sight: &Sight<'_>) -> Result<Plan, Vec<FieldError>> {
    if answers.mailbox_type == "user" {
        return personal_mailbox::plan(answers, sight);
    }
    let mut used: BTreeSet<String> = [MAILBOX.to_owned()].into();
    let mut changes = vec![
        set("type", answers.mailbox_type.clone()),
        set("displayName", answers.name.clone()),
        set("alias", mail::alias(&answers.address)),
        set("primaryAddress", answers.address.clone()),
    ];
    changes.extend(answers.capacity.map(|places| super::set_number("capacity", places)));
    let offers = [FULL_ACCESS, SEND_AS, SEND_ON_BEHALF].map(|right| mail::offer(right, &answers.name, true)).to_vec();
    let create = PlannedStep {
        grant: Some(GrantEffect::Offer { owner: answers.owner, offers }),
        why: "new".to_owned(),
        ..mail::step(
            (&answers.system, Kind::Mailbox, Key::New { new: true }),
            MAILBOX.to_owned(),
            Difference { presence: Some((Presence::Absent, Presence::Present)), changes },
            &answers.name,
        )
    };
    let mut steps = vec![create];
    if answers.mailbox_type != "shared" {
        steps.push(booking(answers));
    }
    for (right, holders) in [(FULL_ACCESS, &answers.full_access), (SEND_AS, &answers.send_as)] {
        for holder in holders {
            steps.push(delegate(answers, right, holder, &mut used));
        }
    }
    let label = match answers.mailbox_type.as_str() {
        "room" => format!("Room {}", answers.name),
        "equipment" => format!("Equipment {}", answers.name),
        _ => format!("Shared mailbox {}", answers.name),
    };
    let names = vec![("mail".to_owned(), answers.address.clone())];
    Ok(Plan { items: vec![mail::item(label, Some(answers.owner), steps)], names })
}

/// How invitations are answered.
fn booking(answers: &Answers) -> PlannedStep {
    let mut changes = vec![set("processing", if answers.accepts { "auto_accept" } else { "auto_update" })];
    changes.extend(answers.window_days.map(|days| super::set_number("bookingWindowDays", days)));
    let difference = Difference { presence: None, changes };
    let key = Key::Step { step: MAILBOX.to_owned() };
    PlannedStep {
        after: vec![MAILBOX.to_owned()],
        why: "booking rules".to_owned(),
        ..mail::step((&answers.system, Kind::Booking, key), "booking".to_owned(), difference, &answers.name)
    }
}

fn delegate(answers: &Answers, right: &str, holder: &Recipient, used: &mut BTreeSet<String>) -> PlannedStep {
    let name = mail::named(used, &[right, &mail::code(holder.id)]);
    let on = (&answers.system, answers.name.as_str());
    let ends = (Reference::Step { step: MAILBOX.to_owned() }, Reference::Native(holder.id), right);
    let mut step = mail::permission(on, name, ends, (Presence::Absent, Presence::Present));
    if right == FULL_ACCESS {
        step.difference.changes.push(set(AUTOMAPPING, true));
    }
    let grant = holder.person.map(|person| GrantEffect::GiveHere {
        offer: mail::offer(right, &answers.name, true),
        owner: Some(answers.owner),
        person,
        reason_text: String::new(),
        until_on: None,
        until_at: None,
    });
    PlannedStep { grant, why: format!("{} for {}", mail::right_name(right), holder.name), ..step }
}
