//! The JSON API under `/api/v1`: the same functions as the pages, for programs that bear a person's token.
//!
//! Errors are problem details (RFC 9457) that name the fields. No cookie is read here, so no other site can borrow one. A
//! request made with the header `Idempotency-Key` is made once, however often it is sent. [`openapi`] describes it all.

pub mod catalogue;
pub mod decisions;
pub mod evidence;
mod limit;
pub mod openapi;
mod paging;
pub mod people;
pub mod requests;
mod schemas;
mod shown;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::extract::rejection::JsonRejection;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::guard::Address;
use super::view::errors::Wrong;
use super::{AppState, Error};
use crate::access::{Actor, Viewer, token};

pub use limit::Calls;

/// Whoever bears a valid token.
pub struct Bearer {
    viewer: Viewer,
    now: DateTime<Utc>,
    /// Signs places in lists: the token's own, so that nobody else composes one.
    key: [u8; 32],
}

impl Bearer {
    fn actor(&self) -> Actor {
        Actor::Person(self.viewer.clone())
    }

    fn has(&self, scope: &str) -> bool {
        self.viewer.scopes.iter().any(|has| has == scope)
    }

    /// Asked before anything is looked up, so that a token without the scope learns nothing.
    fn scope(&self, needed: &str) -> Result<(), Error> {
        let lacks = || Error::wrong(Wrong::NotForYou, format!("This token lacks the scope {needed}."));
        self.has(needed).then_some(()).ok_or_else(lacks)
    }
}

impl FromRequestParts<AppState> for Bearer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let shown = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown =
            shown.and_then(|value| value.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        let Some((_, shown)) = shown else { return Err(Error::SignIn) };
        let shown = shown.trim();
        let address = parts.extensions.get::<Address>().and_then(|address| address.0.clone());
        let mut conn = state.pool.acquire().await?;
        let viewer = token::resume(&mut conn, shown, address).await?.ok_or(Error::SignIn)?;
        if let Some(token) = viewer.token {
            let most = state.config.web.api_per_minute;
            state.calls.take(token, most).map_err(|seconds| {
                Error::too_often(format!("This token may call {most} times a minute. Wait {seconds} s."), seconds)
            })?;
        }
        let key = Sha256::new().chain_update(b"api cursor\0").chain_update(shown).finalize().into();
        Ok(Self { viewer, now: state.clock.now(), key })
    }
}

/// A JSON object as a body, or what is wrong with it.
fn body<T: DeserializeOwned>(read: Result<Json<Value>, JsonRejection>) -> Result<T, Error> {
    let Json(value) = read.map_err(|rejection| {
        let status = rejection.status();
        let wrong = if status == StatusCode::PAYLOAD_TOO_LARGE { Wrong::TooLarge } else { Wrong::Senseless };
        Error::with_status(status, wrong, rejection.body_text())
    })?;
    if !value.is_object() {
        return Err(Error::wrong(Wrong::Senseless, "The body must be a JSON object."));
    }
    serde_json::from_value(value).map_err(|error| Error::wrong(Wrong::Senseless, error.to_string()))
}

/// The header `Idempotency-Key`, if it came.
fn once(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    match headers.get("idempotency-key").map(|key| key.to_str()) {
        None => Ok(None),
        Some(Ok(key)) if (1..=200).contains(&key.len()) => Ok(Some(key)),
        Some(_) => {
            let words = "Idempotency-Key has 1 to 200 visible ASCII characters.".to_owned();
            Err(Error::parameters(vec![("Idempotency-Key".to_owned(), words)]))
        }
    }
}

/// An id in the path: what is none leads to nothing.
fn id<T: std::str::FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::not_found())
}
