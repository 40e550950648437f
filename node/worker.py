"""One model's rounds in one thread: look at the chain, decide, act, again. What miners and validators share.

Two rounds of a model may be on at once: the newest, and the one before it until that is settled. Each is looked at on
its own, from the chain and the journal; of what both ask for, one thing is done at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from client.errors import ChainUnavailable, Reverted, StrataError, Unfunded
from client.types import ModelInfo, RoundInfo
from contracts.enums import Phase
from node.decisions import Action, Due, in_turn, tick_turn, usable
from node.interfaces import WorkerChain
from node.runtime import Runtime

TICK_STEP_SECONDS = 2.0  # between the turns of two nodes, so that they don't all pay for the same tick
TICK_PATIENCE_SECONDS = 1.0  # for whoever opens the rounds to settle them too
BACKOFF_FIRST_SECONDS = 0.5
BACKOFF_MOST_SECONDS = 10.0
SEED_BLOCKS = 128  # after which a tick records a seed that nobody has: its hash can be read for 256 blocks
SEED_STEP_BLOCKS = 24  # between the turns of two nodes
SEED_TURNS = 4
BLOCKS_LOOKED_BACK = 10  # to see how fast blocks come

REVEALS = {  # the phase in which what was committed is revealed
    Phase.TRAIN: Phase.REVEAL,  # an early close of TRAIN leaves COMMIT out
    Phase.COMMIT: Phase.REVEAL,
    Phase.SCORE: Phase.SCORE_REVEAL,
    Phase.ATTEST: Phase.ATTEST_REVEAL,
}

log = logging.getLogger("strata.node.worker")


class Worker:
    """The loop. A role gives ``decide`` and one handler per action."""

    def __init__(self, runtime: Runtime, chain: WorkerChain, model: ModelInfo) -> None:
        self.runtime, self.chain, self.model = runtime, chain, model
        self.auto_open = runtime.config.auto_open
        self.view: RoundInfo | None = None  # the newest round as last seen
        self.finished = -1  # last round that was tidied up; -1 before the first look
        self.handlers: dict[Action, Callable[[RoundInfo], None]] = {}
        self._phases: dict[int, Phase] = {}  # of the rounds as last seen
        self._seeds_kept: set[tuple[int, int]] = set()  # round and block of the seeds that were seen to
        self._tick_at: dict[tuple[int, Action], float] = {}
        self._backoff = BACKOFF_FIRST_SECONDS
        self._prepared = False
        self._waited_at = -1  # the block in which there was nothing to do

    def run(self) -> None:
        """Work until the runtime stops."""
        while not self.runtime.stop.is_set():
            pause = self.runtime.config.poll_seconds
            try:
                acted = self.step()
                self._backoff = BACKOFF_FIRST_SECONDS
                pause = 0.0 if acted or self._prepare_once() else pause
            except ChainUnavailable as error:
                pause = self._back_off("waiting_chain", error)
            except Reverted as error:
                log.info("%s: the chain refused: %s", self.model.name, error)
                self.event("refused", error=error.name, message=str(error))
            except StrataError as error:  # typed, so foreseen; whatever else goes wrong ends the node
                pause = self._back_off("error", error)
            self.runtime.sleep(pause)

    def _prepare_once(self) -> bool:
        """Prepare when there is nothing to do; a restart in REVEAL reveals first."""
        if self._prepared:
            return False
        self._prepared = True
        self.prepare()
        return True

    def step(self) -> bool:
        """Look once and do the one thing to do; true when something was done."""
        block = self.chain.block_number()
        if block == self._waited_at:
            return False  # nothing was to be done, and nothing has changed since
        views = self._views()
        self._note(views)
        dues = [Due(view, self.decide(view, newest=view is views[-1])) for view in views]
        dues = dues or [Due(None, self.decide(None))]
        if any(self._act(due) for due in in_turn(dues)):
            return True
        if all(due.action is Action.WAIT for due in dues):
            self._waited_at = block
            self.runtime.status.update_model(self.model.name, action=str(Action.WAIT))
            for view in views:
                self._keep_seed(view, block)
        return False

    def _act(self, due: Due) -> bool:
        """Do it; false where it is nothing, or a tick that is not our turn."""
        view, action = due.view, due.action
        if action is Action.WAIT:
            return False
        self.runtime.status.update_model(self.model.name, action=str(action))
        self._waited_at = -1
        if action in (Action.OPEN, Action.SETTLE):
            return self._tick(view.round if view else 0, action)
        assert view is not None, f"{action} needs a round"
        if action is Action.FINISH:
            self.finish(view)
        else:
            self.handlers[action](view)
        return True

    def _views(self) -> list[RoundInfo]:
        """The rounds that matter, ascending: those not tidied up yet, and the newest. None before the first round."""
        newest = None
        if self.view is not None and not self.view.can_be_followed:  # it is still the newest, which spares a call
            newest = self._look(self.view.round)
        if newest is None or newest.can_be_followed:
            number = self.chain.current(self.model.id)
            if number == 0:
                return []
            newest = newest if newest is not None and newest.round == number else self._look(number)
        if self.finished < 0:
            self.finished = newest.round - (2 if newest.held else 1)  # what ended before we came is not ours
        older = range(self.finished + 1, newest.round)
        return [*(self._look(number) for number in older), newest]

    def decide(self, view: RoundInfo | None, newest: bool = True) -> Action:
        """What to do about ``view``. Only the ``newest`` round is followed by another."""
        raise NotImplementedError

    def finish(self, view: RoundInfo) -> None:
        """Say how the round ended, let the role tidy up; never twice."""
        if self.finished >= view.round:
            return
        model = self.chain.model(self.model.id)
        self.after_round(view, model)
        self.model = model
        self.finished = view.round
        if view.phase == Phase.VOID:
            self.event("round_void", view.round, reason=view.void_reason.name, **self.figures(view))
        else:
            changed = view.head != view.parent_head
            self.event("round_final", view.round, head=view.head.hex(), changed=changed, **self.figures(view))

    def figures(self, view: RoundInfo) -> dict[str, Any]:
        """What the role adds to the event of a round's end."""
        return {}

    def prepare(self) -> None:
        """What can be done before the first round asks for it: models are slow to load."""

    def after_round(self, view: RoundInfo, model: ModelInfo) -> None:
        """What the role does when a round is over; ``model`` is as the chain has it now."""

    def still(self, view: RoundInfo, *phases: Phase) -> bool:
        """Whether the round is in one of these phases now: asked again right before anything is sent."""
        now = self._look(view.round)
        if now.phase in phases:
            return True
        log.info("%s: round %d is in %s by now, too late", self.model.name, view.round, now.phase.name)
        return False

    def _look(self, number: int) -> RoundInfo:
        """The round as it stands; one whose phase has closed for good is taken as the next block has it.

        Only a phase of reveals is entered so early: its secrets are sealed, and the transaction is mined in that block.
        """
        view = self.chain.round(self.model.id, number)
        following = None if view.held else REVEALS.get(view.phase)
        if following is None:
            return view
        block = self.chain.block_number()
        if view.phase_end > block + 1:
            return view
        phase, phase_end, _ = self.chain.phase_at(self.model.id, number, block + 1)
        return replace(view, phase=phase, phase_end=phase_end) if phase == following else view

    def block_now(self) -> int | None:
        """The newest block's number; None while the chain does not answer."""
        try:
            return self.chain.block_number()
        except ChainUnavailable:
            return None

    def seconds_until(self, block: int) -> float:
        """About how long it takes until ``block``, by how fast blocks came lately; 0 when it is there."""
        now = self.chain.block()
        before = self.chain.block(max(1, now.number - BLOCKS_LOOKED_BACK))
        block_seconds = (now.timestamp - before.timestamp) / max(1, now.number - before.number)
        return max(0, block - now.number) * block_seconds

    def event(self, event: str, round_number: int | None = None, **values: Any) -> None:
        """Write an event of this model."""
        number = round_number if round_number is not None else (self.view.round if self.view else None)
        self.runtime.events.write(event, self.model.name, number, **values)

    def _note(self, views: list[RoundInfo]) -> None:
        """Say which phases have begun; the status shows the newest round, and beside it the one that is judged."""
        self.view = views[-1] if views else None
        before, self._phases = self._phases, {view.round: view.phase for view in views}
        for view in views:
            if before.get(view.round) != view.phase:
                values = {"commits": view.commits, "reveals": view.reveals, "held": view.held}
                self.event("phase", view.round, phase=view.phase.name, phase_end=view.phase_end, **values)
        if views and before != self._phases:
            view, judged = views[-1], views[-2] if views[-1].held and len(views) > 1 else None
            self.runtime.status.update_model(
                self.model.name,
                round=view.round,
                phase=view.phase.name,
                phase_end=view.phase_end,
                head=view.base_head,
                judged=judged and {"round": judged.round, "phase": judged.phase.name, "phase_end": judged.phase_end},
            )

    def _tick(self, number: int, action: Action) -> bool:
        """Tick when our turn has come and still nobody has; the caller has just read the round."""
        key, now = (number, action), time.monotonic()
        if key not in self._tick_at:
            wait = TICK_STEP_SECONDS * self._turn(number)
            wait += 0.0 if self.auto_open else TICK_PATIENCE_SECONDS
            self._tick_at = {other: at for other, at in self._tick_at.items() if other[0] >= number - 1}
            self._tick_at[key] = now + wait
        if now < self._tick_at[key]:
            return False
        self._tick_at[key] = now + TICK_STEP_SECONDS * 4
        if action is Action.OPEN and not usable(self.chain.datasets(self.model.id), self.chain.block_number()):
            return False  # a round without text would only end empty
        try:
            self.chain.tick(self.model.id, number + 1 if action is Action.OPEN else number)
        except Reverted as error:  # somebody was quicker, or there is nobody to open a round for
            log.debug("%s: tick refused: %s", self.model.name, error)
            return False
        return True

    def _keep_seed(self, view: RoundInfo, block: int) -> None:
        """Whoever waits in a long phase ticks once: after 256 blocks without any call the seed is lost."""
        if view.phase not in (Phase.TRAIN, Phase.COMMIT, Phase.SCORE):
            return
        start = view.score_start if view.phase == Phase.SCORE else view.open_block
        done = view.phase != Phase.SCORE and view.commits > 0  # a commitment recorded it
        if done or (view.round, start) in self._seeds_kept or block < start + SEED_BLOCKS:
            return
        turn = self._turn(view.round)
        if turn < SEED_TURNS and block < start + SEED_BLOCKS + turn * SEED_STEP_BLOCKS:
            return
        self._seeds_kept = {kept for kept in self._seeds_kept if kept[0] >= view.round - 1} | {(view.round, start)}
        if turn < SEED_TURNS:
            try:
                self.chain.tick(self.model.id, view.round)
            except (Reverted, Unfunded) as error:
                log.debug("%s: tick refused: %s", self.model.name, error)

    def _turn(self, number: int) -> int:
        """Our place among the nodes of the last round; a model's first round is opened by whoever comes first."""
        if number == 0:
            return 0
        validators = [address for address, _ in self.chain.round_validators(self.model.id, number)]
        miners = self.chain.round_miners(self.model.id, number)
        return tick_turn(self.chain.address, validators, miners, self.model.id, number)

    def _back_off(self, event: str, error: StrataError) -> float:
        """Log, and say how many seconds to wait: doubled each time in a row."""
        pause, self._backoff = self._backoff, min(self._backoff * 2, BACKOFF_MOST_SECONDS)
        log.warning("%s: %s; again in %.1f s", self.model.name, error, pause)
        self.event(event, message=str(error), error=type(error).__name__, seconds=pause)
        return pause
