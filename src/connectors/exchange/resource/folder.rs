//! A role on a folder of a mailbox. The folder is asked for by what it is: its name is in the language of its owner.

use uuid::Uuid;

use crate::connectors::exchange::calls::{Calls, at, has};
use crate::connectors::exchange::cmdlet::{Anchor, Class, Cmdlet, Object, Param};
use crate::connectors::exchange::fault;
use crate::connectors::exchange::value::Properties;
use crate::target::{Difference, Fault, Presence, Seen, State, Value};

/// Exchange's word for the folder, where it is one that people give rights on.
fn scope(folder: &str) -> Option<&'static str> {
    match folder {
        "calendar" => Some("Calendar"),
        "inbox" => Some("Inbox"),
        "contacts" => Some("Contacts"),
        "tasks" => Some("Tasks"),
        _ => None,
    }
}

/// `<mailbox>:\Kalender`; None where the mailbox has no such folder.
pub async fn path(calls: &mut Calls<'_>, mailbox: Uuid, folder: &str) -> Result<Option<String>, Fault> {
    let Some(scope) = scope(folder) else {
        return Err(Fault::Refused {
            why: format!("“{folder}” is not a folder that rights are given on."),
            attribute: None,
        });
    };
    let id = mailbox.to_string();
    let look = at(Cmdlet::read("Get-MailboxFolderStatistics"), &id)
        .text("FolderScope", scope)
        .anchored(Anchor::Mailbox(id.clone()));
    let found = calls.all(look).await?;
    let of_type = |object: &&Object| {
        let kind = Properties(object).text("FolderType").ok().flatten();
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(scope))
    };
    let path = found.iter().find(of_type).and_then(|object| Properties(object).text("FolderPath").ok().flatten());
    Ok(path.map(|path| format!("{id}:{}", path.replace('/', "\\"))))
}

/// Looks at the role that the trustee has.
pub async fn observe(
    calls: &mut Calls<'_>,
    (mailbox, trustee, folder): (Uuid, Uuid, &str),
) -> Result<Option<Seen>, Fault> {
    let Some(path) = path(calls, mailbox, folder).await? else { return Ok(None) };
    let look = at(Cmdlet::read("Get-MailboxFolderPermission"), &path).text("User", trustee.to_string());
    let outcome = calls.run(look.anchored(Anchor::Mailbox(mailbox.to_string()))).await?;
    let gone = |class: &Class| matches!(class, Class::NotFound | Class::NotMember);
    if let Some(error) = outcome.errors.iter().find(|error| !gone(&error.class)) {
        return Err(fault::of_error(error, false));
    }
    let role = outcome.objects.iter().find_map(role);
    Ok(role.map(|role| {
        let state = State([("role".to_owned(), Value::Text(role))].into());
        Seen { id: None, state, native: calls.native() }
    }))
}

/// The role of an entry; none for "None".
pub fn role(object: &Object) -> Option<String> {
    let rights = Properties(object).list("AccessRights").ok()?;
    rights.into_iter().next().filter(|role| !role.eq_ignore_ascii_case("None"))
}

/// Gives the role, changes it, or takes it away.
pub async fn ensure(
    calls: &mut Calls<'_>,
    (mailbox, trustee, folder): (Uuid, Uuid, &str),
    step: &Difference,
    seen: Option<&Seen>,
) -> Result<(), Fault> {
    let Some(path) = path(calls, mailbox, folder).await? else {
        return Err(Fault::Refused { why: "The mailbox has no such folder.".to_owned(), attribute: None });
    };
    let cmdlet = command((&path, &trustee.to_string()), step, seen.is_some());
    let adds = cmdlet.name.starts_with("Add-");
    let outcome = calls.run(cmdlet).await?;
    if adds && has(&outcome.errors, &Class::AlreadyMember) {
        // Somebody has an entry already ("None", or another role since we looked): it is changed.
        calls.write(command((&path, &trustee.to_string()), step, true), &[]).await?;
        return Ok(());
    }
    let fine = |class: &Class| matches!(class, Class::NotMember) && !adds;
    match outcome.errors.iter().find(|error| !fine(&error.class)) {
        Some(error) => Err(fault::of_error(error, true)),
        None => Ok(()),
    }
}

/// The cmdlet for that. `there`: the trustee has an entry on the folder.
pub fn command((path, to): (&str, &str), step: &Difference, there: bool) -> Cmdlet {
    if matches!(step.presence, Some((_, Presence::Absent))) {
        return at(Cmdlet::write("Remove-MailboxFolderPermission"), path).text("User", to);
    }
    let role = step.change("role").and_then(|change| change.to.as_text()).unwrap_or("Reviewer");
    let name = if there { "Set-MailboxFolderPermission" } else { "Add-MailboxFolderPermission" };
    at(Cmdlet::write(name), path).text("User", to).with("AccessRights", Param::List(vec![role.to_owned()]))
}
