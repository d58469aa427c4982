//! Choosing among the entitlements of the catalogue, with what policy says about each.

use askama::Template;

use super::parts::Badge;

/// An entitlement that can be chosen.
#[derive(Clone, Debug, Default)]
pub struct EntitlementChoice {
    /// What is submitted.
    pub id: String,
    /// "Finance – Ledger (read)".
    pub name: String,
    /// What it gives, in a sentence.
    pub description: String,
    /// Who decides: "Jonas Berg decides, because it is SOX", "Nobody has to decide".
    pub decides: String,
    /// SOX-relevant.
    pub sox: bool,
    /// Its risk.
    pub risk: Option<Badge>,
    /// Chosen.
    pub chosen: bool,
    /// Why it cannot be chosen: "Lan has it already", "comes by rule"; empty if it can.
    pub not_because: String,
    /// A warning that does not forbid it; empty for none.
    pub warning: String,
}

/// Choosing entitlements: boxes named by `name`, a search field `find` with a button `go=find` (without a script the
/// page comes again with what was found; with one it searches while typing at `source`).
#[derive(Clone, Debug, Default, Template)]
#[template(path = "draft/chooser.html")]
pub struct Chooser {
    /// Name of the boxes: "groups", "join".
    pub name: String,
    /// The question.
    pub label: String,
    /// Its problem.
    pub error: Option<String>,
    /// Where to search while typing; `find` is added. Answers with [`ChooserResults`].
    pub source: String,
    /// What is searched for.
    pub query: String,
    /// Chosen ones, always shown first.
    pub chosen: Vec<EntitlementChoice>,
    /// Found (or suggested, while nothing is searched for), without the chosen ones.
    pub found: Vec<EntitlementChoice>,
    /// "Often chosen in Finance", "12 found".
    pub found_title: String,
}
embeddable!(Chooser);

impl Chooser {
    fn results(&self) -> ChooserResults {
        let (name, found, title) = (self.name.clone(), self.found.clone(), self.found_title.clone());
        ChooserResults { name, found, title, query: self.query.clone() }
    }
    fn is_chosen_empty(&self) -> bool {
        self.chosen.is_empty()
    }
}

/// The found ones alone: the answer to a search while typing.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "draft/chooser_results.html")]
pub struct ChooserResults {
    /// Name of the boxes.
    pub name: String,
    /// Found, without the chosen ones.
    pub found: Vec<EntitlementChoice>,
    /// "12 found".
    pub title: String,
    /// What was searched for.
    pub query: String,
}
embeddable!(ChooserResults);

/// One box of the chooser.
#[derive(Clone, Debug, Template)]
#[template(path = "draft/chooser_choice.html")]
struct ChoiceBox<'a> {
    name: &'a str,
    choice: &'a EntitlementChoice,
}
impl askama::filters::HtmlSafe for ChoiceBox<'_> {}

fn choice_box<'a>(name: &'a str, choice: &'a EntitlementChoice) -> ChoiceBox<'a> {
    ChoiceBox { name, choice }
}
