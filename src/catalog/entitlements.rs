//! Entitlements: what can be held, by name, owner and risk.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::evidence::{By, EvidenceError, Facts, Record, action, append};
use crate::ids::{EntitlementId, PersonId};
use crate::target::{SystemKey, Value};

/// What holding it means in the target system; the words are those of the target's own kinds, but for groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    GroupMembership,
    ListMembership,
    /// A right on a mailbox or a list: `full_access`, `send_as`, `send_on_behalf`.
    MailboxPermission,
    /// A role on a folder: `calendar/Editor`.
    FolderPermission,
}

impl Held {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GroupMembership => "group_membership",
            Self::ListMembership => "list_membership",
            Self::MailboxPermission => "mailbox_permission",
            Self::FolderPermission => "folder_permission",
        }
    }

    fn parse(word: &str) -> Self {
        let all = [Self::ListMembership, Self::MailboxPermission, Self::FolderPermission];
        all.into_iter().find(|held| held.as_str() == word).unwrap_or(Self::GroupMembership)
    }
}

/// How much harm a wrong holder could do; chooses the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    Low,
    Normal,
    High,
}

impl Risk {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Low, Self::Normal, Self::High].into_iter().find(|risk| risk.as_str() == text)
    }
}

/// Something that can be held.
#[derive(Debug, Clone, PartialEq)]
pub struct Entitlement {
    pub id: EntitlementId,
    pub system: SystemKey,
    pub held: Held,
    /// The group's, list's or mailbox's immutable id.
    pub native_id: Uuid,
    /// The right on it; empty for memberships.
    pub right: String,
    pub name: String,
    pub description: String,
    pub owner: Option<PersonId>,
    pub owner_name: Option<String>,
    pub risk: Risk,
    pub sox: bool,
    pub requestable: bool,
}

/// An entitlement about to be added.
#[derive(Debug, Clone)]
pub struct NewEntitlement {
    pub system: SystemKey,
    pub held: Held,
    pub native_id: Uuid,
    /// The right on it; empty for memberships.
    pub right: String,
    pub name: String,
    pub description: String,
    pub owner: Option<PersonId>,
    pub risk: Risk,
    pub sox: bool,
    pub requestable: bool,
}

impl From<Entitlement> for NewEntitlement {
    fn from(known: Entitlement) -> Self {
        Self {
            system: known.system,
            held: known.held,
            native_id: known.native_id,
            right: known.right,
            name: known.name,
            description: known.description,
            owner: known.owner,
            risk: known.risk,
            sox: known.sox,
            requestable: known.requestable,
        }
    }
}

struct Row {
    id: EntitlementId,
    system: String,
    kind: String,
    native_id: Uuid,
    right_name: String,
    name: String,
    description: String,
    owner: Option<PersonId>,
    owner_name: Option<String>,
    risk: String,
    sox: bool,
    requestable: bool,
}

impl From<Row> for Entitlement {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            system: SystemKey(row.system),
            held: Held::parse(&row.kind),
            native_id: row.native_id,
            right: row.right_name,
            name: row.name,
            description: row.description,
            owner: row.owner,
            owner_name: row.owner_name,
            // The table's check allows no other word; should one appear, the strictest route is the safe reading.
            risk: Risk::parse(&row.risk).unwrap_or(Risk::High),
            sox: row.sox,
            requestable: row.requestable,
        }
    }
}

/// One entitlement.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(conn: &mut PgConnection, id: EntitlementId) -> Result<Option<Entitlement>, sqlx::Error> {
    Ok(find_many(conn, &[id]).await?.pop())
}

/// Several, by name; those that are not there are left out.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_many(conn: &mut PgConnection, ids: &[EntitlementId]) -> Result<Vec<Entitlement>, sqlx::Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"select e.id as "id: EntitlementId", e.system, e.kind, e.native_id, e.right_name, e.name, e.description, e.owner as "owner: PersonId",
                  p.display_name as "owner_name?", e.risk, e.sox, e.requestable
             from entitlement e left join person p on p.id = e.owner
            where e.id = any ($1) order by e.name, e.id"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The entitlement that is this holding of this object.
///
/// # Errors
/// Where the database does not answer.
pub async fn by_native(
    conn: &mut PgConnection,
    system: &SystemKey,
    id: Uuid,
    (held, right): (Held, &str),
) -> Result<Option<EntitlementId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select id as "id: EntitlementId" from entitlement
            where system = $1 and native_id = $2 and kind = $3 and right_name = $4"#,
        system.0,
        id,
        held.as_str(),
        right
    )
    .fetch_optional(conn)
    .await
}

/// The entitlement of that name, letters' case aside.
///
/// # Errors
/// Where the database does not answer.
pub async fn by_name(conn: &mut PgConnection, name: &str) -> Result<Option<EntitlementId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select id as "id: EntitlementId" from entitlement where lower(name) = lower($1) order by id limit 1"#,
        name
    )
    .fetch_optional(conn)
    .await
}

