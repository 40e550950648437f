"""Drives rounds from outside, as anybody may: opens them by ``tick``, waits for their end, reads what was measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from client.errors import ChainUnavailable, ManifestError, Reverted, StorageError
from client.types import RoundInfo, SubmissionInfo
from contracts.enums import Phase, ScoreReason
from devnet.feed import Measured, median_of
from devnet.network import Devnet
from devnet.waiting import POLL_SECONDS, DeadlinePassed, together

REPORT_BYTES = 1 << 20
REPORT_SECONDS = 20.0
VOIDS_FORGIVEN = 2
TICK_SECONDS = 30.0
ORDER_SECONDS = 0.15  # between two transactions whose order counts


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
    kept: tuple[int, Phase] = (0, Phase.NONE)  # round and phase whose seed is on chain
    asked: float = 0.0  # when we last sent a tick


def run_rounds(
    net: Devnet, wanted: Sequence[tuple[str, int]], seconds: float, told: Callable[[str], None]
) -> list[RoundResult]:
    """Run so many rounds of each model, side by side; returns them in the order in which they ended."""
    chain = net.chain()
    tracks = [_Track(model, net.ids[model], count, chain.current(net.ids[model])) for model, count in wanted]
    results: list[RoundResult] = []
    deadline = time.monotonic() + seconds
    while any(track.done < track.wanted for track in tracks):
        for track in tracks:
            if track.done < track.wanted:
                results += _look(net, track, told)
        net.check()
        if time.monotonic() > deadline:
            late = ", ".join(f"{t.model} ({t.done} of {t.wanted} rounds)" for t in tracks if t.done < t.wanted)
            raise DeadlinePassed(f"the rounds took longer than {seconds:.0f} s: {late}")
        time.sleep(POLL_SECONDS)
    return results


def _look(net: Devnet, track: _Track, told: Callable[[str], None]) -> list[RoundResult]:
    """Take the results of rounds that have ended; open the next where none is on."""
    chain = net.chain()
    try:
        current = chain.current(track.id)
        results: list[RoundResult] = []
        while track.seen < current and track.done < track.wanted:
            view = chain.round(track.id, track.seen + 1)
            if not view.settled:
                if view.ended:
                    _tick(net, track, view.round, *([view.round + 1] if track.done + 1 < track.wanted else []))
                elif view.phase in (Phase.TRAIN, Phase.SCORE) and track.kept != (view.round, view.phase):
                    track.kept = (view.round, view.phase)
                    _tick(net, track, view.round)  # keeps the phase's seed: its block's hash is gone after 256 blocks
                return results
            track.seen += 1
            results.append(_take(net, track, view, told))
        if track.done < track.wanted:
            _tick(net, track, track.seen + 1)
        return results
    except ChainUnavailable:
        return []


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


def _tick(net: Devnet, track: _Track, *numbers: int) -> None:
    """Move rounds on, at most once in two seconds; a refusal means that somebody was quicker.

    With two numbers both are sent for one block: the first settles a round that has ended, the second opens the next.
    """
    now = time.monotonic()
    if now - track.asked < 2.0:
        return
    track.asked = now

    def send(place: int, number: int) -> None:
        time.sleep(place * ORDER_SECONDS)
        net.chain().tick(track.id, number)

    try:
        together([partial(send, *item) for item in enumerate(numbers)], TICK_SECONDS, "a tick")
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
    )


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


def reasons_of(net: Devnet, result: RoundResult) -> list[str]:
    """Why submissions got nothing, by the validators' reasons."""
    chain = net.chain()
    said = []
    for who, _ in chain.round_validators(net.ids[result.model], result.round):
        reasons = chain.scores_of(net.ids[result.model], result.round, who).reasons
        said += [reason.name for reason in reasons if reason is not ScoreReason.OK]
    return sorted(set(said))
