//! Between a body and its form: values as they are typed, and back, each error at its field.

use chrono::{NaiveDate, NaiveTime};
use serde_json::{Map, Value as Json, json};
use sqlx::PgConnection;

use super::spec::{STAGES, Section, Shape, Spec};
use crate::catalog;
use crate::ids::{EntitlementId, PersonId};
use crate::plan::RequestKind;
use crate::plan::field::Raw;
use crate::requests::sight;
use crate::web::view::forms::{
    AnyField, AreaField, CheckField, Choice, FormErrors, PickerField, SelectField, TextField, picked,
};
use crate::web::view::settings::FormSection;
use crate::web::viewer::SignedIn;
use crate::web::{Error, Fields, lookup};

fn at<'a>(body: &'a Json, path: &str) -> &'a Json {
    body.pointer(&format!("/{}", path.replace('.', "/"))).unwrap_or(&Json::Null)
}

/// Puts a value at a path; what is missing on the way is made. Null takes it away.
fn put(body: &mut Json, path: &str, value: Json) {
    let mut place = body;
    let mut steps = path.split('.').peekable();
    while let Some(step) = steps.next() {
        if let Json::Array(list) = place {
            let index: usize = step.parse().unwrap_or(0);
            while list.len() <= index {
                list.push(Json::Null);
            }
            if steps.peek().is_none() {
                list[index] = value;
                return;
            }
            place = &mut list[index];
            continue;
        }
        if !place.is_object() {
            *place = Json::Object(Map::new());
        }
        let Json::Object(object) = place else { return };
        match steps.peek() {
            None if value.is_null() => {
                object.remove(step);
                return;
            }
            None => {
                object.insert(step.to_owned(), value);
                return;
            }
            Some(next) => {
                let list = next.parse::<usize>().is_ok();
                let made = if list { Json::Array(Vec::new()) } else { Json::Object(Map::new()) };
                place = object.entry(step).or_insert(made);
            }
        }
    }
}

/// A body as it is typed.
///
/// # Errors
/// Where the database does not answer.
pub async fn typed(conn: &mut PgConnection, sections: &[Section], body: &Json) -> Result<Fields, Error> {
    let mut fields = Vec::new();
    for spec in sections.iter().flat_map(|section| &section.fields) {
        let value = at(body, &spec.path);
        let texts = match &spec.shape {
            Shape::Any(_) => list(value),
            Shape::Lines | Shape::Days => vec![list(value).join("\n")],
            Shape::Pairs => {
                let pairs = value.as_object().into_iter().flatten();
                let line = |(key, value): (&String, &Json)| format!("{key}: {}", value.as_str().unwrap_or_default());
                vec![pairs.map(line).collect::<Vec<_>>().join("\n")]
            }
            Shape::One(choices) if value.is_null() => {
                vec![choices.first().map_or(String::new(), |one| one.value.clone())]
            }
            Shape::One(_) => vec![value.to_string()],
            Shape::Flag => value.as_bool().filter(|yes| *yes).map(|_| "yes".to_owned()).into_iter().collect(),
            Shape::Time => vec![value.as_str().map_or(String::new(), |time| time.chars().take(5).collect())],
            Shape::Entitlements => {
                let ids: Vec<EntitlementId> = list(value).iter().filter_map(|id| id.parse().ok()).collect();
                let found = catalog::find_many(conn, &ids).await?;
                vec![found.into_iter().map(|one| one.name).collect::<Vec<_>>().join("\n")]
            }
            Shape::Person => {
                let id: Option<PersonId> = value.as_str().and_then(|id| id.parse().ok());
                let line = match id {
                    Some(id) => lookup::person(conn, id).await?,
                    None => None,
                };
                vec![line.map_or(String::new(), |line| line.typed())]
            }
            Shape::Line | Shape::Code | Shape::Long | Shape::Number => vec![match value {
                Json::Null => String::new(),
                Json::String(text) => text.clone(),
                other => other.to_string(),
            }],
        };
        fields.extend(texts.into_iter().map(|text| (spec.path.clone(), text)));
    }
    Ok(Fields(fields))
}

fn list(value: &Json) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

/// The form with what was typed.
pub fn shown(sections: &[Section], fields: &Fields, errors: &FormErrors) -> Vec<FormSection> {
    let section = |section: &Section| FormSection {
        title: section.title.clone(),
        text: section.text.clone(),
        beside: section.beside,
        offered: section.offered.clone(),
        fields: section.fields.iter().map(|spec| shown_field(spec, fields, errors)).collect(),
    };
    sections.iter().map(section).collect()
}

