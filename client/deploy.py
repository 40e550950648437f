"""Puts a network on a chain: libraries, contracts, governance; reads it back; cut off anywhere, it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.chain_errors import explain
from client.chain_fees import Fees, top
from client.chain_rpc import Rpc
from client.chain_send import Call, Pace, Sender, default_confirmations, is_local
from client.deploy_check import Checks
from client.deploy_plan import ORDER, Step, created_address, creation, facts, final_facts, handover, place, wiring
from client.deploy_settings import TOKEN, DeploySettings, refuse_known
from client.deploy_state import Created, DeployState, StateFile
from client.errors import ChainError, ConfigError, Unfunded
from client.journal import Journal, MemoryJournal
from client.settings import Network

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

__all__ = ["TOKEN", "DeploySettings", "Deployment", "Quote", "created_address", "deploy"]

WINDOW = 14  # transactions that wait at once: nodes keep no more than 16 of one account for sure
ATTEMPTS = 4  # how often others may use the deployer's nonces before we give up
PACE = {"receipt_seconds": 300.0}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Quote:
    """What is still to be sent, and what it costs at most now."""

    steps: tuple[Step, ...]
    addresses: dict[str, str]
    price: int  # wei per gas
    balance: int  # wei that the deployer has

    @property
    def gas(self) -> int:
        """All steps' limits."""
        return sum(step.gas for step in self.steps)

    @property
    def cost(self) -> int:
        """Wei, at most."""
        return self.gas * self.price


