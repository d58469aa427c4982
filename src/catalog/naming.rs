//! Naming: how user name, names in the directory, sign-in name and mail are made from a person's names. Pure.
//!
//! Every name has templates in order (Jinja syntax); the first that is free counts. A template with `{{ n }}` is tried with 2,
//! 3, … up to 99. Filters: `ascii` (transliteration: ä→ae, ø→oe, å→aa, ß→ss, đ→d, 李→li), `lower`, `slug` (only a–z, 0–9, dashes),
//! `letters` (only letters and digits), `first(n)`, `last_word`, `initials`.

use minijinja::{Environment, Error, ErrorKind, context};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::settings::{Invalid, Setting, invalid};
use crate::people::EmploymentType;

/// How far the numbered fall-back goes.
const NUMBERS: std::ops::RangeInclusive<u32> = 2..=99;
/// sAMAccountName of a user: at most 20 characters (MS-SAMR 3.1.1.6), none of these, no dot at the end.
const USER_NAME_MAX: usize = 20;
const USER_NAME_FORBIDDEN: &str = "\"/\\[]:;|=,+*?<>@ ";
/// rangeUpper of `cn` in the Active Directory schema.
const CN_MAX: usize = 64;
/// RFC 5321 4.5.3.1.1: 64 octets before the @.
const LOCAL_PART_MAX: usize = 64;

/// The naming rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Naming {
    pub user_name: Vec<String>,
    pub display_name: String,
    pub cn: Vec<String>,
    /// Before the @ of sign-in name and mail alike.
    pub address: Vec<String>,
    pub upn_domain: String,
    pub mail_domain: String,
    /// Where accounts of a site are made: by site code; `*` for every other.
    pub parent: BTreeMap<String, String>,
    /// Where accounts of people who left are kept until deletion.
    pub quarantine_ou: String,
}

/// What names are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameInput {
    pub given_name: String,
    pub family_name: String,
    /// The person's own order of names, where it is not the usual one.
    pub display_name: Option<String>,
    pub kind: EmploymentType,
    pub site: String,
    pub department: String,
    pub employee_number: Option<String>,
}

/// Names that are free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub user_name: String,
    pub upn: String,
    pub mail: String,
    pub display_name: String,
    pub cn: String,
    /// DN of the organisational unit.
    pub parent: String,
}

impl Names {
    /// What must be unique: (namespace, folded value).
    pub fn reservations(&self) -> Vec<(String, String)> {
        vec![
            ("user_name".to_owned(), self.user_name.to_lowercase()),
            ("upn".to_owned(), self.upn.to_lowercase()),
            ("mail".to_owned(), self.mail.to_lowercase()),
            (cn_namespace(&self.parent), self.cn.to_lowercase()),
        ]
    }
}

/// Common names are unique below their parent.
fn cn_namespace(parent: &str) -> String {
    format!("cn:{}", parent.to_lowercase())
}

/// No name could be made: which field stands in the way, and what would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NamingError {
    pub field: String,
    pub message: String,
}

fn error(field: &str, message: impl Into<String>) -> NamingError {
    NamingError { field: field.to_owned(), message: message.into() }
}

/// Whether a folded value is taken in a namespace.
type Taken<'a> = &'a dyn Fn(&str, &str) -> bool;

