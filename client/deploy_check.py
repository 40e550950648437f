"""Reads a deployment back: each contract's code, parameters and wiring, and who has which right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from client.chain_errors import explain
from client.chain_rpc import Rpc, RpcError
from client.deploy_plan import ADMIN, GUARDIAN, NOBODY, ORDER, Fact, Step, abi_of, same_code, wrong_parts
from client.deploy_settings import DeploySettings
from client.errors import ChainError, Reverted
from contracts.artifact import link, load_artifact


class Checks:
    """Questions to one chain, as the deployer."""

    def __init__(self, rpc: Rpc, deployer: str) -> None:
        self._rpc = rpc
        self._deployer = deployer

    def has_code(self, address: str) -> bool:
        """Whether a contract is there."""
        return self.code(address) != b""

    def code(self, address: str) -> bytes:
        """The code at an address."""
        return bytes.fromhex(str(self._rpc.request("eth_getCode", [address, "latest"]))[2:])

    def done(self, step: Step) -> bool:
        """Whether a call has had its effect: its fact is true, or (wiring) a second time is refused."""
        if not self.has_code(step.to):
            return False
        if step.fact is not None:
            return bool(self._read(step.fact, step.to) == step.fact.expected)
        try:
            self._rpc.request("eth_call", [{"from": self._deployer, "to": step.to, "data": step.data}, "latest"])
        except RpcError as error:
            reason = explain(error)
            if isinstance(reason, Reverted) and reason.name == "AlreadyInitialized":
                return True
            raise ChainError(f"{step.name} would fail: {reason}") from error
        return False

    def _read(self, fact: Fact, address: str) -> Any:
        function = abi_of(fact.contract).functions[fact.function]
        call = {"to": address, "data": function.encode(fact.args)}
        return function.decode(self._rpc.request("eth_call", [call, "latest"]))

    def verify(self, addresses: Mapping[str, str], creations: Mapping[str, str], facts: Sequence[Fact]) -> None:
        """Raises with all that is not as it should be: code, a part that it was made with, a fact that reads otherwise.

        ``creations``: for each contract the data that creates it.
        """
        wrong = [line for name in ORDER for line in self._wrong_code(name, addresses, creations[name])]
        for fact in facts:
            found = self._read(fact, addresses[fact.contract])
            if found != fact.expected:
                wrong.append(f"{fact.words}: {fact.contract}.{fact.function} is {found}, not {fact.expected}")
        _refuse(wrong)

    def _wrong_code(self, name: str, addresses: Mapping[str, str], data: str) -> list[str]:
        address = addresses[name]
        code, made = self.code(address), bytes.fromhex(link(load_artifact(name), addresses)[2:])
        if not same_code(code, made):
            return [f"the code of {name} at {address} is not the artifact's"]
        simulated = self._rpc.request("eth_call", [{"from": self._deployer, "data": data}, "latest"])
        meant = {int(part, 16): other for other, part in addresses.items()}
        parts = wrong_parts(code, bytes.fromhex(str(simulated)[2:]), made, meant)
        return [f"{name} at {address} was made with another {meant[part]}" for part in parts]

    def verify_rulers(self, settings: DeploySettings, addresses: Mapping[str, str], start: int) -> None:
        """Raises where anybody holds a right that the plan doesn't give: every grant that ever was is asked for."""
        timelock = abi_of("StrataTimelock").functions
        roles = {
            name: self._read(Fact("StrataTimelock", f"{name}_ROLE", (), None, ""), addresses["StrataTimelock"])
            for name in ("DEFAULT_ADMIN", "PROPOSER", "CANCELLER", "EXECUTOR")
            if f"{name}_ROLE" in timelock
        }
        council, itself = settings.council, addresses["StrataTimelock"]
        meant = {
            "StrataAuthority": {(ADMIN, itself), (GUARDIAN, settings.guardian)},
            "StrataTimelock": {
                (roles["DEFAULT_ADMIN"], itself),
                (roles["PROPOSER"], council),
                (roles["CANCELLER"], council),
                (roles["EXECUTOR"], NOBODY),
            },
        }
        wrong = []
        for contract, wanted in meant.items():
            for role, who in self._granted(contract, addresses[contract], start):
                fact = Fact(contract, "hasRole", (role, who), None, "")
                found = self._read(fact, addresses[contract])
                holds = found[0] if isinstance(found, tuple) else found
                if holds != ((role, who) in wanted):
                    wrong.append(f"{contract}: {who} {'holds' if holds else 'lacks'} role {_role(role)}")
        _refuse(wrong)

    def _granted(self, contract: str, address: str, start: int) -> set[tuple[Any, str]]:
        """Every (role, account) that was ever granted."""
        event = abi_of(contract).events["RoleGranted"]
        query = {"address": address, "topics": [event.topic], "fromBlock": hex(start), "toBlock": "latest"}
        found = [event.decode(log) for log in self._rpc.request("eth_getLogs", [query])]
        return {(args["role"] if "role" in args else args["roleId"], args["account"]) for args in found}


def _role(role: Any) -> str:
    return f"0x{role.hex()}" if isinstance(role, bytes) else str(role)


def _refuse(wrong: Sequence[str]) -> None:
    if wrong:
        raise ChainError(
            "The deployment is not as it should be: " + "; ".join(wrong) + ". Nothing was written. Look at these "
            "contracts, then give --start-over."
        )
