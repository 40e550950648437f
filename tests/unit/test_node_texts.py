"""Which held-out text judges a round, and whose it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from client.types import DatasetInfo
from node.texts import HELDOUT_SHARDS, Texts
from tests.unit.role_fakes import World


def dataset_of(world: World, owner: str, shards: int) -> DatasetInfo:
    number = world.put_dataset([[f"{owner} trains"]], [[f"{owner} {place}", "more"] for place in range(shards)])
    return replace(world.owner.dataset(number), owner=owner)


def test_heldout_when_one_contributor_has_most_then_a_third_of_the_shards_is_its(tmp_path: Path) -> None:
    world = World(tmp_path)
    infos = [dataset_of(world, owner, shards) for owner, shards in (("0xa", 80), ("0xb", 20), ("0xc", 20))]
    infos.append(dataset_of(world, "0xa", 10))  # in two datasets
    found = Texts(world.store, 5.0).heldout(infos, b"seed")
    owners = Counter(document.owner for document in found)
    assert sum(owners.values()) == 2 * HELDOUT_SHARDS and owners["0xa"] <= 2 * -(-HELDOUT_SHARDS // 3)
    assert all(document.text == "more" or document.text.startswith(document.owner) for document in found)
    assert (
        found == Texts(world.store, 5.0).heldout(infos[::-1], b"seed") != Texts(world.store, 5.0).heldout(infos, b"b")
    )


def test_heldout_when_there_is_one_contributor_then_all_of_it_may_judge(tmp_path: Path) -> None:
    world = World(tmp_path)
    found = Texts(world.store, 5.0).heldout([dataset_of(world, "0xa", 5)], b"seed")
    assert len(found) == 10 and {document.owner for document in found} == {"0xa"}
