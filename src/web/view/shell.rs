//! What surrounds every page: head, navigation, search, the viewer's menu, messages, the banner when something is down.

use super::parts::{Count, Tone};

/// The surroundings of a page. Made once per request by the web layer; `title` and `active` are set by the page.
#[derive(Clone, Debug, Default)]
pub struct Shell {
    /// The page's name, shown in the browser tab before "· Tenure".
    pub title: String,
    /// Who looks; none on the sign-in page and on error pages without a session.
    pub viewer: Option<Viewer>,
    /// The anti-forgery token of the session, put into every form as the hidden field `csrf`.
    pub csrf: String,
    /// Messages about what just happened, shown once.
    pub flash: Vec<Flash>,
    /// The entry of the navigation that this page belongs to.
    pub active: Nav,
    /// The demo's configuration: a quiet line says so on every page.
    pub demo: bool,
    /// Something that everybody should know now: the directory does not answer, the worker stands still.
    pub problem: Option<Problem>,
    /// The company's name as configured.
    pub company: String,
    /// What the search box holds: the current query on the search page, otherwise empty.
    pub search: String,
}

impl Shell {
    /// The same surroundings with this title and this active entry of the navigation.
    #[must_use]
    pub fn page(mut self, title: impl Into<String>, active: Nav) -> Self {
        self.title = title.into();
        self.active = active;
        self
    }
    /// Whether that entry is the active one.
    pub fn is_active(&self, nav: &Nav) -> bool {
        self.active == *nav
    }
}

/// The signed-in person as the header shows them.
#[derive(Clone, Debug, Default)]
pub struct Viewer {
    /// Display name.
    pub name: String,
    /// One or two letters ([`super::parts::initials`]).
    pub initials: String,
    /// Their most telling role in words: "Service desk", "Auditor · read only".
    pub role_label: String,
    /// What they may use, in the order shown ([`Nav::items`]).
    pub nav: Vec<NavItem>,
    /// May ask for things: shows "New request" in the header on wide pages and keyboard `C`.
    pub may_ask: bool,
}

/// One entry of the navigation.
#[derive(Clone, Debug)]
pub struct NavItem {
    /// Which entry.
    pub nav: Nav,
    /// How many things wait there for the viewer; zero is not shown.
    pub waiting: Count,
}

impl NavItem {
    /// An entry without a number.
    pub fn new(nav: Nav) -> Self {
        Self { nav, waiting: Count::default() }
    }
    /// An entry with the number of things that wait there.
    pub fn waiting(nav: Nav, waiting: impl Into<Count>) -> Self {
        Self { nav, waiting: waiting.into() }
    }
}

/// The places the navigation knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nav {
    /// No entry is active (sign-in, errors, the viewer's own page).
    #[default]
    None,
    /// `/`
    Home,
    /// `/queue`
    Queue,
    /// `/requests`
    Requests,
    /// `/approvals`
    Approvals,
    /// `/team`
    Team,
    /// `/people`
    People,
    /// `/catalogue`
    Catalogue,
    /// `/history`
    History,
    /// `/evidence`
    Evidence,
    /// `/adoption`
    Adoption,
    /// `/settings`
    Settings,
    /// `/outbox`
    Outbox,
    /// `/system`
    System,
}

impl Nav {
    /// The word in the navigation.
    pub fn label(&self) -> &'static str {
        match self {
            Self::None => "",
            Self::Home => "Home",
            Self::Queue => "Queue",
            Self::Requests => "Requests",
            Self::Approvals => "Approvals",
            Self::Team => "My team",
            Self::People => "People",
            Self::Catalogue => "Catalogue",
            Self::History => "History",
            Self::Evidence => "Evidence",
            Self::Adoption => "Adoption",
            Self::Settings => "Settings",
            Self::Outbox => "Mail",
            Self::System => "System",
        }
    }
    /// Its address.
    pub fn href(&self) -> &'static str {
        match self {
            Self::None | Self::Home => "/",
            Self::Queue => "/queue",
            Self::Requests => "/requests",
            Self::Approvals => "/approvals",
            Self::Team => "/team",
            Self::People => "/people",
            Self::Catalogue => "/catalogue",
            Self::History => "/history",
            Self::Evidence => "/evidence",
            Self::Adoption => "/adoption",
            Self::Settings => "/settings",
            Self::Outbox => "/outbox",
            Self::System => "/system",
        }
    }
    /// These entries, without numbers: `Nav::items(&[Nav::Home, Nav::Requests])`.
    pub fn items(navs: &[Self]) -> Vec<NavItem> {
        navs.iter().copied().map(NavItem::new).collect()
    }
}

/// A message about what just happened, shown at the top of the next page.
#[derive(Clone, Debug)]
pub struct Flash {
    /// How it went.
    pub tone: Tone,
    /// The sentence.
    pub text: String,
    /// Where to look closer, as (words, address).
    pub link: Option<(String, String)>,
}

impl Flash {
    /// It went well.
    pub fn ok(text: impl Into<String>) -> Self {
        Self { tone: Tone::Ok, text: text.into(), link: None }
    }
    /// It did not.
    pub fn bad(text: impl Into<String>) -> Self {
        Self { tone: Tone::Bad, text: text.into(), link: None }
    }
}

/// Something that is the matter with the system now, told on every page while it lasts.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What: "Active Directory does not answer since 14:02".
    pub what: String,
    /// What it means for the reader: "Requests are kept and carried out when it is back."
    pub meaning: String,
    /// Where to look closer, as (words, address), for those who may.
    pub link: Option<(String, String)>,
}
