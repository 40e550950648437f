"""Runs attacks one after the other, each in a network of its own."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from client.errors import ConfigError, StrataError
from client.queries import rewards
from contracts.enums import RewardKind, ScoreReason
from devnet.attacks.miners import ATTACKS, Honest
from devnet.attacks.outcome import ATTACKER, EVERY, Outcome, Round, holes, hostile_nodes, tables, write
from devnet.attacks.validators import VALIDATOR_ATTACKS
from devnet.bringup import WORK_SECONDS, WORKERS, start_models, start_network, wait_started
from devnet.keeper import kept
from devnet.layout import MINERS, TEAM_MEMBER, VALIDATORS, Home, RunOptions
from devnet.network import Devnet
from devnet.nodes import threads_each, write_node
from devnet.processes import ProcessSpec
from devnet.rounds import RoundResult, run_rounds
from devnet.sim.report import as_json, print_table
from devnet.staking import list_models, place_stakes
from devnet.submissions import submit_field
from devnet.waiting import together
from node.threads import thread_variables

MODEL = "law"
ROUNDS_SECONDS = 900.0


def chosen(name: str) -> list[str]:
    """The attacks that a name on the command line means; the control comes first."""
    groups = {"all": list(EVERY), "miners": list(ATTACKS), "validators": [Honest.name, *VALIDATOR_ATTACKS]}
    if name in groups:
        return groups[name]
    if name not in EVERY:
        raise ConfigError(f"no attack is called {name!r}; there are: {', '.join((*groups, *EVERY))}")
    return [Honest.name] if name == Honest.name else [Honest.name, name]


def run_attacks(home: Home, name: str, rounds: int, say: Callable[[str], None]) -> tuple[list[Outcome], Path]:
    """Run the control and the attacks; each outcome is on disk before the next begins. Returns all, and the folder."""
    names = chosen(name)
    folder = home.path / "attacks" / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder.mkdir(parents=True)
    outcomes: list[Outcome] = []
    for place, attack in enumerate(names, 1):
        say(f"attack {place} of {len(names)}: {attack} ({EVERY[attack].about})")
        outcomes.append(play(home, attack, rounds, say))
        say("  " + " · ".join(map(str, outcomes[-1].row()[1:])))
        write(outcomes, folder)
    return outcomes, folder


def play(home: Home, attack: str, rounds: int, say: Callable[[str], None]) -> Outcome:
    """A network with this attack in it, and some rounds of one field."""
    started = time.monotonic()
    hostile = hostile_nodes(attack)
    with kept(home, RunOptions("nano"), lambda text: None) as net:
        start_network(net, [name for name in WORKERS if name not in hostile], [MODEL])
        for node, what in hostile.items():
            start_hostile(net, node, what)
        start_models(net)
        works = [partial(place_stakes, net), partial(submit_field, net, MODEL, MODEL), partial(list_models, net)]
        together(works, WORK_SECONDS, "the stakes, the texts and the listing")
        wait_started(net, (*WORKERS, TEAM_MEMBER))
        results = run_rounds(net, [(MODEL, rounds)], ROUNDS_SECONDS, lambda text: say("  " + text))
        return outcome_of(net, attack, results, time.monotonic() - started)


def start_hostile(net: Devnet, node: str, attack: str) -> None:
    """A hostile process in a node's place."""
    config = write_node(net.node_plan(), node)
    command = (sys.executable, "-m", "devnet.attacks.node", attack, "--config", str(config))
    friend = ("--friend", net.address(ATTACKER))
    net.supervisor.start(ProcessSpec(node, (*command, *friend), net.run.log(node), thread_variables(threads_each())))


def outcome_of(net: Devnet, attack: str, results: Sequence[RoundResult], seconds: float) -> Outcome:
    """Read from the chain and the validators' reports what came of it."""
    chain, miner = net.chain(), net.address(ATTACKER)
    fall = error = 0.0
    for measured in [result.measured for result in results if result.measured is not None][-1:]:
        fall = 1.0 - measured.heldout_after / measured.heldout_genesis
        error = measured.heldout_genesis_se / measured.heldout_genesis
    return Outcome(
        attack=attack,
        rounds=tuple(_round(chain, result, miner) for result in results),
        paid={name: _earned(net, name) for name in (*MINERS, *VALIDATORS)},
        fall=fall,
        fall_error=error,
        seconds=round(seconds, 1),
        run=net.run.path.name,
    )


def _earned(net: Devnet, name: str) -> int:
    earned = rewards(net.chain(), net.address(name)).earned
    kinds = (RewardKind.MINER, RewardKind.VALIDATOR)
    return sum(each.amount for each in earned if each.kind in kinds and each.model == MODEL)


def _round(chain: Any, result: RoundResult, miner: str) -> Round:
    mine = next((each for each in result.submissions if each.miner == miner), None)
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
        honest_scores=tuple(each.consensus for each in result.submissions if each.miner != miner),
    )


def attack(home: Home, name: str, rounds: int, wants_json: bool) -> int:
    """The command: 0 where all could be run, whatever came out; the tables say what did."""
    say: Callable[[str], None] = partial(print, file=sys.stderr, flush=True)
    try:
        outcomes, folder = run_attacks(home, name, rounds, say)
    except StrataError as error:
        say(f"Error: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped; what was found before is in the folder of attacks")
        return 130
    results = tables(outcomes)
    if wants_json:
        print(json.dumps({"tables": json.loads(as_json(results)), "outcomes": [asdict(each) for each in outcomes]}))
        return 0
    for result in results:
        print_table(result)
    paid = holes(outcomes)
    print(f"an attack that paid: {', '.join(paid)}" if paid else "no attack paid")
    print(f"tables, figures and pictures: {folder}")
    return 0
