"""Fills a new domain with the company: organisational units, accounts with their misfits, groups, and the delegated service account.

usage: load.py SMB_CONF FOLDER_WITH_SECRETS

Runs on the domain controller's own database before it is started, in one transaction, so that 60 people take a second
and either all of it is there or nothing. Written for the interpreter that Samba's Python bindings come with.
"""

import csv
import datetime
import json
import pathlib
import secrets
import string
import sys
import zoneinfo

import ldb
import samba.dckeytab  # noqa: F401  (gives Net its export_keytab)
from samba.auth import system_session
from samba.net import Net
from samba.param import LoadParm
from samba.samdb import SamDB
from samba.sd_utils import SDUtils

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "exchange"))
import schema  # noqa: E402  (Exchange's attributes)
import seed  # noqa: E402  (its recipients)

DOMAIN = "example.com"
USER_CLASS = "bf967aba-0de6-11d0-a285-00aa003049e2"
GROUP_CLASS = "bf967a9c-0de6-11d0-a285-00aa003049e2"
MEMBER = "bf9679c0-0de6-11d0-a285-00aa003049e2"
NEVER_EXPIRES = 0x10000
DISABLED = 0x2
NORMAL = 0x200
WORKSTATION = 0x1000
AES = "24"
EXCHANGE_HOST = "ex01.corp.example.com"


class Directory:
    def __init__(self, samdb: SamDB):
        self.samdb = samdb
        self.base = str(samdb.domain_dn())
        self.taken = set()

    def dn(self, name: str, parent: str) -> str:
        """A DN for `name` under `parent`, escaped, and numbered where two would have one name."""
        for number in range(1, 100):
            text = name if number == 1 else f"{name} ({number})"
            dn = ldb.Dn(self.samdb, f"CN=x,{parent}")
            dn.set_component(0, "CN", text)
            if str(dn).casefold() not in self.taken:
                self.taken.add(str(dn).casefold())
                return str(dn)
        raise ValueError(f"no free name for {name}")

    def ou(self, name: str, parent: str, description: str) -> str:
        dn = f"OU={name},{parent}"
        self.samdb.add({"dn": dn, "objectClass": "organizationalUnit", "description": description})
        return dn

    def user(self, dn: str, account: str, attributes: dict, *, flags: int = NORMAL, password: str | None = None) -> str:
        """Adds the account disabled, gives it a password, then its final flags: as the directory wants it."""
        kept = {name: value for name, value in attributes.items() if value}
        self.samdb.add({"dn": dn, "objectClass": "user", "sAMAccountName": account, "userAccountControl": str(NORMAL | DISABLED), **kept})
        quoted = f'"{password or new_password()}"'.encode("utf-16-le")
        change = ldb.Message(ldb.Dn(self.samdb, dn))
        change["unicodePwd"] = ldb.MessageElement(quoted, ldb.FLAG_MOD_REPLACE, "unicodePwd")
        self.samdb.modify(change)
        self.replace(dn, "userAccountControl", str(flags))
        return dn

    def replace(self, dn: str, name: str, value: str) -> None:
        change = ldb.Message(ldb.Dn(self.samdb, dn))
        change[name] = ldb.MessageElement(value, ldb.FLAG_MOD_REPLACE, name)
        self.samdb.modify(change)

    def add_members(self, group: str, members: list[str]) -> None:
        if not members:
            return
        change = ldb.Message(ldb.Dn(self.samdb, group))
        change["member"] = ldb.MessageElement(sorted(set(members)), ldb.FLAG_MOD_ADD, "member")
        self.samdb.modify(change)

    def by_account(self, account: str) -> str:
        found = self.samdb.search(self.base, ldb.SCOPE_SUBTREE, f"(sAMAccountName={ldb.binary_encode(account)})", attrs=[])
        return str(found[0].dn)


def new_password() -> str:
    letters = string.ascii_letters + string.digits
    return "Aa1-" + "".join(secrets.choice(letters) for _ in range(20))


def filetime_after(day: str, zone: str) -> str:
    """The end of a local day as FILETIME."""
    end = datetime.datetime.fromisoformat(day).replace(tzinfo=zoneinfo.ZoneInfo(zone)) + datetime.timedelta(days=1)
    return str((int(end.timestamp()) + 11_644_473_600) * 10_000_000)


