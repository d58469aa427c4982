//! The forms of settings, as tables: which fields a body has, what each asks, and in which shape it is typed.
//!
//! A field's name is its path in the body (`letters.done.subject`, `stages.0.role`); [`super::fill`] carries values
//! between the two.

use super::super::view::forms::Choice;
use crate::catalog::proposals::{Kind, Subject};
use crate::catalog::{LETTERS, PRIORITIES, VARIABLES};
use crate::plan::RequestKind;
use crate::target::SystemKey;

/// How a value is typed.
#[derive(Clone, Debug)]
pub enum Shape {
    Line,
    /// A line in monospace.
    Code,
    Long,
    /// A list of texts, one on a line.
    Lines,
    /// Texts by key: `key: value`, one on a line.
    Pairs,
    Number,
    /// Yes or no.
    Flag,
    /// One of these; the value is JSON, the empty one leaves the field out.
    One(Vec<Choice>),
    /// Any of these words; a list.
    Any(Vec<Choice>),
    /// Entries of the catalogue by name, one on a line; a list of ids.
    Entitlements,
    /// A person, by name; an id.
    Person,
    /// `09:00`
    Time,
    /// Days, one on a line; a list.
    Days,
}

/// One field.
#[derive(Clone, Debug)]
pub struct Spec {
    pub path: String,
    pub label: String,
    pub hint: String,
    pub shape: Shape,
    pub optional: bool,
}

/// Fields under a heading.
#[derive(Clone, Debug)]
pub struct Section {
    pub title: String,
    pub text: String,
    pub fields: Vec<Spec>,
    /// Fields stand side by side.
    pub beside: bool,
    /// What could be named in its fields, and what is known of each.
    pub offered: Vec<(String, String)>,
}

fn field(path: impl Into<String>, label: impl Into<String>, shape: Shape) -> Spec {
    Spec { path: path.into(), label: label.into(), hint: String::new(), shape, optional: false }
}

impl Spec {
    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
    fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

fn section(title: impl Into<String>, text: impl Into<String>, fields: Vec<Spec>) -> Section {
    Section { title: title.into(), text: text.into(), fields, beside: false, offered: Vec::new() }
}

fn beside(title: impl Into<String>, text: impl Into<String>, fields: Vec<Spec>) -> Section {
    Section { beside: true, ..section(title, text, fields) }
}

/// The path of the list of rules that a subject's body is; None where it is no list.
pub fn list(subject: &Subject) -> Option<&'static str> {
    match subject {
        Subject::Rules(Kind::Routes) => Some("routes"),
        Subject::Rules(Kind::Birthright | Kind::Separation) => Some("rules"),
        _ => None,
    }
}

/// The form of a subject that is no list of rules.
pub fn form(subject: &Subject) -> Vec<Section> {
    match subject {
        Subject::Rules(Kind::Naming) => naming(),
        Subject::Rules(Kind::ServiceLevels) => service_levels(),
        Subject::Rules(Kind::Retention) => vec![section(
            "How long",
            "Counted from the last day of the last employment. Erasing is proposed and approved for each person.",
            vec![field("years", "Years", Shape::Number)],
        )],
        Subject::Rules(Kind::Mail) => mail(),
        Subject::Rules(Kind::Routes | Kind::Birthright | Kind::Separation) => Vec::new(),
        Subject::Entitlement(_) => entry(),
        Subject::Site(_) => site(),
        Subject::System(key) => system(key),
    }
}

fn system(key: &SystemKey) -> Vec<Section> {
    let writing = section(
        "Writing",
        "Observe only: Tenure plans, compares and reports; steps of this system wait and nothing is written to it. The configuration can say so too, and then counts.",
        vec![field("observe_only", "Observe only", Shape::Flag)],
    );
    if key.family() != "ad" {
        return vec![writing];
    }
    let units = section(
        UNITS,
        "Where Tenure works. The rest of the directory is read and never written: requests for accounts and groups there are refused, and no rule links an account there.",
        vec![
            field("units_in_scope", "Units in scope", Shape::Lines)
                .hint("One name on a line, such as OU=Staff,DC=corp,DC=example,DC=com; what lies below is part of it. Left empty: everything below the base.")
                .optional(),
            field("units_excluded", "Units excluded", Shape::Lines)
                .hint("Units below these that are left alone, one on a line.")
                .optional(),
        ],
    );
    vec![writing, units]
}

