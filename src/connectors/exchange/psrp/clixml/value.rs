//! One value.

use std::borrow::Cow;

use uuid::Uuid;

use super::{Base, Object};

/// A value of CLIXML. Numbers, dates and the like that Rust's standard library has no exact type for keep their text.
///
/// Containers and objects that carry more than themselves (type names, properties) come as [`Value::Object`]; the
/// questions below ([`Value::items`], [`Value::entries`], [`Value::property`], [`Value::text`]) see through both.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    /// One UTF-16 code unit, which need not be a character by itself.
    Char(u16),
    /// Lone surrogates, which a Rust string cannot hold, are read as U+FFFD.
    String(String),
    I8(i8),
    U8(u8),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    F32(f32),
    F64(f64),
    /// A decimal number's digits, `-123.45`.
    Decimal(String),
    Bytes(Vec<u8>),
    Guid(Uuid),
    /// `15.2.1118.7`.
    Version(String),
    Uri(String),
    /// `2026-12-02T09:00:00.0000000+01:00`, as XML Schema's dateTime.
    DateTime(String),
    /// `PT9.0269026S`, as XML Schema's duration.
    Duration(String),
    /// The text of an XML document.
    Xml(String),
    /// The text of a script block. Read only for what it says, never run, and never part of a command of ours.
    Script(String),
    /// Ciphertext under the session key; [`super::super::Pool::reveal`] reads it.
    SecureString(Vec<u8>),
    List(Vec<Value>),
    /// In the order of the wire.
    Dict(Vec<(Value, Value)>),
    Object(Box<Object>),
}

impl Value {
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// As PowerShell would print it: text itself, a number's digits, `True`, an object's `ToString`. `None`: a container
    /// or an object without one, a secret, or nothing.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Value::String(text)
            | Value::Decimal(text)
            | Value::Version(text)
            | Value::Uri(text)
            | Value::DateTime(text)
            | Value::Duration(text)
            | Value::Xml(text)
            | Value::Script(text) => Cow::Borrowed(text),
            Value::Bool(true) => Cow::Borrowed("True"),
            Value::Bool(false) => Cow::Borrowed("False"),
            Value::Char(unit) => Cow::Owned(String::from_utf16_lossy(&[*unit])),
            Value::F32(number) => Cow::Owned(number.to_string()),
            Value::F64(number) => Cow::Owned(number.to_string()),
            Value::Guid(id) => Cow::Owned(id.to_string()),
            Value::Object(object) => return object.text(),
            Value::U64(number) => Cow::Owned(number.to_string()),
            Value::Null | Value::Bytes(_) | Value::SecureString(_) | Value::List(_) | Value::Dict(_) => return None,
            _ => Cow::Owned(self.number()?.to_string()),
        })
    }

    /// A whole number, whatever its width; an enumeration's too. `None` for a `U64` above `i64`'s range.
    pub fn number(&self) -> Option<i64> {
        Some(match self {
            Value::I8(n) => i64::from(*n),
            Value::U8(n) => i64::from(*n),
            Value::I16(n) => i64::from(*n),
            Value::U16(n) => i64::from(*n),
            Value::I32(n) => i64::from(*n),
            Value::U32(n) => i64::from(*n),
            Value::I64(n) => *n,
            Value::U64(n) => i64::try_from(*n).ok()?,
            Value::Object(object) => match &object.base {
                Base::Primitive(value) => return value.number(),
                _ => return None,
            },
            _ => return None,
        })
    }

    pub fn bool(&self) -> Option<bool> {
        match self {
            Value::Bool(is) => Some(*is),
            Value::Object(object) => match &object.base {
                Base::Primitive(Value::Bool(is)) => Some(*is),
                _ => None,
            },
            _ => None,
        }
    }

    /// The elements of a list, array, stack, queue or other collection.
    pub fn items(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            Value::Object(object) => object.items(),
            _ => None,
        }
    }

    /// The pairs of a dictionary.
    pub fn entries(&self) -> Option<&[(Value, Value)]> {
        match self {
            Value::Dict(entries) => Some(entries),
            Value::Object(object) => match &object.base {
                Base::Dict(entries) => Some(entries),
                _ => None,
            },
            _ => None,
        }
    }

    /// An object's property, or a dictionary's value under a text key; letter case does not count, as in PowerShell.
    pub fn property(&self, name: &str) -> Option<&Value> {
        if let Value::Object(object) = self
            && let Some(value) = object.property(name)
        {
            return Some(value);
        }
        self.entries()?.iter().find_map(|(key, value)| match key {
            Value::String(key) if key.eq_ignore_ascii_case(name) => Some(value),
            _ => None,
        })
    }

    pub fn object(&self) -> Option<&Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text)
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Value::Bool(is)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Value::I32(number)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Value::Object(Box::new(object))
    }
}
