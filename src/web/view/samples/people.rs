//! Samples: persons, team, org chart, search, catalogue.

use super::company::*;
use super::{HOSTILE, LONG, Sample, page};
use crate::web::Fields;
use crate::web::view::catalogue::*;
use crate::web::view::erasure::*;
use crate::web::view::forms::Choice;
use crate::web::view::imports::*;
use crate::web::view::people::*;
use crate::web::view::person_form::*;
use crate::web::view::request::{MenuAction, Notice};
use crate::web::view::*;

pub(super) fn all() -> Vec<Sample> {
    [person(), lists(), org(), catalogue(), entitlement(), erasures(), imports(), by_hand()].concat()
}

fn accounts() -> Vec<AccountRow> {
    let account = |system: &str, name: &str, line: &str, state: &str| AccountRow {
        system: text(system),
        name: text(name),
        lines: vec![text(line)],
        state: states::account(state),
        facts: Facts(vec![
            Fact::code("Object", "6b1f2c9e-0000-4000-8000-000000000001"),
            Fact::code("Place", "CN=Peter Wolf,OU=Hamburg,OU=Staff,DC=corp,DC=example,DC=com"),
        ]),
    };
    vec![
        account(
            "Active Directory",
            "pwolf",
            "locked since 13:41 after 5 wrong passwords · password 62 of 90 days · last sign-in seen 20 November (may lag 14 days)",
            "locked",
        ),
        account("Active Directory", "adm-pwolf", "second account", "disabled"),
    ]
}

fn held() -> Vec<HeldRow> {
    let row = |name: &str, how: &str, since, until, reason, sox| HeldRow {
        name: text(name),
        href: Some(text("/catalogue/1")),
        sox,
        how: text(how),
        since,
        until,
        reason,
        parties: if sox { text("M. Keller / J. Berg") } else { String::new() },
        badge: None,
    };
    let rule = |words: &str| Link::new(words, "");
    vec![
        row(
            "Finance – Ledger (post)",
            "direct",
            Some(day(2023, 4, 3)),
            Some(day(2026, 12, 31)),
            Link::new("REQ-000112", "/requests/112"),
            true,
        ),
        row("All Hamburg", "birthright", Some(day(2022, 3, 1)), None, rule("rule “location”"), false),
        row("Share Quarter-End", "before Tenure", None, None, rule("found at adoption"), false),
        HeldRow {
            badge: Some(Badge::warn("ends tomorrow")),
            ..row(
                LONG,
                "direct",
                Some(day(2026, 11, 9)),
                Some(day(2026, 11, 24)),
                Link::new("REQ-000455", "/requests/455"),
                false,
            )
        },
    ]
}

fn person_of(shell: Shell) -> PersonPage {
    PersonPage {
        shell: shell.page("Peter Wolf", Nav::People),
        crumbs: vec![Crumb::to("People", "/people"), Crumb::here("Peter Wolf")],
        id: text("1"),
        name: text("Peter Wolf"),
        summary: text("Accountant, Finance, Hamburg · reports to Maria Keller · since 1 March 2022"),
        state: None,
        buttons: vec![
            Link::new("Unlock", "/requests/new/unlock?person=1"),
            Link::new("Reset password…", "/requests/new/reset?person=1"),
        ],
        changes: vec![
            MenuAction::link("Access", "/requests/new/access?person=1"),
            MenuAction::link("Leaves", "/requests/new/leaver?person=1").danger(),
        ],
        notices: Vec::new(),
        accounts: accounts(),
        seen: text("seen 2 s ago"),
        may_look: true,
        held: held(),
        held_summary: text("4 direct, 9 through nesting"),
        held_hidden: false,
        now: Timeline { entries: timeline().entries.into_iter().take(2).collect(), older: None },
        open: vec![OpenRequest {
            number: text("REQ-000474"),
            href: text("/requests/474"),
            title: text("Cannot open the finance share"),
            detail: text("waiting for Peter since yesterday"),
        }],
        facts: Facts(vec![
            Fact::code("Number", "10482"),
            Fact::new("Contract", "Employee"),
            Fact::new("Phone", "+49 40 555 0141"),
            Fact::new("Source", "HR import, 06:00"),
        ]),
        reports: vec![Person::to("Anna Vogel", "/people/3")],
        history: vec![PastChange {
            when: day(2026, 11, 9),
            link: Link::new("Name change, REQ-000455", "/requests/455"),
            plan: changed(),
        }],
    }
}

