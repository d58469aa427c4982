//! Check your answers: what was answered, exactly what it amounts to, and who will decide; then asking for it.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use sqlx::PgConnection;
use uuid::Uuid;

use super::forms::{Form, problems};
use super::{Step, asked, changed_request, gone, mail};
use crate::access::Operation;
use crate::catalog;
use crate::ids::{EntitlementId, PersonId};
use crate::people;
use crate::plan::RequestKind;
use crate::requests::draft::{self, Draft};
use crate::requests::submit::{self, Asked, Prepared, Seen};
use crate::requests::{RequestError, change, desk};
use crate::web::requests::form_errors;
use crate::web::view::PlanView;
use crate::web::view::draft::{AnswerGroup, CheckPage, DraftFrame};
use crate::web::view::forms::FormErrors;
use crate::web::view::parts::{Fact, Facts};
use crate::web::view::progress::{Stage, StageMark, Stages};
use crate::web::view::shell::Nav;
use crate::web::viewer::{self, Posted, Said, SignedIn};
use crate::web::{AppState, Error, away, plans, words};

/// `GET /drafts/{id}/check`
pub async fn page(State(state): State<AppState>, Path(id): Path<Uuid>, me: SignedIn) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    let draft = draft::find(&mut conn, me.viewer().person, id).await?.ok_or_else(gone)?;
    drop(conn);
    check(&state, &me, &draft, (FormErrors::default(), StatusCode::OK)).await
}

/// The page, or the first step where something is to be mended.
async fn check(
    state: &AppState,
    me: &SignedIn,
    draft: &Draft,
    (errors, status): (FormErrors, StatusCode),
) -> Result<Response, Error> {
    let last = *Step::of(draft.kind).last().ok_or_else(gone)?;
    let form = Form {
        kind: draft.kind,
        raw: draft.raw.clone(),
        id: Some(draft.id),
        step: last,
        errors: Vec::new(),
        from_check: true,
        find: None,
    };
    let wrong = problems(state, me, &form, None).await?;
    if let Some(step) =
        Step::of(draft.kind).iter().find(|step| wrong.iter().any(|error| step.asks().contains(&error.field.as_str())))
    {
        return Ok(viewer::see(&format!("/drafts/{}/{}?check=mend", draft.id, step.word())));
    }
    let raw = asked(draft.kind, &draft.raw);
    let prepared = match changed_request(&draft.raw) {
        Some(number) => change::prepare(&state.pool, me.now, &me.actor(), number, &raw).await,
        None => submit::prepare(&state.pool, me.now, &me.actor(), (draft.kind, &raw)).await,
    };
    match prepared {
        Ok(prepared) => show(state, me, draft, (Some(prepared), errors, String::new()), status).await,
        Err(RequestError::Fields(fields)) => {
            let blocked = fields.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join(". ");
            show(state, me, draft, (None, form_errors(fields), blocked), StatusCode::UNPROCESSABLE_ENTITY).await
        }
        // Said once: this is what stands in the way now.
        Err(RequestError::Conflict(words)) => {
            show(state, me, draft, (None, FormErrors::default(), words), StatusCode::CONFLICT).await
        }
        Err(other) => Err(other.into()),
    }
}

async fn show(
    state: &AppState,
    me: &SignedIn,
    draft: &Draft,
    (prepared, errors, blocked): (Option<Prepared>, FormErrors, String),
    status: StatusCode,
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    let steps = u32::try_from(Step::of(draft.kind).len()).unwrap_or(1);
    let last = Step::of(draft.kind).last().map_or("answers", |step| step.word());
    let frame = DraftFrame {
        action: "/requests".to_owned(),
        kind_words: words::kind(draft.kind.as_str()).to_owned(),
        step: if steps > 1 { steps + 1 } else { 0 },
        steps: if steps > 1 { steps + 1 } else { 0 },
        back: Some(format!("/drafts/{}/{last}", draft.id)),
        nonce: draft.id.to_string(),
        from_check: true,
        ..DraftFrame::default()
    };
    let (title, items, stages, digests) = match &prepared {
        Some(prepared) => (
            prepared.title.clone(),
            plans::of_plan(&mut conn, me, &prepared.plan).await?,
            stages(&mut conn, me, prepared).await?,
            Seen::of(draft.id, &prepared.plan)?.digests,
        ),
        None => (String::new(), Vec::new(), Stages::default(), Vec::new()),
    };
    let mut plan = PlanView::new(items);
    let title = match changed_request(&draft.raw) {
        Some(number) => {
            plan.aside = "items that come out the same keep their decisions".to_owned();
            format!("Changes the answers of {number}")
        }
        None => title,
    };
    let page = CheckPage {
        shell: me.shell(state, &mut conn, "Check your answers", Nav::Requests).await?,
        frame,
        errors,
        title,
        draft: draft.id.to_string(),
        answers: answers(&mut conn, draft).await?,
        plan,
        digests,
        stages,
        blocked,
    };
    viewer::page_with(status, &page)
}

