//! People and what they hold, as far as the token's person may see them.

use axum::Json;
use axum::extract::{Path, State};
use axum_extra::extract::Query;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::paging::{Page, Params};
use super::{Bearer, id};
use crate::access::{Object, Operation, op, permit};
use crate::grants::{self, Held};
use crate::ids::PersonId;
use crate::people;
use crate::web::lookup::{self, Find, Line};
use crate::web::{AppState, Error};

/// `GET /api/v1/people`
pub async fn list(
    State(state): State<AppState>,
    bearer: Bearer,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Error> {
    bearer.scope("people:read")?;
    let params = Params::of(query, &["q", "limit", "cursor"])?;
    let page: Page<(String, Uuid)> = Page::of(&bearer, "people", &params)?;
    let mut conn = state.pool.acquire().await?;
    permit::<op::SearchPeople>(&mut conn, &bearer.actor(), Object::None).await?;
    // As on the page: who has left is listed for those who see everybody fully.
    let roles = &bearer.viewer.roles;
    let wide = Operation::SeeQueue.may(roles) || Operation::SeeSettings.may(roles);
    let find = Find {
        search: params.text("q").unwrap_or_default().to_owned(),
        here: !wide,
        by_name: true,
        after: page.after.clone(),
        ..Find::default()
    };
    let lines = lookup::people(&mut conn, &find, page.fetch()).await?;
    Ok(Json(page.answer(lines, |line| (line.name.clone(), line.id.0), |line| line_json(line, wide))))
}

fn line_json(line: &Line, wide: bool) -> Value {
    let employment = line.employment.as_ref();
    json!({
        "id": line.id,
        "name": line.name,
        "user_name": line.key,
        "state": wide.then_some(&line.state),
        "title": employment.map(|e| &e.title),
        "department": employment.map(|e| &e.department),
        "site": employment.map(|e| &e.site),
        "manager": employment.and_then(|e| Some(json!({"id": e.manager?, "name": e.manager_name.as_ref()?}))),
    })
}

/// `GET /api/v1/people/{id}`
pub async fn one(
    State(state): State<AppState>,
    Path(path): Path<String>,
    bearer: Bearer,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Error> {
    bearer.scope("people:read")?;
    Params::of(query, &[])?;
    let person: PersonId = id(&path)?;
    let mut conn = state.pool.acquire().await?;
    let actor = bearer.actor();
    let line = lookup::person(&mut conn, person).await?.ok_or_else(Error::not_found)?;
    permit::<op::SeePerson>(&mut conn, &actor, Object::Person(person)).await?;
    let fully = permit::<op::SeePersonFully>(&mut conn, &actor, Object::Person(person)).await.is_ok();
    let erased = line.state == "erased";
    let gone = matches!(line.state.as_str(), "left" | "erased");
    let mut shown = line_json(&Line { employment: line.employment.clone().filter(|_| !erased), ..line.clone() }, false);
    shown["state"] = json!((fully || gone).then_some(&line.state));
    shown["mail"] = json!(line.mail);
    shown["phone"] = json!(line.phone);
    let told = fully && !erased;
    shown["employee_number"] = json!(line.employee_number.as_ref().filter(|_| told));
    shown["source"] = json!(told.then_some(&line.source));
    shown["employments"] = if told { employments(&mut conn, person).await? } else { Value::Null };
    shown["grants"] = match fully && bearer.has("grants:read") {
        true => held(&mut conn, person).await?,
        false => Value::Null,
    };
    Ok(Json(shown))
}

async fn employments(conn: &mut PgConnection, person: PersonId) -> Result<Value, Error> {
    let employments = people::employments(conn, person).await?;
    let shown = employments.iter().map(|employed| {
        json!({
            "title": employed.title,
            "department": employed.department,
            "site": employed.site,
            "first_day": employed.first_day,
            "last_day": employed.last_day,
        })
    });
    Ok(shown.collect())
}

async fn held(conn: &mut PgConnection, person: PersonId) -> Result<Value, Error> {
    Ok(grants::held_by(conn, person).await?.iter().map(grant_json).collect())
}

fn grant_json(held: &Held) -> Value {
    json!({
        "id": held.grant,
        "entitlement": {"id": held.entitlement, "name": held.name},
        "sox": held.sox,
        "account": held.account,
        "reason": held.reason,
        "reason_text": held.reason_text,
        "starts_at": held.starts_at,
        "until_on": held.until_on,
        "request": held.request,
        "asked_by": held.asked_by,
        "decided_by": held.decided_by,
    })
}

/// `GET /api/v1/people/{id}/grants`: all that stand, at once.
pub async fn grants(
    State(state): State<AppState>,
    Path(path): Path<String>,
    bearer: Bearer,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Error> {
    bearer.scope("grants:read")?;
    bearer.scope("people:read")?;
    Params::of(query, &[])?;
    let person: PersonId = id(&path)?;
    let mut conn = state.pool.acquire().await?;
    lookup::person(&mut conn, person).await?.ok_or_else(Error::not_found)?;
    permit::<op::SeePersonFully>(&mut conn, &bearer.actor(), Object::Person(person)).await?;
    Ok(Json(json!({"items": held(&mut conn, person).await?, "next": null})))
}
