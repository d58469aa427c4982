//! What went wrong, on its way to a designed page or to problem details (RFC 9457).
//!
//! A handler returns an [`Error`]; it becomes an empty response that carries the [`Failure`], and [`shown`], outside all
//! handlers, renders it with what it knows: the request's id, the viewer, page or API. It is logged there, once.

use std::any::Any;

use askama::Template;
use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde_json::json;

use super::view::errors::{ErrorPage, Wrong};
use super::view::parts::Link;
use super::view::shell::Shell;
use super::{AppState, viewer};
use crate::access::Denied;
use crate::db;

/// Why a handler gives no page.
#[derive(Debug)]
pub enum Error {
    /// Nobody is signed in, or no longer.
    SignIn,
    Failure(Box<Failure>),
}

/// What is told to people, and what to the log.
#[derive(Debug, Clone)]
pub struct Failure {
    pub status: StatusCode,
    pub wrong: Wrong,
    /// A sentence about this case; may be empty.
    pub detail: String,
    /// A way on.
    pub link: Option<(String, String)>,
    /// Fields and what is the matter with them, for the API.
    pub fields: Vec<(String, String)>,
    /// For the log alone.
    pub cause: Option<String>,
    /// Seconds after which it can be tried again.
    pub retry_after: Option<u64>,
}

impl Error {
    /// That kind of failure, with a sentence about this case.
    pub fn wrong(wrong: Wrong, detail: impl Into<String>) -> Self {
        Self::with_status(
            StatusCode::from_u16(wrong.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            wrong,
            detail,
        )
    }

    /// The same with another status: 401 and 415 have no page of their own.
    pub fn with_status(status: StatusCode, wrong: Wrong, detail: impl Into<String>) -> Self {
        let (detail, link, fields, cause, retry_after) = (detail.into(), None, Vec::new(), None, None);
        Self::Failure(Box::new(Failure { status, wrong, detail, link, fields, cause, retry_after }))
    }

    pub fn not_found() -> Self {
        Self::wrong(Wrong::NotFound, "")
    }

    /// Something that should not happen: told as broken, logged with its cause.
    pub fn broken(cause: impl std::fmt::Display) -> Self {
        let mut error = Self::wrong(Wrong::Broken, "");
        if let Self::Failure(failure) = &mut error {
            failure.cause = Some(cause.to_string());
        }
        error
    }

    /// Several fields, each with what is the matter.
    pub fn fields(fields: Vec<(String, String)>) -> Self {
        let mut error = Self::wrong(Wrong::Senseless, "Some answers need another look.");
        if let Self::Failure(failure) = &mut error {
            failure.fields = fields;
        }
        error
    }

    /// Parameters of the address that cannot be taken, each with what is the matter: for the API.
    pub fn parameters(fields: Vec<(String, String)>) -> Self {
        let detail = fields.first().map_or_else(String::new, |(_, message)| message.clone());
        let mut error = Self::with_status(StatusCode::BAD_REQUEST, Wrong::Senseless, detail);
        if let Self::Failure(failure) = &mut error {
            failure.fields = fields;
        }
        error
    }

    /// Too often: when to come back.
    pub fn too_often(detail: impl Into<String>, seconds: u64) -> Self {
        let mut error = Self::wrong(Wrong::TooMany, detail);
        if let Self::Failure(failure) = &mut error {
            failure.retry_after = Some(seconds);
        }
        error
    }

    /// With a way on beside "home".
    #[must_use]
    pub fn link(mut self, label: &str, href: impl Into<String>) -> Self {
        if let Self::Failure(failure) = &mut self {
            failure.link = Some((label.to_owned(), href.into()));
        }
        self
    }
}

impl std::convert::From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let wrong = if db::is_transient(&error) { Wrong::DatabaseDown } else { Wrong::Broken };
        let mut made = Self::wrong(wrong, "");
        if let Self::Failure(failure) = &mut made {
            failure.cause = Some(error.to_string());
        }
        made
    }
}

impl std::convert::From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotFound => Self::not_found(),
            Denied::Forbidden(why) => Self::wrong(Wrong::NotForYou, why),
            Denied::SessionEnded => Self::SignIn,
            Denied::Database(error) => error.into(),
        }
    }
}

