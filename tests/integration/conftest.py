"""Chains of one module's own: what another test did is never seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ChainProcess
from tests.faulty_proxy import FaultyProxy
from tests.sender_world import Scene


@pytest.fixture(scope="module")
def own_chain(start_chain: Callable[..., ChainProcess]) -> Iterator[ChainProcess]:
    """A real chain for this module alone."""
    chain = start_chain()
    yield chain
    chain.stop()


@pytest.fixture
def node(own_chain: ChainProcess) -> Iterator[ChainProcess]:
    """A chain on which nothing happened yet."""
    snapshot = own_chain.rpc("evm_snapshot")
    yield own_chain
    own_chain.rpc("anvil_setChainId", 31337)
    own_chain.rpc("evm_revert", snapshot)


@pytest.fixture
def scene(own_chain: ChainProcess, tmp_path: Path) -> Iterator[Scene]:
    """A payer behind a faulty proxy."""
    with FaultyProxy(own_chain.url) as proxy:
        yield Scene(own_chain, proxy, tmp_path)
    own_chain.rpc("evm_setAutomine", True)
