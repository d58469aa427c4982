//! Reading the mirror: what pages and plans ask of it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::PersonId;
use crate::target::State;

/// An account as last seen.
#[derive(Debug, Clone)]
pub struct Account {
    pub system: String,
    pub id: Uuid,
    pub person: Option<PersonId>,
    /// See [`super::linking::Kind`].
    pub kind: String,
    /// Null: nobody linked it.
    pub linked_by_rule: Option<String>,
    pub user_name: String,
    pub upn: Option<String>,
    pub display_name: String,
    pub mail: Option<String>,
    pub employee_number: Option<String>,
    pub dn: String,
    pub enabled: bool,
    pub locked: bool,
    pub protected: bool,
    pub must_change_password: bool,
    pub password_set_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    /// May lag up to 14 days: say so where it is shown.
    pub last_sign_in_at: Option<DateTime<Utc>>,
    pub state: sqlx::types::Json<State>,
    pub seen_at: DateTime<Utc>,
    pub gone_at: Option<DateTime<Utc>>,
}

/// A group that an account is in directly.
#[derive(Debug, Clone)]
pub struct GroupOf {
    pub id: Uuid,
    pub name: String,
    pub description: String,
    /// When the mirror first saw the membership.
    pub since: DateTime<Utc>,
}

/// How fresh the mirror of one system is.
#[derive(Debug, Clone)]
pub struct Freshness {
    pub system: String,
    pub server: Option<String>,
    pub position: i64,
    pub looked_at: Option<DateTime<Utc>>,
    pub failing_since: Option<DateTime<Utc>>,
    /// In words for a person.
    pub failure: Option<String>,
}

macro_rules! accounts {
    ($rest:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            Account,
            r#"select system, native_id as id, person as "person: PersonId", kind, linked_by_rule, user_name, upn,
                      display_name, mail, employee_number, dn, enabled, locked, protected, must_change_password,
                      password_set_at, expires_at, last_sign_in_at,
                      attributes as "state: sqlx::types::Json<State>", seen_at, gone_at
                 from account "# + $rest
            $(, $value)*
        )
    };
}

/// One account; `None` when the mirror has not seen it.
///
/// # Errors
/// Where the database does not answer.
pub async fn account(conn: &mut PgConnection, system: &str, id: Uuid) -> Result<Option<Account>, sqlx::Error> {
    accounts!("where system = $1 and native_id = $2", system, id).fetch_optional(conn).await
}

/// A person's accounts that are still there, the everyday one first.
///
/// # Errors
/// Where the database does not answer.
pub async fn accounts_of(conn: &mut PgConnection, person: PersonId) -> Result<Vec<Account>, sqlx::Error> {
    accounts!("where person = $1 and gone_at is null order by kind <> 'person', system, user_name", person.0)
        .fetch_all(conn)
        .await
}

/// Accounts that nobody could be found for, by name, after `after` (the last user name of the page before).
///
/// # Errors
/// Where the database does not answer.
pub async fn unlinked(conn: &mut PgConnection, after: &str, limit: i64) -> Result<Vec<Account>, sqlx::Error> {
    accounts!(
        "where person is null and kind = 'unknown' and gone_at is null and user_name > $1
           and exists (select from target_system t where t.key = account.system and (t.scope = '{}' or in_scope(account.dn, t.scope)))
         order by user_name limit $2",
        after,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Persons who might be meant by an account, most alike first.
///
/// # Errors
/// Where the database does not answer.
pub async fn suggestions(conn: &mut PgConnection, account: &Account) -> Result<Vec<(PersonId, String)>, sqlx::Error> {
    let words = format!("{} {}", account.display_name, account.user_name);
    let plain = deunicode::deunicode(&words).to_lowercase();
    let rows = sqlx::query!(
        r#"select id as "id: PersonId", display_name from person
            where state not in ('withdrawn', 'erased') and word_similarity($1, folded) > 0.3
            order by word_similarity($1, folded) desc, display_name limit 5"#,
        plain
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.display_name)).collect())
}

/// The groups that an account is in directly, by name.
///
/// # Errors
/// Where the database does not answer.
pub async fn groups_of(conn: &mut PgConnection, system: &str, account: Uuid) -> Result<Vec<GroupOf>, sqlx::Error> {
    sqlx::query_as!(
        GroupOf,
        "select g.native_id as id, g.name, g.description, m.seen_since as since
           from membership m join directory_group g on g.system = m.system and g.native_id = m.group_id
          where m.system = $1 and m.member_id = $2 and g.gone_at is null
          order by g.name",
        system,
        account
    )
    .fetch_all(conn)
    .await
}

/// How fresh each system's mirror is.
///
/// # Errors
/// Where the database does not answer.
pub async fn freshness(conn: &mut PgConnection) -> Result<Vec<Freshness>, sqlx::Error> {
    sqlx::query_as!(
        Freshness,
        "select system, server, position, looked_at, failing_since, failure from mirror_cursor order by system"
    )
    .fetch_all(conn)
    .await
}

/// A unit in which the mirror has seen something: its name, accounts, groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub dn: String,
    pub accounts: i64,
    pub groups: i64,
}

/// Units of a directory that hold accounts or groups, those with the most first.
///
/// # Errors
/// Where the database does not answer.
pub async fn units(conn: &mut PgConnection, system: &str, limit: i64) -> Result<Vec<Unit>, sqlx::Error> {
    sqlx::query_as!(
        Unit,
        r#"select unit as "dn!", count(*) filter (where account) as "accounts!", count(*) filter (where not account) as "groups!"
             from (select attributes->>'parent' as unit, true as account from account where system = $1 and gone_at is null
                   union all
                   select attributes->>'parent', false from directory_group where system = $1 and gone_at is null) seen
            where unit is not null group by 1 order by count(*) desc, 1 limit $2"#,
        system,
        limit
    )
    .fetch_all(conn)
    .await
}
