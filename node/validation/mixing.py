"""A round's payloads as a judge reads them: decoded when they are wanted, mixed into next values one after the other.

What is held decoded is bounded by ``HOLD_BYTES``; beyond that a delta is decoded again each time. Beside it the mixing
takes 20 bytes a value for a moment: an int64 sum, the update, and the next values with their momentum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from client.aggregate import clipped_weights, norm_of, outer_step, sum_segment
from client.codec import decode_codes
from client.codes import WEIGHT_ONE, Codes, Float32
from client.recipe import Compression, Outer

HOLD_BYTES = 512 * 1024 * 1024
EXACT_WITHOUT = 16
"""Up to so many deltas, the mix without one of them is taken anew, as the network would; beyond, by subtraction."""


class Payloads:
    """Deltas of ``n`` values by their place in the round. ``decoded`` counts how often one was."""

    def __init__(
        self, payloads: Sequence[object], n: int, compression: Compression, hold_bytes: int = HOLD_BYTES
    ) -> None:
        self._payloads, self._n, self._compression, self._hold = payloads, n, compression, hold_bytes
        self._held: dict[int, Codes] = {}
        self._bytes = 0
        self.decoded = 0

    def codes(self, place: int) -> Codes:
        """One delta; ``DeltaError`` where it has not the form of one."""
        found = self._held.get(place)
        if found is None:
            payload = self._payloads[place]
            assert isinstance(payload, bytes), "who has no bytes is not asked for them"
            found = decode_codes(payload, self._n, self._compression)
            self.decoded += 1
            if self._bytes + found.nbytes <= self._hold:
                self._bytes += found.nbytes
                self._held[place] = found
        return found

    def vector(self, place: int) -> Float32:
        """The same as float32."""
        return self.codes(place).to_float32()


@dataclass(frozen=True, eq=False)
class _Mixed:
    """An update and what went into it: scores by place, and the weights after clipping, in 1/65536."""

    scores: list[int]
    weights: dict[int, int]
    update: Float32


class Mix:
    """What scores make of a model: the arithmetic of ``client.replay``, bit for bit."""

    def __init__(self, theta: Float32, momentum: Float32, outer: Outer, payloads: Payloads) -> None:
        self._theta, self._momentum, self._outer, self._payloads = theta, momentum, outer, payloads
        self._norms: dict[int, int] = {}
        self._last: _Mixed | None = None

    def after(self, scores: list[int]) -> Float32:
        """The values after a round with these scores, in the order of submissions."""
        return self._step(self._mixed(scores).update)

    def without(self, scores: list[int], place: int) -> Float32:
        """The same as if one had scored zero.

        Among many it is taken out of the sum of all instead of summing the others anew, which would be work for the
        square of their number: their weights are not rounded again then, and the median norm stays that of all.
        """
        if sum(score > 0 for score in scores) <= EXACT_WITHOUT:
            return self.after([0 if index == place else score for index, score in enumerate(scores)])
        whole, total = self._mixed(scores), sum(scores)
        part = self._payloads.vector(place) * (whole.weights[place] / WEIGHT_ONE)
        rest = (whole.update - part) * (total / (total - scores[place]))
        return self._step(rest.astype("float32", copy=False))

    def _mixed(self, scores: list[int]) -> _Mixed:
        if self._last is None or self._last.scores != scores:
            total = sum(scores)
            kept = [place for place, score in enumerate(scores) if score]
            weights = [scores[place] * WEIGHT_ONE // total for place in kept]
            clipped = clipped_weights([self._norm(place) for place in kept], weights)
            update = sum_segment((self._payloads.codes(place) for place in kept), clipped, 0, len(self._theta))
            self._last = _Mixed(list(scores), dict(zip(kept, clipped, strict=True)), update)
        return self._last

    def _norm(self, place: int) -> int:
        if place not in self._norms:
            self._norms[place] = norm_of(self._payloads.codes(place))
        return self._norms[place]

    def _step(self, update: Float32) -> Float32:
        return outer_step(self._theta, self._momentum, update, self._outer.lr_q16, self._outer.momentum_q16)[0]
