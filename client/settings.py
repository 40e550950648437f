"""Where things are (home, network) and how they are set: TOML, environment, flags; each value knows its origin."""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from client.errors import ConfigError

CONTRACTS = (
    "StrataTimelock",
    "StrataAuthority",
    "StrataToken",
    "ModelRegistry",
    "Staking",
    "DataRegistry",
    "Rewards",
    "InferenceChannels",
    "Rounds",
)


@dataclass(frozen=True)
class Network:
    """One deployed Strata network, as ``network.json`` says it."""

    name: str
    chain_id: int
    rpc: str  # URL of the chain's JSON-RPC end point
    deploy_block: int  # the first block that may hold one of our events
    contracts: Mapping[str, str]  # contract name -> checksummed address
    ipfs: str = ""  # multiaddr of an IPFS RPC end point for clients
    bootstrap: tuple[str, ...] = ()  # multiaddrs of Hivemind peers
    gateway: str = ""  # base URL of a gateway

    def to_json(self) -> dict[str, Any]:
        """The plain form, as it is written."""
        data = asdict(self)
        data["contracts"] = dict(self.contracts)
        data["bootstrap"] = list(self.bootstrap)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "network.json") -> Network:
        """Checks the plain form; ``ConfigError`` names what is wrong."""
        try:
            contracts = {str(k): str(v) for k, v in data["contracts"].items()}
            network = cls(
                name=str(data["name"]),
                chain_id=int(data["chain_id"]),
                rpc=str(data["rpc"]),
                deploy_block=int(data["deploy_block"]),
                contracts=contracts,
                ipfs=str(data.get("ipfs", "")),
                bootstrap=tuple(str(a) for a in data.get("bootstrap", [])),
                gateway=str(data.get("gateway", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"{where} does not describe a network: {error!r}. Write it anew with the deployment."
            ) from error
        missing = [name for name in CONTRACTS if name not in contracts]
        if missing:
            raise ConfigError(
                f"{where} lacks the addresses of {', '.join(missing)}. Write it anew with the deployment."
            )
        return network

    @classmethod
    def load(cls, path: Path) -> Network:
        """Reads ``network.json``."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ConfigError(
                f"There is no network here ({path} does not exist). Start one on this machine (`make demo` or "
                "`strata devnet up`), or give the file of one that you know: --network PATH."
            ) from error
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} can't be read: {error}. Give another with --network PATH.") from error
        if not isinstance(data, dict):
            raise ConfigError(f"{path} is not a JSON object. Give another with --network PATH.")
        return cls.from_json(data, str(path))

    def save(self, path: Path) -> None:
        """Writes ``network.json`` atomically."""
        write_atomically(path, (json.dumps(self.to_json(), indent=2) + "\n").encode(), mode=0o644)

    def with_(self, **changes: Any) -> Network:
        """A copy with some fields changed."""
        return replace(self, **changes)


def write_atomically(path: Path, data: bytes, mode: int = 0o600, overwrite: bool = True) -> None:
    """Writes all of ``data`` or nothing: temporary file, fsync, then rename (or link, where nothing may be replaced).

    Raises ``FileExistsError`` when ``overwrite`` is false and the path exists.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def find_home(environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Path:
    """Strata's home: ``$STRATA_HOME``, else the nearest ``.strata`` folder upwards, else ``~/.strata``."""
    environ = os.environ if environ is None else environ
    if environ.get("STRATA_HOME"):
        return Path(environ["STRATA_HOME"]).expanduser().absolute()
    start = (cwd or Path.cwd()).absolute()
    for folder in (start, *start.parents):
        if (folder / ".strata").is_dir():
            return folder / ".strata"
    return Path.home() / ".strata"


def find_network(
    explicit: Path | None = None, home: Path | None = None, environ: Mapping[str, str] | None = None
) -> Path:
    """The path of ``network.json``: as given, else ``$STRATA_NETWORK``, else the home's. It may not exist."""
    environ = os.environ if environ is None else environ
    if explicit is not None:
        return explicit
    if environ.get("STRATA_NETWORK"):
        return Path(environ["STRATA_NETWORK"]).expanduser()
    return (home or find_home(environ)) / "network.json"


@dataclass(frozen=True)
class ChainSettings:
    """How to talk to the chain."""

    rpc: str = ""  # URL; empty: the network's
    timeout_seconds: float = 10.0  # of one request
    patience_seconds: float = 15.0  # how long a dead end point is tried again
    receipt_seconds: float = 90.0  # how long a transaction may take to be mined
    confirmations: int = -1  # blocks on top of a transaction's own before it counts; -1: what suits the chain


@dataclass(frozen=True)
class WalletSettings:
    """Which wallet signs, and how it is opened."""

    name: str = ""  # empty: the only one in the home
    folder: str = ""  # empty: HOME/wallets
    passphrase_file: str = ""  # empty: ask


@dataclass(frozen=True)
class StorageSettings:
    """How to talk to IPFS."""

    ipfs: str = ""  # multiaddr of the RPC (more, with commas: they are read from too); empty: the network's
    timeout_seconds: float = 60.0  # of one fetch
    cache: str = ""  # folder of the verified read cache; empty: HOME/cache/blobs
    cache_gb: float = 20.0  # GB that it may hold; past that, what was not read for longest goes


@dataclass(frozen=True)
class GatewaySettings:
    """Whom to ask."""

    url: str = ""  # empty: the network's
    timeout_seconds: float = 120.0  # of one answer


@dataclass(frozen=True)
class Settings:
    """All concerns, and for each ``section.field`` where its value came from."""

    home: Path
    network_path: Path
    chain: ChainSettings = field(default_factory=ChainSettings)
    wallet: WalletSettings = field(default_factory=WalletSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    origins: Mapping[str, str] = field(default_factory=dict)

    def network(self) -> Network:
        """Reads the network, with the end points that the settings put in its place."""
        network = Network.load(self.network_path)
        changes = {"rpc": self.chain.rpc, "ipfs": self.storage.ipfs, "gateway": self.gateway.url}
        return network.with_(**{key: value for key, value in changes.items() if value})

    def wallet_folder(self) -> Path:
        """Where keystores are."""
        return Path(self.wallet.folder).expanduser() if self.wallet.folder else self.home / "wallets"

    def cache_folder(self) -> Path:
        """Where verified blobs are kept."""
        return Path(self.storage.cache).expanduser() if self.storage.cache else self.home / "cache" / "blobs"

    def cache_bytes(self) -> int:
        """What that folder may hold."""
        return round(self.storage.cache_gb * 1e9)

    def values(self) -> list[tuple[str, Any, str]]:
        """(``section.field``, value, origin) of every setting, in order."""
        rows: list[tuple[str, Any, str]] = [
            ("home", str(self.home), self.origins.get("home", "default")),
            ("network", str(self.network_path), self.origins.get("network", "default")),
        ]
        for section in SECTIONS:
            concern = getattr(self, section)
            for item in fields(concern):
                key = f"{section}.{item.name}"
                rows.append((key, getattr(concern, item.name), self.origins.get(key, "default")))
        return rows


SECTIONS: dict[str, type[Any]] = {
    "chain": ChainSettings,
    "wallet": WalletSettings,
    "storage": StorageSettings,
    "gateway": GatewaySettings,
}
# Short names beside the regular STRATA_<SECTION>_<FIELD>.
ALIASES = {
    "STRATA_PASSPHRASE_FILE": "wallet.passphrase_file",
    "STRATA_WALLET": "wallet.name",
    "STRATA_RPC": "chain.rpc",
}


def load_settings(
    home: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    network: Path | None = None,
) -> Settings:
    """Reads ``HOME/config.toml``, then the environment, then ``flags`` (``{"section.field": value}``, None: unset)."""
    environ = os.environ if environ is None else environ
    origins: dict[str, str] = {}
    chosen = home or find_home(environ)
    origins["home"] = "flag" if home else ("env STRATA_HOME" if environ.get("STRATA_HOME") else "found")
    path = find_network(network, chosen, environ)
    origins["network"] = "flag" if network else ("env STRATA_NETWORK" if environ.get("STRATA_NETWORK") else "home")
    values: dict[str, Any] = {}
    config = chosen / "config.toml"
    for key, value in _read_toml(config).items():
        values[key], origins[key] = value, f"file {config}"
    for key, value, origin in _read_environment(environ):
        values[key], origins[key] = value, origin
    for key, value in (flags or {}).items():
        if value is not None:
            values[key], origins[key] = _convert(key, value, "flag"), "flag"
    concerns = {
        section: kind(**{k.split(".", 1)[1]: v for k, v in values.items() if k.startswith(section + ".")})
        for section, kind in SECTIONS.items()
    }
    return Settings(home=chosen, network_path=path, origins=origins, **concerns)


def _known_keys() -> dict[str, type[Any]]:
    return {
        f"{section}.{name}": kind
        for section, concern in SECTIONS.items()
        for name, kind in get_type_hints(concern).items()
    }


def _convert(key: str, value: Any, origin: str) -> Any:
    """The value in its field's type; ``ConfigError`` when it does not fit."""
    kind = _known_keys().get(key)
    if kind is None:
        known = ", ".join(sorted(_known_keys()))
        raise ConfigError(f"There is no setting {key} ({origin}). Known are: {known}.")
    if kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError as error:
            raise ConfigError(f"{key} must be a number, not {value!r} ({origin}).") from error
        if not 0 < number < 1e9:
            raise ConfigError(f"{key} must be a number above 0, not {value!r} ({origin}).")
        return number
    if kind is int and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            count = int(value)
        except ValueError as error:
            raise ConfigError(f"{key} must be a whole number, not {value!r} ({origin}).") from error
        if not -1 <= count <= 1000:
            raise ConfigError(f"{key} must be from 0 to 1,000 (or -1: as suits), not {value!r} ({origin}).")
        return count
    if kind is str and isinstance(value, str | Path):
        return str(value)
    raise ConfigError(f"{key} must be {'text' if kind is str else 'a number'}, not {value!r} ({origin}).")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} can't be read: {error}. Mend it or move it away.") from error
    values: dict[str, Any] = {}
    for section, table in data.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {section} stands outside of a section. Sections are: {', '.join(SECTIONS)}.")
        for name, value in table.items():
            values[f"{section}.{name}"] = _convert(f"{section}.{name}", value, f"file {path}")
    return values


def _read_environment(environ: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    names = {f"STRATA_{key.replace('.', '_').upper()}": key for key in _known_keys()}
    found = []
    for name, key in {**names, **ALIASES}.items():
        if environ.get(name):
            found.append((key, _convert(key, environ[name], f"env {name}"), f"env {name}"))
    return found
