//! Requests: the list, one request's page and its moving parts, and what can be done on it.

mod actions;
mod lines;
mod page;

pub use actions::{
    assign, cancel, cancellation_page, comment, prioritise, priority_page, question, retry, skip, skip_page,
};
pub use lines::{ROWS, filter, links, list, pager, row};
pub use page::{agents, moved, page, stage};

use sqlx::PgConnection;

use crate::ids::RequestNumber;
use crate::requests::{self as asking, Request, RequestError};
use crate::web::Error;
use crate::web::view::errors::Wrong;
use crate::web::view::forms::FormErrors;

/// The request of that number as typed in an address; whoever may not see it is told so by `permit` afterwards.
pub async fn find(conn: &mut PgConnection, number: &str) -> Result<Request, Error> {
    let number: RequestNumber = number.parse().map_err(|_| Error::not_found())?;
    asking::find(conn, number).await?.ok_or_else(Error::not_found)
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Denied(denied) => denied.into(),
            RequestError::Database(error) => error.into(),
            RequestError::Fields(fields) => {
                Error::fields(fields.into_iter().map(|error| (error.field, error.message)).collect())
            }
            RequestError::Stale => Error::wrong(Wrong::Conflict, "It has changed since you looked at it."),
            RequestError::Conflict(words) => Error::wrong(Wrong::Conflict, words),
            RequestError::Evidence(error) => Error::broken(error),
        }
    }
}

/// Field errors as a form shows them.
pub fn form_errors(fields: Vec<crate::plan::field::FieldError>) -> FormErrors {
    let mut errors = FormErrors::default();
    for field in fields {
        errors.add(field.field, field.message);
    }
    errors
}

fn number_of(text: &str) -> Result<RequestNumber, Error> {
    text.parse().map_err(|_| Error::not_found())
}
