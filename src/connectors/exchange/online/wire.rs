//! What goes over the wire: a cmdlet as JSON, and the answers in their several shapes. Pure.

use serde_json::{Map, Value, json};

use super::super::classify;
use super::super::cmdlet::{Cmdlet, CmdletError, Effect, Object, Param};

/// Names come from our tables or from an administrator's command line; anything but a name is a mistake that is caught here.
pub(super) fn check(cmdlet: &Cmdlet) -> Result<(), String> {
    let word = |text: &str| !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if !cmdlet.name.split_once('-').is_some_and(|(verb, noun)| word(verb) && word(noun)) {
        return Err(format!("“{}” is no cmdlet's name.", cmdlet.name));
    }
    for (at, (name, _)) in cmdlet.params.iter().enumerate() {
        if !word(name) {
            return Err(format!("“{name}” is no parameter's name."));
        }
        if cmdlet.params[..at].iter().any(|(before, _)| before.eq_ignore_ascii_case(name)) {
            return Err(format!("The parameter {name} is given twice."));
        }
    }
    Ok(())
}

/// The body of one call. Without `ResultSize` a listing stops at 1000 objects even where pages are followed; `confirm` says
/// beforehand that nobody will be asked whether to go on.
pub(super) fn body(cmdlet: &Cmdlet, confirm: bool) -> Value {
    let mut params: Map<String, Value> =
        cmdlet.params.iter().map(|(name, value)| (name.clone(), param(value))).collect();
    if super::table::lists(&cmdlet.name) && cmdlet.param("ResultSize").is_none() {
        params.insert("ResultSize".to_owned(), json!("Unlimited"));
    }
    if confirm && cmdlet.effect != Effect::Read && cmdlet.param("Confirm").is_none() {
        params.insert("Confirm".to_owned(), json!(false));
    }
    json!({"CmdletInput": {"CmdletName": cmdlet.name, "Parameters": params}})
}

fn param(value: &Param) -> Value {
    match value {
        Param::Null => Value::Null,
        Param::Text(text) => json!(text),
        Param::Bool(flag) => json!(flag),
        Param::Switch => json!(true),
        Param::Number(number) => json!(number),
        Param::List(values) => json!(values),
        Param::Delta { add, remove } => {
            let mut table = Map::new();
            table.insert("@odata.type".to_owned(), json!("#Exchange.GenericHashTable"));
            for (name, values) in [("Add", add), ("Remove", remove)] {
                if !values.is_empty() {
                    table.insert(name.to_owned(), json!(values));
                }
            }
            Value::Object(table)
        }
        Param::Secret(secret) => json!(secret.as_str()),
    }
}

/// One page of an answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Page {
    pub objects: Vec<Object>,
    pub warnings: Vec<String>,
    pub errors: Vec<CmdletError>,
    /// Where the next page is.
    pub next: Option<String>,
}

/// Reads the body of a good answer.
///
/// # Errors
/// In words, where it is not one of the admin API's.
pub(super) fn page(body: &[u8]) -> Result<Page, String> {
    if body.is_empty() {
        return Ok(Page::default());
    }
    let read: Value = serde_json::from_slice(body).map_err(|error| format!("it is not JSON ({error})"))?;
    let Value::Object(mut fields) = read else { return Err("it is not a JSON object".to_owned()) };
    let ours = fields.keys().any(|key| key.starts_with("@odata.") || key.starts_with("@adminapi."));
    let objects = match fields.remove("value") {
        Some(Value::Array(items)) => items.into_iter().filter_map(object).collect(),
        Some(Value::Null) => Vec::new(),
        Some(other) => object(other).into_iter().collect(),
        None if ours => Vec::new(),
        None => return Err("it has no “value”".to_owned()),
    };
    let next = match fields.get("@odata.nextLink") {
        None | Some(Value::Null) => None,
        Some(Value::String(link)) => Some(link.clone()),
        Some(_) => return Err("its @odata.nextLink is no text".to_owned()),
    };
    Ok(Page { objects, warnings: warnings(&fields), errors: errors(fields.get("@adminapi.errors")), next })
}

/// An element of `value` as an object, without OData's notes about types. Bare values stand under `Value`.
fn object(value: Value) -> Option<Object> {
    match value {
        Value::Null => None,
        Value::Object(mut fields) => {
            fields.retain(|key, _| !key.contains("@odata.") && !key.contains("@data."));
            Some(fields)
        }
        bare => Some(Map::from_iter([("Value".to_owned(), bare)])),
    }
}

fn warnings(fields: &Map<String, Value>) -> Vec<String> {
    let given = fields.get("@adminapi.warnings").and_then(Value::as_array);
    given.into_iter().flatten().map(words).collect()
}

fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn errors(given: Option<&Value>) -> Vec<CmdletError> {
    match given {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().map(one_error).collect(),
        Some(single) => vec![one_error(single)],
    }
}

