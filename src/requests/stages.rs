//! From a route to stages with people: who is asked, in order, and who may answer.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::RequestError;
use crate::catalog::{About, DeciderRole, Entitlement, Needed, RouteInput, Rules, StageRule};
use crate::ids::{ItemId, PersonId, RequestId};
use crate::people;
use crate::plan::PlannedItem;

/// What an item's route is chosen by.
pub(super) struct Situation<'a> {
    pub rules: &'a Rules,
    pub route_kind: &'a str,
    /// Whom it is about; for a joiner the manager stands in for the org chart.
    pub subject: PersonId,
    pub manager: Option<PersonId>,
    pub asked_by: Option<PersonId>,
    /// The subject decides nothing in it.
    pub subject_is_party: bool,
    /// The subject decides here, holds a role or a SOX entitlement: a second person is wanted.
    pub privileged: bool,
}

/// A stage as it will be written.
pub(super) struct Planned {
    pub id: Uuid,
    pub role: &'static str,
    pub name: String,
    pub needed: Option<i32>,
    pub reason: String,
    /// Asked by name; empty where a role is asked.
    pub deciders: Vec<PersonId>,
}

/// The stages that an item needs, in order.
pub(super) async fn plan(
    conn: &mut PgConnection,
    situation: &Situation<'_>,
    item: &PlannedItem,
    entitlement: Option<&Entitlement>,
) -> Result<Vec<Planned>, RequestError> {
    let asked_by_manager = match (situation.asked_by, situation.manager) {
        (Some(asker), Some(manager)) if asker == manager => true,
        (Some(asker), _) => people::reports_to(conn, situation.subject, asker).await?,
        (None, _) => false,
    };
    let about = match entitlement {
        Some(entitlement) => About::Entitlement { risk: entitlement.risk, sox: item.sox },
        None => About::Account,
    };
    let owner = entitlement.map_or(item.owner, |entitlement| entitlement.owner);
    let input = RouteInput {
        kind: situation.route_kind.to_owned(),
        about,
        asked_by_manager,
        asked_by_owner: owner.is_some() && owner == situation.asked_by,
        privileged: situation.privileged,
    };
    let mut planned = Vec::new();
    for rule in situation.rules.routes.body.stages(&input) {
        planned.push(stage(conn, situation, &rule, (item, entitlement)).await?);
    }
    if !item.together.is_empty() {
        planned.push(apart(situation, item));
    }
    Ok(planned)
}

/// What would be held together: security decides last, with the conflict before their eyes. Where the route asks them
/// anyway, this is a question of its own.
fn apart(situation: &Situation<'_>, item: &PlannedItem) -> Planned {
    let version = situation.rules.separation.version;
    let reason = format!("Separation of duties, version {version}. {}.", item.together.join(". "));
    by_role("security", "Security: separation of duties", Some(1), &reason)
}

async fn stage(
    conn: &mut PgConnection,
    situation: &Situation<'_>,
    rule: &StageRule,
    (item, entitlement): (&PlannedItem, Option<&Entitlement>),
) -> Result<Planned, RequestError> {
    let needed = match rule.needed {
        Needed::One => Some(1),
        Needed::All => None,
        Needed::Count(count) => Some(i32::try_from(count).unwrap_or(i32::MAX)),
    };
    let (role, name, first) = match rule.role {
        DeciderRole::Desk => return Ok(by_role("desk", "Service desk", needed, &rule.reason)),
        DeciderRole::Security => return Ok(by_role("security", "Security", needed, &rule.reason)),
        DeciderRole::Manager => {
            let manager = match situation.manager {
                Some(manager) => Some(manager),
                None => people::manager_of(conn, situation.subject).await?,
            };
            ("manager", "Line manager".to_owned(), manager)
        }
        DeciderRole::Owner => {
            let name =
                entitlement.map_or_else(|| "Owner".to_owned(), |entitlement| format!("Owner of {}", entitlement.name));
            ("owner", name, entitlement.map_or(item.owner, |entitlement| entitlement.owner))
        }
    };
    let stage = match next_in_line(conn, situation, first).await? {
        Some((person, is_themselves)) => {
            let higher = " Asked one step higher, because nobody decides about themselves.";
            let reason = format!("{}{}", rule.reason, if is_themselves { "" } else { higher });
            Planned { id: Uuid::now_v7(), role, name, needed, reason, deciders: vec![person] }
        }
        // Never approved by default: the desk lead sees to it.
        None => by_role(
            "desk_lead",
            "Desk lead",
            Some(1),
            &format!(
                "{} Nobody who could decide this as {} is known, so it goes to the desk lead.",
                rule.reason,
                name.to_lowercase()
            ),
        ),
    };
    Ok(stage)
}

