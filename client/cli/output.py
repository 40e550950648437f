"""What commands print: tables for people, JSON and CSV for programs; money is integer wei until the last moment."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal

from client.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from client.types import Receipt

WEI = 10**18
PIPED_WIDTH = 4000  # columns: Rich would cut piped tables at 80

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of a table: the row's key, the title, and how people read the value."""

    key: str
    title: str
    format: Callable[[Any], str] = str
    justify: Literal["left", "right"] = "left"


def console(stderr: bool = False) -> Console:
    """A console that never cuts what goes into a pipe."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(file=stream, width=width, highlight=False)


def say(text: str) -> None:
    """A line for people, without markup."""
    console().print(text, markup=False, soft_wrap=True)


def warn(text: str) -> None:
    """A warning, on stderr."""
    console(stderr=True).print(f"Warning: {text}", style="yellow", markup=False, soft_wrap=True)


def show(
    rows: Sequence[Row],
    columns: Sequence[Column],
    *,
    as_json: bool = False,
    as_csv: bool = False,
    title: str | None = None,
    empty: str = "Nothing to show.",
) -> None:
    """Prints rows: JSON and CSV have every key of the rows, the table its columns."""
    if as_json and as_csv:
        raise ConfigError("Give --json or --csv, not both.")
    if as_json:
        show_json([dict(row) for row in rows])
    elif as_csv:
        _show_csv(rows, columns)
    elif not rows:
        say(empty)
    else:
        _show_table(rows, columns, title)


def show_sent(receipt: Receipt, words: str, as_json: bool, **values: Any) -> None:
    """What a transaction did: in words for people, as ``values`` (or these words) for programs, with its hash."""
    if as_json:
        show_json({**(values or {"done": words}), "tx": receipt.tx, "block": receipt.block})
    else:
        say(f"{words} (0x{receipt.tx.hex()})")


def show_json(value: Any) -> None:
    """JSON on stdout; bytes as 0x text, numbers beyond 2**53 as text."""
    json.dump(plain(value), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def plain(value: Any) -> Any:
    """What JSON can hold without loss."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < 2**53 else str(int(value))
    if isinstance(value, Mapping):
        return {str(key): wei_text(key, item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value if isinstance(value, float | str) else str(value)


def wei_text(key: str, value: Any) -> Any:
    """Amounts of wei are always text, so that no reader rounds them."""
    if str(key).endswith("_wei") and isinstance(value, int):
        return str(value)
    return plain(value)


def tokens(wei: Any, digits: int = 4) -> str:
    """Wei as tokens, cut (never rounded up) after ``digits`` decimals: ``1,234.5``."""
    if wei is None:
        return ""
    sign, amount = ("-", -int(wei)) if int(wei) < 0 else ("", int(wei))
    whole, rest = divmod(amount, WEI)
    fraction = f"{rest:018d}"[:digits].rstrip("0")
    if whole == 0 and not fraction and amount:
        return f"{sign}<0.{'0' * (digits - 1)}1"
    return f"{sign}{whole:,}" + (f".{fraction}" if fraction else "")


def parse_tokens(text: str, what: str = "amount") -> int:
    """Tokens (``1.5``) as wei, exactly; refuses what is not above zero or has more than 18 decimals."""
    try:
        number = Decimal(text.replace(",", "").replace("_", ""))
    except InvalidOperation as error:
        raise ConfigError(f"The {what} {text!r} is not a number. Write it like 12.5") from error
    if not number.is_finite() or number <= 0:
        raise ConfigError(f"The {what} must be above zero, not {text}.")
    if number >= Decimal(10) ** 15:
        raise ConfigError(f"The {what} {text} is more than there can be.")
    exact = number.as_tuple().exponent
    if isinstance(exact, int) and exact < -18:
        raise ConfigError(f"The {what} {text} has more than 18 decimals.")
    return int(number.scaleb(18))


def short(value: Any) -> str:
    """The start and end of a long hex text or CID."""
    if value is None:
        return ""
    text = "0x" + value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= 16 else f"{text[:8]}…{text[-6:]}"


def text(value: Any) -> str:
    """None as nothing."""
    return "" if value is None else str(value)


def _show_table(rows: Sequence[Row], columns: Sequence[Column], title: str | None) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.title, justify=column.justify, overflow="fold")
    for row in rows:
        table.add_row(*(Text(column.format(row.get(column.key))) for column in columns))
    console().print(table)


def _show_csv(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    keys = list(rows[0]) if rows else [column.key for column in columns]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(keys)
    for row in rows:
        writer.writerow([_cell(plain(row.get(key))) for key in keys])


def _cell(value: Any) -> Any:
    """One cell: lists joined; a text that a spreadsheet would run as a formula is quoted."""
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@")):
        return "'" + value
    return "" if value is None else value
