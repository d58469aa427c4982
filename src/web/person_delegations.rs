//! Who stands in for somebody who cannot say so themselves: set by the desk's lead, never for themselves nor with themselves.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use uuid::Uuid;

use super::view::account::{StandInForm, StandingInPage};
use super::view::forms::FormErrors;
use super::view::parts::Crumb;
use super::view::shell::Nav;
use super::viewer::{self, Posted, Said, SignedIn};
use super::{AppState, Error, Fields, lookup, me as own};
use crate::access::delegation::{self, DelegationError};
use crate::access::{Object, op, permit};
use crate::ids::PersonId;
use crate::requests::standing_in;

/// `GET /people/{id}/delegations`
pub async fn page(State(state): State<AppState>, Path(id): Path<PersonId>, me: SignedIn) -> Result<Response, Error> {
    show(&state, &me, id, StatusCode::OK, (FormErrors::default(), &Fields::default())).await
}

async fn show(
    state: &AppState,
    me: &SignedIn,
    id: PersonId,
    status: StatusCode,
    (errors, fields): (FormErrors, &Fields),
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::DelegateFor>(&mut conn, &me.actor(), Object::Person(id)).await?;
    let line = lookup::person(&mut conn, id).await?.ok_or_else(Error::not_found)?;
    let theirs = delegation::list(&mut conn, id, me.today()).await?;
    let rows = theirs.into_iter().filter(|delegation| delegation.person == id).map(|delegation| {
        let end = format!("/people/{id}/delegations/{}/end", delegation.id);
        own::delegation_row(me, delegation, Some(end))
    });
    let page = StandingInPage {
        crumbs: vec![Crumb::to("People", "/people"), Crumb::to(&line.name, line.href()), Crumb::here("Standing in")],
        name: line.name.clone(),
        summary: line.position(),
        works_here: line.state == "active",
        delegations: rows.collect(),
        form: StandInForm {
            action: format!("/people/{id}/delegations"),
            question: format!("Who stands in for {}?", line.name),
            ..own::stand_in_form(fields)
        },
        errors,
        shell: me.shell(state, &mut conn, format!("Who stands in for {}", line.name), Nav::People).await?,
    };
    viewer::page_with(status, &page)
}

/// `POST /people/{id}/delegations`
pub async fn make(
    State(state): State<AppState>,
    Path(id): Path<PersonId>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::DelegateFor>(&mut conn, &me.actor(), Object::Person(id)).await?;
    let mut errors = FormErrors::default();
    let wanted = own::wanted(&mut conn, &fields, &mut errors).await?;
    drop(conn);
    if let Some(wanted) = wanted {
        match standing_in::make(&state.pool, me.now, &me.actor(), (id, &wanted)).await {
            Ok(()) => return viewer::see_saying(&state, &format!("/people/{id}/delegations"), Said::StandsIn),
            Err(error) => own::delegation_error(error, &mut errors)?,
        }
    }
    show(&state, &me, id, StatusCode::UNPROCESSABLE_ENTITY, (errors, &fields)).await
}

/// `POST /people/{id}/delegations/{delegation}/end`
pub async fn end(
    State(state): State<AppState>,
    Path((id, delegation)): Path<(PersonId, Uuid)>,
    Posted { me, .. }: Posted,
) -> Result<Response, Error> {
    match standing_in::end(&state.pool, me.now, &me.actor(), (id, delegation)).await {
        Ok(()) => viewer::see_saying(&state, &format!("/people/{id}/delegations"), Said::StandsIn),
        Err(DelegationError::Denied(denied)) => Err(denied.into()),
        Err(error) => Err(Error::broken(error)),
    }
}
