"""Recipients Online: fed from the directory as a directory synchronisation does, and some that live here only. Kept in the store, area `online`."""

import re
import types
import uuid

import addresses
import errors
import mailboxes
import shapes
from onprem import OnPremises
from seed import SEED

SPACE = uuid.UUID("6f1d2c3b-4a59-4e68-9f70-8192a3b4c5d6")
PARENT = "OU=example.onmicrosoft.com,OU=Microsoft Exchange Hosted Organizations,DC=EURPR01A001,DC=PROD,DC=OUTLOOK,DC=COM"
QUOTA = {"mDBStorageQuota": 98 * 2**20, "mDBOverQuotaLimit": 99 * 2**20, "mDBOverHardQuotaLimit": 100 * 2**20}
REMOTE = {2147483648: 1, 34359738368: 4, 8589934592: 16, 17179869184: 32}
COPIED = ("userPrincipalName", "displayName", "givenName", "sn", "mail", "mailNickname", "department", "title", "company", "physicalDeliveryOfficeName", "telephoneNumber", "description", "groupType",
          "msExchHideFromAddressLists", "msExchRequireAuthToSendTo", "msExchEnableModeration", "userAccountControl", "legacyExchangeDN", "whenCreated", "whenChanged", "targetAddress")
LINKED = ("managedBy", "authOrig", "unauthOrig", "dLMemSubmitPerms", "dLMemRejectPerms", "msExchModeratedByLink", "msExchBypassModerationLink", "msExchCoManagedByLink", "member")
UUIDS = ("objectGUID", "msExchMailboxGuid", "msExchArchiveGUID", "anchor")


def plain(one: dict) -> dict:
    return {key: str(value) if isinstance(value, uuid.UUID) else value for key, value in one.items()}


def rich(one: dict) -> dict:
    return {key: uuid.UUID(value) if key in UUIDS and value else value for key, value in one.items()}


