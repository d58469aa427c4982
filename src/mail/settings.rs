//! Letters about settings: to those who may release what was proposed, and to whoever proposed it when it has come to its end.
//! Written in the transaction of what they tell.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::letters::{MailFrame, SettingAnswered, SettingProposed};
use super::{Message, Outgoing, Thread, enqueue, enqueue_all};
use crate::catalog::proposals::{self, Proposal, Subject, Wanted};
use crate::catalog::{self, CatalogError};
use crate::ids::PersonId;

/// What a subject is called.
async fn named(conn: &mut PgConnection, subject: &Subject) -> Result<String, CatalogError> {
    Ok(match subject {
        Subject::Rules(kind) => kind.to_string(),
        Subject::Entitlement(id) => {
            catalog::find(conn, *id).await?.map_or("a new entry of the catalogue".to_owned(), |found| found.name)
        }
        Subject::Site(code) => format!("site {code}"),
        Subject::System(key) => {
            let known = catalog::find_system(conn, key).await?;
            known.map_or_else(|| key.to_string(), |known| format!("{} · {key}", known.name))
        }
    })
}

async fn frame(conn: &mut PgConnection, proposal: &Proposal) -> Result<MailFrame, CatalogError> {
    Ok(MailFrame {
        number: "Settings".to_owned(),
        title: named(conn, &proposal.subject).await?,
        url: format!("/settings/proposals/{}", proposal.id),
        ..MailFrame::default()
    })
}

fn day(at: DateTime<Utc>) -> String {
    at.format("%A %-d %B %Y, %H:%M UTC").to_string()
}

/// Every administrator but the one who proposed it: please look, and release or reject it.
///
/// # Errors
/// Where the database refuses.
pub async fn proposed(conn: &mut PgConnection, now: DateTime<Utc>, id: Uuid) -> Result<(), CatalogError> {
    let Some(proposal) = proposals::list(conn, Wanted { one: Some(id), ..Wanted::default() }).await?.pop() else {
        return Ok(());
    };
    let others = sqlx::query_scalar!(
        r#"select distinct h.person as "person: PersonId" from role_holding h
             join person p on p.id = h.person and p.state not in ('left', 'withdrawn', 'erased')
             join sign_in s on s.person = h.person and s.disabled_at is null
            where h.role = 'administrator' and h.person <> $1 order by 1"#,
        proposal.proposed_by.0
    )
    .fetch_all(&mut *conn)
    .await?;
    let frame = frame(conn, &proposal).await?;
    let letter = SettingProposed {
        frame,
        by: proposal.proposed_by_name.clone(),
        note: proposal.note.clone(),
        from: proposal.from_at.map(day).unwrap_or_default(),
    };
    let message = Message::SettingProposed(letter);
    let letters = others.into_iter().map(|to| Outgoing { message: message.clone(), to, not_before: None }).collect();
    enqueue_all(conn, now, Thread::Proposal(id), letters).await?;
    Ok(())
}

/// Whoever proposed it: what became of it, by whom, and what follows. Nobody is told of what they did themselves.
///
/// # Errors
/// Where the database refuses.
pub async fn answered(conn: &mut PgConnection, now: DateTime<Utc>, proposal: &Proposal) -> Result<(), CatalogError> {
    let (answer, next) = match (proposal.state.as_str(), proposal.from_at) {
        ("in_force", _) => {
            let version = proposal.version.map_or(String::new(), |version| format!(" as version {version}"));
            ("released", format!("It is in force{version}."))
        }
        ("scheduled", Some(from)) => ("released", format!("It comes into force on {}.", day(from))),
        ("rejected", _) => ("rejected", "What is in force stays. Propose it anew with what they ask for.".to_owned()),
        ("withdrawn", _) => ("withdrawn", "What is in force stays.".to_owned()),
        ("overtaken", _) => (
            "overtaken",
            "Another version came into force before its time, so it never counts. Propose it anew from what is in force."
                .to_owned(),
        ),
        _ => return Ok(()),
    };
    let overtaken = answer == "overtaken";
    if !overtaken && proposal.decided_by == Some(proposal.proposed_by) {
        return Ok(());
    }
    let letter = SettingAnswered {
        frame: frame(conn, proposal).await?,
        answer: answer.to_owned(),
        by: proposal.decided_by_name.clone().filter(|_| !overtaken).unwrap_or_default(),
        comment: if overtaken { String::new() } else { proposal.comment.clone() },
        next,
    };
    let message = Message::SettingAnswered(letter);
    enqueue(conn, now, Thread::Proposal(proposal.id), message, proposal.proposed_by).await?;
    Ok(())
}
