//! Target systems: what the worker is set up to reach, and what plans need to know of each.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

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

/// What plans need to know of a target system; nothing secret. Empty for a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemFacts {
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
    /// managed, observe_only
    pub mode: String,
    pub facts: SystemFacts,
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
        r#"select key, name, mode, facts as "facts: sqlx::types::Json<SystemFacts>" from target_system order by created_at, key"#
    )
    .fetch_all(conn)
    .await?;
    let system = |(key, name, mode, facts): (String, String, String, sqlx::types::Json<SystemFacts>)| TargetSystem {
        key: SystemKey(key),
        name,
        mode,
        facts: facts.0,
    };
    Ok(rows.into_iter().map(|row| system((row.key, row.name, row.mode, row.facts))).collect())
}

/// Sets a system to observe only beside its configuration, or takes that back.
pub(super) async fn hold_back(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    key: &SystemKey,
    held_back: bool,
) -> Result<(), EvidenceError> {
    let subject = format!("system:{}", key.0);
    evidence::hold(conn, &subject).await?;
    let changed =
        sqlx::query!("update target_system set held_back = $2 where key = $1 and held_back <> $2", key.0, held_back)
            .execute(&mut *conn)
            .await?;
    if changed.rows_affected() == 0 {
        return Ok(());
    }
    let facts = |held: bool| Some(Facts::default().plain("observe_only_by_setting", held));
    let record = Record {
        before: facts(!held_back),
        after: facts(held_back),
        ..Record::new(action::SYSTEM_CHANGED, subject, by.clone())
    };
    append(conn, now, &record).await?;
    Ok(())
}
