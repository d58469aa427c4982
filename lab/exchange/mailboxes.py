"""Mailboxes on premises and Online, remote mailboxes, and what lies in a mailbox: automatic replies, calendar, statistics."""

import datetime
import secrets
import uuid

import addresses
import errors
import permissions
import shapes
from directory import rdn_escape
from engine import cmdlet
from onprem import MAIL_DOMAIN, ROUTING_DOMAIN
from seed import SEED

QUOTAS = (("IssueWarningQuota", "mDBStorageQuota"), ("ProhibitSendQuota", "mDBOverQuotaLimit"), ("ProhibitSendReceiveQuota", "mDBOverHardQuotaLimit"))
IN_STORE = ("LitigationHoldDate", "LitigationHoldOwner", "RetentionHoldEnabled", "RetentionPolicy", "RetentionComment", "RetentionUrl", "SingleItemRecoveryEnabled",
            "RetainDeletedItemsFor", "MessageCopyForSentAsEnabled", "MessageCopyForSendOnBehalfEnabled", "AuditEnabled", "ResourceCapacity", "ResourceCustom", "Languages", "RecipientLimits")


def listed(c, fits, shape, filter_text=""):
    """A Get without or with Identity, Anr, Filter, ResultSize and RecipientTypeDetails."""
    if c.has("Identity"):
        shape_all = [c.backend.find(c.get("Identity"), fits)]
    else:
        shape_all = [one for one in c.backend.recipients(filter_text) if fits(one)]
        shape_all.sort(key=lambda one: (one.get("displayName") or one.get("name") or "").lower())
    wanted = {str(one).lower() for one in c.get("RecipientTypeDetails", [])}
    if wanted:
        shape_all = [one for one in shape_all if shapes.details(one).lower() in wanted]
    if c.has("Anr"):
        start = str(c.get("Anr")).lower()
        shape_all = [one for one in shape_all if any(str(one.get(key, "")).lower().startswith(start) for key in ("displayName", "name", "mailNickname", "givenName", "sn"))]
    made = [shape(c, one) for one in shape_all]
    if c.has("Filter"):
        from filters import matches
        made = [one for one in made if matches(str(c.get("Filter")), one)]
    if c.has("Archive") and c.get("Archive"):
        made = [one for one in made if one.get("ArchiveGuid", shapes.ZERO) != shapes.ZERO]
    most = c.get("ResultSize", 1000)
    if str(most).lower() != "unlimited":
        if not str(most).isdigit():
            raise errors.binding(c.name, f"Cannot process argument transformation on parameter 'ResultSize'. Cannot convert value \"{most}\".", "ParameterArgumentTransformationError")
        if len(made) > int(most):
            made = made[:int(most)]
            c.warn("By default, only the first 1000 items are returned. Use the ResultSize parameter to specify the number of items returned. To return all items, specify "
                   "\"-ResultSize Unlimited\". Be aware that, depending on the actual number of items, returning all items can take a long time and consume a large amount of memory.")
    for one in made:
        c.out(one)


@cmdlet("Get-Mailbox")
def get_mailbox(c):
    listed(c, shapes.is_mailbox, shapes.mailbox, "(msExchMailboxGuid=*)")


@cmdlet("Get-RemoteMailbox")
def get_remote_mailbox(c):
    listed(c, shapes.is_remote, shapes.remote_mailbox, "(targetAddress=*)")


@cmdlet("Get-Recipient")
def get_recipient(c):
    wanted = {str(one).lower() for one in c.get("RecipientType", [])}
    listed(c, lambda one: bool(one.get("mailNickname")) and (not wanted or shapes.recipient_type(one).lower() in wanted), shapes.recipient)


@cmdlet("Get-User")
def get_user(c):
    if c.has("Identity"):
        return c.out(shapes.user(c, c.backend.find(c.get("Identity"), lambda one: "user" in one.get("objectClass", []))))
    if c.flavour == "onprem":
        found = c.backend.by_filter("(&(objectCategory=person)(objectClass=user))")
    else:
        found = [one for one in c.backend.everybody() if "user" in one.get("objectClass", [])]
    most = c.get("ResultSize", 1000)
    for one in found[: None if str(most).lower() == "unlimited" else int(most)]:
        c.out(shapes.user(c, one))
    return None


def kind_asked(c, kinds) -> int:
    chosen = [name for name in ("Shared", "Room", "Equipment") if c.get(name)]
    if len(chosen) > 1:
        raise errors.binding(c.name, "Parameter set cannot be resolved using the specified named parameters.", "AmbiguousParameterSet")
    return kinds[chosen[0] if chosen else "Regular"]


def database(c) -> str:
    known = c.backend.databases()
    name = str(c.get("Database") or "DB01")
    for label, dn in known.items():
        if name.lower() in (label.lower(), dn.lower()):
            return dn
    raise errors.CmdletError(errors.TASKS + "ManagementObjectNotFoundException", f'Couldn\'t find database "{name}". Make sure you have typed it correctly.', "InvalidArgument", name)


