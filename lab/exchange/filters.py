"""Filters of Get cmdlets (OPATH), as far as they are needed: -eq -ne -like -notlike -and -or -not and brackets."""

import fnmatch
import re

import errors

TOKEN = re.compile(r"""\s*(?:(?P<text>'(?:[^']|'')*'|"[^"]*")|(?P<mark>[()])|(?P<verb>-[A-Za-z]+)|(?P<word>[^\s()]+))""")


def tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise wrong(text)
        found.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return found


def wrong(text):
    return errors.CmdletError("Microsoft.Exchange.Data.ParsingException", f"Invalid filter syntax: {text}", "InvalidData", text)


def matches(text: str, one: dict) -> bool:
    left = tokens(text.strip().removeprefix("{").removesuffix("}"))
    value = either(left, one, text)
    if left:
        raise wrong(text)
    return value


def either(left, one, text):
    value = both(left, one, text)
    while left and left[0][1].lower() == "-or":
        left.pop(0)
        value = both(left, one, text) or value
    return value


def both(left, one, text):
    value = single(left, one, text)
    while left and left[0][1].lower() == "-and":
        left.pop(0)
        value = single(left, one, text) and value
    return value


def single(left, one, text):
    if not left:
        raise wrong(text)
    kind, token = left.pop(0)
    if token.lower() == "-not":
        return not single(left, one, text)
    if token == "(":
        value = either(left, one, text)
        if not left or left.pop(0)[1] != ")":
            raise wrong(text)
        return value
    if kind != "word" or len(left) < 2:
        raise wrong(text)
    names = {name.lower(): name for name in one if name != "__types"}
    if token.lower() not in names:
        raise errors.CmdletError("System.ArgumentException", f'"{token}" is not a recognized filterable property.', "InvalidArgument", token)
    verb, (kind, wanted) = left.pop(0)[1].lower(), left.pop(0)
    wanted = wanted[1:-1].replace("''", "'") if kind == "text" else wanted
    return compare(one[names[token.lower()]], verb, wanted, text)


def compare(value, verb, wanted, text) -> bool:
    if isinstance(value, (list, tuple)):
        found = any(compare(item, verb.replace("-not", "-").replace("-ne", "-eq"), wanted, text) for item in value)
        return not found if verb in ("-ne", "-notlike") else found
    plain = "" if value is None else str(value)
    wanted = {"$true": "True", "$false": "False", "$null": ""}.get(wanted.lower(), wanted)
    if verb == "-eq":
        return plain.lower() == wanted.lower()
    if verb == "-ne":
        return plain.lower() != wanted.lower()
    if verb in ("-like", "-notlike"):
        return fnmatch.fnmatchcase(plain.lower(), wanted.lower().replace("[", "[[]")) == (verb == "-like")
    if verb in ("-gt", "-ge", "-lt", "-le"):
        return {"-gt": plain > wanted, "-ge": plain >= wanted, "-lt": plain < wanted, "-le": plain <= wanted}[verb]
    raise wrong(text)
