"""E-mail addresses and what else every recipient has: checked and turned into changes of the object."""

import re
import secrets
import unicodedata
import uuid

import errors
import shapes
from onprem import MAIL_DOMAIN, POLICY, RECIPIENTS, ROUTING_DOMAIN

ACCEPTED = (MAIL_DOMAIN, ROUTING_DOMAIN, "example.onmicrosoft.com", "corp.example.com")
SMTP = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")


def smtp(text, parameter: str) -> str:
    """A plain SMTP address, or the error that Exchange gives."""
    value = str(text).strip()
    if not SMTP.fullmatch(value):
        raise errors.CmdletError("System.Management.Automation.ParameterBindingException", f"Cannot process argument transformation on parameter '{parameter}'. "
                                 f'Cannot convert value "{value}" to type "Microsoft.Exchange.Data.SmtpAddress".', "InvalidData", parameter,
                                 "ParameterArgumentTransformationError", terminating=True)
    return value


def in_accepted_domain(address: str) -> None:
    domain = address.rsplit("@", 1)[1].lower()
    if domain not in ACCEPTED:
        raise errors.CmdletError("Microsoft.Exchange.Management.RecipientTasks.NotAcceptedDomainException", f'You can\'t use the domain because it\'s not an accepted domain for '
                                 f'your organization: {domain}.', "InvalidData", address)


def free(c, address: str, but=None) -> None:
    """Refuses an address that any other recipient has."""
    for other in c.backend.holders(address):
        if but is None or other["objectGUID"] != but["objectGUID"]:
            raise errors.address_exists(f"SMTP:{address}", c.backend.shown(other["dn"]))


def alias_for(text: str) -> str:
    flat = unicodedata.normalize("NFKD", text.replace("ß", "ss").replace("ø", "o").replace("Ø", "O").replace("ł", "l")).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]", "", flat.replace(" ", "")).strip(".") or secrets.token_hex(4)


def check_alias(c, alias: str, but=None) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", alias) or len(alias) > 64:
        raise errors.invalid(f"The value '{alias}' isn't valid for the Alias property.", alias)
    if c.flavour == "online":
        for other in c.backend.recipients():
            if other.get("mailNickname", "").lower() == alias.lower() and (but is None or other["objectGUID"] != but["objectGUID"]):
                raise errors.task(f'The alias "{alias}" is already being used by "{c.backend.shown(other["dn"])}".', alias)
    return alias


def unused_default(c, alias: str, one: dict | None = None) -> str:
    """The policy's address, given.family@ where there are such names and the alias elsewhere; numbered where somebody else has it."""
    names = [alias_for(one[key]) for key in ("givenName", "sn") if one and one.get(key)]
    local = ".".join(names).lower() if len(names) == 2 else alias
    for number in range(1, 100):
        address = f"{local}{number if number > 1 else ''}@{MAIL_DOMAIN}"
        if all(one is not None and other["objectGUID"] == one.get("objectGUID") for other in c.backend.holders(address)):
            return address
    raise errors.address_exists(address, "?")


def start(c, one: dict, alias: str, chosen: str | None) -> dict:
    """Attributes of a recipient that begins: alias, addresses, legacy DN. A chosen primary address switches the policy off."""
    address = chosen or unused_default(c, alias, one)
    kept = [value for value in one.get("proxyAddresses", []) if value[:5].lower() == "smtp:" and value[5:].lower() != address.lower()]
    changes = {"mailNickname": alias, "mail": address, "proxyAddresses": [f"SMTP:{address}"] + ["smtp:" + value[5:] for value in kept],
               "legacyExchangeDN": f"{RECIPIENTS}{secrets.token_hex(16)}-{alias}"[:250]}
    if chosen and c.flavour == "onprem":
        changes["msExchPoliciesExcluded"] = [POLICY]
    return changes


def delta(c, parameter: str, before: list[str], fold=str.lower) -> list[str] | None:
    """The list that a multi-valued parameter asks for: replaced, or with Add and Remove; None where it was not given."""
    if not c.has(parameter):
        return None
    given = c.get(parameter)
    if not isinstance(given, dict):
        return [str(one) for one in given if one not in (None, "")]
    keys = {str(key).lower(): value for key, value in given.items()}
    if set(keys) - {"add", "remove", "@odata.type"}:
        raise errors.binding(c.name, f"Cannot process argument transformation on parameter '{parameter}'. The hashtable can only have the keys Add and Remove.", "ParameterArgumentTransformationError")

    def many(value):
        return [str(one) for one in (value if isinstance(value, (list, tuple)) else [value]) if one not in (None, "")]
    result = list(before)
    for one in many(keys.get("remove")):
        result = [old for old in result if fold(old) != fold(one)]
    for one in many(keys.get("add")):
        if fold(one) not in [fold(old) for old in result]:
            result.append(one)
    return result


