//! Elements that hold text alone.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::super::ProtocolError;
use super::Value;
use super::escape::{decode, encode};

/// Whether `element` is one of these.
pub(super) fn is_primitive(element: &str) -> bool {
    const NAMES: [&str; 24] = [
        "Nil", "B", "C", "S", "SB", "By", "I16", "U16", "I32", "U32", "I64", "U64", "Sg", "Db", "D", "BA", "G",
        "Version", "URI", "DT", "TS", "XD", "SBK", "SS",
    ];
    NAMES.contains(&element)
}

/// The value of an element with this text.
pub(super) fn read(element: &str, text: &str) -> Result<Value, ProtocolError> {
    let bare = text.trim();
    Ok(match element {
        "Nil" => Value::Null,
        "B" => match bare {
            "true" | "True" | "TRUE" | "1" => Value::Bool(true),
            "false" | "False" | "FALSE" | "0" => Value::Bool(false),
            _ => return Err(wrong(element)),
        },
        "C" => Value::Char(number(element, bare)?),
        "S" => Value::String(decode(text).into_owned()),
        "SB" => Value::I8(number(element, bare)?),
        "By" => Value::U8(number(element, bare)?),
        "I16" => Value::I16(number(element, bare)?),
        "U16" => Value::U16(number(element, bare)?),
        "I32" => Value::I32(number(element, bare)?),
        "U32" => Value::U32(number(element, bare)?),
        "I64" => Value::I64(number(element, bare)?),
        "U64" => Value::U64(number(element, bare)?),
        "Sg" => Value::F32(number(element, bare)?),
        "Db" => Value::F64(number(element, bare)?),
        "D" => Value::Decimal(bare.to_owned()),
        "BA" => Value::Bytes(base64(element, bare)?),
        "G" => Value::Guid(Uuid::try_parse(bare).map_err(|_| wrong(element))?),
        "Version" => Value::Version(bare.to_owned()),
        "URI" => Value::Uri(decode(text).into_owned()),
        "DT" => Value::DateTime(bare.to_owned()),
        "TS" => Value::Duration(bare.to_owned()),
        "XD" => Value::Xml(decode(text).into_owned()),
        "SBK" => Value::Script(decode(text).into_owned()),
        "SS" => Value::SecureString(base64(element, bare)?),
        _ => return Err(ProtocolError::Clixml("an element that is no value".to_owned())),
    })
}

fn number<T: FromStr>(element: &str, text: &str) -> Result<T, ProtocolError> {
    text.parse().map_err(|_| wrong(element))
}

fn base64(element: &str, text: &str) -> Result<Vec<u8>, ProtocolError> {
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).map_err(|_| wrong(element))
}

fn wrong(element: &str) -> ProtocolError {
    ProtocolError::Clixml(format!("the content of <{element}> is not one"))
}

/// The element's name. `None`: not a primitive.
pub(super) fn element(value: &Value) -> Option<&'static str> {
    Some(match value {
        Value::Null => "Nil",
        Value::Bool(_) => "B",
        Value::Char(_) => "C",
        Value::String(_) => "S",
        Value::I8(_) => "SB",
        Value::U8(_) => "By",
        Value::I16(_) => "I16",
        Value::U16(_) => "U16",
        Value::I32(_) => "I32",
        Value::U32(_) => "U32",
        Value::I64(_) => "I64",
        Value::U64(_) => "U64",
        Value::F32(_) => "Sg",
        Value::F64(_) => "Db",
        Value::Decimal(_) => "D",
        Value::Bytes(_) => "BA",
        Value::Guid(_) => "G",
        Value::Version(_) => "Version",
        Value::Uri(_) => "URI",
        Value::DateTime(_) => "DT",
        Value::Duration(_) => "TS",
        Value::Xml(_) => "XD",
        Value::Script(_) => "SBK",
        Value::SecureString(_) => "SS",
        Value::List(_) | Value::Dict(_) | Value::Object(_) => return None,
    })
}

/// Appends a primitive's content. Nothing for containers and objects.
pub(super) fn write(out: &mut String, value: &Value) {
    match value {
        Value::Bool(is) => out.push_str(if *is { "true" } else { "false" }),
        Value::Char(unit) => out.push_str(&unit.to_string()),
        Value::F32(number) => out.push_str(&float(f64::from(*number), format!("{number:?}"))),
        Value::F64(number) => out.push_str(&float(*number, format!("{number:?}"))),
        Value::Bytes(bytes) | Value::SecureString(bytes) => STANDARD.encode_string(bytes, out),
        Value::Guid(id) => out.push_str(&id.to_string()),
        Value::String(text)
        | Value::Decimal(text)
        | Value::Version(text)
        | Value::Uri(text)
        | Value::DateTime(text)
        | Value::Duration(text)
        | Value::Xml(text)
        | Value::Script(text) => encode(out, text),
        Value::U64(number) => out.push_str(&number.to_string()),
        Value::Null | Value::List(_) | Value::Dict(_) | Value::Object(_) => {}
        _ => out.push_str(&value.number().unwrap_or_default().to_string()),
    }
}

/// As XML Schema spells the three that are no digits.
fn float(number: f64, digits: String) -> String {
    match number {
        _ if number.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "INF".to_owned(),
        f64::NEG_INFINITY => "-INF".to_owned(),
        _ => digits.replace('e', "E"),
    }
}
