//! Sending once more what was given up.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::access::{Denied, Permit, op};
use crate::evidence::{EvidenceError, Facts, Record, action, append};

/// Why a letter is not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailRefused {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Plain words.
    #[error("{0}")]
    Not(String),
}

/// Puts a letter on its way again that was given up, with all its tries before it.
///
/// # Errors
/// [`MailRefused::Not`] where it was not given up, or nothing is left of it.
pub async fn send_again(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::SendMailAgain>,
    id: Uuid,
) -> Result<(), MailRefused> {
    let mail = sqlx::query!(
        r#"select request, template, failed_at is not null and sent_at is null as "failed!", letter = '{}' as "erased!", tries
             from outbox where id = $1 for update"#,
        id
    )
    .fetch_optional(&mut *conn)
    .await?
    .ok_or(Denied::NotFound)?;
    if mail.erased {
        return Err(MailRefused::Not("What it said has been erased: there is nothing to send.".to_owned()));
    }
    if !mail.failed {
        return Err(MailRefused::Not("It was not given up: it is on its way, or was accepted.".to_owned()));
    }
    let detail = Facts::default()
        .plain("mail", id.to_string())
        .plain("template", mail.template)
        .plain("tries", crate::target::Value::Number(mail.tries.into()));
    let record = match mail.request {
        Some(number) => Record::of_request(action::MAIL_SENT_AGAIN, number, permit.by()),
        None => Record::new(action::MAIL_SENT_AGAIN, format!("mail:{id}"), permit.by()),
    };
    append(conn, now, &Record { detail, ..record }).await?;
    sqlx::query!("update outbox set failed_at = null, tries = 0, due_at = now(), lease_until = null where id = $1", id)
        .execute(conn)
        .await?;
    Ok(())
}
