"""A network put on a chain by ``client.deploy``, and the moves of its rounds, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from client.chain import Chain
from client.commitments import delta_commitment, head_commitment, score_commitment
from client.council import Proposal, execute, list_model, propose
from client.deploy import DeploySettings, deploy
from client.settings import Network
from client.types import Policy
from contracts.artifact import load_artifact
from contracts.enums import Level, Phase, Role
from tests.contracts.evm import Contract, Done, Evm, at

TOKEN = 10**18
WINDOWS = (40, 30, 30, 40, 30, 30, 30)
STAKES = (30 * TOKEN, 26 * TOKEN, 24 * TOKEN, 20 * TOKEN)
MINER_STAKE = 5 * TOKEN
SETTLED_WITHIN = 10  # ticks
HARNESS = Path(__file__).parent / "harness" / "Harness.json"
CONTRACTS = {
    "token": "StrataToken",
    "models": "ModelRegistry",
    "staking": "Staking",
    "data": "DataRegistry",
    "rewards": "Rewards",
    "channels": "InferenceChannels",
    "rounds": "Rounds",
}


def digest(word: object) -> bytes:
    """32 bytes that stand for anything."""
    return bytes(keccak(text=str(word)))


@dataclass(frozen=True)
class Net:
    """All contracts, and who is who."""

    evm: Evm
    network: Network
    settings: DeploySettings
    token: Contract
    models: Contract
    staking: Contract
    data: Contract
    rewards: Contract
    channels: Contract
    rounds: Contract

    @property
    def deployer(self) -> str:
        """Deploys; treasury, council and guardian, too."""
        return self.evm.accounts[0]

    @property
    def miners(self) -> list[str]:
        return self.evm.accounts[1:5]

    @property
    def validators(self) -> list[str]:
        return self.evm.accounts[5:9]

    @property
    def contributor(self) -> str:
        return self.evm.accounts[9]

    @property
    def server(self) -> str:
        return self.evm.accounts[10]

    @property
    def user(self) -> str:
        return self.evm.accounts[11]

    @property
    def stranger(self) -> str:
        return self.evm.accounts[12]

    def client(self, account: str) -> Chain:
        """The chain as the client sees it for one of the accounts."""
        key = self.evm.account(self.evm.accounts.index(account))
        return Chain.connect(self.network, key, patience=2.0, receipt_seconds=20.0)

    def fund(self, account: str, amount: int, spender: Contract) -> None:
        """Give an account tokens and let ``spender`` take them."""
        self.token.send("transfer", account, amount, sender=self.deployer)
        self.token.send("approve", spender.address, 2**256 - 1, sender=account)

    def stake(self, account: str, model: int, role: int, amount: int) -> None:
        """Fund and stake."""
        self.fund(account, amount, self.staking)
        self.staking.send("stake", model, role, amount, sender=account)

    def register(self, name: str, parent: int = 0, level: int = Level.GLOBAL, windows: Sequence[int] = WINDOWS) -> int:
        """Register a model of the deployer's."""
        policy = Policy(*windows).as_tuple()
        args = (parent, level, name, "law", digest(name), policy)
        return int(self.models.send("register", *args, sender=self.deployer).log("ModelRegistered").args.id)

    def propose(self, *models: int) -> Proposal:
        """The council proposes that models earn emission."""
        return propose(self.client(self.deployer), [list_model(model, 10_000) for model in models])

    def list(self, *models: int) -> None:
        """Models earn emission from now on."""
        proposal = self.propose(*models)
        self.evm.pass_seconds(self.settings.governance_delay_seconds + 1)
        execute(self.client(self.stranger), proposal)

    def dataset(self, model: int, word: object, owner: str) -> int:
        """Announce a dataset, and register it in the block after."""
        root, salt = digest(word), digest("salt")
        self.data.send("announce", self.data.call("commitmentOf", model, owner, root, salt), sender=owner)
        done = self.data.send("register", model, root, "Apache-2.0", 1000, 4, 1, salt, sender=owner)
        return int(done.log("DatasetRegistered").args.id)

    def staffed(self, model: int) -> None:
        """The four miners and the four validators stake on a model."""
        for miner in self.miners:
            self.stake(miner, model, Role.MINER, MINER_STAKE)
        for validator, amount in zip(self.validators, STAKES, strict=True):
            self.stake(validator, model, Role.VALIDATOR, amount)

    def balance(self, account: str) -> int:
        """Tokens in wei."""
        return int(self.token.call("balanceOf", account))


