//! Samples: asking for something.

use super::company::*;
use super::{HOSTILE, LONG, Sample, page};
use crate::web::view::draft::*;
use crate::web::view::forms::{Choice, FormErrors, PickerOption, PickerOptions};
use crate::web::view::*;

fn frame(step: u32) -> DraftFrame {
    DraftFrame {
        action: text("/drafts/1/work"),
        kind_words: text("Joiner"),
        step,
        steps: 4,
        back: (step > 1).then(|| text("/drafts/1/who")),
        nonce: text("nonce"),
        so_far: Facts(vec![
            Fact::new("Name", "Nguyễn Thị Lan"),
            Fact::new("Contract", "Employee"),
            Fact::code("Sign-in", "tlnguyen").badge(Badge::ok("free")),
            Fact::code("Mail", "lan.nguyen@example.com"),
        ]),
        comes_with: ["All Hamburg", "Finance staff", "VPN users"].map(str::to_owned).to_vec(),
        comes_note: text("From department and site; you need not ask for these."),
        notes: Vec::new(),
        from_check: false,
    }
}

fn problems(list: &[(&str, &str)]) -> FormErrors {
    let mut errors = FormErrors::default();
    for (field, message) in list {
        errors.add(*field, message);
    }
    errors
}

fn team() -> Vec<PickerOption> {
    vec![
        PickerOption::person("Maria Keller", "mkeller", "Head of Finance, Hamburg"),
        PickerOption {
            badge: Some(Badge::warn("leaves 30 Nov")),
            ..PickerOption::person("Peter Wolf", "pwolf", "Accountant, Hamburg")
        },
    ]
}

fn entitlement(id: &str, name: &str) -> EntitlementChoice {
    EntitlementChoice {
        id: text(id),
        name: text(name),
        description: text("Read the general ledger"),
        decides: text("Jonas Berg decides, because it is SOX"),
        sox: true,
        risk: Some(states::risk("high")),
        ..EntitlementChoice::default()
    }
}

fn chooser(query: &str, chosen: bool) -> Chooser {
    Chooser {
        name: text("groups"),
        label: text("Groups"),
        error: None,
        source: text("/catalogue/options?name=groups"),
        query: text(query),
        chosen: if chosen {
            vec![EntitlementChoice { chosen: true, ..entitlement("a", "Finance – Ledger (read)") }]
        } else {
            Vec::new()
        },
        found: if query.is_empty() {
            vec![
                entitlement("b", "Finance – Ledger (post)"),
                EntitlementChoice {
                    sox: false,
                    risk: None,
                    decides: text("Nobody has to decide"),
                    ..entitlement("c", "Share Quarter-End")
                },
                EntitlementChoice {
                    not_because: text("Comes with the department already"),
                    ..entitlement("d", "Finance staff")
                },
                EntitlementChoice {
                    warning: text("Goes ill with Ledger (read): one person should not hold both"),
                    ..entitlement("e", LONG)
                },
            ]
        } else {
            Vec::new()
        },
        found_title: if query.is_empty() { text("Often chosen in Finance") } else { text("0 found") },
    }
}

pub(super) fn picker(query: &str) -> PickerOptions {
    PickerOptions { options: team(), query: text(query) }
}

pub(super) fn found(query: &str) -> ChooserResults {
    let found = vec![entitlement("a", "Finance – Ledger (read)"), entitlement("f", "Finance – Ledger (close)")];
    ChooserResults { name: text("groups"), found, title: text("2 found"), query: text(query) }
}

pub(super) fn all() -> Vec<Sample> {
    [new_request(), joiner(), joiner_access(), leaver(), access(), help(), check()].concat()
}

