"""``Rewards`` and ``contracts.reference`` divide a round's emission alike, to the wei, on random rounds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import reference
from contracts.artifact import Artifact, load_artifact
from contracts.enums import RewardKind
from contracts.reference import TOKEN, Ancestor, EmissionSplit, Ended, Pool
from tests.contracts.evm import Contract, Evm, deploy
from tests.contracts.net import HARNESS

SOME = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NOBODY = "0x" + "00" * 20
TREASURY, ARCHIVE = "0x" + "77" * 20, "0x" + "a7" * 20
weights = st.one_of(st.just(0), st.integers(1, 9), st.integers(1, 10**9))
powers = st.one_of(st.just(0), st.integers(1, 9), st.integers(1, 10**29))
amounts = st.one_of(st.just(0), st.integers(1, 10**26))


@dataclass(frozen=True)
class Case:
    """A void round, and one that pays. Payees are weights; pools stand beside their validators."""

    void_blocks: int
    blocks: int
    model_stake: int
    global_stake: int
    emission_bps: int
    miners: list[int]
    owners: list[int]
    validators: list[int]
    pools: list[Pool]
    has_parent_shares: bool
    has_root_shares: bool
    has_archive: bool

    def expected(self) -> tuple[EmissionSplit, list[tuple[str, int]]]:
        """How the reference divides the second round, and its shares."""
        ended = Ended(False, named("m", self.miners), named("v", self.validators), named("d", self.owners))
        part = (self.model_stake, self.global_stake, self.emission_bps)
        before, now = (reference.emission_for(TOKEN, blocks, *part) for blocks in (self.void_blocks, self.blocks))
        split = reference.split_emission(
            ended,
            now,
            before,
            90_000_000 * TOKEN,
            [Ancestor(2, self.has_parent_shares), Ancestor(1, self.has_root_shares)],
            archive="archive" if self.has_archive else None,
            pools={f"v{index}": pool for index, pool in enumerate(self.pools)},
        )
        return split, reference.divide_shares(2, ended.miners, ended.contributors) if ended.accepted else []

    def solidity(self) -> tuple[Any, ...]:
        """The same for the contract."""
        backing = [(pool.own, pool.delegated, pool.commission_bps) for pool in self.pools]
        none = [(0, 0, 0)] * max(len(self.miners), len(self.owners))
        lists = ((0xE0, self.miners, none), (0xD0, self.owners, none), (0xF0, self.validators, backing))
        payees = [payees_of(*entry) for entry in lists]
        return (
            *(self.void_blocks, self.blocks, self.model_stake, self.global_stake, self.emission_bps, *payees),
            *(self.has_parent_shares, self.has_root_shares, ARCHIVE if self.has_archive else NOBODY),
        )


def payees_of(kind: int, given_weights: list[int], extras: list[tuple[int, int, int]]) -> list[tuple[Any, ...]]:
    """Payees as the contract takes them; their addresses end with their kind."""
    pairs = enumerate(zip(given_weights, extras, strict=False))
    return [(f"0x{index + 1:038x}{kind:02x}", weight, *extra) for index, (weight, extra) in pairs]


def named(kind: str, given_weights: list[int]) -> tuple[tuple[str, int], ...]:
    """Payees as the reference takes them."""
    return tuple((f"{kind}{index}", weight) for index, weight in enumerate(given_weights))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Up to 4 payees of each kind; often nobody, and often without weight."""
    miners = draw(st.lists(weights, max_size=4))
    model_stake = draw(amounts)
    validators = draw(st.lists(powers, max_size=4))
    pool = st.builds(Pool, own=amounts, delegated=amounts, commission_bps=st.integers(0, 5000))
    return Case(
        void_blocks=draw(st.sampled_from([0, 7, 100_000])),
        blocks=draw(st.sampled_from([0, 1, 333, 333, 100_000])),
        model_stake=model_stake,
        global_stake=model_stake + draw(amounts),
        emission_bps=draw(st.sampled_from([0, 1, 3_333, 10_000, 10_000])),
        miners=miners,
        owners=draw(st.lists(weights, max_size=4)) if miners and miners[0] else [],
        validators=validators,
        pools=draw(st.lists(pool, min_size=len(validators), max_size=len(validators))),
        has_parent_shares=draw(st.booleans()),
        has_root_shares=draw(st.booleans()),
        has_archive=draw(st.booleans()),
    )


@dataclass(frozen=True)
class Till:
    """The deployed contracts."""

    payer: Contract
    rewards: Contract
    token: Contract

    def settle(self, case: Case) -> Any:
        """What a case pays; nothing of it stays."""
        return self.payer.call("settle", self.rewards.address, self.token.address, case.solidity())


def plain(artifact: Artifact) -> dict[str, Any]:
    """An artifact as ``deploy`` takes it."""
    return {"contractName": artifact.name, "abi": artifact.abi, "bytecode": artifact.bytecode}


@pytest.fixture(scope="session")
def till(evm: Evm) -> Till:
    """Token and Rewards, settled by a contract that is everything else."""
    sender = evm.accounts[0]
    payer = deploy(evm, json.loads(HARNESS.with_name("Payer.json").read_text()), (), sender)
    token = deploy(evm, plain(load_artifact("StrataToken")), (TREASURY,), sender)
    rest = (payer.address, payer.address, TREASURY, 0, payer.address)
    rewards = deploy(evm, plain(load_artifact("Rewards")), (token.address, *rest), sender)
    token.send("initialize", rewards.address, sender=sender)
    rewards.send("initialize", payer.address, payer.address, sender=sender)
    return Till(payer, rewards, token)


@SOME
@given(case=cases())
def test_round_when_settled_twice_then_equal_to_the_wei(till: Till, case: Case) -> None:
    split, shares = case.expected()
    found = till.settle(case)
    paid = {(payment.account, payment.kind): payment.amount for payment in split.payments}
    for kind, prefix, amounts_paid in (
        (RewardKind.MINER, "m", found.miners),
        (RewardKind.DATA, "d", found.owners),
        (RewardKind.VALIDATOR, "v", found.validators),
        (RewardKind.DELEGATION, "v", found.delegators),
    ):
        assert list(amounts_paid) == [paid.get((f"{prefix}{n}", kind), 0) for n in range(len(amounts_paid))]
    assert found.archive == paid.get(("archive", RewardKind.ARCHIVE), 0)
    assert (found.minted, found.carry, found.treasury) == (split.minted, split.carried_out, split.treasury)
    for dividends, model in ((found.parent, 2), (found.root, 1)):
        assert 0 <= dict(split.dividends).get(model, 0) - dividends <= 1  # a share's dividend is rounded down
    names = [who for who, _ in named("m", case.miners) + named("d", case.owners)]
    assert list(found.shares) == [dict(shares).get(name, 0) for name in names]
    assert split.emission + split.carried_in == found.minted + found.carry
