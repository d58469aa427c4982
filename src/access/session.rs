//! Sessions: one row per browser signed in, 8 hours at most, 30 minutes idle, by the database's own time.
//!
//! The cookie holds 32 random bytes; only their SHA-256 is stored, so a copy of the database signs nobody in. Every page
//! reads the row again: an ended session ends with the next click.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{Viewer, roles};
use crate::evidence::{self, By, Facts, Record, action};
use crate::ids::PersonId;
use crate::target::Value;

/// Why a session ended, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    SignedOut,
    Idle,
    Expired,
    Disabled,
    RoleChanged,
    EndedByOwner,
}

impl Why {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::Idle => "idle",
            Self::Expired => "expired",
            Self::Disabled => "disabled",
            Self::RoleChanged => "role_changed",
            Self::EndedByOwner => "ended_by_owner",
        }
    }
}

/// A session that holds, read for one HTTP request.
#[derive(Debug, Clone)]
pub struct Live {
    pub viewer: Viewer,
    /// The secret that this session's forms are signed with.
    pub csrf: Vec<u8>,
    /// The zone where they work: what times are shown in.
    pub zone: chrono_tz::Tz,
}

impl Live {
    /// A form's token, different each time (so that compression tells nothing about it), valid for the session.
    pub fn form_token(&self) -> String {
        let mask: [u8; 32] = rand::random();
        let mut token = mask.to_vec();
        token.extend(form_mac(&self.csrf).iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Whether a form carried a token of this session; compared in constant time.
    pub fn accepts(&self, token: &str) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else { return false };
        if bytes.len() != 64 {
            return false;
        }
        let (mask, masked) = bytes.split_at(32);
        let mac: Vec<u8> = masked.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
        mac.ct_eq(&form_mac(&self.csrf)).into()
    }
}

fn form_mac(key: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(b"form");
    mac.finalize().into_bytes().into()
}

/// A new token: what its bearer keeps, and what is stored.
pub(super) fn mint() -> (String, [u8; 32]) {
    let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let stored = fingerprint(&token);
    (token, stored)
}

pub(super) fn fingerprint(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// From where somebody signs in.
#[derive(Debug, Clone, Default)]
pub struct From {
    pub address: Option<String>,
    pub user_agent: Option<String>,
}

/// Opens a session and returns the cookie's token, which is nowhere else.
///
/// # Errors
/// Where the database does not answer.
pub async fn open(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    person: PersonId,
    from: &From,
) -> Result<String, sqlx::Error> {
    let (token, stored) = mint();
    let id = Uuid::now_v7();
    let by = By {
        person: Some(person.0),
        via: "person".to_owned(),
        session: Some(id),
        address: from.address.clone(),
        ..By::default()
    };
    evidence::append(conn, now, &Record::new(action::SESSION_OPENED, format!("person:{person}"), by)).await?;
    let user_agent: Option<String> = from.user_agent.as_ref().map(|text| text.chars().take(300).collect());
    let csrf: [u8; 32] = rand::random();
    sqlx::query!(
        "insert into session (id, token_sha256, person, csrf, expires_at, address, user_agent)
         values ($1, $2, $3, $4, now() + interval '8 hours', $5, $6)",
        id,
        stored.as_slice(),
        person.0,
        csrf.as_slice(),
        from.address,
        user_agent,
    )
    .execute(conn)
    .await?;
    Ok(token)
}

/// The session of that cookie, if it holds. Notes that it was used, once a minute.
///
/// # Errors
/// Where the database does not answer.
pub async fn resume(
    conn: &mut PgConnection,
    token: &str,
    address: Option<String>,
) -> Result<Option<Live>, sqlx::Error> {
    let stored = fingerprint(token);
    let mut query = QueryBuilder::<Postgres>::new("select ");
    query.push(roles::BASIS).push(
        ", e.id, e.person, e.csrf, p.display_name, s.user_name, e.last_seen_at < now() - interval '1 minute' as stale,
           (select i.zone from employment m join site i on i.id = m.site where m.person = p.id
             order by m.first_day desc limit 1) as zone
           from session e join sign_in s on s.person = e.person join person p on p.id = e.person
          where e.ended_at is null and e.expires_at > now() and e.last_seen_at > now() - interval '30 minutes'
            and s.disabled_at is null and ",
    );
    query.push(roles::HERE).push(" and e.token_sha256 = ").push_bind(stored.as_slice());
    let Some(row) = query.build().fetch_optional(&mut *conn).await? else { return Ok(None) };
    let session: Uuid = row.try_get("id")?;
    if row.try_get("stale")? {
        // Skipped where an operation holds the row: the next page will note it.
        sqlx::query!(
            "update session set last_seen_at = now()
              where id = (select id from session where id = $1 for no key update skip locked)",
            session
        )
        .execute(&mut *conn)
        .await?;
    }
    let viewer = Viewer {
        person: row.try_get("person")?,
        name: row.try_get("display_name")?,
        user_name: row.try_get("user_name")?,
        roles: roles::of_row(&row)?,
        session: Some(session),
        token: None,
        scopes: Vec::new(),
        address,
    };
    let zone = row.try_get::<Option<String>, _>("zone")?.and_then(|name| name.parse().ok()).unwrap_or(chrono_tz::UTC);
    Ok(Some(Live { viewer, csrf: row.try_get("csrf")?, zone }))
}

/// A session as its owner sees it.
#[derive(Debug, Clone)]
pub struct Listed {
    pub id: Uuid,
    pub started_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub address: Option<String>,
    pub user_agent: Option<String>,
}

/// A person's sessions that hold, the last used first.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(conn: &mut PgConnection, person: PersonId) -> Result<Vec<Listed>, sqlx::Error> {
    sqlx::query_as!(
        Listed,
        "select id, started_at, last_seen_at, expires_at, address, user_agent from session
          where person = $1 and ended_at is null and expires_at > now()
            and last_seen_at > now() - interval '30 minutes'
          order by last_seen_at desc, id desc",
        person.0
    )
    .fetch_all(conn)
    .await
}

/// Ends one session of that person; false where it is not theirs or has ended already.
///
/// # Errors
/// Where the database does not answer.
pub async fn end(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (person, session): (PersonId, Uuid),
    why: Why,
) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query!(
        "update session set ended_at = now(), ended_why = $3 where id = $1 and person = $2 and ended_at is null",
        session,
        person.0,
        why.as_str()
    )
    .execute(&mut *conn)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(false);
    }
    record_end(conn, now, by, person, (1, why)).await?;
    Ok(true)
}

