"""Rounds, as :class:`client.chain.Chain` reads them; what can't change any more is read once."""

from __future__ import annotations

from typing import Any

from client.chain_abi import checksum
from client.chain_base import Caller
from client.chain_records import read_round, read_submission
from client.types import CommittedInfo, CommitteeInfo, RoundInfo, ScoreInfo, SubmissionInfo
from contracts.enums import Phase, Role, ScoreReason, VoidReason


class RoundReads(Caller):
    """What anybody can see of rounds."""

    def __init__(self) -> None:
        self._ended: dict[tuple[str, int, int], Any] = {}  # what can't change any more

    def current(self, model_id: int, block: int | None = None) -> int:
        """The model's last round, live or ended; 0 before the first."""
        return int(self._read("Rounds", "current", model_id, block=block))

    def round(self, model_id: int, number: int, block: int | None = None) -> RoundInfo:
        """A round as it stands at the newest block (or ``block``)."""
        key = ("round", model_id, number)
        if block is None and key in self._ended:
            info: RoundInfo = self._ended[key]
            return info
        info = read_round(model_id, self._read("Rounds", "roundView", model_id, number, block=block))
        if block is None and info.settled and info.ended:
            self._ended[key] = info
        return info

    def submissions(self, model_id: int, number: int, block: int | None = None) -> list[SubmissionInfo]:
        """The revealed deltas, in submission order."""
        key = ("submissions", model_id, number)
        if block is None and key in self._ended:
            return list(self._ended[key])
        raws = self._read("Rounds", "submissions", model_id, number, block=block)
        found = [read_submission(index, raw) for index, raw in enumerate(raws)]
        if block is None and ("round", model_id, number) in self._ended:
            self._ended[key] = tuple(found)
        return found

    def round_miners(self, model_id: int, number: int) -> list[str]:
        """The miners whose stake counted when the round opened, ascending; also those that have left since."""
        key = ("miners", model_id, number)
        if key not in self._ended:
            found = [str(miner) for miner in self._read("Rounds", "miners", model_id, number)]
            info = self.round(model_id, number)
            if info.open_block == 0:
                return found
            if len(found) < info.miner_count:
                found = self._miners_before(model_id, info.open_block)
            self._ended[key] = found
        return list(self._ended[key])

    def _miners_before(self, model_id: int, block: int) -> list[str]:
        """Whose stake counted before a block, from all who ever staked: the contract lists present members alone."""
        events = self.events("Staking", "Staked", to_block=block, modelId=model_id, role=int(Role.MINER))
        accounts = sorted({str(event.args["account"]) for event in events}, key=str.lower)
        asked = [("Staking", "stakeAt", (account, model_id, int(Role.MINER), block - 1)) for account in accounts]
        stakes = self._read_many(asked)
        return [account for account, stake in zip(accounts, stakes, strict=True) if stake]

    def round_validators(self, model_id: int, number: int) -> list[tuple[str, int]]:
        """The validators of the round in the order of their slots, with their stake in wei at its opening."""
        accounts, stakes = self._frozen("validators", model_id, number)
        return [(account, int(stake)) for account, stake in zip(accounts, stakes, strict=True)]

    def scores_of(self, model_id: int, number: int, validator: str) -> ScoreInfo:
        """What the validator revealed; empty tuples when it did not."""
        scores, reasons, report = self._read("Rounds", "scoresOf", model_id, number, validator)
        return ScoreInfo(checksum(validator), tuple(scores), tuple(ScoreReason(r) for r in reasons), bytes(report))

    def committed(self, model_id: int, number: int, account: str) -> CommittedInfo:
        """The account's commitments."""
        return CommittedInfo(*(bytes(c) for c in self._read("Rounds", "committed", model_id, number, account)))

    def head_of(self, model_id: int, number: int, validator: str) -> bytes:
        """The head that the validator attested; zero when it did not."""
        return bytes(self._read("Rounds", "headOf", model_id, number, validator))

    def missed_of(self, model_id: int, validator: str) -> int:
        """How many rounds in a row the validator has missed."""
        return int(self._read("Rounds", "missedOf", model_id, validator))

    def phase_at(self, model_id: int, number: int, block: int) -> tuple[Phase, int, VoidReason]:
        """(phase, its end, void reason) at ``block`` if nobody acts until then."""
        phase, end, reason = self._read("Rounds", "phaseAt", model_id, number, block)
        return Phase(phase), int(end), VoidReason(reason)

    def windows(self, model_id: int, number: int) -> tuple[int, ...]:
        """The lengths of the round's seven phases in blocks, as they turned out so far."""
        return tuple(int(length) for length in self._read("Rounds", "windows", model_id, number))

    # ---- committees and objections

    def dealt(self, model_id: int, number: int, validator: str) -> list[int]:
        """The submissions that a validator is to score, ascending."""
        return [int(index) for index in self._read("Rounds", "dealt", model_id, number, validator)]

    def committee(self, model_id: int, number: int, group: int) -> CommitteeInfo:
        """Who judges the group ``group`` of eight submissions."""
        who, weights = self._read("Rounds", "committeeOf", model_id, number, group)
        return CommitteeInfo(group, tuple(who), tuple(int(weight) for weight in weights))

    def challenged_stake(self, model_id: int, number: int) -> int:
        """Wei of frozen stake that has objected to the round."""
        return int(self._read("Rounds", "challengedStake", model_id, number))

    def unlock_of(self, model_id: int, number: int) -> int:
        """The block from which a round's rewards can be claimed and no longer be voided; 0 where it paid nothing."""
        return int(self._read("Rewards", "unlockOf", model_id, number))

    def vesting_blocks(self) -> int:
        """Blocks between the beginning of a round's settlement and the claim."""
        return int(self._read("Rewards", "vestingBlocks"))

    def start_block(self) -> int:
        """The block from which halvings are counted."""
        return int(self._read("Rewards", "startBlock"))

    def is_voided(self, model_id: int, number: int) -> bool:
        """Whether the round's rewards were taken back."""
        return bool(self._read("Rewards", "isVoided", model_id, number))

    # ---- inner parts

    def _frozen(self, function: str, model_id: int, number: int) -> Any:
        """What a round froze at its opening: read once it is open."""
        key = (function, model_id, number)
        if key not in self._ended:
            result = self._read("Rounds", function, model_id, number)
            if not (result[0] if isinstance(result, tuple) else result):
                return result
            self._ended[key] = result
        return self._ended[key]
