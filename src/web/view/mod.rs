//! What a page shows: plain structs that render themselves, without SQL and without HTTP.
//!
//! A handler asks the domain, fills one of these structs and returns its text; every sentence that a person reads on
//! a page stands in the templates or in a `Display` here. Three layers, from small to large:
//!
//! * **parts** (`parts`, `forms`, `plan`, `progress`, `states`): pieces used on many pages. Each is a struct with a
//!   template in `templates/components/` and is marked [`askama::filters::HtmlSafe`], so that a template writes
//!   `{{ badge }}` and gets escaped text inside trusted markup. A piece never takes markup from outside: all its
//!   fields are text.
//! * **the shell** ([`Shell`]): what surrounds every page: title, viewer, navigation, messages, the anti-forgery token.
//! * **pages**, one file per page group, each with templates in the folder of the same name. Every page struct has the
//!   field `shell` and renders a whole document; structs named `…Fragment` render a piece that replaces one on the page.
//!
//! No page needs a script. What htmx and `static/tenure.js` add (live timeline, search while typing, keys in the queue)
//! are attributes on markup that already works by links and forms. Styles and scripts are files only: the content
//! security policy forbids inline ones, so widths of bars are SVG attributes and never `style`.

/// Marks components whose template escapes everything it is given as safe to embed in other templates.
macro_rules! embeddable {
    ($($name:ty),+ $(,)?) => { $(impl askama::filters::HtmlSafe for $name {})+ };
}

pub mod account;
pub mod adoption;
pub mod approval;
pub mod assets;
pub mod catalogue;
pub mod chooser;
pub mod draft;
pub mod erasure;
pub mod errors;
pub mod evidence;
pub mod forms;
pub mod history;
pub mod home;
pub mod imports;
pub mod lists;
pub mod operations;
pub mod parts;
pub mod people;
pub mod person_form;
pub mod plan;
pub mod progress;
pub mod queue;
pub mod request;
pub mod secrets;
pub mod settings;
pub mod shell;
pub mod signin;
pub mod states;
pub mod systems;

pub use assets::{asset, icon};
pub use forms::FormErrors;
pub use parts::{Avatar, Badge, Crumb, Empty, Fact, Facts, Link, Meter, Pager, Person, Tone, When};
pub use plan::{ChangeView, ItemView, Mark, PlanView, StepAction, StepView};
pub use progress::{ClockView, Stage, StageMark, Timeline, TimelineEntry, TimelineMark};
pub use shell::{Flash, Nav, NavItem, Problem, Shell, Viewer};

#[cfg(test)]
mod samples;
