"""Exchange's attributes in the lab's directory, under their real names. Used by lab/company/load.py, on the domain controller's own database
before it is started; written for the interpreter that Samba's Python bindings come with.

OIDs are Exchange's own where they are published; the others (`LAB`) lie below the arc that RFC 5612 keeps for documentation. Nothing
reads an OID. Real Exchange spreads the attributes over several auxiliary classes; here all of them are allowed by `mailRecipient`, which users
and groups have anyway. DN-valued ones are one-way links here.
"""

import ldb

OLD = "1.2.840.113556.1.2."
NEW = "1.2.840.113556.1.4.7000.102."
LAB = "1.3.6.1.4.1.32473.5."

# name: (OID, kind, multi-valued); kinds: text, flag, number, long, bytes, dn
ATTRIBUTES = {
    "mailNickname": (OLD + "447", "text", False),
    "homeMDB": (OLD + "244", "dn", False),
    "targetAddress": (OLD + "352", "text", False),
    "altRecipient": (OLD + "126", "dn", False),
    "deliverAndRedirect": (OLD + "190", "flag", False),
    "authOrig": (OLD + "129", "dn", True),
    "unauthOrig": (OLD + "221", "dn", True),
    "dLMemSubmitPerms": (OLD + "144", "dn", True),
    "dLMemRejectPerms": (OLD + "47", "dn", True),
    "publicDelegates": (OLD + "238", "dn", True),
    "mDBUseDefaults": (OLD + "309", "flag", False),
    "mDBStorageQuota": (OLD + "266", "number", False),
    "mDBOverQuotaLimit": (OLD + "272", "number", False),
    "mDBOverHardQuotaLimit": (LAB + "1", "number", False),
    "msExchMailboxGuid": (NEW + "11058", "bytes", False),
    "msExchRecipientDisplayType": (NEW + "50730", "number", False),
    "msExchRecipientTypeDetails": (NEW + "50855", "long", False),
    "msExchHideFromAddressLists": (NEW + "73", "flag", False),
    "msExchRequireAuthToSendTo": (NEW + "5062", "flag", False),
    "msExchRemoteRecipientType": (LAB + "2", "long", False),
    "msExchArchiveGUID": (LAB + "3", "bytes", False),
    "msExchArchiveName": (LAB + "4", "text", True),
    "msExchDelegateListLink": (LAB + "5", "dn", True),
    "msExchEnableModeration": (LAB + "6", "flag", False),
    "msExchModeratedByLink": (LAB + "7", "dn", True),
    "msExchBypassModerationLink": (LAB + "8", "dn", True),
    "msExchCoManagedByLink": (LAB + "9", "dn", True),
    "msExchGenericForwardingAddress": (LAB + "10", "text", False),
    "msExchELCMailboxFlags": (LAB + "11", "number", False),
    "msExchPoliciesIncluded": (LAB + "12", "text", True),
    "msExchPoliciesExcluded": (LAB + "13", "text", True),
    "msExchGroupJoinRestriction": (LAB + "14", "number", False),
    "msExchGroupDepartRestriction": (LAB + "15", "number", False),
    "msExchHomeServerName": (LAB + "16", "text", False),
}

SYNTAX = {
    "text": ("2.5.5.12", "64"),
    "flag": ("2.5.5.8", "1"),
    "number": ("2.5.5.9", "2"),
    "long": ("2.5.5.16", "65"),
    "bytes": ("2.5.5.10", "4"),
    "dn": ("2.5.5.1", "127"),
}
SEARCHED = {"mailNickname", "msExchMailboxGuid", "targetAddress"}
ORGANISATION = "Example Corp"
GROUP = "Exchange Administrative Group (FYDIBOHF23SPDLT)"
DATABASES = ("DB01", "DB02")


def hyphenated(name: str) -> str:
    """A common name for the attribute's schema object: msExchMailboxGuid becomes ms-Exch-MailboxGuid."""
    rest = name[6:] if name.startswith("msExch") else name[0].upper() + name[1:]
    return f"ms-Exch-{rest}"


def extend(samdb) -> None:
    """Adds the attributes and lets users and groups have them; a second time it finds them and does nothing."""
    place = str(samdb.get_schema_basedn())
    if samdb.search(place, ldb.SCOPE_ONELEVEL, "(lDAPDisplayName=mailNickname)", attrs=[]):
        return
    samdb.transaction_start()
    try:
        for name, (oid, kind, many) in ATTRIBUTES.items():
            syntax, om = SYNTAX[kind]
            entry = {
                "dn": f"CN={hyphenated(name)},{place}",
                "objectClass": "attributeSchema",
                "attributeID": oid,
                "attributeSyntax": syntax,
                "oMSyntax": om,
                "isSingleValued": "FALSE" if many else "TRUE",
                "lDAPDisplayName": name,
                "searchFlags": "1" if name in SEARCHED else "0",
                "isMemberOfPartialAttributeSet": "TRUE",
            }
            if kind == "dn":
                entry["oMObjectClass"] = bytes.fromhex("2b0c0287731c00854a")
            samdb.add(entry)
    except BaseException:
        samdb.transaction_cancel()
        raise
    samdb.transaction_commit()
    samdb.set_schema_update_now()
    allowed = "".join(f"mayContain: {name}\n" for name in ATTRIBUTES)
    samdb.modify_ldif(f"dn: CN=Mail-Recipient,{place}\nchangetype: modify\nadd: mayContain\n{allowed}")
    samdb.set_schema_update_now()


def add_organisation(samdb) -> str:
    """The organisation's place in the configuration, with its mailbox databases (plain containers here); returns the databases' parent."""
    parent = f"CN=Services,{samdb.get_config_basedn()}"
    for name in ("Microsoft Exchange", ORGANISATION, "Administrative Groups", GROUP, "Databases"):
        parent = f"CN={name},{parent}"
        samdb.add({"dn": parent, "objectClass": "container"})
    for name in DATABASES:
        samdb.add({"dn": f"CN={name},{parent}", "objectClass": "container"})
    return parent
