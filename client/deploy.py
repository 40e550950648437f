"""Puts a network's contracts on a chain and wires them; wiring can be done once, after which nobody owns anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.errors import ChainError
from client.settings import Network

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

TOKEN = 10**18
DEPLOY_GAS = 8_000_000
WIRE_GAS = 200_000
# Constructor parameters are filled by name; these are the contracts' names for each other.
ROLES = {
    "token": "StrataToken",
    "staking": "Staking",
    "models": "ModelRegistry",
    "data": "DataRegistry",
    "datasets": "DataRegistry",
    "rewards": "Rewards",
    "channels": "InferenceChannels",
    "rounds": "Rounds",
    "minter": "Rewards",
}


@dataclass(frozen=True)
class DeploySettings:
    """The parameters of a network that can't be changed once it is deployed."""

    name: str = "devnet"
    treasury: str = ""  # address; empty: the deployer's
    vesting_blocks: int = 5  # between a round's settlement and the claim
    unbonding_blocks: int = 20  # between unstake and withdraw
    close_delay_blocks: int = 20  # between a channel's startClose and close
    min_miner_stake: int = 1 * TOKEN  # wei
    min_validator_stake: int = 10 * TOKEN  # wei

    def values(self, deployer: str) -> dict[str, Any]:
        """By the names of the constructors' parameters."""
        return {
            "treasury": self.treasury or deployer,
            "vestingBlocks": self.vesting_blocks,
            "unbondingBlocks": self.unbonding_blocks,
            "closeDelay": self.close_delay_blocks,
            "minMinerStake": self.min_miner_stake,
            "minValidatorStake": self.min_validator_stake,
        }


def deploy(
    rpc_url: str,
    account: LocalAccount,
    settings: DeploySettings | None = None,
    path: Path | None = None,
    *,
    patience: float = 15.0,
) -> Network:
    """Deploys and wires all contracts in one go; returns the network and writes it to ``path`` where given."""
    from client.chain_abi import ContractAbi
    from client.chain_rpc import Rpc
    from client.chain_send import Call, Sender
    from client.journal import MemoryJournal
    from contracts.artifact import CONTRACTS, load_artifact

    settings = settings or DeploySettings()
    rpc = Rpc(rpc_url, timeout=30.0, patience=patience)
    chain_id = int(rpc.request("eth_chainId"), 16)
    start = int(rpc.request("eth_blockNumber"), 16)
    sender = Sender(rpc, account, MemoryJournal(), chain_id, lambda error: error)
    nonce = sender.next_nonce()
    addresses = {name: created_address(sender.address, nonce + i) for i, name in enumerate(CONTRACTS)}
    values = {**settings.values(sender.address), **{role: addresses[name] for role, name in ROLES.items()}}
    calls, wiring = [], []
    for name in CONTRACTS:
        artifact = load_artifact(name)
        if len(artifact.bytecode) <= 2:
            raise ChainError(f"{name} has no bytecode. Compile the contracts: python -m contracts.compile")
        abi = ContractAbi(name, artifact.abi)
        data = abi.encode_constructor(artifact.bytecode, _arguments(name, abi.constructor, values))
        calls.append(Call(to=None, data=data, purpose=f"deploy {name}", gas=DEPLOY_GAS))
        if "initialize" in abi.functions:
            function = abi.functions["initialize"]
            data = function.encode(_arguments(name, function.inputs, values))
            wiring.append(Call(to=addresses[name], data=data, purpose=f"wire {name}", gas=WIRE_GAS))
    receipts = sender.send_all([*calls, *wiring])
    for name, receipt in zip(CONTRACTS, receipts, strict=False):
        if str(receipt.get("contractAddress", "")).lower() != addresses[name].lower():
            raise ChainError(
                f"{name} is not where it should be; is the deployer's wallet used elsewhere? Deploy again."
            )
    network = Network(settings.name, chain_id, rpc_url, start + 1, addresses)
    if path is not None:
        network.save(path)
    return network


def created_address(sender: str, nonce: int) -> str:
    """Where a contract that ``sender`` creates with ``nonce`` will be."""
    import rlp  # type: ignore[import-untyped]
    from eth_utils.crypto import keccak

    from client.chain_abi import checksum

    packed = rlp.encode([bytes.fromhex(sender[2:]), nonce])
    return checksum("0x" + bytes(keccak(packed))[12:].hex())


def _arguments(name: str, inputs: Any, values: dict[str, Any]) -> list[Any]:
    found = []
    for param in inputs:
        key = str(param["name"]).strip("_")
        if key not in values:
            raise ChainError(f"{name} wants a parameter {key!r} that the deployment does not know.")
        found.append(values[key])
    return found
