//! A wording tried as real mail: each letter with sample facts, to the administrator who tries it and to nobody else.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::letters::{
    Decided, Done, Failed, MailFrame, PleaseDecide, SettingAnswered, SettingProposed, StandsIn, Submitted,
};
use super::{MailRefused, Message, Outgoing, Post, Thread};
use crate::access::{Permit, op};
use crate::catalog::{LETTERS, Wording};
use crate::evidence::{self, Facts, Record, action, append};

/// Tests that one person may send in [`WITHIN`]: every letter three times.
const MOST: i64 = 24;
const WITHIN: TimeDelta = TimeDelta::minutes(10);

/// A letter of that kind with sample facts; its button leads to `page`. None where there is no such kind.
pub fn letter(kind: &str, page: &str) -> Option<Message> {
    let frame = |number: &str, title: &str| MailFrame {
        number: number.to_owned(),
        title: title.to_owned(),
        url: page.to_owned(),
        test: true,
        ..MailFrame::default()
    };
    let text = str::to_owned;
    let joiner = || frame("REQ-000001", "New joiner: Zoë Groß");
    Some(match kind {
        "submitted" => Message::Submitted(Submitted {
            frame: joiner(),
            items: vec![text("Account and basic access: decided by service desk")],
            expected: text("Monday 1 March 2027"),
        }),
        "please_decide" => Message::PleaseDecide(PleaseDecide {
            frame: joiner(),
            item: text("Ledger (read)"),
            asked_by: text("Maria Keller"),
            why: text("You are asked as its owner."),
            on_behalf: String::new(),
            changes: vec![text("+ Ledger (read) (membership)")],
            reason: text("Month-end closing"),
            due: String::new(),
            waits_since: String::new(),
        }),
        "decided" => Message::Decided(Decided {
            frame: joiner(),
            item: text("Ledger (read)"),
            decision: text("approved"),
            by: text("Olaf Brandt"),
            comment: text("Until the audit is over"),
            next: text("It is applied now, or on its day."),
        }),
        "done" => Message::Done(Done {
            frame: joiner(),
            items: vec![text("Account and basic access: done")],
            next: text("A password waits to be read, once, on the request’s page."),
        }),
        "failed" => Message::Failed(Failed {
            frame: joiner(),
            step: text("Account and basic access"),
            why: text("The directory refused it."),
            kept: text("What was done before stays done and is recorded."),
            mend: text("Mend the cause and try the step again, on the request’s page."),
        }),
        "stands_in" => Message::StandsIn(StandsIn {
            frame: frame("", "Standing in"),
            person: text("Maria Keller"),
            delegate: text("Ravi Menon"),
            from: text("Monday 1 March"),
            until: text("Friday 5 March 2027"),
            set_by: String::new(),
            to_person: false,
            ended: false,
        }),
        "setting_proposed" => Message::SettingProposed(SettingProposed {
            frame: frame("Settings", "Naming rules"),
            by: text("Ruth Tanaka"),
            note: text("Family names first"),
            from: String::new(),
        }),
        "setting_answered" => Message::SettingAnswered(SettingAnswered {
            frame: frame("Settings", "Naming rules"),
            answer: text("released"),
            by: text("Anders Lindqvist"),
            comment: String::new(),
            next: text("It is in force as version 4."),
        }),
        _ => return None,
    })
}

/// Sends the chosen letters (none chosen: every one) in that wording to whoever tries it. Returns how many.
///
/// # Errors
/// [`MailRefused::Not`] where they have no address, the wording does not work, there is no such letter, or they tried too
/// often.
pub async fn send(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::ProposeSetting>,
    (wording, chosen): (&Wording, &str),
    page: &str,
) -> Result<usize, MailRefused> {
    use crate::catalog::Setting as _;
    let person = permit.person()?;
    if let Some(wrong) = wording.wrong().into_iter().next() {
        return Err(MailRefused::Not(wrong.message));
    }
    let kinds: Vec<&str> =
        LETTERS.iter().map(|(kind, _)| *kind).filter(|kind| chosen.is_empty() || *kind == chosen).collect();
    let letters: Vec<Message> = kinds.iter().filter_map(|kind| letter(kind, page)).collect();
    if letters.is_empty() {
        return Err(MailRefused::Not(format!("There is no mail “{chosen}”.")));
    }
    // One at a time, so that the count counts.
    evidence::hold(conn, "setting:mail").await?;
    let before = sqlx::query_scalar!(
        r#"select count(*) as "count!" from outbox where person = $1 and test and created_at > $2"#,
        person.0,
        now - WITHIN
    )
    .fetch_one(&mut *conn)
    .await?;
    if before + i64::try_from(letters.len()).unwrap_or(MOST) > MOST {
        return Err(MailRefused::Not(format!(
            "You have sent {before} tests in the last {} minutes. Look at these first, then try again.",
            WITHIN.num_minutes()
        )));
    }
    let detail = Facts::default().plain("letters", kinds.join(", "));
    append(conn, now, &Record { detail, ..Record::new(action::MAIL_TESTED, "setting:mail".to_owned(), permit.by()) })
        .await?;
    let letters = letters.into_iter().map(|message| Outgoing { message, to: person, not_before: None }).collect();
    let post = Post::worded(conn, wording.clone(), std::iter::once(person)).await?;
    match post.send(conn, now, Thread::Test, letters).await? {
        0 => Err(MailRefused::Not("You have no mail address here: the tests have nowhere to go.".to_owned())),
        count => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_mail_has_a_sample_that_says_what_it_is() {
        for (kind, _) in LETTERS {
            let mut message = letter(kind, "/settings").unwrap_or_else(|| panic!("{kind} has no sample"));
            assert_eq!(message.template(), kind);
            let subject = super::super::worded(&Wording::default(), &mut message, "Ruth");
            assert!(subject.starts_with("Test: "), "{subject}");
            let (text, html) = message.bodies().unwrap();
            assert!(text.starts_with(crate::mail::letters::TEST) && html.contains("test of a wording"), "{text}");
        }
    }
}
