"""Properties as Exchange shows them: sizes, addresses, identities, and the objects that Get cmdlets give."""

import datetime
import re
import uuid

import errors
from directory import parent_of

DETAILS = {1: "UserMailbox", 4: "SharedMailbox", 16: "RoomMailbox", 32: "EquipmentMailbox", 128: "MailUser", 2147483648: "RemoteUserMailbox",
           34359738368: "RemoteSharedMailbox", 8589934592: "RemoteRoomMailbox", 17179869184: "RemoteEquipmentMailbox"}
BY_NAME = {name: number for number, name in DETAILS.items()}
MAILBOXES = {1, 4, 16, 32}
REMOTES = {2147483648, 34359738368, 8589934592, 17179869184}
KINDS = {"Regular": 1, "Shared": 4, "Room": 16, "Equipment": 32}
REMOTE_KINDS = {"Regular": 2147483648, "Shared": 34359738368, "Room": 8589934592, "Equipment": 17179869184}
DISPLAY = {1: 1073741824, 4: 0, 16: 7, 32: 8, 128: 6, 2147483648: -2147483642, 34359738368: -2147483642, 8589934592: -2147481850, 17179869184: -2147481594}
LIST, SECURITY_LIST = 1, 1073741833
ZERO = uuid.UUID(int=0)
UNITS = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
MANAGEMENT = "Microsoft.Exchange.Data.Directory.Management."


def kind(one: dict) -> int:
    return int(one.get("msExchRecipientTypeDetails", 0))


def is_group(one: dict) -> bool:
    return "group" in one.get("objectClass", [])


def is_mailbox(one: dict) -> bool:
    return kind(one) in MAILBOXES and bool(one.get("mailNickname"))


def is_remote(one: dict) -> bool:
    return kind(one) in REMOTES and bool(one.get("mailNickname"))


def is_list(one: dict) -> bool:
    return is_group(one) and bool(one.get("mailNickname"))


def details(one: dict) -> str:
    if is_group(one):
        if not one.get("mailNickname"):
            return "Group"
        return "MailUniversalSecurityGroup" if int(one.get("groupType", 0)) & 0x80000000 else "MailUniversalDistributionGroup"
    if not one.get("mailNickname"):
        return "DisabledUser" if int(one.get("userAccountControl", 0)) & 2 else "User"
    return DETAILS.get(kind(one), "MailUser")


def recipient_type(one: dict) -> str:
    shown = details(one)
    if shown in ("UserMailbox", "SharedMailbox", "RoomMailbox", "EquipmentMailbox"):
        return "UserMailbox"
    return "MailUser" if shown.startswith("Remote") else shown


def flag(one: dict, name: str) -> bool:
    return str(one.get(name, "")).upper() == "TRUE"


def primary(one: dict) -> str:
    for value in one.get("proxyAddresses", []):
        if value.startswith("SMTP:"):
            return value[5:]
    return one.get("mail", "")


def size(count: int | None) -> str:
    """99 GB (106,300,440,576 bytes)"""
    if count is None:
        return "Unlimited"
    for unit in ("TB", "GB", "MB", "KB"):
        if count >= UNITS[unit]:
            return f"{count / UNITS[unit]:.4g} {unit} ({count:,} bytes)"
    return f"{count} B ({count:,} bytes)"


def size_from(text, parameter: str) -> int | None:
    """Bytes; None for Unlimited."""
    value = str(text).strip()
    if value.lower() == "unlimited":
        return None
    inner = re.search(r"\(([\d,]+) bytes\)", value)
    if inner:
        return int(inner.group(1).replace(",", ""))
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(|B|KB|MB|GB|TB)", value, re.IGNORECASE)
    if not found:
        raise errors.CmdletError("System.Management.Automation.ParameterBindingException", f"Cannot process argument transformation on parameter '{parameter}'. "
                                 f"Cannot convert value \"{value}\" to type \"Microsoft.Exchange.Data.Unlimited`1[Microsoft.Exchange.Data.ByteQuantifiedSize]\".", "InvalidArgument",
                                 parameter, "ParameterArgumentTransformationError", terminating=True)
    return int(float(found.group(1)) * UNITS[found.group(2).upper()])