class Deployment:
    """One network's deployment to one chain, by one account."""

    def __init__(
        self,
        rpc: Rpc,
        deployer: str,
        settings: DeploySettings | None = None,
        path: Path | None = None,
        *,
        chain_id: int | None = None,
        say: Say = lambda text: None,
    ) -> None:
        """``path``: the network's file to write. ``chain_id``: the chain that it must be. Sends nothing yet."""
        self._rpc = rpc
        self._say = say
        self.path = path
        self.deployer = deployer
        self.file = StateFile.beside(path)
        self.chain_id = int(rpc.request("eth_chainId"), 16)
        if chain_id is not None and chain_id != self.chain_id:
            raise ConfigError(
                f"{rpc.url} is chain {self.chain_id}, not {chain_id}. Give the end point of the chain that you mean."
            )
        refuse_known(deployer, "The deployer", self.chain_id)
        chosen = settings or (DeploySettings.local() if is_local(self.chain_id) else DeploySettings())
        self.settings = chosen.complete(deployer, self.chain_id)
        self.checks = Checks(rpc, deployer)
        self._gas_percent, self._block_gas = self._ask_gas()
        self._state = self._begin()

    def _begin(self) -> DeployState:
        genesis = str(self._rpc.request("eth_getBlockByNumber", ["0x0", False])["hash"])
        block = int(self._rpc.request("eth_blockNumber"), 16)
        fresh = DeployState(self.chain_id, genesis, self.deployer, self.settings, block)
        begun = self.file.load()
        if begun is not None:
            begun.refuse_other(fresh, str(self.file.path))
            return begun
        if self.path is not None and self.path.exists():
            raise ConfigError(
                f"{self.path} describes a network already, and {self.file.path} does not say that it was deployed from "
                "here. Give another --output."
            )
        return fresh

    # ---- what is to be done

    def quote(self) -> Quote:
        """What would be sent now; sends nothing."""
        nonce = int(self._rpc.request("eth_getTransactionCount", [self.deployer, "pending"]), 16)
        addresses, creations, calls = self._plan(nonce)
        last = self._priced([step for step in handover(self.deployer, addresses) if not self.checks.done(step)])
        price = top(Fees(self._rpc).quote().fees)
        balance = int(self._rpc.request("eth_getBalance", [self.deployer, "latest"]), 16)
        return Quote((*creations, *calls, *last), addresses, price, balance)

    def _plan(self, nonce: int) -> tuple[dict[str, str], list[Step], list[Step]]:
        """Where everything is or will be, what is to be created, and the calls that are still due."""

        def made(name: str, addresses: Any) -> str:
            return creation(name, self.settings, self.deployer, addresses).digest

        created = self._state.created
        kept = {name: row.address for name, row in created.items() if self.checks.has_code(row.address)}
        digests = {name: row.digest for name, row in created.items()}
        addresses, missing = place(kept, digests, made, self.deployer, nonce)
        creations = [creation(name, self.settings, self.deployer, addresses) for name in missing]
        calls = wiring(self.settings, self.deployer, addresses)
        calls = [step for step in calls if step.contract in missing or not self.checks.done(step)]
        return addresses, self._priced(creations), self._priced(calls)

    def _priced(self, steps: Sequence[Step]) -> list[Step]:
        """With the gas that this chain wants: a roll-up may count the bytes that it posts elsewhere, too."""
        found = [replace(step, gas=step.gas * self._gas_percent // 100) for step in steps]
        most = max((step.gas for step in found), default=0)
        if most > self._block_gas:
            raise ChainError(
                f"A contract may need {most:,} gas, and blocks of chain {self.chain_id} hold {self._block_gas:,}. "
                "Raise the limit (Anvil: --gas-limit), or take another chain."
            )
        return found

    def _ask_gas(self) -> tuple[int, int]:
        """How many percent of our own reckoning this chain needs, by the first library, and what a block holds."""
        first = creation(ORDER[0], self.settings, self.deployer, {})
        asked = int(self._rpc.request("eth_estimateGas", [{"from": self.deployer, "data": first.data}]), 16)
        block = self._rpc.request("eth_getBlockByNumber", ["latest", False])
        return max(100, asked * 130 // first.gas), int(block["gasLimit"], 16)

    # ---- doing it

    def run(self, sender: Sender) -> Network:
        """Sends what is missing, checks everything, writes the network's file."""
        with self.file.lock():
            sender.settle()
            addresses = self._send_all(sender)
            self._say("reading everything back")
            made = {name: creation(name, self.settings, self.deployer, addresses).data for name in ORDER}
            self.checks.verify(addresses, made, facts(self.settings, self.deployer, addresses))
            last = [step for step in handover(self.deployer, addresses) if not self.checks.done(step)]
            self._send(sender, self._priced(last))
            self.checks.verify(addresses, made, final_facts(self.deployer, addresses))
            self.checks.verify_rulers(self.settings, addresses, self._state.start_block)
            network = Network(
                self.settings.name, self.chain_id, self._rpc.url, self._state.start_block + 1, dict(addresses)
            )
            if self.path is not None:
                network.save(self.path)
            self._keep(finished=True)
            return network

    def _send_all(self, sender: Sender) -> dict[str, str]:
        """Creates and wires; plans anew where somebody else used a nonce that a contract's address hung on."""
        for _ in range(ATTEMPTS):
            nonce = sender.next_nonce()
            addresses, creations, calls = self._plan(nonce)
            planned = {
                step.contract: Created(addresses[step.contract], nonce + index, step.digest)
                for index, step in enumerate(creations)
            }
            self._keep(created={**{n: self._state.created[n] for n in ORDER if n in self._state.created}, **planned})
            if not creations and not calls:
                return addresses
            self._afford((*creations, *calls))
            self._send(sender, [*creations, *calls])
        raise ChainError(
            f"The wallet {self.deployer} is used elsewhere at the same time, so that contracts land at other addresses "
            "than planned. Stop the other program and give the same command again."
        )

    def _send(self, sender: Sender, steps: Sequence[Step]) -> None:
        """Window by window; stops where a contract is not where it was planned (the next plan mends that)."""
        for start in range(0, len(steps), WINDOW):
            window = steps[start : start + WINDOW]
            calls = [Call(step.to or None, step.data, step.name, gas=step.gas) for step in window]

            def told(index: int, receipt: dict[str, Any], first: int = start) -> None:
                step = steps[first + index]
                self._keep(transactions={**self._state.transactions, step.name: receipt["transactionHash"]})
                self._say(f"{first + index + 1} of {len(steps)}: {step.name}, block {int(receipt['blockNumber'], 16)}")

            receipts = sender.send_all(calls, told)
            for step, receipt in zip(window, receipts, strict=True):
                wanted = self._state.created.get(step.contract)
                if not step.to and wanted and str(receipt.get("contractAddress")).lower() != wanted.address.lower():
                    self._say(f"{step.contract} landed elsewhere: planning the rest anew")
                    return

    def _afford(self, steps: Sequence[Step]) -> None:
        """Raises before anything is sent where the account can't pay for all of it."""
        price = top(Fees(self._rpc).quote().fees)
        cost = sum(step.gas for step in steps) * price
        balance = int(self._rpc.request("eth_getBalance", [self.deployer, "latest"]), 16)
        if balance < cost:
            raise Unfunded(
                f"{self.deployer} has {balance / TOKEN:.6f} coins and may need {cost / TOKEN:.6f} for gas "
                f"({price / 10**9:.3f} gwei each). Send it some and give the same command again."
            )

    def _keep(self, **changes: Any) -> None:
        self._state = self._state.with_(**changes)
        self.file.save(self._state)

    @property
    def finished(self) -> bool:
        """Whether all was sent and checked before."""
        return self._state.finished

    @property
    def transactions(self) -> dict[str, str]:
        """Step -> hash of what was mined for it."""
        return dict(self._state.transactions)


def deploy(
    rpc_url: str,
    account: LocalAccount,
    settings: DeploySettings | None = None,
    path: Path | None = None,
    *,
    patience: float = 15.0,
    journal: Journal | None = None,
    chain_id: int | None = None,
    confirmations: int | None = None,
    say: Say = lambda text: None,
) -> Network:
    """Deploys, wires, verifies and hands over; returns the network and writes it to ``path`` where given.

    On a chain of one's own the settings default to short delays. ``confirmations``: blocks on top of each
    transaction's own; None: what suits the chain.
    """
    rpc = Rpc(rpc_url, timeout=30.0, patience=patience)
    deployment = Deployment(rpc, account.address, settings, path, chain_id=chain_id, say=say)
    blocks = default_confirmations(deployment.chain_id) if confirmations is None else confirmations
    pace = Pace(confirmations=blocks, **PACE)
    return deployment.run(Sender(rpc, account, journal or MemoryJournal(), deployment.chain_id, explain, pace))