impl Naming {
    /// Proposes names that are free, deterministically. `taken` is asked with folded values.
    ///
    /// # Errors
    /// A field error where the names leave no Latin letter for an account's name, or everything is taken.
    pub fn propose(&self, input: &NameInput, taken: Taken<'_>) -> Result<Names, NamingError> {
        let engine = engine();
        let display_name = match &input.display_name {
            Some(own) => own.clone(),
            None => self.render(&engine, &self.display_name, input, None)?,
        };
        let parent = self
            .parent
            .get(&input.site)
            .or_else(|| self.parent.get("*"))
            .cloned()
            .ok_or_else(|| error("site", format!("The naming rules say nothing about {}", input.site)))?;
        let user_name = self.first_free(&engine, &self.user_name, input, "a user name", |name| {
            let name = clean_user_name(name);
            (has_letter(&name) && !taken("user_name", &name.to_lowercase())).then_some(name)
        })?;
        let address = self.first_free(&engine, &self.address, input, "a mail address", |local| {
            let local = clean_local_part(local);
            let free = has_letter(&local)
                && !taken("upn", &format!("{local}@{}", self.upn_domain).to_lowercase())
                && !taken("mail", &format!("{local}@{}", self.mail_domain).to_lowercase());
            free.then_some(local)
        })?;
        let namespace = cn_namespace(&parent);
        let cn = self.first_free(
            &engine,
            &self.cn,
            &NameInput { display_name: Some(display_name.clone()), ..input.clone() },
            "a name in the directory",
            |name| {
                let cn: String = name.trim().chars().take(CN_MAX).collect();
                let cn = cn.trim().to_owned();
                (!cn.is_empty() && !taken(&namespace, &cn.to_lowercase())).then_some(cn)
            },
        )?;
        Ok(Names {
            user_name,
            upn: format!("{address}@{}", self.upn_domain),
            mail: format!("{address}@{}", self.mail_domain),
            display_name,
            cn,
            parent,
        })
    }

    fn first_free(
        &self,
        engine: &Environment<'_>,
        templates: &[String],
        input: &NameInput,
        what: &str,
        free: impl Fn(&str) -> Option<String>,
    ) -> Result<String, NamingError> {
        let mut made_something = false;
        for template in templates {
            let numbers: Vec<Option<u32>> =
                if template.contains("{{ n }}") { NUMBERS.map(Some).collect() } else { vec![None] };
            for number in numbers {
                let name = self.render(engine, template, input, number)?;
                made_something |= name.chars().any(char::is_alphabetic);
                if let Some(name) = free(&name) {
                    return Ok(name);
                }
            }
        }
        Err(if made_something {
            error("family_name", format!("Every form of {what} for this name is taken; ask the service desk"))
        } else {
            error(
                "family_name",
                format!("No letter of this name can be written in {what}; add it in Latin letters as well"),
            )
        })
    }

    fn render(
        &self,
        engine: &Environment<'_>,
        template: &str,
        input: &NameInput,
        number: Option<u32>,
    ) -> Result<String, NamingError> {
        engine
            .render_str(
                template,
                context! {
                    given => &input.given_name,
                    family => &input.family_name,
                    display => input.display_name.clone().unwrap_or_else(|| format!("{} {}", input.given_name, input.family_name)),
                    kind => input.kind.as_str(),
                    site => &input.site,
                    department => &input.department,
                    number => &input.employee_number,
                    n => number,
                },
            )
            .map_err(|source| error("family_name", format!("The naming rule “{template}” does not work: {source}")))
    }
}

impl Setting for Naming {
    const KIND: &'static str = "naming";

    fn wrong(&self) -> Vec<Invalid> {
        let mut wrong = Vec::new();
        let named = [("user_name", &self.user_name), ("cn", &self.cn), ("address", &self.address)];
        for (what, templates) in named {
            if !templates.last().is_some_and(|template| template.contains("{{ n }}")) {
                wrong.push(invalid(what, "The last template needs “{{ n }}”, so that there is always a free name"));
            }
        }
        let place = "A place is a distinguished name, such as OU=Hamburg,OU=Staff,DC=corp,DC=example,DC=com";
        if self.parent.is_empty() || self.parent.values().any(|dn| !dn.contains('=')) {
            wrong.push(invalid("parent", place));
        }
        if !self.quarantine_ou.contains('=') {
            wrong.push(invalid("quarantine_ou", place));
        }
        let domains = [
            ("upn_domain", &self.upn_domain, "Sign-in names end with a domain, such as corp.example.com"),
            ("mail_domain", &self.mail_domain, "Mail addresses end with a domain, such as example.com"),
        ];
        for (what, domain, message) in domains {
            let letter = |letter: char| letter.is_ascii_alphanumeric() || ".-".contains(letter);
            if domain.trim_matches('.').is_empty() || !domain.chars().all(letter) {
                wrong.push(invalid(what, message));
            }
        }
        // Each by itself, so that the one which does not work is named.
        let engine = engine();
        let own = vec![self.display_name.clone()];
        for (what, templates) in named.into_iter().chain([("display_name", &own)]) {
            let broken =
                templates.iter().find_map(|one| self.render(&engine, one, &example(&self.parent), Some(2)).err());
            wrong.extend(broken.map(|error| invalid(what, error.message)));
        }
        // All together, where each works.
        if wrong.is_empty()
            && let Err(error) = self.propose(&example(&self.parent), &|_, _| false)
        {
            wrong.push(invalid("user_name", format!("For Zoë Groß: {}", error.message)));
        }
        wrong
    }
}

