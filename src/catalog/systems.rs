//! Target systems: what the worker is set up to reach, and what plans need to know of each.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::UnitScope;
use crate::connectors::exchange::Places;
use crate::evidence::{self, By, EvidenceError, Facts, Record, action, append};
use crate::target::SystemKey;

/// How joiners get a mailbox in an Exchange organisation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinerMailbox {
    /// Not from this organisation.
    #[default]
    None,
    /// A mailbox on premises.
    Mailbox,
    /// Hybrid: enabled as remote on premises; the mailbox appears Online once account and licence got there.
    Remote,
    /// Online only: the licence group makes it, once the account got there.
    Licence,
}

/// What plans and pages need to know of a target system; nothing secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemFacts {
    /// Where it is reached, in the order of trying.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// The account that Tenure signs in as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// A directory: the name that everything lies below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Exchange: `on_premises` or `online`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavour: Option<String>,
    /// Exchange: the directory whose accounts its mailboxes belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<SystemKey>,
    #[serde(default, skip_serializing_if = "is_none")]
    pub joiner_mailbox: JoinerMailbox,
    /// Exchange: the directory group whose members get a licence, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence_group: Option<String>,
    /// Exchange: what stands behind the @ of new addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail_domain: Option<String>,
    /// Exchange: where new objects are put, so that plans show the commands whole.
    #[serde(default, flatten)]
    pub places: Places,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_none(how: &JoinerMailbox) -> bool {
    *how == JoinerMailbox::None
}

/// A target system as it is known.
#[derive(Debug, Clone)]
pub struct TargetSystem {
    pub key: SystemKey,
    pub name: String,
    /// managed, observe_only: as the configuration says.
    pub mode: String,
    /// A setting holds it to observe only.
    pub held_back: bool,
    pub facts: SystemFacts,
    /// A directory: the units that Tenure works in.
    pub scope: UnitScope,
}

/// Makes a target system known, or renames it.
///
/// # Errors
/// Where the database refuses.
pub async fn target_system(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    key: &SystemKey,
    (name, observe_only): (&str, bool),
    facts: &SystemFacts,
) -> Result<(), EvidenceError> {
    let subject = format!("system:{}", key.0);
    evidence::hold(conn, &subject).await?;
    let mode = if observe_only { "observe_only" } else { "managed" };
    let known = sqlx::query!("select name, mode, facts from target_system where key = $1", key.0)
        .fetch_optional(&mut *conn)
        .await?;
    let json = serde_json::to_value(facts).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let recorded = |name: &str, mode: &str, json: &serde_json::Value| {
        let plain = Facts::default().plain("name", name).plain("mode", mode);
        if json.as_object().is_none_or(serde_json::Map::is_empty) {
            plain
        } else {
            plain.plain("facts", json.to_string())
        }
    };
    let before = known.map(|row| recorded(&row.name, &row.mode, &row.facts));
    let after = recorded(name, mode, &json);
    if before.as_ref() == Some(&after) {
        return Ok(());
    }
    let record = Record { before, after: Some(after), ..Record::new(action::SYSTEM_CHANGED, subject, by.clone()) };
    append(conn, now, &record).await?;
    sqlx::query!(
        "insert into target_system (key, family, name, mode, facts) values ($1, $2, $3, $4, $5)
         on conflict (key) do update set name = excluded.name, mode = excluded.mode, facts = excluded.facts",
        key.0,
        key.family(),
        name,
        mode,
        json
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Every target system.
///
/// # Errors
/// Where the database does not answer.
pub async fn target_systems(conn: &mut PgConnection) -> Result<Vec<TargetSystem>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select key, name, mode, held_back, facts as "facts: sqlx::types::Json<SystemFacts>",
                  scope as "scope: sqlx::types::Json<UnitScope>"
             from target_system order by created_at, key"#
    )
    .fetch_all(conn)
    .await?;
    let system = rows.into_iter().map(|row| TargetSystem {
        key: SystemKey(row.key),
        name: row.name,
        mode: row.mode,
        held_back: row.held_back,
        facts: row.facts.0,
        scope: row.scope.0,
    });
    Ok(system.collect())
}

/// One target system.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_system(conn: &mut PgConnection, key: &SystemKey) -> Result<Option<TargetSystem>, sqlx::Error> {
    Ok(target_systems(conn).await?.into_iter().find(|system| system.key == *key))
}

/// What is set of a system beside its configuration: observe only, and the units that Tenure works in.
pub(super) async fn set(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    key: &SystemKey,
    (held_back, scope): (bool, &UnitScope),
) -> Result<(), EvidenceError> {
    let subject = format!("system:{}", key.0);
    evidence::hold(conn, &subject).await?;
    let known = sqlx::query!(
        r#"select held_back, scope as "scope: sqlx::types::Json<UnitScope>" from target_system where key = $1"#,
        key.0
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(known) = known.filter(|known| known.held_back != held_back || known.scope.0 != *scope) else {
        return Ok(());
    };
    let units_change = known.scope.0 != *scope;
    let facts = |held: bool, scope: &UnitScope| {
        let facts = Facts::default().plain("observe_only_by_setting", held);
        let units = |facts: Facts| {
            facts.plain("units_in_scope", scope.units.join("; ")).plain("units_excluded", scope.excluded.join("; "))
        };
        Some(if units_change { units(facts) } else { facts })
    };
    let record = Record {
        before: facts(known.held_back, &known.scope.0),
        after: facts(held_back, scope),
        ..Record::new(action::SYSTEM_CHANGED, subject, by.clone())
    };
    append(conn, now, &record).await?;
    sqlx::query!(
        "update target_system set held_back = $2, scope = $3, scope_at = case when scope = $3 then scope_at else now() end
          where key = $1",
        key.0,
        held_back,
        sqlx::types::Json(scope) as _
    )
    .execute(conn)
    .await?;
    Ok(())
}
