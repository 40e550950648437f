"""A hostile miner's process: ``python -m devnet.attacks.node ATTACK --config FILE``.

It is the node's own miner, whose learner and reveals are replaced. Nothing in ``node`` knows of it: this is what
somebody does who changes the program that he runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import node.learner
import node.miner
from client.errors import StorageError
from client.types import ModelInfo
from devnet.attacks.base import MinerAttack, Scene
from devnet.attacks.miners import ATTACKS
from node.config import load_config
from node.interfaces import Progress, Trained, TrainJob
from node.learner import Learner
from node.miner import Miner
from node.roles import run_miner

if TYPE_CHECKING:
    from client.types import RoundInfo
    from devnet.attacks.base import Vector

FETCH_SECONDS = 10.0


class HostileMiner(Miner):
    """A miner that knows what its learner may look at, and reveals only what its attack wants to."""

    attack: MinerAttack

    def train(self, view: RoundInfo) -> None:
        """Tell the learner which round it is."""
        learner: Any = self.parts.trainer
        learner.look = lambda: self._revealed(view.round - 1)
        super().train(view)

    def reveal(self, view: RoundInfo) -> None:
        """Only where the attack reveals."""
        if self.attack.reveals:
            super().reveal(view)
        else:
            self.runtime.sleep(self.runtime.config.poll_seconds)

    def _revealed(self, number: int) -> list[Vector]:
        """What the others revealed in a round."""
        found: list[Vector] = []
        for submission in self.parts.chain.submissions(self.model.id, number) if number > 0 else []:
            if submission.miner != self.address:
                try:
                    payload = self.parts.store.get(submission.digest, 1 << 30, FETCH_SECONDS)
                except StorageError:
                    continue
                found.append(self.parts.trainer.decode(self.model, payload))
        return found


class HostileLearner(Learner):
    """A learner that hands out the attack's delta."""

    attack: MinerAttack
    look: Callable[[], list[Vector]] = staticmethod(list)
    _rng: np.random.Generator = np.random.default_rng(0)

    def train(self, job: TrainJob, progress: Callable[[Progress], None], stop: Callable[[], bool]) -> Trained:
        """Work only as far as the attack asks for it; the figures that are claimed are an honest miner's."""
        inner, size = self.genesis(job.model).inner, self.genesis(job.model).size
        claimed = Trained(np.zeros(size, np.float32), inner.steps * inner.batch * inner.sequence, 5.0, 4.0)

        def honest() -> Vector:
            nonlocal claimed
            claimed = super(HostileLearner, self).train(self.attack.job(job), progress, stop)
            return claimed.delta

        self._rng = np.random.default_rng(int.from_bytes(job.seed[:8], "big"))
        delta = self.attack.delta(Scene(size, honest, self.look, self._rng))
        return Trained(delta, claimed.tokens, claimed.loss_first, claimed.loss_last)

    def encode(self, model: ModelInfo, vector: Vector) -> tuple[bytes, Vector]:
        """The attack's bytes in the place of the payload."""
        payload, decoded = super().encode(model, vector)
        return self.attack.payload(payload, self._rng), decoded


def arm(attack: MinerAttack) -> None:
    """Make this process's miner hostile."""
    HostileMiner.attack = HostileLearner.attack = attack
    replaced: Any = node.miner
    replaced.Miner = HostileMiner
    replaced = node.learner
    replaced.Learner = HostileLearner


def main(arguments: list[str] | None = None) -> None:
    """Run until stopped, as ``strata node miner`` does."""
    parser = argparse.ArgumentParser("python -m devnet.attacks.node", description=__doc__)
    parser.add_argument("attack", choices=sorted(ATTACKS))
    parser.add_argument("--config", type=Path, required=True)
    options = parser.parse_args(arguments)
    arm(ATTACKS[options.attack]())
    run_miner(load_config(options.config))


if __name__ == "__main__":
    main()
