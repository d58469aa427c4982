//! Mail on its way: an outbox written in the transaction of what it tells, sent by the worker.
//!
//! A row holds what a letter says, not the letter: it is rendered when it is sent, so that addresses of pages follow the
//! configuration. A mail server that is down delays, with growing pauses, for five days; one that refuses for good (5xx)
//! ends it, visibly. A crash after the server took it and before we noted that sends it twice with the same Message-ID.

mod again;
mod erase;
pub mod letters;
pub mod sample;
mod send;
pub mod settings;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

pub use again::{MailRefused, send_again};
pub use erase::erase;
pub use send::{MailError, check, send_due};

use crate::catalog::{self, CatalogError, MailAbout, Wording};
use crate::ids::{PersonId, RequestNumber};
use letters::{Decided, Done, Failed, MailFrame, PleaseDecide, SettingAnswered, SettingProposed, StandsIn, Submitted};

/// What can be told. The frame's `url` holds the page's path; `to` and `company` are filled in here and when sending.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "template", content = "letter", rename_all = "snake_case")]
pub enum Message {
    Submitted(Submitted),
    PleaseDecide(PleaseDecide),
    Decided(Decided),
    Done(Done),
    Failed(Failed),
    StandsIn(StandsIn),
    SettingProposed(SettingProposed),
    SettingAnswered(SettingAnswered),
}

impl Message {
    fn template(&self) -> &'static str {
        match self {
            Self::Submitted(_) => "submitted",
            Self::PleaseDecide(_) => "please_decide",
            Self::Decided(_) => "decided",
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::StandsIn(_) => "stands_in",
            Self::SettingProposed(_) => "setting_proposed",
            Self::SettingAnswered(_) => "setting_answered",
        }
    }

    fn frame(&mut self) -> &mut MailFrame {
        match self {
            Self::Submitted(letter) => &mut letter.frame,
            Self::PleaseDecide(letter) => &mut letter.frame,
            Self::Decided(letter) => &mut letter.frame,
            Self::Done(letter) => &mut letter.frame,
            Self::Failed(letter) => &mut letter.frame,
            Self::StandsIn(letter) => &mut letter.frame,
            Self::SettingProposed(letter) => &mut letter.frame,
            Self::SettingAnswered(letter) => &mut letter.frame,
        }
    }

    fn subject(&self) -> String {
        match self {
            Self::Submitted(letter) => letter.subject(),
            Self::PleaseDecide(letter) => letter.subject(),
            Self::Decided(letter) => letter.subject(),
            Self::Done(letter) => letter.subject(),
            Self::Failed(letter) => letter.subject(),
            Self::StandsIn(letter) => letter.subject(),
            Self::SettingProposed(letter) => letter.subject(),
            Self::SettingAnswered(letter) => letter.subject(),
        }
    }

    /// Text and HTML.
    fn bodies(&self) -> Result<(String, String), askama::Error> {
        Ok(match self {
            Self::Submitted(letter) => (letter.text()?, letter.html()?),
            Self::PleaseDecide(letter) => (letter.text()?, letter.html()?),
            Self::Decided(letter) => (letter.text()?, letter.html()?),
            Self::Done(letter) => (letter.text()?, letter.html()?),
            Self::Failed(letter) => (letter.text()?, letter.html()?),
            Self::StandsIn(letter) => (letter.text()?, letter.html()?),
            Self::SettingProposed(letter) => (letter.text()?, letter.html()?),
            Self::SettingAnswered(letter) => (letter.text()?, letter.html()?),
        })
    }
}

/// A mail's plain text as it is sent, from what the outbox keeps of it; None where it cannot be read any more.
pub fn text(letter: serde_json::Value, (base_url, company): (&str, &str)) -> Option<String> {
    let mut message: Message = serde_json::from_value(letter).ok()?;
    let frame = message.frame();
    frame.company = company.to_owned();
    frame.url = format!("{}{}", base_url.trim_end_matches('/'), frame.url);
    message.bodies().ok().map(|(text, _)| text)
}

/// What a letter belongs to.
#[derive(Debug, Clone, Copy)]
pub enum Thread {
    Request(RequestNumber),
    /// Somebody: it is about no request.
    Person(PersonId),
    /// A proposed setting.
    Proposal(Uuid),
    /// A wording that is tried.
    Test,
}

impl Thread {
    /// The request, and the thread that mail programs group by.
    fn columns(self) -> (Option<i64>, Option<String>) {
        match self {
            Self::Request(number) => (Some(number.0), Some(format!("request-{}@tenure", number.0))),
            Self::Person(person) => (None, Some(format!("person-{person}@tenure"))),
            Self::Proposal(id) => (None, Some(format!("proposal-{id}@tenure"))),
            Self::Test => (None, None),
        }
    }
}

impl From<RequestNumber> for Thread {
    fn from(number: RequestNumber) -> Self {
        Self::Request(number)
    }
}

/// A letter to somebody.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub message: Message,
    pub to: PersonId,
    /// Not to be sent before; None: at once.
    pub not_before: Option<DateTime<Utc>>,
}

