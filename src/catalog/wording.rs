//! Wording of mails: what a company writes around the facts that each mail states. Pure.
//!
//! The facts (who asked, what would change, where to decide) are Tenure's own and cannot be left out. A company sets the
//! subject behind the request's number, a paragraph above the facts and one below them, as templates (Jinja syntax).

use std::collections::BTreeMap;

use minijinja::{Environment, context};
use serde::{Deserialize, Serialize};

use super::settings::{Invalid, Setting, invalid};

/// Kinds of mail, as the outbox names them, and what each tells.
pub const LETTERS: [(&str, &str); 8] = [
    ("submitted", "Asked for"),
    ("please_decide", "Please decide"),
    ("decided", "Decided"),
    ("done", "Done"),
    ("failed", "Needs a person"),
    ("stands_in", "Standing in"),
    ("setting_proposed", "Please release"),
    ("setting_answered", "A setting was decided"),
];

/// What templates may speak of.
pub const VARIABLES: [&str; 3] = ["number", "title", "to"];

/// One kind of mail; what is empty is as it comes with Tenure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Letter {
    #[serde(default)]
    pub subject: String,
    #[serde(default)]
    pub opening: String,
    #[serde(default)]
    pub closing: String,
}

/// The wording of all mails.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wording {
    /// By kind of mail.
    #[serde(default)]
    pub letters: BTreeMap<String, Letter>,
    /// Below every mail: who to ask, in a line or two.
    #[serde(default)]
    pub footer: String,
}

/// What a mail is about, for the templates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About<'a> {
    pub number: &'a str,
    pub title: &'a str,
    pub to: &'a str,
}

impl About<'_> {
    fn context(&self) -> minijinja::Value {
        context! { number => self.number, title => self.title, to => self.to }
    }
}

/// A kind of mail with its templates filled in; empty where the company says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub subject: String,
    pub opening: String,
    pub closing: String,
    pub footer: String,
}

fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_fuel(Some(10_000));
    engine.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    // Whoever puts a text into HTML escapes it there.
    engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    engine
}

impl Wording {
    /// The templates of one kind of mail, filled in. One that does not work counts as not set: a mail is sent in any case.
    pub fn say(&self, letter: &str, about: &About<'_>) -> Said {
        let engine = engine();
        let fill = |template: &str| engine.render_str(template, about.context()).unwrap_or_default().trim().to_owned();
        let set = self.letters.get(letter).cloned().unwrap_or_default();
        Said {
            subject: fill(&set.subject),
            opening: fill(&set.opening),
            closing: fill(&set.closing),
            footer: fill(&self.footer),
        }
    }
}

impl Setting for Wording {
    const KIND: &'static str = "mail";

    fn wrong(&self) -> Vec<Invalid> {
        let engine = engine();
        let about = About { number: "REQ-000001", title: "New joiner", to: "Zoë Groß" };
        let broken = |field: String, template: &str, most: usize| {
            if template.chars().count() > most {
                return Some(invalid(field, format!("At most {most} characters")));
            }
            engine.render_str(template, about.context()).err().map(|source| {
                let known = VARIABLES.join(", ");
                invalid(field, format!("This template does not work: {source}. It may speak of: {known}"))
            })
        };
        let mut wrong = Vec::new();
        for (name, letter) in &self.letters {
            let of = |field: &str| format!("letters.{name}.{field}");
            if !LETTERS.iter().any(|(known, _)| known == name) {
                wrong.push(invalid(format!("letters.{name}"), format!("There is no mail “{name}”")));
            }
            if letter.subject.contains(['\n', '\r']) {
                wrong.push(invalid(of("subject"), "A subject is one line"));
            }
            wrong.extend(broken(of("subject"), &letter.subject, 200));
            wrong.extend(broken(of("opening"), &letter.opening, 2000));
            wrong.extend(broken(of("closing"), &letter.closing, 2000));
        }
        wrong.extend(broken("footer".to_owned(), &self.footer, 1000));
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in_and_checked() {
        let letter = |opening: &str| Letter { opening: opening.to_owned(), ..Letter::default() };
        let wording = |opening: &str| Wording {
            letters: [("done".to_owned(), letter(opening))].into(),
            footer: "Ask the desk about {{ number }}".to_owned(),
        };
        let about = About { number: "REQ-000007", to: "Maria", ..About::default() };
        let good = wording("Dear {{ to }}, {{ number }} is done.");
        assert_eq!(good.wrong(), []);
        let said = good.say("done", &about);
        assert_eq!(said.opening, "Dear Maria, REQ-000007 is done.");
        assert_eq!((said.subject.as_str(), said.footer.as_str()), ("", "Ask the desk about REQ-000007"));
        for bad in
            ["{{ password }}", "{% for x in range(999999) %}{% for y in range(999) %}x{% endfor %}{% endfor %}", "{{"]
        {
            assert_eq!(wording(bad).wrong().remove(0).field, "letters.done.opening", "{bad}");
            assert_eq!(wording(bad).say("done", &about).opening, "");
        }
    }
}
