//! Samples: queue, adoption, outbox, system.

use super::company::*;
use super::{HOSTILE, LONG, Sample, page};
use crate::web::view::adoption::*;
use crate::web::view::forms::{Choice, FormErrors};
use crate::web::view::operations::*;
use crate::web::view::queue::*;
use crate::web::view::settings::{ProposalRow, SettingVersion};
use crate::web::view::systems::*;
use crate::web::view::*;

pub(super) fn all() -> Vec<Sample> {
    [queue(), adoption(), operations(), targets()].concat()
}

fn queue_rows() -> Vec<QueueRow> {
    let row = |id: &str, title: &str, detail: &str, priority, state, assignee: &str, clock: &str, meter| QueueRow {
        id: text(id),
        number: format!("REQ-000{id}"),
        title: text(title),
        detail: text(detail),
        restricted: id == "490",
        priority: states::priority(priority),
        state,
        assignee: text(assignee),
        clock: text(clock),
        meter,
    };
    vec![
        row(
            "490",
            "Immediate leaver: Tom Hartmann",
            "7 steps · sign-in ends first",
            1,
            states::request_progress("applying", 4, 9),
            "Amira Said",
            "6 min",
            Some(Meter::new(92, Tone::Bad)),
        ),
        row(
            "485",
            "Account not created: refused three times",
            "retry planned 14:20",
            2,
            states::request("needs_person"),
            "",
            "1 h 05",
            Some(Meter::new(60, Tone::Warn)),
        ),
        row(
            "482",
            "New joiner: Nguyễn Thị Lan",
            "Finance, Hamburg · starts 30 November",
            2,
            states::request_progress("applying", 2, 5),
            "Amira Said",
            "5 h 12",
            Some(Meter::new(34, Tone::Ok)),
        ),
        row("479", HOSTILE, LONG, 3, states::request("deciding"), LONG, "1 d 2 h", Some(Meter::new(20, Tone::Ok))),
        row(
            "474",
            "Access for Peter Wolf",
            "2 comments",
            3,
            states::request("waiting_for_requester"),
            "Amira Said",
            "paused",
            None,
        ),
    ]
}

fn queue() -> Vec<Sample> {
    let heads = || {
        vec![
            SortHead::plain("Number"),
            SortHead::plain("Request"),
            SortHead::sorts("Priority", "?sort=priority", ""),
            SortHead::plain("State"),
            SortHead::plain("Assignee"),
            SortHead::sorts("Next clock", "?sort=-clock", "ascending"),
        ]
    };
    let made = |shell: Shell, rows, agents| QueuePage {
        shell: shell.page("Queue", Nav::Queue),
        summary: text("38 open · sorted by what breaches next"),
        tabs: tabs(),
        query: String::new(),
        view: text("open"),
        kinds: vec![Choice::new("", "All kinds"), Choice::new("joiner", "Joiner")],
        states: vec![Choice::new("", "Every state"), Choice::new("deciding", "Waiting for approval")],
        assignees: vec![Choice::new("", "Everybody"), Choice::new("none", "Unassigned")],
        heads: heads(),
        rows,
        agents,
        here: text("/queue?view=open"),
        pager: Pager::by_order(None, Some(text("?after=x")), "1 to 5 of 38"),
        empty: Empty::new("Nothing is open", "Everything asked for is done, or waits for somebody else."),
    };
    let agents = vec![Choice::new("", "Nobody"), Choice::new("1", "Amira Said"), Choice::new("2", "Ravi Menon")];
    let bulk = BulkAssignPage {
        shell: desk().page("Assign", Nav::Queue),
        title: text("Assign 2 requests to Amira Said?"),
        rows: vec![
            BulkRow {
                number: text("REQ-000485"),
                title: text("Account not created"),
                effect: text("unassigned → Amira Said"),
                included: true,
                id: text("485"),
            },
            BulkRow {
                number: text("REQ-000455"),
                title: text(LONG),
                effect: text("nothing: it is done already"),
                included: false,
                id: text("455"),
            },
        ],
        assignee: text("1"),
        back: text("/queue"),
    };
    vec![
        page("queue-full", &made(desk(), queue_rows(), agents.clone())),
        page("queue-empty", &made(desk(), Vec::new(), agents)),
        page("queue-read-only", &made(auditor(), queue_rows(), Vec::new())),
        page("queue-bulk", &bulk),
    ]
}

