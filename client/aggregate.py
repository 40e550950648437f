"""The sum of a round's deltas and the outer step: exact, so that two machines of different make get the same bytes.

1. Each delta's squared norm is a Python integer; its norm the integer square root.
2. The median norm (the lower of two middle ones, zeros left out) is the limit: a longer delta's weight becomes
   ``weight * median // norm``. Weights are whole 1/65536.
3. The sum ``weight * v * 2**(e + 30)`` is taken in int64 (bounds in :mod:`client.codes`), so neither the order of the
   deltas nor the number of threads nor the size of a block can change it.
4. One conversion to float32 (rounding to nearest even), then a multiplication by ``2**-46``, which is exact.
5. ``momentum = mu * momentum + update``; ``weights += lr * (update + mu * momentum)``: separate float32 operations on
   single elements, no fused multiply-add, no reduction. Magnitudes below ``2**-64`` become zero, so that no operation
   ever meets a denormal, which some libraries switch off for the whole process.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from client.codes import EXPONENT_MIN, WEIGHT_ONE, Codes, Float32, Int64
from client.errors import DeltaError
from client.recipe import Outer

SEGMENT = 1 << 18
_BLOCK = 1 << 16
_UNIT = np.float32(2.0 ** (EXPONENT_MIN - 16))
_TINY = np.int32((127 - 64) << 23)  # the bits of 2**-64
_ONE, _SIGN_PLACE, _MAGNITUDE = np.int32(1), np.int32(31), np.int32(0x7FFFFFFF)


def norm_of(codes: Codes) -> int:
    """The integer square root of the squared norm, in units of 2**-30."""
    return math.isqrt(codes.norm_squared())


def clipped_weights(norms: Sequence[int], weights_q16: Sequence[int]) -> list[int]:
    """Weights after median-norm clipping, in 1/65536."""
    if len(norms) != len(weights_q16):
        raise DeltaError(f"{len(norms)} deltas, but {len(weights_q16)} weights")
    if any(weight < 0 for weight in weights_q16) or sum(weights_q16) > WEIGHT_ONE:
        raise DeltaError(f"weights must be >= 0 and at most {WEIGHT_ONE} in sum, not {list(weights_q16)[:8]}")
    sizes = sorted(norm for norm in norms if norm > 0)
    if not sizes:
        return list(weights_q16)
    median = sizes[(len(sizes) - 1) // 2]
    return [
        weight if norm <= median else weight * median // norm for norm, weight in zip(norms, weights_q16, strict=True)
    ]


def sum_segment(
    codes: Iterable[Codes], weights: Sequence[int], low: int, high: int, room: Int64 | None = None
) -> Float32:
    """The update for places ``low..high-1``, of weights already clipped. ``room``: where to sum; else new memory."""
    assert sum(weights) <= WEIGHT_ONE, "the bound on int64 sums rests on it"
    total = np.empty(high - low, dtype=np.int64) if room is None else room[: high - low]
    total.fill(0)
    for code, weight in zip(codes, weights, strict=True):
        if weight:
            code.add_to(total, low, weight)
    return as_update(total)


def as_update(total: Int64) -> Float32:
    """Sums in units of ``2**-46`` as float32: one rounding."""
    update = total.astype(np.float32)
    update *= _UNIT
    return update


def aggregate(codes: Sequence[Codes], weights_q16: Sequence[int], n: int, segment: int = SEGMENT) -> Float32:
    """The weighted sum of deltas after median-norm clipping: the round's update of ``n`` values."""
    if any(code.n != n for code in codes):
        raise DeltaError(f"a delta is not for {n} values")
    weights = clipped_weights([norm_of(code) for code in codes], weights_q16)
    update, room = np.empty(n, dtype=np.float32), np.empty(min(segment, n), dtype=np.int64)
    for low in range(0, n, segment):
        high = min(low + segment, n)
        update[low:high] = sum_segment(codes, weights, low, high, room)
    return update


def outer_step(
    theta: Float32, momentum: Float32, update: Float32, lr_q16: int, momentum_q16: int
) -> tuple[Float32, Float32]:
    """One Nesterov step on the aggregated delta; returns new (weights, momentum), in float32."""
    new_theta, new_momentum = theta.copy(), momentum.copy()
    step = OuterStep(Outer(lr_q16, momentum_q16))
    for low in range(0, len(theta), SEGMENT):
        step.apply(new_theta[low : low + SEGMENT], new_momentum[low : low + SEGMENT], update[low : low + SEGMENT])
    return new_theta, new_momentum


def apply_round(
    theta: Float32, momentum: Float32, codes: Sequence[Codes], weights: Sequence[int], outer: Outer
) -> None:
    """Sum and step, one segment after the other, in place: nothing as long as the model is needed."""
    step, room = OuterStep(outer), np.empty(SEGMENT, dtype=np.int64)
    for low in range(0, len(theta), SEGMENT):
        high = min(low + SEGMENT, len(theta))
        step.apply(theta[low:high], momentum[low:high], sum_segment(codes, weights, low, high, room))


def apply_sum(theta: Float32, momentum: Float32, total: Int64, outer: Outer) -> None:
    """The step where the sum of all deltas, in units of ``2**-46``, was taken before. In place."""
    step = OuterStep(outer)
    for low in range(0, len(theta), SEGMENT):
        part = slice(low, min(low + SEGMENT, len(theta)))
        step.apply(theta[part], momentum[part], as_update(total[part]))


class OuterStep:
    """The Nesterov step on a piece of the vectors, in place, in blocks that stay in a processor core's own cache."""

    def __init__(self, outer: Outer) -> None:
        self._rate = np.float32(outer.lr_q16) / np.float32(65536)
        self._decay = np.float32(outer.momentum_q16) / np.float32(65536)
        self._step = np.empty(_BLOCK, dtype=np.float32)
        self._keep = np.empty(_BLOCK, dtype=np.int32)

    def apply(self, theta: Float32, momentum: Float32, update: Float32) -> None:
        """Pieces of one length; ``theta`` and ``momentum`` are written to."""
        for low in range(0, len(theta), _BLOCK):
            part = slice(low, min(low + _BLOCK, len(theta)))
            self._block(theta[part], momentum[part], update[part])

    def _block(self, theta: Float32, momentum: Float32, update: Float32) -> None:
        step = self._step[: len(theta)]
        np.multiply(momentum, self._decay, out=momentum)
        np.add(momentum, update, out=momentum)
        self._flush(momentum)
        np.multiply(momentum, self._decay, out=step)
        np.add(step, update, out=step)
        self._flush(step)
        np.multiply(step, self._rate, out=step)
        np.add(theta, step, out=theta)
        self._flush(theta)

    def _flush(self, values: Float32) -> None:
        """Magnitudes below ``2**-64`` become +0. By whole numbers: a masked assignment takes twenty times as long."""
        bits, keep = values.view(np.int32), self._keep[: len(values)]
        np.bitwise_and(bits, _MAGNITUDE, out=keep)
        np.subtract(_TINY - _ONE, keep, out=keep)
        np.right_shift(keep, _SIGN_PLACE, out=keep)  # all ones where the difference is negative
        np.bitwise_and(bits, keep, out=bits)
