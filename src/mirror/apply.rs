//! Taking in what a connector saw: accounts, groups, memberships.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::mail;
use crate::target::{Batch, ChangedObject, Kind, Native, State, SystemKey, Value};

/// Objects written in one statement.
const AT_ONCE: usize = 500;

/// An object as it was seen.
type Sighting<'a> = (Uuid, &'a State, &'a Native);

/// One piece of a feed. Groups come before memberships, and what is gone last.
pub async fn apply(conn: &mut PgConnection, system: &SystemKey, batch: &Batch) -> Result<(), sqlx::Error> {
    let seen = || batch.changed.iter().filter_map(|changed| Some((changed.id, changed.seen.as_ref()?)));
    // Of an object that a piece speaks of twice, the last is what it is.
    let of = |kind: Kind| -> Vec<Sighting<'_>> {
        let objects = seen().filter(|(_, object)| object.kind == kind);
        let last: BTreeMap<Uuid, _> = objects.map(|(id, object)| (id, (&object.state, &object.native))).collect();
        last.into_iter().map(|(id, (state, native))| (id, state, native)).collect()
    };
    for some in of(Kind::User).chunks(AT_ONCE) {
        accounts(conn, system, some).await?;
    }
    for some in of(Kind::Group).chunks(AT_ONCE) {
        groups(conn, system, some).await?;
    }
    members(conn, system, seen().filter(|(_, object)| object.kind == Kind::Group)).await?;
    for (id, object) in seen().filter(|(_, object)| !matches!(object.kind, Kind::User | Kind::Group)) {
        saw(conn, system, object.kind, id, &object.state, &object.native).await?;
        if object.kind == Kind::List {
            let list = (object.members_added.as_slice(), object.members_removed.as_slice(), object.members_whole);
            mail::members(conn, system, id, list).await?;
        }
        if let Some(rights) = &object.rights {
            mail::rights(conn, system, id, rights).await?;
        }
    }
    let gone_ids: Vec<Uuid> =
        batch.changed.iter().filter(|changed| changed.seen.is_none()).map(|changed| changed.id).collect();
    gone(conn, system, &gone_ids).await
}

/// Keeps an account or a group as a connector just saw it: from the feed, or from a step's own look afterwards.
/// Memberships have [`saw_memberships`].
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
        Kind::User => accounts(conn, system, &[(id, state, native)]).await,
        Kind::Group => groups(conn, system, &[(id, state, native)]).await,
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

