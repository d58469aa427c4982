"""Permissions: on a mailbox, on its folders, and to send as a recipient."""

import uuid

import errors
import shapes
from engine import cmdlet

NAMES = {"de-DE": {"Calendar": "Kalender", "Inbox": "Posteingang", "Contacts": "Kontakte", "Tasks": "Aufgaben", "Notes": "Notizen", "SentItems": "Gesendete Elemente", "Birthdays": "Geburtstage"},
         "en-US": {"Calendar": "Calendar", "Inbox": "Inbox", "Contacts": "Contacts", "Tasks": "Tasks", "Notes": "Notes", "SentItems": "Sent Items", "Birthdays": "Birthdays"}}
RIGHTS = ("FullAccess", "ExternalAccount", "DeleteItem", "ReadPermission", "ChangePermission", "ChangeOwner")
ROLES = ("None", "Owner", "PublishingEditor", "Editor", "PublishingAuthor", "Author", "NonEditingAuthor", "Reviewer", "Contributor")
CALENDAR_ROLES = ("AvailabilityOnly", "LimitedDetails")
SINGLE = ("CreateItems", "CreateSubfolders", "DeleteAllItems", "DeleteOwnedItems", "EditAllItems", "EditOwnedItems", "FolderContact", "FolderOwner", "FolderVisible", "ReadItems")
FLAGS = ("None", "Delegate", "CanViewPrivateItems")
STORE = "Microsoft.Exchange.Management.StoreTasks."
TASKS = "Microsoft.Exchange.Management.Tasks."


def first_folders(language: str) -> dict:
    """Path → what kind of folder, and who may what there: nobody yet, and the two that every folder has."""
    names = NAMES.get(language, NAMES["en-US"])
    folders = {"\\": {"kind": "Root", "rights": {"Default": ["None"], "Anonymous": ["None"]}, "flags": {}}}
    for kind in ("Calendar", "Inbox", "Contacts", "Tasks", "Notes", "SentItems"):
        first = "AvailabilityOnly" if kind == "Calendar" else "None"
        folders["\\" + names[kind]] = {"kind": kind, "rights": {"Default": [first], "Anonymous": ["None"]}, "flags": {}}
    folders[f"\\{names['Calendar']}\\{names['Birthdays']}"] = {"kind": "BirthdayCalendar", "rights": {"Default": ["None"], "Anonymous": ["None"]}, "flags": {}}
    return folders


def principal(c, name, parameter="User"):
    """A trustee: an account or a security group."""
    one = c.backend.find(name, lambda one: bool({"user", "group"} & set(one.get("objectClass", []))))
    if shapes.is_group(one) and not int(one.get("groupType", 0)) & 0x80000000:
        raise errors.CmdletError(errors.TASKS + "RecipientTaskException", f'The group "{c.backend.shown(one["dn"])}" isn\'t a security group and can\'t be given permissions.', "InvalidArgument", str(name))
    return one


def shown_account(c, one) -> str:
    if c.flavour == "onprem":
        return f"CORP\\{one.get('sAMAccountName')}"
    return one.get("userPrincipalName") or shapes.primary(one) or one["name"]


def rights_of(c, parameter, allowed):
    given = c.get(parameter)
    flat = [part.strip() for one in given for part in str(one).split(",") if part.strip()]
    if not flat:
        raise errors.binding(c.name, f"Cannot process command because of one or more missing mandatory parameters: {parameter}.", "MissingMandatoryParameter")
    spelled = {name.lower(): name for name in allowed}
    made = []
    for one in flat:
        if one.lower() not in spelled:
            raise errors.binding(c.name, f"Cannot process argument transformation on parameter '{parameter}'. Cannot convert value \"{one}\". The possible enumeration values are "
                                 f"\"{', '.join(allowed)}\".", "ParameterArgumentTransformationError")
        made.append(spelled[one.lower()])
    return made


def anchor(c):
    """The mailbox, and what the store knows of it."""
    from mailboxes import mailbox_of
    return mailbox_of(c)


def keep(c, one, kept):
    from mailboxes import keep as write
    write(c, one, kept)


# On the whole mailbox

def ace(c, one, user, rights, inherited=False, deny=False, inheritance="All"):
    return {"__types": ["Microsoft.Exchange.Management.RecipientTasks.MailboxAcePresentationObject", "Microsoft.Exchange.Management.RecipientTasks.AcePresentationObject", "System.Object"],
            "Identity": c.backend.shown(one["dn"]), "User": user, "AccessRights": list(rights), "IsInherited": inherited, "Deny": deny, "InheritanceType": inheritance, "IsValid": True, "ObjectState": "Unchanged"}


