//! From what was typed to typed answers: reading a form or a JSON body field by field, collecting every error.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::Value as Json;
use unicode_normalization::UnicodeNormalization;

/// A field that cannot be taken as it is: which one, what is wrong and what would do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

impl FieldError {
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into() }
    }
}

/// Answers as typed: field → one text or several. Kept as they are in drafts, valid or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Raw(pub BTreeMap<String, Vec<String>>);

impl Raw {
    /// From a form's pairs; a field that comes several times keeps all its values, in order.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut raw = Self::default();
        for (name, value) in pairs {
            raw.0.entry(name).or_default().push(storable(value));
        }
        raw
    }

    /// From the API's `answers` object: texts, numbers, yes/no and lists of these; null is left out.
    ///
    /// # Errors
    /// One per field that is something else.
    pub fn from_json(answers: &Json) -> Result<Self, Vec<FieldError>> {
        let Json::Object(fields) = answers else {
            return Err(vec![FieldError::new("answers", "answers must be an object of field names and values")]);
        };
        let (mut raw, mut errors) = (Self::default(), Vec::new());
        for (name, value) in fields {
            let values = match value {
                Json::Null => continue,
                Json::Array(values) => values.iter().map(scalar).collect::<Option<Vec<_>>>(),
                other => scalar(other).map(|value| vec![value]),
            };
            match values {
                Some(values) => raw.set(name, values),
                None => errors.push(FieldError::new(name, format!("{name} must be a text or a list of texts"))),
            }
        }
        if errors.is_empty() { Ok(raw) } else { Err(errors) }
    }

    /// The first value, trimmed; empty where there is none.
    pub fn first(&self, name: &str) -> &str {
        self.0.get(name).and_then(|values| values.first()).map_or("", |value| value.trim())
    }

    /// All values that are not blank, trimmed.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.get(name).into_iter().flatten().map(|value| value.trim()).filter(|value| !value.is_empty()).collect()
    }

    /// All values, of which each may be several: one a line, or with commas or semicolons between.
    pub fn lines(&self, name: &str) -> Vec<&str> {
        let values = self.0.get(name).into_iter().flatten();
        values
            .flat_map(|value| value.split(['\n', '\r', ',', ';']))
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect()
    }

    pub fn set(&mut self, name: &str, values: Vec<String>) {
        self.0.insert(name.to_owned(), values.into_iter().map(storable).collect());
    }

    pub fn checked(&self, name: &str) -> bool {
        matches!(self.first(name), "true" | "on" | "yes" | "1")
    }

    /// A day as `2026-11-30`, or from three boxes `name_day`, `name_month`, `name_year`; as typed.
    pub fn day(&self, name: &str) -> String {
        let boxes = ["year", "month", "day"].map(|part| self.first(&format!("{name}_{part}")));
        if boxes.iter().all(|part| part.is_empty()) {
            return self.first(name).to_owned();
        }
        format!("{:0>4}-{:0>2}-{:0>2}", boxes[0], boxes[1], boxes[2])
    }
}

/// The database keeps every character but U+0000: U+FFFD stands in its place, which no field takes either.
fn storable(typed: String) -> String {
    if typed.contains('\0') { typed.replace('\0', "\u{FFFD}") } else { typed }
}

fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(value) => Some(value.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// Reads fields and collects what is wrong with them; nothing stops at the first error.
#[derive(Debug)]
pub struct Reader<'a> {
    pub raw: &'a Raw,
    pub errors: Vec<FieldError>,
}

impl<'a> Reader<'a> {
    pub fn new(raw: &'a Raw) -> Self {
        Self { raw, errors: Vec::new() }
    }

    pub fn fail(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(FieldError::new(field, message));
    }

    /// One line of text in NFC, at most `max` characters, without control or direction-changing characters.
    pub fn text(&mut self, field: &str, label: &str, max: usize) -> Option<String> {
        let text: String = self.raw.first(field).nfc().collect();
        if text.is_empty() {
            return None;
        }
        let length = text.chars().count();
        if length > max {
            self.fail(field, format!("{label} can be at most {max} characters; this has {length}"));
            return None;
        }
        if let Some(hidden) = text.chars().find(|letter| is_hidden(*letter)) {
            self.fail(
                field,
                format!("{label} contains an invisible character (U+{:04X}); type it again", hidden as u32),
            );
            return None;
        }
        Some(text)
    }

