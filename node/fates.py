"""What became of a miner's deltas, as the chain says, and what of it comes back into its residual."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from client.errors import ChainUnavailable
from client.types import ModelInfo, RoundInfo
from contracts.enums import Phase, ScoreReason
from node.interfaces import MinerChain, Trainer
from node.residual import Fate, Residuals
from node.vault import DeltaRecord, Vault

UNFETCHED_HALF = 2  # a delta comes back when more than 1/2 of the stake that spoke could not fetch it

log = logging.getLogger("strata.node.fates")


class Fates:
    """One miner's deltas on one model, from their sealing until the chain has settled their rounds."""

    def __init__(self, chain: MinerChain, trainer: Trainer, vault: Vault, residuals: Residuals, address: str) -> None:
        self._chain, self._trainer, self._vault, self._residuals = chain, trainer, vault, residuals
        self._address = address

    def take_back(self, model: ModelInfo, before: int) -> None:
        """Settle the residual for every delta of a round before this one whose fate the chain knows by now."""
        self.adopt(model)
        awaited = {n: digest for n, digest in self._residuals.awaited(model.id).items() if n < before}
        try:
            newest = self._chain.current(model.id) if awaited else 0
            for number, digest in awaited.items():
                if number <= newest:
                    self._settle(model, self._chain.round(model.id, number), digest)
        except ChainUnavailable as error:  # it comes back later: the delta in hand does not wait for it
            log.warning("%s: what comes back from earlier rounds is not known yet: %s", model.name, error)

    def adopt(self, model: ModelInfo) -> None:
        """Let the residual that goes with the last delta count, if the journal has that delta."""

        def is_sealed(number: int, digest: bytes) -> bool:
            record = self._vault.last(DeltaRecord, model.id, number)
            return record is not None and record.digest == digest

        self._residuals.adopt(model.id, is_sealed)

    def place(self, view: RoundInfo) -> int | None:
        """Our place in the order of submission; None where we revealed nothing."""
        for submission in self._chain.submissions(view.model_id, view.round):
            if submission.miner == self._address:
                return submission.index
        return None

    def refused(self, model_id: int, number: int) -> bool:
        """Whether a settled round (the first is 1) took nothing of ours though it was not void."""
        if number < 1 or self._chain.round(model_id, number).phase != Phase.FINAL:
            return False
        mine = [s for s in self._chain.submissions(model_id, number) if s.miner == self._address]
        return any(submission.weight_q16 == 0 for submission in mine)

    def _settle(self, model: ModelInfo, view: RoundInfo, digest: bytes) -> None:
        if not view.settled:
            return
        record = self._vault.find(DeltaRecord, model.id, view.round, view.seed)
        if record is None or record.digest != digest:  # of another chain: nobody will ever judge it
            self._residuals.settle(model.id, view.round, Fate.JUDGED, None)
            return
        payload, fate = self._vault.payload(record), self._fate(view)
        sent = self._trainer.decode(model, payload) if payload and fate is Fate.RETURNED else None
        self._residuals.settle(model.id, view.round, fate, sent)
        log.info("%s: round %d: our delta was %s", model.name, view.round, fate)

    def _fate(self, view: RoundInfo) -> Fate:
        """Returned: late, void, or not to be had for most of the stake that spoke of it."""
        mine = self.place(view)
        if mine is None or view.phase == Phase.VOID:
            return Fate.RETURNED
        spoke, unfetched = 0, 0
        for validator, stake in self._chain.round_validators(view.model_id, view.round):
            reasons = self._chain.scores_of(view.model_id, view.round, validator).reasons
            reason = self._reason(view, validator, reasons, mine)
            if reason is not None:
                spoke += stake
                unfetched += stake if reason == ScoreReason.UNAVAILABLE else 0
        return Fate.RETURNED if unfetched * UNFETCHED_HALF > spoke else Fate.JUDGED

    def _reason(
        self, view: RoundInfo, validator: str, reasons: Sequence[ScoreReason], index: int
    ) -> ScoreReason | None:
        """What a validator said of a submission; None where it was not dealt it, or said nothing."""
        if not reasons:
            return None
        if len(reasons) == view.reveals:
            return reasons[index]
        dealt = self._chain.dealt(view.model_id, view.round, validator)
        return reasons[dealt.index(index)] if index in dealt else None