impl std::convert::From<askama::Error> for Error {
    fn from(error: askama::Error) -> Self {
        Self::broken(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        match self {
            Self::SignIn => {
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                response.extensions_mut().insert(SignInFirst);
            }
            Self::Failure(failure) => {
                *response.status_mut() = failure.status;
                response.extensions_mut().insert(*failure);
            }
        }
        response
    }
}

#[derive(Clone)]
struct SignInFirst;

/// What rendering a failure needs of the request, kept before the handler takes it.
pub struct From {
    method: Method,
    target: String,
    api: bool,
    headers: HeaderMap,
}

impl From {
    pub fn of(request: &Request) -> Self {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let api = request.uri().path().starts_with("/api/");
        Self { method: request.method().clone(), target, api, headers: request.headers().clone() }
    }
}

/// The response as it is sent: failures become pages or problem details.
pub async fn shown(state: &AppState, from: From, id: &str, mut response: Response) -> Response {
    if response.extensions_mut().remove::<SignInFirst>().is_some() {
        return sign_in_first(&from, id);
    }
    let failure = match response.extensions_mut().remove::<Failure>() {
        Some(failure) => failure,
        // Made by the framework or a layer, with a plain text of its own: too large, wrong type, unreadable.
        None => match plain(&response) {
            Some(failure) => failure,
            None => return response,
        },
    };
    let (status, retry_after) = (failure.status, failure.retry_after);
    match &failure.cause {
        Some(cause) if status.is_server_error() => tracing::error!(id, cause, "a request failed"),
        _ => tracing::debug!(id, status = status.as_u16(), detail = failure.detail, "a request was refused"),
    }
    let mut shown = if from.api { problem(&failure, id) } else { page(state, &from, failure, id).await };
    if let Some(seconds) = retry_after.or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(5)) {
        shown.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allow) = response.headers().get(header::ALLOW) {
        shown.headers_mut().insert(header::ALLOW, allow.clone());
    }
    shown
}

fn plain(response: &Response) -> Option<Failure> {
    let status = response.status();
    let known = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind != "text/plain; charset=utf-8");
    if known || !(status.is_client_error() || status.is_server_error()) || status == StatusCode::NOT_FOUND {
        return None;
    }
    let wrong = match status {
        StatusCode::PAYLOAD_TOO_LARGE => Wrong::TooLarge,
        StatusCode::TOO_MANY_REQUESTS => Wrong::TooMany,
        StatusCode::SERVICE_UNAVAILABLE => Wrong::Stopping,
        status if status.is_server_error() => Wrong::Broken,
        _ => Wrong::Senseless,
    };
    let (detail, link, fields, cause, retry_after) = (String::new(), None, Vec::new(), None, None);
    Some(Failure { status, wrong, detail, link, fields, cause, retry_after })
}

/// To the sign-in page and back; a script's request is told so instead.
fn sign_in_first(from: &From, id: &str) -> Response {
    if from.api {
        let failure = Failure {
            status: StatusCode::UNAUTHORIZED,
            wrong: Wrong::NotForYou,
            detail: "Send a valid API token: Authorization: Bearer …".to_owned(),
            link: None,
            fields: Vec::new(),
            cause: None,
            retry_after: None,
        };
        let mut response = problem(&failure, id);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    }
    let back = if from.method == Method::GET && from.target != "/" { from.target.as_str() } else { "" };
    let target = match back {
        "" => "/signin".to_owned(),
        back => format!("/signin?next={}", encoded(back)),
    };
    if from.headers.contains_key("hx-request") {
        return (StatusCode::UNAUTHORIZED, [("hx-redirect", "/signin")]).into_response();
    }
    Redirect::to(&target).into_response()
}

/// Percent-encoding of a query's value.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

fn problem(failure: &Failure, id: &str) -> Response {
    let title = failure.status.canonical_reason().unwrap_or("Error");
    let errors: Vec<_> =
        failure.fields.iter().map(|(field, message)| json!({"field": field, "message": message})).collect();
    let mut body = json!({"type": "about:blank", "title": title, "status": failure.status.as_u16(), "request_id": id});
    if !failure.detail.is_empty() {
        body["detail"] = json!(failure.detail);
    }
    if !errors.is_empty() {
        body["errors"] = json!(errors);
    }
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (failure.status, kind, Json(body)).into_response()
}

async fn page(state: &AppState, from: &From, failure: Failure, id: &str) -> Response {
    let blind = matches!(failure.wrong, Wrong::DatabaseDown | Wrong::Stopping | Wrong::Broken);
    let shell = match blind {
        true => None,
        false => viewer::shell_for(state, &from.headers).await,
    };
    let title = failure.status.canonical_reason().unwrap_or("Error");
    let page = ErrorPage {
        shell: Shell { title: title.to_owned(), ..shell.unwrap_or_else(|| viewer::bare_shell(state)) },
        wrong: failure.wrong,
        detail: failure.detail,
        id: id.to_owned(),
        link: failure.link.map(|(label, href)| Link::new(label, href)),
    };
    match page.render() {
        Ok(text) => (failure.status, Html(text)).into_response(),
        Err(error) => {
            tracing::error!(id, %error, "an error page could not be rendered");
            (failure.status, format!("Something broke. To quote: {id}")).into_response()
        }
    }
}

/// No route of that path.
pub async fn not_found() -> Error {
    Error::not_found()
}

/// The path exists, with other methods.
pub async fn method_not_allowed() -> Error {
    Error::with_status(StatusCode::METHOD_NOT_ALLOWED, Wrong::Senseless, "")
}

/// A handler panicked: the same page as any other defect; the panic's own words are for the log.
#[expect(clippy::needless_pass_by_value, reason = "the signature that tower-http asks for")]
pub fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::broken(format!("panic: {}", words.unwrap_or("without words"))).into_response()
}