def mailbox_attributes(c, number: int) -> dict:
    made = {"msExchRecipientTypeDetails": number, "msExchRecipientDisplayType": shapes.DISPLAY[number], "msExchMailboxGuid": uuid.uuid4()}
    if c.flavour == "onprem":
        made.update({"homeMDB": database(c), "mDBUseDefaults": True, "msExchHomeServerName": "/o=Example Corp/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)/cn=Configuration/cn=Servers/cn=EX01"})
    return made


def begin_mailbox(c, guid, number: int, language: str = "en-US", used: int = 0) -> None:
    """The empty mailbox in its database; `used`: items of one that people have worked with already."""
    c.store.put("mailbox", guid, {"created": shapes.stamp(), "items": used, "bytes": used * 74_565, "logon": shapes.stamp() if used else None, "language": language,
                                  "folders": permissions.first_folders(language), "rights": [],
                                  "calendar": {"AutomateProcessing": "AutoAccept" if number in (16, 32) else "AutoUpdate"}})


def chosen_address(c) -> str | None:
    if not c.get("PrimarySmtpAddress"):
        return None
    address = addresses.smtp(c.get("PrimarySmtpAddress"), "PrimarySmtpAddress")
    addresses.in_accepted_domain(address)
    return address


@cmdlet("Enable-Mailbox")
def enable_mailbox(c):
    one = c.backend.find(c.need("Identity"), lambda one: "user" in one.get("objectClass", []))
    if c.get("Archive"):
        return enable_archive(c, one)
    if c.flavour == "online":
        raise errors.task("The mailbox can only be enabled by giving its user a licence.", one["dn"])
    if shapes.is_mailbox(one):
        raise errors.task(f"{c.backend.shown(one['dn'])} is already a mailbox. This task can't be run on it: the recipient type is UserMailbox.", one["dn"])
    if shapes.is_remote(one) or one.get("mailNickname"):
        raise errors.task(f"This task does not support recipients of this type. The specified recipient {c.backend.shown(one['dn'])} is of type {shapes.recipient_type(one)}. "
                          "Please make sure that this recipient matches the required recipient type for this task.", one["dn"])
    number = kind_asked(c, shapes.KINDS)
    alias = addresses.check_alias(c, str(c.get("Alias") or addresses.alias_for(one.get("sAMAccountName") or one["name"])), one)
    address = chosen_address(c)
    if address:
        addresses.free(c, address, one)
    changes = {**addresses.start(c, one, alias, address), **mailbox_attributes(c, number)}
    if c.has("DisplayName"):
        changes["displayName"] = c.get("DisplayName")
    elif not one.get("displayName"):
        changes["displayName"] = one["name"]
    if number != 1 and not int(one.get("userAccountControl", 512)) & 2:
        raise errors.task("A shared or resource mailbox needs an account that is disabled.", one["dn"])
    if c.what_if:
        return None
    c.backend.change(one, changes)
    begin_mailbox(c, changes["msExchMailboxGuid"], number)
    c.out(shapes.mailbox(c, c.backend.by_guid(one["objectGUID"])))
    return None


def enable_archive(c, one):
    if not shapes.is_mailbox(one):
        raise errors.not_found(c.get("Identity"), c.backend.server)
    if one.get("msExchArchiveGUID"):
        raise errors.task(f"{c.backend.shown(one['dn'])} already has an archive.", one["dn"])
    names = [str(name) for name in c.get("ArchiveName", [])] or [f"In-Place Archive - {one.get('displayName') or one['name']}"]
    c.backend.change(one, {"msExchArchiveGUID": uuid.uuid4(), "msExchArchiveName": names})
    c.out(shapes.mailbox(c, c.backend.by_guid(one["objectGUID"])))


GONE = {name: None for name in ("mailNickname", "mail", "proxyAddresses", "legacyExchangeDN", "homeMDB", "mDBUseDefaults", "mDBStorageQuota", "mDBOverQuotaLimit", "mDBOverHardQuotaLimit",
                                "msExchMailboxGuid", "msExchRecipientDisplayType", "msExchRecipientTypeDetails", "msExchHideFromAddressLists", "msExchRequireAuthToSendTo",
                                "msExchRemoteRecipientType", "msExchArchiveGUID", "msExchArchiveName", "targetAddress", "altRecipient", "deliverAndRedirect", "authOrig", "unauthOrig",
                                "dLMemSubmitPerms", "dLMemRejectPerms", "publicDelegates", "msExchDelegateListLink", "msExchEnableModeration", "msExchModeratedByLink",
                                "msExchBypassModerationLink", "msExchGenericForwardingAddress", "msExchELCMailboxFlags", "msExchPoliciesExcluded", "msExchHomeServerName")}


