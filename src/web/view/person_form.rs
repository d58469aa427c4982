//! A person and an employment as a form, and the roles that are given.

use askama::Template;

use super::forms::{Choice, DateField, FormErrors, PickerField, SelectField, TextField};
use super::parts::{Badge, Crumb, Link};
use super::shell::Shell;
use crate::web::Fields;

/// `GET/POST /people/new`, `/people/{id}/edit`, `/people/{id}/employment`. Posts our fields by their names, `manager` (see
/// [`super::forms::picked`]), the days as boxes, and `seen`.
#[derive(Template)]
#[template(path = "people/form.html")]
pub struct PersonForm {
    pub shell: Shell,
    pub crumbs: Vec<Crumb>,
    pub title: String,
    pub summary: String,
    pub errors: FormErrors,
    pub action: String,
    /// As typed, else as they are.
    pub fields: Fields,
    pub sites: Vec<Choice>,
    pub departments: Vec<String>,
    /// What they were when the form was shown; empty for somebody new.
    pub seen: String,
    pub button: String,
    /// Where "No" leads.
    pub back: String,
    /// The names and numbers are asked for too; not for another employment.
    pub asks_person: bool,
    /// What follows from it, and what does not.
    pub effects: Vec<String>,
    /// Earlier and present employments: "Accountant, Finance, Hamburg · 1 March 2022 to now".
    pub employments: Vec<String>,
    /// "They begin another employment"; none where they cannot.
    pub another: Option<Link>,
}

impl PersonForm {
    fn text(&self, name: &str, label: &str) -> TextField {
        TextField::new(name, label).value(self.fields.raw(name)).error(&self.errors)
    }
    fn given_name(&self) -> TextField {
        self.text("given_name", "Given name")
    }
    fn family_name(&self) -> TextField {
        self.text("family_name", "Family name")
    }
    fn display_name(&self) -> TextField {
        self.text("display_name", "Shown as").hint("Left empty: given name, family name").optional()
    }
    fn number(&self) -> TextField {
        self.text("employee_number", "Employee number").width("short").optional()
    }
    fn mail(&self) -> TextField {
        self.text("mail", "Mail").optional()
    }
    fn phone(&self) -> TextField {
        self.text("phone", "Phone").width("medium").optional()
    }
    fn kind(&self) -> SelectField {
        let choices = [("employee", "Employee"), ("contractor", "Contractor"), ("intern", "Intern")];
        let choices = choices.map(|(value, label)| Choice::new(value, label)).into();
        SelectField::new("type", "Contract", choices)
            .prompt("Choose a contract")
            .value(self.fields.text("type"))
            .error(&self.errors)
    }
    fn department(&self) -> TextField {
        let field = self.text("department", "Department").hint("One that is not there yet is made");
        TextField { list: "departments", ..field }
    }
    fn position(&self) -> TextField {
        self.text("title", "Title")
    }
    fn site(&self) -> SelectField {
        SelectField::new("site", "Site", self.sites.clone())
            .prompt("Choose a site")
            .value(self.fields.text("site"))
            .error(&self.errors)
    }
    fn manager(&self) -> PickerField {
        PickerField::person("manager", "Manager").value(self.fields.raw("manager")).error(&self.errors).optional()
    }
    fn first_day(&self) -> DateField {
        let [day, month, year] = self.fields.date_boxes("first_day");
        DateField::new("first_day", "First day").typed(day, month, year).error(&self.errors)
    }
    fn last_day(&self) -> DateField {
        let [day, month, year] = self.fields.date_boxes("last_day");
        DateField::new("last_day", "Last day")
            .typed(day, month, year)
            .hint("They count as left after it. Accounts end by a leaver’s request.")
            .optional()
            .error(&self.errors)
    }
}

/// A role that can be given.
#[derive(Clone, Debug)]
pub struct RoleRow {
    /// `desk`.
    pub word: &'static str,
    /// "Service desk".
    pub title: &'static str,
    pub explanation: &'static str,
    /// "since Monday, given by Adam Kern"; empty where they do not have it.
    pub held: String,
    pub badge: Option<Badge>,
}

/// `GET/POST /people/{id}/roles`. Posts `role` and `what` (`give`, `take`).
#[derive(Template)]
#[template(path = "people/roles.html")]
pub struct RolesPage {
    pub shell: Shell,
    pub crumbs: Vec<Crumb>,
    pub name: String,
    pub summary: String,
    pub errors: FormErrors,
    pub action: String,
    pub rows: Vec<RoleRow>,
    /// They have no sign-in: a role is of no use before.
    pub no_sign_in: bool,
}
