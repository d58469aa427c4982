//! A mailbox changes: name and addresses, visibility, archive, legal hold, quota, forwarding, answer while away, type; or it
//! is taken away. What is not filled in stays as it is.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::field::{FieldError, Raw, Reader};
use super::mail::{self, whole_address};
use super::{GrantEffect, Known, Plan, PlannedStep, Sight, changed, end_of_day};
use crate::catalog::TargetSystem;
use crate::ids::PersonId;
use crate::mirror::mail::{Object, Recipient};
use crate::target::{Change, Difference, Key, Kind, Presence, Value};

const GIGABYTE: i64 = 1 << 30;
const ON_HOLD: &str = "This mailbox is on legal hold: have the hold lifted first, in a request of its own";
const TWO_REQUESTS: &str = "Lifting a legal hold and taking the mailbox away are two requests";

/// Where messages go on to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forward {
    /// Nowhere any more.
    Nowhere,
    To(Recipient),
    /// An address outside.
    Outside(String),
}

/// The answer that whoever writes gets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AutoReply {
    /// disabled, enabled, scheduled
    pub state: String,
    #[serde(default)]
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<NaiveDate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    pub mailbox: Recipient,
    /// Who answers for it.
    pub owner: PersonId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The primary address; the one before it stays as a further one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default)]
    pub add_addresses: Vec<String>,
    #[serde(default)]
    pub remove_addresses: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub litigation_hold: Option<bool>,
    /// Of the hold; none: until it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_days: Option<i64>,
    /// user, shared, room, equipment
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "type")]
    pub mailbox_type: Option<String>,
    /// Gigabytes at which nothing is sent or received any more; 0: the database's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_gb: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<Forward>,
    /// The day after which messages are not forwarded any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_until: Option<NaiveDate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_reply: Option<AutoReply>,
    /// The mailbox is taken away; on premises it stays disconnected as long as the database keeps it.
    #[serde(default)]
    pub remove: bool,
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
    let object = mail::object(&mut reader, known, "mailbox", false);
    let system = object.and_then(|object| known.exchange.iter().find(|system| system.key == object.recipient.system));
    let owner = object.and_then(|object| mail::owner(&mut reader, known, Some(&object.recipient)));
    let name = reader.text("name", "Name", 64);
    let domain = system.and_then(|system| system.facts.mail_domain.as_deref());
    let has = |address: &str| object.is_some_and(|object| addresses(object).iter().any(|own| own == address));
    let typed = whole_address(raw.first("address"), domain);
    let address = match typed.as_str() {
        "" => None,
        own if has(own) => Some(typed),
        _ => mail::address(&mut reader, known, ("address", &typed), system),
    };
    let mut add_addresses = Vec::new();
    for typed in raw.lines("add_addresses") {
        let whole = whole_address(typed, domain);
        if !has(&whole) {
            add_addresses.extend(mail::address(&mut reader, known, ("add_addresses", &whole), system));
        }
    }
    let remove_addresses: Vec<String> =
        raw.lines("remove_addresses").into_iter().map(|typed| whole_address(typed, domain)).collect();
    for odd in &remove_addresses {
        if object.is_some_and(|object| object.recipient.address == *odd) && address.is_none() {
            reader.fail("remove_addresses", format!("{odd} is the primary address: give another one first"));
        } else if !has(odd) {
            reader.fail("remove_addresses", format!("{odd} is not an address of this mailbox"));
        }
    }
    let mailbox_type = Some(raw.first("type").to_owned()).filter(|typed| !typed.is_empty());
    if mailbox_type.as_deref().is_some_and(|typed| !matches!(typed, "user" | "shared" | "room" | "equipment")) {
        reader.fail("type", "Choose user, shared, room or equipment");
    }
    let forward = forward(&mut reader, known, object);
    let forward_until =
        reader.day("forward_until", "Until").filter(|_| !matches!(forward, None | Some(Forward::Nowhere)));
    let (hidden, archive, litigation_hold) = (reader.choice("hidden"), reader.choice("archive"), reader.choice("hold"));
    let hold_days =
        reader.number("hold_days", "Days of the hold", (1, 36_500)).filter(|_| litigation_hold == Some(true));
    let quota_gb = reader.number("quota_gb", "Quota", (0, 1000));
    let auto_reply = auto_reply(&mut reader);
    let remove = raw.checked("remove");
    let inside = forward.is_some() || litigation_hold.is_some() || quota_gb.is_some() || auto_reply.is_some();
    mail::not_on_a_stub(&mut reader, "mailbox", object.map(|object| &object.recipient), inside);
    let reason = reader.reason();
    let (Some(object), Some(owner), true) = (object, owner, reader.errors.is_empty()) else {
        return Err(reader.errors);
    };
    let answers = Answers {
        mailbox: object.recipient.clone(),
        owner,
        name,
        address,
        add_addresses,
        remove_addresses,
        hidden,
        archive,
        litigation_hold,
        hold_days,
        mailbox_type,
        quota_gb,
        forward,
        forward_until,
        auto_reply,
        remove,
        reason,
    };
    Ok(answers)
}