def disconnect(c, one) -> None:
    guid = one.get("msExchMailboxGuid")
    kept = c.store.get("mailbox", guid, {})
    c.store.put("disconnected", guid, {**kept, "DisplayName": one.get("displayName") or one["name"], "LegacyExchangeDN": one.get("legacyExchangeDN"), "when": shapes.stamp(),
                                       "Database": shapes.database_name(one), "kind": shapes.kind(one)})
    c.store.drop("mailbox", guid)


def may_go(c, one) -> None:
    if shapes.hold(one) and not c.get("IgnoreLegalHold"):
        raise errors.task(f"The mailbox {c.backend.shown(one['dn'])} can't be disabled or removed because it is on litigation hold. Use the IgnoreLegalHold parameter.", one["dn"])


@cmdlet("Disable-Mailbox")
def disable_mailbox(c):
    one = c.backend.find(c.need("Identity"), shapes.is_mailbox)
    if c.get("Archive"):
        if not one.get("msExchArchiveGUID"):
            raise errors.task(f"{c.backend.shown(one['dn'])} has no archive.", one["dn"])
        return c.backend.change(one, {"msExchArchiveGUID": None, "msExchArchiveName": None})
    if c.flavour == "online":
        raise errors.task("The mailbox can only be disabled by taking its user's licence away.", one["dn"])
    may_go(c, one)
    if c.what_if:
        return None
    disconnect(c, one)
    c.backend.change(one, {name: None for name in GONE if one.get(name) is not None})
    return None


def set_quotas(c, one, changes) -> None:
    values = {}
    for parameter, attribute in QUOTAS:
        count = shapes.size_from(c.get(parameter), parameter) if c.has(parameter) else int(one[attribute]) * 1024 if one.get(attribute) else None
        values[parameter] = count
        if c.has(parameter):
            changes[attribute] = None if count is None else count // 1024
    if not any(c.has(parameter) for parameter, _ in QUOTAS):
        return
    warn, send, both = (values[parameter] for parameter, _ in QUOTAS)
    far = float("inf")
    if (warn if warn is not None else far) > (send if send is not None else far) or (send if send is not None else far) > (both if both is not None else far):
        raise errors.invalid("The value of property 'IssueWarningQuota' must be less than or equal to that of 'ProhibitSendQuota', and that in turn less than or equal to "
                             f"'ProhibitSendReceiveQuota'. IssueWarningQuota: '{shapes.size(warn)}', ProhibitSendQuota: '{shapes.size(send)}', ProhibitSendReceiveQuota: '{shapes.size(both)}'.", one["dn"])
    using = c.get("UseDatabaseQuotaDefaults", str(one.get("mDBUseDefaults", "TRUE")).upper() == "TRUE")
    if c.flavour == "onprem" and using:
        c.warn("The quotas are not in force: UseDatabaseQuotaDefaults is true.")


def convert_kind(c, one, changes) -> None:
    wanted = str(c.get("Type"))
    names = {name.lower(): name for name in shapes.KINDS}
    if wanted.lower() not in names:
        raise errors.binding(c.name, f"Cannot process argument transformation on parameter 'Type'. Cannot convert value \"{wanted}\" to type \"ConvertibleMailboxSubType\".", "ParameterArgumentTransformationError")
    number = (shapes.REMOTE_KINDS if shapes.is_remote(one) else shapes.KINDS)[names[wanted.lower()]]
    changes.update({"msExchRecipientTypeDetails": number, "msExchRecipientDisplayType": shapes.DISPLAY[number]})
    if c.flavour == "onprem" and shapes.is_mailbox(one) and number != 1:
        flags = int(one.get("userAccountControl", 512))
        if not flags & 2:
            changes["userAccountControl"] = flags | 2


def set_forwarding(c, one, changes) -> None:
    if c.has("ForwardingAddress"):
        value = c.get("ForwardingAddress")
        changes["altRecipient"] = c.backend.find(value, lambda other: bool(other.get("mailNickname")))["dn"] if value else None
    if c.has("ForwardingSmtpAddress"):
        value = str(c.get("ForwardingSmtpAddress") or "")
        bare = value[5:] if value.lower().startswith("smtp:") else value
        changes["msExchGenericForwardingAddress"] = f"smtp:{addresses.smtp(bare, 'ForwardingSmtpAddress')}" if bare else None
    if c.has("DeliverToMailboxAndForward"):
        changes["deliverAndRedirect"] = c.get("DeliverToMailboxAndForward")


def set_hold(c, one, changes, kept) -> None:
    if c.has("LitigationHoldEnabled"):
        flags = int(one.get("msExchELCMailboxFlags", 0))
        on = c.get("LitigationHoldEnabled")
        changes["msExchELCMailboxFlags"] = flags | 8 if on else (flags & ~8) or None
        if on and not shapes.hold(one):
            kept.setdefault("LitigationHoldDate", shapes.stamp())
            kept["LitigationHoldOwner"] = str(c.get("LitigationHoldOwner") or c.user)
            c.warn("The hold setting may take up to 60 minutes to take effect.")
        if not on:
            for name in ("LitigationHoldDate", "LitigationHoldOwner", "LitigationHoldDuration"):
                kept.pop(name, None)
    if c.has("LitigationHoldDuration"):
        text = str(c.get("LitigationHoldDuration"))
        kept["LitigationHoldDuration"] = "Unlimited" if text.lower() == "unlimited" else f"{text}.00:00:00" if text.isdigit() else text


