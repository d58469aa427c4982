//! Asking for something: the choice of kinds, the forms of each kind, and "check your answers".
//!
//! Answers are kept in a draft on the server, so that every page can be left and found again. All forms post to their
//! frame's `action` with the hidden fields `csrf` and `nonce`, and one of the buttons `go=continue`, `go=save`. A form
//! with problems is the same page again with its `errors`, nothing typed is lost.

use askama::Template;

use super::forms::{
    AnyField, AreaField, Choice, DateField, FormErrors, PickerField, PickerOption, RadioField, SelectField, TextField,
};
use super::parts::{Facts, Tone, When};
use super::plan::PlanView;
use super::progress::Stages;
use super::shell::Shell;

pub use super::chooser::{Chooser, ChooserResults, EntitlementChoice};

/// A kind of request to choose from.
#[derive(Clone, Debug)]
pub struct KindCard {
    /// Its icon: "user-plus", "user-minus", "key-round", "lock-open", "users".
    pub icon: &'static str,
    /// "Someone joins".
    pub title: String,
    /// What it covers, in a sentence.
    pub text: String,
    /// `/requests/new/{kind}`.
    pub href: String,
}

/// A draft of the viewer's.
#[derive(Clone, Debug)]
pub struct DraftRow {
    /// "Joiner: Nguyễn Thị Lan".
    pub title: String,
    /// Where to go on.
    pub href: String,
    /// When it was last saved.
    pub saved: When,
    /// Where a form posts to throw it away.
    pub discard: String,
}

/// `GET /requests/new`.
#[derive(Template)]
#[template(path = "draft/new.html")]
pub struct NewRequestPage {
    /// Surroundings.
    pub shell: Shell,
    /// Heading and kinds; a heading without kinds is left out.
    pub groups: Vec<(String, Vec<KindCard>)>,
    /// Begun and not submitted.
    pub drafts: Vec<DraftRow>,
}

/// Something policy says while choosing: a name that is taken, a person who leaves already.
#[derive(Clone, Debug)]
pub struct PolicyNote {
    /// Warn, bad (will be refused), info.
    pub tone: Tone,
    /// The sentence.
    pub text: String,
    /// Where to look, as (words, address).
    pub link: Option<(String, String)>,
}

/// What surrounds the form of a draft.
#[derive(Clone, Debug, Default)]
pub struct DraftFrame {
    /// Where the form posts.
    pub action: String,
    /// "Joiner".
    pub kind_words: String,
    /// This step, from 1; 0 for a form of one page.
    pub step: u32,
    /// How many there are, the check included.
    pub steps: u32,
    /// The step before.
    pub back: Option<String>,
    /// Makes a double click harmless; the handler's own value.
    pub nonce: String,
    /// What has been answered, at the side.
    pub so_far: Facts,
    /// What comes by rule, at the side: names of groups.
    pub comes_with: Vec<String>,
    /// Why it comes: "From department and site; you need not ask for these."
    pub comes_note: String,
    /// What policy says already.
    pub notes: Vec<PolicyNote>,
    /// Arrived from "check your answers": the button says "Save and check".
    pub from_check: bool,
}

/// The side column of a form: so far, comes with it, what policy says.
#[derive(Clone, Debug, Template)]
#[template(path = "draft/side.html")]
pub struct DraftSide<'a> {
    frame: &'a DraftFrame,
}
impl askama::filters::HtmlSafe for DraftSide<'_> {}

/// Path and buttons, the same on all forms.
impl DraftFrame {
    /// The side column.
    pub fn side(&self) -> DraftSide<'_> {
        DraftSide { frame: self }
    }
    /// Whether the side column has anything to show.
    pub fn has_side(&self) -> bool {
        !self.so_far.is_empty() || !self.comes_with.is_empty() || !self.notes.is_empty()
    }
    /// The words of the chief button.
    pub fn go_on(&self) -> &'static str {
        if self.from_check {
            "Save and check"
        } else if self.step == 0 {
            "Continue to check"
        } else {
            "Continue"
        }
    }
}

