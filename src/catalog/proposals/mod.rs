//! Settings are proposed by one administrator and released by another.
//!
//! A *draft* is somebody's own, with the whole new body, until they propose it; a *proposal* never changes. It is released
//! (bound to its digest) or rejected by another administrator, comes into force at once or at its time, and becomes a
//! version. Where another version came into force meanwhile it is *overtaken*: it was compared with something else. A site
//! with one administrator may let them release alone; each record of it says so.

mod subject;
mod within;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::Value as Json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

pub use subject::{Current, EntryBody, Kind, SiteBody, Subject, SystemBody, check, current, normal, read};
pub use within::places_outside;

use super::settings::{self, CatalogError, Released, invalid};
use crate::access::{Permit, op};
use crate::evidence::{self, By, Facts, Record, action, append};
use crate::ids::PersonId;

/// A change that its author is still at.
#[derive(Debug, Clone)]
pub struct Draft {
    pub id: Uuid,
    pub subject: Subject,
    pub body: Json,
}

/// Opens a draft: the one that the person has of that subject already, or one with that body.
///
/// # Errors
/// Where the database does not answer.
pub async fn draft(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::ProposeSetting>,
    (subject, body): (&Subject, &Json),
    anew: bool,
) -> Result<Uuid, CatalogError> {
    let person = permit.person()?;
    let id = sqlx::query_scalar!(
        "insert into setting_draft (id, subject, person, body, updated_at) values ($1, $2, $3, $4, $5)
         on conflict (subject, person) do update
            set body = case when $6 then excluded.body else setting_draft.body end, updated_at = excluded.updated_at
         returning id",
        Uuid::now_v7(),
        subject.to_string(),
        person.0,
        body,
        now,
        anew
    )
    .fetch_one(conn)
    .await?;
    Ok(id)
}

/// A draft of the person's own.
///
/// # Errors
/// Where the database does not answer.
pub async fn find_draft(conn: &mut PgConnection, id: Uuid, person: PersonId) -> Result<Option<Draft>, CatalogError> {
    let row = sqlx::query!("select id, subject, body from setting_draft where id = $1 and person = $2", id, person.0)
        .fetch_optional(conn)
        .await?;
    Ok(row.and_then(|row| Some(Draft { id: row.id, subject: Subject::parse(&row.subject)?, body: row.body })))
}

/// The drafts of a person, the newest first.
///
/// # Errors
/// Where the database does not answer.
pub async fn drafts(conn: &mut PgConnection, person: PersonId) -> Result<Vec<Draft>, CatalogError> {
    let rows = sqlx::query!(
        "select id, subject, body from setting_draft where person = $1 order by updated_at desc limit 100",
        person.0
    )
    .fetch_all(conn)
    .await?;
    let draft = |id, subject: &str, body| Some(Draft { id, subject: Subject::parse(subject)?, body });
    Ok(rows.into_iter().filter_map(|row| draft(row.id, &row.subject, row.body)).collect())
}

