"""How far a deployment is, on disk, so that it goes on where it was cut off."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from client.deploy_settings import DeploySettings
from client.errors import ConfigError
from client.settings import write_atomically


@dataclass(frozen=True)
class Created:
    """One contract: where its creation was planned to put it."""

    address: str
    nonce: int
    digest: str  # hex SHA-256 of the code that creates it


@dataclass(frozen=True)
class DeployState:
    """One deployment: for whom, with what, and what was planned and sent."""

    chain_id: int
    chain: str  # hash of block 0
    deployer: str
    settings: DeploySettings
    start_block: int  # the chain's newest block before the first transaction
    created: Mapping[str, Created] = field(default_factory=dict)
    transactions: Mapping[str, str] = field(default_factory=dict)  # step -> hash of what was mined for it
    finished: bool = False

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {**asdict(self), "settings": self.settings.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DeployState:
        """From the plain form."""
        created = {name: Created(**row) for name, row in data["created"].items()}
        settings = DeploySettings.from_json(data["settings"])
        return cls(**{**data, "settings": settings, "created": created})

    def with_(self, **changes: Any) -> DeployState:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def refuse_other(self, wanted: DeployState, where: str) -> None:
        """Raises where what was begun is not what is asked for now."""
        begun, now = self.settings.to_json(), wanted.settings.to_json()
        other = [f"{key} {begun[key]} (now {now[key]})" for key in now if begun[key] != now[key]]
        if self.chain_id != wanted.chain_id:
            other.insert(0, f"chain {self.chain_id} (now {wanted.chain_id})")
        elif self.chain != wanted.chain:
            other.insert(0, "another chain of the same number, which is gone")
        if self.deployer != wanted.deployer:
            other.append(f"deployer {self.deployer} (now {wanted.deployer})")
        if other:
            raise ConfigError(
                f"{where} holds a deployment with {', '.join(other)}. Give the same again to go on with it, another "
                "--output to keep both, or --start-over to leave it behind and begin anew."
            )


class StateFile:
    """A deployment's file; without a path it is kept in memory alone."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    @classmethod
    def beside(cls, network: Path | None) -> StateFile:
        """The one that belongs to a network's file: ``network.json`` -> ``network.deployment.json``."""
        return cls(None if network is None else network.with_name(f"{network.stem}.deployment.json"))

    def load(self) -> DeployState | None:
        """What was begun; None where nothing was."""
        if self.path is None or not self.path.exists():
            return None
        try:
            return DeployState.from_json(json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{self.path} can't be read ({error!r}). Move it away, or give --start-over.") from error

    def save(self, state: DeployState) -> None:
        """Whole or not at all."""
        if self.path is not None:
            write_atomically(self.path, (json.dumps(state.to_json(), indent=2) + "\n").encode(), mode=0o644)

    def leave_behind(self) -> Path | None:
        """Renames what was begun; its new name."""
        if self.path is None or not self.path.exists():
            return None
        number = 1
        while (old := self.path.with_name(f"{self.path.name}.old-{number}")).exists():
            number += 1
        os.replace(self.path, old)
        return old

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps two processes from deploying the same network at once."""
        if self.path is None:
            yield
            return
        import fcntl

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(f".{self.path.name}.lock").open("wb") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(f"Another process is deploying {self.path} just now. Wait for it.") from error
            yield
