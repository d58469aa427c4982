//! Samples: sign-in, home, requests, approvals.

use super::company::*;
use super::{HOSTILE, LONG, Sample, page};
use crate::web::view::approval::*;
use crate::web::view::forms::{Choice, FormErrors};
use crate::web::view::home::*;
use crate::web::view::lists::*;
use crate::web::view::request::*;
use crate::web::view::shell::{Flash, Problem};
use crate::web::view::signin::*;
use crate::web::view::*;

pub(super) fn all() -> Vec<Sample> {
    [signin(), home(), request(), approval(), lists()].concat()
}

pub(super) fn errors_for(list: &[(&str, &str)]) -> FormErrors {
    let mut errors = FormErrors::default();
    for (field, message) in list {
        errors.add(*field, message);
    }
    errors
}

fn signin() -> Vec<Sample> {
    let person =
        |user: &str, name: &str, role: &str| DemoPerson { user: text(user), name: text(name), role: text(role) };
    let people = vec![
        person("manager", "Maria Keller", "Manager, Finance · asks"),
        person("desk", "Amira Said", "Service desk · decides and executes"),
        person("lead", "Lena Sørensen", "Desk lead · watches the clocks"),
        person("owner", "Jonas Berg", "Owner of Finance groups · decides"),
        person("auditor", "Helen Okafor", "Auditor · sees and proves"),
        person("admin", "Ruth Tanaka", "Administrator · sets the rules"),
    ];
    let sign_in = |errors, user: &str, people: &[DemoPerson]| SignInPage {
        shell: nobody().page("Sign in", Nav::None),
        errors,
        user: text(user),
        next: text("/requests/482"),
        people: people.to_vec(),
        demo_password: text("Tenure-demo-2026"),
    };
    let wrong =
        errors_for(&[("user", "This name and password do not go together. Check both; nothing else was tried")]);
    vec![
        page("signin-full", &sign_in(FormErrors::default(), "", &people)),
        page("signin-plain", &sign_in(FormErrors::default(), "", &[])),
        page("signin-error", &sign_in(wrong, HOSTILE, &people)),
    ]
}

fn waits() -> Vec<Waiting> {
    vec![
        Waiting {
            badge: Badge::warn("decide"),
            title: text("Name change: Anna Vogel → Anna Vogel-Brandt"),
            detail: text("6 changes · effective Tuesday · asked yesterday"),
            actions: vec![Link::new("Review", "/requests/479/items/1/decision")],
        },
        Waiting {
            badge: Badge::info("answer"),
            title: text("Contractor Luis Ortega ends on 4 December"),
            detail: text("extend, or let the account end by itself"),
            actions: vec![Link::new("Extend", "/x"), Link::new("Let it end", "/y")],
        },
    ]
}

fn home_of(shell: Shell, greeting: &str) -> HomePage {
    HomePage {
        shell: shell.page("Home", Nav::Home),
        greeting: text(greeting),
        figures: Vec::new(),
        waits: Vec::new(),
        list_title: text("You asked for"),
        list_due: "Expected",
        list_link: Some(Link::new("All requests", "/requests")),
        list: Vec::new(),
        ask: Vec::new(),
        team: Vec::new(),
        team_count: 0,
        places: Vec::new(),
        tour: Vec::new(),
    }
}

fn ask() -> Vec<Link> {
    vec![
        Link::new("Someone joins", "/requests/new/joiner"),
        Link::new("Someone leaves", "/requests/new/leaver"),
        Link::new("Access for my team", "/requests/new/access"),
    ]
}

