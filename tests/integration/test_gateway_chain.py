"""Answers of a real (nano) model, paid on a real chain: channel, vouchers, redemption, the fee's division."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from client.payments import ChannelBook, Payer, Voucher
from node.serving.ledger import Ledger
from node.serving.metering import Meter, Tariff
from node.serving.model_engine import ModelEngine
from node.serving.service import AnswerService, ServiceLimits
from tests.integration.roles_world import add_models, small_world

pytestmark = pytest.mark.slow
PRICE = 10**15


async def _frames(service: AnswerService, request: dict[str, Any]) -> list[dict[str, Any]]:
    return [frame async for frame in service.answer(request, "tester")]


def _chat(voucher: Voucher, tokens: int = 8) -> dict[str, Any]:
    messages = [{"role": "user", "content": "What is a tuple?"}]
    return {"kind": "chat", "model": "global", "messages": messages, "max_tokens": tokens, "voucher": voucher.to_json()}


def test_answer_when_paid_by_a_real_channel_then_the_fee_is_divided_on_chain(tmp_path: Path) -> None:
    with small_world(tmp_path) as world:
        model = add_models(world)["global"]
        user, server = world.chain("carol"), world.chain("server-1")
        network = world.network
        payer = Payer(user, network, world.account("carol"), ChannelBook(tmp_path / "book.json"))
        ledger = Ledger(tmp_path / "ledger.sqlite")
        meter = Meter(server, network, ledger, Tariff(PRICE, 8, 1e9))
        engine = ModelEngine(server, world.store, tmp_path / "cache", tmp_path / "scratch")
        assert engine.refresh()
        service = AnswerService(engine, meter, ServiceLimits(max_tokens=32))
        try:
            entry = payer.open(server.address, model.id, 10**18)
            assert payer.existing(server.address, model.id) == entry
            frames = asyncio.run(_frames(service, _chat(payer.voucher(entry))))
            assert [frames[0]["type"], frames[-1]["type"]] == ["start", "end"], frames
            owed = int(frames[-1]["usage"]["strata"]["owed"])
            assert owed == frames[-1]["usage"]["completion_tokens"] * PRICE > 0
            unpaid = asyncio.run(_frames(service, _chat(payer.voucher(entry))))
            assert (unpaid[-1]["status"], unpaid[-1]["code"], unpaid[-1]["owed"]) == (402, "unpaid", str(owed))
            entry, voucher = payer.pay(entry, owed, owed)
            paid = asyncio.run(_frames(service, {"kind": "voucher", "voucher": voucher.to_json()}))
            assert paid == [{"type": "end", "owed": str(owed), "paid": str(owed)}]
            (done,) = meter.redeem_due(everything=True)
            assert done.amount == owed and server.channel(entry.channel_id).redeemed == owed
            (fee,) = [event for event in server.events("Rewards", "FeeDistributed") if event.tx == done.tx]
            assert sum(fee.args[f"{part}Part"] for part in ("server", "model", "parent", "treasury")) == owed
            assert meter.redeem_due(everything=True) == []
        finally:
            service.close()
            ledger.close()
