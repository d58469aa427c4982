//! Signing in with a local account: argon2id, the same answer and the same work for known and unknown names.
//!
//! Every try is counted before the password is looked at, per name and per address, so that a hundred tries at once count
//! as a hundred; success gives the count back. The delay grows with the count. Hashing is bounded: at most two at a
//! time, outside any transaction, so that a flood of tries costs neither memory nor database connections.

use std::net::IpAddr;
use std::sync::LazyLock;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::session;
use crate::db;
use crate::evidence::{self, By, Facts, Record, action};
use crate::ids::PersonId;

/// Memory for one hash is 19 MiB; two at a time is what two cores can do.
static HASHING: Semaphore = Semaphore::const_new(2);

/// A hash that no password has: what is verified where the name is not known.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    hash(&hex::encode(rand::random::<[u8; 32]>())).expect("hashing a constant-length text with fixed parameters works")
});

/// OWASP's parameters for argon2id: 19 MiB, two passes, one lane.
fn argon() -> Argon2<'static> {
    let params = Params::new(19_456, 2, 1, None).expect("the parameters are within argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &str) -> Result<String, argon2::password_hash::Error> {
    Ok(argon().hash_password(password.as_bytes())?.to_string())
}

fn verify(stored: &str, password: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|stored| argon().verify_password(password.as_bytes(), &stored).is_ok())
}

/// Runs `work` on a thread for blocking work, at most two at a time.
async fn bounded<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SignInError> {
    let _turn = HASHING.acquire().await.map_err(|_| SignInError::Busy)?;
    tokio::task::spawn_blocking(work).await.map_err(|_| SignInError::Busy)
}

/// Why nobody was signed in, or no sign-in made.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The same words whatever was wrong.
    #[error("User name and password do not match. Try again, or ask the service desk.")]
    Wrong,
    #[error("Too many tries. Wait {seconds} seconds, then try again.")]
    Wait { seconds: i64 },
    #[error("Signing in is busy. Try again in a moment.")]
    Busy,
    #[error("A user name has 1 to 64 letters, digits, dots, hyphens or underscores.")]
    UserName,
    #[error("That user name is taken.")]
    Taken,
    #[error("This person can sign in already.")]
    Exists,
    #[error("A password has 8 to 256 characters.")]
    Password,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A name as it is compared: NFKC, lower case, without surrounding space.
pub fn folded(user_name: &str) -> String {
    user_name.trim().nfkc().collect::<String>().to_lowercase()
}

/// Signs in and opens a session; the cookie's token.
///
/// # Errors
/// [`SignInError::Wrong`] or [`SignInError::Wait`], the same for known and unknown names.
pub async fn sign_in(
    pool: &PgPool,
    now: DateTime<Utc>,
    (user_name, password): (&str, &str),
    from: &session::From,
) -> Result<String, SignInError> {
    let name: String = folded(user_name).chars().take(200).collect();
    let mut conn = pool.acquire().await?;
    let keys = throttle_keys(&name, from.address.as_deref());
    count(&mut conn, &keys).await?;
    let known = sqlx::query!(
        "select s.person, c.secret from sign_in s join credential c on c.person = s.person and c.kind = 'password'
           join person p on p.id = s.person
          where s.user_name_folded = $1 and s.disabled_at is null and p.state not in ('left', 'withdrawn', 'erased')",
        name
    )
    .fetch_optional(&mut *conn)
    .await?;
    // No connection is held while hashing waits its turn.
    drop(conn);
    let stored = known.as_ref().map_or_else(|| NOBODY.clone(), |row| row.secret.clone());
    // Longer passwords than can exist are cut, not refused early: the same work for every try.
    let typed = Zeroizing::new(password.chars().take(257).collect::<String>());
    let right = bounded(move || verify(&stored, &typed)).await?;
    let mut tx = pool.begin().await?;
    let Some(person) = known.filter(|_| right).map(|row| PersonId(row.person)) else {
        let by = By { via: "person".to_owned(), address: from.address.clone(), ..By::default() };
        let mut record = Record::new(action::SESSION_REFUSED, "sign_in", by);
        record.detail = Facts::default().personal("user_name", name);
        evidence::append(&mut tx, now, &record).await.map_err(sqlx::Error::from)?;
        tx.commit().await?;
        return Err(SignInError::Wrong);
    };
    let token = session::open(&mut tx, now, person, from).await?;
    sqlx::query!("update credential set last_used_at = now() where person = $1 and kind = 'password'", person.0)
        .execute(&mut *tx)
        .await?;
    give_back(&mut tx, &keys).await?;
    tx.commit().await?;
    Ok(token)
}

