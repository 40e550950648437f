"""Deployments to real chains: cut off anywhere, disturbed, on a faulty line; what they refuse; what they check."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from client.chain_outbox import Outbox
from client.chain_rpc import Rpc
from client.deploy import Deployment, DeploySettings, deploy
from client.deploy_check import Checks
from client.deploy_plan import ORDER, creation
from client.deploy_state import StateFile
from client.errors import ChainError, ConfigError, Unfunded
from client.journal import FileJournal, JournalEntry
from client.settings import Network
from tests.conftest import ROOT, ChainProcess
from tests.deploy_world import PUBLIC_CHAIN, STRANGER, sent, steps
from tests.faulty_proxy import Fault, FaultyProxy

SEND = "eth_sendRawTransaction"


class Killed(BaseException):
    """As by kill -9: nothing after it runs."""


@contextmanager
def _dying(monkeypatch: pytest.MonkeyPatch, broadcasts: int, after: bool) -> Iterator[None]:
    """The process dies at that broadcast of something new, before or after the chain has it."""
    real = Outbox.broadcast
    seen: set[str] = set()

    def broadcast(self: Outbox, entry: JournalEntry) -> bool:
        seen.add(entry.hashes[-1])
        if len(seen) <= broadcasts:
            return real(self, entry)
        if after:
            real(self, entry)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "broadcast", broadcast)
        yield


def test_deployment_when_done_then_all_is_written_and_a_second_run_sends_nothing(
    node: ChainProcess, tmp_path: Path
) -> None:
    path = tmp_path / "network.json"
    said: list[str] = []
    network = deploy(node.url, node.account(0), path=path, say=said.append)
    assert Network.load(path) == network
    assert set(network.contracts) == set(ORDER)
    assert sent(node) == steps() == sum(" of " in line for line in said)
    state = StateFile.beside(path).load()
    assert state is not None
    assert state.finished
    assert len(state.transactions) == steps()
    assert deploy(node.url, node.account(0), path=path) == network
    assert sent(node) == steps()


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_deployment_when_cut_off_at_every_transaction_then_it_goes_on_and_sends_none_twice(
    node: ChainProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    path, account = tmp_path / "network.json", node.account(0)
    kills = 0
    while True:
        try:
            with _dying(monkeypatch, 1, after):
                network = deploy(node.url, account, path=path, journal=FileJournal(tmp_path / "journal"))
            break
        except Killed:
            kills += 1
            assert not path.exists()
            assert kills <= steps()
    assert kills >= steps() // 2
    assert sent(node) == steps()
    assert Network.load(path) == network
    assert FileJournal(tmp_path / "journal").pending() == []


@pytest.mark.slow
def test_deployment_when_cut_off_at_any_write_then_it_goes_on_and_sends_none_twice(
    node: ChainProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = StateFile.save, 0

    def save(self: StateFile, state: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        real(self, state)

    snapshot = node.rpc("evm_snapshot")
    for writes in (0, 1, 2, 8, 14, 15, 20, 21, 22, 23, 24):
        folder = tmp_path / str(writes)
        path, left = folder / "network.json", writes
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(StateFile, "save", save)
            deploy(node.url, node.account(0), path=path, journal=FileJournal(folder / "journal"))
        network = deploy(node.url, node.account(0), path=path, journal=FileJournal(folder / "journal"))
        assert Network.load(path) == network
        assert sent(node) == steps()
        node.rpc("evm_revert", snapshot)
        snapshot = node.rpc("evm_snapshot")


DYING = """
import os, signal, sys
from pathlib import Path
from eth_account import Account
from client.chain_outbox import Outbox
from client.deploy import deploy
from client.journal import FileJournal

url, key, folder, count = sys.argv[1:]
real, left = Outbox.broadcast, int(count)

def broadcast(self, entry):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, entry)

