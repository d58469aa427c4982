//! A setting's body in words, and two bodies beside each other.

use serde_json::Value as Json;
use sqlx::PgConnection;

use crate::catalog;
use crate::ids::{EntitlementId, PersonId};
use crate::people;
use crate::web::Error;
use crate::web::view::parts::{Fact, Facts};
use crate::web::view::settings::{Differs, SettingBlock};

/// A body in words: one block per rule of a list, one for everything else.
pub async fn blocks(conn: &mut PgConnection, body: &Json) -> Result<Vec<SettingBlock>, Error> {
    let names = names(conn, body).await?;
    let mut blocks = Vec::new();
    let mut rest = Vec::new();
    for (key, value) in body.as_object().into_iter().flatten() {
        match value {
            Json::Array(rules) if rules.iter().all(Json::is_object) => {
                blocks.extend(rules.iter().map(|rule| block(rule, &names)))
            }
            Json::Object(inner) => {
                blocks.push(SettingBlock { title: label(key), text: String::new(), facts: facts(inner, &names) })
            }
            value => rest.push(fact(key, value, &names)),
        }
    }
    if !rest.is_empty() {
        blocks.insert(0, SettingBlock { title: "In general".to_owned(), text: String::new(), facts: Facts(rest) });
    }
    Ok(blocks)
}

pub type Names = std::collections::HashMap<String, String>;

/// Names of the entitlements and people that a body speaks of by id.
pub async fn names(conn: &mut PgConnection, body: &Json) -> Result<Names, Error> {
    let mut ids = Vec::new();
    let mut places = vec![body];
    while let Some(place) = places.pop() {
        match place {
            Json::Array(values) => places.extend(values),
            Json::Object(values) => places.extend(values.values()),
            Json::String(text) => ids.extend(text.parse::<EntitlementId>().ok()),
            _ => {}
        }
    }
    let found = catalog::find_many(conn, &ids).await?;
    let mut names: Names = found.into_iter().map(|found| (found.id.to_string(), found.name)).collect();
    let others: Vec<PersonId> =
        ids.iter().filter(|id| !names.contains_key(&id.to_string())).map(|id| PersonId(id.0)).collect();
    let people = people::find_many(conn, &others).await?;
    names.extend(people.into_iter().map(|person| (person.id.to_string(), person.display_name)));
    Ok(names)
}

