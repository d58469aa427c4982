//! The mails, each as plain text and as HTML. Subjects begin with the request's number, so that mail programs keep
//! what belongs together; a mail never holds a secret, nor more about an item than its reader may see on the page.

use askama::Template;
use serde::{Deserialize, Serialize};

/// What every mail has.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MailFrame {
    /// The reader's name: "Maria Keller".
    pub to: String,
    /// "REQ-000482"; of letters about settings "Settings".
    pub number: String,
    /// "New joiner: Nguyễn Thị Lan".
    pub title: String,
    /// Absolute address of the page it leads to.
    pub url: String,
    /// The company's name.
    pub company: String,
    /// What the company says above the facts; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub opening: String,
    /// What it says below them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub closing: String,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub footer: String,
    /// A wording is tried: nothing in it is so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
}

/// What stands above a letter that is only tried.
pub const TEST: &str = "This is a test of a wording, sent to you alone. Nobody asked for or decided what stands here.";

impl MailFrame {
    /// The facts as plain text, between what the company says.
    fn around(&self, facts: &str) -> String {
        let test = if self.test { TEST } else { "" };
        let parts = [test, self.opening.as_str(), facts.trim_end(), &self.closing, &self.footer];
        let mut text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n");
        text.push('\n');
        text
    }
}

/// A request was submitted; to the requester.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Submitted {
    /// Common part.
    pub frame: MailFrame,
    /// One line for each item: "Account and basic access: the service desk decides".
    pub items: Vec<String>,
    /// When it should be done: "Monday 30 November 2026"; may be empty.
    pub expected: String,
}

/// Somebody's decision is needed; to them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PleaseDecide {
    /// Common part; the address is that of the decision's page.
    pub frame: MailFrame,
    /// "Finance – Ledger (read)".
    pub item: String,
    /// "Maria Keller".
    pub asked_by: String,
    /// "You are asked as owner of Finance – Ledger, because the entitlement is SOX."
    pub why: String,
    /// For whom the reader stands in; empty for themselves.
    pub on_behalf: String,
    /// What would change, a line each, as the plan says it.
    pub changes: Vec<String>,
    /// What the requester wrote; may be empty.
    pub reason: String,
    /// By when: "Tuesday 24 November, 18:00 Hamburg"; may be empty.
    pub due: String,
    /// A reminder: since when it waits, "Friday 20 November"; else empty.
    #[serde(default)]
    pub waits_since: String,
}

/// Somebody decided; to the requester.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Decided {
    /// Common part.
    pub frame: MailFrame,
    /// "Account and basic access".
    pub item: String,
    /// "approved", "rejected", "sent back".
    pub decision: String,
    /// "Ravi Menon", "Ravi Menon for Jonas Berg".
    pub by: String,
    /// What they wrote; may be empty.
    pub comment: String,
    /// What happens now: "It is applied at once.", "Please answer on the request’s page."
    pub next: String,
}

/// A request is done; to the requester.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    /// Common part.
    pub frame: MailFrame,
    /// One line for each item and how it ended.
    pub items: Vec<String>,
    /// What the reader should do now: "Reveal the start password on Monday …"; may be empty.
    pub next: String,
}

/// A step needs a person; to the desk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failed {
    /// Common part.
    pub frame: MailFrame,
    /// "Account of Nguyễn Thị Lan in Active Directory".
    pub step: String,
    /// Why, in plain words.
    pub why: String,
    /// What was kept.
    pub kept: String,
    /// What can be done.
    pub mend: String,
}

/// Somebody decides in somebody's place; to both.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StandsIn {
    /// Common part, about no request.
    pub frame: MailFrame,
    /// Who is away: "Maria Keller".
    pub person: String,
    /// Who decides: "Ravi Menon".
    pub delegate: String,
    /// "Monday 23 November".
    pub from: String,
    /// "Friday 4 December 2026".
    pub until: String,
    /// Who set it: "Lena Roth"; empty where they did themselves.
    pub set_by: String,
    /// It goes to the one who is away.
    pub to_person: bool,
    /// It has ended.
    pub ended: bool,
}

