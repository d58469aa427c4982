"""Exchange Online's admin REST endpoint, spoken strictly, and the token endpoint in front of it."""

import base64
import datetime
import hashlib
import json
import re
import secrets
import time
import urllib.parse
import uuid

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from tenant import Tenant

TENANT = "6f1d2c3b-4a59-4e68-9f70-8192a3b4c5d6"
CLIENT = "0f9e8d7c-6b5a-4948-8372-615f4e3d2c1b"
SCOPE = "https://outlook.office365.com/.default"
SYSTEM = "APP:SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}@"
SAME = "Error executing request. The request failed; see details."
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
PUBLIC = {"OrganizationConfig", "AcceptedDomain", "Mailbox", "MailboxFolderPermission", "DistributionGroupMember", "DynamicDistributionGroupMember"}
LIFETIME = 3599
# Cmdlets whose errors come in the newer shape, as JSON inside the message.
NEWER = ("Get-Recipient", "Get-MailboxFolderPermission", "Add-MailboxFolderPermission", "Set-MailboxFolderPermission", "Remove-MailboxFolderPermission", "Get-DistributionGroup")


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str, headers=None):
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


class Online:
    def __init__(self, lab):
        self.lab = lab
        self.tenant = Tenant(lab.directory, lab.store)
        certificate = x509.load_pem_x509_certificate((lab.secrets / "exchange-online.pem").read_bytes())
        self.key = certificate.public_key()
        self.thumbprint = b64(hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest())
        self.tokens: dict[str, float] = {}
        self.pages: dict[str, tuple] = {}

    def post(self, handler, path: str, body: bytes):
        token = re.fullmatch(r"/([^/]+)/oauth2/v2\.0/token", path)
        invoke = re.fullmatch(r"/adminapi/(beta|v2\.0)/([^/]+)/([A-Za-z]+)", path)
        if path == "/lab/tokens":
            self.tokens.clear()
            return handler.give(204)
        kind = "Token" if token else "Invoke" if invoke else None
        if kind is None:
            return handler.give(404, b"{}")
        fault = self.lab.engine.fault(kind, named(body)) if kind == "Invoke" else self.lab.engine.fault(kind)
        try:
            if fault and fault["do"] == "cut":
                return handler.cut()
            if fault:
                inflict(fault)
            status, answer, headers = self.token(handler, token.group(1), body) if token else self.invoke(handler, *invoke.groups(), body)
        except Refused as refused:
            status, headers = refused.status, refused.headers
            answer = {"error": {"code": refused.code, "message": refused.message}}
        if fault and fault["do"] == "cut-after":
            return handler.cut()
        if answer is None:
            # An unknown cmdlet: a body of one NUL that says it is gzip.
            return handler.give(status, b"\0", {"Content-Encoding": "gzip", **headers})
        return handler.give(status, json.dumps(answer, ensure_ascii=False).encode(), {"Cache-Control": "no-cache", **headers})

    # Tokens

    def token(self, handler, tenant: str, body: bytes):
        form = {key: value[0] for key, value in urllib.parse.parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True).items()}
        try:
            self.check_request(handler, tenant, form)
        except Refused as refused:
            return refused.status, {"error": refused.code, "error_description": refused.message, "error_codes": [int(re.match(r"AADSTS(\d+)", refused.message).group(1))],
                                    "timestamp": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ"), "trace_id": str(uuid.uuid4()), "correlation_id": str(uuid.uuid4())}, {}
        token = "lab." + secrets.token_urlsafe(48)
        self.tokens[token] = time.time() + LIFETIME
        return 200, {"token_type": "Bearer", "expires_in": LIFETIME, "ext_expires_in": LIFETIME, "access_token": token}, {"Cache-Control": "no-store"}

    def check_request(self, handler, tenant, form) -> None:
        if tenant.lower() not in (TENANT, "example.onmicrosoft.com"):
            raise Refused(400, "invalid_request", f"AADSTS90002: Tenant '{tenant}' not found.")
        if "application/x-www-form-urlencoded" not in (handler.headers.get("Content-Type") or ""):
            raise Refused(400, "invalid_request", "AADSTS900144: The request body must be form encoded.")
        if form.get("grant_type") != "client_credentials":
            raise Refused(400, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.")
        if form.get("scope") != SCOPE:
            raise Refused(400, "invalid_scope", f"AADSTS1002012: The provided value for scope {form.get('scope')} is not valid.")
        if form.get("client_id") != CLIENT:
            raise Refused(400, "unauthorized_client", f"AADSTS700016: Application with identifier '{form.get('client_id')}' was not found in the directory.")
        if form.get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" or not form.get("client_assertion"):
            raise Refused(401, "invalid_client", "AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
        self.check_assertion(form["client_assertion"], f"https://{handler.headers.get('Host')}/{tenant}/oauth2/v2.0/token")

    def check_assertion(self, text: str, audience: str) -> None:
        def no(number, why):
            return Refused(401, "invalid_client", f"AADSTS{number}: {why}")
        try:
            head, claims, signature = text.split(".")
            header, said = json.loads(unb64(head)), json.loads(unb64(claims))
            proof = unb64(signature)
        except (ValueError, TypeError):
            raise no(50027, "JWT token is invalid or malformed.") from None
        if header.get("alg") not in ("RS256", "PS256"):
            raise no(5002738, f"Invalid JWT token. '{header.get('alg')}' is not a supported signature algorithm.")
        if header.get("x5t#S256") != self.thumbprint:
            raise no(700027, "The certificate with identifier used to sign the client assertion is not registered on application.")
        scheme = padding.PKCS1v15() if header["alg"] == "RS256" else padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        try:
            self.key.verify(proof, f"{head}.{claims}".encode(), scheme, hashes.SHA256())
        except InvalidSignature:
            raise no(700027, "Client assertion failed signature validation.") from None
        if said.get("aud") != audience:
            raise no(700023, f"Client assertion audience claim does not match Realm issuer. Expected {audience}.")
        if said.get("iss") != CLIENT or said.get("sub") != CLIENT:
            raise no(700021, "Client assertion application identifier doesn't match 'client_id' parameter.")
        now = time.time()
        if not isinstance(said.get("exp"), int) or said["exp"] < now - 300 or said.get("nbf", 0) > now + 300 or said["exp"] > now + 86400:
            raise no(700024, "Client assertion is not within its valid time range.")
        if not said.get("jti") or self.lab.store.get("assertion", said["jti"]) is not None:
            raise no(700025, "The client assertion's jti is missing or was used before.")
        self.lab.store.put("assertion", said["jti"], said["exp"])

    # Cmdlets

    def invoke(self, handler, version: str, tenant: str, resource: str, body: bytes):
        self.check_bearer(handler, tenant)
        size = check_headers(handler, tenant)
        name, parameters = self.read(version, resource, body)
        query = urllib.parse.parse_qs(handler.path.partition("?")[2])
        ids = {"request-id": str(uuid.uuid4()), "client-request-id": handler.headers["client-request-id"]}
        if "$skiptoken" in query:
            return 200, self.page(handler, query["$skiptoken"][0], body, size), ids
        kept = {key: {"type": kind_of(value), "value": "(secret)" if "password" in key.lower() else value} for key, value in parameters.items()}
        call = self.lab.engine.run("online", name, [(key, self.value(name, key, value)) for key, value in parameters.items()], kept, "app:" + CLIENT)
        if call.errors and call.errors[0].reason == "CommandNotFoundException":
            return 403, None, ids
        if call.errors and not call.objects:
            return status_of(call), error_body(call), ids
        answer = {"@odata.context": f"https://{handler.headers.get('Host')}/adminapi/beta/{tenant}/$metadata#Collection(Exchange.GenericHashTable)",
                  "adminapi.warnings@odata.type": "#Collection(String)", "@adminapi.warnings": call.warnings}
        if call.errors:
            answer["@adminapi.errors"] = [detail(error, call.name)["message"] for error in call.errors]
        self.fill(handler, answer, [as_json(one) for one in call.objects], 0, body, size)
        return 200, answer, ids

    def fill(self, handler, answer: dict, rows: list, start: int, body: bytes, size: int) -> None:
        answer["value"] = rows[start:start + size]
        if len(rows) > start + size:
            token = secrets.token_urlsafe(16)
            self.pages[token] = (rows, start + size, hashlib.sha256(body).hexdigest())
            while len(self.pages) > 100:
                self.pages.pop(next(iter(self.pages)))
            answer["@odata.nextLink"] = f"https://{handler.headers.get('Host')}{handler.path.partition('?')[0]}?%24skiptoken={token}"

    def page(self, handler, token: str, body: bytes, size: int) -> dict:
        if token not in self.pages:
            raise Refused(400, "BadRequest", "The skip token is not known.")
        rows, start, mark = self.pages[token]
        if mark != hashlib.sha256(body).hexdigest():
            raise Refused(400, "BadRequest", "The next page must be asked for with the same body.")
        answer = {"@adminapi.warnings": []}
        self.fill(handler, answer, rows, start, body, size)
        return answer

    def check_bearer(self, handler, tenant) -> None:
        scheme, _, token = (handler.headers.get("Authorization") or "").partition(" ")
        if scheme != "Bearer" or self.tokens.get(token, 0) < time.time():
            raise Refused(401, "Unauthorized", "", {"WWW-Authenticate": 'Bearer client_id="00000002-0000-0ff1-ce00-000000000000", error="invalid_token"'})
        if tenant.lower() != TENANT:
            raise Refused(403, "Forbidden", "The token is for another tenant.")

    def read(self, version, resource, body):
        try:
            top = json.loads(body)
            given = top["CmdletInput"]
            name, parameters = given["CmdletName"], given.get("Parameters", {})
        except (ValueError, KeyError, TypeError):
            raise Refused(400, "BadRequest", "The body must be {\"CmdletInput\": {\"CmdletName\": …, \"Parameters\": {…}}}.") from None
        if set(top) != {"CmdletInput"} or set(given) - {"CmdletName", "Parameters"} or not isinstance(name, str) or not isinstance(parameters, dict):
            raise Refused(400, "BadRequest", "The body has members that InvokeCommand does not know.")
        if version == "v2.0" and (resource not in PUBLIC or name.partition("-")[2] != resource):
            raise Refused(404, "NotFound", f"There is no {resource} for {name} in the public API.")
        if version == "beta" and resource != "InvokeCommand":
            raise Refused(404, "NotFound", f"There is no {resource}.")
        return name, parameters

    def value(self, name, key, value):
        """A JSON value as the engine takes it; hash tables only with their type."""
        if isinstance(value, dict):
            if value.get("@odata.type") != "#Exchange.GenericHashTable":
                raise Refused(400, "BadRequest", f"{key} needs @odata.type #Exchange.GenericHashTable.")
            return {inner: one for inner, one in value.items() if inner != "@odata.type"}
        return value


def check_headers(handler, tenant) -> int:
    """The page size; refuses what Microsoft's own module would never send."""
    def no(name):
        return Refused(400, "BadRequest", f"The header {name} is missing or wrong.")
    if (handler.headers.get("Content-Type") or "").split(";")[0].strip().lower() != "application/json":
        raise no("Content-Type")
    if handler.headers.get("X-ResponseFormat") != "json":
        raise no("X-ResponseFormat")
    for name in ("client-request-id", "connection-id"):
        if not GUID.fullmatch(handler.headers.get(name) or ""):
            raise no(name)
    prefer = re.fullmatch(r"odata\.maxpagesize=(\d{1,4})(;.*)?", handler.headers.get("Prefer") or "")
    if not prefer or not 0 < int(prefer.group(1)) <= 1000:
        raise no("Prefer")
    anchor = handler.headers.get("X-AnchorMailbox") or ""
    if anchor.startswith(("SMTP:", "MBX:")):
        if (handler.headers.get("parameter-based-routing") or "").lower() != "true":
            raise no("parameter-based-routing")
    elif not anchor.startswith(SYSTEM) or anchor[len(SYSTEM):].lower() not in (tenant.lower(), "example.onmicrosoft.com"):
        raise no("X-AnchorMailbox")
    return int(prefer.group(1))


def inflict(fault) -> None:
    milliseconds = fault.get("ms", 1000)
    if fault["do"] == "delay":
        time.sleep(min(120_000, milliseconds) / 1000)
    elif fault["do"] == "throttle":
        after = str(max(1, -(-milliseconds // 1000)))
        reset = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(milliseconds=milliseconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        raise Refused(429, "TooManyRequests", "Server is too busy.", {"Retry-After": after, "Rate-Limit-Reset": reset, "Rate-Limit-Remaining": "0"})
    elif fault["do"] == "status":
        name = fault.get("type", "Microsoft.Exchange.Data.Storage.ServerBusyException" if fault.get("status") != 500 else "CmdletProxyNotAvailableFailure")
        raise Refused(fault.get("status", 503), name.rsplit(".", 1)[-1], f"{name}: injected")


def named(body: bytes):
    try:
        return json.loads(body)["CmdletInput"]["CmdletName"]
    except (ValueError, KeyError, TypeError):
        return None


def status_of(call) -> int:
    error = call.errors[0]
    if error.reason == "ManagementObjectNotFoundException":
        # The same error has different statuses, as in life.
        return 404 if call.name.startswith("Get-") else 400
    if error.reason in ("CmdletAccessDeniedException", "OperationRequiresGroupManagerException"):
        return 403
    return 500 if error.category == "NotSpecified" and error.reason != "ADObjectAlreadyExistsException" else 400


def detail(error, name: str) -> dict:
    if name in NEWER:
        message = json.dumps({"TypeName": error.type_name, "Message": error.message, "ErrorCategory": error.category, "ErrorCode": 0, "ExceptionType": error.type_name})
    else:
        message = f"Ex{hashlib.sha256(error.type_name.encode()).hexdigest()[:6].upper()}|{error.type_name}|{error.message}"
    return {"code": "Context", "target": "", "message": message}


def error_body(call) -> dict:
    error = call.errors[0]
    return {"error": {"code": "NotFound" if status_of(call) == 404 else "BadRequest", "message": SAME, "details": [detail(one, call.name) for one in call.errors],
                      "innererror": {"message": SAME, "type": "Microsoft.Exchange.Admin.OData.Core.ODataServiceException",
                                     "internalexception": {"message": error.message if call.name in NEWER else SAME, "type": "Microsoft.Exchange.Management.PSDirectInvoke.DirectInvokeCmdletExecutionException"}}}}


def as_json(one):
    if not isinstance(one, dict):
        return one
    made = {}
    for key, value in one.items():
        if key == "__types":
            continue
        if isinstance(value, uuid.UUID):
            made[f"{key}@data.type"] = "System.Guid"
            made[key] = str(value)
        elif isinstance(value, datetime.datetime):
            made[f"{key}@data.type"] = "System.DateTime"
            made[key] = value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if value.tzinfo else value.isoformat()
        elif isinstance(value, (list, tuple)):
            made[f"{key}@odata.type"] = "#Collection(String)"
            made[key] = [str(part) for part in value]
        elif isinstance(value, dict):
            made[key] = value.get("__text")
        else:
            made[key] = value
    return made


def kind_of(value) -> str:
    return {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}.get(type(value), "null")


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


