"""Picks the text that each contributor submits: ``python -m devnet.pieces OUT.json --cache DIR --bytes N [...]``.

An even sample of what the packages hold (chosen by hash, not the first N bytes of the alphabet), as large as the preset
asks; or the user's own file in the first field's place.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from devnet.layout import write_json

GENERAL = "general"
ROOT_MODEL = "global"
GIVERS = {"computing": ("bob",), GENERAL: ("alice",)}
"""Who gives text to a field; both contributors where nothing is said."""


@dataclass(frozen=True)
class TextJob:
    """One submission: who gives which file to which model."""

    contributor: str
    model: str
    path: str
    licence: str
    source: str


def read_jobs(path: Path) -> list[TextJob]:
    """What ``main`` wrote."""
    return [TextJob(**row) for row in json.loads(path.read_text())]


def sample(source: Path, out: Path, limit_bytes: int) -> None:
    """Copy whole lines of a JSONL file, in the order of their hashes, until the limit."""
    lines = sorted(source.read_bytes().splitlines(), key=lambda line: hashlib.sha256(line).digest())
    taken: list[bytes] = []
    size = 0
    for line in lines:
        if taken and size + len(line) > limit_bytes:
            continue
        taken.append(line)
        size += len(line) + 1
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_suffix(".new")
    temporary.write_bytes(b"\n".join(taken) + b"\n")
    temporary.replace(out)


def jobs(fields: Sequence[str], cache: Path, limit_bytes: int, text: Path | None, text_field: str) -> list[TextJob]:
    """The submissions to the models named in ``fields``, and general text for the root."""
    from devnet.texts import sample_texts

    made = []
    wanted = tuple(field for field in (*fields, GENERAL) if field != text_field)
    for field, found in sample_texts(cache, wanted).items():
        model = ROOT_MODEL if field == GENERAL else field
        for contributor, path in found.parts.items():
            if contributor not in GIVERS.get(field, found.parts):
                continue
            out = cache / "texts" / field / f"{contributor}-{limit_bytes}.jsonl"
            if not out.exists() or out.stat().st_mtime < path.stat().st_mtime:
                sample(path, out, limit_bytes)
            made.append(TextJob(contributor, model, str(out), found.licence, found.source))
    if text is not None:
        made.append(TextJob("alice", text_field, str(text), "its-owners", "the user's own file"))
    return made


def main(arguments: list[str] | None = None) -> int:
    """Extract, sample and write the list."""
    parser = argparse.ArgumentParser(prog="python -m devnet.pieces", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--bytes", type=int, required=True, dest="limit")
    parser.add_argument("--field", action="append", required=True)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--text-field", default="")
    options = parser.parse_args(arguments)
    print("extracting sample texts", flush=True)
    made = jobs(options.field, options.cache, options.limit, options.text, options.text_field)
    write_json(options.out, [asdict(job) for job in made])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
