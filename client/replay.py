"""From manifests and deltas to a model's weights, bit for bit. Numpy alone, so that anybody can do it.

``load_state`` brings a model to a head: the last snapshot, then the few rounds after it. ``build_next_head`` computes
what a round's accepted deltas make of it; validators attest to the digest that comes out, and an audit computes the
same again. The arithmetic is in :mod:`client.aggregate`.

Memory: decoded deltas (1/112 of float32 each at 64 of 4096) up to ``HOLD_BYTES`` or half the model's size, and a few
megabytes. Weights, momentum and their next values are in mapped files where they are long (:mod:`client.scratch`).
Where a round's deltas don't fit, they are decoded one at a time, twice, into such a file of int64 sums.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from client.aggregate import aggregate, apply_round, apply_sum, clipped_weights, norm_of, outer_step
from client.cid import DigestHasher, digest_bytes
from client.codec import decode_codes, max_payload_bytes
from client.codes import Codes, Float32
from client.errors import AuditError, DeltaError, ManifestError
from client.manifests import DeltaRef, Genesis, Head, RoundDeltas, parse_json
from client.schema import MAX_MANIFEST_BYTES
from client.scratch import ahead, copy, zeros
from client.storage import Store
from client.tensors import MAX_HEADER_BYTES, TensorFile, write_tensors

__all__ = [
    "Accepted", "ModelState", "NextHead", "aggregate", "build_next_head", "genesis_state", "load_state", "outer_step",
    "publish", "read_manifest", "sha256_of",
]  # fmt: skip

HOLD_BYTES = 512 * 1024 * 1024
HOLD_SHARE = 2  # decoded deltas that are held, in bytes a parameter, where that is more
FETCHES = 4  # payloads fetched at once
FETCH_SECONDS = 120.0
MAX_LISTED_DELTAS = 32_768
"""After so many deltas a snapshot is due in any case: a manifest, 150 bytes a delta, must stay short."""
_WEIGHTS_SLACK = 64 * 1024 * 1024


@dataclass(frozen=True)
class Accepted:
    """A delta that entered a round's head: its 32-byte digest, its weight in 1/65536, and its miner's address."""

    digest: bytes
    weight_q16: int
    miner: str


@dataclass(frozen=True, eq=False)
class ModelState:
    """A model at a head: its trainable vector, its momentum, and the manifests that lead here.

    ``head`` is ``None`` at genesis, where ``head_digest`` is the genesis manifest's digest.
    """

    genesis: Genesis
    genesis_digest: bytes
    head: Head | None
    head_digest: bytes
    theta: Float32
    momentum: Float32

    @property
    def round(self) -> int:
        """The round that made this head; 0 at genesis."""
        return 0 if self.head is None else self.head.round


@dataclass(frozen=True, eq=False)
class NextHead:
    """What a round makes of a model. ``snapshot`` is a file to be stored with the manifest, where one is due."""

    head: Head
    digest: bytes
    state: ModelState
    snapshot: Path | None


def sha256_of(vector: Float32) -> str:
    """SHA-256 of a vector's little-endian float32 bytes, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(vector, dtype="<f4").data).hexdigest()


def sha256_of_both(state: ModelState) -> tuple[str, str]:
    """The hashes of weights and momentum, the second one in a thread of its own: half of a replay's time is hashing."""
    momentum, theta = ahead(sha256_of, (state.momentum, state.theta), 2)
    return theta, momentum


def read_manifest(store: Store, digest: bytes, timeout: float = FETCH_SECONDS) -> Genesis | Head:
    """What a model's on-chain head points to: a head, or, before the first round, its genesis."""
    data = store.get(digest, MAX_MANIFEST_BYTES, timeout)
    parsed = parse_json(data)
    if isinstance(parsed, dict) and parsed.get("schema") == Genesis.SCHEMA:
        return Genesis.from_bytes(data)
    return Head.from_bytes(data)


