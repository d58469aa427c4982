//! A form in the middle of being filled in: kept as typed, by its owner, until it is submitted.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::PersonId;
use crate::plan::RequestKind;
use crate::plan::field::Raw;

/// A draft as its owner left it.
#[derive(Debug, Clone)]
pub struct Draft {
    pub id: Uuid,
    pub kind: RequestKind,
    pub raw: Raw,
    pub updated_at: chrono::DateTime<chrono::Utc>,
}

/// Starts a draft; its id is the nonce of the request it becomes.
///
/// # Errors
/// Where the database refuses.
pub async fn start(
    conn: &mut PgConnection,
    person: PersonId,
    kind: RequestKind,
    raw: &Raw,
) -> Result<Uuid, sqlx::Error> {
    // Random, not time-ordered: a nonce should not be guessed.
    let id = Uuid::new_v4();
    sqlx::query!(
        "insert into draft (id, person, kind, answers) values ($1, $2, $3, $4)",
        id,
        person.0,
        kind.as_str(),
        sqlx::types::Json(raw) as _
    )
    .execute(conn)
    .await?;
    Ok(id)
}

/// A person's own draft.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(conn: &mut PgConnection, person: PersonId, id: Uuid) -> Result<Option<Draft>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select kind, answers as "answers: sqlx::types::Json<Raw>", updated_at from draft where id = $1 and person = $2"#,
        id,
        person.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.and_then(|row| {
        Some(Draft { id, kind: RequestKind::parse(&row.kind)?, raw: row.answers.0, updated_at: row.updated_at })
    }))
}

/// Keeps what was typed: the fields given replace their former values, the others stay.
///
/// # Errors
/// Where the database refuses.
pub async fn keep(conn: &mut PgConnection, person: PersonId, id: Uuid, raw: &Raw) -> Result<bool, sqlx::Error> {
    let kept = sqlx::query!(
        "update draft set answers = answers || $3, updated_at = now() where id = $1 and person = $2",
        id,
        person.0,
        sqlx::types::Json(raw) as _
    )
    .execute(conn)
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// A person's drafts, newest first.
///
/// # Errors
/// Where the database does not answer.
pub async fn of(conn: &mut PgConnection, person: PersonId) -> Result<Vec<Draft>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id, kind, answers as "answers: sqlx::types::Json<Raw>", updated_at from draft
            where person = $1 order by updated_at desc limit 20"#,
        person.0
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(Draft {
                id: row.id,
                kind: RequestKind::parse(&row.kind)?,
                raw: row.answers.0,
                updated_at: row.updated_at,
            })
        })
        .collect())
}

/// Throws a draft away.
///
/// # Errors
/// Where the database refuses.
pub async fn discard(conn: &mut PgConnection, person: PersonId, id: Uuid) -> Result<bool, sqlx::Error> {
    let gone = sqlx::query!("delete from draft where id = $1 and person = $2", id, person.0).execute(conn).await?;
    Ok(gone.rows_affected() == 1)
}

/// Drafts nobody touched for a month.
///
/// # Errors
/// Where the database refuses.
pub async fn forget_old(conn: &mut PgConnection) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query!("delete from draft where updated_at < now() - interval '30 days'")
        .execute(conn)
        .await?
        .rows_affected())
}
