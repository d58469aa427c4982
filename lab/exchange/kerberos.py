"""Negotiate and Kerberos for the on-premises endpoint: Debian's python3-gssapi with a keytab of the lab's domain."""

import base64
import os
import sys

sys.path.append("/usr/lib/python3/dist-packages")  # the packages' venv does not see the distribution's own

import gssapi  # noqa: E402


class Kerberos:
    def __init__(self, keytab: str):
        os.environ["KRB5_KTNAME"] = "FILE:" + keytab
        # The lab's requests come over TLS, and several within one second.
        os.environ["KRB5RCACHENAME"] = "none:"
        self.credentials = gssapi.Credentials(usage="accept")

    def accept(self, given: str) -> tuple[str, str] | None:
        """The caller's name and what to answer; None for a token that proves nobody."""
        try:
            context = gssapi.SecurityContext(creds=self.credentials, usage="accept")
            answer = context.step(base64.b64decode(given))
            if not context.complete:
                return None
            return str(context.initiator_name), base64.b64encode(answer or b"").decode()
        except (gssapi.exceptions.GSSError, ValueError) as error:
            print(f"Negotiate: {error}", flush=True)
            return None
