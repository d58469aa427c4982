//! Erasing a person's values: proposed on their page, decided by somebody else.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use sqlx::PgConnection;
use uuid::Uuid;

use super::lookup;
use super::view::erasure::{Consequences, DecidePage, ErasureRow, ErasuresPage, ProposePage};
use super::view::errors::Wrong;
use super::view::forms::FormErrors;
use super::view::parts::{Badge, Crumb, Empty, Fact, Facts, Person, long_day};
use super::view::shell::Nav;
use super::viewer::{self, Posted, Said, SignedIn};
use super::{AppState, Error, Fields, words};
use crate::access::{Object, op, permit};
use crate::erasure::{self, Basis, Erasure, ErasureError, Obstacle, Which};
use crate::ids::PersonId;

impl From<ErasureError> for Error {
    fn from(error: ErasureError) -> Self {
        match error {
            ErasureError::Field { field, message } => Error::fields(vec![(field.to_owned(), message)]),
            ErasureError::InTheWay(_) => Error::wrong(Wrong::Conflict, error.to_string()),
            ErasureError::Conflict(why) => Error::wrong(Wrong::Conflict, why),
            ErasureError::Denied(denied) => denied.into(),
            ErasureError::Database(error) => error.into(),
            ErasureError::Catalog(error) => Error::broken(error),
            ErasureError::Evidence(error) => Error::broken(error),
        }
    }
}

async fn consequences(conn: &mut PgConnection, person: PersonId) -> Result<Consequences, Error> {
    let about = crate::requests::erase::about(conn, person).await?;
    let about = words::count(usize::try_from(about).unwrap_or(0), "request", "requests");
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let mut removed = lines(&[
        "Names, employee number, mail, phone, titles and the exact days of employment",
        "The sign-in with its credentials, sessions, addresses, tokens and roles",
        "What the mirror kept of accounts that are gone, and names reserved for them, which may be used again",
    ]);
    removed.push(format!("Titles, answers, values of steps and all comments of the {about} about them"));
    removed.extend(lines(&[
        "Their comments and network addresses wherever they asked or decided, and mails to and about them",
        "Values and keys beside the evidence, with their name in what is about others",
    ]));
    let stays = lines(&[
        "Every evidence record, byte for byte, with checkpoints and proofs; what it hid can no longer be opened",
        "That something happened, when, what kind of change it was and how it ended, under “Erased person”",
        "Who decided about them, with the digests; the key to these goes",
        "Type, site, department and years of employment, for the counts",
        "What target systems, backups and exported bundles hold: those are not Tenure’s to erase",
    ]);
    Ok(Consequences { removed, stays })
}

/// `GET /people/{id}/erasure`
pub async fn proposal_page(
    State(state): State<AppState>,
    Path(id): Path<PersonId>,
    me: SignedIn,
) -> Result<Response, Error> {
    show_proposal(&state, &me, id, StatusCode::OK, (FormErrors::default(), Fields::default())).await
}

async fn show_proposal(
    state: &AppState,
    me: &SignedIn,
    id: PersonId,
    status: StatusCode,
    (errors, fields): (FormErrors, Fields),
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::ProposeErasure>(&mut conn, &me.actor(), Object::Person(id)).await?;
    let line = lookup::person(&mut conn, id).await?.ok_or_else(Error::not_found)?;
    let found = erasure::obstacles(&mut conn, me.now, (id, Basis::Retention)).await?;
    let ends = erasure::retention_ends(&mut conn, id).await?;
    let over = !found.iter().any(|obstacle| matches!(obstacle, Obstacle::Kept(_)));
    let page = ProposePage {
        crumbs: vec![Crumb::to("People", "/people"), Crumb::to(&line.name, line.href()), Crumb::here("Erase")],
        name: line.name.clone(),
        obstacles: found
            .iter()
            .filter(|obstacle| !matches!(obstacle, Obstacle::Kept(_)))
            .map(ToString::to_string)
            .collect(),
        retention_ends: long_day(ends),
        retention_over: over,
        consequences: consequences(&mut conn, id).await?,
        errors,
        action: format!("/people/{id}/erasure"),
        basis: fields.text("basis").to_owned(),
        reason: fields.raw("reason").to_owned(),
        back: line.href(),
        shell: me.shell(state, &mut conn, format!("Erase {}", line.name), Nav::People).await?,
    };
    viewer::page_with(status, &page)
}

/// `POST /people/{id}/erasure`
pub async fn propose(
    State(state): State<AppState>,
    Path(id): Path<PersonId>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let mut errors = FormErrors::default();
    let basis = Basis::parse(fields.text("basis"));
    let outcome = match basis {
        Some(basis) => erasure::propose(&state.pool, me.now, &me.actor(), (id, basis, fields.raw("reason"))).await,
        None => Err(ErasureError::Field { field: "basis", message: "Choose why it may be erased".to_owned() }),
    };
    match outcome {
        Ok(erasure) => return viewer::see_saying(&state, &format!("/erasures/{erasure}"), Said::ErasureProposed),
        Err(ErasureError::Field { field, message }) => errors.add(field, message),
        Err(ErasureError::InTheWay(found)) => found.iter().for_each(|obstacle| errors.add("basis", obstacle)),
        Err(other) => return Err(other.into()),
    }
    show_proposal(&state, &me, id, StatusCode::UNPROCESSABLE_ENTITY, (errors, fields)).await
}

fn badge(erasure: &Erasure) -> Badge {
    match erasure.state.as_str() {
        "proposed" => Badge::warn("waits for a decision"),
        "approved" if erasure.held_back.is_some() => Badge::bad("held back"),
        "approved" => Badge::info("approved"),
        "done" => Badge::ok("erased"),
        _ => Badge::quiet("rejected"),
    }
}

