//! Reads the properties of objects that either leg gave. One thing comes in many spellings: a quota as
//! `99 GB (106,300,440,576 bytes)` with the separators of the server's language, a flag as `True`, a list of one as its
//! element. What is not understood is an error that names the property, never a guess: a quota read wrongly would be
//! "mended" to a wrong one.

use std::fmt;

use serde_json::Value;
use uuid::Uuid;

pub use self::address::{Addresses, Identity, Proxy, addresses, identity};
pub use self::span::{Timespan, timespan, timespan_text};
use super::cmdlet::Object;

mod address;
mod span;

/// A value that is not what its property should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueError {
    /// Empty where only the value was given.
    pub property: String,
    pub wanted: &'static str,
    /// What was there, shortened.
    pub found: String,
}

impl ValueError {
    fn new(wanted: &'static str, found: &Value) -> Self {
        let text = found.as_str().map_or_else(|| found.to_string(), ToOwned::to_owned);
        let short: String = text.chars().take(80).collect();
        let found = if short.len() < text.len() { format!("{short}…") } else { short };
        Self { property: String::new(), wanted, found }
    }

    #[must_use]
    fn of(mut self, property: &str) -> Self {
        property.clone_into(&mut self.property);
        self
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.property.is_empty() { "the value" } else { &self.property };
        write!(f, "{name} should be {}, but is “{}”", self.wanted, self.found)
    }
}

impl std::error::Error for ValueError {}

/// A size, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quota {
    Bytes(u64),
    /// Larger than every size.
    Unlimited,
}

/// Any property of an object by its name, whose case does not matter. An absent property and `null` are `None`.
#[derive(Debug, Clone, Copy)]
pub struct Properties<'a>(pub &'a Object);

impl<'a> Properties<'a> {
    pub fn get(self, name: &str) -> Option<&'a Value> {
        let exact = self.0.get(name);
        let found =
            exact.or_else(|| self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value));
        found.filter(|value| !value.is_null())
    }

    /// Whether the server gave this property at all, even as `null`: a role may hide it.
    pub fn has(self, name: &str) -> bool {
        self.0.keys().any(|key| key.eq_ignore_ascii_case(name))
    }

    fn read<T>(self, name: &str, read: impl FnOnce(&Value) -> Result<T, ValueError>) -> Result<Option<T>, ValueError> {
        self.get(name).map(read).transpose().map_err(|error| error.of(name))
    }

    /// Empty text is none.
    ///
    /// # Errors
    /// As [`text`].
    pub fn text(self, name: &str) -> Result<Option<String>, ValueError> {
        Ok(self.read(name, text)?.filter(|text| !text.is_empty()))
    }

    /// # Errors
    /// As [`flag`].
    pub fn flag(self, name: &str) -> Result<Option<bool>, ValueError> {
        self.read(name, flag)
    }

    /// # Errors
    /// As [`bytes`].
    pub fn bytes(self, name: &str) -> Result<Option<Quota>, ValueError> {
        self.read(name, bytes)
    }

    /// # Errors
    /// As [`timespan`].
    pub fn timespan(self, name: &str) -> Result<Option<Timespan>, ValueError> {
        self.read(name, timespan)
    }

    /// # Errors
    /// As [`guid`].
    pub fn guid(self, name: &str) -> Result<Option<Uuid>, ValueError> {
        self.read(name, guid)
    }

    /// # Errors
    /// As [`identity`].
    pub fn identity(self, name: &str) -> Result<Option<Identity>, ValueError> {
        self.read(name, identity)
    }

    /// An absent property is an empty list.
    ///
    /// # Errors
    /// As [`list`].
    pub fn list(self, name: &str) -> Result<Vec<String>, ValueError> {
        Ok(self.read(name, list)?.unwrap_or_default())
    }

    /// An absent property is no address.
    ///
    /// # Errors
    /// As [`addresses`].
    pub fn addresses(self, name: &str) -> Result<Addresses, ValueError> {
        Ok(self.read(name, addresses)?.unwrap_or_default())
    }
}

/// `{"Value": x}`, as `Unlimited<T>` and nullable types come where they are not flattened, is x.
fn unwrapped(value: &Value) -> &Value {
    let mut value = value;
    for _ in 0..3 {
        let Value::Object(fields) = value else { break };
        let unlimited = fields.get("IsUnlimited").and_then(Value::as_bool) == Some(true);
        match fields.get("Value") {
            Some(inner) if !unlimited => value = inner,
            _ => break,
        }
    }
    value
}

fn unlimited(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim().eq_ignore_ascii_case("Unlimited"),
        Value::Object(fields) => fields.get("IsUnlimited").and_then(Value::as_bool) == Some(true),
        _ => false,
    }
}

/// Text as it is; numbers and booleans as PowerShell shows them.
///
/// # Errors
/// Lists and objects.
pub fn text(value: &Value) -> Result<String, ValueError> {
    match unwrapped(value) {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(true) => Ok("True".to_owned()),
        Value::Bool(false) => Ok("False".to_owned()),
        other => Err(ValueError::new("text", other)),
    }
}

/// A boolean, also as the text `True` or `False`.
///
/// # Errors
/// Anything else; numbers too.
pub fn flag(value: &Value) -> Result<bool, ValueError> {
    let value = unwrapped(value);
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(ValueError::new("true or false", value)),
    }
}

