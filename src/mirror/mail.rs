//! Mailboxes, lists and who holds which right on them, as the Exchange connectors saw them; what plans and pages ask of that.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::apply::{json, text};
use crate::ids::PersonId;
use crate::target::{Kind, Native, Right, State, SystemKey, Value};

/// Every smtp address of an object, the primary one first, lower case.
fn addresses(state: &State) -> Vec<String> {
    let mut all: Vec<String> = text(state, "primaryAddress").map(str::to_lowercase).into_iter().collect();
    if let Value::List(values) = state.get("addresses") {
        all.extend(values.iter().filter_map(Value::as_text).map(str::to_lowercase));
    }
    all.dedup();
    all
}

fn ids(state: &State, attribute: &str) -> Vec<Uuid> {
    let Value::List(values) = state.get(attribute) else { return Vec::new() };
    values.iter().filter_map(|value| value.as_text()?.parse().ok()).collect()
}

/// Keeps a mailbox as a connector just saw it.
pub(super) async fn mailbox(
    conn: &mut PgConnection,
    system: &SystemKey,
    id: Uuid,
    (state, native): (&State, &Native),
) -> Result<(), sqlx::Error> {
    let all = addresses(state);
    let directory: Option<Uuid> = text(state, "directoryId").and_then(|id| id.parse().ok());
    sqlx::query!(
        "insert into mailbox (system, native_id, directory_id, type, display_name, alias, address, addresses, attributes, native)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (system, native_id) do update
            set directory_id = excluded.directory_id, type = excluded.type, display_name = excluded.display_name,
                alias = excluded.alias, address = excluded.address, addresses = excluded.addresses,
                attributes = excluded.attributes, native = excluded.native, seen_at = clock_timestamp(), gone_at = null",
        system.0,
        id,
        directory,
        text(state, "type").unwrap_or("user"),
        text(state, "displayName").unwrap_or_default(),
        text(state, "alias").unwrap_or_default(),
        all.first().map_or("", String::as_str),
        &all,
        json(state)?,
        json(native)?,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps a list as a connector just saw it.
pub(super) async fn list(
    conn: &mut PgConnection,
    system: &SystemKey,
    id: Uuid,
    (state, native): (&State, &Native),
) -> Result<(), sqlx::Error> {
    let all = addresses(state);
    sqlx::query!(
        "insert into mailing_list (system, native_id, type, display_name, alias, address, addresses, owners, attributes, native)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (system, native_id) do update
            set type = excluded.type, display_name = excluded.display_name, alias = excluded.alias,
                address = excluded.address, addresses = excluded.addresses, owners = excluded.owners,
                attributes = excluded.attributes, native = excluded.native, seen_at = clock_timestamp(), gone_at = null",
        system.0,
        id,
        text(state, "type").unwrap_or("distribution"),
        text(state, "displayName").unwrap_or_default(),
        text(state, "alias").unwrap_or_default(),
        all.first().map_or("", String::as_str),
        &all,
        &ids(state, "owners"),
        json(state)?,
        json(native)?,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Brings a list's members up to date: the whole list, or what was added and removed.
pub(super) async fn members(
    conn: &mut PgConnection,
    system: &SystemKey,
    list: Uuid,
    (added, removed, whole): (&[Uuid], &[Uuid], bool),
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from list_member
          where system = $1 and list_id = $2
            and case when $5 then member_id <> all ($3) else member_id = any ($4) end",
        system.0,
        list,
        added,
        removed,
        whole
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into list_member (system, list_id, member_id)
         select l.system, l.native_id, member.id from mailing_list l, unnest($3::uuid[]) as member (id)
          where l.system = $1 and l.native_id = $2
         on conflict do nothing",
        system.0,
        list,
        added
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Brings the rights on one mailbox or list up to date: these and no others. Rights on folders are not asked for by the
/// feed; of them the mirror knows what steps did.
pub(super) async fn rights(
    conn: &mut PgConnection,
    system: &SystemKey,
    object: Uuid,
    rights: &[Right],
) -> Result<(), sqlx::Error> {
    let kinds: Vec<String> = rights.iter().map(|right| right.kind.as_str().to_owned()).collect();
    let trustees: Vec<Uuid> = rights.iter().map(|right| right.trustee).collect();
    let names: Vec<String> = rights.iter().map(|right| right.right.clone()).collect();
    let states = rights.iter().map(|right| json(&right.state)).collect::<Result<Vec<_>, _>>()?;
    sqlx::query!(
        "delete from mail_right r
          where system = $1 and object_id = $2 and kind = 'mailbox_permission'
            and not exists (select from unnest($3::text[], $4::uuid[], $5::text[]) as seen (kind, trustee, name)
                             where seen.kind = r.kind and seen.trustee = r.trustee_id and seen.name = r.right_name)",
        system.0,
        object,
        &kinds,
        &trustees,
        &names
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into mail_right (system, object_id, kind, trustee_id, right_name, attributes)
         select $1, $2, seen.* from unnest($3::text[], $4::uuid[], $5::text[], $6::jsonb[]) as seen
         on conflict (system, object_id, trustee_id, kind, right_name) do update set attributes = excluded.attributes",
        system.0,
        object,
        &kinds,
        &trustees,
        &names,
        &states
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps one right as a step just saw it; None: it is not there.
///
/// # Errors
/// Where the database refuses.
pub async fn saw_right(
    conn: &mut PgConnection,
    system: &SystemKey,
    (kind, object, trustee, right): (Kind, Uuid, Uuid, &str),
    state: Option<&State>,
) -> Result<(), sqlx::Error> {
    match state {
        Some(state) => sqlx::query!(
            "insert into mail_right (system, object_id, kind, trustee_id, right_name, attributes)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (system, object_id, trustee_id, kind, right_name) do update set attributes = excluded.attributes",
            system.0,
            object,
            kind.as_str(),
            trustee,
            right,
            json(state)?
        ),
        None => sqlx::query!(
            "delete from mail_right
              where system = $1 and object_id = $2 and kind = $3 and trustee_id = $4 and right_name = $5",
            system.0,
            object,
            kind.as_str(),
            trustee,
            right
        ),
    }
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps one membership of a list as a step just saw it.
///
/// # Errors
/// Where the database refuses.
pub async fn saw_member(
    conn: &mut PgConnection,
    system: &SystemKey,
    (list_id, member): (Uuid, Uuid),
    there: bool,
) -> Result<(), sqlx::Error> {
    let (added, removed) = if there { (vec![member], vec![]) } else { (vec![], vec![member]) };
    members(conn, system, list_id, (&added, &removed, false)).await
}

/// Marks what an organisation no longer has, and ends what was held of it.
pub(super) async fn gone(conn: &mut PgConnection, system: &SystemKey, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update mailbox set gone_at = now() where system = $1 and native_id = any ($2) and gone_at is null",
        system.0,
        ids
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update mailing_list set gone_at = now() where system = $1 and native_id = any ($2) and gone_at is null",
        system.0,
        ids
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "delete from list_member where system = $1 and (list_id = any ($2) or member_id = any ($2))",
        system.0,
        ids
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "delete from mail_right where system = $1 and (object_id = any ($2) or trustee_id = any ($2))",
        system.0,
        ids
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whoever can receive mail in an organisation: a mailbox or a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    pub system: SystemKey,
    pub id: Uuid,
    /// user, shared, room, equipment, remote, remote_shared; distribution, security, dynamic.
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub address: String,
    /// Whose mailbox it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
}

impl Recipient {
    pub fn is_list(&self) -> bool {
        matches!(self.kind.as_str(), "distribution" | "security" | "dynamic")
    }
}

/// A recipient with everything that was last seen of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    pub recipient: Recipient,
    pub state: State,
}

struct Row {
    system: String,
    id: Uuid,
    kind: String,
    name: String,
    address: String,
    person: Option<PersonId>,
    state: sqlx::types::Json<State>,
}

impl From<Row> for Object {
    fn from(row: Row) -> Self {
        let recipient = Recipient {
            system: SystemKey(row.system),
            id: row.id,
            kind: row.kind,
            name: row.name,
            address: row.address,
            person: row.person,
        };
        Self { recipient, state: row.state.0 }
    }
}

macro_rules! objects {
    ($rest:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"with object as (
                   select m.system, m.native_id as id, m.type as kind, m.display_name as name, m.address, m.addresses, m.alias,
                          m.attributes as state, a.person
                     from mailbox m
                     left join account a on a.native_id = m.directory_id and a.gone_at is null
                    where m.gone_at is null
                   union all
                   select l.system, l.native_id, l.type, l.display_name, l.address, l.addresses, l.alias, l.attributes, null
                     from mailing_list l where l.gone_at is null)
               select system as "system!", id as "id!", kind as "kind!", name as "name!", address as "address!",
                      person as "person: PersonId", state as "state!: sqlx::types::Json<State>"
                 from object "# + $rest
            $(, $value)*
        )
    };
}

/// Mailboxes and lists by id.
///
/// # Errors
/// Where the database does not answer.
pub async fn by_ids(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Object>, sqlx::Error> {
    let rows = objects!("where id = any ($1) order by name, id", ids).fetch_all(conn).await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// What was typed: an id, an address, an alias or the exact name of one mailbox or list. Two that fit are none.
///
/// # Errors
/// Where the database does not answer.
pub async fn by_typed(conn: &mut PgConnection, typed: &str) -> Result<Option<Object>, sqlx::Error> {
    if let Ok(id) = typed.parse::<Uuid>() {
        return Ok(by_ids(conn, &[id]).await?.pop());
    }
    let folded = typed.to_lowercase();
    let mut found: Vec<Object> = objects!(
        "where addresses @> array[$1::text] or lower(alias) = $1 or lower(name) = $1
         order by not (addresses @> array[$1::text]), kind in ('remote', 'remote_shared'), not lower(alias) = $1 limit 2",
        folded
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Into::into)
    .collect();
    let exact = found.first().is_some_and(|first: &Object| first.recipient.address == folded);
    if found.len() > 1 && !exact {
        return Ok(None);
    }
    found.truncate(1);
    Ok(found.pop())
}

/// The mailboxes of a person, in every organisation.
///
/// # Errors
/// Where the database does not answer.
pub async fn of_person(conn: &mut PgConnection, person: PersonId) -> Result<Vec<Object>, sqlx::Error> {
    // The mailbox itself before the stub of it.
    let rows = objects!("where person = $1 order by (kind in ('remote', 'remote_shared')), system, name", person.0)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Mailboxes that a person's accounts had and lost, latest first: the account and the mailbox's own id, by which its
/// database keeps it for a while.
///
/// # Errors
/// Where the database does not answer.
pub async fn earlier_of_person(conn: &mut PgConnection, person: PersonId) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select m.native_id, m.attributes as "attributes: sqlx::types::Json<State>"
             from mailbox m join account a on a.native_id = m.directory_id and a.gone_at is null
            where a.person = $1 and m.gone_at is not null order by m.gone_at desc"#,
        person.0
    )
    .fetch_all(conn)
    .await?;
    let earlier = rows.into_iter().filter_map(|row| {
        let id = row.attributes.0.get("exchangeGuid").as_text()?.to_owned();
        Some((row.native_id, id))
    });
    Ok(earlier.collect())
}

/// Mailboxes and lists whose name or address holds these letters, by name. `lists`: only lists, or only mailboxes.
///
/// # Errors
/// Where the database does not answer.
pub async fn search(
    conn: &mut PgConnection,
    (text, lists): (&str, Option<bool>),
    limit: i64,
) -> Result<Vec<Object>, sqlx::Error> {
    let pattern = format!("%{}%", text.to_lowercase().replace(['%', '_', '\\'], ""));
    let rows = objects!(
        "where (lower(name) like $1 or address like $1)
           and ($2::bool is null or $2 = (kind in ('distribution', 'security', 'dynamic')))
         order by (kind in ('user', 'remote')), lower(name), id limit $3",
        pattern,
        lists,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// A right that somebody holds.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldRight {
    pub system: SystemKey,
    pub kind: Kind,
    pub object: Uuid,
    pub object_name: String,
    pub trustee: Uuid,
    pub trustee_name: String,
    pub right: String,
    pub state: State,
}

/// The rights that these trustees hold, or that are held on these objects.
///
/// # Errors
/// Where the database does not answer.
pub async fn rights_of(
    conn: &mut PgConnection,
    (trustees, objects): (&[Uuid], &[Uuid]),
) -> Result<Vec<HeldRight>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select r.system, r.kind, r.object_id, r.trustee_id, r.right_name,
                  r.attributes as "state: sqlx::types::Json<State>",
                  coalesce(m.display_name, l.display_name, '') as "name!",
                  coalesce(t.display_name, tl.display_name, a.display_name, '') as "trustee!"
             from mail_right r
             left join mailbox m on m.system = r.system and m.native_id = r.object_id
             left join mailing_list l on l.system = r.system and l.native_id = r.object_id
             left join mailbox t on t.system = r.system and t.native_id = r.trustee_id
             left join mailing_list tl on tl.system = r.system and tl.native_id = r.trustee_id
             left join lateral (select display_name from account where native_id = r.trustee_id limit 1) a on true
            where r.trustee_id = any ($1) or r.object_id = any ($2)
            order by 7, 8, r.right_name"#,
        trustees,
        objects
    )
    .fetch_all(conn)
    .await?;
    let right = rows.into_iter().map(|row| HeldRight {
        system: SystemKey(row.system),
        kind: Kind::parse(&row.kind),
        object: row.object_id,
        object_name: row.name,
        trustee: row.trustee_id,
        trustee_name: row.trustee,
        right: row.right_name,
        state: row.state.0,
    });
    Ok(right.collect())
}

/// The lists that these recipients are on directly, or own.
///
/// # Errors
/// Where the database does not answer.
pub async fn lists_of(
    conn: &mut PgConnection,
    (members, owners): (&[Uuid], &[Uuid]),
) -> Result<Vec<Object>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        r#"select list_id as "id!" from list_member where member_id = any ($1)
           union select native_id from mailing_list where owners && $2 and gone_at is null"#,
        members,
        owners
    )
    .fetch_all(&mut *conn)
    .await?;
    by_ids(conn, &ids).await
}

/// The members of a list, by immutable id.
///
/// # Errors
/// Where the database does not answer.
pub async fn members_of(conn: &mut PgConnection, list: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!("select member_id from list_member where list_id = $1 order by member_id", list)
        .fetch_all(conn)
        .await
}
