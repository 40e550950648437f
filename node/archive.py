"""The archive: keeps everything that a model ever had, so that its first round can be audited for ever.

It follows the chain, wants what rounds, datasets and registrations name, and what those manifests name in turn. Each
blob is read to its end and its hash compared before it is pinned. What is held is read again now and then; what was
lost or can't be had is asked for again, ever more seldom, and reported.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from client.audit_reports import REPORT_BYTES
from client.chain_like import EventReader
from client.codec import max_payload_bytes
from client.errors import ChainUnavailable, ConfigError, StorageError, StorageUnavailable, StrataError
from client.manifests import MAX_MANIFEST_BYTES, Dataset, Genesis, Head, parse_json
from client.tensors import MAX_HEADER_BYTES
from client.types import DatasetInfo, Event, ModelInfo
from node.config import NodeConfig
from node.holdings import Holdings, Item
from node.runtime import Runtime, process

AT_ONCE = 64  # blobs of one step
THREADS = 8
LOOK_BACK_BLOCKS = 64  # read again at each look: a reorganisation may have changed them
SPAN_BLOCKS = 50_000  # of events at once, while catching up
SLOWEST_BYTES_PER_SECOND = 500_000  # large blobs get time by this, beyond `fetch_seconds`
CHECK_AGAIN_SECONDS = 7 * 24 * 3600.0
TOKENIZER_BYTES = 64 * 2**20
WEIGHTS_SLACK_BYTES = 64 * 2**20
MANIFESTS = ("genesis", "head", "dataset")

log = logging.getLogger("strata.node.archive")


class ArchiveChain(EventReader, Protocol):
    """What an archive reads of the chain."""

    @property
    def deploy_block(self) -> int: ...
    def block_number(self) -> int: ...
    def models(self) -> list[ModelInfo]: ...
    def datasets(self, model_id: int | None = None) -> list[DatasetInfo]: ...
    def contract_address(self, contract: str) -> str: ...


class ArchiveStore(Protocol):
    """What an archive needs of IPFS."""

    def get(self, digest: bytes, max_bytes: int, timeout: float) -> bytes: ...
    def check(self, digest: bytes, max_bytes: int, timeout: float) -> int: ...
    def pin(self, digest: bytes, timeout: float) -> None: ...


class Archive:
    """One archive's work, apart from processes and signals. ``models``: names, all where empty."""

    def __init__(
        self, chain: ArchiveChain, store: ArchiveStore, holdings: Holdings, models: tuple[str, ...], seconds: float
    ) -> None:
        self.chain, self.store, self.holdings, self.names, self.seconds = chain, store, holdings, models, seconds
        self._genesis: dict[bytes, Genesis] = {}

    def follow(self) -> bool:
        """Want what the chain named since the last look; true where there is more to read at once."""
        newest = self.chain.block_number()
        chosen = {model.id: model for model in self.chain.models() if not self.names or model.name in self.names}
        # Another network than last time, or a model more, whose past may lie behind: begin anew.
        subject = f"{self.chain.contract_address('Rounds')} {sorted(chosen)}"
        if self.holdings.fact("subject") != subject:
            self.holdings.remember("block", "0")
            self.holdings.remember("subject", subject)
        done = max(int(self.holdings.fact("block", "0")), self.chain.deploy_block - 1)
        last = min(newest, done + SPAN_BLOCKS)
        if done == newest:
            return False
        for model in chosen.values():
            self.holdings.remember(f"genesis:{model.id}", model.genesis.hex())
        items = [Item(model.genesis, "genesis", model.id, 0, MAX_MANIFEST_BYTES) for model in chosen.values()]
        for info in self.chain.datasets():
            if info.model_id in chosen and info.accepted_block:
                items.append(Item(info.root, "dataset", info.model_id, 0, MAX_MANIFEST_BYTES))
        items += self._of_events(chosen, max(self.chain.deploy_block, done - LOOK_BACK_BLOCKS), last)
        self.holdings.want(items)
        self.holdings.remember("block", str(last))
        return last < newest

    def _of_events(self, chosen: Mapping[int, ModelInfo], first: int, last: int) -> list[Item]:
        found = []
        for event in self.chain.events("Rounds", None, first, last):
            model_id, number = int(event.args.get("modelId", 0)), int(event.args.get("round", 0))
            if model_id not in chosen:
                continue
            if event.name == "RoundFinalized" and any(event.args["head"]):
                found.append(Item(bytes(event.args["head"]), "head", model_id, number, MAX_MANIFEST_BYTES))
            elif event.name == "ConsensusPage":
                found += self._accepted(event, last)
            elif event.name == "ScoresRevealed" and any(event.args["report"]):
                found.append(Item(bytes(event.args["report"]), "report", model_id, number, REPORT_BYTES))
        for event in self.chain.events("Rewards", "ArchiveSet", first, last):
            model = chosen.get(int(event.args["modelId"]))
            if model is not None:
                self.holdings.remember(f"paid_to:{model.name}", str(event.args["account"]))
        return found

    def _accepted(self, page: Event, last: int) -> Iterator[Item]:
        """The deltas of a page of the consensus that gained. A head that is a snapshot names none of its round's."""
        where = {"modelId": page.args["modelId"], "round": page.args["round"]}
        gains = dict(enumerate(page.args["consensus"], start=int(page.args["from"])))
        for event in self.chain.events("Rounds", "DeltaRevealed", None, last, **where):
            if gains.get(int(event.args["index"]), 0):
                yield Item(bytes(event.args["digest"]), "delta", int(where["modelId"]), int(where["round"]), 0)

    def fetch(self, now: float) -> int:
        """Fetch what is due, side by side; how much was tried. StorageUnavailable where no daemon answers."""
        due = self.holdings.due(now, AT_ONCE)
        with ThreadPoolExecutor(THREADS, thread_name_prefix="archive") as pool:
            for item, error in zip(due, pool.map(self._take, due), strict=True):
                if isinstance(error, StorageUnavailable):
                    raise error
                if error is not None:
                    self.holdings.failed(item.digest, str(error), now)
        return len(due)

    def look_again(self, now: float) -> int:
        """Read again what was not looked at for a week; how much was lost."""
        lost = 0
        for item in self.holdings.to_check(now - CHECK_AGAIN_SECONDS, AT_ONCE):
            error = self._take(item)
            if isinstance(error, StorageUnavailable):
                raise error
            if error is not None:
                log.error("%s of model %d was lost: %s", item.kind, item.model_id, error)
                self.holdings.failed(item.digest, f"was held, and lost: {error}", now)
                lost += 1
        return lost

    def _take(self, item: Item) -> StrataError | None:
        """Fetch, verify, pin; what it names is wanted before it counts as held."""
        try:
            most = item.max_bytes or self._delta_bytes(item.model_id)
            timeout = self.seconds + most / SLOWEST_BYTES_PER_SECOND
            if item.kind in MANIFESTS:
                data = self.store.get(item.digest, most, self.seconds)
                size = len(data)
                self.holdings.want(self._named_by(item, data))
            else:
                size = self.store.check(item.digest, most, timeout)
            self.store.pin(item.digest, timeout)
        except StrataError as error:
            return error
        self.holdings.held(item.digest, size, time.time())
        return None

    def _named_by(self, item: Item, data: bytes) -> Iterator[Item]:
        """What a manifest names, each with the most bytes that it may have."""

        def named(digest: str, kind: str, round_number: int, cap: int) -> Item:
            return Item(bytes.fromhex(digest), kind, item.model_id, round_number, cap)

        if item.kind == "dataset":
            dataset = Dataset.from_bytes(data)
            for shard in (*dataset.shards, *dataset.heldout):
                yield named(shard.digest, "shard", 0, shard.bytes)
            return
        schema: Any = parse_json(data)
        if isinstance(schema, dict) and schema.get("schema") == Genesis.SCHEMA:
            genesis = Genesis.from_bytes(data)
            yield named(genesis.weights, "weights", 0, 256 * genesis.size + WEIGHTS_SLACK_BYTES)
            if genesis.tokenizer != "bytes":
                yield named(genesis.tokenizer, "tokenizer", 0, TOKENIZER_BYTES)
            if genesis.base is not None:
                yield named(genesis.base, "genesis", 0, MAX_MANIFEST_BYTES)
            return
        head = Head.from_bytes(data)
        genesis = self._genesis_of(bytes.fromhex(head.genesis))
        yield named(head.genesis, "genesis", 0, MAX_MANIFEST_BYTES)
        if head.parent != head.genesis:
            yield named(head.parent, "head", 0, MAX_MANIFEST_BYTES)
        if head.snapshot_round:
            yield named(head.snapshot, "snapshot", head.snapshot_round, 8 * genesis.size + MAX_HEADER_BYTES)
        for entry in head.deltas:
            for delta in entry.deltas:
                yield named(delta.digest, "delta", entry.round, 0)

    def _delta_bytes(self, model_id: int) -> int:
        genesis = self._genesis_of(bytes.fromhex(self.holdings.fact(f"genesis:{model_id}")))
        return max_payload_bytes(genesis.size, genesis.compression)

    def _genesis_of(self, digest: bytes) -> Genesis:
        if digest not in self._genesis:
            self._genesis[digest] = Genesis.from_bytes(self.store.get(digest, MAX_MANIFEST_BYTES, self.seconds))
        return self._genesis[digest]