def when(one: dict, name: str):
    text = one.get(name)
    if not text:
        return None
    try:
        return datetime.datetime.strptime(text.split(".")[0], "%Y%m%d%H%M%S").replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        return None


def shown_list(c, values) -> list[str]:
    return [c.backend.shown(value) for value in values or []]


def shown_one(c, value):
    return c.backend.shown(value) if value else None


def database_name(one: dict):
    dn = one.get("homeMDB")
    return dn.split(",")[0][3:] if dn else None


def quota(one: dict, name: str) -> str:
    return size(int(one[name]) * 1024) if one.get(name) else "Unlimited"


def base(c, one: dict, type_name: str) -> dict:
    extra = c.store.get("extra", one["objectGUID"], {})
    senders, groups = [], []
    for value in one.get("authOrig", []):
        senders.append(value)
    for value in one.get("dLMemSubmitPerms", []):
        groups.append(value)
    made = {
        "__types": [MANAGEMENT + type_name, "Microsoft.Exchange.Data.Directory.ADPresentationObject", "Microsoft.Exchange.Data.Directory.ADObject",
                    "Microsoft.Exchange.Data.Directory.ADRawEntry", "Microsoft.Exchange.Data.ConfigurableObject", "System.Object"],
        "Identity": c.backend.shown(one["dn"]),
        "Id": c.backend.shown(one["dn"]),
        "Name": one.get("name") or one.get("cn"),
        "Guid": one["objectGUID"],
        "DistinguishedName": one["dn"],
        "DisplayName": one.get("displayName") or one.get("name"),
        "Alias": one.get("mailNickname", ""),
        "PrimarySmtpAddress": primary(one),
        "WindowsEmailAddress": one.get("mail", ""),
        "EmailAddresses": list(one.get("proxyAddresses", [])),
        "EmailAddressPolicyEnabled": c.backend.policy_on(one),
        "LegacyExchangeDN": one.get("legacyExchangeDN", ""),
        "RecipientType": recipient_type(one),
        "RecipientTypeDetails": details(one),
        "HiddenFromAddressListsEnabled": flag(one, "msExchHideFromAddressLists"),
        "RequireSenderAuthenticationEnabled": flag(one, "msExchRequireAuthToSendTo"),
        "GrantSendOnBehalfTo": shown_list(c, one.get("publicDelegates")),
        "AcceptMessagesOnlyFrom": shown_list(c, senders),
        "AcceptMessagesOnlyFromDLMembers": shown_list(c, groups),
        "AcceptMessagesOnlyFromSendersOrMembers": shown_list(c, senders + groups),
        "RejectMessagesFrom": shown_list(c, one.get("unauthOrig")),
        "RejectMessagesFromDLMembers": shown_list(c, one.get("dLMemRejectPerms")),
        "RejectMessagesFromSendersOrMembers": shown_list(c, one.get("unauthOrig", []) + one.get("dLMemRejectPerms", [])),
        "ModerationEnabled": flag(one, "msExchEnableModeration"),
        "ModeratedBy": shown_list(c, one.get("msExchModeratedByLink")),
        "BypassModerationFromSendersOrMembers": shown_list(c, one.get("msExchBypassModerationLink")),
        "SendModerationNotifications": extra.get("SendModerationNotifications", "Always"),
        "MailTip": extra.get("MailTip"),
        "MaxSendSize": extra.get("MaxSendSize", "Unlimited"),
        "MaxReceiveSize": extra.get("MaxReceiveSize", "Unlimited"),
        "OrganizationalUnit": c.backend.shown(parent_of(one["dn"])) if c.flavour == "onprem" else "example.onmicrosoft.com",
        "IsDirSynced": bool(one.get("synced")),
        "WhenCreated": when(one, "whenCreated"),
        "WhenChanged": when(one, "whenChanged"),
        "WhenCreatedUTC": when(one, "whenCreated"),
        "WhenChangedUTC": when(one, "whenChanged"),
        "IsValid": True,
        "ObjectState": "Unchanged",
    }
    for number in range(1, 16):
        made[f"CustomAttribute{number}"] = extra.get(f"CustomAttribute{number}", "")
    if c.flavour == "online":
        made["ExternalDirectoryObjectId"] = str(one["objectGUID"])
        made["OrganizationId"] = "EURPR01A001.PROD.OUTLOOK.COM/Microsoft Exchange Hosted Organizations/example.onmicrosoft.com - EURPR01A001.PROD.OUTLOOK.COM/ConfigurationUnits/example.onmicrosoft.com/Configuration"
    else:
        made["SamAccountName"] = one.get("sAMAccountName")
        made["OriginatingServer"] = c.backend.server
    return made


