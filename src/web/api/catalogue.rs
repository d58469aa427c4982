//! What can be held.

use axum::Json;
use axum::extract::{Path, State};
use axum_extra::extract::Query;
use serde_json::{Value, json};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::paging::{Page, Params};
use super::{Bearer, id};
use crate::access::{Object, op, permit};
use crate::catalog::{self, Entitlement};
use crate::ids::EntitlementId;
use crate::web::{AppState, Error};

/// `GET /api/v1/catalogue`
pub async fn list(
    State(state): State<AppState>,
    bearer: Bearer,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Error> {
    bearer.scope("catalogue:read")?;
    let params = Params::of(query, &["q", "limit", "cursor"])?;
    let page: Page<(String, Uuid)> = Page::of(&bearer, "catalogue", &params)?;
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeCatalogue>(&mut conn, &bearer.actor(), Object::None).await?;
    let mut query = QueryBuilder::<Postgres>::new("select e.id from entitlement e where true");
    let words = deunicode::deunicode(params.text("q").unwrap_or_default()).to_lowercase();
    let words = words.replace(['%', '_', '\\', '\0'], "");
    if !words.is_empty() {
        query.push(" and e.folded like ").push_bind(format!("%{words}%"));
    }
    if let Some((name, id)) = page.after.clone() {
        query.push(" and (e.name, e.id) > (").push_bind(name).push(", ").push_bind(id).push(")");
    }
    query.push(" order by e.name, e.id limit ").push_bind(page.fetch());
    let ids: Vec<EntitlementId> = query.build_query_scalar().fetch_all(&mut *conn).await?;
    let found = catalog::find_many(&mut conn, &ids).await?;
    Ok(Json(page.answer(found, |found| (found.name.clone(), found.id.0), shown)))
}

fn shown(entitlement: &Entitlement) -> Value {
    json!({
        "id": entitlement.id,
        "name": entitlement.name,
        "description": entitlement.description,
        "system": entitlement.system.0,
        "kind": entitlement.held.as_str(),
        "right": entitlement.right,
        "native_id": entitlement.native_id,
        "owner": entitlement.owner.zip(entitlement.owner_name.as_ref()).map(|(id, name)| json!({"id": id, "name": name})),
        "risk": entitlement.risk.as_str(),
        "sox": entitlement.sox,
        "requestable": entitlement.requestable,
    })
}

/// `GET /api/v1/catalogue/{id}`
pub async fn one(
    State(state): State<AppState>,
    Path(path): Path<String>,
    bearer: Bearer,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Error> {
    bearer.scope("catalogue:read")?;
    Params::of(query, &[])?;
    let entitlement: EntitlementId = id(&path)?;
    let mut conn = state.pool.acquire().await?;
    let actor = bearer.actor();
    let found = catalog::find(&mut conn, entitlement).await?.ok_or_else(Error::not_found)?;
    permit::<op::SeeCatalogue>(&mut conn, &actor, Object::Entitlement(entitlement)).await?;
    let mut shown = shown(&found);
    // How many hold it is told to those who may see who, and with the scope for it.
    shown["holders"] = match permit::<op::SeeHolders>(&mut conn, &actor, Object::Entitlement(entitlement)).await {
        Ok(_) => json!(
            sqlx::query_scalar!(
                r#"select count(distinct person) as "count!" from access_grant where entitlement = $1 and ended_at is null"#,
                entitlement.0
            )
            .fetch_one(&mut *conn)
            .await?
        ),
        Err(_) => Value::Null,
    };
    Ok(Json(shown))
}