impl Answers {
    /// Legal hold, messages that leave the company, a mailbox that goes: security looks at these as well.
    pub fn is_sensitive(&self) -> bool {
        self.remove || self.litigation_hold.is_some() || matches!(self.forward, Some(Forward::Outside(_)))
    }
}

fn forward(reader: &mut Reader<'_>, known: &Known, object: Option<&Object>) -> Option<Forward> {
    let wanted = reader.choice("forward");
    if wanted == Some(false) {
        return Some(Forward::Nowhere);
    }
    let typed = reader.raw.first("forward_to").to_owned();
    if typed.is_empty() {
        if wanted == Some(true) {
            reader.fail("forward_to", "Name who gets the messages");
        }
        return None;
    }
    let inside = known.objects.contains_key(&typed) || known.people.contains_key(&typed);
    if !inside && typed.contains('@') {
        let own = |system: &TargetSystem| {
            let domain = system.facts.mail_domain.as_deref();
            domain.is_some_and(|domain| typed.to_lowercase().ends_with(&format!("@{domain}")))
        };
        if known.exchange.iter().any(own) {
            reader.fail("forward_to", format!("Nobody here has the address {typed}"));
            return None;
        }
        let fine =
            typed.len() <= 254 && !typed.chars().any(|letter| letter.is_whitespace() || "<>\"'();,".contains(letter));
        if !fine {
            reader.fail("forward_to", format!("“{typed}” is not an address"));
        }
        return fine.then_some(Forward::Outside(typed.to_lowercase()));
    }
    let system = object.map(|object| &object.recipient.system);
    let to = mail::recipient(reader, known, "forward_to", system)?;
    if object.is_some_and(|object| object.recipient.id == to.id) {
        reader.fail("forward_to", "A mailbox cannot forward to itself");
    }
    Some(Forward::To(to))
}

fn auto_reply(reader: &mut Reader<'_>) -> Option<AutoReply> {
    let state = match reader.choice("auto_reply") {
        None => return None,
        Some(false) => return Some(AutoReply { state: "disabled".to_owned(), ..AutoReply::default() }),
        Some(true) => "enabled",
    };
    let text = reader.long_text("auto_reply_text", "The answer", 4000).unwrap_or_default();
    if text.is_empty() {
        reader.fail("auto_reply_text", "Write what people who write get as an answer");
    }
    let (from, until) = (reader.day("auto_reply_from", "From"), reader.day("auto_reply_until", "Until"));
    if let (Some(from), Some(until)) = (from, until)
        && until < from
    {
        reader.fail("auto_reply_until", "The last day cannot be before the first");
    }
    if from.is_some() && until.is_none() {
        reader.fail("auto_reply_until", "Enter the last day as well");
    }
    let state = if until.is_some() { "scheduled" } else { state };
    Some(AutoReply { state: state.to_owned(), text, from, until })
}

/// Every smtp address of an object, lower case.
pub(super) fn addresses(object: &Object) -> Vec<String> {
    let mut all = vec![object.recipient.address.clone()];
    if let Value::List(values) = object.state.get("addresses") {
        all.extend(values.iter().filter_map(Value::as_text).map(str::to_lowercase));
    }
    all
}

