"""Drawn committees on a real chain: some validators are dealt nothing, and every payment is recomputed twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from client.audit import audit
from client.chain import Chain
from client.commitments import score_commitment
from client.council import decide, list_model
from client.deploy import TOKEN
from client.replay import load_state
from client.settings import Network
from client.types import ModelInfo
from contracts.enums import Level, Phase, Role, ScoreReason
from devnet.verify import verify
from tests.conftest import ChainProcess
from tests.integration.audit_world import MINERS, POLICY, SALT, TREASURY, History, Play, make_history

pytestmark = pytest.mark.slow

JUDGES = (3, 4, 5, 6, 7)
STAKES = (50, 40, 30, 20, 10)


class Drawn(History):
    """A model with five validators and committees of three."""

    def begin(self) -> ModelInfo:
        treasury = self.chains[TREASURY]
        treasury.pay_many([(self.chains[index].address, 0, 1000 * TOKEN) for index in (*MINERS, *JUDGES)])
        policy = replace(POLICY, committee=3)
        model = treasury.register_model(0, Level.GLOBAL, "drawn", "general", self.world.digest, policy)
        treasury.register_dataset(model.id, b"\x01" * 32, "CC0", 1000, 6, 1)  # its owner's, before anybody validates
        decide(treasury, [list_model(model.id, 10_000)], 10.0)
        for index in MINERS:
            self.chains[index].stake(model.id, Role.MINER, 5 * TOKEN)
        for index, amount in zip(JUDGES, STAKES, strict=True):
            self.chains[index].stake(model.id, Role.VALIDATOR, amount * TOKEN)
        self.states[model.id] = load_state(self.store, model.genesis)
        return model

    def judge(self, model: ModelInfo, number: int) -> dict[int, list[int]]:
        """Everybody scores what it was dealt; who was dealt what."""
        anyone = self.chains[TREASURY]
        self.mine(1)
        anyone.tick(model.id, number)  # records the seed, by which committees are drawn
        rounds = anyone.contract_address("Rounds")
        said: dict[int, tuple[list[int], list[ScoreReason], bytes]] = {}
        for index in JUDGES:
            chain = self.chains[index]
            dealt = chain.dealt(model.id, number, chain.address)
            scores, reasons = [100 * (place + 1) + index for place in dealt], [ScoreReason.OK] * len(dealt)
            said[index] = (scores, reasons, bytes([index]) * 32)
            args = (chain.chain_id, rounds, model.id, number, chain.address, *said[index], SALT)
            chain.commit_scores(model.id, number, score_commitment(*args))
        for index in JUDGES:
            self.chains[index].reveal_scores(model.id, number, *said[index], SALT)
        return {index: scores for index, (scores, _, _) in said.items()}


def test_audit_when_committees_are_drawn_then_both_recomputations_agree(
    anvil: ChainProcess, network: Network, tmp_path: Path
) -> None:
    def connect(index: int) -> Chain:
        return Chain.connect(network, anvil.account(index), patience=5.0, receipt_seconds=20.0)

    history: Drawn = _drawn(tmp_path, network, connect, anvil.mine)
    model = history.begin()
    anyone = history.chains[TREASURY]
    idle = 0
    for number in range(1, 5):
        anyone.tick(model.id)
        history.mine(1)
        history._deltas(model, number, Play(()))
        idle += sum(not scores for scores in history.judge(model, number).values())
        made = history._head(model, number)
        assert made is not None
        history._attest(model, number, made, JUDGES, lie=False)
        anyone.tick(model.id, number)
        assert anyone.round(model.id, number).phase == Phase.FINAL
        assert 1 <= len(anyone.committee(model.id, number, 0).members) <= 3
    assert idle >= 4  # at least two of five were dealt nothing each time
    report = audit(Chain.connect(network), history.store, "drawn", scratch=tmp_path)
    assert report.findings == () and report.counts["committee"] == 4
    verdict = verify(anyone)
    assert verdict.faults() == [] and verdict.ok


def _drawn(folder: Path, network: Network, connect: Callable[[int], Chain], mine: Callable[[int], None]) -> Drawn:
    made = make_history(folder, network, connect, mine)
    return Drawn(made.network, made.chains, made.mine, made.world)