/// Keeps a draft's body.
///
/// # Errors
/// Where the database does not answer.
pub async fn keep(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::ProposeSetting>,
    (id, body): (Uuid, &Json),
) -> Result<(), CatalogError> {
    sqlx::query!(
        "update setting_draft set body = $3, updated_at = $4 where id = $1 and person = $2",
        id,
        permit.person()?.0,
        body,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Throws a draft away.
///
/// # Errors
/// Where the database does not answer.
pub async fn discard(
    conn: &mut PgConnection,
    permit: &Permit<op::ProposeSetting>,
    id: Uuid,
) -> Result<(), CatalogError> {
    sqlx::query!("delete from setting_draft where id = $1 and person = $2", id, permit.person()?.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// What is proposed.
#[derive(Debug, Clone)]
pub struct NewProposal<'a> {
    pub draft: &'a Draft,
    /// The version in force that it was compared with on the page.
    pub base_version: i32,
    /// Why.
    pub note: &'a str,
    /// None: at once when released.
    pub from_at: Option<DateTime<Utc>>,
}

/// Proposes what a draft says; the draft is gone then.
///
/// # Errors
/// [`CatalogError::Invalid`] naming the fields where the body cannot come into force, changes nothing or has no reason;
/// [`CatalogError::Conflict`] where another version came into force since it was looked at.
pub async fn propose(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::ProposeSetting>,
    new: &NewProposal<'_>,
) -> Result<Uuid, CatalogError> {
    let person = permit.person()?;
    let Draft { id: draft, subject, body } = new.draft;
    let wrong =
        |field: &str, message: &str| CatalogError::Invalid { kind: "proposed", wrong: vec![invalid(field, message)] };
    check(conn, subject, body).await?;
    if new.note.trim().is_empty() {
        return Err(wrong("note", "Say why: whoever releases it reads it, and so do auditors"));
    }
    if new.note.chars().count() > 2000 {
        return Err(wrong("note", "At most 2000 characters"));
    }
    if new.from_at.is_some_and(|from| from <= now) {
        return Err(wrong("from", "A day to come, or none: then it counts at once"));
    }
    let (version, _) = settings::newest(conn, &subject.to_string()).await?;
    let base = current(conn, subject).await?;
    if version != new.base_version {
        return Err(CatalogError::Conflict("Another version came into force meanwhile. Look at the difference again."));
    }
    if base.body == *body {
        return Err(wrong("", "This changes nothing: it is so already"));
    }
    let (id, digest) = (Uuid::now_v7(), settings::digest(body)?);
    let mut detail = Facts::default()
        .plain("proposal", id.to_string())
        .plain("digest", digest.clone())
        .plain("base_version", crate::target::Value::Number(version.into()))
        .personal("note", new.note);
    if let Some(from) = new.from_at {
        detail = detail.plain("from", from.to_rfc3339());
    }
    record(conn, now, (subject, &permit.by()), (action::SETTING_PROPOSED, detail)).await?;
    sqlx::query!(
        "insert into setting_proposal (id, subject, base_version, base, body, digest, note, from_at, state, proposed_by, proposed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 'proposed', $9, $10)",
        id,
        subject.to_string(),
        version,
        base.body,
        body,
        digest,
        new.note.trim(),
        new.from_at,
        person.0,
        now
    )
    .execute(&mut *conn)
    .await?;
    discard(conn, permit, *draft).await?;
    Ok(id)
}

async fn record(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (subject, by): (&Subject, &By),
    (action, detail): (&'static str, Facts),
) -> Result<(), CatalogError> {
    evidence::hold(conn, &format!("setting:{subject}")).await?;
    append(conn, now, &Record { detail, ..Record::new(action, format!("setting:{subject}"), by.clone()) }).await?;
    Ok(())
}

/// A proposal as its page shows it.
#[derive(Debug, Clone)]
pub struct Proposal {
    pub id: Uuid,
    pub subject: Subject,
    pub base_version: i32,
    pub base: Json,
    pub body: Json,
    pub digest: String,
    pub note: String,
    pub from_at: Option<DateTime<Utc>>,
    /// proposed, scheduled, in_force, rejected, withdrawn, overtaken
    pub state: String,
    pub proposed_by: PersonId,
    pub proposed_by_name: String,
    pub proposed_at: DateTime<Utc>,
    pub decided_by: Option<PersonId>,
    pub decided_by_name: Option<String>,
    pub decided_at: Option<DateTime<Utc>>,
    pub comment: String,
    pub alone: bool,
    pub version: Option<i32>,
}

impl Proposal {
    pub fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "proposed" | "scheduled")
    }
}

/// Which to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    pub one: Option<Uuid>,
    /// Of that subject, as its words.
    pub subject: Option<&'a str>,
    /// Proposed or scheduled.
    pub open: bool,
}

/// Proposals, the newest first, at most a hundred.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(conn: &mut PgConnection, wanted: Wanted<'_>) -> Result<Vec<Proposal>, CatalogError> {
    let rows = sqlx::query!(
        r#"select s.id, s.subject, s.base_version, s.base, s.body, s.digest, s.note, s.from_at, s.state,
                  s.proposed_by as "proposed_by: PersonId", p.display_name as proposed_by_name, s.proposed_at,
                  s.decided_by as "decided_by: PersonId", d.display_name as "decided_by_name?", s.decided_at, s.comment,
                  s.alone, s.version
             from setting_proposal s join person p on p.id = s.proposed_by left join person d on d.id = s.decided_by
            where ($1::uuid is null or s.id = $1) and ($2::text is null or s.subject = $2)
              and (not $3 or s.state in ('proposed', 'scheduled'))
            order by s.proposed_at desc, s.id desc limit 100"#,
        wanted.one,
        wanted.subject,
        wanted.open
    )
    .fetch_all(conn)
    .await?;
    let proposals = rows.into_iter().filter_map(|row| {
        Some(Proposal {
            id: row.id,
            subject: Subject::parse(&row.subject)?,
            base_version: row.base_version,
            base: row.base,
            body: row.body,
            digest: row.digest,
            note: row.note,
            from_at: row.from_at,
            state: row.state,
            proposed_by: row.proposed_by,
            proposed_by_name: row.proposed_by_name,
            proposed_at: row.proposed_at,
            decided_by: row.decided_by,
            decided_by_name: row.decided_by_name,
            decided_at: row.decided_at,
            comment: row.comment,
            alone: row.alone,
            version: row.version,
        })
    });
    Ok(proposals.collect())
}

