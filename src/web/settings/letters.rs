//! "Send this to me": a drafted or proposed wording tried as real mail.

use serde_json::Value as Json;
use sqlx::PgConnection;

use crate::access::{Object, op, permit};
use crate::catalog::proposals::{Kind, Subject, read};
use crate::catalog::{LETTERS, Wording};
use crate::mail;
use crate::web::view::errors::Wrong;
use crate::web::view::forms::{Choice, SelectField};
use crate::web::view::settings::TestLetters;
use crate::web::{Error, SignedIn};

/// What offers it, on pages about the wording of mails.
pub fn offered(subject: &Subject, chosen: &str) -> Option<TestLetters> {
    (*subject == Subject::Rules(Kind::Mail)).then(|| {
        let all = std::iter::once(Choice::new("", "every mail"));
        let each = LETTERS.iter().map(|(kind, title)| Choice::new(*kind, format!("“{title}”")));
        TestLetters { which: SelectField::new("letter", "Which", all.chain(each).collect()).value(chosen) }
    })
}

/// Sends the chosen letters in that wording to the viewer, in the caller's transaction.
pub async fn send(
    conn: &mut PgConnection,
    me: &SignedIn,
    (subject, body): (&Subject, &Json),
    (chosen, page): (&str, &str),
) -> Result<(), Error> {
    if *subject != Subject::Rules(Kind::Mail) {
        return Err(Error::not_found());
    }
    let permit = permit::<op::ProposeSetting>(conn, &me.actor(), Object::None).await?;
    let wording: Wording = read(body).map_err(|wrong| Error::wrong(Wrong::Conflict, wrong.message))?;
    mail::sample::send(conn, me.now, &permit, (&wording, chosen), page).await?;
    Ok(())
}
