//! A new password for an account, to be changed at the next sign-in; it reaches whoever asked, once.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::field::{FieldError, Raw, Reader};
use super::{AccountSight, Known, Plan, PlannedItem, PlannedStep, Sight, access, changed, leaver};
use crate::ids::PersonId;
use crate::target::{Change, Value};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    pub person: PersonId,
    /// Which of the person's accounts.
    pub account: Uuid,
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
    let account = person.and_then(|_| account(&mut reader, known));
    if let Some(account) = account.filter(|account| account.state.get("enabled").as_bool() == Some(false)) {
        reader.fail("account", format!("{} is disabled; a new password would not let anybody in", account.user_name));
    }
    let reason = reader.reason();
    match (reader.errors.is_empty(), person, account) {
        (true, Some(person), Some(account)) => Ok(Answers { person, account: account.id, reason }),
        _ => Err(reader.errors),
    }
}

/// The account that was chosen, by id or user name; where none was, the everyday one.
pub(super) fn account<'a>(reader: &mut Reader<'_>, known: &'a Known) -> Option<&'a AccountSight> {
    let typed = reader.raw.first("account").to_owned();
    let found = if typed.is_empty() {
        access::primary(&known.accounts)
    } else {
        known.accounts.iter().find(|account| account.id.to_string() == typed || account.user_name == typed)
    };
    if found.is_none() {
        let message = if typed.is_empty() {
            "This person has no account in the directory".to_owned()
        } else {
            format!("“{typed}” is not an account of this person")
        };
        reader.fail("account", message);
    }
    found
}

/// What it amounts to.
///
/// # Errors
/// A field error where the account is gone.
pub fn plan(answers: &Answers, sight: &Sight<'_>) -> Result<Plan, Vec<FieldError>> {
    let account = planned_account(sight, answers.account)?;
    let mut changes = vec![Change { attribute: "password".into(), from: Value::Null, to: Value::SEALED }];
    changes.extend(changed(&account.state, "mustChangePassword", true));
    changes.extend(changed(&account.state, "locked", false).filter(|change| change.from == Value::Bool(true)));
    let step = PlannedStep {
        secret: Some((sight.asked_by, sight.now)),
        why: "password reset".to_owned(),
        ..PlannedStep::on_account(account, "reset".to_owned(), changes)
    };
    let label = format!("New password for {}", account.user_name);
    let item = PlannedItem { label, steps: vec![step], ..PlannedItem::default() };
    Ok(Plan { items: vec![item], names: Vec::new() })
}

pub(super) fn planned_account<'a>(sight: &'a Sight<'_>, id: Uuid) -> Result<&'a AccountSight, Vec<FieldError>> {
    sight
        .accounts
        .iter()
        .find(|account| account.id == id)
        .ok_or_else(|| vec![FieldError::new("account", "This account is no longer there")])
}
