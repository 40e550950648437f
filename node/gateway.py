"""The gateway's process: HTTP on one side, the swarm on the other. No wallet, no model, a P2P identity of its own."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from client.errors import ConfigError, PortTaken, StrataError
from node.config import EMBEDDED, NodeConfig, ServeConfig
from node.outfit import CHAIN_PATIENCE_SECONDS, read_network, wait_for_chain
from node.runtime import Runtime, process

if TYPE_CHECKING:
    from fastapi import FastAPI

    from client.settings import Network

log = logging.getLogger("strata.node.gateway")

STOP_SECONDS = 2


def run_gateway(config: NodeConfig) -> None:
    """Serve HTTP until told to stop."""
    with process(config, "gateway") as runtime, ExitStack() as stack:
        listener = stack.enter_context(listen(config.serve))  # first: a taken port is told before anything is started
        app = make_app(runtime, read_network(config), stack)
        serve_http(app, listener, runtime)


def make_app(runtime: Runtime, network: Network, stack: ExitStack) -> FastAPI:
    """The app over this network's chain, content and swarm."""
    from client.catalog import Catalog
    from client.recommend import Recommender
    from node.meters import MeteredStore, metered_chain
    from node.serving.backend import SwarmBackend
    from node.serving.gateway import create_app
    from node.swarm import Swarm

    config = runtime.config
    chain = metered_chain(network, runtime.telemetry, patience=CHAIN_PATIENCE_SECONDS)
    stack.callback(chain.close)
    wait_for_chain(runtime, chain)
    api = network.ipfs if config.ipfs in ("", EMBEDDED) else config.ipfs
    if not api:
        raise ConfigError("a gateway reads descriptions of models: set `ipfs` to a daemon's API")
    swarm = stack.enter_context(
        Swarm.start(
            config.bootstrap or network.bootstrap,
            config.state / "p2p.key",
            chain_id=network.chain_id,
            host_maddr=f"/ip4/127.0.0.1/tcp/{config.swarm_port}",
        )
    )
    runtime.status.update(peer_id=swarm.peer_id, network=network.name, ipfs=api)
    catalog = Catalog(chain, MeteredStore(runtime.telemetry, api, config.cache_dir, round(config.cache_gb * 1e9)))
    app = create_app(
        SwarmBackend(swarm, chain.channel), catalog, Recommender(), healthy=lambda: {"network": network.name}
    )
    runtime.telemetry.ask("answers", app.state.metrics.figures)
    return app


def listen(serve: ServeConfig) -> socket.socket:
    """The listening socket; ``PortTaken`` when another process has the port."""
    listener = socket.socket(socket.AF_INET6 if ":" in serve.host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((serve.host, serve.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            message = f"port {serve.port} on {serve.host} is taken: set `serve.port` to another, or to 0 for a free one"
            raise PortTaken(message) from error
        raise ConfigError(f"can't listen on {serve.host}:{serve.port}: {error}") from error
    return listener


def serve_http(app: FastAPI, listener: socket.socket, runtime: Runtime) -> None:
    """Run uvicorn in a thread until a stop; open answers get two seconds to end."""
    import uvicorn

    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    settings = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=STOP_SECONDS)
    server = uvicorn.Server(settings)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            server.run(sockets=[listener])
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            runtime.stop.set()

    thread = threading.Thread(target=work, name="http", daemon=True)
    thread.start()
    runtime.status.update(url=url)
    runtime.events.write("listening", url=url)
    log.info("listening on %s", url)
    runtime.stop.wait()
    server.should_exit = True
    thread.join(STOP_SECONDS + 1.0)
    if failed:
        raise StrataError(f"the HTTP server failed: {failed[0]}") from failed[0]
