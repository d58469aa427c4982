"""Adds accounts to a running lab's directory, for figures at a size: straight into the domain controller's database, in one
transaction, because ten thousand of them take minutes by LDAP.

usage: load.py SMB_CONF FROM TO
"""

import sys

from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB

conf, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
lp = LoadParm()
lp.load(conf)
# Without these each account is a transaction within the transaction: three times the time.
samdb = SamDB(lp=lp, session_info=system_session(), options=["batch_mode:1", "transaction_index_cache_size:200000"])
parent = f"OU=Many,OU=Staff,{samdb.domain_dn()}"
samdb.transaction_start()
try:
    if not samdb.search(samdb.domain_dn(), expression="(&(objectClass=organizationalUnit)(ou=Many))"):
        samdb.add({"dn": parent, "objectClass": "organizationalUnit"})
    for number in range(first, last):
        name = f"many{number}"
        samdb.add({
            "dn": f"CN={name},{parent}", "objectClass": "user", "sAMAccountName": name, "userAccountControl": "514",
            "userPrincipalName": f"{name}@corp.example.com", "givenName": "Many", "sn": name, "displayName": f"Many {name}",
            "mail": f"{name}@example.com", "department": "Finance", "title": "Accountant", "physicalDeliveryOfficeName": "Hamburg",
        })
except BaseException:
    samdb.transaction_cancel()
    raise
samdb.transaction_commit()