/// Joiner, step 1: who are they? Fields `given_name`, `family_name`, `type`, `employee_number`.
#[derive(Template)]
#[template(path = "draft/joiner_who.html")]
pub struct JoinerWhoPage {
    /// Surroundings.
    pub shell: Shell,
    /// The draft.
    pub frame: DraftFrame,
    /// Problems.
    pub errors: FormErrors,
    /// As typed.
    pub given_name: String,
    /// As typed.
    pub family_name: String,
    /// Employee, contractor: value and words.
    pub types: Vec<Choice>,
    /// As typed.
    pub employee_number: String,
}

impl JoinerWhoPage {
    fn given(&self) -> TextField {
        TextField::new("given_name", "Given names")
            .hint("As in their contract, in their own spelling: Nguyễn, José-María, O’Brien")
            .value(&self.given_name)
            .error(&self.errors)
    }
    fn family(&self) -> TextField {
        TextField::new("family_name", "Family name").value(&self.family_name).error(&self.errors)
    }
    fn kind(&self) -> RadioField {
        RadioField::new("type", "What is their contract?", self.types.clone()).error(&self.errors)
    }
    fn employee(&self) -> TextField {
        TextField::new("employee_number", "Employee number")
            .hint("From HR. Contractors have one from the supplier’s contract")
            .value(&self.employee_number)
            .width("short")
            .code()
            .error(&self.errors)
    }
}

/// Joiner, step 2: what will they do? Fields `department`, `title`, `site`, `manager`, `start_on_*`, `end_on_*`.
#[derive(Template)]
#[template(path = "draft/joiner_work.html")]
pub struct JoinerWorkPage {
    /// Surroundings.
    pub shell: Shell,
    /// The draft.
    pub frame: DraftFrame,
    /// Problems.
    pub errors: FormErrors,
    /// Departments, one chosen.
    pub departments: Vec<Choice>,
    /// As typed.
    pub title: String,
    /// Sites, one chosen.
    pub sites: Vec<Choice>,
    /// "Maria Keller (mkeller)".
    pub manager: String,
    /// Says where a filled-in manager comes from: "Filled in from your team"; may be empty.
    pub manager_hint: String,
    /// Likely managers.
    pub manager_suggestions: Vec<PickerOption>,
    /// As typed: day, month, year.
    pub start_on: [String; 3],
    /// As typed: day, month, year.
    pub end_on: [String; 3],
    /// A last day must be given (contractor), may be (employee).
    pub end_required: bool,
    /// A day to show as an example, "30 11 2026".
    pub example_day: String,
}

fn date_field(name: &str, label: &str, typed: &[String; 3]) -> DateField {
    let [day, month, year] = typed;
    DateField::new(name, label).typed(day, month, year)
}

impl JoinerWorkPage {
    fn department(&self) -> SelectField {
        SelectField::new("department", "Department", self.departments.clone())
            .prompt("Choose a department")
            .error(&self.errors)
    }
    fn job_title(&self) -> TextField {
        TextField::new("title", "Job title").value(&self.title).error(&self.errors)
    }
    fn site(&self) -> SelectField {
        SelectField::new("site", "Site", self.sites.clone()).prompt("Choose a site").error(&self.errors)
    }
    fn manager(&self) -> PickerField {
        PickerField::person("manager", "Manager")
            .hint(&self.manager_hint)
            .value(&self.manager)
            .suggestions(self.manager_suggestions.clone())
            .error(&self.errors)
    }
    fn start(&self) -> DateField {
        date_field("start_on", "First day", &self.start_on)
            .hint(format!("For example {}. The account is made before and enabled on this day", self.example_day))
            .error(&self.errors)
    }
    fn end(&self) -> DateField {
        let field = date_field("end_on", "Last day", &self.end_on).error(&self.errors);
        if self.end_required { field.hint("The account ends by itself after this day") } else { field.optional() }
    }
}

