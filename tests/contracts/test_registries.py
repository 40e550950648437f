"""The tree of models, and datasets with the vote on them."""

from __future__ import annotations

import pytest

from tests.contracts.net import WINDOWS, Net, Play, digest, refuses


def test_model_when_registered_then_is_found_by_name(net: Net, root: int) -> None:
    law = net.register("law", root, 2)
    model = net.models.call("get", law)
    assert (model.parentId, model.level, model.name, model.head, model.headRound) == (root, 2, "law", digest("law"), 0)
    assert net.models.call("idOf", "law") == law == net.models.call("count")
    assert net.models.call("idOf", "none") == 0
    policy = net.models.call("policyOf", law)
    assert tuple(vars(policy).values()) == WINDOWS


@pytest.mark.parametrize(
    ("parent", "level", "name", "error"),
    [
        (0, 1, "x", "BadLevel"),
        (1, 0, "x", "BadLevel"),
        (1, 5, "x", "BadLevel"),
        (9, 2, "x", "UnknownModel"),
        (1, 2, "global", "NameTaken"),
        (1, 2, "", "BadName"),
        (1, 2, "x" * 65, "BadName"),
    ],
)
def test_model_when_it_does_not_fit_the_tree_then_refused(
    net: Net, root: int, parent: int, level: int, name: str, error: str
) -> None:
    assert root == 1
    with refuses(error):
        net.register(name, parent, level)


@pytest.mark.parametrize("blocks", [0, 1, 100_001])
def test_model_when_a_phase_is_out_of_bounds_then_refused(net: Net, blocks: int) -> None:
    with refuses("BadPolicy", blocks):
        net.register("x", windows=(*WINDOWS[:6], blocks))


def test_model_when_unknown_then_refused(net: Net) -> None:
    for function in ("get", "headOf", "policyOf", "parentOf"):
        with refuses("UnknownModel", 7):
            net.models.call(function, 7)
    with refuses("UnknownModel", 0):
        net.models.call("get", 0)


def test_dataset_when_the_model_has_no_validators_then_accepted_at_once(net: Net, root: int) -> None:
    dataset = net.dataset(root, "text")
    record = net.data.call("get", dataset)
    assert (record.status, record.acceptedBlock, record.owner) == (1, net.evm.block, net.contributor)
    assert not net.data.call("isUsableAt", dataset, record.acceptedBlock)
    assert net.data.call("isUsableAt", dataset, record.acceptedBlock + 1)


def test_dataset_when_half_of_the_stake_accepts_then_still_pending(net: Net, play: Play) -> None:
    dataset = net.dataset(play.model, "text")
    voters = (net.validators[0], net.validators[3])  # 30 + 20 of 100
    for validator in voters:
        net.data.send("vote", dataset, True, sender=validator)
    assert net.data.call("get", dataset).status == 0
    with refuses("AlreadyVoted", voters[0]):
        net.data.send("vote", dataset, False, sender=voters[0])
    done = net.data.send("vote", dataset, True, sender=net.validators[1])
    assert done.log("DatasetAccepted").args.blockNumber == done.block
    with refuses("WrongStatus", 1):
        net.data.send("vote", dataset, True, sender=net.validators[2])


def test_dataset_when_most_stake_rejects_then_rejected(net: Net, play: Play) -> None:
    dataset = net.dataset(play.model, "text")
    net.data.send("vote", dataset, False, sender=net.validators[0])
    done = net.data.send("vote", dataset, False, sender=net.validators[1])
    assert done.log("DatasetRejected").args.id == dataset
    assert not net.data.call("isUsableAt", dataset, done.block + 1)
    with refuses("WrongStatus", 2):
        net.data.send("withdraw", dataset, sender=net.contributor)


def test_dataset_when_its_root_is_known_then_refused(net: Net, root: int) -> None:
    net.dataset(root, "text")
    with refuses("DuplicateRoot", digest("text")):
        net.dataset(root, "text", net.stranger)
    assert net.data.call("idOf", digest("text")) == 1


def test_dataset_when_malformed_then_refused(net: Net, root: int) -> None:
    good = (root, digest("x"), "MIT", 10, 1, 0)
    for place, value in ((1, bytes(32)), (2, ""), (2, "x" * 65), (3, 0), (4, 0)):
        bad = [*good]
        bad[place] = value
        with refuses("BadDataset"):
            net.data.send("register", *bad, sender=net.contributor)
    with refuses("UnknownModel", 9):
        net.data.send("register", 9, *good[1:], sender=net.contributor)


def test_dataset_when_withdrawn_then_not_usable_from_that_block_on(net: Net, root: int) -> None:
    dataset = net.dataset(root, "text")
    net.evm.mine(3)
    with refuses("NotOwner", net.stranger):
        net.data.send("withdraw", dataset, sender=net.stranger)
    block = net.data.send("withdraw", dataset, sender=net.contributor).block
    assert net.data.call("isUsableAt", dataset, block - 1)
    assert not net.data.call("isUsableAt", dataset, block)
    with refuses("WrongStatus", 3):
        net.data.send("withdraw", dataset, sender=net.contributor)


def test_vote_when_the_caller_has_no_stake_there_then_refused(net: Net, play: Play) -> None:
    dataset = net.dataset(play.model, "text")
    for outsider in (net.stranger, net.miners[0]):
        with refuses("NotValidator", outsider):
            net.data.send("vote", dataset, True, sender=outsider)
    with refuses("UnknownDataset", 9):
        net.data.send("vote", 9, True, sender=net.validators[0])
