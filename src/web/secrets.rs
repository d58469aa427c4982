//! Handing over a password: once, to the one whom it is for.
//!
//! The reader presses the button (a POST, since link scanners GET). The first press makes a key pair: the public half goes
//! to the worker, which reseals the password to it, the private half into a cookie of ten minutes for this secret alone. The
//! page looks again by itself until that is done; the next press opens it, here, for this one answer.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum_extra::extract::cookie::CookieJar;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::view::parts::Link;
use super::view::secrets::{SecretPage, SecretState};
use super::view::shell::Nav;
use super::viewer::{self, Posted, SignedIn};
use super::{AppState, Error, plans};
use crate::access::{Object, op, permit};
use crate::changes::secret::{self, Progress, SecretError};
use crate::ids::PersonId;

const MINUTES: u32 = 10;

fn cookie_name(state: &AppState, id: Uuid) -> String {
    let prefix = if state.config.web.insecure_http { "" } else { "__Host-" };
    format!("{prefix}reveal-{}", id.simple())
}

/// A delivery that this browser has asked for, and the private half of its key.
fn asked(state: &AppState, id: Uuid, headers: &HeaderMap) -> Option<(Uuid, String)> {
    let jar = CookieJar::from_headers(headers);
    let (delivery, key) = jar.get(&cookie_name(state, id))?.value().split_once('.')?;
    Some((delivery.parse().ok()?, key.to_owned()))
}

struct About {
    number: i64,
    title: String,
    user_name: Option<String>,
    usable: bool,
    readable_from: DateTime<Utc>,
    expired: bool,
    revealed_at: Option<DateTime<Utc>>,
}

async fn about(conn: &mut PgConnection, reader: PersonId, id: Uuid) -> Result<About, Error> {
    sqlx::query_as!(
        About,
        r#"select r.number, r.title, a.user_name as "user_name?", s.usable_at is not null as "usable!", s.readable_from,
                  s.expires_at <= now() as "expired!", s.revealed_at
             from secret s join request r on r.id = s.request join step t on t.id = s.step
             left join account a on a.native_id = coalesce(t.resolved, (t.key ->> 'id')::uuid) and a.system = t.system
            where s.id = $1 and s.reader = $2"#,
        id,
        reader.0
    )
    .fetch_optional(conn)
    .await?
    .ok_or_else(Error::not_found)
}

/// `GET /secrets/{id}`
pub async fn page(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    me: SignedIn,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::Reveal>(&mut conn, &me.actor(), Object::Secret(id)).await?;
    let about = about(&mut conn, me.viewer().person, id).await?;
    let mut stands = standing(&me, &about);
    if let (SecretState::Ready, Some((delivery, _))) = (&stands, asked(&state, id, &headers))
        && secret::progress(&mut conn, me.viewer().person, delivery).await? == Progress::Preparing
    {
        stands = SecretState::Preparing;
    }
    show(&state, &mut conn, &me, id, (&about, stands)).await
}

fn standing(me: &SignedIn, about: &About) -> SecretState {
    if let Some(at) = about.revealed_at {
        return SecretState::Used { words: format!("You looked at it {}.", me.when(at).exact) };
    }
    if about.expired {
        return SecretState::Gone { words: "It was not looked at in time.".to_owned() };
    }
    if about.readable_from > me.now {
        return SecretState::NotBefore { from: format!("from {} on", plans::later(me, Some(about.readable_from))) };
    }
    if !about.usable {
        return SecretState::NotBefore { from: "as soon as the account has it".to_owned() };
    }
    SecretState::Ready
}

async fn show(
    state: &AppState,
    conn: &mut PgConnection,
    me: &SignedIn,
    id: Uuid,
    (about, stands): (&About, SecretState),
) -> Result<Response, Error> {
    let page = SecretPage {
        action: format!("/secrets/{id}"),
        title: about.title.clone(),
        user_name: about.user_name.clone().unwrap_or_default(),
        request: Link::new(format!("REQ-{:06}", about.number), format!("/requests/{}", about.number)),
        state: stands,
        shell: me.shell(state, conn, "Password", Nav::None).await?,
    };
    viewer::page(&page)
}

/// `POST /secrets/{id}`
pub async fn reveal(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    Posted { me, .. }: Posted,
) -> Result<Response, Error> {
    let person = me.viewer().person;
    let mut tx = state.pool.begin().await?;
    let by = permit::<op::Reveal>(&mut tx, &me.actor(), Object::Secret(id)).await?.by();
    let about = about(&mut tx, person, id).await?;
    let stands = standing(&me, &about);
    if !matches!(stands, SecretState::Ready) {
        return show(&state, &mut tx, &me, id, (&about, stands)).await;
    }
    let mut given = asked(&state, id, &headers);
    let mut fresh = None;
    let progress = match &given {
        Some((delivery, _)) => secret::progress(&mut tx, person, *delivery).await?,
        None => Progress::Gone,
    };
    if progress == Progress::Gone {
        let (delivery, key) = secret::ask(&mut tx, me.now, &by, (person, id)).await.map_err(unreadable)?;
        let value = format!("{delivery}.{}", *key);
        fresh = Some(viewer::cookie(&state, &cookie_name(&state, id), &value, Some(MINUTES * 60))?);
        given = Some((delivery, key.to_string()));
        tx.commit().await?;
    } else {
        drop(tx);
    }
    let Some((delivery, key)) = given else { return Err(Error::not_found()) };
    // The worker needs a moment; a short wait spares the reader a second press.
    let ready = wait(&state, person, delivery).await?;
    let mut tx = state.pool.begin().await?;
    let mut response = if ready {
        permit::<op::Reveal>(&mut tx, &me.actor(), Object::Secret(id)).await?;
        let password = secret::reveal(&mut tx, me.now, &by, (person, delivery), &key).await.map_err(unreadable)?;
        let shown = SecretState::Shown { secret: password.to_string() };
        let response = show(&state, &mut tx, &me, id, (&about, shown)).await?;
        tx.commit().await?;
        fresh = Some(viewer::cookie(&state, &cookie_name(&state, id), "", Some(0))?);
        response
    } else {
        show(&state, &mut tx, &me, id, (&about, SecretState::Preparing)).await?
    };
    response.headers_mut().extend(fresh.map(|cookie| (header::SET_COOKIE, cookie)));
    Ok(response)
}

/// Waits up to two seconds for the worker.
async fn wait(state: &AppState, person: PersonId, delivery: Uuid) -> Result<bool, Error> {
    for round in 0..10 {
        if round > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        let mut conn = state.pool.acquire().await?;
        if secret::progress(&mut conn, person, delivery).await? == Progress::Ready {
            return Ok(true);
        }
    }
    Ok(false)
}

fn unreadable(error: SecretError) -> Error {
    match error {
        SecretError::Database(error) => error.into(),
        SecretError::NotReadable => Error::not_found(),
        other => Error::broken(other),
    }
}
