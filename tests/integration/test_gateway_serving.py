"""Questions through a real gateway, DHT and libp2p stream to a fake model, paid on a fake chain."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from eth_account import Account as EthAccount

from client.asking import Asker, Wish
from client.errors import NoServer, PortTaken, UnknownModel, VoucherError
from client.gateway_client import GatewayClient, Unpaid
from client.payments import VOUCHER_HEADER, Voucher
from node.config import ServeConfig
from tests.serving_fakes import PRICE, World, world

pytestmark = pytest.mark.slow
QUESTION = "what does the licence allow me to do"


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("net")) as found:
        yield found


def _client(net: World, voucher: Voucher | None = None) -> openai.OpenAI:
    headers = {} if voucher is None else {VOUCHER_HEADER: voucher.to_header()}
    return openai.OpenAI(base_url=f"{net.url}/v1", api_key="none", default_headers=headers, max_retries=0, timeout=20)


def _channel(net: World, model_id: int = 2, deposit: int = 10**18) -> tuple[Any, Any]:
    user = EthAccount.create()
    payer = net.payer(user)
    return payer, payer.open(net.server.address, model_id, deposit)


def _ask(client: openai.OpenAI, model: str = "law", **options: Any) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": QUESTION}], **options)


def test_models_when_listed_by_the_openai_client_then_served_ones_say_so(net: World) -> None:
    found = {model.id: model for model in _client(net).models.list()}
    assert set(found) == {"global", "law", "unserved"}
    assert found["law"].strata["served"] and not found["unserved"].strata["served"]  # type: ignore[attr-defined]


def test_chat_when_not_streamed_then_answer_usage_and_debt_come_back(net: World) -> None:
    payer, entry = _channel(net)
    found = _ask(_client(net, payer.voucher(entry)))
    assert found.choices[0].message.content == QUESTION
    assert found.choices[0].finish_reason == "stop"
    assert found.usage.completion_tokens == 8
    assert found.usage.strata["owed"] == str(8 * PRICE)
    assert found.model == "law" and found.strata["round"] == 3


def test_chat_when_streamed_then_pieces_come_in_order_and_usage_last(net: World) -> None:
    payer, entry = _channel(net)
    chunks = list(_ask(_client(net, payer.voucher(entry)), stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == QUESTION
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 8


def test_chat_when_raw_stream_ends_then_done_is_the_last_event(net: World) -> None:
    payer, entry = _channel(net)
    body = {"model": "law", "stream": True, "messages": [{"role": "user", "content": "one two"}]}
    headers = {VOUCHER_HEADER: payer.voucher(entry).to_header()}
    found = httpx.post(f"{net.url}/v1/chat/completions", json=body, headers=headers, timeout=20)
    events = [line.removeprefix("data: ") for line in found.text.splitlines() if line]
    assert events[-1] == "[DONE]"
    assert json.loads(events[-2])["choices"] == [] and json.loads(events[-3])["choices"][0]["finish_reason"] == "stop"


def test_chat_when_max_tokens_is_small_then_finish_reason_is_length(net: World) -> None:
    payer, entry = _channel(net)
    found = _ask(_client(net, payer.voucher(entry)), max_tokens=3)
    assert found.choices[0].finish_reason == "length" and found.usage.completion_tokens == 3


def test_chat_when_model_is_auto_then_the_recommender_chooses_and_says_why(net: World) -> None:
    payer, entry = _channel(net)
    found = _ask(_client(net, payer.voucher(entry)), model="auto")
    assert found.model == "law" and "field" in found.strata["reasons"][0]


def test_chat_when_auto_and_nothing_fits_then_the_global_model_answers(net: World) -> None:
    with GatewayClient(net.url) as gateway:
        assert gateway.quote("auto", "how far is the moon").model == "global"


def test_chat_when_unknown_model_then_404_names_what_there_is(net: World) -> None:
    with pytest.raises(openai.NotFoundError, match="law"):
        _ask(_client(net), model="nothing")


def test_chat_when_nobody_serves_the_model_then_503(net: World) -> None:
    with pytest.raises(openai.InternalServerError, match="nobody serves"):
        _ask(_client(net), model="unserved")


def test_chat_when_without_voucher_then_402(net: World) -> None:
    with pytest.raises(openai.APIStatusError, match="Strata-Voucher") as caught:
        _ask(_client(net))
    assert caught.value.status_code == 402


def test_chat_when_last_answer_is_unpaid_then_402_until_the_voucher_comes(net: World) -> None:
    payer, entry = _channel(net)
    client = _client(net, payer.voucher(entry))
    owed = int(_ask(client).usage.strata["owed"])
    with pytest.raises(openai.APIStatusError, match="owed") as caught:
        _ask(client)
    assert caught.value.status_code == 402 and caught.value.body["strata"]["owed"] == str(owed)  # type: ignore[index]
    _, voucher = payer.pay(entry, owed, owed)
    with GatewayClient(net.url) as gateway:
        assert gateway.pay(voucher) == {"owed": str(owed), "paid": str(owed)}
    assert _ask(client).choices[0].message.content == QUESTION


def test_chat_when_voucher_is_over_the_deposit_then_402(net: World) -> None:
    payer, entry = _channel(net, deposit=4 * PRICE)
    over = payer._sign(entry, 5 * PRICE)
    with pytest.raises(openai.APIStatusError, match="deposit") as caught:
        _ask(_client(net, over))
    assert caught.value.status_code == 402


def test_chat_when_deposit_allows_two_tokens_then_the_answer_has_two(net: World) -> None:
    payer, entry = _channel(net, deposit=2 * PRICE)
    assert _ask(_client(net, payer.voucher(entry))).usage.completion_tokens == 2


def test_chat_when_body_is_too_large_then_413(net: World) -> None:
    found = httpx.post(f"{net.url}/v1/chat/completions", content=b"x" * 300_000, timeout=20)
    assert found.status_code == 413 and found.json()["error"]["code"] == "too_large"


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"model": "law"}', b'{"model":"law","messages":[]}', b'{"model":"law","messages":[{"role":"x"}]}',
     b"[" * 200_000, ("[" * 100_000).encode("utf-16")],
)  # fmt: skip
def test_chat_when_body_is_malformed_then_400_in_openai_form(net: World, body: bytes) -> None:
    found = httpx.post(f"{net.url}/v1/chat/completions", content=body, timeout=20)
    assert found.status_code == 400 and found.json()["error"]["type"] == "invalid_request_error"


def test_metrics_when_asked_then_counters_are_there(net: World) -> None:
    payer, entry = _channel(net)
    _ask(_client(net, payer.voucher(entry)))
    text = httpx.get(f"{net.url}/metrics", timeout=20).text
    assert 'strata_answers_total{model="law"}' in text and "strata_tokens_total" in text
    assert httpx.get(f"{net.url}/healthz", timeout=20).json()["status"] == "ok"


def test_ask_when_run_from_end_to_end_then_it_opens_asks_pays_and_reuses(net: World) -> None:
    payer, agreed = net.payer(EthAccount.create()), list[str]()

    def agree(message: str) -> bool:
        agreed.append(message)
        return True

    with GatewayClient(net.url) as gateway:
        asker, said = Asker(gateway, payer, agree), list[str]()
        for turn in (1, 2):
            wish = Wish(QUESTION, max_tokens=16)
            answer = asker.ask(gateway.quote("auto", QUESTION), wish, said.append)
            assert answer.text == QUESTION and answer.paid and answer.cost_wei == 8 * PRICE
            assert answer.left_wei == 2 * 10**18 - turn * 8 * PRICE
    assert "".join(said) == QUESTION * 2 and len(agreed) == 1
    assert net.meter.owed(bytes.fromhex(answer.channel[2:])) == 16 * PRICE


def test_ask_when_the_voucher_was_lost_then_the_next_question_pays_it_first(net: World) -> None:
    payer = net.payer(EthAccount.create())
    entry = payer.open(net.server.address, 2, 10**18)
    _ask(_client(net, payer.voucher(entry)))  # answered, never paid
    with GatewayClient(net.url) as gateway:
        answer = Asker(gateway, payer, lambda _: True).ask(gateway.quote("law"), Wish(QUESTION, "law"), lambda _: None)
    assert answer.paid and net.meter.owed(entry.channel_id) == 16 * PRICE


def test_ask_when_the_person_declines_then_nothing_is_locked(net: World) -> None:
    before = len(net.bank.channels)
    with GatewayClient(net.url) as gateway, pytest.raises(VoucherError, match="Nothing was locked"):
        asker = Asker(gateway, net.payer(EthAccount.create()), lambda _: False)
        asker.ask(gateway.quote("law"), Wish(QUESTION, "law"), lambda _: None)
    assert len(net.bank.channels) == before


def test_client_when_refused_then_the_exception_says_what_for(net: World) -> None:
    with GatewayClient(net.url) as gateway:
        with pytest.raises(UnknownModel):
            gateway.quote("nothing")
        with pytest.raises(NoServer):
            gateway.quote("unserved")
        with pytest.raises(Unpaid):
            list(gateway.chat({"model": "law", "messages": [{"role": "user", "content": "x"}]}, None))


def test_redeem_when_everything_is_due_then_the_chain_has_it(net: World) -> None:
    payer, entry = _channel(net)
    owed = int(_ask(_client(net, payer.voucher(entry))).usage.strata["owed"])
    _, voucher = payer.pay(entry, owed, owed)
    with GatewayClient(net.url) as gateway:
        gateway.pay(voucher)
    done = [item for item in net.meter.redeem_due(everything=True) if item.channel == entry.channel_id]
    assert [item.amount for item in done] == [owed]
    assert net.bank.channels[entry.channel_id].redeemed == owed


def test_listen_when_the_port_is_taken_then_port_taken(net: World) -> None:
    from node.gateway import listen

    with pytest.raises(PortTaken, match="taken"):
        listen(ServeConfig(port=int(net.url.rsplit(":", 1)[1])))


def test_chat_when_the_chain_is_away_then_503_and_it_works_again(net: World) -> None:
    payer, entry = _channel(net)
    client = _client(net, payer.voucher(entry))
    net.bank.down = True
    try:
        with pytest.raises(openai.InternalServerError):
            _ask(client)
    finally:
        net.bank.down = False
    assert _ask(client).choices[0].message.content == QUESTION


def test_chat_when_the_reader_hangs_up_then_only_what_came_is_billed(tmp_path: Path) -> None:
    with world(tmp_path, delay_seconds=0.05) as slow:
        payer, entry = _channel(slow)
        body = {"model": "law", "stream": True, "messages": [{"role": "user", "content": "w " * 30}]}
        headers = {VOUCHER_HEADER: payer.voucher(entry).to_header()}
        with httpx.stream("POST", f"{slow.url}/v1/chat/completions", json=body, headers=headers, timeout=20) as found:
            lines = found.iter_lines()
            for _ in range(8):
                next(lines)
        deadline = time.monotonic() + 5
        while not slow.events and time.monotonic() < deadline:
            time.sleep(0.05)
        assert slow.events and slow.events[0][1]["cut"]
        assert 0 < slow.meter.owed(entry.channel_id) < 25 * PRICE