    /// Why somebody asks, in their own words: several lines, at most 2,000 characters.
    pub fn reason(&mut self) -> Option<String> {
        self.long_text("reason", "The reason", 2000)
    }

    /// Several lines in NFC, at most `max` characters, without control or direction-changing characters.
    pub fn long_text(&mut self, field: &str, label: &str, max: usize) -> Option<String> {
        let text: String = self.raw.first(field).nfc().filter(|letter| *letter != '\r').collect();
        if text.chars().count() > max {
            self.fail(field, format!("{label} can be at most {max} characters"));
            return None;
        }
        if let Some(hidden) = text.chars().find(|letter| *letter != '\n' && *letter != '\t' && is_hidden(*letter)) {
            self.fail(field, format!("{label} contains an invisible character (U+{:04X})", hidden as u32));
            return None;
        }
        (!text.is_empty()).then_some(text)
    }

    /// Yes or no, where one was chosen.
    pub fn choice(&mut self, field: &str) -> Option<bool> {
        match self.raw.first(field) {
            "" => None,
            "yes" | "true" => Some(true),
            "no" | "false" => Some(false),
            other => {
                let message = format!("“{other}” is neither yes nor no");
                self.fail(field, message);
                None
            }
        }
    }

    /// As [`Reader::text`], and it must be there. `ask` is the sentence that says what to enter.
    pub fn required(&mut self, field: &str, label: &str, ask: &str, max: usize) -> String {
        let before = self.errors.len();
        let text = self.text(field, label, max);
        if text.is_none() && self.errors.len() == before {
            self.fail(field, ask);
        }
        text.unwrap_or_default()
    }

    /// A whole number within bounds, where one was typed.
    pub fn number(&mut self, field: &str, label: &str, (least, most): (i64, i64)) -> Option<i64> {
        let typed = self.raw.first(field);
        if typed.is_empty() {
            return None;
        }
        match typed.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                self.fail(field, format!("{label} must be a whole number from {least} to {most}"));
                None
            }
        }
    }

    /// A day, where one was typed.
    pub fn day(&mut self, field: &str, label: &str) -> Option<NaiveDate> {
        let typed = self.raw.day(field);
        if typed.is_empty() {
            return None;
        }
        match NaiveDate::parse_from_str(&typed, "%Y-%m-%d") {
            Ok(day) if (2000..2200).contains(&chrono::Datelike::year(&day)) => Some(day),
            _ => {
                self.fail(field, format!("{label} must be a real date, such as 30 11 2026"));
                None
            }
        }
    }
}

/// Control characters, bidirectional overrides and isolates, zero-width characters, the byte-order mark, and what stands for
/// a character that was lost.
pub fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{FFFD}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_day_is_read_from_one_field_or_three() {
        let mut raw = Raw::default();
        raw.set("start_on", vec!["2026-11-30".into()]);
        assert_eq!(Reader::new(&raw).day("start_on", "First day"), NaiveDate::from_ymd_opt(2026, 11, 30));
        let raw = Raw::from_pairs(
            [("s_day", "3"), ("s_month", "1"), ("s_year", "2027")].map(|(k, v)| (k.to_owned(), v.to_owned())),
        );
        assert_eq!(Reader::new(&raw).day("s", "First day"), NaiveDate::from_ymd_opt(2027, 1, 3));
        let raw = Raw::from_pairs([("s".to_owned(), "31.02.2027".to_owned())]);
        let mut reader = Reader::new(&raw);
        assert_eq!(reader.day("s", "First day"), None);
        assert_eq!(reader.errors[0].field, "s");
    }

    #[test]
    fn hostile_text_is_named_not_taken() {
        for (typed, part) in
            [("x".repeat(300), "at most 64"), ("a\u{202E}b".into(), "U+202E"), ("a\0b".into(), "U+FFFD")]
        {
            let raw = Raw::from_pairs([("name".to_owned(), typed)]);
            let mut reader = Reader::new(&raw);
            assert_eq!(reader.text("name", "Name", 64), None);
            assert!(reader.errors[0].message.contains(part), "{:?}", reader.errors);
        }
    }

    #[test]
    fn json_answers_of_the_wrong_shape_are_named() {
        let errors = Raw::from_json(&json!({"title": {"$ne": ""}, "site": "Hamburg", "groups": [["x"]]})).unwrap_err();
        let mut fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["groups", "title"]);
    }
}
