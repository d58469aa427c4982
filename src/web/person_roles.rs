//! Roles, given and taken by an administrator, never their own.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::lookup;
use super::view::errors::Wrong;
use super::view::forms::FormErrors;
use super::view::parts::{Badge, Crumb};
use super::view::person_form::{RoleRow, RolesPage};
use super::view::shell::Nav;
use super::viewer::{self, Posted, Said, SignedIn};
use super::{AppState, Error};
use crate::access::{Object, Role, op, permit, roles};
use crate::ids::PersonId;

/// Roles that are given, in words.
const ROLES: [(Role, &str, &str); 5] = [
    (Role::Desk, "Service desk", "Asks for everybody, works on what needs a person, resets and unlocks."),
    (Role::DeskLead, "Service desk lead", "All of that, restricted requests too, and adoption."),
    (Role::Security, "Security", "Decides where risk asks for it, sees the change history, approves erasing."),
    (Role::Auditor, "Auditor", "Reads everything and changes nothing; whoever has it has no other role."),
    (
        Role::Administrator,
        "Administrator",
        "Looks after people, settings, adoption and roles; decides about no request.",
    ),
];

/// `GET /people/{id}/roles`
pub async fn page(State(state): State<AppState>, Path(id): Path<PersonId>, me: SignedIn) -> Result<Response, Error> {
    show(&state, &me, id, StatusCode::OK, FormErrors::default()).await
}

async fn show(
    state: &AppState,
    me: &SignedIn,
    id: PersonId,
    status: StatusCode,
    errors: FormErrors,
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::GiveRole>(&mut conn, &me.actor(), Object::Person(id)).await?;
    let line = lookup::person(&mut conn, id).await?.ok_or_else(Error::not_found)?;
    let given = roles::given(&mut conn, id).await?;
    let no_sign_in = sqlx::query_scalar!(
        r#"select exists (select from sign_in where person = $1 and disabled_at is null) as "has!""#,
        id.0
    )
    .fetch_one(&mut *conn)
    .await?;
    let rows = ROLES.iter().map(|(role, title, explanation)| {
        let held = given.iter().find(|given| given.role == *role);
        RoleRow {
            word: role.as_str(),
            title,
            explanation,
            held: held.map_or(String::new(), |held| {
                let by = held.by.clone().unwrap_or_else(|| "the command line".to_owned());
                format!("given {} by {by}", me.when(held.since).relative)
            }),
            badge: held.map(|_| Badge::ok("has it")),
        }
    });
    let page = RolesPage {
        crumbs: vec![Crumb::to("People", "/people"), Crumb::to(&line.name, line.href()), Crumb::here("Roles")],
        name: line.name.clone(),
        summary: line.position(),
        errors,
        action: format!("/people/{id}/roles"),
        rows: rows.collect(),
        no_sign_in: !no_sign_in,
        shell: me.shell(state, &mut conn, format!("Roles of {}", line.name), Nav::People).await?,
    };
    viewer::page_with(status, &page)
}

/// `POST /people/{id}/roles`
pub async fn change(
    State(state): State<AppState>,
    Path(id): Path<PersonId>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    let permit = permit::<op::GiveRole>(&mut tx, &me.actor(), Object::Person(id)).await?;
    let line = lookup::person(&mut tx, id).await?.ok_or_else(Error::not_found)?;
    let role = Role::parse(fields.text("role")).filter(|role| role.is_given());
    let (Some(role), what @ ("give" | "take")) = (role, fields.text("what")) else {
        return Err(Error::wrong(Wrong::Senseless, "Choose a role to give or to take away."));
    };
    let address = format!("/people/{id}/roles");
    if what == "take" {
        roles::take(&mut tx, me.now, &permit.by(), id, role).await?;
        tx.commit().await?;
        return viewer::see_saying(&state, &address, Said::RoleTaken);
    }
    let mut errors = FormErrors::default();
    if line.state != "active" {
        errors.add("", "Roles are given to people who work here now.");
        drop(tx);
        return show(&state, &me, id, StatusCode::UNPROCESSABLE_ENTITY, errors).await;
    }
    roles::give(&mut tx, me.now, &permit.by(), id, role).await?;
    tx.commit().await?;
    viewer::see_saying(&state, &address, Said::RoleGiven)
}
