//! Samples: change history, one record, the evidence log.

use super::company::*;
use super::{HOSTILE, LONG, Sample, page};
use crate::web::view::evidence::*;
use crate::web::view::forms::Choice;
use crate::web::view::history::*;
use crate::web::view::home::Figure;
use crate::web::view::request::Notice;
use crate::web::view::*;

pub(super) fn all() -> Vec<Sample> {
    [history(), record(), evidence()].concat()
}

fn history() -> Vec<Sample> {
    let row = |record: &str, what: &str, object: &str, detail: &str, by: &str, alarm| HistoryRow {
        record: text(record),
        href: text("/history/1"),
        when: clock(20),
        what: text(what),
        alarm,
        object: text(object),
        object_detail: text(detail),
        by: text(by),
        by_detail: text("approved by R. Menon"),
        proof: if alarm { Badge::info("waiting") } else { Badge::ok("in log") },
    };
    let bundle = BundleForms {
        records: text("1,204 records"),
        too_many: false,
        fields: vec![(text("q"), text(HOSTILE)), (text("sox"), text("yes"))],
        seed: text("9f2c7a41d0b8e6c3"),
    };
    let many = BundleForms { records: text("more than 50,000 records"), too_many: true, ..bundle.clone() };
    let made = |rows, filter, bundle| HistoryPage {
        bundle,
        shell: auditor().page("Change history", Nav::History),
        summary: text("1,204,118 records"),
        filter,
        rows,
        pager: Pager::by_time(None, Some(text("?before=x")), "3 of 1,204,118"),
        empty: Empty::new("No record matches", "Widen the dates, or take a filter away.")
            .link("Clear the filter", "/history"),
    };
    let filter = HistoryFilter {
        query: text(HOSTILE),
        from: text("2026-10-01"),
        kinds: vec![Choice::new("", "Everything"), Choice::new("step", "Applied changes")],
        actors: vec![Choice::new("", "Everybody"), Choice::new("worker", "The worker")],
        sox: true,
        words: text("SOX entitlements · this quarter"),
        error: text("“to” is before “from”; both were kept, nothing was filtered by date."),
        ..HistoryFilter::default()
    };
    let rows = vec![
        row("1,204,106", "membership applied", "All Hamburg", "Nguyễn Thị Lan · REQ-000482", "worker", false),
        row("1,203,990", "approval granted", "REQ-000482, item 1", "9f2c…e1a7", "Ravi Menon", false),
        row("1,203,871", "outcome unknown", LONG, HOSTILE, "worker", true),
    ];
    let all = HistoryFilter::default;
    vec![
        page("history-full", &made(rows.clone(), filter, Some(bundle))),
        page("history-many", &made(rows, all(), Some(many))),
        page("history-empty", &made(Vec::new(), all(), None)),
    ]
}

fn record() -> Vec<Sample> {
    let verify = VerifyView {
        keys: text(KEY),
        witnesses: text(WITNESS),
        commands: Some(Elsewhere {
            id: text("0193aa00-0000-7000-8000-000000000482"),
            name: text("tenure.example.com/evidence/1"),
            key: text(KEY),
            begins: text("XM4d"),
        }),
    };
    let record = |change: Option<PlanView>, withheld: &str, verify: Option<VerifyView>| RecordPage {
        shell: auditor().page("Record 1,204,106", Nav::History),
        crumbs: vec![Crumb::to("Change history", "/history"), Crumb::here("1,204,106")],
        title: text("Account changed"),
        summary: text("Anna Vogel · Active Directory · today 14:02:16"),
        proof: if verify.is_some() { Badge::ok("in log") } else { Badge::info("waiting") },
        standing: if verify.is_some() { String::new() } else { text("Not in the signed log yet. That takes seconds.") },
        id: text("0193aa00-0000-7000-8000-000000000482"),
        proved: verify.is_some(),
        cannot_verify: String::new(),
        verify,
        change,
        facts: Facts(vec![
            Fact::new("By", "worker tenure-1").also("attempt 1, lease 30 s"),
            Fact::new("Asked by", "Maria Keller").href("/people/1"),
            Fact::new("Decided by", "Ravi Menon, 11:20"),
            Fact::code("Digest", "9f2c".repeat(16)),
        ]),
        proof_facts: Facts(vec![
            Fact::new("Place", "1,204,106").also("tenure.example.com/evidence/1").href("/evidence"),
            Fact::new("Signed with", "1,204,118 records"),
            Fact::new("Timestamped", "14:00:04 by tsa.example.com").also("at 1,204,110 records").href("/history/9"),
            Fact::new("Cosigned", "14:02:20 by audit.example.com/witness").also("at 1,204,118 records"),
            Fact::code("Record", "0193aa00-0000-7000-8000-000000000482"),
            Fact::code("Subject", "account:0193aa00-0000-7000-8000-000000000007"),
            Fact::new("Number within it", "6"),
        ]),
        related: vec![
            (clock(21), Link::new("intent", "/history/2")),
            (clock(9_700), Link::new("approval granted", "/history/3")),
        ],
        canonical: format!(
            "{{\"actor\":{{\"routine\":\"worker\"}},\"after\":{{\"sn\":\"Vogel-Brandt\"}},\"before\":{{\"sn\":\"Vogel\"}},\"note\":{HOSTILE:?},\"long\":\"{LONG}\"}}"
        ),
        canonical_hash: "41d0".repeat(16),
        withheld: text(withheld),
        pager: Pager::by_order(Some(text("/history/5")), Some(text("/history/7")), "6 of 9"),
    };
    vec![
        page("record-full", &record(Some(changed()), "", Some(verify))),
        page(
            "record-read-only",
            &record(None, "One field was erased on request; its commitment still proves that it was there.", None),
        ),
    ]
}

