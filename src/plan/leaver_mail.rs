//! What becomes of a leaver's mail: the mailbox kept as a shared one, opened to whoever takes over, forwarded, answered;
//! their rights on other people's mailboxes and their places on lists end; lists of theirs are handed over.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};

use super::field::{FieldError, Reader};
use super::mail::{self, AUTOMAPPING, FULL_ACCESS};
use super::mailbox_change::stub;
use super::{GrantEffect, Known, ListSight, PlannedStep, Sight, changed, end_of_day, leaver, set};
use crate::ids::PersonId;
use crate::mirror::mail::{Object, Recipient};
use crate::target::{Change, Difference, Key, Kind, Presence, Reference, Value};

/// Whoever takes over the mail: the person and their mailboxes.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Delegate {
    pub person: PersonId,
    pub mailboxes: Vec<Recipient>,
}

impl Delegate {
    fn in_system(&self, object: &Recipient) -> Option<&Recipient> {
        self.mailboxes.iter().find(|mailbox| mailbox.system == object.system && mailbox.id != object.id)
    }
}

/// Reads somebody who takes over, from `field`.
pub(super) fn delegate(
    reader: &mut Reader<'_>,
    known: &Known,
    field: &str,
    leaver: Option<PersonId>,
) -> Option<Delegate> {
    let typed = reader.raw.first(field).to_owned();
    if typed.is_empty() {
        return None;
    }
    let Some(person) = known.people.get(&typed) else {
        reader.fail(field, format!("Nobody is found as “{typed}”; use a user name or an employee number"));
        return None;
    };
    if Some(person.id) == leaver || person.state != "active" {
        reader.fail(field, "Choose somebody else, who works here");
        return None;
    }
    let mailboxes: Vec<Recipient> =
        known.mailboxes.get(&person.id).into_iter().flatten().map(|mailbox| mailbox.recipient.clone()).collect();
    if mailboxes.is_empty() {
        reader.fail(field, format!("{} has no mailbox", person.display_name));
        return None;
    }
    Some(Delegate { person: person.id, mailboxes })
}