def hold(one: dict) -> bool:
    return bool(int(one.get("msExchELCMailboxFlags", 0)) & 8)


def mailbox(c, one: dict) -> dict:
    made = base(c, one, "Mailbox")
    kept = c.store.get("mailbox", one.get("msExchMailboxGuid"), {})
    shown = details(one)
    archive = one.get("msExchArchiveGUID")
    forward = one.get("msExchGenericForwardingAddress")
    made.update({
        "ExchangeGuid": one.get("msExchMailboxGuid", ZERO),
        "UserPrincipalName": one.get("userPrincipalName"),
        "Database": database_name(one) if c.flavour == "onprem" else "EURPR01DG001-db001",
        "ServerName": "ex01" if c.flavour == "onprem" else "am0pr01mb0001",
        "ForwardingAddress": shown_one(c, one.get("altRecipient")),
        "ForwardingSmtpAddress": forward,
        "DeliverToMailboxAndForward": flag(one, "deliverAndRedirect"),
        "IssueWarningQuota": quota(one, "mDBStorageQuota"),
        "ProhibitSendQuota": quota(one, "mDBOverQuotaLimit"),
        "ProhibitSendReceiveQuota": quota(one, "mDBOverHardQuotaLimit"),
        "UseDatabaseQuotaDefaults": str(one.get("mDBUseDefaults", "TRUE")).upper() == "TRUE" if c.flavour == "onprem" else False,
        "LitigationHoldEnabled": hold(one),
        "LitigationHoldDuration": kept.get("LitigationHoldDuration", "Unlimited"),
        "LitigationHoldDate": iso(kept.get("LitigationHoldDate")),
        "LitigationHoldOwner": kept.get("LitigationHoldOwner", ""),
        "RetentionHoldEnabled": bool(kept.get("RetentionHoldEnabled", False)),
        "RetentionPolicy": kept.get("RetentionPolicy"),
        "SingleItemRecoveryEnabled": kept.get("SingleItemRecoveryEnabled", c.flavour == "online"),
        "RetainDeletedItemsFor": kept.get("RetainDeletedItemsFor", "14.00:00:00"),
        "MessageCopyForSentAsEnabled": bool(kept.get("MessageCopyForSentAsEnabled", False)),
        "MessageCopyForSendOnBehalfEnabled": bool(kept.get("MessageCopyForSendOnBehalfEnabled", False)),
        "AuditEnabled": bool(kept.get("AuditEnabled", False)),
        "ArchiveGuid": archive or ZERO,
        "ArchiveName": list(one.get("msExchArchiveName", [])),
        "ArchiveStatus": "Active" if archive else "None",
        "ArchiveState": "Local" if archive else "None",
        "ArchiveDatabase": (database_name(one) if c.flavour == "onprem" else "EURPR01DG001-db001") if archive else None,
        "AutoExpandingArchiveEnabled": bool(kept.get("AutoExpandingArchiveEnabled", False)),
        "IsMailboxEnabled": True,
        "IsShared": shown == "SharedMailbox",
        "IsResource": shown in ("RoomMailbox", "EquipmentMailbox"),
        "ResourceType": {"RoomMailbox": "Room", "EquipmentMailbox": "Equipment"}.get(shown),
        "ResourceCapacity": kept.get("ResourceCapacity"),
        "ResourceCustom": kept.get("ResourceCustom", []),
        "AccountDisabled": bool(int(one.get("userAccountControl", 512)) & 2),
        "Office": one.get("physicalDeliveryOfficeName", ""),
        "Languages": kept.get("Languages", []),
        "RecipientLimits": kept.get("RecipientLimits", "Unlimited"),
        "WhenMailboxCreated": iso(kept.get("created")) or made["WhenCreated"],
    })
    return made