/// One proposal, its row held until the transaction ends.
async fn held(conn: &mut PgConnection, id: Uuid) -> Result<Option<Proposal>, CatalogError> {
    sqlx::query!("select id from setting_proposal where id = $1 for update", id).fetch_optional(&mut *conn).await?;
    Ok(list(conn, Wanted { one: Some(id), ..Wanted::default() }).await?.pop())
}

/// What somebody says to a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Release,
    Reject,
    /// By whoever proposed it; of what waits for its time by any administrator.
    Withdraw,
}

impl Answer {
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "release" => Some(Self::Release),
            "reject" => Some(Self::Reject),
            "withdraw" => Some(Self::Withdraw),
            _ => None,
        }
    }
}

/// An answer to one proposal.
#[derive(Debug, Clone, Copy)]
pub struct Deciding<'a> {
    pub id: Uuid,
    pub answer: Answer,
    /// Of the body that was seen.
    pub digest: &'a str,
    pub comment: &'a str,
    /// The configuration lets one administrator release what they proposed.
    pub one_administrator: bool,
}

/// Why this person cannot release that proposal; None where they can.
pub fn closed_to(proposal: &Proposal, person: PersonId, one_administrator: bool) -> Option<&'static str> {
    match proposal.state.as_str() {
        "proposed" if proposal.proposed_by == person && !one_administrator => {
            Some("You proposed this: another administrator releases it.")
        }
        "proposed" => None,
        "scheduled" => Some("It is released and waits for its time."),
        _ => Some("It was decided already."),
    }
}

/// Releases, rejects or withdraws. What is released comes into force at once, or at its time.
///
/// # Errors
/// [`CatalogError::Conflict`] where the state, the digest or the person does not allow it, or another version came into
/// force since it was proposed; nothing is changed then.
pub async fn decide(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::ReleaseSetting>,
    deciding: &Deciding<'_>,
) -> Result<Proposal, CatalogError> {
    let person = permit.person()?;
    let proposal = held(conn, deciding.id).await?.ok_or(crate::access::Denied::NotFound)?;
    if deciding.comment.chars().count() > 2000 {
        return Err(CatalogError::Conflict("A comment has at most 2000 characters."));
    }
    let alone = proposal.proposed_by == person;
    let (state, action) = match deciding.answer {
        Answer::Withdraw => {
            let theirs = proposal.state == "proposed" && alone;
            if !theirs && proposal.state != "scheduled" {
                return Err(CatalogError::Conflict("Only who proposed it withdraws it, before it is decided."));
            }
            ("withdrawn", action::SETTING_WITHDRAWN)
        }
        Answer::Release | Answer::Reject => {
            if let Some(why) = closed_to(&proposal, person, deciding.one_administrator) {
                return Err(CatalogError::Conflict(why));
            }
            if proposal.digest != deciding.digest {
                return Err(CatalogError::Conflict("This is not what you saw. Look at it again."));
            }
            match deciding.answer {
                Answer::Reject if deciding.comment.trim().is_empty() => {
                    let wrong = vec![invalid("comment", "Say why: they read it")];
                    return Err(CatalogError::Invalid { kind: "proposed", wrong });
                }
                Answer::Reject => ("rejected", action::SETTING_REJECTED),
                _ => ("scheduled", action::SETTING_APPROVED),
            }
        }
    };
    if deciding.answer == Answer::Release {
        unchanged_since(conn, &proposal).await?;
        check(conn, &proposal.subject, &proposal.body).await?;
    }
    let detail = Facts::default()
        .plain("proposal", proposal.id.to_string())
        .plain("digest", proposal.digest.clone())
        .plain("alone", alone && state == "scheduled")
        .personal("comment", deciding.comment);
    record(conn, now, (&proposal.subject, &permit.by()), (action, detail)).await?;
    sqlx::query!(
        "update setting_proposal set state = $2, decided_by = $3, decided_at = $4, comment = $5, alone = $6 where id = $1",
        proposal.id,
        state,
        person.0,
        now,
        deciding.comment.trim(),
        alone && state == "scheduled"
    )
    .execute(&mut *conn)
    .await?;
    let mut proposal = held(conn, deciding.id).await?.ok_or(crate::access::Denied::NotFound)?;
    if state == "scheduled" && proposal.from_at.is_none_or(|from| from <= now) {
        put_in_force(conn, now, &permit.by(), &proposal).await?;
        proposal = held(conn, deciding.id).await?.ok_or(crate::access::Denied::NotFound)?;
    }
    Ok(proposal)
}