@cmdlet("Get-MailboxPermission")
def get_mailbox_permission(c):
    one, kept = anchor(c)
    if c.get("Owner"):
        return c.out({"__types": ["Microsoft.Exchange.Management.RecipientTasks.OwnerPresentationObject"], "Identity": c.backend.shown(one["dn"]), "Owner": "NT AUTHORITY\\SYSTEM"})
    wanted = None
    if c.has("User"):
        wanted = "NT AUTHORITY\\SELF" if str(c.get("User")).upper().endswith("SELF") else principal(c, c.get("User"))
    if wanted is None or isinstance(wanted, str):
        c.out(ace(c, one, "NT AUTHORITY\\SELF", ["FullAccess", "ReadPermission"]))
    for entry in kept.get("rights", []):
        found = c.backend.by_guid(uuid.UUID(entry["user"]))
        if wanted is not None and (isinstance(wanted, str) or str(wanted["objectGUID"]) != entry["user"]):
            continue
        user = shown_account(c, found) if found else entry.get("sid") or "S-1-5-21-0-0-0-0"
        c.out(ace(c, one, user, entry["rights"], deny=entry.get("deny", False), inheritance=entry.get("inheritance", "All")))
    if wanted is None and c.flavour == "onprem":
        c.out(ace(c, one, "CORP\\Domain Admins", ["FullAccess"], inherited=True, deny=True))
        c.out(ace(c, one, "CORP\\Exchange Servers", ["FullAccess", "ReadPermission"], inherited=True))
        c.out(ace(c, one, "NT AUTHORITY\\SYSTEM", ["FullAccess"], inherited=True))
    return None


@cmdlet("Add-MailboxPermission")
def add_mailbox_permission(c):
    c.need("User")
    one, kept = anchor(c)
    rights = rights_of(c, "AccessRights", RIGHTS) if c.has("AccessRights") else c.need("AccessRights")
    user = principal(c, c.get("User"))
    entries, guid, deny = kept.setdefault("rights", []), str(user["objectGUID"]), bool(c.get("Deny"))
    entry = next((entry for entry in entries if entry["user"] == guid and entry.get("deny", False) == deny), None)
    if entry and set(rights) <= set(entry["rights"]):
        c.warn(f'The appropriate access control entry is already present on the object "{one["dn"]}" for account "{shown_account(c, user)}".')
    elif entry:
        entry["rights"] = [name for name in RIGHTS if name in {*entry["rights"], *rights}]
    else:
        entry = {"user": guid, "sid": user.get("objectSid"), "rights": rights, "deny": deny, "inheritance": str(c.get("InheritanceType", "All"))}
        entries.append(entry)
    if c.what_if:
        return
    keep(c, one, kept)
    if "FullAccess" in rights and not deny and c.get("AutoMapping", True) and shapes.is_mailbox(user):
        linked = one.get("msExchDelegateListLink", [])
        if user["dn"].lower() not in [dn.lower() for dn in linked]:
            c.backend.change(one, {"msExchDelegateListLink": linked + [user["dn"]]})
    c.out(ace(c, one, shown_account(c, user), entry["rights"], deny=deny, inheritance=entry.get("inheritance", "All")))


@cmdlet("Remove-MailboxPermission")
def remove_mailbox_permission(c):
    one, kept = anchor(c)
    if c.get("ClearAutoMapping"):
        return c.backend.change(one, {"msExchDelegateListLink": None})
    if c.get("ResetDefault"):
        kept["rights"] = []
        return keep(c, one, kept)
    c.need("User")
    rights = rights_of(c, "AccessRights", RIGHTS) if c.has("AccessRights") else c.need("AccessRights")
    user = principal(c, c.get("User"))
    guid, deny = str(user["objectGUID"]), bool(c.get("Deny"))
    entry = next((entry for entry in kept.get("rights", []) if entry["user"] == guid and entry.get("deny", False) == deny), None)
    if entry is None or not set(rights) & set(entry["rights"]):
        c.warn(f'Can\'t remove the access control entry on the object "{one["dn"]}" for account "{shown_account(c, user)}" because the ACE isn\'t present.')
        return None
    if c.what_if:
        return None
    entry["rights"] = [name for name in entry["rights"] if name not in rights]
    kept["rights"] = [entry for entry in kept["rights"] if entry["rights"]]
    keep(c, one, kept)
    linked = one.get("msExchDelegateListLink", [])
    if "FullAccess" in rights and user["dn"].lower() in [dn.lower() for dn in linked]:
        c.backend.change(one, {"msExchDelegateListLink": [dn for dn in linked if dn.lower() != user["dn"].lower()] or None})
    return None


