"""Attacks of miners. Each is a class with a name; :data:`ATTACKS` lists them all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import zstandard

from client.payload import HEADER
from devnet.attacks.base import MinerAttack, Scene
from node.interfaces import TrainJob

if TYPE_CHECKING:
    from devnet.attacks.base import Vector

TINY = np.float32(1e-6)
BOMB_BYTES = 1 << 30


class Honest(MinerAttack):
    """The control: all others are compared with it."""

    name, about, harmless = "none", "an honest miner, for comparison", True


class Zero(MinerAttack):
    """No work at all."""

    name, about = "zero", "no work: a delta of zeros, and one value so that it has a form"

    def delta(self, scene: Scene) -> Vector:
        """Zeros, but for one."""
        found = np.zeros(scene.size, dtype=np.float32)
        found[0] = TINY
        return found


class Random(MinerAttack):
    """No work, but a delta of the usual size."""

    name, about = "random", "no work: noise as large as a delta"

    def delta(self, scene: Scene) -> Vector:
        """Gaussian noise."""
        return scene.rng.normal(0.0, 0.01, scene.size).astype(np.float32)


class Copy(MinerAttack):
    """What another miner revealed in the round before."""

    name, about = "copy", "another miner's delta of the round before, as it was"

    def delta(self, scene: Scene) -> Vector:
        """Theirs."""
        return scene.other()


class CopyScaled(MinerAttack):
    """The same, smaller."""

    name, about = "copy-scaled", "another miner's delta of the round before, times 0.7"

    def delta(self, scene: Scene) -> Vector:
        """Theirs, scaled."""
        return scene.other() * np.float32(0.7)


class CopyNoised(MinerAttack):
    """The same under noise."""

    name, about = "copy-noised", "another miner's delta of the round before, with half as much noise"

    def delta(self, scene: Scene) -> Vector:
        """Theirs, and noise on the places that it has."""
        other = scene.other()
        noise = scene.rng.normal(0.0, 0.5 * float(np.abs(other[other != 0]).mean() if other.any() else 1.0), scene.size)
        return other + np.where(other != 0, noise, 0.0).astype(np.float32)


class CopyMixed(MinerAttack):
    """All the others' deltas together."""

    name, about = "copy-mixed", "the mean of all other miners' deltas of the round before"

    def delta(self, scene: Scene) -> Vector:
        """Their mean."""
        found = scene.others() or [scene.honest()]
        mean: Vector = np.mean(found, axis=0, dtype=np.float32)
        return mean


class SignFlip(MinerAttack):
    """Makes the model worse by as much as it could have been better."""

    name, about = "sign-flip", "an honest delta, the other way round"

    def delta(self, scene: Scene) -> Vector:
        """The honest one, negated."""
        return -scene.honest()


class Scaling(MinerAttack):
    """Wants more weight by a larger delta."""

    name, about = "scaling", "an honest delta, times twenty"

    def delta(self, scene: Scene) -> Vector:
        """The honest one, much larger."""
        return scene.honest() * np.float32(20.0)


class Huge(MinerAttack):
    """Wants to overflow something."""

    name, about = "huge", "values of 1e30"

    def delta(self, scene: Scene) -> Vector:
        """As large as the codec takes."""
        return np.full(scene.size, 1e30, dtype=np.float32)


class Bias(MinerAttack):
    """A small push of all values the same way, hidden in honest work."""

    name, about = "bias", "an honest delta, and half of its mean size added to every value that it sends"

    def delta(self, scene: Scene) -> Vector:
        """Honest work with a drift."""
        honest = scene.honest()
        drift: Vector = honest + np.float32(0.5) * np.abs(honest).mean(dtype=np.float32)
        return drift


class OtherData(MinerAttack):
    """Saves itself the fetching: any text will do."""

    name, about = "other-data", "trained on a text of its own instead of what it was dealt"

    def job(self, job: TrainJob) -> TrainJob:
        """A text that nobody dealt."""
        words = "the quick brown fox jumps over the lazy dog and runs into the dark wood where nobody follows it "
        return replace(job, shards=((words * 400,),))


class Garbage(MinerAttack):
    """Bytes that are no delta."""

    name, about = "garbage", "random bytes in a delta's place"

    def payload(self, payload: bytes, rng: np.random.Generator) -> bytes:
        """Noise of the same length."""
        return rng.bytes(len(payload))


class Bomb(MinerAttack):
    """A small file that becomes a large one."""

    name, about = "bomb", "an honest header before a gigabyte of zeros, compressed"

    def payload(self, payload: bytes, rng: np.random.Generator) -> bytes:
        """The header and a bomb."""
        packer = zstandard.ZstdCompressor(level=3).compressobj()
        block, packed = bytes(1 << 20), []
        for _ in range(BOMB_BYTES >> 20):
            packed.append(packer.compress(block))
        return payload[: HEADER.size] + b"".join(packed) + packer.flush()


class Withheld(MinerAttack):
    """Commits and never reveals."""

    name, about = "withheld", "a commitment that is never revealed"

    @property
    def reveals(self) -> bool:
        """It does not."""
        return False


ATTACKS: dict[str, type[MinerAttack]] = {
    attack.name: attack
    for attack in (
        Honest, Zero, Random, Copy, CopyScaled, CopyNoised, CopyMixed, SignFlip, Scaling, Huge, Bias, OtherData,
        Garbage, Bomb, Withheld,
    )
}  # fmt: skip
"""By name; the control first."""