/// What it amounts to.
///
/// # Errors
/// A field error where the mailbox is gone, or is so already.
pub fn plan(answers: &Answers, sight: &Sight<'_>) -> Result<Plan, Vec<FieldError>> {
    let object = mail::seen(sight, answers.mailbox.id, "mailbox")?;
    let site = sight.subject.as_ref().and_then(|person| person.employment.as_ref()).map(|employment| &employment.site);
    let mut steps = Vec::new();
    if answers.remove {
        // A stub's messages are Online, and so is their hold.
        let person = object.recipient.person;
        let others = sight.mail.mailboxes.iter().filter(|other| person.is_some() && other.recipient.person == person);
        if std::iter::once(object).chain(others).any(mail::on_hold) {
            let lifts = answers.litigation_hold == Some(false);
            return Err(vec![FieldError::new("remove", if lifts { TWO_REQUESTS } else { ON_HOLD })]);
        }
        steps.push(remove(object));
    } else {
        steps.extend(mail::changes_on(object, Kind::Mailbox, "mailbox".to_owned(), changes(answers, object)));
        if let Some(reply) = &answers.auto_reply {
            steps.push(reply_step(object, reply, site));
        }
        if let (Some(forward @ (Forward::To(_) | Forward::Outside(_))), Some(day), Some(site)) =
            (&answers.forward, answers.forward_until, site)
        {
            steps.push(stop_forwarding(object, (forward, end_of_day(site, day)), !steps.is_empty()));
        }
    }
    if steps.is_empty() {
        return Err(vec![FieldError::new("mailbox", "Nothing would change: it is so already")]);
    }
    let label = if answers.remove {
        format!("Take away mailbox {}", object.recipient.name)
    } else {
        format!("Mailbox {}", object.recipient.name)
    };
    let new: BTreeSet<&String> = answers.address.iter().chain(&answers.add_addresses).collect();
    let own = addresses(object);
    let owner = mail::settled_owner(sight, &object.recipient);
    let names =
        new.into_iter().filter(|address| !own.contains(address)).map(|address| ("mail".to_owned(), address.clone()));
    Ok(Plan { names: names.collect(), items: vec![mail::item(label, owner, steps)] })
}

/// What differs from what was last seen.
fn changes(answers: &Answers, object: &Object) -> Vec<Change> {
    let state = &object.state;
    let mut changes: Vec<Change> = Vec::new();
    changes.extend(answers.name.clone().and_then(|name| changed(state, "displayName", name)));
    changes.extend(answers.address.clone().and_then(|address| changed(state, "primaryAddress", address)));
    changes.extend(address_list(answers, object));
    changes.extend(answers.hidden.and_then(|hidden| changed(state, "hidden", hidden)));
    changes.extend(answers.archive.and_then(|archive| changed(state, "archive", archive)));
    if let Some(hold) = answers.litigation_hold {
        changes.extend(changed(state, "litigationHold", hold));
        let days = answers.hold_days.map_or(Value::Null, Value::Number);
        changes.extend(changed(state, "litigationHoldDays", days).filter(|_| hold));
    }
    changes.extend(answers.mailbox_type.clone().and_then(|wanted| changed(state, "type", stub(state, wanted))));
    if let Some(gigabytes) = answers.quota_gb {
        for (attribute, percent) in [("warningQuota", 90), ("sendQuota", 95), ("sendReceiveQuota", 100)] {
            // Exchange keeps whole kilobytes.
            let bytes = gigabytes * GIGABYTE / 1024 * percent / 100 * 1024;
            let to = if gigabytes == 0 { Value::Null } else { Value::Number(bytes) };
            changes.extend(changed(state, attribute, to));
        }
    }
    if let Some(forward) = &answers.forward {
        let (inside, outside) = match forward {
            Forward::Nowhere => (Value::Null, Value::Null),
            Forward::To(to) => (Value::Text(to.id.to_string()), Value::Null),
            Forward::Outside(address) => (Value::Null, Value::Text(address.clone())),
        };
        changes.extend(changed(state, "forwardTo", inside));
        changes.extend(changed(state, "forwardToAddress", outside));
        changes.extend(changed(state, "deliverAndForward", *forward != Forward::Nowhere));
    }
    changes
}

