"""The chain, typed: reads in ``chain_reads``, transactions in ``chain_actions``; only ``chain_rpc`` knows web3.

``Chain.connect(network)`` reads; with an account it writes, too. One ``Chain`` serves several threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from client.chain_abi import ContractAbi, checksum
from client.chain_actions import Actions
from client.chain_errors import explain
from client.chain_fees import is_local
from client.chain_reads import Reads, at_block
from client.chain_rpc import Rpc, RpcError
from client.chain_send import FIXED_GAS, PLAIN_GAS, ROUNDS_GAS, TOKEN_GAS, Call, Pace, Sender, default_confirmations
from client.errors import ConfigError
from client.journal import Journal, MemoryJournal
from client.permits import PERMIT_SECONDS, dataset_salt, sign_permit
from client.settings import CONTRACTS, Network
from client.types import (
    Event,
    Receipt,
)

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

# Of calls with a permit in front of them, which Ganache takes a minute to estimate; other chains are asked.
PERMITTED_GAS = {"stake": 2_700_000, "delegate": 900_000, "open": 450_000, "topUp": 350_000}


class Chain(Reads, Actions):
    """One network's contracts as one account sees them (see :class:`client.types.ChainLike` for the calls)."""

    def __init__(self, network: Network, rpc: Rpc, account: LocalAccount | None, journal: Journal | None) -> None:
        from contracts.artifact import load_artifact

        super().__init__(rpc)
        self.network = network
        self._account = account
        self._journal = journal or MemoryJournal()
        self._sender: Sender | None = None
        self._abis = {name: ContractAbi(name, load_artifact(name).abi) for name in CONTRACTS}
        self._names = {address.lower(): name for name, address in network.contracts.items() if name in self._abis}
        self.receipt_seconds = 90.0
        self.confirmations: int | None = None

    @classmethod
    def connect(
        cls,
        network: Network,
        account: LocalAccount | None = None,
        journal: Journal | None = None,
        *,
        patience: float = 15.0,
        timeout: float = 10.0,
        receipt_seconds: float = 90.0,
        confirmations: int | None = None,
    ) -> Chain:
        """Sends nothing yet. ``patience``: seconds for which a dead end point is tried before ``ChainUnavailable``.

        ``timeout``: seconds of one request. ``receipt_seconds``: how long a transaction may take to be mined.
        ``confirmations``: blocks on top of a transaction's own before it counts; None: what suits the chain.
        """
        chain = cls(network, Rpc(network.rpc, timeout, patience), account, journal)
        chain.receipt_seconds = receipt_seconds
        chain.confirmations = confirmations
        return chain

    def close(self) -> None:
        """Makes every waiting call, in any thread, give up with ``ChainUnavailable``."""
        self._rpc.close()

    # ---- who and where

    @property
    def address(self) -> str:
        """Of the account that signs."""
        return self._signer().address

    @property
    def chain_id(self) -> int:
        """As the network file says it."""
        return self.network.chain_id

    @property
    def deploy_block(self) -> int:
        """The first block that may hold one of our events."""
        return self.network.deploy_block

    def contract_address(self, contract: str) -> str:
        """Checksummed."""
        return checksum(self.network.contracts[contract])

    def check(self) -> None:
        """Raises when the end point is another chain, or one that does not hold our contracts."""
        actual = int(self._rpc.request("eth_chainId"), 16)
        if actual != self.chain_id:
            raise ConfigError(
                f"{self._rpc.url} is chain {actual}; the network {self.network.name!r} is on {self.chain_id}. "
                "Give the right --network, or start that chain."
            )
        if self._rpc.request("eth_getCode", [self.contract_address("Rounds"), "latest"]) in ("0x", None):
            raise self._no_contract("Rounds")

    # ---- history

    def events(
        self,
        contract: str,
        event: str | None = None,
        from_block: int | None = None,
        to_block: int | None = None,
        **filters: Any,
    ) -> list[Event]:
        """The contract's events in order; ``filters`` are argument values (indexed ones are filtered by the node)."""
        abi = self._abis[contract]
        topics = [] if event is None else abi.events[event].topics(filters)
        start = self.deploy_block if from_block is None else from_block
        end = self.block_number() if to_block is None else to_block
        logs = self._logs(self.contract_address(contract), topics, start, end) if start <= end else []
        found = [decoded for raw in logs if (decoded := self._event(raw)) is not None]
        return [e for e in found if all(_same(e.args.get(key), wanted) for key, wanted in filters.items())]

    def _logs(self, address: str, topics: list[str | None], start: int, end: int) -> list[dict[str, Any]]:
        """All logs of a range, in halves where the end point finds it too long."""
        query = {"address": address, "topics": topics, "fromBlock": hex(start), "toBlock": hex(end)}
        try:
            return list(self._rpc.request("eth_getLogs", [query]))
        except RpcError:
            if start >= end:
                raise
            middle = (start + end) // 2
            return self._logs(address, topics, start, middle) + self._logs(address, topics, middle + 1, end)

    def _event(self, raw: Mapping[str, Any]) -> Event | None:
        """A log of ours, decoded; None for another contract's."""
        name = self._names.get(str(raw["address"]).lower())
        abi = None if name is None or not raw["topics"] else self._abis[name].by_topic.get(raw["topics"][0])
        if name is None or abi is None:
            return None
        tx = bytes.fromhex(raw["transactionHash"][2:])
        return Event(name, abi.name, abi.decode(raw), int(raw["blockNumber"], 16), tx, int(raw["logIndex"], 16))

    def read(self, contract: str, function: str, *args: Any, block: int | None = None) -> Any:
        """A view function's answer, for what has no method of its own: one value, or a tuple of several."""
        return self._read(contract, function, *args, block=block)

    def encode(self, contract: str, function: str, *args: Any) -> bytes:
        """The data of a call."""
        return bytes.fromhex(self._abis[contract].functions[function].encode(args)[2:])

    def transact(self, contract: str, function: str, *args: Any) -> Receipt:
        """Sends a call that has no method of its own."""
        return self._transact(contract, function, *args)

    def describe_call(self, target: str, data: bytes) -> str | None:
        """A call of one of our contracts in words, ``Contract.function(arguments)``; None for any other."""
        name = self._names.get(target.lower())
        found = [f for f in (self._abis[name].functions.values() if name else ()) if f.selector == data[:4]]
        if not found:
            return None
        shown = ", ".join(str(value) for value in found[0].decode_input(data[4:]))
        return f"{name}.{found[0].name}({shown})"

    # ---- inner parts

    def _read(self, contract: str, function: str, *args: Any, block: int | None = None) -> Any:
        return self._read_many([(contract, function, args)], block=block)[0]

    def _read_many(self, calls: Sequence[tuple[str, str, Sequence[Any]]], block: int | None = None) -> list[Any]:
        """Several view calls in one request."""
        wire = []
        for contract, function, args in calls:
            data = self._abis[contract].functions[function].encode(args)
            wire.append(("eth_call", [{"to": self.network.contracts[contract], "data": data}, at_block(block)]))
        raws = self._rpc.batch(wire) if len(wire) != 1 else [self._one(*wire[0])]
        results = []
        for (contract, function, _), raw in zip(calls, raws, strict=True):
            if isinstance(raw, RpcError):
                raise self._explain(raw) from raw
            if raw in ("0x", None):
                raise self._no_contract(contract)
            results.append(self._abis[contract].functions[function].decode(raw))
        return results

    def _one(self, method: str, params: Sequence[Any]) -> Any:
        try:
            return self._rpc.request(method, params)
        except RpcError as error:
            return error

    def _explain(self, error: RpcError) -> Exception:
        return explain(error)

    def _no_contract(self, contract: str) -> ConfigError:
        return ConfigError(
            f"{self._rpc.url} holds no {contract} at {self.network.contracts[contract]}: another chain, or one "
            "started afresh. Deploy again (`strata devnet up`) or give the right --network."
        )

    def _signer(self) -> Sender:
        if self._account is None:
            raise ConfigError("This call needs a wallet to sign with. Give --wallet NAME.")
        if self._sender is None:
            self._sender = Sender(self._rpc, self._account, self._journal, self.chain_id, self._explain, self._pace())
        return self._sender

    def _pace(self) -> Pace:
        blocks = default_confirmations(self.chain_id) if self.confirmations is None else self.confirmations
        return Pace(self.receipt_seconds, blocks)

    def _transact(self, contract: str, function: str, *args: Any, gas: int | None = None) -> Receipt:
        if gas is None:
            gas = FIXED_GAS.get(function, ROUNDS_GAS if contract == "Rounds" else None)
        call = Call(
            to=self.contract_address(contract),
            data=self._abis[contract].functions[function].encode(args),
            purpose=f"{contract}.{function}",
            gas=gas,
        )
        return self._receipt(self._signer().send(call))

    def _permitted(self, contract: str, amount: int, call: tuple[str, Sequence[Any]], gas: int | None) -> Receipt:
        """A call and, in front of it, the leave to take ``amount`` wei that it needs."""
        function, args = call
        self._signer()
        assert self._account is not None, "whoever can send can sign"
        nonce = int(self._read("StrataToken", "nonces", self.address))
        deadline = self.block().timestamp + PERMIT_SECONDS
        spender = self.contract_address(contract)
        signature = sign_permit(self._account, self.network, spender, amount, nonce, deadline)
        functions = self._abis[contract].functions
        leave = functions["selfPermit"].encode((amount, deadline, *signature))
        calls = [bytes.fromhex(data[2:]) for data in (leave, functions[function].encode(args))]
        data = functions["multicall"].encode((calls,))
        intent = functions[function].encode(args)  # the leave differs from try to try
        if gas is None and is_local(self.chain_id):
            gas = PERMITTED_GAS.get(function)
        call_ = Call(spender, data, f"{contract}.{function}", gas=gas, intent=intent)
        return self._receipt(self._signer().send(call_))

    def _dataset_salt(self, model_id: int, root: bytes) -> bytes:
        self._signer()
        assert self._account is not None, "whoever can send can sign"
        return dataset_salt(self._account, self.network, model_id, root)

    def pay_many(self, payments: Sequence[tuple[str, int, int]]) -> list[Receipt]:
        """Sends (address, wei of coins, wei of tokens) to many at once and waits for all: for faucets."""
        token = self.contract_address("StrataToken")
        transfer = self._abis["StrataToken"].functions["transfer"]
        calls = []
        for to, coins, tokens in payments:
            if coins:
                calls.append(Call(checksum(to), "0x", f"{coins} wei to {to}", coins, PLAIN_GAS))
            if tokens:
                calls.append(
                    Call(token, transfer.encode((to, tokens)), f"{tokens} wei of tokens to {to}", 0, TOKEN_GAS)
                )
        return [self._receipt(raw) for raw in self._signer().send_all(calls)]

    def _pay(self, to: str, amount: int) -> Receipt:
        call = Call(to=checksum(to), data="0x", purpose=f"{amount} wei to {to}", value=amount)
        return self._receipt(self._signer().send(call))

    def _receipt(self, raw: Mapping[str, Any]) -> Receipt:
        events = tuple(event for log in raw["logs"] if (event := self._event(log)) is not None)
        tx = bytes.fromhex(raw["transactionHash"][2:])
        return Receipt(tx, int(raw["blockNumber"], 16), int(raw["gasUsed"], 16), events)


def _same(actual: Any, wanted: Any) -> bool:
    if isinstance(actual, str) and isinstance(wanted, str) and actual.startswith("0x"):
        return actual.lower() == wanted.lower()
    return bool(actual == wanted)
