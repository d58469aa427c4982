//! How far something is: stages of a decision, the timeline, the clocks.

use askama::Template;

use super::parts::{Badge, Link, Meter, Tone, When};

/// Where a stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageMark {
    /// Enough have approved.
    Approved,
    /// Somebody is asked now.
    Asked,
    /// Its turn has not come.
    Later,
    /// Somebody said no, or sent it back.
    Refused,
    /// Policy asks nobody here.
    NotNeeded,
}

impl StageMark {
    /// Colour and shape.
    pub fn tone(&self) -> Tone {
        match self {
            Self::Approved => Tone::Ok,
            Self::Asked => Tone::Warn,
            Self::Later | Self::NotNeeded => Tone::Quiet,
            Self::Refused => Tone::Bad,
        }
    }
    /// The word for those who do not see the shape.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Asked => "waiting",
            Self::Later => "not yet asked",
            Self::Refused => "refused",
            Self::NotNeeded => "nobody is asked",
        }
    }
}

/// One stage of an item's route.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Where it stands.
    pub mark: StageMark,
    /// The item's number, shown before the name; 0 for none.
    pub item: u32,
    /// Who decides: "Service desk", "Owner of Finance – Ledger".
    pub name: String,
    /// Lines below: who decided when (for whom), who is asked since when, why policy asks, what happens next.
    pub lines: Vec<String>,
    /// What somebody wrote when deciding.
    pub comment: String,
}

impl Stage {
    /// A stage with lines.
    pub fn new(mark: StageMark, item: u32, name: impl Into<String>, lines: &[&str]) -> Self {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Self { mark, item, name: name.into(), lines, comment: String::new() }
    }
}

/// The stages of a request's items, as a list.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "components/stages.html")]
pub struct Stages(pub Vec<Stage>);
embeddable!(Stages);

/// The sign before an entry of the timeline.
#[derive(Clone, Debug)]
pub enum TimelineMark {
    /// A person did it: their initials.
    Initials(String),
    /// The system did it: an icon in a tone.
    Icon(&'static str, Tone),
}

impl TimelineMark {
    /// Applied, done.
    pub fn done() -> Self {
        Self::Icon("check", Tone::Ok)
    }
    /// Under way.
    pub fn moving() -> Self {
        Self::Icon("refresh-cw", Tone::Info)
    }
    /// Wrong.
    pub fn alarm() -> Self {
        Self::Icon("triangle-alert", Tone::Bad)
    }
    /// Waits.
    pub fn waiting() -> Self {
        Self::Icon("clock", Tone::Warn)
    }
    /// A mail.
    pub fn mail() -> Self {
        Self::Icon("mail", Tone::Quiet)
    }
    /// Anything else that the system noted.
    pub fn note() -> Self {
        Self::Icon("dot", Tone::Quiet)
    }
}

/// One entry of a timeline.
#[derive(Clone, Debug)]
pub struct TimelineEntry {
    /// The sign before it.
    pub mark: TimelineMark,
    /// Who or what, in bold: "Ravi Menon", "Account created".
    pub lead: String,
    /// The rest of the sentence: "approved item 1 for the service desk".
    pub rest: String,
    /// Lines below it: what was seen, how long it took.
    pub lines: Vec<String>,
    /// What a person wrote, quoted with its line breaks.
    pub comment: String,
    /// The evidence record behind it.
    pub evidence: Option<Link>,
    /// When.
    pub when: When,
}

impl TimelineEntry {
    /// An entry with nothing below it.
    pub fn new(mark: TimelineMark, lead: impl Into<String>, rest: impl Into<String>, when: When) -> Self {
        let (lead, rest) = (lead.into(), rest.into());
        Self { mark, lead, rest, lines: Vec::new(), comment: String::new(), evidence: None, when }
    }
    /// A blank between the two parts of the sentence, unless the second begins with punctuation.
    fn gap(&self) -> &'static str {
        if self.rest.starts_with([',', ':', ';', '.']) { "" } else { " " }
    }
}

/// What happened, newest first. Alone it is the answer of `/requests/{number}/timeline`.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "components/timeline.html")]
pub struct Timeline {
    /// Newest first.
    pub entries: Vec<TimelineEntry>,
    /// Further entries exist: their address.
    pub older: Option<String>,
}
embeddable!(Timeline);

/// A clock of a request: first response, resolution.
#[derive(Clone, Debug)]
pub struct ClockView {
    /// "Resolution".
    pub name: String,
    /// "5 h 12 min left", "paused", "met in 1 h 39 min".
    pub words: String,
    /// "by Tue 18:00", "3 h 20 min of working time; 1 day 2 h in all".
    pub sub: Vec<String>,
    /// A finished clock's state instead of a bar.
    pub badge: Option<Badge>,
    /// How much of the time is used; none when paused or finished.
    pub meter: Option<Meter>,
}

/// The clocks of a request.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "components/clocks.html")]
pub struct Clocks(pub Vec<ClockView>);
embeddable!(Clocks);
