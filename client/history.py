"""Who did what, from the chain's events: deltas, datasets, scores and answers, with what each was worth and paid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from client.cid import cid_of
from client.commitments import pool_account
from client.types import ChainLike, Event
from contracts.enums import DeltaKind, RewardKind, ScoreReason, VoidReason
from contracts.reference import ONE_Q16

REASONS = {
    ScoreReason.OK: "it gained",
    ScoreReason.UNAVAILABLE: "its bytes could not be had in time",
    ScoreReason.BAD_FORM: "its form is wrong (shape, size, scales or NaN)",
    ScoreReason.NO_GAIN: "no gain on held-out text",
    ScoreReason.NOT_ASSIGNED: "it gained no more on its assigned text than on others'",
    ScoreReason.COPY: "it copies an earlier delta",
    ScoreReason.FORGETS: "it costs the model what it knew",
}
VOIDS = {
    VoidReason.NONE: "",
    VoidReason.EMPTY: "nobody committed or nobody revealed a delta",
    VoidReason.NO_SEED: "a seed's block could no longer be read",
    VoidReason.NO_SCORE_QUORUM: "too little of the frozen stake revealed scores",
    VoidReason.NO_HEAD_QUORUM: "too little of the frozen stake attested the same head",
}


def void_words(reason: VoidReason) -> str:
    """Why a round is void, in words."""
    return f"void: {VOIDS[reason]}"


@dataclass(frozen=True)
class Filter:
    """Which contributions; None and the empty set let all through."""

    address: str | None = None
    model_id: int | None = None
    round: int | None = None
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Contribution:
    """One contribution.

    ``kind`` is TRAIN, DISTIL, UPSTREAM, DELTA (committed, never revealed), DATA, SCORE or SERVE. Score in micro-nats,
    weight in 1/65536, pay in wei. ``reasons`` is what each validator said of a delta.
    """

    kind: str
    model_id: int
    model: str
    round: int | None
    address: str
    digest: bytes | None
    score: int | None
    weight_q16: int | None
    paid: int
    note: str
    tx: bytes
    block: int
    reasons: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The plain form; every kind has the same keys."""
        return {
            "kind": self.kind,
            "model": self.model,
            "model_id": self.model_id,
            "round": self.round,
            "address": self.address,
            "digest": self.digest,
            "cid": None if self.digest is None else cid_of(self.digest),
            "score_micronats": self.score,
            "weight_q16": self.weight_q16,
            "paid_wei": self.paid,
            "note": self.note,
            "reasons": dict(self.reasons),
            "details": dict(self.details),
            "block": self.block,
            "tx": self.tx,
        }


Key = tuple[int, int, str]  # model, round, account


def contributions(chain: ChainLike, wanted: Filter | None = None) -> list[Contribution]:
    """All contributions that the filter lets through, in the order in which they happened."""
    wanted = wanted or Filter()
    book = _Book(chain)
    found = [*book.deltas(), *book.unrevealed(), *book.data(), *book.scores(), *book.answers()]
    chosen = [entry for entry in found if _passes(entry, wanted)]
    return sorted(chosen, key=lambda entry: entry.block)


def _passes(entry: Contribution, wanted: Filter) -> bool:
    kinds = wanted.kinds
    is_kind = (
        not kinds or entry.kind in kinds or (entry.kind == "DELTA" and bool(kinds & {"TRAIN", "DISTIL", "UPSTREAM"}))
    )
    return (
        is_kind
        and (wanted.address is None or entry.address.lower() == wanted.address.lower())
        and (wanted.model_id is None or entry.model_id == wanted.model_id)
        and (wanted.round is None or entry.round == wanted.round)
    )