fn by_role(role: &'static str, name: &str, needed: Option<i32>, reason: &str) -> Planned {
    let (name, needed, reason) = (name.to_owned(), needed.or(Some(1)), reason.to_owned());
    Planned { id: Uuid::now_v7(), role, name, needed, reason, deciders: Vec::new() }
}

/// The person, or the next above them who is not a party and works here. The flag: it is the person themselves.
async fn next_in_line(
    conn: &mut PgConnection,
    situation: &Situation<'_>,
    first: Option<PersonId>,
) -> Result<Option<(PersonId, bool)>, RequestError> {
    let mut candidate = first;
    // An org chart has few levels; the bound guards against a circle in the data.
    for level in 0..20 {
        let Some(person) = candidate else { return Ok(None) };
        let is_party =
            (situation.subject_is_party && person == situation.subject) || Some(person) == situation.asked_by;
        let works_here = people::find(conn, person).await?.is_some_and(|person| person.state == "active");
        if !is_party && works_here {
            return Ok(Some((person, level == 0)));
        }
        candidate = people::manager_of(conn, person).await?;
    }
    Ok(None)
}

/// Writes the stages of items' plans, of each the first one open.
pub(super) async fn write(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    items: &[(ItemId, i32, &[Planned])],
) -> Result<(), sqlx::Error> {
    let (mut rows, mut asking, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    for (item, plan_number, stages) in items {
        for (ordinal, stage) in (1i32..).zip(*stages) {
            rows.push(serde_json::json!({
                "id": stage.id, "item": item, "plan_number": plan_number, "ordinal": ordinal, "role": stage.role,
                "name": stage.name, "needed": stage.needed, "reason": stage.reason,
            }));
            asking.extend(stage.deciders.iter().map(|_| stage.id));
            asked.extend(stage.deciders.iter().map(|person| person.0));
        }
    }
    sqlx::query!(
        "with made as (
             insert into stage (id, item, plan_number, ordinal, role, name, needed, reason, state, opened_at)
             select s.id, s.item, s.plan_number, s.ordinal, s.role, s.name, s.needed, s.reason,
                    case when s.ordinal = 1 then 'open' else 'waiting' end, case when s.ordinal = 1 then $1::timestamptz end
               from jsonb_to_recordset($2) as s (id uuid, item uuid, plan_number integer, ordinal integer, role text,
                                                 name text, needed integer, reason text)
         )
         insert into stage_decider (stage, person)
         select d.stage, d.person from unnest($3::uuid[], $4::uuid[]) as d (stage, person) on conflict do nothing",
        now,
        serde_json::Value::Array(rows),
        &asking,
        &asked,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// For whom this person would decide the stage: themselves first, else somebody who delegated to them; None: not theirs.
///
/// Whoever is a party of the request decides nothing in it, neither themselves nor through a delegate.
pub(super) async fn stands_for(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (request, stage): (RequestId, Uuid),
    person: PersonId,
) -> Result<Option<PersonId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with asked as (
               select d.person from stage_decider d where d.stage = $1
                union
               select h.person from stage s
                 join role_holding h on h.role = s.role or (s.role = 'desk' and h.role = 'desk_lead')
                where s.id = $1 and s.role in ('desk', 'security', 'desk_lead')
           ), allowed as (
               select a.person from asked a
                where not exists (select from request_role r
                                   where r.request = $2 and r.person = a.person and r.role = 'party')
                  and not exists (select from decision d where d.stage = $1 and d.stands_for = a.person)
           )
           select a.person as "person!: PersonId"
             from allowed a
            where not exists (select from request_role r where r.request = $2 and r.person = $3 and r.role = 'party')
              and (a.person = $3
                   or exists (select from delegation g
                               where g.person = a.person and g.delegate = $3 and g.ended_at is null
                                 and local_day(g.person, $4) between g.from_day and g.last_day))
            order by (a.person = $3) desc, a.person
            limit 1"#,
        stage,
        request.0,
        person.0,
        now,
    )
    .fetch_optional(conn)
    .await
}
