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
from numpy.typing import NDArray

from client.codes import EXPONENT_MIN, WEIGHT_ONE, Codes, Float32
from client.errors import DeltaError
from client.recipe import Outer

SEGMENT = 1 << 20
_UNIT = np.float32(2.0 ** (EXPONENT_MIN - 16))
_TINY = np.float32(2.0**-64)


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


def sum_segment(codes: Iterable[Codes], weights: Sequence[int], low: int, high: int) -> Float32:
    """The update for places ``low..high-1``, of weights already clipped."""
    assert sum(weights) <= WEIGHT_ONE, "the bound on int64 sums rests on it"
    total: NDArray[np.int64] = np.zeros(high - low, dtype=np.int64)
    for code, weight in zip(codes, weights, strict=True):
        if weight:
            code.add_to(total, low, weight)
    return total.astype(np.float32) * _UNIT


def aggregate(codes: Sequence[Codes], weights_q16: Sequence[int], n: int, segment: int = SEGMENT) -> Float32:
    """The weighted sum of deltas after median-norm clipping: the round's update of ``n`` values."""
    if any(code.n != n for code in codes):
        raise DeltaError(f"a delta is not for {n} values")
    weights = clipped_weights([norm_of(code) for code in codes], weights_q16)
    update = np.empty(n, dtype=np.float32)
    for low in range(0, n, segment):
        high = min(low + segment, n)
        update[low:high] = sum_segment(codes, weights, low, high)
    return update


def outer_step(
    theta: Float32, momentum: Float32, update: Float32, lr_q16: int, momentum_q16: int
) -> tuple[Float32, Float32]:
    """One Nesterov step on the aggregated delta; returns new (weights, momentum), in float32."""
    new_theta, new_momentum = theta.copy(), momentum.copy()
    _step_in_place(new_theta, new_momentum, update, Outer(lr_q16, momentum_q16))
    return new_theta, new_momentum


def apply_round(
    theta: Float32, momentum: Float32, codes: Iterable[Codes], weights: Sequence[int], outer: Outer, segment: int
) -> None:
    """Sum and step, one segment after the other, in place. ``codes`` is iterated once per segment."""
    for low in range(0, len(theta), segment):
        high = min(low + segment, len(theta))
        update = sum_segment(codes, weights, low, high)
        for start in range(low, high, SEGMENT):
            end = min(start + SEGMENT, high)
            _step_in_place(theta[start:end], momentum[start:end], update[start - low : end - low], outer)


def _step_in_place(theta: Float32, momentum: Float32, update: Float32, outer: Outer) -> None:
    rate = np.float32(outer.lr_q16) / np.float32(65536)
    decay = np.float32(outer.momentum_q16) / np.float32(65536)
    np.multiply(momentum, decay, out=momentum)
    np.add(momentum, update, out=momentum)
    _flush(momentum)
    step = np.multiply(momentum, decay)
    np.add(step, update, out=step)
    _flush(step)
    np.multiply(step, rate, out=step)
    np.add(theta, step, out=theta)
    _flush(theta)


def _flush(values: Float32) -> None:
    values[np.abs(values) < _TINY] = 0
