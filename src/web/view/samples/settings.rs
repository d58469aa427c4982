//! Samples: settings, drafts, proposals, and what may be added to the catalogue.

use super::company::*;
use super::{HOSTILE, LONG, Sample, page};
use crate::web::Fields;
use crate::web::view::catalogue::{GroupRow, NewEntryPage};
use crate::web::view::forms::{AnyField, AreaField, Choice, SelectField, TextField};
use crate::web::view::settings::*;
use crate::web::view::*;

pub(super) fn all() -> Vec<Sample> {
    [overview(), one(), drafts(), proposals(), entries()].concat()
}

fn row(title: &str, state: &str, badge: Option<Badge>) -> SettingRow {
    SettingRow {
        title: text(title),
        text: text("How sign-in names, mail addresses and places are made."),
        href: text("/settings/naming"),
        state: text(state),
        badge,
    }
}

fn overview() -> Vec<Sample> {
    let list = |shell, waiting, groups| SettingsPage {
        shell,
        errors: FormErrors::default(),
        waiting,
        drafts: vec![row("Routes", "", None)],
        groups,
        proposes: true,
        new_site: String::new(),
    };
    let group = |title: &str, rows| SettingGroup { title: text(title), rows };
    let rules = vec![row("Routes", "version 3, since 2 March", None), row(LONG, "as it comes with Tenure", None)];
    let systems = vec![row("Active Directory", "", Some(Badge::warn("observe only, by setting")))];
    let waiting = vec![row(HOSTILE, "Ruth Tanaka, an hour ago", Some(Badge::warn("waits to be released")))];
    let shell = || admin().page("Settings", Nav::Settings);
    vec![
        page("settings-list", &list(shell(), waiting, vec![group("Rules", rules), group("Target systems", systems)])),
        page("settings-empty", &list(shell(), Vec::new(), vec![group("Sites", Vec::new())])),
    ]
}

fn one() -> Vec<Sample> {
    let version = |number: &str, current| SettingVersion {
        number: text(number),
        href: text("?version=3"),
        when: day(2026, 3, 2),
        by: text("released by Lena Sørensen, proposed by Ruth Tanaka"),
        state: if current { Badge::ok("in force") } else { Badge::quiet("superseded") },
        current,
    };
    let block = |title: &str| SettingBlock {
        title: text(title),
        text: text("Tried in this order until a name is free."),
        facts: Facts(vec![
            Fact::code("1", "{{ given|initials }}{{ family|ascii|lower }}"),
            Fact::code("2", "{{ given|ascii|lower }}.{{ family|ascii|lower }}"),
            Fact::new("Longest", "20 characters"),
        ]),
    };
    let together = |rows| Some(HeldTogether { summary: text("1 person holds what these rules keep apart"), rows });
    let one = |shell: Shell, blocks, body: &str, begin: &str| SettingPage {
        about: (!begin.is_empty()).then(|| Link::new("The system’s page", "/system/ad:corp.example.com")),
        shell: shell.page("Naming rules", Nav::Settings),
        crumbs: vec![Crumb::to("Settings", "/settings"), Crumb::here("Naming rules")],
        title: text("Naming rules"),
        summary: text("Version 3, in force since 2 March 2026"),
        digest: text("9f2c…e1a7"),
        blocks,
        body: text(body),
        together: together(match begin {
            "" => Vec::new(),
            _ => {
                vec![(Link::new("Peter Wolf", "/people/1"), text(HOSTILE)), (Link::new(LONG, "/people/2"), text(LONG))]
            }
        }),
        versions: vec![version("3", true), version("2", false)],
        proposals: vec![ProposalRow {
            href: text("/settings/proposals/1"),
            when: day(2026, 3, 1),
            by: text("By Ruth Tanaka"),
            state: Badge::warn("waits to be released"),
        }],
        subject: text("naming"),
        begin: text(begin),
        begin_from: String::new(),
    };
    let blocks = || vec![block("User name"), block("Mail address")];
    let body = format!("{{\n  \"user_name\": [\"{LONG}\"]\n}}");
    vec![
        page("setting-full", &one(admin(), blocks(), &body, "Propose a change")),
        page("setting-read-only", &one(auditor(), blocks(), &body, "")),
        page("setting-empty", &one(auditor(), Vec::new(), "", "")),
    ]
}

fn differs(what: &str, from: Option<&str>, to: Option<&str>) -> Differs {
    Differs { what: text(what), from: from.map(text), to: to.map(text) }
}

fn changes() -> Changes {
    Changes {
        differs: vec![
            differs(
                "User name",
                Some("{{ given|first(1) }}{{ family }}"),
                Some("{{ family }}{{ given|first(1) }}\n{{ n }}"),
            ),
            differs("Leaver: stages", None, Some("Service desk: checks the last day")),
            differs(HOSTILE, Some(LONG), None),
        ],
        trial: Some(Trial {
            summary: text("Tried on 500 people: 2 come out differently."),
            rows: vec![differs("Peter Wolf", Some("pwolf"), Some("wolfp")), differs(LONG, None, Some("Ledger (read)"))],
            more: text("And 38 more."),
            follows: text("Accounts that exist are not renamed."),
        }),
    }
}

