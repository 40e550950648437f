"""A short history on a real chain: deltas, scores, heads, a void round, a round without gain, a paid answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.assignment import assign_shards, assigned_datasets, shard_list
from client.chain import Chain
from client.commitments import delta_commitment, head_commitment, score_commitment
from client.deploy import TOKEN
from client.replay import Accepted, ModelState, build_next_head, load_state, publish
from client.settings import Network
from client.storage import MemoryStore
from client.types import ModelInfo, Policy, Reveal
from client.wallet import sign_voucher
from contracts.enums import DeltaKind, Level, Role, ScoreReason
from tests.unit.test_replay import World, make_world

TREASURY, MINERS, VALIDATORS, CONTRIBUTOR, SERVER, USER = 0, (1, 2), (3, 4, 5), 6, 7, 8
STAKES = (40, 35, 25)
POLICY = Policy(30, 4, 10, 30, 10, 30, 10)
SALT = b"\x07" * 32


@dataclass
class History:
    """The actors, and what they need."""

    network: Network
    chains: dict[int, Chain]
    mine: Callable[[int], None]
    world: World
    states: dict[int, ModelState] = field(default_factory=dict)

    @property
    def store(self) -> MemoryStore:
        return self.world.store

    def play(self) -> None:
        """Everything, in order."""
        treasury = self.chains[TREASURY]
        people = [self.chains[index].address for index in (*MINERS, *VALIDATORS, USER)]
        treasury.pay_many([(who, 0, 1000 * TOKEN) for who in people])
        root = treasury.register_model(0, Level.GLOBAL, "global", "general", self.world.digest, POLICY)
        law = treasury.register_model(root.id, Level.FIELD, "law", "law", self.world.digest, POLICY)
        for model in (root, law):
            for index in MINERS:
                self.chains[index].stake(model.id, Role.MINER, 5 * TOKEN)
            for index, amount in zip(VALIDATORS, STAKES, strict=True):
                self.chains[index].stake(model.id, Role.VALIDATOR, amount * TOKEN)
            self.states[model.id] = load_state(self.store, model.genesis)
            for number in range(3):
                self._submit(model, number)
        self.round(law, [[900, 300], [800, 400], [100, 350]])
        self.round(root, [[0, 500], [0, 500], [0, 500]])
        self.round(law, [[500, 500], [500, 700]])  # the third validator is silent: 3/4 of the stake suffice
        self.round(law, [[500, 500]])  # void: one validator alone
        self.round(law, [[0, 0], [0, 0], [0, 0]])  # no gain: the head stays
        self.round(law, [[10, 20], [20, 10], [30, 5]], lie=True)
        self.answer(law)

    def _submit(self, model: ModelInfo, number: int) -> None:
        owner = self.chains[CONTRIBUTOR]
        root = bytes([model.id, number]) * 16
        dataset = owner.register_dataset(model.id, root, "CC0", 1000, 4 + number, 1)
        for index in VALIDATORS:
            if not owner.dataset(dataset.id).accepted_block:
                self.chains[index].vote_dataset(dataset.id, True)

    def round(self, model: ModelInfo, scores: Sequence[Sequence[int]], lie: bool = False) -> None:
        """One round; as many validators take part as there are rows of scores. ``lie``: the last attests nonsense."""
        anyone = self.chains[TREASURY]
        anyone.tick(model.id)
        self.mine(1)  # the seed is the opening block's hash: readable from the next block on
        number = anyone.current(model.id)
        self._deltas(model, number)
        active = VALIDATORS[: len(scores)]
        reasons = [ScoreReason.OK if any(row[m] for row in scores) else ScoreReason.NO_GAIN for m in range(len(MINERS))]
        rounds = anyone.contract_address("Rounds")
        report = b"\x05" * 32
        for index, row in zip(active, scores, strict=True):
            chain = self.chains[index]
            args = (chain.chain_id, rounds, model.id, number, chain.address, row, reasons, report, SALT)
            chain.commit_scores(model.id, number, score_commitment(*args))
        if len(active) < len(VALIDATORS):
            self.mine(POLICY.score_blocks)
        for index, row in zip(active, scores, strict=True):
            self.chains[index].reveal_scores(model.id, number, row, reasons, report, SALT)
        made = self._head(model, number)
        if made is not None:
            self._attest(model, number, made, active, lie)
        anyone.tick(model.id)
        view = anyone.round(model.id, number)
        assert view.settled, view

    def _deltas(self, model: ModelInfo, number: int) -> None:
        anyone = self.chains[TREASURY]
        info = anyone.round(model.id, number)
        usable = {d.id: d.shards for d in anyone.datasets(model.id) if d.usable_at(info.open_block)}
        hands = assign_shards(info.seed, anyone.round_miners(model.id, number), shard_list(usable))
        reveals = {}
        for index in MINERS:
            chain = self.chains[index]
            digest = self.world.delta((model.id, number, index), 1e-3 * index)
            rounds = chain.contract_address("Rounds")
            bound = delta_commitment(chain.chain_id, rounds, model.id, number, chain.address, digest, SALT)
            chain.commit_delta(model.id, number, bound)
            used = tuple(assigned_datasets(hands[chain.address]))
            reveals[index] = Reveal(digest, SALT, DeltaKind.TRAIN, info.base_head, used, 1000)
        for index, reveal in reveals.items():
            self.chains[index].reveal_delta(model.id, number, reveal)

    def _head(self, model: ModelInfo, number: int) -> bytes | None:
        anyone = self.chains[TREASURY]
        anyone.tick(model.id)
        accepted = [Accepted(s.digest, s.weight_q16, s.miner) for s in anyone.submissions(model.id, number)]
        if not any(entry.weight_q16 for entry in accepted):
            return None
        made = build_next_head(self.states[model.id], model.id, number, accepted, self.store, self.world.folder)
        self.states[model.id] = made.state
        return publish(self.store, made)

    def _attest(self, model: ModelInfo, number: int, head: bytes, active: Sequence[int], lie: bool) -> None:
        rounds = self.chains[TREASURY].contract_address("Rounds")
        said = {index: b"\x66" * 32 if lie and index == active[-1] else head for index in active}
        for index in active:
            chain = self.chains[index]
            bound = head_commitment(chain.chain_id, rounds, model.id, number, chain.address, said[index], SALT)
            chain.commit_head(model.id, number, bound)
        if len(active) < len(VALIDATORS):
            self.mine(POLICY.attest_blocks)
        for index in active:
            self.chains[index].reveal_head(model.id, number, said[index], SALT)

    def answer(self, model: ModelInfo) -> None:
        """A user opens a channel, the server redeems two vouchers, claims, and the channel is closed."""
        user, server = self.chains[USER], self.chains[SERVER]
        channel = user.open_channel(server.address, model.id, 3 * TOKEN)
        for cumulative in (10**18 + 7, 2 * 10**18 + 1):
            account: Any = user._account
            voucher = sign_voucher(account, self.network, channel.id, model.id, cumulative)
            server.redeem(channel.id, cumulative, voucher)
        server.claim([model.id])
        server.close_by_server(channel.id)
        self.mine(10)
        for index in (*MINERS, *VALIDATORS, CONTRIBUTOR):
            self.chains[index].claim([1, 2])


def make_history(
    folder: Path, network: Network, connect: Callable[[int], Chain], mine: Callable[[int], None]
) -> History:
    """The actors before anything happened."""
    chains = {index: connect(index) for index in (TREASURY, *MINERS, *VALIDATORS, CONTRIBUTOR, SERVER, USER)}
    return History(network, chains, mine, make_world(folder))
