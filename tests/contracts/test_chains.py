"""What nodes must know of chains: which block a call sees, how far back hashes reach, whose events libraries' are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from contracts.enums import Level, Phase, Role, VoidReason
from tests.contracts.evm import (
    ANVIL,
    GANACHE,
    Contract,
    Evm,
    Reverted,
    anvil_command,
    deploy,
    free_port,
    ganache_command,
    running,
)
from tests.contracts.net import HARNESS, TOKEN, Net, Play, deploy_net

SLOW = (1000, 10, 10, 10, 10, 10, 10)
HISTORY = "0x0000F90827F1C53a10cb7A02335B175320002935"  # EIP-2935


@pytest.fixture(scope="module")
def prague() -> Iterator[Net]:
    """The network on an Anvil that keeps the hashes of 8,191 blocks, as mainnet does."""
    if not ANVIL.is_file():
        pytest.skip("no Anvil in node_modules; run `make setup`")
    port = free_port()
    with running(anvil_command(port, "prague"), port) as evm:
        yield deploy_net(evm)


def unseen(net: Net) -> Play:
    """A round whose miners train for 300 blocks after the opening, in which nobody sends anything."""
    model = net.register("slow", windows=SLOW)
    net.staffed(model)
    play = Play(net, model).open()
    net.evm.mine(300)
    return play


def test_history_when_the_chain_has_eip_2935_then_8191_blocks_else_256(net: Net, prague: Net) -> None:
    for network, blocks in ((net, 256), (prague, 8191)):
        kept = network.evm.rpc("eth_getCode", HISTORY, "latest") not in ("0x", None)
        assert (kept, network.rounds.call("historyBlocks")) == (blocks == 8191, blocks)


def test_seed_when_nobody_acts_for_300_blocks_then_still_read_where_hashes_are_kept(prague: Net) -> None:
    play = unseen(prague)
    assert play.phase() == Phase.TRAIN
    captured = play.tick().log("SeedCaptured").args.seed
    assert captured == play.view().seed != bytes(32)


def test_seed_when_nobody_acts_for_300_blocks_then_void_where_hashes_are_not_kept(net: Net) -> None:
    play = unseen(net)
    assert (play.phase(), play.reason()) == (Phase.VOID, VoidReason.NO_SEED)
    (done,) = play.settle()
    assert done.log("RoundVoided").args.reason == VoidReason.NO_SEED


def test_seed_when_read_in_the_opening_block_then_unknown_and_known_a_block_later(net: Net) -> None:
    model = net.register("global")
    net.staffed(model)
    play = Play(net, model).open()
    assert play.view().seed == bytes(32)
    net.evm.mine()
    assert play.view().seed != bytes(32)


def test_phase_when_its_last_block_is_mined_then_a_call_is_late_but_a_transaction_of_the_next_is_in_time(
    net: Net,
) -> None:
    model = net.register("global")
    net.staffed(model)
    play = Play(net, model).open()
    play.commit(net.miners[0])
    end = net.rounds.call("windows", model, 1)[0] + net.rounds.call("windows", model, 1)[1] + play.view().openBlock
    net.evm.mine_to(end - 1)
    assert (play.phase(0), play.phase(1)) == (Phase.COMMIT, Phase.REVEAL)
    with pytest.raises(Reverted, check=lambda e: e.name == "WrongPhase"):
        play.commit(net.miners[1])  # by the latest block it was in time
    play.reveal(net.miners[0])  # by the latest block it was early


def test_commit_when_staked_after_the_opening_then_refused(net: Net) -> None:
    model = net.register("global")
    net.staffed(model)
    play = Play(net, model).open()
    net.stake(net.stranger, model, Role.MINER, TOKEN)
    with pytest.raises(Reverted, check=lambda e: e.name == "NotEnrolled"):
        play.commit(net.stranger)


def test_events_when_a_linked_library_emits_them_then_they_are_of_rounds(net: Net) -> None:
    root = net.register("global")
    law = net.register("law", root, Level.FIELD)
    net.staffed(law)
    play = Play(net, law).open()
    play.mine_deltas(net.miners[:1])
    play.judge(net.validators, (5,))
    play.attest(net.validators)
    (done,) = play.settle()
    names = {log.name for log in done.logs if log.address == net.rounds.address.lower()}
    assert names == {"RoundFinalized", "RoundSettled"} | {log.name for log in done.all("ValidatorMissed")}
    assert done.log("RoundFinalized").args.head == play.head


def test_refusal_when_a_linked_library_says_it_then_it_is_read_as_rounds(net: Net) -> None:
    model = net.register("global")
    net.staffed(model)
    play = Play(net, model).open()
    play.mine_deltas(net.miners)
    play.skip_to(Phase.SCORE)
    row = (1, 2, 3, 10**9 + 1)
    play.commit_scores(net.validators[0], row)
    play.skip_to(Phase.SCORE_REVEAL)
    with pytest.raises(Reverted, check=lambda e: (e.name, e.arguments) == ("BadScore", (3,))):
        play.reveal_scores(net.validators[0], row)


def sees_latest(evm: Evm, harness: Contract) -> bool:
    """Whether a call at the latest block runs in that block."""
    found: bool = harness.call("currentBlock")[0] == evm.block
    return found


def test_call_when_at_latest_on_anvil_then_sees_the_latest_block_not_the_next(evm: Evm, harness: Contract) -> None:
    evm.mine()
    assert sees_latest(evm, harness)


@pytest.mark.slow
@pytest.mark.skipif(not GANACHE.is_file() or shutil.which("node") is None, reason="no Ganache")
def test_call_when_at_latest_on_ganache_then_sees_the_latest_block_not_the_next() -> None:
    port = free_port()
    with running(ganache_command(port), port) as evm:
        harness = deploy(evm, json.loads(HARNESS.read_text()), (), evm.accounts[0])
        evm.mine()
        assert sees_latest(evm, harness)