class _Book:
    """The events of all contracts, read once and indexed."""

    def __init__(self, chain: ChainLike) -> None:
        self.chain = chain
        self.names = {model.id: model.name for model in chain.models()}
        self.by_name: dict[str, list[Event]] = defaultdict(list)
        newest = chain.block_number()
        for contract in ("Rounds", "Rewards", "DataRegistry", "InferenceChannels"):
            for event in chain.events(contract, to_block=newest):
                self.by_name[event.name].append(event)
        self.voided = {_round(e): VoidReason(e.args["reason"]) for e in self.by_name["RoundVoided"]}
        self.final = {_round(e): bytes(e.args["head"]) for e in self.by_name["RoundFinalized"]}
        self.totals = {_round(e): int(e.args["total"]) for e in self.by_name["ConsensusReached"]}
        self.consensus = self._consensus()
        self.taken_back = {_round(e) for e in self.by_name["RewardsVoided"]}
        self._hands: dict[Key, list[int]] = {}
        self.pay: dict[tuple[RewardKind, Key], int] = defaultdict(int)
        for event in self.by_name["RewardCredited"]:
            self.pay[RewardKind(event.args["kind"]), (*_round(event), event.args["account"])] += event.args["amount"]

    def name(self, model_id: int) -> str:
        """The model's name."""
        return self.names.get(model_id, str(model_id))

    def _consensus(self) -> dict[tuple[int, int], list[int]]:
        """Micro-nats in submission order, from the pages; of rounds whose last page was taken."""
        pages: dict[tuple[int, int], dict[int, int]] = defaultdict(dict)
        for event in self.by_name["ConsensusPage"]:
            pages[_round(event)].update(enumerate(event.args["consensus"], start=int(event.args["from"])))
        return {where: [pages[where][index] for index in sorted(pages[where])] for where in self.totals}

    # ---- deltas

    def deltas(self) -> Iterable[Contribution]:
        """Every revealed delta."""
        for event in self.by_name["DeltaRevealed"]:
            where, index, miner = _round(event), int(event.args["index"]), event.args["miner"]
            score, weight = self._result(where, index)
            reasons = self._reasons(where, index)
            yield Contribution(
                kind=DeltaKind(event.args["kind"]).name,
                model_id=where[0],
                model=self.name(where[0]),
                round=where[1],
                address=miner,
                digest=bytes(event.args["digest"]),
                score=score,
                weight_q16=weight,
                paid=self.pay[RewardKind.MINER, (*where, miner)],
                note=self._delta_note(where, score, reasons),
                tx=event.tx,
                block=event.block,
                reasons={validator: reason.name for validator, reason in reasons.items()},
                details={
                    "trained_tokens": int(event.args["trainedTokens"]),
                    "datasets": [int(i) for i in event.args["datasetIds"]],
                },
            )

    def _result(self, where: tuple[int, int], index: int) -> tuple[int | None, int | None]:
        if where not in self.consensus:
            return None, None
        score, total = int(self.consensus[where][index]), self.totals[where]
        return score, score * ONE_Q16 // total if total else 0

    def _reasons(self, where: tuple[int, int], index: int) -> dict[str, ScoreReason]:
        """What each validator that was dealt a delta said of it."""
        found = {}
        for event in self.by_name["ScoresRevealed"]:
            if _round(event) == where:
                said, hand = event.args["reasons"], self._hand(where, event)
                if index in hand:
                    found[event.args["validator"]] = ScoreReason(said[hand.index(index)])
        return found

    def _hand(self, where: tuple[int, int], event: Event) -> list[int]:
        """The submissions that a validator's scores are about: all in a small network, else what it was dealt."""
        key = (*where, event.args["validator"])
        if key not in self._hands:
            count = sum(1 for delta in self.by_name["DeltaRevealed"] if _round(delta) == where)
            every = len(event.args["scores"]) == count
            self._hands[key] = list(range(count)) if every else self.chain.dealt(*key)
        return self._hands[key]

    def _delta_note(self, where: tuple[int, int], score: int | None, reasons: Mapping[str, ScoreReason]) -> str:
        if where in self.voided:
            return void_words(self.voided[where])
        if score is None:
            return "not scored yet"
        if score > 0:
            if where in self.taken_back:
                return "accepted; its pay was taken back after validators objected"
            return "accepted" if where in self.final else "accepted, head not attested yet"
        said: dict[ScoreReason, list[str]] = defaultdict(list)
        for validator, reason in reasons.items():
            if reason != ScoreReason.OK:
                said[reason].append(validator[:8])
        if not said:
            return "zero: no majority of the stake gave it more"
        return "zero: " + "; ".join(f"{REASONS[reason]} (say {', '.join(who)})" for reason, who in sorted(said.items()))

    def unrevealed(self) -> Iterable[Contribution]:
        """Deltas that were committed to and not shown, in rounds that have gone on."""
        shown = {(*_round(e), e.args["miner"]) for e in self.by_name["DeltaRevealed"]}
        for event in self.by_name["DeltaCommitted"]:
            where, miner = _round(event), event.args["miner"]
            if (*where, miner) in shown:
                continue
            ended = where in self.voided or where in self.final or where in self.consensus
            yield Contribution(
                kind="DELTA",
                model_id=where[0],
                model=self.name(where[0]),
                round=where[1],
                address=miner,
                digest=None,
                score=0 if ended else None,
                weight_q16=0 if ended else None,
                paid=0,
                note="zero: committed and never revealed" if ended else "committed, not revealed yet",
                tx=event.tx,
                block=event.block,
            )

    # ---- datasets

    def data(self) -> Iterable[Contribution]:
        """Every dataset; its pay is its part of what its owner got in the rounds that used it."""
        paid = self._data_pay()
        accepted = {int(e.args["id"]) for e in self.by_name["DatasetAccepted"]}
        rejected = {int(e.args["id"]) for e in self.by_name["DatasetRejected"]}
        withdrawn = {int(e.args["id"]) for e in self.by_name["DatasetWithdrawn"]}
        removed = {int(e.args["id"]) for e in self.by_name["DatasetRemoved"]}
        used = self._uses()
        for event in self.by_name["DatasetRegistered"]:
            number, model_id = int(event.args["id"]), int(event.args["modelId"])
            state = "withdrawn" if number in withdrawn else "rejected by the validators" if number in rejected else ""
            state = "taken out by the validators" if number in removed else state
            state = state or ("accepted" if number in accepted else "waits for the validators' vote")
            rounds = sorted({where for where, counts in used.items() if counts.get(number)})
            note = state + (f"; used in {len(rounds)} round{'s' if len(rounds) != 1 else ''}" if rounds else "")
            yield Contribution(
                kind="DATA",
                model_id=model_id,
                model=self.name(model_id),
                round=None,
                address=event.args["owner"],
                digest=bytes(event.args["root"]),
                score=None,
                weight_q16=None,
                paid=paid[number],
                note=note,
                tx=event.tx,
                block=event.block,
                details={
                    "dataset": number,
                    "bytes": int(event.args["bytes_"]),
                    "licence": event.args["licence"],
                    "value_bps": self._value(number),
                },
            )

    def _uses(self) -> dict[tuple[int, int], dict[int, int]]:
        """Per round and dataset its weight as the contract takes it: consensus times value, over the datasets named."""
        uses: dict[tuple[int, int], dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for event in self.by_name["DeltaRevealed"]:
            score = self._result(_round(event), int(event.args["index"]))[0] or 0
            for number in event.args["datasetIds"] if score else ():
                value = self._value(int(number), event)
                uses[_round(event)][int(number)] += score * value // len(event.args["datasetIds"])
        return uses

    def _value(self, dataset: int, before: Event | None = None) -> int:
        """A dataset's value in basis points, now or when ``before`` happened; 0 where validators gave it none."""
        said = [
            event
            for name in ("DatasetAccepted", "DatasetValued")
            for event in self.by_name[name]
            if int(event.args["id"]) == dataset and (before is None or _place(event) < _place(before))
        ]
        return int(max(said, key=_place).args["value"]) if said else 0

    def _data_pay(self) -> dict[int, int]:
        owners = {int(e.args["id"]): str(e.args["owner"]) for e in self.by_name["DatasetRegistered"]}
        paid: dict[int, int] = defaultdict(int)
        for where, counts in self._uses().items():
            for owner in {owners[number] for number in counts if number in owners}:
                amount = self.pay[RewardKind.DATA, (*where, owner)]
                mine = {n: w for n, w in counts.items() if owners.get(n) == owner and w}
                left, weights = amount, sum(mine.values())
                for position, (number, weight) in enumerate(sorted(mine.items()), start=1):
                    part = left if position == len(mine) else amount * weight // weights
                    paid[number] += part
                    left -= part
        return paid

    # ---- judgement and answers

    def scores(self) -> Iterable[Contribution]:
        """Every validator's scores in every round."""
        heads = {(*_round(e), e.args["validator"]): bytes(e.args["head"]) for e in self.by_name["HeadRevealed"]}
        for event in self.by_name["ScoresRevealed"]:
            where, validator = _round(event), event.args["validator"]
            paid = self.pay[RewardKind.VALIDATOR, (*where, validator)]
            pooled = self.pay[RewardKind.DELEGATION, (*where, pool_account(where[0], validator))]
            judged = [int(s) for s in event.args["scores"]]
            yield Contribution(
                kind="SCORE",
                model_id=where[0],
                model=self.name(where[0]),
                round=where[1],
                address=validator,
                digest=bytes(event.args["report"]) if any(event.args["report"]) else None,
                score=None,
                weight_q16=None,
                paid=paid,
                note=f"judged {len(judged)} delta{'s' if len(judged) != 1 else ''}"
                + self._score_note(where, heads.get((*where, validator)), paid),
                tx=event.tx,
                block=event.block,
                details={
                    "scores": judged,
                    "reasons": [ScoreReason(r).name for r in event.args["reasons"]],
                    "submissions": self._hand(where, event),
                    "delegators_wei": str(pooled),
                },
            )

    def _score_note(self, where: tuple[int, int], head: bytes | None, paid: int) -> str:
        if where in self.voided:
            return f"; {void_words(self.voided[where])}"
        if where not in self.final:
            return "; the round goes on"
        if paid:
            return ""
        if head is None:
            return "; unpaid: it attested no head"
        if head != self.final[where]:
            return "; unpaid: it attested another head than the others"
        return "; unpaid: its scores disagree with the consensus"

    def answers(self) -> Iterable[Contribution]:
        """Every voucher that a server redeemed."""
        parts = {e.tx: e for e in self.by_name["FeeDistributed"]}
        for event in self.by_name["VoucherRedeemed"]:
            model_id, fee = int(event.args["modelId"]), parts.get(event.tx)
            amount = int(event.args["amount"])
            yield Contribution(
                kind="SERVE",
                model_id=model_id,
                model=self.name(model_id),
                round=None,
                address=event.args["server"],
                digest=None,
                score=None,
                weight_q16=None,
                paid=0 if fee is None else int(fee.args["serverPart"]),
                note="answers, paid by voucher",
                tx=event.tx,
                block=event.block,
                details={"fee_wei": str(amount), "channel": "0x" + bytes(event.args["channelId"]).hex()},
            )


def _round(event: Event) -> tuple[int, int]:
    return int(event.args["modelId"]), int(event.args["round"])


def _place(event: Event) -> tuple[int, int]:
    return event.block, event.log_index
