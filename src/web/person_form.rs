//! A person and an employment, written by an administrator.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::NaiveDate;
use sqlx::PgConnection;

use super::lookup;
use super::view::forms::{Choice, FormErrors, picked};
use super::view::parts::{Crumb, Link, long_day};
use super::view::person_form::PersonForm;
use super::view::shell::Nav;
use super::viewer::{self, Posted, Said, SignedIn};
use super::{AppState, Error, Fields};
use crate::access::{Object, Permit, op, permit};
use crate::ids::PersonId;
use crate::people::import::{FIELDS, field_of};
use crate::people::{self, PeopleError, Typed, Written};
use crate::plan::RequestKind;
use crate::plan::field::Raw;
use crate::requests::sight;

/// Which of the three forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    New,
    Edit(PersonId),
    Another(PersonId),
}

impl About {
    fn person(self) -> Option<PersonId> {
        match self {
            Self::New => None,
            Self::Edit(id) | Self::Another(id) => Some(id),
        }
    }

    fn object(self) -> Object {
        self.person().map_or(Object::None, Object::Person)
    }
}

/// `GET /people/new`
pub async fn blank(State(state): State<AppState>, me: SignedIn) -> Result<Response, Error> {
    show(&state, &me, About::New, StatusCode::OK, (FormErrors::default(), None)).await
}

/// `GET /people/{id}/edit`
pub async fn page(State(state): State<AppState>, Path(id): Path<PersonId>, me: SignedIn) -> Result<Response, Error> {
    show(&state, &me, About::Edit(id), StatusCode::OK, (FormErrors::default(), None)).await
}

/// `GET /people/{id}/employment`
pub async fn another(State(state): State<AppState>, Path(id): Path<PersonId>, me: SignedIn) -> Result<Response, Error> {
    show(&state, &me, About::Another(id), StatusCode::OK, (FormErrors::default(), None)).await
}

async fn show(
    state: &AppState,
    me: &SignedIn,
    about: About,
    status: StatusCode,
    (errors, typed): (FormErrors, Option<Fields>),
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::ChangePerson>(&mut conn, &me.actor(), about.object()).await?;
    let now = match about.person() {
        Some(id) => Some(people::written(&mut conn, id).await?.ok_or_else(Error::not_found)?),
        None => None,
    };
    let name = now.as_ref().map_or(String::new(), |now| now.person.display_name.clone());
    let fields = match (typed, &now) {
        (Some(typed), _) => typed,
        (None, Some(now)) => as_fields(&mut conn, now, about).await?,
        (None, None) => Fields::default(),
    };
    let back = about.person().map_or("/people".to_owned(), |id| format!("/people/{id}"));
    let mut crumbs = vec![Crumb::to("People", "/people")];
    crumbs.extend(about.person().map(|_| Crumb::to(&name, &back)));
    let (title, button, here) = match about {
        About::New => ("New person".to_owned(), "Write them down", "New"),
        About::Edit(_) => (format!("Change {name}"), "Save the change", "Change"),
        About::Another(_) => (format!("Another employment of {name}"), "Begin it", "Another employment"),
    };
    crumbs.push(Crumb::here(here));
    let employments = employments(&mut conn, about).await?;
    let ended = now.as_ref().is_some_and(|now| now.person.last_day.is_some());
    let another = about.person().filter(|_| ended && matches!(about, About::Edit(_)));
    let page = PersonForm {
        crumbs,
        summary: String::new(),
        errors,
        action: match about {
            About::New => "/people/new".to_owned(),
            About::Edit(id) => format!("/people/{id}/edit"),
            About::Another(id) => format!("/people/{id}/employment"),
        },
        seen: now.as_ref().map_or(String::new(), Written::digest),
        fields,
        sites: people::sites(&mut conn).await?.into_iter().map(|site| Choice::new(site.code, site.name)).collect(),
        departments: people::departments(&mut conn).await?,
        button: button.to_owned(),
        back,
        asks_person: !matches!(about, About::Another(_)),
        effects: effects(about),
        employments,
        another: another.map(|id| Link::new("They begin another employment …", format!("/people/{id}/employment"))),
        shell: me.shell(state, &mut conn, title.clone(), Nav::People).await?,
        title,
    };
    viewer::page_with(status, &page)
}

