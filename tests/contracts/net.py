"""A deployed network and the moves of a round, for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from eth_abi import encode
from eth_utils import keccak

from contracts.artifact import ARTIFACTS
from tests.contracts.evm import Contract, Done, Evm, Reverted, deploy

TOKEN = 10**18
MINER, VALIDATOR = 1, 2
VESTING, UNBONDING, CLOSE_DELAY = 5, 100, 10
WINDOWS = (40, 30, 30, 40, 30, 30, 30)
STAKES = (30 * TOKEN, 26 * TOKEN, 24 * TOKEN, 20 * TOKEN)
TRAIN, COMMIT, REVEAL, SCORE, SCORE_REVEAL, ATTEST, ATTEST_REVEAL, FINAL, VOID = range(1, 10)
EMPTY, NO_SEED, NO_SCORE_QUORUM, NO_HEAD_QUORUM = range(1, 5)
HARNESS = Path(__file__).parent / "harness" / "Harness.json"


def digest(word: object) -> bytes:
    """32 bytes that stand for anything."""
    return keccak(text=str(word))


def artifact(name: str) -> dict[str, Any]:
    """A committed artifact's JSON."""
    data: dict[str, Any] = json.loads((ARTIFACTS / f"{name}.json").read_text())
    return data


@dataclass(frozen=True)
class Net:
    """All contracts, and who is who."""

    evm: Evm
    token: Contract
    models: Contract
    staking: Contract
    data: Contract
    rewards: Contract
    channels: Contract
    rounds: Contract

    @property
    def deployer(self) -> str:
        """Deploys; gets the genesis tokens and is the treasury."""
        return self.evm.accounts[0]

    @property
    def miners(self) -> list[str]:
        return self.evm.accounts[1:4]

    @property
    def validators(self) -> list[str]:
        return self.evm.accounts[4:8]

    @property
    def contributor(self) -> str:
        return self.evm.accounts[8]

    @property
    def user(self) -> str:
        return self.evm.accounts[9]

    @property
    def server(self) -> str:
        return self.evm.accounts[10]

    @property
    def stranger(self) -> str:
        return self.evm.accounts[11]

    @cached_property
    def chain_id(self) -> int:
        return int(self.evm.rpc("eth_chainId"), 16)

    def fund(self, account: str, amount: int, spender: Contract) -> None:
        """Give an account tokens and let ``spender`` take them."""
        self.token.send("transfer", account, amount, sender=self.deployer)
        self.token.send("approve", spender.address, 2**256 - 1, sender=account)

    def stake(self, account: str, model: int, role: int, amount: int) -> None:
        """Fund and stake."""
        self.fund(account, amount, self.staking)
        self.staking.send("stake", model, role, amount, sender=account)

    def register(self, name: str, parent: int = 0, level: int = 0, windows: Sequence[int] = WINDOWS) -> int:
        """Register a model."""
        done = self.models.send(
            "register", parent, level, name, "law", digest(name), tuple(windows), sender=self.deployer
        )
        return int(done.log("ModelRegistered").args.id)

    def dataset(self, model: int, word: object, owner: str | None = None) -> int:
        """Register a dataset."""
        args = (model, digest(word), "Apache-2.0", 1000, 4, 1)
        done = self.data.send("register", *args, sender=owner or self.contributor)
        return int(done.log("DatasetRegistered").args.id)

    def staffed(self, model: int, miners: int = 3) -> None:
        """Miners and the four validators stake on a model."""
        for miner in self.miners[:miners]:
            self.stake(miner, model, MINER, 5 * TOKEN)
        for validator, amount in zip(self.validators, STAKES, strict=True):
            self.stake(validator, model, VALIDATOR, amount)

    def balance(self, account: str) -> int:
        """Tokens in wei."""
        return int(self.token.call("balanceOf", account))


def deploy_net(evm: Evm) -> Net:
    """Deploy and wire everything."""
    owner = evm.accounts[0]

    def make(name: str, *args: Any) -> Contract:
        return deploy(evm, artifact(name), args, owner)

    token = make("StrataToken", owner)
    models = make("ModelRegistry")
    staking = make("Staking", token.address, owner, UNBONDING, TOKEN, TOKEN)
    data = make("DataRegistry", models.address, staking.address)
    rewards = make("Rewards", token.address, models.address, owner, VESTING)
    channels = make("InferenceChannels", token.address, models.address, rewards.address, CLOSE_DELAY)
    rounds = make("Rounds", staking.address, models.address, data.address, rewards.address)
    token.send("initialize", rewards.address, sender=owner)
    models.send("initialize", rounds.address, sender=owner)
    staking.send("initialize", rounds.address, sender=owner)
    rewards.send("initialize", rounds.address, channels.address, sender=owner)
    return Net(evm, token, models, staking, data, rewards, channels, rounds)


