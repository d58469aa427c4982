//! A list's parameters and its pages: everything known, everything named that is wrong, and a signed place to go on from.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Bearer;
use crate::web::{Error, cursor};

/// Lines that a page may have, and has where nothing is said.
pub const MOST: i64 = 200;
pub const USUAL: i64 = 50;

/// Characters that a parameter may have; a cursor is longer.
pub const LONGEST: usize = 200;
const LONGEST_CURSOR: usize = 1000;

/// A query's parameters, all of them known.
pub struct Params(Vec<(String, String)>);

fn wrong(name: &str, message: impl Into<String>) -> Error {
    Error::parameters(vec![(name.to_owned(), message.into())])
}

impl Params {
    /// # Errors
    /// 400 naming each parameter that is unknown, comes twice or holds what cannot be stored.
    pub fn of(pairs: Vec<(String, String)>, known: &[&str]) -> Result<Self, Error> {
        let mut errors = Vec::new();
        for (position, (name, value)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let words = match known {
                    [] => format!("{name} is not known here: there are no parameters"),
                    known => format!("{name} is not known here; there are {}", known.join(", ")),
                };
                errors.push((name.clone(), words));
            } else if pairs[..position].iter().any(|(other, _)| other == name) {
                errors.push((name.clone(), format!("{name} is given more than once")));
            } else if value.chars().any(char::is_control) {
                errors.push((name.clone(), format!("{name} holds control characters")));
            } else if value.chars().count() > if name == "cursor" { LONGEST_CURSOR } else { LONGEST } {
                errors.push((name.clone(), format!("{name} is too long")));
            }
        }
        if errors.is_empty() { Ok(Self(pairs)) } else { Err(Error::parameters(errors)) }
    }

    /// What was given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// What was given, as what it must be.
    ///
    /// # Errors
    /// 400 naming the parameter and what it must be.
    pub fn read<T>(&self, name: &str, must_be: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Error> {
        self.text(name)
            .map(|text| read(text).ok_or_else(|| wrong(name, format!("{name} must be {must_be}"))))
            .transpose()
    }

    /// One of these words.
    ///
    /// # Errors
    /// 400 naming the parameter and the words.
    pub fn word(&self, name: &str, words: &[&str]) -> Result<Option<String>, Error> {
        let must_be = format!("one of {}", words.join(", "));
        self.read(name, &must_be, |text| words.contains(&text).then(|| text.to_owned()))
    }

    /// # Errors
    /// 400 naming the parameter.
    pub fn yes(&self, name: &str) -> Result<bool, Error> {
        Ok(self.word(name, &["true", "false"])?.as_deref() == Some("true"))
    }

    /// # Errors
    /// 400 naming the parameter.
    pub fn instant(&self, name: &str) -> Result<Option<DateTime<Utc>>, Error> {
        self.read(name, "an instant such as 2026-11-30T08:00:00Z", |text| {
            DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
        })
    }
}

/// The page that is asked for.
pub struct Page<'a, P> {
    bearer: &'a Bearer,
    /// The list with its filter: a place is good for that alone.
    list: String,
    limit: i64,
    /// Where the page before ended.
    pub after: Option<P>,
}

impl<'a, P: Serialize + DeserializeOwned> Page<'a, P> {
    /// # Errors
    /// 400 naming `limit` or `cursor`.
    pub fn of(bearer: &'a Bearer, path: &str, params: &Params) -> Result<Self, Error> {
        let must_be = format!("a number from 1 to {MOST}");
        let limit = params
            .read("limit", &must_be, |text| text.parse().ok().filter(|limit| (1..=MOST).contains(limit)))?
            .unwrap_or(USUAL);
        let mut filter: Vec<&(String, String)> =
            params.0.iter().filter(|(name, _)| !matches!(name.as_str(), "limit" | "cursor")).collect();
        filter.sort();
        let list = json!([path, filter]).to_string();
        let must_be = "the next of an answer to the same list and filter, by the same token";
        let after = params.read("cursor", must_be, |text| cursor::open_with(&bearer.key, &list, text))?;
        Ok(Self { bearer, list, limit, after })
    }

    /// How many lines to fetch: one more than the page has, to know whether there are more.
    pub fn fetch(&self) -> i64 {
        self.limit + 1
    }

    /// The answer: these lines, and where the next page begins.
    pub fn answer<T>(&self, mut lines: Vec<T>, place: impl Fn(&T) -> P, show: impl FnMut(&T) -> Value) -> Value {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = lines.len() > limit;
        lines.truncate(limit);
        let last = lines.last().filter(|_| more);
        let next = last.map(|last| cursor::seal_with(&self.bearer.key, &self.list, &place(last)));
        json!({"items": lines.iter().map(show).collect::<Vec<_>>(), "next": next})
    }
}