fn person() -> Vec<Sample> {
    let mut long = person_of(desk());
    long.name = text(LONG);
    long.summary = text(HOSTILE);
    long.state = Some(states::person("leaving"));
    long.notices = vec![Notice {
        tone: Tone::Warn,
        lead: text("Leaves on 30 November."),
        text: text(HOSTILE),
        action: Some(Link::new("REQ-000490", "/requests/490")),
    }];
    let mut empty = person_of(desk());
    (empty.accounts, empty.held, empty.open) = (Vec::new(), Vec::new(), Vec::new());
    (empty.now, empty.reports, empty.history) = (Timeline::default(), Vec::new(), Vec::new());
    empty.state = Some(states::person("future"));
    empty.seen.clear();
    let mut read_only = person_of(auditor());
    (read_only.buttons, read_only.changes, read_only.may_look) = (Vec::new(), Vec::new(), false);
    let mut hidden = person_of(manager());
    (hidden.held_hidden, hidden.held_summary) = (true, String::new());
    vec![
        page("person-full", &person_of(desk())),
        page("person-long", &long),
        page("person-empty", &empty),
        page("person-read-only", &read_only),
        page("person-hidden", &hidden),
    ]
}

fn groups() -> Vec<HitGroup> {
    let hit = |title: &str, badge| Hit {
        href: text("/people/1"),
        title: text(title),
        detail: text("Accountant, Finance, Hamburg"),
        badge,
    };
    vec![
        HitGroup {
            title: text("People"),
            hits: vec![hit("Peter Wolf", Some(states::account("locked"))), hit(HOSTILE, None)],
        },
        HitGroup { title: text("Requests"), hits: vec![hit(LONG, None)] },
    ]
}

pub(super) fn suggested(query: &str) -> SuggestFragment {
    SuggestFragment { query: text(query), groups: groups() }
}

fn lists() -> Vec<Sample> {
    let row = |name: &str, badge| PersonRow {
        person: Person::to(name, "/people/1"),
        user_name: text("pwolf"),
        title: text("Accountant"),
        department: text("Finance"),
        site: text("Hamburg"),
        manager: Some(Person::to("Maria Keller", "/people/2")),
        badge,
    };
    let people = |rows| PeoplePage {
        shell: desk().page("People", Nav::People),
        summary: text("60 people"),
        tabs: tabs(),
        query: String::new(),
        view: text("all"),
        rows,
        pager: Pager::by_order(Some(text("?before=x")), Some(text("?after=x")), "1 to 3 of 60"),
        empty: Empty::new("Nobody is called that", "Try a part of the name, a user name or a number."),
        places: vec![Link::new("Org chart", "/org"), Link::new("Adoption", "/adoption")],
    };
    let search = |query: &str, groups| SearchPage {
        shell: Shell { search: text(query), ..desk() }.page("Search", Nav::None),
        groups,
    };
    let member = |name: &str, badge, level| TeamRow {
        person: Person::to(name, "/people/1"),
        position: text("Accountant, Hamburg"),
        badge,
        open: text("1 open request"),
        held: Some(14),
        actions: vec![
            Link::new("Access", "/requests/new/access?person=1"),
            Link::new("Leaves", "/requests/new/leaver?person=1"),
        ],
        level,
    };
    let team = |rows| TeamPage {
        shell: manager().page("My team", Nav::Team),
        summary: text("9 people report to you, 23 in all"),
        tabs: Vec::new(),
        rows,
        may_ask: true,
        csv: text("/exports/team.csv"),
    };
    vec![
        page(
            "people-full",
            &people(vec![
                row("Peter Wolf", Some(states::account("locked"))),
                row("Nguyễn Thị Lan", Some(Badge::info("joins Mon"))),
                row(LONG, None),
            ]),
        ),
        page("people-empty", &people(Vec::new())),
        page("search-full", &search("wolf", groups())),
        page("search-none", &search(HOSTILE, Vec::new())),
        page("search-empty", &search("", Vec::new())),
        page(
            "team-full",
            &team(vec![
                member("Peter Wolf", Some(states::account("locked")), 0),
                member("Nguyễn Thị Lan", Some(Badge::info("joins Mon")), 1),
                member(LONG, None, 0),
            ]),
        ),
        page("team-empty", &team(Vec::new())),
    ]
}

