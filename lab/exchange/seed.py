"""The lab's recipients from the first start on: everybody whose account has an address has a mailbox (those of one site Online, with a remote
mailbox here), and there are shared mailboxes, a room and lists. Written into the directory as Exchange would; used by lab/company/load.py."""

import json
import pathlib
import secrets
import uuid

SEED = json.loads(pathlib.Path(__file__).with_name("seed.json").read_text(encoding="utf-8"))
ROUTE = "example.mail.onmicrosoft.com"
LEGACY = "/o=Example Corp/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)/cn=Recipients/cn="
databases = ""


def mail(alias: str, address: str, details: int, display: int) -> dict:
    return {"mailNickname": alias, "mail": address, "proxyAddresses": [f"SMTP:{address}"], "legacyExchangeDN": f"{LEGACY}{secrets.token_hex(16)}-{alias}",
            "msExchRecipientTypeDetails": str(details), "msExchRecipientDisplayType": str(display)}


def local(database: str) -> dict:
    return {"msExchMailboxGuid": uuid.uuid4().bytes_le, "homeMDB": f"CN={database},{databases}", "mDBUseDefaults": "TRUE"}


def person(row: dict) -> dict:
    alias = row["mail"].split("@")[0]
    if row["site"] in SEED["remote_sites"]:
        made = mail(alias, row["mail"], 2147483648, -2147483642)
        route = f"{alias}@{ROUTE}"
        return {**made, "proxyAddresses": [*made["proxyAddresses"], f"smtp:{route}"], "targetAddress": f"SMTP:{route}", "msExchRemoteRecipientType": "1"}
    return {**mail(alias, row["mail"], 1, 1073741824), **local("DB01" if int(row["employee_number"]) % 2 else "DB02")}


def recipients(directory, units: dict, people: list[dict], dns: dict) -> str:
    """`directory`: load.py's, in its transaction. Gives the licence group's objectGUID."""
    place = directory.ou("Mail", directory.base, "Shared mailboxes, rooms and lists")
    for entry, details, display in [(one, 4, 0) for one in SEED["shared"]] + [(one, 16, 7) for one in SEED["rooms"]]:
        attributes = {"displayName": entry["name"], "userPrincipalName": f"{entry['alias']}@example.com", **mail(entry["alias"], f"{entry['alias']}@example.com", details, display), **local("DB01")}
        directory.samdb.add({"dn": directory.dn(entry["name"], place), "objectClass": "user", "sAMAccountName": entry["alias"], "userAccountControl": "514", **attributes})
    for entry in SEED["lists"]:
        made = mail(entry["alias"], f"{entry['alias']}@example.com", 0, 1)
        del made["msExchRecipientTypeDetails"]
        directory.samdb.add({"dn": directory.dn(entry["name"], place), "objectClass": "group", "sAMAccountName": entry["alias"], "groupType": "8", "displayName": entry["name"],
                             "managedBy": dns[entry["managed_by"]], "msExchRequireAuthToSendTo": "TRUE", **made})
        directory.add_members(f"CN={entry['name']},{place}", [dns[number] for number in entry["members"] if number in dns])
    group = f"CN={SEED['licence_group']},{units['groups']}"
    directory.samdb.add({"dn": group, "objectClass": "group", "sAMAccountName": SEED["licence_group"], "groupType": "-2147483646", "description": "Who has a mailbox Online"})
    directory.add_members(group, [dns[row["employee_number"]] for row in people if row["site"] in SEED["remote_sites"] and row["mail"] and row["employee_number"] in dns])
    found = directory.samdb.search(group, attrs=["objectGUID"])[0]
    return str(uuid.UUID(bytes_le=found["objectGUID"][0]))
