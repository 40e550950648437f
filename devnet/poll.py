"""Keeps the view's board up to date: the nodes' events from their files, the rounds from the chain."""

from __future__ import annotations

import threading
import time

from client.errors import ChainUnavailable, StrataError
from client.types import RoundInfo
from contracts.enums import Phase
from devnet.feed import Board, ModelState, Tail, apply
from devnet.layout import NODES
from devnet.network import Devnet

CHAIN_SECONDS = 0.7  # between two looks at the chain


class Poller:
    """Reads what is new. Called from the view's thread; keeps a connection of its own to the chain."""

    def __init__(self) -> None:
        self.net: Devnet | None = None
        self._tails: dict[str, Tail] = {}
        self._looked = 0.0
        self._lock = threading.Lock()

    def __call__(self, board: Board) -> None:
        """Bring the board up to date."""
        net = self.net
        if net is None:
            return
        with self._lock:
            for name in NODES:
                reader = self._tails.setdefault(name, Tail(net.run.events(name)))
                for event in reader.read():
                    apply(board, name, event)
                if name in net.supervisor.names():
                    board.node(name).alive = net.supervisor.alive(name)
            if time.monotonic() - self._looked > CHAIN_SECONDS:
                self._looked = time.monotonic()
                self._look_at_chain(net, board)

    def _look_at_chain(self, net: Devnet, board: Board) -> None:
        if net.local is None:
            return
        board.chain = net.local.kind
        try:
            board.block = net.local.block()
            for model in net.plan.models if net.plan is not None and net.ids else ():
                if model in net.ids:
                    self._look_at_model(net, board, model)
        except ChainUnavailable:
            return  # it is starting or stopping; the next look tells
        except StrataError as error:
            board.say("view", str(error)[:200], time.time(), bad=True)

    def _look_at_model(self, net: Devnet, board: Board, model: str) -> None:
        state = board.models.setdefault(model, ModelState(model))
        chain = net.chain()
        number = chain.current(net.ids[model])
        if number:
            view = chain.round(net.ids[model], number)
            show_round(state, view, board.block)
            state.judged = None
            if view.held:
                state.judged = ModelState(model)
                show_round(state.judged, chain.round(net.ids[model], number - 1), board.block)
                board.overlap(model, number)


def show_round(state: ModelState, view: RoundInfo, block: int) -> None:
    """What the chain says of a round, as the view shows it."""
    frozen = max(view.frozen_stake, 1)
    state.round, state.held = view.round, view.held
    state.phase = view.phase.name
    state.blocks_left = max(0, view.phase_end - block)
    state.miners, state.commits, state.reveals = view.miner_count, view.commits, view.reveals
    state.scored_percent = view.scores_revealed_stake * 100 // frozen
    state.attested_percent = view.heads_revealed_stake * 100 // frozen
    state.void_reason = view.void_reason.name if view.phase == Phase.VOID else ""
