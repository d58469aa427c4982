//! Small pieces that many pages use: badges, avatars, times, facts, pagers, empty states.

use askama::Template;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use chrono_tz::Tz;

/// The meaning of a state. Each has its colour **and** its shape, so that colour is never the only sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Done, well (green, disc).
    Ok,
    /// Waits for somebody, or ends soon (amber, square).
    Warn,
    /// Wrong, needs a person (red, triangle).
    Bad,
    /// Moving (blue, diamond).
    Info,
    /// Nothing to do (grey, ring).
    #[default]
    Quiet,
}

impl Tone {
    /// Its class in the stylesheet.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Info => "info",
            Self::Quiet => "quiet",
        }
    }
    /// The icon beside a sentence in that tone.
    pub fn icon(&self) -> &'static str {
        match self {
            Self::Ok => "circle-check",
            Self::Warn | Self::Bad => "triangle-alert",
            Self::Info | Self::Quiet => "info",
        }
    }
}

/// A state: a word with a shape and a colour. Take states of the domain from [`super::states`], so that they look the
/// same everywhere.
#[derive(Clone, Debug, Template)]
#[template(source = r#"<span class="badge {{ tone.class() }}">{{ word }}</span>"#, ext = "html")]
pub struct Badge {
    /// Colour and shape.
    pub tone: Tone,
    /// The word.
    pub word: String,
}
embeddable!(Badge);

impl Badge {
    /// A badge with this word.
    pub fn new(tone: Tone, word: impl Into<String>) -> Self {
        Self { tone, word: word.into() }
    }
    /// Done, well.
    pub fn ok(word: impl Into<String>) -> Self {
        Self::new(Tone::Ok, word)
    }
    /// Waits for somebody.
    pub fn warn(word: impl Into<String>) -> Self {
        Self::new(Tone::Warn, word)
    }
    /// Wrong.
    pub fn bad(word: impl Into<String>) -> Self {
        Self::new(Tone::Bad, word)
    }
    /// Moving.
    pub fn info(word: impl Into<String>) -> Self {
        Self::new(Tone::Info, word)
    }
    /// At rest.
    pub fn quiet(word: impl Into<String>) -> Self {
        Self::new(Tone::Quiet, word)
    }
}

/// One or two letters that stand for a name: first letter of the first and of the last word, upper case; the first
/// letter alone for a single word; "?" for none. Punctuation (`#lead`, `(ext)`) is passed over.
pub fn initials(name: &str) -> String {
    let mut firsts = name.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphanumeric()));
    let Some(first) = firsts.next() else { return "?".to_owned() };
    let mut letters: String = first.to_uppercase().take(1).collect();
    letters.extend(firsts.next_back().into_iter().flat_map(|c| c.to_uppercase().take(1)));
    letters
}

/// A person's initials in a disc; decorative, the name always stands beside it.
#[derive(Clone, Debug, Template)]
#[template(
    source = r#"<span class="avatar{% if large %} large{% endif %}" aria-hidden="true">{{ initials }}</span>"#,
    ext = "html"
)]
pub struct Avatar {
    /// One or two letters.
    pub initials: String,
    /// The size beside a page's heading.
    pub large: bool,
}
embeddable!(Avatar);

impl Avatar {
    /// The disc for that name.
    pub fn of(name: &str) -> Self {
        Self { initials: initials(name), large: false }
    }
    /// The large disc for that name.
    pub fn large(name: &str) -> Self {
        Self { initials: initials(name), large: true }
    }
}

/// A point in time or a day: short words to read, the exact time with its zone on hover and for screen readers.
#[derive(Clone, Debug, Template)]
#[template(
    source = r#"<time datetime="{{ iso }}"{% if exact != relative %} title="{{ exact }}"{% endif %}>{{ relative }}{% if exact != relative %}<span class="vh"> ({{ exact }})</span>{% endif %}</time>"#,
    ext = "html"
)]
pub struct When {
    /// Short: "5 min ago", "11:20", "30 November".
    pub relative: String,
    /// Exact, with zone: "Monday 23 November 2026, 11:20:31 CET".
    pub exact: String,
    /// RFC 3339 instant or ISO 8601 day.
    pub iso: String,
}
embeddable!(When);

impl When {
    fn made(at: DateTime<Utc>, zone: Tz, relative: String) -> Self {
        let local = at.with_timezone(&zone);
        let exact = local.format("%A %-d %B %Y, %H:%M:%S %Z").to_string();
        Self { relative, exact, iso: at.format("%Y-%m-%dT%H:%M:%SZ").to_string() }
    }

