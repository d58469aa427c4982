//! Somebody leaves: every account disabled with its password replaced, out of every group (remembered as ended grants),
//! and moved to quarantine; their mail as [`super::leaver_mail`] says. Planned for the end of the last day, or at once.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::field::{FieldError, Raw, Reader};
use super::leaver_mail::{self, Delegate};
use super::{
    AccountSight, GrantEffect, Known, Plan, PlannedStep, Sight, changed, end_of_day, mail, slug, today, unique_name,
};
use crate::ids::PersonId;
use crate::target::{Change, Value};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    pub person: PersonId,
    /// The last day worked, local to the site; for an immediate leaver today.
    pub last_day: NaiveDate,
    /// Access ends now; the request is seen by few.
    #[serde(default)]
    pub immediate: bool,
    /// `convert`: the mailbox stays as a shared one. None: it stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// Who opens the mailbox from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<Delegate>,
    /// Who gets what is still sent to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_to: Option<Delegate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_until: Option<NaiveDate>,
    /// What whoever writes gets as an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_reply: Option<String>,
    /// Who owns the leaver's lists from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists_to: Option<Delegate>,
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
    let person = subject(&mut reader, known);
    let immediate = raw.checked("immediate");
    let now_there = person
        .and_then(|id| known.people.values().find(|person| person.id == id))
        .and_then(|person| person.employment.as_ref())
        .map(|employment| today(&employment.site, known.now));
    let last_day = if immediate {
        now_there.or(Some(known.now.date_naive()))
    } else {
        let before = reader.errors.len();
        let day = reader.day("last_day", "Last day");
        if day.is_none() && reader.errors.len() == before {
            reader.fail("last_day", "Enter the last day");
        }
        if let (Some(day), Some(today)) = (day, now_there)
            && day < today
        {
            reader.fail(
                "last_day",
                "Enter a last day that is today or later; for somebody who has left already choose “at once”",
            );
        }
        day
    };
    if let Some(number) = known.open_twin {
        reader.fail("person", format!("REQ-{number:06} already asks for this; change or cancel that one"));
    }
    let mailbox = match raw.first("mailbox") {
        "convert" => Some("convert".to_owned()),
        "" | "keep" => None,
        _ => {
            reader.fail("mailbox", "Choose whether the mailbox stays as a shared one or as it is");
            None
        }
    };
    let delegate = leaver_mail::delegate(&mut reader, known, "delegate", person);
    let forward_to = leaver_mail::delegate(&mut reader, known, "forward_to", person);
    let forward_until = reader.day("forward_until", "Until");
    if let (Some(until), Some(last_day)) = (forward_until, last_day)
        && until < last_day
    {
        reader.fail("forward_until", "Forwarding cannot end before the last day");
    }
    let lists_to = leaver_mail::delegate(&mut reader, known, "lists_to", person);
    let auto_reply = reader.long_text("auto_reply", "The answer", 4000);
    let inside =
        [("delegate", delegate.is_some()), ("forward_to", forward_to.is_some()), ("auto_reply", auto_reply.is_some())];
    leaver_mail::only_stubs(&mut reader, known, person, &inside);
    if immediate {
        // Nobody decides beforehand that access ends at once; who gains something is decided.
        let names =
            [("delegate", delegate.is_some()), ("forward_to", forward_to.is_some()), ("lists_to", lists_to.is_some())];
        for (field, _) in names.into_iter().filter(|(_, named)| *named) {
            reader.fail(
                field,
                "Not at once: what somebody takes over is asked for by itself, when the accounts are closed",
            );
        }
    }
    let reason = reader.reason();
    match (reader.errors.is_empty(), person, last_day) {
        (true, Some(person), Some(last_day)) => Ok(Answers {
            person,
            last_day,
            immediate,
            mailbox,
            delegate,
            forward_until: forward_until.filter(|_| forward_to.is_some()),
            forward_to,
            auto_reply,
            lists_to,
            reason,
        }),
        _ => Err(reader.errors),
    }
}

