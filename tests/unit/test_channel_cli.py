"""``strata channel``: what a user sees of its channels, and how it gets back what it did not use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount

from client.cli.main import run
from client.fake_channels import CLOSE_DELAY
from client.fakes import FakeChain, FakeLedger, fake_address
from client.payments import ChannelBook, Payer
from client.settings import CONTRACTS, Network
from client.wallet import Wallets

SERVER, TOKEN = fake_address(0x5E), 10**18
NETWORK = Network("test", 31337, "http://127.0.0.1:9", 0, dict.fromkeys(CONTRACTS, "0x" + "11" * 20))


class World:
    """A home with two wallets, a chain in memory, and carol's channel with 2 tokens, half a one of it signed away."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.home, self.ledger, self._capsys = home, FakeLedger(), capsys
        for name in ("STRATA_NETWORK", "STRATA_WALLET"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("STRATA_HOME", str(home))
        (home / "pass").write_text("secret\n")
        monkeypatch.setenv("STRATA_PASSPHRASE_FILE", str(home / "pass"))
        NETWORK.save(home / "network.json")
        wallets = Wallets(home / "wallets")
        for name in ("carol", "dave"):
            wallets.create(name, "secret", light=True)
        self.carol = wallets.open("carol", "secret")
        self.book = home / "channels.json"
        self.ledger.tokens[self.carol.address] = 10 * TOKEN
        self.chain = FakeChain(self.ledger, self.carol.address)
        monkeypatch.setattr("client.cli.channel.chain", self._link)
        monkeypatch.setattr("client.cli.context.chain", self._link)
        payer = Payer(self.chain, NETWORK, self.carol, ChannelBook(self.book))
        entry, _ = payer.pay(payer.open(SERVER, 1, 2 * TOKEN), TOKEN // 2, TOKEN)
        self.id = entry.channel

    def _link(self, chosen: object, account: LocalAccount | None = None) -> FakeChain:
        return FakeChain(self.ledger, account.address if account else None)

    def run(self, *args: str) -> Any:
        """A command's JSON."""
        assert run(["channel", *args, "--json"]) == 0
        return json.loads(self._capsys.readouterr().out)

    def says(self, *args: str) -> str:
        """What a command tells people."""
        assert run(["channel", *args]) == 0
        return " ".join(self._capsys.readouterr().out.split())

    def fails(self, *args: str) -> str:
        """A command's error."""
        assert run(["channel", *args]) == 1
        return self._capsys.readouterr().err


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> World:
    return World(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("command", ["list", "close", "topup"])
def test_help_when_asked_then_it_shows_an_example_and_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["channel", command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Example: strata channel {command}" in text and "--json" in text


def test_list_when_there_is_one_then_it_says_what_was_locked_spent_and_is_left(world: World) -> None:
    (row,) = world.run("list", "carol")
    assert row == {
        "channel": world.id,
        "server": SERVER,
        "model": "1",
        "deposit_wei": str(2 * TOKEN),
        "spent_wei": str(TOKEN // 2),
        "left_wei": str(3 * TOKEN // 2),
        "state": "open",
        "close_block": None,
    }
    assert world.id[:10] in world.says("list", "carol")
    assert "no open channel" in world.says("list", "dave")


def test_list_when_the_book_is_lost_then_the_chain_still_knows_the_channel(world: World) -> None:
    world.chain.redeem(bytes.fromhex(world.id[2:]), TOKEN // 4, b"")
    world.book.unlink()
    (row,) = world.run("list", "carol")
    assert (row["spent_wei"], row["left_wei"]) == (str(TOKEN // 4), str(7 * TOKEN // 4))


def test_close_when_called_until_it_is_over_then_the_rest_comes_back(world: World) -> None:
    begun = world.run("close", world.id, "--wallet", "carol")
    block = world.ledger.block_number + CLOSE_DELAY
    assert (begun["state"], begun["close_block"]) == ("closing", block)
    (row,) = world.run("list", "carol")
    assert (row["state"], row["close_block"]) == ("closing", block)
    assert ChannelBook(world.book).entries()[0].closing
    assert f"from block {block} on" in world.says("close", world.id[:8], "--wallet", "carol")
    world.chain.redeem(bytes.fromhex(world.id[2:]), TOKEN // 2, b"")  # the server takes its part in time
    world.ledger.mine(CLOSE_DELAY)
    assert "take the rest" in world.says("list", "carol")
    assert "1.5 tokens came back" in world.says("close", world.id, "--wallet", "carol")
    assert world.ledger.tokens[world.carol.address] == 10 * TOKEN - TOKEN // 2
    assert world.run("list", "carol") == []
    (row,) = world.run("list", "carol", "--all")
    assert (row["state"], row["spent_wei"], row["left_wei"]) == ("closed", str(TOKEN // 2), "0")
    assert "is closed" in world.fails("close", world.id, "--wallet", "carol")


def test_close_when_the_channel_is_anothers_or_none_then_the_error_says_so(world: World) -> None:
    assert f"not yours: {world.carol.address} opened it" in world.fails("close", world.id, "--wallet", "dave")
    assert "has no channel" in world.fails("close", "0x" + "ab" * 32, "--wallet", "carol")
    assert "has no channel" in world.fails("topup", "0xabcd", "1", "--wallet", "carol")
    assert "not a channel's number" in world.fails("close", "law", "--wallet", "carol")
    assert "not a channel's number" in world.fails("close", "0x" + "ab" * 33, "--wallet", "carol")
    assert "--wallet NAME" in world.fails("close", world.id)
    assert world.chain.channel(bytes.fromhex(world.id[2:])).close_block == 0


def test_topup_when_there_are_tokens_then_chain_and_book_have_more(world: World) -> None:
    told = world.run("topup", world.id, "1.5", "--wallet", "carol")
    assert (told["deposit_wei"], told["left_wei"]) == (str(7 * TOKEN // 2), str(3 * TOKEN))
    assert ChannelBook(world.book).entries()[0].deposit == 7 * TOKEN // 2
    assert "holds 6.5 tokens" in world.fails("topup", world.id, "7", "--wallet", "carol")
    assert "above zero" in world.fails("topup", world.id, "0", "--wallet", "carol")
    world.run("close", world.id, "--wallet", "carol")
    assert "closing and takes no more" in world.fails("topup", world.id, "1", "--wallet", "carol")
