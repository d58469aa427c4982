//! What an error of a cmdlet means, on both legs: by the name of its type, never by its message, which comes in the
//! server's language and changes with its patches.

use super::cmdlet::Class;

/// A name without its namespace, and what it means. Names as `Microsoft.Exchange.*` of Exchange 2016 to SE and Online throws them.
const TYPES: &[(&str, Class)] = &[
    ("ManagementObjectNotFoundException", Class::NotFound),
    ("ADNoSuchObjectException", Class::NotFound),
    ("MailboxNotFoundException", Class::NotFound),
    ("ObjectNotFoundException", Class::NotFound),
    ("ADObjectAlreadyExistsException", Class::AlreadyExists),
    ("ObjectAlreadyExistsException", Class::AlreadyExists),
    ("ProxyAddressExistsException", Class::AlreadyExists),
    ("UserAlreadyExistsException", Class::AlreadyExists),
    ("MemberAlreadyExistsException", Class::AlreadyMember),
    // A folder's permissions are entries of one list: to be in it already, or not to be in it.
    ("UserAlreadyExistsInPermissionEntryException", Class::AlreadyMember),
    ("MemberNotFoundException", Class::NotMember),
    ("UserNotFoundInPermissionEntryException", Class::NotMember),
    ("ManagementObjectAmbiguousException", Class::Ambiguous),
    ("NonUniqueRecipientException", Class::Ambiguous),
    ("UnauthorizedAccessException", Class::Denied),
    ("CmdletAccessDeniedException", Class::Denied),
    ("AuthorizationException", Class::Denied),
    ("OperationRequiresGroupManagerException", Class::Denied),
    ("SecurityException", Class::Denied),
    // A role that lacks a cmdlet hides it: both legs then say that there is none.
    ("CommandNotFoundException", Class::Denied),
    ("OverBudgetException", Class::Throttled { after: None }),
    ("ServerBusyException", Class::Throttled { after: None }),
    ("ResourceUnhealthyException", Class::Throttled { after: None }),
    ("ThrottlingRejectedOperationException", Class::Throttled { after: None }),
    ("CmdletProxyNotAvailableFailure", Class::Transient),
    ("TransientException", Class::Transient),
    ("BackendCommunicationException", Class::Transient),
    ("NoSuitableServerFoundException", Class::Transient),
    ("SuitabilityDirectoryException", Class::Transient),
    ("PSRemotingTransportException", Class::SessionLost),
    ("InvalidRunspaceStateException", Class::SessionLost),
    ("InvalidRunspacePoolStateException", Class::SessionLost),
    ("InvalidShellID", Class::SessionLost),
    ("RecipientTaskException", Class::Other),
];

/// The class of an error: the first of type name, reason and fully qualified id that the table knows. Names may carry a
/// namespace; an id may carry Exchange's `[FailureCategory=Cmdlet-…]`.
pub fn class(type_name: &str, reason: &str, fully_qualified_id: &str) -> Class {
    [type_name, reason]
        .into_iter()
        .filter_map(known)
        .next()
        .or_else(|| id_names(fully_qualified_id).find_map(known))
        .unwrap_or(Class::Other)
}

/// `Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException` → `ManagementObjectNotFoundException`.
pub fn short(type_name: &str) -> &str {
    type_name.rsplit(['.', '+']).next().unwrap_or(type_name).trim()
}

fn known(name: &str) -> Option<Class> {
    let name = short(name);
    let listed = TYPES.iter().find(|(listed, _)| listed.eq_ignore_ascii_case(name)).map(|(_, class)| class.clone());
    // ADTransientException, StorageTransientException, ConnectionFailedTransientException …: one family by its name.
    listed.or_else(|| name.ends_with("TransientException").then_some(Class::Transient))
}

/// `[Server=EX01,RequestId=…] [FailureCategory=Cmdlet-MemberNotFoundException] A1B2C3,Microsoft.Exchange…RemoveMember` names
/// the category; plain ids (`CommandNotFoundException`, `WSMan-InvalidShellID,…`) name themselves before the first comma.
fn id_names(id: &str) -> impl Iterator<Item = &str> {
    let category = id
        .split_once("FailureCategory=")
        .map(|(_, rest)| rest.split([']', ',', ' ']).next().unwrap_or(rest))
        .map(|category| category.rsplit('-').next().unwrap_or(category));
    let head = id.split(',').next().map(|head| head.trim().rsplit('-').next().unwrap_or(head));
    category.into_iter().chain(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_type_with_or_without_namespace() {
        assert_eq!(class("ManagementObjectNotFoundException", "", ""), Class::NotFound);
        assert_eq!(
            class("Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException", "", ""),
            Class::NotFound
        );
        assert_eq!(
            class("", "Microsoft.Exchange.Data.Directory.ADObjectAlreadyExistsException", ""),
            Class::AlreadyExists
        );
        assert_eq!(
            class("System.Management.Automation.RemoteException", "MemberAlreadyExistsException", ""),
            Class::AlreadyMember
        );
    }

    #[test]
    fn by_id() {
        let id = "[Server=EX01,RequestId=1,TimeStamp=2/3/2026 1:02:03 PM] [FailureCategory=Cmdlet-MemberNotFoundException] \
                  5E2A0B7A,Microsoft.Exchange.Management.RecipientTasks.RemoveDistributionGroupMember";
        assert_eq!(class("", "", id), Class::NotMember);
        assert_eq!(class("", "", "CommandNotFoundException"), Class::Denied);
        assert_eq!(class("", "", "WSMan-InvalidShellID,Something"), Class::SessionLost);
        assert_eq!(class("", "", "5E2A0B7A,Microsoft.Exchange.Management.Whatever"), Class::Other);
    }

    #[test]
    fn families_and_the_unknown() {
        assert_eq!(class("Microsoft.Exchange.Data.Directory.ADTransientException", "", ""), Class::Transient);
        assert_eq!(class("ServerBusyException", "", ""), Class::Throttled { after: None });
        assert_eq!(class("RecipientTaskException", "", ""), Class::Other);
        assert_eq!(class("", "", ""), Class::Other);
    }

    #[test]
    fn each_name_is_listed_once() {
        for (at, (name, _)) in TYPES.iter().enumerate() {
            assert!(!TYPES[at + 1..].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)), "{name}");
        }
    }
}
