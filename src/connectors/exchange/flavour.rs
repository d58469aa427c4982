//! On premises or Online: what each can do, and with which parameters.

use super::cmdlet::{Cmdlet, Effect};
use crate::target::{Difference, Kind, Presence, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    OnPremises,
    Online,
}

impl Flavour {
    /// The word in settings and in `target_system.facts`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnPremises => "on_premises",
            Self::Online => "online",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::OnPremises, Self::Online].into_iter().find(|flavour| flavour.as_str() == word)
    }
}

/// A cmdlet's parameters: those of both flavours, those on premises alone, those Online alone. An empty cell with
/// `ABSENT` first: the cmdlet is not there.
struct Row {
    name: &'static str,
    both: &'static [&'static str],
    on_premises: Option<&'static [&'static str]>,
    online: Option<&'static [&'static str]>,
}

const fn row(
    name: &'static str,
    both: &'static [&'static str],
    on_premises: &'static [&'static str],
    online: &'static [&'static str],
) -> Row {
    Row { name, both, on_premises: Some(on_premises), online: Some(online) }
}

const fn on_premises(name: &'static str, parameters: &'static [&'static str]) -> Row {
    Row { name, both: &[], on_premises: Some(parameters), online: None }
}

const fn online(name: &'static str, parameters: &'static [&'static str]) -> Row {
    Row { name, both: &[], on_premises: None, online: Some(parameters) }
}

const DC: &[&str] = &["DomainController"];

/// The parameters that this connector uses, as Microsoft documents them per cmdlet and flavour.
const TABLE: &[Row] = &[
    row("Get-Mailbox", &["Identity", "Filter", "ResultSize"], DC, &[]),
    on_premises("Get-RemoteMailbox", &["Identity", "Filter", "ResultSize", "DomainController"]),
    row("Get-Recipient", &["Identity", "Filter", "ResultSize"], DC, &[]),
    row(
        "Enable-Mailbox",
        &["Identity", "Archive"],
        &["Alias", "PrimarySmtpAddress", "Shared", "Room", "Equipment", "Database", "DomainController"],
        &[],
    ),
    row("Disable-Mailbox", &["Identity", "Archive"], DC, &[]),
    on_premises(
        "Enable-RemoteMailbox",
        &["Identity", "Alias", "PrimarySmtpAddress", "RemoteRoutingAddress", "Shared", "Archive", "DomainController"],
    ),
    on_premises("Disable-RemoteMailbox", &["Identity", "Archive", "DomainController"]),
    on_premises(
        "Set-RemoteMailbox",
        &[
            "Identity",
            "Type",
            "DisplayName",
            "Alias",
            "PrimarySmtpAddress",
            "EmailAddresses",
            "EmailAddressPolicyEnabled",
            "HiddenFromAddressListsEnabled",
            "GrantSendOnBehalfTo",
            "DomainController",
        ],
    ),
    on_premises("Remove-RemoteMailbox", &["Identity", "DomainController"]),
    row(
        "New-Mailbox",
        &["Name", "Alias", "DisplayName", "PrimarySmtpAddress", "Shared", "Room", "Equipment"],
        &["OrganizationalUnit", "Database", "UserPrincipalName", "DomainController"],
        &[],
    ),
    row("Remove-Mailbox", &["Identity"], DC, &[]),
    on_premises(
        "Connect-Mailbox",
        &["Identity", "Database", "User", "Alias", "Shared", "Room", "Equipment", "DomainController"],
    ),
    row(
        "Set-Mailbox",
        &[
            "Identity",
            "Type",
            "Name",
            "DisplayName",
            "Alias",
            "EmailAddresses",
            "HiddenFromAddressListsEnabled",
            "ForwardingAddress",
            "ForwardingSmtpAddress",
            "DeliverToMailboxAndForward",
            "IssueWarningQuota",
            "ProhibitSendQuota",
            "ProhibitSendReceiveQuota",
            "LitigationHoldEnabled",
            "LitigationHoldDuration",
            "ResourceCapacity",
            "GrantSendOnBehalfTo",
            "CustomAttribute15",
        ],
        &["PrimarySmtpAddress", "EmailAddressPolicyEnabled", "UseDatabaseQuotaDefaults", "DomainController"],
        &[],
    ),
    row("Get-MailboxAutoReplyConfiguration", &["Identity"], DC, &[]),
    row(
        "Set-MailboxAutoReplyConfiguration",
        &[
            "Identity",
            "AutoReplyState",
            "InternalMessage",
            "ExternalMessage",
            "ExternalAudience",
            "StartTime",
            "EndTime",
        ],
        DC,
        &[],
    ),
    row("Get-CalendarProcessing", &["Identity"], DC, &[]),
    row(
        "Set-CalendarProcessing",
        &[
            "Identity",
            "AutomateProcessing",
            "AllowConflicts",
            "BookingWindowInDays",
            "MaximumDurationInMinutes",
            "ResourceDelegates",
            "AllBookInPolicy",
            "AllRequestInPolicy",
        ],
        DC,
        &[],
    ),
    row("Get-DistributionGroup", &["Identity", "Filter", "ResultSize"], DC, &[]),
    row(
        "New-DistributionGroup",
        &[
            "Name",
            "Alias",
            "DisplayName",
            "PrimarySmtpAddress",
            "Type",
            "ManagedBy",
            "ModeratedBy",
            "ModerationEnabled",
            "Notes",
            "RequireSenderAuthenticationEnabled",
            "OrganizationalUnit",
        ],
        DC,
        &[],
    ),
    row(
        "Set-DistributionGroup",
        &[
            "Identity",
            "Name",
            "DisplayName",
            "Alias",
            "PrimarySmtpAddress",
            "EmailAddresses",
            "ManagedBy",
            "HiddenFromAddressListsEnabled",
            "ModerationEnabled",
            "ModeratedBy",
            "AcceptMessagesOnlyFromSendersOrMembers",
            "RequireSenderAuthenticationEnabled",
            "GrantSendOnBehalfTo",
            "CustomAttribute15",
            "BypassSecurityGroupManagerCheck",
        ],
        &["EmailAddressPolicyEnabled", "DomainController"],
        &[],
    ),
    row("Remove-DistributionGroup", &["Identity", "BypassSecurityGroupManagerCheck"], DC, &[]),
    row("Get-DynamicDistributionGroup", &["Identity", "Filter", "ResultSize"], DC, &[]),
    row(
        "New-DynamicDistributionGroup",
        &[
            "Name",
            "Alias",
            "DisplayName",
            "PrimarySmtpAddress",
            "IncludedRecipients",
            "ConditionalDepartment",
            "ModeratedBy",
            "ModerationEnabled",
            "OrganizationalUnit",
        ],
        DC,
        &[],
    ),
    row(
        "Set-DynamicDistributionGroup",
        &[
            "Identity",
            "Name",
            "DisplayName",
            "Alias",
            "PrimarySmtpAddress",
            "EmailAddresses",
            "ManagedBy",
            "Notes",
            "HiddenFromAddressListsEnabled",
            "ModerationEnabled",
            "ModeratedBy",
            "AcceptMessagesOnlyFromSendersOrMembers",
            "RequireSenderAuthenticationEnabled",
            "IncludedRecipients",
            "ConditionalDepartment",
            "CustomAttribute15",
        ],
        &["EmailAddressPolicyEnabled", "DomainController"],
        &[],
    ),
    row("Remove-DynamicDistributionGroup", &["Identity"], DC, &[]),
    row("Get-DistributionGroupMember", &["Identity", "ResultSize"], DC, &[]),
    row("Add-DistributionGroupMember", &["Identity", "Member", "BypassSecurityGroupManagerCheck"], DC, &[]),
    row("Remove-DistributionGroupMember", &["Identity", "Member", "BypassSecurityGroupManagerCheck"], DC, &[]),
    row("Get-MailboxPermission", &["Identity", "User", "ResultSize"], DC, &[]),
    row("Add-MailboxPermission", &["Identity", "User", "AccessRights", "AutoMapping", "InheritanceType"], DC, &[]),
    row("Remove-MailboxPermission", &["Identity", "User", "AccessRights", "InheritanceType"], DC, &[]),
    on_premises("Get-ADPermission", &["Identity", "User", "DomainController"]),
    on_premises("Add-ADPermission", &["Identity", "User", "ExtendedRights", "DomainController"]),
    on_premises("Remove-ADPermission", &["Identity", "User", "ExtendedRights", "DomainController"]),
    online("Get-RecipientPermission", &["Identity", "Trustee", "AccessRights", "ResultSize"]),
    online("Add-RecipientPermission", &["Identity", "Trustee", "AccessRights"]),
    online("Remove-RecipientPermission", &["Identity", "Trustee", "AccessRights"]),
    row("Get-MailboxFolderStatistics", &["Identity", "FolderScope"], DC, &[]),
    row("Get-MailboxFolderPermission", &["Identity", "User"], DC, &[]),
    row("Add-MailboxFolderPermission", &["Identity", "User", "AccessRights"], DC, &[]),
    row("Set-MailboxFolderPermission", &["Identity", "User", "AccessRights"], DC, &[]),
    row("Remove-MailboxFolderPermission", &["Identity", "User"], DC, &[]),
    row("Get-AcceptedDomain", &[], DC, &[]),
    row("Get-OrganizationConfig", &[], DC, &[]),
];

/// The names that a cmdlet takes in this flavour; None: it is not there.
fn parameters(flavour: Flavour, cmdlet: &str) -> Option<impl Iterator<Item = &'static str>> {
    let row = TABLE.iter().find(|row| row.name == cmdlet)?;
    let own = match flavour {
        Flavour::OnPremises => row.on_premises?,
        Flavour::Online => row.online?,
    };
    Some(row.both.iter().chain(own).copied())
}

/// Whether a cmdlet takes that parameter in this flavour.
pub fn takes(flavour: Flavour, cmdlet: &str, parameter: &str) -> bool {
    parameters(flavour, cmdlet).is_some_and(|mut known| known.any(|known| known == parameter))
}

/// Whether this flavour has the cmdlet with these parameters.
///
/// # Errors
/// What it lacks, in words.
pub fn check(flavour: Flavour, cmdlet: &Cmdlet) -> Result<(), String> {
    let where_ = match flavour {
        Flavour::OnPremises => "on premises",
        Flavour::Online => "Online",
    };
    let Some(known) = parameters(flavour, &cmdlet.name) else {
        return Err(format!("Exchange {where_} has no {}", cmdlet.name));
    };
    let known: Vec<&str> = known.collect();
    let confirm = |name: &str| name == "Confirm" && cmdlet.effect != Effect::Read;
    match cmdlet.params.iter().find(|(name, _)| !known.contains(&name.as_str()) && !confirm(name)) {
        Some((name, _)) => Err(format!("{} has no parameter {name} in Exchange {where_}", cmdlet.name)),
        None => Ok(()),
    }
}

/// What belongs to the messages themselves, and not to the recipient: a remote mailbox has it Online.
const INSIDE: [&str; 9] = [
    "litigationHold",
    "litigationHoldDays",
    "forwardTo",
    "forwardToAddress",
    "deliverAndForward",
    "warningQuota",
    "sendQuota",
    "sendReceiveQuota",
    "capacity",
];

/// Whether this flavour can do what a step says; asked when a plan is made.
///
/// # Errors
/// What it cannot do, in words.
pub fn supports(flavour: Flavour, kind: Kind, difference: &Difference, new: bool) -> Result<(), String> {
    let to = |attribute: &str| difference.change(attribute).map(|change| &change.to);
    let appears = matches!(difference.presence, Some((_, Presence::Present)));
    let wanted = to("type").and_then(Value::as_text).unwrap_or_default();
    match (flavour, kind) {
        (Flavour::Online, Kind::Mailbox) if appears && !new => {
            Err("Exchange Online makes a person’s mailbox by itself, once account and licence got there".to_owned())
        }
        (Flavour::Online, Kind::Mailbox) if wanted.starts_with("remote") => {
            Err("Remote mailboxes are on premises".to_owned())
        }
        (Flavour::OnPremises, Kind::Mailbox) if new && wanted.starts_with("remote") => {
            Err("A remote mailbox belongs to an account that is there".to_owned())
        }
        (Flavour::OnPremises, Kind::Mailbox)
            if wanted.starts_with("remote") && INSIDE.iter().any(|name| to(name).is_some()) =>
        {
            Err("What a remote mailbox holds, forwards and keeps is set Online".to_owned())
        }
        (Flavour::Online, Kind::Mailbox) if to("reconnect").is_some() => {
            Err("Exchange Online reconnects a mailbox by itself when its account comes back".to_owned())
        }
        _ => Ok(()),
    }
}
