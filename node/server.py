"""The server: it answers questions with models at their heads, and is paid by vouchers.

Top to bottom: open the wallet, the chain and the store; join the swarm; load the models; answer, announce, follow the
heads, redeem; at the end, stop answering and redeem what is left.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from client.errors import ChainError, ChainUnavailable, StorageError, SwarmError
from node.config import NodeConfig
from node.outfit import Outfit, in_swarm, opened, read_account, wait_for_chain
from node.runtime import Runtime, process, run_threads

if TYPE_CHECKING:
    from node.serving.engine import Engine, Served
    from node.serving.metering import Meter
    from node.swarm import Swarm

log = logging.getLogger("strata.node.server")

HEARTBEAT_SECONDS = 15.0
HEAD_SECONDS = 2.0
REDEEM_LOOK_SECONDS = 1.0


def run_server(config: NodeConfig) -> None:
    """Serve until told to stop."""
    account, passphrase = read_account(config)
    with process(config, "server", (passphrase, bytes(account.key).hex())) as runtime, ExitStack() as stack:
        outfit = stack.enter_context(opened(runtime, account))
        wait_for_chain(runtime, outfit.chain)
        swarm = stack.enter_context(in_swarm(runtime, outfit))
        if swarm is None:
            raise SwarmError("a server answers over the swarm: set `swarm = true`, and see why it could not join")
        engine = make_engine(runtime, outfit)
        if not wait_for_models(runtime, engine):
            return
        meter = make_meter(runtime, outfit, stack)
        start_answering(runtime, swarm, engine, meter, stack)
        targets = {
            "heartbeat": partial(keep_announced, runtime, swarm, engine),
            "heads": partial(follow_heads, runtime, swarm, engine),
            "redeem": partial(keep_redeeming, runtime, meter),
        }
        try:
            run_threads(runtime, targets)
        finally:
            redeem(runtime, meter, everything=True)


def make_engine(runtime: Runtime, outfit: Outfit) -> Engine:
    """The models' engine over this node's chain and store."""
    from node.serving.model_engine import ModelEngine

    return ModelEngine(
        outfit.chain, outfit.store, outfit.cache, runtime.config.state / "scratch", runtime.config.models
    )


def make_meter(runtime: Runtime, outfit: Outfit, stack: ExitStack) -> Meter:
    """The ledger in the state folder, and who may ask for what."""
    from node.serving.ledger import Ledger
    from node.serving.metering import Meter, Tariff

    serve = runtime.config.serve
    ledger = Ledger(runtime.config.state / "ledger.sqlite")
    stack.callback(ledger.close)
    tariff = Tariff(serve.price_wei, serve.redeem_vouchers, serve.redeem_seconds)
    return Meter(outfit.chain, outfit.network, ledger, tariff)


def start_answering(runtime: Runtime, swarm: Swarm, engine: Engine, meter: Meter, stack: ExitStack) -> None:
    """Register with the swarm's peer; from here on questions come in."""
    from node.serving.service import AnswerService, ServiceLimits
    from node.streaming import GenerateServer

    def notify(event: str, served: Served, **values: Any) -> None:
        runtime.events.write(event, served.name, served.round, **values)

    service = AnswerService(engine, meter, ServiceLimits(max_tokens=runtime.config.serve.max_tokens), notify)
    server = GenerateServer(swarm, service.answer)
    server.start()
    stack.callback(service.close)
    stack.callback(server.stop)


def wait_for_models(runtime: Runtime, engine: Engine) -> bool:
    """Until at least one model is loaded; False when the node stops first."""
    while not runtime.stop.is_set():
        look_for_heads(runtime, engine)
        if engine.served():
            return True
        runtime.sleep(HEAD_SECONDS)
    return False


def look_for_heads(runtime: Runtime, engine: Engine) -> bool:
    """Load what is new; True when something was."""
    try:
        changed = engine.refresh()
    except (ChainUnavailable, StorageError) as error:
        runtime.events.write("waiting_chain", message=str(error))
        return False
    if changed:
        for served in engine.served():
            runtime.status.update_model(served.name, head=served.head, round=served.round, action="serving")
    return changed


def follow_heads(runtime: Runtime, swarm: Swarm, engine: Engine) -> None:
    """Answer with the newest head of each model; a running answer ends with the head that it began with."""
    while not runtime.sleep(HEAD_SECONDS):
        before = {served.model_id for served in engine.served()}
        if look_for_heads(runtime, engine) and before != {served.model_id for served in engine.served()}:
            announce(runtime, swarm, engine)


def keep_announced(runtime: Runtime, swarm: Swarm, engine: Engine) -> None:
    """Tell the swarm what is served, and its price."""
    while not runtime.stop.is_set():
        announce(runtime, swarm, engine)
        runtime.sleep(HEARTBEAT_SECONDS)


def announce(runtime: Runtime, swarm: Swarm, engine: Engine) -> None:
    """One heartbeat."""
    from node.serving.backend import server_extra

    serve = runtime.config.serve
    try:
        models = [served.model_id for served in engine.served()]
        swarm.heartbeat("server", models, server_extra(serve.price_wei, serve.max_tokens))
    except SwarmError as error:
        log.info("heartbeat: %s", error)


def keep_redeeming(runtime: Runtime, meter: Meter) -> None:
    """Take vouchers to the chain when there are enough, or when they are old enough."""
    while not runtime.sleep(REDEEM_LOOK_SECONDS):
        redeem(runtime, meter)


def redeem(runtime: Runtime, meter: Meter, everything: bool = False) -> None:
    """Redeem what is due and say so."""
    try:
        for done in meter.redeem_due(everything):
            channel, tx = "0x" + done.channel.hex(), "0x" + done.tx.hex()
            runtime.events.write("redeemed", model_id=done.model_id, channel=channel, amount=str(done.amount), tx=tx)
    except ChainError as error:
        log.warning("vouchers are redeemed later: %s", error)
