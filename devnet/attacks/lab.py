"""Runs attacks one after the other, each in a network of its own, and writes what they got for it."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from client.errors import ConfigError, StrataError
from client.queries import rewards
from contracts.enums import Phase, RewardKind, ScoreReason
from devnet.attacks.miners import ATTACKS, Honest
from devnet.bringup import WORK_SECONDS, WORKERS, start_models, wait_started
from devnet.keeper import kept
from devnet.layout import MINERS, TEAM_LEADER, TEAM_MEMBER, Home, RunOptions, write_json
from devnet.network import (
    BUILD_SECONDS,
    Devnet,
    deploy_contracts,
    finish_bootstrap,
    finish_daemons,
    start_bootstrap,
    start_ground,
    start_nodes,
)
from devnet.nodes import threads_each, write_node
from devnet.pieces import read_jobs
from devnet.processes import ProcessSpec
from devnet.rounds import RoundResult, run_rounds
from devnet.sim.report import Bars, Cell, Result, as_json, draw, print_table
from devnet.staking import list_models, place_stakes
from devnet.submissions import submit, wait_accepted
from devnet.waiting import together, wait_until
from node.threads import thread_variables

ATTACKER = MINERS[-1]
HONEST = tuple(name for name in MINERS if name != ATTACKER)
MODEL = "law"
ROUNDS_SECONDS = 900.0
TOKEN = 10**18
COLUMNS = ("attack", "accepted", "score to honest", "paid to honest", "loss fell", "votes", "end")
"""Scores and pay are the attacker's, over those of the honest miner that got least; falls are of held-out loss, %."""


@dataclass(frozen=True)
class Round:
    """One round of an attack. Scores in micro-nats, weights in 1/65536; ``reasons``: the validators' votes on it."""

    number: int
    phase: str
    revealed: bool
    score: int
    weight: int
    reasons: dict[str, int]
    honest_scores: tuple[int, ...]


@dataclass(frozen=True)
class Outcome:
    """What an attack did and got. Pay in wei; ``fall``: of held-out loss from genesis to the last head, 0 to 1."""

    attack: str
    rounds: tuple[Round, ...]
    paid: int
    honest_paid: tuple[int, ...]
    fall: float
    fall_error: float
    seconds: float
    run: str

    @property
    def accepted(self) -> int:
        """Rounds in which its delta had a weight."""
        return sum(each.weight > 0 for each in self.rounds)

    def row(self) -> tuple[Cell, ...]:
        """As the table has it."""
        scores = [(each.score, min(each.honest_scores)) for each in self.rounds if each.honest_scores]
        best = sum(honest for _, honest in scores)
        least = min(self.honest_paid, default=0)
        reasons: Counter[str] = sum((Counter(each.reasons) for each in self.rounds), Counter())
        return (
            self.attack,
            f"{self.accepted} of {len(self.rounds)}",
            round(sum(score for score, _ in scores) / best, 3) if best else 0.0,
            round(self.paid / least, 3) if least else 0.0,
            f"{100 * self.fall:.1f} ± {100 * self.fall_error:.1f}",
            ", ".join(f"{name} {count}" for name, count in reasons.most_common()) or "-",
            ", ".join(each.phase for each in self.rounds if each.phase != Phase.FINAL.name) or "all rounds ended",
        )


def chosen(name: str) -> list[str]:
    """The attacks that a name on the command line means; the control comes first."""
    if name == "all":
        return list(ATTACKS)
    if name not in ATTACKS:
        raise ConfigError(f"no attack is called {name!r}; there are: all, {', '.join(ATTACKS)}")
    return [Honest.name] if name == Honest.name else [Honest.name, name]


def run_attacks(home: Home, name: str, rounds: int, say: Callable[[str], None]) -> tuple[list[Outcome], Path]:
    """Run the control and the attacks; each outcome is on disk before the next begins. Returns all, and the folder."""
    names = chosen(name)
    folder = home.path / "attacks" / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder.mkdir(parents=True)
    outcomes: list[Outcome] = []
    for place, attack in enumerate(names, 1):
        say(f"attack {place} of {len(names)}: {attack} ({ATTACKS[attack].about})")
        outcomes.append(play(home, attack, rounds, say))
        say("  " + " · ".join(map(str, outcomes[-1].row()[1:])))
        write(outcomes, folder)
    return outcomes, folder


def play(home: Home, attack: str, rounds: int, say: Callable[[str], None]) -> Outcome:
    """A network with this attacker in it, and some rounds of one field."""
    started = time.monotonic()
    with kept(home, RunOptions("nano"), lambda text: None) as net:
        start_ground(net)
        net.plan = replace(net.node_plan(), models=(MODEL,))
        deploy_contracts(net)
        start_bootstrap(net)
        finish_daemons(net)
        finish_bootstrap(net)
        start_nodes(net, tuple(name for name in WORKERS if name != ATTACKER))
        start_hostile(net, attack)
        start_models(net)
        works = [partial(place_stakes, net), partial(submit_field, net), partial(list_models, net)]
        together(works, WORK_SECONDS, "the stakes, the texts and the listing")
        wait_started(net, (*WORKERS, TEAM_MEMBER))
        results = run_rounds(net, [(MODEL, rounds)], ROUNDS_SECONDS, lambda text: say("  " + text))
        return outcome_of(net, attack, results, time.monotonic() - started)


