"""A node's figures for Prometheus, over HTTP: by default on loopback alone. There are no secrets in them."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client.core import Metric

REQUEST_SECONDS = 5.0  # that a reader may take
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

log = logging.getLogger("strata.node.telemetry")

Figures = Callable[[], Mapping[str, Any]]

GAUGES = {  # of a model: name, key of the snapshot, help
    "train_step": ("step", "local steps done in the inner loop"),
    "train_steps": ("steps", "local steps of the inner loop"),
    "train_loss": ("loss", "loss of the last training step, nats a token"),
    "heldout_loss": ("heldout_loss", "held-out loss as this validator measured it last, nats a token"),
    "train_tokens_per_second": ("tokens_per_second", "tokens trained a second, over the last half minute of training"),
    "training_share": ("training_share", "share of wall time spent in the inner loop"),
    "averaged_peers": ("team_peers", "peers whose mean the last delta was"),
}
COUNTERS = {
    "tokens_trained": ("tokens_trained", "tokens trained in finished inner loops"),
    "train_seconds": ("train_seconds", "seconds spent in finished inner loops"),
    "rounds_judged": ("rounds_judged", "rounds whose deltas were scored"),
    "rounds_final": ("rounds_final", "rounds that ended with a head"),
    "rounds_void": ("rounds_void", "rounds that ended void"),
    "rounds_missed": ("rounds_missed", "rounds that went by without this miner"),
    "answers": ("answers", "answers given"),
    "tokens_served": ("tokens_served", "tokens of answers given"),
}
TRAFFIC = {
    "content": "content put on IPFS (sent) and got from it (received), without what the cache gave",
    "chain": "bodies of JSON-RPC requests (sent) and answers (received)",
    "sockets": "TCP payload of this process and its children, loopback included; short connections are missed",
}


class _Server(HTTPServer):
    def __init__(self, host: str, port: int, figures: Figures) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _handler(figures))

    def server_bind(self) -> None:
        """Without asking for the host's name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "strata", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that went away is no news."""
        log.debug("a reader of metrics went away", exc_info=True)


class Page:
    """The HTTP server in a thread of its own; one reader at a time."""

    def __init__(self, server: HTTPServer) -> None:
        self._server = server
        host, port = server.server_address[:2]
        self.url = f"http://[{host!s}]:{port}/metrics" if ":" in str(host) else f"http://{host!s}:{port}/metrics"
        self._thread = threading.Thread(target=server.serve_forever, args=(0.2,), name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join(1.0)
        self._server.server_close()


def open_page(host: str, port: int, figures: Figures) -> Page | None:
    """Serve ``figures`` as Prometheus reads them; None, and one warning, where the port can't be had."""
    try:
        return Page(_Server(host, port, figures))
    except (OSError, OverflowError) as error:
        log.warning("no page of metrics: %s:%d can't be listened on: %s", host, port, error)
        return None


def _handler(figures: Figures) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS
        server_version, sys_version = "strata", ""

        def do_GET(self) -> None:
            if self.path.split("?", 1)[0] != "/metrics":
                self._answer(404, "text/plain", b"the figures are at /metrics\n")
                return
            try:
                text = page_text(figures())
            except (ImportError, OSError, ValueError, RuntimeError) as error:
                log.warning("the page of metrics failed: %s", error)
                self._answer(500, "text/plain", b"no figures now\n")
                return
            self._answer(200, CONTENT_TYPE, text)

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            log.debug("metrics: " + format, *args)

    return Handler


def page_text(figures: Mapping[str, Any]) -> bytes:
    """Prometheus's text form of a line of telemetry (see ``node.reporter.Recorder.line``)."""
    from prometheus_client.exposition import generate_latest

    class Everything:
        def collect(self) -> Iterator[Metric]:
            return families(figures)

    found: bytes = generate_latest(Everything())
    return found


def families(figures: Mapping[str, Any]) -> Iterator[Metric]:
    """Each figure as a family of samples; a figure that is not known is left out."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    yield InfoMetricFamily("strata_node", "who this is", {key: str(figures[key]) for key in ("name", "role")})
    for name, key, text in (
        ("strata_node_uptime_seconds", "uptime", "seconds since the process began"),
        ("strata_chain_block", "block", "newest block seen"),
        ("strata_chain_block_seconds", "block_seconds", "seconds between two blocks, lately"),
        ("process_resident_memory_bytes", "memory_bytes", "memory that the process holds"),
    ):
        if figures.get(key) is not None:
            yield GaugeMetricFamily(name, text, figures[key])
    for name, key, text in (
        ("process_cpu_seconds", "cpu_seconds", "processor time of the process"),
        ("strata_chain_requests", "chain_requests", "JSON-RPC requests sent"),
        ("strata_node_events", "events", "events written"),
        ("strata_node_errors", "errors", "events that tell of an error"),
    ):
        yield CounterMetricFamily(name, text, figures[key])
    for what, text in TRAFFIC.items():
        moved = figures["traffic"][what]
        if moved is not None:
            family = CounterMetricFamily(f"strata_{what}_bytes", text, labels=["direction"])
            for direction in ("sent", "received"):
                family.add_metric([direction], moved[direction])
            yield family
    yield from _told(figures["told"])
    yield from _of_models(figures["models"])


def _told(told: Mapping[str, Any]) -> Iterator[Metric]:
    """Numbers, and how many there are of what is a list, of what parts of the node say of themselves."""
    from prometheus_client.core import GaugeMetricFamily

    for name, value in told.items():
        for key, one in value.items() if isinstance(value, Mapping) else [("", value)]:
            amount = len(one) if isinstance(one, list) else one
            if isinstance(amount, int | float):
                label = "_".join(part for part in ("strata", name, key) if part)
                yield GaugeMetricFamily(label, f"{name}: {key or 'how many'}", amount)


def _of_models(models: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for kind, table in ((GaugeMetricFamily, GAUGES), (CounterMetricFamily, COUNTERS)):
        for name, (key, text) in table.items():
            family = kind(f"strata_{name}", text, labels=["model"])
            for model, values in models.items():
                if values.get(key) is not None:
                    family.add_metric([model], values[key])
            yield from [family] if family.samples else []
    newest = {model: values["rounds"][0] for model, values in models.items() if values["rounds"]}
    for name, key, text in (
        ("strata_round", "round", "the newest round"),
        ("strata_phase_blocks_left", "blocks_left", "blocks until the newest round's phase ends"),
        ("strata_phase_seconds_left", "seconds_left", "about how many seconds until that phase ends"),
    ):
        family = GaugeMetricFamily(name, text, labels=["model"])
        for model, live in newest.items():
            if live[key] is not None:
                family.add_metric([model], live[key])
        yield from [family] if family.samples else []
    phase = GaugeMetricFamily("strata_phase", "the newest round's phase: 1 at its name", labels=["model", "phase"])
    for model, live in newest.items():
        phase.add_metric([model, live["phase"]], 1)
    yield from [phase] if phase.samples else []
