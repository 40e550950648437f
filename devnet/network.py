"""Brings the whole network up on one machine, in the order of what needs what; slow starts run side by side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from client.errors import WalletExists
from client.settings import Network
from client.wallet import Wallets
from devnet.build import BuiltModel, read_models
from devnet.chain import LocalChain, start_chain
from devnet.layout import (
    ALICE,
    BOB,
    BOOTSTRAP,
    CAROL,
    HOST,
    MINERS,
    NODE_WALLETS,
    NODES,
    PEOPLE,
    STAKE_SHARES,
    TEAM_LEADER,
    TEAM_MEMBER,
    TREASURY,
    VALIDATORS,
    Home,
    Ports,
    Run,
    RunOptions,
)
from devnet.nodes import (
    CLIENTS,
    ONE_THREAD,
    STRATA,
    WITH_DAEMON,
    NodePlan,
    daemon_api,
    daemon_name,
    daemon_spec,
    node_spec,
    write_node,
)
from devnet.processes import MARK, NURSERY, NodeFailed, ProcessSpec, Supervisor, end_processes, session_members, tail
from devnet.waiting import Stopwatch, together, wait_until

if TYPE_CHECKING:
    from client.chain import Chain
    from client.storage import IpfsStore

TOKEN = 10**18
COINS_WEI = 100 * 10**18
MINER_STAKE = 1_000 * TOKEN
VALIDATORS_STAKE = 100_000 * TOKEN
"""Of all validators of a model together."""
POCKET = 1_000 * TOKEN
"""Tokens that a person gets to spend."""
DEPOSIT = 1 * TOKEN
"""What a dataset's owner leaves until validators accept it."""
BUILDER, TEXTS = "models", "texts"
HELPERS = (BUILDER, TEXTS)
"""Processes that end when their work is done."""
BUILD_SECONDS = 420.0
START_SECONDS = 120.0
COMMAND_SECONDS = 120.0
REVIVED = frozenset((*NODES, *(daemon_name(name) for name in WITH_DAEMON))) - {BOOTSTRAP}
"""What is started again when somebody kills it."""
MOST_DEATHS = 5
PATIENCE_SECONDS = 60.0
"""For a chain that does not answer: on a busy machine Ganache can be silent for ten seconds."""
ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class CommandResult:
    """What a command printed, and its exit code."""

    command: tuple[str, ...]
    code: int
    output: str
    errors: str

    @property
    def shown(self) -> str:
        """The command as one would type it."""
        return " ".join(("strata", *self.command))