def synced_refusal(c, one, parameter) -> errors.CmdletError:
    shown = one.get("displayName") or one["name"]
    return errors.CmdletError("System.InvalidOperationException", f'The operation on mailbox "{shown}" failed because it\'s out of the current user\'s write scope. '
                              f"The action '{c.name}', '{parameter}', can't be performed on the object '{shown}' because the object is being synchronized from your on-premises "
                              "organization. This action should be performed on the object in your on-premises organization.", "InvalidOperation", shown)


SYNCED = ("EmailAddresses", "WindowsEmailAddress", "PrimarySmtpAddress", "Alias", "DisplayName", "Name", "HiddenFromAddressListsEnabled", "Office", "ModeratedBy", "ModerationEnabled",
          "RequireSenderAuthenticationEnabled", "AcceptMessagesOnlyFrom", "AcceptMessagesOnlyFromDLMembers", "AcceptMessagesOnlyFromSendersOrMembers", "RejectMessagesFrom",
          "RejectMessagesFromDLMembers", "RejectMessagesFromSendersOrMembers", "BypassModerationFromSendersOrMembers", "ManagedBy", *(f"CustomAttribute{n}" for n in range(1, 16)))


def check_synced(c, one) -> None:
    if one.get("synced"):
        for parameter in c.bound:
            if parameter in SYNCED:
                raise synced_refusal(c, one, parameter)


@cmdlet("Set-Mailbox")
def set_mailbox(c):
    one = c.backend.find(c.need("Identity"), shapes.is_mailbox)
    check_synced(c, one)
    changes = {}
    kept = c.store.get("mailbox", one["msExchMailboxGuid"], {})
    known = dict(kept)
    addresses.set_common(c, one, changes)
    set_forwarding(c, one, changes)
    set_quotas(c, one, changes)
    if c.has("UseDatabaseQuotaDefaults"):
        changes["mDBUseDefaults"] = c.get("UseDatabaseQuotaDefaults")
    if c.has("Type"):
        convert_kind(c, one, changes)
    for name in IN_STORE:
        if c.has(name):
            value = c.get(name)
            kept[name] = value.isoformat() if isinstance(value, datetime.datetime) else value
    set_hold(c, one, changes, kept)
    for parameter, attribute in (("Office", "physicalDeliveryOfficeName"), ("SamAccountName", "sAMAccountName"), ("UserPrincipalName", "userPrincipalName"), ("MicrosoftOnlineServicesID", "userPrincipalName")):
        if c.has(parameter):
            changes[attribute] = c.get(parameter) or None
    if c.has("Database"):
        changes["homeMDB"] = database(c)
    if c.has("Name") and c.get("Name") != one.get("name"):
        addresses.rename(c, one)
        known = None
    if kept != known and not c.what_if:
        c.store.put("mailbox", one["msExchMailboxGuid"], kept)
    if changes:
        same = kept != known
        before = len(c.warnings)
        addresses.apply(c, one, changes)
        if same:
            del c.warnings[before:]
    elif kept == known and not any(c.has(name) for name in ("MailTip", "MaxSendSize", "MaxReceiveSize", "SendModerationNotifications")):
        c.warn(f"The command completed successfully but no settings of '{c.backend.shown(one['dn'])}' have been modified.")


def new_user(c, number: int, upn_parameter: str) -> tuple[str, dict]:
    """The account that a new mailbox brings with it."""
    name = str(c.need("Name"))
    parent = str(c.get("OrganizationalUnit") or c.get("OnPremisesOrganizationalUnit") or f"CN=Users,{c.backend.base}")
    if "=" not in parent:
        parts = [part for part in parent.split("/") if part and "." not in part]
        parent = ",".join([f"OU={rdn_escape(part)}" for part in reversed(parts)] + [c.backend.base]) if parts else f"CN=Users,{c.backend.base}"
    alias = addresses.check_alias(c, str(c.get("Alias") or addresses.alias_for(name)))
    account = str(c.get("SamAccountName") or alias)[:20]
    if c.backend.by_filter(f"(sAMAccountName={account})"):
        if c.has("SamAccountName"):
            raise errors.exists(account)
        account = account[:11] + "-" + secrets.token_hex(4)
    attributes = {"sAMAccountName": account, "userPrincipalName": str(c.get(upn_parameter) or f"{account}@{MAIL_DOMAIN}"), "displayName": str(c.get("DisplayName") or name),
                  "givenName": c.get("FirstName"), "sn": c.get("LastName"), "initials": c.get("Initials"), "userAccountControl": 514}
    return f"CN={rdn_escape(name)},{parent}", {**attributes, "mailNickname": alias}


