//! The small company of the samples.

use chrono::{DateTime, NaiveDate, TimeZone, Utc};

use crate::web::view::home::Figure;
use crate::web::view::lists::{RequestRow, Tab};
use crate::web::view::*;

pub(super) fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 23, 13, 2, 31).unwrap()
}
pub(super) fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).unwrap()
}
pub(super) fn day(year: i32, month: u32, day: u32) -> When {
    When::day(NaiveDate::from_ymd_opt(year, month, day).unwrap(), today())
}
pub(super) fn ago(seconds: i64) -> When {
    When::at(now() - chrono::TimeDelta::seconds(seconds), now(), chrono_tz::Europe::Berlin)
}
pub(super) fn clock(seconds: i64) -> When {
    When::clock(now() - chrono::TimeDelta::seconds(seconds), now(), chrono_tz::Europe::Berlin)
}
pub(super) fn text(words: &str) -> String {
    words.to_owned()
}

fn shell(name: &str, role: &str, nav: Vec<NavItem>, may_ask: bool) -> Shell {
    Shell {
        viewer: Some(Viewer {
            name: text(name),
            initials: parts::initials(name),
            role_label: text(role),
            nav,
            may_ask,
        }),
        csrf: text("token"),
        demo: true,
        company: text("Example Corp"),
        ..Shell::default()
    }
}
pub(super) fn manager() -> Shell {
    let nav = vec![
        NavItem::new(Nav::Home),
        NavItem::new(Nav::Requests),
        NavItem::waiting(Nav::Approvals, 2),
        NavItem::new(Nav::Team),
        NavItem::new(Nav::Catalogue),
    ];
    shell("Maria Keller", "Manager", nav, true)
}
pub(super) fn desk() -> Shell {
    use Nav::{Approvals, Catalogue, Home, People, Queue, Requests};
    shell("Amira Said", "Service desk", Nav::items(&[Home, Queue, Requests, Approvals, People, Catalogue]), true)
}
pub(super) fn auditor() -> Shell {
    use Nav::{Adoption, Catalogue, Evidence, History, Home, People, Requests, Settings, System};
    shell(
        "Helen Okafor",
        "Auditor · read only",
        Nav::items(&[Home, Requests, People, Catalogue, History, Evidence, Adoption, Settings, System]),
        false,
    )
}
pub(super) fn admin() -> Shell {
    use Nav::{Adoption, Catalogue, Evidence, History, Home, People, Requests, Settings, System};
    let nav = Nav::items(&[Home, Requests, People, Catalogue, History, Evidence, Adoption, Settings, System]);
    shell("Ruth Tanaka", "Administrator", nav, false)
}
pub(super) fn nobody() -> Shell {
    Shell { csrf: text("token"), demo: true, company: text("Example Corp"), ..Shell::default() }
}

pub(super) fn requests() -> Vec<RequestRow> {
    let row = |number: &str, title: &str, detail: &str, state, expected| RequestRow {
        number: format!("REQ-000{number}"),
        href: format!("/requests/{number}"),
        title: text(title),
        detail: text(detail),
        state,
        expected,
        asked: Some(ago(15_000)),
        asked_by: text("Maria Keller"),
        restricted: number == "490",
    };
    vec![
        row("490", "Immediate leaver: Tom Hartmann", "sign-in ends first", states::request("needs_person"), None),
        row(
            "482",
            "New joiner: Nguyễn Thị Lan",
            "Finance, Hamburg",
            states::request_progress("applying", 2, 5),
            Some(day(2026, 11, 23)),
        ),
        row("479", "Ledger (read) for Anna Vogel", "", states::request("deciding"), Some(day(2026, 11, 24))),
        row(
            "455",
            "Quarter-End share for Peter Wolf, until 15 December",
            "",
            states::request("done"),
            Some(day(2026, 11, 9)),
        ),
        row("431", super::HOSTILE, super::LONG, states::request("rejected"), Some(day(2025, 12, 9))),
    ]
}

