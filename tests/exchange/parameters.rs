//! Every cmdlet that a step can amount to, in both flavours, uses only parameters that the flavour has: by our own table, and by
//! the one of the stand-in, which was written from Microsoft's pages by somebody else.

use serde_json::Value as Json;
use tenure::connectors::exchange::Places;
use tenure::connectors::exchange::cmdlet::{Cmdlet, Effect, Param};
use tenure::connectors::exchange::flavour::{Flavour, check, supports};
use tenure::connectors::exchange::preview::cmdlets;
use tenure::target::{Change, Difference, Key, Kind, Presence, Reference, Value};
use uuid::Uuid;

const BOTH: [Flavour; 2] = [Flavour::OnPremises, Flavour::Online];
/// Every text that people type arrives as one value, whatever it holds.
const HOSTILE: &[&str] =
    &["\"", "'", ";", "$(Get-Date)", "a\r\nb", "\u{201D}", "`n", "@{Add='x'}", "-Identity *", "_x0041_", "\0", "🦊"];

fn change(attribute: &str, from: Value, to: Value) -> Change {
    Change { attribute: attribute.to_owned(), from, to }
}

fn list(values: &[&str]) -> Value {
    Value::List(values.iter().map(|value| Value::from(*value)).collect())
}

/// Attributes of a kind with a value that each can take.
fn attributes(kind: Kind) -> Vec<(&'static str, Value)> {
    let id = "6b1f0c1e-9f2b-4d5e-8a7c-0d1e2f3a4b5c";
    match kind {
        Kind::Mailbox => vec![
            ("type", Value::from("shared")),
            ("displayName", Value::from("Invoices")),
            ("alias", Value::from("invoices")),
            ("primaryAddress", Value::from("invoices@example.com")),
            ("addresses", list(&["bills@example.com"])),
            ("hidden", Value::Bool(true)),
            ("archive", Value::Bool(true)),
            ("litigationHold", Value::Bool(true)),
            ("litigationHoldDays", Value::Number(365)),
            ("forwardTo", Value::from(id)),
            ("forwardToAddress", Value::from("a@b.example")),
            ("deliverAndForward", Value::Bool(true)),
            ("warningQuota", Value::Number(1 << 30)),
            ("sendQuota", Value::Number(2 << 30)),
            ("sendReceiveQuota", Value::Null),
            ("capacity", Value::Number(8)),
        ],
        Kind::AutoReply => vec![
            ("state", Value::from("scheduled")),
            ("internal", Value::from("Away")),
            ("external", Value::from("Away")),
            ("audience", Value::from("all")),
            ("from", Value::from("2026-12-01T00:00:00Z")),
            ("until", Value::from("2026-12-09T00:00:00Z")),
        ],
        Kind::Booking => vec![
            ("processing", Value::from("auto_accept")),
            ("allowConflicts", Value::Bool(false)),
            ("bookingWindowDays", Value::Number(90)),
            ("maximumDurationMinutes", Value::Number(480)),
            ("delegates", list(&[id])),
            ("allBookIn", Value::Bool(true)),
            ("allRequestIn", Value::Bool(false)),
        ],
        Kind::List => vec![
            ("displayName", Value::from("News")),
            ("alias", Value::from("news")),
            ("primaryAddress", Value::from("news@example.com")),
            ("addresses", list(&["wire@example.com"])),
            ("hidden", Value::Bool(true)),
            ("owners", list(&[id])),
            ("moderated", Value::Bool(true)),
            ("moderators", list(&[id])),
            ("acceptOnlyFrom", list(&[id])),
            ("internalOnly", Value::Bool(true)),
            ("description", Value::from("What is new")),
        ],
        _ => Vec::new(),
    }
}

/// Everything that a plan can ask of that kind: made, changed attribute by attribute, taken away.
fn steps(kind: Kind) -> Vec<(Key, Difference)> {
    let id = Uuid::from_u128(7);
    let (there, gone) = ((Presence::Absent, Presence::Present), (Presence::Present, Presence::Absent));
    let member = Key::Member { group: Reference::Native(id), member: Reference::Native(id) };
    let right = |right: &str| Key::Permission {
        object: Reference::Native(id),
        trustee: Reference::Step { step: "mailbox".to_owned() },
        right: right.to_owned(),
    };
    let only = |presence| Difference { presence: Some(presence), changes: Vec::new() };
    let mut steps = Vec::new();
    match kind {
        Kind::ListMembership => steps.extend([(member.clone(), only(there)), (member, only(gone))]),
        Kind::MailboxPermission => {
            for word in ["full_access", "send_as", "send_on_behalf"] {
                let automapping = vec![change("automapping", Value::Null, Value::Bool(false))];
                steps.push((right(word), Difference { presence: Some(there), changes: automapping }));
                steps.push((right(word), only(gone)));
            }
        }
        Kind::FolderPermission => {
            let role =
                |presence| Difference { presence, changes: vec![change("role", Value::Null, Value::from("Editor"))] };
            steps.extend([
                (right("calendar"), role(Some(there))),
                (right("calendar"), role(None)),
                (right("calendar"), only(gone)),
            ]);
        }
        _ => {
            let native = Key::Native { id };
            let all: Vec<Change> =
                attributes(kind).into_iter().map(|(name, value)| change(name, Value::Null, value)).collect();
            for one in &all {
                steps.push((native.clone(), Difference { presence: None, changes: vec![one.clone()] }));
            }
            steps.push((native.clone(), Difference { presence: None, changes: all.clone() }));
            let kinds: &[&str] = match kind {
                Kind::Mailbox => &["user", "shared", "room", "equipment", "remote", "remote_shared"],
                Kind::List => &["distribution", "security", "dynamic"],
                _ => &[],
            };
            for word in kinds {
                let mut changes = all.clone();
                changes.retain(|change| change.attribute != "type");
                changes.push(change("type", Value::Null, Value::from(*word)));
                changes.push(change("departments", Value::Null, list(&["Finance"])));
                for key in [Key::New { new: true }, Key::Step { step: "account".to_owned() }] {
                    let made = Difference { presence: Some(there), changes: changes.clone() };
                    steps.push((key, made));
                }
            }
            if !kinds.is_empty() {
                steps.push((native.clone(), only(gone)));
                let whole = vec![change("removal", Value::Null, Value::from("remove"))];
                steps.push((native, Difference { presence: Some(gone), changes: whole }));
            }
        }
    }
    steps
}