@cmdlet("New-Mailbox")
def new_mailbox(c):
    number = kind_asked(c, shapes.KINDS)
    if c.flavour == "online":
        return c.backend.new_mailbox(c, number)
    if number == 1 and not (c.has("Password") and c.has("UserPrincipalName")):
        c.need("Password", "UserPrincipalName")
    address = chosen_address(c)
    if address:
        addresses.free(c, address)
    dn, attributes = new_user(c, number, "UserPrincipalName")
    changes = {**attributes, **addresses.start(c, {}, attributes["mailNickname"], address), **mailbox_attributes(c, number)}
    if c.what_if:
        return None
    one = c.backend.create(dn, ["user"], changes)
    if number == 1:
        from wsman import reveal
        c.backend.change(one, {"unicodePwd": f'"{reveal(c.get("Password"))}"'.encode("utf-16-le")})
        c.backend.change(one, {"userAccountControl": 512, "pwdLastSet": 0 if c.get("ResetPasswordOnNextLogon") else -1})
    begin_mailbox(c, changes["msExchMailboxGuid"], number)
    if c.get("Archive"):
        c.backend.change(one, {"msExchArchiveGUID": uuid.uuid4(), "msExchArchiveName": [f"In-Place Archive - {attributes['displayName']}"]})
    c.out(shapes.mailbox(c, c.backend.by_guid(one["objectGUID"])))
    return None


@cmdlet("Remove-Mailbox")
def remove_mailbox(c):
    one = c.backend.find(c.need("Identity"), shapes.is_mailbox)
    may_go(c, one)
    if c.flavour == "online" and one.get("synced"):
        raise synced_refusal(c, one, "Identity")
    if c.what_if:
        return
    if c.get("Permanent") is True:
        c.store.drop("mailbox", one["msExchMailboxGuid"])
    else:
        disconnect(c, one)
    c.backend.delete(one)


@cmdlet("Connect-Mailbox")
def connect_mailbox(c):
    wanted = str(c.need("Identity"))
    found = [(guid, kept) for guid, kept in c.store.all("disconnected").items()
             if wanted.lower() in (guid.lower(), kept["DisplayName"].lower(), str(kept.get("LegacyExchangeDN", "")).lower())]
    if not found:
        raise errors.not_found(wanted, c.backend.server)
    if len(found) > 1:
        raise errors.ambiguous(wanted)
    guid, kept = found[0]
    one = c.backend.find(c.get("User") or kept["DisplayName"], lambda one: "user" in one.get("objectClass", []))
    if one.get("mailNickname"):
        raise errors.task(f"{c.backend.shown(one['dn'])} already has a mailbox or is mail-enabled.", one["dn"])
    number = kind_asked(c, shapes.KINDS) if any(c.get(name) for name in ("Shared", "Room", "Equipment")) else 1
    alias = addresses.check_alias(c, str(c.get("Alias") or addresses.alias_for(one.get("sAMAccountName") or one["name"])), one)
    changes = {**addresses.start(c, one, alias, None), **mailbox_attributes(c, number), "msExchMailboxGuid": uuid.UUID(guid)}
    c.backend.change(one, changes)
    c.store.drop("disconnected", guid)
    c.store.put("mailbox", guid, {key: value for key, value in kept.items() if key not in ("DisplayName", "LegacyExchangeDN", "when", "Database", "kind")})


# Remote mailboxes: the on-premises side of a mailbox Online

PROVISION = {"Regular": 1, "Shared": 1 | 96, "Room": 1 | 32, "Equipment": 1 | 64}


def remote_attributes(c, alias: str) -> dict:
    chosen = next((name for name in ("Shared", "Room", "Equipment") if c.get(name)), "Regular")
    number = kind_asked(c, shapes.REMOTE_KINDS)
    route = str(c.get("RemoteRoutingAddress") or f"{alias}@{ROUTING_DOMAIN}")
    route = addresses.smtp(route[5:] if route.lower().startswith("smtp:") else route, "RemoteRoutingAddress")
    made = {"targetAddress": f"SMTP:{route}", "msExchRecipientTypeDetails": number, "msExchRecipientDisplayType": shapes.DISPLAY[number],
            "msExchRemoteRecipientType": PROVISION[chosen] | (2 if c.get("Archive") else 0)}
    if c.get("Archive"):
        made.update({"msExchArchiveGUID": uuid.uuid4(), "msExchArchiveName": [str(name) for name in c.get("ArchiveName", [])] or ["In-Place Archive"]})
    return made