fn home() -> Vec<Sample> {
    let member = |name: &str, badge| TeamMember { person: Person::to(name, "/people/1"), badge };
    let step = |title: &str, done| TourStep {
        title: text(title),
        text: text("As Maria, with one SOX group, starting Monday."),
        link: Some(Link::new("Do it", "/requests/new/joiner")),
        done,
    };
    let manager_home = HomePage {
        waits: waits(),
        list: requests(),
        ask: ask(),
        team: vec![
            member("Peter Wolf", Some(states::account("locked"))),
            member("Anna Vogel", None),
            member("Nguyễn Thị Lan", Some(Badge::info("joins Mon"))),
            member("Luis Ortega", Some(Badge::warn("ends 4 Dec"))),
        ],
        team_count: 9,
        tour: vec![
            step("Ask for a new colleague", true),
            step("Approve item 1 as the desk", false),
            step("Watch it happen", false),
        ],
        ..home_of(manager(), "Good afternoon, Maria")
    };
    let desk_home = HomePage {
        figures: figures(),
        waits: waits(),
        list_title: text("Breaches next"),
        list_due: "Next clock",
        list: requests(),
        ask: ask(),
        ..home_of(desk(), "Good afternoon, Amira")
    };
    let mut long = home_of(manager(), &format!("Good afternoon, {LONG}"));
    long.waits = vec![Waiting { title: text(LONG), detail: text(HOSTILE), ..waits().remove(0) }];
    long.shell.viewer = long.shell.viewer.map(|viewer| Viewer { name: text(LONG), ..viewer });
    long.shell.flash = vec![
        Flash { link: Some((text("Look at it"), text("/requests/482"))), ..Flash::ok("REQ-000482 was submitted.") },
        Flash::bad("The comment was not saved: the request was closed meanwhile."),
    ];
    long.shell.problem = Some(Problem {
        what: text("Active Directory does not answer since 14:02"),
        meaning: text("Requests are kept and carried out when it is back."),
        link: Some((text("System"), text("/system"))),
    });
    let admin_home = HomePage {
        figures: figures(),
        places: vec![Link::new("6 accounts without a person", "/adoption"), Link::new("System", "/system")],
        ..home_of(admin(), "Good afternoon, Ruth")
    };
    let read_only = HomePage {
        figures: figures(),
        list: requests(),
        list_title: text("Lately done"),
        places: vec![Link::new("Change history", "/history")],
        ..home_of(auditor(), "Good afternoon, Helen")
    };
    let empty = home_of(manager(), "Good morning, Maria");
    vec![
        page("home-manager", &manager_home),
        page("home-desk", &desk_home),
        page("home-long", &long),
        page("home-admin", &admin_home),
        page("home-auditor", &read_only),
        page("home-empty", &empty),
    ]
}

fn request_of(shell: Shell) -> RequestPage {
    let notice = Notice {
        tone: Tone::Info,
        lead: text("The start password of Nguyễn Thị Lan is ready."),
        text: text("It can be seen once, by you."),
        action: Some(Link::new("Reveal…", "/secrets/1")),
    };
    RequestPage {
        shell: shell.page("REQ-000482", Nav::Requests),
        number: text("REQ-000482"),
        id: text("482"),
        crumbs: vec![Crumb::to("Requests", "/requests"), Crumb::here("REQ-000482")],
        title: text("New joiner: Nguyễn Thị Lan"),
        summary: text("Accountant, Finance, Hamburg · starts Monday 30 November · asked for by Maria Keller"),
        restricted: false,
        moving: Moving {
            state: Some(states::request_progress("applying", 2, 5)),
            notices: vec![notice],
            stages: stages(),
            clocks: clocks(),
            plan: plan(),
        },
        details: Facts(vec![
            Fact::new("Category", "Lifecycle / Joiner"),
            Fact::state("Priority", states::priority(2)),
            Fact::new("Assignee", "Amira Said"),
            Fact::new("Contract", "Employee"),
            Fact::code("Number", "10518"),
        ]),
        timeline: timeline(),
        buttons: vec![Link::new("Change answers", "/requests/482/answers")],
        more: vec![
            MenuAction::link("Comment", "#comment"),
            MenuAction::post("Plan again", "/requests/482/replan"),
            MenuAction::link("Cancel the request…", "/requests/482/cancellation").danger(),
        ],
        assign: Some(AssignForm {
            action: text("/requests/482/assignment"),
            agents: vec![Choice::new("", "Unassigned"), Choice::new("1", "Amira Said").chosen_if("1")],
        }),
        may_comment: true,
        comment: String::new(),
        errors: FormErrors::default(),
        finished: false,
        version: 1,
    }
}

fn request() -> Vec<Sample> {
    let mut wrong = request_of(manager());
    wrong.errors = errors_for(&[("comment", "Write something, or leave the comment out")]);
    let mut long = request_of(desk());
    long.title = text(LONG);
    long.summary = text(HOSTILE);
    long.restricted = true;
    long.comment = text(HOSTILE);
    let mut empty = request_of(desk());
    (empty.moving, empty.timeline, empty.details) = (Moving::default(), Timeline::default(), Facts::default());
    let mut read_only = request_of(auditor());
    (read_only.buttons, read_only.more, read_only.assign) = (Vec::new(), Vec::new(), None);
    (read_only.may_comment, read_only.finished) = (false, true);
    read_only.moving.notices.clear();
    vec![
        page("request-full", &request_of(desk())),
        page("request-error", &wrong),
        page("request-long", &long),
        page("request-empty", &empty),
        page("request-read-only", &read_only),
    ]
}