/// Who will decide: by name where policy asks somebody by name, with who of them is away.
async fn stages(conn: &mut PgConnection, me: &SignedIn, prepared: &Prepared) -> Result<Stages, Error> {
    let deciders: Vec<PersonId> = prepared.stages.iter().flatten().flat_map(|stage| &stage.deciders).copied().collect();
    let known = people::find_many(conn, &deciders).await?;
    let names: HashMap<PersonId, String> = known.into_iter().map(|person| (person.id, person.display_name)).collect();
    let away = away::of_people(conn, me, &deciders, &prepared.parties).await?;
    let several = prepared.plan.items.len() > 1;
    let mut shown = Vec::new();
    for (ordinal, stages) in (1u32..).zip(&prepared.stages) {
        let item = if several { ordinal } else { 0 };
        if stages.is_empty() {
            shown.push(Stage::new(
                StageMark::NotNeeded,
                item,
                "Nobody is asked",
                &["Policy asks for no decision here."],
            ));
        }
        for (position, stage) in stages.iter().enumerate() {
            let mark = if position == 0 { StageMark::Asked } else { StageMark::Later };
            let named: Vec<&str> =
                stage.deciders.iter().filter_map(|person| names.get(person)).map(String::as_str).collect();
            let mut lines = Vec::new();
            if !named.is_empty() {
                lines.push(format!("will be asked: {}", named.join(", ")));
            }
            lines.extend(stage.deciders.iter().flat_map(|person| away.lines(me, person.0)));
            lines.push(stage.reason.clone());
            shown.push(Stage { lines, ..Stage::new(mark, item, &stage.name, &[]) });
        }
    }
    Ok(Stages(shown))
}

async fn answers(conn: &mut PgConnection, draft: &Draft) -> Result<Vec<AnswerGroup>, Error> {
    let mut groups = Vec::new();
    for step in Step::of(draft.kind) {
        let mut facts = Vec::new();
        for name in step.asks() {
            let value = answer(conn, draft, name).await?;
            if !value.is_empty() {
                facts.push(value.iter().skip(1).fold(
                    Fact::new(mail::term(draft.kind, name).unwrap_or_else(|| term(name)), value[0].clone()),
                    |fact, more| fact.also(more),
                ));
            }
        }
        let title = match step {
            Step::Who => "Who they are",
            Step::Work => "What they will do",
            Step::Extra => "Extra access",
            Step::Leaver | Step::Access | Step::Help | Step::Fields(_) => "Your answers",
        };
        if facts.is_empty() {
            facts.push(Fact::new("Nothing", "asked for beyond what comes by rule"));
        }
        groups.push(AnswerGroup {
            title: title.to_owned(),
            facts: Facts(facts),
            change: Some(format!("/drafts/{}/{}?check=1", draft.id, step.word())),
        });
    }
    Ok(groups)
}

fn term(name: &str) -> &'static str {
    match name {
        "given_name" => "Given names",
        "family_name" => "Family name",
        "display_name" => "Name as shown",
        "type" => "Contract",
        "employee_number" => "Employee number",
        "department" => "Department",
        "title" => "Job title",
        "site" => "Site",
        "manager" => "Manager",
        "start_on" => "First day",
        "end_on" | "last_day" => "Last day",
        "groups" => "Groups",
        "groups_until" | "until" => "Ends after",
        "person" => "Person",
        "when" => "When",
        "join" => "Join",
        "leave" => "Give up",
        "limited" => "Limited",
        _ => "Note",
    }
}