def genesis_state(
    store: Store, genesis_digest: bytes, scratch: Path | None = None, timeout: float = FETCH_SECONDS
) -> ModelState:
    """A model before its first round; checks its vector against the manifest's SHA-256."""
    genesis = read_manifest(store, genesis_digest, timeout)
    if not isinstance(genesis, Genesis):
        raise ManifestError("a head where a genesis manifest was expected")
    cap = 256 * genesis.size + _WEIGHTS_SLACK  # a LoRA file holds its A matrices too
    theta = zeros(genesis.size, np.float32, scratch)
    with _fetched(store, bytes.fromhex(genesis.weights), cap, scratch, timeout) as file:
        file.read_vector(genesis.tensors, theta)
    if (found := sha256_of(theta)) != genesis.weights_sha256:
        raise AuditError(f"the genesis weights of {genesis.name} hash to {found}, recorded is {genesis.weights_sha256}")
    momentum = zeros(genesis.size, np.float32, scratch)
    return ModelState(genesis, genesis_digest, None, genesis_digest, theta, momentum)


def load_state(
    store: Store, head_digest: bytes, scratch: Path | None = None, timeout: float = FETCH_SECONDS
) -> ModelState:
    """A model at ``head_digest`` (a head or a genesis): last snapshot, then the deltas after it, then both hashes.

    ``scratch`` is a folder for the snapshot's file while it is read, and for vectors that are too long for memory;
    ``timeout`` is in seconds per object.
    """
    head = read_manifest(store, head_digest, timeout)
    if isinstance(head, Genesis):
        return genesis_state(store, head_digest, scratch, timeout)
    start = _snapshot_state(store, head, scratch, timeout)
    for entry in head.deltas:
        accepted = [Accepted(bytes.fromhex(ref.digest), ref.weight_q16, ref.miner) for ref in entry.deltas]
        _apply(store, start, accepted, timeout, scratch)
    state = replace(start, head=head, head_digest=head_digest)
    found = sha256_of_both(state)
    for name, got, wanted in zip(
        ("weights", "momentum"), found, (head.weights_sha256, head.momentum_sha256), strict=True
    ):
        if got != wanted:
            raise AuditError(f"round {head.round}: replayed {name} hash to {got}, the head says {wanted}")
    return state


def build_next_head(
    state: ModelState,
    model_id: int,
    round_number: int,
    accepted: Sequence[Accepted],
    store: Store,
    scratch: Path,
    *,
    reuse: bool = False,
    timeout: float = FETCH_SECONDS,
) -> NextHead:
    """The head that follows ``state`` after a round, from its accepted deltas in submission order.

    A pure function of its arguments and of the deltas' bytes: everybody gets the same digest. Deltas of weight 0 are
    left out. A snapshot, where one is due, is written into the folder ``scratch`` (``publish`` stores it).
    ``reuse`` overwrites the vectors of ``state`` instead of copying them.
    """
    accepted = [delta for delta in accepted if delta.weight_q16 > 0]
    if not accepted:
        raise DeltaError("no delta was accepted: the head stays as it is")
    if round_number <= state.round:
        raise DeltaError(f"round {round_number} can't follow round {state.round}")
    if not reuse:
        state = replace(state, theta=copy(state.theta, scratch), momentum=copy(state.momentum, scratch))
    _apply(store, state, accepted, timeout, scratch)
    head, snapshot = _describe(state, model_id, round_number, accepted, scratch)
    digest = digest_bytes(head.to_bytes())
    return NextHead(head, digest, replace(state, head=head, head_digest=digest), snapshot)


def publish(store: Store, made: NextHead) -> bytes:
    """Store a head's manifest, and its snapshot where one is due; returns the head's digest."""
    if made.snapshot is not None and store.put_file(made.snapshot).hex() != made.head.snapshot:
        raise AuditError(f"the snapshot of round {made.head.round} changed on disk before it was stored")
    return store.put(made.head.to_bytes())


def _describe(
    state: ModelState, model_id: int, round_number: int, accepted: Sequence[Accepted], scratch: Path
) -> tuple[Head, Path | None]:
    before = state.head
    snapshot_round = 0 if before is None else before.snapshot_round
    weights_sha256, momentum_sha256 = sha256_of_both(state)
    entry = RoundDeltas(round_number, tuple(DeltaRef(d.digest.hex(), d.weight_q16, d.miner) for d in accepted))
    head = Head(
        genesis=state.genesis_digest.hex(),
        model_id=model_id,
        round=round_number,
        parent=state.head_digest.hex(),
        snapshot=state.genesis.weights if before is None else before.snapshot,
        snapshot_round=snapshot_round,
        deltas=(entry,) if before is None else (*before.deltas, entry),
        weights_sha256=weights_sha256,
        momentum_sha256=momentum_sha256,
    )
    listed = sum(len(entry.deltas) for entry in head.deltas)
    if round_number - snapshot_round < state.genesis.snapshot_every and listed < MAX_LISTED_DELTAS:
        return head, None
    path = scratch / f"snapshot-{model_id}-{round_number}.safetensors"
    hasher = DigestHasher()
    write_tensors(path, {"theta": state.theta, "momentum": state.momentum}, hasher.update)
    return replace(head, snapshot=hasher.digest().hex(), snapshot_round=round_number, deltas=()), path