/// Entries by name, as many as a line holds: "Ledger, Payments and 3 more".
pub fn some(entries: &[Json], names: &Names) -> String {
    const MOST: usize = 3;
    let shown: Vec<String> = entries.iter().take(MOST).map(|entry| line(entry, names)).collect();
    match (shown.as_slice(), entries.len().saturating_sub(MOST)) {
        ([], _) => "nothing".to_owned(),
        (shown, 0) => shown.join(", "),
        (shown, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

fn block(rule: &Json, names: &Names) -> SettingBlock {
    let object = rule.as_object().cloned().unwrap_or_default();
    let title = object.get("name").and_then(Json::as_str).unwrap_or("Rule").to_owned();
    let rest = object.into_iter().filter(|(key, _)| key != "name").collect();
    SettingBlock { title, text: String::new(), facts: facts(&rest, names) }
}

fn facts(object: &serde_json::Map<String, Json>, names: &Names) -> Facts {
    Facts(object.iter().map(|(key, value)| fact(key, value, names)).collect())
}

/// What a field is called: as in its form ([`super::spec`]), where its key says less.
fn called(key: &str) -> String {
    let words = match key {
        "one" => "one side",
        "other" => "the other side",
        "then" => "where somebody would hold both",
        "cn" => "name in the directory",
        "address" => "before the @",
        "upn_domain" => "domain of sign-in names",
        "mail_domain" => "domain of mail addresses",
        "parent" => "where accounts are made",
        "quarantine_ou" => "where accounts of people who left are kept",
        "sox" => "in scope of SOX",
        "requestable" => "can be asked for",
        "zone" => "time zone",
        key => return key.replace('_', " "),
    };
    words.to_owned()
}

fn label(key: &str) -> String {
    let mut words = called(key);
    if let Some(first) = words.get(..1) {
        let first = first.to_uppercase();
        words.replace_range(..1, &first);
    }
    words
}

fn fact(key: &str, value: &Json, names: &Names) -> Fact {
    let lines: Vec<String> = match value {
        Json::Array(values) if values.is_empty() => {
            vec![if key == "stages" { "nobody is asked; looked at afterwards" } else { "all" }.to_owned()]
        }
        Json::Array(values) => {
            values.iter().map(|value| stage_line(value).unwrap_or_else(|| line(value, names))).collect()
        }
        Json::String(then) if key == "then" => vec![
            match then.as_str() {
                "refuse" => "it cannot be asked for",
                "ask_security" => "security decides as well",
                other => other,
            }
            .to_owned(),
        ],
        other => vec![line(other, names)],
    };
    let template = lines.iter().any(|line| line.contains("{{"));
    let first = lines.first().cloned().unwrap_or_else(|| "none".to_owned());
    let fact = if template { Fact::code(label(key), first) } else { Fact::new(label(key), first) };
    lines.into_iter().skip(1).fold(fact, |fact, line| fact.also(line))
}

/// A stage of a route as a sentence.
fn stage_line(value: &Json) -> Option<String> {
    let (role, reason) = (value.get("role")?.as_str()?, value.get("reason")?.as_str()?);
    let role = match role {
        "manager" => "Line manager",
        "owner" => "Owner",
        "desk" => "Service desk",
        "security" => "Security",
        other => other,
    };
    let unless = value.get("unless_asked_by_manager").and_then(Json::as_bool).unwrap_or(false);
    let unless = if unless { " Left out where the manager asks." } else { "" };
    let all = if value.get("needed").and_then(Json::as_str) == Some("all") { " (all of them)" } else { "" };
    Some(format!("{role}{all}: {reason}{unless}"))
}

fn line(value: &Json, names: &Names) -> String {
    match value {
        Json::Null => "any".to_owned(),
        Json::Bool(value) => if *value { "yes" } else { "no" }.to_owned(),
        Json::String(text) => names.get(text).cloned().unwrap_or_else(|| text.clone()),
        Json::Array(values) => values.iter().map(|value| line(value, names)).collect::<Vec<_>>().join(", "),
        Json::Object(inner) if inner.is_empty() => "everybody".to_owned(),
        Json::Object(inner) => inner
            .iter()
            .map(|(key, value)| format!("{}: {}", key.replace('_', " "), line(value, names)))
            .collect::<Vec<_>>()
            .join(" · "),
        number => number.to_string(),
    }
}

/// What differs between two bodies, rule by rule and field by field; names from both.
///
/// # Errors
/// Where the database does not answer.
pub async fn difference(conn: &mut PgConnection, from: &Json, to: &Json) -> Result<Vec<Differs>, Error> {
    let mut known = names(conn, from).await?;
    known.extend(names(conn, to).await?);
    let (from, to) = (lines(from, &known), lines(to, &known));
    let mut rows: Vec<Differs> = Vec::new();
    for (what, value) in &to {
        if what == ORDER
            && let Some((_, before)) = from.iter().find(|(other, _)| other == ORDER)
        {
            rows.extend(order(before, value));
            continue;
        }
        let before = from.iter().find(|(other, _)| other == what).map(|(_, value)| value.clone());
        if before.as_ref() != Some(value) {
            rows.push(Differs { what: what.clone(), from: before, to: Some(value.clone()) });
        }
    }
    for (what, value) in from {
        if !to.iter().any(|(other, _)| *other == what) {
            rows.push(Differs { what, from: Some(value), to: None });
        }
    }
    Ok(rows)
}

/// Lists of rules, also where they are empty.
const RULES: [&str; 2] = ["rules", "routes"];
/// What a list of rules is called where its order or its length changes.
const ORDER: &str = "Order";

/// How the order of rules changes; where the same ones follow each other as before, only what came and went.
fn order(from: &str, to: &str) -> Option<Differs> {
    let (before, after): (Vec<&str>, Vec<&str>) = (from.lines().collect(), to.lines().collect());
    let stay = |these: &[&str], others: &[&str]| -> Vec<String> {
        these.iter().filter(|one| others.contains(one)).map(|one| (*one).to_owned()).collect()
    };
    if before == after {
        return None;
    }
    if stay(&before, &after) != stay(&after, &before) {
        return Some(Differs { what: ORDER.to_owned(), from: Some(from.to_owned()), to: Some(to.to_owned()) });
    }
    let only = |these: &[&str], others: &[&str]| {
        let only: Vec<String> = (1..)
            .zip(these)
            .filter(|(_, one)| !others.contains(one))
            .map(|(place, one)| format!("{place} · {one}"))
            .collect();
        (!only.is_empty()).then(|| only.join("\n"))
    };
    Some(Differs { what: "Rules".to_owned(), from: only(&before, &after), to: only(&after, &before) })
}

/// A body as lines: what, and its value in words. Rules of a list go by their name, with their place.
fn lines(body: &Json, names: &Names) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (key, value) in body.as_object().into_iter().flatten() {
        match value {
            Json::Array(rules)
                if rules.iter().all(Json::is_object) && (!rules.is_empty() || RULES.contains(&key.as_str())) =>
            {
                let order = rules.iter().map(title).collect::<Vec<_>>().join("\n");
                found.push((ORDER.to_owned(), order));
                for (at, rule) in rules.iter().enumerate() {
                    let again = rules[..at].iter().filter(|other| title(other) == title(rule)).count();
                    let name = if again == 0 { title(rule) } else { format!("{} ({})", title(rule), again + 1) };
                    found
                        .extend(inner(rule, names).into_iter().map(|(what, value)| (format!("{name}: {what}"), value)));
                }
            }
            Json::Object(_) => {
                let of = label(key);
                found.extend(inner(value, names).into_iter().map(|(what, value)| (format!("{of}: {what}"), value)));
            }
            value => found.push((label(key), words_of(key, value, names))),
        }
    }
    found
}

fn title(rule: &Json) -> String {
    rule.get("name").and_then(Json::as_str).unwrap_or("Rule").to_owned()
}

fn inner(object: &Json, names: &Names) -> Vec<(String, String)> {
    let fields = object.as_object().into_iter().flatten().filter(|(key, _)| *key != "name");
    fields.map(|(key, value)| (called(key), words_of(key, value, names))).collect()
}

fn words_of(key: &str, value: &Json, names: &Names) -> String {
    let fact = fact(key, value, names);
    fact.values.join("\n")
}
