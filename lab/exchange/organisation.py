"""The organisation: databases, domains, policies."""

import uuid

import errors
import shapes
from engine import cmdlet
from onprem import MAIL_DOMAIN, ORGANISATION

SPACE = uuid.UUID("8a6f5d4c-3b2a-4190-8f7e-6d5c4b3a2918")
TYPES = "Microsoft.Exchange.Data.Directory.SystemConfiguration."


def wanted(c, rows):
    if not c.has("Identity"):
        return rows
    found = [row for row in rows if str(c.get("Identity")).lower() in (row["Name"].lower(), str(row["Guid"]), row["Identity"].lower(), row.get("DomainName", "").lower())]
    if not found:
        raise errors.not_found(c.get("Identity"), c.backend.server)
    return found


@cmdlet("Get-MailboxDatabase")
def databases(c):
    rows = [{"__types": [TYPES + "MailboxDatabase", "System.Object"], "Name": name, "Identity": name, "Guid": uuid.uuid5(SPACE, name), "DistinguishedName": dn, "Server": "EX01", "ServerName": "EX01",
             "Recovery": False, "Mounted": True if c.get("Status") else None, "IssueWarningQuota": shapes.size(2040109465), "ProhibitSendQuota": shapes.size(2 * 2**30),
             "ProhibitSendReceiveQuota": shapes.size(int(2.3 * 2**30)), "MailboxRetention": "30.00:00:00", "DeletedItemRetention": "14.00:00:00", "IsExcludedFromProvisioning": False}
            for name, dn in c.backend.databases().items()]
    for row in wanted(c, rows):
        c.out(row)


@cmdlet("Get-OrganizationConfig")
def organisation(c):
    online = c.flavour == "online"
    c.out({"__types": ["Microsoft.Exchange.Data.Directory.Management.OrganizationConfig", "System.Object"], "Name": "example.onmicrosoft.com" if online else ORGANISATION, "Identity": "example.onmicrosoft.com" if online else ORGANISATION,
           "DisplayName": ORGANISATION, "Guid": uuid.uuid5(SPACE, c.flavour), "AdminDisplayVersion": "0.20 (15.20.8699.17)" if online else "0.1 (15.1.2507.6)", "IsDehydrated": False, "OrganizationSummary": [],
           "MailTipsAllTipsEnabled": True, "AutoExpandingArchiveEnabled": False, "IsMixedMode": False})


@cmdlet("Get-AcceptedDomain")
def domains(c):
    names = [(MAIL_DOMAIN, True), ("example.onmicrosoft.com", False), ("example.mail.onmicrosoft.com", False)] if c.flavour == "online" else [(MAIL_DOMAIN, True), ("corp.example.com", False), ("example.mail.onmicrosoft.com", False)]
    for row in wanted(c, [{"__types": [TYPES + "AcceptedDomain", "System.Object"], "Name": name, "Identity": name, "DomainName": name, "DomainType": "InternalRelay" if "mail." in name and c.flavour == "onprem" else "Authoritative",
                           "Default": first, "Guid": uuid.uuid5(SPACE, name), "MatchSubDomains": False} for name, first in names]):
        c.out(row)


@cmdlet("Get-EmailAddressPolicy")
def policies(c):
    for row in wanted(c, [{"__types": [TYPES + "EmailAddressPolicy", "System.Object"], "Name": "Default Policy", "Identity": "Default Policy", "Guid": uuid.uuid5(SPACE, "policy"), "Priority": "Lowest",
                           "EnabledPrimarySMTPAddressTemplate": f"SMTP:%g.%s@{MAIL_DOMAIN}", "EnabledEmailAddressTemplates": [f"SMTP:%g.%s@{MAIL_DOMAIN}"], "RecipientFilter": "Alias -ne $null", "IncludedRecipients": "AllRecipients",
                           "RecipientFilterApplied": True}]):
        c.out(row)