/// The section in which units are named.
pub const UNITS: &str = "Organisational units";

/// The form of one rule of a list; paths are relative to the rule.
pub fn rule(subject: &Subject, places: &Places) -> Vec<Section> {
    match subject {
        Subject::Rules(Kind::Birthright) => birthright(places),
        Subject::Rules(Kind::Separation) => separation(),
        _ => route(),
    }
}

/// Names that rules may speak of.
#[derive(Clone, Debug, Default)]
pub struct Places {
    pub departments: Vec<String>,
    /// Codes.
    pub sites: Vec<String>,
}

fn word(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A choice whose value is that word as JSON.
fn choice(value: &str, label: &str) -> Choice {
    Choice::new(word(value), label)
}

fn any(label: &str) -> Choice {
    Choice::new("", label)
}

fn yes_no(neither: &str) -> Shape {
    Shape::One(vec![any(neither), Choice::new("true", "yes"), Choice::new("false", "no")])
}

fn naming() -> Vec<Section> {
    let templates =
        "One template on a line; the first free name counts. The last needs {{ n }}, which is 2, 3, … as far as 99.";
    vec![
        section(
            "Names",
            "Templates may use given, family, display, kind, site, department, number and n, with the filters ascii, lower, slug, letters, first(n), last_word and initials.",
            vec![
                field("user_name", "User name", Shape::Lines).hint(templates),
                field("display_name", "Display name", Shape::Code),
                field("cn", "Name in the directory", Shape::Lines).hint(templates),
                field("address", "Before the @", Shape::Lines).hint(templates),
            ],
        ),
        beside(
            "Domains",
            "",
            vec![
                field("upn_domain", "Domain of sign-in names", Shape::Code),
                field("mail_domain", "Domain of mail addresses", Shape::Code),
            ],
        ),
        section(
            "Places",
            "",
            vec![
                field("parent", "Where accounts are made", Shape::Pairs)
                    .hint("The site, a colon, the organisational unit; * for every other site. One on a line."),
                field("quarantine_ou", "Where accounts of people who left are kept", Shape::Code),
            ],
        ),
    ]
}

/// What a kind of request is called in the service levels and routes.
pub fn kind_words(kind: &str) -> String {
    let mut words = kind.replace('_', " ");
    if let Some(first) = words.get(..1) {
        let first = first.to_uppercase();
        words.replace_range(..1, &first);
    }
    words
}

/// The kinds of request as routes and service levels know them.
pub fn route_kinds() -> Vec<&'static str> {
    let asked = RequestKind::ASKABLE.iter().map(|kind| kind.as_str());
    let mut kinds: Vec<&'static str> = asked.chain(["leaver_immediate", "mailbox_change_sensitive"]).collect();
    kinds.sort_unstable();
    kinds
}

fn level(path: &str, title: &str, text: &str, optional: bool) -> Section {
    let fields =
        [("priority", "Priority, 1 to 4"), ("respond_minutes", "Respond within"), ("resolve_minutes", "Done within")];
    let mut fields: Vec<Spec> = fields
        .map(|(name, label)| {
            let spec = field(format!("{path}.{name}"), label, Shape::Number);
            if optional { spec.optional() } else { spec }
        })
        .into();
    fields.push(counts(path));
    beside(title, text, fields)
}

/// Whether nights and holidays count.
fn counts(path: &str) -> Spec {
    let shape = Shape::One(vec![any("in working time"), Choice::new("true", "around the clock")]);
    field(format!("{path}.around_the_clock"), "Counted", shape)
}

