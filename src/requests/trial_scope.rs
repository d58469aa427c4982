//! What other settings of a target system would have done: which accounts, groups, people and open steps fall out of the units
//! in scope or come into it, and which rules would lead nowhere.

use sqlx::PgConnection;

use super::RequestError;
use super::trial::{Row, Tried};
use crate::catalog::proposals::{SystemBody, places_outside};
use crate::catalog::{self, UnitScope};
use crate::ids::RequestNumber;
use crate::numbers::count;

/// Objects of one kind that are named.
const NAMED: i64 = 20;

struct Moves<'a> {
    key: &'a str,
    from: serde_json::Value,
    to: serde_json::Value,
}

pub(super) async fn system(
    conn: &mut PgConnection,
    key: &str,
    (from, to): (Option<SystemBody>, Option<SystemBody>),
) -> Result<Tried, RequestError> {
    let scope = |body: &Option<SystemBody>| body.as_ref().map(SystemBody::scope).unwrap_or_default();
    let (from_scope, to_scope) = (scope(&from), scope(&to));
    let steps = open_steps(conn, key).await?;
    if from_scope == to_scope {
        return Ok(Tried::of(
            count(steps, "open step", "open steps"),
            Vec::new(),
            "Steps that are open wait until it is taken back; what a worker is at is finished.",
        ));
    }
    let json = |scope: &UnitScope| serde_json::to_value(scope).map_err(|error| sqlx::Error::Encode(Box::new(error)));
    let moves = Moves { key, from: json(&from_scope)?, to: json(&to_scope)? };
    let (on, mut rows) = totals(conn, &moves).await?;
    rows.extend(rules(conn, key, &to_scope).await?);
    rows.extend(units(conn, key, &to_scope).await?);
    rows.extend(steps_moved(conn, &moves).await?);
    rows.extend(named(conn, &moves).await?);
    Ok(Tried::of(
        on,
        rows,
        "What is outside is read, never written: requests for it are refused, steps that are open stop for a person, and rules link no account there.",
    ))
}

async fn open_steps(conn: &mut PgConnection, key: &str) -> Result<usize, sqlx::Error> {
    let steps = sqlx::query_scalar!(
        r#"select count(*) as "count!" from step where system = $1 and state in ('waiting', 'ready', 'running', 'retrying', 'blocked')"#,
        key
    );
    Ok(usize::try_from(steps.fetch_one(conn).await?).unwrap_or(0))
}

/// How many of each kind are in scope, before and after; and what it was tried on.
async fn totals(conn: &mut PgConnection, moves: &Moves<'_>) -> Result<(String, Vec<Row>), sqlx::Error> {
    let found = sqlx::query!(
        r#"with a as (select person, in_scope(dn, $2) as was, in_scope(dn, $3) as now from account where system = $1 and gone_at is null),
                g as (select in_scope(dn, $2) as was, in_scope(dn, $3) as now from directory_group where system = $1 and gone_at is null)
           select (select count(*) from a) as "accounts!", (select count(*) from g) as "groups!",
                  (select count(*) from a where was) as "accounts_was!", (select count(*) from a where now) as "accounts_now!",
                  (select count(distinct person) from a where was) as "people_was!",
                  (select count(distinct person) from a where now) as "people_now!",
                  (select count(*) from g where was) as "groups_was!", (select count(*) from g where now) as "groups_now!""#,
        moves.key,
        moves.from,
        moves.to
    )
    .fetch_one(conn)
    .await?;
    let row = |what: &str, was: i64, now: i64| {
        (was != now).then(|| Row {
            what: what.to_owned(),
            from: Some(format!("{was} in scope")),
            to: Some(format!("{now} in scope")),
        })
    };
    let rows = [
        row("Accounts", found.accounts_was, found.accounts_now),
        row("People with an account", found.people_was, found.people_now),
        row("Groups", found.groups_was, found.groups_now),
    ];
    let number = |of: i64| usize::try_from(of).unwrap_or(0);
    let on = format!(
        "{} and {}",
        count(number(found.accounts), "account", "accounts"),
        count(number(found.groups), "group", "groups")
    );
    Ok((on, rows.into_iter().flatten().collect()))
}

fn row(what: String, covered: bool, place: &str) -> Row {
    let (inside, outside) = ("in scope".to_owned(), format!("outside: {place}"));
    if covered {
        Row { what, from: Some(outside), to: Some(inside) }
    } else {
        Row { what, from: Some(inside), to: Some(outside) }
    }
}