def submit_field(net: Devnet) -> None:
    """Two people's text of the one field."""
    texts = net.run.path / "texts.json"
    wait_until(texts.exists, BUILD_SECONDS, "the sample texts", net.check)
    jobs = [job for job in read_jobs(texts) if job.model == MODEL]
    for job in jobs:
        submit(net, job)
    wait_accepted(net, len(jobs))


def start_hostile(net: Devnet, attack: str) -> None:
    """The attacker's process in the place of the last miner's."""
    plan = net.node_plan()
    config = write_node(plan, ATTACKER)
    command = (sys.executable, "-m", "devnet.attacks.node", attack, "--config", str(config))
    net.supervisor.start(ProcessSpec(ATTACKER, command, net.run.log(ATTACKER), thread_variables(threads_each())))


def outcome_of(net: Devnet, attack: str, results: Sequence[RoundResult], seconds: float) -> Outcome:
    """Read from the chain and the validators' reports what came of it."""
    chain, hostile = net.chain(), net.address(ATTACKER)
    paid = {name: _earned(net, name) for name in MINERS}
    last = [result.measured for result in results if result.measured is not None][-1:]
    fall = error = 0.0
    for measured in last:
        fall = 1.0 - measured.heldout_after / measured.heldout_genesis
        error = measured.heldout_genesis_se / measured.heldout_genesis
    return Outcome(
        attack=attack,
        rounds=tuple(_round(chain, result, hostile) for result in results),
        paid=paid[ATTACKER],
        honest_paid=tuple(paid[name] for name in HONEST),
        fall=fall,
        fall_error=error,
        seconds=round(seconds, 1),
        run=net.run.path.name,
    )


def _earned(net: Devnet, name: str) -> int:
    earned = rewards(net.chain(), net.address(name)).earned
    return sum(each.amount for each in earned if each.kind == RewardKind.MINER and each.model == MODEL)


def _round(chain: Any, result: RoundResult, hostile: str) -> Round:
    mine = next((each for each in result.submissions if each.miner == hostile), None)
    reasons: Counter[str] = Counter()
    if mine is not None:
        model_id = chain.model(result.model).id
        for validator, _ in chain.round_validators(model_id, result.round):
            dealt = chain.dealt(model_id, result.round, validator)
            said = chain.scores_of(model_id, result.round, validator).reasons
            if mine.index in dealt and len(said) == len(dealt):
                reasons[ScoreReason(said[dealt.index(mine.index)]).name] += 1
    return Round(
        number=result.round,
        phase=result.phase.name,
        revealed=mine is not None,
        score=mine.consensus if mine else 0,
        weight=mine.weight_q16 if mine else 0,
        reasons=dict(reasons),
        honest_scores=tuple(each.consensus for each in result.submissions if each.miner != hostile),
    )


# ---- the table


def table(outcomes: Sequence[Outcome]) -> Result:
    """One row per attack."""
    fell = [(each.attack, round(100 * each.fall, 1)) for each in outcomes]
    paid = [(str(each.row()[0]), float(each.row()[3])) for each in outcomes]
    note = (
        f"{ATTACKER} attacks, {' and '.join(HONEST)} are honest ({TEAM_LEADER} a team of two); nano, a network for each"
    )
    pictures = {
        "attacks-paid": Bars("attacker's pay over the least that an honest miner got", paid, 1.0, "honest"),
        "attacks-fall": Bars("held-out loss fell by, %", fell),
    }
    return Result("attacks", "What attacks of a miner got", COLUMNS, [each.row() for each in outcomes], note, pictures)


def write(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Table, JSON and pictures of what is known so far."""
    result = table(outcomes)
    write_json(folder / "attacks.json", [asdict(each) for each in outcomes])
    (folder / "attacks.md").write_text(markdown(result) + "\n", encoding="utf-8")
    draw(result, folder)


def markdown(result: Result) -> str:
    """The table as Markdown."""
    lines = ["| " + " | ".join(result.columns) + " |", "|" + "---|" * len(result.columns)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in result.rows]
    return "\n".join(lines)


def holes(outcomes: Iterable[Outcome]) -> list[str]:
    """Attacks that were paid although what they send is worth nothing."""
    return [each.attack for each in outcomes if each.paid > 0 and not ATTACKS[each.attack].harmless]


def attack(home: Home, name: str, rounds: int, as_json_: bool) -> int:
    """The command: 0 where all could be run, whatever came out; the table says what did."""
    say: Callable[[str], None] = partial(print, file=sys.stderr, flush=True)
    try:
        outcomes, folder = run_attacks(home, name, rounds, say)
    except StrataError as error:
        say(f"Error: {error}")
        return 1
    result = table(outcomes)
    if as_json_:
        print(json.dumps({"table": json.loads(as_json([result])), "outcomes": [asdict(each) for each in outcomes]}))
    else:
        print_table(result)
        paid = holes(outcomes)
        print(f"paid although an attack: {', '.join(paid)}" if paid else "no attack was paid")
        print(f"table, figures and pictures: {folder}")
    return 0
