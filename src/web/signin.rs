//! Signing in and out.

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::Query;

use super::guard::Address;
use super::view::errors::Wrong;
use super::view::forms::FormErrors;
use super::view::shell::{Nav, Shell};
use super::view::signin::{DemoPerson, SignInPage};
use super::viewer::{self, Posted, SignedIn};
use super::{AppState, Error, Fields};
use crate::access::session::{self, From, Why};
use crate::access::sign_in::{self, SignInError};

/// The demo's people and what each is for, in the order shown.
const DEMO: [(&str, &str); 7] = [
    ("manager", "asks for people and access"),
    ("desk", "assesses, decides, executes"),
    ("lead", "sees to what is late or stuck"),
    ("owner", "decides about what they own"),
    ("auditor", "reads everything, changes nothing"),
    ("admin", "settings, adoption, machinery"),
    ("alindqvist", "releases the settings that another proposes"),
];

/// `GET /signin`
pub async fn page(
    State(state): State<AppState>,
    me: Result<SignedIn, Error>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let fields = Fields(query);
    let next = inside(fields.text("next"));
    match me {
        Ok(_) => Ok(viewer::see(if next.is_empty() { "/" } else { next })),
        Err(Error::SignIn) => show(&state, StatusCode::OK, FormErrors::default(), &fields).await,
        Err(other) => Err(other),
    }
}

async fn show(state: &AppState, status: StatusCode, errors: FormErrors, fields: &Fields) -> Result<Response, Error> {
    let demo = &state.config.demo;
    let mut people = Vec::new();
    if offers_demo(state) {
        let mut conn = state.pool.acquire().await?;
        let names: Vec<&str> = DEMO.iter().map(|(name, _)| *name).collect();
        people = sign_in::demo_people(&mut conn, &names).await?.into_iter().map(demo_person).collect();
    }
    let shell: Shell = viewer::bare_shell(state).page("Sign in", Nav::None);
    viewer::page_with(
        status,
        &SignInPage {
            shell,
            errors,
            user: fields.text("user").chars().take(200).collect(),
            next: inside(fields.text("next")).to_owned(),
            people,
            demo_password: if demo.enabled { demo.password.clone().unwrap_or_default() } else { String::new() },
        },
    )
}

fn demo_person(person: sign_in::DemoPerson) -> DemoPerson {
    let does = DEMO.iter().find(|(name, _)| *name == person.user_name).map_or("", |(_, does)| *does);
    let position = [person.title, person.department].into_iter().flatten().collect::<Vec<_>>().join(", ");
    DemoPerson { user: person.user_name, name: person.name, role: format!("{position} · {does}") }
}

/// The demo's one-click entrances exist only where it is enabled, and only on loopback.
fn offers_demo(state: &AppState) -> bool {
    state.config.demo.enabled && state.config.web.listen.ip().is_loopback()
}

/// A path of ours to go on to, or nothing: no other host, no protocol, no control characters.
fn inside(next: &str) -> &str {
    let path = next.starts_with('/') && !next.starts_with("//") && !next.starts_with("/\\");
    let plain = next.len() <= 2000 && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if path && plain && !next.starts_with("/sign") { next } else { "" }
}

fn from(address: &Address, headers: &HeaderMap) -> From {
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
    From { address: address.0.clone(), user_agent }
}

/// `POST /signin`
pub async fn sign_in(
    State(state): State<AppState>,
    Extension(address): Extension<Address>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Error> {
    let fields = viewer::form(request, &state).await?;
    let typed = (fields.text("user"), fields.raw("password"));
    let mut errors = FormErrors::default();
    if typed.0.is_empty() {
        errors.add("user", "Enter your user name");
    }
    if typed.1.is_empty() {
        errors.add("password", "Enter your password");
    }
    if !errors.is_empty() {
        return show(&state, StatusCode::UNPROCESSABLE_ENTITY, errors, &fields).await;
    }
    match sign_in::sign_in(&state.pool, state.clock.now(), typed, &from(&address, &headers)).await {
        Ok(token) => opened(&state, &token, &fields),
        Err(SignInError::Database(error)) => Err(error.into()),
        Err(refused) => {
            let status = match refused {
                SignInError::Wait { .. } | SignInError::Busy => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            errors.add("", refused);
            show(&state, status, errors, &fields).await
        }
    }
}

/// `POST /signin/demo`: one of the demo's people, with one click.
pub async fn demo(
    State(state): State<AppState>,
    Extension(address): Extension<Address>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Error> {
    if !offers_demo(&state) {
        return Err(Error::not_found());
    }
    let fields = viewer::form(request, &state).await?;
    let user = fields.text("user");
    if !DEMO.iter().any(|(name, _)| *name == user) {
        return Err(Error::not_found());
    }
    let mut tx = state.pool.begin().await?;
    match sign_in::demo(&mut tx, state.clock.now(), user, &from(&address, &headers)).await {
        Ok(token) => {
            tx.commit().await?;
            opened(&state, &token, &fields)
        }
        Err(SignInError::Database(error)) => Err(error.into()),
        Err(_) => Err(Error::not_found()),
    }
}

fn opened(state: &AppState, token: &str, fields: &Fields) -> Result<Response, Error> {
    let next = inside(fields.text("next"));
    let mut response = viewer::see(if next.is_empty() { "/" } else { next });
    let cookie = viewer::cookie(state, state.cookie_name(), token, None)?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// `POST /signout`. Whoever is signed out already is taken to the same page.
pub async fn sign_out(State(state): State<AppState>, posted: Result<Posted, Error>) -> Result<Response, Error> {
    let me = match posted {
        Ok(posted) => posted.me,
        Err(Error::SignIn) => return Ok(viewer::see("/signin")),
        Err(other) => return Err(other),
    };
    let Some(id) = me.viewer().session else { return Err(Error::wrong(Wrong::Senseless, "")) };
    let mut tx = state.pool.begin().await?;
    session::end(&mut tx, me.now, &me.actor().by(), (me.viewer().person, id), Why::SignedOut).await?;
    tx.commit().await?;
    let mut response = viewer::see("/signin").into_response();
    response.headers_mut().append(header::SET_COOKIE, viewer::cookie(&state, state.cookie_name(), "", Some(0))?);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn the_way_on_stays_inside() {
        assert_eq!(inside("/requests/482?tab=plan"), "/requests/482?tab=plan");
        for outside in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\nb",
            "javascript:x",
            "/signin",
            "/a b",
        ] {
            assert_eq!(inside(outside), "", "{outside}");
        }
    }
}