def remote_mailbox(c, one: dict) -> dict:
    made = base(c, one, "RemoteMailbox")
    archive = one.get("msExchArchiveGUID")
    made.update({
        "ExchangeGuid": one.get("msExchMailboxGuid", ZERO),
        "UserPrincipalName": one.get("userPrincipalName"),
        "RemoteRoutingAddress": one.get("targetAddress", ""),
        "RemoteRecipientType": remote_text(int(one.get("msExchRemoteRecipientType", 1))),
        "OnPremisesOrganizationalUnit": made["OrganizationalUnit"],
        "ArchiveGuid": archive or ZERO,
        "ArchiveName": list(one.get("msExchArchiveName", [])),
        "ArchiveState": "HostedProvisioned" if archive else "None",
        "AccountDisabled": bool(int(one.get("userAccountControl", 512)) & 2),
    })
    return made


def remote_text(bits: int) -> str:
    names = [name for bit, name in ((1, "ProvisionMailbox"), (2, "ProvisionArchive"), (4, "Migrated"), (8, "DeprovisionMailbox"), (16, "DeprovisionArchive"),
                                    (32, "RoomMailbox"), (64, "EquipmentMailbox"), (96, "SharedMailbox")) if bit != 96 and bits & bit and not (bits & 96 == 96 and bit in (32, 64))]
    if bits & 96 == 96:
        names.append("SharedMailbox")
    return ", ".join(names) or "None"


def recipient(c, one: dict) -> dict:
    made = base(c, one, "ReducedRecipient")
    made.update({
        "ExchangeGuid": one.get("msExchMailboxGuid", ZERO), "ArchiveGuid": one.get("msExchArchiveGUID", ZERO), "Database": database_name(one),
        "FirstName": one.get("givenName", ""), "LastName": one.get("sn", ""), "Title": one.get("title", ""), "Department": one.get("department", ""),
        "Company": one.get("company", ""), "Office": one.get("physicalDeliveryOfficeName", ""), "Phone": one.get("telephoneNumber", ""),
        "ExternalEmailAddress": one.get("targetAddress"), "ManagedBy": shown_list(c, managers(one)),
        "WindowsLiveID": one.get("userPrincipalName", "") if c.flavour == "online" else "",
    })
    return made


def user(c, one: dict) -> dict:
    made = recipient(c, one)
    made["__types"] = [MANAGEMENT + "User", *made["__types"][1:]]
    made.update({"UserPrincipalName": one.get("userPrincipalName"), "Sid": one.get("objectSid"), "SamAccountName": one.get("sAMAccountName"),
                 "UserAccountControl": "AccountDisabled, NormalAccount" if int(one.get("userAccountControl", 512)) & 2 else "NormalAccount"})
    return made


def managers(one: dict) -> list[str]:
    first = [one["managedBy"]] if one.get("managedBy") else []
    return first + [value for value in one.get("msExchCoManagedByLink", []) if value not in first]


def group(c, one: dict) -> dict:
    made = base(c, one, "DistributionGroup")
    extra = c.store.get("extra", one["objectGUID"], {})
    security = bool(int(one.get("groupType", 0)) & 0x80000000)
    made.update({
        "GroupType": "Universal, SecurityEnabled" if security else "Universal",
        "ManagedBy": shown_list(c, managers(one)),
        "MemberJoinRestriction": ("Closed", "Open", "ApprovalRequired")[int(one.get("msExchGroupJoinRestriction", 0)) % 3],
        "MemberDepartRestriction": ("Closed", "Open")[int(one.get("msExchGroupDepartRestriction", 1)) % 2],
        "ReportToManagerEnabled": bool(extra.get("ReportToManagerEnabled", False)),
        "ReportToOriginatorEnabled": bool(extra.get("ReportToOriginatorEnabled", True)),
        "SendOofMessageToOriginatorEnabled": bool(extra.get("SendOofMessageToOriginatorEnabled", False)),
        "BypassNestedModerationEnabled": bool(extra.get("BypassNestedModerationEnabled", False)),
        "Notes": one.get("description", ""),
    })
    return made


def iso(text):
    if not text:
        return None
    return datetime.datetime.fromisoformat(text)


def stamp() -> str:
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0).isoformat()