/// A GUID: bare, in braces or parentheses, with or without hyphens, in either case; also `{"Guid": …}`.
///
/// # Errors
/// Anything else.
pub fn guid(value: &Value) -> Result<Uuid, ValueError> {
    let mut value = unwrapped(value);
    if let Some(inner) = value.get("Guid").or_else(|| value.get("ObjectGuid")) {
        value = inner;
    }
    value.as_str().and_then(guid_text).ok_or_else(|| ValueError::new("a GUID", value))
}

fn guid_text(text: &str) -> Option<Uuid> {
    let text = text.trim();
    let inner = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(text);
    Uuid::parse_str(inner).ok()
}

/// A multi-valued property as text: an array, its only element alone, `null` or empty text for none, `{"value": […]}`.
///
/// # Errors
/// An element that is no text.
pub fn list(value: &Value) -> Result<Vec<String>, ValueError> {
    items(value)?.into_iter().map(text).collect()
}

/// As [`list`], whatever the elements are.
///
/// # Errors
/// An element that is `null`.
pub fn items(value: &Value) -> Result<Vec<&Value>, ValueError> {
    let inner = match value {
        Value::Object(fields) => match fields.get("value").or_else(|| fields.get("Value")) {
            Some(inner @ (Value::Array(_) | Value::Null)) => inner,
            _ => value,
        },
        _ => value,
    };
    match inner {
        Value::Null => Ok(Vec::new()),
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::Array(items) if items.iter().any(Value::is_null) => {
            Err(ValueError::new("a list without empty elements", inner))
        }
        Value::Array(items) => Ok(items.iter().collect()),
        single => Ok(vec![single]),
    }
}

const A_SIZE: &str = "a size in bytes or Unlimited";

/// A size: a number of bytes, `Unlimited`, `99 GB (106,300,440,576 bytes)` in any language, `50 MB` as it was typed.
///
/// # Errors
/// Anything else; also `1.5 GB` without its bytes, which was rounded to be shown.
pub fn bytes(value: &Value) -> Result<Quota, ValueError> {
    let value = unwrapped(value);
    if unlimited(value) {
        return Ok(Quota::Unlimited);
    }
    let read = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => size_text(text.trim()),
        _ => None,
    };
    read.map(Quota::Bytes).ok_or_else(|| ValueError::new(A_SIZE, value))
}

fn size_text(text: &str) -> Option<u64> {
    if let Some((shown, exact)) = text.split_once('(') {
        // What stands before is rounded for people, but it has to be a number and a unit.
        let (number, unit) = number_and_word(shown)?;
        let decimal = number.chars().all(|c| c.is_ascii_digit() || SEPARATORS.contains(&c));
        scale(unit)?;
        let (digits, word) = number_and_word(exact.strip_suffix(')')?)?;
        return (decimal && !word.is_empty()).then(|| grouped(digits)).flatten();
    }
    let (number, unit) = number_and_word(text)?;
    grouped(number)?.checked_mul(if unit.is_empty() { 1 } else { scale(unit)? })
}

/// Splits before the first letter: `1 024 bytes` → (`1 024`, `bytes`). The word is of letters alone.
fn number_and_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let at = text.find(char::is_alphabetic).unwrap_or(text.len());
    let (number, word) = (text[..at].trim(), text[at..].trim());
    (!number.is_empty() && word.chars().all(char::is_alphabetic)).then_some((number, word))
}

/// As `Microsoft.Exchange.Data.ByteQuantifiedSize` takes them: powers of 1024.
fn scale(unit: &str) -> Option<u64> {
    ["B", "KB", "MB", "GB", "TB", "PB"]
        .iter()
        .position(|listed| listed.eq_ignore_ascii_case(unit))
        .map(|power| 1u64 << (10 * power))
}

/// What languages put between groups of digits: comma, point, spaces, apostrophes.
const SEPARATORS: [char; 8] = [',', '.', ' ', '\u{a0}', '\u{202f}', '\u{2009}', '\'', '\u{2019}'];

/// A whole number, plain or grouped by one separator throughout: the last group has three digits, those before three (or
/// two, as Hindi and Bengali group them).
fn grouped(text: &str) -> Option<u64> {
    let separator = text.chars().find(|c| !c.is_ascii_digit());
    let Some(separator) = separator else { return text.parse().ok() };
    if !SEPARATORS.contains(&separator) {
        return None;
    }
    let groups: Vec<&str> = text.split(separator).collect();
    let digits = groups.iter().all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()));
    let (first, rest) = groups.split_first()?;
    let (last, middle) = rest.split_last()?;
    let width = middle.first().map_or(3, |group| group.len());
    let regular = (width == 3 || width == 2) && middle.iter().all(|group| group.len() == width);
    (digits && regular && last.len() == 3 && first.len() <= width).then(|| groups.concat().parse().ok()).flatten()
}

/// A size as a parameter takes it: the exact number of bytes, or `Unlimited`.
pub fn quota_text(quota: Quota) -> String {
    match quota {
        Quota::Unlimited => "Unlimited".to_owned(),
        Quota::Bytes(bytes) => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests;
