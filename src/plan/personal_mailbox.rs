//! A person's own mailbox: made on their account, with the licence that makes one Online; or the earlier one given back.

use super::field::{FieldError, Reader};
use super::mail;
use super::shared_mailbox::Answers;
use super::{Known, Plan, PlannedStep, Sight, set};
use crate::catalog::{JoinerMailbox, TargetSystem};
use crate::target::{Difference, Key, Kind, Presence, Reference};

/// The step that makes the mailbox; others refer to it.
pub const MAILBOX: &str = "mailbox";
/// The step that gives the licence.
pub(super) const LICENCE: &str = "licence";

/// How Exchange makes people's mailboxes there; where joiners get none from it, as its flavour does.
fn how(organisation: &TargetSystem) -> JoinerMailbox {
    match (organisation.facts.joiner_mailbox, organisation.facts.flavour.as_deref()) {
        (JoinerMailbox::None, Some("online")) => JoinerMailbox::Licence,
        (JoinerMailbox::None, _) => JoinerMailbox::Mailbox,
        (chosen, _) => chosen,
    }
}

/// The mailbox on an account, and the licence that makes one Online.
///
/// # Errors
/// A field error where the group that gives the licence is not known.
pub(super) fn steps(
    sight: &Sight<'_>,
    organisation: &TargetSystem,
    account: &Reference,
    (address, display_name, why): (&str, &str, &str),
) -> Result<Vec<PlannedStep>, Vec<FieldError>> {
    let how = how(organisation);
    let (key, after) = match account {
        Reference::Native(id) => (Key::Native { id: *id }, Vec::new()),
        Reference::Step { step } => (Key::Step { step: step.clone() }, vec![step.clone()]),
    };
    let mut steps = Vec::new();
    if how != JoinerMailbox::Licence {
        let changes = vec![
            set("type", if how == JoinerMailbox::Remote { "remote" } else { "user" }),
            set("alias", mail::alias(address)),
            set("primaryAddress", address.to_owned()),
        ];
        let difference = Difference { presence: Some((Presence::Absent, Presence::Present)), changes };
        let step = mail::step((&organisation.key, Kind::Mailbox, key), MAILBOX.to_owned(), difference, display_name);
        steps.push(PlannedStep { after, why: why.to_owned(), ..step });
    }
    let group = organisation.facts.licence_group.as_ref().filter(|_| how != JoinerMailbox::Mailbox);
    if let Some(name) = group {
        let Some(group) = sight.licence_groups.get(name) else {
            let why = format!(
                "The group “{name}” that gives the licence is not in the directory: see the settings of {}",
                organisation.name
            );
            return Err(vec![FieldError::new("system", why)]);
        };
        let presence = (Presence::Absent, Presence::Present);
        let step =
            PlannedStep::membership(&sight.directory, LICENCE.to_owned(), (*group, name), account.clone(), presence);
        steps.push(PlannedStep { why: "licence for the mailbox".to_owned(), ..step });
    }
    Ok(steps)
}

/// Name and address of the mailbox of whoever answers for it: their own, where no other address was typed.
pub(super) fn name_and_address(
    reader: &mut Reader<'_>,
    known: &Known,
    system: Option<&TargetSystem>,
) -> (Option<String>, Option<String>) {
    let Some(person) = known.people.get(reader.raw.first("owner")) else { return (None, None) };
    let there = known.mailboxes.get(&person.id).into_iter().flatten();
    if there.into_iter().any(|mailbox| system.is_some_and(|system| mailbox.recipient.system == system.key)) {
        reader.fail("owner", format!("{} has a mailbox there already", person.display_name));
    }
    let own = person.mail.as_ref().map(|address| address.to_lowercase());
    let domain = system.and_then(|system| system.facts.mail_domain.as_deref());
    let typed = Some(mail::whole_address(reader.raw.first("address"), domain)).filter(|typed| !typed.is_empty());
    let address = match (typed, own) {
        (None, None) => {
            reader.fail("address", format!("Enter the address: {} has none yet", person.display_name));
            None
        }
        (None, Some(own)) => Some(own),
        (Some(typed), own) if own.as_ref() == Some(&typed) => own,
        (Some(typed), _) => mail::address(reader, known, ("address", &typed), system),
    };
    (Some(person.display_name.clone()), address)
}

/// What it amounts to.
///
/// # Errors
/// A field error where the person has no account, or no earlier mailbox that could be given back.
pub(super) fn plan(answers: &Answers, sight: &Sight<'_>) -> Result<Plan, Vec<FieldError>> {
    let fail = |field: &str, why: String| Err(vec![FieldError::new(field, why)]);
    let Some(organisation) = sight.exchange.iter().find(|system| system.key == answers.system) else {
        return fail("system", "This Exchange organisation is not set up any more".to_owned());
    };
    let directory = organisation.facts.directory.as_ref().unwrap_or(&sight.directory);
    let account = sight.accounts.iter().find(|account| account.kind == "person" && account.system == *directory);
    let Some(account) = account else {
        return fail("owner", format!("{} has no account that could have a mailbox", answers.name));
    };
    let why = if answers.reconnect { "the earlier one, with its messages" } else { "new" };
    let of = (answers.address.as_str(), answers.name.as_str(), why);
    let mut steps = steps(sight, organisation, &Reference::Native(account.id), of)?;
    if answers.reconnect {
        let earlier = sight.mail.earlier.iter().find(|(id, _)| *id == account.id);
        let made = steps.iter_mut().find(|step| step.name == MAILBOX);
        let (Some((_, mailbox)), Some(made)) = (earlier, made) else {
            let none = format!("No earlier mailbox of {} is known there: ask for a new one", answers.name);
            return fail("reconnect", none);
        };
        made.difference.changes.push(set("reconnect", mailbox.clone()));
    }
    if steps.is_empty() {
        let why = "Online a licence makes the mailbox, and no group is set that gives it";
        return fail("system", why.to_owned());
    }
    let item = mail::item(format!("Mailbox of {}", answers.name), Some(answers.owner), steps);
    // Their own address is theirs already; another one is kept for them until it is there.
    let own = sight.subject.as_ref().and_then(|person| person.mail.as_ref()).map(|own| own.to_lowercase());
    let names = if own.as_ref() == Some(&answers.address) {
        Vec::new()
    } else {
        vec![("mail".to_owned(), answers.address.clone())]
    };
    Ok(Plan { items: vec![item], names })
}
