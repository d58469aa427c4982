//! Samples: the mails.

use super::company::text;
use super::{HOSTILE, Sample};
use crate::mail::letters::*;

pub(super) fn all() -> Vec<Sample> {
    mails()
}

fn frame() -> MailFrame {
    MailFrame {
        to: text("Maria Keller"),
        number: text("REQ-000482"),
        title: format!("New joiner: {HOSTILE}"),
        url: text("https://tenure.example.com/requests/482"),
        opening: String::new(),
        closing: String::new(),
        footer: String::new(),
        test: false,
        company: text("Example Corp"),
    }
}

fn mails() -> Vec<Sample> {
    let submitted = Submitted {
        frame: frame(),
        items: vec![text("Account and basic access: the service desk decides")],
        expected: text("Monday 30 November 2026"),
    };
    let decide = PleaseDecide {
        frame: frame(),
        item: text("Finance – Ledger (read)"),
        asked_by: text("Maria Keller"),
        why: text("You are asked as its owner, because it is SOX."),
        on_behalf: text("Jonas Berg"),
        changes: vec![text("Nguyễn Thị Lan becomes a member of Finance – Ledger (read)")],
        reason: text("Month-end closing"),
        waits_since: String::new(),
        due: text("Tuesday 24 November, 18:00 Hamburg"),
    };
    let decided = Decided {
        frame: frame(),
        item: text("Account and basic access"),
        decision: text("sent back"),
        by: text("Ravi Menon"),
        comment: text(HOSTILE),
        next: text("Please answer on the request’s page."),
    };
    let done = Done {
        frame: frame(),
        items: vec![text("Account and basic access: applied")],
        next: text("Reveal the start password on Monday."),
    };
    let failed = Failed {
        frame: frame(),
        step: text("Account of Lan in Active Directory"),
        why: text("Refused: the group is full."),
        kept: text("All else was done."),
        mend: text("Try again or leave it out."),
    };
    let stands_in = StandsIn {
        frame: MailFrame { number: String::new(), title: text("Standing in"), ..frame() },
        person: text("Maria Keller"),
        delegate: text("Ravi Menon"),
        from: text("Monday 30 November 2026"),
        until: text("Friday 4 December 2026"),
        set_by: text("Lena Roth"),
        to_person: true,
        ended: false,
    };
    let settings = || MailFrame { number: text("Settings"), title: text("Naming rules"), ..frame() };
    let proposed = SettingProposed {
        frame: settings(),
        by: text("Ruth Tanaka"),
        note: text(HOSTILE),
        from: text("Monday 1 March 2027, 00:00 UTC"),
    };
    let answered = SettingAnswered {
        frame: MailFrame { test: true, ..settings() },
        answer: text("rejected"),
        by: text("Anders Lindqvist"),
        comment: text(HOSTILE),
        next: text("What is in force stays."),
    };
    vec![
        ("mail-stands-in", stands_in.html().unwrap()),
        ("mail-setting-proposed", proposed.html().unwrap()),
        ("mail-setting-answered", answered.html().unwrap()),
        ("mail-submitted", submitted.html().unwrap()),
        ("mail-decide", decide.html().unwrap()),
        ("mail-decided", decided.html().unwrap()),
        ("mail-done", done.html().unwrap()),
        ("mail-failed", failed.html().unwrap()),
    ]
}

#[test]
fn a_mails_text_is_plain_and_its_subject_one_line() {
    let frame = MailFrame { title: text("Joiner\r\nBcc: x@example.com"), ..frame() };
    let decided = Decided {
        frame,
        item: text("Account"),
        decision: text("approved"),
        by: text("Ravi"),
        comment: text("a & b"),
        next: String::new(),
    };
    assert_eq!(decided.subject(), "[REQ-000482] Approved: Joiner  Bcc: x@example.com");
    let plain = decided.text().unwrap();
    assert!(plain.contains("“a & b”"), "{plain}");
    assert!(plain.trim_end().ends_with("https://tenure.example.com/requests/482"), "{plain}");
}