@cmdlet("Enable-RemoteMailbox")
def enable_remote_mailbox(c):
    one = c.backend.find(c.need("Identity"), lambda one: "user" in one.get("objectClass", []))
    if shapes.is_remote(one) and c.get("Archive"):
        if one.get("msExchArchiveGUID"):
            raise errors.task(f"{c.backend.shown(one['dn'])} already has an archive.", one["dn"])
        c.backend.change(one, {"msExchArchiveGUID": uuid.uuid4(), "msExchArchiveName": [str(name) for name in c.get("ArchiveName", [])] or [f"In-Place Archive - {one.get('displayName')}"],
                               "msExchRemoteRecipientType": int(one.get("msExchRemoteRecipientType", 1)) | 2})
        return c.out(shapes.remote_mailbox(c, c.backend.by_guid(one["objectGUID"])))
    if one.get("mailNickname"):
        raise errors.task(f"This task does not support recipients of this type. The specified recipient {c.backend.shown(one['dn'])} is of type {shapes.recipient_type(one)}. "
                          "Please make sure that this recipient matches the required recipient type for this task.", one["dn"])
    alias = addresses.check_alias(c, str(c.get("Alias") or addresses.alias_for(one.get("sAMAccountName") or one["name"])), one)
    address = chosen_address(c)
    if address:
        addresses.free(c, address, one)
    changes = {**addresses.start(c, one, alias, address), **remote_attributes(c, alias)}
    route = changes["targetAddress"][5:]
    addresses.free(c, route, one)
    changes["proxyAddresses"] = changes["proxyAddresses"] + [f"smtp:{route}"]
    if not one.get("displayName"):
        changes["displayName"] = str(c.get("DisplayName") or one["name"])
    if c.what_if:
        return None
    c.backend.change(one, changes)
    c.out(shapes.remote_mailbox(c, c.backend.by_guid(one["objectGUID"])))
    return None


@cmdlet("New-RemoteMailbox")
def new_remote_mailbox(c):
    number = kind_asked(c, shapes.REMOTE_KINDS)
    if number == shapes.REMOTE_KINDS["Regular"] and not c.has("Password"):
        c.need("Password")
    address = chosen_address(c)
    if address:
        addresses.free(c, address)
    dn, attributes = new_user(c, number, "UserPrincipalName")
    alias = attributes["mailNickname"]
    changes = {**attributes, **addresses.start(c, {}, alias, address), **remote_attributes(c, alias)}
    changes["proxyAddresses"] = changes["proxyAddresses"] + [f"smtp:{changes['targetAddress'][5:]}"]
    if c.what_if:
        return
    one = c.backend.create(dn, ["user"], changes)
    if c.has("Password"):
        from wsman import reveal
        c.backend.change(one, {"unicodePwd": f'"{reveal(c.get("Password"))}"'.encode("utf-16-le")})
        if not c.get("AccountDisabled") and number == shapes.REMOTE_KINDS["Regular"]:
            c.backend.change(one, {"userAccountControl": 512})
    c.out(shapes.remote_mailbox(c, c.backend.by_guid(one["objectGUID"])))


@cmdlet("Set-RemoteMailbox")
def set_remote_mailbox(c):
    one = c.backend.find(c.need("Identity"), shapes.is_remote)
    changes = {}
    addresses.set_common(c, one, changes)
    if c.has("RemoteRoutingAddress"):
        route = str(c.get("RemoteRoutingAddress"))
        route = addresses.smtp(route[5:] if route.lower().startswith("smtp:") else route, "RemoteRoutingAddress")
        changes["targetAddress"] = f"SMTP:{route}"
    if c.has("Type"):
        convert_kind(c, one, changes)
        chosen = {name.lower(): name for name in PROVISION}[str(c.get("Type")).lower()]
        changes["msExchRemoteRecipientType"] = int(one.get("msExchRemoteRecipientType", 1)) & 3 | PROVISION[chosen]
    for parameter, attribute in (("ExchangeGuid", "msExchMailboxGuid"), ("ArchiveGuid", "msExchArchiveGUID")):
        if c.has(parameter):
            changes[attribute] = None if c.get(parameter) == shapes.ZERO else c.get(parameter)
    for parameter, attribute in (("SamAccountName", "sAMAccountName"), ("UserPrincipalName", "userPrincipalName")):
        if c.has(parameter):
            changes[attribute] = c.get(parameter)
    addresses.apply(c, one, changes)
    addresses.rename(c, one)


@cmdlet("Disable-RemoteMailbox")
def disable_remote_mailbox(c):
    one = c.backend.find(c.need("Identity"), shapes.is_remote)
    if c.get("Archive"):
        return c.backend.change(one, {"msExchArchiveGUID": None, "msExchArchiveName": None, "msExchRemoteRecipientType": int(one.get("msExchRemoteRecipientType", 1)) & ~2 | 16})
    if not c.what_if:
        c.backend.change(one, {name: None for name in GONE if one.get(name) is not None})
    return None


@cmdlet("Remove-RemoteMailbox")
def remove_remote_mailbox(c):
    one = c.backend.find(c.need("Identity"), shapes.is_remote)
    if not c.what_if:
        c.backend.delete(one)


# What is in the mailbox

def mailbox_of(c, parameter="Identity"):
    one = c.backend.find(c.need(parameter), shapes.is_mailbox)
    return one, c.store.get("mailbox", one["msExchMailboxGuid"]) or fresh(c, one)


