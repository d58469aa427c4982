//! Access for somebody: groups to join, optionally until a day, and groups to leave; each an item of its own.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::field::{FieldError, Raw, Reader};
use super::{
    AccountSight, GrantEffect, Known, Plan, PlannedItem, PlannedStep, Sight, end_of_day, joiner, leaver, slug, today,
    unique_name,
};
use crate::catalog::{Entitlement, Held};
use crate::grants::Reason;
use crate::ids::{EntitlementId, PersonId};
use crate::target::Reference;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    pub person: PersonId,
    #[serde(default)]
    pub groups: Vec<EntitlementId>,
    /// The last day of the groups joined; None: until taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
    #[serde(default)]
    pub leave: Vec<EntitlementId>,
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
    let groups = joiner::groups(&mut reader, known);
    let leave = to_leave(&mut reader, known);
    let until = until(&mut reader, known, person);
    if groups.is_empty() && leave.is_empty() && reader.errors.is_empty() {
        reader.fail("groups", "Choose at least one group to join or to leave");
    }
    if groups.iter().any(|group| leave.contains(group)) {
        reader.fail("leave", "A group cannot be joined and left in one request");
    }
    for group in &groups {
        if let Some(name) = held(known, *group) {
            reader.fail("groups", format!("{name} is held already"));
        }
    }
    for group in &leave {
        if held(known, *group).is_none() {
            let name = known.entitlements.values().find(|entitlement| entitlement.id == *group);
            reader.fail("leave", format!("{} is not held", name.map_or("This group", |group| &group.name)));
        }
    }
    if person.is_some() && primary(&known.accounts).is_none() {
        reader.fail("person", "This person has no account in the directory yet");
    }
    let reason = reader.reason();
    match (reader.errors.is_empty(), person) {
        (true, Some(person)) => Ok(Answers { person, groups, until, leave, reason }),
        _ => Err(reader.errors),
    }
}

pub(super) fn until(reader: &mut Reader<'_>, known: &Known, person: Option<PersonId>) -> Option<NaiveDate> {
    let day = reader.day("until", "Until")?;
    let site = person
        .and_then(|id| known.people.values().find(|person| person.id == id))
        .and_then(|person| person.employment.as_ref())
        .map(|employment| &employment.site);
    if day < site.map_or(known.now.date_naive(), |site| today(site, known.now)) {
        reader.fail("until", "Enter a day that is today or later");
    }
    Some(day)
}

fn to_leave(reader: &mut Reader<'_>, known: &Known) -> Vec<EntitlementId> {
    let mut leave = Vec::new();
    for typed in reader.raw.all("leave") {
        match known.entitlements.get(typed) {
            Some(entitlement) if !leave.contains(&entitlement.id) => leave.push(entitlement.id),
            Some(_) => {}
            None => reader.fail("leave", format!("“{typed}” is not in the catalogue")),
        }
    }
    leave
}

fn held(known: &Known, entitlement: EntitlementId) -> Option<&str> {
    let account = primary(&known.accounts)?;
    let group = account.groups.iter().find(|group| group.entitlement == Some(entitlement));
    group.map(|group| group.name.as_str()).or_else(|| known.held.get(&entitlement).map(String::as_str))
}

/// The everyday account: the one that access is asked for.
pub fn primary(accounts: &[AccountSight]) -> Option<&AccountSight> {
    accounts.iter().find(|account| account.kind == "person").or_else(|| accounts.first())
}

/// What of the person holds it: the account in that directory, or the mailbox in that organisation.
pub(super) fn holder(
    entitlement: &Entitlement,
    sight: &Sight<'_>,
    account: &AccountSight,
) -> Result<Uuid, Vec<FieldError>> {
    if entitlement.held == Held::GroupMembership {
        return Ok(account.id);
    }
    let mut mailboxes = sight.mail.mailboxes.iter().map(|mailbox| &mailbox.recipient);
    mailboxes.find(|mailbox| mailbox.system == entitlement.system).map(|mailbox| mailbox.id).ok_or_else(|| {
        vec![FieldError::new("groups", format!("{} needs a mailbox, and this person has none there", entitlement.name))]
    })
}

/// What it amounts to.
///
/// # Errors
/// A field error where there is no account.
pub fn plan(answers: &Answers, sight: &Sight<'_>) -> Result<Plan, Vec<FieldError>> {
    let account = primary(&sight.accounts)
        .ok_or_else(|| vec![FieldError::new("person", "This person has no account in the directory yet")])?;
    let site = sight.subject.as_ref().and_then(|person| person.employment.as_ref()).map(|employment| &employment.site);
    let until_at = answers.until.zip(site).map(|(day, site)| end_of_day(site, day));
    let mut used = BTreeSet::new();
    let mut items = Vec::new();
    for entitlement in answers.groups.iter().filter_map(|id| sight.entitlements.get(id)) {
        let name = unique_name(&slug(&entitlement.name), &mut used);
        let grant = GrantEffect::Give {
            entitlement: entitlement.id,
            reason: Reason::Request,
            reason_text: String::new(),
            until_on: answers.until.filter(|_| until_at.is_some()),
            until_at,
        };
        let step = PlannedStep::give(name, entitlement, Reference::Native(holder(entitlement, sight, account)?));
        let why = answers.until.map_or_else(String::new, |day| format!("until {}", day.format("%-d %B %Y")));
        items.push(PlannedItem {
            label: entitlement.name.clone(),
            entitlement: Some(entitlement.id),
            sox: entitlement.sox,
            steps: vec![PlannedStep { grant: Some(grant), why, ..step }],
            ..PlannedItem::default()
        });
    }
    for entitlement in answers.leave.iter().filter_map(|id| sight.entitlements.get(id)) {
        let name = unique_name(&format!("out-of-{}", slug(&entitlement.name)), &mut used);
        let step = PlannedStep::take(name, entitlement, holder(entitlement, sight, account)?);
        let grant = GrantEffect::Take { entitlement: entitlement.id, why: "request".to_owned() };
        items.push(PlannedItem {
            label: format!("Leave {}", entitlement.name),
            entitlement: Some(entitlement.id),
            sox: entitlement.sox,
            steps: vec![PlannedStep { grant: Some(grant), ..step }],
            ..PlannedItem::default()
        });
    }
    Ok(Plan { items, names: Vec::new() })
}
