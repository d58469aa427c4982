//! The forms about mailboxes and lists: their questions in one table each, their answers as the domain reads them.

mod questions;

use serde_json::Value as Json;
use sqlx::PgConnection;

use self::questions::{By, Question, parts};
use super::forms::{Form, boxes};
use crate::mirror::mail;
use crate::plan::RequestKind;
use crate::plan::field::Raw;
use crate::plan::mail::CALENDAR_ROLES;
use crate::web::Error;
use crate::web::view::draft::FieldGroup;
use crate::web::view::forms::{
    AnyField, AreaField, CheckField, Choice, DateField, FormErrors, PickerField, PickerOption, RadioField, TextField,
    picked,
};

fn questions(kind: RequestKind) -> impl Iterator<Item = &'static Question> {
    parts(kind).iter().flat_map(|part| part.questions)
}

/// The names of a kind's questions.
pub fn names(kind: RequestKind) -> impl Iterator<Item = &'static str> {
    questions(kind).map(|question| question.name)
}

/// Whether there is an Exchange organisation here.
pub async fn is_here(conn: &mut PgConnection) -> Result<bool, Error> {
    Ok(!crate::requests::organisations(conn).await?.is_empty())
}

/// Heading and sentence of a kind's form.
pub fn heading(kind: RequestKind) -> (&'static str, &'static str) {
    match kind {
        RequestKind::SharedMailbox => (
            "A new mailbox",
            "Shared by a team, of a room or a piece of equipment, or somebody’s own. Who answers for it decides who may use it.",
        ),
        RequestKind::MailboxAccess => {
            ("Access to a mailbox", "Whoever answers for the mailbox decides each right by itself.")
        }
        RequestKind::MailboxChange => ("Change a mailbox", "Open what you want to change; the rest stays as it is."),
        RequestKind::MailingList => ("A new list", "With who is on it, who may send to it and who answers for it."),
        _ => ("Change a list", "Members in bulk, owners, moderation; or delete it."),
    }
}

/// What the answer is called where answers are listed.
pub fn term(kind: RequestKind, name: &str) -> Option<&'static str> {
    questions(kind).find(|question| question.name == name).map(|question| question.label)
}

/// An answer as it is shown where answers are listed; None: as it was typed.
pub fn shown(kind: RequestKind, name: &str, raw: &Raw) -> Option<Vec<String>> {
    let question = questions(kind).find(|question| question.name == name)?;
    if is_unmeant(kind, name, raw) {
        return Some(Vec::new());
    }
    let words = |choices: &'static [(&str, &str, &str)]| {
        let typed = raw.all(name);
        choices.iter().filter(|(value, ..)| typed.contains(value)).map(|(_, words, _)| (*words).to_owned()).collect()
    };
    match question.by {
        By::One(choices) | By::Many(choices) => Some(words(choices)),
        By::Recipients | By::Lines => Some(raw.lines(name).into_iter().map(str::to_owned).collect()),
        By::Day => {
            let day = raw.day(name).parse().ok();
            Some(day.map(crate::web::view::parts::long_day).into_iter().collect())
        }
        _ => None,
    }
}

/// Whether the answer says nothing beside the others: a shared mailbox is not booked, Outlook opens only what it may.
fn is_unmeant(kind: RequestKind, name: &str, raw: &Raw) -> bool {
    match kind {
        RequestKind::SharedMailbox => {
            let (books, own) = (["room", "equipment"].contains(&raw.first("type")), raw.first("type") == "user");
            match name {
                "accepts" | "capacity" | "window_days" => !books,
                "name" | "full_access" | "send_as" => own,
                "reconnect" => !own,
                _ => false,
            }
        }
        RequestKind::MailboxAccess => name == "automapping" && !raw.all("rights").contains(&"full_access"),
        _ => false,
    }
}

/// The fields, filled in with what was typed.
pub async fn groups(conn: &mut PgConnection, form: &Form, errors: &FormErrors) -> Result<Vec<FieldGroup>, Error> {
    let organisations = crate::requests::organisations(conn).await?;
    let organisations: Vec<Choice> =
        organisations.iter().map(|system| Choice::new(system.key.0.as_str(), system.name.as_str())).collect();
    let mut groups = Vec::new();
    for part in parts(form.kind) {
        let answered = |question: &Question| {
            form.raw.all(question.name).iter().any(|value| !value.is_empty())
                || !form.raw.day(question.name).is_empty()
                || errors.of(question.name).is_some()
        };
        let mut group = FieldGroup { title: part.title.to_owned(), ..FieldGroup::default() };
        let meant = |question: &&Question| !is_unmeant(form.kind, question.name, &form.raw);
        group.open = part.questions.iter().filter(meant).any(answered);
        for question in part.questions {
            if matches!(question.by, By::Organisation) && organisations.len() < 2 {
                continue;
            }
            group.fields.push(field(question, form, errors, &organisations));
        }
        groups.push(group);
    }
    Ok(groups)
}

macro_rules! finished {
    ($question:ident, $errors:ident, $kind:ident, $field:expr) => {{
        let field = $field.hint($question.hint).error($errors);
        AnyField::$kind(if $question.optional { field.optional() } else { field })
    }};
}