/// What a refusing answer says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Refusal {
    /// What the cmdlet said; empty where no cmdlet spoke.
    pub errors: Vec<CmdletError>,
    pub warnings: Vec<String>,
    /// Every code and type that the body names, without namespaces: what retries go by.
    pub names: Vec<String>,
    /// For people, where no cmdlet spoke.
    pub text: String,
}

/// Reads the body of a refusing answer, whatever it is. `error.message` is always the same sentence; what happened stands
/// in `error.details[].message`.
pub(super) fn refusal(body: &[u8]) -> Refusal {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Refusal { text: brief(&String::from_utf8_lossy(body)), ..Refusal::default() };
    };
    let error = fields.get("error").unwrap_or(&Value::Null);
    let details: Vec<&Value> = error.get("details").and_then(Value::as_array).into_iter().flatten().collect();
    let found: Vec<CmdletError> =
        details.iter().filter(|detail| detail.get("message").is_some()).map(|d| one_error(d)).collect();
    // Details that name no type are the front end's, unless there is nothing else to tell.
    let named = found.iter().any(|error| !error.type_name.is_empty());
    let errors: Vec<CmdletError> = found.into_iter().filter(|error| !named || !error.type_name.is_empty()).collect();
    let mut names = Vec::new();
    let mut name = |value: Option<&Value>| {
        names.extend(value.and_then(Value::as_str).map(|text| classify::short(text).to_owned()))
    };
    name(error.get("code"));
    details.iter().for_each(|detail| name(detail.get("code")));
    let mut inner = error.get("innererror");
    for _ in 0..8 {
        let Some(exception) = inner else { break };
        name(exception.get("type"));
        inner = exception.get("internalexception");
    }
    names.extend(errors.iter().map(|error| error.type_name.clone()).filter(|name| !name.is_empty()));
    let text = match (error.get("code").and_then(Value::as_str), error.get("message").and_then(Value::as_str)) {
        (Some(code), Some(message)) => format!("{code}: {}", brief(message)),
        (None, Some(message)) => brief(message),
        (Some(code), None) => code.to_owned(),
        (None, None) => brief(&String::from_utf8_lossy(body)),
    };
    Refusal { errors, warnings: warnings(&fields), names, text }
}

/// `Ex6F9304|Full.Type.Name|text`, the same as an object's `message`, or an object (also as JSON in a text) with `TypeName`.
fn one_error(value: &Value) -> CmdletError {
    match value {
        Value::String(text) => error_text(text),
        Value::Object(fields) => match field(fields, &["TypeName", "ExceptionType", "Type"]) {
            Some(_) => error_fields(fields),
            None => {
                field(fields, &["Message"]).map_or_else(|| error_text(&value.to_string()), |text| error_text(&text))
            }
        },
        other => error_text(&other.to_string()),
    }
}

fn error_text(text: &str) -> CmdletError {
    if text.trim_start().starts_with('{')
        && let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(text)
    {
        return error_fields(&fields);
    }
    let mut parts = text.splitn(3, '|');
    if let (Some(code), Some(type_name), Some(message)) = (parts.next(), parts.next(), parts.next())
        && code.len() <= 16
        && code.bytes().all(|b| b.is_ascii_alphanumeric())
        && is_type(type_name)
    {
        return made(type_name, code, message);
    }
    made("", "", text)
}

fn error_fields(fields: &Map<String, Value>) -> CmdletError {
    let type_name = field(fields, &["TypeName", "ExceptionType", "Type"]).unwrap_or_default();
    let id = field(fields, &["FullyQualifiedErrorId", "ErrorId", "Code"]).unwrap_or_default();
    let message = field(fields, &["Message", "ErrorMessage", "ExceptionMessage"]);
    made(&type_name, &id, &message.unwrap_or_else(|| Value::Object(fields.clone()).to_string()))
}

/// The first of these fields that is text; case does not matter.
fn field(fields: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| {
        let (_, value) = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        value.as_str().map(ToOwned::to_owned)
    })
}

