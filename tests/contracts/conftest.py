"""One Anvil for all contract tests; each test starts from the freshly deployed network and leaves no trace."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.contracts.evm import ANVIL, Contract, Evm, anvil_command, deploy, free_port, running
from tests.contracts.net import HARNESS, Net, deploy_net


@pytest.fixture(scope="session")
def evm() -> Iterator[Evm]:
    """An Anvil that mines with every transaction."""
    if not ANVIL.is_file():
        pytest.skip("no Anvil in node_modules; run `make setup`")
    port = free_port()
    with running(anvil_command(port), port) as chain:
        yield chain


@pytest.fixture(scope="session")
def deployed(evm: Evm) -> Net:
    """The network, deployed once."""
    return deploy_net(evm)


@pytest.fixture(scope="session")
def harness(evm: Evm) -> Contract:
    """The pure arithmetic, callable."""
    return deploy(evm, json.loads(HARNESS.read_text()), (), evm.accounts[0])


@pytest.fixture
def net(deployed: Net) -> Iterator[Net]:
    """The network as it was deployed; what a test does is undone."""
    snapshot = deployed.evm.rpc("evm_snapshot")
    yield deployed
    deployed.evm.rpc("evm_revert", snapshot)
