//! A file of people in the browser: brought, its columns chosen, looked at, applied.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum_extra::extract::Query;
use sqlx::PgConnection;
use uuid::Uuid;

use super::view::errors::Wrong;
use super::view::forms::FormErrors;
use super::view::imports::{BegunRow, CellRow, FilePage, StartPage, column_field};
use super::view::lists::Tab;
use super::view::parts::{Crumb, Pager};
use super::view::shell::Nav;
use super::view::{ChangeView, ItemView, Mark, PlanView, StepView};
use super::viewer::{self, Posted, Said, SignedIn, Uploaded};
use super::{AppState, Error, Fields, words};
use crate::access::{Object, op, permit};
use crate::people::PeopleError;
use crate::people::import::draft::{self, Draft, NotApplied};
use crate::people::import::{self, Change, FIELDS, Preview, RowError, Table, field_of};

/// Persons on one page of the difference.
const SHOWN: usize = 50;
/// Cells to mend on the page.
const CELLS: usize = 200;

impl From<PeopleError> for Error {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::Field { field, message } => Error::fields(vec![(field, message)]),
            PeopleError::Database(error) => error.into(),
            PeopleError::Evidence(error) => Error::broken(error),
        }
    }
}

fn crumbs(here: &str) -> Vec<Crumb> {
    let mut crumbs = vec![Crumb::to("People", "/people")];
    if here == "Import" {
        crumbs.push(Crumb::here(here));
    } else {
        crumbs.extend([Crumb::to("Import", "/people/import"), Crumb::here(here)]);
    }
    crumbs
}

/// `GET /people/import`
pub async fn start(State(state): State<AppState>, me: SignedIn) -> Result<Response, Error> {
    show_start(&state, &me, StatusCode::OK, (FormErrors::default(), "")).await
}

async fn show_start(
    state: &AppState,
    me: &SignedIn,
    status: StatusCode,
    (errors, pasted): (FormErrors, &str),
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::ImportPeople>(&mut conn, &me.actor(), Object::None).await?;
    let begun = draft::begun(&mut conn, me.viewer().person).await?;
    let named = |required| FIELDS.iter().filter(move |field| field.required == required).map(|field| field.words);
    let page = StartPage {
        crumbs: crumbs("Import"),
        errors,
        pasted: pasted.to_owned(),
        largest: format!("{} MB", import::LARGEST >> 20),
        required: named(true).collect(),
        optional: named(false).collect(),
        begun: begun
            .into_iter()
            .map(|one| BegunRow {
                href: format!("/people/import/{}", one.id),
                when: me.when(one.updated_at),
                name: one.name,
            })
            .collect(),
        shell: me.shell(state, &mut conn, "Import people", Nav::People).await?,
    };
    viewer::page_with(status, &page)
}

/// A file's name as it is shown: the last part, not too long.
fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter(|letter| !letter.is_control()).take(120).collect();
    if kept.trim().is_empty() { "pasted text".to_owned() } else { kept.trim().to_owned() }
}

/// `POST /people/import`
pub async fn begin(State(state): State<AppState>, Uploaded { me, fields, file }: Uploaded) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    let permit = permit::<op::ImportPeople>(&mut tx, &me.actor(), Object::None).await?;
    let pasted = fields.raw("pasted");
    let (field, name, bytes) = match &file {
        Some((name, bytes)) => ("file", file_name(name), bytes.as_slice()),
        None => ("pasted", file_name(""), pasted.as_bytes()),
    };
    let mut errors = FormErrors::default();
    if bytes.iter().all(u8::is_ascii_whitespace) {
        errors.add("file", "Choose a file that is not empty, or paste its text below");
    } else {
        match draft::begin(&mut tx, &permit, me.viewer().person, (&name, bytes)).await? {
            Ok(id) => {
                tx.commit().await?;
                return Ok(viewer::see(&format!("/people/import/{id}")));
            }
            Err(error) => errors.add(field, format!("Line {}: {}", error.line, error.message)),
        }
    }
    drop(tx);
    show_start(&state, &me, StatusCode::UNPROCESSABLE_ENTITY, (errors, pasted)).await
}

async fn mine(conn: &mut PgConnection, me: &SignedIn, id: Uuid) -> Result<(Draft, Table), Error> {
    let draft = draft::find(conn, me.viewer().person, id).await?.ok_or_else(Error::not_found)?;
    let table = draft.table().map_err(|error| Error::wrong(Wrong::Senseless, error.to_string()))?;
    Ok((draft, table))
}

