"""Not a wei is lost or made up, whatever is done in whatever order."""

from __future__ import annotations

import random

import pytest

from tests.contracts.evm import Reverted
from tests.contracts.net import MINER, TOKEN, VALIDATOR, Net, Play, digest

STEPS = 80


def check(net: Net) -> None:
    """Every token is somewhere, and who owes can pay."""
    contracts = [net.token, net.models, net.staking, net.data, net.rewards, net.channels, net.rounds]
    held = sum(net.balance(account) for account in net.evm.accounts)
    held += sum(net.balance(contract.address) for contract in contracts)
    assert held == net.token.call("totalSupply")
    assert net.balance(net.rewards.address) == net.rewards.call("owed")
    everybody = net.evm.accounts
    roles = [(model, role) for model in (1, 2) for role in (MINER, VALIDATOR)]
    staked = sum(net.staking.call("stakeOf", who, model, role) for who in everybody[:12] for model, role in roles)
    waiting = sum(net.staking.call("pendingOf", who) for who in everybody[:12])
    assert net.balance(net.staking.address) == staked + waiting
    promised = sum(
        net.rewards.call("claimable", who, [1, 2]) + net.rewards.call("vesting", who) for who in everybody[:12]
    )
    assert 0 <= net.rewards.call("owed") - promised < 1000  # rounding, never short


class Chaos:
    """Random moves; what a contract refuses is no move."""

    def __init__(self, net: Net, plays: list[Play], seed: int) -> None:
        self.net, self.plays, self.random, self.done = net, plays, random.Random(seed), 0

    def step(self) -> None:
        net, dice = self.net, self.random
        play = dice.choice(self.plays)
        who = dice.choice([*net.miners, *net.validators])
        role = MINER if who in net.miners else VALIDATOR
        amount = dice.choice([1, TOKEN // 3, TOKEN, 3 * TOKEN])
        moves = [
            *[lambda: self.advance(play)] * 6,
            lambda: net.stake(who, play.model, role, amount),
            lambda: net.staking.send("unstake", play.model, role, amount, sender=who),
            lambda: net.staking.send("withdraw", sender=who),
            lambda: net.rewards.send("claim", [1, 2], sender=who),
            lambda: net.staking.send("rejoin", play.model, sender=who),
            lambda: net.evm.mine(dice.choice([1, 5, 40])),
        ]
        try:
            dice.choice(moves)()
            self.done += 1
        except Reverted:
            pass

    def advance(self, play: Play) -> None:
        """A part of a round, in which some are missing."""
        some = [v for v in self.net.validators if self.random.random() < 0.85]
        if play.round == 0 or play.view().settled:
            play.open()
            return
        phase = play.phase()
        if phase == 1:
            play.mine_deltas([m for m in self.net.miners if self.random.random() < 0.9])
        elif phase == 4:
            row = [self.random.choice([0, 7, 10**9]) for _ in range(play.view().reveals)]
            play.judge(dict.fromkeys(some, row))
        elif phase == 6:
            play.attest(dict.fromkeys(some, digest(self.done)))
        else:
            play.tick()


@pytest.mark.parametrize("seed", [1, 2])
def test_tokens_when_anything_happens_then_none_is_lost(net: Net, root: int, seed: int) -> None:
    law = net.register("law", root, 2)
    for model in (root, law):
        net.staffed(model)
    chaos = Chaos(net, [Play(net, root), Play(net, law)], seed)
    for step in range(STEPS):
        chaos.step()
        if step % 30 == 29:
            check(net)
    assert chaos.done > STEPS // 2
    assert net.rewards.call("settledRounds") > 3
    check(net)
