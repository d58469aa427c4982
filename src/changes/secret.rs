//! A generated password between its making and its being read, once, by one person.
//!
//! The worker seals it (HPKE, RFC 9180: X25519, HKDF-SHA256, ChaCha20-Poly1305) to its own key before it sends it, so that a
//! repeated attempt sets the same. A reader's page makes a key pair: the public half goes into `delivery`, the private half
//! into a short-lived cookie. The worker reseals to it; the reader reveals by POST, once, and everything is forgotten. The
//! database alone never suffices to read one; the web process never holds the worker's key.

use std::fmt;

use chrono::{DateTime, Utc};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem as _, OpModeR, OpModeS, Serializable};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::lease::Leased;
use crate::db;
use crate::evidence::{By, EvidenceError, Facts, Record, action, append};
use crate::ids::{PersonId, StepId};

type Kem = X25519HkdfSha256;
type PrivateKey = <Kem as hpke::Kem>::PrivateKey;
type PublicKey = <Kem as hpke::Kem>::PublicKey;

/// How long a reader's page may wait and show: then its key is gone and it asks anew.
const DELIVERY_MINUTES: i32 = 15;

/// Why a secret could not be kept, resealed or read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error("the sealed password does not open with this key")]
    Sealing,
    #[error("a key has 32 bytes, written as 64 hexadecimal digits")]
    Key,
    #[error("this password is not for you, was read already, or is no longer kept")]
    NotReadable,
}

/// The worker's key, in its memory only.
pub struct Vault {
    private: PrivateKey,
    public: PublicKey,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

impl Vault {
    /// From the key file's text: 64 hexadecimal digits.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn from_hex(text: &str) -> Result<Self, SecretError> {
        let bytes = Zeroizing::new(hex::decode(text.trim()).map_err(|_| SecretError::Key)?);
        let private = PrivateKey::from_bytes(&bytes).map_err(|_| SecretError::Key)?;
        Ok(Self { public: Kem::sk_to_pk(&private), private })
    }

    /// A new key's text, for the key file.
    pub fn generate() -> Zeroizing<String> {
        let (private, _) = key_pair();
        private_hex(&private)
    }

    pub fn public_key(&self) -> Vec<u8> {
        self.public.to_bytes().to_vec()
    }
}

fn key_pair() -> (PrivateKey, PublicKey) {
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
    Kem::derive_keypair(seed.as_slice())
}

fn private_hex(private: &PrivateKey) -> Zeroizing<String> {
    Zeroizing::new(hex::encode(private.to_bytes()))
}

/// The id is bound in, so that a sealed text cannot be moved to another row.
fn seal(to: &PublicKey, id: Uuid, text: &str) -> Result<Vec<u8>, SecretError> {
    let (encapsulated, sealed) = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeS::Base,
        to,
        b"tenure secret",
        text.as_bytes(),
        id.as_bytes(),
    )
    .map_err(|_| SecretError::Sealing)?;
    let mut bytes = encapsulated.to_bytes().to_vec();
    bytes.extend(sealed);
    Ok(bytes)
}

fn open(with: &PrivateKey, id: Uuid, bytes: &[u8]) -> Result<Zeroizing<String>, SecretError> {
    let (encapsulated, sealed) = bytes.split_at_checked(32).ok_or(SecretError::Sealing)?;
    let encapsulated = <Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| SecretError::Sealing)?;
    let text = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeR::Base,
        with,
        &encapsulated,
        b"tenure secret",
        sealed,
        id.as_bytes(),
    )
    .map_err(|_| SecretError::Sealing)?;
    String::from_utf8(text).map(Zeroizing::new).map_err(|_| SecretError::Sealing)
}

/// The password that an earlier attempt of this step made.
pub(super) async fn kept(pool: &PgPool, vault: &Vault, step: StepId) -> Result<Option<Zeroizing<String>>, SecretError> {
    let row = sqlx::query!("select id, sealed from secret where step = $1", step.0).fetch_optional(pool).await?;
    match row {
        Some(row) => row.sealed.map(|sealed| open(&vault.private, row.id, &sealed)).transpose(),
        None => Ok(None),
    }
}