class Tenant(OnPremises):
    flavour = "online"
    server = "AM0PR01A001DC03.EURPR01A001.PROD.OUTLOOK.COM"

    def __init__(self, directory, store):
        super().__init__(directory, store)
        self.objects = {uuid.UUID(key): rich(value) for key, value in store.all("online").items()}
        self.seen = None

    # Synchronisation

    def begin(self):
        usn = self.directory.highest_usn()
        if usn != self.seen:
            self.synchronise()
            self.seen = usn

    def synchronise(self) -> None:
        found = self.directory.search("(&(|(&(objectCategory=person)(objectClass=user))(objectClass=group))(!(isCriticalSystemObject=TRUE)))")
        licensed = next((set(dn.lower() for dn in one.get("member", [])) for one in found if one.get("name") == SEED["licence_group"]), set())
        names, dns = {}, {}
        for one in found:
            name = one.get("name", "")
            names[name.lower()] = names.get(name.lower(), 0) + 1
            label = name if names[name.lower()] == 1 else f"{name}-{str(one['objectGUID'])[:8]}"
            dns[one["dn"].lower()] = f"CN={label},{PARENT}"
        there = set()
        for one in found:
            guid = uuid.uuid5(SPACE, str(one["objectGUID"]))
            there.add(guid)
            self.take(guid, one, dns, one["dn"].lower() in licensed)
        for guid in [guid for guid, kept in self.objects.items() if kept.get("synced") and guid not in there]:
            self.drop(guid)

    def take(self, guid, one, dns, licensed) -> None:
        kept = self.objects.get(guid, {})
        made = {key: value for key, value in kept.items() if key not in (*COPIED, *LINKED, "proxyAddresses")}
        made.update({"objectGUID": guid, "anchor": one["objectGUID"], "synced": True, "dn": dns[one["dn"].lower()], "objectClass": one["objectClass"]})
        made["name"] = made["cn"] = made["dn"].split(",")[0][3:]
        for name in COPIED:
            if name in one:
                made[name] = one[name]
        for name in LINKED:
            values = one.get(name)
            if values:
                mapped = [dns[dn.lower()] for dn in (values if isinstance(values, list) else [values]) if dn.lower() in dns]
                if mapped:
                    made[name] = mapped if isinstance(values, list) else mapped[0]
        made["proxyAddresses"] = list(one.get("proxyAddresses", []))
        if shapes.is_group(one):
            self.settle(guid, made, kept)
            return
        number = shapes.kind(one)
        wanted = None
        if one.get("mailNickname"):
            wanted = REMOTE.get(number) if number in REMOTE and (licensed or number != 2147483648) else 128
        if wanted is None:
            for name in ("msExchRecipientTypeDetails", "msExchRecipientDisplayType", "msExchMailboxGuid"):
                made.pop(name, None)
        elif wanted == 128:
            made["msExchRecipientTypeDetails"] = 128
            made["msExchMailboxGuid"] = one.get("msExchMailboxGuid") or shapes.ZERO
        else:
            if shapes.kind(kept) not in shapes.MAILBOXES:
                made["msExchRecipientTypeDetails"] = wanted
                made["msExchMailboxGuid"] = uuid.uuid5(guid, "mailbox")
                made.update(QUOTA)
                if not self.store.get("mailbox", made["msExchMailboxGuid"]):
                    self.begin_mailbox(made, wanted)
            if one.get("msExchArchiveGUID") and not made.get("msExchArchiveGUID"):
                made.update({"msExchArchiveGUID": one["msExchArchiveGUID"], "msExchArchiveName": one.get("msExchArchiveName", [])})
        self.settle(guid, made, kept)

    def begin_mailbox(self, one, number) -> None:
        mailboxes.begin_mailbox(types.SimpleNamespace(store=self.store), one["msExchMailboxGuid"], number, "en-US", 50 + one["msExchMailboxGuid"].int % 500)

    def settle(self, guid, made, kept) -> None:
        if made != kept:
            self.objects[guid] = made
            self.store.put("online", guid, plain(made))

    def drop(self, guid) -> None:
        self.objects.pop(guid, None)
        self.store.drop("online", guid)

    # Reading

    def copy(self, one):
        return {key: list(value) if isinstance(value, list) else value for key, value in one.items()}

    def everybody(self) -> list[dict]:
        return [self.copy(one) for one in self.objects.values()]

    def recipients(self, text: str = "") -> list[dict]:
        return [one for one in self.everybody() if one.get("mailNickname")]

    def by_dn(self, dn):
        return next((self.copy(one) for one in self.objects.values() if one["dn"].lower() == dn.lower()), None)

    def by_guid(self, guid):
        found = self.objects.get(guid)
        return self.copy(found) if found else None

    def by_filter(self, text):
        return []

    def holders(self, address):
        low = f"smtp:{address}".lower()
        return [self.copy(one) for one in self.objects.values() if low in [value.lower() for value in one.get("proxyAddresses", [])] or one.get("mail", "").lower() == address.lower()]

    def candidates(self, identity):
        text = str(identity).strip()
        try:
            guid = uuid.UUID(text)
            return [self.copy(one) for one in self.objects.values() if guid in (one["objectGUID"], one.get("msExchMailboxGuid"))], []
        except ValueError:
            pass
        low = (text[5:] if text.lower().startswith("smtp:") else text).lower()
        sure, called = [], []
        for one in self.objects.values():
            if low in [str(one.get(key, "")).lower() for key in ("mailNickname", "userPrincipalName", "legacyExchangeDN", "dn", "name")] or f"smtp:{low}" in [value.lower() for value in one.get("proxyAddresses", [])]:
                sure.append(self.copy(one))
            elif low == str(one.get("displayName", "")).lower():
                called.append(self.copy(one))
        return sure, called

    # Writing

    def change(self, one, changes):
        kept = self.objects.get(one["objectGUID"])
        if kept is None:
            raise errors.not_found(one["dn"], self.server)
        made = self.copy(kept)
        for name, value in changes.items():
            if isinstance(value, tuple):
                before = made.get(name, [])
                made[name] = before + value[1] if value[0] == "add" else [old for old in before if old not in value[1]]
            elif value is None or value == []:
                made.pop(name, None)
            else:
                made[name] = "TRUE" if value is True else "FALSE" if value is False else value
        self.settle(one["objectGUID"], made, kept)
        one.clear()
        one.update(self.copy(made))

    def rename(self, one, name):
        dn = f"CN={name},{PARENT}"
        if self.by_dn(dn):
            raise errors.exists(name)
        before = one["dn"]
        self.change(one, {"dn": dn, "name": name, "cn": name})
        for other in list(self.objects.values()):
            for link in (*LINKED, "publicDelegates", "altRecipient"):
                held = other.get(link)
                if held == before or (isinstance(held, list) and before in held):
                    self.change(self.copy(other), {link: dn if held == before else [dn if value == before else value for value in held]})

    def delete(self, one):
        self.drop(one["objectGUID"])
        for other in list(self.objects.values()):
            for name in LINKED:
                values = other.get(name)
                if isinstance(values, list) and one["dn"] in values:
                    self.change(other, {name: [dn for dn in values if dn != one["dn"]]})

    def new_object(self, name: str, classes: list[str], attributes: dict) -> dict:
        dn = f"CN={name},{PARENT}"
        if self.by_dn(dn):
            raise errors.exists(name)
        guid = uuid.uuid4()
        made = {key: "TRUE" if value is True else "FALSE" if value is False else value for key, value in attributes.items() if value not in (None, [])}
        made.update({"objectGUID": guid, "dn": dn, "name": name, "cn": name, "objectClass": classes})
        self.settle(guid, made, None)
        return self.copy(made)

    def new_mailbox(self, c, number: int):
        name = str(c.need("Name"))
        if number == 1 and not (c.has("Password") and c.has("MicrosoftOnlineServicesID")):
            c.need("Password", "MicrosoftOnlineServicesID")
        alias = addresses.check_alias(c, str(c.get("Alias") or addresses.alias_for(name)))
        address = mailboxes.chosen_address(c)
        if address:
            addresses.free(c, address)
        changes = {**addresses.start(c, {}, alias, address), **mailboxes.mailbox_attributes(c, number), **QUOTA, "displayName": str(c.get("DisplayName") or name),
                   "userPrincipalName": str(c.get("MicrosoftOnlineServicesID") or f"{alias}@example.onmicrosoft.com"), "userAccountControl": 512 if number == 1 else 514}
        if c.what_if:
            return
        one = self.new_object(name, ["user"], changes)
        mailboxes.begin_mailbox(c, one["msExchMailboxGuid"], number)
        c.out(shapes.mailbox(c, one))

    # Names

    def shown(self, dn):
        one = next((one for one in self.objects.values() if one["dn"].lower() == dn.lower()), None)
        return one["name"] if one else re.sub(r"^CN=([^,]*),.*", r"\1", dn)

    def policy_on(self, one):
        return False

    def databases(self):
        return {"EURPR01DG001-db001": ""}


