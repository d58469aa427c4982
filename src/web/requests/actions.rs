//! What is done on a request's page: comments, assignment, cancelling, steps that stopped.

use super::page::{Sent, show};
use super::{find, form_errors, number_of};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use crate::access::{Object, Op, op, permit};
use crate::ids::StepId;
use crate::requests::{self as asking, Request, RequestError, desk};
use crate::web::view::errors::{ConfirmPage, Wrong};
use crate::web::view::forms::{Choice, FormErrors, SelectField};
use crate::web::view::parts::{Crumb, Fact, Facts};
use crate::web::view::shell::Nav;
use crate::web::view::states;
use crate::web::viewer::{self, Posted, Said, SignedIn};
use crate::web::{AppState, Error};

/// The request, for whoever may do that to it; who may not is told so before anything about it is.
async fn permitted<O: Op>(state: &AppState, me: &SignedIn, number: &str) -> Result<Request, Error> {
    let mut conn = state.pool.acquire().await?;
    let request = find(&mut conn, number).await?;
    permit::<O>(&mut conn, &me.actor(), Object::Request(request.id)).await?;
    Ok(request)
}

/// `POST /requests/{number}/comments`
pub async fn comment(
    State(state): State<AppState>,
    Path(number): Path<String>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let body = fields.raw("comment");
    permitted::<op::Comment>(&state, &me, &number).await?;
    match desk::comment(&state.pool, me.now, &me.actor(), number_of(&number)?, body).await {
        Ok(()) => viewer::see_saying(&state, &address(&number), Said::Commented),
        Err(RequestError::Fields(fields)) => {
            let mut errors = FormErrors::default();
            fields.into_iter().for_each(|error| errors.add("comment", error.message));
            let sent = Sent { comment: body.to_owned(), errors };
            show(&state, &me, &number, StatusCode::UNPROCESSABLE_ENTITY, sent).await
        }
        Err(other) => Err(back(other, &number)),
    }
}

/// The error with a way back to the request.
fn back(error: RequestError, number: &str) -> Error {
    Error::from(error).link("Back to the request", address(number))
}

fn address(number: &str) -> String {
    format!("/requests/{number}")
}

/// `POST /requests/{number}/assignment`
pub async fn assign(
    State(state): State<AppState>,
    Path(number): Path<String>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let assignee = match fields.text("assignee") {
        "" => None,
        "me" => Some(me.viewer().person),
        typed => Some(typed.parse().map_err(|_| Error::wrong(Wrong::Senseless, "That is nobody of the desk."))?),
    };
    desk::assign(&state.pool, me.now, &me.actor(), number_of(&number)?, assignee)
        .await
        .map_err(|error| back(error, &number))?;
    viewer::see_saying(&state, &address(&number), Said::Assigned)
}

/// A page that asks before something is done to a request.
async fn confirm(
    state: &AppState,
    me: &SignedIn,
    request: &Request,
    asks: ConfirmPage,
    status: StatusCode,
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    let address = address(&request.number.0.to_string());
    let page = ConfirmPage {
        shell: me.shell(state, &mut conn, asks.title.clone(), Nav::Requests).await?,
        crumbs: vec![
            Crumb::to("Requests", "/requests"),
            Crumb::to(request.number.to_string(), address.clone()),
            Crumb::here(asks.button.clone()),
        ],
        facts: Facts(vec![Fact::new("Request", request.title.clone())]),
        back: address,
        ..asks
    };
    viewer::page_with(status, &page)
}

/// An empty question, to be filled in.
pub fn question(title: String, text: &str, action: String, button: &str) -> ConfirmPage {
    ConfirmPage {
        shell: crate::web::view::Shell::default(),
        crumbs: Vec::new(),
        title,
        text: text.to_owned(),
        facts: Facts::default(),
        errors: FormErrors::default(),
        action,
        button: button.to_owned(),
        danger: false,
        choose: None,
        reason_label: String::new(),
        reason: String::new(),
        password: false,
        hidden: Vec::new(),
        back: String::new(),
    }
}

fn cancellation(request: &Request) -> ConfirmPage {
    ConfirmPage {
        danger: true,
        reason_label: "Why?".to_owned(),
        ..question(
            format!("Cancel {}?", request.number),
            "What has been done stays done; what has not will not be. Those involved can see why.",
            format!("/requests/{}/cancellation", request.number.0),
            "Cancel the request",
        )
    }
}

/// `GET /requests/{number}/cancellation`
pub async fn cancellation_page(
    State(state): State<AppState>,
    Path(number): Path<String>,
    me: SignedIn,
) -> Result<Response, Error> {
    let request = permitted::<op::Cancel>(&state, &me, &number).await?;
    confirm(&state, &me, &request, cancellation(&request), StatusCode::OK).await
}

