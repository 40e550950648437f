"""Models in memory, trained and coded: what a miner asks of torch. One at a time, under the process's compute lock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from client.cid import digest_bytes
from client.errors import DeltaError
from client.manifests import Genesis
from client.types import ModelInfo
from contracts.enums import DeltaKind
from node.heads import Heads
from node.interfaces import Progress, Trained, TrainJob

if TYPE_CHECKING:
    from client.codes import Codes
    from client.replay import ModelState
    from client.storage import Store
    from node.interfaces import Vector
    from node.models.load import LoadedModel
    from node.team import Team
    from node.training.inner import Step
    from node.training.memory import InnerStates
    from node.training.objectives import Objective


class Models:
    """Loaded models by genesis. Torch is imported when the first one is asked for."""

    def __init__(self, store: Store, cache_dir: Path, timeout_seconds: float) -> None:
        self._store, self._cache, self._timeout = store, cache_dir, timeout_seconds
        self._geneses: dict[bytes, Genesis] = {}
        self._loaded: dict[tuple[bytes, bool], LoadedModel] = {}
        self._lock = threading.RLock()

    def genesis(self, model: ModelInfo) -> Genesis:
        """What the model was before its first round."""
        from client.manifests import MAX_MANIFEST_BYTES

        with self._lock:
            if model.genesis not in self._geneses:
                data = self._store.get(model.genesis, MAX_MANIFEST_BYTES, self._timeout)
                self._geneses[model.genesis] = Genesis.from_bytes(data)
            return self._geneses[model.genesis]

    def loaded(self, model: ModelInfo, trainable: bool = True) -> LoadedModel:
        """The model ready to compute; its values are set by whoever uses it."""
        from node.models.load import load_genesis

        with self._lock:
            key = (model.genesis, trainable)
            if key not in self._loaded:
                self._loaded[key] = load_genesis(
                    self._store, model.genesis, self._cache, trainable=trainable, timeout=10 * self._timeout
                )
            return self._loaded[key]

    def codes(self, model: ModelInfo, payload: bytes) -> Codes:
        """A payload read strictly; ``DeltaError`` says what is wrong with it."""
        from client.codec import decode_codes

        genesis = self.genesis(model)
        return decode_codes(payload, genesis.size, genesis.compression)


class Learner:
    """Keeps :class:`node.interfaces.Trainer`."""

    def __init__(
        self,
        models: Models,
        heads: Heads,
        store: Store,
        scratch: Path,
        states: InnerStates | None = None,
        team: Team | None = None,
    ) -> None:
        self._models, self._heads, self._store, self._scratch = models, heads, store, scratch
        self._states, self._team = states, team
        self._teacher_head = b""

    def genesis(self, model: ModelInfo) -> Genesis:
        """What the model was before its first round."""
        return self._models.genesis(model)

    def train(self, job: TrainJob, progress: Callable[[Progress], None], stop: Callable[[], bool]) -> Trained:
        """The inner loop from the round's base head; ``DeltaError`` where nothing came of it."""
        from node.training.batches import training_windows
        from node.training.inner import InnerSettings, run_inner

        def say(step: Step) -> None:
            progress(Progress(step.step, step.steps, step.loss, step.tokens))

        loaded = self._models.loaded(job.model)
        head = self._heads.state(job.model.id, job.base_head)
        loaded.set_vector(head.theta if job.ahead is None else self._went_on(job, head))
        inner = loaded.genesis.inner
        member = 0 if self._team else job.member  # a team's peers are dealt rows of one order
        windows = training_windows(loaded.tokenizer, job.shards, job.seed, job.miner, inner.sequence, member)
        keeps = self._states if inner.state == "kept" else None
        state = keeps.load(job.model.id, job.model.genesis, loaded.n) if keeps else None
        settings = InnerSettings.of(inner, head.round + (1 if job.ahead is None else 2))
        objective = self._objective(job)
        if self._team is None:
            result = run_inner(loaded, windows, settings, objective, say, stop, state=state)
        else:
            from node.teams.inner import TeamInner

            key = f"{job.model.id}-{job.seed.hex()[:16]}"
            begins = digest_bytes(job.ahead).hex() if job.ahead else ""
            result = TeamInner(self._team, key, loaded, windows, settings, objective, say, stop, begins).run(state)
        if not result.losses:
            raise DeltaError("not one step was done before the deadline")
        if keeps and result.state:
            keeps.save(job.model.id, job.model.genesis, result.state)
        return Trained(result.delta, result.tokens, result.losses[0], result.losses[-1])

    def _went_on(self, job: TrainJob, head: ModelState) -> Vector:
        """The head as it would be after our own last delta alone: our best guess at what the judged round leaves.

        A delta that starts from the head before would repeat what the last one learnt, and overshoot
        (Kale, Douillard, Donchev: Eager Updates for Overlapped Communication in DiLoCo, arXiv 2502.12996).
        """
        from client.replay import outer_step

        assert job.ahead is not None, "somebody asked for it"
        update, outer = self.decode(job.model, job.ahead), head.genesis.outer
        return outer_step(head.theta, head.momentum, update, outer.lr_q16, outer.momentum_q16)[0]

    def _objective(self, job: TrainJob) -> Objective:
        from node.training.objectives import Distil, Train

        if job.kind != DeltaKind.DISTIL or job.parent is None:
            return Train()
        teacher = self._models.loaded(job.parent, trainable=False)
        if job.parent.head not in (self._teacher_head, job.parent.genesis):
            from client.replay import load_state  # not kept: a teacher's vectors would take 8 bytes a parameter

            teacher.set_vector(load_state(self._store, job.parent.head, self._scratch).theta)
        self._teacher_head = job.parent.head
        return Distil(teacher)

    def encode(self, model: ModelInfo, vector: Vector) -> tuple[bytes, Vector]:
        """The payload, and what a reader decodes from it."""
        from client.codec import encode

        compression = self.genesis(model).compression
        return encode(vector, compression.codec, compression.k, compression.chunk)

    def decode(self, model: ModelInfo, payload: bytes) -> Vector:
        """A payload as float32."""
        return self._models.codes(model, payload).to_float32()

    def advance(self, model: ModelInfo) -> None:
        """Load the model, and be at the chain's head."""
        self._heads.state(model.id, model.head)
        self._models.loaded(model)
