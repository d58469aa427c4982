"""The lab's directory as the stand-in uses it: over LDAPS, with an account of its own."""

import re
import ssl
import struct
import threading
import uuid

import ldap3
from ldap3.core import exceptions as ldap
from ldap3.utils.conv import escape_filter_chars

GUIDS = {"objectGUID", "msExchMailboxGuid", "msExchArchiveGUID"}
MULTI = {"proxyAddresses", "authOrig", "unauthOrig", "dLMemSubmitPerms", "dLMemRejectPerms", "publicDelegates", "member", "msExchDelegateListLink",
         "msExchModeratedByLink", "msExchBypassModerationLink", "msExchCoManagedByLink", "msExchPoliciesIncluded", "msExchPoliciesExcluded", "objectClass",
         "msExchArchiveName", "memberOf"}
READ = ["objectGUID", "objectSid", "objectClass", "sAMAccountName", "userPrincipalName", "displayName", "givenName", "sn", "cn", "name", "mail",
        "proxyAddresses", "legacyExchangeDN", "userAccountControl", "groupType", "managedBy", "description", "department", "title", "company",
        "physicalDeliveryOfficeName", "telephoneNumber", "whenCreated", "whenChanged", "mailNickname", "homeMDB", "targetAddress", "altRecipient",
        "deliverAndRedirect", "authOrig", "unauthOrig", "dLMemSubmitPerms", "dLMemRejectPerms", "publicDelegates", "mDBUseDefaults", "mDBStorageQuota",
        "mDBOverQuotaLimit", "mDBOverHardQuotaLimit", "msExchMailboxGuid", "msExchRecipientDisplayType", "msExchRecipientTypeDetails",
        "msExchHideFromAddressLists", "msExchRequireAuthToSendTo", "msExchRemoteRecipientType", "msExchArchiveGUID", "msExchArchiveName",
        "msExchDelegateListLink", "msExchEnableModeration", "msExchModeratedByLink", "msExchBypassModerationLink", "msExchCoManagedByLink",
        "msExchGenericForwardingAddress", "msExchELCMailboxFlags", "msExchPoliciesExcluded", "msExchGroupJoinRestriction",
        "msExchGroupDepartRestriction", "employeeID", "memberOf", "member"]


def sid_text(raw: bytes) -> str:
    subs = struct.unpack(f"<{raw[1]}I", raw[8:])
    return "-".join(["S", str(raw[0]), str(int.from_bytes(raw[2:8], "big")), *map(str, subs)])


def filter_bytes(raw: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in raw)


