//! Fields of forms and their errors. Every field keeps what was typed, names its problem beside it, and can be used
//! without a script.
//!
//! The element of field `name` has the id `f-name`, which the error summary links to; hint and error are tied to it by
//! `aria-describedby`.

use std::fmt::Display;

use askama::Template;

use super::parts::Badge;

/// One problem with one field.
#[derive(Clone, Debug)]
pub struct FieldError {
    /// The field's name; empty for a problem of the whole form.
    pub field: String,
    /// What is the matter and how to mend it: "Enter a start date that is today or later".
    pub message: String,
}

/// The problems of a form: the summary above it, and the source of each field's own line.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "components/form_errors.html")]
pub struct FormErrors(pub Vec<FieldError>);
embeddable!(FormErrors);

impl FormErrors {
    /// Notes a problem.
    pub fn add(&mut self, field: impl Into<String>, message: impl Display) {
        self.0.push(FieldError { field: field.into(), message: message.to_string() });
    }
    /// The (first) problem of that field.
    pub fn of(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }
    /// Whether the form is without problems.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What all fields have.
#[derive(Clone, Debug, Default)]
pub struct Common {
    /// The name it is submitted under.
    pub name: String,
    /// What is asked for.
    pub label: String,
    /// How to answer; may be empty.
    pub hint: String,
    /// Its problem.
    pub error: Option<String>,
    /// May stay empty: said in words beside the label.
    pub optional: bool,
    /// Shown and not changeable.
    pub read_only: bool,
    /// Gets the focus when the page opens.
    pub autofocus: bool,
}

impl Common {
    fn new(name: &str, label: &str) -> Self {
        Self { name: name.to_owned(), label: label.to_owned(), ..Self::default() }
    }
    /// The ids for `aria-describedby`, or an empty text.
    pub fn described(&self) -> String {
        let hint = (!self.hint.is_empty()).then(|| format!("h-{}", self.name));
        let error = self.error.is_some().then(|| format!("e-{}", self.name));
        hint.into_iter().chain(error).collect::<Vec<_>>().join(" ")
    }
}

/// Gives a field type the builder methods that all fields share.
macro_rules! common_builders {
    ($($field:ty),+) => { $(impl $field {
        /// How to answer.
        #[must_use]
        pub fn hint(mut self, hint: impl Into<String>) -> Self {
            self.common.hint = hint.into();
            self
        }
        /// Its problem, looked up under its name.
        #[must_use]
        pub fn error(mut self, errors: &FormErrors) -> Self {
            self.common.error = errors.of(&self.common.name).map(str::to_owned);
            self
        }
        /// It may stay empty.
        #[must_use]
        pub fn optional(mut self) -> Self {
            self.common.optional = true;
            self
        }
        /// It is shown and cannot be changed.
        #[must_use]
        pub fn read_only(mut self) -> Self {
            self.common.read_only = true;
            self
        }
        /// It gets the focus.
        #[must_use]
        pub fn autofocus(mut self) -> Self {
            self.common.autofocus = true;
            self
        }
    })+ };
}
common_builders!(TextField, AreaField, SelectField, RadioField, CheckField, DateField, PickerField);

/// One line of text (or a password, a mail address, a number …).
#[derive(Clone, Debug, Default, Template)]
#[template(path = "components/field_text.html")]
pub struct TextField {
    /// Name, label, hint, error.
    pub common: Common,
    /// What was typed.
    pub value: String,
    /// `type` of the input: "text", "password", "email", "search".
    pub kind: &'static str,
    /// `autocomplete` of the input; "off" where the browser's memory would be of other people.
    pub autocomplete: &'static str,
    /// Width: "" (full), "short" (about 12 characters), "medium".
    pub width: &'static str,
    /// Greatest number of characters accepted.
    pub max: u32,
    /// Monospace, for values of systems.
    pub code: bool,
    /// `inputmode`: "" or "numeric".
    pub input_mode: &'static str,
    /// The id of a list of suggestions on the page; empty for none.
    pub list: &'static str,
}
embeddable!(TextField);

impl TextField {
    /// A line of text.
    pub fn new(name: &str, label: &str) -> Self {
        let common = Common::new(name, label);
        Self { common, kind: "text", autocomplete: "off", max: 300, ..Self::default() }
    }
    /// A password, with the browser's help ("current-password", "new-password").
    pub fn password(name: &str, label: &str, autocomplete: &'static str) -> Self {
        Self { kind: "password", autocomplete, ..Self::new(name, label) }
    }
    /// What was typed.
    #[must_use]
    pub fn value(self, value: impl Into<String>) -> Self {
        Self { value: value.into(), ..self }
    }
    /// Its width.
    #[must_use]
    pub fn width(self, width: &'static str) -> Self {
        Self { width, ..self }
    }
    /// For values of systems.
    #[must_use]
    pub fn code(self) -> Self {
        Self { code: true, ..self }
    }
    /// Help of the browser.
    #[must_use]
    pub fn autocomplete(self, autocomplete: &'static str) -> Self {
        Self { autocomplete, ..self }
    }
}

/// Several lines of text.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "components/field_area.html")]
pub struct AreaField {
    /// Name, label, hint, error.
    pub common: Common,
    /// What was typed.
    pub value: String,
    /// Height in lines.
    pub rows: u8,
    /// Greatest number of characters accepted.
    pub max: u32,
    /// Shown while empty; never the only help.
    pub placeholder: String,
}
embeddable!(AreaField);

impl AreaField {
    /// Several lines of text.
    pub fn new(name: &str, label: &str) -> Self {
        Self { common: Common::new(name, label), rows: 3, max: 4000, ..Self::default() }
    }
    /// What was typed.
    #[must_use]
    pub fn value(self, value: impl Into<String>) -> Self {
        Self { value: value.into(), ..self }
    }
    /// Shown while empty.
    #[must_use]
    pub fn placeholder(self, text: &str) -> Self {
        Self { placeholder: text.to_owned(), ..self }
    }
}

/// One of the answers of a list, a radio group or a set of boxes.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// What is submitted.
    pub value: String,
    /// What is read.
    pub label: String,
    /// A line below it (radios and boxes only); may be empty.
    pub hint: String,
    /// Chosen.
    pub chosen: bool,
    /// Cannot be chosen; the hint says why.
    pub disabled: bool,
}