Outbox.broadcast = broadcast
path = Path(folder) / "network.json"
deploy(url, Account.from_key(key), path=path, journal=FileJournal(Path(folder) / "journal"))
"""


@pytest.mark.slow
def test_deployment_when_its_process_is_killed_again_and_again_then_it_goes_on(
    node: ChainProcess, tmp_path: Path
) -> None:
    arguments = [node.url, node.account(0).key.hex(), str(tmp_path)]
    codes = []
    for count in (0, 3, 9, 8, 99):
        done = subprocess.run(
            [sys.executable, "-c", DYING, *arguments, str(count)],
            cwd=ROOT,
            capture_output=True,
            timeout=120,
            check=False,
        )
        codes.append(done.returncode)
    assert codes == [*[-signal.SIGKILL] * 4, 0]
    assert sent(node) == steps()
    assert (tmp_path / "network.json").exists()


def test_deployment_when_the_wallet_is_used_meanwhile_then_it_is_planned_anew(
    node: ChainProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, account = tmp_path / "network.json", node.account(0)
    with _dying(monkeypatch, 6, after=True), pytest.raises(Killed):
        deploy(node.url, account, path=path, journal=FileJournal(tmp_path / "journal"))
    node.rpc("eth_sendTransaction", {"from": account.address, "to": STRANGER, "value": "0x1"})
    network = deploy(node.url, account, path=path, journal=FileJournal(tmp_path / "journal"))
    assert sent(node) == steps() + 1
    assert Network.load(path) == network


@pytest.mark.slow
def test_deployment_when_the_line_is_faulty_then_each_transaction_is_sent_once(
    node: ChainProcess, tmp_path: Path
) -> None:
    with FaultyProxy(node.url) as proxy:
        proxy.next(SEND, Fault.LOSE_REPLY, Fault.DUPLICATE, Fault.LOSE_REQUEST, Fault.HALF_REPLY, Fault.LOSE_REPLY)
        proxy.next("eth_getCode", Fault.LOSE_REPLY, Fault.HALF_REPLY)
        network = deploy(proxy.url, node.account(0), path=tmp_path / "network.json")
    assert sent(node) == steps()
    assert len(network.contracts) == len(ORDER)


def test_deployment_when_the_deployer_is_too_poor_then_nothing_is_sent(node: ChainProcess) -> None:
    node.rpc("anvil_setBalance", node.account(0).address, hex(10**15))
    with pytest.raises(Unfunded, match="may need"):
        deploy(node.url, node.account(0))
    assert sent(node) == 0


def test_deployment_when_the_chain_counts_more_gas_then_more_is_offered(node: ChainProcess) -> None:
    plain = Deployment(Rpc(node.url), node.account(0).address).quote()
    with FaultyProxy(node.url) as proxy:
        proxy.always("eth_estimateGas", lambda _, answer: {**answer, "result": hex(int(answer["result"], 16) * 3)})
        dear = Deployment(Rpc(proxy.url), node.account(0).address).quote()
    assert len(dear.steps) == len(plain.steps) == steps()
    assert 2 * plain.gas < dear.gas < 4 * plain.gas
    small = {"gasLimit": hex(4_000_000)}
    with FaultyProxy(node.url) as proxy:
        proxy.always("eth_getBlockByNumber", lambda _, answer: {**answer, "result": {**answer["result"], **small}})
        with pytest.raises(ChainError, match="hold 4,000,000"):
            Deployment(Rpc(proxy.url), node.account(0).address).quote()


def test_check_when_a_contract_was_made_with_other_parts_then_refused(node: ChainProcess, tmp_path: Path) -> None:
    first = deploy(node.url, node.account(0), path=tmp_path / "first.json")
    second = deploy(node.url, node.account(0), path=tmp_path / "second.json")
    deployer = node.account(0).address
    parts = {**second.contracts, "Staking": first.contracts["Staking"]}
    settings = DeploySettings.local().complete(deployer, 31337)
    made = {name: creation(name, settings, deployer, parts).data for name in ORDER}
    with pytest.raises(ChainError, match=r"Staking at .* was made with another (StrataToken|ModelRegistry)"):
        Checks(Rpc(node.url), deployer).verify(parts, made, [])


def test_deployment_when_another_chain_answers_or_a_known_key_signs_then_refused(
    node: ChainProcess, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="is chain 31337, not 5"):
        deploy(node.url, node.account(0), chain_id=5)
    node.rpc("anvil_setChainId", PUBLIC_CHAIN)
    with pytest.raises(ConfigError, match="everybody knows"):
        deploy(node.url, node.account(0))
    assert sent(node) == 0


@pytest.mark.slow
def test_deployment_when_the_chain_is_public_then_it_waits_for_confirmations_and_the_offices_are_as_named(
    node: ChainProcess, tmp_path: Path
) -> None:
    from eth_account import Account

    node.rpc("anvil_setChainId", PUBLIC_CHAIN)
    account = Account.create()
    node.rpc("anvil_setBalance", account.address, hex(10**20))
    people = {office: Account.create().address for office in ("treasury", "council", "guardian")}
    with pytest.raises(ConfigError, match="--council"):
        deploy(node.url, account)
    node.rpc("evm_setIntervalMining", 1)
    try:
        deploy(node.url, account, DeploySettings(**people), tmp_path / "network.json", confirmations=1)
    finally:
        node.rpc("evm_setIntervalMining", 0)
        node.rpc("evm_setAutomine", True)
    state = StateFile.beside(tmp_path / "network.json").load()
    assert state is not None
    assert (state.chain_id, state.settings.council, state.finished) == (PUBLIC_CHAIN, people["council"], True)


def test_deployment_when_begun_with_other_settings_or_not_from_here_then_refused(
    node: ChainProcess, tmp_path: Path
) -> None:
    path = tmp_path / "network.json"
    deploy(node.url, node.account(0), path=path)
    with pytest.raises(ConfigError, match=r"ballot_blocks 200 \(now 201"):
        deploy(node.url, node.account(0), DeploySettings.local(ballot_blocks=201), path)
    StateFile.beside(path).leave_behind()
    with pytest.raises(ConfigError, match="describes a network already"):
        deploy(node.url, node.account(0), path=path)


def test_check_when_code_rights_or_parameters_are_not_as_planned_then_refused(
    node: ChainProcess, tmp_path: Path
) -> None:
    path = tmp_path / "network.json"
    network = deploy(node.url, node.account(0), path=path)

    def again(words: str) -> None:
        with pytest.raises(ChainError, match=words):
            deploy(node.url, node.account(0), path=path)

    def as_timelock(function: str, *args: Any) -> None:
        from client.deploy_plan import abi_of

        timelock, authority = network.contracts["StrataTimelock"], network.contracts["StrataAuthority"]
        node.rpc("anvil_setBalance", timelock, hex(10**18))
        node.rpc("anvil_impersonateAccount", timelock)
        data = abi_of("StrataAuthority").functions[function].encode(args)
        node.rpc("eth_sendTransaction", {"from": timelock, "to": authority, "data": data, "gas": hex(300_000)})

    as_timelock("grantRole", 0, STRANGER, 0)
    again(f"{STRANGER} holds role 0")
    as_timelock("revokeRole", 0, STRANGER)
    deploy(node.url, node.account(0), path=path)
    code = node.rpc("eth_getCode", network.contracts["Rewards"], "latest")
    node.rpc("anvil_setCode", network.contracts["Rewards"], code[:4000] + "00" + code[4002:])
    again("the code of Rewards at .* is not the artifact's")


@pytest.mark.slow
def test_deployment_when_the_chain_is_ganache_then_it_is_the_same(start_chain: Callable[..., ChainProcess]) -> None:
    ganache = start_chain(ganache=True)
    assert set(deploy(ganache.url, ganache.account(0)).contracts) == set(ORDER)
    ganache.stop()


def test_quote_when_some_is_done_then_only_the_rest_is_counted(
    node: ChainProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "network.json"
    with _dying(monkeypatch, 14, after=False), pytest.raises(Killed):
        deploy(node.url, node.account(0), path=path, journal=FileJournal(tmp_path / "journal"))
    quote = Deployment(Rpc(node.url), node.account(0).address, path=path).quote()
    assert len(quote.steps) == steps() - 14