/// The type as this organisation calls it: the stub of a mailbox that is Online stays a stub.
pub(super) fn stub(state: &crate::target::State, wanted: String) -> String {
    match (state.get("type").as_text(), wanted.as_str()) {
        (Some("remote" | "remote_shared"), "shared") => "remote_shared".to_owned(),
        (Some("remote" | "remote_shared"), "user") => "remote".to_owned(),
        _ => wanted,
    }
}

/// The further addresses: what is added, what goes, and the primary one changing places.
fn address_list(answers: &Answers, object: &Object) -> Option<Change> {
    let primary = object.recipient.address.as_str();
    let mut wanted: BTreeSet<String> = addresses(object).into_iter().collect();
    wanted.extend(answers.add_addresses.iter().cloned());
    wanted.retain(|address| !answers.remove_addresses.contains(address));
    wanted.remove(answers.address.as_deref().unwrap_or(primary));
    changed(&object.state, "addresses", Value::List(wanted.into_iter().map(Value::Text).collect()))
}

fn reply_step(object: &Object, reply: &AutoReply, site: Option<&crate::people::Site>) -> PlannedStep {
    let mut changes = vec![super::set("state", reply.state.clone())];
    if reply.state != "disabled" {
        changes.push(super::set("internal", reply.text.clone()));
        changes.push(super::set("external", reply.text.clone()));
        changes.push(super::set("audience", "all"));
        let time = |day: chrono::DateTime<chrono::Utc>| day.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        if let (Some(until), Some(site)) = (reply.until, site) {
            let from = reply.from.map(|day| super::local_instant(site, day, chrono::NaiveTime::MIN));
            changes.extend(from.map(|at| super::set("from", time(at))));
            changes.push(super::set("until", time(end_of_day(site, until))));
        }
    }
    let difference = Difference { presence: None, changes };
    let key = Key::Native { id: object.recipient.id };
    let on = (&object.recipient.system, Kind::AutoReply, key);
    PlannedStep {
        why: "answer while away".to_owned(),
        ..mail::step(on, "auto-reply".to_owned(), difference, &object.recipient.name)
    }
}

/// The end of forwarding, approved together with its beginning.
fn stop_forwarding(
    object: &Object,
    (forward, at): (&Forward, chrono::DateTime<chrono::Utc>),
    begins: bool,
) -> PlannedStep {
    let (attribute, from) = match forward {
        Forward::To(to) => ("forwardTo", Value::Text(to.id.to_string())),
        Forward::Outside(address) => ("forwardToAddress", Value::Text(address.clone())),
        Forward::Nowhere => ("forwardTo", Value::Null),
    };
    let changes = vec![
        Change { attribute: attribute.to_owned(), from, to: Value::Null },
        Change { attribute: "deliverAndForward".to_owned(), from: Value::Bool(true), to: Value::Bool(false) },
    ];
    let difference = Difference { presence: None, changes };
    let on = (&object.recipient.system, Kind::Mailbox, Key::Native { id: object.recipient.id });
    PlannedStep {
        after: if begins { vec!["mailbox".to_owned()] } else { Vec::new() },
        not_before: Some(at),
        why: "forwarding ends".to_owned(),
        ..mail::step(on, "stop-forwarding".to_owned(), difference, &object.recipient.name)
    }
}

fn remove(object: &Object) -> PlannedStep {
    let recipient = &object.recipient;
    // What was made as a mailbox goes with its account; a person's account stays, whatever their mailbox was made into.
    let personal = recipient.person.is_some() || matches!(recipient.kind.as_str(), "user" | "remote");
    let mut changes = if personal { Vec::new() } else { vec![super::set("removal", "remove")] };
    // Approved without a hold: one that comes meanwhile stops it.
    let hold = object.state.get("litigationHold").clone();
    changes.push(Change { attribute: "litigationHold".to_owned(), from: hold, to: Value::Null });
    let difference = Difference { presence: Some((Presence::Present, Presence::Absent)), changes };
    let on = (&object.recipient.system, Kind::Mailbox, Key::Native { id: object.recipient.id });
    PlannedStep {
        grant: Some(GrantEffect::Gone),
        why: "taken away".to_owned(),
        ..mail::step(on, "mailbox".to_owned(), difference, &object.recipient.name)
    }
}