/// Somebody to try rules on.
fn example(parent: &BTreeMap<String, String>) -> NameInput {
    NameInput {
        given_name: "Zoë".into(),
        family_name: "Groß".into(),
        display_name: None,
        kind: EmploymentType::Employee,
        site: parent.keys().next().cloned().unwrap_or_default(),
        department: "Example".into(),
        employee_number: Some("1".into()),
    }
}

/// The template engine: bounded, without access to anything but the names.
fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_fuel(Some(10_000));
    engine.add_filter("ascii", |text: &str| ascii(text));
    engine.add_filter("slug", |text: &str| slug(text));
    engine.add_filter("letters", |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>());
    engine.add_filter("first", |text: &str, count: usize| -> Result<String, Error> {
        if count > 64 {
            return Err(Error::new(ErrorKind::InvalidOperation, "first(n): n is at most 64"));
        }
        Ok(text.chars().take(count).collect())
    });
    engine.add_filter("last_word", |text: &str| text.split_whitespace().last().unwrap_or_default().to_owned());
    engine.add_filter("initials", |text: &str| {
        text.split(|letter: char| letter.is_whitespace() || letter == '-')
            .filter_map(|word| word.chars().next())
            .collect::<String>()
    });
    engine
}

/// Latin letters: the German and Nordic ways first, then the general transliteration.
fn ascii(text: &str) -> String {
    let mut latin = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            'ä' | 'æ' => latin.push_str("ae"),
            'ö' | 'ø' | 'œ' => latin.push_str("oe"),
            'ü' => latin.push_str("ue"),
            'å' => latin.push_str("aa"),
            'ß' => latin.push_str("ss"),
            'Ä' | 'Æ' => latin.push_str("Ae"),
            'Ö' | 'Ø' => latin.push_str("Oe"),
            'Ü' => latin.push_str("Ue"),
            'Å' => latin.push_str("Aa"),
            // What it cannot write it gives as “[?]”: nothing, for a name.
            other => latin.push_str(deunicode::deunicode_char(other).filter(|text| *text != "[?]").unwrap_or_default()),
        }
    }
    latin.trim().to_owned()
}

/// Words joined by dashes; everything that is neither letter nor digit parts words, an apostrophe does not.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for letter in text.chars().filter(|letter| !matches!(letter, '\'' | '’' | '`')) {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// A number alone, from the numbered fall-back, is nobody's name.
fn has_letter(name: &str) -> bool {
    name.chars().any(|letter| letter.is_ascii_alphabetic())
}

fn clean_user_name(name: &str) -> String {
    let allowed: String = name
        .chars()
        .filter(|letter| letter.is_ascii_graphic() && !USER_NAME_FORBIDDEN.contains(*letter))
        .take(USER_NAME_MAX)
        .collect();
    allowed.trim_matches(['.', '-', '_']).to_owned()
}