fn sections(errors: &FormErrors) -> Vec<FormSection> {
    let choices = vec![Choice::new("", "every site"), Choice::new("Hamburg", "Hamburg")];
    vec![
        FormSection {
            title: text("Names"),
            text: text("Templates may use given, family, display."),
            offered: vec![(format!("OU={LONG},DC=corp"), text("120 accounts, 3 groups"))],
            beside: false,
            fields: vec![
                AnyField::Area(AreaField::new("user_name", "User name").value("{{ family }}").error(errors)),
                AnyField::Text(TextField::new("display_name", "Display name").value(HOSTILE).code()),
            ],
        },
        FormSection {
            title: text("Places"),
            text: String::new(),
            offered: Vec::new(),
            beside: true,
            fields: vec![
                AnyField::Select(SelectField::new("site", "Site", choices)),
                AnyField::Text(TextField::new("years", "Years").value("7").width("short")),
            ],
        },
    ]
}

fn drafts() -> Vec<Sample> {
    let draft = |rules, errors: FormErrors, changes, alone| DraftPage {
        shell: admin().page("Naming rules: draft", Nav::Settings),
        crumbs: vec![Crumb::to("Settings", "/settings"), Crumb::here("Draft")],
        title: text("Naming rules"),
        summary: text("A draft that only you see, beside version 3"),
        action: text("/settings/drafts/1"),
        base: 3,
        sections: sections(&errors),
        errors,
        rules,
        add: text("/settings/drafts/1/rules/new"),
        changes,
        fields: Fields::default(),
        alone,
        tests: alone.then(|| TestLetters {
            which: SelectField::new(
                "letter",
                "Which",
                vec![Choice::new("", "every mail"), Choice::new("done", "“Done”")],
            ),
        }),
    };
    let rule = |at, title: &str| RuleRow {
        at,
        title: text(title),
        text: text("Joiner → line manager, then service desk"),
        href: text("/settings/drafts/1/rules/0"),
        first: at == 0,
        last: at == 1,
    };
    let mut errors = FormErrors::default();
    errors.add("user_name", "The last template needs “{{ n }}”, so that there is always a free name");
    errors.add("note", "Say why: whoever releases it reads it, and so do auditors");
    let nothing = Changes { differs: Vec::new(), trial: None };
    vec![
        page("setting-draft", &draft(None, FormErrors::default(), changes(), false)),
        page("setting-draft-errors", &draft(None, errors, changes(), true)),
        page(
            "setting-draft-rules",
            &draft(Some(vec![rule(0, "Joiner’s account"), rule(1, LONG)]), FormErrors::default(), changes(), false),
        ),
        page("setting-draft-empty", &draft(Some(Vec::new()), FormErrors::default(), nothing, false)),
        page(
            "setting-rule",
            &RulePage {
                shell: admin().page("Joiner’s account", Nav::Settings),
                crumbs: vec![Crumb::to("Settings", "/settings"), Crumb::here("Joiner’s account")],
                title: text("Joiner’s account"),
                errors: FormErrors::default(),
                action: text("/settings/drafts/1/rules/0"),
                sections: sections(&FormErrors::default()),
                back: text("/settings/drafts/1"),
            },
        ),
    ]
}

fn proposals() -> Vec<Sample> {
    let proposal = |state, closed: &str, may_withdraw| ProposalPage {
        shell: admin().page("Naming rules: proposal", Nav::Settings),
        crumbs: vec![Crumb::to("Settings", "/settings"), Crumb::here("Proposal")],
        title: text("Naming rules"),
        state,
        summary: text("Ruth Tanaka: family names first, as the phone book has them"),
        errors: FormErrors::default(),
        action: text("/settings/proposals/1"),
        digest: text("9f2c"),
        facts: Facts(vec![Fact::new("Proposed by", "Ruth Tanaka").also("Monday 23 November 2026, 14:10")]),
        changes: changes(),
        comment: String::new(),
        closed: text(closed),
        may_withdraw,
        again: (!closed.is_empty()).then(|| Link::new("The setting as it is now", "/settings/naming")),
        tests: may_withdraw.then(|| TestLetters {
            which: SelectField::new(
                "letter",
                "Which",
                vec![Choice::new("", "every mail"), Choice::new("done", "“Done”")],
            ),
        }),
    };
    vec![
        page("setting-proposal", &proposal(Badge::warn("waits to be released"), "", false)),
        page(
            "setting-proposal-own",
            &proposal(
                Badge::warn("waits to be released"),
                "You proposed this: another administrator releases it.",
                true,
            ),
        ),
        page("setting-proposal-decided", &proposal(Badge::ok("version 4"), "It was decided already.", false)),
    ]
}

fn entries() -> Vec<Sample> {
    let entry = |name: &str| GroupRow {
        name: text(name),
        text: text("Ledger of all companies · CN=FIN-Ledger,OU=Groups,DC=corp,DC=example,DC=com"),
        system: text("ad:corp.example.com"),
        native_id: text("1"),
        members: text("12 members"),
    };
    let list = |rows| NewEntryPage {
        shell: admin().page("Add to the catalogue", Nav::Catalogue),
        crumbs: vec![Crumb::to("Catalogue", "/catalogue"), Crumb::here("Add an entry")],
        summary: text("Groups of the directory that are not in the catalogue."),
        query: text("ledger"),
        rows,
        pager: Pager::default(),
        empty: Empty::new("No such group", "Every group that fits is in the catalogue already."),
    };
    vec![
        page("catalogue-new", &list(vec![entry("FIN-Ledger"), entry(HOSTILE), entry(LONG)])),
        page("catalogue-new-empty", &list(Vec::new())),
    ]
}
