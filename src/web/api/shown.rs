//! A request as the API shows it: with the items that the bearer may see.

use std::collections::HashMap;

use serde_json::{Value as Json, json};
use sqlx::PgConnection;

use super::Bearer;
use crate::access::scope;
use crate::catalog;
use crate::changes::{self, Step};
use crate::ids::{EntitlementId, ItemId, PersonId, RequestNumber};
use crate::requests::desk::{self, Comment};
use crate::requests::{self as asking, Item, Request, Stage};
use crate::web::{Error, lookup};

/// One item as the decider sees it.
pub async fn item(
    conn: &mut PgConnection,
    bearer: &Bearer,
    number: RequestNumber,
    ordinal: i32,
) -> Result<Option<Json>, Error> {
    let Some(request) = asking::find(conn, number).await? else { return Ok(None) };
    let visible = scope::visible_items(conn, &bearer.viewer, request.id).await?;
    let items = asking::items(conn, request.id).await?;
    let Some(item) = items.iter().find(|item| item.ordinal == ordinal && visible.shows(item.id)) else {
        return Ok(None);
    };
    let stages = asking::stages(conn, request.id).await?;
    let steps = changes::steps(conn, request.id, false).await?;
    Ok(Some(item_json(item, &stages, &steps)))
}

/// A request with the items that the bearer may see.
pub async fn request(conn: &mut PgConnection, bearer: &Bearer, request: &Request) -> Result<Json, Error> {
    let visible = scope::visible_items(conn, &bearer.viewer, request.id).await?;
    let items = asking::items(conn, request.id).await?;
    let stages = asking::stages(conn, request.id).await?;
    let steps = changes::steps(conn, request.id, false).await?;
    let shown: Vec<Json> =
        items.iter().filter(|item| visible.shows(item.id)).map(|item| item_json(item, &stages, &steps)).collect();
    // Whoever decides about one item sees that item, not everything about the person.
    let (answers, comments) = if visible == scope::Items::All {
        (answers(conn, request).await?, desk::comments(conn, request.id).await?)
    } else {
        (json!({}), Vec::new())
    };
    Ok(json!({
        "number": request.number.0,
        "kind": request.kind,
        "state": request.state,
        "title": request.title,
        "asked_by": request.asked_by_name,
        "asked_at": request.asked_at,
        "settled_at": request.settled_at,
        "answers": answers,
        "items": shown,
        "comments": comments.iter().map(comment).collect::<Vec<_>>(),
    }))
}

/// The answers as they are asked for: people by what is typed for them, groups by name.
async fn answers(conn: &mut PgConnection, request: &Request) -> Result<Json, Error> {
    let mut answers = request.answers["answers"].clone();
    for name in ["manager", "person"] {
        let id: Option<PersonId> = answers[name].as_str().and_then(|id| id.parse().ok());
        if let Some(id) = id
            && let Some(line) = lookup::person(conn, id).await?
        {
            answers[name] = json!(line.key);
        }
    }
    for name in ["groups", "leave"] {
        let ids: Vec<EntitlementId> = answers[name]
            .as_array()
            .map(|ids| ids.iter().filter_map(|id| id.as_str()?.parse().ok()).collect())
            .unwrap_or_default();
        if !ids.is_empty() {
            let found = catalog::find_many(conn, &ids).await?;
            let names: HashMap<EntitlementId, String> = found.into_iter().map(|found| (found.id, found.name)).collect();
            answers[name] = ids.iter().map(|id| names.get(id).map_or_else(|| json!(id), |name| json!(name))).collect();
        }
    }
    Ok(answers)
}

/// A comment.
pub fn comment(comment: &Comment) -> Json {
    json!({"id": comment.id, "by": comment.name, "body": comment.body, "at": comment.written_at})
}

fn item_json(item: &Item, stages: &[Stage], steps: &[Step]) -> Json {
    let of = |other: ItemId| other == item.id;
    json!({
        "item": item.ordinal,
        "label": item.label,
        "state": item.state,
        "sox": item.sox,
        "digest": item.digest,
        "why": item.why,
        "stages": stages.iter().filter(|stage| of(stage.item)).map(stage_json).collect::<Vec<_>>(),
        "steps": steps.iter().filter(|step| of(step.item)).map(step_json).collect::<Vec<_>>(),
    })
}

fn stage_json(stage: &Stage) -> Json {
    let decisions: Vec<Json> = stage
        .decisions
        .iter()
        .map(|decision| {
            json!({
                "by": decision.name,
                "for": decision.stands_for,
                "decision": decision.verdict,
                "digest": decision.digest,
                "comment": decision.comment,
                "at": decision.decided_at,
            })
        })
        .collect();
    json!({
        "name": stage.name,
        "role": stage.role,
        "state": stage.state,
        "reason": stage.reason,
        "needs": stage.needed.map_or(json!("all"), |needed| json!(needed)),
        "deciders": stage.deciders,
        "decisions": decisions,
    })
}

fn step_json(step: &Step) -> Json {
    json!({
        "id": step.name,
        "system": step.system,
        "kind": step.kind,
        "key": step.key,
        "label": step.label,
        "why": step.why,
        "state": step.state,
        "told": step.told,
        "after": step.after,
        "not_before": step.not_before,
        "presence": step.difference.presence,
        "changes": step.difference.changes,
    })
}
