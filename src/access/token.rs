//! API tokens: a person makes their own, with scopes and an end; shown once, stored as SHA-256.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::{Denied, Permit, Viewer, op, roles, session};
use crate::config::DemoConfig;
use crate::evidence::{self, By, Facts, Record, action};
use crate::ids::PersonId;
use crate::target::Value;

/// What a token can be made for.
pub const SCOPES: [&str; 7] = [
    "people:read",
    "catalogue:read",
    "grants:read",
    "requests:read",
    "requests:write",
    "decisions:write",
    "evidence:read",
];
/// How tokens begin, so that a scanner finds one that leaked.
pub const PREFIX: &str = "tenure_";
/// The longest a token may live.
pub const LONGEST_DAYS: i64 = 365;

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("Give the token a name of up to 100 characters, so that you know it again.")]
    Name,
    #[error("Choose what the token is for.")]
    Scopes,
    #[error("Choose an end between 1 and {LONGEST_DAYS} days from now.")]
    Days,
    #[error("Tokens in somebody else's name are made in the demo only.")]
    NotTheDemo,
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub name: String,
    pub scopes: Vec<String>,
    pub days: i64,
}

/// Makes a token for the one who asks, and returns it: the only time it is seen.
///
/// # Errors
/// [`TokenError`] naming what to mend.
pub async fn make(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::MakeToken>,
    wanted: &Wanted,
) -> Result<String, TokenError> {
    insert(conn, now, permit.by(), permit.person()?, wanted).await
}

/// A token for one of the demo's people, with all scopes, for a day; refused outside the demo.
///
/// # Errors
/// [`TokenError::NotTheDemo`] where the demo is not enabled.
pub async fn for_demo(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    demo: &DemoConfig,
    person: PersonId,
) -> Result<String, TokenError> {
    if !demo.enabled {
        return Err(TokenError::NotTheDemo);
    }
    let by = By { via: "command".to_owned(), ..By::default() };
    let wanted =
        Wanted { name: "demo".to_owned(), scopes: SCOPES.iter().map(|scope| (*scope).to_owned()).collect(), days: 1 };
    insert(conn, now, by, person, &wanted).await
}

async fn insert(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: By,
    person: PersonId,
    wanted: &Wanted,
) -> Result<String, TokenError> {
    let name = wanted.name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(TokenError::Name);
    }
    let mut scopes = wanted.scopes.clone();
    scopes.sort();
    scopes.dedup();
    if scopes.is_empty() || scopes.iter().any(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(TokenError::Scopes);
    }
    if !(1..=LONGEST_DAYS).contains(&wanted.days) {
        return Err(TokenError::Days);
    }
    let id = Uuid::now_v7();
    let mut record = Record::new(action::TOKEN_MADE, format!("person:{person}"), by);
    record.detail = Facts::default()
        .plain("token", id.to_string())
        .plain("scopes", scopes.join(" "))
        .plain("days", Value::Number(wanted.days));
    evidence::append(conn, now, &record).await.map_err(sqlx::Error::from)?;
    let token = format!("{PREFIX}{}", session::mint().0);
    // Sessions and tokens are ruled by the database's time; only evidence is told the business one.
    let stored = session::fingerprint(&token);
    sqlx::query!(
        "insert into api_token (id, person, name, token_sha256, scopes, expires_at)
         values ($1, $2, $3, $4, $5, now() + make_interval(days => $6))",
        id,
        person.0,
        name,
        stored.as_slice(),
        &scopes,
        i32::try_from(wanted.days).unwrap_or(1),
    )
    .execute(conn)
    .await?;
    Ok(token)
}

/// Who bears that token, if it holds.
///
/// # Errors
/// Where the database does not answer.
pub async fn resume(
    conn: &mut PgConnection,
    token: &str,
    address: Option<String>,
) -> Result<Option<Viewer>, sqlx::Error> {
    let stored = session::fingerprint(token);
    let mut query = QueryBuilder::<Postgres>::new("select ");
    query.push(roles::BASIS).push(
        ", t.id, t.person, t.scopes, p.display_name, s.user_name,
           coalesce(t.last_used_at < now() - interval '1 minute', true) as stale
           from api_token t join sign_in s on s.person = t.person join person p on p.id = t.person
          where t.revoked_at is null and t.expires_at > now() and s.disabled_at is null and ",
    );
    query.push(roles::HERE).push(" and t.token_sha256 = ").push_bind(stored.as_slice());
    let Some(row) = query.build().fetch_optional(&mut *conn).await? else { return Ok(None) };
    let token: Uuid = row.try_get("id")?;
    if row.try_get("stale")? {
        sqlx::query!(
            "update api_token set last_used_at = now()
              where id = (select id from api_token where id = $1 for no key update skip locked)",
            token
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(Some(Viewer {
        person: row.try_get("person")?,
        name: row.try_get("display_name")?,
        user_name: row.try_get("user_name")?,
        roles: roles::of_row(&row)?,
        session: None,
        token: Some(token),
        scopes: row.try_get("scopes")?,
        address,
    }))
}

/// A token as its owner sees it.
#[derive(Debug, Clone)]
pub struct Listed {
    pub id: Uuid,
    pub name: String,
    pub scopes: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A person's tokens that hold, the newest first.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(conn: &mut PgConnection, person: PersonId) -> Result<Vec<Listed>, sqlx::Error> {
    sqlx::query_as!(
        Listed,
        "select id, name, scopes, created_at, expires_at, last_used_at from api_token
          where person = $1 and revoked_at is null and expires_at > now() order by created_at desc, id desc",
        person.0
    )
    .fetch_all(conn)
    .await
}

/// Revokes one of the actor's own tokens; false where it is not theirs or is revoked already.
///
/// # Errors
/// Where the database does not answer, or the permit is not a person's.
pub async fn revoke(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::MakeToken>,
    token: Uuid,
) -> Result<bool, TokenError> {
    let person = permit.person()?;
    let revoked = sqlx::query!(
        "update api_token set revoked_at = now() where id = $1 and person = $2 and revoked_at is null",
        token,
        person.0
    )
    .execute(&mut *conn)
    .await?;
    if revoked.rows_affected() == 0 {
        return Ok(false);
    }
    let mut record = Record::new(action::TOKEN_REVOKED, format!("person:{person}"), permit.by());
    record.detail = Facts::default().plain("token", token.to_string());
    evidence::append(conn, now, &record).await.map_err(sqlx::Error::from)?;
    Ok(true)
}