# On folders

def folder_of(c):
    """mbx:\\Kalender → the mailbox, what is known of it, the folder's path and the folder."""
    identity = str(c.need("Identity"))
    name, colon, path = identity.partition(":\\")
    if not colon:
        name, path = identity.rstrip(":"), ""
    one = c.backend.find(name, shapes.is_mailbox)
    from mailboxes import fresh
    kept = c.store.get("mailbox", one["msExchMailboxGuid"]) or fresh(c, one)
    wanted = "\\" + path.strip("\\").replace("\ue63e", "/")
    for known, folder in kept["folders"].items():
        if known.lower() == wanted.lower():
            return one, kept, known, folder
    raise errors.not_found(identity, c.backend.server)


def trustee(c):
    """The key that the folder keeps a user under; Default and Anonymous are words."""
    name = str(c.need("User"))
    if name.lower() in ("default", "anonymous"):
        return name.capitalize(), None
    try:
        one = c.backend.find(name, lambda one: bool(one.get("mailNickname")))
    except errors.CmdletError as error:
        if error.reason != "ManagementObjectNotFoundException":
            raise
        raise errors.CmdletError(STORE + "InvalidExternalUserIdException", f'The user "{name}" is either not valid SMTP address, or there is no matching information.', "InvalidOperation", name) from None
    return str(one["objectGUID"]), one


def shown_folder(c, mailbox, path, folder, key) -> dict:
    one = c.backend.by_guid(uuid.UUID(key)) if key not in ("Default", "Anonymous") else None
    name = key if key in ("Default", "Anonymous") else (one.get("displayName") or one["name"]) if one else f"NT User:{key}"
    user = {"__types": ["Microsoft.Exchange.Management.StoreTasks.MailboxFolderUserId", "System.Object"], "__text": name,
            "UserType": key if key in ("Default", "Anonymous") else "Internal" if one else "Unknown", "DisplayName": name,
            "ADRecipient": c.backend.shown(one["dn"]) if one else None, "RecipientPrincipal": str(one["objectGUID"]) if one else None}
    return {"__types": ["Microsoft.Exchange.Management.StoreTasks.MailboxFolderPermission", "System.Object"], "Identity": name, "FolderName": path.rsplit("\\", 1)[-1] or "Top of Information Store", "User": user,
            "AccessRights": list(folder["rights"][key]), "SharingPermissionFlags": ", ".join(folder["flags"].get(key, [])) or None, "IsValid": True, "ObjectState": "New"}


def absent(name):
    return errors.CmdletError(STORE + "UserNotFoundInPermissionEntryException", f"There is no existing permission entry found for user: {name}.", "InvalidOperation", name)


@cmdlet("Get-MailboxFolderPermission")
def get_folder_permission(c):
    one, kept, path, folder = folder_of(c)
    keys = list(folder["rights"])
    if c.has("User"):
        key, _ = trustee(c)
        if key not in folder["rights"]:
            raise absent(str(c.get("User")))
        keys = [key]
    for key in keys:
        c.out(shown_folder(c, one, path, folder, key))


def folder_rights(c, folder):
    calendar = folder["kind"] in ("Calendar", "BirthdayCalendar")
    rights = rights_of(c, "AccessRights", ROLES + SINGLE + CALENDAR_ROLES)
    if not calendar and set(rights) & set(CALENDAR_ROLES):
        raise errors.CmdletError(STORE + "InvalidFolderPermissionException", "AvailabilityOnly and LimitedDetails are for calendar folders only.", "InvalidArgument", c.name)
    if len(rights) > 1 and set(rights) & set(ROLES + CALENDAR_ROLES):
        raise errors.CmdletError("System.ArgumentException", "A role can't be given together with other access rights.", "InvalidArgument", c.name)
    flags = rights_of(c, "SharingPermissionFlags", FLAGS) if c.has("SharingPermissionFlags") else []
    flags = [flag for flag in flags if flag != "None"]
    if flags and (not calendar or rights != ["Editor"]):
        raise errors.CmdletError("System.ArgumentException", "SharingPermissionFlags can only be used on the calendar folder with the Editor role.", "InvalidArgument", c.name)
    if "CanViewPrivateItems" in flags and "Delegate" not in flags:
        raise errors.CmdletError("System.ArgumentException", "CanViewPrivateItems needs Delegate.", "InvalidArgument", c.name)
    return rights, flags