    /// Relative to now: "just now", "5 min ago", "in 3 h", "yesterday", "9 Nov", "9 Nov 2025".
    pub fn at(at: DateTime<Utc>, now: DateTime<Utc>, zone: Tz) -> Self {
        let minutes = (now - at).num_minutes();
        let (amount, past) = (minutes.abs(), minutes >= 0);
        let said = |text: String| if past { format!("{text} ago") } else { format!("in {text}") };
        let days = (now.with_timezone(&zone).date_naive() - at.with_timezone(&zone).date_naive()).num_days();
        let relative = match (amount, days) {
            (0, _) if past => "just now".to_owned(),
            (0, _) => "in a moment".to_owned(),
            (1..60, _) => said(format!("{amount} min")),
            (_, 0) => said(format!("{} h", amount / 60)),
            (_, 1) => "yesterday".to_owned(),
            (_, -1) => "tomorrow".to_owned(),
            _ => short_day(at.with_timezone(&zone).date_naive(), now.with_timezone(&zone).date_naive()),
        };
        Self::made(at, zone, relative)
    }

    /// As a clock would say it, for timelines: "14:02:16" today, "yesterday 11:20", "9 Nov 11:20" before.
    pub fn clock(at: DateTime<Utc>, now: DateTime<Utc>, zone: Tz) -> Self {
        let (local, today) = (at.with_timezone(&zone), now.with_timezone(&zone).date_naive());
        let relative = match (today - local.date_naive()).num_days() {
            0 => local.format("%H:%M:%S").to_string(),
            1 => local.format("yesterday %H:%M").to_string(),
            -1 => local.format("tomorrow %H:%M").to_string(),
            _ => format!("{} {}", short_day(local.date_naive(), today), local.format("%H:%M")),
        };
        Self::made(at, zone, relative)
    }

    /// A calendar day without a time: "30 Nov", with the weekday and year on hover.
    pub fn day(day: NaiveDate, today: NaiveDate) -> Self {
        let relative = match (day - today).num_days() {
            0 => "today".to_owned(),
            1 => "tomorrow".to_owned(),
            -1 => "yesterday".to_owned(),
            _ => short_day(day, today),
        };
        Self { relative, exact: long_day(day), iso: day.format("%Y-%m-%d").to_string() }
    }

    /// A calendar day written out: "Monday 30 November 2026".
    pub fn long_day(day: NaiveDate) -> Self {
        Self { relative: long_day(day), exact: long_day(day), iso: day.format("%Y-%m-%d").to_string() }
    }
}

/// A number with its thousands set off: "1,204,118".
pub fn thousands(number: &u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

/// A number as far as it was counted: "12", or "1,000+" where there are more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// What is shown.
    pub number: u64,
    /// There are more than that.
    pub more: bool,
}

impl Count {
    /// What was counted up to one beyond `most`.
    pub fn up_to(found: i64, most: i64) -> Self {
        Self { number: u64::try_from(found.min(most)).unwrap_or(0), more: found > most }
    }
}

impl From<u64> for Count {
    fn from(number: u64) -> Self {
        Self { number, more: false }
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", thousands(&self.number), if self.more { "+" } else { "" })
    }
}

/// "9 Nov" in the current year, otherwise "9 Nov 2025".
pub fn short_day(day: NaiveDate, today: NaiveDate) -> String {
    let format = if day.year() == today.year() { "%-d %b" } else { "%-d %b %Y" };
    day.format(format).to_string()
}

/// "Monday 30 November 2026".
pub fn long_day(day: NaiveDate) -> String {
    day.format("%A %-d %B %Y").to_string()
}

/// Words with an address.
#[derive(Clone, Debug, Template)]
#[template(source = r#"<a href="{{ href }}">{{ label }}</a>"#, ext = "html")]
pub struct Link {
    /// What it says.
    pub label: String,
    /// Where it leads: an address of ours, never text from outside.
    pub href: String,
}
embeddable!(Link);

impl Link {
    /// Words with an address.
    pub fn new(label: impl Into<String>, href: impl Into<String>) -> Self {
        Self { label: label.into(), href: href.into() }
    }
}

/// One element of the path above a heading; the last one has no address.
#[derive(Clone, Debug)]
pub struct Crumb {
    /// Its word.
    pub label: String,
    /// Its address.
    pub href: Option<String>,
}

impl Crumb {
    /// A crumb with an address.
    pub fn to(label: impl Into<String>, href: impl Into<String>) -> Self {
        Self { label: label.into(), href: Some(href.into()) }
    }
    /// The last crumb.
    pub fn here(label: impl Into<String>) -> Self {
        Self { label: label.into(), href: None }
    }
}

/// A person as lists and sentences show them.
#[derive(Clone, Debug, Template)]
#[template(
    source = r#"{% if let Some(href) = href %}<a class="person" href="{{ href }}">{{ name }}</a>{% else %}<span class="person">{{ name }}</span>{% endif %}"#,
    ext = "html"
)]
pub struct Person {
    /// Display name.
    pub name: String,
    /// Their page, when the viewer may see it.
    pub href: Option<String>,
}
embeddable!(Person);

