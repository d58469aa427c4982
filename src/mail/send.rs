//! Sending what is due: leased row by row, so that several workers may do it.

use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message as Letter, Tokio1Executor};
use sqlx::PgPool;
use uuid::Uuid;

use super::Message;
use crate::config::{MailConfig, read_secret};

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// For one mail, connection included.
const PATIENCE: Duration = Duration::from_secs(20);
/// After so many tries (five days, by the growing pauses) it is given up.
const TRIES: i32 = 130;
/// Mails sent in one turn.
const AT_ONCE: usize = 50;

/// Why mail cannot be sent at all, or one could not.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("mail.url cannot be used: {0}")]
    Url(String),
    #[error("mail.password_file: {0}")]
    Password(String),
    #[error("mail.from is not an address such as Tenure <tenure@example.com>")]
    From,
    #[error("the mail server does not answer: {0}")]
    Server(String),
}

/// One try's end.
enum Tried {
    Sent(String),
    /// Later again.
    Later(String),
    /// Refused for good.
    Never(String),
}

fn transport(config: &MailConfig) -> Result<Transport, MailError> {
    let mut builder = Transport::from_url(&config.url).map_err(|error| MailError::Url(error.to_string()))?;
    if let (Some(user), Some(file)) = (&config.user, &config.password_file) {
        let password = read_secret(file).map_err(|error| MailError::Password(error.to_string()))?;
        builder = builder.credentials(Credentials::new(user.clone(), password.to_string()));
    }
    Ok(builder.timeout(Some(PATIENCE)).build())
}

/// Whether the server answers and takes our sign-in; nothing is sent.
///
/// # Errors
/// What is wrong, in plain words.
pub async fn check(config: &MailConfig) -> Result<(), MailError> {
    config.from.parse::<Mailbox>().map_err(|_| MailError::From)?;
    let answered = transport(config)?.test_connection().await.map_err(|error| MailError::Server(error.to_string()))?;
    if answered { Ok(()) } else { Err(MailError::Server("it refused the connection test".to_owned())) }
}

/// Sends what is due. Returns how many went out.
///
/// # Errors
/// Where the database does not answer or the configuration cannot be used; a server that is down is no error here.
pub async fn send_due(
    pool: &PgPool,
    config: &MailConfig,
    (base_url, company): (&str, &str),
) -> Result<usize, MailError> {
    let from: Mailbox = config.from.parse().map_err(|_| MailError::From)?;
    let transport = transport(config)?;
    let mut sent = 0;
    for _ in 0..AT_ONCE {
        let Some(mail) = lease(pool).await? else { break };
        let tried = one(&transport, &from, (base_url, company), &mail).await;
        let down = matches!(tried, Tried::Later(_));
        sent += usize::from(matches!(tried, Tried::Sent(_)));
        settle(pool, &mail, tried).await?;
        if down {
            // The next would find the same; their time is not due to change.
            break;
        }
    }
    Ok(sent)
}

struct Leased {
    id: Uuid,
    /// This try at it.
    attempt: Uuid,
    address: String,
    subject: String,
    message_id: String,
    thread_id: Option<String>,
    tries: i32,
    letter: serde_json::Value,
}

/// Takes the next mail that is due; the try is noted before the server is spoken to.
async fn lease(pool: &PgPool) -> Result<Option<Leased>, sqlx::Error> {
    sqlx::query_as!(
        Leased,
        r#"with due as (
               update outbox set lease_until = now() + interval '1 minute', tries = tries + 1
                where id = (select id from outbox
                             where sent_at is null and failed_at is null and due_at <= now()
                               and (lease_until is null or lease_until < now())
                             order by due_at, id limit 1 for update skip locked)
               returning id, address, subject, message_id, thread_id, tries, letter
           ), begun as (
               insert into mail_try (id, mail) select $1, id from due returning id, mail
           )
           select due.id as "id!", begun.id as "attempt!", address as "address!", subject as "subject!",
                  message_id as "message_id!", thread_id, tries as "tries!", letter as "letter!"
             from due join begun on begun.mail = due.id"#,
        Uuid::now_v7()
    )
    .fetch_optional(pool)
    .await
}

async fn one(transport: &Transport, from: &Mailbox, place: (&str, &str), mail: &Leased) -> Tried {
    let letter = match letter(from, place, mail) {
        Ok(letter) => letter,
        Err(why) => return Tried::Never(why),
    };
    match transport.send(letter).await {
        Ok(answer) => {
            let words: Vec<&str> = answer.message().collect();
            Tried::Sent(format!("{} {}", answer.code(), words.join(" ")))
        }
        // A server that refuses everybody (a wrong password of ours, a closed door) is down for us, which delays; only a
        // refusal of this letter, while the door is open, is for good.
        Err(error) if error.is_permanent() && transport.test_connection().await.is_ok_and(|open| open) => {
            Tried::Never(error.to_string())
        }
        Err(error) => Tried::Later(error.to_string()),
    }
}

fn letter(from: &Mailbox, (base_url, company): (&str, &str), mail: &Leased) -> Result<Letter, String> {
    let mut message: Message = serde_json::from_value(mail.letter.clone()).map_err(|error| error.to_string())?;
    let frame = message.frame();
    frame.company = company.to_owned();
    frame.url = format!("{}{}", base_url.trim_end_matches('/'), frame.url);
    let (text, html) = message.bodies().map_err(|error| error.to_string())?;
    let to: Mailbox = mail.address.parse().map_err(|_| format!("“{}” is not a mail address", mail.address))?;
    // RFC 3834: an automatic mail says so, and is not answered by out-of-office replies.
    let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
    let mut builder = Letter::builder()
        .from(from.clone())
        .to(to)
        .subject(&mail.subject)
        .message_id(Some(format!("<{}>", mail.message_id)))
        .raw_header(automatic);
    if let Some(thread) = &mail.thread_id {
        builder = builder.references(format!("<{thread}>")).in_reply_to(format!("<{thread}>"));
    }
    builder.multipart(MultiPart::alternative_plain_html(text, html)).map_err(|error| error.to_string())
}

async fn settle(pool: &PgPool, mail: &Leased, tried: Tried) -> Result<(), sqlx::Error> {
    let (error, refused) = match tried {
        Tried::Sent(said) => {
            sqlx::query!(
                "with tried as (update mail_try set outcome = 'accepted', said = $3 where id = $2)
                 update outbox set sent_at = now(), error = null, lease_until = null where id = $1",
                mail.id,
                mail.attempt,
                said
            )
            .execute(pool)
            .await?;
            metrics::counter!("tenure_mails_sent_total").increment(1);
            return Ok(());
        }
        Tried::Later(error) => (error, false),
        Tried::Never(error) => (error, true),
    };
    let never = refused || mail.tries >= TRIES;
    // Seconds at first, then every hour.
    let pause = f64::from(2_i32.saturating_pow(u32::try_from(mail.tries.clamp(1, 12)).unwrap_or(12)).min(3600));
    sqlx::query!(
        "with tried as (
             update mail_try set outcome = case when $6 then 'refused' else 'later' end, said = $2 where id = $5
         )
         update outbox set error = $2, lease_until = null, due_at = now() + make_interval(secs => $3),
                failed_at = case when $4 then now() end
          where id = $1",
        mail.id,
        error,
        pause,
        never,
        mail.attempt,
        refused
    )
    .execute(pool)
    .await?;
    Ok(())
}
