"""The attack laboratory: what each attack sends, and what is read of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.codec import encode
from client.errors import ConfigError, DeltaError
from client.payload import decode_codes
from client.recipe import Compression
from client.types import ZERO_DIGEST, ModelInfo
from contracts.enums import DeltaKind, Phase
from devnet.attacks import lab
from devnet.attacks.base import MinerAttack, Scene
from devnet.attacks.lab import Outcome, Round, chosen, holes, markdown, table
from devnet.attacks.miners import ATTACKS, BOMB_BYTES
from devnet.attacks.node import HostileLearner
from node.interfaces import Trained, TrainJob
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
OUTCOME = Outcome("copy", (PLAYED,), 0, (200, 100), 0.25, 0.01, 60.0, "run")


def test_outcome_when_shown_then_against_the_least_paid_honest_miner() -> None:
    assert OUTCOME.row() == ("copy", "0 of 1", 0.0, 0.0, "25.0 ± 1.0", "COPY 4", "all rounds ended")
    paid = replace(OUTCOME, paid=50, rounds=(replace(PLAYED, score=200, weight=9, reasons={}, phase=Phase.VOID.name),))
    assert paid.row() == ("copy", "1 of 1", 0.5, 0.5, "25.0 ± 1.0", "-", "VOID")
    nothing = replace(OUTCOME, honest_paid=(0, 0), rounds=(replace(PLAYED, honest_scores=()),))
    assert nothing.row()[2:4] == (0.0, 0.0)


def test_holes_when_an_attack_was_paid_then_it_is_named_and_the_control_is_not() -> None:
    outcomes = [replace(OUTCOME, attack="none", paid=90), OUTCOME, replace(OUTCOME, attack="zero", paid=1)]
    assert holes(outcomes) == ["zero"]


def test_chosen_when_asked_for_then_the_control_is_always_there() -> None:
    assert chosen("copy") == ["none", "copy"] and chosen("none") == ["none"] and chosen("all") == list(ATTACKS)
    with pytest.raises(ConfigError, match="no attack is called 'x'; there are: all, none, zero"):
        chosen("x")


def test_write_when_some_are_known_then_table_json_and_pictures(tmp_path: Path) -> None:
    lab.write([OUTCOME], tmp_path)
    (found,) = json.loads((tmp_path / "attacks.json").read_text())
    assert (found["attack"], found["rounds"][0]["reasons"]) == ("copy", {"COPY": 4})
    assert (tmp_path / "attacks.md").read_text().splitlines()[2].startswith("| copy | 0 of 1 |")
    assert markdown(table([OUTCOME])).count("\n") == 2
    assert {path.name for path in tmp_path.glob("*.svg")} == {"attacks-paid.svg", "attacks-fall.svg"}


@pytest.mark.deep
def test_attack_when_played_in_a_real_network_then_it_gets_nothing_and_the_round_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from devnet.layout import Home

    monkeypatch.setenv("STRATA_HOME", str(tmp_path))
    outcome = lab.play(Home(tmp_path), "garbage", 1, lambda text: None)
    assert (outcome.accepted, outcome.paid, outcome.rounds[0].phase) == (0, 0, Phase.FINAL.name)
    assert outcome.rounds[0].reasons == {"BAD_FORM": 4} and min(outcome.honest_paid) > 0
