"""What tests of deployments share: how many transactions one takes, and how many were sent."""

from __future__ import annotations

from client.deploy import DeploySettings
from client.deploy_plan import ORDER, wiring
from tests.conftest import ChainProcess

STRANGER = "0x" + "99" * 20
PUBLIC_CHAIN = 424242


def steps() -> int:
    """Transactions of a whole deployment."""
    settings = DeploySettings.local().complete(STRANGER, 31337)
    return len(ORDER) + len(wiring(settings, STRANGER, dict.fromkeys(ORDER, STRANGER))) + 2


def sent(node: ChainProcess, account: int = 0) -> int:
    """Mined transactions of one of the chain's accounts."""
    return int(node.rpc("eth_getTransactionCount", node.account(account).address, "latest"), 16)
