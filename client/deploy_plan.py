"""What is put on the chain, in which order, and what must be true afterwards. Pure: no input or output."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from client.chain_abi import ContractAbi, checksum
from client.deploy_settings import DeploySettings
from client.errors import ChainError
from contracts.artifact import CONTRACTS, LIBRARIES, Artifact, link, load_artifact

ORDER = (*LIBRARIES, *CONTRACTS)
ADMIN, GUARDIAN = 0, 1  # roles of the authority
NOBODY = "0x" + "00" * 20
CALL_GAS = 150_000
# Constructor parameters are filled by name; these are the contracts' names for each other.
PARTS = {
    "token": "StrataToken",
    "staking": "Staking",
    "models": "ModelRegistry",
    "data": "DataRegistry",
    "datasets": "DataRegistry",
    "rewards": "Rewards",
    "channels": "InferenceChannels",
    "rounds": "Rounds",
    "minter": "Rewards",
    "authority": "StrataAuthority",
}


@dataclass(frozen=True)
class Fact:
    """What reading a contract must give."""

    contract: str
    function: str
    args: tuple[Any, ...]
    expected: Any
    words: str


@dataclass(frozen=True)
class Step:
    """One transaction: a contract to create, or a call that makes ``fact`` true (None: wiring, which happens once)."""

    name: str
    contract: str
    data: str
    gas: int
    to: str = ""  # empty: creates ``contract``
    fact: Fact | None = None

    @property
    def digest(self) -> str:
        """Hex SHA-256 of what it sends."""
        return hashlib.sha256(bytes.fromhex(self.data[2:])).hexdigest()


@lru_cache(maxsize=32)
def abi_of(name: str) -> ContractAbi:
    """The ABI of one of our contracts."""
    return ContractAbi(name, load_artifact(name).abi)


def created_address(sender: str, nonce: int) -> str:
    """Where a contract that ``sender`` creates with ``nonce`` will be."""
    import rlp  # type: ignore[import-untyped]
    from eth_utils.crypto import keccak

    packed = rlp.encode([bytes.fromhex(sender[2:]), nonce])
    return checksum("0x" + bytes(keccak(packed))[12:].hex())


def creation(name: str, settings: DeploySettings, deployer: str, addresses: Mapping[str, str]) -> Step:
    """The transaction that creates a contract whose predecessors are at ``addresses``."""
    artifact = load_artifact(name)
    if len(artifact.bytecode) <= 2:
        raise ChainError(f"{name} has no bytecode. Compile the contracts: python -m contracts.compile")
    abi = abi_of(name)
    arguments = _arguments(name, abi.constructor, _values(settings, deployer, addresses))
    data = abi.encode_constructor(link(artifact, addresses), arguments)
    return Step(f"deploy {name}", name, data, _creation_gas(artifact, data))


def _creation_gas(artifact: Artifact, data: str) -> int:
    """Enough for the call's bytes, the code's storage and what a constructor of ours writes."""
    sent, kept = len(data) // 2, len(artifact.bytecode) // 2
    return 53_000 + 16 * sent + 2 * (sent // 32 + 1) + 200 * kept + 600_000


def _values(settings: DeploySettings, deployer: str, addresses: Mapping[str, str]) -> dict[str, Any]:
    """By the names of the constructors' parameters."""
    return {
        "treasury": settings.treasury,
        "vestingBlocks": settings.vesting_blocks,
        "unbondingBlocks": settings.unbonding_blocks,
        "maxRoundBlocks": settings.max_round_blocks,
        "closeDelay": settings.close_delay_blocks,
        "ballotBlocks": settings.ballot_blocks,
        "minMinerStake": settings.min_miner_stake,
        "minValidatorStake": settings.min_validator_stake,
        "deposit": settings.dataset_deposit,
        "minDelay": settings.governance_delay_seconds,
        "proposers": [settings.council],
        "executors": [NOBODY],  # anybody
        "initialAdmin": deployer,  # until the hand-over
        **{part: addresses[name] for part, name in PARTS.items() if name in addresses},
    }