/// Keeps a new password, sealed, before it is sent; behind the fence.
pub(super) async fn keep(pool: &PgPool, vault: &Vault, leased: &Leased, password: &str) -> Result<(), SecretError> {
    let Some((reader, readable_from)) = leased.secret else { return Ok(()) };
    let id = Uuid::now_v7();
    let sealed = seal(&vault.public, id, password)?;
    let mut tx = pool.begin_with(db::BY_KEY).await?;
    let kept = sqlx::query!(
        "insert into secret (id, step, request, sealed, reader, readable_from, expires_at)
         select $1, s.id, s.request, $2, $3, $4, greatest($4, now()) + interval '30 days'
           from step s where s.id = $5 and s.state = 'running' and s.attempt = $6",
        id,
        sealed,
        reader.0,
        readable_from,
        leased.step.0,
        leased.attempt,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    // Zero rows: another attempt has taken over, and its password is the one.
    if kept.rows_affected() == 1 { Ok(()) } else { Err(SecretError::NotReadable) }
}

/// A password that somebody may read, as their request's page lists it.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub id: Uuid,
    pub step: StepId,
    pub reader: PersonId,
    pub readable_from: DateTime<Utc>,
    pub usable: bool,
    pub revealed_at: Option<DateTime<Utc>>,
    pub expired: bool,
}

/// The secrets of a request.
///
/// # Errors
/// Where the database does not answer.
pub async fn of_request(conn: &mut PgConnection, request: crate::ids::RequestId) -> Result<Vec<Waiting>, sqlx::Error> {
    sqlx::query_as!(
        Waiting,
        r#"select id, step as "step: StepId", reader as "reader: PersonId", readable_from,
                  usable_at is not null as "usable!", revealed_at, expires_at <= now() as "expired!"
             from secret where request = $1 order by created_at"#,
        request.0
    )
    .fetch_all(conn)
    .await
}

/// A reader's page asks: gives the delivery's id and the private half for the cookie (hex).
///
/// # Errors
/// [`SecretError::NotReadable`] unless it is this person's to read, now, for the first time.
pub async fn ask(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (person, secret): (PersonId, Uuid),
) -> Result<(Uuid, Zeroizing<String>), SecretError> {
    let row = sqlx::query!(
        "select s.step, r.number from secret s join request r on r.id = s.request
          where s.id = $1 and s.reader = $2 and s.revealed_at is null and s.usable_at is not null
            and s.readable_from <= $3 and s.expires_at > $3 and s.sealed is not null
            for update of s",
        secret,
        person.0,
        now
    )
    .fetch_optional(&mut *conn)
    .await?
    .ok_or(SecretError::NotReadable)?;
    let record =
        Record { step: Some(row.step), ..Record::of_request(action::SECRET_REQUESTED, row.number, by.clone()) };
    append(conn, now, &record).await?;
    let (private, public) = key_pair();
    let public = public.to_bytes();
    let id = Uuid::now_v7();
    sqlx::query!(
        "insert into delivery (id, secret, person, public_key, expires_at)
         values ($1, $2, $3, $4, now() + make_interval(mins => $5))",
        id,
        secret,
        person.0,
        public.as_slice(),
        DELIVERY_MINUTES,
    )
    .execute(conn)
    .await?;
    Ok((id, private_hex(&private)))
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The worker has not resealed it yet; a second or so.
    Preparing,
    /// It can be revealed.
    Ready,
    /// Revealed, run out, or never this person's.
    Gone,
}