impl Person {
    /// With a page.
    pub fn to(name: impl Into<String>, href: impl Into<String>) -> Self {
        Self { name: name.into(), href: Some(href.into()) }
    }
    /// Without one.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), href: None }
    }
    /// Their disc.
    pub fn avatar(&self) -> Avatar {
        Avatar::of(&self.name)
    }
}

/// One line of a definition list.
#[derive(Clone, Debug)]
pub struct Fact {
    /// What: "Contract".
    pub term: String,
    /// The value; several stand below each other.
    pub values: Vec<String>,
    /// Monospace, for values of systems (names, numbers, addresses).
    pub code: bool,
    /// An address behind the (first) value.
    pub href: Option<String>,
    /// A state behind the (last) value.
    pub badge: Option<Badge>,
}

impl Fact {
    /// Plain words.
    pub fn new(term: impl Into<String>, value: impl Into<String>) -> Self {
        Self { term: term.into(), values: vec![value.into()], code: false, href: None, badge: None }
    }
    /// A value of a system, in monospace.
    pub fn code(term: impl Into<String>, value: impl Into<String>) -> Self {
        Self { code: true, ..Self::new(term, value) }
    }
    /// With an address.
    #[must_use]
    pub fn href(self, href: impl Into<String>) -> Self {
        Self { href: Some(href.into()), ..self }
    }
    /// A further line of the value.
    #[must_use]
    pub fn also(mut self, value: impl Into<String>) -> Self {
        self.values.push(value.into());
        self
    }
    /// With a state.
    #[must_use]
    pub fn badge(self, badge: Badge) -> Self {
        Self { badge: Some(badge), ..self }
    }
    /// A state alone.
    pub fn state(term: impl Into<String>, badge: Badge) -> Self {
        Self { term: term.into(), values: Vec::new(), code: false, href: None, badge: Some(badge) }
    }
}

/// A definition list.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "components/facts.html")]
pub struct Facts(pub Vec<Fact>);
embeddable!(Facts);

impl Facts {
    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a list says when it has nothing: why that is, and what one could do.
#[derive(Clone, Debug, Template)]
#[template(path = "components/empty.html")]
pub struct Empty {
    /// "Nothing waits for you".
    pub title: String,
    /// One sentence more; may be empty.
    pub text: String,
    /// A next step.
    pub link: Option<Link>,
}
embeddable!(Empty);

impl Empty {
    /// Title and sentence.
    pub fn new(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { title: title.into(), text: text.into(), link: None }
    }
    /// With a next step.
    #[must_use]
    pub fn link(self, label: impl Into<String>, href: impl Into<String>) -> Self {
        Self { link: Some(Link::new(label, href)), ..self }
    }
}

/// Links to the neighbouring pages of a list that is read by key, not by number.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "components/pager.html")]
pub struct Pager {
    /// Address of the page towards newer (or first) entries.
    pub newer: Option<String>,
    /// Address of the page towards older (or later) entries.
    pub older: Option<String>,
    /// What is seen: "1 to 50 of 238", "50 entries".
    pub seen: String,
    /// Words for `newer`, when it is not time that orders the list ("Previous").
    pub newer_label: String,
    /// Words for `older` ("Next").
    pub older_label: String,
    /// The whole list, by the same filter, as a file.
    pub csv: Option<String>,
}
embeddable!(Pager);

impl Pager {
    /// For lists ordered by time, newest first.
    pub fn by_time(newer: Option<String>, older: Option<String>, seen: impl Into<String>) -> Self {
        Self { newer, older, seen: seen.into(), newer_label: "Newer".into(), older_label: "Older".into(), csv: None }
    }
    /// For lists in any other order.
    pub fn by_order(previous: Option<String>, next: Option<String>, seen: impl Into<String>) -> Self {
        let (newer_label, older_label) = ("Previous".into(), "Next".into());
        Self { newer: previous, older: next, seen: seen.into(), newer_label, older_label, csv: None }
    }
    /// Whether there is more than this page, or anything to say.
    pub fn shown(&self) -> bool {
        self.newer.is_some() || self.older.is_some() || !self.seen.is_empty() || self.csv.is_some()
    }
}

/// How much of something is used, as a bar. The words beside it say the same; the bar is decorative.
#[derive(Clone, Copy, Debug, Template)]
#[template(
    source = r#"<svg class="meter {{ tone.class() }}" aria-hidden="true" focusable="false"><rect class="track" width="100%" height="6" rx="3"/><rect class="used" width="{{ percent }}%" height="6" rx="3"/></svg>"#,
    ext = "html"
)]
pub struct Meter {
    /// 0 to 100.
    pub percent: u8,
    /// Its colour.
    pub tone: Tone,
}
embeddable!(Meter);

impl Meter {
    /// A bar of that length, at most 100.
    pub fn new(percent: u8, tone: Tone) -> Self {
        Self { percent: percent.min(100), tone }
    }
}
