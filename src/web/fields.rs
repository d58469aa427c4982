//! A form's or query's fields: names may repeat, nothing typed is lost.

use chrono::NaiveDate;
use serde_json::{Map, Value as Json, json};

/// What was sent, in order.
#[derive(Debug, Clone, Default)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The first value of that name without surrounding space; empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The first value of that name exactly as sent (passwords).
    pub fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// All values of that name that are not empty.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(key, value)| key == name && !value.trim().is_empty())
            .map(|(_, value)| value.trim().to_owned())
            .collect()
    }

    /// Whether a field of that name was sent at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// The three boxes of a date as typed: `{name}_day`, `{name}_month`, `{name}_year`.
    pub fn date_boxes(&self, name: &str) -> [String; 3] {
        ["day", "month", "year"].map(|part| self.text(&format!("{name}_{part}")).to_owned())
    }

    /// The day in a date's boxes; None where nothing was typed, an error in words where it is no day.
    ///
    /// # Errors
    /// What to mend.
    pub fn date(&self, name: &str) -> Result<Option<NaiveDate>, &'static str> {
        let [day, month, year] = self.date_boxes(name);
        if [&day, &month, &year].iter().all(|part| part.is_empty()) {
            return Ok(None);
        }
        let wrong = "Enter a real day, such as 30 11 2026";
        let (day, month, year) = (
            day.parse().map_err(|_| wrong)?,
            month.parse().map_err(|_| wrong)?,
            year.parse::<i32>().map_err(|_| wrong)?,
        );
        if !(1900..=9999).contains(&year) {
            return Err("Enter the year with four digits");
        }
        NaiveDate::from_ymd_opt(year, month, day).map(Some).ok_or(wrong)
    }

    /// Everything but the form's own token, as kept in a draft: a text, or a list where the name repeats.
    pub fn to_json(&self) -> Json {
        let mut object = Map::new();
        for (name, value) in self.0.iter().filter(|(name, _)| name != "csrf") {
            match object.get_mut(name) {
                None => drop(object.insert(name.clone(), json!(value))),
                Some(Json::Array(values)) => values.push(json!(value)),
                Some(first) => *first = json!([first.clone(), value]),
            }
        }
        Json::Object(object)
    }

    /// The reverse of [`Self::to_json`].
    pub fn from_json(json: &Json) -> Self {
        let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut fields = Vec::new();
        for (name, value) in json.as_object().into_iter().flatten() {
            match value {
                Json::Null => {}
                Json::Array(values) => fields.extend(values.iter().map(|value| (name.clone(), text(value)))),
                value => fields.push((name.clone(), text(value))),
            }
        }
        Self(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        Fields(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn repeated_names_survive_a_draft() {
        let typed = fields(&[("csrf", "x"), ("groups", "a"), ("name", " O'Brien "), ("groups", "b")]);
        let json = typed.to_json();
        assert_eq!(json, json!({"groups": ["a", "b"], "name": " O'Brien "}));
        let again = Fields::from_json(&json);
        assert_eq!(again.all("groups"), ["a", "b"]);
        assert_eq!(again.text("name"), "O'Brien");
    }

    #[test]
    fn days_are_read_from_three_boxes() {
        let date = |day, month, year| fields(&[("on_day", day), ("on_month", month), ("on_year", year)]).date("on");
        assert_eq!(date("30", "11", "2026"), Ok(NaiveDate::from_ymd_opt(2026, 11, 30)));
        assert_eq!(date("", "", ""), Ok(None));
        assert!(date("31", "11", "2026").is_err());
        assert!(date("1", "1", "26").is_err());
        assert!(date("1", "", "2026").is_err());
    }
}
