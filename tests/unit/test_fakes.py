"""The chain in memory plays a round like the real one."""

from __future__ import annotations

import pytest

from client.commitments import delta_commitment, head_commitment, score_commitment
from client.earnings import claim_all
from client.errors import ChainUnavailable, Reverted
from client.fake_money import VESTING
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


def _judge(validator: FakeChain, score: int = 500) -> None:
    reasons = [ScoreReason.OK if score else ScoreReason.NO_GAIN]
    validator.commit_scores(1, 1, score_commitment(*_args(validator), [score], reasons, REPORT, SALT))
    validator.ledger.mine()
    validator.reveal_scores(1, 1, [score], reasons, REPORT, SALT)
    validator.ledger.mine()


def _attest(validator: FakeChain) -> None:
    validator.commit_head(1, 1, head_commitment(*_args(validator), HEAD, SALT))
    validator.ledger.mine()
    validator.reveal_head(1, 1, HEAD, SALT)
    validator.ledger.mine()


def test_delegation_when_the_validator_is_paid_then_the_holder_gets_its_part() -> None:
    ledger, miner, (validator,) = _world()
    holder = FakeChain(ledger, fake_address(99))
    ledger.tokens[holder.address] = 1000
    holder.delegate(1, validator.address, 100)
    ledger.mine()
    _reveal(miner)
    _judge(validator)
    _attest(validator)
    miner.tick(1)
    ledger.mine(VESTING)
    taken = claim_all(holder)
    paid = sum(e.args["amount"] for e in ledger.log if e.name == "RewardCredited" and e.args["kind"] == 1)
    assert taken.delegations > 0
    assert abs(taken.delegations * 55 - paid * 45) < 100  # half of the stake, less ten per cent
    shares = holder.delegation(1, validator.address, holder.address).shares
    holder.undelegate(1, validator.address, shares)
    assert holder.pending_stake(holder.address) == 100
    ledger.mine(40)
    before = holder.token_balance(holder.address)
    holder.withdraw_stake()
    assert holder.token_balance(holder.address) == before + 100


def test_challenge_when_the_stake_objects_then_the_rewards_are_taken_back() -> None:
    _, miner, (validator,) = _world()
    _reveal(miner)
    _judge(validator)
    _attest(validator)
    miner.tick(1)
    assert miner.vesting(miner.address) > 0
    validator.challenge(1, 1)
    assert (miner.vesting(miner.address), miner.shares_of(1, miner.address)) == (0, 0)
    assert miner.carry(1) > 0
    with pytest.raises(Reverted) as caught:
        validator.challenge(1, 1)
    assert caught.value.name == "TooLate"


def test_dataset_when_validators_vote_then_it_counts_the_lower_median() -> None:
    ledger, owner, validators = _world(validators=3)
    ledger.deposit = 10
    dataset = owner.register_dataset(1, DIGEST, "MIT", 1, 1, 1)
    assert owner.token_balance(owner.address) == 1000 - 100 - 10
    for validator, value in zip(validators, (9_000, 4_000), strict=False):
        validator.vote_dataset(dataset.id, True, value)
    info = owner.dataset(dataset.id)
    assert (info.status.name, info.value, info.deposit) == ("ACCEPTED", 4_000, 10)
    owner.reclaim_deposit(dataset.id)
    assert owner.token_balance(owner.address) == 1000 - 100
    for validator in validators[:2]:
        validator.vote_dataset(dataset.id, False)
    assert owner.dataset(dataset.id).status.name == "REMOVED"


def test_delta_when_it_is_never_shown_then_a_part_of_the_stake_is_taken() -> None:
    ledger, miner, _ = _world()
    other = FakeChain(ledger, fake_address(77))
    ledger.tokens[other.address] = 10**6
    other.stake(1, Role.MINER, 10**6)
    ledger.mine()
    miner.tick(1)
    for chain in (miner, other):
        chain.commit_delta(1, 1, delta_commitment(*_args(chain), DIGEST, SALT))
    ledger.mine()
    miner.reveal_delta(1, 1, Reveal(DIGEST, SALT, DeltaKind.TRAIN, b"\x01" * 32, (), 100))
    ledger.mine(30)
    miner.tick(1)
    assert other.own_stake_of(other.address, 1, Role.MINER) == 10**6 - 1000


def test_round_when_submissions_are_many_then_the_consensus_comes_in_pages() -> None:
    ledger, first, (validator,) = _world()
    miners = [first] + [FakeChain(ledger, fake_address(1000 + n)) for n in range(39)]
    for miner in miners[1:]:
        ledger.tokens[miner.address] = 100
        miner.stake(1, Role.MINER, 100)
    ledger.policies[0] = Policy(200, 3, 200, 3, 3, 3, 3)
    ledger.mine()
    first.tick(1)
    for number, miner in enumerate(miners):
        miner.commit_delta(1, 1, delta_commitment(*_args(miner), bytes([number + 1]) * 32, SALT))
    ledger.mine()
    for number, miner in enumerate(miners):
        reveal = Reveal(bytes([number + 1]) * 32, SALT, DeltaKind.TRAIN, b"\x01" * 32, (), 100)
        miner.reveal_delta(1, 1, reveal)
    ledger.mine()
    scores, reasons = list(range(1, 41)), [ScoreReason.OK] * 40
    validator.commit_scores(1, 1, score_commitment(*_args(validator), scores, reasons, REPORT, SALT))
    ledger.mine()
    validator.reveal_scores(1, 1, scores, reasons, REPORT, SALT)
    ledger.mine()
    receipt = first.tick(1)
    assert [len(e.args["consensus"]) for e in receipt.events if e.name == "ConsensusPage"] == [32, 8]
    assert [s.consensus for s in first.submissions(1, 1)] == scores
