"""A hostile member's process: ``python -m devnet.attacks.node ATTACK --config FILE``.

It is the node's own miner or validator, parts of which are replaced. Nothing in ``node`` knows of it: this is what
somebody does who changes the program that he runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

import node.heads
import node.judging
import node.learner
import node.miner
import node.validator
from client.errors import StorageError
from client.types import ModelInfo
from contracts.enums import ScoreReason
from devnet.attacks.base import MinerAttack, Scene
from devnet.attacks.outcome import EVERY
from devnet.attacks.validators import Scores, ValidatorAttack
from node.config import load_config
from node.heads import Heads
from node.interfaces import JudgeJob, Progress, Trained, TrainJob, Verdict
from node.judging import Bench
from node.learner import Learner
from node.miner import Miner
from node.roles import run_miner, run_validator
from node.validator import Validator

if TYPE_CHECKING:
    from client.types import RoundInfo, SubmissionInfo
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


class HostileBench(Bench):
    """A judge that measures as an honest one does, and then says what its attack wants."""

    attack: ValidatorAttack
    friend: str = ""
    _last: tuple[int, ...] = ()

    def judge(self, job: JudgeJob) -> Verdict:
        """The attack's scores, each with a reason that the contract takes."""
        found = super().judge(job)
        scene = Scores(
            honest=found.scores,
            miners=[job.submissions[place].miner for place in job.dealt],
            own=self.friend,
            last=self._last,
            rng=np.random.default_rng(int.from_bytes(job.evaluation_seed[:8], "big")),
        )
        scores = tuple(self.attack.scores(scene))
        self._last = scores
        refused = [ScoreReason.NO_GAIN if said is ScoreReason.OK else said for said in found.reasons]
        reasons = tuple(ScoreReason.OK if s else reason for s, reason in zip(scores, refused, strict=True))
        return Verdict(scores, reasons, found.report, found.summary)


class HostileHeads(Heads):
    """Heads as its attack wants them, where it attests one."""

    attack: ValidatorAttack

    def next_head(
        self, model: ModelInfo, parent_head: bytes, round_number: int, accepted: Sequence[SubmissionInfo]
    ) -> bytes:
        """Compute the right one, and say another."""
        return self.attack.head(super().next_head(model, parent_head, round_number, accepted))


class HostileValidator(Validator):
    """A validator that may not speak."""

    attack: ValidatorAttack

    def judge(self, view: RoundInfo) -> None:
        """Where it never commits there is nothing to find out."""
        if self.attack.speaks:
            super().judge(view)
        else:
            self.runtime.sleep(self.runtime.config.poll_seconds)

    def build_head(self, view: RoundInfo) -> None:
        """The same for the head."""
        if self.attack.speaks:
            super().build_head(view)
        else:
            self.runtime.sleep(self.runtime.config.poll_seconds)


def arm(attack: MinerAttack | ValidatorAttack, friend: str = "") -> None:
    """Make this process's miner or validator hostile: the roles look these names up when they start."""
    if isinstance(attack, MinerAttack):
        HostileMiner.attack = HostileLearner.attack = attack
        _replace(node.miner, "Miner", HostileMiner)
        _replace(node.learner, "Learner", HostileLearner)
        return
    HostileBench.attack = HostileHeads.attack = HostileValidator.attack = attack
    HostileBench.friend = friend
    _replace(node.judging, "Bench", HostileBench)
    _replace(node.heads, "Heads", HostileHeads)
    _replace(node.validator, "Validator", HostileValidator)


def _replace(module: ModuleType, name: str, hostile: type) -> None:
    assert hasattr(module, name), f"{module.__name__} has no {name} any more"
    setattr(module, name, hostile)


def main(arguments: list[str] | None = None) -> None:
    """Run until stopped, as ``strata node miner`` and ``strata node validator`` do."""
    parser = argparse.ArgumentParser("python -m devnet.attacks.node", description=__doc__)
    parser.add_argument("attack", choices=sorted(EVERY))
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--friend", default="", help="address of the miner that a hostile validator wants to see paid")
    options = parser.parse_args(arguments)
    attack = EVERY[options.attack]()
    arm(attack, options.friend)
    run = run_miner if isinstance(attack, MinerAttack) else run_validator
    run(load_config(options.config))


if __name__ == "__main__":
    main()
