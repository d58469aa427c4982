"""check.py's part for Exchange Online: plain HTTP, as another client would."""

import base64
import hashlib
import json
import os
import time
import types
import uuid

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

CA, LAB, BASE = os.environ["EXCHANGE_CA_FILE"], os.environ["EXCHANGE_LAB_URL"], os.environ["EXCHANGE_ONLINE_URL"]
TENANT, CLIENT = os.environ["EXCHANGE_ONLINE_TENANT"], os.environ["EXCHANGE_ONLINE_CLIENT_ID"]
AUDIENCE = f"{os.environ['EXCHANGE_ONLINE_AUTHORITY']}/{TENANT}/oauth2/v2.0/token"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def assertion(alg="PS256", **more) -> str:
    key = serialization.load_pem_private_key(open(os.environ["EXCHANGE_ONLINE_KEY_FILE"], "rb").read(), None)
    certificate = x509.load_pem_x509_certificate(open(os.environ["EXCHANGE_ONLINE_CERT_FILE"], "rb").read())
    header = {"alg": alg, "typ": "JWT", "x5t#S256": b64(hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest())}
    now = int(time.time())
    claims = {"aud": AUDIENCE, "iss": CLIENT, "sub": CLIENT, "jti": str(uuid.uuid4()), "nbf": now, "exp": now + 300, **more}
    text = b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())
    scheme = padding.PKCS1v15() if alg == "RS256" else padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    return text + "." + b64(key.sign(text.encode(), scheme, hashes.SHA256()))


def token(text):
    return requests.post(AUDIENCE, data={"grant_type": "client_credentials", "client_id": CLIENT, "scope": "https://outlook.office365.com/.default",
                                         "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion": text}, verify=CA, timeout=20)


class Client:
    def __init__(self):
        self.session, self.bearer = requests.Session(), token(assertion()).json()["access_token"]

    def post(self, name, parameters, url=None, without=(), page=1000, stream=False, **headers):
        sent = {"Authorization": f"Bearer {self.bearer}", "Prefer": f"odata.maxpagesize={page}", "X-ResponseFormat": "json", "client-request-id": str(uuid.uuid4()), "connection-id": str(uuid.uuid4()),
                "X-AnchorMailbox": "APP:SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}@" + TENANT, "Content-Type": "application/json", **headers}
        for one in without:
            del sent[one]
        return self.session.post(url or f"{BASE}/adminapi/beta/{TENANT}/InvokeCommand", headers=sent, data=json.dumps({"CmdletInput": {"CmdletName": name, "Parameters": parameters}}), verify=CA, timeout=30, stream=stream)


def type_of(answer):
    message = answer.json()["error"]["details"][0]["message"]
    return (json.loads(message)["TypeName"] if message.startswith("{") else message.split("|")[1]).rsplit(".", 1)[-1]


