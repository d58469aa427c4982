//! The cmdlets that a step will send if the organisation is as the plan says, for those who want to see them. Made by the
//! same functions as those that are sent; secrets are masked.

use uuid::Uuid;

use super::cmdlet::Cmdlet;
use super::flavour::Flavour;
use super::resource::{Places, Way, folder, list, mailbox, membership, permission, settings, wanted};
use crate::target::{Address, Change, Difference, Key, Kind, Presence, Reference, Value};

/// What the cmdlets that make something set already; the rest follows in others.
const MADE: [&str; 7] = ["type", "displayName", "alias", "primaryAddress", "owners", "description", "departments"];

/// The exact cmdlets, as they would be typed. `name` says how an end of the key is called where its id is not known yet.
/// What only the moment of sending knows stands in pointed brackets; a server they are pinned to is added then.
pub fn commands(
    (flavour, places): (Flavour, &Places),
    kind: Kind,
    (key, difference): (&Key, &Difference),
    name: &dyn Fn(&Reference) -> String,
) -> Vec<String> {
    let mark = Uuid::nil().simple().to_string();
    let shown = |cmdlet: Cmdlet| cmdlet.flag("Confirm", false).to_string().replace(&mark, "<mark>");
    cmdlets(flavour, places, kind, (key, difference), name).into_iter().map(shown).collect()
}

/// The same as values, for an organisation with these places.
pub fn cmdlets(
    flavour: Flavour,
    places: &Places,
    kind: Kind,
    (key, difference): (&Key, &Difference),
    name: &dyn Fn(&Reference) -> String,
) -> Vec<Cmdlet> {
    let way = Way { flavour, places };
    let identity = match key {
        Key::Native { id } => name(&Reference::Native(*id)),
        Key::Step { step } => name(&Reference::Step { step: step.clone() }),
        _ => String::new(),
    };
    let appears = matches!(difference.presence, Some((_, Presence::Present)));
    let goes = matches!(difference.presence, Some((_, Presence::Absent)));
    let new = matches!(key, Key::New { .. });
    // What a new object is called until it is there; the real name carries the step's id.
    let correlation = Uuid::nil();
    let identity = if new { "<new>".to_owned() } else { identity };
    let alias = wanted(&difference.changes, "alias").and_then(Value::as_text);
    // What stays as it is was approved as a condition; nothing is sent for it.
    let moves: Vec<Change> = difference.changes.iter().filter(|change| change.from != change.to).cloned().collect();
    let rest: Vec<Change> = moves.iter().filter(|change| !MADE.contains(&change.attribute.as_str())).cloned().collect();
    match (kind, key) {
        (Kind::Mailbox, _) if goes => mailbox::removal(&identity, difference, None),
        (Kind::Mailbox, _) if appears => {
            let address = if new { Address::New { correlation } } else { Address::Native(correlation) };
            let stub = wanted(&difference.changes, "type").and_then(Value::as_text);
            let stub = stub.is_some_and(|word| word.starts_with("remote"));
            let mut cmdlets = mailbox::creation(way, &address, &identity, difference);
            cmdlets.extend(new.then(|| mailbox::naming(&identity, correlation, alias)));
            cmdlets.extend(mailbox::changes(way, &identity, stub, &rest));
            cmdlets
        }
        (Kind::Mailbox, _) => {
            let stub = difference.change("type").and_then(|change| change.from.as_text());
            let stub = stub.is_some_and(|word| word.starts_with("remote"));
            mailbox::changes(way, &identity, stub, &moves)
        }
        (Kind::AutoReply, _) => settings::reply_changes(&identity, &difference.changes),
        (Kind::Booking, _) => settings::booking_changes(&identity, &difference.changes),
        (Kind::List, _) if goes => vec![list::removal(&identity, None)],
        (Kind::List, _) if appears => {
            let dynamic = wanted(&difference.changes, "type").and_then(Value::as_text) == Some("dynamic");
            let late = |change: &&Change| dynamic && ["owners", "description"].contains(&change.attribute.as_str());
            let rest: Vec<Change> = difference.changes.iter().filter(late).chain(&rest).cloned().collect();
            let mut cmdlets = vec![list::creation(way, correlation, difference)];
            cmdlets.push(list::naming(dynamic, &identity, correlation, alias));
            cmdlets.extend(list::changes(way, &identity, dynamic, &rest));
            cmdlets
        }
        (Kind::List, _) => list::changes(way, &identity, false, &difference.changes),
        (Kind::ListMembership, Key::Member { group, member }) => {
            let to = if goes { Presence::Absent } else { Presence::Present };
            vec![membership::command((&name(group), &name(member)), to)]
        }
        (Kind::MailboxPermission, Key::Permission { object, trustee, right }) => {
            permission::commands(way.flavour, (&name(object), &name(trustee), right), difference, "Set-Mailbox")
        }
        (Kind::FolderPermission, Key::Permission { object, trustee, right }) => {
            let there = difference.presence.is_none();
            vec![folder::command((&format!("{}:\\{right}", name(object)), &name(trustee)), difference, there)]
        }
        _ => Vec::new(),
    }
}