@cmdlet("Add-MailboxFolderPermission", "Set-MailboxFolderPermission")
def write_folder_permission(c):
    one, kept, path, folder = folder_of(c)
    key, found = trustee(c)
    if not c.has("AccessRights"):
        c.need("AccessRights")
    rights, flags = folder_rights(c, folder)
    name = (found.get("displayName") or found["name"]) if found else key
    exists = key in folder["rights"]
    if c.name.startswith("Add-") and exists and not (key in ("Default", "Anonymous") and folder["rights"][key] == ["None"]):
        raise errors.CmdletError(STORE + "UserAlreadyExistsInPermissionEntryException", f"An existing permission entry was found for user: {name}.", "InvalidOperation", name)
    if c.name.startswith("Set-") and not exists:
        raise absent(name)
    if exists and c.name.startswith("Set-") and folder["rights"][key] == rights and folder["flags"].get(key, []) == flags:
        c.warn(f"The command completed successfully but no settings of '{c.get('Identity')}' have been modified.")
    folder["rights"][key], folder["flags"][key] = rights, flags
    keep(c, one, kept)
    if c.name.startswith("Add-"):
        c.out(shown_folder(c, one, path, folder, key))


@cmdlet("Remove-MailboxFolderPermission")
def remove_folder_permission(c):
    one, kept, path, folder = folder_of(c)
    key, found = trustee(c)
    if key in ("Default", "Anonymous"):
        raise errors.CmdletError("System.ArgumentException", f"The {key} entry can't be removed.", "InvalidArgument", key)
    if key not in folder["rights"]:
        raise absent((found.get("displayName") or found["name"]) if found else key)
    del folder["rights"][key]
    folder["flags"].pop(key, None)
    keep(c, one, kept)


@cmdlet("Get-MailboxFolderStatistics")
def folder_statistics(c):
    one, kept = anchor(c)
    scope = str(c.get("FolderScope", "All"))
    known = {"all", "calendar", "inbox", "contacts", "tasks", "notes", "sentitems"}
    if scope.lower() not in known:
        raise errors.binding(c.name, f"Cannot process argument transformation on parameter 'FolderScope'. Cannot convert value \"{scope}\".", "ParameterArgumentTransformationError")
    for path, folder in kept["folders"].items():
        kind = folder["kind"]
        if scope.lower() != "all" and not (kind.lower() == scope.lower() or (scope.lower() == "calendar" and kind == "BirthdayCalendar")):
            continue
        name = path.rsplit("\\", 1)[-1] or "Top of Information Store"
        c.out({"__types": ["Microsoft.Exchange.Management.Tasks.MailboxFolderConfiguration", "System.Object"], "Name": name, "Identity": f"{c.backend.shown(one['dn'])}{path}",
               "FolderPath": path.replace("\\", "/") or "/", "FolderId": str(uuid.uuid5(one["msExchMailboxGuid"], path)), "FolderType": kind, "ItemsInFolder": 0, "FolderSize": shapes.size(0),
               "ItemsInFolderAndSubfolders": 0, "ContainerClass": "IPF.Appointment" if "Calendar" in kind else "IPF.Note"})


# Sending as

def sendas_area(c) -> str:
    return "sendas" if c.flavour == "onprem" else "sendas-online"


def sendas_rights(c):
    given = [str(one).strip().lower().replace("-", " ") for one in c.get("ExtendedRights", []) or []]
    if given != ["send as"]:
        raise errors.CmdletError("System.ArgumentException", "The stand-in keeps only the extended right Send As.", "InvalidArgument", c.name)


