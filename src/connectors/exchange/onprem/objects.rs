//! CLIXML values as JSON, as [`Object`] says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value as Json};

use super::super::cmdlet::Object;
use super::super::psrp::clixml;
use super::super::psrp::clixml::{Base, Value};

/// The server's own binary form of a value, beside the readable one.
const HIDDEN: &str = "SerializationData";

/// Structures whose text says everything, and what their fields say is spelled by the framework's version.
const TEXTS: [&str; 8] = [
    "Unlimited`1",
    "ByteQuantifiedSize",
    "EnhancedTimeSpan",
    "SmtpAddress",
    "SmtpDomain",
    "ProxyAddress",
    "SmtpProxyAddress",
    "ServerVersion",
];

/// An object of a cmdlet's output. Output that is no object stands as `Value`.
pub(super) fn object(value: &Value) -> Object {
    match json(value) {
        Json::Object(map) => map,
        other => Map::from_iter([("Value".to_owned(), other)]),
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Bool(flag) => Json::Bool(*flag),
        Value::U64(number) => Json::from(*number),
        Value::F32(number) => float(f64::from(*number)),
        Value::F64(number) => float(*number),
        Value::Decimal(text) => text.parse::<i64>().map_or_else(|_| text.parse().map_or(Json::Null, float), Json::from),
        Value::Bytes(bytes) => Json::String(STANDARD.encode(bytes)),
        // What a secret says is nobody's business here.
        Value::Null | Value::SecureString(_) => Json::Null,
        Value::List(items) => Json::Array(items.iter().map(json).collect()),
        Value::Dict(entries) => dictionary(entries),
        Value::Object(object) => from_object(object),
        _ => match value.number() {
            Some(number) => Json::from(number),
            None => value.text().map_or(Json::Null, |text| Json::String(text.into_owned())),
        },
    }
}

fn float(number: f64) -> Json {
    Number::from_f64(number).map_or_else(|| Json::String(number.to_string()), Json::Number)
}

fn dictionary(entries: &[(Value, Value)]) -> Json {
    let named = entries.iter().filter_map(|(key, value)| Some((key.text()?.into_owned(), json(value))));
    Json::Object(named.collect())
}

fn from_object(object: &clixml::Object) -> Json {
    if let Some(items) = object.items() {
        return Json::Array(items.iter().map(json).collect());
    }
    match &object.base {
        Base::Dict(entries) => return dictionary(entries),
        Base::Primitive(value) => return primitive(object, value),
        _ => {}
    }
    let text = || object.text().map_or(Json::Null, |text| Json::String(text.into_owned()));
    let type_name = object.type_name();
    let is_text =
        TEXTS.iter().any(|listed| type_name.split("[[").next().unwrap_or_default().rsplit('.').next() == Some(listed));
    if is_text && object.to_string.is_some() {
        return text();
    }
    // Of two properties of one name PowerShell shows its own, which comes first here.
    let mut map = Map::new();
    for (name, value) in object.properties().filter(|(name, _)| *name != HIDDEN) {
        if !map.contains_key(name) {
            map.insert(name.to_owned(), json(value));
        }
    }
    if map.is_empty() { text() } else { Json::Object(map) }
}

/// An enumeration is its name; any other primitive is itself, whatever was hung on it.
fn primitive(object: &clixml::Object, value: &Value) -> Json {
    match &object.to_string {
        Some(name) if object.is("System.Enum") => Json::String(name.clone()),
        Some(name) if value.number().is_some() && name.parse::<i128>().is_err() => Json::String(name.clone()),
        _ => json(value),
    }
}