/// Entitlements by name, after the last of the page before; `search` looks through name and description without accents.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(
    conn: &mut PgConnection,
    search: &str,
    requestable_only: bool,
    after: Option<(&str, EntitlementId)>,
    limit: i64,
) -> Result<Vec<Entitlement>, sqlx::Error> {
    let words = fold(search);
    let rows = sqlx::query_as!(
        Row,
        r#"select e.id as "id: EntitlementId", e.system, e.kind, e.native_id, e.right_name, e.name, e.description, e.owner as "owner: PersonId",
                  p.display_name as "owner_name?", e.risk, e.sox, e.requestable
             from entitlement e left join person p on p.id = e.owner
            where (e.requestable or not $2)
              and ($1 = '' or e.folded like '%' || $1 || '%')
              and ($3::text is null or (e.name, e.id) > ($3, $4))
            order by e.name, e.id
            limit $5"#,
        words.replace(['%', '_', '\\'], ""),
        requestable_only,
        after.map(|(name, _)| name),
        after.map(|(_, id)| id.0),
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// What a person owns, by name.
///
/// # Errors
/// Where the database does not answer.
pub async fn owned_by(conn: &mut PgConnection, person: PersonId) -> Result<Vec<Entitlement>, sqlx::Error> {
    let ids = sqlx::query_scalar!(r#"select id as "id: EntitlementId" from entitlement where owner = $1"#, person.0)
        .fetch_all(&mut *conn)
        .await?;
    find_many(conn, &ids).await
}

/// Everything that can be held of an object.
///
/// # Errors
/// Where the database does not answer.
pub async fn of_object(
    conn: &mut PgConnection,
    system: &SystemKey,
    native_id: Uuid,
) -> Result<Vec<EntitlementId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select id as "id: EntitlementId" from entitlement where system = $1 and native_id = $2 order by id"#,
        system.0,
        native_id
    )
    .fetch_all(conn)
    .await
}

impl NewEntitlement {
    fn facts(&self) -> Facts {
        let facts = match self.right.as_str() {
            "" => Facts::default(),
            right => Facts::default().plain("right", right),
        };
        // Rights are named after mailboxes, and those after people.
        let facts = match self.held {
            Held::MailboxPermission | Held::FolderPermission => facts.personal("name", self.name.clone()),
            Held::GroupMembership | Held::ListMembership => facts.plain("name", self.name.clone()),
        };
        facts
            .plain("description", self.description.clone())
            .plain("risk", self.risk.as_str())
            .plain("sox", self.sox)
            .plain("requestable", self.requestable)
            .plain("owner", self.owner.map_or(Value::Null, |owner| owner.to_string().into()))
    }
}

/// Adds an entitlement, or brings the one of that group up to date; one that is there exactly so is left alone.
///
/// # Errors
/// Where the database refuses.
pub async fn add(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    new: &NewEntitlement,
) -> Result<EntitlementId, EvidenceError> {
    put(conn, now, by, EntitlementId::new(), new).await
}

/// The same, under that id where it is not there yet.
pub(super) async fn put(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    id: EntitlementId,
    new: &NewEntitlement,
) -> Result<EntitlementId, EvidenceError> {
    // A change waits for whoever else is at the row; the row is what orders changes of one entitlement.
    let before = match by_native(conn, &new.system, new.native_id, (new.held, &new.right)).await? {
        Some(id) => {
            sqlx::query!("select id from entitlement where id = $1 for update", id.0).fetch_one(&mut *conn).await?;
            find(conn, id).await?
        }
        None => None,
    };
    let row = sqlx::query!(
        r#"insert into entitlement (id, system, native_id, name, description, owner, risk, sox, requestable, folded, kind, right_name)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
           on conflict (system, native_id, kind, right_name) do update
              set name = excluded.name, description = excluded.description, owner = excluded.owner, risk = excluded.risk,
                  sox = excluded.sox, requestable = excluded.requestable, folded = excluded.folded
            where (entitlement.name, entitlement.description, entitlement.owner, entitlement.risk, entitlement.sox,
                   entitlement.requestable)
                  is distinct from (excluded.name, excluded.description, excluded.owner, excluded.risk, excluded.sox,
                                    excluded.requestable)
           returning id as "id: EntitlementId""#,
        id.0,
        new.system.0,
        new.native_id,
        new.name,
        new.description,
        new.owner.map(|owner| owner.0),
        new.risk.as_str(),
        new.sox,
        new.requestable,
        fold(&format!("{} {}", new.name, new.description)),
        new.held.as_str(),
        new.right,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else {
        // It is there already, exactly so.
        let known = by_native(conn, &new.system, new.native_id, (new.held, &new.right)).await?;
        return known.ok_or_else(|| sqlx::Error::RowNotFound.into());
    };
    let action = if row.id == id { action::ENTITLEMENT_ADDED } else { action::ENTITLEMENT_CHANGED };
    let record = Record {
        before: before.map(|before| NewEntitlement::from(before).facts()),
        after: Some(new.facts()),
        ..Record::new(action, format!("entitlement:{}", row.id), by.clone())
    };
    append(conn, now, &record).await?;
    Ok(row.id)
}

/// Lower case, without accents: how names are searched.
fn fold(text: &str) -> String {
    deunicode::deunicode(text.trim()).to_lowercase()
}
