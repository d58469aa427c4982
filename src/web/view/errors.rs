//! Pages for what went wrong, and the page that asks before something is done.

use askama::Template;

use super::forms::{AreaField, FormErrors, SelectField, TextField};
use super::parts::{Crumb, Facts, Link};
use super::shell::Shell;

/// What went wrong. A thing that the viewer may not see is `NotFound`: forbidden is simply not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// 404.
    NotFound,
    /// 404: it will be there in a moment, such as the proof of a record that was written just now.
    NotYet,
    /// 403, only for pages whose existence is no secret: the viewer's role does not use it.
    NotForYou,
    /// 403: the form's token was missing or old (signed out meanwhile, page open for long).
    StaleForm,
    /// 409: somebody else was faster.
    Conflict,
    /// 422: the address or the form makes no sense.
    Senseless,
    /// 413.
    TooLarge,
    /// 429.
    TooMany,
    /// 500.
    Broken,
    /// 503: PostgreSQL does not answer.
    DatabaseDown,
    /// 503: stopping or starting.
    Stopping,
}

impl Wrong {
    /// The status code.
    pub fn status(self) -> u16 {
        match self {
            Self::NotFound | Self::NotYet => 404,
            Self::NotForYou | Self::StaleForm => 403,
            Self::Conflict => 409,
            Self::Senseless => 422,
            Self::TooLarge => 413,
            Self::TooMany => 429,
            Self::Broken => 500,
            Self::DatabaseDown | Self::Stopping => 503,
        }
    }
    /// What happened.
    fn happened(self) -> &'static str {
        match self {
            Self::NotFound => "There is nothing here",
            Self::NotYet => "This is not there yet",
            Self::NotForYou => "This is not part of your role",
            Self::StaleForm => "This form was open for too long",
            Self::Conflict => "Somebody was faster",
            Self::Senseless => "This does not make sense to us",
            Self::TooLarge => "That is too much at once",
            Self::TooMany => "Too many attempts",
            Self::Broken => "Something broke, and it is our fault",
            Self::DatabaseDown => "The database does not answer",
            Self::Stopping => "Tenure is being restarted",
        }
    }
    /// What was kept.
    fn kept(self) -> &'static str {
        match self {
            Self::NotFound => "It may have been moved, or it is not yours to see.",
            Self::NotYet => "What it is about is kept, and nothing was changed.",
            Self::NotForYou => "Nothing was changed.",
            Self::StaleForm => "Nothing was changed. Your session may have ended meanwhile.",
            Self::Conflict => "What you sent was not carried out, and nothing else was changed.",
            Self::Senseless | Self::TooLarge => "Nothing was changed.",
            Self::TooMany => "Nothing was changed; your account is not locked.",
            Self::Broken => "Nothing of what you sent was carried out half: it either stands or it does not.",
            Self::DatabaseDown => "Nothing that was confirmed is lost. Work resumes by itself.",
            Self::Stopping => "Nothing is lost; running work goes on where it stopped.",
        }
    }
    /// What to do.
    fn mend(self) -> &'static str {
        match self {
            Self::NotFound => "Search for it above, or begin at home.",
            Self::NotYet => "Load this page again in a few seconds.",
            Self::NotForYou => "If you need it for your work, ask an administrator for the role.",
            Self::StaleForm => "Go back, load the page again and send it once more; sign in again if asked.",
            Self::Conflict => "Go back and look at how it stands now.",
            Self::Senseless => "Go back, check what you entered, and send it again.",
            Self::TooLarge => "Send less at once.",
            Self::TooMany => "Wait a moment, then try again.",
            Self::Broken => "Try again. If it happens once more, tell the service desk the number below.",
            Self::DatabaseDown | Self::Stopping => "This page tries again by itself in a few seconds.",
        }
    }
    fn retries(self) -> bool {
        matches!(self, Self::DatabaseDown | Self::Stopping)
    }
}

/// Any error page.
#[derive(Template)]
#[template(path = "errors/error.html")]
pub struct ErrorPage {
    /// Surroundings; without a viewer if none is known (the database is down).
    pub shell: Shell,
    /// What went wrong.
    pub wrong: Wrong,
    /// A sentence about this case; may be empty.
    pub detail: String,
    /// The id of this answer, to quote; empty for none.
    pub id: String,
    /// A way on beside "home".
    pub link: Option<Link>,
}

/// A page that asks before something is done: cancelling, leaving out a step, ending a delegation.
#[derive(Template)]
#[template(path = "errors/confirm.html")]
pub struct ConfirmPage {
    /// Surroundings.
    pub shell: Shell,
    /// The path above the heading.
    pub crumbs: Vec<Crumb>,
    /// "Cancel REQ-000482?"
    pub title: String,
    /// What it means.
    pub text: String,
    /// What it is about.
    pub facts: Facts,
    /// Problems.
    pub errors: FormErrors,
    /// Where it posts.
    pub action: String,
    /// The button: "Cancel the request".
    pub button: String,
    /// The button is red.
    pub danger: bool,
    /// Asks to choose something first.
    pub choose: Option<SelectField>,
    /// Asks for a reason, submitted as `reason`: its question; empty for none.
    pub reason_label: String,
    /// As typed.
    pub reason: String,
    /// Asks for the password again, submitted as `password` (step-up).
    pub password: bool,
    /// Further hidden fields.
    pub hidden: Vec<(String, String)>,
    /// Where "No" leads.
    pub back: String,
}

impl ConfirmPage {
    fn reason_field(&self) -> AreaField {
        AreaField::new("reason", &self.reason_label).value(&self.reason).error(&self.errors)
    }
    fn password_field(&self) -> TextField {
        TextField::password("password", "Your password", "current-password").error(&self.errors)
    }
}