async fn unchanged_since(conn: &mut PgConnection, proposal: &Proposal) -> Result<(), CatalogError> {
    let (version, _) = settings::newest(conn, &proposal.subject.to_string()).await?;
    // Entries, sites and systems can also be changed by the command line, without a version.
    let now = current(conn, &proposal.subject).await?;
    if version != proposal.base_version || now.body != proposal.base {
        return Err(CatalogError::Conflict(
            "Another version came into force since this was proposed. Reject it; it is proposed again from the new one.",
        ));
    }
    Ok(())
}

async fn put_in_force(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    proposal: &Proposal,
) -> Result<(), CatalogError> {
    subject::apply(conn, now, by, &proposal.subject, &proposal.body).await?;
    let kind = proposal.subject.to_string();
    let released = Released {
        kind: &kind,
        body: &proposal.body,
        note: &proposal.note,
        proposed_by: Some(proposal.proposed_by),
        released_by: proposal.decided_by,
        alone: proposal.alone,
        proposal: Some(proposal.id),
    };
    let version = settings::insert(conn, now, by, &released).await?;
    sqlx::query!("update setting_proposal set state = 'in_force', version = $2 where id = $1", proposal.id, version)
        .execute(conn)
        .await?;
    Ok(())
}

/// What is done in the transaction in which a proposal came to its end: telling whoever made it.
pub type Telling =
    for<'a> fn(&'a mut PgConnection, DateTime<Utc>, &'a Proposal) -> BoxFuture<'a, Result<(), CatalogError>>;

/// Brings what was released for a later time into force, each in a transaction of its own. Returns how many came to their end.
///
/// # Errors
/// Where the database does not answer.
pub async fn in_force_due(pool: &PgPool, now: DateTime<Utc>, overtaken: Telling) -> Result<usize, CatalogError> {
    let due = sqlx::query_scalar!(
        "select id from setting_proposal where state = 'scheduled' and from_at <= $1 order by from_at, id limit 100",
        now
    )
    .fetch_all(pool)
    .await?;
    let by = By::routine("settings");
    for id in &due {
        let mut tx = pool.begin().await?;
        let Some(proposal) = held(&mut tx, *id).await?.filter(|proposal| proposal.state == "scheduled") else {
            continue;
        };
        let usable = match unchanged_since(&mut tx, &proposal).await {
            Ok(()) => check(&mut tx, &proposal.subject, &proposal.body).await,
            Err(error) => Err(error),
        };
        match usable {
            Ok(()) => put_in_force(&mut tx, now, &by, &proposal).await?,
            Err(CatalogError::Conflict(_) | CatalogError::Invalid { .. }) => {
                let detail =
                    Facts::default().plain("proposal", id.to_string()).plain("digest", proposal.digest.clone());
                record(&mut tx, now, (&proposal.subject, &by), (action::SETTING_OVERTAKEN, detail)).await?;
                sqlx::query!("update setting_proposal set state = 'overtaken' where id = $1", id)
                    .execute(&mut *tx)
                    .await?;
                if let Some(proposal) = held(&mut tx, *id).await? {
                    overtaken(&mut tx, now, &proposal).await?;
                }
            }
            Err(error) => return Err(error),
        }
        tx.commit().await?;
    }
    Ok(due.len())
}
