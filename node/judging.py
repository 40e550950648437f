"""From a round's payloads and texts to scores and a report: what a validator asks of ``node.validation``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from client.assignment import pick_windows
from client.cid import digest_bytes
from client.errors import EmptyText
from client.manifests import DeltaReport, Genesis, Report
from client.types import ModelInfo, SubmissionInfo
from contracts.enums import ScoreReason
from node.heads import Heads
from node.interfaces import Document, JudgeJob, Verdict
from node.learner import Models

if TYPE_CHECKING:
    from node.models.load import LoadedModel
    from node.training.batches import Windows
    from node.validation.evaluation import Text
    from node.validation.judge import DeltaInput, Judged, Judgement
    from node.validation.mixing import Payloads

ASSIGNED_WINDOWS = 8  # of each miner's own text, the first that it trained on


class Bench:
    """Keeps :class:`node.interfaces.Judge`."""

    def __init__(self, models: Models, heads: Heads) -> None:
        self._models, self._heads = models, heads

    def genesis(self, model: ModelInfo) -> Genesis:
        """What the model was before its first round."""
        return self._models.genesis(model)

    def max_payload_bytes(self, model: ModelInfo) -> int:
        """More than this is no delta of the model."""
        from client.codec import max_payload_bytes

        genesis = self.genesis(model)
        return max_payload_bytes(genesis.size, genesis.compression)

    def prepare(self, model: ModelInfo) -> None:
        """Load the model at its head."""
        self._heads.state(model.id, model.head)
        self._models.loaded(model)

    def judge(self, job: JudgeJob) -> Verdict:
        """Measure every delta that was dealt to us on the text that the evaluation seed picks."""
        from node.validation.judge import judge_round
        from node.validation.mixing import Mix, Payloads

        loaded = self._models.loaded(job.model)
        state = self._heads.state(job.model.id, job.parent_head)
        payloads = Payloads(job.payloads, loaded.genesis.size, loaded.genesis.compression)
        mix = Mix(state.theta, state.momentum, loaded.genesis.outer, payloads)
        deltas = [_delta(job, loaded, index, payloads) for index in range(len(job.payloads))]
        evaluation = loaded.genesis.evaluation
        heldout = _picked(loaded, job.heldout, job.evaluation_seed, evaluation.windows, evaluation.sequence)
        general = heldout
        if job.general:
            general = _picked(loaded, job.general, job.evaluation_seed, evaluation.windows, evaluation.sequence)
        first = None if job.parent_head == job.model.genesis else self._heads.genesis(job.model)
        judgement = judge_round(
            loaded, state.theta, deltas, heldout, general, join=mix.after, without=mix.without, genesis=first,
            seed=job.evaluation_seed, earlier=_earlier(job, loaded),
        )  # fmt: skip
        report = _report(job, judgement)
        summary = {k: v for k, v in report.to_json().items() if k not in ("schema", "model_id", "round", "validator")}
        return Verdict(tuple(judgement.scores), tuple(judgement.reasons), report.to_bytes(), summary)


def _delta(job: JudgeJob, loaded: LoadedModel, index: int, payloads: Payloads) -> DeltaInput:
    from node.validation.judge import DeltaInput

    submission, payload = job.submissions[index], job.payloads[index]
    return DeltaInput(
        miner=submission.miner,
        digest=submission.digest,
        vector=partial(payloads.vector, index) if isinstance(payload, bytes) else None,
        committed=job.committed[index],
        assigned=_assigned(job, loaded, submission, job.assigned[index]) if index in job.dealt else None,
        reason=ScoreReason.OK if isinstance(payload, bytes) else payload,
        judged=index in job.dealt,
    )


def _earlier(job: JudgeJob, loaded: LoadedModel) -> list[DeltaInput]:
    """What the round before revealed, decoded one at a time and not kept."""
    from node.validation.judge import DeltaInput
    from node.validation.mixing import Payloads

    held = Payloads([payload for _, payload in job.earlier], loaded.genesis.size, loaded.genesis.compression, 0)
    return [
        DeltaInput(miner, digest_bytes(payload), partial(held.vector, place), committed=-1, judged=False)
        for place, (miner, payload) in enumerate(job.earlier)
    ]


def _assigned(
    job: JudgeJob, loaded: LoadedModel, submission: SubmissionInfo, shards: Sequence[Sequence[str]]
) -> Windows | None:
    """The first windows that the miner trained on if it did its work."""
    from node.training.batches import training_windows

    if not shards:
        return None
    inner = loaded.genesis.inner
    windows = training_windows(loaded.tokenizer, shards, job.seed, submission.miner, inner.sequence)
    return windows.take(range(min(ASSIGNED_WINDOWS, len(windows), inner.least_windows)))


def _picked(loaded: LoadedModel, documents: Sequence[Document], seed: bytes, windows: int, sequence: int) -> Text:
    """Windows of documents, the same for every validator, and whose each is."""
    from node.training.batches import Windows
    from node.validation.evaluation import Text

    tokens, owners = [loaded.tokenizer.encode(each.text) for each in documents], [each.owner for each in documents]
    picked = pick_windows(seed, [len(t) for t in tokens], windows, sequence, owners)
    if not picked:
        raise EmptyText("there is no held-out text to judge by")
    rows = [tokens[w.document][w.start : w.start + w.length] for w in picked]
    return Text(Windows.of(rows, loaded.tokenizer.end), tuple(owners[w.document] for w in picked))


def _report(job: JudgeJob, judged: Judgement) -> Report:
    from node.validation.scoring import micro

    return Report(
        model_id=job.model.id,
        round=job.round,
        validator=job.validator,
        heldout_genesis=micro(judged.heldout_genesis),
        heldout_genesis_se=micro(judged.whole_fall.error),
        heldout_before=micro(judged.heldout_before),
        heldout_after=micro(judged.heldout_after),
        heldout_se=micro(judged.heldout_fall.error),
        general_before=micro(judged.general_before),
        general_after=micro(judged.general_after),
        general_se=micro(judged.general_fall.error),
        tokens_judged=judged.tokens,
        deltas=tuple(_delta_report(delta) for delta in judged.deltas),
    )


def _delta_report(delta: Judged) -> DeltaReport:
    from node.validation.scoring import micro

    return DeltaReport(
        miner=delta.miner,
        digest=delta.digest.hex(),
        score=delta.score,
        reason=int(delta.reason),
        gain=micro(delta.gain.mean) if delta.gain else 0,
        gain_se=micro(delta.gain.error) if delta.gain else 0,
        marginal=micro(delta.marginal.mean) if delta.marginal else 0,
        assigned_gain=micro(delta.assigned.mean) if delta.assigned else 0,
        other_gain=micro(delta.others.mean) if delta.others else 0,
    )
