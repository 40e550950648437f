"""A node follows the chain's head with the fewest bytes: by deltas where it can, past snapshots too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from client.errors import NotFound
from client.replay import Accepted, ModelState, load_state
from contracts.enums import Phase
from node.heads import Heads, accepted_on
from tests.unit.test_replay import World, make_world


class Chain:
    """Rounds as a chain would have them."""

    def __init__(self, world: World) -> None:
        self._world = world

    def round(self, _model: int, number: int) -> SimpleNamespace:
        return SimpleNamespace(settled=number < 9, phase=Phase.VOID if number == 2 else Phase.FINAL)

    def submissions(self, _model: int, number: int) -> Sequence[SimpleNamespace]:
        entries = [*self._world.accepted(number), Accepted(bytes(32), 0, "0x09")]
        return [SimpleNamespace(**entry.__dict__) for entry in entries]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def _chain_of_heads(world: World, numbers: Sequence[int]) -> dict[int, ModelState]:
    state = load_state(world.store, world.digest)
    found = {0: state}
    for number in numbers:
        state = world.advance(state, number).state
        found[number] = state
    return found


def test_heads_when_behind_a_snapshot_then_follow_by_deltas_alone(world: World) -> None:
    made = _chain_of_heads(world, (1, 3, 4, 5))
    heads = Heads(world.store, world.folder, 1.0, accepted_on(Chain(world)))
    assert heads.state(7, made[1].head_digest).round == 1
    snapshot = bytes.fromhex(made[3].head.snapshot)
    assert made[3].head.snapshot_round == 3

    def refuse(digest: bytes) -> None:
        if digest == snapshot:
            raise NotFound("the snapshot was asked for")

    world.store.fault = refuse
    for number in (3, 5):  # round 2 was void
        found = heads.state(7, made[number].head_digest)
        assert (found.theta == made[number].theta).all() and (found.momentum == made[number].momentum).all()


def test_heads_when_the_chain_is_not_asked_then_take_the_snapshot(world: World) -> None:
    made = _chain_of_heads(world, (1, 3, 4))
    heads = Heads(world.store, world.folder, 1.0)
    assert heads.state(7, made[1].head_digest).round == 1
    assert (heads.state(7, made[4].head_digest).theta == made[4].theta).all()


def test_heads_when_asked_for_an_older_head_then_replay_it(world: World) -> None:
    made = _chain_of_heads(world, (1, 3, 4))
    heads = Heads(world.store, world.folder, 1.0, accepted_on(Chain(world)))
    for number in (4, 1, 3):
        assert (heads.state(7, made[number].head_digest).theta == made[number].theta).all()


def test_accepted_when_round_is_open_void_or_final_then_unknown_none_or_listed(world: World) -> None:
    of = accepted_on(Chain(world))
    assert of(7, 9) is None
    assert list(of(7, 2) or ()) == []
    assert of(7, 3) == world.accepted(3)
