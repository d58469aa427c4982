"""Prints who can be walked in as in the demo: user name, name, what they do."""

import csv
import json
import pathlib

HERE = pathlib.Path(__file__).parent
with open(HERE / "people.csv", encoding="utf-8", newline="") as file:
    names = {row["employee_number"]: f"{row['given_name']} {row['family_name']}" for row in csv.DictReader(file)}
for person in json.loads((HERE / "demo.json").read_text(encoding="utf-8"))["people"]:
    print(f"  {person['user_name']:9} {names[person['employee_number']]:15} {person['says']}")
