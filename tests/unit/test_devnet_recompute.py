"""Payments recomputed from made-up events, whose amounts were worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from client.types import Event
from devnet.recompute import Check, Ledger, agreement_of, consensus_of, divide

TOKEN = 10**18
HEAD = b"\x07" * 32
ANN, BEN, MAX, MIA, OWNER = "0xA", "0xB", "0x1", "0x2", "0x3"
SHARES = 1000 * TOKEN * 100 // 101


def event(name: str, block: int, place: int, /, **args: Any) -> Event:
    return Event("any", name, args, block, bytes([block]) * 32, place)


def settled_round() -> list[Event]:
    """A root without shares, one model below it; 30 and 70 tokens staked; two deltas, scored 100 and 50 by both."""
    of = {"modelId": 2, "round": 1}
    pay: dict[str, Any] = {**of, "unlockBlock": 30}
    events = [
        event("ModelRegistered", 1, 0, id=1, parentId=0),
        event("ModelRegistered", 1, 1, id=2, parentId=1),
        event("DatasetRegistered", 2, 0, id=9, owner=OWNER),
        event("Staked", 3, 0, modelId=2, role=2, account=ANN, amount=30 * TOKEN),
        event("Staked", 3, 1, modelId=2, role=2, account=BEN, amount=70 * TOKEN),
        event("RoundOpened", 5, 0, openBlock=5, frozenStake=100 * TOKEN, **of),
        event("DeltaRevealed", 6, 0, miner=MAX, index=0, datasetIds=[9], **of),
        event("DeltaRevealed", 6, 1, miner=MIA, index=1, datasetIds=[9], **of),
        event("ScoresRevealed", 8, 0, validator=ANN, scores=[100, 50], **of),
        event("ScoresRevealed", 8, 1, validator=BEN, scores=[100, 50], **of),
        event("ConsensusReached", 9, 0, consensus=[100, 50], weightsQ16=[43690, 21845], **of),
        event("HeadRevealed", 10, 0, validator=ANN, head=HEAD, **of),
        event("HeadRevealed", 10, 1, validator=BEN, head=HEAD, **of),
        event("RoundFinalized", 11, 0, head=HEAD, attestedStake=100 * TOKEN, **of),
        event("EmissionSettled", 11, 1, emission=1000 * TOKEN, carriedIn=0, minted=1000 * TOKEN, carriedOut=0, **of),
        event("RewardCredited", 11, 2, account=ANN, kind=1, amount=60 * TOKEN, **pay),
        event("RewardCredited", 11, 3, account=BEN, kind=1, amount=140 * TOKEN, **pay),
        event("RewardCredited", 11, 4, account=MAX, kind=0, amount=500 * TOKEN * 2 // 3, **pay),
        event("RewardCredited", 11, 5, account=MIA, kind=0, amount=500 * TOKEN // 3, **pay),
        event("RewardCredited", 11, 6, account=OWNER, kind=2, amount=150 * TOKEN, **pay),
        event("TreasuryPaid", 11, 7, amount=150 * TOKEN + 1, **of),  # 100, the parent's 50, a wei of rounding
    ]
    miners = SHARES * 8000 // 10_000
    shares = {MAX: miners * 100 // 150, MIA: miners * 50 // 150, OWNER: SHARES * 2000 // 10_000}
    minted = enumerate(shares.items())
    return events + [event("SharesMinted", 11, 8 + i, account=who, shares=n, **of) for i, (who, n) in minted]


def checks(events: list[Event]) -> list[Check]:
    return Ledger({1: 1, 2: 1}).replay(events)


def test_replay_when_all_is_paid_right_then_finds_no_difference() -> None:
    (check,) = checks(settled_round())
    assert (check.what, check.model, check.round, check.paid) == ("round", 2, 1, 1000 * TOKEN)
    assert check.differences == ()


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("RewardCredited", "amount", 60 * TOKEN + 1),
        ("RewardCredited", "account", BEN),
        ("TreasuryPaid", "amount", 150 * TOKEN),
        ("SharesMinted", "shares", 1),
        ("EmissionSettled", "minted", 999 * TOKEN),
        ("EmissionSettled", "emission", 1),
        ("ConsensusReached", "consensus", [100, 51]),
        ("ScoresRevealed", "scores", [100, 40]),
        ("RoundOpened", "frozenStake", 99 * TOKEN),
        ("RoundFinalized", "attestedStake", 70 * TOKEN),
        ("DeltaRevealed", "miner", OWNER),
    ],
)
def test_replay_when_one_record_is_changed_then_says_so(name: str, argument: str, value: Any) -> None:
    events = settled_round()
    place = next(i for i, e in enumerate(events) if e.name == name)
    events[place] = replace(events[place], args={**events[place].args, argument: value})
    assert any(not check.ok for check in checks(events))


def test_replay_when_a_round_is_void_then_its_emission_waits_for_the_next() -> None:
    void = [
        event("Staked", 1, 0, modelId=2, role=2, account=ANN, amount=30 * TOKEN),
        event("RoundOpened", 2, 0, modelId=2, round=1, openBlock=2, frozenStake=30 * TOKEN),
        event("RoundVoided", 3, 0, modelId=2, round=1, reason=1),
        event(
            *("EmissionSettled", 3, 1),
            modelId=2,
            round=1,
            emission=1000 * TOKEN,
            carriedIn=0,
            minted=0,
            carriedOut=1000 * TOKEN,
        ),
    ]
    ledger = Ledger({1: 1, 2: 1})
    (check,) = ledger.replay(void)
    assert check.ok
    assert ledger.carry[2] == 1000 * TOKEN


def test_replay_when_a_fee_comes_without_a_voucher_then_says_so() -> None:
    fee = [
        event("FeeDistributed", 1, 0, modelId=2, server=ANN, amount=10_000),
        event("RewardCredited", 1, 1, modelId=2, round=0, account=ANN, kind=4, amount=6000),
        event("TreasuryPaid", 1, 2, modelId=2, round=0, amount=4000),
    ]
    (check,) = checks(fee)
    assert check.differences == ("a fee of 10000 wei without a voucher redeemed for it",)
    redeemed = event("VoucherRedeemed", 1, 3, modelId=2, amount=10_000)
    (check,) = checks([*fee, redeemed])
    assert check.ok


def test_consensus_when_a_minority_scores_high_then_is_not_lifted() -> None:
    assert consensus_of([(49, [900]), (51, [10])], 1) == [10]
    assert consensus_of([(50, [900]), (50, [10])], 1) == [900]
    assert consensus_of([], 2) == [0, 0]


def test_agreement_when_scores_differ_then_is_the_common_part() -> None:
    assert agreement_of([100, 0], [50, 50]) == 50 * 1_000_000 // 150
    assert agreement_of([0], [0]) == 1_000_000


def test_divide_when_nobody_has_weight_then_nobody_is_paid() -> None:
    assert divide(100, [("a", 0)]) == []
    assert divide(100, [("a", 1), ("b", 2)]) == [("a", 33), ("b", 66)]
