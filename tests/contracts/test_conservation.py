"""Not a wei is lost or made up, whatever is done in whatever order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from client.wallet import sign_voucher
from contracts.enums import Level, Phase, Role
from tests.contracts.evm import Evm, Reverted
from tests.contracts.net import TOKEN, Net, Play, deploy_net

STEPS = 100
GENESIS = 10_000_000 * TOKEN
DEPOSIT = TOKEN  # of a dataset
DUST = 10_000  # wei of rounding in what Staking and Rewards owe to single accounts
ROLES = (Role.MINER, Role.VALIDATOR)


@pytest.fixture(scope="module")
def deployed(evm: Evm) -> Net:
    """A network in which datasets cost a deposit, and rewards can be objected to for some blocks."""
    return deploy_net(evm, dataset_deposit=DEPOSIT, vesting_blocks=20)


class Books:
    """What the events say that everybody should have."""

    def __init__(self, net: Net, models: Sequence[int]) -> None:
        self.net, self.models = net, models

    def check(self) -> None:
        """Every token is somewhere, and who holds tokens holds just what it owes."""
        net = self.net
        held = sum(net.balance(account) for account in (*net.evm.accounts, *net.network.contracts.values()))
        assert held == net.token.call("totalSupply")
        minted = self.sum(net.rewards, "EmissionSettled", "minted")
        assert held == GENESIS + minted - self.sum(net.rewards, "RewardsVoided", "amount")
        assert net.balance(net.rewards.address) == net.rewards.call("owed")
        assert net.rewards.call("reserved") == 0  # each round settles in one transaction here
        assert net.balance(net.data.address) == self._deposits()
        assert net.balance(net.channels.address) == self._locked()
        assert net.balance(net.rounds.address) == net.balance(net.token.address) == 0
        assert net.balance(net.deployer) == GENESIS + self._treasury()
        assert 0 <= net.balance(net.staking.address) - self._staked() < DUST

    def check_promises(self) -> None:
        """Once everything has matured, accounts can claim what is owed."""
        net = self.net
        net.evm.mine(net.settings.vesting_blocks)
        pools = [net.rewards.call("poolAccountOf", model, who) for model in self.models for who in net.validators]
        promised = sum(net.rewards.call("claimable", who, list(self.models)) for who in net.evm.accounts)
        promised += sum(net.rewards.call("claimable", pool, []) for pool in pools)
        assert 0 <= net.rewards.call("owed") - promised < DUST

    def events(self, contract: Any, name: str) -> list[Any]:
        where = {"fromBlock": hex(self.net.network.deploy_block), "toBlock": "latest", "address": contract.address}
        return [log.args for log in self.net.evm.decoded(self.net.evm.rpc("eth_getLogs", where)) if log.name == name]

    def sum(self, contract: Any, name: str, field: str) -> int:
        return sum(int(getattr(args, field)) for args in self.events(contract, name))

    def _treasury(self) -> int:
        """What the treasury earned, less what it gave away."""
        net = self.net
        given = sum(args.value for args in self.events(net.token, "Transfer") if getattr(args, "from") == net.deployer)
        earned = self.sum(net.rewards, "TreasuryPaid", "amount") + self.sum(net.staking, "Slashed", "amount")
        return int(earned + DEPOSIT * len(self.events(net.data, "DatasetRejected")) - given)

    def _deposits(self) -> int:
        numbers = range(1, int(self.net.data.call("count")) + 1)
        return sum(int(self.net.data.call("get", number).deposit) for number in numbers)

    def _locked(self) -> int:
        opened = self.events(self.net.channels, "ChannelOpened")
        channels = [self.net.channels.call("get", args.channelId) for args in opened]
        return sum(int(channel.deposit - channel.redeemed) for channel in channels)

    def _staked(self) -> int:
        net = self.net
        own = sum(
            net.staking.call("ownStakeOf", who, model, role)
            for who in (*net.miners, *net.validators)
            for model in self.models
            for role in ROLES
        )
        pools = [(model, who) for model in self.models for who in net.validators]
        delegated = sum(net.staking.call("poolOf", *pool)[1] for pool in pools)
        earned = sum(net.staking.call("delegationRewardOf", *pool, net.user) for pool in pools)
        leaving = sum(net.staking.call("pendingOf", who) for who in net.evm.accounts)
        return int(own + delegated + earned + leaving)


class Chaos:
    """Random moves; what a contract refuses is no move."""

    def __init__(self, net: Net, plays: list[Play], seed: int) -> None:
        self.net, self.plays, self.random = net, plays, random.Random(seed)
        self.done: dict[str, int] = {}
        self.channels: list[tuple[bytes, int]] = []
        self.ahead: dict[int, Play] = {}
        """By model: the round that opened before the one that is played was settled."""

    def step(self) -> None:
        moves = [self.advance] * 16 + [self.rest, self.stake, self.unstake, self.withdraw, self.claim, self.rejoin]
        moves += [self.delegate, self.undelegate, self.harvest, self.commission]
        moves += [self.register, self.vote, self.vote, self.leave, self.open_channel, self.redeem, self.close]
        move = self.random.choice(moves)
        try:
            move()
            self.done[move.__name__] = self.done.get(move.__name__, 0) + 1
        except Reverted:
            pass

    # --- stake

    def stake(self) -> None:
        self.net.stake(*self._seat(), self._amount())

    def unstake(self) -> None:
        who, model, role = self._seat()
        self.net.staking.send("unstake", model, role, self._amount(), sender=who)

    def withdraw(self) -> None:
        self.net.staking.send("withdraw", sender=self.random.choice([*self.net.miners, self.net.user]))

    def rejoin(self) -> None:
        model, validator = self._pool()
        self.net.staking.send("rejoin", model, sender=validator)

    def delegate(self) -> None:
        amount = self._amount()
        self.net.fund(self.net.user, amount, self.net.staking)
        self.net.staking.send("delegate", *self._pool(), amount, sender=self.net.user)

    def undelegate(self) -> None:
        pool = self._pool()
        shares = self.net.staking.call("delegationOf", *pool, self.net.user)[0]
        self.net.staking.send("undelegate", *pool, shares // self.random.choice([1, 3]), sender=self.net.user)

    def harvest(self) -> None:
        pool = self._pool()
        self.net.staking.send("harvest", *pool, sender=self.net.stranger)
        self.net.staking.send("claimDelegation", *pool, sender=self.net.user)

    def commission(self) -> None:
        model, validator = self._pool()
        self.net.staking.send("setCommission", model, self.random.choice([0, 333, 5_000]), sender=validator)

    # --- data

    def register(self) -> None:
        net, who = self.net, self.net.contributor
        net.fund(who, DEPOSIT, net.data)
        net.dataset(self.random.choice(self.plays).model, self.random.random(), who)

    def vote(self) -> None:
        for validator in self._some():
            args = (self._dataset(), self.random.random() < 0.6, self.random.choice([0, 5_000, 10_000]))
            self.net.data.send("vote", *args, sender=validator)

    def leave(self) -> None:
        move = self.random.choice(["withdraw", "reclaim"])
        self.net.data.send(move, self._dataset(), sender=self.net.contributor)

    # --- channels

    def open_channel(self) -> None:
        net, model = self.net, self.random.choice(self.plays).model
        net.fund(net.user, 3 * TOKEN, net.channels)
        done = net.channels.send("open", net.server, model, 3 * TOKEN, sender=net.user)
        self.channels.append((done.log("ChannelOpened").args.channelId, model))

    def redeem(self) -> None:
        channel, model = self.random.choice(self.channels or [(bytes(32), 1)])
        amount = self.random.randrange(1, 3 * TOKEN)
        key = self.net.evm.account(self.net.evm.accounts.index(self.net.user))
        signed = sign_voucher(key, self.net.network, channel, model, amount)
        self.net.channels.send("redeem", channel, amount, signed, sender=self.net.server)

    def close(self) -> None:
        channel, _ = self.random.choice(self.channels or [(bytes(32), 1)])
        move = self.random.choice(["startClose", "close", "closeByServer"])
        who = self.net.server if move == "closeByServer" else self.net.user
        self.net.channels.send(move, channel, sender=who)

    # --- rounds

    def rest(self) -> None:
        self.net.evm.mine(self.random.choice([1, 5, 40, 40, 700]))

    def claim(self) -> None:
        who = self.random.choice([*self.net.miners, *self.net.validators, self.net.contributor, self.net.server])
        self.net.rewards.send("claim", [play.model for play in self.plays], sender=who)

    def advance(self) -> None:
        """A part of a round, in which some are missing, and some commit and never reveal."""
        number = self.random.randrange(len(self.plays))
        play = self.plays[number]
        if play.round == 0 or play.view().settled:
            ready = self.ahead.pop(play.model, None)
            self.plays[number] = play.open() if ready is None else ready
            return
        phase = play.phase()
        if phase >= Phase.REVEAL and play.model not in self.ahead and self.random.random() < 0.5:
            self._open_ahead(play.model)
        if phase <= Phase.COMMIT:
            self._mine(play)
        elif phase == Phase.SCORE:
            self._judge(play, [self.random.choice([0, 7, 10**9]) for _ in range(play.view().reveals)])
        elif phase == Phase.ATTEST:
            play.attest(self._some())
        else:
            play.skip_to(Phase.FINAL)
            play.settle()
            if self.random.random() < 0.4:
                self._challenge(play)

    def _open_ahead(self, model: int) -> None:
        """Opens the next round, in which some commit at once."""
        self.ahead[model] = Play(self.net, model).open()
        for miner in self.net.miners:
            if self.random.random() < 0.4:
                self.ahead[model].commit(miner)
        self.done["open_ahead"] = self.done.get("open_ahead", 0) + 1

    def _mine(self, play: Play) -> None:
        for miner in self.net.miners:
            if not self._has_committed(play, miner) and self.random.random() < 0.9:
                play.commit(miner)
        play.skip_to(Phase.REVEAL)
        for miner in self.net.miners:
            if self._has_committed(play, miner) and self.random.random() < 0.9:
                play.reveal(miner, self._usable(play))

    def _has_committed(self, play: Play, miner: str) -> bool:
        return any(self.net.rounds.call("committed", play.model, play.round, miner)[0])

    def _judge(self, play: Play, scores: list[int]) -> None:
        validators = self._some()
        for validator in validators:
            play.commit_scores(validator, scores)
        play.skip_to(Phase.SCORE_REVEAL)
        for validator in validators:
            if self.random.random() < 0.95:
                play.reveal_scores(validator, scores)
        play.skip_to(Phase.ATTEST)

    def _challenge(self, play: Play) -> None:
        """All object to a round."""
        for validator in self.net.validators:
            play.send("challenge", sender=validator)

    # --- chance

    def _amount(self) -> int:
        return self.random.choice([1, TOKEN // 3, TOKEN, 3 * TOKEN])

    def _pool(self) -> tuple[int, str]:
        return self.random.choice(self.plays).model, self.random.choice(self.net.validators)

    def _seat(self) -> tuple[str, int, Role]:
        who = self.random.choice([*self.net.miners, *self.net.validators])
        role = Role.MINER if who in self.net.miners else Role.VALIDATOR
        return who, self.random.choice(self.plays).model, role

    def _some(self) -> list[str]:
        return [validator for validator in self.net.validators if self.random.random() < 0.9]

    def _dataset(self) -> int:
        return self.random.randrange(1, self.net.data.call("count") + 2)

    def _usable(self, play: Play) -> list[int]:
        opened, call = play.view().openBlock, self.net.data.call
        everything = range(1, call("count") + 1)
        return [n for n in everything if call("modelOf", n) == play.model and call("isUsableAt", n, opened)][:3]


@pytest.mark.parametrize("seed", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_tokens_when_anything_happens_then_none_is_lost(net: Net, seed: int) -> None:
    root = net.register("global")
    law = net.register("law", root, Level.FIELD)
    net.list(root, law)
    for model in (root, law):
        net.staffed(model)
    chaos, books = Chaos(net, [Play(net, root), Play(net, law)], seed), Books(net, (root, law))
    for step in range(STEPS):
        chaos.step()
        if step % 30 == 29:
            books.check()
    assert sum(chaos.done.values()) > STEPS // 2
    assert chaos.done["open_ahead"] > 1 and len(books.events(net.rounds, "RoundReleased")) > 1
    for contract, event in ((net.rewards, "RewardsVoided"), (net.rewards, "SharesMinted"), (net.staking, "Slashed")):
        assert books.events(contract, event)
    books.check_promises()
    books.check()
