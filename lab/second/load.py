"""Fills a domain that is laid out differently: nested units by country, city and department, staff of a plant in a unit that nobody
delegated, groups in three units, 2,000 accounts, and one for Tenure that may do nothing yet.

usage: load.py SMB_CONF FOLDER_WITH_SECRETS

Runs on the domain controller's own database before it is started, in one transaction. Writes people.csv beside the secrets.
"""

import csv
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "company"))
from load import NEVER_EXPIRES, NORMAL, Directory  # noqa: E402

from samba.auth import system_session  # noqa: E402
from samba.param import LoadParm  # noqa: E402
from samba.samdb import SamDB  # noqa: E402

PEOPLE = 2000
DOMAIN = "nordwerk.example"
CITIES = {"DE": ["Kiel", "Ulm"], "AT": ["Graz"], "PL": ["Łódź"]}
DEPARTMENTS = ["Einkauf", "Vertrieb", "Technik"]
GIVEN = ["Anna", "Björn", "Çelik", "Dörte", "Elżbieta", "Franz", "Grażyna", "Hans-Jörg", "Ines", "Jürgen"]
FAMILY = ["Ahlers", "Böhm", "Czerny", "Dąbrowski", "Ernst, Jr.", "Fuchs", "Gruber", "Huß", "Iwanow", "O'Brien"]
FIELDS = ["employee_number", "given_name", "family_name", "type", "department", "title", "site", "manager_employee_number",
          "first_day", "last_day", "mail", "phone", "user_name"]


def units(directory: Directory) -> dict[tuple[str, str], str]:
    top = directory.ou("Nordwerk", directory.base, "The company")
    people = directory.ou("Menschen", top, "People by country, city and department")
    places = {}
    for country, cities in CITIES.items():
        land = directory.ou(country, people, country)
        for city in cities:
            town = directory.ou(city, land, city)
            for department in DEPARTMENTS:
                places[(city, department)] = directory.ou(department, town, department)
    directory.ou("Ehemalige", top, "People who left")
    directory.ou("Rollen", top, "Groups")
    # Kept by somebody else: nothing is delegated here.
    places[("Werk", "Technik")] = directory.ou("Werk", directory.base, "The plant's own administration")
    directory.ou("Technische Konten", directory.base, "Accounts of programs")
    return places


def person(number: int, places: dict) -> tuple[str, dict, dict]:
    keys = list(places)
    city, department = keys[number % len(keys)]
    given, family = GIVEN[number % 10], FAMILY[(number // 10) % 10]
    account = f"n{number:05}"
    mail = f"{account}@{DOMAIN}"
    row = {"employee_number": str(20000 + number), "given_name": given, "family_name": f"{family} {chr(65 + number % 26)}", "type": "employee",
           "department": department, "title": "Fachkraft", "site": city, "manager_employee_number": "20000" if number else "",
           "first_day": "2020-01-01", "last_day": "", "mail": mail, "phone": "", "user_name": account}
    display = f"{row['given_name']} {row['family_name']}"
    attributes = {"givenName": given, "sn": row["family_name"], "displayName": display, "department": department, "title": row["title"],
                  "mail": mail, "userPrincipalName": mail, "employeeID": row["employee_number"], "physicalDeliveryOfficeName": city}
    return places[(city, department)], attributes, row


def main(smb_conf: str, folder: str) -> None:
    parameters = LoadParm()
    parameters.load(smb_conf)
    samdb = SamDB(url=parameters.private_path("sam.ldb"), session_info=system_session(), lp=parameters)
    password = pathlib.Path(folder, "svc-tenure").read_text(encoding="utf-8").strip()
    rows = []
    samdb.transaction_start()
    try:
        directory = Directory(samdb)
        directory.replace(f"CN=Partitions,CN=Configuration,{directory.base}", "uPNSuffixes", DOMAIN)
        places = units(directory)
        accounts = []
        for number in range(PEOPLE):
            unit, attributes, row = person(number, places)
            dn = directory.dn(attributes["displayName"], unit)
            # Disabled and without a password: nobody signs in here, and a thousand hashes take their time.
            samdb.add({"dn": dn, "objectClass": "user", "sAMAccountName": row["user_name"], "userAccountControl": "514", **attributes})
            accounts.append(dn)
            rows.append(row)
        for index in range(20):
            dn = directory.dn(f"Rolle {index:02}", f"OU=Rollen,OU=Nordwerk,{directory.base}")
            samdb.add({"dn": dn, "objectClass": "group", "sAMAccountName": f"rolle-{index:02}"})
            directory.add_members(dn, accounts[index::20])
        directory.user(f"CN=tenure,OU=Technische Konten,{directory.base}", "tenure", {"displayName": "Tenure"},
                       flags=NORMAL | NEVER_EXPIRES, password=password)
    except BaseException:
        samdb.transaction_cancel()
        raise
    samdb.transaction_commit()
    with open(pathlib.Path(folder, "people.csv"), "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} accounts, 20 groups")


if __name__ == "__main__":
    main(*sys.argv[1:])
