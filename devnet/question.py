"""The question: asked by a user's command, answered by the server's peer, paid by voucher, divided on chain."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from client.types import Event
from devnet.layout import CAROL, Preset
from devnet.network import CommandResult, Devnet
from devnet.waiting import wait_until

SERVING_SECONDS = 120.0
REDEEM_SECONDS = 60.0
ASK_SECONDS = 180.0


@dataclass(frozen=True)
class Asked:
    """A question and its answer. Amounts in wei; ``parts`` are the fee's."""

    question: str
    answer: str
    chosen: str  # what the command said of the model, and why
    price: str  # what it said of the price
    model: str
    redeemed: int
    parts: dict[str, int]
    tx: str


def ask(net: Devnet, preset: Preset) -> Asked:
    """Ask as carol, with the model left open; wait until the server has redeemed the voucher."""
    with net.times.part("serving"):
        wait_until(lambda: offers(net) >= len(preset.models), SERVING_SECONDS, "a server for every model", net.check)
    net.say(f"carol asks: {preset.question}")
    with net.times.part("answer"):
        result = net.must(
            *("ask", preset.question, "--model", "auto", "--max-tokens", str(preset.answer_tokens), "--yes"),
            wallet=CAROL,
            seconds=ASK_SECONDS,
        )
    said = [line for line in result.errors.splitlines() if line.strip()]
    chosen = next((line for line in said if " answers (round " in line), "")
    net.say(chosen or "answered")
    with net.times.part("redeemed"):
        wait_until(lambda: bool(redemptions(net)), REDEEM_SECONDS, "the server to redeem the voucher", net.check)
    redeemed = redemptions(net)[-1]
    fee = next(e for e in net.chain().events("Rewards", "FeeDistributed") if e.tx == redeemed.tx)
    asked = _asked(net, preset, result, chosen, said[-1] if said else "", redeemed, fee)
    net.say(f"the server redeemed {asked.redeemed / 1e18:.6f} STR: {describe_fee(asked)}")
    return asked


def _asked(
    net: Devnet, preset: Preset, result: CommandResult, chosen: str, price: str, redeemed: Event, fee: Event
) -> Asked:
    names = {number: name for name, number in net.ids.items()}
    parts = {name: int(fee.args[f"{name}Part"]) for name in ("server", "model", "parent", "treasury")}
    return Asked(
        question=preset.question,
        answer=result.output.removesuffix("\n"),  # a nano model may well say nothing but spaces
        chosen=chosen,
        price=price,
        model=names[redeemed.args["modelId"]],
        redeemed=int(redeemed.args["amount"]),
        parts=parts,
        tx=redeemed.tx.hex(),
    )


def describe_fee(asked: Asked) -> str:
    """Who got which part of the fee."""
    words = {"server": "the server", "model": f"{asked.model}'s shareholders", "parent": "its parent's"}
    words["treasury"] = "the treasury"
    said = [f"{words[name]} {amount / 1e18:.6f}" for name, amount in asked.parts.items()]
    note = "" if asked.parts["parent"] else " (the parent has no shareholders yet: its part is the treasury's)"
    return ", ".join(said) + note


def offers(net: Devnet) -> int:
    """How many models the gateway can have answered now; 0 while it starts."""
    assert net.network is not None, "the network is up"
    try:
        with urllib.request.urlopen(f"{net.network.gateway}/healthz", timeout=5) as response:
            found: dict[str, Any] = json.load(response)
            return int(found.get("offers", 0))
    except (OSError, ValueError):
        return 0


def redemptions(net: Devnet) -> list[Event]:
    """The vouchers that were redeemed so far."""
    return net.chain().events("InferenceChannels", "VoucherRedeemed")
