"""What the tests of serving share: a chain that knows channels alone, and a whole network in one process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from eth_account import Account as EthAccount
from eth_account.signers.local import LocalAccount

from client.catalog import Catalog
from client.errors import ChainUnavailable, Reverted
from client.payments import ChannelBook, Payer
from client.recommend import Recommender, WordScorer
from client.settings import CONTRACTS, Network
from client.types import ZERO_ADDRESS, ChannelInfo, DatasetInfo, ModelInfo, Receipt
from contracts.enums import Level
from node.config import ServeConfig
from node.serving.backend import SwarmBackend, server_extra
from node.serving.engine import EchoEngine, Served
from node.serving.gateway import create_app
from node.serving.ledger import Ledger
from node.serving.metering import Meter, Tariff
from node.serving.service import AnswerService, ServiceLimits
from node.streaming import GenerateServer
from node.swarm import Swarm

NETWORK = Network("test", 31337, "http://127.0.0.1:1", 0, dict.fromkeys(CONTRACTS, "0x" + "11" * 20))
PRICE = 10**15


def model(number: int, name: str, level: Level, parent: int, about: str) -> ModelInfo:
    """A model as the chain tells it."""
    return ModelInfo(number, parent, level, name, about, bytes([number]) * 32, bytes([number]) * 32, 0, ZERO_ADDRESS)


MODELS = [
    model(1, "global", Level.GLOBAL, 0, "everything"),
    model(2, "law", Level.FIELD, 1, "law licence copyright contract"),
    model(3, "unserved", Level.FIELD, 1, "astronomy telescope star"),
]


class ChannelBank:
    """The channels of a chain, in memory."""

    def __init__(self) -> None:
        self.channels: dict[bytes, ChannelInfo] = {}
        self.down = False
        self.redeemed: list[int] = []

    def of(self, address: str) -> BankView:
        """The bank as one account sees it."""
        return BankView(self, address)


class BankView:
    """What payers, meters and catalogs call."""

    def __init__(self, bank: ChannelBank, address: str) -> None:
        self._bank, self.address = bank, address

    def _up(self) -> None:
        if self._bank.down:
            raise ChainUnavailable("the chain is away")

    def models(self) -> list[ModelInfo]:
        self._up()
        return MODELS

    def datasets(self, model_id: int | None = None, block: int | None = None) -> list[DatasetInfo]:
        return []

    def open_channel(self, server: str, model_id: int, deposit: int) -> ChannelInfo:
        self._up()
        number = len(self._bank.channels) + 1
        info = ChannelInfo(number.to_bytes(32, "big"), self.address, server, model_id, deposit, 0, 0)
        self._bank.channels[info.id] = info
        return info

    def channel(self, channel_id: bytes) -> ChannelInfo:
        self._up()
        nobody = ChannelInfo(channel_id, ZERO_ADDRESS, ZERO_ADDRESS, 0, 0, 0, 0)
        return self._bank.channels.get(channel_id, nobody)

    def top_up(self, channel_id: bytes, amount: int) -> Receipt:
        info = self.channel(channel_id)
        self._bank.channels[channel_id] = replace(info, deposit=info.deposit + amount)
        return Receipt(bytes(32), 1, 1)

    def redeem(self, channel_id: bytes, cumulative: int, signature: bytes) -> Receipt:
        info = self.channel(channel_id)
        if cumulative > info.deposit:
            raise Reverted("VoucherOverDeposit", (cumulative, info.deposit))
        if cumulative <= info.redeemed:
            raise Reverted("NothingToRedeem")
        self._bank.channels[channel_id] = replace(info, redeemed=cumulative)
        self._bank.redeemed.append(cumulative)
        return Receipt(bytes(32), 1, 1)


@dataclass
class World:
    """A network in one process: a bootstrap peer, an echo server, a gateway on a free port, a user."""

    url: str
    bank: ChannelBank
    meter: Meter
    engine: EchoEngine
    server_swarm: Swarm
    server: LocalAccount
    user: LocalAccount
    folder: Path
    events: list[tuple[str, dict[str, Any]]]

    def payer(self, user: LocalAccount | None = None) -> Payer:
        """A user's side of channels."""
        account = user or self.user
        book = ChannelBook(self.folder / f"{account.address}.json")
        return Payer(self.bank.of(account.address), NETWORK, account, book)


@contextmanager
def world(folder: Path, delay_seconds: float = 0.0) -> Iterator[World]:
    """Everything real but the chain and the model: two libp2p daemons and a DHT, HTTP on loopback."""
    from node.gateway import listen, serve_http

    bank, server, user = ChannelBank(), EthAccount.create(), EthAccount.create()
    engine = EchoEngine([Served(1, "global", "01" * 32, 0), Served(2, "law", "02" * 32, 3)], delay_seconds)
    events: list[tuple[str, dict[str, Any]]] = []
    ledger = Ledger(folder / "ledger.sqlite")
    meter = Meter(bank.of(server.address), NETWORK, ledger, Tariff(PRICE, 8, 3600.0))

    def notify(event: str, served: Served, **values: Any) -> None:
        events.append((event, values))

    service = AnswerService(engine, meter, ServiceLimits(max_tokens=32), notify)
    chain_id = NETWORK.chain_id
    with (
        Swarm.start([], folder / "server.key", chain_id=chain_id, account=server) as swarm,
        Swarm.start(swarm.maddrs, folder / "gateway.key", chain_id=chain_id) as gateway_swarm,
        listen(ServeConfig()) as listener,
    ):
        GenerateServer(swarm, service.answer).start()
        assert swarm.heartbeat("server", [1, 2], server_extra(PRICE, 32))
        reader = bank.of(ZERO_ADDRESS)
        backend = SwarmBackend(gateway_swarm, reader.channel, refresh_seconds=0.2)
        app = create_app(backend, Catalog(reader, None), Recommender(WordScorer()))
        values: dict[str, Any] = {}
        runtime = SimpleNamespace(
            stop=threading.Event(),
            status=SimpleNamespace(update=values.update),
            events=SimpleNamespace(write=lambda *_, **__: None),
        )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=serve_http, args=(app, listener, cast(Any, runtime)), daemon=True)
        thread.start()
        try:
            yield World(url, bank, meter, engine, swarm, server, user, folder, events)
        finally:
            runtime.stop.set()
            thread.join(5.0)
            service.close()
            ledger.close()