/// RFC 5322 dot-atom, in the part of it that every mail system takes.
fn clean_local_part(local: &str) -> String {
    let allowed: String = local
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || "-._".contains(*letter))
        .take(LOCAL_PART_MAX)
        .collect();
    let mut clean = String::new();
    for letter in allowed.chars() {
        if letter != '.' || !clean.ends_with('.') {
            clean.push(letter);
        }
    }
    clean.trim_matches(['.', '-', '_']).to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn rules() -> Naming {
        serde_json::from_str(include_str!("defaults/naming.json")).unwrap()
    }

    fn input(given: &str, family: &str) -> NameInput {
        NameInput {
            given_name: given.to_owned(),
            family_name: family.to_owned(),
            display_name: None,
            kind: EmploymentType::Employee,
            site: "Hamburg".to_owned(),
            department: "Finance".to_owned(),
            employee_number: None,
        }
    }

    fn names(given: &str, family: &str) -> (String, String) {
        let names = rules().propose(&input(given, family), &|_, _| false).unwrap();
        (names.user_name, names.mail)
    }

    #[test]
    fn names_that_break_things_become_good_names() {
        assert_eq!(rules().wrong(), []);
        let expect = [
            ("Brian", "O'Brien", "bobrien", "brian.obrien@example.com"),
            ("Sam", "Smith, Jr.", "ssmithjr", "sam.smith-jr@example.com"),
            ("Ada", "#lead", "alead", "ada.lead@example.com"),
            ("Lan", "Nguyễn Thị", "lnguyenthi", "lan.nguyen-thi@example.com"),
            ("小龙", "李", "xli", "xiao-long.li@example.com"),
            (
                "José-María",
                "de la Cruz y Vega-Santamaría",
                "jdelacruzyvegasantam",
                "jose-maria.de-la-cruz-y-vega-santamaria@example.com",
            ),
            ("Jürgen", "Groß", "jgross", "juergen.gross@example.com"),
            ("Lena", "Sørensen", "lsoerensen", "lena.soerensen@example.com"),
            ("Đặng", "Åström", "daastroem", "dang.aastroem@example.com"),
        ];
        for (given, family, user_name, mail) in expect {
            assert_eq!(names(given, family), (user_name.to_owned(), mail.to_owned()), "{given} {family}");
        }
    }

    #[test]
    fn a_name_without_any_letter_is_refused_by_its_field() {
        let error = rules().propose(&input("\u{E000}", "\u{E001}"), &|_, _| false).unwrap_err();
        assert_eq!(error.field, "family_name");
        assert!(error.message.contains("Latin"), "{}", error.message);
    }

    #[test]
    fn taken_names_fall_back_in_order() {
        let mut taken = BTreeSet::new();
        let mut given = Vec::new();
        for _ in 0..4 {
            let names = rules().propose(&input("Peter", "Wolf"), &|namespace, value| {
                taken.contains(&(namespace.to_owned(), value.to_owned()))
            });
            let names = names.unwrap();
            taken.extend(names.reservations());
            given.push((names.user_name, names.mail, names.cn));
        }
        let all: BTreeSet<_> = given.iter().cloned().collect();
        assert_eq!(all.len(), 4, "{given:?}");
        assert_eq!(given[0], ("pwolf".to_owned(), "peter.wolf@example.com".to_owned(), "Peter Wolf".to_owned()));
        assert_eq!(given[1].0, "pewolf");
        assert_eq!(given[3].1, "peter.wolf4@example.com");
    }

    #[test]
    fn a_rule_without_a_numbered_end_is_not_released() {
        let rules = Naming { user_name: vec!["{{ given }}".to_owned()], ..rules() };
        assert_eq!(rules.wrong()[0].field, "user_name");
    }

    proptest! {
        /// Whatever somebody is called, the names are allowed in the directory, or the field is named.
        #[test]
        fn every_name_is_allowed_in_the_directory(given in ".{1,64}", family in ".{1,64}") {
            match rules().propose(&input(&given, &family), &|_, _| false) {
                Ok(names) => {
                    prop_assert!(!names.user_name.is_empty() && names.user_name.len() <= 20);
                    prop_assert!(!names.user_name.chars().any(|letter| USER_NAME_FORBIDDEN.contains(letter)));
                    prop_assert!(!names.user_name.ends_with('.'));
                    let local = names.mail.split('@').next().unwrap();
                    prop_assert!(!local.is_empty() && local.len() <= 64 && !local.contains(".."));
                    prop_assert!((1..=64).contains(&names.cn.chars().count()));
                }
                Err(error) => prop_assert_eq!(error.field, "family_name"),
            }
        }
    }
}