fn org() -> Vec<Sample> {
    let node = |name: &str, reports: Vec<OrgNode>, open| OrgNode {
        person: Person::to(name, "/people/1"),
        position: text("Head of Finance, Hamburg"),
        badge: None,
        below: reports.len() as u32,
        reports,
        open,
    };
    let tree = node(
        "Eva Lind",
        vec![
            node("Maria Keller", vec![node("Peter Wolf", Vec::new(), false), node(LONG, Vec::new(), false)], true),
            node("Jonas Berg", vec![node("Tom Hartmann", Vec::new(), false)], false),
        ],
        true,
    );
    let made = |roots, loose| OrgPage {
        shell: desk().page("Org chart", Nav::People),
        summary: text("60 people, 7 departments"),
        roots,
        loose,
    };
    vec![
        page("org-full", &made(vec![tree], vec![Person::to("Luis Ortega", "/people/9"), Person::named(HOSTILE)])),
        page("org-empty", &made(Vec::new(), Vec::new())),
    ]
}

fn catalogue() -> Vec<Sample> {
    let row = |name: &str, owner, risk: &str, sox| EntitlementRow {
        name: text(name),
        href: text("/catalogue/1"),
        description: text("Read the general ledger"),
        kind: text("Active Directory · group"),
        owner,
        risk: states::risk(risk),
        sox,
        holders: Some(1_023),
        held: sox,
    };
    let list = |rows| CataloguePage {
        shell: manager().page("Catalogue", Nav::Catalogue),
        summary: text("84 entitlements, 12 of them SOX"),
        tabs: tabs(),
        query: String::new(),
        view: text("all"),
        risks: vec![Choice::new("", "Every risk"), Choice::new("high", "High")],
        rows,
        pager: Pager::by_order(None, Some(text("?after=x")), ""),
        empty: Empty::new("Nothing is called that", "Ask the service desk if something is missing."),
        places: vec![Link::new("Settings", "/settings")],
    };
    vec![
        page(
            "catalogue-full",
            &list(vec![
                row("Finance – Ledger (read)", Some(Person::to("Jonas Berg", "/people/4")), "high", true),
                row("Share Quarter-End", None, "low", false),
                row(LONG, Some(Person::named(HOSTILE)), "medium", false),
            ]),
        ),
        page("catalogue-empty", &list(Vec::new())),
    ]
}

fn entitlement() -> Vec<Sample> {
    let holder = |name: &str| HolderRow {
        person: Person::to(name, "/people/1"),
        how: text("direct"),
        since: Some(day(2023, 4, 3)),
        until: None,
        reason: Some(Link::new("REQ-000112", "/requests/112")),
    };
    let one = |holders, holders_shown, ask| EntitlementPage {
        shell: manager().page("Finance – Ledger (read)", Nav::Catalogue),
        crumbs: vec![Crumb::to("Catalogue", "/catalogue"), Crumb::here("Finance – Ledger (read)")],
        name: text("Finance – Ledger (read)"),
        description: text("Read the general ledger of all companies, for accountants and auditors."),
        sox: true,
        risk: states::risk("high"),
        facts: Facts(vec![
            Fact::new("Owner", "Jonas Berg").href("/people/4"),
            Fact::new("System", "Active Directory"),
            Fact::code("Group", "CN=FIN-Ledger-Read,OU=Groups,DC=corp,DC=example,DC=com"),
        ]),
        route: stages(),
        by_rule: vec![text("everybody in Internal Audit")],
        holders_shown,
        holders,
        holders_summary: text("23 people"),
        pager: Pager::default(),
        ask,
        settings: Some(Link::new("Change", "/settings/entitlement:1")),
    };
    vec![
        page(
            "entitlement-full",
            &one(
                vec![holder("Peter Wolf"), holder(LONG)],
                true,
                Some(Link::new("Ask for it", "/requests/new/access?group=1")),
            ),
        ),
        page("entitlement-empty", &one(Vec::new(), true, None)),
        page("entitlement-read-only", &one(Vec::new(), false, None)),
    ]
}

