"""Distribution groups, their members, and dynamic ones."""

import secrets
import uuid

import addresses
import errors
import shapes
from directory import rdn_escape
from engine import cmdlet
from mailboxes import GONE, check_synced, chosen_address, listed, synced_refusal
from onprem import MAIL_DOMAIN

TASKS = "Microsoft.Exchange.Management.Tasks."
JOIN = {"closed": 0, "open": 1, "approvalrequired": 2}
EXTRA = ("ReportToManagerEnabled", "ReportToOriginatorEnabled", "SendOofMessageToOriginatorEnabled", "BypassNestedModerationEnabled")


def may_manage(c, one) -> None:
    """Only a manager may, or who says so."""
    if not c.get("BypassSecurityGroupManagerCheck"):
        raise errors.CmdletError(TASKS + "OperationRequiresGroupManagerException", "You don't have sufficient permissions. This operation can only be performed by a manager of the group.",
                                 "PermissionDenied", c.backend.shown(one["dn"]))


def any_list(c):
    return c.backend.find(c.need("Identity"), shapes.is_list)


@cmdlet("Get-DistributionGroup")
def get_list(c):
    manager = c.backend.find(c.get("ManagedBy"))["dn"].lower() if c.has("ManagedBy") else None
    listed(c, lambda one: shapes.is_list(one) and (manager is None or manager in [dn.lower() for dn in shapes.managers(one)]), shapes.group, "(objectClass=group)")


def restrictions(c, changes) -> None:
    for parameter, attribute in (("MemberJoinRestriction", "msExchGroupJoinRestriction"), ("MemberDepartRestriction", "msExchGroupDepartRestriction")):
        if c.has(parameter):
            value = str(c.get(parameter)).lower()
            if value not in JOIN or (attribute.endswith("DepartRestriction") and value == "approvalrequired"):
                raise errors.binding(c.name, f"Cannot process argument transformation on parameter '{parameter}'. Cannot convert value \"{c.get(parameter)}\".", "ParameterArgumentTransformationError")
            changes[attribute] = JOIN[value]


def set_managers(c, one, changes) -> None:
    wanted = addresses.as_dns(c, "ManagedBy", shapes.managers(one), lambda other: bool({"user", "group"} & set(other.get("objectClass", []))))
    if wanted is None:
        return
    if not wanted:
        raise errors.invalid("The group must have at least one owner in ManagedBy.", one.get("dn", ""))
    changes["managedBy"] = wanted[0]
    changes["msExchCoManagedByLink"] = wanted[1:] or None


@cmdlet("New-DistributionGroup")
def new_list(c):
    name = str(c.need("Name"))
    kind = str(c.get("Type", "Distribution")).lower()
    if kind not in ("distribution", "security"):
        raise errors.binding(c.name, f"Cannot process argument transformation on parameter 'Type'. Cannot convert value \"{c.get('Type')}\".", "ParameterArgumentTransformationError")
    alias = addresses.check_alias(c, str(c.get("Alias") or addresses.alias_for(name)))
    address = chosen_address(c)
    if address:
        addresses.free(c, address)
    changes = {"groupType": -2147483640 if kind == "security" else 8, "displayName": str(c.get("DisplayName") or name), "msExchRequireAuthToSendTo": c.get("RequireSenderAuthenticationEnabled", True),
               "description": c.get("Notes"), "msExchRecipientDisplayType": shapes.SECURITY_LIST if kind == "security" else shapes.LIST,
               "msExchGroupDepartRestriction": 0 if kind == "security" else 1, **addresses.start(c, {}, alias, address)}
    restrictions(c, changes)
    set_managers(c, {}, changes)
    if c.has("ModerationEnabled"):
        changes["msExchEnableModeration"] = c.get("ModerationEnabled")
    moderators = addresses.as_dns(c, "ModeratedBy", [])
    if moderators:
        changes["msExchModeratedByLink"] = moderators
    members = addresses.as_dns(c, "Members", [], lambda other: bool({"user", "group"} & set(other.get("objectClass", [])))) or []
    if c.what_if:
        return
    if c.flavour == "online":
        one = c.backend.new_object(name, ["group"], {**changes, "member": members})
    else:
        account = str(c.get("SamAccountName") or name).translate(str.maketrans("", "", '"/\\[]:;|=,+*?<>@'))[:64]
        if c.backend.by_filter(f"(sAMAccountName={addresses_filter(account)})"):
            if c.has("SamAccountName"):
                raise errors.exists(account)
            account = f"{account[:50]}-{secrets.token_hex(4)}"
        dn = f"CN={rdn_escape(name)},{place(c)}"
        one = c.backend.create(dn, ["group"], {**{key: value for key, value in changes.items() if value is not None}, "sAMAccountName": account, **({"member": members} if members else {})})
    c.out(shapes.group(c, c.backend.by_guid(one["objectGUID"])))


def addresses_filter(text: str) -> str:
    from directory import escape_filter_chars
    return escape_filter_chars(text)


