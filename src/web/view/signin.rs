//! The page in front of everything.

use askama::Template;

use super::forms::{FormErrors, TextField};
use super::parts::Avatar;
use super::shell::Shell;

/// One of the demo's people, entered with one click.
#[derive(Clone, Debug)]
pub struct DemoPerson {
    /// The user name that is submitted: "manager".
    pub user: String,
    /// Display name.
    pub name: String,
    /// What they are and do: "Manager, Finance · asks".
    pub role: String,
}

impl DemoPerson {
    /// Their disc.
    pub fn avatar(&self) -> Avatar {
        Avatar::of(&self.name)
    }
}

/// `GET/POST /signin`. The demo's buttons post `user` to `/signin/demo`; a return address is kept in `next`.
#[derive(Template)]
#[template(path = "signin/signin.html")]
pub struct SignInPage {
    /// Surroundings, without a viewer.
    pub shell: Shell,
    /// What was wrong; the same words for unknown names and wrong passwords.
    pub errors: FormErrors,
    /// The user name as typed.
    pub user: String,
    /// Where to go afterwards: a path of ours, checked by the handler; empty for home.
    pub next: String,
    /// The demo's people; empty outside the demo.
    pub people: Vec<DemoPerson>,
    /// The one password of the demo, printed here too; empty outside the demo.
    pub demo_password: String,
}

impl SignInPage {
    fn user_field(&self) -> TextField {
        TextField::new("user", "User name").value(&self.user).autocomplete("username").error(&self.errors)
    }
    fn password_field(&self) -> TextField {
        TextField::password("password", "Password", "current-password").error(&self.errors)
    }
}
