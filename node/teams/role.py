"""A miner's role in its team: opened from the node's settings, spoken to by the miner and its trainer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from node.identity import TEAM_KEY
from node.runtime import Runtime
from node.team import Team, TeamSettings
from node.teams.handover import Handover
from node.teams.settings import STAND_IN_RANK
from node.vault import DeltaRecord

if TYPE_CHECKING:
    from node.config import TeamConfig
    from node.interfaces import Vector

log = logging.getLogger("strata.node.team")


def open_team(runtime: Runtime, address: str, stack: ExitStack) -> TeamDesk | None:
    """The peers that the miner of ``address`` averages with; None for a miner of one."""
    config = runtime.config.team
    if config.size == 1:
        return None

    def note(event: str, values: dict[str, Any]) -> None:
        runtime.events.write(event, **values)
        if "leader" in values:
            runtime.status.update(team_leader=values["leader"], team_term=values["term"])

    team = stack.enter_context(Team.start(settings_of(config, address), runtime.config.state / TEAM_KEY, note=note))
    runtime.status.update(team_peer_id=str(team.peer_id), team_maddrs=[str(maddr) for maddr in team.maddrs])
    runtime.telemetry.ask("team", team.status)
    return TeamDesk(team)


def settings_of(config: TeamConfig, address: str) -> TeamSettings:
    """The team's settings. A stand-in without the miner's wallet could not speak for it: it is a member like others."""
    rank = 0 if config.role == "leader" else max(1, config.rank)
    if rank == STAND_IN_RANK and config.miner and config.miner.lower() != address.lower():
        log.warning("no copy of the wallet of %s here: this peer can't stand in for the leader", config.miner)
        rank += config.size
    return TeamSettings(
        name=config.name or config.miner or address,
        rank=rank,
        size=config.size,
        peers=config.peers,
        allow=config.allow,
        port=config.port,
        host=config.host,
        mode=config.mode,
        every=config.every,
        silent_seconds=config.silent_seconds,
        wait_seconds=config.wait_seconds,
    )


class TeamDesk:
    """Keeps :class:`node.interfaces.Averager`."""

    def __init__(self, team: Team) -> None:
        self.team = team

    @property
    def leading(self) -> bool:
        """Whether this peer speaks to the chain now."""
        return self.team.leading

    @property
    def minority(self) -> bool:
        """Whether most of the team is elsewhere, perhaps with a leader of its own."""
        return self.team.minority

    def average(self, round_key: str, vector: Vector, tokens: int, deadline_seconds: float) -> tuple[Vector, int, int]:
        """The team's mean, its tokens, and how many peers it came from."""
        result = self.team.average(vector, round_key, deadline_seconds, tokens)
        return result.vector, result.tokens, result.peers

    def hand_over(self, record: DeltaRecord, payload: bytes | None, residual: Vector | None, seconds: float) -> bool:
        """Give what was sealed to the stand-in; whether it holds it."""
        return self.team.hand_over(Handover(record, payload, residual), seconds)

    def borrow(self, model: int, round_number: int, seconds: float) -> bytes | None:
        """The leader's sealed delta of a round."""
        return self.team.borrow(model, round_number, seconds)

    def lend_with(self, lenders: Mapping[int, Callable[[int], bytes | None]]) -> None:
        """Who knows our sealed deltas, by model."""

        def lend(model: int, round_number: int) -> bytes | None:
            lender = lenders.get(model)
            return lender(round_number) if lender is not None else None

        self.team.lend_with(lend)

    def keep_with(self, keepers: Mapping[int, Callable[[Handover], None]]) -> None:
        """Who takes what the leader hands over, by model."""

        def keep(handover: Handover) -> None:
            keeper = keepers.get(handover.record.model)
            if keeper is not None:
                keeper(handover)

        self.team.keep_with(keep)