def fresh(c, one):
    """A mailbox of the lab's first day: in use, and German where the seed says so."""
    german = one.get("physicalDeliveryOfficeName") == SEED["german_calendar_site"]
    begin_mailbox(c, one["msExchMailboxGuid"], shapes.kind(one), "de-DE" if german else "en-US", 100 + one["msExchMailboxGuid"].int % 9000)
    return c.store.get("mailbox", one["msExchMailboxGuid"])


def keep(c, one, kept) -> None:
    if not c.what_if:
        c.store.put("mailbox", one["msExchMailboxGuid"], kept)


def moment(value, parameter):
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    for pattern in (None, "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y"):
        try:
            return (datetime.datetime.fromisoformat(str(value).replace("Z", "+00:00")) if pattern is None else datetime.datetime.strptime(str(value), pattern)).isoformat()
        except ValueError:
            continue
    raise errors.binding("Set-MailboxAutoReplyConfiguration", f"Cannot process argument transformation on parameter '{parameter}'. Cannot convert value \"{value}\" to type "
                         '"Microsoft.Exchange.ExchangeSystem.ExDateTime".', "ParameterArgumentTransformationError")


def one_of(c, parameter, *allowed):
    value = str(c.get(parameter))
    for name in allowed:
        if name.lower() == value.lower():
            return name
    raise errors.binding(c.name, f"Cannot process argument transformation on parameter '{parameter}'. Cannot convert value \"{value}\". The possible enumeration values are \"{', '.join(allowed)}\".",
                         "ParameterArgumentTransformationError")


@cmdlet("Get-MailboxAutoReplyConfiguration")
def get_auto_reply(c):
    one, kept = mailbox_of(c)
    reply = kept.get("reply", {})
    today = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
    c.out({"__types": ["Microsoft.Exchange.Data.Storage.Management.MailboxAutoReplyConfiguration", "System.Object"], "Identity": c.backend.shown(one["dn"]),
           "MailboxOwnerId": c.backend.shown(one["dn"]), "AutoReplyState": reply.get("AutoReplyState", "Disabled"), "InternalMessage": reply.get("InternalMessage", ""),
           "ExternalMessage": reply.get("ExternalMessage", ""), "ExternalAudience": reply.get("ExternalAudience", "All"),
           "StartTime": datetime.datetime.fromisoformat(reply["StartTime"]) if reply.get("StartTime") else today,
           "EndTime": datetime.datetime.fromisoformat(reply["EndTime"]) if reply.get("EndTime") else today + datetime.timedelta(days=1),
           **{name: bool(reply.get(name, False)) for name in ("AutoDeclineFutureRequestsWhenOOF", "CreateOOFEvent", "DeclineAllEventsForScheduledOOF", "DeclineEventsForScheduledOOF")},
           "DeclineMeetingMessage": reply.get("DeclineMeetingMessage", ""), "OOFEventSubject": reply.get("OOFEventSubject", ""), "IsValid": True, "ObjectState": "Unchanged"})


@cmdlet("Set-MailboxAutoReplyConfiguration")
def set_auto_reply(c):
    one, kept = mailbox_of(c)
    reply = dict(kept.get("reply", {}))
    if c.has("AutoReplyState"):
        reply["AutoReplyState"] = one_of(c, "AutoReplyState", "Disabled", "Enabled", "Scheduled")
    if c.has("ExternalAudience"):
        reply["ExternalAudience"] = one_of(c, "ExternalAudience", "None", "Known", "All")
    for name in ("InternalMessage", "ExternalMessage"):
        if c.has(name):
            text = str(c.get(name) or "")
            # Exchange keeps HTML, and wraps plain text in it.
            reply[name] = text if not text or text.lstrip().lower().startswith("<html") else f"<html>\r\n<body>\r\n{text}\r\n</body>\r\n</html>\r\n"
    for name in ("StartTime", "EndTime"):
        if c.has(name):
            reply[name] = moment(c.get(name), name)
    for name in ("AutoDeclineFutureRequestsWhenOOF", "CreateOOFEvent", "DeclineAllEventsForScheduledOOF", "DeclineEventsForScheduledOOF", "DeclineMeetingMessage", "OOFEventSubject"):
        if c.has(name):
            reply[name] = c.get(name)
    if reply.get("AutoReplyState") == "Scheduled" and reply.get("StartTime") and reply.get("EndTime") and reply["StartTime"] >= reply["EndTime"]:
        raise errors.CmdletError("Microsoft.Exchange.Data.Storage.InvalidScheduledOofDuration", "The start time must be before the end time.", "InvalidData", one["dn"])
    kept["reply"] = reply
    keep(c, one, kept)