/// Joiner, step 3: extra access. Field `groups` (several), `reason`.
#[derive(Template)]
#[template(path = "draft/joiner_access.html")]
pub struct JoinerAccessPage {
    /// Surroundings.
    pub shell: Shell,
    /// The draft.
    pub frame: DraftFrame,
    /// Problems.
    pub errors: FormErrors,
    /// The chooser, with the boxes `groups`.
    pub chooser: Chooser,
    /// As typed; asked for when something needs an owner's decision.
    pub reason: String,
}

impl JoinerAccessPage {
    fn reason_field(&self) -> AreaField {
        AreaField::new("reason", "What is it for?")
            .hint("Owners read this when they decide")
            .value(&self.reason)
            .optional()
            .error(&self.errors)
    }
}

/// Leaver, one page. Fields `person`, `when` (`planned`, `immediate`), `last_day_*`, `reason`.
#[derive(Template)]
#[template(path = "draft/leaver.html")]
pub struct LeaverPage {
    /// Surroundings.
    pub shell: Shell,
    /// The draft.
    pub frame: DraftFrame,
    /// Problems.
    pub errors: FormErrors,
    /// "Peter Wolf (pwolf)".
    pub person: String,
    /// The viewer's team.
    pub suggestions: Vec<PickerOption>,
    /// `planned` or `immediate`; empty for not answered.
    pub when: String,
    /// The viewer may ask for an immediate leaver.
    pub may_be_immediate: bool,
    /// As typed.
    pub last_day: [String; 3],
    /// As typed.
    pub reason: String,
    /// What becomes of their mail; empty where there is no Exchange organisation.
    pub mail: Vec<FieldGroup>,
}

impl LeaverPage {
    fn person_field(&self) -> PickerField {
        PickerField::person("person", "Who leaves?")
            .value(&self.person)
            .suggestions(self.suggestions.clone())
            .error(&self.errors)
    }
    fn when_field(&self) -> RadioField {
        let mut choices = vec![
            Choice::new("planned", "On their last day")
                .hint("The account is disabled when the last day ends at their site, and the groups are removed."),
        ];
        if self.may_be_immediate {
            choices.push(Choice::new("immediate", "At once, restricted").hint(
                "Sign-in ends within minutes. Only those involved, the deciders and the desk lead see the request.",
            ));
        }
        RadioField::new("when", "When?", choices).value(&self.when).error(&self.errors)
    }
    fn last_day_field(&self) -> DateField {
        date_field("last_day", "Last day", &self.last_day).error(&self.errors)
    }
    fn reason_field(&self) -> AreaField {
        AreaField::new("reason", "Anything the desk should know?").value(&self.reason).optional().error(&self.errors)
    }
}

/// Fields of a form that belong together; with a title they are folded away until something in them is filled in or wrong.
#[derive(Clone, Debug, Default)]
pub struct FieldGroup {
    pub title: String,
    pub open: bool,
    pub fields: Vec<AnyField>,
}

/// A form whose questions stand in a table: those about mailboxes and lists.
#[derive(Template)]
#[template(path = "draft/fields.html")]
pub struct FieldsPage {
    /// Surroundings.
    pub shell: Shell,
    /// The draft.
    pub frame: DraftFrame,
    /// Problems.
    pub errors: FormErrors,
    /// The heading.
    pub question: &'static str,
    /// A sentence below it.
    pub lead: &'static str,
    pub groups: Vec<FieldGroup>,
}

/// Access for somebody, one page. Fields `person`, `join` (several), `leave` (several), `limited` (`no`, `yes`),
/// `until_*`, `reason`; `go=find` searches, `go=person` shows what the chosen person holds.
#[derive(Template)]
#[template(path = "draft/access.html")]
pub struct AccessPage {
    /// Surroundings.
    pub shell: Shell,
    /// The draft.
    pub frame: DraftFrame,
    /// Problems.
    pub errors: FormErrors,
    /// "Peter Wolf (pwolf)".
    pub person: String,
    /// The viewer's team.
    pub suggestions: Vec<PickerOption>,
    /// What to join, with the boxes `join`.
    pub chooser: Chooser,
    /// What the person holds and may give up, as the boxes `leave`; empty until a person is known.
    pub held: Vec<Choice>,
    /// `yes` or `no`.
    pub limited: String,
    /// As typed.
    pub until: [String; 3],
    /// As typed.
    pub reason: String,
}

