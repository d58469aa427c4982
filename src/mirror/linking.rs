//! Saying whose an account is, each time with a record. One path for requests, rules and people.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Linked;
use super::adoption::Rule;
use crate::evidence::{self, By, EvidenceError, Facts, Record, Target, action};
use crate::ids::PersonId;
use crate::target::SystemKey;

/// What an account is to its person, or that it is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Unknown,
    Person,
    Admin,
    Service,
    Shared,
    Ignored,
}

impl Kind {
    /// The word in `account.kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Unknown => "unknown",
            Kind::Person => "person",
            Kind::Admin => "admin",
            Kind::Service => "service",
            Kind::Shared => "shared",
            Kind::Ignored => "ignored",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Kind::Unknown, Kind::Person, Kind::Admin, Kind::Service, Kind::Shared, Kind::Ignored]
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or(())
    }
}

/// An account becomes a person's.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    pub system: &'a SystemKey,
    pub account: Uuid,
    pub person: PersonId,
    pub kind: Kind,
    pub rule: Rule,
}

fn subject(system: &SystemKey, account: Uuid) -> String {
    format!("account:{system}/{account}")
}

fn target(system: &SystemKey, account: Uuid) -> Target {
    Target { system: system.0.clone(), kind: "user".to_owned(), id: Some(account.to_string()), server: None }
}

/// Links the account and records it. False: it is not there, or is somebody's already; nothing was changed.
///
/// # Errors
/// Where the database refuses.
pub async fn link(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    link: &Link<'_>,
) -> Result<bool, EvidenceError> {
    let done = sqlx::query!(
        "update account set person = $3, kind = $4, linked_by_rule = $5, linked_by = $6, linked_at = $7::timestamptz,
                            adopted_at = case when $5::text = 'request' then $7::timestamptz end
          where system = $1 and native_id = $2 and person is null and gone_at is null",
        link.system.0,
        link.account,
        link.person.0,
        link.kind.as_str(),
        link.rule.as_str(),
        by.person,
        now,
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let mut record = Record::new(action::ACCOUNT_LINKED, subject(link.system, link.account), by.clone());
    record.target = Some(target(link.system, link.account));
    record.detail = Facts::default()
        .plain("person", link.person.to_string())
        .plain("kind", link.kind.as_str())
        .plain("rule", link.rule.as_str());
    evidence::append(conn, now, &record).await?;
    Ok(true)
}

/// Linked accounts whose holdings have not become grants yet: those linked by a rule or by hand, and all once more after
/// [`adopt_again`]. An account that a request of ours made held nothing before.
///
/// # Errors
/// Where the database does not answer.
pub async fn to_adopt(conn: &mut PgConnection, system: &SystemKey, limit: i64) -> Result<Vec<Linked>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select native_id, person as "person!: PersonId" from account
            where system = $1 and person is not null and adopted_at is null order by native_id limit $2"#,
        system.0,
        limit
    )
    .fetch_all(conn)
    .await?;
    let linked = rows.into_iter();
    Ok(linked.map(|row| Linked { system: system.clone(), account: row.native_id, person: row.person }).collect())
}

/// Says that the account's holdings have become grants; in the transaction that made them.
///
/// # Errors
/// Where the database refuses.
pub async fn adopted(conn: &mut PgConnection, now: DateTime<Utc>, linked: &Linked) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update account set adopted_at = $4 where system = $1 and native_id = $2 and person = $3",
        linked.system.0,
        linked.account,
        linked.person.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Has what the system's accounts hold looked at once more: the catalogue has just been filled, and what they held before
/// can be named only now.
///
/// # Errors
/// Where the database refuses.
pub async fn adopt_again(conn: &mut PgConnection, system: &SystemKey) -> Result<(), sqlx::Error> {
    sqlx::query!("update account set adopted_at = null where system = $1 and person is not null", system.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Says that the account is not this person's. The rules leave it alone from now on; it is listed for a person to decide.
/// False: it was nobody's.
///
/// # Errors
/// Where the database refuses.
pub async fn unlink(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (system, account): (&SystemKey, Uuid),
    reason: &str,
) -> Result<bool, EvidenceError> {
    let was = sqlx::query!(
        r#"update account a set person = null, kind = 'unknown', linked_by_rule = 'hand', linked_by = $3, linked_at = $4,
                               adopted_at = null
             from (select person, kind from account where system = $1 and native_id = $2 for update) before
            where a.system = $1 and a.native_id = $2 and before.person is not null
           returning before.person as "person!", before.kind as "kind!""#,
        system.0,
        account,
        by.person,
        now,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(was) = was else { return Ok(false) };
    let mut record = Record::new(action::ACCOUNT_UNLINKED, subject(system, account), by.clone());
    record.target = Some(target(system, account));
    record.before = Some(Facts::default().plain("person", was.person.to_string()).plain("kind", was.kind));
    record.reason = Some(reason.to_owned());
    evidence::append(conn, now, &record).await?;
    Ok(true)
}

/// Says what an account is that is no person's: a service, shared, or not ours to look after. What a person says, the
/// rules leave alone. False: it is somebody's, or was so already.
///
/// # Errors
/// Where the database refuses.
pub async fn classify(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (system, account): (&SystemKey, Uuid),
    kind: Kind,
) -> Result<bool, EvidenceError> {
    let was = sqlx::query_scalar!(
        r#"update account a
              set kind = $3, linked_by = $4, linked_at = $5,
                  linked_by_rule = case when $4::uuid is null then linked_by_rule else 'hand' end
             from (select kind from account where system = $1 and native_id = $2 for update) before
            where a.system = $1 and a.native_id = $2 and a.person is null and before.kind <> $3
           returning before.kind as "kind!""#,
        system.0,
        account,
        kind.as_str(),
        by.person,
        now,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(was) = was else { return Ok(false) };
    let mut record = Record::new(action::ACCOUNT_CLASSIFIED, subject(system, account), by.clone());
    record.target = Some(target(system, account));
    record.before = Some(Facts::default().plain("kind", was));
    record.after = Some(Facts::default().plain("kind", kind.as_str()));
    evidence::append(conn, now, &record).await?;
    Ok(true)
}