fn shown_field(spec: &Spec, fields: &Fields, errors: &FormErrors) -> AnyField {
    let (name, label, value) = (spec.path.as_str(), spec.label.as_str(), fields.raw(&spec.path));
    macro_rules! finish {
        ($variant:ident, $field:expr) => {{
            let field = $field.hint(&spec.hint).error(errors);
            AnyField::$variant(if spec.optional { field.optional() } else { field })
        }};
    }
    match &spec.shape {
        Shape::Line => finish!(Text, TextField::new(name, label).value(value)),
        Shape::Code => finish!(Text, TextField::new(name, label).value(value).code()),
        Shape::Number => finish!(
            Text,
            TextField { input_mode: "numeric", max: 9, ..TextField::new(name, label).value(value).width("short") }
        ),
        Shape::Time => finish!(Text, TextField { max: 5, ..TextField::new(name, label).value(value).width("short") }),
        Shape::Long => finish!(Area, AreaField { max: 2000, ..AreaField::new(name, label).value(value) }),
        Shape::Lines | Shape::Pairs | Shape::Days | Shape::Entitlements => {
            let rows = u8::try_from(value.lines().count().clamp(2, 12) + 1).unwrap_or(3);
            finish!(Area, AreaField { rows, max: 20_000, ..AreaField::new(name, label).value(value) })
        }
        Shape::One(choices) => {
            let known = choices.iter().any(|choice| choice.value == value);
            let odd = (!known && !value.is_empty()).then(|| Choice::new(value, value.trim_matches('"')));
            let choices = choices.iter().cloned().chain(odd).collect();
            finish!(Select, SelectField::new(name, label, choices).value(value))
        }
        Shape::Any(choices) => {
            let chosen = fields.all(name);
            let choices =
                choices.iter().cloned().map(|choice| Choice { chosen: chosen.contains(&choice.value), ..choice });
            finish!(Check, CheckField::new(name, label, choices.collect()))
        }
        Shape::Flag => {
            let choice = Choice { chosen: !value.is_empty(), ..Choice::new("yes", "Yes") };
            AnyField::Check(CheckField::new(name, label, vec![choice]).hint(&spec.hint).error(errors))
        }
        Shape::Person => finish!(Picker, PickerField::person(name, label).value(value)),
    }
}

/// Carries what was typed into a body, which keeps whatever the form does not ask.
///
/// # Errors
/// Where the database does not answer. What cannot be read is noted at its field, and the body stays there as it was.
pub async fn carry(
    conn: &mut PgConnection,
    me: &SignedIn,
    sections: &[Section],
    fields: &Fields,
    body: &mut Json,
) -> Result<FormErrors, Error> {
    let mut errors = FormErrors::default();
    for spec in sections.iter().flat_map(|section| &section.fields) {
        match value(conn, me, spec, fields).await? {
            // Boxes have no order of their own: the same ones leave the list as it is.
            Ok(value) if matches!(spec.shape, Shape::Any(_)) && same(&value, at(body, &spec.path)) => {}
            Ok(value) => put(body, &spec.path, value),
            Err(message) => errors.add(&spec.path, message),
        }
    }
    tidy(body, &mut errors);
    Ok(errors)
}

fn same(one: &Json, other: &Json) -> bool {
    let sorted = |value: &Json| {
        let mut list = list(value);
        list.sort_unstable();
        list
    };
    other.is_array() && sorted(one) == sorted(other)
}

async fn value(
    conn: &mut PgConnection,
    me: &SignedIn,
    spec: &Spec,
    fields: &Fields,
) -> Result<Result<Json, String>, Error> {
    let text = fields.text(&spec.path);
    let lines = || fields.raw(&spec.path).lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(match &spec.shape {
        Shape::Line | Shape::Code if text.contains(['\n', '\r']) => Err("One line".to_owned()),
        Shape::Line | Shape::Code | Shape::Long => Ok(json!(text.replace("\r\n", "\n"))),
        Shape::Lines => Ok(json!(lines().collect::<Vec<_>>())),
        Shape::Pairs => {
            let pairs: Result<Map<String, Json>, String> = lines()
                .map(|line| match line.split_once(':') {
                    Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), json!(value.trim()))),
                    _ => Err(format!("“{line}” is not “site: place”")),
                })
                .collect();
            pairs.map(Json::Object)
        }
        Shape::Number if text.is_empty() && spec.optional => Ok(Json::Null),
        Shape::Number => text.parse::<u32>().map(|number| json!(number)).map_err(|_| "Enter a whole number".to_owned()),
        Shape::Flag => Ok(json!(!text.is_empty())),
        Shape::One(_) if text.is_empty() => Ok(Json::Null),
        Shape::One(choices) => match choices.iter().find(|choice| choice.value == text) {
            Some(_) => serde_json::from_str(text).map_err(|_| "Choose one of these".to_owned()),
            None => Err("Choose one of these".to_owned()),
        },
        Shape::Any(choices) => {
            let chosen = fields.all(&spec.path);
            let known = |one: &String| choices.iter().any(|choice| choice.value == *one);
            if chosen.iter().all(known) { Ok(json!(chosen)) } else { Err("Choose among these".to_owned()) }
        }
        Shape::Time if text.is_empty() && spec.optional => Ok(Json::Null),
        Shape::Time => NaiveTime::parse_from_str(text, "%H:%M")
            .map(|time| json!(time))
            .map_err(|_| "Enter a time such as 09:00".to_owned()),
        Shape::Days => {
            let days: Result<Vec<NaiveDate>, String> = lines()
                .map(|line| line.parse().map_err(|_| format!("“{line}” is not a day such as 2026-12-25")))
                .collect();
            days.map(|days| json!(days))
        }
        Shape::Entitlements => entitlements(conn, lines()).await?,
        Shape::Person if text.is_empty() => Ok(Json::Null),
        Shape::Person => person(conn, me, text).await?,
    })
}

