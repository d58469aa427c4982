//! An account locked after wrong passwords is opened again.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::field::{FieldError, Raw, Reader};
use super::{Known, Plan, PlannedItem, PlannedStep, Sight, leaver, password_reset};
use crate::ids::PersonId;
use crate::target::{Change, Value};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    pub person: PersonId,
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
    let account = person.and_then(|_| {
        let typed = raw.first("account");
        // Without a choice: the locked one, if there is one.
        let locked = known.accounts.iter().find(|account| account.state.get("locked").as_bool() == Some(true));
        if typed.is_empty() && locked.is_some() { locked } else { password_reset::account(&mut reader, known) }
    });
    if let Some(account) = account.filter(|account| account.state.get("locked").as_bool() != Some(true)) {
        reader.fail("account", format!("{} is not locked", account.user_name));
    }
    let reason = reader.reason();
    match (reader.errors.is_empty(), person, account) {
        (true, Some(person), Some(account)) => Ok(Answers { person, account: account.id, reason }),
        _ => Err(reader.errors),
    }
}

/// What it amounts to.
///
/// # Errors
/// A field error where the account is gone.
pub fn plan(answers: &Answers, sight: &Sight<'_>) -> Result<Plan, Vec<FieldError>> {
    let account = password_reset::planned_account(sight, answers.account)?;
    let change = Change { attribute: "locked".into(), from: Value::Bool(true), to: Value::Bool(false) };
    let step =
        PlannedStep { why: "unlock".to_owned(), ..PlannedStep::on_account(account, "unlock".to_owned(), vec![change]) };
    let label = format!("Unlock {}", account.user_name);
    let item = PlannedItem { label, steps: vec![step], ..PlannedItem::default() };
    Ok(Plan { items: vec![item], names: Vec::new() })
}
