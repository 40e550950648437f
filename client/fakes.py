"""A chain in memory, for unit tests of roles and commands: ``FakeChain(ledger, address)``, one per account.

It keeps :class:`client.types.ChainLike`, refuses what the contracts refuse, and makes one block per transaction.
``ledger.mine(n)`` lets time pass; ``ledger.down = True`` makes every call raise ``ChainUnavailable``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from client.commitments import delta_commitment, head_commitment, score_commitment
from client.errors import ChainUnavailable, ConfigError, Unfunded
from client.fake_ledger import CHAIN_ID, FakeLedger, FakeRound, fake_address, refuse
from client.fake_registry import FakeRegistry
from client.settings import CONTRACTS
from client.types import (
    ZERO_DIGEST,
    BlockInfo,
    CommittedInfo,
    CommitteeInfo,
    Event,
    Receipt,
    Reveal,
    RoundInfo,
    ScoreInfo,
    SubmissionInfo,
    due_round,
)
from contracts.enums import Phase, Role, ScoreReason, VoidReason

__all__ = ["FakeChain", "FakeLedger", "fake_address"]


class FakeChain(FakeRegistry):
    """One account's view of a :class:`FakeLedger`."""

    def __init__(self, ledger: FakeLedger | None = None, address: str | None = None) -> None:
        self.ledger = ledger or FakeLedger()
        self._address = address

    @property
    def address(self) -> str:
        """Of the account that acts."""
        if self._address is None:
            raise ConfigError("This call needs a wallet to sign with. Give --wallet NAME.")
        return self._address

    @property
    def chain_id(self) -> int:
        """As Anvil's."""
        return CHAIN_ID

    @property
    def deploy_block(self) -> int:
        """The first."""
        return 1

    def contract_address(self, contract: str) -> str:
        """Made up, but always the same."""
        return fake_address(0xC0DE00 + CONTRACTS.index(contract))

    def _do(self, action: Callable[[], object]) -> Receipt:
        """One transaction in a block of its own; a refused one makes no block."""
        self._alive()
        before = len(self.ledger.log)
        self.ledger.block_number += 1
        try:
            action()
        except BaseException:  # re-raised: only the block is taken back
            self.ledger.block_number -= 1
            del self.ledger.log[before:]
            raise
        tx = self.ledger.block_hash(-self.ledger.block_number)
        return Receipt(tx, self.ledger.block_number, 100_000, tuple(self.ledger.log[before:]))

    def _alive(self) -> None:
        if self.ledger.down:
            raise ChainUnavailable("The chain does not answer (the test took it down).")

    # ---- blocks and money

    def block_number(self) -> int:
        """The newest block."""
        self._alive()
        return self.ledger.block_number

    def block(self, number: int | None = None) -> BlockInfo:
        """A block, one per second."""
        at = self.block_number() if number is None else number
        return BlockInfo(at, 1_700_000_000 + at, self.ledger.block_hash(at))

    def wait_block(self, number: int, timeout: float) -> int:
        """Makes the blocks instead of waiting."""
        self.ledger.mine(max(0, number - self.block_number()))
        return self.ledger.block_number

    def balance(self, address: str, block: int | None = None) -> int:
        """Coins, in wei."""
        return self.ledger.coins[address]

    def token_balance(self, address: str, block: int | None = None) -> int:
        """Tokens, in wei."""
        return self.ledger.tokens[address]

    def total_supply(self, block: int | None = None) -> int:
        """Tokens that accounts hold, in wei."""
        return sum(self.ledger.tokens.values())

    def allowance(self, owner: str, spender: str) -> int:
        """No limit."""
        return 2**256 - 1

    def approve(self, spender: str, amount: int) -> Receipt:
        """Nothing to keep."""
        return self._do(lambda: None)

    def transfer(self, to: str, amount: int) -> Receipt:
        """Sends tokens."""
        return self._do(lambda: self._move(self.ledger.tokens, to, amount))

    def send_coins(self, to: str, amount: int) -> Receipt:
        """Sends coins."""
        return self._do(lambda: self._move(self.ledger.coins, to, amount))

    def _move(self, purse: dict[str, int], to: str, amount: int) -> None:
        self._take(purse, amount)
        purse[to] += amount

    def _take(self, purse: dict[str, int], amount: int) -> None:
        if purse[self.address] < amount:
            raise Unfunded(f"{self.address} has {purse[self.address]} wei, less than {amount}.")
        purse[self.address] -= amount

    # ---- rounds

    def tick(self, model_id: int, number: int | None = None) -> Receipt:
        """Opens or settles, page after page."""
        rounds = self.ledger.rounds[model_id]
        wanted = number if number is not None else self._due(model_id)
        receipt = self._do(lambda: self.ledger.tick(model_id, wanted))
        while 0 < wanted <= len(rounds) and not rounds[wanted - 1].settled:
            view = self.ledger.view(rounds[wanted - 1])
            if not view.ended and (view.phase != Phase.ATTEST or view.consensus_known):
                break
            more = self._do(lambda: self.ledger.tick(model_id, wanted))
            receipt = replace(more, events=(*receipt.events, *more.events))
        return receipt

    def _due(self, model_id: int) -> int:
        """As :meth:`client.chain.Chain.tick` chooses: a round that can be settled, else one that can be opened."""
        newest = self.current(model_id)
        return due_round([self.round(model_id, number) for number in range(max(1, newest - 1), newest + 1)])

    def current(self, model_id: int, block: int | None = None) -> int:
        """The last round; 0 before the first."""
        self._alive()
        return len(self.ledger.rounds[model_id])

    def _round(self, model_id: int, number: int) -> FakeRound:
        return self.ledger.rounds[model_id][number - 1]

    def round(self, model_id: int, number: int, block: int | None = None) -> RoundInfo:
        """As it stands now."""
        self._alive()
        return self.ledger.view(self._round(model_id, number))

    def phase_at(self, model_id: int, number: int, block: int) -> tuple[Phase, int, VoidReason]:
        """The phase at ``block`` if nobody acts until then, the first block after it, and why it would be void."""
        self._alive()
        return self.ledger.phase(self._round(model_id, number), block)

    def submissions(self, model_id: int, number: int, block: int | None = None) -> list[SubmissionInfo]:
        """The revealed deltas."""
        return self.ledger.submissions(self._round(model_id, number))

    def round_miners(self, model_id: int, number: int) -> list[str]:
        """Frozen at the opening."""
        return list(self._round(model_id, number).miners)

    def round_validators(self, model_id: int, number: int) -> list[tuple[str, int]]:
        """Frozen at the opening, with stake."""
        return list(self._round(model_id, number).validators)

    def windows(self, model_id: int, number: int) -> tuple[int, ...]:
        """The phases' lengths so far."""
        return tuple(self._round(model_id, number).windows)

    def dealt(self, model_id: int, number: int, validator: str) -> list[int]:
        """What a validator is to score."""
        return self._round(model_id, number).dealt(validator)

    def committee(self, model_id: int, number: int, group: int) -> CommitteeInfo:
        """Who judges a group."""
        return self._round(model_id, number).committee(group)

    def challenge(self, model_id: int, number: int) -> Receipt:
        """Objects to a round."""
        return self._do(lambda: self.ledger.challenge(self._round(model_id, number), self.address))

    def unlock_of(self, model_id: int, number: int) -> int:
        """When its rewards mature."""
        return self.ledger.unlocks.get((model_id, number), 0)

    def challenged_stake(self, model_id: int, number: int) -> int:
        """Wei that objected."""
        round_ = self._round(model_id, number)
        return round_.stake(list(round_.challengers))

    def is_voided(self, model_id: int, number: int) -> bool:
        """Whether its rewards were taken back."""
        return (model_id, number) in self.ledger.voided

    def _enrolled(self, round_: FakeRound, role: Role) -> None:
        accounts = round_.miners if role == Role.MINER else [account for account, _ in round_.validators]
        if self.address not in accounts:
            raise refuse("NotEnrolled", self.address)

    def _keep(self, kept: dict[str, bytes], commitment: bytes) -> None:
        if kept.get(self.address, commitment) != commitment:
            raise refuse("AlreadyCommitted")
        kept[self.address] = commitment

    def _shown(self, kept: dict[str, bytes], commitment: bytes) -> None:
        if self.address not in kept:
            raise refuse("NotCommitted")
        if kept[self.address] != commitment:
            raise refuse("CommitmentMismatch")

    def commit_delta(self, model_id: int, number: int, commitment: bytes) -> Receipt:
        """In TRAIN or COMMIT."""

        def act() -> None:
            round_ = self.ledger.round_of(model_id, number)
            self._enrolled(round_, Role.MINER)
            self.ledger.need(round_, Phase.TRAIN, Phase.COMMIT)
            phase = self.ledger.phase(round_)[0]
            self._keep(round_.commits, commitment)
            args = {"miner": self.address, "commitment": commitment}
            self.ledger.emit("Rounds", "DeltaCommitted", modelId=model_id, round=number, **args)
            if len(round_.commits) == len(round_.miners) and not round_.held:
                round_.close(phase, self.ledger.block_number)
                if phase == Phase.TRAIN:
                    round_.windows[1] = 0

        return self._do(act)

    def reveal_delta(self, model_id: int, number: int, reveal: Reveal) -> Receipt:
        """In REVEAL."""

        def act() -> None:
            round_ = self.ledger.round_of(model_id, number)
            self.ledger.need(round_, Phase.REVEAL)
            args = (CHAIN_ID, self.contract_address("Rounds"), model_id, number, self.address)
            self._shown(round_.commits, delta_commitment(*args, reveal.digest, reveal.salt))
            if any(other.digest == reveal.digest for other in round_.reveals.values()):
                raise refuse("DuplicateDigest", reveal.digest)
            if reveal.base_head != round_.base_head:
                raise refuse("WrongBase", reveal.base_head, round_.base_head)
            for wanted in reveal.dataset_ids:
                info = next((d for d in self.ledger.datasets if d.id == wanted), None)
                if info is None or info.model_id != model_id or not info.usable_at(round_.open_block):
                    raise refuse("BadDatasetId", wanted)
                round_.values.setdefault(wanted, info.value)
            round_.reveals[self.address] = reveal
            round_.salts = self.ledger.mix(round_.salts, reveal.salt)
            self.ledger.emit("Rounds", "DeltaRevealed", **self._reveal_args(round_, reveal))
            if len(round_.reveals) == len(round_.commits):
                round_.close(Phase.REVEAL, self.ledger.block_number)

        return self._do(act)

    def _reveal_args(self, round_: FakeRound, reveal: Reveal) -> dict[str, Any]:
        return {
            "modelId": round_.model_id,
            "round": round_.number,
            "miner": self.address,
            "index": len(round_.reveals) - 1,
            "digest": reveal.digest,
            "kind": int(reveal.kind),
            "baseHead": reveal.base_head,
            "datasetIds": list(reveal.dataset_ids),
            "trainedTokens": reveal.trained_tokens,
            "salt": reveal.salt,
        }

    def commit_scores(self, model_id: int, number: int, commitment: bytes) -> Receipt:
        """In SCORE."""
        return self._commit(model_id, number, commitment, Phase.SCORE)

    def commit_head(self, model_id: int, number: int, commitment: bytes) -> Receipt:
        """In ATTEST."""
        return self._commit(model_id, number, commitment, Phase.ATTEST)

    def _commit(self, model_id: int, number: int, commitment: bytes, phase: Phase) -> Receipt:
        def act() -> None:
            round_ = self.ledger.round_of(model_id, number)
            self._enrolled(round_, Role.VALIDATOR)
            self.ledger.need(round_, phase)
            kept, name = (
                (round_.score_commits, "ScoresCommitted")
                if phase == Phase.SCORE
                else (round_.head_commits, "HeadCommitted")
            )
            self._keep(kept, commitment)
            args = {"validator": self.address, "commitment": commitment}
            self.ledger.emit("Rounds", name, modelId=model_id, round=number, **args)
            if len(kept) == len(round_.validators):
                round_.close(phase, self.ledger.block_number)

        return self._do(act)

    def reveal_scores(
        self,
        model_id: int,
        number: int,
        scores: Sequence[int],
        reasons: Sequence[ScoreReason],
        report: bytes,
        salt: bytes,
    ) -> Receipt:
        """In SCORE_REVEAL."""

        def act() -> None:
            round_ = self.ledger.round_of(model_id, number)
            self.ledger.need(round_, Phase.SCORE_REVEAL)
            wanted = len(round_.dealt(self.address))
            if not len(scores) == len(reasons) == wanted:
                raise refuse("BadLength", len(scores), wanted)
            where = (CHAIN_ID, self.contract_address("Rounds"), model_id, number, self.address)
            self._shown(round_.score_commits, score_commitment(*where, scores, reasons, report, salt))
            round_.scores[self.address] = ScoreInfo(self.address, tuple(scores), tuple(reasons), report)
            args = {"validator": self.address, "scores": list(scores), "reasons": [int(r) for r in reasons]}
            self.ledger.emit("Rounds", "ScoresRevealed", modelId=model_id, round=number, report=report, **args)
            if len(round_.scores) == len(round_.score_commits):
                round_.close(Phase.SCORE_REVEAL, self.ledger.block_number)

        return self._do(act)

    def reveal_head(self, model_id: int, number: int, head: bytes, salt: bytes) -> Receipt:
        """In ATTEST_REVEAL."""

        def act() -> None:
            round_ = self.ledger.round_of(model_id, number)
            self.ledger.need(round_, Phase.ATTEST_REVEAL)
            where = (CHAIN_ID, self.contract_address("Rounds"), model_id, number, self.address)
            self._shown(round_.head_commits, head_commitment(*where, head, salt))
            round_.heads[self.address] = head
            args = {"validator": self.address, "head": head}
            self.ledger.emit("Rounds", "HeadRevealed", modelId=model_id, round=number, **args)
            if len(round_.heads) == len(round_.head_commits):
                round_.close(Phase.ATTEST_REVEAL, self.ledger.block_number)

        return self._do(act)

    def scores_of(self, model_id: int, number: int, validator: str) -> ScoreInfo:
        """Empty when not revealed."""
        none = ScoreInfo(validator, (), (), ZERO_DIGEST)
        return self._round(model_id, number).scores.get(validator, none)

    def committed(self, model_id: int, number: int, account: str) -> CommittedInfo:
        """The account's commitments."""
        round_ = self._round(model_id, number)
        kept = (round_.commits, round_.score_commits, round_.head_commits)
        return CommittedInfo(*(of.get(account, ZERO_DIGEST) for of in kept))

    def head_of(self, model_id: int, number: int, validator: str) -> bytes:
        """The head that it attested."""
        return self._round(model_id, number).heads.get(validator, ZERO_DIGEST)

    # ---- history

    def events(
        self,
        contract: str,
        event: str | None = None,
        from_block: int | None = None,
        to_block: int | None = None,
        **filters: Any,
    ) -> list[Event]:
        """Those of rounds, rewards and channels."""
        self._alive()
        return [
            e
            for e in self.ledger.log
            if e.contract == contract
            and event in (None, e.name)
            and (from_block or 0) <= e.block <= (self.ledger.block_number if to_block is None else to_block)
            and all(e.args.get(key) == wanted for key, wanted in filters.items())
        ]