fn adoption() -> Vec<Sample> {
    let row = |name: &str, guess: &str, state: &str| OrphanRow {
        name: text(name),
        href: text("/adoption/1"),
        display_name: text("Backup service"),
        system: text("Active Directory"),
        place: text("OU=Service,DC=corp,DC=example,DC=com"),
        state: states::account(state),
        last_sign_in: (state == "enabled").then(|| day(2026, 11, 20)),
        guess: text(guess),
        doubt: if state == "locked" { text("several people could be meant") } else { String::new() },
        decided: guess.is_empty().then(|| Badge::info("service account")),
    };
    let list = |rows| AdoptionPage {
        shell: admin().page("Adoption", Nav::Adoption),
        summary: text("57 of 63 accounts are decided about; 6 to look at"),
        percent: 90,
        places: vec![
            Link::new("Try the rules", "/adoption/rules"),
            Link::new("Held beyond the rules", "/adoption/beyond"),
        ],
        tabs: tabs(),
        query: String::new(),
        view: text("open"),
        rows,
        pager: Pager::default(),
        empty: Empty::new("Every account is linked", "New ones that match nobody appear here within seconds."),
    };
    let candidate = Candidate {
        id: text("Peter Wolf (pwolf)"),
        name: text("Peter Wolf"),
        detail: text("same mail address; the name differs in one letter"),
    };
    let mut wrong = FormErrors::default();
    wrong.add("link", "Say whose it is");
    wrong.add("person", "Choose the person");
    let one = |errors, candidates, read_only: &str| AdoptPage {
        shell: admin().page("svc-backup", Nav::Adoption),
        crumbs: vec![Crumb::to("Adoption", "/adoption"), Crumb::here("svc-backup")],
        name: text("svc-backup"),
        summary: text("Active Directory · created 4 March 2019 · last sign-in 20 November"),
        state: states::account("enabled"),
        facts: Facts(vec![
            Fact::code("Place", "OU=Service,DC=corp,DC=example,DC=com"),
            Fact::code("Description", HOSTILE),
        ]),
        groups: vec![text("Backup operators"), text(LONG)],
        candidates,
        errors,
        action: text("/adoption/1"),
        link: String::new(),
        person: String::new(),
        comment: text(HOSTILE),
        read_only: text(read_only),
    };
    let link = |account: &str, note: &str| LinkRow {
        account: text(account),
        href: text("/adoption/1"),
        display_name: text("Room 4"),
        person: Person::to("Peter Wolf", "/people/1"),
        note: text(note),
    };
    let card = |title: &str, links: Vec<LinkRow>, automatic| RuleCard {
        id: title.to_lowercase().replace(' ', "-"),
        title: text(title),
        explanation: text("The user name is made of the person’s name, as in “pwolf” or “peter.wolf”."),
        word: "user_name",
        system: text("ad:corp"),
        system_words: text("Active Directory"),
        automatic,
        count: if links.is_empty() { text("It would link nothing now.") } else { text("2 accounts") },
        button: if links.is_empty() { String::new() } else { text("Link 1 account") },
        links,
        more: String::new(),
        digest: text("0"),
    };
    let rules = RulesPage {
        shell: admin().page("Rules of adoption", Nav::Adoption),
        crumbs: vec![Crumb::to("Adoption", "/adoption"), Crumb::here("Rules")],
        errors: FormErrors::default(),
        cards: vec![
            card("Name", Vec::new(), true),
            card("User name", vec![link("pwolf", ""), link(LONG, "yours: somebody else links it")], false),
        ],
        may_switch: true,
    };
    let beyond = |rows| BeyondPage {
        shell: admin().page("Held beyond the rules", Nav::Adoption),
        crumbs: vec![Crumb::to("Adoption", "/adoption"), Crumb::here("Beyond the rules")],
        summary: text("2 memberships of 1 person that no rule of birthright gives and nobody asked for here"),
        query: text(HOSTILE),
        rows,
        pager: Pager::default(),
        empty: Empty::new("Nothing", "Everything that people hold is given by a rule, or was asked for."),
    };
    let held = BeyondRow {
        person: Person::to("Peter Wolf", "/people/1"),
        account: text("pwolf"),
        group: text(LONG),
        href: Some(text("/catalogue/1")),
        sox: true,
        standing: text("In the catalogue; held before Tenure"),
    };
    vec![
        page("adoption-rules", &rules),
        page("adoption-beyond", &beyond(vec![held])),
        page("adoption-beyond-empty", &beyond(Vec::new())),
        page(
            "adoption-full",
            &list(vec![
                row("svc-backup", "", "enabled"),
                row("p.wolf2", "Peter Wolf, by mail", "disabled"),
                row(LONG, HOSTILE, "locked"),
            ]),
        ),
        page("adoption-empty", &list(Vec::new())),
        page("adopt-full", &one(FormErrors::default(), vec![candidate.clone()], "")),
        page("adopt-error", &one(wrong, Vec::new(), "")),
        page("adopt-read-only", &one(FormErrors::default(), vec![candidate], "Administrators decide about this.")),
    ]
}