def _snapshot_state(store: Store, head: Head, scratch: Path | None, timeout: float) -> ModelState:
    genesis_digest = bytes.fromhex(head.genesis)
    if head.snapshot_round == 0:
        state = genesis_state(store, genesis_digest, scratch, timeout)
        if state.genesis.weights != head.snapshot:
            raise AuditError(f"round {head.round} starts from {head.snapshot}, not from its genesis weights")
        return state
    genesis = read_manifest(store, genesis_digest, timeout)
    if not isinstance(genesis, Genesis):
        raise ManifestError("a head where a genesis manifest was expected")
    theta, momentum = zeros(genesis.size, np.float32, scratch), zeros(genesis.size, np.float32, scratch)
    with _fetched(store, bytes.fromhex(head.snapshot), 8 * genesis.size + MAX_HEADER_BYTES, scratch, timeout) as file:
        file.read_vector([("theta", theta.shape)], theta)
        file.read_vector([("momentum", momentum.shape)], momentum)
    return ModelState(genesis, genesis_digest, None, genesis_digest, theta, momentum)


class _Deltas:
    """A round's decoded deltas, to be iterated more than once: held while they fit, else decoded again each time.

    Payloads are fetched ahead, a few at a time, while earlier ones are decoded.
    """

    def __init__(self, store: Store, genesis: Genesis, accepted: Sequence[Accepted], timeout: float) -> None:
        self._store, self._genesis, self._accepted, self._timeout = store, genesis, accepted, timeout
        self._room = max(HOLD_BYTES, HOLD_SHARE * genesis.size)
        self._held: dict[int, Codes] = {}

    @property
    def held(self) -> list[Codes] | None:
        """All of them, where none has to be decoded again."""
        if len(self._held) < len(self._accepted):
            return None
        return [self._held[place] for place in range(len(self._accepted))]

    def _fetch(self, place: int) -> bytes:
        cap = max_payload_bytes(self._genesis.size, self._genesis.compression)
        return self._store.get(self._accepted[place].digest, cap, self._timeout)

    def _decode(self, place: int, payload: bytes) -> Codes:
        try:
            return decode_codes(payload, self._genesis.size, self._genesis.compression)
        except DeltaError as error:
            entry = self._accepted[place]
            raise DeltaError(f"delta {entry.digest.hex()} of {entry.miner}: {error}") from error

    def __iter__(self) -> Iterator[Codes]:
        missing = [place for place in range(len(self._accepted)) if place not in self._held]
        payloads = ahead(self._fetch, missing, FETCHES)
        for place in range(len(self._accepted)):
            codes = self._held.get(place)
            if codes is None:
                codes = self._decode(place, next(payloads))
                if codes.nbytes <= self._room:
                    self._room -= codes.nbytes
                    self._held[place] = codes
            yield codes


def _apply(
    store: Store, state: ModelState, accepted: Sequence[Accepted], timeout: float, scratch: Path | None = None
) -> None:
    """One round's deltas onto the vectors of ``state``, in place."""
    deltas = _Deltas(store, state.genesis, accepted, timeout)
    weights = clipped_weights([norm_of(codes) for codes in deltas], [delta.weight_q16 for delta in accepted])
    held = deltas.held
    if held is not None:
        apply_round(state.theta, state.momentum, held, weights, state.genesis.outer)
        return
    total = zeros(len(state.theta), np.int64, scratch)
    for codes, weight in zip(deltas, weights, strict=True):
        codes.add_to(total, 0, weight)
    apply_sum(state.theta, state.momentum, total, state.genesis.outer)


@contextlib.contextmanager
def _fetched(store: Store, digest: bytes, cap: int, scratch: Path | None, timeout: float) -> Iterator[TensorFile]:
    """A safetensors file from the store, mapped; its copy is removed afterwards."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder) / "weights.safetensors"
        store.get_file(digest, path, cap, timeout)
        with TensorFile(path) as file:
            yield file
