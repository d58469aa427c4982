"""What Exchange keeps outside the directory: JSON documents in one SQLite file. Areas:

mailbox       by mailbox GUID: permissions, folder permissions, automatic replies, calendar processing, statistics
disconnected  by mailbox GUID: mailboxes whose account was disabled or deleted
dynamic       by GUID: dynamic distribution groups, on premises
sendas        by object GUID: on premises' Send-As (a real Exchange keeps it in the object's access list)
online        by GUID: the tenant's recipients;  assertion by jti: client assertions used up
"""

import json
import sqlite3
import threading


class Store:
    def __init__(self, path: str):
        self.lock = threading.RLock()
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.execute("pragma journal_mode=wal")
        self.db.execute("pragma synchronous=off")
        self.db.execute("create table if not exists kept (area text, key text, value text, primary key (area, key)) without rowid")

    def get(self, area: str, key, default=None):
        with self.lock:
            row = self.db.execute("select value from kept where area = ? and key = ?", (area, str(key))).fetchone()
        return json.loads(row[0]) if row else default

    def put(self, area: str, key, value) -> None:
        with self.lock:
            self.db.execute("insert into kept values (?, ?, ?) on conflict do update set value = excluded.value", (area, str(key), json.dumps(value)))

    def drop(self, area: str, key) -> None:
        with self.lock:
            self.db.execute("delete from kept where area = ? and key = ?", (area, str(key)))

    def all(self, area: str) -> dict:
        with self.lock:
            return {key: json.loads(value) for key, value in self.db.execute("select key, value from kept where area = ? order by key", (area,))}