fn operations() -> Vec<Sample> {
    let mail = |subject: &str, state: &str, note: &str| MailRow {
        href: text("/outbox/1"),
        subject: text(subject),
        to: text("jonas.berg@example.com"),
        request: Some(Link::new("REQ-000482", "/requests/482")),
        written: ago(9_000),
        state: states::mail(state),
        note: text(note),
        tries: 3,
    };
    let outbox = |rows| OutboxPage {
        shell: admin().page("Mail", Nav::Outbox),
        summary: text("412 accepted, 3 waiting, 1 not delivered"),
        tabs: tabs(),
        rows,
        pager: Pager::by_time(None, Some(text("?before=x")), ""),
        empty: Empty::new(
            "No mail yet",
            "Every mail that Tenure writes is listed here, with what the mail server said.",
        ),
    };
    let one = MailPage {
        shell: admin().page("Please decide", Nav::Outbox),
        subject: text("[REQ-000482] Please decide: New joiner"),
        facts: Facts(vec![Fact::code("To", "jonas.berg@example.com"), Fact::state("State", states::mail("retrying"))]),
        text: format!("Please decide\n\n{HOSTILE}\n{LONG}"),
        tries: vec![
            (ago(20), states::mail_try("sending"), String::new()),
            (ago(200), states::mail_try("later"), text("451 4.3.0 try later")),
            (ago(300), states::mail_try("refused"), text(LONG)),
        ],
        earlier: text("and 12 earlier"),
        retry: Some(text("/outbox/1/retry")),
    };
    let part = |name: &str, state: &str, line: &str| PartRow {
        name: text(name),
        href: (state != "off").then(|| text("/system/ad:corp.example.com")),
        state: states::health(state),
        lines: vec![text(line)],
        facts: Facts(vec![Fact::code("Change sequence", "184,223"), Fact::new("Last error", "none")]),
    };
    let system = |parts: Vec<PartRow>, stuck, state| SystemPage {
        shell: admin().page("System", Nav::System),
        summary: text("2 of 5 parts need a look"),
        state,
        figures: figures(),
        parts,
        stuck,
        facts: Facts(vec![Fact::code("Version", "0.1.0"), Fact::new("Started", "today 08:02")]),
    };
    let stuck = StuckRow {
        request: Link::new("REQ-000482", "/requests/482"),
        title: text(LONG),
        why: text("The group is full."),
        since: ago(9_000),
    };
    let parts = vec![
        part("Active Directory · corp.example.com", "down", "does not answer since 14:02 (connection refused)"),
        part("Worker tenure-1", "behind", "3 steps running, oldest due 40 s"),
        part("PostgreSQL", "up", "0.4 ms"),
        part("Mail server", "off", "not configured"),
        part("Ledger", "observing", "plans and compares, refuses to write"),
    ];
    vec![
        page(
            "outbox-full",
            &outbox(vec![mail("Please decide: New joiner", "sent", "250 2.0.0 queued"), mail(HOSTILE, "failed", LONG)]),
        ),
        page("outbox-empty", &outbox(Vec::new())),
        page("outbox-mail", &one),
        page("system-full", &system(parts, vec![stuck], Badge::bad("needs a look"))),
        page("system-empty", &system(Vec::new(), Vec::new(), Badge::ok("works"))),
    ]
}