/// How far this person's delivery is.
///
/// # Errors
/// Where the database does not answer.
pub async fn progress(conn: &mut PgConnection, person: PersonId, delivery: Uuid) -> Result<Progress, sqlx::Error> {
    let row = sqlx::query!(
        r#"select d.ready_at is not null as "ready!", d.revealed_at is not null or d.expires_at <= now() as "gone!"
             from delivery d where d.id = $1 and d.person = $2"#,
        delivery,
        person.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(match row {
        Some(row) if !row.gone && row.ready => Progress::Ready,
        Some(row) if !row.gone => Progress::Preparing,
        _ => Progress::Gone,
    })
}

/// Opens the delivery with the cookie's key, once; forgets both sealed texts.
///
/// # Errors
/// [`SecretError::NotReadable`] where it is gone or somebody else's, [`SecretError::Sealing`] with another key; then
/// nothing is used up.
pub async fn reveal(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (person, delivery): (PersonId, Uuid),
    private_hex: &str,
) -> Result<Zeroizing<String>, SecretError> {
    let row = sqlx::query!(
        r#"select d.sealed as "sealed!", d.secret, s.step, r.number
             from delivery d join secret s on s.id = d.secret join request r on r.id = s.request
            where d.id = $1 and d.person = $2 and d.sealed is not null and d.revealed_at is null and d.expires_at > now()
              and s.revealed_at is null
              for update of s, d"#,
        delivery,
        person.0
    )
    .fetch_optional(&mut *conn)
    .await?
    .ok_or(SecretError::NotReadable)?;
    let vault = Vault::from_hex(private_hex)?;
    let password = open(&vault.private, delivery, &row.sealed)?;
    let record = Record {
        step: Some(row.step),
        detail: Facts::default().plain("reader", person.to_string()),
        ..Record::of_request(action::SECRET_REVEALED, row.number, by.clone())
    };
    append(conn, now, &record).await?;
    sqlx::query!("update secret set revealed_at = $2, sealed = null where id = $1", row.secret, now)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "update delivery set sealed = null, revealed_at = case when id = $2 then now() else revealed_at end where secret = $1",
        row.secret,
        delivery
    )
    .execute(conn)
    .await?;
    Ok(password)
}

/// The worker's part: reseals what readers' pages ask for, and forgets what has run out. Returns how many were resealed.
///
/// # Errors
/// Where the database does not answer; one that does not open is left to run out and logged.
pub async fn deliver(pool: &PgPool, vault: &Vault) -> Result<usize, SecretError> {
    let mut tx = pool.begin().await?;
    let waiting = sqlx::query!(
        r#"select d.id, d.public_key, s.id as secret, s.sealed as "sealed!"
             from delivery d join secret s on s.id = d.secret
            where d.ready_at is null and d.revealed_at is null and d.expires_at > now() and s.sealed is not null
              and s.revealed_at is null and s.usable_at is not null
            order by d.asked_at limit 20
              for update of d skip locked"#
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut done = 0;
    for row in waiting {
        let resealed = PublicKey::from_bytes(&row.public_key)
            .map_err(|_| SecretError::Key)
            .and_then(|to| seal(&to, row.id, &open(&vault.private, row.secret, &row.sealed)?));
        match resealed {
            Ok(sealed) => {
                sqlx::query!("update delivery set sealed = $2, ready_at = now() where id = $1", row.id, sealed)
                    .execute(&mut *tx)
                    .await?;
                done += 1;
            }
            Err(error) => {
                tracing::error!(delivery = %row.id, %error, "a password could not be resealed for its reader");
                sqlx::query!("update delivery set expires_at = now() where id = $1", row.id).execute(&mut *tx).await?;
            }
        }
    }
    tx.commit().await?;
    Ok(done)
}

/// Forgets sealed passwords that nobody read in time.
///
/// # Errors
/// Where the database does not answer.
pub async fn forget_expired(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<u64, EvidenceError> {
    let secrets = sqlx::query!(
        "with gone as (
             update secret set sealed = null where expires_at <= now() and sealed is not null returning id, step, request
         )
         select gone.step, r.number from gone join request r on r.id = gone.request order by r.number, gone.id"
    )
    .fetch_all(&mut *conn)
    .await?;
    for secret in &secrets {
        let by = By::routine("forget");
        let record =
            Record { step: Some(secret.step), ..Record::of_request(action::SECRET_EXPIRED, secret.number, by) };
        append(conn, now, &record).await?;
    }
    sqlx::query!("update delivery set sealed = null where expires_at <= now() and sealed is not null")
        .execute(conn)
        .await?;
    Ok(secrets.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_text_opens_with_its_key_and_id_only() {
        let vault = Vault::from_hex(&Vault::generate()).unwrap();
        let other = Vault::from_hex(&Vault::generate()).unwrap();
        let id = Uuid::now_v7();
        let sealed = seal(&vault.public, id, "Grün-7-Zwölf").unwrap();
        assert_eq!(open(&vault.private, id, &sealed).unwrap().as_str(), "Grün-7-Zwölf");
        assert!(open(&other.private, id, &sealed).is_err());
        assert!(open(&vault.private, Uuid::now_v7(), &sealed).is_err());
        assert!(open(&vault.private, id, &sealed[..40]).is_err());
        assert!(open(&vault.private, id, b"short").is_err());
    }
}