fn made(flavour: Flavour, kind: Kind, key: &Key, difference: &Difference) -> Vec<Cmdlet> {
    let places = Places {
        organizational_unit: Some("OU=Mail,DC=corp,DC=example,DC=com".to_owned()),
        database: Some("DB01".to_owned()),
        remote_routing_domain: Some("example.mail.onmicrosoft.com".to_owned()),
    };
    cmdlets(flavour, &places, kind, (key, difference), &|reference| format!("{reference:?}"))
}

const KINDS: [Kind; 7] = [
    Kind::Mailbox,
    Kind::AutoReply,
    Kind::Booking,
    Kind::List,
    Kind::ListMembership,
    Kind::MailboxPermission,
    Kind::FolderPermission,
];

/// The stand-in's table: cmdlet → flavour → `name` or `name:kind`.
fn standin() -> Json {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/lab/exchange/cmdlets.json");
    serde_json::from_str::<Json>(&std::fs::read_to_string(path).unwrap()).unwrap()["cmdlets"].take()
}

#[test]
fn no_step_uses_a_parameter_that_its_flavour_lacks() {
    let standin = standin();
    let mut seen = 0;
    for flavour in BOTH {
        let column = if flavour == Flavour::OnPremises { "onprem" } else { "online" };
        for kind in KINDS {
            for (key, difference) in steps(kind) {
                if supports(flavour, kind, &difference, matches!(key, Key::New { .. })).is_err() {
                    continue;
                }
                for cmdlet in made(flavour, kind, &key, &difference) {
                    check(flavour, &cmdlet).unwrap_or_else(|why| panic!("{flavour:?} {kind}: {why}"));
                    let Some(known) = standin[&cmdlet.name][column].as_array() else {
                        panic!("{flavour:?}: the stand-in has no {}", cmdlet.name);
                    };
                    let known: Vec<&str> =
                        known.iter().map(|name| name.as_str().unwrap().split(':').next().unwrap()).collect();
                    for (name, _) in &cmdlet.params {
                        assert!(known.contains(&name.as_str()), "{flavour:?}: {} -{name}", cmdlet.name);
                    }
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 120, "{seen} cmdlets");
}

#[test]
fn what_a_flavour_lacks_is_refused_in_words() {
    let cmdlet = Cmdlet::write("Add-ADPermission").text("Identity", "x");
    assert_eq!(check(Flavour::Online, &cmdlet).unwrap_err(), "Exchange Online has no Add-ADPermission");
    let cmdlet = Cmdlet::write("Set-Mailbox").text("PrimarySmtpAddress", "x");
    assert!(check(Flavour::Online, &cmdlet).unwrap_err().contains("PrimarySmtpAddress"));
    assert!(check(Flavour::OnPremises, &cmdlet).is_ok());
    let user = Difference { presence: Some((Presence::Absent, Presence::Present)), changes: Vec::new() };
    assert!(supports(Flavour::Online, Kind::Mailbox, &user, false).is_err());
    assert!(supports(Flavour::OnPremises, Kind::Mailbox, &user, false).is_ok());
}

#[test]
fn hostile_text_is_a_value_and_nothing_else() {
    let long = "x".repeat(300);
    for text in HOSTILE.iter().copied().chain([long.as_str()]) {
        for flavour in BOTH {
            for kind in [Kind::Mailbox, Kind::List] {
                for attribute in ["displayName", "alias", "primaryAddress"] {
                    let changes = vec![change(attribute, Value::Null, Value::from(text))];
                    let difference = Difference { presence: None, changes };
                    let sent = made(flavour, kind, &Key::Native { id: Uuid::nil() }, &difference);
                    let whole = sent.iter().flat_map(|cmdlet| &cmdlet.params).any(|(_, value)| match value {
                        Param::Text(value) => value == text,
                        Param::Delta { add, .. } => add.iter().any(|value| value == &format!("SMTP:{text}")),
                        _ => false,
                    });
                    assert!(whole, "{flavour:?} {kind} {attribute}: {sent:?}");
                    assert!(sent.iter().all(|cmdlet| cmdlet.effect == Effect::Write));
                }
            }
        }
    }
}

#[test]
fn secrets_are_masked_and_quotes_doubled() {
    let cmdlet = Cmdlet::write("New-Mailbox")
        .text("Name", "O'Neil; $(x)")
        .with("Password", Param::Secret("hunter2".to_owned().into()))
        .switch("Shared");
    assert_eq!(cmdlet.to_string(), "New-Mailbox -Name 'O''Neil; $(x)' -Password ******** -Shared");
    assert!(!format!("{cmdlet:?}").contains("hunter2"));
}
