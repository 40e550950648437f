"""From manifests and deltas to a model's weights, bit for bit. Numpy alone, so that anybody can do it.

``load_state`` brings a model to a head: the last snapshot, then the few rounds after it. ``build_next_head`` computes
what a round's accepted deltas make of it; validators attest to the digest that comes out, and an audit computes the
same again. The arithmetic is in :mod:`client.aggregate`.

Memory: weights and momentum (8 bytes a parameter), plus decoded deltas up to ``HOLD_BYTES``. Where a round's deltas
take more than that, they are decoded one at a time, twice, into an int64 sum (another 8 bytes a parameter).
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from client.aggregate import SEGMENT, aggregate, apply_round, clipped_weights, norm_of, outer_step
from client.cid import digest_bytes, digest_file
from client.codec import decode_codes, max_payload_bytes
from client.codes import Codes, Float32
from client.errors import AuditError, DeltaError, ManifestError
from client.manifests import DeltaRef, Genesis, Head, RoundDeltas, parse_json
from client.schema import MAX_MANIFEST_BYTES
from client.storage import Store
from client.tensors import MAX_HEADER_BYTES, TensorFile, write_tensors

__all__ = [
    "Accepted", "ModelState", "NextHead", "aggregate", "build_next_head", "genesis_state", "load_state", "outer_step",
    "publish", "read_manifest", "sha256_of",
]  # fmt: skip

HOLD_BYTES = 512 * 1024 * 1024
FETCH_SECONDS = 120.0
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
    with _fetched(store, bytes.fromhex(genesis.weights), cap, scratch, timeout) as file:
        theta = file.read_vector(genesis.tensors)
    if (found := sha256_of(theta)) != genesis.weights_sha256:
        raise AuditError(f"the genesis weights of {genesis.name} hash to {found}, recorded is {genesis.weights_sha256}")
    return ModelState(genesis, genesis_digest, None, genesis_digest, theta, np.zeros_like(theta))


def load_state(
    store: Store, head_digest: bytes, scratch: Path | None = None, timeout: float = FETCH_SECONDS
) -> ModelState:
    """A model at ``head_digest`` (a head or a genesis): last snapshot, then the deltas after it, then both hashes.

    ``scratch`` is a folder for the snapshot's file while it is read; ``timeout`` is in seconds per object.
    """
    head = read_manifest(store, head_digest, timeout)
    if isinstance(head, Genesis):
        return genesis_state(store, head_digest, scratch, timeout)
    start = _snapshot_state(store, head, scratch, timeout)
    for entry in head.deltas:
        accepted = [Accepted(bytes.fromhex(ref.digest), ref.weight_q16, ref.miner) for ref in entry.deltas]
        _apply(store, start, accepted, timeout)
    state = replace(start, head=head, head_digest=head_digest)
    for name, vector, wanted in (
        ("weights", state.theta, head.weights_sha256),
        ("momentum", state.momentum, head.momentum_sha256),
    ):
        if (found := sha256_of(vector)) != wanted:
            raise AuditError(f"round {head.round}: replayed {name} hash to {found}, the head says {wanted}")
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
        state = replace(state, theta=state.theta.copy(), momentum=state.momentum.copy())
    _apply(store, state, accepted, timeout)
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
    entry = RoundDeltas(round_number, tuple(DeltaRef(d.digest.hex(), d.weight_q16, d.miner) for d in accepted))
    head = Head(
        genesis=state.genesis_digest.hex(),
        model_id=model_id,
        round=round_number,
        parent=state.head_digest.hex(),
        snapshot=state.genesis.weights if before is None else before.snapshot,
        snapshot_round=snapshot_round,
        deltas=(entry,) if before is None else (*before.deltas, entry),
        weights_sha256=sha256_of(state.theta),
        momentum_sha256=sha256_of(state.momentum),
    )
    if round_number - snapshot_round < state.genesis.snapshot_every:
        return head, None
    path = scratch / f"snapshot-{model_id}-{round_number}.safetensors"
    write_tensors(path, {"theta": state.theta, "momentum": state.momentum})
    return replace(head, snapshot=digest_file(path).hex(), snapshot_round=round_number, deltas=()), path


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
    shape = (genesis.size,)
    with _fetched(store, bytes.fromhex(head.snapshot), 8 * genesis.size + MAX_HEADER_BYTES, scratch, timeout) as file:
        theta, momentum = file.read_vector([("theta", shape)]), file.read_vector([("momentum", shape)])
    return ModelState(genesis, genesis_digest, None, genesis_digest, theta, momentum)


class _Deltas:
    """A round's decoded deltas, to be iterated more than once: held while they fit, else decoded again each time."""

    def __init__(self, store: Store, genesis: Genesis, accepted: Sequence[Accepted], timeout: float) -> None:
        self._store, self._genesis, self._accepted, self._timeout = store, genesis, accepted, timeout
        self._held: dict[int, Codes] = {}
        self._bytes = 0

    @property
    def all_held(self) -> bool:
        """Whether no delta has to be decoded again."""
        return len(self._held) == len(self._accepted)

    def _decode(self, place: int) -> Codes:
        size = self._genesis.size
        compression = self._genesis.compression
        digest = self._accepted[place].digest
        payload = self._store.get(digest, max_payload_bytes(size, compression), self._timeout)
        try:
            return decode_codes(payload, size, compression)
        except DeltaError as error:
            raise DeltaError(f"delta {digest.hex()} of {self._accepted[place].miner}: {error}") from error

    def __iter__(self) -> Iterator[Codes]:
        for place in range(len(self._accepted)):
            codes = self._held.get(place)
            if codes is None:
                codes = self._decode(place)
                if self._bytes + codes.nbytes <= HOLD_BYTES:
                    self._bytes += codes.nbytes
                    self._held[place] = codes
            yield codes


def _apply(store: Store, state: ModelState, accepted: Sequence[Accepted], timeout: float) -> None:
    """One round's deltas onto the vectors of ``state``, in place."""
    deltas = _Deltas(store, state.genesis, accepted, timeout)
    weights = clipped_weights([norm_of(codes) for codes in deltas], [delta.weight_q16 for delta in accepted])
    segment = SEGMENT if deltas.all_held else len(state.theta)
    apply_round(state.theta, state.momentum, deltas, weights, state.genesis.outer, segment)


@contextlib.contextmanager
def _fetched(store: Store, digest: bytes, cap: int, scratch: Path | None, timeout: float) -> Iterator[TensorFile]:
    """A safetensors file from the store, mapped; its copy is removed afterwards."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder) / "weights.safetensors"
        store.get_file(digest, path, cap, timeout)
        with TensorFile(path) as file:
            yield file
