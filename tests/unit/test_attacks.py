"""The attack laboratory: what each attack sends, and what is read of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from client.codec import encode
from client.errors import ConfigError, DeltaError
from client.payload import decode_codes
from client.recipe import Compression
from client.types import ZERO_DIGEST, ModelInfo, SubmissionInfo
from contracts.enums import DeltaKind, Phase, ScoreReason
from devnet.attacks import lab
from devnet.attacks.base import MinerAttack, Scene
from devnet.attacks.lab import chosen
from devnet.attacks.miners import ATTACKS, BOMB_BYTES
from devnet.attacks.node import HostileBench, HostileLearner, arm
from devnet.attacks.outcome import EVERY, Outcome, Round, holes, hostile_nodes, write
from devnet.attacks.validators import VALIDATOR_ATTACKS, Scores
from node.interfaces import Trained, TrainJob, Verdict
from node.judging import Bench
from node.learner import Learner

SIZE = 5000
OTHERS = [np.random.default_rng(seed).normal(0, 0.01, SIZE).astype(np.float32) for seed in (1, 2)]
HONEST = np.random.default_rng(3).normal(0, 0.01, SIZE).astype(np.float32)


def scene(others: list[Any] = OTHERS, trained: list[int] | None = None) -> Scene:
    def honest() -> Any:
        if trained is not None:
            trained.append(1)
        return HONEST.copy()

    return Scene(SIZE, honest, lambda: others, np.random.default_rng(7))


def cosine(one: Any, other: Any) -> float:
    return float(np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other)))


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_attack_when_made_then_it_has_a_name_words_and_a_delta_that_can_be_encoded(name: str) -> None:
    attack = ATTACKS[name]()
    delta = attack.delta(scene())
    payload, _ = encode(delta, "topk2", 64, 4096)
    assert attack.name == name and attack.about and delta.shape == (SIZE,) and delta.dtype == np.float32
    assert attack.payload(payload, np.random.default_rng(1))


@pytest.mark.parametrize(
    ("name", "like", "least"),
    [
        ("none", HONEST, 0.999), ("copy", OTHERS[0], 0.999), ("copy-scaled", OTHERS[0], 0.999),
        ("copy-noised", OTHERS[0], 0.8), ("copy-mixed", OTHERS[0] + OTHERS[1], 0.999), ("sign-flip", -HONEST, 0.999),
        ("scaling", HONEST, 0.999), ("bias", HONEST, 0.8),
    ],
)  # fmt: skip
def test_delta_when_it_is_copied_or_turned_then_like_what_it_comes_from(name: str, like: Any, least: float) -> None:
    assert cosine(ATTACKS[name]().delta(scene()), like) > least


@pytest.mark.parametrize("name", ["zero", "random", "huge", "copy", "copy-mixed"])
def test_delta_when_the_attack_does_no_work_then_nothing_is_trained(name: str) -> None:
    trained: list[int] = []
    ATTACKS[name]().delta(scene(trained=trained))
    assert not trained


@pytest.mark.parametrize("name", ["copy", "copy-mixed", "copy-noised"])
def test_copy_when_nobody_has_revealed_yet_then_it_has_to_work(name: str) -> None:
    trained: list[int] = []
    assert cosine(ATTACKS[name]().delta(scene([], trained)), HONEST) > 0.8 and trained


@pytest.mark.parametrize("name", ["garbage", "bomb"])
def test_payload_when_it_is_no_delta_then_a_reader_refuses_it_at_once(name: str) -> None:
    payload, _ = encode(HONEST, "topk2", 64, 4096)
    sent = ATTACKS[name]().payload(payload, np.random.default_rng(1))
    assert len(sent) < BOMB_BYTES // 1000
    with pytest.raises(DeltaError):
        decode_codes(sent, SIZE, Compression("topk2", 64, 4096))


class OneGenesis(HostileLearner):
    def __init__(self, attack: MinerAttack) -> None:
        self.attack = attack

    def genesis(self, model: ModelInfo) -> Any:
        class Inner:
            steps, batch, sequence = 3, 2, 8

        class Of:
            inner, size = Inner, SIZE

        return Of


def job(model: Any = None) -> TrainJob:
    return TrainJob(model, None, ZERO_DIGEST, DeltaKind.TRAIN, (("dealt",),), b"\x01" * 32, "0xa", 0)


def test_learner_when_the_attack_trains_then_on_the_attack_s_text_and_its_delta_is_handed_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[TrainJob] = []

    def train(self: Any, given: TrainJob, progress: Any, stop: Any) -> Trained:
        seen.append(given)
        return Trained(HONEST.copy(), 48, 3.0, 2.0)

    monkeypatch.setattr(Learner, "train", train)
    flipped = OneGenesis(ATTACKS["sign-flip"]()).train(job(), lambda step: None, lambda: False)
    np.testing.assert_array_equal(flipped.delta, -HONEST)
    assert (flipped.tokens, flipped.loss_last) == (48, 2.0)
    OneGenesis(ATTACKS["other-data"]()).train(job(), lambda step: None, lambda: False)
    assert seen[0].shards == (("dealt",),) and seen[1].shards != seen[0].shards
    copied = OneGenesis(ATTACKS["copy"]())
    copied.look = lambda: OTHERS
    claimed = copied.train(job(), lambda step: None, lambda: False)
    assert len(seen) == 2 and claimed.tokens == 48, "no work, and as many tokens claimed"


PLAYED = Round(1, Phase.FINAL.name, True, 0, 0, {"COPY": 4}, (500, 400))
PAY = {"miner-1": 200, "miner-2": 100, "miner-3": 0}
PAY |= {"validator-1": 300, "validator-2": 260, "validator-3": 240, "validator-4": 100}
OUTCOME = Outcome("copy", (PLAYED,), PAY, 0.25, 0.01, 60.0, "run")


def test_outcome_when_a_miner_attacked_then_shown_against_the_least_paid_honest_one() -> None:
    assert OUTCOME.row() == ("copy", "0 of 1", 0.0, 0.0, "25.0 ± 1.0", "COPY 4", "1 of 1 FINAL")
    void = replace(PLAYED, score=200, weight=9, reasons={}, phase=Phase.VOID.name)
    paid = replace(OUTCOME, paid={**PAY, "miner-3": 50}, rounds=(void,))
    assert paid.row() == ("copy", "1 of 1", 0.5, 0.5, "25.0 ± 1.0", "-", "VOID")
    nothing = replace(OUTCOME, paid={}, rounds=(replace(PLAYED, honest_scores=()),))
    assert nothing.row()[2:4] == (0.0, 0.0)


def test_outcome_when_validators_attacked_then_pay_is_per_stake() -> None:
    assert replace(OUTCOME, attack="validator-random").row()[:4] == ("validator-random", 20, 0.5, 0.0)
    cabal = replace(OUTCOME, attack="cabal-lift", paid={**PAY, "miner-3": 100})
    assert cabal.row()[:4] == ("cabal-lift", 44, round(340 / 44 / 10, 3), 1.0)


def test_holes_when_an_attack_was_paid_then_it_is_named_and_the_control_is_not() -> None:
    paid = {**PAY, "miner-3": 90}
    outcomes = [
        replace(OUTCOME, attack="none", paid=paid), OUTCOME, replace(OUTCOME, attack="zero", paid=paid),
        replace(OUTCOME, attack="validator-lift"), replace(OUTCOME, attack="cabal-lift", paid=paid),
        replace(OUTCOME, attack="validator-sink", paid=paid),
        replace(OUTCOME, attack="validator-last", paid={**PAY, "validator-4": 900}),
    ]  # fmt: skip
    assert holes(outcomes) == ["zero", "cabal-lift", "validator-last"]


def test_chosen_when_asked_for_then_the_control_is_always_there() -> None:
    assert chosen("copy") == ["none", "copy"] and chosen("none") == ["none"] and chosen("all") == list(EVERY)
    assert chosen("miners")[:2] == ["none", "zero"] and chosen("validators")[:2] == ["none", "validator-random"]
    with pytest.raises(ConfigError, match="no attack is called 'x'; there are: all, miners, validators, none, zero"):
        chosen("x")


def test_write_when_some_are_known_then_tables_json_and_pictures(tmp_path: Path) -> None:
    write([OUTCOME, replace(OUTCOME, attack="validator-sink")], tmp_path)
    found = json.loads((tmp_path / "attacks.json").read_text())
    assert (found[0]["attack"], found[0]["rounds"][0]["reasons"]) == ("copy", {"COPY": 4})
    text = (tmp_path / "attacks.md").read_text()
    assert "| copy | 0 of 1 |" in text and "| validator-sink | 20 |" in text
    assert {path.name for path in tmp_path.glob("*.svg")} == {"attacks-miner.svg", "attacks-validator.svg"}


SEEN = Scores((300_000, 0, 200_000), ("0xa", "0xb", "0xfriend"), "0xfriend", (5, 6, 7), np.random.default_rng(1))


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("validator-constant", [100_000] * 3), ("validator-last", [5, 6, 7]),
        ("validator-lift", [300_000, 0, 5_000_000]), ("validator-sink", [0, 0, 200_000]),
        ("validator-head", [300_000, 0, 200_000]), ("cabal-lift", [300_000, 0, 5_000_000]),
    ],
)  # fmt: skip
def test_scores_when_a_validator_attacks_then_as_its_name_says(name: str, scores: list[int]) -> None:
    attack = VALIDATOR_ATTACKS[name]()
    assert attack.scores(SEEN) == scores
    assert (attack.head(b"\x01" * 32) != b"\x01" * 32) == (name == "validator-head") and attack.speaks


def test_members_when_a_cabal_attacks_then_more_nodes_are_hostile_and_a_lifted_friend_sends_noise() -> None:
    assert VALIDATOR_ATTACKS["validator-sink"].members == {"validator-4": "validator-sink"}
    assert hostile_nodes("cabal-lift") == {
        "validator-3": "cabal-lift", "validator-4": "cabal-lift", "miner-3": "random",
    }  # fmt: skip
    assert hostile_nodes("copy") == {"miner-3": "copy"}
    assert not VALIDATOR_ATTACKS["validator-silent"]().speaks


def test_bench_when_hostile_then_scores_and_reasons_fit_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = (ScoreReason.OK, ScoreReason.COPY, ScoreReason.OK)
    honest = Verdict((300_000, 0, 200_000), reasons, b"report", {})
    monkeypatch.setattr(Bench, "judge", lambda self, given: honest)
    bench = HostileBench.__new__(HostileBench)
    bench.attack, bench.friend = VALIDATOR_ATTACKS["validator-sink"](), "0xc"
    submissions = [
        SubmissionInfo(place, who, b"d" * 32, DeltaKind.TRAIN, ZERO_DIGEST, (1,), 1, 0, 0)
        for place, who in enumerate(("0xa", "0xb", "0xc"))
    ]
    asked: Any = SimpleNamespace(submissions=submissions, dealt=(0, 1, 2), evaluation_seed=b"e" * 32)
    found = bench.judge(asked)
    assert found.scores == (0, 0, 200_000)
    assert found.reasons == (ScoreReason.NO_GAIN, ScoreReason.COPY, ScoreReason.OK)


def test_arm_when_called_then_the_roles_take_the_hostile_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    import node.heads
    import node.judging
    import node.learner
    import node.miner
    import node.validator

    for module, name in (
        (node.miner, "Miner"), (node.learner, "Learner"), (node.judging, "Bench"), (node.heads, "Heads"),
        (node.validator, "Validator"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, getattr(module, name))
    arm(ATTACKS["zero"]())
    arm(VALIDATOR_ATTACKS["validator-lift"](), "0xfriend")
    assert node.learner.Learner is HostileLearner and HostileLearner.attack.name == "zero"
    assert node.judging.Bench is HostileBench and HostileBench.friend == "0xfriend"


@pytest.mark.deep
def test_attack_when_played_in_a_real_network_then_it_gets_nothing_and_the_round_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from devnet.layout import Home

    monkeypatch.setenv("STRATA_HOME", str(tmp_path))
    outcome = lab.play(Home(tmp_path), "garbage", 1, lambda text: None)
    assert (outcome.accepted, outcome.miner_ratio, outcome.rounds[0].phase) == (0, 0.0, Phase.FINAL.name)
    assert outcome.rounds[0].reasons == {"BAD_FORM": 4} and outcome.paid["miner-1"] > 0
