"""A short history on a real chain: deltas, scores, heads, a void round, a round without gain, a paid answer.

Then what goes wrong: a delta that is never shown, one that is malformed, scores that stay sealed, a round whose rewards
validators take back, a validator that signs two heads; and stake that others put behind a validator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.assignment import assign_shards, assigned_datasets, shard_list
from client.chain import Chain
from client.commitments import delta_commitment, head_commitment, score_commitment
from client.council import decide, list_model
from client.deploy import TOKEN
from client.earnings import claim_all
from client.manifests import DeltaReport, Report
from client.replay import Accepted, ModelState, build_next_head, load_state, publish
from client.settings import Network
from client.storage import MemoryStore
from client.types import ModelInfo, Policy, Reveal
from client.wallet import sign_voucher
from contracts.enums import DeltaKind, Level, Role, ScoreReason
from tests.unit.test_replay import World, make_world

TREASURY, MINERS, VALIDATORS, CONTRIBUTOR, SERVER, USER = 0, (1, 2), (3, 4, 5), 6, 7, 8
STAKES = (40, 35, 25)
POLICY = Policy(30, 4, 8, 24, 8, 24, 8)
SALT = b"\x07" * 32
OK, NO_GAIN, BAD_FORM = ScoreReason.OK, ScoreReason.NO_GAIN, ScoreReason.BAD_FORM


@dataclass(frozen=True)
class Play:
    """How a round goes. ``scores``: a row for each validator that takes part. ``lie``: the last attests nonsense.

    ``hidden``: how many miners never show their delta; ``sealed``: how many validators more only commit to scores.
    """

    scores: Sequence[Sequence[int]]
    lie: bool = False
    hidden: int = 0
    sealed: int = 0
    bad_form: bool = False  # what scores zero is malformed


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
        root, law = self._begin()
        self.round(law, Play([[900, 300], [800, 400], [100, 350]]))
        self.round(root, Play([[0, 500], [0, 500], [0, 500]]))
        self.round(law, Play([[500, 500], [500, 700]]))  # the third validator is silent: 3/4 of the stake suffice
        self.round(law, Play([[500, 500]]))  # void: one validator alone
        self.round(law, Play([[0, 0], [0, 0], [0, 0]]))  # no gain: the head stays
        self.round(law, Play([[10, 20], [20, 10], [30, 5]], lie=True))
        self.answer(law)
        self.round(law, Play([[70], [60]], hidden=1, sealed=1))
        self.round(law, Play([[40, 0], [45, 0], [50, 0]], bad_form=True))
        self.take_back(law, self.round(law, Play([[500, 100], [400, 200], [300, 300]])))
        self.round(law, Play([[30, 20], [30, 20], [30, 20]]))
        self.leave(law)

    def _begin(self) -> tuple[ModelInfo, ModelInfo]:
        treasury = self.chains[TREASURY]
        people = [self.chains[index].address for index in (*MINERS, *VALIDATORS, USER)]
        treasury.pay_many([(who, 0, 1000 * TOKEN) for who in people])
        root = treasury.register_model(0, Level.GLOBAL, "global", "general", self.world.digest, POLICY)
        law = treasury.register_model(root.id, Level.FIELD, "law", "law", self.world.digest, POLICY)
        decide(treasury, [list_model(root.id, 10_000), list_model(law.id, 8_000)], 10.0)
        for model in (root, law):
            for index in MINERS:
                self.chains[index].stake(model.id, Role.MINER, 5 * TOKEN)
            for index, amount in zip(VALIDATORS, STAKES, strict=True):
                self.chains[index].stake(model.id, Role.VALIDATOR, amount * TOKEN)
            self.states[model.id] = load_state(self.store, model.genesis)
            for number in range(3):
                self._submit(model, number)
        first = self.chains[VALIDATORS[0]]
        first.set_commission(law.id, 500)
        self.chains[USER].delegate(law.id, first.address, 20 * TOKEN + 3)
        return root, law

    def _submit(self, model: ModelInfo, number: int) -> None:
        owner = self.chains[CONTRIBUTOR]
        root = bytes([model.id, number]) * 16
        dataset = owner.register_dataset(model.id, root, "CC0", 1000, 4 + number, 1)
        for index, value in zip(VALIDATORS, (10_000, 7_000, 10_000 - 333 * number), strict=True):
            if not owner.dataset(dataset.id).accepted_block:
                self.chains[index].vote_dataset(dataset.id, True, value)

    # ---- rounds

    def round(self, model: ModelInfo, play: Play) -> int:
        """One round; its number."""
        anyone = self.chains[TREASURY]
        anyone.tick(model.id)
        self.mine(1)  # the seed is the opening block's hash: readable from the next block on
        number = anyone.current(model.id)
        self._deltas(model, number, play)
        self._scores(model, number, play)
        active = VALIDATORS[: len(play.scores)]
        made = self._head(model, number)
        if made is not None:
            self._attest(model, number, made, active, play.lie)
        anyone.tick(model.id, number)
        view = anyone.round(model.id, number)
        assert view.settled, view
        return number

    def _scores(self, model: ModelInfo, number: int, play: Play) -> None:
        shown = len(MINERS) - play.hidden
        poor = BAD_FORM if play.bad_form else NO_GAIN
        reasons = [OK if any(row[m] for row in play.scores) else poor for m in range(shown)]
        active = VALIDATORS[: len(play.scores)]
        rounds = self.chains[TREASURY].contract_address("Rounds")
        reports = {}
        rows = [*zip(active, play.scores, strict=True)]
        rows += [(VALIDATORS[len(active) + n], play.scores[-1]) for n in range(play.sealed)]
        for index, row in rows:
            chain = self.chains[index]
            reports[index] = self._report(model, number, chain.address, row, reasons)
            args = (chain.chain_id, rounds, model.id, number, chain.address, row, reasons, reports[index], SALT)
            chain.commit_scores(model.id, number, score_commitment(*args))
        if len(rows) < len(VALIDATORS):
            self.mine(POLICY.score_blocks)
        for index, row in zip(active, play.scores, strict=True):
            self.chains[index].reveal_scores(model.id, number, row, reasons, reports[index], SALT)
        if play.sealed:
            self.mine(POLICY.score_reveal_blocks)

    def _report(
        self, model: ModelInfo, number: int, who: str, row: Sequence[int], reasons: Sequence[ScoreReason]
    ) -> bytes:
        entries = self.chains[TREASURY].submissions(model.id, number)
        deltas = tuple(
            DeltaReport(entry.miner, entry.digest.hex(), score, int(reason), 0, 0, 0, 0, 0)
            for entry, score, reason in zip(entries, row, reasons, strict=True)
        )
        return self.store.put(Report(model.id, number, who, 5, 0, 5, 4, 0, 5, 5, 0, 100, deltas).to_bytes())

    def _deltas(self, model: ModelInfo, number: int, play: Play) -> None:
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
        for index in MINERS[: len(MINERS) - play.hidden]:
            self.chains[index].reveal_delta(model.id, number, reveals[index])
        if play.hidden:
            self.mine(POLICY.reveal_blocks)

    def _head(self, model: ModelInfo, number: int) -> bytes | None:
        anyone = self.chains[TREASURY]
        anyone.tick(model.id, number)
        if anyone.round(model.id, number).ended:
            return None
        entries = [s for s in anyone.submissions(model.id, number) if s.weight_q16]
        if not entries:
            return None
        accepted = [Accepted(s.digest, s.weight_q16, s.miner) for s in entries]
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

    # ---- money

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
        claim_all(user)  # what it earned behind a validator

    def take_back(self, model: ModelInfo, number: int) -> None:
        """Two of three validators object; and one is shown to have signed two heads."""
        for index in VALIDATORS[:2]:
            self.chains[index].challenge(model.id, number)
        assert self.chains[TREASURY].is_voided(model.id, number)
        liar = self.chains[VALIDATORS[2]]
        account: Any = liar._account
        signed = []
        for head in (b"\x31" * 32, b"\x32" * 32):
            digest = liar.read("Rounds", "headStatementHash", model.id, number, head)
            signed.append((head, bytes(account.unsafe_sign_hash(digest).signature)))
        self.chains[TREASURY].prove_conflict(model.id, number, liar.address, *signed)

    def leave(self, model: ModelInfo) -> None:
        """Validators value a dataset anew; the user and a miner take a part of their stake out; all claim."""
        for index in VALIDATORS[:2]:
            self.chains[index].vote_dataset(4, True, 5_000)
        user, first = self.chains[USER], self.chains[VALIDATORS[0]]
        self.mine(10)
        for index in (*MINERS, *VALIDATORS, CONTRIBUTOR, USER):
            claim_all(self.chains[index])
        half = user.delegation(model.id, first.address, user.address).shares // 2
        user.undelegate(model.id, first.address, half)
        self.chains[MINERS[0]].unstake(model.id, Role.MINER, 2 * TOKEN + 1)
        self.mine(int(user.read("Staking", "unbondingBlocks")) * 2)
        user.withdraw_stake()
        self.chains[MINERS[0]].withdraw_stake()


def make_history(
    folder: Path, network: Network, connect: Callable[[int], Chain], mine: Callable[[int], None]
) -> History:
    """The actors before anything happened."""
    chains = {index: connect(index) for index in (TREASURY, *MINERS, *VALIDATORS, CONTRIBUTOR, SERVER, USER)}
    return History(network, chains, mine, make_world(folder))