const KEY: &str = "tenure.example.com/evidence/1+5cce1d3b+AdbYgpFq2nQ7y0vFs8aE3m5tJk1xW9cZb6hUoRr4LpGf";
const WITNESS: &str = "audit.example.com/witness+a1b2c3d4+BNbYgpFq2nQ7y0vFs8aE3m5tJk1xW9cZb6hUoRr4LpGf";

fn log_view() -> LogView {
    let outside = |name: &str, what: &str, state, last, trouble: &str| OutsideRow {
        name: text(name),
        what: text(what),
        state,
        last,
        detail: text("at 1,204,110 records"),
        trouble: text(trouble),
    };
    let anchor = |seconds, kind: &str, by: &str, heartbeat| AnchorRow {
        when: clock(seconds),
        kind: text(kind),
        by: text(by),
        records: text("1,204,110"),
        digest: "9f2c".repeat(16),
        heartbeat,
    };
    let heartbeat = || Some(Link::new("heartbeat", "/history/9"));
    LogView {
        origin: text("tenure.example.com/evidence/1"),
        facts: Facts(vec![
            Fact::code("Origin", "tenure.example.com/evidence/1"),
            Fact::new("Records", "1,204,118"),
            Fact::code("Root", "6sTZ8uFHxYUzTzYbGpLeG0VFkBrIy7qwO8bJcBBVmvQ="),
            Fact::new("Signed", "Monday 23 November 2026, 14:02:30 CET"),
        ]),
        outside: vec![
            outside("audit.example.com/witness", "witness", Badge::ok("in time"), Some(ago(12)), ""),
            outside("tsa.example.com", "timestamp authority", Badge::ok("in time"), Some(ago(150)), ""),
        ],
        missing: String::new(),
        anchors: vec![
            anchor(12, "cosignature", "audit.example.com/witness", None),
            anchor(150, "timestamp", "tsa.example.com", heartbeat()),
            anchor(3_750, "timestamp", LONG, heartbeat()),
        ],
        checkpoint: text(
            "tenure.example.com/evidence/1\n1204118\n6sTZ8uFHxYUzTzYbGpLeG0VFkBrIy7qwO8bJcBBVmvQ=\n\n— tenure.example.com/evidence/1 XM4dO2mPnIwXcXh4k3rZ0pK9yq7vY2LwUe5TgS8aBdFjHl1oQtVxZc6bNfRi\n",
        ),
        keys: vec![
            KeyRow { whose: text("The log’s key"), key: text(KEY) },
            KeyRow { whose: text("Witness audit.example.com/witness"), key: text(WITNESS) },
        ],
        commands: vec![
            (
                text("The whole log, from a copy of the published folder:"),
                format!("tenure evidence verify /srv/evidence --key '{KEY}'"),
            ),
            (text("The database against the published log, on the server:"), text("tenure evidence verify --live")),
        ],
        earlier: Vec::new(),
    }
}

fn evidence() -> Vec<Sample> {
    let figure = |label: &str, value: &str, detail: &str, tone| Figure {
        label: text(label),
        value: text(value),
        detail: text(detail),
        href: None,
        tone,
    };
    let made = |state, notices, log: Option<LogView>| EvidencePage {
        shell: auditor().page("Evidence log", Nav::Evidence),
        state,
        summary: text("Every record, in signed order; begun 1 Oct"),
        notices,
        figures: vec![
            figure("Records in the log", "1,204,118", "signed just now", ""),
            figure("Waiting to come in", "3", "oldest just now", ""),
            figure("Last timestamp", "2 min ago", "tsa.example.com", ""),
            figure("Last cosignature", "just now", "audit.example.com/witness", ""),
        ],
        log,
        set_up: false,
    };
    let mut full = log_view();
    full.earlier = vec![EarlierLog {
        origin: text("tenure.example.com/evidence/0"),
        detail: text("12,004 records, last signed 3 Oct"),
        reason: text(HOSTILE),
        ended: ago(4_000_000),
    }];
    let trouble = vec![
        Notice {
            tone: Tone::Bad,
            lead: text("The log does not go on since 20 min ago."),
            text: format!(
                "1204118 leaves were signed and this database has 1203004: it was restored from an older backup. Begin a new log that says so: `tenure evidence new-origin --reason …` {HOSTILE}"
            ),
            action: None,
        },
        Notice {
            tone: Tone::Warn,
            lead: text("This portal cannot read the published log."),
            text: text("/srv/evidence/1/checkpoint: Permission denied (os error 13)."),
            action: None,
        },
    ];
    let mut late = log_view();
    late.outside[0].state = Badge::bad("overdue");
    late.outside[0].trouble = format!("the witness says 409: it saw another history {HOSTILE}");
    late.outside[1] = OutsideRow {
        last: None,
        detail: String::new(),
        state: Badge::info("not yet asked"),
        ..late.outside[1].clone()
    };
    (late.anchors, late.keys) = (Vec::new(), Vec::new());
    late.missing = text("No timestamp authority is set up: no trusted third party states by when a record existed.");
    let mut bare = made(Badge::quiet("not set up"), Vec::new(), None);
    (bare.figures, bare.set_up) = (Vec::new(), true);
    bare.summary = text("Records are kept, numbered and insert-only; nothing outside the database proves it yet.");
    vec![
        page("evidence-full", &made(Badge::ok("up to date"), Vec::new(), Some(full))),
        page("evidence-trouble", &made(Badge::bad("stands still"), trouble, Some(late))),
        page("evidence-empty", &bare),
    ]
}
