"""The chain in memory plays a round like the real one."""

from __future__ import annotations

import pytest

from client.commitments import delta_commitment, head_commitment, score_commitment
from client.errors import ChainUnavailable, Reverted
from client.fakes import FakeChain, FakeLedger, fake_address
from client.types import ChainLike, Policy, Reveal
from contracts.enums import DeltaKind, Level, Phase, Role, ScoreReason, VoidReason

POLICY = Policy(4, 3, 3, 3, 3, 3, 3)
DIGEST, SALT, HEAD, REPORT = b"\x11" * 32, b"\x22" * 32, b"\x33" * 32, b"\x44" * 32


def _world(validators: int = 1) -> tuple[FakeLedger, FakeChain, list[FakeChain]]:
    ledger = FakeLedger()
    accounts = [FakeChain(ledger, fake_address(i)) for i in range(1, validators + 2)]
    for account in accounts:
        ledger.tokens[account.address] = 1000
    accounts[0].register_model(0, Level.GLOBAL, "global", "general", b"\x01" * 32, POLICY)
    accounts[0].stake(1, Role.MINER, 100)
    for validator in accounts[1:]:
        validator.stake(1, Role.VALIDATOR, 100)
    ledger.mine()
    return ledger, accounts[0], accounts[1:]


def _args(chain: ChainLike) -> tuple[int, str, int, int, str]:
    return chain.chain_id, chain.contract_address("Rounds"), 1, 1, chain.address


def _reveal(miner: FakeChain) -> None:
    miner.tick(1)
    miner.commit_delta(1, 1, delta_commitment(*_args(miner), DIGEST, SALT))
    miner.ledger.mine()
    miner.reveal_delta(1, 1, Reveal(DIGEST, SALT, DeltaKind.TRAIN, b"\x01" * 32, (), 100))
    miner.ledger.mine()


def test_round_when_everybody_acts_then_it_ends_early_with_the_new_head() -> None:
    ledger, miner, (validator,) = _world()
    _reveal(miner)
    assert miner.round(1, 1).phase == Phase.SCORE
    reasons = [ScoreReason.OK]
    validator.commit_scores(1, 1, score_commitment(*_args(validator), [500], reasons, REPORT, SALT))
    ledger.mine()
    validator.reveal_scores(1, 1, [500], reasons, REPORT, SALT)
    ledger.mine()
    assert miner.round(1, 1).phase == Phase.ATTEST
    assert [s.weight_q16 for s in miner.submissions(1, 1)] == [65536]
    validator.commit_head(1, 1, head_commitment(*_args(validator), HEAD, SALT))
    ledger.mine()
    validator.reveal_head(1, 1, HEAD, SALT)
    ledger.mine()
    assert miner.round(1, 1).phase == Phase.FINAL
    miner.tick(1)
    assert miner.head(1) == HEAD
    assert miner.vesting(miner.address) > 0


def test_round_when_nobody_commits_then_it_is_void_and_nobody_missed() -> None:
    ledger, miner, (validator,) = _world()
    miner.tick(1)
    ledger.mine(8)
    info = miner.round(1, 1)
    assert (info.phase, info.void_reason) == (Phase.VOID, VoidReason.EMPTY)
    miner.tick(1)
    assert ledger.missed[(1, validator.address)] == 0


def test_validator_when_silent_three_rounds_then_it_is_dropped_until_it_rejoins() -> None:
    ledger, miner, (first, second) = _world(validators=2)
    for _ in range(3):
        ledger.missed[(1, second.address)] += 1
    ledger.dropped.add((1, second.address))
    assert miner.members(1, Role.VALIDATOR) == [first.address]
    second.rejoin(1)
    assert second.address in miner.members(1, Role.VALIDATOR)


def test_reveal_when_it_is_not_what_was_committed_then_it_is_refused_and_no_block_is_made() -> None:
    ledger, miner, _ = _world()
    miner.tick(1)
    miner.commit_delta(1, 1, delta_commitment(*_args(miner), DIGEST, SALT))
    ledger.mine()
    block = ledger.block_number
    with pytest.raises(Reverted) as caught:
        miner.reveal_delta(1, 1, Reveal(HEAD, SALT, DeltaKind.TRAIN, b"\x01" * 32, (), 1))
    assert caught.value.name == "CommitmentMismatch"
    assert ledger.block_number == block


def test_chain_when_a_test_takes_it_down_then_calls_raise() -> None:
    ledger, miner, _ = _world()
    ledger.down = True
    with pytest.raises(ChainUnavailable):
        miner.block_number()


def test_fake_when_checked_by_type_then_it_keeps_the_protocol() -> None:
    chain: ChainLike = FakeChain()
    assert chain.chain_id == 31337