def place(c) -> str:
    parent = str(c.get("OrganizationalUnit") or f"CN=Users,{c.backend.base}")
    if "=" in parent:
        return parent
    parts = [part for part in parent.split("/") if part and "." not in part]
    return ",".join([f"OU={rdn_escape(part)}" for part in reversed(parts)] + [c.backend.base])


@cmdlet("Set-DistributionGroup")
def set_list(c):
    one = any_list(c)
    check_synced(c, one)
    may_manage(c, one)
    changes = {}
    addresses.set_common(c, one, changes)
    set_managers(c, one, changes)
    restrictions(c, changes)
    addresses.apply(c, one, changes)
    addresses.rename(c, one)


@cmdlet("Remove-DistributionGroup")
def remove_list(c):
    one = any_list(c)
    if one.get("synced"):
        raise synced_refusal(c, one, "Identity")
    may_manage(c, one)
    if not c.what_if:
        c.backend.delete(one)


@cmdlet("Enable-DistributionGroup")
def enable_list(c):
    one = c.backend.find(c.need("Identity"), shapes.is_group)
    if one.get("mailNickname"):
        raise errors.task(f"The group {c.backend.shown(one['dn'])} is already mail-enabled.", one["dn"])
    if not int(one.get("groupType", 0)) & 8:
        raise errors.task(f"You can't mail-enable {c.backend.shown(one['dn'])} because it isn't a universal group. Only a universal group can be mail-enabled.", one["dn"])
    alias = addresses.check_alias(c, str(c.get("Alias") or addresses.alias_for(one.get("sAMAccountName") or one["name"])), one)
    address = chosen_address(c)
    if address:
        addresses.free(c, address, one)
    security = bool(int(one.get("groupType", 0)) & 0x80000000)
    changes = {**addresses.start(c, one, alias, address), "msExchRecipientDisplayType": shapes.SECURITY_LIST if security else shapes.LIST, "msExchRequireAuthToSendTo": True}
    if not one.get("displayName"):
        changes["displayName"] = str(c.get("DisplayName") or one["name"])
    if c.what_if:
        return
    c.backend.change(one, changes)
    c.out(shapes.group(c, c.backend.by_guid(one["objectGUID"])))


@cmdlet("Disable-DistributionGroup")
def disable_list(c):
    one = any_list(c)
    if not c.what_if:
        c.backend.change(one, {name: None for name in GONE if one.get(name) is not None})


@cmdlet("Get-DistributionGroupMember")
def members(c):
    one = any_list(c)
    held = [c.backend.by_dn(dn) for dn in one.get("member", [])]
    held = [other for other in held if other]
    most = c.get("ResultSize", 1000)
    if str(most).lower() != "unlimited":
        if len(held) > int(most):
            c.warn("By default, only the first 1000 items are returned. Use the ResultSize parameter to specify the number of items returned.")
        held = held[:int(most)]
    for other in held:
        c.out(shapes.recipient(c, other))


def member_of(c):
    return c.backend.find(c.need("Member"), lambda other: bool({"user", "group", "contact"} & set(other.get("objectClass", []))))


def listed_in(one, other) -> bool:
    return other["dn"].lower() in [dn.lower() for dn in one.get("member", [])]


@cmdlet("Add-DistributionGroupMember")
def add_member(c):
    c.need("Member")
    one = any_list(c)
    if one.get("synced"):
        raise synced_refusal(c, one, "Member")
    may_manage(c, one)
    other = member_of(c)
    if listed_in(one, other):
        raise errors.CmdletError(TASKS + "MemberAlreadyExistsException", f'The recipient "{c.backend.shown(other["dn"])}" is already a member of the group "{c.backend.shown(one["dn"])}".', "InvalidArgument", str(c.get("Member")))
    if other["objectGUID"] == one["objectGUID"]:
        raise errors.CmdletError(TASKS + "GroupMemberCannotBeSelfException", "A group can't be a member of itself.", "InvalidArgument", str(c.get("Member")))
    if not c.what_if:
        c.backend.change(one, {"member": ("add", [other["dn"]])})


@cmdlet("Remove-DistributionGroupMember")
def remove_member(c):
    c.need("Member")
    one = any_list(c)
    if one.get("synced"):
        raise synced_refusal(c, one, "Member")
    may_manage(c, one)
    other = member_of(c)
    if not listed_in(one, other):
        raise errors.CmdletError(TASKS + "MemberNotFoundException", f'The recipient "{c.backend.shown(other["dn"])}" isn\'t a member of the group "{c.backend.shown(one["dn"])}".', "InvalidArgument", str(c.get("Member")))
    if not c.what_if:
        c.backend.change(one, {"member": ("delete", [next(dn for dn in one["member"] if dn.lower() == other["dn"].lower())])})


# Dynamic groups: kept by the stand-in itself, also on premises

def dynamic_area(c) -> str:
    return f"dynamic-{c.flavour}"


def find_dynamic(c):
    wanted = str(c.need("Identity")).lower()
    found = [one for one in c.store.all(dynamic_area(c)).values() if wanted in (one["Guid"], one["Name"].lower(), one["Alias"].lower(), one["PrimarySmtpAddress"].lower(), one["DisplayName"].lower(), one["DistinguishedName"].lower())]
    if not found:
        raise errors.not_found(c.get("Identity"), c.backend.server)
    if len(found) > 1:
        raise errors.ambiguous(c.get("Identity"))
    return found[0]


