"""A joiner on the second site, from the first rule to the account: rules drafted by one administrator and released by the other,
asked for by a manager, decided by the desk, applied by the worker; then somebody whose account nobody may write.

usage: journey.py rules|joiner|outside ADDRESS HOST DOMAIN_DN PASSWORD_FILE

Each prints what the shell goes on with: nothing; the user name, the password and the number; the number.
"""

import datetime
import html
import pathlib
import sys
import time
import zoneinfo

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from portal import Api, Forms, Portal  # noqa: E402

what, ADDRESS, HOST, DOMAIN, PASSWORDS = sys.argv[1:6]
TODAY = datetime.datetime.now(zoneinfo.ZoneInfo("Europe/Berlin")).date().isoformat()
PASSWORD = pathlib.Path(PASSWORDS).read_text(encoding="utf-8").strip()


def person(user: str) -> Portal:
    portal = Portal(ADDRESS, HOST)
    portal.sign_in(user, PASSWORD)
    return portal


def proposed(author: Portal, draft: str, changes: dict) -> str:
    return author.submit(draft, draft, {**changes, "note": "The first rules of this site", "what": "propose"})


def released(other: Portal, proposal: str) -> None:
    other.submit(proposal, proposal, {"answer": "release"})


def draft(author: Portal, subject: str) -> str:
    page = author.get(f"/settings/{subject}")
    fields = Forms(page).form("/settings/drafts")
    return author.post("/settings/drafts", {**fields, "subject": [subject]})


def rules() -> None:
    anna, bruno = person("anna"), person("bruno")
    naming = draft(anna, "naming")
    places = [f"{city}: OU={{}},OU={city},OU={land},OU=Menschen,OU=Nordwerk,{DOMAIN}" for land, cities in
              {"DE": ["Kiel", "Ulm"], "AT": ["Graz"], "PL": ["Łódź"]}.items() for city in cities]
    # A naming rule places by site; people of a city are kept by department below it, and begin in its Technik.
    places = [place.format("Technik") for place in places] + [f"*: OU=Menschen,OU=Nordwerk,{DOMAIN}"]
    released(bruno, proposed(anna, naming, {
        "upn_domain": "nordwerk.example", "mail_domain": "nordwerk.example", "parent": "\n".join(places),
        "quarantine_ou": f"OU=Ehemalige,OU=Nordwerk,{DOMAIN}"}))
    routes = draft(anna, "routes")
    for name, kinds, role in [("Whoever comes", ["joiner"], "desk"), ("Everything else", [], "desk")]:
        anna.submit(f"{routes}/rules/new", f"{routes}/rules/new", {
            "name": name, "kinds": kinds, "stages.0.role": f'"{role}"', "stages.0.reason": "The desk looks at it."})
    released(bruno, proposed(anna, routes, {}))
    levels = draft(anna, "service_levels")
    released(bruno, proposed(anna, levels, {"kinds.joiner.resolve_minutes": "960"}))
    # A group of the directory becomes an entry, and comes by itself to everybody in Kiel.
    found = anna.get("/catalogue/new?q=Rolle+03")
    fields = next(fields for action, fields in Forms(found).forms if action == "/settings/drafts" and "native_id" in fields)
    released(bruno, proposed(anna, anna.post("/settings/drafts", fields), {"name": "Rolle 03", "requestable": "true"}))
    birthright = draft(anna, "birthright")
    anna.submit(f"{birthright}/rules/new", f"{birthright}/rules/new", {
        "name": "Kiel", "when.site": '"Kiel"', "entitlements": "Rolle 03"})
    released(bruno, proposed(anna, birthright, {}))


def until(api: Api, number: int, so) -> dict:
    for _ in range(600):
        _, request = api.call("GET", f"/requests/{number}")
        if so(request):
            return request
        time.sleep(0.2)
    raise SystemExit(f"REQ-{number} after two minutes: {request}")


def asked_and_decided(asks: str, decides: str, kind: str, answers: dict) -> tuple[Api, dict]:
    """One asks, another decides every item: by the API, each with a token of their own."""
    asker = Api(ADDRESS, HOST, person(asks).token(["requests:read", "requests:write"]))
    desk = Api(ADDRESS, HOST, person(decides).token(["requests:read", "decisions:write"]))
    status, request = asker.call("POST", "/requests", {"kind": kind, "answers": answers})
    if status != 201:
        return asker, {"status": status, **request}
    for item in request["items"]:
        status, told = desk.call("POST", f"/requests/{request['number']}/items/{item['item']}/decisions",
                                 {"decision": "approve", "digest": item["digest"], "comment": "Looked at"})
        if status not in (200, 201):
            raise SystemExit(f"not decided: {status} {told}")
    return asker, request


def joiner() -> None:
    answers = {"given_name": "Jörg", "family_name": "Ostrowski, Jr.", "type": "employee", "department": "Technik", "title": "Fachkraft",
               "site": "Kiel", "manager": "anna", "start_on": TODAY}
    asker, request = asked_and_decided("anna", "bruno", "joiner", answers)
    if "number" not in request:
        raise SystemExit(f"not asked: {request}")
    done = until(asker, request["number"], lambda request: request["state"] in ("done", "needs_person"))
    if done["state"] != "done":
        raise SystemExit(f"REQ-{request['number']}: {done}")
    changes = {change["attribute"]: change["to"] for change in request["items"][0]["steps"][0]["changes"]}
    # The start password is the manager's to read, once.
    anna = person("anna")
    page = anna.get(f"/requests/{request['number']}")
    secret = "/secrets/" + page.split('href="/secrets/')[1].split('"')[0]
    for _ in range(100):
        forms = Forms(anna.get(secret))
        if any(action == secret for action, _ in forms.forms):
            break
        time.sleep(0.2)
    text = anna.answer(secret, forms.form(secret))
    password = html.unescape(text.split('class="secret"')[1].split(">", 1)[1].split("<")[0].strip())
    print(changes["sAMAccountName"], changes["userPrincipalName"], password, request["number"], sep="\t")


def outside() -> None:
    """Somebody of the plant: their unit is nobody's to write."""
    answers = {"person": "n00012", "immediate": "true"}
    asker, request = asked_and_decided("bruno", "clara", "leaver", answers)
    if "number" not in request:
        print("refused", request.get("status"), *(error["message"] for error in request.get("errors", [])), sep="\t")
        return
    stopped = until(asker, request["number"], lambda request: request["state"] in ("done", "needs_person"))
    told = [step.get("told") for item in stopped["items"] for step in item["steps"] if step.get("told")]
    print(stopped["state"], request["number"], *told, sep="\t")


{"rules": rules, "joiner": joiner, "outside": outside}[what]()