fn new_request() -> Vec<Sample> {
    let kind = |icon, title: &str, words: &str, kind: &str| KindCard {
        icon,
        title: text(title),
        text: text(words),
        href: format!("/requests/new/{kind}"),
    };
    let made = |groups, drafts| NewRequestPage { shell: manager().page("New request", Nav::Requests), groups, drafts };
    let groups = vec![
        (
            text("People"),
            vec![
                kind("user-plus", "Someone joins", "An account, basic access, and what they need beyond it", "joiner"),
                kind("user-minus", "Someone leaves", "On their last day, or at once", "leaver"),
            ],
        ),
        (
            text("Access"),
            vec![kind(
                "users",
                "Access for somebody",
                "Join or leave groups, several at once, until a day if you like",
                "access",
            )],
        ),
        (
            text("Help with an account"),
            vec![
                kind("key-round", "Reset a password", "A new start password, shown once", "reset"),
                kind("lock-open", "Unlock an account", "After too many wrong passwords", "unlock"),
            ],
        ),
    ];
    let draft = DraftRow {
        title: format!("Joiner: {LONG}"),
        href: text("/drafts/1/work"),
        saved: ago(4_000),
        discard: text("/drafts/1/discard"),
    };
    vec![page("new-full", &made(groups, vec![draft])), page("new-nothing", &made(Vec::new(), Vec::new()))]
}

fn joiner() -> Vec<Sample> {
    let types = || {
        vec![
            Choice::new("employee", "Employee").hint("With us, for now without an end").chosen_if("employee"),
            Choice::new("contractor", "Contractor").hint("From a supplier, with a last day"),
        ]
    };
    let who = |errors: FormErrors, name: &str, note: Option<PolicyNote>| JoinerWhoPage {
        shell: manager().page("Who joins?", Nav::Requests),
        frame: DraftFrame {
            so_far: Facts::default(),
            comes_with: Vec::new(),
            notes: note.into_iter().collect(),
            ..frame(1)
        },
        errors,
        given_name: text(name),
        family_name: text("Nguyễn"),
        types: types(),
        employee_number: text("10518"),
    };
    let twin = PolicyNote {
        tone: Tone::Warn,
        text: text("There is a person called Lan Nguyen in Sales, Hamburg. Somebody else?"),
        link: Some((text("Look"), text("/people/7"))),
    };
    let departments =
        || ["Finance", "Sales", "Engineering"].map(|name| Choice::new(name, name).chosen_if("Finance")).to_vec();
    let work = |errors: FormErrors, start: [&str; 3]| JoinerWorkPage {
        shell: manager().page("What will they do?", Nav::Requests),
        frame: frame(2),
        errors,
        departments: departments(),
        title: text("Accountant"),
        sites: vec![Choice::new("hamburg", "Hamburg"), Choice::new("porto", "Porto")],
        manager: text("Maria Keller (mkeller)"),
        manager_hint: text("Filled in from your team"),
        manager_suggestions: team(),
        start_on: start.map(str::to_owned),
        end_on: Default::default(),
        end_required: false,
        example_day: text("30 11 2026"),
    };
    let many = [
        ("given_name", "Enter the given names, as in the contract"),
        ("family_name", "Use at most 100 characters"),
        ("type", "Choose employee or contractor"),
        ("employee_number", "10518 belongs to Peter Wolf"),
        ("", "Somebody else changed this draft meanwhile; this is what stands now"),
    ];
    vec![
        page("joiner-who", &who(FormErrors::default(), "Thị Lan", Some(twin))),
        page("joiner-who-error", &who(problems(&many), HOSTILE, None)),
        page("joiner-work", &work(FormErrors::default(), ["30", "11", "2026"])),
        page(
            "joiner-work-error",
            &work(
                problems(&[
                    ("start_on", "Enter a start date that is today or later"),
                    ("manager", "Choose one person: two are called Maria Keller"),
                ]),
                ["3", "11", "2026"],
            ),
        ),
    ]
}

fn joiner_access() -> Vec<Sample> {
    let access = |query: &str, chosen| JoinerAccessPage {
        shell: manager().page("What else do they need?", Nav::Requests),
        frame: frame(3),
        errors: FormErrors::default(),
        chooser: chooser(query, chosen),
        reason: text("Month-end closing"),
    };
    vec![page("joiner-access", &access("", true)), page("joiner-access-none", &access(HOSTILE, false))]
}

fn one(kind: &str) -> DraftFrame {
    DraftFrame { kind_words: text(kind), so_far: Facts::default(), comes_with: Vec::new(), ..frame(0) }
}