fn effects(about: About) -> Vec<String> {
    let lines: &[&str] = match about {
        About::New => &[
            "They are known from now on: found, chosen as a manager, counted.",
            "An account comes by a request, or by adoption where the directory has one.",
        ],
        About::Edit(_) => &[
            "The change is in the evidence with what was before.",
            "Accounts are not touched: not by a name, not by a department, not by a last day.",
            "After the last day they count as left here and sign in no more. Ask for “Leaves” to end their accounts.",
            "Another manager decides about their requests from now on.",
        ],
        About::Another(_) => &[
            "The employment before stays as it was; it has ended.",
            "They are the same person, with their history.",
            "Accounts come back by a request.",
        ],
    };
    lines.iter().map(|line| (*line).to_owned()).collect()
}

async fn employments(conn: &mut PgConnection, about: About) -> Result<Vec<String>, Error> {
    let Some(id) = about.person() else { return Ok(Vec::new()) };
    let lines = people::employments(conn, id).await?.into_iter().map(|one| {
        let first = long_day(one.first_day);
        let when = one.last_day.map_or(format!("since {first}"), |day| format!("{first} to {}", long_day(day)));
        format!("{}, {}, {} · {when}", one.title, one.department, one.site)
    });
    Ok(lines.collect())
}

/// A person as a form has them.
async fn as_fields(conn: &mut PgConnection, now: &Written, about: About) -> Result<Fields, Error> {
    let person = &now.person;
    let manager = match person.manager {
        Some(id) => lookup::person(conn, id).await?.map(|line| line.typed()),
        None => None,
    };
    let mut fields = Vec::new();
    let mut add = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
    add("employee_number", person.employee_number.as_deref().unwrap_or_default());
    add("given_name", &person.given_name);
    add("family_name", &person.family_name);
    let usual = person.display_name == format!("{} {}", person.given_name, person.family_name);
    add("display_name", if usual { "" } else { &person.display_name });
    add("type", person.kind.as_str());
    add("department", &person.department);
    add("title", &person.title);
    add("site", &person.site);
    add("manager", &manager.unwrap_or_default());
    add("mail", person.mail.as_deref().unwrap_or_default());
    add("phone", now.phone.as_deref().unwrap_or_default());
    if matches!(about, About::Edit(_)) {
        day(&mut fields, "first_day", Some(person.first_day));
        day(&mut fields, "last_day", person.last_day);
    }
    Ok(Fields(fields))
}

fn day(fields: &mut Vec<(String, String)>, name: &str, day: Option<NaiveDate>) {
    let Some(day) = day else { return };
    for (part, format) in [("day", "%-d"), ("month", "%-m"), ("year", "%Y")] {
        fields.push((format!("{name}_{part}"), day.format(format).to_string()));
    }
}

/// What the form brought, with what is wrong with days and manager; the rest is checked as a file's line is.
async fn typed(
    conn: &mut PgConnection,
    me: &SignedIn,
    fields: &Fields,
    now: Option<&Written>,
) -> Result<(Typed, FormErrors), Error> {
    let mut errors = FormErrors::default();
    let mut typed = Typed { display_name: fields.raw("display_name").to_owned(), ..Typed::default() };
    for field in FIELDS.iter().filter(|field| field.name != "manager_employee_number") {
        let value = match field.name {
            "first_day" | "last_day" => match fields.date(field.name) {
                Ok(day) => day.map_or(String::new(), |day| day.to_string()),
                Err(message) => {
                    errors.add(field.name, message);
                    String::new()
                }
            },
            name => fields.raw(name).to_owned(),
        };
        typed.values.push((field.name, value));
    }
    if let Some(now) = now {
        // Another employment does not ask who they are.
        let person = &now.person;
        let kept = [
            ("employee_number", person.employee_number.clone()),
            ("given_name", Some(person.given_name.clone())),
            ("family_name", Some(person.family_name.clone())),
            ("mail", person.mail.clone()),
            ("phone", now.phone.clone()),
        ];
        for (name, value) in &mut typed.values {
            if let Some((_, kept)) = kept.iter().find(|(other, _)| other == name) {
                *value = kept.clone().unwrap_or_default();
            }
        }
        typed.display_name.clone_from(&person.display_name);
    }
    if !fields.text("manager").is_empty() {
        let raw = Raw::from_pairs([("person".to_owned(), picked(fields.text("manager")).to_owned())]);
        let known = sight::known(conn, me.now, (RequestKind::Access, &raw), None).await?;
        typed.manager = known.people.values().next().map(|person| person.id);
        if typed.manager.is_none() {
            errors.add("manager", "Choose a person from the list, or enter their user name or employee number");
        }
    }
    Ok((typed, errors))
}

