//! A file of people: brought, its columns chosen, looked at, applied.

use askama::Template;

use super::forms::{AreaField, Choice, FormErrors, SelectField};
use super::lists::Tab;
use super::parts::{Crumb, Pager, When};
use super::plan::PlanView;
use super::shell::Shell;

/// A file that was begun.
#[derive(Clone, Debug)]
pub struct BegunRow {
    /// "people.csv".
    pub name: String,
    pub href: String,
    pub when: When,
}

/// `GET/POST /people/import`. Posts `file` or `pasted`.
#[derive(Template)]
#[template(path = "people/import.html")]
pub struct StartPage {
    pub shell: Shell,
    pub crumbs: Vec<Crumb>,
    pub errors: FormErrors,
    /// As typed.
    pub pasted: String,
    /// "8 MB".
    pub largest: String,
    /// Fields that a file must have, in words.
    pub required: Vec<&'static str>,
    /// Fields that it may have.
    pub optional: Vec<&'static str>,
    /// Files of this viewer's that wait.
    pub begun: Vec<BegunRow>,
}

impl StartPage {
    fn pasted_field(&self) -> AreaField {
        AreaField {
            rows: 6,
            max: 1_000_000,
            ..AreaField::new("pasted", "Or paste it here")
                .hint("With the line of headers, as copied from a spreadsheet")
                .optional()
                .value(&self.pasted)
                .error(&self.errors)
        }
    }
    fn file_error(&self) -> Option<&str> {
        self.errors.of("file")
    }
}

/// A cell that cannot be taken.
#[derive(Clone, Debug)]
pub struct CellRow {
    pub line: u64,
    /// The header in the file, or our word.
    pub column: String,
    pub message: String,
}

/// `GET/POST /people/import/{id}`: posts `digest`. The columns are posted to `…/columns`, a field's name each.
#[derive(Template)]
#[template(path = "people/import_file.html")]
pub struct FilePage {
    pub shell: Shell,
    pub crumbs: Vec<Crumb>,
    /// "people.csv".
    pub name: String,
    pub summary: String,
    /// Counts and their words.
    pub figures: Vec<(usize, &'static str)>,
    pub errors: FormErrors,
    /// A select for each of our fields.
    pub columns: Vec<SelectField>,
    /// The choice of columns needs a look: it is open.
    pub columns_open: bool,
    /// `/people/import/{id}`.
    pub action: String,
    /// Cells that cannot be taken, the first of them.
    pub cells: Vec<CellRow>,
    /// "Only the first 200 are shown."; may be empty.
    pub cells_more: String,
    pub tabs: Vec<Tab>,
    /// The difference, person by person.
    pub plan: PlanView,
    pub pager: Pager,
    /// What follows from it and what does not.
    pub effects: Vec<String>,
    /// "Import 12 people"; empty where nothing can be applied.
    pub button: String,
    /// Instead of the button.
    pub closed: String,
    pub digest: String,
}

/// A select of the file's columns for one of our fields.
pub fn column_field(name: &str, words: &str, required: bool, headers: &[String], chosen: Option<usize>) -> SelectField {
    let choices = headers.iter().enumerate().map(|(at, header)| {
        let label = if header.is_empty() { format!("column {}", at + 1) } else { header.clone() };
        Choice::new(at.to_string(), label)
    });
    let field = SelectField::new(name, words, choices.collect()).prompt("Not in this file");
    let field = if required { field } else { field.optional() };
    field.value(&chosen.map_or(String::new(), |at| at.to_string()))
}
