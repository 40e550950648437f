"""What the queries say of rounds on a chain in memory."""

from __future__ import annotations

from client.commitments import delta_commitment, score_commitment
from client.fakes import FakeChain, FakeLedger, fake_address
from client.queries import Filter, balances, contributions, model_tree, rewards, round_states, stakes
from client.types import Policy, Reveal
from contracts.enums import DeltaKind, Level, Role, ScoreReason

SALT, REPORT, GENESIS = b"\x22" * 32, b"\x44" * 32, b"\x01" * 32


def _world() -> tuple[FakeLedger, list[FakeChain], FakeChain]:
    """Two miners, one validator, a round that is open."""
    ledger = FakeLedger()
    accounts = [FakeChain(ledger, fake_address(0xA0 + i)) for i in range(3)]
    for account in accounts:
        ledger.tokens[account.address] = 1000
    accounts[0].register_model(0, Level.GLOBAL, "global", "general", GENESIS, Policy(4, 3, 3, 3, 3, 3, 3))
    for miner in accounts[:2]:
        miner.stake(1, Role.MINER, 100)
    accounts[2].stake(1, Role.VALIDATOR, 100)
    ledger.mine()
    accounts[0].tick(1)
    return ledger, accounts[:2], accounts[2]


def _commit(chain: FakeChain, digest: bytes) -> None:
    where = (chain.chain_id, chain.contract_address("Rounds"), 1, 1, chain.address)
    chain.commit_delta(1, 1, delta_commitment(*where, digest, SALT))


def _score(validator: FakeChain, scores: list[int], reasons: list[ScoreReason]) -> None:
    where = (validator.chain_id, validator.contract_address("Rounds"), 1, 1, validator.address)
    validator.commit_scores(1, 1, score_commitment(*where, scores, reasons, REPORT, SALT))
    validator.ledger.mine()
    validator.reveal_scores(1, 1, scores, reasons, REPORT, SALT)


def test_contributions_when_a_delta_is_never_revealed_then_it_says_so() -> None:
    ledger, (first, second), validator = _world()
    for number, miner in enumerate((first, second)):
        _commit(miner, bytes([number + 1]) * 32)
    (one, two) = contributions(first)
    assert one.note == "committed, not revealed yet"
    ledger.mine()
    first.reveal_delta(1, 1, Reveal(b"\x01" * 32, SALT, DeltaKind.TRAIN, GENESIS, (), 10))
    ledger.mine(3)
    _score(validator, [0], [ScoreReason.FORGETS])
    ledger.mine()
    first.tick(1)
    (two, one, score) = contributions(first, Filter(round=1))
    assert (two.kind, two.note, two.score) == ("DELTA", "zero: committed and never revealed", 0)
    assert one.note == f"zero: it costs the model what it knew (say {validator.address[:8]})"
    assert score.kind == "SCORE"
    assert score.details["reasons"] == ["FORGETS"]
    assert [c.kind for c in contributions(first, Filter(kinds=frozenset({"TRAIN"})))] == ["DELTA", "TRAIN"]
    assert contributions(first, Filter(address=second.address.upper().replace("0X", "0x")))[0].kind == "DELTA"


def test_contributions_when_the_round_is_void_then_the_reason_is_in_words() -> None:
    ledger, (first, second), _ = _world()
    _commit(first, b"\x01" * 32)
    _commit(second, b"\x02" * 32)
    ledger.mine()
    first.reveal_delta(1, 1, Reveal(b"\x01" * 32, SALT, DeltaKind.TRAIN, GENESIS, (), 10))
    ledger.mine(20)
    first.tick(1)
    notes = {entry.kind: entry.note for entry in contributions(first)}
    assert notes["TRAIN"] == "void: too little of the frozen stake revealed scores"


def test_rounds_when_one_is_live_then_blocks_left_are_counted() -> None:
    ledger, (first, _), _ = _world()
    (state,) = round_states(first)
    assert state.blocks_left == state.info.phase_end - ledger.block_number
    assert state.percent(50) == 50
    ledger.mine(30)
    (state,) = round_states(first, "global", 5)
    assert state.blocks_left is None
    assert "waits to be settled" in state.note


def test_balances_when_staked_then_nothing_is_lost() -> None:
    _, (first, _), _ = _world()
    found = balances(first, first.address)
    assert found.tokens + found.staked == 1000
    assert found.shares == {}
    assert [(e.role, e.amount, e.counts) for e in stakes(first, first.address)] == [(Role.MINER, 100, True)]
    assert rewards(first, first.address).earned == ()
    assert [(e.depth, e.round, e.validator_stake) for e in model_tree(first)] == [(0, 1, 100)]
