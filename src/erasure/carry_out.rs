//! Doing what two people decided: every folder forgets its own rows, in one transaction.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Basis, ErasureError, obstacles};
use crate::evidence::erase::{Traces, forget};
use crate::evidence::{By, Facts, Record, action, append, hold};
use crate::ids::PersonId;
use crate::target::Value;
use crate::{access, catalog, changes, checks, grants, mail, mirror, people, requests};

/// Carries out every approved erasure that nothing stands in the way of. Returns how many.
///
/// # Errors
/// Where the database refuses; what was carried out before that stays.
pub async fn carry_out(pool: &PgPool, now: DateTime<Utc>) -> Result<usize, ErasureError> {
    let due = sqlx::query_scalar!("select id from erasure where state = 'approved' order by decided_at limit 20")
        .fetch_all(pool)
        .await?;
    let mut done = 0;
    for id in due {
        let mut tx = pool.begin().await?;
        // It looks through everything that was ever recorded.
        sqlx::query!("set local statement_timeout = '30min'").execute(&mut *tx).await?;
        done += usize::from(one(&mut tx, now, id).await?);
        tx.commit().await?;
    }
    Ok(done)
}

/// One erasure; false where it was done meanwhile or has to wait.
async fn one(conn: &mut PgConnection, now: DateTime<Utc>, id: Uuid) -> Result<bool, ErasureError> {
    let Some(row) = sqlx::query!(
        r#"select person as "person: PersonId", basis from erasure where id = $1 and state = 'approved' for update skip locked"#,
        id
    )
    .fetch_optional(&mut *conn)
    .await?
    else {
        return Ok(false);
    };
    hold(conn, &format!("person:{}", row.person)).await?;
    let basis = Basis::parse(&row.basis).unwrap_or(Basis::Retention);
    let found = obstacles(conn, now, (row.person, basis)).await?;
    if !found.is_empty() {
        let why = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        sqlx::query!("update erasure set held_back = $2 where id = $1 and held_back is distinct from $2", id, why)
            .execute(&mut *conn)
            .await?;
        return Ok(false);
    }
    let traces = Traces::of(conn, row.person).await?;
    let values = everything(conn, id, &traces).await?;
    let record = Record {
        detail: Facts::default()
            .plain("erasure", id.to_string())
            .plain("basis", row.basis)
            .plain("values", Value::Number(values)),
        ..Record::new(action::PERSON_ERASED, format!("person:{}", row.person), By::routine("erase-persons"))
    };
    append(conn, now, &record).await?;
    sqlx::query!(
        "update erasure set state = 'done', done_at = $2, values_erased = $3, held_back = null where id = $1",
        id,
        now,
        values
    )
    .execute(&mut *conn)
    .await?;
    metrics::counter!("tenure_persons_erased_total").increment(1);
    Ok(true)
}

/// Evidence first: which of its values are the person's is read from the rows that the others then forget.
async fn everything(conn: &mut PgConnection, id: Uuid, traces: &Traces) -> Result<i64, sqlx::Error> {
    let values = forget(conn, id).await?;
    mail::erase(conn, traces).await?;
    checks::erase(conn, traces).await?;
    requests::erase::erase(conn, traces).await?;
    changes::erase(conn, traces).await?;
    mirror::erase::erase(conn, traces).await?;
    grants::erase(conn, traces).await?;
    catalog::erase(conn, traces).await?;
    access::erase::erase(conn, traces).await?;
    people::erase(conn, traces).await?;
    // What was written about erasing others stays, without this person's name; their own comments go.
    sqlx::query!(
        "update erasure set reason = case when proposed_by = $1 then 'erased' else forgotten(reason, $2) end,
                comment = case when decided_by = $1 then '' else forgotten(comment, $2) end, held_back = forgotten(held_back, $2)
          where state <> 'proposed'
            and (proposed_by = $1 or decided_by = $1 or concat_ws(' ', reason, comment, held_back) ~ $2)",
        traces.person.0,
        traces.pattern
    )
    .execute(conn)
    .await?;
    Ok(values)
}
