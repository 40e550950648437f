"""When a miner has to stop training so that its delta can still be committed, and how long it has trained."""

from __future__ import annotations

import time
from typing import Protocol

from client.errors import ChainUnavailable
from client.types import RoundInfo
from node.runtime import Runtime

ASK_SECONDS = 1.0  # between two looks at the chain


class Clock(Protocol):
    """What the deadline asks of its miner."""

    runtime: Runtime

    def block_now(self) -> int | None: ...  # None while the chain does not answer
    def seen_again(self, view: RoundInfo) -> RoundInfo: ...
    def last_commit_block(self, view: RoundInfo) -> int: ...


class Deadline:
    """Whether to stop training: the node stops, or COMMIT closes in fewer blocks than a step and a margin take.

    The chain is asked at most once a second. While it does not answer, training goes on. COMMIT of a held round may
    turn out longer than it seemed, so the round itself is looked at again before training stops for it.
    """

    def __init__(self, miner: Clock, view: RoundInfo) -> None:
        self._miner, self._view = miner, view
        self._last = miner.last_commit_block(view)
        self._margin = miner.runtime.config.margin_blocks
        self._began: float | None = None  # when the first step did
        self._asked = self._step_began = time.monotonic()
        self._longest = 0.0  # seconds of the longest step so far
        self._blocks: list[tuple[float, int]] = []  # (time, number) as seen: how fast blocks come

    def passed(self) -> bool:
        """Called before each step."""
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        self._longest, self._step_began = max(self._longest, now - self._step_began), now
        return self.near()

    def near(self) -> bool:
        """The same, asked outside of a step."""
        now = time.monotonic()
        if self._miner.runtime.stop.is_set():
            return True
        if self._blocks and now - self._asked < ASK_SECONDS:
            return self._too_late()
        self._asked = now
        number = self._miner.block_now()
        if number is not None:
            self._blocks.append((now, number))
            if self._view.held and self._too_late():
                self._look_again()
        return self._too_late()

    def seconds(self) -> float:
        """Since the first step began."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    def _look_again(self) -> None:
        try:
            self._view = self._miner.seen_again(self._view)
            self._last = self._miner.last_commit_block(self._view)
        except ChainUnavailable:
            return  # as it was

    def _too_late(self) -> bool:
        if not self._blocks:
            return False
        return self._blocks[-1][1] + self._margin + self._step_blocks() >= self._last

    def _step_blocks(self) -> int:
        (first_time, first), (last_time, last) = self._blocks[0], self._blocks[-1]
        if last <= first:
            return 0
        return int(self._longest * (last - first) / (last_time - first_time))