/// `GET /people/import/{id}`
pub async fn page(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    show(&state, &me, id, StatusCode::OK, (FormErrors::default(), Fields(query))).await
}

async fn show(
    state: &AppState,
    me: &SignedIn,
    id: Uuid,
    status: StatusCode,
    (errors, fields): (FormErrors, Fields),
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::ImportPeople>(&mut conn, &me.actor(), Object::None).await?;
    let (draft, table) = mine(&mut conn, me, id).await?;
    let missing: Vec<&str> = draft.mapping.missing().map(|field| field.words).collect();
    // Without its columns each line would be wrong in the same way.
    let found =
        if missing.is_empty() { import::preview(&mut conn, &table, &draft.mapping).await? } else { Preview::default() };
    let action = format!("/people/import/{id}");
    let (button, closed) = ready(&found, &missing);
    let (tabs, plan, pager) = differences(&found, &fields, &action);
    let effects = effects(&found);
    let page = FilePage {
        crumbs: crumbs(&draft.name),
        name: draft.name.clone(),
        summary: format!(
            "{} to read; kept for you until {}",
            words::count(table.rows.len(), "line", "lines"),
            me.when(draft.updated_at + chrono::Duration::days(7)).relative
        ),
        figures: vec![
            (found.new_people(), "new"),
            (found.changed_people(), "changed"),
            (found.unchanged, "as they are"),
            (found.left_alone, "not in the file, left alone"),
            (found.errors.len(), "to mend in the file"),
        ],
        columns: columns(&draft, &table, &errors),
        columns_open: !missing.is_empty() || !errors.is_empty(),
        errors,
        cells: found.errors.iter().take(CELLS).map(|error| cell(error, &draft, &table)).collect(),
        cells_more: if found.errors.len() > CELLS {
            format!("The first {CELLS} of {}", found.errors.len())
        } else {
            String::new()
        },
        action,
        tabs,
        plan,
        pager,
        effects,
        button,
        closed,
        digest: found.digest.clone(),
        shell: me.shell(state, &mut conn, draft.name.clone(), Nav::People).await?,
    };
    viewer::page_with(status, &page)
}

/// The button's words, or why there is none.
fn ready(found: &Preview, missing: &[&str]) -> (String, String) {
    if !missing.is_empty() {
        return (String::new(), format!("Choose the columns for {} first.", missing.join(", ")));
    }
    if !found.errors.is_empty() {
        let cells = words::count(found.errors.len(), "cell", "cells");
        return (String::new(), format!("Mend {cells} in the file and bring it again. All is imported or nothing."));
    }
    match found.changes.len() {
        0 => (String::new(), "Nothing to import: everybody in the file is so already.".to_owned()),
        people => (format!("Import {}", words::count(people, "person", "people")), String::new()),
    }
}

fn columns(draft: &Draft, table: &Table, errors: &FormErrors) -> Vec<super::view::forms::SelectField> {
    FIELDS
        .iter()
        .map(|field| {
            let chosen = draft.mapping.column(field.name);
            column_field(field.name, field.words, field.required, &table.headers, chosen).error(errors)
        })
        .collect()
}

fn cell(error: &RowError, draft: &Draft, table: &Table) -> CellRow {
    let header = draft.mapping.column(&error.field).and_then(|at| table.headers.get(at)).filter(|h| !h.is_empty());
    let words = || field_of(&error.field).map_or("the whole line".to_owned(), |field| field.words.to_owned());
    CellRow { line: error.line, column: header.cloned().unwrap_or_else(words), message: error.message.clone() }
}

fn differences(found: &Preview, fields: &Fields, action: &str) -> (Vec<Tab>, PlanView, Pager) {
    let view = fields.text("view");
    let wanted = |change: &&Change| match view {
        "new" => change.known.is_none(),
        "changed" => change.known.is_some(),
        _ => true,
    };
    let from = fields.text("from").parse::<usize>().unwrap_or(0);
    let all: Vec<&Change> = found.changes.iter().filter(wanted).collect();
    let steps: Vec<StepView> = all.iter().skip(from).take(SHOWN).map(|change| step(change)).collect();
    let to = |from: usize| format!("{action}?view={view}&from={from}");
    let before = (from > 0).then(|| to(from.saturating_sub(SHOWN)));
    let next = (from.saturating_add(SHOWN) < all.len()).then(|| to(from + SHOWN));
    let tab = |key: &str, label: &str, count: usize| {
        Tab::new(label, u64::try_from(count).ok(), format!("{action}?view={key}"), view == key)
    };
    let tabs = vec![
        tab("", "All", found.changes.len()),
        tab("new", "New", found.new_people()),
        tab("changed", "Changed", found.changed_people()),
    ];
    let aside = if all.len() > SHOWN {
        format!("{}–{} of {}", from + 1, (from + steps.len()).max(1), all.len())
    } else {
        String::new()
    };
    let items = if steps.is_empty() { Vec::new() } else { vec![ItemView::bare(steps)] };
    let plan = PlanView { title: "What would change".to_owned(), aside, items, ..PlanView::default() };
    (tabs, plan, Pager::by_order(before, next, ""))
}