CALENDAR = {"AutomateProcessing": "AutoUpdate", "AllowConflicts": False, "AllowRecurringMeetings": True, "AllBookInPolicy": True, "AllRequestInPolicy": False, "AllRequestOutOfPolicy": False,
            "BookingWindowInDays": 180, "MaximumDurationInMinutes": 1440, "ConflictPercentageAllowed": 0, "MaximumConflictInstances": 0, "AddOrganizerToSubject": True, "DeleteComments": True,
            "DeleteSubject": True, "DeleteAttachments": True, "DeleteNonCalendarItems": True, "RemovePrivateProperty": True, "RemoveCanceledMeetings": False, "RemoveForwardedMeetingNotifications": False,
            "RemoveOldMeetingMessages": True, "AddNewRequestsTentatively": True, "ProcessExternalMeetingMessages": False, "ForwardRequestsToDelegates": True, "TentativePendingApproval": True,
            "EnableResponseDetails": True, "OrganizerInfo": True, "ScheduleOnlyDuringWorkHours": False, "EnforceSchedulingHorizon": True, "AddAdditionalResponse": False, "AdditionalResponse": "",
            "EnforceCapacity": False}


@cmdlet("Get-CalendarProcessing")
def get_calendar_processing(c):
    one, kept = mailbox_of(c)
    calendar = {**CALENDAR, **kept.get("calendar", {})}
    people = {name: [c.backend.shown(found["dn"]) for guid in kept.get("calendar", {}).get(name, []) if (found := c.backend.by_guid(uuid.UUID(guid)))]
              for name in ("BookInPolicy", "RequestInPolicy", "RequestOutOfPolicy", "ResourceDelegates")}
    c.out({"__types": ["Microsoft.Exchange.Data.Storage.Management.CalendarConfiguration", "System.Object"], "Identity": c.backend.shown(one["dn"]), "MailboxOwnerId": c.backend.shown(one["dn"]),
           **{name: calendar[name] for name in CALENDAR}, **people, "IsValid": True, "ObjectState": "Unchanged"})


@cmdlet("Set-CalendarProcessing")
def set_calendar_processing(c):
    one, kept = mailbox_of(c)
    calendar = dict(kept.get("calendar", {}))
    if c.has("AutomateProcessing"):
        calendar["AutomateProcessing"] = one_of(c, "AutomateProcessing", "None", "AutoUpdate", "AutoAccept")
    for name in CALENDAR:
        if c.has(name) and name != "AutomateProcessing":
            calendar[name] = c.get(name)
    for name in ("BookInPolicy", "RequestInPolicy", "RequestOutOfPolicy", "ResourceDelegates"):
        if c.has(name):
            calendar[name] = [str(c.backend.find(given)["objectGUID"]) for given in c.get(name) if given]
    kept["calendar"] = calendar
    keep(c, one, kept)


def statistics(c, kept, guid, name, database_name, one=None) -> dict:
    when = kept.get("when")
    return {"__types": ["Microsoft.Exchange.Management.MapiTasks.Presentation.MailboxStatistics", "System.Object"], "DisplayName": name, "Identity": str(guid), "MailboxGuid": uuid.UUID(str(guid)),
            "ItemCount": kept.get("items", 0), "TotalItemSize": shapes.size(kept.get("bytes", 0)), "DeletedItemCount": 0, "TotalDeletedItemSize": shapes.size(0),
            "StorageLimitStatus": "BelowLimit" if when is None else None, "LastLogonTime": shapes.iso(kept.get("logon")), "DisconnectDate": shapes.iso(when),
            "DisconnectReason": "Disabled" if when else None, "Database": database_name, "ServerName": "EX01", "IsArchiveMailbox": False, "IsQuarantined": False,
            "LegacyDN": kept.get("LegacyExchangeDN") or (one or {}).get("legacyExchangeDN"), "MailboxType": "Private", "IsValid": True}


@cmdlet("Get-MailboxStatistics")
def get_statistics(c):
    if c.has("Identity"):
        one, kept = mailbox_of(c)
        if not kept.get("logon"):
            c.warn(f"The user hasn't logged on to mailbox '{c.backend.shown(one['dn'])}' ('{one['msExchMailboxGuid']}'), so there is no data to return. After the user logs on, this warning will no longer appear.")
            if c.flavour == "onprem" and not kept.get("items"):
                return
        return c.out(statistics(c, kept, one["msExchMailboxGuid"], one.get("displayName") or one["name"], shapes.database_name(one), one))
    if not (c.has("Database") or c.has("Server")):
        c.need("Identity")
    for one in c.backend.recipients("(msExchMailboxGuid=*)"):
        if shapes.is_mailbox(one) and (not c.has("Database") or str(shapes.database_name(one)).lower() == str(c.get("Database")).lower()):
            kept = c.store.get("mailbox", one["msExchMailboxGuid"], {})
            c.out(statistics(c, kept, one["msExchMailboxGuid"], one.get("displayName") or one["name"], shapes.database_name(one), one))
    for guid, kept in c.store.all("disconnected").items():
        if not c.has("Database") or str(kept.get("Database")).lower() == str(c.get("Database")).lower():
            c.out(statistics(c, kept, guid, kept["DisplayName"], kept.get("Database")))