/// How soon, where the desk has set another priority than the kind's own.
fn by_priority(word: &str) -> Section {
    let path = format!("priorities.{word}");
    let fields = vec![
        field(format!("{path}.respond_minutes"), "Respond within", Shape::Number),
        field(format!("{path}.resolve_minutes"), "Done within", Shape::Number),
        counts(&path),
    ];
    beside(format!("Priority set by hand: {word}"), "", fields)
}

fn service_levels() -> Vec<Section> {
    let mut sections = vec![level(
        "default",
        "Unless said otherwise",
        "In minutes, by the calendar of the site where the person works. A kind that is left empty below has these.",
        false,
    )];
    sections.extend(route_kinds().iter().map(|kind| level(&format!("kinds.{kind}"), &kind_words(kind), "", true)));
    sections.extend(PRIORITIES.map(|(_, word)| by_priority(word)));
    sections.push(beside(
        "Decisions that do not come",
        "Counted from when somebody was asked: hours in their own working time, days by the calendar.",
        vec![
            field("patience.remind_hours", "Remind every, hours", Shape::Number),
            field("patience.escalate_hours", "Ask above after, hours", Shape::Number),
            field("patience.lapse_days", "Lapse after, days", Shape::Number),
        ],
    ));
    sections
}

fn mail() -> Vec<Section> {
    let text = format!(
        "What is empty is as it comes with Tenure; the facts stand in every mail. Templates may use {}.",
        VARIABLES.map(|name| format!("{{{{ {name} }}}}")).join(", ")
    );
    let mut sections: Vec<Section> = LETTERS
        .iter()
        .map(|(name, title)| {
            let of = |part: &str| format!("letters.{name}.{part}");
            let fields = vec![
                field(of("subject"), "Subject, behind the request’s number", Shape::Line).optional(),
                field(of("opening"), "Above the facts", Shape::Long).optional(),
                field(of("closing"), "Below the facts", Shape::Long).optional(),
            ];
            section(format!("“{title}”"), "", fields)
        })
        .collect();
    sections.insert(0, section("Below every mail", text, vec![field("footer", "Whom to ask", Shape::Long).optional()]));
    sections
}

fn entry() -> Vec<Section> {
    let risks = [("low", "low"), ("normal", "normal"), ("high", "high")].map(|(value, label)| choice(value, label));
    vec![section(
        "Entry",
        "",
        vec![
            field("name", "Name", Shape::Line),
            field("description", "What it gives", Shape::Long).optional(),
            field("owner", "Owner", Shape::Person).hint("Decides who gets it.").optional(),
            field("risk", "Risk", Shape::One(risks.into()))
                .hint("How much harm a wrong holder could do; chooses the route."),
            field("sox", "In scope of SOX", Shape::Flag)
                .hint("Its owner always decides, and who decides does not execute by hand."),
            field("requestable", "Can be asked for", Shape::Flag).hint("Else it is given by rules only."),
        ],
    )]
}

fn site() -> Vec<Section> {
    let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let days = days.iter().zip(names).map(|(day, name)| Choice::new(*day, name)).collect();
    vec![
        section(
            "Site",
            "",
            vec![
                field("name", "Name", Shape::Line),
                field("zone", "Time zone", Shape::Code)
                    .hint("An IANA name, such as Europe/Berlin. Local days begin here."),
                field("country", "Country", Shape::Code).hint("Two letters, such as DE.").optional(),
            ],
        ),
        section("Working days", "", vec![field("calendar.working_days", "Days", Shape::Any(days))]),
        beside(
            "Hours",
            "",
            vec![
                field("calendar.opens", "From", Shape::Time),
                field("calendar.closes", "To", Shape::Time),
                field("calendar.pause.0", "Break from", Shape::Time).optional(),
                field("calendar.pause.1", "Break to", Shape::Time).optional(),
            ],
        ),
        section(
            "Holidays",
            "",
            vec![field("calendar.holidays", "Days", Shape::Days).hint("Such as 2026-12-25, one on a line.").optional()],
        ),
    ]
}