/// Another administrator proposed a setting; to those who may release it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SettingProposed {
    /// Common part; the address is that of the proposal's page.
    pub frame: MailFrame,
    /// "Ruth Tanaka".
    pub by: String,
    /// Why, as they wrote it.
    pub note: String,
    /// "Monday 1 March 2027"; empty: as soon as it is released.
    pub from: String,
}

/// A proposed setting was released, rejected, withdrawn or overtaken; to whoever proposed it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SettingAnswered {
    /// Common part; the address is that of the proposal's page.
    pub frame: MailFrame,
    /// "released", "rejected", "withdrawn", "overtaken".
    pub answer: String,
    /// Who; empty where nobody did.
    pub by: String,
    /// What they wrote; may be empty.
    pub comment: String,
    /// What follows: "It is in force as version 4."
    pub next: String,
}

/// Makes the two renderings and the subject of a kind of mail.
macro_rules! mail {
    ($kind:ident, $text:ident, $html:ident, $text_path:literal, $html_path:literal, |$mail:ident| $subject:expr) => {
        #[derive(Template)]
        #[template(path = $text_path, escape = "none")]
        struct $text<'a> {
            mail: &'a $kind,
        }
        #[derive(Template)]
        #[template(path = $html_path)]
        struct $html<'a> {
            mail: &'a $kind,
            frame: &'a MailFrame,
        }
        impl $kind {
            /// One line, free of line breaks.
            pub fn subject(&self) -> String {
                let $mail = self;
                one_line(&$subject)
            }
            /// As plain text.
            pub fn text(&self) -> Result<String, askama::Error> {
                Ok(self.frame.around(&$text { mail: self }.render()?))
            }
            /// As HTML.
            pub fn html(&self) -> Result<String, askama::Error> {
                $html { mail: self, frame: &self.frame }.render()
            }
        }
    };
}

mail!(Submitted, SubmittedText, SubmittedHtml, "mail/submitted.txt", "mail/submitted.html", |mail| format!(
    "[{}] Asked for: {}",
    mail.frame.number, mail.frame.title
));
mail!(PleaseDecide, DecideText, DecideHtml, "mail/please_decide.txt", "mail/please_decide.html", |mail| format!(
    "[{}] Please decide: {}",
    mail.frame.number, mail.frame.title
));
mail!(Decided, DecidedText, DecidedHtml, "mail/decided.txt", "mail/decided.html", |mail| format!(
    "[{}] {}: {}",
    mail.frame.number,
    capital(&mail.decision),
    mail.frame.title
));
mail!(Done, DoneText, DoneHtml, "mail/done.txt", "mail/done.html", |mail| format!(
    "[{}] Done: {}",
    mail.frame.number, mail.frame.title
));
mail!(Failed, FailedText, FailedHtml, "mail/failed.txt", "mail/failed.html", |mail| format!(
    "[{}] Needs a person: {}",
    mail.frame.number, mail.frame.title
));

mail!(StandsIn, StandsInText, StandsInHtml, "mail/stands_in.txt", "mail/stands_in.html", |mail| if mail.ended {
    format!("{} no longer decides for {}", mail.delegate, mail.person)
} else {
    format!("{} decides for {} until {}", mail.delegate, mail.person, mail.until)
});

mail!(
    SettingProposed,
    SettingProposedText,
    SettingProposedHtml,
    "mail/setting_proposed.txt",
    "mail/setting_proposed.html",
    |mail| format!("[{}] Please release: {}", mail.frame.number, mail.frame.title)
);
mail!(
    SettingAnswered,
    SettingAnsweredText,
    SettingAnsweredHtml,
    "mail/setting_answered.txt",
    "mail/setting_answered.html",
    |mail| format!("[{}] {}: {}", mail.frame.number, capital(&mail.answer), mail.frame.title)
);

/// Control characters (line breaks above all) become spaces: a subject must not begin another header.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