/// Opens a session for one of the demo's people without a password. The caller has made sure that this is the demo.
///
/// # Errors
/// [`SignInError::Wrong`] where there is nobody of that name.
pub async fn demo(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    user_name: &str,
    from: &session::From,
) -> Result<String, SignInError> {
    let person = by_user_name(conn, user_name).await?.ok_or(SignInError::Wrong)?;
    Ok(session::open(conn, now, person, from).await?)
}

/// One of the people that the demo offers on the sign-in page.
#[derive(Debug, Clone)]
pub struct DemoPerson {
    pub user_name: String,
    pub name: String,
    pub title: Option<String>,
    pub department: Option<String>,
}

/// Those of `user_names` who can sign in, in that order.
///
/// # Errors
/// Where the database does not answer.
pub async fn demo_people(conn: &mut PgConnection, user_names: &[&str]) -> Result<Vec<DemoPerson>, sqlx::Error> {
    sqlx::query_as!(
        DemoPerson,
        r#"select s.user_name, p.display_name as name, e.title as "title?", d.name as "department?"
             from unnest($1::text[]) with ordinality as given (folded, place)
             join sign_in s on s.user_name_folded = given.folded and s.disabled_at is null
             join person p on p.id = s.person
             left join lateral (select title, department from employment where person = p.id
                                 order by first_day desc limit 1) e on true
             left join department d on d.id = e.department
            order by given.place"#,
        user_names as &[&str]
    )
    .fetch_all(conn)
    .await
}

/// The person who signs in under that name, unless disabled.
///
/// # Errors
/// Where the database does not answer.
pub async fn by_user_name(conn: &mut PgConnection, user_name: &str) -> Result<Option<PersonId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select s.person as "person: PersonId" from sign_in s join person p on p.id = s.person
            where s.user_name_folded = $1 and s.disabled_at is null and p.state not in ('left', 'withdrawn', 'erased')"#,
        folded(user_name)
    )
    .fetch_optional(conn)
    .await
}

/// A count of failures that somebody shares: a name; an address (IPv6: its /64, which one customer has whole).
struct ThrottleKey {
    key: String,
    /// Tries that are free of delay.
    free: i32,
}

fn throttle_keys(name: &str, address: Option<&str>) -> Vec<ThrottleKey> {
    let mut keys = vec![ThrottleKey { key: format!("name:{name}"), free: 5 }];
    if let Some(address) = address {
        let shared = match address.parse::<IpAddr>() {
            Ok(IpAddr::V6(v6)) => {
                v6.segments()[..4].iter().map(|part| format!("{part:x}")).collect::<Vec<_>>().join(":")
            }
            _ => address.to_owned(),
        };
        keys.push(ThrottleKey { key: format!("address:{shared}"), free: 20 });
    }
    keys
}

/// Counts this try as failed, in advance; refuses where the delay of an earlier one still runs.
async fn count(conn: &mut PgConnection, keys: &[ThrottleKey]) -> Result<(), SignInError> {
    for ThrottleKey { key, free } in keys {
        // Failures older than an hour are forgotten. The delay doubles from one second to five minutes.
        let counted = sqlx::query_scalar!(
            "insert into sign_in_throttle as t (key, failures, last_failure_at, blocked_until) values ($1, 1, now(), now())
             on conflict (key) do update set
               failures = case when t.last_failure_at < now() - interval '1 hour' then 1 else t.failures + 1 end,
               last_failure_at = now(),
               blocked_until = case when t.last_failure_at < now() - interval '1 hour' or t.failures < $2 then now()
                 else now() + make_interval(secs => least(300, power(2, least(t.failures - $2, 12)))) end
             where t.blocked_until <= now()
             returning failures",
            key,
            free
        )
        .fetch_optional(&mut *conn)
        .await?;
        if counted.is_none() {
            let seconds = sqlx::query_scalar!(
                "select ceil(extract(epoch from blocked_until - now()))::bigint from sign_in_throttle where key = $1",
                key
            )
            .fetch_optional(&mut *conn)
            .await?
            .flatten();
            return Err(SignInError::Wait { seconds: seconds.unwrap_or(1).max(1) });
        }
    }
    Ok(())
}