def deploy_net(evm: Evm, **changes: Any) -> Net:
    """Deploys as the client does; ``changes`` are of :meth:`DeploySettings.local`."""
    settings = DeploySettings.local(**changes)
    network = deploy(evm.url, evm.account(0), settings)
    contracts = {
        key: at(evm, name, load_artifact(name).abi, network.contracts[name]) for key, name in CONTRACTS.items()
    }
    return Net(evm, network, settings, **contracts)


class Play:
    """The moves of one model's rounds. Every move is one transaction, so one block."""

    def __init__(self, net: Net, model: int) -> None:
        self.net, self.model, self.round = net, model, 0

    # --- moves

    def open(self) -> Play:
        """Open the next round."""
        number = int(self.net.rounds.call("current", self.model)) + 1
        self.net.rounds.send("tick", self.model, number, sender=self.net.stranger).log("RoundOpened")
        self.round = number
        return self

    def tick(self) -> Done:
        """Tick the round."""
        return self.send("tick", sender=self.net.stranger)

    def settle(self) -> list[Done]:
        """Tick until the round is settled."""
        done = []
        for _ in range(SETTLED_WITHIN):
            done.append(self.tick())
            if done[-1].all("RoundSettled"):
                return done
        raise AssertionError(f"round {self.round} is not settled after {SETTLED_WITHIN} ticks")

    def commit(self, miner: str) -> Done:
        return self.send(
            "commitDelta", delta_commitment(*self.bound(miner), self.delta(miner), self.salt), sender=miner
        )

    def reveal(self, miner: str, datasets: Sequence[int] = ()) -> Done:
        values = (self.delta(miner), self.salt, 0, self.view().baseHead, list(datasets), 1000)
        return self.send("revealDelta", values, sender=miner)

    def commit_scores(self, validator: str, scores: Sequence[int]) -> Done:
        given = (scores, [0] * len(scores), digest("report"), self.salt)
        return self.send("commitScores", score_commitment(*self.bound(validator), *given), sender=validator)

    def reveal_scores(self, validator: str, scores: Sequence[int]) -> Done:
        given = (list(scores), [0] * len(scores), digest("report"), self.salt)
        return self.send("revealScores", *given, sender=validator)

    def commit_head(self, validator: str, head: bytes) -> Done:
        return self.send("commitHead", head_commitment(*self.bound(validator), head, self.salt), sender=validator)

    def reveal_head(self, validator: str, head: bytes) -> Done:
        return self.send("revealHead", head, self.salt, sender=validator)

    def send(self, function: str, *args: Any, sender: str) -> Done:
        return self.net.rounds.send(function, self.model, self.round, *args, sender=sender)

    # --- what is committed

    salt = digest("salt")

    def bound(self, sender: str) -> tuple[int, str, int, int, str]:
        """What every commitment binds."""
        return self.net.network.chain_id, self.net.rounds.address, self.model, self.round, sender

    def delta(self, miner: str) -> bytes:
        return digest((self.model, self.round, miner))

    @property
    def head(self) -> bytes:
        """What honest validators attest in this round."""
        return digest(("head", self.model, self.round))

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
        self.skip_to(Phase.REVEAL)
        for miner in miners:
            self.reveal(miner, datasets)

    def judge(self, validators: Sequence[str], scores: Sequence[int]) -> None:
        """Validators commit and reveal scores."""
        self.skip_to(Phase.SCORE)
        for validator in validators:
            self.commit_scores(validator, scores)
        self.skip_to(Phase.SCORE_REVEAL)
        for validator in validators:
            self.reveal_scores(validator, scores)
        self.skip_to(Phase.ATTEST)

    def attest(self, validators: Sequence[str]) -> None:
        """Validators commit and reveal the head."""
        for validator in validators:
            self.commit_head(validator, self.head)
        self.skip_to(Phase.ATTEST_REVEAL)
        for validator in validators:
            self.reveal_head(validator, self.head)
        self.skip_to(Phase.FINAL)

    def whole(self, scores: Sequence[int] = (400, 300, 200, 100)) -> list[Done]:
        """A whole round in which all agree; returns the settling transactions."""
        self.open()
        self.mine_deltas(self.net.miners[: len(scores)])
        self.judge(self.net.validators, scores)
        self.attest(self.net.validators)
        return self.settle()