def _arguments(name: str, inputs: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> list[Any]:
    found = []
    for param in inputs:
        key = str(param["name"]).strip("_")
        if key not in values:
            raise ChainError(f"{name} wants a parameter {key!r} that the deployment does not know.")
        found.append(values[key])
    return found


def _call(name: str, contract: str, function: str, args: Sequence[Any], to: str, fact: Fact | None = None) -> Step:
    return Step(name, contract, abi_of(contract).functions[function].encode(args), CALL_GAS, to, fact)


def wiring(settings: DeploySettings, deployer: str, addresses: Mapping[str, str]) -> list[Step]:
    """The calls that tell contracts of each other, and give the guardian its one right."""
    values = _values(settings, deployer, addresses)
    steps = []
    for name in CONTRACTS:
        function = abi_of(name).functions.get("initialize")
        if function is not None:
            args = _arguments(name, function.inputs, values)
            steps.append(_call(f"wire {name}", name, "initialize", args, addresses[name]))
    authority, rounds = addresses["StrataAuthority"], addresses["Rounds"]
    pause = abi_of("Rounds").functions["pause"].selector
    may_pause = Fact(
        "StrataAuthority", "getTargetFunctionRole", (rounds, pause), GUARDIAN, "the guardian's role may pause openings"
    )
    guards = Fact(
        "StrataAuthority", "hasRole", (GUARDIAN, settings.guardian), (True, 0), "the guardian can act, without delay"
    )
    pausing = (rounds, [pause], GUARDIAN)
    guarding = (GUARDIAN, settings.guardian, 0)
    return [
        *steps,
        _call(
            "let guardians pause openings", "StrataAuthority", "setTargetFunctionRole", pausing, authority, may_pause
        ),
        _call("appoint the guardian", "StrataAuthority", "grantRole", guarding, authority, guards),
    ]


def handover(deployer: str, addresses: Mapping[str, str]) -> list[Step]:
    """The last two calls: all rights go to the timelock, and the deployer has none left."""
    authority, timelock = addresses["StrataAuthority"], addresses["StrataTimelock"]
    decides, over = _rulers(deployer, timelock)
    return [
        _call("give the timelock all rights", "StrataAuthority", "grantRole", (ADMIN, timelock, 0), authority, decides),
        _call("give up the deployer's rights", "StrataAuthority", "renounceRole", (ADMIN, deployer), authority, over),
    ]


def _rulers(deployer: str, timelock: str) -> tuple[Fact, Fact]:
    return (
        Fact("StrataAuthority", "hasRole", (ADMIN, timelock), (True, 0), "the timelock administers the authority"),
        Fact("StrataAuthority", "hasRole", (ADMIN, deployer), (False, 0), "the deployer has no rights left"),
    )


def facts(settings: DeploySettings, deployer: str, addresses: Mapping[str, str]) -> list[Fact]:
    """All that must read back before the deployer gives its rights away."""
    authority = addresses["StrataAuthority"]
    found = [
        Fact("StrataToken", "minter", (), addresses["Rewards"], "Rewards alone mints"),
        Fact("Staking", "treasury", (), settings.treasury, "slashed stake goes to the treasury"),
        Fact("Rewards", "treasury", (), settings.treasury, "the treasury's part goes to the treasury"),
        Fact("Staking", "unbondingBlocks", (), settings.unbonding_blocks, "the unbonding time"),
        Fact("ModelRegistry", "maxRoundBlocks", (), settings.max_round_blocks, "the longest round"),
        Fact("ModelRegistry", "minMinerStake", (), settings.min_miner_stake, "miners' least stake"),
        Fact("ModelRegistry", "minValidatorStake", (), settings.min_validator_stake, "validators' least stake"),
        Fact("Rewards", "vestingBlocks", (), settings.vesting_blocks, "the vesting time"),
        Fact("InferenceChannels", "closeDelay", (), settings.close_delay_blocks, "the channels' delay"),
        Fact("DataRegistry", "ballotBlocks", (), settings.ballot_blocks, "the ballots' time"),
        Fact("DataRegistry", "deposit", (), settings.dataset_deposit, "the datasets' deposit"),
    ]
    for name in ("ModelRegistry", "DataRegistry", "Rewards", "Rounds"):
        found.append(Fact(name, "authority", (), authority, f"{name} obeys the authority"))
    return found + _council_facts(settings, deployer, addresses)


def _council_facts(settings: DeploySettings, deployer: str, addresses: Mapping[str, str]) -> list[Fact]:
    def role(name: str) -> bytes:
        from eth_utils.crypto import keccak

        return bytes(32) if name == "ADMIN" else bytes(keccak(text=f"{name}_ROLE"))

    def holds(name: str, who: str, whether: bool, words: str) -> Fact:
        return Fact("StrataTimelock", "hasRole", (role(name), who), whether, words)

    return [
        Fact("StrataTimelock", "getMinDelay", (), settings.governance_delay_seconds, "the delay of governance"),
        holds("PROPOSER", settings.council, True, "the council proposes"),
        holds("CANCELLER", settings.council, True, "the council cancels"),
        holds("EXECUTOR", NOBODY, True, "anybody executes what has waited"),
        holds("ADMIN", addresses["StrataTimelock"], True, "the timelock administers itself"),
        holds("ADMIN", deployer, False, "the deployer does not administer the timelock"),
    ]


def final_facts(deployer: str, addresses: Mapping[str, str]) -> list[Fact]:
    """What must read back at the end."""
    return list(_rulers(deployer, addresses["StrataTimelock"]))


def place(
    kept: Mapping[str, str],
    digests: Mapping[str, str],
    made: Callable[[str, Mapping[str, str]], str],
    sender: str,
    nonce: int,
) -> tuple[dict[str, str], list[str]]:
    """Where each contract is or will be, and which are to be created, from ``nonce`` on in order.

    ``kept`` are addresses that hold a contract, ``digests`` say from which bytes; ``made(name, addresses)`` says which
    they should be. A contract whose bytes would differ now (a part of it had to move) is created again.
    """
    found = dict(kept)
    while True:
        missing = [name for name in ORDER if name not in found]
        planned = {name: created_address(sender, nonce + index) for index, name in enumerate(missing)}
        addresses = {**found, **planned}
        stale = [name for name in found if made(name, addresses) != digests.get(name)]
        if not stale:
            return addresses, missing
        for name in stale:
            del found[name]


def same_code(code: bytes, made: bytes) -> bool:
    """Whether code on the chain is what ``made`` creates, save for the places that a constructor fills.

    The code that stays is the end of the code that creates it, with zeros in those places.
    """
    wanted = made[-len(code) :]
    if not code or len(code) > len(made):
        return False
    masked = bytearray(code)
    for start, size in _places(wanted):
        masked[start : start + size] = bytes(size)
    return bytes(masked) == wanted


def wrong_parts(code: bytes, simulated: bytes, made: bytes, meant: Collection[int]) -> list[int]:
    """The values out of ``meant`` that creating the contract anew would fill in where ``code`` has others.

    Values that hang on the contract's own address or block differ of course; the addresses of its parts may not.
    """
    wrong = []
    for start, size in _places(made[-len(code) :]):
        value = int.from_bytes(simulated[start : start + size], "big")
        if value in meant and simulated[start : start + size] != code[start : start + size]:
            wrong.append(value)
    return wrong


def _places(wanted: bytes) -> list[tuple[int, int]]:
    """Empty places of code: after PUSH32 an immutable, after PUSH20 a library's own address; (start, size)."""
    found = []
    for push, size in ((b"\x7f", 32), (b"\x73", 20)):
        at = wanted.find(push + bytes(size))
        while at >= 0:
            found.append((at + 1, size))
            at = wanted.find(push + bytes(size), at + 1 + size)
    return found