fn is_type(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+`".contains(&b))
}

fn made(type_name: &str, id: &str, message: &str) -> CmdletError {
    CmdletError {
        type_name: classify::short(type_name).to_owned(),
        reason: type_name.to_owned(),
        fully_qualified_id: id.to_owned(),
        message: message.trim().to_owned(),
        class: classify::class(type_name, "", id),
    }
}

/// A body in one short line.
pub(super) fn brief(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::cmdlet::Class;
    use super::*;

    #[test]
    fn a_cmdlet_as_json() {
        let cmdlet = Cmdlet::write("Set-Mailbox")
            .text("Identity", "a'; Remove-Mailbox \u{0}\"")
            .flag("HiddenFromAddressListsEnabled", false)
            .switch("Force")
            .with("ForwardingAddress", Param::Null)
            .with("RetainDeletedItemsFor", Param::Number(14))
            .with("EmailAddresses", Param::Delta { add: vec!["smtp:a@example.com".to_owned()], remove: vec![] })
            .with("GrantSendOnBehalfTo", Param::List(vec!["x".to_owned()]))
            .with("Password", Param::Secret(zeroize::Zeroizing::new("pw".to_owned())));
        assert_eq!(check(&cmdlet), Ok(()));
        let wanted = json!({"CmdletInput": {"CmdletName": "Set-Mailbox", "Parameters": {
            "Identity": "a'; Remove-Mailbox \u{0}\"",
            "HiddenFromAddressListsEnabled": false,
            "Force": true,
            "ForwardingAddress": null,
            "RetainDeletedItemsFor": 14,
            "EmailAddresses": {"@odata.type": "#Exchange.GenericHashTable", "Add": ["smtp:a@example.com"]},
            "GrantSendOnBehalfTo": ["x"],
            "Password": "pw",
        }}});
        assert_eq!(body(&cmdlet, false), wanted);
        assert_eq!(
            body(&Cmdlet::read("Get-Mailbox"), true)["CmdletInput"]["Parameters"],
            json!({"ResultSize": "Unlimited"})
        );
        let first = Cmdlet::read("Get-Mailbox").with("resultsize", Param::Number(1));
        assert_eq!(body(&first, true)["CmdletInput"]["Parameters"], json!({"resultsize": 1}));
    }

    #[test]
    fn nobody_is_asked() {
        let confirm = |cmdlet: Cmdlet| body(&cmdlet, true)["CmdletInput"]["Parameters"]["Confirm"].clone();
        assert_eq!(confirm(Cmdlet::destructive("Remove-Mailbox")), json!(false));
        assert_eq!(confirm(Cmdlet::write("Set-Mailbox").flag("Confirm", true)), json!(true));
        assert_eq!(confirm(Cmdlet::read("Get-Mailbox")), Value::Null);
    }

    #[test]
    fn only_names_are_names() {
        for name in ["", "Get", "Get-", "Get-Mailbox; x", "Get-Mail box", "..\\Get-Mailbox"] {
            assert!(check(&Cmdlet::read(name)).is_err(), "{name}");
        }
        assert!(check(&Cmdlet::read("Get-Mailbox").text("-Identity", "a")).is_err());
        assert!(check(&Cmdlet::read("Get-Mailbox").text("Identity", "a").text("identity", "b")).is_err());
    }

    #[test]
    fn pages() {
        let read = page(
            br##"{"@odata.context":"x","@adminapi.warnings@odata.type":"#Collection(String)",
            "@adminapi.warnings":["slow"],"@odata.nextLink":"https://x/next",
            "@adminapi.errors":["Ex6F9304|Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException|no"],
            "value":[{"Name":"a","Size@data.type":"t","Size":1},"bare"]}"##,
        )
        .unwrap();
        assert_eq!(Value::from(read.objects), json!([{"Name": "a", "Size": 1}, {"Value": "bare"}]));
        assert_eq!((read.warnings, read.next), (vec!["slow".to_owned()], Some("https://x/next".to_owned())));
        assert_eq!(read.errors[0].class, Class::NotFound);
        assert!(page(b"<html>").is_err() && page(b"[]").is_err() && page(b"{}").is_err());
        assert_eq!(page(b""), Ok(Page::default()));
    }

    #[test]
    fn both_shapes_of_errors() {
        let piped = json!({"error": {"code": "NotFound", "message": "Error executing cmdlet", "details": [
            {"code": "Context", "target": "", "message":
             "Ex6F9304|Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException|Das Objekt | fehlt."}]}});
        let read = refusal(piped.to_string().as_bytes());
        assert_eq!(read.errors[0].type_name, "ManagementObjectNotFoundException");
        assert_eq!(read.errors[0].message, "Das Objekt | fehlt.");
        assert_eq!(read.errors[0].class, Class::NotFound);
        let inner = json!({"TypeName": "Microsoft.Exchange.Management.Tasks.MemberAlreadyExistsException", "Message": "already"});
        let as_text = json!({"error": {"code": "BadRequest", "message": "Error executing cmdlet",
            "details": [{"message": inner.to_string()}]}});
        let read = refusal(as_text.to_string().as_bytes());
        assert_eq!((read.errors[0].class.clone(), read.errors[0].message.as_str()), (Class::AlreadyMember, "already"));
    }

    #[test]
    fn names_for_retries_come_from_codes_and_types_only() {
        let body = json!({"error": {"code": "CmdletProxyNotAvailableFailure", "message": "ServerBusyException",
            "innererror": {"type": "A.B", "internalexception": {"type": "X.TransientException"}}}});
        let read = refusal(body.to_string().as_bytes());
        assert_eq!(read.names, ["CmdletProxyNotAvailableFailure", "B", "TransientException"]);
        assert!(refusal(b"TransientException").names.is_empty());
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC*") {
            let as_detail = json!({"error": {"details": [{"message": text}]}}).to_string();
            let _ = (page(text.as_bytes()), refusal(text.as_bytes()), refusal(as_detail.as_bytes()));
        }
    }
}
