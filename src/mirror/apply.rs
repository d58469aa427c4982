//! Taking in what a connector saw: accounts, groups, memberships.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::mail;
use crate::target::{Batch, ChangedObject, Kind, Native, State, SystemKey, Value};

/// One piece of a feed. Groups come before memberships, and what is gone last.
pub async fn apply(conn: &mut PgConnection, system: &SystemKey, batch: &Batch) -> Result<(), sqlx::Error> {
    for changed in &batch.changed {
        let Some(object) = &changed.seen else { continue };
        saw(conn, system, object.kind, changed.id, &object.state, &object.native).await?;
        let (added, removed) = (&object.members_added, &object.members_removed);
        match object.kind {
            Kind::Group => members(conn, system, changed.id, object).await?,
            Kind::List => {
                mail::members(conn, system, changed.id, (added, removed, object.members_whole)).await?;
            }
            _ => {}
        }
        if let Some(rights) = &object.rights {
            mail::rights(conn, system, changed.id, rights).await?;
        }
    }
    let gone_ids: Vec<Uuid> =
        batch.changed.iter().filter(|changed| changed.seen.is_none()).map(|changed| changed.id).collect();
    gone(conn, system, &gone_ids).await
}

/// Keeps an account or a group as a connector just saw it: from the feed, or from a step's own look afterwards.
/// Memberships have [`saw_membership`].
///
/// A step's look may be settled after the feed has told something newer of the same object: on one server the object's own
/// change number decides, and the older sighting is dropped.
///
/// # Errors
/// Where the database refuses.
pub async fn saw(
    conn: &mut PgConnection,
    system: &SystemKey,
    kind: Kind,
    id: Uuid,
    state: &State,
    native: &Native,
) -> Result<(), sqlx::Error> {
    match kind {
        Kind::User => account(conn, system, id, state, native).await,
        Kind::Group => group(conn, system, id, state, native).await,
        Kind::Mailbox => mail::mailbox(conn, system, id, (state, native)).await,
        Kind::List => mail::list(conn, system, id, (state, native)).await,
        _ => Ok(()),
    }
}

pub(super) fn text<'a>(state: &'a State, attribute: &str) -> Option<&'a str> {
    state.get(attribute).as_text()
}

fn truth(state: &State, attribute: &str) -> bool {
    state.get(attribute) == &Value::Bool(true)
}

fn moment(state: &State, attribute: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text(state, attribute)?).ok().map(|at| at.to_utc())
}

/// A name to show and to sort by: the first of the attributes that is there.
fn name<'a>(state: &'a State, attributes: [&str; 3]) -> &'a str {
    attributes.into_iter().find_map(|attribute| text(state, attribute)).unwrap_or_default()
}

