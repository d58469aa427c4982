"""Recipients on premises: objects of the lab's directory with Exchange's attributes on them."""

import uuid

import ldap3

import errors
from directory import Directory, canonical, escape_filter_chars, filter_bytes, ldap, rdn_escape

MAIL_DOMAIN = "example.com"
ROUTING_DOMAIN = "example.mail.onmicrosoft.com"
ORGANISATION = "Example Corp"
EXCHANGE_GROUP = "Exchange Administrative Group (FYDIBOHF23SPDLT)"
RECIPIENTS = f"/o={ORGANISATION}/ou={EXCHANGE_GROUP}/cn=Recipients/cn="
POLICY = "{26491cfc-9e50-4857-861b-0cb8df22b5d7}"
RECIPIENT_FILTER = "(mailNickname=*)"


class OnPremises:
    flavour = "onprem"
    server = "dc1.corp.example.com"

    def __init__(self, directory: Directory, store):
        self.directory, self.store = directory, store
        self.base = directory.base

    def begin(self):
        pass

    # Reading

    def by_filter(self, text: str) -> list[dict]:
        return self.directory.search(text)

    def recipients(self, text: str = "") -> list[dict]:
        return self.directory.search(f"(&{RECIPIENT_FILTER}{text})")

    def by_dn(self, dn: str) -> dict | None:
        found = self.directory.search("(objectClass=*)", dn, ldap3.BASE)
        return found[0] if found else None

    def by_guid(self, guid: uuid.UUID) -> dict | None:
        found = self.directory.search(f"(objectGUID={filter_bytes(guid.bytes_le)})")
        return found[0] if found else None

    def holders(self, address: str) -> list[dict]:
        """Whoever has the address, in whichever attribute."""
        safe = escape_filter_chars(address)
        return self.directory.search(f"(|(proxyAddresses=smtp:{safe})(mail={safe})(targetAddress=smtp:{safe}))")

    def candidates(self, identity) -> tuple[list[dict], list[dict]]:
        """Objects that the identity names for certain, and those that merely are called so."""
        text = str(identity).strip()
        try:
            guid = uuid.UUID(text)
            raw = filter_bytes(guid.bytes_le)
            return self.directory.search(f"(|(objectGUID={raw})(msExchMailboxGuid={raw}))"), []
        except ValueError:
            pass
        if "=" in text and text.lower().endswith(self.base.lower()):
            found = self.by_dn(text)
            return ([found] if found else []), []
        if "/" in text and text.lower().startswith("corp.example.com/"):
            name = escape_filter_chars(text.rsplit("/", 1)[-1])
            found = [one for one in self.directory.search(f"(name={name})") if canonical(one["dn"]).lower() == text.lower()]
            return found, []
        bare = text[5:] if text.lower().startswith("smtp:") else text.split("\\", 1)[1] if text.upper().startswith("CORP\\") else text
        safe = escape_filter_chars(bare)
        found = self.directory.search(f"(|(proxyAddresses=smtp:{safe})(mailNickname={safe})(sAMAccountName={safe})(userPrincipalName={safe})(legacyExchangeDN={safe})"
                                      f"(proxyAddresses=x500:{safe})(cn={safe})(displayName={safe}))")
        low = bare.lower()

        def exact(one):
            return (low in [str(one.get(key, "")).lower() for key in ("mailNickname", "sAMAccountName", "userPrincipalName", "legacyExchangeDN")]
                    or any(value.lower() in (f"smtp:{low}", f"x500:{low}") for value in one.get("proxyAddresses", [])))
        sure = [one for one in found if exact(one)]
        return sure, [one for one in found if not exact(one)]

    def find(self, identity, fits=lambda one: True) -> dict:
        sure, called = self.candidates(identity)
        for group in (sure, called):
            group = [one for one in group if fits(one)]
            if len(group) > 1:
                raise errors.ambiguous(identity)
            if group:
                return group[0]
        raise errors.not_found(identity, self.server)

    # Writing

    def change(self, one: dict, changes: dict) -> None:
        sent = {name: value for name, value in changes.items()}
        try:
            self.directory.modify(one["dn"], sent)
        except ldap.LDAPEntryAlreadyExistsResult:
            raise errors.exists(one["dn"]) from None
        except ldap.LDAPInsufficientAccessRightsResult as error:
            raise errors.CmdletError("Microsoft.Exchange.Data.Directory.ADOperationException", "Active Directory operation failed on dc1.corp.example.com. This error is not retriable. "
                                     f"Additional information: Insufficient access rights to perform the operation. Active directory response: 00002098: SecErr ({error}).", "NotSpecified", one["dn"]) from None
        except ldap.LDAPNoSuchObjectResult:
            raise errors.not_found(one["dn"], self.server) from None
        for name, value in sent.items():
            if isinstance(value, tuple):
                kept = list(one.get(name, []))
                one[name] = kept + value[1] if value[0] == "add" else [old for old in kept if old not in value[1]]
            elif value is None or value == []:
                one.pop(name, None)
            else:
                one[name] = value if isinstance(value, (list, uuid.UUID)) else "TRUE" if value is True else "FALSE" if value is False else str(value)

    def create(self, dn: str, classes: list[str], attributes: dict) -> dict:
        try:
            self.directory.add(dn, classes, attributes)
        except ldap.LDAPEntryAlreadyExistsResult:
            raise errors.exists(dn) from None
        return self.by_dn(dn)

    def rename(self, one: dict, name: str) -> None:
        try:
            one["dn"] = self.directory.rename(one["dn"], f"CN={rdn_escape(name)}")
        except ldap.LDAPEntryAlreadyExistsResult:
            raise errors.exists(name) from None
        one["name"] = one["cn"] = name

    def delete(self, one: dict) -> None:
        try:
            self.directory.delete(one["dn"])
        except ldap.LDAPNoSuchObjectResult:
            raise errors.not_found(one["dn"], self.server) from None

    # Names

    def shown(self, dn: str) -> str:
        return canonical(dn)

    def policy_on(self, one: dict) -> bool:
        return POLICY not in one.get("msExchPoliciesExcluded", [])

    def databases(self) -> dict[str, str]:
        parent = f"CN=Databases,CN={EXCHANGE_GROUP},CN=Administrative Groups,CN={ORGANISATION},CN=Microsoft Exchange,CN=Services,CN=Configuration,{self.base}"
        return {name: f"CN={name},{parent}" for name in ("DB01", "DB02")}