fn step(change: &Change) -> StepView {
    let mark = if change.known.is_none() { Mark::Added } else { Mark::Changed };
    let mut step = StepView::new(mark, change.person.display_name.clone(), &format!("line {}", change.line), "");
    let shown = change.differences.iter().map(|difference| {
        ChangeView::new(difference.words, "", difference.before.as_deref(), difference.after.as_deref())
    });
    step.changes = shown.collect();
    step
}

/// What the changes mean beyond the lists: accounts are changed by requests alone.
fn effects(found: &Preview) -> Vec<String> {
    let told = |words: &str| {
        let of = |change: &&Change| change.known.is_some() && change.differences.iter().any(|d| d.words == words);
        found.changes.iter().filter(of).count()
    };
    let mut effects = Vec::new();
    let people = |count| words::count(count, "person", "people");
    if found.new_people() > 0 {
        effects.push(format!(
            "New here: {}. Accounts come by a request, or are found by adoption.",
            people(found.new_people())
        ));
    }
    if told("Last day") > 0 {
        effects.push(format!(
            "Another last day: {}. After it they count as left here; their accounts stay until a leaver’s request.",
            people(told("Last day"))
        ));
    }
    let moved = ["Given name", "Family name", "Department", "Site", "Title", "Manager"];
    if moved.iter().any(|words| told(words) > 0) {
        effects.push("Names, departments and managers change here. Accounts in the directory are not touched.".into());
    }
    if told("Manager") > 0 {
        effects.push("Who has another manager is decided about by that manager from now on.".to_owned());
    }
    effects
}

/// `POST /people/import/{id}/columns`
pub async fn choose(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    let permit = permit::<op::ImportPeople>(&mut tx, &me.actor(), Object::None).await?;
    let (draft, _) = mine(&mut tx, &me, id).await?;
    let chosen: Vec<(String, usize)> = FIELDS
        .iter()
        .filter_map(|field| Some((field.name.to_owned(), fields.text(field.name).parse().ok()?)))
        .collect();
    let mut errors = FormErrors::default();
    match draft::choose(&mut tx, &permit, &draft, &chosen).await? {
        Ok(()) => {
            tx.commit().await?;
            return Ok(viewer::see(&format!("/people/import/{id}")));
        }
        Err(found) => found.into_iter().for_each(|error| errors.add(error.field, error.message)),
    }
    drop(tx);
    show(&state, &me, id, StatusCode::UNPROCESSABLE_ENTITY, (errors, Fields::default())).await
}

/// `POST /people/import/{id}`
pub async fn apply(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    let permit = permit::<op::ImportPeople>(&mut tx, &me.actor(), Object::None).await?;
    let (draft, _) = mine(&mut tx, &me, id).await?;
    let why = match draft::apply(&mut tx, me.now, &permit, (&draft, fields.text("digest"))).await {
        Ok(Ok(_)) => {
            tx.commit().await?;
            return viewer::see_saying(&state, "/people", Said::Imported);
        }
        Ok(Err(NotApplied::Moved)) => "People have changed since you looked. This is what would change now.".to_owned(),
        Ok(Err(NotApplied::Errors)) => "Nothing was imported: there is something to mend first.".to_owned(),
        Err(PeopleError::Field { message, .. }) => format!("Nothing was imported: {message}."),
        Err(other) => return Err(other.into()),
    };
    drop(tx);
    let mut errors = FormErrors::default();
    errors.add("", why);
    show(&state, &me, id, StatusCode::CONFLICT, (errors, Fields::default())).await
}

/// `POST /people/import/{id}/discard`
pub async fn discard(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Posted { me, .. }: Posted,
) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    permit::<op::ImportPeople>(&mut tx, &me.actor(), Object::None).await?;
    draft::discard(&mut tx, me.viewer().person, id).await?;
    tx.commit().await?;
    viewer::see_saying(&state, "/people/import", Said::Discarded)
}