def read_csv(name: str) -> list[dict]:
    with open(HERE / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_json(name: str):
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def add_units(directory: Directory, sites: list[dict]) -> dict[str, str]:
    staff = directory.ou("Staff", directory.base, "People, by site")
    units = {site["code"]: directory.ou(site["code"], staff, f"People in {site['name']}") for site in sites}
    units["groups"] = directory.ou("Groups", directory.base, "Access")
    units["quarantine"] = directory.ou("Quarantine", directory.base, "Disabled accounts until they are deleted")
    units["service"] = directory.ou("Service", directory.base, "Accounts of programs and administrators")
    return units


def account_attributes(person: dict, misfits: dict) -> dict:
    """What the account says about its person; misfits say less, as in life."""
    number = person["employee_number"]
    bare = number in misfits["matched_by_name"] + misfits["neither"]
    display = f"{person['given_name']} {person['family_name']}"
    attributes = {
        "givenName": person["given_name"],
        "sn": person["family_name"],
        "displayName": display,
        "title": person["title"],
        "department": person["department"],
        "company": "Example Corp",
        "physicalDeliveryOfficeName": person["site"],
        "telephoneNumber": person["phone"],
    }
    if not bare:
        attributes["mail"] = person["mail"]
        attributes["proxyAddresses"] = f"SMTP:{person['mail']}" if person["mail"] else ""
        attributes["userPrincipalName"] = person["mail"]
    if not bare and number not in misfits["matched_by_mail"]:
        attributes["employeeID"] = number
    if attributes.get("mail"):
        attributes.update(seed.person(person))
    return attributes


def add_people(directory: Directory, units: dict, people: list[dict], sites: list[dict], misfits: dict) -> dict[str, str]:
    zones = {site["code"]: site["zone"] for site in sites}
    dns = {}
    for person in people:
        number = person["employee_number"]
        if number in misfits["without_account"]:
            continue
        account = misfits["account_names"].get(number, person["user_name"])
        attributes = account_attributes(person, misfits)
        attributes.setdefault("userPrincipalName", f"{account}@{DOMAIN}")
        if number in misfits["expiring"]:
            attributes["accountExpires"] = filetime_after(person["last_day"], zones[person["site"]])
        flags = NORMAL | (DISABLED if number in misfits["disabled"] else 0)
        dn = directory.dn(attributes["displayName"], units[person["site"]])
        dns[number] = directory.user(dn, account, attributes, flags=flags)
    for person in people:
        number, manager = person["employee_number"], person["manager_employee_number"]
        if number in dns and manager in dns:
            directory.replace(dns[number], "manager", dns[manager])
    return dns


def holders(group: dict, people: list[dict], misfits: dict) -> set[str]:
    """Employee numbers in a group: those of the rule, those named, minus and plus what life has left behind."""
    rule = group.get("birthright") or {}
    ruled = {p["employee_number"] for p in people if rule and all(p[key] == value for key, value in rule.items())}
    absent = set(misfits["not_yet_in"].get(group["name"], []))
    return (ruled | set(group.get("members", [])) | set(misfits["still_in"].get(group["name"], []))) - absent


def add_groups(directory: Directory, units: dict, groups: list[dict], people: list[dict], misfits: dict, dns: dict) -> dict[str, str]:
    made = {}
    for group in groups + misfits["groups_outside_the_catalogue"]:
        entry = {
            "dn": directory.dn(group["name"], units["groups"]),
            "objectClass": "group",
            "sAMAccountName": group["name"].replace("–", "-").replace(":", ""),
            "groupType": "-2147483646",
        }
        if group["description"]:
            entry["description"] = group["description"]
        if group.get("owner") in dns:
            entry["managedBy"] = dns[group["owner"]]
        directory.samdb.add(entry)
        made[group["name"]] = entry["dn"]
    for group in groups + misfits["groups_outside_the_catalogue"]:
        members = [dns[number] for number in holders(group, people, misfits) if number in dns]
        directory.add_members(made[group["name"]], members + [made[name] for name in group.get("member_groups", [])])
    return made


def add_misfits(directory: Directory, units: dict, misfits: dict, made: dict) -> None:
    """Accounts beside the people's: second ones, those that nobody owns, those of programs."""
    accounts = []
    for extra in misfits["second_accounts"]:
        attributes = {"displayName": extra["display_name"], "description": extra["description"], "employeeID": extra["employee_number"]}
        dn = directory.user(directory.dn(extra["display_name"], units["service"]), extra["account"], attributes)
        accounts.append((dn, extra["groups"]))
    for orphan in misfits["orphans"]:
        display = f"{orphan['given_name']} {orphan['family_name']}"
        attributes = {
            "givenName": orphan["given_name"],
            "sn": orphan["family_name"],
            "displayName": display,
            "title": orphan["title"],
            "department": orphan["department"],
            "physicalDeliveryOfficeName": orphan["site"],
            "employeeID": orphan.get("employee_number", ""),
            "userPrincipalName": f"{orphan['account']}@{DOMAIN}",
        }
        accounts.append((directory.user(directory.dn(display, units[orphan["site"]]), orphan["account"], attributes), orphan["groups"]))
    for program in misfits["service_accounts"]:
        dn = directory.dn(program["account"], units["service"])
        attributes = {"displayName": program["account"], "description": program["description"]}
        accounts.append((directory.user(dn, program["account"], attributes, flags=NORMAL | NEVER_EXPIRES), program["groups"]))
    for dn, groups in accounts:
        for group in groups:
            directory.add_members(made.get(group) or directory.by_account(group), [dn])


def add_tenure(directory: Directory, units: dict, password: str) -> None:
    """The account that Tenure works with: exactly the delegated rights it needs, no membership in anything privileged."""
    attributes = {"displayName": "svc-tenure", "description": "Tenure: people's accounts and group memberships, by delegation"}
    dn = directory.user(directory.dn("svc-tenure", units["service"]), "svc-tenure", attributes, flags=NORMAL | NEVER_EXPIRES, password=password)
    sid = directory.samdb.schema_format_value("objectSid", directory.samdb.search(dn, ldb.SCOPE_BASE, attrs=["objectSid"])[0]["objectSid"][0]).decode()
    descriptors = SDUtils(directory.samdb)
    everything_of_a_user = "RPWPCRLCLORCSDDT"
    for unit in (units["Hamburg"].split(",", 1)[1], units["quarantine"]):
        # Create and delete accounts here and below; on accounts everything except changing who may do what.
        descriptors.dacl_add_ace(unit, f"(OA;CI;CCDC;{USER_CLASS};;{sid})")
        descriptors.dacl_add_ace(unit, f"(OA;CIIO;{everything_of_a_user};;{USER_CLASS};{sid})")
    descriptors.dacl_add_ace(units["groups"], f"(OA;CIIO;RPWP;{MEMBER};{GROUP_CLASS};{sid})")
    # Fine-grained password policies are hidden from ordinary accounts; a start password has to conform to them.
    descriptors.dacl_add_ace(f"CN=Password Settings Container,CN=System,{directory.base}", f"(A;CI;RPLCLORC;;;{sid})")


def add_exchange(directory: Directory, units: dict, password: str) -> None:
    """The account that administers Exchange. The stand-in writes the directory with it, so that it has what Exchange's own servers have."""
    attributes = {"displayName": "svc-exchange", "description": "Tenure: mailboxes and lists in Exchange"}
    dn = directory.user(directory.dn("svc-exchange", units["service"]), "svc-exchange", attributes, flags=NORMAL | NEVER_EXPIRES, password=password)
    sid = directory.samdb.schema_format_value("objectSid", directory.samdb.search(dn, ldb.SCOPE_BASE, attrs=["objectSid"])[0]["objectSid"][0]).decode()
    SDUtils(directory.samdb).dacl_add_ace(directory.base, f"(A;CI;RPWPCRLCLORCSDDTCC;;;{sid})")
    # The server that answers, so that Kerberos knows it.
    dn = f"CN=EX01,CN=Computers,{directory.base}"
    names = [f"HTTP/{EXCHANGE_HOST}", "HTTP/EX01"]
    directory.samdb.add({"dn": dn, "objectClass": "computer", "sAMAccountName": "EX01$", "dNSHostName": EXCHANGE_HOST, "userAccountControl": str(WORKSTATION), "servicePrincipalName": names,
                         "msDS-SupportedEncryptionTypes": AES})
    change = ldb.Message(ldb.Dn(directory.samdb, dn))
    change["unicodePwd"] = ldb.MessageElement(f'"{new_password()}"'.encode("utf-16-le"), ldb.FLAG_MOD_REPLACE, "unicodePwd")
    directory.samdb.modify(change)


def main(smb_conf: str, folder: str) -> None:
    parameters = LoadParm()
    parameters.load(smb_conf)
    parameters.set("dsdb:schema update allowed", "yes")
    samdb = SamDB(url=parameters.private_path("sam.ldb"), session_info=system_session(), lp=parameters)
    password = pathlib.Path(folder, "svc-tenure").read_text(encoding="utf-8").strip()
    exchange = pathlib.Path(folder, "svc-exchange").read_text(encoding="utf-8").strip()
    people, sites = read_csv("people.csv"), read_csv("sites.csv")
    groups, misfits = read_json("groups.json"), read_json("directory.json")
    schema.extend(samdb)
    samdb.transaction_start()
    try:
        directory = Directory(samdb)
        seed.databases = schema.add_organisation(samdb)
        directory.replace(f"CN=Partitions,CN=Configuration,{directory.base}", "uPNSuffixes", DOMAIN)
        units = add_units(directory, sites)
        dns = add_people(directory, units, people, sites, misfits)
        made = add_groups(directory, units, groups, people, misfits, dns)
        add_misfits(directory, units, misfits, made)
        add_tenure(directory, units, password)
        add_exchange(directory, units, exchange)
        licences = seed.recipients(directory, units, people, dns)
    except BaseException:
        samdb.transaction_cancel()
        raise
    samdb.transaction_commit()
    pathlib.Path(folder).with_name("licence-group").write_text(licences + "\n", encoding="utf-8")
    Net(None, parameters).export_keytab(keytab=str(pathlib.Path(smb_conf).parent.parent / "exchange.keytab"), principal=f"HTTP/{EXCHANGE_HOST}")
    print(f"{len(dns)} accounts of {len(people)} people, {len(made)} groups")


if __name__ == "__main__":
    main(*sys.argv[1:])