impl Choice {
    /// A choice that is not (yet) chosen.
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self { value: value.into(), label: label.into(), ..Self::default() }
    }
    /// With a line below it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
    /// Chosen if it has this value.
    #[must_use]
    pub fn chosen_if(mut self, value: &str) -> Self {
        self.chosen = self.value == value;
        self
    }
}

/// One out of a list.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "components/field_select.html")]
pub struct SelectField {
    /// Name, label, hint, error.
    pub common: Common,
    /// The answers.
    pub choices: Vec<Choice>,
    /// A first, empty answer with these words ("Choose a site"); none if empty.
    pub prompt: String,
}
embeddable!(SelectField);

impl SelectField {
    /// A list; mark the chosen one among the choices.
    pub fn new(name: &str, label: &str, choices: Vec<Choice>) -> Self {
        Self { common: Common::new(name, label), choices, prompt: String::new() }
    }
    /// The choice with this value is the chosen one.
    #[must_use]
    pub fn value(mut self, value: &str) -> Self {
        for choice in &mut self.choices {
            choice.chosen = choice.value == value;
        }
        self
    }
    /// A first, empty answer.
    #[must_use]
    pub fn prompt(self, prompt: &str) -> Self {
        Self { prompt: prompt.to_owned(), ..self }
    }
}

/// One out of a few, all of them seen.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "components/field_radio.html")]
pub struct RadioField {
    /// Name, label (the group's question), hint, error.
    pub common: Common,
    /// The answers.
    pub choices: Vec<Choice>,
    /// Side by side instead of below each other.
    pub inline: bool,
}
embeddable!(RadioField);

impl RadioField {
    /// A group of radio buttons.
    pub fn new(name: &str, label: &str, choices: Vec<Choice>) -> Self {
        Self { common: Common::new(name, label), choices, inline: false }
    }
    /// The choice with this value is the chosen one.
    #[must_use]
    pub fn value(mut self, value: &str) -> Self {
        for choice in &mut self.choices {
            choice.chosen = choice.value == value;
        }
        self
    }
    /// Side by side.
    #[must_use]
    pub fn inline(self) -> Self {
        Self { inline: true, ..self }
    }
}

/// Any number out of several; all submitted under the one name.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "components/field_check.html")]
pub struct CheckField {
    /// Name, label (the group's question), hint, error.
    pub common: Common,
    /// The answers.
    pub choices: Vec<Choice>,
}
embeddable!(CheckField);

impl CheckField {
    /// A group of boxes.
    pub fn new(name: &str, label: &str, choices: Vec<Choice>) -> Self {
        Self { common: Common::new(name, label), choices }
    }
}

/// A calendar day in three boxes, submitted as `{name}_day`, `{name}_month`, `{name}_year`.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "components/field_date.html")]
pub struct DateField {
    /// Name, label, hint, error.
    pub common: Common,
    /// As typed.
    pub day: String,
    /// As typed.
    pub month: String,
    /// As typed.
    pub year: String,
}
embeddable!(DateField);

