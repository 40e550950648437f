"""How a node that is behind comes to a head with the fewest bytes: by the deltas since a head that it has, or by the
last snapshot and the deltas after it.

A head's manifest names the deltas since its snapshot; those of rounds before are known from the chain alone
(``accepted_of``). What a node has is worth most right after a snapshot: without it, every node would fetch all of the
model every N rounds, though one round's deltas made it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.codec import max_payload_bytes
from client.errors import AuditError, DeltaError, StorageError
from client.manifests import Genesis, Head
from client.replay import FETCH_SECONDS, Accepted, ModelState, build_next_head, load_state, read_manifest
from client.storage import Store

STATE_BYTES = 8
"""Of each parameter in a snapshot: its value and its momentum. A genesis holds the value alone."""

AcceptedOf = Callable[[int], Sequence[Accepted] | None]
"""A round's accepted deltas as the chain has them: none where it left the head, ``None`` where that can't be said."""

Rounds = tuple[tuple[int, tuple[Accepted, ...]], ...]


@dataclass(frozen=True)
class Route:
    """The way to a head. ``steps``: rounds and their deltas, from the head that is known; None: from the last snapshot.

    ``bytes_needed`` is the least bound on what has to be fetched; ``bytes_other`` that of the way not taken (None:
    there is no other).
    """

    steps: Rounds | None
    bytes_needed: int
    bytes_other: int | None


def plan(
    genesis: Genesis,
    head: Head,
    known_round: int | None,
    accepted_of: AcceptedOf | None = None,
    size_of: Callable[[bytes], int] | None = None,
) -> Route:
    """The shorter way to ``head`` for who is at ``known_round`` (0: at genesis; None: has nothing).

    ``size_of`` gives the bytes that a delta still takes (0: it is here already); without it each counts as the most
    that a payload can have.
    """
    most = max_payload_bytes(genesis.size, genesis.compression)
    size = size_of or (lambda digest: most)
    later = sum(size(bytes.fromhex(ref.digest)) for entry in head.deltas for ref in entry.deltas)
    per_value = STATE_BYTES if head.snapshot_round else STATE_BYTES // 2
    snapshot = per_value * genesis.size + later
    steps = None if known_round is None else _steps(head, known_round, accepted_of)
    if steps is None:
        return Route(None, snapshot, None)
    deltas = sum(size(delta.digest) for _, accepted in steps for delta in accepted)
    return Route(steps, deltas, snapshot) if deltas <= snapshot else Route(None, snapshot, deltas)


def catch_up(
    store: Store,
    target: bytes,
    scratch: Path,
    known: ModelState | None = None,
    accepted_of: AcceptedOf | None = None,
    timeout: float = FETCH_SECONDS,
) -> ModelState:
    """The model at ``target``, verified; the vectors of ``known`` are used up.

    Where the deltas can't be had, or do not lead there (the chain went another way than we did), the snapshot is taken.
    """
    head = read_manifest(store, target, timeout)
    if known is None or isinstance(head, Genesis):
        return load_state(store, target, scratch, timeout)
    route = plan(known.genesis, head, known.round, accepted_of)
    if route.steps is not None:
        try:
            return _stepped(store, known, head.model_id, target, route.steps, scratch, timeout)
        except (StorageError, AuditError, DeltaError):
            pass
    return load_state(store, target, scratch, timeout)


def _steps(head: Head, known_round: int, accepted_of: AcceptedOf | None) -> Rounds | None:
    """The rounds after the known one, up to the head's; None where some are not known."""
    if known_round > head.round:
        return None
    listed = {
        entry.round: tuple(Accepted(bytes.fromhex(ref.digest), ref.weight_q16, ref.miner) for ref in entry.deltas)
        for entry in head.deltas
        if entry.round > known_round
    }
    for number in range(known_round + 1, head.snapshot_round + 1):
        accepted = None if accepted_of is None else accepted_of(number)
        if accepted is None:
            return None
        if accepted:
            listed[number] = tuple(accepted)
    return tuple(sorted(listed.items()))


def _stepped(
    store: Store, state: ModelState, model_id: int, target: bytes, steps: Rounds, scratch: Path, timeout: float
) -> ModelState:
    """Round by round; the last head's digest binds all before it."""
    for number, accepted in steps:
        made = build_next_head(state, model_id, number, accepted, store, scratch, reuse=True, timeout=timeout)
        if made.snapshot is not None:
            made.snapshot.unlink(missing_ok=True)
        state = made.state
    if state.head_digest != target:
        raise AuditError(f"the deltas of rounds up to {state.round} do not make the head {target.hex()[:12]}")
    return state
