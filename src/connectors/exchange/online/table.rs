//! Which cmdlets list, and which the public Admin API has.

/// Cmdlets that list recipients: they take `ResultSize`, and stop at 1000 without it.
const LISTS: &[&str] = &[
    "Get-CASMailbox",
    "Get-Contact",
    "Get-DistributionGroup",
    "Get-DistributionGroupMember",
    "Get-DynamicDistributionGroup",
    "Get-DynamicDistributionGroupMember",
    "Get-Group",
    "Get-MailContact",
    "Get-MailUser",
    "Get-Mailbox",
    "Get-MailboxPermission",
    "Get-Recipient",
    "Get-RecipientPermission",
    "Get-UnifiedGroup",
    "Get-User",
];

/// Endpoints of the Exchange Online Admin API v2.0 (preview), as Microsoft's reference lists them under "Exchange Online
/// Admin API"; each takes the same body as `InvokeCommand`, and no other cmdlet.
const PUBLIC: &[(&str, &str)] = &[
    ("Add-MailboxFolderPermission", "MailboxFolderPermission"),
    ("Get-AcceptedDomain", "AcceptedDomain"),
    ("Get-DistributionGroupMember", "DistributionGroupMember"),
    ("Get-DynamicDistributionGroupMember", "DynamicDistributionGroupMember"),
    ("Get-Mailbox", "Mailbox"),
    ("Get-MailboxFolderPermission", "MailboxFolderPermission"),
    ("Get-OrganizationConfig", "OrganizationConfig"),
    ("Remove-MailboxFolderPermission", "MailboxFolderPermission"),
    ("Set-Mailbox", "Mailbox"),
    ("Set-MailboxFolderPermission", "MailboxFolderPermission"),
];

/// What the public `Set-Mailbox` takes: only who may send on behalf.
const PUBLIC_SET_MAILBOX: [&str; 2] = ["Identity", "GrantSendOnBehalfTo"];

pub(super) fn lists(cmdlet: &str) -> bool {
    LISTS.iter().any(|listed| listed.eq_ignore_ascii_case(cmdlet))
}

/// The public endpoint for a cmdlet with these parameters.
pub(super) fn public<'a>(cmdlet: &str, mut params: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    let (name, endpoint) = PUBLIC.iter().find(|(listed, _)| listed.eq_ignore_ascii_case(cmdlet))?;
    let fits = *name != "Set-Mailbox"
        || params.all(|param| PUBLIC_SET_MAILBOX.iter().any(|listed| listed.eq_ignore_ascii_case(param)));
    fits.then_some(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_interface_is_small() {
        assert_eq!(public("get-mailbox", [].into_iter()), Some("Mailbox"));
        assert_eq!(public("Set-Mailbox", ["identity", "GrantSendOnBehalfTo"].into_iter()), Some("Mailbox"));
        assert_eq!(public("Set-Mailbox", ["Identity", "Type"].into_iter()), None);
        assert_eq!(public("New-DistributionGroup", [].into_iter()), None);
    }
}
