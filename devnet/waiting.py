"""Waiting, never without a deadline, and doing several things at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from client.errors import StrataError

Result = TypeVar("Result")
POLL_SECONDS = 0.2


class DeadlinePassed(StrataError):
    """Something took longer than it may."""


def wait_until(done: Callable[[], bool], seconds: float, what: str, check: Callable[[], None] = lambda: None) -> None:
    """Wait for ``done``; ``check`` runs at each look and raises when waiting has become pointless."""
    deadline = time.monotonic() + seconds
    while not done():
        check()
        if time.monotonic() > deadline:
            raise DeadlinePassed(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(POLL_SECONDS)


def together(works: Sequence[Callable[[], Result]], seconds: float, what: str) -> list[Result]:
    """Do all at once, each in a thread, and return the results in order; the first error is raised.

    The threads are daemons: an interrupt of the caller does not have to wait for them.
    """
    results: dict[int, Result] = {}
    errors: list[BaseException] = []

    def run(index: int, work: Callable[[], Result]) -> None:
        try:
            results[index] = work()
        except BaseException as error:
            errors.append(error)
            if not isinstance(error, Exception):
                raise

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    wait_until(lambda: bool(errors) or not any(t.is_alive() for t in threads), seconds, what)
    if errors:
        raise errors[0]
    return [results[index] for index in range(len(works))]


@dataclass(frozen=True)
class Took:
    """How long a part took, in seconds."""

    what: str
    seconds: float


class Stopwatch:
    """Times the parts of a run."""

    def __init__(self) -> None:
        self.took: list[Took] = []

    @contextmanager
    def part(self, what: str) -> Iterator[None]:
        """Time what is done inside."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.took.append(Took(what, time.monotonic() - started))