pub(super) fn tabs() -> Vec<Tab> {
    vec![
        Tab::new("All open", Some(38), "?view=open", true),
        Tab::new("Mine", Some(6), "?view=mine", false),
        Tab::new("Unassigned", Some(11), "?view=unassigned", false),
        Tab::new("At risk", Some(4), "?view=risk", false),
        Tab::new("Waiting for requester", Some(7), "?view=waiting", false),
        Tab::new("Needs a person", Some(2), "?view=stuck", false),
        Tab::new("All", None, "?view=all", false),
    ]
}

pub(super) fn figures() -> Vec<Figure> {
    let figure = |label: &str, value: &str, detail: &str, tone| Figure {
        label: text(label),
        value: text(value),
        detail: text(detail),
        href: Some(text("/queue?view=risk")),
        tone,
    };
    vec![
        figure("Open", "38", "11 unassigned", ""),
        figure("At risk", "4", "next in 6 min", "warn"),
        figure("Needs a person", "2", "the oldest since 11:20", "bad"),
        figure("Done today", "17", "median 1 h 12 min", "ok"),
    ]
}

fn account_step() -> StepView {
    StepView {
        badge: Some(states::step("applied")),
        changes: vec![
            ChangeView::new("placed in", "parent", None, Some("OU=Hamburg,OU=Staff")),
            ChangeView::new("sAMAccountName", "sAMAccountName", None, Some("tlnguyen")),
            ChangeView::new("sign-in name", "userPrincipalName", None, Some("lan.nguyen@example.com")),
            ChangeView::new("manager", "manager", None, Some("Maria Keller")),
            ChangeView::new("enabled", "userAccountControl", Some("no"), Some("yes, Monday 30 November 07:00")),
            ChangeView::new(
                "password",
                "unicodePwd",
                None,
                Some("•••••••• sealed for Maria Keller from the first day"),
            ),
        ],
        ..StepView::new(Mark::Added, "Nguyễn Thị Lan", "user", "Active Directory · corp.example.com")
    }
}

/// A joiner's plan: two items, with every mark and state somewhere in it.
pub(super) fn plan() -> PlanView {
    let basic = ItemView {
        ordinal: 1,
        label: text("Account and basic access"),
        note: text("approved by Ravi Menon, service desk, 11:20"),
        digest_short: text("9f2c…e1a7"),
        badge: Some(states::item("approved")),
        ..ItemView::bare(vec![
            account_step(),
            StepView {
                badge: Some(states::step("running")),
                why: text("rule “location”"),
                ..StepView::new(Mark::Added, "All Hamburg", "membership", "")
            },
            StepView {
                badge: Some(states::step("blocked")),
                why: text("rule “department”"),
                alarm: true,
                outcome_note: text(
                    "The directory refused it three times: the group is full (1,500 members). What was done before stays. A person must look.",
                ),
                actions: vec![
                    StepAction::post("Try again", "/requests/482/steps/3/retry"),
                    StepAction::ask("Leave it out…", "/requests/482/steps/3/skip"),
                ],
                ..StepView::new(Mark::Added, "Finance staff", "membership", "")
            },
            StepView {
                badge: Some(states::step("waiting")),
                when: text("Monday 30 November 07:00, Hamburg"),
                changes: vec![ChangeView::new("enabled", "userAccountControl", Some("no"), Some("yes"))],
                ..StepView::new(Mark::Changed, "Nguyễn Thị Lan", "user", "Active Directory · corp.example.com")
            },
        ])
    };
    let ledger = ItemView {
        ordinal: 2,
        label: text("Finance – Ledger (read)"),
        sox: true,
        note: text("its owner decides, the rest does not wait for it"),
        digest_short: text("c07b…13d9"),
        badge: Some(Badge::warn("waiting for owner")),
        action: Some(Link::new("Decide", "/requests/482/items/2/decision")),
        ..ItemView::bare(vec![StepView {
            badge: Some(Badge::quiet("after approval")),
            when: text("until 31 May 2027"),
            ..StepView::new(Mark::Added, "Finance – Ledger (read)", "membership", "")
        }])
    };
    PlanView { csrf: text("token"), id: text("plan"), ..PlanView::new(vec![basic, ledger]) }
}