/// Fills in whom it is for and what the company says around the facts; returns the subject.
fn worded(wording: &Wording, message: &mut Message, to: &str) -> String {
    let template = message.template();
    let frame = message.frame();
    let said = wording.say(template, &MailAbout { number: &frame.number, title: &frame.title, to });
    (frame.opening, frame.closing, frame.footer) = (said.opening, said.closing, said.footer);
    to.clone_into(&mut frame.to);
    let (number, test) = (frame.number.clone(), frame.test);
    let subject = match (said.subject.as_str(), number.as_str()) {
        ("", _) => message.subject(),
        (subject, "") => letters::one_line(subject),
        (subject, number) => letters::one_line(&format!("[{number}] {subject}")),
    };
    if test { format!("Test: {subject}") } else { subject }
}

/// The wording in force. Wording that cannot be read is no reason to tell nobody.
async fn wording(conn: &mut PgConnection) -> Result<Wording, sqlx::Error> {
    match catalog::wording(conn).await {
        Ok(wording) => Ok(wording),
        Err(CatalogError::Database(error)) => Err(error),
        Err(_) => Ok(Wording::default()),
    }
}

/// Puts a message on its way to somebody, in the caller's transaction. Somebody without an address gets none.
///
/// # Errors
/// Where the database refuses.
pub async fn enqueue(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    thread: impl Into<Thread>,
    message: Message,
    to: PersonId,
) -> Result<(), sqlx::Error> {
    enqueue_all(conn, now, thread, vec![Outgoing { message, to, not_before: None }]).await
}

/// Puts messages of one thread on their way, in three statements however many they are.
///
/// # Errors
/// Where the database refuses.
pub async fn enqueue_all(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    thread: impl Into<Thread>,
    letters: Vec<Outgoing>,
) -> Result<(), sqlx::Error> {
    if letters.is_empty() {
        return Ok(());
    }
    let post = Post::open(conn, letters.iter().map(|letter| letter.to)).await?;
    post.send(conn, now, thread, letters).await.map(drop)
}

/// Where letters go and how they are worded: read first, so that sending them is one statement.
pub struct Post {
    wording: Wording,
    readers: Vec<Reader>,
}

struct Reader {
    id: PersonId,
    display_name: String,
    mail: String,
}

impl Post {
    /// For letters to these.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn open(conn: &mut PgConnection, readers: impl Iterator<Item = PersonId>) -> Result<Self, sqlx::Error> {
        let wording = wording(conn).await?;
        Self::worded(conn, wording, readers).await
    }

    /// The same, with that wording.
    async fn worded(
        conn: &mut PgConnection,
        wording: Wording,
        readers: impl Iterator<Item = PersonId>,
    ) -> Result<Self, sqlx::Error> {
        let readers: Vec<Uuid> = readers.map(|person| person.0).collect();
        let readers = sqlx::query_as!(
            Reader,
            r#"select id as "id: PersonId", display_name, mail as "mail!" from person
                where id = any ($1) and mail is not null"#,
            &readers
        )
        .fetch_all(conn)
        .await?;
        Ok(Self { wording, readers })
    }

    /// Puts them on their way in the caller's transaction; returns how many have an address to go to.
    ///
    /// # Errors
    /// Where the database refuses.
    pub async fn send(
        &self,
        conn: &mut PgConnection,
        now: DateTime<Utc>,
        thread: impl Into<Thread>,
        letters: Vec<Outgoing>,
    ) -> Result<usize, sqlx::Error> {
        let thread = thread.into();
        let mut rows = Vec::with_capacity(letters.len());
        for Outgoing { mut message, to, not_before } in letters {
            let Some(reader) = self.readers.iter().find(|reader| reader.id == to) else { continue };
            let subject = worded(&self.wording, &mut message, &reader.display_name);
            let id = Uuid::now_v7();
            rows.push(serde_json::json!({
                "id": id, "person": to, "address": reader.mail, "template": message.template(), "subject": subject,
                "letter": message, "message_id": format!("{id}@tenure"), "due_at": not_before,
            }));
        }
        let count = rows.len();
        let (request, thread_id) = thread.columns();
        sqlx::query!(
            "insert into outbox (id, person, address, template, request, subject, letter, message_id, thread_id, created_at, due_at, test)
             select m.id, m.person, m.address, m.template, $1, m.subject, m.letter, m.message_id, $2, $3, coalesce(m.due_at, now()), $5
               from jsonb_to_recordset($4) as m (id uuid, person uuid, address text, template text, subject text, letter jsonb,
                                                 message_id text, due_at timestamptz)",
            request,
            thread_id,
            now,
            serde_json::Value::Array(rows),
            matches!(thread, Thread::Test),
        )
        .execute(conn)
        .await?;
        Ok(count)
    }
}

/// A line of the outbox page.
#[derive(Debug, Clone)]
pub struct Mail {
    pub id: Uuid,
    pub address: String,
    pub template: String,
    pub request: Option<i64>,
    pub subject: String,
    pub created_at: DateTime<Utc>,
    pub due_at: DateTime<Utc>,
    pub tries: i32,
    pub error: Option<String>,
    pub sent_at: Option<DateTime<Utc>>,
    pub failed_at: Option<DateTime<Utc>>,
}

/// Mails, newest first, older than the last of the page before.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(
    conn: &mut PgConnection,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Mail>, sqlx::Error> {
    sqlx::query_as!(
        Mail,
        "select id, address, template, request, subject, created_at, due_at, tries, error, sent_at, failed_at
           from outbox
          where $1::timestamptz is null or (created_at, id) < ($1, $2)
          order by created_at desc, id desc
          limit $3",
        before.map(|(at, _)| at),
        before.map(|(_, id)| id),
        limit
    )
    .fetch_all(conn)
    .await
}
