"""Payments recomputed from made-up events, whose amounts were worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from client.types import Event
from devnet.recompute import Check, Expected, Ledger, divide
from devnet.recompute_rounds import Round, agreement_of, consensus_of

TOKEN = 10**18
HEAD = b"\x07" * 32
ANN, BEN, MAX, MIA, OWNER = "0xA", "0xB", "0x1", "0x2", "0x3"
SHARES = 1000 * TOKEN * 100 // 101
PHASES = ("train", "commit", "reveal", "score", "scoreReveal", "attest", "attestReveal")
POLICY = dict.fromkeys([f"{phase}Blocks" for phase in PHASES], 9) | {
    "committee": 16,
    "kappaBps": 5000,
    "quorumBps": 6667,
    "emissionBps": 0,
    "minMinerStake": 1,
    "minValidatorStake": 1,
}
POT = 7 * TOKEN  # from block 5 to 11: each phase closes when everybody has acted
JUDGES = POT * 2000 // 10_000
ANNS, BENS = JUDGES * 1966 // 6553, JUDGES * 4587 // 6553
"""A tenth of 65535 by stake, 30 and 70 of 100: their first bonds with both miners are 1966 and 4587."""


def event(name: str, block: int, place: int, /, **args: Any) -> Event:
    return Event("any", name, args, block, bytes([block]) * 32, place)


def settled_round() -> list[Event]:
    """A root without shares, one model below it; 30 and 70 tokens staked; two deltas, scored 100 and 50 by both."""
    of = {"modelId": 2, "round": 1}
    pay: dict[str, Any] = {**of, "unlockBlock": 30}
    data = POT * 1500 // 10_000
    events = [
        event("ModelRegistered", 1, 0, id=1, parentId=0),
        event("ModelRegistered", 1, 1, id=2, parentId=1),
        event("PolicySet", 1, 2, id=2, policy=POLICY),
        event("EmissionSet", 1, 3, id=2, bps=10_000),
        event("DatasetRegistered", 2, 0, id=9, owner=OWNER),
        event("DatasetAccepted", 2, 1, id=9, value=8_000),
        *(staked(who, 2, amount, place) for place, (who, amount) in enumerate(((ANN, 30), (BEN, 70)))),
        *(staked(who, 1, 1, place) for place, who in enumerate((MAX, MIA), start=2)),
        event("RoundOpened", 5, 0, openBlock=5, frozenStake=100 * TOKEN, minerCount=2, **of),
        event("DeltaCommitted", 6, 0, miner=MAX, **of),
        event("DeltaCommitted", 6, 1, miner=MIA, **of),
        event("DeltaRevealed", 7, 0, miner=MAX, index=0, datasetIds=[9], **of),
        event("DeltaRevealed", 7, 1, miner=MIA, index=1, datasetIds=[9], **of),
        *(event("ScoresCommitted", 8, place, validator=who, **of) for place, who in enumerate((ANN, BEN))),
        event("ScoresRevealed", 9, 0, validator=ANN, scores=[100, 50], **of),
        event("ScoresRevealed", 9, 1, validator=BEN, scores=[100, 50], **of),
        event("ConsensusPage", 10, 0, **{"from": 0}, consensus=[100, 50], **of),
        event("ConsensusReached", 10, 1, total=150, submissions=2, **of),
        *(event("HeadCommitted", 10, 2 + place, validator=who, **of) for place, who in enumerate((ANN, BEN))),
        event("HeadRevealed", 11, 0, validator=ANN, head=HEAD, **of),
        event("HeadRevealed", 11, 1, validator=BEN, head=HEAD, **of),
        event("RoundFinalized", 12, 0, head=HEAD, attestedStake=100 * TOKEN, **of),
        event("RewardCredited", 12, 1, account=ANN, kind=1, amount=ANNS, **pay),
        event("RewardCredited", 12, 2, account=BEN, kind=1, amount=BENS, **pay),
        event("RewardCredited", 12, 3, account=MAX, kind=0, amount=POT * 5000 // 10_000 * 100 // 150, **pay),
        event("RewardCredited", 12, 4, account=MIA, kind=0, amount=POT * 5000 // 10_000 * 50 // 150, **pay),
        event("RewardCredited", 12, 5, account=OWNER, kind=2, amount=data * 80 // 120 + data * 40 // 120, **pay),
        event("TreasuryPaid", 12, 6, amount=POT * 1500 // 10_000, **of),  # its own 8 %, the parent's 5, the archive's 2
    ]
    miners = SHARES * 8000 // 10_000
    owners = SHARES * 2000 // 10_000
    shares = {MAX: miners * 100 // 150, MIA: miners * 50 // 150, OWNER: owners * 80 // 120 + owners * 40 // 120}
    minted = enumerate(shares.items())
    events += [event("SharesMinted", 12, 7 + i, account=who, shares=n, **of) for i, (who, n) in minted]
    paid = sum(e.args["amount"] for e in events if e.name in ("RewardCredited", "TreasuryPaid"))
    amounts = {"emission": POT, "carriedIn": 0, "minted": paid, "carriedOut": POT - paid}
    return [*events, event("EmissionSettled", 12, 20, **amounts, **of)]


def staked(who: str, role: int, tokens: int, place: int) -> Event:
    args: dict[str, Any] = {"modelId": 2, "role": role, "account": who}
    return event("Staked", 3, place, amount=tokens * TOKEN, total=tokens * TOKEN, **args)


def checks(events: list[Event]) -> list[Check]:
    return Ledger().replay(events)


def test_replay_when_all_is_paid_right_then_finds_no_difference() -> None:
    (check,) = checks(settled_round())
    assert check.differences == ()
    assert (check.what, check.model, check.round) == ("round", 2, 1)
    assert POT - 10 < check.paid <= POT


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("RewardCredited", "amount", 60 * TOKEN + 1),
        ("RewardCredited", "account", BEN),
        ("TreasuryPaid", "amount", 150 * TOKEN),
        ("RewardCredited", "kind", 7),
        ("EmissionSettled", "carriedIn", 1),
        ("EmissionSet", "bps", 9_999),
        ("DatasetAccepted", "value", 0),
        ("HeadRevealed", "validator", "0xC"),
        ("PolicySet", "policy", {**POLICY, "quorumBps": 10_001}),
        ("Staked", "total", 1),
        ("SharesMinted", "shares", 1),
        ("EmissionSettled", "minted", 999 * TOKEN),
        ("EmissionSettled", "emission", 1),
        ("ConsensusPage", "consensus", [100, 51]),
        ("ConsensusReached", "total", 151),
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
    of = {"modelId": 2, "round": 1}
    emission = 9 * 5 * TOKEN  # five phases of nine blocks: nobody's scores were shown
    void = [
        event("PolicySet", 1, 0, id=2, policy={**POLICY, "emissionBps": 10_000}),
        staked(ANN, 2, 30, 0),
        staked(MAX, 1, 1, 1),
        event("RoundOpened", 4, 0, openBlock=4, frozenStake=30 * TOKEN, minerCount=1, **of),
        event("DeltaCommitted", 21, 0, miner=MAX, **of),  # in the last block of COMMIT, so nothing closes early
        event("DeltaRevealed", 30, 1, miner=MAX, index=0, datasetIds=[], **of),
        event("RoundVoided", 60, 0, reason=3, **of),
        event("EmissionSettled", 60, 1, emission=emission, carriedIn=0, minted=0, carriedOut=emission, **of),
    ]
    ledger = Ledger()
    (check,) = ledger.replay(void)
    assert check.differences == ()
    assert ledger.carry[2] == emission


def overlapping() -> list[Event]:
    """Two void rounds; the second is opened as COMMIT of the first closes, and held until that is settled."""
    first, second = {"modelId": 2, "round": 1}, {"modelId": 2, "round": 2}
    opened = {"frozenStake": 30 * TOKEN, "minerCount": 1, "baseHead": HEAD}
    emission = 22 * TOKEN  # from block 4 until nobody's scores were shown in block 25
    rest = 21 * TOKEN  # of the second, the blocks that the first was not paid for: 26 to 46
    return [
        event("ModelRegistered", 1, 0, id=2, parentId=0, genesis=HEAD),
        event("PolicySet", 1, 1, id=2, policy={**POLICY, "emissionBps": 10_000}),
        staked(ANN, 2, 30, 0),
        staked(MAX, 1, 1, 1),
        event("RoundOpened", 4, 0, openBlock=4, **opened, **first),
        event("DeltaCommitted", 5, 0, miner=MAX, **first),  # all have committed
        event("RoundOpened", 6, 0, openBlock=6, **opened, **second),
        event("DeltaRevealed", 7, 0, miner=MAX, index=0, datasetIds=[], **first),
        event("DeltaCommitted", 10, 0, miner=MAX, **second),  # all have, but the round is held
        event("RoundVoided", 27, 0, reason=3, **first),
        event("EmissionSettled", 27, 1, emission=emission, carriedIn=0, minted=0, carriedOut=emission, **first),
        event("RoundSettled", 27, 2, **first),
        event("RoundReleased", 27, 3, parentHead=HEAD, **second),  # its COMMIT ends with this block
        event("DeltaRevealed", 28, 0, miner=MAX, index=0, datasetIds=[], **second),
        event("RoundVoided", 47, 0, reason=3, **second),
        event("EmissionSettled", 47, 1, emission=rest, carriedIn=emission, minted=0, carriedOut=emission + rest,
              **second),
    ]  # fmt: skip


def test_replay_when_rounds_overlap_then_no_block_is_paid_twice() -> None:
    ledger = Ledger()
    found = ledger.replay(overlapping())
    assert [check.differences for check in found] == [(), ()]
    assert ledger.carry[2] == 43 * TOKEN
    assert ledger.rounds[2, 2].windows[:3] == [9, 13, 1]


@pytest.mark.parametrize(
    ("name", "argument", "value"), [("RoundReleased", "parentHead", b"z" * 32), ("RoundReleased", "round", 1)]
)
def test_replay_when_a_release_is_wrong_then_says_so(name: str, argument: str, value: Any) -> None:
    events = overlapping()
    place = next(i for i, e in enumerate(events) if e.name == name)
    events[place] = replace(events[place], args={**events[place].args, argument: value})
    assert any(not check.ok for check in checks(events))


def test_replay_when_validators_hold_pools_then_their_delegators_are_paid_less_commission() -> None:
    validator = "0x" + "ab" * 20
    round_ = Round(5, dict(POLICY), {0: (validator, 100)}, 100, 1)
    round_.backing = {validator: (40, 60, 1000)}
    expected = Expected()
    Ledger()._pay_validators(expected, round_, 1000, [(validator, 5)])
    assert dict(expected.payments) == {(1, validator): 1000 - 540, (7, validator): 540}


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
    assert consensus_of({"a": 900, "b": 10}, {"a": 49, "b": 51}, 5000) == 10
    assert consensus_of({"a": 900, "b": 10}, {"a": 50, "b": 50}, 5000) == 900
    assert consensus_of({"a": 900, "b": 10}, {"a": 50, "b": 50}, 6667) == 10
    assert consensus_of({}, {"a": 1}, 5000) == 0


def test_committee_when_validators_are_many_then_is_drawn_and_as_large_as_the_policy_says() -> None:
    seats = {slot: (f"0x{slot:040x}", 10 + slot) for slot in range(20)}
    round_ = Round(5, {**POLICY, "committee": 4}, seats, 1000, 1, seed=b"\x05" * 32)
    assert sum(round_.committee(0).values()) == 4
    assert round_.committee(0) != round_.committee(1)


def test_agreement_when_scores_differ_then_is_the_common_part() -> None:
    assert agreement_of([100, 0], [50, 50]) == 50 * 1_000_000 // 150
    assert agreement_of([0], [0]) == 1_000_000


def test_divide_when_nobody_has_weight_then_nobody_is_paid() -> None:
    assert divide(100, [("a", 0)]) == []
    assert divide(100, [("a", 1), ("b", 2)]) == [("a", 33), ("b", 66)]
