"""Makes the demo's models in a process of its own, so that torch stays out of the supervisor and Ctrl-C is quick.

``python -m devnet.build OUT.json --preset nano --ipfs MULTIADDR --cache DIR [--field NAME]``: a line of progress on
standard output for each part; OUT.json, written last, has what to register on chain, parents first.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from client.types import Policy
from contracts.enums import Level
from devnet.layout import write_json

WAIT_SECONDS = 60.0
"""For the IPFS daemon to answer."""


@dataclass(frozen=True)
class BuiltModel:
    """A model to register. ``parent`` is its parent's name; ``genesis`` its manifest's digest."""

    name: str
    level: Level
    field: str
    parent: str | None
    genesis: bytes
    policy: Policy


def read_models(path: Path) -> list[BuiltModel]:
    """What a build wrote."""
    return [
        BuiltModel(
            name=row["name"],
            level=Level(row["level"]),
            field=row["field"],
            parent=row["parent"],
            genesis=bytes.fromhex(row["genesis"]),
            policy=Policy(*row["policy"]),
        )
        for row in json.loads(path.read_text())
    ]


def main(arguments: list[str] | None = None) -> int:
    """Build and write."""
    parser = argparse.ArgumentParser(prog="python -m devnet.build", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--ipfs", required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--field", default="")
    options = parser.parse_args(arguments)

    from client.storage import IpfsStore
    from devnet.models import FieldText, build_models

    store = IpfsStore(options.ipfs, options.cache / "blobs")
    store.wait_ready(WAIT_SECONDS)
    field = FieldText(options.field) if options.field else None
    plans = build_models(options.preset, store, options.cache, field, progress=lambda line: print(line, flush=True))
    rows = [
        {
            "name": plan.name,
            "level": int(plan.level),
            "field": plan.field,
            "parent": plan.parent,
            "genesis": plan.digest.hex(),
            "policy": list(plan.policy.as_tuple()),
        }
        for plan in plans
    ]
    write_json(options.out, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