/// A change of what is there, with removed values and hostile ones.
pub(super) fn changed() -> PlanView {
    let account = StepView {
        changes: vec![
            ChangeView::new("family name", "sn", Some("Vogel"), Some("Vogel-Brandt")),
            ChangeView::new("name in directory", "cn", Some("CN=Anna Vogel"), Some("CN=Anna Vogel-Brandt")),
            ChangeView::new(
                "sign-in name",
                "userPrincipalName",
                Some("anna.vogel@example.com"),
                Some("anna.vogel-brandt@example.com"),
            ),
            ChangeView::new("description", "description", Some(super::HOSTILE), None),
            ChangeView::new("comment", "info", None, Some(super::LONG)),
        ],
        ..StepView::new(Mark::Changed, "Anna Vogel", "user", "Active Directory")
    };
    let gone = StepView::new(Mark::Removed, "Share Quarter-End", "membership", "Active Directory");
    let kept = StepView::new(Mark::Kept, "All Hamburg", "membership", "Active Directory");
    PlanView {
        title: text("6 changes in 1 system"),
        aside: text("3 groups unchanged"),
        ..PlanView::new(vec![ItemView::bare(vec![account, gone, kept])])
    }
}

pub(super) fn stages() -> progress::Stages {
    progress::Stages(vec![
        Stage::new(StageMark::Approved, 1, "Service desk", &["Ravi Menon · 11:20"]),
        Stage {
            comment: text("Needed from the first day?"),
            ..Stage::new(
                StageMark::Asked,
                2,
                "Owner of Finance – Ledger",
                &["Jonas Berg, since 09:41", "asked because the entitlement is SOX", "reminder tomorrow"],
            )
        },
        Stage::new(StageMark::Later, 2, "Security", &["after the owner"]),
        Stage::new(StageMark::Refused, 3, "Owner of Board", &["Eva Lind · 10:02"]),
    ])
}

pub(super) fn timeline() -> Timeline {
    let evidence = |number: &str| Some(Link::new(format!("evidence {number}"), format!("/history/{number}")));
    let entries = vec![
        TimelineEntry {
            lines: vec![text("The directory asked to wait 12 s; next try at 14:02:43")],
            ..TimelineEntry::new(TimelineMark::moving(), "Joining", "Finance staff", clock(3))
        },
        TimelineEntry {
            lines: vec![text("14 attributes read back as planned · 0.21 s")],
            evidence: evidence("1,204,103"),
            ..TimelineEntry::new(
                TimelineMark::done(),
                "Account created",
                ", disabled until Monday, on dc1.corp.example.com",
                clock(16),
            )
        },
        TimelineEntry {
            comment: text("Please have it ready for Monday.\nShe starts at eight."),
            ..TimelineEntry::new(TimelineMark::Initials(text("MK")), "Maria Keller", "commented", clock(7_000))
        },
        TimelineEntry::new(TimelineMark::alarm(), "Needs a person", "the group is full", clock(8_000)),
        TimelineEntry::new(TimelineMark::waiting(), "Waiting", "for the owner of Finance – Ledger", clock(9_000)),
        TimelineEntry::new(TimelineMark::mail(), "Mail", "to Jonas Berg: please decide", clock(9_100)),
        TimelineEntry::new(
            TimelineMark::Initials(text("RM")),
            "Ravi Menon",
            "approved item 1 for the service desk",
            clock(9_700),
        ),
        TimelineEntry::new(TimelineMark::Initials(text("MK")), "Maria Keller", "asked for this", clock(90_000)),
    ];
    Timeline { entries, older: Some(text("/requests/482?all=1")) }
}

pub(super) fn clocks() -> progress::Clocks {
    progress::Clocks(vec![
        ClockView {
            name: text("First response"),
            words: String::new(),
            sub: vec![text("3 h 20 min of working time; 1 day 2 h in all")],
            badge: Some(Badge::ok("met in 1 h 39 min")),
            meter: None,
        },
        ClockView {
            name: text("Resolution"),
            words: text("5 h 12 min left"),
            sub: vec![
                text("by Tue 18:00"),
                text("20 min of working time; 20 min in all"),
                text("Working time of Hamburg"),
            ],
            badge: None,
            meter: Some(Meter::new(42, Tone::Ok)),
        },
    ])
}
