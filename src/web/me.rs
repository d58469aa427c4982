//! The viewer's own page: where they are signed in, their tokens, who stands in for them.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use sqlx::PgConnection;
use uuid::Uuid;

use super::view::Person;
use super::view::account::{AccountPage, DelegationRow, SessionRow, StandInForm, TokenRow};
use super::view::forms::{Choice, FormErrors, picked};
use super::view::parts::{Badge, Fact, Facts};
use super::view::shell::Nav;
use super::viewer::{self, Posted, Said, SignedIn};
use super::{AppState, Error, Fields};
use crate::access::delegation::{self, Delegation, DelegationError, Wanted as StandIn};
use crate::access::session::{self, Why};
use crate::access::token::{self, TokenError, Wanted};
use crate::access::{Object, Operation, op, permit, sign_in};
use crate::requests::standing_in;

/// What a form on the page brought with it.
#[derive(Default)]
struct Sent {
    errors: FormErrors,
    fields: Fields,
    new_token: Option<(String, String)>,
}

/// `GET /me`
pub async fn page(State(state): State<AppState>, me: SignedIn) -> Result<Response, Error> {
    show(&state, &me, StatusCode::OK, Sent::default()).await
}

async fn show(state: &AppState, me: &SignedIn, status: StatusCode, sent: Sent) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    let (viewer, fields) = (me.viewer(), &sent.fields);
    let sessions = session::list(&mut conn, viewer.person).await?;
    let tokens = token::list(&mut conn, viewer.person).await?;
    let delegations = delegation::list(&mut conn, viewer.person, me.today()).await?;
    let mut sessions: Vec<SessionRow> = sessions.into_iter().map(|session| session_row(me, session)).collect();
    sessions.sort_by_key(|session| !session.current);
    let chosen = fields.all("scope");
    let words = [
        ("requests:read", "read requests"),
        ("requests:write", "ask, change, comment and cancel"),
        ("decisions:write", "decide in your name"),
        ("people:read", "read people"),
        ("grants:read", "read who holds what"),
        ("catalogue:read", "read the catalogue"),
        ("evidence:read", "read the change history"),
    ];
    // Nobody is offered what they may not do themselves.
    let offered = words.iter().filter(|(scope, _)| *scope != "evidence:read" || me.may(Operation::SeeHistory));
    let scopes = offered.map(|(scope, words)| {
        let chosen = chosen.iter().any(|typed| typed == scope) || (chosen.is_empty() && *scope == "requests:read");
        Choice { chosen, ..Choice::new(*scope, *words) }
    });
    let days = fields.text("days");
    let lengths = [("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "a year")];
    let days_choices = lengths
        .iter()
        .map(|(value, words)| Choice::new(*value, *words).chosen_if(if days.is_empty() { "30" } else { days }));
    let may_delegate = Operation::Delegate.may(&viewer.roles);
    let page = AccountPage {
        shell: me.shell(state, &mut conn, "My account", Nav::None).await?,
        name: viewer.name.clone(),
        facts: facts(me),
        sessions,
        tokens: tokens.into_iter().map(|token| token_row(me, token)).collect(),
        new_token: sent.new_token,
        delegations: delegations
            .into_iter()
            .map(|delegation| {
                let mine = delegation.person == viewer.person;
                let end = mine.then(|| format!("/me/delegations/{}/end", delegation.id));
                delegation_row(me, delegation, end)
            })
            .collect(),
        may_delegate,
        token_name: fields.text("name").to_owned(),
        scopes: scopes.collect(),
        days: days_choices.collect(),
        form: StandInForm {
            action: "/me/delegations".to_owned(),
            question: "Who stands in for you?".to_owned(),
            ..stand_in_form(fields)
        },
        errors: sent.errors,
    };
    viewer::page_with(status, &page)
}

fn facts(me: &SignedIn) -> Facts {
    let viewer = me.viewer();
    let roles: Vec<&str> = viewer.roles.iter().map(|role| role_words(role.as_str())).collect();
    Facts(vec![Fact::code("User name", &viewer.user_name), Fact::new("Roles", roles.join(", "))])
}

fn role_words(role: &str) -> &str {
    match role {
        "desk_lead" => "desk lead",
        other => other,
    }
}

fn session_row(me: &SignedIn, session: session::Listed) -> SessionRow {
    SessionRow {
        end: format!("/me/sessions/{}/end", session.id),
        client: client(session.user_agent.as_deref().unwrap_or("")),
        address: session.address.unwrap_or_else(|| "unknown address".to_owned()),
        since: me.when(session.started_at),
        used: me.when(session.last_seen_at),
        current: me.viewer().session == Some(session.id),
    }
}

/// "Firefox on Linux", as far as the browser says so.
fn client(user_agent: &str) -> String {
    let named = |names: &[(&'static str, &'static str)], otherwise: &'static str| {
        names.iter().find(|(part, _)| user_agent.contains(part)).map_or(otherwise, |(_, name)| *name)
    };
    let browser =
        named(&[("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")], "A program");
    let system = named(
        &[
            ("Windows", " on Windows"),
            ("Android", " on Android"),
            ("iPhone", " on iPhone"),
            ("Mac OS", " on macOS"),
            ("Linux", " on Linux"),
        ],
        "",
    );
    format!("{browser}{system}")
}

