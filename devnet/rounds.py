"""Drives rounds from outside, as anybody may: opens them by ``tick``, waits for their end, reads what was measured.

The next round of a model opens as soon as COMMIT of the last one has closed, so its miners train while that is judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from client.errors import ChainUnavailable, ManifestError, Reverted, StorageError
from client.types import RoundInfo, SubmissionInfo
from contracts.enums import Phase
from devnet.feed import Measured, median_of
from devnet.network import Devnet
from devnet.waiting import POLL_SECONDS, DeadlinePassed, together

REPORT_BYTES = 1 << 20
REPORT_SECONDS = 20.0
VOIDS_FORGIVEN = 2
TICK_SECONDS = 30.0
TICK_EVERY_SECONDS = 2.0
SEED_BLOCKS = 64


@dataclass(frozen=True)
class RoundResult:
    """A round that has ended, as the chain and the validators' reports say."""

    model: str
    round: int
    phase: Phase
    void_reason: str
    head: bytes
    submissions: tuple[SubmissionInfo, ...]
    measured: Measured | None  # the median of the validators
    reports: int
    attested_percent: int
    opened: int  # block
    settled: int  # block

    @property
    def trained_tokens(self) -> int:
        """What the miners say that they trained on."""
        return sum(s.trained_tokens for s in self.submissions)


@dataclass
class _Track:
    """One model's progress through its rounds."""

    model: str
    id: int
    wanted: int
    seen: int  # number of the last round whose end was read
    done: int = 0
    voids: int = 0
    asked: dict[int, float] = field(default_factory=dict)  # when we last sent a tick for a round


def run_rounds(
    net: Devnet, wanted: Sequence[tuple[str, int]], seconds: float, told: Callable[[str], None]
) -> list[RoundResult]:
    """Run so many rounds of each model, side by side; returns them in the order in which they ended."""
    chain = net.chain()
    tracks = [_Track(model, net.ids[model], count, chain.current(net.ids[model])) for model, count in wanted]
    results: list[RoundResult] = []
    deadline = time.monotonic() + seconds
    while any(track.done < track.wanted for track in tracks):
        due: list[Callable[[], None]] = []
        for track in tracks:
            if track.done < track.wanted:
                results += _look(net, track, told, due)
        together(due, TICK_SECONDS, "a tick")
        net.check()
        if time.monotonic() > deadline:
            late = ", ".join(f"{t.model} ({t.done} of {t.wanted} rounds)" for t in tracks if t.done < t.wanted)
            raise DeadlinePassed(f"the rounds took longer than {seconds:.0f} s: {late}")
        time.sleep(POLL_SECONDS)
    return results


def _look(net: Devnet, track: _Track, told: Callable[[str], None], due: list[Callable[[], None]]) -> list[RoundResult]:
    """Take the results of rounds that have ended; ticks that settle or open one are added to ``due``."""
    chain = net.chain()
    try:
        current, block = chain.current(track.id), chain.block_number()
        results: list[RoundResult] = []
        live: list[RoundInfo] = []
        for number in range(track.seen + 1, current + 1):
            view = chain.round(track.id, number)
            if not view.settled:
                live.append(view)
            elif not live and track.done < track.wanted:
                track.seen += 1
                results.append(_take(net, track, view, told))
    except ChainUnavailable:
        return []
    numbers = [view.round for view in live if _is_due(view, block)]
    if track.done + len(live) < track.wanted and (not live or live[-1].can_be_followed):
        numbers.append(current + 1)
    for number in numbers:
        if time.monotonic() - track.asked.get(number, -TICK_EVERY_SECONDS) >= TICK_EVERY_SECONDS:
            track.asked[number] = time.monotonic()
            due.append(partial(_tick, net, track, number))
    return results


def _is_due(view: RoundInfo, block: int) -> bool:
    """Whether a tick settles the round, or keeps a seed: the hash of its block is gone after 256 blocks."""
    if view.ended:
        return not view.held
    start = {Phase.TRAIN: view.open_block, Phase.SCORE: view.score_start}.get(view.phase)
    unknown = view.commits == 0 or view.phase == Phase.SCORE
    return start is not None and unknown and block - start > SEED_BLOCKS and (block - start) % SEED_BLOCKS < 2


def _take(net: Devnet, track: _Track, view: RoundInfo, told: Callable[[str], None]) -> RoundResult:
    """Read a round that has ended, and count it."""
    result = read_result(net, track.model, view)
    if view.phase == Phase.VOID:
        track.voids += 1
        told(f"{track.model} round {view.round} is void ({result.void_reason}); it is run again")
        if track.voids > VOIDS_FORGIVEN:
            raise DeadlinePassed(f"{track.model}: {track.voids} rounds were void, the last for {result.void_reason}")
    else:
        track.done += 1
        told(f"{track.model} round {view.round} ended: {describe(result)}")
    return result


def _tick(net: Devnet, track: _Track, number: int) -> None:
    """Move a round on; a refusal means that somebody was quicker."""
    try:
        net.chain().tick(track.id, number)
    except (Reverted, ChainUnavailable) as error:
        net.say(f"{track.model}: tick refused ({error})")


def read_result(net: Devnet, model: str, view: RoundInfo) -> RoundResult:
    """A round's submissions, and the median of its validators' reports from IPFS."""
    chain = net.chain()
    model_id = net.ids[model]
    validators = [who for who, _ in chain.round_validators(model_id, view.round)]
    found = [report for who in validators if (report := _report(net, model_id, view.round, who))]
    return RoundResult(
        model=model,
        round=view.round,
        phase=view.phase,
        void_reason=view.void_reason.name if view.phase == Phase.VOID else "",
        head=view.head,
        submissions=tuple(chain.submissions(model_id, view.round)),
        measured=median_of(found) if found else None,
        reports=len(found),
        attested_percent=view.heads_revealed_stake * 100 // max(view.frozen_stake, 1),
        opened=view.open_block,
        settled=_settled_in(net, view),
    )


def _settled_in(net: Devnet, view: RoundInfo) -> int:
    found = net.chain().events("Rounds", "RoundSettled", from_block=view.open_block, modelId=view.model_id)
    return next((event.block for event in found if event.args["round"] == view.round), 0)


def overlaps(results: Sequence[RoundResult], model: str) -> list[int]:
    """For each round of a model that opened while the one before it was unsettled, how many blocks the two shared."""
    rounds = {result.round: result for result in results if result.model == model}
    pairs = [(rounds[number - 1], rounds[number]) for number in sorted(rounds) if number - 1 in rounds]
    return [before.settled - after.opened for before, after in pairs if after.opened < before.settled]


def _report(net: Devnet, model_id: int, number: int, validator: str) -> Measured | None:
    """What a validator measured; None where it revealed nothing, or its report can't be had."""
    from client.manifests import Report
    from client.schema import parse_json

    score = net.chain().scores_of(model_id, number, validator)
    if not any(score.report):
        return None
    try:
        data = net.store().get(score.report, REPORT_BYTES, REPORT_SECONDS)
        report = Report.from_json(parse_json(data, REPORT_BYTES))
    except (StorageError, ManifestError):
        return None
    return Measured.from_report(report.to_json())


def describe(result: RoundResult) -> str:
    """A round in one line."""
    scores = ", ".join(f"{s.consensus / 1e6:.3f}" for s in result.submissions)
    losses = ""
    if result.measured is not None:
        m = result.measured
        losses = f"held-out loss {m.heldout_before:.4f} → {m.heldout_after:.4f} (± {m.heldout_se:.4f}), "
    return f"{losses}consensus scores {scores}, head {result.head.hex()[:12]} attested by {result.attested_percent}%"
