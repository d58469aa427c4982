//! Forgetting what was asked about a person, and what they wrote.

use sqlx::PgConnection;

use crate::evidence::erase::Traces;
use crate::ids::{PersonId, RequestNumber};

/// Open requests that are about the person, that they are a party of, or whose steps name them.
///
/// # Errors
/// Where the database does not answer.
pub async fn open_with(conn: &mut PgConnection, traces: &Traces) -> Result<Vec<RequestNumber>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select r.number as "number: RequestNumber" from request r
            where r.settled_at is null
              and (r.subject = $1 or r.asked_by = $1
                   or exists (select from request_role o where o.request = r.id and o.person = $1)
                   or exists (select from step s where s.request = r.id and s.difference::text ~ $2))
            order by r.number"#,
        traces.person.0,
        traces.pattern
    )
    .fetch_all(conn)
    .await
}

/// How many requests are about the person.
///
/// # Errors
/// Where the database does not answer.
pub async fn about(conn: &mut PgConnection, person: PersonId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from request where subject = $1"#, person.0)
        .fetch_one(conn)
        .await
}

/// Titles, answers, effects and digest keys of the requests about the person; their comments and everybody's on those
/// requests; their drafts; the names reserved for them, which may be used again; their name in what is about others.
///
/// An item's digest stays, since decisions are bound to it. Without the request's key, which goes, it tells nothing.
///
/// # Errors
/// Where the database refuses.
pub async fn erase(conn: &mut PgConnection, traces: &Traces) -> Result<(), sqlx::Error> {
    their_own(conn, traces).await?;
    in_others(conn, traces).await
}

async fn their_own(conn: &mut PgConnection, traces: &Traces) -> Result<(), sqlx::Error> {
    let person = traces.person.0;
    sqlx::query!(
        "update item i set effect = null, why = null, label = forgotten(i.label, $2)
           from request r where r.id = i.request and r.subject = $1",
        person,
        traces.pattern
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update comment c set body = '(erased)' from request r where r.id = c.request and (r.subject = $1 or c.person = $1)",
        person
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from reservation where request in (select id from request where subject = $1)", person)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from draft where person = $1 or answers::text ~ $2", person, traces.pattern)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "update request set title = 'Erased: ' || replace(kind, '_', ' '), nonce = 'erased:' || id, digest_key = null, sent_sha256 = null,
                answers = jsonb_build_object('kind', kind, 'answers', '{}'::jsonb), version = version + 1
          where subject = $1",
        person
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn in_others(conn: &mut PgConnection, traces: &Traces) -> Result<(), sqlx::Error> {
    let pattern = &traces.pattern;
    sqlx::query!(
        "update request set title = forgotten(title, $1), answers = forgotten(answers, $1), version = version + 1
          where settled_at is not null and (title ~ $1 or answers::text ~ $1)",
        pattern
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update item set effect = case when convert_from(effect, 'UTF8') ~ $1 then null else effect end,
                label = forgotten(label, $1), why = forgotten(why, $1)
          where settled_at is not null and (convert_from(effect, 'UTF8') ~ $1 or label ~ $1 or why ~ $1)",
        pattern
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("update comment set body = forgotten(body, $1) where body ~ $1", pattern).execute(&mut *conn).await?;
    sqlx::query!(
        "update stage set name = forgotten(name, $1), reason = forgotten(reason, $1) where name ~ $1 or reason ~ $1",
        pattern
    )
    .execute(conn)
    .await?;
    Ok(())
}
