"""What each channel owes a server, on disk: an answer that was given is not forgotten over a crash."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """One channel as the server sees it; amounts in wei, cumulative since the channel was opened."""

    channel: bytes
    model_id: int
    owed: int = 0  # for all answers given
    paid: int = 0  # by the best voucher held
    signature: bytes = b""  # of that voucher
    redeemed: int = 0  # of that, taken on chain
    answers: int = 0
    vouchers: int = 0  # better ones that came since the last redemption
    paid_unix_seconds: float = 0.0  # when the best voucher came


_COLUMNS = "channel, model_id, owed, paid, signature, redeemed, answers, vouchers, paid_unix_seconds"


class Ledger:
    """Accounts by channel in one SQLite file. Wei are kept as text: SQLite's integers end at 2^63."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False)
        with self._lock, self._db:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS account (channel BLOB PRIMARY KEY, model_id TEXT NOT NULL,"
                " owed TEXT NOT NULL, paid TEXT NOT NULL, signature BLOB NOT NULL, redeemed TEXT NOT NULL,"
                " answers INTEGER NOT NULL, vouchers INTEGER NOT NULL, paid_unix_seconds REAL NOT NULL)"
            )

    def get(self, channel: bytes) -> Account | None:
        """The account of a channel, if it ever asked."""
        with self._lock:
            row = self._db.execute(f"SELECT {_COLUMNS} FROM account WHERE channel = ?", (channel,)).fetchone()
        return None if row is None else _account(row)

    def all(self) -> list[Account]:
        """Every account, by channel."""
        with self._lock:
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM account ORDER BY channel").fetchall()
        return [_account(row) for row in rows]

    def put(self, account: Account) -> Account:
        """Write an account; on disk when this returns."""
        values = (
            account.channel,
            str(account.model_id),
            str(account.owed),
            str(account.paid),
            account.signature,
            str(account.redeemed),
            account.answers,
            account.vouchers,
            account.paid_unix_seconds,
        )
        with self._lock, self._db:
            self._db.execute(f"INSERT OR REPLACE INTO account ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)", values)
        return account

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _account(row: tuple[bytes, str, str, str, bytes, str, int, int, float]) -> Account:
    channel, model_id, owed, paid, signature, redeemed, answers, vouchers, paid_at = row
    amounts = int(model_id), int(owed), int(paid), bytes(signature), int(redeemed)
    return Account(bytes(channel), *amounts, answers, vouchers, paid_at)