# ---- the process


def run_archive(config: NodeConfig, once: bool = False) -> bool:
    """Keep all that the settings' models ever had; with ``once`` end when nothing more can be had now.

    True where everything that was wanted is held. It needs no wallet: it sends no transaction.
    """
    with process(config, "archive") as runtime, _opened(runtime) as archive:
        pause = 0.0
        while not runtime.stop.wait(pause):
            busy = _step(runtime, archive)
            summary = archive.holdings.summary()
            _tell(runtime, summary)
            if once and not busy:
                return not summary["wanted"]
            pause = 0.0 if busy else max(1.0, config.poll_seconds)
    return True


def _step(runtime: Runtime, archive: Archive) -> bool:
    """Look and fetch once; true where there is more to do at once."""
    try:
        more = archive.follow()
        tried = archive.fetch(time.time())
        if not tried and not more:
            archive.look_again(time.time())
        return more or tried > 0
    except ChainUnavailable as error:
        runtime.events.write("waiting_chain", message=str(error))
        log.warning("the chain does not answer: %s", error)
    except StorageError as error:
        runtime.events.write("error", error=type(error).__name__, message=str(error))
        log.warning("storage: %s", error)
    runtime.sleep(2.0)
    return False


def _tell(runtime: Runtime, summary: dict[str, Any]) -> None:
    told = {name: summary[name] for name in ("held", "bytes", "wanted", "block")} | {"missing": len(summary["missing"])}
    runtime.status.update(archive=told)
    runtime.telemetry.ask("archive", lambda: told)


@contextlib.contextmanager
def _opened(runtime: Runtime) -> Iterator[Archive]:
    from node.meters import MeteredStore, metered_chain
    from node.outfit import CHAIN_PATIENCE_SECONDS, ipfs_api, read_network

    config = runtime.config
    network = read_network(config)
    chain = metered_chain(network, runtime.telemetry, patience=CHAIN_PATIENCE_SECONDS)
    runtime.status.update(network=network.name)
    with ipfs_api(config, network) as api, contextlib.closing(Holdings(_path(config))) as holdings:
        runtime.status.update(ipfs=api)
        store = MeteredStore(runtime.telemetry, api, providers=config.ipfs_peers)
        try:
            yield Archive(chain, store, holdings, config.models, config.fetch_seconds)
        finally:
            chain.close()


def read_holdings(config: NodeConfig) -> dict[str, Any]:
    """What an archive holds, also while it does not run."""
    if not _path(config).exists():
        raise ConfigError(f"no archive in {config.state}: `strata node archive` has not run yet")
    with contextlib.closing(Holdings(_path(config))) as holdings:
        return holdings.summary()


def _path(config: NodeConfig) -> Any:
    return config.state / "holdings.sqlite"