class Play:
    """The moves of one model's rounds. Every move is one transaction, so one block."""

    def __init__(self, net: Net, model: int) -> None:
        self.net, self.model, self.round = net, model, 0

    # --- moves

    def tick(self, sender: str | None = None) -> Done:
        """Tick whatever is due; follows the round that is opened."""
        last = self.net.rounds.call("current", self.model)
        settled = last == 0 or self.net.rounds.call("roundView", self.model, last).settled
        done = self.tick_round(last + settled, sender)
        for log in done.all("RoundOpened"):
            self.round = log.args.round
        return done

    def tick_round(self, number: int, sender: str | None = None) -> Done:
        """Tick one round, whichever is due."""
        return self.net.rounds.send("tick", self.model, number, sender=sender or self.net.stranger)

    def open(self) -> Play:
        """Open the next round."""
        self.tick().log("RoundOpened")
        return self

    def commit(self, miner: str) -> Done:
        types = ["uint256", "address", "uint256", "uint64", "address", "bytes32", "bytes32"]
        values = [*self.prefix(miner), self.delta(miner), digest("salt")]
        return self.send("commitDelta", keccak(encode(types, values)), sender=miner)

    def reveal(self, miner: str, datasets: Sequence[int] = (), **changes: Any) -> Done:
        fields = {"digest": self.delta(miner), "salt": digest("salt"), "kind": 0, "base": self.view().baseHead}
        fields.update(changes)
        values = (fields["digest"], fields["salt"], fields["kind"], fields["base"], list(datasets), 1000)
        return self.send("revealDelta", values, sender=miner)

    def commit_scores(self, validator: str, scores: Sequence[int], reasons: Sequence[int] | None = None) -> Done:
        return self.send("commitScores", self.scores_hash(validator, scores, reasons), sender=validator)

    def reveal_scores(self, validator: str, scores: Sequence[int], reasons: Sequence[int] | None = None) -> Done:
        given = list(reasons if reasons is not None else [0] * len(scores))
        return self.send("revealScores", list(scores), given, digest("report"), digest("salt"), sender=validator)

    def commit_head(self, validator: str, head: bytes) -> Done:
        types = ["uint256", "address", "uint256", "uint64", "address", "string", "bytes32", "bytes32"]
        values = [*self.prefix(validator), "HEAD", head, digest("salt")]
        return self.send("commitHead", keccak(encode(types, values)), sender=validator)

    def reveal_head(self, validator: str, head: bytes) -> Done:
        return self.send("revealHead", head, digest("salt"), sender=validator)

    def send(self, function: str, *args: Any, sender: str) -> Done:
        return self.net.rounds.send(function, self.model, self.round, *args, sender=sender)

    # --- hashes

    def prefix(self, sender: str) -> list[Any]:
        return [self.net.chain_id, self.net.rounds.address, self.model, self.round, sender]

    def delta(self, miner: str) -> bytes:
        return digest((self.model, self.round, miner))

    def scores_hash(self, validator: str, scores: Sequence[int], reasons: Sequence[int] | None) -> bytes:
        types = ["uint256", "address", "uint256", "uint64", "address", "uint64[]", "uint8[]", "bytes32", "bytes32"]
        given = list(reasons if reasons is not None else [0] * len(scores))
        tail = [list(scores), given, digest("report"), digest("salt")]
        return keccak(encode(types, [*self.prefix(validator), *tail]))

    # --- reading

    def view(self) -> Any:
        return self.net.rounds.call("roundView", self.model, self.round)

    def phase(self, ahead: int = 1) -> int:
        """The phase in which a transaction in the next block would be."""
        return int(self.net.rounds.call("phaseAt", self.model, self.round, self.net.evm.block + ahead)[0])

    def reason(self) -> int:
        return int(self.net.rounds.call("phaseAt", self.model, self.round, self.net.evm.block + 1)[2])

    def skip_to(self, phase: int) -> None:
        """Mine until the next transaction is in ``phase`` (or the round has ended)."""
        for _ in range(10):
            now, end, _reason = self.net.rounds.call("phaseAt", self.model, self.round, self.net.evm.block + 1)
            if now >= phase:
                return
            self.net.evm.mine_to(end - 1)
        raise AssertionError(f"phase {phase} does not come")

    # --- whole parts

    def mine_deltas(self, miners: Sequence[str], datasets: Sequence[int] = ()) -> None:
        """All commit, then all reveal."""
        for miner in miners:
            self.commit(miner)
        self.skip_to(REVEAL)
        for miner in miners:
            self.reveal(miner, datasets)

    def judge(self, scores: dict[str, Sequence[int]]) -> None:
        """Validators commit and reveal scores."""
        self.skip_to(SCORE)
        for validator, row in scores.items():
            self.commit_scores(validator, row)
        self.skip_to(SCORE_REVEAL)
        for validator, row in scores.items():
            self.reveal_scores(validator, row)
        self.skip_to(ATTEST)

    def attest(self, heads: dict[str, bytes]) -> None:
        """Validators commit and reveal heads."""
        for validator, head in heads.items():
            self.commit_head(validator, head)
        self.skip_to(ATTEST_REVEAL)
        for validator, head in heads.items():
            self.reveal_head(validator, head)
        self.skip_to(FINAL)

    def whole(self, datasets: Sequence[int] = (), scores: Sequence[int] = (300, 200, 100)) -> Done:
        """A whole round in which all agree; returns the settling transaction."""
        net = self.net
        self.open()
        self.mine_deltas(net.miners[: len(scores)], datasets)
        self.judge(dict.fromkeys(net.validators, scores))
        self.attest({validator: digest(("head", self.round)) for validator in net.validators})
        return self.tick()


def refuses(name: str, *arguments: Any) -> Any:
    """``pytest.raises`` for a contract's error, with its arguments where given."""
    import pytest

    return pytest.raises(Reverted, check=lambda e: e.name == name and (not arguments or e.arguments == arguments))