async fn answer(conn: &mut PgConnection, draft: &Draft, name: &str) -> Result<Vec<String>, Error> {
    let raw = &draft.raw;
    if let Some(shown) = mail::shown(draft.kind, name, raw) {
        return Ok(shown);
    }
    if ["groups", "join", "leave"].contains(&name) {
        let ids: Vec<EntitlementId> = raw.all(name).iter().filter_map(|id| id.parse().ok()).collect();
        return Ok(catalog::find_many(conn, &ids).await?.into_iter().map(|entitlement| entitlement.name).collect());
    }
    if ["start_on", "end_on", "last_day", "until", "groups_until"].contains(&name) {
        let unmeant = (name == "until" && raw.first("limited") != "yes")
            || (name == "last_day" && raw.first("when") == "immediate");
        let day = raw.day(name).parse().ok().filter(|_| !unmeant);
        return Ok(day.map(crate::web::view::parts::long_day).into_iter().collect());
    }
    let value = match (name, raw.first(name)) {
        ("when", "immediate") => "at once, restricted",
        ("when", _) => "on their last day",
        ("limited", "yes") => "yes",
        ("limited", _) => "",
        (_, value) => value,
    };
    Ok(Some(value.to_owned()).filter(|value| !value.is_empty()).into_iter().collect())
}

/// `POST /requests`: asks for it. The draft's id is the nonce: a second click finds the first one's request.
pub async fn submit(State(state): State<AppState>, Posted { me, fields }: Posted) -> Result<Response, Error> {
    let id: Uuid = fields.text("draft").parse().map_err(|_| gone())?;
    let mut conn = state.pool.acquire().await?;
    let Some(draft) = draft::find(&mut conn, me.viewer().person, id).await? else {
        let made = sqlx::query_scalar!(
            "select number from request where nonce = $1 and asked_by = $2",
            id.to_string(),
            me.viewer().person.0
        )
        .fetch_optional(&mut *conn)
        .await?;
        return made.map(|number| viewer::see(&format!("/requests/{number}"))).ok_or_else(gone);
    };
    drop(conn);
    let raw = asked(draft.kind, &draft.raw);
    let seen = Seen::new(id, fields.all("digest"));
    let changes = changed_request(&draft.raw);
    let done = match changes {
        Some(number) => {
            let done = change::change(&state.pool, me.now, &me.actor(), number, (&raw, Some(&seen))).await;
            done.map(|()| number)
        }
        None => {
            let ask = Asked { kind: draft.kind, raw, nonce: id.to_string(), sent: None, seen: Some(seen) };
            submit::submit(&state.pool, me.now, &me.actor(), &ask).await
        }
    };
    let number = match done {
        Ok(number) => number,
        Err(RequestError::Stale) => {
            let mut errors = FormErrors::default();
            errors.add("", "What this amounts to has changed while you were reading. Nothing was asked for yet; look at the plan again.");
            return check(&state, &me, &draft, (errors, StatusCode::CONFLICT)).await;
        }
        // Told where the plan stands, or where it is to be mended.
        Err(RequestError::Fields(fields)) => {
            return check(&state, &me, &draft, (form_errors(fields), StatusCode::UNPROCESSABLE_ENTITY)).await;
        }
        Err(RequestError::Conflict(words)) => {
            let mut errors = FormErrors::default();
            errors.add("", words);
            return check(&state, &me, &draft, (errors, StatusCode::CONFLICT)).await;
        }
        Err(other) => return Err(other.into()),
    };
    let page = format!("/requests/{}", number.0);
    if changes.is_some() {
        let mut conn = state.pool.acquire().await?;
        draft::discard(&mut conn, me.viewer().person, id).await?;
        return viewer::see_saying(&state, &page, Said::Changed);
    }
    note(&state, &me, &draft, number).await;
    viewer::see_saying(&state, &page, Said::Asked)
}

/// What was written beside the answers becomes the request's first comment. It is asked for already: a failure here is
/// logged and does not undo it.
async fn note(state: &AppState, me: &SignedIn, draft: &Draft, number: crate::ids::RequestNumber) {
    let reason = draft.raw.first("reason");
    if reason.is_empty() || draft.kind == RequestKind::Expiry || !me.may(Operation::Comment) {
        return;
    }
    if let Err(error) = desk::comment(&state.pool, me.now, &me.actor(), number, reason).await {
        tracing::warn!(%number, %error, "the note beside a request's answers could not be kept");
    }
}