def set_addresses(c, one: dict, changes: dict) -> None:
    """EmailAddresses, PrimarySmtpAddress, WindowsEmailAddress, EmailAddressPolicyEnabled and Alias."""
    if c.has("EmailAddresses") and (c.has("PrimarySmtpAddress") or c.has("WindowsEmailAddress")):
        raise errors.CmdletError("Microsoft.Exchange.Configuration.Tasks.RecipientTaskException", "The EmailAddresses and PrimarySmtpAddress parameters can't be used together.", "InvalidArgument", c.name)
    policy = c.backend.policy_on(one)
    if c.has("EmailAddressPolicyEnabled"):
        policy = c.get("EmailAddressPolicyEnabled")
        changes["msExchPoliciesExcluded"] = None if policy else [POLICY]
    before = list(one.get("proxyAddresses", []))
    after = None
    if c.has("EmailAddresses"):
        plain = [value[5:] if value[:5] == "smtp:" else value for value in before]
        given = c.get("EmailAddresses")
        wanted = delta(c, "EmailAddresses", before, lambda text: (text if ":" in text else "smtp:" + text).lower())
        after = []
        for value in wanted:
            prefix, colon, rest = value.partition(":")
            if not colon:
                prefix, rest = ("smtp", value)
            if prefix.lower() == "smtp":
                smtp(rest, "EmailAddresses")
                in_accepted_domain(rest) if f"smtp:{rest}".lower() not in [old.lower() for old in before] else None
                after.append(f"{'SMTP' if prefix == 'SMTP' else 'smtp'}:{rest}")
            else:
                after.append(f"{prefix}:{rest}")
        if isinstance(given, dict):
            added = [str(x) for key, value in given.items() if key.lower() == "add" for x in (value if isinstance(value, list) else [value])]
            new_primary = [x[5:] for x in added if x.startswith("SMTP:")]
            if new_primary:
                after = [("SMTP:" if value[5:].lower() == new_primary[-1].lower() else "smtp:") + value[5:] if value[:5].lower() == "smtp:" else value for value in after]
        elif not any(value.startswith("SMTP:") for value in after):
            first = next((index for index, value in enumerate(after) if value.startswith("smtp:")), None)
            if first is not None:
                after[first] = "SMTP:" + after[first][5:]
        del plain
        primaries = [value for value in after if value.startswith("SMTP:")]
        if len(primaries) != 1:
            raise errors.invalid("There are multiple primary SMTP addresses." if primaries else "The e-mail address list must have a primary SMTP address.", one["dn"])
        if policy and primaries[0].lower() != f"smtp:{shapes.primary(one)}".lower():
            raise errors.task("You can't change the primary SMTP address while the e-mail addresses are updated by an e-mail address policy. Set EmailAddressPolicyEnabled to $false first.", one["dn"])
    chosen = c.get("PrimarySmtpAddress") or c.get("WindowsEmailAddress")
    if chosen:
        chosen = smtp(chosen, "PrimarySmtpAddress")
        in_accepted_domain(chosen)
        if policy and chosen.lower() != shapes.primary(one).lower():
            raise errors.task("You can't change the primary SMTP address while the e-mail addresses are updated by an e-mail address policy. Set EmailAddressPolicyEnabled to $false first.", one["dn"])
        after = [f"SMTP:{chosen}"] + ["smtp:" + value[5:] if value[:5].lower() == "smtp:" else value for value in before if value[5:].lower() != chosen.lower()]
    if c.has("Alias"):
        c.need("Alias")
        changes["mailNickname"] = check_alias(c, str(c.get("Alias")), one)
        if policy and after is None and c.flavour == "onprem":
            address = f"{c.get('Alias')}@{MAIL_DOMAIN}"
            if not [other for other in c.backend.holders(address) if other["objectGUID"] != one["objectGUID"]]:
                after = [f"SMTP:{address}"] + ["smtp:" + value[5:] if value[:5].lower() == "smtp:" else value for value in before if value[5:].lower() != address.lower()]
    if after is not None and after != before:
        known = {value.lower() for value in before}
        for value in after:
            if value[:5].lower() == "smtp:" and value.lower() not in known:
                free(c, value[5:], one)
        changes["proxyAddresses"] = after
        changes["mail"] = next((value[5:] for value in after if value.startswith("SMTP:")), None)


def targets(c, names, fits=lambda one: True) -> list[dict]:
    return [c.backend.find(name, fits) for name in names]