fn token_row(me: &SignedIn, token: token::Listed) -> TokenRow {
    TokenRow {
        name: token.name,
        prefix: format!("{}…", token::PREFIX),
        scope: token.scopes.join(", "),
        expires: me.when(token.expires_at),
        used: token.last_used_at.map(|at| me.when(at)),
        state: Badge::ok("valid"),
        revoke: Some(format!("/me/tokens/{}/revoke", token.id)),
    }
}

/// The form as it was typed.
pub fn stand_in_form(fields: &Fields) -> StandInForm {
    StandInForm {
        delegate: fields.text("to").to_owned(),
        from: fields.date_boxes("from"),
        until: fields.date_boxes("until"),
        ..StandInForm::default()
    }
}

/// One row, with the address that ends it.
pub fn delegation_row(me: &SignedIn, delegation: Delegation, end: Option<String>) -> DelegationRow {
    let running = delegation.from_day <= me.today();
    DelegationRow {
        to: Person::to(&delegation.delegate_name, format!("/people/{}", delegation.delegate)),
        from: Person::to(&delegation.person_name, format!("/people/{}", delegation.person)),
        since: me.day(delegation.from_day),
        until: me.day(delegation.last_day),
        state: if running { Badge::ok("in force") } else { Badge::quiet("planned") },
        made_by: delegation.made_by_name.unwrap_or_default(),
        end,
    }
}

/// `POST /me/sessions/{id}/end`
pub async fn end_session(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Posted { me, .. }: Posted,
) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    end_one(&mut tx, &me, id).await?.then_some(()).ok_or_else(Error::not_found)?;
    tx.commit().await?;
    viewer::see_saying(&state, "/me", Said::Saved)
}

/// `POST /me/sessions/end-others`
pub async fn end_other_sessions(State(state): State<AppState>, Posted { me, .. }: Posted) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    for other in session::list(&mut tx, me.viewer().person).await? {
        if me.viewer().session != Some(other.id) {
            end_one(&mut tx, &me, other.id).await?;
        }
    }
    tx.commit().await?;
    viewer::see_saying(&state, "/me", Said::Saved)
}

async fn end_one(conn: &mut PgConnection, me: &SignedIn, id: Uuid) -> Result<bool, Error> {
    let person = me.viewer().person;
    let permit = permit::<op::EndSession>(conn, &me.actor(), Object::Person(person)).await?;
    Ok(session::end(conn, me.now, &permit.by(), (person, id), Why::EndedByOwner).await?)
}