/// Accounts and groups that move, by name.
async fn named(conn: &mut PgConnection, moves: &Moves<'_>) -> Result<Vec<Row>, sqlx::Error> {
    let found = sqlx::query!(
        r#"(select 'Account ' || user_name || ' (' || display_name || ')' as "what!", dn as "dn!", in_scope(dn, $3) as "now!"
              from account where system = $1 and gone_at is null and in_scope(dn, $2) <> in_scope(dn, $3)
             order by person is null, user_name limit $4)
           union all
           (select 'Group ' || name, dn, in_scope(dn, $3)
              from directory_group where system = $1 and gone_at is null and in_scope(dn, $2) <> in_scope(dn, $3)
             order by name limit $4)"#,
        moves.key,
        moves.from,
        moves.to,
        NAMED
    )
    .fetch_all(conn)
    .await?;
    Ok(found.into_iter().map(|found| row(found.what, found.now, &found.dn)).collect())
}

/// Open steps that would stop, or could go on.
async fn steps_moved(conn: &mut PgConnection, moves: &Moves<'_>) -> Result<Vec<Row>, sqlx::Error> {
    let found = sqlx::query!(
        r#"select * from (
             select r.number, r.restricted, s.label, s.id,
                    coalesce((select dn from account where system = s.system and native_id::text = s.key->>'id'),
                             (select dn from directory_group where system = s.system and native_id::text = s.key->>'group'),
                             (select change->>'to' from jsonb_array_elements(s.difference->'changes') change
                               where change->>'attribute' = 'parent' limit 1)) as "place!"
               from step s join request r on r.id = s.request
              where s.system = $1 and s.state in ('waiting', 'ready', 'running', 'retrying', 'blocked')) steps
            where "place!" is not null and in_scope("place!", $2) <> in_scope("place!", $3)
            order by number, id limit $4"#,
        moves.key,
        moves.from,
        moves.to,
        NAMED
    )
    .fetch_all(conn)
    .await?;
    let scope: UnitScope = serde_json::from_value(moves.to.clone()).unwrap_or_default();
    let named = found.into_iter().map(|found| {
        let label = if found.restricted { "a restricted request" } else { found.label.as_str() };
        let what = format!("Open step of {}: {label}", RequestNumber(found.number));
        row(what, scope.covers(&found.place), &found.place)
    });
    Ok(named.collect())
}

/// Rules that would put somebody outside.
async fn rules(conn: &mut PgConnection, key: &str, scope: &UnitScope) -> Result<Vec<Row>, RequestError> {
    let first = catalog::target_systems(conn).await?.into_iter().find(|system| system.key.family() == "ad");
    let Ok(rules) = catalog::rules(conn).await else { return Ok(Vec::new()) };
    let mut rows = Vec::new();
    if first.is_some_and(|first| first.key.0 == key) {
        rows.extend(places_outside(&rules.naming.body, scope).into_iter().map(|(field, unit)| {
            let (what, follows) = match field {
                "parent" => ("Naming rules: where accounts are made", "joiners there would be refused"),
                _ => ("Naming rules: where accounts are kept", "accounts of people who leave stay where they are"),
            };
            Row { what: what.to_owned(), from: None, to: Some(format!("{unit}: {follows}")) }
        }));
    }
    let ids: Vec<uuid::Uuid> =
        rules.birthright.body.rules.iter().flat_map(|rule| rule.entitlements.iter().map(|id| id.0)).collect();
    let json = serde_json::to_value(scope).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let groups = sqlx::query!(
        r#"select e.name, g.dn from entitlement e join directory_group g on g.system = e.system and g.native_id = e.native_id
            where e.id = any($1) and e.system = $2 and e.kind = 'group_membership' and not in_scope(g.dn, $3) order by 1"#,
        &ids,
        key,
        json
    )
    .fetch_all(conn)
    .await?;
    rows.extend(groups.into_iter().map(|group| Row {
        what: format!("Birthright gives {}", group.name),
        from: None,
        to: Some(format!("{}: joiners who would get it are refused", group.dn)),
    }));
    Ok(rows)
}

/// Units in which the mirror has seen nothing: new ones, or misspelt.
async fn units(conn: &mut PgConnection, key: &str, scope: &UnitScope) -> Result<Vec<Row>, sqlx::Error> {
    let mut rows = Vec::new();
    for unit in scope.units.iter().chain(&scope.excluded) {
        let one = UnitScope { units: vec![unit.clone()], excluded: Vec::new() };
        let json = serde_json::to_value(one).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        let seen = sqlx::query_scalar!(
            r#"select exists (select from account where system = $1 and gone_at is null and in_scope(dn, $2))
                   or exists (select from directory_group where system = $1 and gone_at is null and in_scope(dn, $2)) as "seen!""#,
            key,
            json
        );
        if !seen.fetch_one(&mut *conn).await? {
            let to = "nothing was seen in it yet: the test of the connection tells whether it is there".to_owned();
            rows.push(Row { what: format!("Unit {unit}"), from: None, to: Some(to) });
        }
    }
    Ok(rows)
}
