//! The viewer's own page: sessions, tokens for the API, delegation.

use askama::Template;

use super::forms::{CheckField, Choice, DateField, FormErrors, PickerField, PickerOption, SelectField, TextField};
use super::parts::{Badge, Crumb, Facts, Person, When};
use super::shell::Shell;

/// A session of the viewer's.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// `/me/sessions/{id}/end`.
    pub end: String,
    /// "Firefox on Linux".
    pub client: String,
    /// "127.0.0.1".
    pub address: String,
    /// Since when.
    pub since: When,
    /// Last used.
    pub used: When,
    /// The one they look with.
    pub current: bool,
}

/// An API token of the viewer's.
#[derive(Clone, Debug)]
pub struct TokenRow {
    /// What they called it.
    pub name: String,
    /// Its first characters: "tnr_9f2c…".
    pub prefix: String,
    /// "reads", "asks and decides".
    pub scope: String,
    /// Until when.
    pub expires: When,
    /// When it was last used; none if never.
    pub used: Option<When>,
    /// Valid, expired, revoked.
    pub state: Badge,
    /// `/me/tokens/{id}/revoke`; none if it is over.
    pub revoke: Option<String>,
}

/// A delegation from or to the viewer.
#[derive(Clone, Debug)]
pub struct DelegationRow {
    /// Who stands in.
    pub to: Person,
    /// For whom.
    pub from: Person,
    /// First day.
    pub since: When,
    /// Last day.
    pub until: When,
    /// In force, planned, over.
    pub state: Badge,
    /// Who set it, where the one who is away did not; else empty.
    pub made_by: String,
    /// `/me/delegations/{id}/end`; none if it cannot be ended by the viewer.
    pub end: Option<String>,
}

/// `GET /me`, and again with errors after a form on it.
///
/// Forms: `/me/tokens` (`name`, `scope` several, `days`), `/me/delegations` (`to`, `from_*`, `until_*`),
/// `/me/sessions/{id}/end`, `/me/sessions/end-others`.
#[derive(Template)]
#[template(path = "account/me.html")]
pub struct AccountPage {
    /// Surroundings.
    pub shell: Shell,
    /// "Maria Keller".
    pub name: String,
    /// What Tenure knows: roles, user name, mail, manager, last sign-in.
    pub facts: Facts,
    /// Their sessions, the current one first.
    pub sessions: Vec<SessionRow>,
    /// Their tokens.
    pub tokens: Vec<TokenRow>,
    /// A token made this moment: name and the token itself, shown once.
    pub new_token: Option<(String, String)>,
    /// Their delegations.
    pub delegations: Vec<DelegationRow>,
    /// They decide about something, so a delegation makes sense.
    pub may_delegate: bool,
    /// Problems of the form that was sent.
    pub errors: FormErrors,
    /// As typed.
    pub token_name: String,
    /// What a token may do: value and words.
    pub scopes: Vec<Choice>,
    /// For how long: value in days and words.
    pub days: Vec<Choice>,
    /// Letting somebody stand in.
    pub form: StandInForm,
}

/// Letting somebody stand in: `to`, `from_*`, `until_*` to `action`.
#[derive(Clone, Debug, Default)]
pub struct StandInForm {
    /// `/me/delegations`.
    pub action: String,
    /// "Who stands in for you?"
    pub question: String,
    /// As typed: "Ravi Menon (rmenon)".
    pub delegate: String,
    /// Likely delegates.
    pub suggestions: Vec<PickerOption>,
    /// As typed: day, month, year.
    pub from: [String; 3],
    /// As typed: day, month, year.
    pub until: [String; 3],
}

impl StandInForm {
    fn to_field(&self, errors: &FormErrors) -> PickerField {
        PickerField::person("to", &self.question)
            .value(&self.delegate)
            .suggestions(self.suggestions.clone())
            .error(errors)
    }
    fn first_day_field(&self, errors: &FormErrors) -> DateField {
        let [day, month, year] = &self.from;
        DateField::new("from", "First day").typed(day, month, year).error(errors)
    }
    fn last_day_field(&self, errors: &FormErrors) -> DateField {
        let [day, month, year] = &self.until;
        DateField::new("until", "Last day").typed(day, month, year).error(errors)
    }
}

/// `GET /people/{id}/delegations`, for the desk's lead, and again with errors. `/people/{id}/delegations/{delegation}/end` ends one.
#[derive(Template)]
#[template(path = "people/standing_in.html")]
pub struct StandingInPage {
    /// Surroundings.
    pub shell: Shell,
    /// The path above the heading.
    pub crumbs: Vec<Crumb>,
    /// "Maria Keller".
    pub name: String,
    /// "Head of Finance, Finance, Hamburg".
    pub summary: String,
    /// Else nothing can be set.
    pub works_here: bool,
    /// What is in force or to come.
    pub delegations: Vec<DelegationRow>,
    /// Letting somebody stand in.
    pub form: StandInForm,
    /// Problems of the form that was sent.
    pub errors: FormErrors,
}

impl AccountPage {
    fn name_field(&self) -> TextField {
        TextField::new("name", "What is it for?")
            .hint("For example “nightly import”")
            .value(&self.token_name)
            .error(&self.errors)
    }
    fn scope_field(&self) -> CheckField {
        CheckField::new("scope", "It may", self.scopes.clone()).error(&self.errors)
    }
    fn days_field(&self) -> SelectField {
        SelectField::new("days", "It ends after", self.days.clone()).error(&self.errors)
    }
}