/// `POST /me/tokens`
pub async fn make_token(State(state): State<AppState>, Posted { me, fields }: Posted) -> Result<Response, Error> {
    let wanted = Wanted {
        name: fields.text("name").to_owned(),
        scopes: fields.all("scope"),
        days: fields.text("days").parse().unwrap_or(0),
    };
    let mut tx = state.pool.begin().await?;
    let permit = permit::<op::MakeToken>(&mut tx, &me.actor(), Object::Person(me.viewer().person)).await?;
    let mut errors = FormErrors::default();
    match token::make(&mut tx, me.now, &permit, &wanted).await {
        Ok(token) => {
            tx.commit().await?;
            let sent = Sent { new_token: Some((wanted.name, token)), ..Sent::default() };
            return show(&state, &me, StatusCode::OK, sent).await;
        }
        Err(TokenError::Denied(denied)) => return Err(denied.into()),
        Err(TokenError::Database(error)) => return Err(error.into()),
        Err(error @ TokenError::Scopes) => errors.0.push(error_of("scope", error)),
        Err(error @ TokenError::Days) => errors.0.push(error_of("days", error)),
        Err(error) => errors.0.push(error_of("name", error)),
    }
    drop(tx);
    show(&state, &me, StatusCode::UNPROCESSABLE_ENTITY, Sent { errors, fields, new_token: None }).await
}

fn error_of(field: &str, error: impl std::fmt::Display) -> super::view::forms::FieldError {
    super::view::forms::FieldError { field: field.to_owned(), message: error.to_string() }
}

/// `POST /me/tokens/{id}/revoke`
pub async fn revoke_token(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Posted { me, .. }: Posted,
) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    let permit = permit::<op::MakeToken>(&mut tx, &me.actor(), Object::Person(me.viewer().person)).await?;
    match token::revoke(&mut tx, me.now, &permit, id).await {
        Ok(true) => tx.commit().await?,
        Ok(false) => return Err(Error::not_found()),
        Err(TokenError::Denied(denied)) => return Err(denied.into()),
        Err(error) => return Err(Error::broken(error)),
    }
    viewer::see_saying(&state, "/me", Said::Saved)
}

/// Who is to stand in, from when until when; None where something of it is wrong.
pub async fn wanted(
    conn: &mut PgConnection,
    fields: &Fields,
    errors: &mut FormErrors,
) -> Result<Option<StandIn>, Error> {
    let days = [("from", "first"), ("until", "last")].map(|(name, which)| {
        fields
            .date(name)
            .and_then(|day| day.ok_or("Enter a day"))
            .map_err(|why| errors.add(name, format!("{why} for the {which} day")))
    });
    let delegate = sign_in::by_user_name(conn, picked(fields.text("to"))).await?;
    if delegate.is_none() {
        errors.add("to", "Choose a person by name from the list, or enter their user name");
    }
    let ([Ok(from_day), Ok(last_day)], Some(delegate)) = (days, delegate) else { return Ok(None) };
    Ok(Some(StandIn { delegate, from_day, last_day }))
}

/// What is to be mended, at its field; what cannot be is an error.
pub fn delegation_error(error: DelegationError, errors: &mut FormErrors) -> Result<(), Error> {
    match error {
        DelegationError::Denied(denied) => return Err(denied.into()),
        DelegationError::Database(error) => return Err(error.into()),
        error @ (DelegationError::Days | DelegationError::Past) => errors.add("until", error),
        error => errors.add("to", error),
    }
    Ok(())
}

/// `POST /me/delegations`
pub async fn delegate(State(state): State<AppState>, Posted { me, fields }: Posted) -> Result<Response, Error> {
    let mut errors = FormErrors::default();
    let mut conn = state.pool.acquire().await?;
    permit::<op::Delegate>(&mut conn, &me.actor(), Object::Person(me.viewer().person)).await?;
    let wanted = wanted(&mut conn, &fields, &mut errors).await?;
    drop(conn);
    if let Some(wanted) = wanted {
        match standing_in::make(&state.pool, me.now, &me.actor(), (me.viewer().person, &wanted)).await {
            Ok(()) => return viewer::see_saying(&state, "/me", Said::Saved),
            Err(error) => delegation_error(error, &mut errors)?,
        }
    }
    show(&state, &me, StatusCode::UNPROCESSABLE_ENTITY, Sent { errors, fields, new_token: None }).await
}

/// `POST /me/delegations/{id}/end`
pub async fn end_delegation(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Posted { me, .. }: Posted,
) -> Result<Response, Error> {
    match standing_in::end(&state.pool, me.now, &me.actor(), (me.viewer().person, id)).await {
        Ok(()) => viewer::see_saying(&state, "/me", Said::Saved),
        Err(DelegationError::Denied(denied)) => Err(denied.into()),
        Err(error) => Err(Error::broken(error)),
    }
}