async fn account(
    conn: &mut PgConnection,
    system: &SystemKey,
    id: Uuid,
    state: &State,
    native: &Native,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into account (system, native_id, user_name, upn, display_name, mail, employee_number, dn, enabled, locked,
                              protected, must_change_password, password_set_at, expires_at, last_sign_in_at,
                              attributes, native)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
         on conflict (system, native_id) do update
            set user_name = excluded.user_name, upn = excluded.upn, display_name = excluded.display_name,
                mail = excluded.mail, employee_number = excluded.employee_number, dn = excluded.dn,
                enabled = excluded.enabled, locked = excluded.locked, protected = excluded.protected,
                must_change_password = excluded.must_change_password, password_set_at = excluded.password_set_at,
                expires_at = excluded.expires_at, last_sign_in_at = excluded.last_sign_in_at,
                attributes = excluded.attributes, native = excluded.native, seen_at = clock_timestamp(), gone_at = null
          where account.native->>'server' is distinct from excluded.native->>'server' or account.gone_at is not null
             or coalesce((account.native->>'usn')::bigint <= (excluded.native->>'usn')::bigint, true)",
        system.0,
        id,
        name(state, ["sAMAccountName", "userPrincipalName", "cn"]),
        text(state, "userPrincipalName"),
        name(state, ["displayName", "cn", "sAMAccountName"]),
        text(state, "mail"),
        text(state, "employeeID"),
        name(state, ["dn", "cn", "sAMAccountName"]),
        truth(state, "enabled"),
        truth(state, "locked"),
        truth(state, "protected"),
        truth(state, "mustChangePassword"),
        moment(state, "passwordLastSet"),
        moment(state, "accountExpires"),
        moment(state, "lastLogonTimestamp"),
        json(state)?,
        json(native)?,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn group(
    conn: &mut PgConnection,
    system: &SystemKey,
    id: Uuid,
    state: &State,
    native: &Native,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into directory_group (system, native_id, name, description, dn, attributes, native)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (system, native_id) do update
            set name = excluded.name, description = excluded.description, dn = excluded.dn,
                attributes = excluded.attributes, native = excluded.native, seen_at = clock_timestamp(), gone_at = null
          where directory_group.native->>'server' is distinct from excluded.native->>'server' or directory_group.gone_at is not null
             or coalesce((directory_group.native->>'usn')::bigint <= (excluded.native->>'usn')::bigint, true)",
        system.0,
        id,
        name(state, ["name", "sAMAccountName", "dn"]),
        text(state, "description").unwrap_or_default(),
        name(state, ["dn", "name", "sAMAccountName"]),
        json(state)?,
        json(native)?,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<serde_json::Value, sqlx::Error> {
    serde_json::to_value(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

async fn members(
    conn: &mut PgConnection,
    system: &SystemKey,
    group: Uuid,
    object: &ChangedObject,
) -> Result<(), sqlx::Error> {
    if object.members_whole {
        sqlx::query!(
            "delete from membership where system = $1 and group_id = $2 and member_id <> all($3)",
            system.0,
            group,
            &object.members_added
        )
        .execute(&mut *conn)
        .await?;
    } else if !object.members_removed.is_empty() {
        sqlx::query!(
            "delete from membership where system = $1 and group_id = $2 and member_id = any($3)",
            system.0,
            group,
            &object.members_removed
        )
        .execute(&mut *conn)
        .await?;
    }
    sqlx::query!(
        "insert into membership (system, group_id, member_id) select $1, $2, unnest($3::uuid[]) on conflict do nothing",
        system.0,
        group,
        &object.members_added
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps a membership as a connector just saw it. Nothing happens for a group that the mirror does not know yet.
///
/// # Errors
/// Where the database refuses.
pub async fn saw_membership(
    conn: &mut PgConnection,
    system: &SystemKey,
    (group, member): (Uuid, Uuid),
    there: bool,
) -> Result<(), sqlx::Error> {
    if there {
        sqlx::query!(
            "insert into membership (system, group_id, member_id)
             select g.system, g.native_id, $3 from directory_group g where g.system = $1 and g.native_id = $2
             on conflict do nothing",
            system.0,
            group,
            member
        )
        .execute(conn)
        .await?;
    } else {
        sqlx::query!(
            "delete from membership where system = $1 and group_id = $2 and member_id = $3",
            system.0,
            group,
            member
        )
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// Keeps that a step of ours took an object away.
///
/// # Errors
/// Where the database refuses.
pub async fn went(conn: &mut PgConnection, system: &SystemKey, id: Uuid) -> Result<(), sqlx::Error> {
    gone(conn, system, &[id]).await
}

/// Marks what the target no longer has, and ends its memberships.
pub async fn gone(conn: &mut PgConnection, system: &SystemKey, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update account set gone_at = now() where system = $1 and native_id = any($2) and gone_at is null",
        system.0,
        ids
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update directory_group set gone_at = now() where system = $1 and native_id = any($2) and gone_at is null",
        system.0,
        ids
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "delete from membership where system = $1 and (group_id = any($2) or member_id = any($2))",
        system.0,
        ids
    )
    .execute(&mut *conn)
    .await?;
    mail::gone(conn, system, ids).await
}