/// What cannot be done where all that is here of a mailbox is its stub.
pub(super) fn only_stubs(
    reader: &mut Reader<'_>,
    known: &Known,
    person: Option<PersonId>,
    inside: &[(&'static str, bool)],
) {
    let mailboxes = person.and_then(|person| known.mailboxes.get(&person)).into_iter().flatten();
    let mut mailboxes = mailboxes.map(|mailbox| &mailbox.recipient);
    // The mailbox itself comes before its stub.
    let first = mailboxes.next();
    for (field, asked) in inside {
        mail::not_on_a_stub(reader, field, first, *asked);
    }
}

/// A mailbox on legal hold is left as it is; whoever asks for more is told, once they may ask at all.
fn refuse_on_hold(answers: &leaver::Answers, sight: &Sight<'_>) -> Result<(), Vec<FieldError>> {
    let wants = answers.mailbox.as_deref() == Some("convert") && !answers.immediate || answers.forward_to.is_some();
    if wants && sight.mail.mailboxes.iter().any(mail::on_hold) {
        let why = "Their mailbox is on legal hold: choose to keep it as it is, or have the hold lifted first by a request of its own";
        return Err(vec![FieldError::new("mailbox", why)]);
    }
    Ok(())
}

/// The licence of a mailbox goes after it was converted, and stays with one that is kept: without it, Online deletes it.
pub(super) fn keep_licence(sight: &Sight<'_>, steps: &mut Vec<PlannedStep>) {
    let groups: BTreeSet<_> = sight.licence_groups.values().copied().collect();
    let licence = |step: &PlannedStep| matches!(&step.key, Key::Member { group: Reference::Native(group), .. } if groups.contains(group));
    if sight.mail.mailboxes.is_empty() || !steps.iter().any(licence) {
        return;
    }
    let converts = |step: &&PlannedStep| step.kind == Kind::Mailbox && step.difference.change("type").is_some();
    let conversions: Vec<String> = steps.iter().filter(converts).map(|step| step.name.clone()).collect();
    let shared = |mailbox: &Object| matches!(mailbox.recipient.kind.as_str(), "shared" | "remote_shared");
    if conversions.is_empty() && !sight.mail.mailboxes.iter().all(shared) {
        let kept: BTreeSet<String> = steps.iter().filter(|step| licence(step)).map(|step| step.name.clone()).collect();
        steps.retain(|step| !kept.contains(&step.name));
        for step in steps.iter_mut() {
            step.after.retain(|name| !kept.contains(name));
        }
        return;
    }
    for step in steps.iter_mut().filter(|step| licence(step)) {
        step.after.extend(conversions.iter().cloned());
    }
}

/// The steps, after those that end the accounts.
///
/// # Errors
/// A field error where the mailbox is on legal hold, or nobody is named who could own what the leaver alone owns.
pub(super) fn steps(
    answers: &leaver::Answers,
    sight: &Sight<'_>,
    (at, after): (Option<DateTime<Utc>>, &[String]),
    used: &mut BTreeSet<String>,
) -> Result<Vec<PlannedStep>, Vec<FieldError>> {
    refuse_on_hold(answers, sight)?;
    let mut steps = Vec::new();
    for mailbox in &sight.mail.mailboxes {
        steps.extend(own_mailbox(answers, mailbox, sight, used));
    }
    for (held, entitlement) in &sight.mail.rights {
        let grant = entitlement.map(|entitlement| GrantEffect::Take { entitlement, why: "leaver".to_owned() });
        let name = mail::named(used, &["no", &held.right, &mail::code(held.object)]);
        let ends = (Reference::Native(held.object), Reference::Native(held.trustee), held.right.as_str());
        let presence = (Presence::Present, Presence::Absent);
        let step = mail::permission((&held.system, &held.object_name), name, ends, presence);
        let why = format!("{} ends", mail::right_name(&held.right));
        steps.push(PlannedStep { kind: held.kind, grant, why, ..step });
    }
    for list in &sight.mail.lists {
        steps.extend(off_list(list, sight, used));
        if list.owner && (list.list.recipient.kind != "dynamic" || answers.lists_to.is_some()) {
            steps.extend(hand_over(answers, list, sight, used)?);
        }
    }
    for step in &mut steps {
        step.after.extend(after.iter().cloned());
        if step.not_before.is_none() {
            step.not_before = at;
        }
    }
    Ok(steps)
}

fn own_mailbox(
    answers: &leaver::Answers,
    mailbox: &Object,
    sight: &Sight<'_>,
    used: &mut BTreeSet<String>,
) -> Vec<PlannedStep> {
    let recipient = &mailbox.recipient;
    let mut steps = Vec::new();
    // On legal hold it is left as it is, but for what would still send its messages elsewhere.
    let held = mail::on_hold(mailbox);
    let convert = answers.mailbox.as_deref() == Some("convert") && !held;
    // What is done with the messages is set where they are, not on the stub.
    let holds_messages = !mail::is_stub(recipient);
    let successor = |given: &'_ Option<Delegate>| {
        given.as_ref().filter(|_| holds_messages).and_then(|given| given.in_system(recipient)).cloned()
    };
    let (delegate, forward) = (successor(&answers.delegate), successor(&answers.forward_to));
    let (delegate, forward) = (delegate.as_ref(), forward.as_ref());
    let mut changes: Vec<Change> = Vec::new();
    if convert {
        changes.extend(changed(&mailbox.state, "type", stub(&mailbox.state, "shared".to_owned())));
    }
    if convert || (answers.delegate.is_some() && !held) {
        changes.extend(changed(&mailbox.state, "hidden", true));
    }
    if holds_messages {
        // Where it went until now, to a private address perhaps, it goes no longer.
        let to = forward.map_or(Value::Null, |to| Value::Text(to.id.to_string()));
        changes.extend(changed(&mailbox.state, "forwardTo", to));
        changes.extend(changed(&mailbox.state, "forwardToAddress", Value::Null));
        changes.extend(forward.and_then(|_| changed(&mailbox.state, "deliverAndForward", true)));
    }
    if convert && holds_messages && !changes.is_empty() {
        // Approved without a hold: one that comes meanwhile stops it.
        let hold = mailbox.state.get("litigationHold").clone();
        changes.push(Change { attribute: "litigationHold".to_owned(), from: hold.clone(), to: hold });
    }
    let name = mail::named(used, &["mailbox", &mail::code(recipient.id)]);
    let step = mail::changes_on(mailbox, Kind::Mailbox, name.clone(), changes);
    let begins = step.is_some();
    let offers = [FULL_ACCESS, mail::SEND_AS].map(|right| mail::offer(right, &recipient.name, false)).to_vec();
    let owner = answers.delegate.as_ref().map(|delegate| delegate.person);
    let grant = owner.filter(|_| convert).map(|owner| GrantEffect::Offer { owner, offers });
    steps.extend(step.map(|step| PlannedStep { grant, why: "leaver".to_owned(), ..step }));
    if let (Some(to), Some(person)) = (delegate, owner) {
        steps.push(opened(mailbox, to, person, used));
    }
    if let (Some(to), Some(day)) = (forward, answers.forward_until) {
        let after = if begins { vec![name] } else { Vec::new() };
        steps.push(forward_ends(mailbox, to, (sight, day), after, used));
    }
    if let Some(text) = answers.auto_reply.as_ref().filter(|_| holds_messages) {
        let changes = vec![
            set("state", "enabled"),
            set("internal", text.clone()),
            set("external", text.clone()),
            set("audience", "all"),
        ];
        let name = mail::named(used, &["auto-reply", &mail::code(recipient.id)]);
        let step = mail::changes_on(mailbox, Kind::AutoReply, name, changes);
        steps.extend(step.map(|step| PlannedStep { why: "answer to whoever writes".to_owned(), ..step }));
    }
    steps
}

fn opened(mailbox: &Object, to: &Recipient, person: PersonId, used: &mut BTreeSet<String>) -> PlannedStep {
    let recipient = &mailbox.recipient;
    let name = mail::named(used, &["full-access", &mail::code(to.id)]);
    let ends = (Reference::Native(recipient.id), Reference::Native(to.id), FULL_ACCESS);
    let presence = (Presence::Absent, Presence::Present);
    let mut step = mail::permission((&recipient.system, &recipient.name), name, ends, presence);
    step.difference.changes.push(set(AUTOMAPPING, true));
    let grant = GrantEffect::GiveHere {
        offer: mail::offer(FULL_ACCESS, &recipient.name, false),
        owner: Some(person),
        person,
        reason_text: "takes over from a leaver".to_owned(),
        until_on: None,
        until_at: None,
    };
    PlannedStep { grant: Some(grant), why: format!("Full access for {}", to.name), ..step }
}

fn forward_ends(
    mailbox: &Object,
    to: &Recipient,
    (sight, day): (&Sight<'_>, NaiveDate),
    after: Vec<String>,
    used: &mut BTreeSet<String>,
) -> PlannedStep {
    let site = sight.subject.as_ref().and_then(|person| person.employment.as_ref()).map(|employment| &employment.site);
    let at = site.map_or_else(|| day.and_time(chrono::NaiveTime::MIN).and_utc(), |site| end_of_day(site, day));
    let changes = vec![
        Change { attribute: "forwardTo".to_owned(), from: Value::Text(to.id.to_string()), to: Value::Null },
        Change { attribute: "deliverAndForward".to_owned(), from: Value::Bool(true), to: Value::Bool(false) },
    ];
    let recipient = &mailbox.recipient;
    let on = (&recipient.system, Kind::Mailbox, Key::Native { id: recipient.id });
    let name = mail::named(used, &["stop-forwarding", &mail::code(recipient.id)]);
    let step = mail::step(on, name, Difference { presence: None, changes }, &recipient.name);
    PlannedStep { after, not_before: Some(at), why: "forwarding ends".to_owned(), ..step }
}

/// A list whose membership no directory group takes away.
fn off_list(list: &ListSight, sight: &Sight<'_>, used: &mut BTreeSet<String>) -> Option<PlannedStep> {
    let recipient = &list.list.recipient;
    let by_group = sight.accounts.iter().any(|account| account.groups.iter().any(|group| group.id == recipient.id));
    let own = sight.mail.mailboxes.iter().find(|mailbox| mailbox.recipient.system == recipient.system)?;
    if !list.member || by_group || recipient.kind == "dynamic" {
        return None;
    }
    let name = mail::named(used, &["off", &recipient.name]);
    let ends = (Reference::Native(recipient.id), Reference::Native(own.recipient.id));
    let presence = (Presence::Present, Presence::Absent);
    let step = mail::membership((&recipient.system, &recipient.name), name, ends, presence);
    let grant = list.entitlement.map(|entitlement| GrantEffect::Take { entitlement, why: "leaver".to_owned() });
    Some(PlannedStep { grant, why: "off the list".to_owned(), ..step })
}

/// The leaver's place among a list's owners goes to the successor; without one the others keep it.
fn hand_over(
    answers: &leaver::Answers,
    list: &ListSight,
    sight: &Sight<'_>,
    used: &mut BTreeSet<String>,
) -> Result<Option<PlannedStep>, Vec<FieldError>> {
    let recipient = &list.list.recipient;
    let mut owners = mail::ids_in(list.list.state.get("owners"));
    for own in &sight.mail.mailboxes {
        owners.remove(&own.recipient.id.to_string());
    }
    if let Some(to) = answers.lists_to.as_ref().and_then(|to| to.in_system(recipient)) {
        owners.insert(to.id.to_string());
    }
    if owners.is_empty() {
        if answers.immediate {
            // Nothing stands in the way of an immediate leaver; the list keeps its owner until somebody takes it over.
            return Ok(None);
        }
        let message = format!("They alone own the list {}: name who takes their lists over", recipient.name);
        return Err(vec![FieldError::new("lists_to", message)]);
    }
    let to = Value::List(owners.into_iter().map(Value::Text).collect());
    let change = changed(&list.list.state, "owners", to);
    let name = mail::named(used, &["hand-over", &recipient.name]);
    let step = mail::changes_on(&list.list, Kind::List, name, change.into_iter().collect());
    let grant = answers.lists_to.as_ref().map(|to| GrantEffect::Owned { owner: to.person });
    Ok(step.map(|step| PlannedStep { grant, why: "handed over".to_owned(), ..step }))
}