@cmdlet("Get-ADPermission")
def get_ad_permission(c):
    one = c.backend.find(c.need("Identity"))
    wanted = principal(c, c.get("User")) if c.has("User") else None

    def entry(user, inherited, extended, access=("ExtendedRight",)):
        c.out({"__types": ["Microsoft.Exchange.Management.RecipientTasks.ADAcePresentationObject", "Microsoft.Exchange.Management.RecipientTasks.AcePresentationObject", "System.Object"],
               "Identity": c.backend.shown(one["dn"]), "User": user, "Deny": False, "IsInherited": inherited, "AccessRights": list(access), "ExtendedRights": list(extended), "ChildObjectTypes": [],
               "InheritedObjectType": None, "Properties": [], "InheritanceType": "All", "IsValid": True, "ObjectState": "Unchanged"})
    if wanted is None:
        entry("NT AUTHORITY\\SELF", False, ["Send-As"])
        entry("CORP\\Exchange Trusted Subsystem", True, [], ("GenericAll",))
    for guid in c.store.get(sendas_area(c), one["objectGUID"], []):
        found = c.backend.by_guid(uuid.UUID(guid))
        if found and (wanted is None or wanted["objectGUID"] == found["objectGUID"]):
            entry(shown_account(c, found), False, ["Send-As"])


@cmdlet("Add-ADPermission")
def add_ad_permission(c):
    c.need("User")
    one, user = c.backend.find(c.need("Identity")), principal(c, c.get("User"))
    sendas_rights(c)
    add_sendas(c, one, user)
    c.out({"__types": ["Microsoft.Exchange.Management.RecipientTasks.ADAcePresentationObject", "System.Object"], "Identity": c.backend.shown(one["dn"]), "User": shown_account(c, user), "Deny": False,
           "IsInherited": False, "AccessRights": ["ExtendedRight"], "ExtendedRights": ["Send-As"], "IsValid": True})


def add_sendas(c, one, user):
    held = c.store.get(sendas_area(c), one["objectGUID"], [])
    if str(user["objectGUID"]) in held:
        c.warn(f'The appropriate access control entry is already present on the object "{one["dn"]}" for account "{shown_account(c, user)}".')
    elif not c.what_if:
        c.store.put(sendas_area(c), one["objectGUID"], held + [str(user["objectGUID"])])


def remove_sendas(c, one, user):
    held = c.store.get(sendas_area(c), one["objectGUID"], [])
    if str(user["objectGUID"]) not in held:
        c.warn(f'Can\'t remove the access control entry on the object "{one["dn"]}" for account "{shown_account(c, user)}" because the ACE doesn\'t exist on the object.')
    elif not c.what_if:
        c.store.put(sendas_area(c), one["objectGUID"], [guid for guid in held if guid != str(user["objectGUID"])])


@cmdlet("Remove-ADPermission")
def remove_ad_permission(c):
    c.need("User")
    one, user = c.backend.find(c.need("Identity")), principal(c, c.get("User"))
    sendas_rights(c)
    remove_sendas(c, one, user)


def recipient_ace(c, one, trustee_name, inherited=False):
    return {"__types": ["Microsoft.Exchange.Management.RecipientTasks.RecipientPermission", "System.Object"], "Identity": c.backend.shown(one["dn"]), "Trustee": trustee_name, "AccessControlType": "Allow",
            "AccessRights": ["SendAs"], "IsInherited": inherited, "InheritanceType": "None", "IsValid": True, "ObjectState": "Unchanged"}


@cmdlet("Get-RecipientPermission")
def get_recipient_permission(c):
    wanted = principal(c, c.get("Trustee")) if c.has("Trustee") else None
    every = [c.backend.find(c.get("Identity"), lambda one: bool(one.get("mailNickname")))] if c.has("Identity") else c.backend.recipients()
    for one in every:
        if wanted is None:
            c.out(recipient_ace(c, one, "NT AUTHORITY\\SELF"))
        for guid in c.store.get("sendas-online", one["objectGUID"], []):
            found = c.backend.by_guid(uuid.UUID(guid))
            if found and (wanted is None or wanted["objectGUID"] == found["objectGUID"]):
                c.out(recipient_ace(c, one, shown_account(c, found)))


@cmdlet("Add-RecipientPermission", "Remove-RecipientPermission")
def write_recipient_permission(c):
    c.need("Trustee")
    one = c.backend.find(c.need("Identity"), lambda one: bool(one.get("mailNickname")))
    user = principal(c, c.get("Trustee"))
    if not c.has("AccessRights"):
        c.need("AccessRights")
    rights_of(c, "AccessRights", ("SendAs",))
    if c.name.startswith("Add-"):
        add_sendas(c, one, user)
        c.out(recipient_ace(c, one, shown_account(c, user)))
    else:
        remove_sendas(c, one, user)
