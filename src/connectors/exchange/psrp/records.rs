//! Errors, progress and information, as the server tells them (MS-PSRP 2.2.2.20 to 2.2.2.27, 2.2.3.15).

use super::clixml::Value;

/// An error record. Messages come in the server's language: decide by type name, reason or id, never by them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ErrorRecord {
    /// For people. The record's own details where it has some, else the exception's message.
    pub message: String,
    /// The exception's type, the most derived first, without `Deserialized.`; then those of its inner exceptions.
    pub exception_types: Vec<String>,
    pub fully_qualified_id: String,
    /// `ErrorCategory_Category`, a number of System.Management.Automation.ErrorCategory.
    pub category: i32,
    /// `ErrorCategory_Activity`: the cmdlet, usually.
    pub activity: String,
    /// `ErrorCategory_Reason`: the exception's type without its namespace, usually.
    pub reason: String,
    pub target_name: String,
    pub target_type: String,
    /// `ErrorCategory_Message`, localised.
    pub category_message: String,
    /// What the error is about.
    pub target: Value,
}

/// Inner exceptions that are looked into.
const INNER: usize = 8;

impl ErrorRecord {
    /// Of an ErrorRecord's flattened properties; anything else that came in its place keeps its text as the message.
    pub(super) fn read(value: &Value) -> Self {
        let nothing = Value::Null;
        let exception = value.property("Exception").unwrap_or(&nothing);
        let details = Some(text(value, "ErrorDetails_Message")).filter(|text| !text.is_empty());
        let message = details
            .or_else(|| Some(text(exception, "Message")).filter(|text| !text.is_empty()))
            .or_else(|| value.text().map(|text| text.into_owned()))
            .unwrap_or_default();
        Self {
            message,
            exception_types: exception_types(exception),
            fully_qualified_id: text(value, "FullyQualifiedErrorId"),
            category: number(value, "ErrorCategory_Category"),
            activity: text(value, "ErrorCategory_Activity"),
            reason: text(value, "ErrorCategory_Reason"),
            target_name: text(value, "ErrorCategory_TargetName"),
            target_type: text(value, "ErrorCategory_TargetType"),
            category_message: text(value, "ErrorCategory_Message"),
            target: value.property("TargetObject").cloned().unwrap_or_default(),
        }
    }

    /// The exception's type without its namespace, `ManagementObjectNotFoundException`; empty where none was given.
    pub fn type_name(&self) -> &str {
        let name = self.exception_types.first().map_or("", String::as_str);
        name.rsplit('.').next().unwrap_or(name)
    }
}

fn exception_types(exception: &Value) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut current = Some(exception);
    for _ in 0..INNER {
        let Some(object) = current.and_then(Value::object) else { break };
        for name in object.type_names.iter() {
            let name = name.strip_prefix("Deserialized.").unwrap_or(name);
            if name != "System.Object" && !names.iter().any(|given| given == name) {
                names.push(name.to_owned());
            }
        }
        current = object.property("InnerException");
    }
    names
}

/// How far a pipeline is, as it says itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    pub activity: String,
    pub activity_id: i32,
    pub parent_activity_id: i32,
    pub status: String,
    pub operation: String,
    /// −1: not known.
    pub percent: i32,
    /// −1: not known.
    pub seconds_remaining: i32,
    pub completed: bool,
}

impl Progress {
    pub(super) fn read(value: &Value) -> Self {
        Self {
            activity: text(value, "Activity"),
            activity_id: number(value, "ActivityId"),
            parent_activity_id: number(value, "ParentActivityId"),
            status: text(value, "StatusDescription"),
            operation: text(value, "CurrentOperation"),
            percent: number(value, "PercentComplete"),
            seconds_remaining: number(value, "SecondsRemaining"),
            // ProgressRecordType.Completed
            completed: number(value, "Type") == 1,
        }
    }
}

/// What a pipeline wrote to the information stream (2.3, `Write-Information`, `Write-Host`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Information {
    pub message: Value,
    pub source: String,
    pub tags: Vec<String>,
}

impl Information {
    pub(super) fn read(value: &Value) -> Self {
        let tags = value.property("Tags").and_then(Value::items).unwrap_or_default();
        Self {
            message: value.property("MessageData").cloned().unwrap_or_default(),
            source: text(value, "Source"),
            tags: tags.iter().filter_map(Value::text).map(|tag| tag.into_owned()).collect(),
        }
    }
}

/// The text of a warning, verbose or debug record: `InformationalRecord_Message`, else what it prints as.
pub(super) fn informational(value: &Value) -> String {
    let message = value.property("InformationalRecord_Message").and_then(Value::text);
    message.or_else(|| value.text()).map(|text| text.into_owned()).unwrap_or_default()
}

fn text(value: &Value, name: &str) -> String {
    value.property(name).and_then(Value::text).map(|text| text.into_owned()).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> i32 {
    value.property(name).and_then(Value::number).and_then(|number| i32::try_from(number).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::clixml::Object;
    use super::*;

    #[test]
    fn an_error_is_told_by_type_and_reason() {
        let inner = Object { adapted: vec![("Message".to_owned(), "inner".into())], ..Object::default() }.typed(&[
            "System.DirectoryServices.DirectoryException",
            "System.Exception",
            "System.Object",
        ]);
        let exception = Object {
            adapted: vec![("Message".to_owned(), "kein Objekt".into()), ("InnerException".to_owned(), inner.into())],
            ..Object::default()
        }
        .typed(&["Deserialized.Microsoft.Exchange.ManagementObjectNotFoundException", "Deserialized.System.Exception"]);
        let record = ErrorRecord::read(
            &Object::of(vec![
                ("Exception", exception.into()),
                ("FullyQualifiedErrorId", "[Server=EX1],Get-Mailbox".into()),
                ("ErrorCategory_Category", 13.into()),
                ("ErrorCategory_Reason", "ManagementObjectNotFoundException".into()),
                ("TargetObject", Value::Null),
            ])
            .into(),
        );
        assert_eq!(record.type_name(), "ManagementObjectNotFoundException");
        assert_eq!(
            record.exception_types,
            [
                "Microsoft.Exchange.ManagementObjectNotFoundException",
                "System.Exception",
                "System.DirectoryServices.DirectoryException"
            ]
        );
        assert_eq!((record.message.as_str(), record.category), ("kein Objekt", 13));
        assert_eq!(record.reason, "ManagementObjectNotFoundException");
    }

    #[test]
    fn what_is_no_record_keeps_its_text() {
        assert_eq!(ErrorRecord::read(&"out of luck".into()).message, "out of luck");
        assert_eq!(ErrorRecord::read(&Value::Null), ErrorRecord::default());
        assert_eq!(informational(&"careful".into()), "careful");
    }
}