/// Ends all sessions of a person, at once.
///
/// # Errors
/// Where the database does not answer.
pub async fn end_all(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    person: PersonId,
    why: Why,
) -> Result<(), sqlx::Error> {
    let ended = sqlx::query!(
        "update session set ended_at = now(), ended_why = $2 where person = $1 and ended_at is null",
        person.0,
        why.as_str()
    )
    .execute(&mut *conn)
    .await?;
    if ended.rows_affected() > 0 {
        record_end(conn, now, by, person, (ended.rows_affected(), why)).await?;
    }
    Ok(())
}

async fn record_end(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    person: PersonId,
    (count, why): (u64, Why),
) -> Result<(), sqlx::Error> {
    let mut record = Record::new(action::SESSION_ENDED, format!("person:{person}"), by.clone());
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    record.detail = Facts::default().plain("why", why.as_str()).plain("sessions", Value::Number(count));
    evidence::append(conn, now, &record).await?;
    Ok(())
}

/// Marks what ran out as ended and forgets old counts of failed sign-ins; for the worker, every few minutes, in a
/// transaction.
///
/// # Errors
/// Where the database does not answer.
pub async fn sweep(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    // By subject, so that two sweeps lock in one order.
    let ended = sqlx::query!(
        r#"with ended as (
               update session
                  set ended_at = now(), ended_why = case when expires_at <= now() then 'expired' else 'idle' end
                where ended_at is null and (expires_at <= now() or last_seen_at <= now() - interval '30 minutes')
            returning person, ended_why
           )
           select person as "person: PersonId", ended_why as "why!", count(*) as "count!"
             from ended group by person, ended_why order by person, ended_why"#
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut count = 0;
    for row in ended {
        let by = By::routine("sessions");
        let detail = Facts::default().plain("why", row.why).plain("sessions", Value::Number(row.count));
        let record = Record { detail, ..Record::new(action::SESSION_ENDED, format!("person:{}", row.person), by) };
        evidence::append(conn, now, &record).await?;
        count += u64::try_from(row.count).unwrap_or(0);
    }
    sqlx::query!("delete from sign_in_throttle where last_failure_at < now() - interval '1 day'").execute(conn).await?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(csrf: u8) -> Live {
        let viewer = Viewer {
            person: PersonId(Uuid::nil()),
            name: String::new(),
            user_name: String::new(),
            roles: Vec::new(),
            session: None,
            token: None,
            scopes: Vec::new(),
            address: None,
        };
        Live { viewer, csrf: vec![csrf; 32], zone: chrono_tz::UTC }
    }

    #[test]
    fn form_tokens_differ_and_hold_for_their_session_alone() {
        let (mine, other) = (live(1), live(2));
        let (first, second) = (mine.form_token(), mine.form_token());
        assert_ne!(first, second);
        assert!(mine.accepts(&first) && mine.accepts(&second));
        assert!(!other.accepts(&first));
        for wrong in ["", "x", "AAAA", &first[1..]] {
            assert!(!mine.accepts(wrong), "{wrong}");
        }
    }
}
