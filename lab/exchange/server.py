#!/usr/bin/env python3
"""A stand-in for Exchange, for the lab: on premises (PowerShell remoting at /PowerShell/) and Online (the admin REST endpoint and its tokens),
with recipients in the lab's directory. See README.md beside it for what it keeps to and what it makes up.

usage: server.py --listen ADDRESS:PORT --place FOLDER --ldap URL [--keytab FILE]
FOLDER is the lab's data folder: ca.pem, secrets/, directory/tls/, exchange/ are found there.
"""

import argparse
import base64
import http.server
import json
import os
import pathlib
import signal
import socket
import ssl
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import engine as engines
import wsman
from directory import Directory
from online import Online
from onprem import OnPremises
from store import Store

import lists  # noqa: F401  (their cmdlets register themselves)
import mailboxes  # noqa: F401
import organisation  # noqa: F401
import permissions  # noqa: F401
import probes  # noqa: F401

LONGEST = 8_000_000


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Microsoft-IIS/10.0"
    sys_version = ""
    timeout = 240
    lab = None
    wbufsize = 65536

    def log_message(self, text, *rest):
        if os.environ.get("EXCHANGE_LOG"):
            super().log_message(text, *rest)

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.negotiated = None

    def body(self) -> bytes | None:
        stated = self.headers.get("Content-Length") or "0"
        if not stated.isdigit() or int(stated) > LONGEST:
            self.send_error(413)
            return None
        return self.rfile.read(int(stated))

    def give(self, status: int, body: bytes = b"", headers: dict | None = None, kind: str = "application/json; charset=utf-8", extra=()):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        for name, value in extra:
            self.send_header(name, value)
        if body:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def cut(self):
        """Ends the connection so that the other side sees no answer at all."""
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/lab/calls":
            with self.lab.engine.lock:
                return self.give(200, json.dumps(list(self.lab.engine.calls), ensure_ascii=False).encode())
        if path == "/lab/faults":
            return self.give(200, json.dumps({"next": self.lab.engine.faults}).encode())
        if path == "/lab/shells":
            return self.give(200, json.dumps([{"id": one.id, "user": one.user} for one in self.lab.service.shells.values()]).encode())
        if path == "/healthz":
            return self.give(200, b"{}")
        return self.give(404, b"{}")

    def do_DELETE(self):
        if self.path == "/lab/calls":
            self.lab.engine.calls.clear()
        elif self.path == "/lab/faults":
            self.lab.engine.faults.clear()
        elif self.path == "/lab/shells":
            # As when their time has run out: those of a client that was killed would otherwise count for a quarter of an hour.
            self.lab.service.shells.clear()
        else:
            return self.give(404)
        return self.give(204)

    def do_POST(self):
        body = self.body()
        if body is None:
            return None
        path = self.path.split("?")[0]
        if path.rstrip("/").lower() == "/powershell":
            return self.remoting(body)
        if path == "/lab/faults":
            return self.take_faults(body)
        return self.lab.online.post(self, path, body)

    def take_faults(self, body: bytes):
        try:
            wanted = json.loads(body)["next"]
            for one in wanted:
                if one["on"] not in ("Create", "Command", "Receive", "Send", "Signal", "Delete", "Invoke", "Token", "Run") or \
                        one["do"] not in ("lose-shell", "cut", "cut-after", "throttle", "delay", "status", "error"):
                    raise ValueError(one)
        except (ValueError, KeyError, TypeError) as error:
            return self.give(400, json.dumps({"error": str(error)}).encode())
        with self.lab.engine.lock:
            self.lab.engine.faults = [dict(one) for one in wanted]
        return self.give(204)

    def remoting(self, body: bytes):
        user = self.who(body)
        if user is None:
            return None
        if "application/soap+xml" not in (self.headers.get("Content-Type") or ""):
            return self.give(415)
        cookies = dict(part.strip().split("=", 1) for part in (self.headers.get("Cookie") or "").split(";") if "=" in part)
        try:
            status, answer, headers = self.lab.service.answer(body, user, cookies)
        except wsman.Cut:
            return self.cut()
        return self.give(status, answer, headers, "application/soap+xml;charset=UTF-8", self.proof)

    def who(self, body: bytes) -> str | None:
        """The caller, or None after a refusal was sent."""
        self.proof = []
        scheme, _, given = (self.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() == "basic":
            try:
                name, _, password = base64.b64decode(given).decode("utf-8").partition(":")
            except ValueError:
                name = password = ""
            short = self.lab.short_name(name)
            if short and self.lab.password_fits(short, password):
                return self.allowed(short)
            return self.refuse()
        if scheme.lower() in ("negotiate", "kerberos") and self.lab.kerberos is not None:
            step = self.lab.kerberos.accept(given)
            if step is None:
                return self.refuse()
            name, token = step
            if token:
                self.proof = [("WWW-Authenticate", f"{scheme} {token}")]
            self.negotiated = self.lab.short_name(name) or name
            return self.allowed(self.negotiated)
        if not scheme and self.negotiated:
            # Negotiate is for the connection, not for one request.
            return self.negotiated
        return self.refuse()

    def allowed(self, short: str) -> str | None:
        if short.lower() not in self.lab.administrators:
            self.give(403, b"Access is denied.", kind="text/plain")
            return None
        return f"CORP\\{short}"

    def refuse(self):
        offers = [("WWW-Authenticate", 'Basic realm="ex01.corp.example.com"')]
        if self.lab.kerberos is not None:
            offers = [("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", "Kerberos"), *offers]
        self.give(401, b"", extra=offers)


class Lab:
    def __init__(self, given):
        place = pathlib.Path(given.place)
        self.place = place
        self.secrets = place / "secrets"
        self.administrators = {"svc-exchange", "administrator"}
        os.makedirs(place / "exchange", mode=0o700, exist_ok=True)
        self.store = Store(str(place / "exchange" / "exchange.sqlite"))
        base = "DC=corp,DC=example,DC=com"
        self.directory = Directory(given.ldap, f"CN=svc-exchange,OU=Service,{base}", self.secret("svc-exchange"), str(place / "ca.pem"), base, "dc1.corp.example.com")
        self.onprem = OnPremises(self.directory, self.store)
        backends = {"onprem": self.onprem}
        self.online = Online(self)
        backends["online"] = self.online.tenant
        self.engine = engines.Engine(self.store, backends)
        self.service = wsman.Service(self.engine)
        self.kerberos = None
        if given.keytab and os.path.exists(given.keytab):
            try:
                from kerberos import Kerberos
                self.kerberos = Kerberos(given.keytab)
            except ImportError as error:
                print(f"without Kerberos: {error}", flush=True)

    def secret(self, name: str) -> str:
        return (self.secrets / name).read_text(encoding="utf-8").strip()

    def short_name(self, name: str) -> str | None:
        name = name.split("\\")[-1].split("@")[0]
        return name or None

    def password_fits(self, short: str, password: str) -> bool:
        if short.lower() == "svc-exchange":
            return password == self.secret("svc-exchange")
        return self.directory.password_fits(f"CORP\\{short}", password)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, context):
        self.context = context
        super().__init__(address, Handler)

    def finish_request(self, request, client_address):
        # The handshake happens in the request's own thread, so that a silent client holds up nobody.
        request.settimeout(20)
        try:
            wrapped = self.context.wrap_socket(request, server_side=True)
        except (ssl.SSLError, OSError):
            return
        try:
            self.RequestHandlerClass(wrapped, client_address, self)
        except (ConnectionError, TimeoutError, ssl.SSLError, BrokenPipeError, OSError):
            pass
        finally:
            try:
                wrapped.close()
            except OSError:
                pass

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError, OSError)):
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--place", required=True)
    parser.add_argument("--ldap", required=True)
    parser.add_argument("--keytab")
    given = parser.parse_args()
    threading.stack_size(512 * 1024)
    Handler.lab = Lab(given)
    host, _, port = given.listen.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls = pathlib.Path(given.place, "directory", "tls")
    context.load_cert_chain(tls / "exchange.pem", tls / "exchange.key")
    server = Server((host, int(port)), context)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"Exchange at https://{host}:{port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