@dataclass
class Devnet:
    """One running network and the hands to work it."""

    home: Home
    run: Run
    options: RunOptions
    supervisor: Supervisor
    say: Callable[[str], None] = lambda text: None
    auto_open: bool = False
    ports: Ports = field(default_factory=Ports)
    times: Stopwatch = field(default_factory=Stopwatch)
    local: LocalChain | None = None
    network: Network | None = None
    plan: NodePlan | None = None
    models: list[BuiltModel] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    deaths: dict[str, int] = field(default_factory=dict)
    _chains: dict[str, Chain] = field(default_factory=dict)

    # ---- hands

    @property
    def wallets(self) -> Wallets:
        """The devnet's keystores."""
        return Wallets(self.home.wallets)

    def address(self, wallet: str) -> str:
        """A wallet's address."""
        return self.wallets.address(wallet)

    def chain(self, wallet: str = TREASURY) -> Chain:
        """The chain as a wallet sees it."""
        from client.chain import Chain

        if wallet not in self._chains:
            assert self.network is not None, "the contracts are deployed first"
            passphrase = self.home.passphrase.read_text().strip()
            account = self.wallets.open(wallet, passphrase)
            self._chains[wallet] = Chain.connect(
                self.network, account, patience=PATIENCE_SECONDS, timeout=ANSWER_SECONDS
            )
        return self._chains[wallet]

    def store(self) -> IpfsStore:
        """IPFS, through the daemon that people's commands use."""
        from client.storage import IpfsStore

        return IpfsStore(self.node_plan().daemons[CLIENTS], self.home.cache / "blobs")

    def command(self, *arguments: str, wallet: str = "", seconds: float = COMMAND_SECONDS) -> CommandResult:
        """Run ``strata ARGUMENTS`` as a process, as a person would."""
        environment = {**os.environ, **self.environment(wallet), MARK: str(self.run.path)}
        process = subprocess.Popen(
            (*STRATA, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise NodeFailed(f"'strata {' '.join(arguments)}' did not end within {seconds:.0f} s") from None
        finally:
            if process.poll() is None:
                end_processes(session_members(process.pid), 0.0, reaped=[process])
        return CommandResult(arguments, process.returncode, output, errors)

    def must(self, *arguments: str, wallet: str = "", seconds: float = COMMAND_SECONDS) -> CommandResult:
        """Like :meth:`command`, but it has to succeed."""
        result = self.command(*arguments, wallet=wallet, seconds=seconds)
        if result.code != 0:
            said = (result.errors or result.output).strip()[-2000:]
            raise NodeFailed(f"'{result.shown}' failed with code {result.code}:\n{said}")
        return result

    def environment(self, wallet: str = "") -> dict[str, str]:
        """What a command needs to know of this network."""
        known = {
            "STRATA_HOME": str(self.home.path),
            "STRATA_NETWORK": str(self.run.network),
            "STRATA_PASSPHRASE_FILE": str(self.home.passphrase),
            "STRATA_CHAIN_PATIENCE_SECONDS": str(PATIENCE_SECONDS),
            "STRATA_CHAIN_TIMEOUT_SECONDS": str(ANSWER_SECONDS),
            "COLUMNS": os.environ.get("COLUMNS", "120"),
        }
        return known | ({"STRATA_WALLET": wallet} if wallet else {})

    def check(self) -> None:
        """Start nodes and daemons again that were killed; raise when another process ended that should not have, or one
        that ends again and again. Its log's end is in the message.
        """
        for ended in self.supervisor.reap():
            if ended.name in HELPERS and ended.code == 0:
                continue
            self.deaths[ended.name] = self.deaths.get(ended.name, 0) + 1
            if ended.code != -signal.SIGKILL or ended.name not in REVIVED or self.deaths[ended.name] > MOST_DEATHS:
                raise NodeFailed(failure(ended.name, ended.code, ended.log))
            self.say(f"{ended.name} was killed; it is started again")
            self.supervisor.restart(ended.name)

    def node_plan(self) -> NodePlan:
        """The nodes' plan, once there is one."""
        assert self.plan is not None, "the network is not up"
        return self.plan


def failure(name: str, code: int, log: Path) -> str:
    """What to say of a process that ended."""
    how = f"killed by signal {-code}" if code < 0 else f"code {code}"
    last = "\n".join(f"    {line}" for line in tail(log, 15))
    return f"{name} ended ({how}); the end of its log {log}:\n{last}"


# ---- the steps, in order


def start_ground(net: Devnet) -> None:
    """Wallets, chain, IPFS daemons and the models' builder: what needs nothing else."""
    options = net.options
    gateway_port = net.ports.claim(options.gateway_port, "the gateway")
    team_port = net.ports.free()
    chain_port = net.ports.claim(options.chain_port, "the chain")
    with net.times.part("chain"):
        net.local = start_chain(net.supervisor, net.run, chain_port, options.ganache)
    net.say(f"{net.local.kind} at {net.local.rpc}, a block a second")
    daemon_ports = {name: net.ports.free() for name in WITH_DAEMON}
    daemons = {name: daemon_api(port) for name, port in daemon_ports.items()}
    net.supervisor.start_nursery(ONE_THREAD, net.run.log(NURSERY))
    net.supervisor.start(daemon_spec(net.run, CLIENTS, daemon_ports[CLIENTS]))
    start_builder(net, daemons[CLIENTS])
    make_wallets(net)
    for name in WITH_DAEMON:
        if name != CLIENTS:
            net.supervisor.start(daemon_spec(net.run, name, daemon_ports[name]))
    models = tuple(name for name, _ in options.settings.rounds)
    net.plan = NodePlan(net.home, net.run, models, (), gateway_port, team_port, daemons, net.auto_open)
    net.say(f"{len(daemons)} IPFS daemons start")


def start_builder(net: Devnet, ipfs: str) -> None:
    """Start to make the models; see ``finish_models``."""
    options = net.options
    command = [sys.executable, "-m", "devnet.build", str(net.run.path / "models.json")]
    command += ["--preset", options.preset, "--ipfs", ipfs, "--cache", str(net.home.cache)]
    first = options.settings.rounds[0][0]
    if options.text is not None:
        command += ["--field", first]
    net.supervisor.start(ProcessSpec(BUILDER, tuple(command), net.run.log(BUILDER), ONE_THREAD))
    command = [sys.executable, "-m", "devnet.pieces", str(net.run.path / "texts.json"), "--cache", str(net.home.cache)]
    command += ["--bytes", str(options.settings.text_bytes)]
    for name, _ in options.settings.rounds:
        command += ["--field", name]
    if options.text is not None:
        command += ["--text", str(options.text.resolve()), "--text-field", first]
    net.supervisor.start(ProcessSpec(TEXTS, tuple(command), net.run.log(TEXTS), ONE_THREAD))


def make_wallets(net: Devnet) -> None:
    """Wallets of nodes and people, kept between runs, with coins for gas."""
    passphrase = net.home.passphrase.read_text().strip()
    assert net.local is not None, "the chain is started first"
    for name in (*PEOPLE, *NODE_WALLETS):
        try:
            net.wallets.create(name, passphrase, light=True)
        except WalletExists:
            net.wallets.open(name, passphrase)  # says so when the passphrase is another one
        net.local.give_coins(net.address(name), COINS_WEI)


def deploy_contracts(net: Devnet) -> None:
    """The contracts, and tokens for those who stake or pay."""
    from client.deploy import DeploySettings, deploy

    assert net.local is not None, "the chain is started first"
    passphrase = net.home.passphrase.read_text().strip()
    account = net.wallets.open(TREASURY, passphrase)
    with net.times.part("contracts"):
        deployed = deploy(net.local.rpc, account, DeploySettings.local(dataset_deposit=DEPOSIT))
    plan = net.node_plan()
    net.network = Network(
        name=f"devnet-{net.run.path.name}",
        chain_id=net.local.chain_id,
        rpc=net.local.rpc,
        deploy_block=deployed.deploy_block,
        contracts=deployed.contracts,
        ipfs=plan.daemons[CLIENTS],
        gateway=f"http://{HOST}:{plan.gateway_port}",
    )
    net.network.save(net.run.network)
    net.home.point_to(net.run)
    treasury = net.chain()
    share = dict.fromkeys(MINERS, MINER_STAKE * 2)
    share |= {name: VALIDATORS_STAKE * part // 100 * 2 for name, part in zip(VALIDATORS, STAKE_SHARES, strict=True)}
    share |= dict.fromkeys((ALICE, BOB, CAROL), POCKET)
    with net.times.part("tokens"):
        works = [partial(treasury.transfer, net.address(name), amount) for name, amount in share.items()]
        together(works, START_SECONDS, "the tokens' transfers")
    net.say(f"contracts deployed at block {net.network.deploy_block}; rounds at {net.network.contracts['Rounds']}")


def start_bootstrap(net: Devnet) -> None:
    """The first peer of the DHT, whose address all others need."""
    plan = net.node_plan()
    write_node(plan, BOOTSTRAP)
    net.supervisor.start(node_spec(plan, BOOTSTRAP))


def finish_bootstrap(net: Devnet) -> None:
    """Wait for the bootstrap peer's address and write it into the network's file."""
    plan = net.node_plan()
    status = net.run.node(BOOTSTRAP) / "status.json"
    with net.times.part("DHT"):
        wait_until(lambda: bool(addresses_of(status, "maddrs")), START_SECONDS, "the DHT's bootstrap peer", net.check)
    addresses = addresses_of(status, "maddrs")
    assert net.network is not None, "the contracts are deployed first"
    net.network = net.network.with_(bootstrap=tuple(addresses))
    net.network.save(net.run.network)
    net.plan = NodePlan(**{**plan.__dict__, "bootstrap": tuple(addresses)})
    net.say(f"Hivemind DHT at {addresses[0]}")


def finish_daemons(net: Devnet) -> None:
    """Wait until every IPFS daemon answers."""
    with net.times.part("IPFS"):
        for name in net.node_plan().daemons:
            log = net.run.log(daemon_name(name))
            wait_until(partial(answers, log), START_SECONDS, f"the IPFS daemon of {name} (log: {log})", net.check)


def answers(log: Path) -> bool:
    """Whether a daemon has written its ready line."""
    return any('"api"' in line for line in tail(log, 200))


def finish_models(net: Devnet) -> None:
    """Wait for the builder, then register its models, parents first."""
    out = net.run.path / "models.json"
    log = net.run.log(BUILDER)
    said = ""

    def look() -> None:
        nonlocal said
        last = (tail(log, 1) or [""])[-1].strip()
        if last and last != said:
            said = last
            net.say(last)
        net.check()

    with net.times.part("models"):
        wait_until(out.exists, BUILD_SECONDS, f"the models (log: {log})", look)
        net.models = read_models(out)

        def register(model: BuiltModel) -> None:
            parent = net.ids[model.parent] if model.parent else 0
            args = (parent, model.level, model.name, model.field, model.genesis, model.policy)
            owner = net.chain() if parent else net.chain(ALICE)  # who brings the root's text: nobody votes on it
            net.ids[model.name] = owner.register_model(*args).id

        for level in sorted({model.level for model in net.models}):
            works = [partial(register, model) for model in net.models if model.level == level]
            together(works, START_SECONDS, "the models' registration")
    names = ", ".join(f"{m.name} ({m.level.name.lower()})" for m in net.models)
    net.say(f"registered {names}")


def start_nodes(net: Devnet, names: Sequence[str] = NODES) -> None:
    """Start every node but the bootstrap peer; a team's member waits for its leader's address."""
    plan = net.node_plan()
    for name in names:
        if name not in (BOOTSTRAP, TEAM_MEMBER):
            write_node(plan, name)
            net.supervisor.start(node_spec(plan, name))


def start_team_member(net: Devnet) -> None:
    """Start the second peer of the team, once the leader says where it is."""
    plan = net.node_plan()
    status = net.run.node(TEAM_LEADER) / "status.json"
    wait_until(
        lambda: bool(addresses_of(status, "team_maddrs")), START_SECONDS, f"{TEAM_LEADER}'s team address", net.check
    )
    write_node(plan, TEAM_MEMBER, addresses_of(status, "team_maddrs"))
    net.supervisor.start(node_spec(plan, TEAM_MEMBER))


def addresses_of(status: Path, key: str) -> list[str]:
    """The libp2p addresses that a node's ``status.json`` gives under ``key``; empty while there are none."""
    try:
        found = json.loads(status.read_text()).get(key)
    except (OSError, ValueError):
        return []
    return [str(address) for address in found] if isinstance(found, list) else []
