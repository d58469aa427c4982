//! Rights on a mailbox for somebody: full access, send as, send on behalf, a role on the calendar; each an item of its own
//! that the mailbox's owner decides, optionally until a day.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::field::{FieldError, Raw, Reader};
use super::mail::{self, AUTOMAPPING, FULL_ACCESS};
use super::{GrantEffect, Known, Plan, PlannedItem, PlannedStep, Sight, access, end_of_day, leaver, set};
use crate::ids::PersonId;
use crate::mirror::mail::Recipient;
use crate::target::{Kind, Presence, Reference};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// Who gets it.
    pub person: PersonId,
    /// Their own mailbox, which is the trustee.
    pub holder: Recipient,
    pub mailbox: Recipient,
    /// Who answers for the mailbox.
    pub owner: PersonId,
    /// `full_access`, `send_as`, `send_on_behalf`, `calendar/Editor`.
    pub rights: Vec<String>,
    /// Outlook opens it by itself.
    #[serde(default)]
    pub automapping: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
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
    let person = leaver::subject(&mut reader, known);
    let mailbox = mail::object(&mut reader, known, "mailbox", false).map(|object| object.recipient.clone());
    let system = mailbox.as_ref().map(|mailbox| &mailbox.system);
    let holder = super::mailing_list::own_mailbox(known, person, system);
    if person.is_some() && mailbox.is_some() && holder.is_none() {
        reader.fail("person", "This person has no mailbox in that organisation yet");
    }
    mail::not_on_a_stub(&mut reader, "mailbox", mailbox.as_ref(), true);
    if let (Some(holder), Some(mailbox)) = (&holder, &mailbox)
        && holder.id == mailbox.id
    {
        reader.fail("mailbox", "This is their own mailbox");
    }
    let owner = mailbox.as_ref().and_then(|mailbox| mail::owner(&mut reader, known, Some(mailbox)));
    let rights = rights(&mut reader);
    let until = access::until(&mut reader, known, person);
    let automapping = reader.choice("automapping") != Some(false);
    let reason = reader.reason();
    match (reader.errors.is_empty(), person, holder, mailbox, owner) {
        (true, Some(person), Some(holder), Some(mailbox), Some(owner)) => {
            Ok(Answers { person, holder, mailbox, owner, rights, automapping, until, reason })
        }
        _ => Err(reader.errors),
    }
}

fn rights(reader: &mut Reader<'_>) -> Vec<String> {
    let mut rights: Vec<String> = Vec::new();
    for typed in reader.raw.all("rights") {
        let known = mail::RIGHTS.iter().any(|(word, _)| *word == typed)
            || typed.split_once('/').is_some_and(|(folder, role)| {
                matches!(folder, "calendar" | "inbox" | "contacts" | "tasks")
                    && mail::CALENDAR_ROLES.iter().any(|(word, _)| *word == role)
            });
        match known {
            true if rights.iter().any(|other| other == typed) => {}
            true => rights.push(typed.to_owned()),
            false => reader.fail("rights", format!("“{typed}” is not a right that can be given")),
        }
    }
    match reader.raw.first("calendar") {
        "" => {}
        role if mail::CALENDAR_ROLES.iter().any(|(word, _)| *word == role) => {
            rights.retain(|right| !right.starts_with("calendar/"));
            rights.push(format!("calendar/{role}"));
        }
        role => reader.fail("calendar", format!("“{role}” is not a role on a calendar")),
    }
    if rights.is_empty() && reader.errors.is_empty() {
        reader.fail("rights", "Choose at least one right, or a role on the calendar");
    }
    rights
}

/// What it amounts to.
///
/// # Errors
/// A field error where the mailbox is gone, or every right is held already.
pub fn plan(answers: &Answers, sight: &Sight<'_>) -> Result<Plan, Vec<FieldError>> {
    mail::seen(sight, answers.mailbox.id, "mailbox")?;
    for right in &answers.rights {
        mail::not_guarded(sight, "rights", &answers.mailbox, right)?;
    }
    let site = sight.subject.as_ref().and_then(|person| person.employment.as_ref()).map(|employment| &employment.site);
    let until_at = answers.until.zip(site).map(|(day, site)| end_of_day(site, day));
    let mut used = BTreeSet::new();
    let items: Vec<PlannedItem> =
        answers.rights.iter().filter_map(|right| item(answers, sight, (right, until_at), &mut used)).collect();
    if items.is_empty() {
        return Err(vec![FieldError::new("rights", format!("{} holds this already", answers.holder.name))]);
    }
    Ok(Plan { items, names: Vec::new() })
}

fn item(
    answers: &Answers,
    sight: &Sight<'_>,
    (right, until_at): (&str, Option<chrono::DateTime<chrono::Utc>>),
    used: &mut BTreeSet<String>,
) -> Option<PlannedItem> {
    let mailbox = &answers.mailbox;
    let (word, role) = right.split_once('/').map_or((right, None), |(folder, role)| (folder, Some(role)));
    let held =
        sight.mail.rights.iter().map(|(held, _)| held).find(|held| held.object == mailbox.id && held.right == word);
    let name = mail::named(used, &[word, &mail::code(mailbox.id)]);
    let ends = (Reference::Native(mailbox.id), Reference::Native(answers.holder.id), word);
    let mut step =
        mail::permission((&mailbox.system, &mailbox.name), name, ends, (Presence::Absent, Presence::Present));
    match (role, held) {
        // Another role than the one that is held: that is what changes.
        (Some(role), Some(held)) => {
            step.difference.presence = None;
            step.difference.changes = vec![super::changed(&held.state, "role", role)?];
        }
        (Some(role), None) => step.difference.changes.push(set("role", role)),
        (None, Some(_)) => return None,
        (None, None) if word == FULL_ACCESS => step.difference.changes.push(set(AUTOMAPPING, answers.automapping)),
        (None, None) => {}
    }
    if role.is_some() {
        step.kind = Kind::FolderPermission;
    }
    let offer = mail::offer(right, &mailbox.name, false);
    let label = offer.name.clone();
    let grant = GrantEffect::GiveHere {
        offer,
        owner: Some(answers.owner),
        person: answers.person,
        reason_text: String::new(),
        until_on: answers.until.filter(|_| until_at.is_some()),
        until_at,
    };
    let until = answers.until.map_or_else(String::new, |day| format!(", until {}", day.format("%-d %B %Y")));
    let why = format!("{} for {}{until}", mail::right_name(right), answers.holder.name);
    Some(mail::item(label, mail::settled_owner(sight, mailbox), vec![PlannedStep { grant: Some(grant), why, ..step }]))
}