def as_dns(c, parameter: str, before: list[str], fits=lambda one: True) -> list[str] | None:
    """A multi-valued parameter of recipients as distinguished names."""
    if not c.has(parameter):
        return None
    given = c.get(parameter)

    def dns(value):
        many = value if isinstance(value, (list, tuple)) else [value]
        return [one["dn"] for one in targets(c, [name for name in many if name not in (None, "")], fits)]
    if not isinstance(given, dict):
        return dns(given)
    keys = {str(key).lower(): value for key, value in given.items()}
    away = [dn.lower() for dn in dns(keys.get("remove", []))]
    result = [dn for dn in before if dn.lower() not in away]
    return result + [dn for dn in dns(keys.get("add", [])) if dn.lower() not in [old.lower() for old in result]]


def set_common(c, one: dict, changes: dict) -> None:
    """What every kind of recipient can be given."""
    set_addresses(c, one, changes)
    for parameter, attribute in (("HiddenFromAddressListsEnabled", "msExchHideFromAddressLists"), ("RequireSenderAuthenticationEnabled", "msExchRequireAuthToSendTo"),
                                 ("ModerationEnabled", "msExchEnableModeration")):
        if c.has(parameter):
            changes[attribute] = c.get(parameter)
    if c.has("DisplayName"):
        changes["displayName"] = c.get("DisplayName") or None
    for parameter, attribute in (("GrantSendOnBehalfTo", "publicDelegates"), ("ModeratedBy", "msExchModeratedByLink"), ("BypassModerationFromSendersOrMembers", "msExchBypassModerationLink")):
        wanted = as_dns(c, parameter, one.get(attribute, []))
        if wanted is not None:
            changes[attribute] = wanted
    senders(c, one, changes)
    extra = c.store.get("extra", one["objectGUID"], {})
    known = dict(extra)
    for name in ["MailTip", "SendModerationNotifications", "ReportToManagerEnabled", "ReportToOriginatorEnabled", "SendOofMessageToOriginatorEnabled", "BypassNestedModerationEnabled"] + [
            f"CustomAttribute{number}" for number in range(1, 16)]:
        if c.has(name):
            extra[name] = c.get(name)
    for name in ("MaxSendSize", "MaxReceiveSize"):
        if c.has(name):
            extra[name] = shapes.size(shapes.size_from(c.get(name), name))
    if extra != known:
        c.store.put("extra", one["objectGUID"], extra)
    moderated = changes.get("msExchEnableModeration", shapes.flag(one, "msExchEnableModeration"))
    if moderated is True and not (changes.get("msExchModeratedByLink") or one.get("msExchModeratedByLink")) and c.has("ModerationEnabled") and not shapes.is_group(one):
        raise errors.invalid("You can't enable moderation because no moderators were specified.", one["dn"])


def senders(c, one: dict, changes: dict) -> None:
    for verb, people, groups in (("Accept", "authOrig", "dLMemSubmitPerms"), ("Reject", "unauthOrig", "dLMemRejectPerms")):
        both = "AcceptMessagesOnlyFromSendersOrMembers" if verb == "Accept" else "RejectMessagesFromSendersOrMembers"
        alone = "AcceptMessagesOnlyFrom" if verb == "Accept" else "RejectMessagesFrom"
        if c.has(both) and (c.has(alone) or c.has(alone + "DLMembers")):
            raise errors.task(f"You can't use {both} together with {alone} or {alone}DLMembers.", one["dn"])
        if c.has(both):
            wanted = as_dns(c, both, one.get(people, []) + one.get(groups, []))
            found = [c.backend.by_dn(dn) for dn in wanted]
            changes[people] = [other["dn"] for other in found if other and not shapes.is_group(other)]
            changes[groups] = [other["dn"] for other in found if other and shapes.is_group(other)]
        for parameter, attribute in ((alone, people), (alone + "DLMembers", groups)):
            wanted = as_dns(c, parameter, one.get(attribute, []))
            if wanted is not None:
                changes[attribute] = wanted


def apply(c, one: dict, changes: dict) -> None:
    """Writes what really changes; Exchange warns where nothing does."""
    real = {}
    for name, value in changes.items():
        before = one.get(name)
        if isinstance(value, bool):
            value_text = "TRUE" if value else "FALSE"
            if str(before).upper() == value_text or (before is None and value is False):
                continue
        elif isinstance(value, list):
            if list(before or []) == value:
                continue
            value = value or None
        elif isinstance(value, uuid.UUID):
            if before == value:
                continue
        elif value is None:
            if before is None:
                continue
        elif str(before) == str(value) and before is not None:
            continue
        real[name] = value
    if not real and changes:
        c.warn(f"The command completed successfully but no settings of '{c.backend.shown(one['dn'])}' have been modified.")
    if real and not c.what_if:
        c.backend.change(one, real)


def rename(c, one: dict) -> None:
    """Name: the object's own name in its place."""
    wanted = str(c.need("Name")) if c.has("Name") else one.get("name")
    if wanted != one.get("name") and not c.what_if:
        c.backend.rename(one, wanted)
