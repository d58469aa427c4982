#!/usr/bin/env python3
"""A timestamp authority (RFC 3161) for the lab: openssl behind HTTP.

usage: timestamps.py --listen 127.0.0.1:PORT --dir DIR
DIR gets a root and the authority's own key and certificate on the first start; DIR/tsa.pem is what verifiers trust. Its times are this
machine's: it shows the protocol, not that anybody else vouches for the time. A site names an authority of its own choice.
"""
import argparse
import http.server
import os
import signal
import subprocess
import sys
import tempfile
import threading

LONGEST = 4096  # bytes of a question
ONE = threading.Lock()  # openssl keeps the serial number in a file

CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
O = Tenure lab
CN = {name}
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[authority]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa]
default_tsa = lab
[lab]
dir = {dir}
serial = {dir}/serial
signer_cert = {dir}/authority.pem
signer_key = {dir}/authority.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"timestamps.py: openssl {arguments[0]}: {done.stderr.strip()}")


def make(folder):
    """The root and the authority, unless they are there."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if os.path.exists(f"{folder}/ready"):
        return
    os.umask(0o077)
    for name in ("root", "authority"):
        with open(f"{folder}/{name}.cnf", "w") as out:
            out.write(CONFIG.format(name=f"timestamps, {name}", dir=folder))
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{folder}/{name}.key")
    openssl("req", "-new", "-x509", "-config", f"{folder}/root.cnf", "-extensions", "root", "-key", f"{folder}/root.key",
            "-days", "3650", "-out", f"{folder}/tsa.pem")
    openssl("req", "-new", "-config", f"{folder}/authority.cnf", "-key", f"{folder}/authority.key", "-out", f"{folder}/authority.csr")
    openssl("x509", "-req", "-in", f"{folder}/authority.csr", "-CA", f"{folder}/tsa.pem", "-CAkey", f"{folder}/root.key",
            "-CAcreateserial", "-days", "3650", "-extfile", f"{folder}/authority.cnf", "-extensions", "authority",
            "-out", f"{folder}/authority.pem")
    os.chmod(f"{folder}/tsa.pem", 0o644)
    with open(f"{folder}/serial", "w") as out:
        out.write("01\n")
    open(f"{folder}/ready", "w").close()


class Authority(http.server.BaseHTTPRequestHandler):
    folder = ""
    timeout = 10

    def do_POST(self):
        stated = self.headers.get("Content-Length") or ""
        length = int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 6 else 0
        kind = (self.headers.get("Content-Type") or "").split(";")[0].strip().lower()
        if not 0 < length <= LONGEST or kind != "application/timestamp-query":
            self.send_error(400, f"a timestamp query of at most {LONGEST} bytes is expected")
            return
        body = self.rfile.read(length)
        if len(body) < length:
            self.send_error(400, "the query ends too early")
            return
        with tempfile.TemporaryDirectory() as temporary:
            question, answer = f"{temporary}/question", f"{temporary}/answer"
            with open(question, "wb") as out:
                out.write(body)
            with ONE:
                done = subprocess.run(["openssl", "ts", "-reply", "-config", f"{self.folder}/authority.cnf", "-queryfile", question,
                                       "-out", answer], stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode:
                self.log_message("openssl: %s", done.stderr.strip())
                self.send_error(500, "openssl did not answer")
                return
            with open(answer, "rb") as reply:
                body = reply.read()
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--dir", required=True)
    given = parser.parse_args()
    Authority.folder = os.path.abspath(given.dir)
    make(Authority.folder)
    host, port = given.listen.rsplit(":", 1)
    server = http.server.ThreadingHTTPServer((host, int(port)), Authority)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"timestamps at http://{host}:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
