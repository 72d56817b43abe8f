"""A worker for tests, as a process: `counting_worker.py BOOTSTRAP PREFIX DATABASE NAME`. What it read is in SQLite.

The smallest reader that holds what the real one promises: offsets move by compare and swap on an epoch, in one transaction with
what was read; a hole is believed when it is there again after a seek.
"""

from __future__ import annotations

import sqlite3
import sys
import threading

from guardian.adapters.kafka.app import run
from guardian.adapters.kafka.connection import Broker

SCHEMA = """
CREATE TABLE IF NOT EXISTS part(number INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL, epoch INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS seen(id INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER, offset INTEGER, value BLOB, worker TEXT);
"""


class SqliteReader:
    def __init__(self, path: str, name: str) -> None:
        self.database = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.executescript(SCHEMA)
        self.name = name
        self.claims: dict[object, list[int]] = {}
        self.holes: dict[object, tuple[int, int]] = {}

    def assigned(self, ends):
        self.claims = {}
        for partition in ends:
            self.database.execute("BEGIN IMMEDIATE")
            self.database.execute("INSERT OR IGNORE INTO part VALUES (?, 0, 0)", (partition.number,))
            self.database.execute("UPDATE part SET epoch = epoch + 1 WHERE number = ?", (partition.number,))
            row = self.database.execute("SELECT next_offset, epoch FROM part WHERE number = ?", (partition.number,)).fetchone()
            self.database.execute("COMMIT")
            self.claims[partition] = list(row)
        return {partition: claim[0] for partition, claim in self.claims.items()}

    def revoked(self, partitions):
        for partition in partitions:
            self.claims.pop(partition, None)

    def deliver(self, partition, records):
        claim = self.claims.get(partition)
        if claim is None or records[-1].offset < claim[0]:
            return None
        first = records[0].offset
        if first > claim[0] and self.holes.get(partition) != (claim[0], first):
            self.holes[partition] = (claim[0], first)
            return claim[0]
        fresh = [record for record in records if record.offset >= claim[0]]
        after = fresh[-1].offset + 1
        self.database.execute("BEGIN IMMEDIATE")
        moved = self.database.execute(
            "UPDATE part SET next_offset = ? WHERE number = ? AND next_offset = ? AND epoch = ?",
            (after, partition.number, *claim),
        ).rowcount
        if moved:
            rows = [(partition.number, record.offset, record.value, self.name) for record in fresh]
            self.database.executemany("INSERT INTO seen(number, offset, value, worker) VALUES (?, ?, ?, ?)", rows)
            claim[0] = after
        else:
            del self.claims[partition]  # Somebody else's by now.
        self.database.execute("COMMIT")
        return None

    def lost(self, partition, earliest, end):
        return earliest

    def work(self):
        return {}

    def wants(self, partition):
        return True


if __name__ == "__main__":
    bootstrap, prefix, path, name = sys.argv[1:]
    broker = Broker(bootstrap, group=prefix, prefix=prefix, session_timeout_ms=6_000)
    sys.exit(run(broker, SqliteReader(path, name), threading.Event(), say=lambda line: None))
