"""A mail server that delivers nowhere: every message becomes one .eml file in a folder, to look at.

usage: mail.py ADDRESS PORT FOLDER
"""

import asyncio
import os
import pathlib
import signal
import sys
import time

from aiosmtpd.smtp import SMTP


class Keep:
    """Writes each message whole before it shows under its final name, so that a reader never sees half of one."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.count = 0

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        name = f"{time.time_ns()}-{self.count}.eml"
        lines = [f"X-Envelope-From: {envelope.mail_from}"] + [f"X-Envelope-To: {to}" for to in envelope.rcpt_tos]
        head = "".join(line + "\r\n" for line in lines).encode("utf-8", "replace")
        part = self.folder / f".{name}"
        part.write_bytes(head + envelope.content)
        os.chmod(part, 0o644)
        part.rename(self.folder / name)
        return "250 kept"


async def main(address: str, port: int, folder: pathlib.Path) -> None:
    loop = asyncio.get_running_loop()
    keep = Keep(folder)
    server = await loop.create_server(lambda: SMTP(keep, hostname="mail.example.com", enable_SMTPUTF8=True), address, port)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])))