pub(super) fn live() -> RequestLiveFragment {
    let RequestPage { timeline, moving, .. } = request_of(desk());
    RequestLiveFragment { timeline, moving: Moving { plan: PlanView { replaces: true, ..plan() }, ..moving } }
}

#[test]
fn the_live_answer_carries_all_that_moves() {
    use askama::Template;
    let html = live();
    let html = html.render().unwrap();
    for id in ["request-state", "notices", "stages", "clocks", "plan"] {
        assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
    }
    assert_eq!(html.matches("hx-swap-oob=\"true\"").count(), 5);
}

fn approval() -> Vec<Sample> {
    let form = DecisionForm {
        action: text("/requests/479/items/1/decision"),
        digest: "41d0".repeat(16),
        digest_short: text("41d0…77bc"),
        what: text("these 6 changes"),
        comment: String::new(),
        until: text("Tuesday"),
        on_behalf: String::new(),
    };
    let made = |form: Option<DecisionForm>, errors, changed_since, closed: &str| ApprovalPage {
        shell: manager().page("Decide: REQ-000479", Nav::Approvals),
        crumbs: vec![
            Crumb::to("Approvals", "/approvals"),
            Crumb::to("REQ-000479", "/requests/479"),
            Crumb::here("Item 1"),
        ],
        title: text("Name change: Anna Vogel → Anna Vogel-Brandt"),
        summary: text("asked for by Anna Vogel · effective Tuesday 1 December, 08:00 Hamburg"),
        role: text("You decide as Anna’s manager."),
        why: text("Policy asks a manager for every name change, then the service desk."),
        changed_since,
        errors,
        plan: changed(),
        form,
        closed: text(closed),
        details: Facts(vec![Fact::new("Reason", "Marriage"), Fact::state("Risk", states::risk("low"))]),
        stages: stages(),
        others: text("2 other items of this request are decided by others."),
    };
    let typed = DecisionForm { comment: text(HOSTILE), on_behalf: text("Jonas Berg"), ..form.clone() };
    let wrong = errors_for(&[("comment", "Say why you reject it, in a sentence")]);
    vec![
        page("approval-full", &made(Some(form), FormErrors::default(), false, "")),
        page("approval-error", &made(Some(typed.clone()), wrong, false, "")),
        page("approval-stale", &made(Some(typed), FormErrors::default(), true, "")),
        page(
            "approval-read-only",
            &made(
                None,
                FormErrors::default(),
                false,
                "You cannot decide about your own access. It was given to the desk lead.",
            ),
        ),
    ]
}

fn lists() -> Vec<Sample> {
    let list = |rows| RequestsPage {
        shell: manager().page("Requests", Nav::Requests),
        summary: text("12 open"),
        tabs: tabs(),
        rows,
        pager: Pager::by_time(Some(text("?after=x")), Some(text("?before=x")), "50 of 238"),
        empty: Empty::new("Nothing here", "Requests about you and your team appear here.")
            .link("Ask for something", "/requests/new"),
        may_ask: true,
        states: vec![Choice::new("", "Every state"), Choice::new("done", "Done")],
        query: text(HOSTILE),
    };
    let approval = |title: &str, sox| ApprovalRow {
        number: text("REQ-000482 · item 2"),
        href: text("/requests/482/items/2/decision"),
        title: text(title),
        item: text("Finance – Ledger (read)"),
        sox,
        role: text("as owner, for Jonas Berg (away until 4 Dec)"),
        size: text("1 change in 1 system"),
        asked_by: text("Maria Keller"),
        when: ago(16_000),
        state: Badge::warn("decide"),
    };
    let approvals = |rows| ApprovalsPage {
        shell: manager().page("Approvals", Nav::Approvals),
        tabs: vec![
            Tab::new("Waiting", Some(2), "?view=waiting", true),
            Tab::new("Decided", None, "?view=decided", false),
        ],
        rows,
        waiting: true,
        pager: Pager::default(),
        empty: Empty::new("All decided", "You are told by mail when somebody needs your decision."),
        standing_in: Some(Link::new("You stand in for Jonas Berg until 4 December", "/me")),
    };
    vec![
        page("requests-full", &list(requests())),
        page("requests-empty", &list(Vec::new())),
        page("approvals-full", &approvals(vec![approval("New joiner: Nguyễn Thị Lan", true), approval(LONG, false)])),
        page("approvals-empty", &approvals(Vec::new())),
    ]
}