impl DateField {
    /// Three boxes.
    pub fn new(name: &str, label: &str) -> Self {
        Self { common: Common::new(name, label), ..Self::default() }
    }
    /// As typed.
    #[must_use]
    pub fn typed(self, day: impl Into<String>, month: impl Into<String>, year: impl Into<String>) -> Self {
        Self { day: day.into(), month: month.into(), year: year.into(), ..self }
    }
    /// From a date.
    #[must_use]
    pub fn date(self, date: chrono::NaiveDate) -> Self {
        let text = |format: &str| date.format(format).to_string();
        self.typed(text("%-d"), text("%-m"), text("%Y"))
    }
}

/// A person or an object, by name. A plain input with suggestions; with a script it searches while typing. What is
/// submitted is the text itself, "Maria Keller (mkeller)"; read it with [`picked`].
#[derive(Clone, Debug, Default, Template)]
#[template(path = "components/field_picker.html")]
pub struct PickerField {
    /// Name, label, hint, error.
    pub common: Common,
    /// What was typed or chosen: "Maria Keller (mkeller)".
    pub value: String,
    /// Where to search while typing; `q` is added. Answers with [`PickerOptions`]. "/search/people" for persons.
    pub source: &'static str,
    /// Suggestions without a script: the viewer's team, the likely ones.
    pub suggestions: Vec<PickerOption>,
    /// How to answer, in the empty field.
    pub placeholder: &'static str,
}
embeddable!(PickerField);

/// Any field, where a form's questions stand in a table.
#[derive(Clone, Debug)]
pub enum AnyField {
    Text(TextField),
    Area(AreaField),
    Select(SelectField),
    Radio(RadioField),
    Check(CheckField),
    Date(DateField),
    Picker(PickerField),
}

impl Display for AnyField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(field) => field.fmt(f),
            Self::Area(field) => field.fmt(f),
            Self::Select(field) => field.fmt(f),
            Self::Radio(field) => field.fmt(f),
            Self::Check(field) => field.fmt(f),
            Self::Date(field) => field.fmt(f),
            Self::Picker(field) => field.fmt(f),
        }
    }
}
impl askama::filters::HtmlSafe for AnyField {}

/// One suggestion of a picker.
#[derive(Clone, Debug)]
pub struct PickerOption {
    /// What is put into the field: "Maria Keller (mkeller)".
    pub value: String,
    /// First line: "Maria Keller".
    pub label: String,
    /// Second line: "Head of Finance, Hamburg".
    pub detail: String,
    /// A state worth knowing when choosing ("leaves 30 Nov").
    pub badge: Option<Badge>,
}

impl PickerOption {
    /// A person: name, user name (or employee number), what they are.
    pub fn person(name: &str, key: &str, detail: &str) -> Self {
        let (label, detail) = (name.to_owned(), detail.to_owned());
        Self { value: format!("{name} ({key})"), label, detail, badge: None }
    }
}

impl PickerField {
    /// A picker of persons.
    pub fn person(name: &str, label: &str) -> Self {
        let placeholder = "Name, user name or number";
        Self { common: Common::new(name, label), source: "/search/people", placeholder, ..Self::default() }
    }
    /// A picker of mailboxes or of lists.
    pub fn mail(name: &str, label: &str, lists: bool) -> Self {
        let source = if lists { "/search/lists" } else { "/search/mailboxes" };
        Self { common: Common::new(name, label), source, placeholder: "Name or address", ..Self::default() }
    }
    /// What was typed or chosen.
    #[must_use]
    pub fn value(self, value: impl Into<String>) -> Self {
        Self { value: value.into(), ..self }
    }
    /// Suggestions without a script.
    #[must_use]
    pub fn suggestions(self, suggestions: Vec<PickerOption>) -> Self {
        Self { suggestions, ..self }
    }
}

/// The answer to a picker's search: list options, or a line that nothing was found.
#[derive(Clone, Debug, Template)]
#[template(path = "components/picker_options.html")]
pub struct PickerOptions {
    /// The best few, at most about eight.
    pub options: Vec<PickerOption>,
    /// What was searched for.
    pub query: String,
}

/// The key in what a picker submitted: the text in the last pair of parentheses, "mkeller" of "Maria Keller (mkeller)",
/// otherwise the whole trimmed text, so that typing a user name or a number alone works too.
pub fn picked(text: &str) -> &str {
    let text = text.trim();
    let inside = text.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')).map(|(_, key)| key.trim());
    inside.filter(|key| !key.is_empty()).unwrap_or(text)
}