class Directory:
    """One connection, made again when it broke; every operation holds the lock."""

    def __init__(self, url: str, bind_dn: str, password: str, ca_file: str, base: str, name: str):
        self.url, self.bind_dn, self.password, self.base, self.name = url, bind_dn, password, base, name
        self.tls = ldap3.Tls(ca_certs_file=ca_file, validate=ssl.CERT_REQUIRED, valid_names=[name])
        self.lock = threading.RLock()
        self.connection = None

    def connect(self):
        server = ldap3.Server(self.url, use_ssl=True, tls=self.tls, get_info=ldap3.NONE, connect_timeout=5)
        return ldap3.Connection(server, self.bind_dn, self.password, auto_bind=True, raise_exceptions=True, receive_timeout=20, check_names=False)

    def run(self, work, retry: bool):
        with self.lock:
            for attempt in (1, 2):
                try:
                    if self.connection is None:
                        self.connection = self.connect()
                    return work(self.connection)
                except (ldap.LDAPSocketOpenError, ldap.LDAPSocketReceiveError, ldap.LDAPSocketSendError, ldap.LDAPSessionTerminatedByServerError,
                        ldap.LDAPCommunicationError, ldap.LDAPBindError, ldap.LDAPUnavailableResult):
                    self.drop()
                    if attempt == 2 or not retry:
                        raise

    def drop(self):
        try:
            if self.connection is not None:
                self.connection.unbind()
        except ldap.LDAPException:
            pass
        self.connection = None

    def search(self, filter_text: str, base: str | None = None, scope=ldap3.SUBTREE, attributes=READ) -> list[dict]:
        def work(connection):
            entries = connection.extend.standard.paged_search(base or self.base, filter_text, scope, attributes=attributes, paged_size=1000, generator=False)
            return [self.entry(found) for found in entries if found["type"] == "searchResEntry"]

        try:
            return self.run(work, True)
        except (ldap.LDAPNoSuchObjectResult, ldap.LDAPInvalidDNSyntaxResult):
            return []

    @staticmethod
    def entry(found: dict) -> dict:
        made = {"dn": found["dn"]}
        for name, values in found["raw_attributes"].items():
            if name.startswith("member;range"):
                name = "member"
            if not values:
                continue
            if name in GUIDS:
                made[name] = uuid.UUID(bytes_le=values[0])
            elif name == "objectSid":
                made[name] = sid_text(values[0])
            elif name in MULTI:
                made[name] = [value.decode("utf-8", "replace") for value in values]
            else:
                made[name] = values[0].decode("utf-8", "replace")
        return made

    def modify(self, dn: str, changes: dict) -> None:
        """`changes`: attribute → None (remove), a value, a list (replace), or ("add"|"delete", values)."""
        sent = {}
        for name, value in changes.items():
            verb = ldap3.MODIFY_REPLACE
            if isinstance(value, tuple):
                verb = ldap3.MODIFY_ADD if value[0] == "add" else ldap3.MODIFY_DELETE
                value = value[1]
            values = [] if value is None else value if isinstance(value, list) else [value]
            sent[name] = [(verb, [to_wire(one) for one in values])]
        if sent:
            self.run(lambda connection: connection.modify(dn, sent), False)

    def add(self, dn: str, classes: list[str], attributes: dict) -> None:
        sent = {name: [to_wire(one) for one in (value if isinstance(value, list) else [value])] for name, value in attributes.items() if value is not None}
        self.run(lambda connection: connection.add(dn, classes, sent), False)

    def rename(self, dn: str, rdn: str) -> str:
        self.run(lambda connection: connection.modify_dn(dn, rdn), False)
        return f"{rdn},{parent_of(dn)}"

    def delete(self, dn: str) -> None:
        self.run(lambda connection: connection.delete(dn), False)

    def highest_usn(self) -> str:
        found = self.run(lambda connection: connection.search("", "(objectClass=*)", ldap3.BASE, attributes=["highestCommittedUSN"]) and connection.response, True)
        return found[0]["raw_attributes"]["highestCommittedUSN"][0].decode()

    def password_fits(self, who: str, password: str) -> bool:
        if not password:
            return False
        server = ldap3.Server(self.url, use_ssl=True, tls=self.tls, get_info=ldap3.NONE, connect_timeout=5)
        connection = ldap3.Connection(server, who, password, receive_timeout=10)
        try:
            return connection.bind()
        except ldap.LDAPException:
            return False
        finally:
            connection.unbind()


def to_wire(value):
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, uuid.UUID):
        return value.bytes_le
    if isinstance(value, bytes):
        return value
    return str(value)


def parts_of(dn: str) -> list[str]:
    """The DN's parts, escapes left as they are."""
    return re.split(r"(?<!\\),", dn)


def parent_of(dn: str) -> str:
    return ",".join(parts_of(dn)[1:])


def canonical(dn: str) -> str:
    """corp.example.com/Staff/Hamburg/Name, as Exchange shows identities."""
    parts = [part.partition("=")[::2] for part in parts_of(dn)]
    domain = ".".join(value for kind, value in parts if kind.upper() == "DC")
    return "/".join([domain, *(unescape(value) for kind, value in reversed(parts) if kind.upper() != "DC")])


def unescape(value: str) -> str:
    out, raw, index = [], value, 0
    pending = bytearray()
    while index < len(raw):
        if raw[index] == "\\" and index + 2 < len(raw) and all(c in "0123456789abcdefABCDEF" for c in raw[index + 1:index + 3]) and len(raw[index + 1:index + 3]) == 2:
            pending.append(int(raw[index + 1:index + 3], 16))
            index += 3
            continue
        if pending:
            out.append(pending.decode("utf-8", "replace"))
            pending.clear()
        if raw[index] == "\\" and index + 1 < len(raw):
            index += 1
        out.append(raw[index])
        index += 1
    if pending:
        out.append(pending.decode("utf-8", "replace"))
    return "".join(out)


def rdn_escape(value: str) -> str:
    out = "".join("\\" + c if c in ',+"\\<>;=' else c for c in value)
    if out[:1] in (" ", "#"):
        out = "\\" + out
    if out.endswith(" "):
        out = out[:-1] + "\\ "
    return out


__all__ = ["Directory", "READ", "canonical", "escape_filter_chars", "filter_bytes", "ldap", "ldap3", "parent_of", "parts_of", "rdn_escape", "unescape"]