impl AccessPage {
    fn person_field(&self) -> PickerField {
        PickerField::person("person", "For whom?")
            .value(&self.person)
            .suggestions(self.suggestions.clone())
            .error(&self.errors)
    }
    fn leave_field(&self) -> super::forms::CheckField {
        super::forms::CheckField::new("leave", "Give up", self.held.clone()).error(&self.errors)
    }
    fn limited_field(&self) -> RadioField {
        let choices = vec![Choice::new("no", "Until it is given up"), Choice::new("yes", "Until a day")];
        RadioField::new("limited", "For how long?", choices).value(&self.limited).inline().error(&self.errors)
    }
    fn until_field(&self) -> DateField {
        date_field("until", "Ends after", &self.until)
            .hint("It is removed by itself after this day")
            .error(&self.errors)
    }
    fn reason_field(&self) -> AreaField {
        AreaField::new("reason", "What is it for?")
            .hint("Those who decide read this")
            .value(&self.reason)
            .error(&self.errors)
    }
}

/// Password reset or unlock, one page. Fields `person`, and for a reset `verified` and `reason`.
#[derive(Template)]
#[template(path = "draft/account_help.html")]
pub struct AccountHelpPage {
    /// Surroundings.
    pub shell: Shell,
    /// The draft.
    pub frame: DraftFrame,
    /// Problems.
    pub errors: FormErrors,
    /// A reset (true) or an unlock (false).
    pub reset: bool,
    /// "Peter Wolf (pwolf)".
    pub person: String,
    /// Likely persons: locked ones first.
    pub suggestions: Vec<PickerOption>,
    /// How the caller was verified: value and words, one chosen.
    pub verified: Vec<Choice>,
    /// As typed.
    pub reason: String,
}

impl AccountHelpPage {
    fn person_field(&self) -> PickerField {
        PickerField::person("person", "Whose account?")
            .value(&self.person)
            .suggestions(self.suggestions.clone())
            .error(&self.errors)
    }
    fn verified_field(&self) -> RadioField {
        RadioField::new("verified", "How did you make sure that it is them?", self.verified.clone()).error(&self.errors)
    }
    fn reason_field(&self) -> AreaField {
        AreaField::new("reason", "Note").value(&self.reason).optional().error(&self.errors)
    }
}

/// Answers that belong together, with the way to change them.
#[derive(Clone, Debug)]
pub struct AnswerGroup {
    /// "Who they are".
    pub title: String,
    /// The answers.
    pub facts: Facts,
    /// The step to change them.
    pub change: Option<String>,
}

/// `GET /drafts/{id}/check`: the answers, and exactly what they amount to. Posts to `frame.action` (`/requests`) with
/// `draft`, `nonce` and the digests of the items seen (`digest`, several).
#[derive(Template)]
#[template(path = "draft/check.html")]
pub struct CheckPage {
    /// Surroundings.
    pub shell: Shell,
    /// The draft: `action` is where it is submitted, `back` the last step.
    pub frame: DraftFrame,
    /// Problems that came up meanwhile (a name was taken); the plan shown is already the new one.
    pub errors: FormErrors,
    /// "New joiner: Nguyễn Thị Lan".
    pub title: String,
    /// The draft's id, submitted as `draft`.
    pub draft: String,
    /// The answers.
    pub answers: Vec<AnswerGroup>,
    /// What they amount to.
    pub plan: PlanView,
    /// Full digests of the items as shown.
    pub digests: Vec<String>,
    /// Who will decide.
    pub stages: Stages,
    /// Why it cannot be submitted; empty if it can.
    pub blocked: String,
}
