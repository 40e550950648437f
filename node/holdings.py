"""What an archive wants and has, in one SQLite file: every change is on disk, whole or not at all, before it counts."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.cid import cid_of

RETRY_FIRST_SECONDS = 10.0  # after a failure; doubled each time
RETRY_MOST_SECONDS = 6 * 3600.0
MISSING_TRIES = 3  # after which something counts as not to be had

_SCHEMA = """
create table if not exists items (
  digest blob primary key, kind text not null, model integer not null, round integer not null,
  max_bytes integer not null, size integer, tries integer not null default 0, due real not null default 0,
  checked real not null default 0, note text not null default ''
);
create index if not exists by_due on items (size, due);
create table if not exists facts (name text primary key, value text not null);
"""


@dataclass(frozen=True)
class Item:
    """One blob: what it is, whose, of which round (0: of none), and the most bytes that it may have (0: as a delta)."""

    digest: bytes
    kind: str
    model_id: int
    round: int
    max_bytes: int


class Holdings:
    """See the module. Usable from several threads. ``size`` is known of what is held, and of nothing else."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.executescript("pragma journal_mode=wal; pragma synchronous=normal;" + _SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def want(self, items: Iterable[Item]) -> int:
        """Add what is not known yet; how much that was."""
        rows = [(item.digest, item.kind, item.model_id, item.round, item.max_bytes) for item in items]
        with self._lock:
            before = self._db.total_changes
            sql = "insert or ignore into items (digest, kind, model, round, max_bytes) values (?, ?, ?, ?, ?)"
            self._db.execute("begin")
            self._db.executemany(sql, rows)
            self._db.execute("commit")
            return self._db.total_changes - before

    def due(self, now: float, most: int) -> list[Item]:
        """What to fetch now, first wanted first. ``now`` in unix seconds."""
        return self._items("size is null and due <= ? order by tries, rowid limit ?", now, most)

    def to_check(self, before: float, most: int) -> list[Item]:
        """What is held and was last looked at before ``before`` (unix seconds), oldest look first."""
        return self._items("size is not null and checked < ? order by checked limit ?", before, most)

    def held(self, digest: bytes, size: int, now: float) -> None:
        """It is here, whole and pinned."""
        self._set("size = ?, tries = 0, note = '', checked = ? where digest = ?", size, now, digest)

    def failed(self, digest: bytes, note: str, now: float) -> None:
        """It could not be had, or was lost; it is wanted again later."""
        with self._lock:
            row = self._db.execute("select tries from items where digest = ?", (digest,)).fetchone()
            tries = (row[0] if row else 0) + 1
            pause = min(RETRY_MOST_SECONDS, RETRY_FIRST_SECONDS * 2.0 ** min(tries - 1, 20))
            sets = "size = null, tries = ?, due = ?, note = ? where digest = ?"
            self._set(sets, tries, now + pause, note[:300], digest)

    def fact(self, name: str, default: str = "") -> str:
        """Something remembered."""
        with self._lock:
            row = self._db.execute("select value from facts where name = ?", (name,)).fetchone()
        return str(row[0]) if row else default

    def remember(self, name: str, value: str) -> None:
        """Keep a fact."""
        with self._lock:
            self._db.execute("insert or replace into facts values (?, ?)", (name, value))

    def summary(self) -> dict[str, Any]:
        """For people and programs: per model and kind how much is held, and what is not to be had."""
        with self._lock:
            rows = self._db.execute(
                "select model, kind, count(size), coalesce(sum(size), 0), count(*) - count(size), max(round)"
                " from items group by model, kind order by model, kind"
            ).fetchall()
            gone = self._db.execute(
                "select digest, kind, model, round, tries, note from items where size is null and tries >= ?"
                " order by model, round", (MISSING_TRIES,),
            ).fetchall()  # fmt: skip
        kinds = ("model_id", "kind", "held", "bytes", "wanted", "last_round")
        missing = ("cid", "kind", "model_id", "round", "tries", "note")
        return {
            "held": sum(row[2] for row in rows),
            "bytes": sum(row[3] for row in rows),
            "wanted": sum(row[4] for row in rows),
            "block": int(self.fact("block", "0")),
            "paid_to": {name.partition(":")[2]: value for name, value in self._facts("paid_to:")},
            "contents": [dict(zip(kinds, row, strict=True)) for row in rows],
            "missing": [dict(zip(missing, (cid_of(row[0]), *row[1:]), strict=True)) for row in gone],
        }

    def _facts(self, prefix: str) -> list[tuple[str, str]]:
        with self._lock:
            found = self._db.execute("select name, value from facts where name like ?", (prefix + "%",)).fetchall()
        return [(str(name), str(value)) for name, value in found if value]

    def _items(self, where: str, *values: Any) -> list[Item]:
        with self._lock:
            sql = f"select digest, kind, model, round, max_bytes from items where {where}"
            return [Item(*row) for row in self._db.execute(sql, values)]

    def _set(self, sets: str, *values: Any) -> None:
        with self._lock:
            self._db.execute(f"update items set {sets}", values)