fn birthright(places: &Places) -> Vec<Section> {
    let of = |names: &[String], all: &str| {
        let mut choices = vec![any(all)];
        choices.extend(names.iter().map(|name| choice(name, name)));
        Shape::One(choices)
    };
    let contracts = [("employee", "Employee"), ("contractor", "Contractor"), ("intern", "Intern")];
    let contracts = std::iter::once(any("every contract")).chain(contracts.map(|(value, label)| choice(value, label)));
    vec![
        section(
            "Rule",
            "",
            vec![field("name", "Name", Shape::Line).hint("Shown wherever it gives something: “location”.")],
        ),
        beside(
            "Whom it is for",
            "Everybody who fits all of these.",
            vec![
                field("when.department", "Department", of(&places.departments, "every department")),
                field("when.site", "Site", of(&places.sites, "every site")),
                field("when.type", "Contract", Shape::One(contracts.collect())),
            ],
        ),
        section(
            "What it gives",
            "",
            vec![
                field("entitlements", "Entries of the catalogue", Shape::Entitlements).hint("By name, one on a line."),
            ],
        ),
    ]
}

fn separation() -> Vec<Section> {
    let then = vec![choice("refuse", "it cannot be asked for"), choice("ask_security", "security decides as well")];
    let by_name = "By name, one on a line. Whoever holds one of these holds none of the other side.";
    vec![
        section(
            "Rule",
            "",
            vec![
                field("name", "Name", Shape::Line).hint("Such as “enter and release payments”."),
                field("reason", "What somebody could do who held both", Shape::Line)
                    .hint("Read by whoever is refused or asked: “One person could pay without a second pair of eyes.”"),
            ],
        ),
        section(
            "What is kept apart",
            "",
            vec![
                field("one", "One side", Shape::Entitlements).hint(by_name),
                field("other", "The other side", Shape::Entitlements).hint("By name, one on a line."),
            ],
        ),
        section(
            "Where somebody would hold both",
            "What rules of birthright bring together by themselves always goes to security: nobody who asks could mend it.",
            vec![field("then", "Then", Shape::One(then))],
        ),
    ]
}

/// How many stages the form of a route offers.
pub const STAGES: usize = 4;

fn route() -> Vec<Section> {
    let kinds = route_kinds().into_iter().map(|kind| Choice::new(kind, kind_words(kind))).collect();
    let risks = ["low", "normal", "high"].map(|risk| Choice::new(risk, risk)).into();
    let about =
        vec![any("account and entitlements"), choice("account", "the account"), choice("entitlement", "entitlements")];
    let mut sections = vec![
        section("Route", "", vec![field("name", "Name", Shape::Line)]),
        section(
            "What it is for",
            "The first route that fits counts. What is left open fits everything.",
            vec![
                field("kinds", "Kinds of request", Shape::Any(kinds)).optional(),
                field("about", "About", Shape::One(about)),
                field("sox", "In scope of SOX", yes_no("either")),
                field("risks", "Risk", Shape::Any(risks)).optional(),
                field("privileged", "The person decides here, holds a role or a SOX entitlement", yes_no("either")),
            ],
        ),
    ];
    sections.extend((0..STAGES).map(stage));
    sections
}

fn stage(at: usize) -> Section {
    let roles = [("manager", "Line manager"), ("owner", "Owner"), ("desk", "Service desk"), ("security", "Security")];
    let roles = std::iter::once(any("nobody further")).chain(roles.map(|(value, label)| choice(value, label)));
    let mut needed = vec![choice("one", "one of them"), choice("all", "all of them")];
    needed.extend((2..=5).map(|count| Choice::new(format!("{{\"count\":{count}}}"), format!("{count} of them"))));
    let of = |part: &str| format!("stages.{at}.{part}");
    section(
        format!("Stage {}", at + 1),
        "",
        vec![
            field(of("role"), "Who is asked", Shape::One(roles.collect())),
            field(of("needed"), "How many must agree", Shape::One(needed)),
            field(of("reason"), "Why policy asks them", Shape::Line).hint("They read it where they decide.").optional(),
            field(of("unless_asked_by_manager"), "Left out where the person’s own manager asks", Shape::Flag),
            field(of("unless_asked_by_owner"), "Left out where whoever owns it asks", Shape::Flag),
        ],
    )
}