fn field(question: &Question, form: &Form, errors: &FormErrors, organisations: &[Choice]) -> AnyField {
    let (name, label) = (question.name, question.label);
    let typed = form.raw.first(name).to_owned();
    let choices = |choices: &[(&str, &str, &str)]| {
        let given = form.raw.all(name);
        let made = choices.iter().enumerate().map(|(index, (value, words, hint))| {
            let mut choice = Choice::new(*value, *words).hint(*hint);
            choice.chosen = if given.is_empty() {
                index == 0 && !matches!(question.by, By::Many(_))
            } else {
                given.contains(value)
            };
            choice
        });
        made.collect::<Vec<Choice>>()
    };
    match question.by {
        By::Line => finished!(question, errors, Text, TextField::new(name, label).value(typed)),
        By::Number => {
            let mut text = TextField::new(name, label).value(typed).width("short");
            text.input_mode = "numeric";
            finished!(question, errors, Text, text)
        }
        By::Lines | By::Recipients => {
            let lines = form.raw.lines(name).join("\n");
            let mut area = AreaField::new(name, label).value(lines);
            area.max = 40_000;
            finished!(question, errors, Area, area)
        }
        By::Text => finished!(question, errors, Area, AreaField::new(name, label).value(typed)),
        By::One(given) => finished!(question, errors, Radio, RadioField::new(name, label, choices(given))),
        By::Many(given) => finished!(question, errors, Check, CheckField::new(name, label, choices(given))),
        By::Role => {
            let roles = CALENDAR_ROLES.iter().map(|(role, means)| Choice::new(*role, *means).hint(*role));
            let all = std::iter::once(Choice::new("", "Nothing")).chain(roles).map(|choice| choice.chosen_if(&typed));
            finished!(question, errors, Radio, RadioField::new(name, label, all.collect()))
        }
        By::Day => {
            let [day, month, year] = boxes(&form.raw, name);
            finished!(question, errors, Date, DateField::new(name, label).typed(day, month, year))
        }
        By::Person => finished!(question, errors, Picker, PickerField::person(name, label).value(typed)),
        By::Mailbox => finished!(question, errors, Picker, PickerField::mail(name, label, false).value(typed)),
        By::List => finished!(question, errors, Picker, PickerField::mail(name, label, true).value(typed)),
        By::Organisation => {
            let first = organisations.first().map(|choice| choice.value.as_str()).unwrap_or_default();
            let chosen = if typed.is_empty() { first } else { &typed };
            let radio = RadioField::new(name, label, organisations.to_vec()).value(chosen);
            finished!(question, errors, Radio, radio)
        }
    }
}

/// Pickers' texts reduced to their keys, lists of recipients taken apart.
pub fn asked(kind: RequestKind, raw: &mut Raw) {
    for question in questions(kind) {
        match question.by {
            By::Person | By::Mailbox | By::List => {
                let key = picked(raw.first(question.name)).to_owned();
                raw.set(question.name, vec![key]);
            }
            By::Recipients => {
                let keys = raw.lines(question.name).into_iter().map(|line| picked(line).to_owned()).collect();
                raw.set(question.name, keys);
            }
            _ => {}
        }
    }
}

/// A request's answers as they would be typed: recipients by address, people by id, yes and no in words.
pub fn typed(answers: &Json) -> Json {
    let Json::Object(fields) = answers else { return answers.clone() };
    let mut typed = serde_json::Map::new();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("holder", _) => {}
            ("litigation_hold", Json::Bool(held)) => drop(typed.insert("hold".to_owned(), word(*held))),
            ("moderators", Json::Array(some)) => {
                typed.insert("moderated".to_owned(), word(!some.is_empty()));
                typed.insert(name.clone(), key(value));
            }
            ("rights", Json::Array(rights)) => {
                let (roles, plain): (Vec<_>, Vec<_>) =
                    rights.iter().cloned().partition(|right| right.as_str().is_some_and(|text| text.contains('/')));
                let role = roles.first().and_then(|role| role.as_str()?.split_once('/')).map(|(_, role)| role);
                typed.insert("calendar".to_owned(), Json::from(role.unwrap_or_default()));
                typed.insert(name.clone(), Json::Array(plain));
            }
            ("forward", forward) => {
                typed.insert(name.clone(), Json::from(if forward == "nowhere" { "no" } else { "yes" }));
                let to = forward.get("to").map(key).or_else(|| forward.get("outside").cloned());
                typed.extend(to.map(|to| ("forward_to".to_owned(), to)));
            }
            ("auto_reply", Json::Object(reply)) => {
                let off = reply.get("state").is_some_and(|state| state == "disabled");
                typed.insert(name.clone(), Json::from(if off { "no" } else { "yes" }));
                for part in ["text", "from", "until"] {
                    typed.extend(reply.get(part).map(|value| (format!("auto_reply_{part}"), value.clone())));
                }
            }
            (_, Json::Bool(value)) => drop(typed.insert(name.clone(), word(*value))),
            _ => drop(typed.insert(name.clone(), key(value))),
        }
    }
    Json::Object(typed)
}

fn word(value: bool) -> Json {
    Json::from(if value { "yes" } else { "no" })
}

/// A recipient's address, a person's id; anything else as it is.
fn key(value: &Json) -> Json {
    match value {
        Json::Object(object) => object.get("address").or_else(|| object.get("person")).cloned().unwrap_or(Json::Null),
        Json::Array(values) => Json::Array(values.iter().map(key).collect()),
        other => other.clone(),
    }
}

/// Mailboxes or lists found while typing.
pub async fn options(conn: &mut PgConnection, text: &str, lists: bool) -> Result<Vec<PickerOption>, Error> {
    let found = mail::search(conn, (text, Some(lists)), 12).await?;
    Ok(found
        .into_iter()
        .map(|object| {
            let recipient = object.recipient;
            let what = crate::web::words::recipient(&recipient.kind);
            PickerOption::person(&recipient.name, &recipient.address, what)
        })
        .collect())
}