/// `POST /requests/{number}/cancellation`
pub async fn cancel(
    State(state): State<AppState>,
    Path(number): Path<String>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let reason = fields.text("reason");
    asking::cancel::cancel(&state.pool, me.now, &me.actor(), number_of(&number)?, reason)
        .await
        .map_err(|error| back(error, &number))?;
    viewer::see_saying(&state, &address(&number), Said::Cancelled)
}

fn priority(request: &Request, chosen: &str) -> ConfirmPage {
    let choices = (1u8..=4).map(|priority| Choice::new(priority.to_string(), states::priority(priority).word));
    let mut choose = SelectField::new("priority", "Priority", choices.collect()).value(chosen);
    choose.common.hint =
        "Both clocks are counted anew from when it was asked for, by the times of that priority.".to_owned();
    ConfirmPage {
        choose: Some(choose),
        reason_label: "Why?".to_owned(),
        ..question(
            format!("Priority of {}", request.number),
            "The queue is sorted by what breaches next. Those involved can see your reason.",
            format!("/requests/{}/priority", request.number.0),
            "Set the priority",
        )
    }
}

/// `GET /requests/{number}/priority`
pub async fn priority_page(
    State(state): State<AppState>,
    Path(number): Path<String>,
    me: SignedIn,
) -> Result<Response, Error> {
    let request = permitted::<op::Prioritise>(&state, &me, &number).await?;
    let asks = priority(&request, &request.priority.to_string());
    confirm(&state, &me, &request, asks, StatusCode::OK).await
}

/// `POST /requests/{number}/priority`
pub async fn prioritise(
    State(state): State<AppState>,
    Path(number): Path<String>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let request = permitted::<op::Prioritise>(&state, &me, &number).await?;
    let (typed, reason) = (fields.text("priority"), fields.text("reason"));
    let new = desk::Prioritised { priority: typed.parse().unwrap_or(0), reason };
    match desk::prioritise(&state.pool, me.now, &me.actor(), number_of(&number)?, new).await {
        Ok(()) => viewer::see_saying(&state, &address(&number), Said::Prioritised),
        Err(RequestError::Fields(errors)) => {
            let asks =
                ConfirmPage { errors: form_errors(errors), reason: reason.to_owned(), ..priority(&request, typed) };
            confirm(&state, &me, &request, asks, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(other) => Err(back(other, &number)),
    }
}

/// `POST /requests/{number}/steps/{step}/retry`
pub async fn retry(
    State(state): State<AppState>,
    Path((number, step)): Path<(String, StepId)>,
    Posted { me, .. }: Posted,
) -> Result<Response, Error> {
    let which = (number_of(&number)?, step);
    desk::step(&state.pool, me.now, &me.actor(), which, &desk::Say::Retry)
        .await
        .map_err(|error| back(error, &number))?;
    Ok(viewer::see(&address(&number)))
}

fn leaving_out(request: &Request, step: StepId) -> ConfirmPage {
    ConfirmPage {
        danger: true,
        reason_label: "Why is it not needed?".to_owned(),
        ..question(
            "Leave this step out?".to_owned(),
            "It will not be done; what waits for it goes on. Your reason goes into the evidence.",
            format!("/requests/{}/steps/{step}/skip", request.number.0),
            "Leave it out",
        )
    }
}

/// `GET /requests/{number}/steps/{step}/skip`
pub async fn skip_page(
    State(state): State<AppState>,
    Path((number, step)): Path<(String, StepId)>,
    me: SignedIn,
) -> Result<Response, Error> {
    let request = permitted::<op::Skip>(&state, &me, &number).await?;
    confirm(&state, &me, &request, leaving_out(&request, step), StatusCode::OK).await
}

/// `POST /requests/{number}/steps/{step}/skip`
pub async fn skip(
    State(state): State<AppState>,
    Path((number, step)): Path<(String, StepId)>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let say = desk::Say::Skip { reason: fields.text("reason").to_owned() };
    match desk::step(&state.pool, me.now, &me.actor(), (number_of(&number)?, step), &say).await {
        Ok(()) => Ok(viewer::see(&address(&number))),
        Err(RequestError::Fields(fields)) => {
            let mut conn = state.pool.acquire().await?;
            let request = find(&mut conn, &number).await?;
            drop(conn);
            let asks = ConfirmPage { errors: form_errors(fields), ..leaving_out(&request, step) };
            confirm(&state, &me, &request, asks, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(other) => Err(back(other, &number)),
    }
}