fn targets() -> Vec<Sample> {
    let finding = |state: Badge, words: &str, mend: &str| FindingRow { state, text: text(words), mend: text(mend) };
    let check = |open: bool, state: Option<Badge>, summary: &str, findings: Vec<FindingRow>| CheckFragment {
        address: text("/system/ad:corp.example.com/checks"),
        open,
        asked: state.is_some().then(|| (text("Ruth Tanaka"), ago(130))),
        state,
        summary: text(summary),
        took: text(if findings.is_empty() { "" } else { " It took 0.8 s." }),
        findings,
    };
    let page_of = |shell: Shell, check, errors: FormErrors, may: bool| TargetPage {
        shell: shell.page("Active Directory · ad:corp.example.com", Nav::System),
        crumbs: vec![Crumb::to("System", "/system"), Crumb::here("Active Directory")],
        title: text("Active Directory · ad:corp.example.com"),
        state: states::health("up"),
        summary: text("Managed: Tenure reads, and writes what was decided."),
        units: text(if errors.is_empty() { "" } else { "Staff" }),
        errors,
        may_check: may,
        has_units: true,
        check,
        earlier: vec![EarlierCheck {
            state: Badge::ok("16 well"),
            when: ago(90_000),
            by: text("asked by Ruth Tanaka"),
        }],
        reach: Facts(vec![
            Fact::code("Address", "ldaps://dc1.corp.example.com:636").also("ldaps://dc2.corp.example.com:636"),
            Fact::code("Account", "CN=svc-tenure,OU=Service,DC=corp,DC=example,DC=com"),
        ]),
        mirror: Facts(vec![
            Fact::new("Accounts", "2,104").also("2,000 of people"),
            Fact::new("Last looked", "just now"),
        ]),
        kinds: Facts(vec![Fact::new("Accounts", "read, made and changed: 22 attributes"), Fact::new("Groups", "read")]),
        set: Facts(vec![
            Fact::new("Observe only", "no"),
            Fact::code("Units in scope", "OU=Staff,DC=corp,DC=example,DC=com").also(format!("OU={LONG},DC=corp")),
            Fact::new("Units excluded", "none"),
        ]),
        subject: text("system:ad:corp.example.com"),
        proposes: may,
        setting: Link::new("The setting and its versions", "/settings/system:ad:corp.example.com"),
        versions: vec![SettingVersion {
            number: text("1"),
            href: text("/settings/system:ad:corp.example.com?version=1"),
            when: day(2026, 3, 2),
            by: text("released by Lena Sørensen, proposed by Ruth Tanaka"),
            state: Badge::ok("in force"),
            current: false,
        }],
        proposals: vec![ProposalRow {
            href: text("/settings/proposals/1"),
            when: day(2026, 3, 1),
            by: text("By Ruth Tanaka"),
            state: Badge::warn("waits to be released"),
        }],
    };
    let mend = "dsacls \"OU=Staff,DC=corp,DC=example,DC=com\" /I:S /G \"CORP\\svc-tenure:CA;Reset Password;user\"\nsamba-tool dsacl set --objectdn=\"OU=Staff,DC=corp,DC=example,DC=com\" --sddl=\"(OA;CIIO;CR;00299570-246d-11d0-a768-00aa006e0529;bf967aba-0de6-11d0-a285-00aa003049e2;S-1-5-21-1-2-3-1105)\"";
    let findings = vec![
        finding(
            Badge::bad("to mend"),
            "Reset passwords: the account may not reset passwords of users in OU=Staff,DC=corp,DC=example,DC=com.",
            mend,
        ),
        finding(Badge::warn("doubtful"), HOSTILE, ""),
        finding(Badge::ok("well"), LONG, ""),
    ];
    let done = || check(false, Some(Badge::bad("1 to mend")), "Tested 2 min ago.", findings.clone());
    let running = check(true, Some(Badge::info("running")), "A worker is at it.", Vec::new());
    let none = check(false, None, "Nobody has tested this connection yet.", Vec::new());
    let mut wrong = FormErrors::default();
    wrong.add("units", "“Staff” is not a name such as OU=Staff,DC=corp,DC=example,DC=com");
    vec![
        page("target-full", &page_of(admin(), done(), FormErrors::default(), true)),
        page("target-running", &page_of(admin(), running, FormErrors::default(), true)),
        page("target-error", &page_of(admin(), none.clone(), wrong, true)),
        page("target-read-only", &page_of(auditor(), none, FormErrors::default(), false)),
    ]
}