async fn accounts(conn: &mut PgConnection, system: &SystemKey, seen: &[Sighting<'_>]) -> Result<(), sqlx::Error> {
    let truths = |attribute: &str| seen.iter().map(|(_, state, _)| truth(state, attribute)).collect::<Vec<_>>();
    let texts = |attribute: &str| seen.iter().map(|(_, state, _)| text(state, attribute)).collect::<Vec<_>>();
    let moments = |attribute: &str| seen.iter().map(|(_, state, _)| moment(state, attribute)).collect::<Vec<_>>();
    sqlx::query!(
        "insert into account (system, native_id, user_name, upn, display_name, mail, employee_number, dn, enabled, locked,
                              protected, must_change_password, password_set_at, expires_at, last_sign_in_at,
                              attributes, native)
         select $1, given.*
           from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bool[], $10::bool[],
                       $11::bool[], $12::bool[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::jsonb[],
                       $17::jsonb[]) as given (id, user_name, upn, display_name, mail, employee_number, dn, enabled, locked,
                                               protected, must_change_password, password_set_at, expires_at,
                                               last_sign_in_at, attributes, native)
          -- Each look at the whole directory finds nearly everything as it was: that is not written again. Asked row by row, not
          -- as a join: for each piece that could read the whole table. By the key alone, so that no other index fits as well.
          where (select a.gone_at is null and a.attributes = given.attributes and a.native = given.native from account a
                  where a.system = $1 and a.native_id = given.id) is not true
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
        &ids(seen),
        &names(seen, ["sAMAccountName", "userPrincipalName", "cn"]) as &[&str],
        &texts("userPrincipalName") as &[Option<&str>],
        &names(seen, ["displayName", "cn", "sAMAccountName"]) as &[&str],
        &texts("mail") as &[Option<&str>],
        &texts("employeeID") as &[Option<&str>],
        &names(seen, ["dn", "cn", "sAMAccountName"]) as &[&str],
        &truths("enabled"),
        &truths("locked"),
        &truths("protected"),
        &truths("mustChangePassword"),
        &moments("passwordLastSet") as &[Option<DateTime<Utc>>],
        &moments("accountExpires") as &[Option<DateTime<Utc>>],
        &moments("lastLogonTimestamp") as &[Option<DateTime<Utc>>],
        &states(seen)?,
        &natives(seen)?,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn groups(conn: &mut PgConnection, system: &SystemKey, seen: &[Sighting<'_>]) -> Result<(), sqlx::Error> {
    let described: Vec<&str> =
        seen.iter().map(|(_, state, _)| text(state, "description").unwrap_or_default()).collect();
    sqlx::query!(
        "insert into directory_group (system, native_id, name, description, dn, attributes, native)
         select $1, given.*
           from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[])
                as given (id, name, description, dn, attributes, native)
          where (select g.gone_at is null and g.attributes = given.attributes and g.native = given.native
                   from directory_group g
                  where g.system = $1 and g.native_id = given.id) is not true
         on conflict (system, native_id) do update
            set name = excluded.name, description = excluded.description, dn = excluded.dn,
                attributes = excluded.attributes, native = excluded.native, seen_at = clock_timestamp(), gone_at = null
          where directory_group.native->>'server' is distinct from excluded.native->>'server' or directory_group.gone_at is not null
             or coalesce((directory_group.native->>'usn')::bigint <= (excluded.native->>'usn')::bigint, true)",
        system.0,
        &ids(seen),
        &names(seen, ["name", "sAMAccountName", "dn"]) as &[&str],
        &described as &[&str],
        &names(seen, ["dn", "name", "sAMAccountName"]) as &[&str],
        &states(seen)?,
        &natives(seen)?,
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn ids(seen: &[Sighting<'_>]) -> Vec<Uuid> {
    seen.iter().map(|(id, ..)| *id).collect()
}

fn names<'a>(seen: &[Sighting<'a>], attributes: [&str; 3]) -> Vec<&'a str> {
    seen.iter().map(|(_, state, _)| name(state, attributes)).collect()
}

fn states(seen: &[Sighting<'_>]) -> Result<Vec<serde_json::Value>, sqlx::Error> {
    seen.iter().map(|(_, state, _)| json(state)).collect()
}

fn natives(seen: &[Sighting<'_>]) -> Result<Vec<serde_json::Value>, sqlx::Error> {
    seen.iter().map(|(_, _, native)| json(native)).collect()
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<serde_json::Value, sqlx::Error> {
    serde_json::to_value(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// The memberships that a piece of the feed tells: whole lists in the place of what was there, or single members.
async fn members(
    conn: &mut PgConnection,
    system: &SystemKey,
    groups: impl Iterator<Item = (Uuid, &ChangedObject)>,
) -> Result<(), sqlx::Error> {
    let (mut whole, mut added, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for (id, object) in groups {
        if object.members_whole {
            whole.push(id);
        }
        added.extend(object.members_added.iter().map(|member| (id, *member)));
        removed.extend(object.members_removed.iter().map(|member| (id, *member)));
    }
    let (added_to, joined): (Vec<Uuid>, Vec<Uuid>) = added.into_iter().unzip();
    let (removed_from, left): (Vec<Uuid>, Vec<Uuid>) = removed.into_iter().unzip();
    if !whole.is_empty() {
        sqlx::query!(
            "delete from membership m
              where m.system = $1 and m.group_id = any($2)
                and not exists (select from unnest($3::uuid[], $4::uuid[]) as given (group_id, member_id)
                                 where given.group_id = m.group_id and given.member_id = m.member_id)",
            system.0,
            &whole,
            &added_to,
            &joined
        )
        .execute(&mut *conn)
        .await?;
    }
    ended(conn, system, (&removed_from, &left)).await?;
    if !joined.is_empty() {
        sqlx::query!(
            "insert into membership (system, group_id, member_id)
             select $1, group_id, member_id from unnest($2::uuid[], $3::uuid[]) as given (group_id, member_id)
             on conflict do nothing",
            system.0,
            &added_to,
            &joined
        )
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// Takes single memberships out: groups and members, pair by pair.
async fn ended(
    conn: &mut PgConnection,
    system: &SystemKey,
    (groups, members): (&[Uuid], &[Uuid]),
) -> Result<(), sqlx::Error> {
    if groups.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "delete from membership m using unnest($2::uuid[], $3::uuid[]) as given (group_id, member)
          where m.system = $1 and m.group_id = given.group_id and m.member_id = given.member",
        system.0,
        groups,
        members
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps memberships as a connector just saw them: group, member, whether it is there. Nothing happens for a group that the
/// mirror does not know yet.
///
/// # Errors
/// Where the database refuses.
pub async fn saw_memberships(
    conn: &mut PgConnection,
    system: &SystemKey,
    seen: &[(Uuid, Uuid, bool)],
) -> Result<(), sqlx::Error> {
    let of = |there: bool| -> (Vec<Uuid>, Vec<Uuid>) {
        seen.iter().filter(|seen| seen.2 == there).map(|(group, member, _)| (*group, *member)).unzip()
    };
    let (groups, members) = of(true);
    if !groups.is_empty() {
        sqlx::query!(
            "insert into membership (system, group_id, member_id)
             select g.system, g.native_id, given.member
               from unnest($2::uuid[], $3::uuid[]) as given (group_id, member)
               join directory_group g on g.system = $1 and g.native_id = given.group_id
             on conflict do nothing",
            system.0,
            &groups,
            &members
        )
        .execute(&mut *conn)
        .await?;
    }
    let (groups, members) = of(false);
    ended(conn, system, (&groups, &members)).await
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
