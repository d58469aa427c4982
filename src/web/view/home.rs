//! The first page after signing in, by what the viewer is.

use askama::Template;

use super::lists::RequestRow;
use super::parts::{Badge, Link, Person};
use super::shell::Shell;

/// One thing that waits for the viewer.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// What is asked of them: "decide", "answer", "reveal".
    pub badge: Badge,
    /// What it is about, in bold.
    pub title: String,
    /// One line more: "6 changes · effective Tuesday · asked yesterday".
    pub detail: String,
    /// The first is the chief one.
    pub actions: Vec<Link>,
}

/// A number worth seeing at a glance.
#[derive(Clone, Debug)]
pub struct Figure {
    /// "At risk".
    pub label: String,
    /// "4".
    pub value: String,
    /// One line below; may be empty.
    pub detail: String,
    /// Where it leads.
    pub href: Option<String>,
    /// Class of the number: "" or a tone's class when it should be seen ("bad", "ok").
    pub tone: &'static str,
}

/// A member of the viewer's team.
#[derive(Clone, Debug)]
pub struct TeamMember {
    /// Who.
    pub person: Person,
    /// What is up with them ("locked", "joins Mon"); none when nothing is.
    pub badge: Option<Badge>,
}

/// A step of the demo's tour.
#[derive(Clone, Debug)]
pub struct TourStep {
    /// What to do: "Ask for a new colleague".
    pub title: String,
    /// How: "As Maria, choose …".
    pub text: String,
    /// Where.
    pub link: Option<Link>,
    /// Already done in this demo.
    pub done: bool,
}

/// `GET /`. Every section is shown only if it has something to say for this viewer; `waits` and `asked` show their empty
/// state instead.
#[derive(Template)]
#[template(path = "home/home.html")]
pub struct HomePage {
    /// Surroundings.
    pub shell: Shell,
    /// "Good afternoon, Maria".
    pub greeting: String,
    /// Numbers at the top (desk, lead, auditor, administrator); empty for the others.
    pub figures: Vec<Figure>,
    /// What waits for them.
    pub waits: Vec<Waiting>,
    /// Heading of the list of requests: "You asked for", "Breaches next", "Lately done".
    pub list_title: String,
    /// What the times in it are: "Expected", "Next clock".
    pub list_due: &'static str,
    /// A link at the right of that heading: all requests, the queue, the history.
    pub list_link: Option<Link>,
    /// The requests in it.
    pub list: Vec<RequestRow>,
    /// What they may ask for; empty for those who only read.
    pub ask: Vec<Link>,
    /// Their team, the ones with something to tell first.
    pub team: Vec<TeamMember>,
    /// How many the team has in all.
    pub team_count: u32,
    /// Further places (administrator: adoption, settings, system; auditor: history).
    pub places: Vec<Link>,
    /// The tour; empty outside the demo or when put away.
    pub tour: Vec<TourStep>,
}

impl HomePage {
    fn waits_words(&self) -> String {
        match self.waits.len() {
            0 => "Nothing waits for you".to_owned(),
            1 => "1 thing waits for you".to_owned(),
            n => format!("{n} things wait for you"),
        }
    }
    fn tour_done(&self) -> usize {
        self.tour.iter().filter(|step| step.done).count()
    }
}
