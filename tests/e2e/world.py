"""A whole nano network for tests: processes, chain and all, in a home of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from client.types import RoundInfo
from contracts.enums import Phase
from devnet.bringup import start_models, start_network, start_work
from devnet.keeper import kept
from devnet.layout import Home, RunOptions
from devnet.network import Devnet

LAW = "law"
PHASE_SECONDS = 90.0


@contextlib.contextmanager
def network(home: Path, preset: str = "nano") -> Iterator[Devnet]:
    """A network with models, stakes and texts, no round opened."""
    with kept(Home(home), RunOptions(preset), lambda text: None) as net:
        start_network(net)
        start_models(net)
        start_work(net)
        yield net


class Rounds:
    """The rounds of one model as a test drives them."""

    def __init__(self, net: Devnet, model: str = LAW) -> None:
        self.net, self.model, self.id = net, model, net.ids[model]

    def view(self) -> RoundInfo:
        """The last round."""
        chain = self.net.chain()
        return chain.round(self.id, chain.current(self.id))

    def open(self) -> int:
        """Open the next round; its number."""
        chain = self.net.chain()
        before = chain.current(self.id)
        chain.tick(self.id)
        self.until(lambda view: view.round > before, "a new round")
        return chain.current(self.id)

    def until(self, done: Callable[[RoundInfo], bool], what: str, seconds: float = PHASE_SECONDS) -> RoundInfo:
        """Wait for something about the round."""
        deadline = time.monotonic() + seconds
        while True:
            self.net.supervisor.reap()
            view = self.view()
            if done(view):
                return view
            assert time.monotonic() < deadline, f"waited in vain for {what}; the round is {view}"
            time.sleep(0.2)

    def skip(self) -> None:
        """Mine the rest of the present phase's blocks at once: nobody who lives has anything left to do in it."""
        chain = self.net.chain()
        left = self.view().phase_end - chain.block_number()
        if left > 1:
            assert self.net.local is not None
            self.net.local.call("anvil_mine", hex(left))

    def end(self, actors: int) -> RoundInfo:
        """Let a round end in which ``actors`` (miners, validators, both as far as they live) all act."""
        while not (view := self.view()).ended:
            if self._all_acted(view, actors):
                self.skip()
            self.net.supervisor.reap()
            time.sleep(0.3)
        if not view.settled:
            self.net.chain().tick(self.id)
        return self.until(lambda v: v.settled, "the settlement")

    def _all_acted(self, view: RoundInfo, actors: int) -> bool:
        """Whether only the dead are waited for."""
        chain = self.net.chain()
        if view.phase in (Phase.TRAIN, Phase.COMMIT):
            return view.commits >= actors
        if view.phase in (Phase.SCORE, Phase.ATTEST):
            who = [address for address, _ in chain.round_validators(self.id, view.round)]
            commits = [chain.committed(self.id, view.round, address) for address in who]
            done = [c.score if view.phase == Phase.SCORE else c.head for c in commits]
            return sum(1 for commitment in done if any(commitment)) >= actors
        return False