fn leaver() -> Vec<Sample> {
    let leaver = |errors: FormErrors, may_be_immediate| LeaverPage {
        mail: Vec::new(),
        shell: manager().page("Someone leaves", Nav::Requests),
        frame: DraftFrame {
            notes: vec![PolicyNote {
                tone: Tone::Info,
                text: text("Peter owns 2 groups; you are asked who takes them over."),
                link: None,
            }],
            ..one("Leaver")
        },
        errors,
        person: text("Peter Wolf (pwolf)"),
        suggestions: team(),
        when: text("planned"),
        may_be_immediate,
        last_day: ["30", "11", "2026"].map(str::to_owned),
        reason: String::new(),
    };
    vec![
        page("leaver", &leaver(FormErrors::default(), true)),
        page(
            "leaver-error",
            &leaver(
                problems(&[
                    ("person", "Peter Wolf leaves on 30 November already: REQ-000401"),
                    ("last_day", "Enter a day that exists"),
                ]),
                false,
            ),
        ),
    ]
}

fn access() -> Vec<Sample> {
    let access = |errors: FormErrors, held: Vec<Choice>| AccessPage {
        shell: manager().page("Access for somebody", Nav::Requests),
        frame: one("Access"),
        errors,
        person: text("Peter Wolf (pwolf)"),
        suggestions: team(),
        chooser: Chooser { name: text("join"), label: text("Join"), ..chooser("", true) },
        held,
        limited: text("yes"),
        until: ["15", "12", "2026"].map(str::to_owned),
        reason: text(HOSTILE),
    };
    let held = vec![
        Choice::new("x", "Share Quarter-End").hint("since 1 March 2022"),
        Choice {
            disabled: true,
            ..Choice::new("y", "All Hamburg").hint("Comes by rule; it ends when the site changes")
        },
    ];
    vec![
        page("access", &access(FormErrors::default(), held)),
        page(
            "access-error",
            &access(
                problems(&[
                    ("person", "Choose a person"),
                    ("until", "Enter a day after today"),
                    ("reason", "Say what it is for"),
                ]),
                Vec::new(),
            ),
        ),
    ]
}

fn help() -> Vec<Sample> {
    let help = |reset, errors| AccountHelpPage {
        shell: desk().page("Help with an account", Nav::Requests),
        frame: one(if reset { "Password reset" } else { "Unlock" }),
        errors,
        reset,
        person: text("Peter Wolf (pwolf)"),
        suggestions: team(),
        verified: if reset {
            vec![
                Choice::new("seen", "In person, with a badge"),
                Choice::new("called", "Called back on the number from HR"),
            ]
        } else {
            Vec::new()
        },
        reason: String::new(),
    };
    vec![
        page("reset", &help(true, FormErrors::default())),
        page("reset-error", &help(true, problems(&[("verified", "Say how you made sure that it is them")]))),
        page("unlock", &help(false, FormErrors::default())),
    ]
}

fn check() -> Vec<Sample> {
    let answers = || {
        vec![
            AnswerGroup {
                title: text("Who they are"),
                facts: frame(1).so_far,
                change: Some(text("/drafts/1/who?check=1")),
            },
            AnswerGroup {
                title: text("What they will do"),
                facts: Facts(vec![
                    Fact::new("Department", "Finance"),
                    Fact::new("First day", "Monday 30 November 2026"),
                    Fact::new("Title", LONG),
                ]),
                change: Some(text("/drafts/1/work?check=1")),
            },
        ]
    };
    let made = |errors, blocked: &str, plan| CheckPage {
        shell: manager().page("Check your answers", Nav::Requests),
        frame: DraftFrame { action: text("/requests"), ..frame(4) },
        errors,
        title: text("New joiner: Nguyễn Thị Lan"),
        draft: text("1"),
        answers: answers(),
        plan,
        digests: vec!["9f2c".repeat(16), "c07b".repeat(16)],
        stages: stages(),
        blocked: text(blocked),
    };
    vec![
        page("check", &made(FormErrors::default(), "", plan())),
        page(
            "check-error",
            &made(
                problems(&[(
                    "",
                    "The sign-in name tlnguyen was taken a moment ago. The plan below uses tlnguyen2; please look again",
                )]),
                "",
                changed(),
            ),
        ),
        page(
            "check-blocked",
            &made(
                FormErrors::default(),
                "Peter Wolf leaves on 30 November; nothing new can be given to him.",
                PlanView::new(Vec::new()),
            ),
        ),
    ]
}