fn erasures() -> Vec<Sample> {
    let crumbs = || vec![Crumb::to("People", "/people"), Crumb::to("Erasures", "/erasures"), Crumb::here("Peter Wolf")];
    let consequences = || Consequences {
        removed: vec![text("Names, employee number, mail, phone"), text("Comments of the 4 requests about them")],
        stays: vec![text("Every evidence record, byte for byte"), text(LONG)],
    };
    let propose = |obstacles: Vec<String>, over, reason: &str, errors| ProposePage {
        shell: admin().page("Erase Peter Wolf", Nav::People),
        crumbs: crumbs(),
        name: text("Peter Wolf"),
        obstacles,
        retention_ends: text("Thursday 30 November 2033"),
        retention_over: over,
        consequences: consequences(),
        errors,
        action: text("/people/1/erasure"),
        basis: text("lawful_request"),
        reason: text(reason),
        back: text("/people/1"),
    };
    let mut wrong = FormErrors::default();
    wrong.add("reason", "Say who asks for it and on what ground");
    let row = |name: &str, state, note: &str| ErasureRow {
        person: Person::to(name, "/people/1"),
        href: text("/erasures/1"),
        basis: text("a lawful request"),
        proposed_by: text("the command line"),
        proposed: day(2026, 11, 20),
        state,
        note: text(note),
    };
    let list = |rows| ErasuresPage {
        shell: admin().page("Erasures", Nav::People),
        crumbs: vec![Crumb::to("People", "/people"), Crumb::here("Erasures")],
        summary: text("1 proposal to decide; nothing is erased by one person alone"),
        rows,
        empty: Empty::new("Nothing proposed", "An administrator proposes it on the page of somebody who has left."),
    };
    let decide = |name: &str, closed: &str| DecidePage {
        shell: admin().page("Erase Peter Wolf", Nav::People),
        crumbs: crumbs(),
        name: text(name),
        state: Badge::warn("waits for a decision"),
        summary: text("Proposed by Adam Kern because of a lawful request"),
        facts: Facts(vec![Fact::new("Reason", HOSTILE)]),
        consequences: consequences(),
        errors: FormErrors::default(),
        action: text("/erasures/1"),
        comment: String::new(),
        closed: text(closed),
    };
    vec![
        page("erasure-propose", &propose(Vec::new(), true, "", FormErrors::default())),
        page("erasure-propose-wrong", &propose(Vec::new(), false, HOSTILE, wrong)),
        page(
            "erasure-propose-not-yet",
            &propose(
                vec![text("REQ-000490 is open and has to do with them: it ends first.")],
                false,
                "",
                FormErrors::default(),
            ),
        ),
        page(
            "erasure-list",
            &list(vec![
                row(LONG, Badge::warn("waits for a decision"), ""),
                row(HOSTILE, Badge::bad("held back"), "They are still employed: ask for them to leave first."),
            ]),
        ),
        page("erasure-list-empty", &list(Vec::new())),
        page("erasure-decide", &decide("Peter Wolf", "")),
        page("erasure-decided", &decide(LONG, "It has been carried out.")),
    ]
}