def shown_dynamic(one) -> dict:
    return {"__types": ["Microsoft.Exchange.Data.Directory.Management.DynamicDistributionGroup", "System.Object"], **one, "Guid": uuid.UUID(one["Guid"]), "RecipientType": "DynamicDistributionGroup", "RecipientTypeDetails": "DynamicDistributionGroup"}


DYNAMIC = ("DisplayName", "RecipientFilter", "RecipientContainer", "IncludedRecipients", "Notes", "ManagedBy", "ConditionalDepartment", "ConditionalCompany", "ConditionalStateOrProvince", "HiddenFromAddressListsEnabled",
           "RequireSenderAuthenticationEnabled", "ModerationEnabled", "MailTip")


def dynamic_values(c, one) -> None:
    if c.has("RecipientFilter") and any(c.has(name) for name in ("IncludedRecipients", "ConditionalDepartment", "ConditionalCompany", "ConditionalStateOrProvince")):
        raise errors.task("You can't use RecipientFilter together with precanned conditions.", one["Name"])
    for name in DYNAMIC:
        if c.has(name):
            value = c.get(name)
            one[name] = [str(part) for part in value] if isinstance(value, (list, tuple)) else value
    if c.has("ManagedBy"):
        one["ManagedBy"] = c.backend.shown(c.backend.find(c.get("ManagedBy"))["dn"])
    if any(c.has(name) for name in ("IncludedRecipients", "ConditionalDepartment", "ConditionalCompany")):
        parts = [f"({name.removeprefix('Conditional')} -eq '{value}')" for name in ("ConditionalDepartment", "ConditionalCompany") for value in one.get(name, [])]
        one["RecipientFilter"] = "(" + " -and ".join(["(RecipientType -eq 'UserMailbox')", *parts]) + ")"


@cmdlet("New-DynamicDistributionGroup")
def new_dynamic(c):
    name = str(c.need("Name"))
    if not c.has("RecipientFilter") and not c.has("IncludedRecipients"):
        c.need("RecipientFilter")
    if any(other["Name"].lower() == name.lower() for other in c.store.all(dynamic_area(c)).values()):
        raise errors.exists(name)
    alias = addresses.check_alias(c, str(c.get("Alias") or addresses.alias_for(name)))
    address = chosen_address(c) or addresses.unused_default(c, alias)
    addresses.free(c, address)
    if any(other["PrimarySmtpAddress"].lower() == address.lower() for other in c.store.all(dynamic_area(c)).values()):
        raise errors.address_exists(f"SMTP:{address}", name)
    dn = f"CN={rdn_escape(name)},CN=Users,{c.backend.base}"
    one = {"Identity": c.backend.shown(dn), "Name": name, "Guid": str(uuid.uuid4()), "DistinguishedName": dn, "DisplayName": name, "Alias": alias, "PrimarySmtpAddress": address, "EmailAddresses": [f"SMTP:{address}"],
           "RecipientFilter": "", "RecipientContainer": MAIL_DOMAIN, "IncludedRecipients": None, "ManagedBy": None, "Notes": "", "HiddenFromAddressListsEnabled": False, "RequireSenderAuthenticationEnabled": True,
           "ModerationEnabled": False, "MailTip": None, "ConditionalDepartment": [], "ConditionalCompany": [], "ConditionalStateOrProvince": [], "WhenCreated": shapes.stamp()}
    dynamic_values(c, one)
    if not c.what_if:
        c.store.put(dynamic_area(c), one["Guid"], one)
    c.out(shown_dynamic(one))


@cmdlet("Get-DynamicDistributionGroup")
def get_dynamic(c):
    for one in [find_dynamic(c)] if c.has("Identity") else c.store.all(dynamic_area(c)).values():
        c.out(shown_dynamic(one))


@cmdlet("Set-DynamicDistributionGroup")
def set_dynamic(c):
    one = find_dynamic(c)
    before = dict(one)
    dynamic_values(c, one)
    if c.get("Name"):
        one["Name"] = str(c.get("Name"))
    if c.has("PrimarySmtpAddress"):
        address = addresses.smtp(c.get("PrimarySmtpAddress"), "PrimarySmtpAddress")
        addresses.free(c, address)
        one["EmailAddresses"] = [f"SMTP:{address}"] + ["smtp:" + value[5:] for value in one["EmailAddresses"] if value[5:].lower() != address.lower()]
        one["PrimarySmtpAddress"] = address
    if c.has("Alias"):
        one["Alias"] = addresses.check_alias(c, str(c.get("Alias")))
    if one == before:
        c.warn(f"The command completed successfully but no settings of '{one['Identity']}' have been modified.")
    c.store.put(dynamic_area(c), one["Guid"], one)


@cmdlet("Remove-DynamicDistributionGroup")
def remove_dynamic(c):
    one = find_dynamic(c)
    if not c.what_if:
        c.store.drop(dynamic_area(c), one["Guid"])