fn basis(erasure: &Erasure) -> String {
    Basis::parse(&erasure.basis).map_or(String::new(), |basis| basis.to_string())
}

fn proposer(erasure: &Erasure) -> String {
    erasure.proposed_by_name.clone().unwrap_or_else(|| "the command line".to_owned())
}

/// `GET /erasures`
pub async fn list(State(state): State<AppState>, me: SignedIn) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeErasures>(&mut conn, &me.actor(), Object::None).await?;
    let all = erasure::list(&mut conn, Which::default()).await?;
    let waiting = all.iter().filter(|erasure| erasure.state == "proposed").count();
    let rows = all.iter().map(|erasure| ErasureRow {
        person: Person::to(&erasure.person_name, format!("/people/{}", erasure.person)),
        href: format!("/erasures/{}", erasure.id),
        basis: basis(erasure),
        proposed_by: proposer(erasure),
        proposed: me.when(erasure.proposed_at),
        state: badge(erasure),
        note: erasure.held_back.clone().unwrap_or_default(),
    });
    let page = ErasuresPage {
        crumbs: vec![Crumb::to("People", "/people"), Crumb::here("Erasures")],
        summary: format!(
            "{} to decide; nothing is erased by one person alone",
            words::count(waiting, "proposal", "proposals")
        ),
        rows: rows.collect(),
        empty: Empty::new("Nothing proposed", "An administrator proposes it on the page of somebody who has left."),
        shell: me.shell(&state, &mut conn, "Erasures", Nav::People).await?,
    };
    viewer::page(&page)
}

/// `GET /erasures/{id}`
pub async fn page(State(state): State<AppState>, Path(id): Path<Uuid>, me: SignedIn) -> Result<Response, Error> {
    show(&state, &me, id, StatusCode::OK, (FormErrors::default(), Fields::default())).await
}

async fn show(
    state: &AppState,
    me: &SignedIn,
    id: Uuid,
    status: StatusCode,
    (errors, fields): (FormErrors, Fields),
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeErasures>(&mut conn, &me.actor(), Object::None).await?;
    let found = erasure::list(&mut conn, Which { one: Some(id), open: false }).await?;
    let erasure = found.into_iter().next().ok_or_else(Error::not_found)?;
    let closed = closed(&mut conn, me, &erasure).await;
    let mut facts = vec![
        Fact::new("Person", &erasure.person_name).href(format!("/people/{}", erasure.person)),
        Fact::new("Why", basis(&erasure)),
        Fact::new("Proposed by", format!("{}, {}", proposer(&erasure), me.when(erasure.proposed_at).relative)),
    ];
    let mut add = |term: &str, value: Option<String>| {
        facts.extend(value.filter(|value| !value.is_empty()).map(|value| Fact::new(term, value)));
    };
    add("Reason", Some(erasure.reason.clone()));
    add("Decided by", erasure.decided_by_name.clone());
    add("Comment", Some(erasure.comment.clone()));
    add("Held back", erasure.held_back.clone());
    add("Carried out", erasure.done_at.map(|at| me.when(at).exact));
    add("Values of evidence erased", erasure.values_erased.map(|values| values.to_string()));
    let page = DecidePage {
        crumbs: vec![
            Crumb::to("People", "/people"),
            Crumb::to("Erasures", "/erasures"),
            Crumb::here(&erasure.person_name),
        ],
        name: erasure.person_name.clone(),
        state: badge(&erasure),
        summary: format!("Proposed by {} because of {}", proposer(&erasure), basis(&erasure)),
        facts: Facts(facts),
        consequences: consequences(&mut conn, erasure.person).await?,
        errors,
        action: format!("/erasures/{id}"),
        comment: fields.raw("comment").to_owned(),
        closed,
        shell: me.shell(state, &mut conn, format!("Erase {}", erasure.person_name), Nav::People).await?,
    };
    viewer::page_with(status, &page)
}

/// Why the viewer has nothing to decide; empty where they have.
async fn closed(conn: &mut PgConnection, me: &SignedIn, erasure: &Erasure) -> String {
    let may = permit::<op::DecideErasure>(conn, &me.actor(), Object::Person(erasure.person)).await.is_ok();
    match erasure.state.as_str() {
        "proposed" if erasure.proposed_by == Some(me.viewer().person) => {
            format!("You proposed this; {} decides.", erasure.approvers())
        }
        "proposed" if !may || !erasure.may_be_decided_by(&me.viewer().roles) => {
            format!("It waits for {}.", erasure.approvers())
        }
        "proposed" => String::new(),
        "approved" => "Approved; the worker carries it out.".to_owned(),
        "done" => "It has been carried out.".to_owned(),
        _ => "It was rejected.".to_owned(),
    }
}

/// `POST /erasures/{id}`
pub async fn decide(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let approve = match fields.text("decision") {
        "approve" => true,
        "reject" => false,
        _ => return Err(Error::wrong(Wrong::Senseless, "Approve it or reject it.")),
    };
    let mut errors = FormErrors::default();
    match erasure::decide(&state.pool, me.now, &me.actor(), (id, approve, fields.raw("comment"))).await {
        Ok(()) => return viewer::see_saying(&state, &format!("/erasures/{id}"), Said::ErasureDecided),
        Err(ErasureError::Field { field, message }) => errors.add(field, message),
        Err(ErasureError::InTheWay(found)) => found.iter().for_each(|obstacle| errors.add("comment", obstacle)),
        Err(other) => return Err(other.into()),
    }
    show(&state, &me, id, StatusCode::UNPROCESSABLE_ENTITY, (errors, fields)).await
}
