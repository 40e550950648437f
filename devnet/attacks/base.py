"""What an attack of a miner can change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from node.interfaces import TrainJob

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """What a hostile miner knows when it has to have a delta.

    ``honest`` trains as an honest miner would and gives that delta (seconds of work, so called only where it is
    needed). ``others``: what the other miners revealed in the round before, decoded; none in the first round.
    """

    size: int
    honest: Callable[[], Vector]
    others: Callable[[], list[Vector]]
    rng: np.random.Generator  # the same in every run for the same round

    def other(self) -> Vector:
        """The first of the others' deltas; the honest one where there is none yet."""
        found = self.others()
        return found[0] if found else self.honest()


class MinerAttack:
    """A way to cheat as a miner. Subclasses change one of the methods."""

    name: ClassVar[str] = ""
    about: ClassVar[str] = ""
    harmless: ClassVar[bool] = False
    """Whether what it sends may be as good as an honest delta, so that being paid for it is no hole."""

    def job(self, job: TrainJob) -> TrainJob:
        """What it trains on."""
        return job

    def delta(self, scene: Scene) -> Vector:
        """The delta that it claims to have trained."""
        return scene.honest()

    def payload(self, payload: bytes, rng: np.random.Generator) -> bytes:
        """The bytes that it commits to."""
        return payload

    @property
    def reveals(self) -> bool:
        """Whether it reveals what it committed to."""
        return True
