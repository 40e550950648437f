"""The world behind :class:`client.fakes.FakeChain`: what the contracts would keep, by ``contracts.reference``."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace
from typing import Any

from client.commitments import evaluation_seed, round_seed
from client.fake_money import FakeMoney
from client.fake_rounds import FakeRound
from client.fake_stake import FakeBallot, FakeStake
from client.fake_words import fake_address, refuse
from client.types import (
    ZERO_DIGEST,
    ChannelInfo,
    DatasetInfo,
    Event,
    ModelInfo,
    Policy,
    RoundInfo,
    SubmissionInfo,
)
from contracts.enums import Phase, Role, VoidReason
from contracts.reference import (
    INVALID_BPS,
    MAX_MISSED,
    PAGE_GROUPS,
    PAGE_UNITS,
    UNREVEALED_BPS,
    Ended,
    Pool,
    RoundFacts,
    data_weights,
    emission_at,
    emission_for,
    ending,
    may_open,
    paid_blocks,
    phase_at,
    released,
    start_of,
    weights_q16,
)

__all__ = ["CHAIN_ID", "FakeLedger", "FakeRound", "fake_address", "refuse"]

CHAIN_ID = 31337


class FakeLedger(FakeStake, FakeMoney):
    """Everything that the contracts would keep. Tests may change any of it.

    ``minimum``: the least own stake that counts, in wei, whatever a policy says. ``unbonding``: in blocks. Every model
    is listed, with the part of the emission that its policy asks for.
    """

    def __init__(self, minimum: int = 1, unbonding: int = 20) -> None:
        FakeStake.__init__(self)
        FakeMoney.__init__(self)
        self.block_number = 1
        self.minimum = minimum
        self.unbonding = unbonding
        self.coins: dict[str, int] = defaultdict(int)
        self.tokens: dict[str, int] = defaultdict(int)
        self.missed: dict[tuple[int, str], int] = defaultdict(int)
        self.bonds: dict[int, dict[str, dict[str, int]]] = defaultdict(dict)  # model -> miner -> validator
        self.agreements: dict[int, dict[str, int]] = defaultdict(dict)  # model -> validator's last
        self.settled_until: dict[int, int] = defaultdict(int)
        self.models: list[ModelInfo] = []
        self.policies: list[Policy] = []
        self.datasets: list[DatasetInfo] = []
        self.ballots: dict[int, FakeBallot] = {}  # each dataset's last
        self.deposit = 0  # of a dataset, in wei
        self.rounds: dict[int, list[FakeRound]] = defaultdict(list)
        self.channels: dict[bytes, ChannelInfo] = {}
        self.paused_until = 0  # the first block in which rounds may open
        self.down = False  # a test may take the chain down
        self.log: list[Event] = []

    def mine(self, blocks: int = 1) -> int:
        """Lets time pass; the new block number."""
        self.block_number += blocks
        return self.block_number

    def block_hash(self, number: int) -> bytes:
        """A hash that depends on the number alone."""
        return hashlib.sha256(f"block {number}".encode()).digest()

    def mix(self, mixed: bytes, salt: bytes) -> bytes:
        """The running hash of all revealed salts."""
        return hashlib.sha256(mixed + salt).digest()

    def emit(self, contract: str, name: str, /, **args: Any) -> Event:
        """Logs an event in the newest block."""
        tx = hashlib.sha256(f"tx {self.block_number}".encode()).digest()
        event = Event(contract, name, args, self.block_number, tx, len(self.log))
        self.log.append(event)
        return event

    # ---- rounds

    def round_of(self, model_id: int, number: int) -> FakeRound:
        """The newest round or the unsettled one before it, or ``WrongRound``; a call to it records what is due."""
        round_ = self._live(model_id, number)
        if round_ is None:
            raise refuse("WrongRound", len(self.rounds[model_id]))
        self.advance(round_)
        return round_

    def _live(self, model_id: int, number: int) -> FakeRound | None:
        """A round that calls may concern: the newest, and the one before it until that is settled."""
        rounds = self.rounds[model_id]
        if not 0 < number <= len(rounds):
            return None
        found = rounds[number - 1]
        return found if number == len(rounds) or not found.settled else None

    def facts(self, round_: FakeRound) -> RoundFacts:
        """What the round's phase depends on."""
        return RoundFacts(
            open_block=round_.open_block,
            windows=tuple(round_.windows),
            commits=len(round_.commits),
            reveals=len(round_.reveals),
            seed_known=True,
            evaluation_seed_known=True,
            frozen_stake=round_.frozen_stake,
            scores_stake=round_.stake(list(round_.scores)),
            head_stake=round_.leading()[1],
            quorum_bps=round_.policy.quorum_bps,
            consensus_known=round_.consensus_known,
            accepted=round_.consensus_known and any(round_.consensus()),
            held=round_.held,
        )

    def phase(self, round_: FakeRound, block: int | None = None) -> tuple[Phase, int, VoidReason]:
        """(phase, its end, void reason)."""
        at = phase_at(self.facts(round_), self.block_number if block is None else block)
        return at.phase, at.phase_end, at.reason

    def need(self, round_: FakeRound, *wanted: Phase) -> None:
        """Refuses outside of these phases."""
        actual = self.phase(round_)[0]
        if actual not in wanted:
            raise refuse("WrongPhase", int(actual), int(wanted[-1]))

    def tick(self, model_id: int, number: int) -> None:
        """Opens a round, takes a page of its consensus or settles a page of it; nothing where somebody was quicker."""
        rounds = self.rounds[model_id]
        free = not rounds or may_open(self.facts(rounds[-1]), rounds[-1].settled, self.block_number)
        if number == 0 or number > len(rounds) + free:
            raise refuse("WrongRound", len(rounds))
        if number > len(rounds):
            self.open(model_id)
            return
        round_ = rounds[number - 1]
        if round_.settled:
            return
        waits = self.advance(round_)
        if not round_.held and not waits and self.phase(round_)[0] in (Phase.FINAL, Phase.VOID):
            self.settle(round_)

    def open(self, model_id: int) -> None:
        """Freezes stake at the block before; the round is held where the one before it is not settled."""
        if self.block_number < self.paused_until:
            raise refuse("Paused", self.paused_until)
        frozen = self.block_number - 1
        miners = [account for account, _ in self.members(model_id, Role.MINER, frozen)]
        validators = self.members(model_id, Role.VALIDATOR, frozen)
        if not miners or not validators:
            raise refuse("NotEnoughMembers", len(miners), len(validators))
        number = len(self.rounds[model_id]) + 1
        base, policy = self.models[model_id - 1].head, self.policies[model_id - 1]
        everybody = [entry for model in self.models for entry in self.members(model.id, Role.VALIDATOR, frozen)]
        stake = sum(amount for _, amount in everybody)
        opened = FakeRound(
            model_id, number, self.block_number, policy, list(policy.phases), base, miners, validators, stake
        )
        opened.held = bool(self.rounds[model_id]) and not self.rounds[model_id][-1].settled
        opened.parent_head = ZERO_DIGEST if opened.held else base
        self.rounds[model_id].append(opened)
        args = {"openBlock": self.block_number, "baseHead": base, "frozenStake": opened.frozen_stake}
        self.emit("Rounds", "RoundOpened", modelId=model_id, round=number, **args, minerCount=len(miners))

    def advance(self, round_: FakeRound) -> bool:
        """Records the seed of the evaluation and takes a page of the consensus, where due; whether pages are left."""
        score_start = start_of(self.facts(round_), Phase.SCORE)
        where = {"modelId": round_.model_id, "round": round_.number}
        if round_.reveals and self.block_number > score_start and round_.evaluation_seed == ZERO_DIGEST:
            round_.evaluation_seed = self.evaluation_seed(round_)
            self.emit("Rounds", "EvaluationSeedCaptured", **where, seed=round_.evaluation_seed)
        phase, _, reason = self.phase(round_)
        scored = Phase.ATTEST <= phase <= Phase.FINAL or reason == VoidReason.NO_HEAD_QUORUM
        if not scored or round_.groups_judged == round_.groups:
            return False
        first = round_.groups_judged * 8
        round_.groups_judged = min(round_.groups_judged + PAGE_GROUPS, round_.groups)
        values = round_.consensus()
        page = values[first : round_.groups_judged * 8]
        self.emit("Rounds", "ConsensusPage", **where, **{"from": first}, consensus=page)
        if round_.consensus_known:
            self.emit("Rounds", "ConsensusReached", **where, total=sum(values), submissions=len(values))
        return round_.groups_judged < round_.groups

    def evaluation_seed(self, round_: FakeRound) -> bytes:
        """Of the first block of SCORE and all salts."""
        start = start_of(self.facts(round_), Phase.SCORE)
        return evaluation_seed(self.block_hash(start), round_.salts, round_.model_id, round_.number)

    # ---- settlement

    def settle(self, round_: FakeRound) -> None:
        """A page: the first one sets the head, pays and punishes; as many follow as the contracts would need."""
        phase, _, reason = self.phase(round_)
        where = {"modelId": round_.model_id, "round": round_.number}
        if round_.pages_left < 0:
            if phase == Phase.VOID:
                self.emit("Rounds", "RoundVoided", **where, reason=int(reason))
            else:
                self._finalize(round_, where)
            self._pay(round_, phase == Phase.VOID, reason)
            if reason not in (VoidReason.EMPTY, VoidReason.NO_SEED):
                self._judge(round_)
            units = sum(1 + len(reveal.dataset_ids) for reveal in round_.reveals.values())
            round_.pages_left = 1 + (units + len(round_.commits) + 2 * len(round_.validators) - 1) // PAGE_UNITS
        round_.pages_left -= 1
        if round_.pages_left == 0:
            round_.settled = True
            self.emit("Rounds", "RoundSettled", **where)
            self._release(round_.model_id, round_.number + 1)

    def _release(self, model_id: int, number: int) -> None:
        """The round after one that is settled is held no more."""
        if number > len(self.rounds[model_id]) or not self.rounds[model_id][number - 1].held:
            return
        round_ = self.rounds[model_id][number - 1]
        round_.windows = list(released(self.facts(round_), len(round_.miners), self.block_number).windows)
        round_.held, round_.parent_head = False, self.models[model_id - 1].head
        where = {"modelId": model_id, "round": number}
        self.emit("Rounds", "RoundReleased", **where, parentHead=round_.parent_head)

    def _finalize(self, round_: FakeRound, where: dict[str, int]) -> None:
        accepted = any(round_.consensus())
        head, stake = round_.leading() if accepted else (round_.parent_head, 0)
        self.emit("Rounds", "RoundFinalized", **where, head=head, attestedStake=stake)
        if accepted:
            model = self.models[round_.model_id - 1]
            self.models[round_.model_id - 1] = replace(model, head=head, head_round=round_.number)

    def _pay(self, round_: FakeRound, is_void: bool, reason: VoidReason) -> None:
        model_id = round_.model_id
        end = ending(self.facts(round_))[0]
        blocks = paid_blocks(round_.open_block, end, self.settled_until[model_id])
        self.settled_until[model_id] = max(end, self.settled_until[model_id])
        per_block = 0 if reason == VoidReason.EMPTY else emission_at(round_.open_block)
        stakes = (round_.frozen_stake, round_.global_stake)
        emission = emission_for(per_block, blocks, *stakes, round_.policy.emission_bps)
        self.pay_round((model_id, round_.number), self._ended(round_, is_void), emission, self._pools(round_))

    def _ended(self, round_: FakeRound, is_void: bool) -> Ended:
        if is_void:
            return Ended(True)
        values = round_.consensus()
        validators = tuple(round_.judged(self.bonds[round_.model_id], self.agreements[round_.model_id]))
        if not any(values):
            return Ended(False, validators=validators)
        used = [reveal.dataset_ids for reveal in round_.reveals.values()]
        miners = tuple(zip(round_.reveals, values, strict=True))
        owners = data_weights(values, used, lambda number: self.datasets[number - 1].owner, round_.values.__getitem__)
        return Ended(False, miners, validators, tuple(owners))

    def _pools(self, round_: FakeRound) -> dict[str, Pool]:
        keys = [(round_.model_id, Role.VALIDATOR, who) for who, _ in round_.validators]
        members = [(key, self.members_of[key]) for key in keys]
        return {key[2]: Pool(member.own, member.delegated, self.commission(key)) for key, member in members}

    def _judge(self, round_: FakeRound) -> None:
        """Slashes what was committed and never shown, and malformed deltas; counts silent validators."""
        model = round_.model_id
        for miner in round_.commits:
            if miner not in round_.reveals:
                self.slash(model, Role.MINER, miner, UNREVEALED_BPS)
        for miner in round_.invalid() if round_.consensus_known else ():
            self.slash(model, Role.MINER, miner, INVALID_BPS)
        attest = round_.consensus_known and any(round_.consensus())
        for account, _ in round_.validators:
            for committed, revealed in ((round_.score_commits, round_.scores), (round_.head_commits, round_.heads)):
                if account in committed and account not in revealed:
                    self.slash(model, Role.VALIDATOR, account, UNREVEALED_BPS)
            self._count(round_, account, account not in round_.scores or (attest and account not in round_.heads))

    def _count(self, round_: FakeRound, account: str, silent: bool) -> None:
        key = (round_.model_id, account)
        self.missed[key] = self.missed[key] + 1 if silent else 0
        if not silent:
            return
        args = {"modelId": key[0], "round": round_.number, "validator": account, "missed": self.missed[key]}
        self.emit("Rounds", "ValidatorMissed", **args)
        if self.missed[key] >= MAX_MISSED:
            self.missed[key] = 0
            self.drop(*key)

    def challenge(self, round_: FakeRound, account: str) -> None:
        """An objection; two thirds of the stake void the round's rewards."""
        where = (round_.model_id, round_.number)
        if not round_.settled or self.phase(round_)[0] != Phase.FINAL:
            raise refuse("NotFinal", round_.number)
        if self.block_number >= self.unlocks[where] or where in self.voided:
            raise refuse("TooLate", self.unlocks[where])
        if account not in dict(round_.validators):
            raise refuse("NotEnrolled", account)
        if account in round_.challengers:
            raise refuse("AlreadyChallenged")
        round_.challengers.add(account)
        stake = round_.stake([account])
        args = {"modelId": where[0], "round": where[1], "validator": account, "stake": stake}
        self.emit("Rounds", "RoundChallenged", **args)
        if round_.stake(list(round_.challengers)) * 3 >= round_.frozen_stake * 2:
            self.void_round(where)

    # ---- what is read

    def view(self, round_: FakeRound) -> RoundInfo:
        """As ``Rounds.roundView`` says it."""
        phase, end, reason = self.phase(round_)
        facts = self.facts(round_)
        score_start = start_of(facts, Phase.SCORE)
        where = (round_.model_id, round_.number)
        seed = ZERO_DIGEST if self.block_number <= round_.open_block else self.block_hash(round_.open_block)
        scored = self.block_number > score_start and round_.reveals
        final = phase == Phase.FINAL
        return RoundInfo(
            model_id=round_.model_id,
            round=round_.number,
            phase=phase,
            phase_end=end,
            open_block=round_.open_block,
            score_start=score_start,
            seed=round_seed(seed, *where) if any(seed) else ZERO_DIGEST,
            evaluation_seed=self.evaluation_seed(round_) if scored else ZERO_DIGEST,
            base_head=round_.base_head,
            frozen_stake=facts.frozen_stake,
            miner_count=len(round_.miners),
            commits=len(round_.commits),
            reveals=len(round_.reveals),
            scores_revealed_stake=facts.scores_stake,
            heads_revealed_stake=round_.stake(list(round_.heads)),
            void_reason=reason,
            head=(round_.leading()[0] if facts.accepted else round_.parent_head) if final else ZERO_DIGEST,
            settled=round_.settled,
            validator_count=len(round_.validators),
            committee=round_.policy.committee,
            kappa_bps=round_.policy.kappa_bps,
            quorum_bps=round_.policy.quorum_bps,
            groups_judged=round_.groups_judged,
            consensus_known=round_.consensus_known,
            accepted=facts.accepted,
            held=round_.held,
            parent_head=round_.parent_head,
        )

    def submissions(self, round_: FakeRound) -> list[SubmissionInfo]:
        """In the order in which they were revealed; judged from the end of SCORE_REVEAL on."""
        judged = bool(round_.scores) and self.block_number >= start_of(self.facts(round_), Phase.ATTEST)
        scores = round_.consensus() if judged else [0] * len(round_.reveals)
        weights = weights_q16(scores)
        return [
            SubmissionInfo(
                i, miner, r.digest, r.kind, r.base_head, r.dataset_ids, r.trained_tokens, scores[i], weights[i]
            )
            for i, (miner, r) in enumerate(round_.reveals.items())
        ]
