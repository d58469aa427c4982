//! Between Exchange's properties and the attributes of a state.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::calls::Calls;
use super::cmdlet::Param;
use super::fault::of_value;
use super::value::{Properties, Quota, Timespan, timespan_text};
use crate::target::{Change, Fault, State, Value};

/// Puts an attribute, unless it is nothing.
pub(super) fn put(state: &mut State, attribute: &str, value: impl Into<Option<Value>>) {
    if let Some(value) = value.into().filter(|value| *value != Value::Null) {
        state.0.insert(attribute.to_owned(), value);
    }
}

pub(super) fn text(from: Properties<'_>, name: &str) -> Result<Option<Value>, Fault> {
    Ok(from.text(name).map_err(|error| of_value(&error))?.map(Value::Text))
}

pub(super) fn flag(from: Properties<'_>, name: &str) -> Result<Option<Value>, Fault> {
    Ok(from.flag(name).map_err(|error| of_value(&error))?.map(Value::Bool))
}

pub(super) fn guid(from: Properties<'_>, name: &str) -> Result<Option<Uuid>, Fault> {
    Ok(from.guid(name).map_err(|error| of_value(&error))?.filter(|id| !id.is_nil()))
}

pub(super) fn id_of(from: Properties<'_>) -> Result<Uuid, Fault> {
    guid(from, "Guid")?.ok_or_else(|| Fault::NeedsPerson { why: "Exchange gave an object without a Guid.".to_owned() })
}

pub(super) fn number(from: Properties<'_>, name: &str) -> Result<Option<Value>, Fault> {
    let text = from.text(name).map_err(|error| of_value(&error))?;
    Ok(text.and_then(|text| text.parse().ok()).map(Value::Number))
}

/// Bytes, `unlimited`, or nothing.
pub(super) fn quota(from: Properties<'_>, name: &str) -> Result<Option<Value>, Fault> {
    Ok(from.bytes(name).map_err(|error| of_value(&error))?.map(|quota| match quota {
        Quota::Bytes(bytes) => Value::Number(i64::try_from(bytes).unwrap_or(i64::MAX)),
        Quota::Unlimited => Value::Text("unlimited".to_owned()),
    }))
}

/// Whole days; unlimited is nothing.
pub(super) fn days(from: Properties<'_>, name: &str) -> Result<Option<Value>, Fault> {
    Ok(match from.timespan(name).map_err(|error| of_value(&error))? {
        Some(Timespan::Of(span)) => Some(Value::Number(span.num_days())),
        Some(Timespan::Unlimited) | None => None,
    })
}

/// Address attributes: the primary one, and the others in lower case.
pub(super) fn addresses(state: &mut State, from: Properties<'_>) -> Result<(), Fault> {
    let all = from.addresses("EmailAddresses").map_err(|error| of_value(&error))?;
    let primary = from.text("PrimarySmtpAddress").map_err(|error| of_value(&error))?;
    let primary = primary.or_else(|| all.primary().map(str::to_owned)).map(|primary| primary.to_lowercase());
    let others: BTreeSet<String> =
        all.aliases().map(str::to_lowercase).filter(|other| Some(other) != primary.as_ref()).collect();
    put(state, "primaryAddress", primary.map(Value::Text));
    put(state, "addresses", Value::List(others.into_iter().map(Value::Text).collect()));
    Ok(())
}

/// A property that names recipients, as a sorted list of their ids.
pub(super) async fn recipients(calls: &mut Calls<'_>, from: Properties<'_>, name: &str) -> Result<Value, Fault> {
    let names = from.list(name).map_err(|error| of_value(&error))?;
    let mut ids: Vec<String> = calls.id_list(&names).await?.into_iter().map(|id| id.to_string()).collect();
    ids.sort();
    Ok(Value::List(ids.into_iter().map(Value::Text).collect()))
}

/// Texts of a list.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::List(values) => values.iter().filter_map(Value::as_text).map(str::to_owned).collect(),
        Value::Text(text) => vec![text.clone()],
        _ => Vec::new(),
    }
}

/// A value as a parameter.
pub(super) fn param(value: &Value) -> Param {
    match value {
        Value::Null => Param::Null,
        Value::Bool(value) => Param::Bool(*value),
        Value::Number(number) => Param::Number(*number),
        Value::Text(text) => Param::Text(text.clone()),
        Value::List(_) => super::calls::list(texts(value)),
        Value::Sealed { .. } => Param::Null,
    }
}

/// Bytes as a quota parameter takes them.
pub(super) fn quota_param(value: &Value) -> Param {
    match value {
        Value::Number(bytes) => {
            Param::Text(super::value::quota_text(Quota::Bytes(u64::try_from(*bytes).unwrap_or_default())))
        }
        _ => Param::Text(super::value::quota_text(Quota::Unlimited)),
    }
}

/// Days as a timespan parameter takes them.
pub(super) fn days_param(value: &Value) -> Param {
    let span = match value {
        Value::Number(days) => Timespan::Of(chrono::TimeDelta::days(*days)),
        _ => Timespan::Unlimited,
    };
    Param::Text(timespan_text(span))
}

/// What is added to and removed from a list.
pub(super) fn delta(change: &Change, prefix: &str) -> Option<Param> {
    let (from, to): (BTreeSet<String>, BTreeSet<String>) =
        (texts(&change.from).into_iter().collect(), texts(&change.to).into_iter().collect());
    let named =
        |set: std::collections::btree_set::Difference<'_, String>| set.map(|one| format!("{prefix}{one}")).collect();
    let (add, remove): (Vec<String>, Vec<String>) = (named(to.difference(&from)), named(from.difference(&to)));
    (!add.is_empty() || !remove.is_empty()).then_some(Param::Delta { add, remove })
}
