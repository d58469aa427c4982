//! A value with type names and properties.

use std::borrow::Cow;
use std::sync::Arc;

use super::Value;

/// What an object is beside its properties.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Base {
    /// Properties alone.
    #[default]
    None,
    /// An enumeration's number, a string with properties.
    Primitive(Value),
    /// `LST`: arrays and lists.
    List(Vec<Value>),
    /// `STK`, in the order of the wire.
    Stack(Vec<Value>),
    /// `QUE`.
    Queue(Vec<Value>),
    /// `IE`: a collection that was only known to be enumerable, as most of Exchange's are.
    Enumerable(Vec<Value>),
    /// `DCT`.
    Dict(Vec<(Value, Value)>),
}

/// An `Obj` element.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object {
    /// The most derived first; `Deserialized.` in front where the server sent a property bag in the type's place.
    pub type_names: Arc<[String]>,
    /// `ToString()` on the server.
    pub to_string: Option<String>,
    pub base: Base,
    /// `Props`: the .NET object's own properties.
    pub adapted: Vec<(String, Value)>,
    /// `MS`: what PowerShell added.
    pub extended: Vec<(String, Value)>,
}

impl Object {
    /// An object of extended properties only, as PSRP's own messages are.
    pub fn of(extended: Vec<(&str, Value)>) -> Self {
        Self {
            extended: extended.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn typed(mut self, type_names: &[&str]) -> Self {
        self.type_names = type_names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// By name, letter case aside; PowerShell's own addition wins over the object's.
    pub fn property(&self, name: &str) -> Option<&Value> {
        self.properties().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All properties, PowerShell's additions first.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.extended.iter().chain(&self.adapted).map(|(name, value)| (name.as_str(), value))
    }

    /// The elements, where this is a collection.
    pub fn items(&self) -> Option<&[Value]> {
        match &self.base {
            Base::List(items) | Base::Stack(items) | Base::Queue(items) | Base::Enumerable(items) => Some(items),
            Base::None | Base::Primitive(_) | Base::Dict(_) => None,
        }
    }

    /// `ToString`, or a primitive's own text.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match (&self.to_string, &self.base) {
            (Some(text), _) => Some(Cow::Borrowed(text)),
            (None, Base::Primitive(value)) => value.text(),
            _ => None,
        }
    }

    /// Whether `name` is among the type names, `Deserialized.` or not.
    pub fn is(&self, name: &str) -> bool {
        self.type_names.iter().any(|given| plain(given) == name)
    }

    /// The most derived type's name without `Deserialized.`; empty where none was given.
    pub fn type_name(&self) -> &str {
        self.type_names.first().map_or("", |name| plain(name))
    }
}

fn plain(type_name: &str) -> &str {
    type_name.strip_prefix("Deserialized.").unwrap_or(type_name)
}