def online(check, faults):
    for alg in ("RS256", "PS256"):
        check(f"token by {alg}", token(assertion(alg)).status_code == 200)
    used = assertion()
    token(used)
    check("an assertion twice", token(used).json().get("error") == "invalid_client")
    check("another audience", token(assertion(aud="https://elsewhere")).status_code == 401)
    check("too late", token(assertion(exp=int(time.time()) - 3600)).status_code == 401)
    client = Client()

    def does(name, **parameters):
        answer = client.post(name, parameters)
        check(f"online {name}", answer.status_code == 200, answer.text[:600])
        return answer.json()

    def fails(reason, name, **parameters):
        answer = client.post(name, parameters)
        seen = type_of(answer) if answer.status_code >= 400 and answer.text.startswith("{") and "details" in answer.json()["error"] else answer.text[:300]
        check(f"online {name}: {reason}", seen == reason, seen)

    for header in ("Authorization", "Prefer", "X-ResponseFormat", "client-request-id", "connection-id", "X-AnchorMailbox"):
        answer = client.post("Get-Mailbox", {}, without=(header,))
        check(f"without {header}", answer.status_code == (401 if header == "Authorization" else 400), answer.status_code)
    check("SMTP anchor alone", client.post("Get-Mailbox", {}, **{"X-AnchorMailbox": "SMTP:a@example.com"}).status_code == 400)
    answer = client.session.post(f"{BASE}/adminapi/beta/{TENANT}/InvokeCommand", data="{}", verify=CA, timeout=10)
    check("no token", answer.status_code == 401)
    for name in ("Get-Bogus", "Get-RemoteMailbox"):
        answer = raw(client, name)
        check(f"{name}: unknown", answer.status == 403 and answer.headers["Content-Encoding"] == "gzip" and answer.data == b"\0", (answer.status, answer.data))
    fails("ParameterBindingException", "Get-Mailbox", Bogus=1)
    fails("ParameterBindingException", "Set-Mailbox", Identity="x", PrimarySmtpAddress="a@example.com")
    fails("ManagementObjectNotFoundException", "Get-Mailbox", Identity="nobody@example.com")
    fails("ManagementObjectNotFoundException", "Get-Recipient", Identity="nobody@example.com")
    rows = does("Get-Mailbox", ResultSize="Unlimited")["value"]
    check("Online mailboxes are those of the licensed site", bool(rows) and all(one["Office"] == "Singapore" for one in rows), [one["PrimarySmtpAddress"] for one in rows])
    someone = rows[0]["PrimarySmtpAddress"]
    first = client.post("Get-Recipient", {"ResultSize": "Unlimited"}, page=10).json()
    total, link = len(first["value"]), first.get("@odata.nextLink")
    while link:
        more = client.post("Get-Recipient", {"ResultSize": "Unlimited"}, url=link, page=10).json()
        total, link = total + len(more["value"]), more.get("@odata.nextLink")
    check("pages", total > 40 and len(first["value"]) == 10, total)
    check("another body on the next page", client.post("Get-Recipient", {}, url=first["@odata.nextLink"], page=10).status_code == 400)
    fails("InvalidOperationException", "Set-Mailbox", Identity=someone, HiddenFromAddressListsEnabled=True)
    does("Set-Mailbox", Identity=someone, ForwardingSmtpAddress="away@example.org", DeliverToMailboxAndForward=True, IssueWarningQuota="40GB", ProhibitSendQuota="45GB", ProhibitSendReceiveQuota="50GB")
    check("online quota", does("Get-Mailbox", Identity=someone)["value"][0]["ProhibitSendQuota"] == "45 GB (48,318,382,080 bytes)")
    made = does("New-Mailbox", Name="Cloud parcels", Shared=True, Alias="cloudparcels")["value"][0]
    check("cloud only", made["RecipientTypeDetails"] == "SharedMailbox" and made["IsDirSynced"] is False, made)
    does("Set-Mailbox", Identity="cloudparcels", EmailAddresses={"@odata.type": "#Exchange.GenericHashTable", "Add": ["smtp:cp@example.com"]}, HiddenFromAddressListsEnabled=True)
    check("hash table without its type", client.post("Set-Mailbox", {"Identity": "cloudparcels", "EmailAddresses": {"Add": ["smtp:cp2@example.com"]}}).status_code == 400)
    fails("ProxyAddressExistsException", "Set-Mailbox", Identity="cloudparcels", EmailAddresses={"@odata.type": "#Exchange.GenericHashTable", "Add": ["smtp:" + someone]})
    does("Add-MailboxPermission", Identity="cloudparcels", User=someone, AccessRights=["FullAccess"], AutoMapping=False)
    check("permission", any(one["User"] == someone for one in does("Get-MailboxPermission", Identity="cloudparcels")["value"]))
    does("Add-RecipientPermission", Identity="cloudparcels", Trustee=someone, AccessRights=["SendAs"], Confirm=False)
    check("send as", [one["Trustee"] for one in does("Get-RecipientPermission", Identity="cloudparcels", Trustee=someone)["value"]] == [someone])
    does("Remove-RecipientPermission", Identity="cloudparcels", Trustee=someone, AccessRights=["SendAs"], Confirm=False)
    does("Add-MailboxFolderPermission", Identity=someone + ":\\Calendar", User="cloudparcels", AccessRights=["Reviewer"])
    fails("UserAlreadyExistsInPermissionEntryException", "Add-MailboxFolderPermission", Identity=someone + ":\\Calendar", User="cloudparcels", AccessRights=["Editor"])
    does("New-DistributionGroup", Name="Cloud list", Alias="cloudlist", Members=[someone])
    does("Add-DistributionGroupMember", Identity="cloudlist", Member="cloudparcels", BypassSecurityGroupManagerCheck=True)
    check("online members", len(does("Get-DistributionGroupMember", Identity="cloudlist")["value"]) == 2)
    fails("InvalidOperationException", "Add-DistributionGroupMember", Identity="board", Member=someone, BypassSecurityGroupManagerCheck=True)
    does("Remove-DistributionGroup", Identity="cloudlist", BypassSecurityGroupManagerCheck=True, Confirm=False)
    does("Remove-Mailbox", Identity="cloudparcels", Confirm=False)
    does("Set-MailboxAutoReplyConfiguration", Identity=someone, AutoReplyState="Scheduled", StartTime="2026-12-24T08:00:00Z", EndTime="2026-12-27T08:00:00Z", InternalMessage="Fort")
    faults({"on": "Invoke", "cmdlet": "Get-Mailbox", "do": "throttle", "ms": 1200}, {"on": "Invoke", "do": "status", "status": 503})
    answer = client.post("Get-Mailbox", {})
    check("429", answer.status_code == 429 and answer.headers["Retry-After"] == "2" and "Rate-Limit-Reset" in answer.headers, answer.status_code)
    check("503", client.post("Get-Mailbox", {}).status_code == 503)
    faults({"on": "Run", "cmdlet": "Get-Mailbox", "do": "error", "after": True})
    answer = client.post("Get-Mailbox", {}).json()
    check("an error beside objects", answer["value"] and "ADTransientException" in answer["@adminapi.errors"][0], answer)
    requests.post(f"{LAB}/tokens", verify=CA, timeout=10)
    check("a token gone", client.post("Get-Mailbox", {}).status_code == 401)


def raw(client, name):
    """The answer as it came, not unpacked."""
    answer = client.post(name, {}, stream=True)
    return types.SimpleNamespace(status=answer.status_code, headers=answer.headers, data=answer.raw.read(decode_content=False))
