"""The parameters of a network: what each means, its bounds, and where it may be read from (options, TOML)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from client.errors import ConfigError
from client.known_keys import whose

TOKEN = 10**18
DEVELOPMENT_CHAIN = 31337  # the only chain on which well-known keys may do anything
DAY_SECONDS = 86_400
PEOPLE = ("treasury", "council", "guardian")


@dataclass(frozen=True)
class DeploySettings:
    """The parameters of a network. Governance can change its own people, its delay and the deposit; the rest stays."""

    name: str = "strata"
    treasury: str = ""  # address that gets the first tokens, slashed stake and its part of emission and fees
    council: str = ""  # address that proposes and cancels what the timelock does
    guardian: str = ""  # address that may pause openings of rounds
    governance_delay_seconds: int = 2 * DAY_SECONDS  # between the council's proposal and its execution
    unbonding_blocks: int = 50_400  # between unstake and withdraw; a round may take three quarters of it
    vesting_blocks: int = 7_200  # between a round's settlement and the claim
    close_delay_blocks: int = 7_200  # between a channel's startClose and close
    ballot_blocks: int = 7_200  # how long validators may vote on a dataset
    min_miner_stake: int = 1 * TOKEN  # wei; a model may ask for more
    min_validator_stake: int = 10 * TOKEN  # wei; a model may ask for more
    dataset_deposit: int = 10 * TOKEN  # wei that a dataset's owner leaves until it is accepted

    @classmethod
    def local(cls, **changes: Any) -> DeploySettings:
        """For a chain of one's own: short delays, no deposit, and every office the deployer's."""
        short = cls(
            name="devnet",
            governance_delay_seconds=1,
            unbonding_blocks=3_200,
            vesting_blocks=5,
            close_delay_blocks=20,
            ballot_blocks=200,
            dataset_deposit=0,
        )
        return replace(short, **changes)

    def complete(self, deployer: str, chain_id: int) -> DeploySettings:
        """Checked, with the deployer in the offices that nobody was named for; on a public chain all must be named."""
        from client.chain_fees import is_local

        missing = [office for office in PEOPLE if not getattr(self, office)]
        if missing and not is_local(chain_id):
            raise ConfigError(
                f"Who shall be {', '.join(missing)} on chain {chain_id}? Give an address for each "
                f"({', '.join('--' + office for office in missing)}); a contract wallet of several people is best."
            )
        self._check_numbers(is_local(chain_id))
        people = {office: _address(office, getattr(self, office) or deployer, chain_id) for office in PEOPLE}
        return replace(self, **cast(dict[str, Any], people))

    @property
    def max_round_blocks(self) -> int:
        """How long a round may take, with the wait for the one before it: who leaves as it opens can still be slashed
        when it is settled."""
        return self.unbonding_blocks * 3 // 4

    def _check_numbers(self, local: bool) -> None:
        for name, (low, high) in BOUNDS.items():
            least = LOCAL_LOWS.get(name, low) if local else low
            value = getattr(self, name)
            if not least <= value <= high:
                raise ConfigError(f"{name} must be from {least} to {high}, not {value}.")
        if not 1 <= len(self.name) <= 64:
            raise ConfigError("The network's name must have 1 to 64 characters.")

    def to_json(self) -> dict[str, Any]:
        """The plain form; amounts of wei as text."""
        return {key: str(value) if key in WEI else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DeploySettings:
        """From the plain form."""
        plain: dict[str, Any] = {key: int(value) if key in WEI else value for key, value in data.items()}
        return cls(**plain)


WEI = ("min_miner_stake", "min_validator_stake", "dataset_deposit")
# What the contracts allow at most, and what is of use at least: an hour's blocks where people must be able to react.
BOUNDS: dict[str, tuple[int, int]] = {
    "governance_delay_seconds": (3_600, 30 * DAY_SECONDS),
    "unbonding_blocks": (300, 10_000_000),
    "vesting_blocks": (300, 10_000_000),
    "close_delay_blocks": (300, 10_000_000),
    "ballot_blocks": (300, 1_000_000),
    "min_miner_stake": (1, 10**24),
    "min_validator_stake": (1, 10**24),
    "dataset_deposit": (0, 1_000 * TOKEN),
}
LOCAL_LOWS = {
    "governance_delay_seconds": 0,
    "unbonding_blocks": 27,  # three quarters hold the shortest round that a policy can have
    "vesting_blocks": 0,
    "close_delay_blocks": 1,
    "ballot_blocks": 1,
}


def _address(office: str, value: str, chain_id: int) -> str:
    """Checksummed; refuses what is none, and addresses whose key everybody knows."""
    from eth_utils.address import is_address, is_checksum_address, to_checksum_address

    mixed = value.removeprefix("0x") not in (value.removeprefix("0x").lower(), value.removeprefix("0x").upper())
    if not is_address(value) or (mixed and not is_checksum_address(value)):
        raise ConfigError(f"The {office} {value} is not an address, or one of its characters is mistyped.")
    if int(value, 16) == 0:
        raise ConfigError(f"The {office} can't be the zero address.")
    address = str(to_checksum_address(value))
    refuse_known(address, f"The {office}", chain_id)
    return address


def refuse_known(address: str, who: str, chain_id: int) -> None:
    """Raises where everybody knows the account's private key and the chain is not a development chain."""
    source = whose(address)
    if source and chain_id != DEVELOPMENT_CHAIN:
        raise ConfigError(
            f"{who} {address} belongs to {source}, which everybody knows: on chain {chain_id} anybody could take its "
            f"place. Such keys are for chain {DEVELOPMENT_CHAIN} alone. Make one of your own: strata wallet create NAME"
        )


def read_settings(path: Path) -> tuple[dict[str, Any], int | None]:
    """The ``[deploy]`` table of a TOML file, amounts in tokens turned to wei; and the chain that it is for."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("deploy", {})
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} can't be read: {error}.") from error
    kinds = {field.name: field.type for field in fields(DeploySettings)}
    chain_id = table.pop("chain_id", None)
    if chain_id is not None and (not isinstance(chain_id, int) or isinstance(chain_id, bool)):
        raise ConfigError(f"chain_id must be a whole number, not {chain_id!r} ({path}).")
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key not in kinds:
            raise ConfigError(f"{path} has an unknown setting {key}. Known are: chain_id, {', '.join(kinds)}.")
        if key in WEI:
            found[key] = amount(key, str(value))
            continue
        wanted = str if kinds[key] == "str" else int
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise ConfigError(f"{key} must be {'text' if wanted is str else 'a whole number'}, not {value!r} ({path}).")
        found[key] = value
    return found, chain_id


def amount(key: str, text: str) -> int:
    """Tokens as wei; zero is allowed."""
    from decimal import Decimal, InvalidOperation

    try:
        number = Decimal(text.replace(",", "").replace("_", "")) * TOKEN
    except InvalidOperation as error:
        raise ConfigError(f"{key} must be an amount of tokens, not {text!r}.") from error
    if not number.is_finite() or number != int(number):
        raise ConfigError(f"{key} must be an amount of tokens with 18 decimals at most, not {text!r}.")
    return int(number)