/// The person it is about; somebody who has left already is said so.
pub(super) fn subject(reader: &mut Reader<'_>, known: &Known) -> Option<PersonId> {
    let typed = reader.raw.first("person").to_owned();
    if typed.is_empty() {
        reader.fail("person", "Choose a person");
        return None;
    }
    match known.people.get(&typed) {
        Some(person) if matches!(person.state.as_str(), "active" | "expected") => Some(person.id),
        Some(person) => {
            reader.fail("person", format!("{} has left", person.display_name));
            None
        }
        None => {
            reader.fail("person", format!("Nobody is found as “{typed}”; use a user name or an employee number"));
            None
        }
    }
}

/// What it amounts to.
///
/// # Errors
/// A field error where the person has no account to end.
pub fn plan(answers: &Answers, sight: &Sight<'_>) -> Result<Plan, Vec<FieldError>> {
    let site = sight.subject.as_ref().and_then(|person| person.employment.as_ref()).map(|employment| &employment.site);
    let at = match site {
        Some(site) if !answers.immediate => Some(end_of_day(site, answers.last_day)).filter(|at| *at > sight.now),
        _ => None,
    };
    let mut used = BTreeSet::new();
    let mut steps: Vec<PlannedStep> =
        sight.accounts.iter().flat_map(|account| end_account(account, sight, at, &mut used)).collect();
    // A mailbox of an account that still works could be opened again: first the accounts.
    let disabled: Vec<String> =
        steps.iter().filter(|step| step.name.starts_with("disable-")).map(|step| step.name.clone()).collect();
    steps.extend(leaver_mail::steps(answers, sight, (at, &disabled), &mut used)?);
    leaver_mail::keep_licence(sight, &mut steps);
    if steps.is_empty() {
        return Err(vec![FieldError::new(
            "person",
            "This person has no account that is enabled or in a group: nothing is left to end",
        )]);
    }
    let item = mail::item("Accounts and access end".to_owned(), None, steps);
    Ok(Plan { items: vec![item], names: Vec::new() })
}

/// Whether accounts of people who left may be put where the naming rules keep them. Where that unit is not Tenure's to write
/// to, the account stays where it is: nothing may stand in the way of disabling it.
fn keeps_apart(sight: &Sight<'_>, account: &AccountSight) -> bool {
    let scope = sight.scopes.get(&account.system.0);
    scope.is_none_or(|scope| scope.covers(&sight.rules.naming.body.quarantine_ou))
}

/// Why the account is disabled, and what is left for somebody else to do.
fn why(sight: &Sight<'_>) -> String {
    match sight.left.as_slice() {
        [] => "leaver".to_owned(),
        left => format!("leaver; outside the units that Tenure works in, so left to a person: {}", left.join(", ")),
    }
}

fn end_account(
    account: &AccountSight,
    sight: &Sight<'_>,
    at: Option<DateTime<Utc>>,
    used: &mut BTreeSet<String>,
) -> Vec<PlannedStep> {
    let who = slug(&account.user_name);
    let mut steps = Vec::new();
    let mut after = Vec::new();
    if let Some(disable) = changed(&account.state, "enabled", false) {
        let name = unique_name(&format!("disable-{who}"), used);
        // Replaced, so that nobody who knew it can use it elsewhere; nobody reads the new one.
        let password = Change { attribute: "password".into(), from: Value::Null, to: Value::SEALED };
        let step = PlannedStep::on_account(account, name.clone(), vec![disable, password]);
        steps.push(PlannedStep { not_before: at, why: why(sight), ..step });
        after.push(name);
    }
    let mut memberships = Vec::new();
    for group in &account.groups {
        let name = unique_name(&format!("out-of-{}-{who}", slug(&group.name)), used);
        let step = PlannedStep::leave(&account.system, name.clone(), (group.id, &group.name), account.id);
        let grant = group.entitlement.map(|entitlement| GrantEffect::Take { entitlement, why: "leaver".to_owned() });
        steps.push(PlannedStep { after: after.clone(), not_before: at, grant, why: account.user_name.clone(), ..step });
        memberships.push(name);
    }
    let quarantine = &sight.rules.naming.body.quarantine_ou;
    if keeps_apart(sight, account)
        && let Some(change) = changed(&account.state, "parent", quarantine.clone())
    {
        let step = PlannedStep::on_account(account, unique_name(&format!("quarantine-{who}"), used), vec![change]);
        after.extend(memberships);
        steps.push(PlannedStep { after, not_before: at, why: "kept until deletion".to_owned(), ..step });
    }
    steps
}