/// Reads and checks; None with the errors where something is to be mended.
async fn read(
    conn: &mut PgConnection,
    me: &SignedIn,
    about: About,
    fields: &Fields,
) -> Result<(Option<Written>, FormErrors), Error> {
    let now = match about {
        About::Another(id) => Some(people::written(conn, id).await?.ok_or_else(Error::not_found)?),
        _ => None,
    };
    let (typed, mut errors) = typed(conn, me, fields, now.as_ref()).await?;
    let written = match people::check(conn, about.person(), &typed).await? {
        Ok(written) => Some(written).filter(|_| errors.is_empty()),
        Err(found) => {
            for error in found.iter().filter(|error| errors.of(&error.field).is_none()).collect::<Vec<_>>() {
                let words = match error.field.as_str() {
                    "manager" => "",
                    "display_name" => "Shown as",
                    name => field_of(name).map_or("", |field| field.words),
                };
                errors.add(&error.field, format!("{words} {}", error.message).trim());
            }
            None
        }
    };
    Ok((written, errors))
}

/// `POST /people/new`
pub async fn make(State(state): State<AppState>, Posted { me, fields }: Posted) -> Result<Response, Error> {
    write(&state, &me, About::New, fields).await
}

/// `POST /people/{id}/edit`
pub async fn change(
    State(state): State<AppState>,
    Path(id): Path<PersonId>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    write(&state, &me, About::Edit(id), fields).await
}

/// `POST /people/{id}/employment`
pub async fn begin(
    State(state): State<AppState>,
    Path(id): Path<PersonId>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    write(&state, &me, About::Another(id), fields).await
}

async fn write(state: &AppState, me: &SignedIn, about: About, fields: Fields) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    let permit = permit::<op::ChangePerson>(&mut tx, &me.actor(), about.object()).await?;
    let (written, mut errors) = read(&mut tx, me, about, &fields).await?;
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    if let Some(written) = written {
        match carry_out(&mut tx, me, &permit, about, (fields.text("seen"), &written)).await {
            Ok(Some(id)) => {
                tx.commit().await?;
                let said = if about == About::New { Said::PersonMade } else { Said::PersonChanged };
                return viewer::see_saying(state, &format!("/people/{id}"), said);
            }
            Ok(None) => {
                status = StatusCode::CONFLICT;
                errors.add("", "Somebody has changed them since you looked. Look at your values once more, then save.");
            }
            Err(PeopleError::Field { field, message }) => {
                errors.add(if field == "end_on" { "last_day".to_owned() } else { field }, message);
            }
            Err(other) => return Err(other.into()),
        }
    }
    drop(tx);
    show(state, me, about, status, (errors, Some(fields))).await
}

/// None: they are not as they were seen.
async fn carry_out(
    conn: &mut PgConnection,
    me: &SignedIn,
    permit: &Permit<op::ChangePerson>,
    about: About,
    (seen, new): (&str, &Written),
) -> Result<Option<PersonId>, PeopleError> {
    match about {
        About::New => people::make(conn, me.now, permit, new).await.map(Some),
        About::Edit(id) => Ok(people::change(conn, me.now, permit, id, (seen, new)).await?.then_some(id)),
        About::Another(id) => Ok(people::begin_employment(conn, me.now, permit, id, (seen, new)).await?.then_some(id)),
    }
}