fn imports() -> Vec<Sample> {
    let mut wrong = FormErrors::default();
    wrong.add("file", "Line 7: is not UTF-8; save it as “CSV UTF-8”");
    let start = |errors, begun| StartPage {
        shell: admin().page("Import people", Nav::People),
        crumbs: vec![Crumb::to("People", "/people"), Crumb::here("Import")],
        errors,
        pasted: text(HOSTILE),
        largest: text("8 MB"),
        required: vec!["Employee number", "Given name", "Family name"],
        optional: vec!["Last day", "Mail"],
        begun,
    };
    let begun = vec![BegunRow { name: text(LONG), href: text("/people/import/1"), when: day(2026, 11, 20) }];
    let headers = ["Number", "First name", HOSTILE, ""].map(text);
    let step = |mark, name: &str, changes| StepView { changes, ..StepView::new(mark, name, "line 2", "") };
    let changes = vec![
        ChangeView::new("Title", "", Some("Clerk"), Some("Head of books")),
        ChangeView::new("Last day", "", None, Some("2026-12-31")),
        ChangeView::new("Family name", "", Some(LONG), Some(HOSTILE)),
    ];
    let new =
        vec![ChangeView::new("Given name", "", None, Some("Nora")), ChangeView::new("Site", "", None, Some("Hamburg"))];
    let steps = vec![step(Mark::Added, "Nora Nordmann", new), step(Mark::Changed, HOSTILE, changes)];
    let file = |cells: Vec<CellRow>, button: &str| FilePage {
        shell: admin().page("hr.csv", Nav::People),
        crumbs: vec![Crumb::to("People", "/people"), Crumb::to("Import", "/people/import"), Crumb::here("hr.csv")],
        name: text("hr.csv"),
        summary: text("412 lines to read; kept for you until Monday"),
        figures: vec![
            (1, "new"),
            (1, "changed"),
            (410, "as they are"),
            (12, "not in the file, left alone"),
            (cells.len(), "to mend in the file"),
        ],
        errors: FormErrors::default(),
        columns: vec![
            column_field("employee_number", "Employee number", true, &headers, Some(0)),
            column_field("given_name", "Given name", true, &headers, Some(1)),
            column_field("mail", "Mail", false, &headers, None),
        ],
        columns_open: !cells.is_empty(),
        action: text("/people/import/1"),
        cells,
        cells_more: String::new(),
        tabs: tabs(),
        plan: PlanView {
            title: text("What would change"),
            items: vec![ItemView::bare(steps.clone())],
            ..PlanView::default()
        },
        pager: Pager::default(),
        effects: vec![text("Another last day: 1 person. Their accounts stay until a leaver’s request.")],
        button: text(button),
        closed: text("Mend 2 cells in the file and bring it again. All is imported or nothing."),
        digest: text("0"),
    };
    let cell = |line, column: &str, message: &str| CellRow { line, column: text(column), message: text(message) };
    let cells = vec![cell(3, "Start date", "“01.12.2026” is not a day such as 2026-11-30"), cell(4, LONG, HOSTILE)];
    vec![
        page("import-start", &start(FormErrors::default(), begun)),
        page("import-error", &start(wrong, Vec::new())),
        page("import-file", &file(Vec::new(), "Import 2 people")),
        page("import-cells", &file(cells, "")),
    ]
}

fn by_hand() -> Vec<Sample> {
    let mut wrong = FormErrors::default();
    wrong.add("given_name", "Given name is empty");
    wrong.add("last_day", "Enter a real day, such as 30 11 2026");
    let typed = [
        ("family_name", HOSTILE),
        ("title", LONG),
        ("site", "Hamburg"),
        ("last_day_day", "31"),
        ("last_day_month", "2"),
    ];
    let form = |errors, title: &str| PersonForm {
        shell: admin().page(title, Nav::People),
        crumbs: vec![Crumb::to("People", "/people"), Crumb::here(title)],
        title: text(title),
        summary: String::new(),
        errors,
        action: text("/people/1/edit"),
        fields: Fields(typed.map(|(name, value)| (text(name), text(value))).into()),
        sites: vec![Choice::new("Hamburg", "Hamburg")],
        departments: vec![text("Finance")],
        seen: text("0"),
        button: text("Save the change"),
        back: text("/people/1"),
        asks_person: true,
        effects: vec![text("Accounts are not touched: not by a name, not by a department, not by a last day.")],
        employments: vec![text("Accountant, Finance, Hamburg · since 1 March 2022")],
        another: Some(Link::new("They begin another employment …", "/people/1/employment")),
    };
    let role = |word, title, held: &str| RoleRow {
        word,
        title,
        explanation: "Asks for everybody, works on what needs a person, resets and unlocks.",
        held: text(held),
        badge: (!held.is_empty()).then(|| Badge::ok("has it")),
    };
    let roles = RolesPage {
        shell: admin().page("Roles of Peter Wolf", Nav::People),
        crumbs: vec![Crumb::to("People", "/people"), Crumb::to("Peter Wolf", "/people/1"), Crumb::here("Roles")],
        name: text("Peter Wolf"),
        summary: text("Accountant, Finance, Hamburg"),
        errors: FormErrors::default(),
        action: text("/people/1/roles"),
        rows: vec![role("desk", "Service desk", "given on Monday by Adam Kern"), role("auditor", "Auditor", "")],
        no_sign_in: true,
    };
    vec![
        page("person-form", &form(FormErrors::default(), "Change Peter Wolf")),
        page("person-form-error", &form(wrong, "Change Peter Wolf")),
        page("person-roles", &roles),
    ]
}