/// After success: the name's count is forgotten, the address' is one less.
async fn give_back(conn: &mut PgConnection, keys: &[ThrottleKey]) -> Result<(), sqlx::Error> {
    for ThrottleKey { key, .. } in keys {
        let name = key.starts_with("name:");
        sqlx::query!(
            "update sign_in_throttle set failures = case when $2 then 0 else greatest(failures - 1, 0) end,
                    blocked_until = case when $2 then now() else blocked_until end
              where key = $1",
            key,
            name
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Lets a person sign in with a password.
///
/// # Errors
/// [`SignInError::UserName`], [`SignInError::Password`], [`SignInError::Taken`] or [`SignInError::Exists`].
pub async fn create(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    person: PersonId,
    (user_name, password): (&str, &str),
) -> Result<(), SignInError> {
    let user_name = user_name.trim();
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
    if user_name.is_empty() || user_name.chars().count() > 64 || !user_name.chars().all(fits) {
        return Err(SignInError::UserName);
    }
    if !(8..=256).contains(&password.chars().count()) {
        return Err(SignInError::Password);
    }
    let typed = Zeroizing::new(password.to_owned());
    let secret = bounded(move || hash(&typed)).await?.map_err(|_| SignInError::Password)?;
    let record = Record::new(action::SIGN_IN_CREATED, format!("person:{person}"), by.clone());
    evidence::append(conn, now, &record).await.map_err(sqlx::Error::from)?;
    let made = sqlx::query!(
        "insert into sign_in (person, user_name, user_name_folded, created_at) values ($1, $2, $3, $4)",
        person.0,
        user_name,
        folded(user_name),
        now
    )
    .execute(&mut *conn)
    .await;
    match made {
        Err(error) if db::constraint(&error) == Some("sign_in_user_name_folded_key") => return Err(SignInError::Taken),
        Err(error) if db::constraint(&error) == Some("sign_in_pkey") => return Err(SignInError::Exists),
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    sqlx::query!(
        "insert into credential (id, person, kind, secret, created_at) values ($1, $2, 'password', $3, $4)",
        Uuid::now_v7(),
        person.0,
        secret,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a person's right to sign in: sessions end and tokens are revoked in the same transaction.
///
/// # Errors
/// Where the database does not answer.
pub async fn disable(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    person: PersonId,
) -> Result<(), sqlx::Error> {
    let disabled =
        sqlx::query!("update sign_in set disabled_at = now() where person = $1 and disabled_at is null", person.0)
            .execute(&mut *conn)
            .await?;
    if disabled.rows_affected() == 0 {
        return Ok(());
    }
    let record = Record::new(action::SIGN_IN_DISABLED, format!("person:{person}"), by.clone());
    evidence::append(conn, now, &record).await?;
    sqlx::query!("update api_token set revoked_at = now() where person = $1 and revoked_at is null", person.0)
        .execute(&mut *conn)
        .await?;
    session::end_all(conn, now, by, person, session::Why::Disabled).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_folded() {
        assert_eq!(folded("  MKeller "), "mkeller");
        assert_eq!(folded("ｍｋｅｌｌｅｒ"), "mkeller");
    }

    #[test]
    fn hashes_carry_the_parameters_and_verify() {
        let stored = hash("correct horse").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify(&stored, "correct horse"));
        assert!(!verify(&stored, "correct horsf"));
        assert!(!verify("not a hash", "x"));
        assert!(!verify(&NOBODY, "x"));
    }

    #[test]
    fn an_ipv6_customer_is_one_address() {
        let keys = |address| throttle_keys("x", Some(address)).pop().map(|key| key.key);
        assert_eq!(keys("2001:db8:1:2::5"), keys("2001:db8:1:2:ffff::1"));
        assert_ne!(keys("2001:db8:1:2::5"), keys("2001:db8:1:3::5"));
        assert_eq!(keys("192.0.2.1").as_deref(), Some("address:192.0.2.1"));
    }
}