async fn entitlements(
    conn: &mut PgConnection,
    names: impl Iterator<Item = &str>,
) -> Result<Result<Json, String>, Error> {
    let mut ids = Vec::new();
    for name in names.take(500) {
        match catalog::by_name(conn, name).await? {
            Some(id) => ids.push(id),
            None => return Ok(Err(format!("“{name}” is not in the catalogue"))),
        }
    }
    Ok(Ok(json!(ids)))
}

async fn person(conn: &mut PgConnection, me: &SignedIn, text: &str) -> Result<Result<Json, String>, Error> {
    let raw = Raw::from_pairs([("person".to_owned(), picked(text).to_owned())]);
    let known = sight::known(conn, me.now, (RequestKind::Access, &raw), None).await?;
    let found = known.people.values().next().map(|person| json!(person.id));
    Ok(found.ok_or_else(|| "Choose a person from the list, or enter their user name or employee number".to_owned()))
}

/// Takes away what was left empty: levels and letters that say nothing, stages without a role, a break without times.
fn tidy(body: &mut Json, errors: &mut FormErrors) {
    if let Some(kinds) = body.get_mut("kinds").and_then(Json::as_object_mut) {
        kinds.retain(|_, level| level.as_object().is_some_and(|level| !level.is_empty()));
        for (kind, level) in kinds.iter() {
            for part in ["priority", "respond_minutes", "resolve_minutes"] {
                if level.get(part).is_none() && errors.of(&format!("kinds.{kind}.{part}")).is_none() {
                    errors.add(format!("kinds.{kind}.{part}"), "Fill in all three, or none");
                }
            }
        }
    }
    if let Some(letters) = body.get_mut("letters").and_then(Json::as_object_mut) {
        letters.retain(|_, letter| letter.as_object().into_iter().flatten().any(|(_, text)| text.as_str() != Some("")));
    }
    if let Some(stages) = body.get_mut("stages").and_then(Json::as_array_mut) {
        stages.truncate(STAGES);
        stages.retain(|stage| stage.get("role").is_some_and(Json::is_string));
    }
    if let Some(calendar) = body.get_mut("calendar").and_then(Json::as_object_mut) {
        match calendar
            .get("pause")
            .and_then(Json::as_array)
            .map(|pause| pause.iter().filter(|time| !time.is_null()).count())
        {
            Some(2) => {}
            Some(1) => errors.add("calendar.pause.1", "A break has a beginning and an end"),
            _ => drop(calendar.remove("pause")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_find_their_places() {
        let mut body = json!({"kept": 1});
        put(&mut body, "a.b", json!("x"));
        put(&mut body, "stages.1.role", json!("desk"));
        put(&mut body, "stages.0.role", Json::Null);
        assert_eq!(body, json!({"kept": 1, "a": {"b": "x"}, "stages": [{}, {"role": "desk"}]}));
        tidy(&mut body, &mut FormErrors::default());
        assert_eq!(body["stages"], json!([{"role": "desk"}]));
        put(&mut body, "a.b", Json::Null);
        assert_eq!(at(&body, "a.b"), &Json::Null);
    }

    #[test]
    fn a_half_filled_level_is_named() {
        let mut body = json!({"kinds": {"unlock": {"priority": 1}, "leaver": {}}});
        let mut errors = FormErrors::default();
        tidy(&mut body, &mut errors);
        assert!(errors.of("kinds.unlock.respond_minutes").is_some() && body["kinds"].get("leaver").is_none());
    }
}
