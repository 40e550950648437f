"""What attacks did and got: figures, tables, pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from contracts.enums import Phase
from devnet.attacks.base import MinerAttack
from devnet.attacks.miners import ATTACKS
from devnet.attacks.validators import VALIDATOR_ATTACKS, ValidatorAttack
from devnet.layout import MINERS, STAKE_SHARES, TEAM_LEADER, VALIDATORS, write_json
from devnet.sim.report import Bars, Cell, Result, draw

EVERY: dict[str, type[MinerAttack] | type[ValidatorAttack]] = {**ATTACKS, **VALIDATOR_ATTACKS}
"""All attacks by name, the control first."""
ATTACKER = MINERS[-1]
"""The miner that attacks, or the friend of a validator that does."""
STAKE = dict(zip(VALIDATORS, STAKE_SHARES, strict=True))
MINER_COLUMNS = ("attack", "accepted", "score to honest", "paid to honest", "loss fell, %", "votes", "rounds")
VALIDATOR_COLUMNS = ("attack", "stake, %", "paid to honest", "friend paid to honest", "loss fell, %", "rounds")
"""Scores and pay are over those of the honest member that got least; a validator's pay is taken per stake."""


def hostile_nodes(attack: str) -> Mapping[str, str]:
    """Which nodes run which attack; of the control the one that would attack."""
    return VALIDATOR_ATTACKS[attack].members if attack in VALIDATOR_ATTACKS else {ATTACKER: attack}


@dataclass(frozen=True)
class Round:
    """One round of an attack. Scores in micro-nats, weights in 1/65536; ``reasons``: the votes on the last miner's."""

    number: int
    phase: str
    revealed: bool
    score: int
    weight: int
    reasons: dict[str, int]
    honest_scores: tuple[int, ...]


@dataclass(frozen=True)
class Outcome:
    """One attack in one network. ``paid``: wei by node; ``fall``: of held-out loss from genesis on, 0 to 1."""

    attack: str
    rounds: tuple[Round, ...]
    paid: Mapping[str, int]
    fall: float
    fall_error: float
    seconds: float
    run: str

    @property
    def hostile(self) -> list[str]:
        """The validators that attacked."""
        return [node for node in hostile_nodes(self.attack) if node in STAKE]

    @property
    def accepted(self) -> int:
        """Rounds in which the last miner's delta had a weight."""
        return sum(each.weight > 0 for each in self.rounds)

    @property
    def miner_ratio(self) -> float:
        """The last miner's pay over the least that another got."""
        return _ratio(self.paid.get(ATTACKER, 0), [self.paid.get(name, 0) for name in MINERS[:-1]])

    @property
    def validator_ratio(self) -> float:
        """The hostile validators' pay per stake over the least of the others'."""
        mine = sum(self.paid.get(name, 0) for name in self.hostile) / max(1, self.hostile_stake)
        return _ratio(mine, [self.paid.get(name, 0) / STAKE[name] for name in STAKE if name not in self.hostile])

    @property
    def hostile_stake(self) -> int:
        """Theirs, in per cent."""
        return sum(STAKE[name] for name in self.hostile)

    def row(self) -> tuple[Cell, ...]:
        """As the table of its role has it."""
        fell = f"{100 * self.fall:.1f} ± {100 * self.fall_error:.1f}"
        broken = [each.phase for each in self.rounds if each.phase != Phase.FINAL.name]
        ended = ", ".join(broken) or f"{len(self.rounds)} of {len(self.rounds)} FINAL"
        if self.attack in VALIDATOR_ATTACKS:
            return (self.attack, self.hostile_stake, self.validator_ratio, self.miner_ratio, fell, ended)
        scores = [(each.score, min(each.honest_scores)) for each in self.rounds if each.honest_scores]
        reasons: Counter[str] = sum((Counter(each.reasons) for each in self.rounds), Counter())
        score = _ratio(sum(score for score, _ in scores), [sum(honest for _, honest in scores)])
        votes = ", ".join(f"{name} {count}" for name, count in reasons.most_common()) or "-"
        return (self.attack, f"{self.accepted} of {len(self.rounds)}", score, self.miner_ratio, fell, votes, ended)


def _ratio(part: float, others: Sequence[float]) -> float:
    least = min(others, default=0)
    return round(part / least, 3) if least else 0.0


def tables(outcomes: Sequence[Outcome]) -> list[Result]:
    """A table for each role that attacked."""
    found = []
    for role, columns in (("miner", MINER_COLUMNS), ("validator", VALIDATOR_COLUMNS)):
        chosen = [each for each in outcomes if (each.attack in VALIDATOR_ATTACKS) == (role == "validator")]
        if chosen:
            paid = [(each.attack, each.miner_ratio if role == "miner" else each.validator_ratio) for each in chosen]
            pictures = {f"attacks-{role}": Bars("pay over the least of an honest member", paid, 1.0, "honest")}
            note = f"nano, a network for each; {TEAM_LEADER} is a team of two peers"
            title = f"What attacks of a {role} got"
            found.append(Result("attacks", title, columns, [each.row() for each in chosen], note, pictures))
    return found


def write(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Tables, JSON and pictures of what is known so far."""
    results = tables(outcomes)
    write_json(folder / "attacks.json", [asdict(each) for each in outcomes])
    (folder / "attacks.md").write_text("\n\n".join(map(markdown, results)) + "\n", encoding="utf-8")
    for result in results:
        draw(result, folder)


def markdown(result: Result) -> str:
    """A table as Markdown."""
    lines = ["| " + " | ".join(result.columns) + " |", "|" + "---|" * len(result.columns)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in result.rows]
    return "\n".join(lines)


def holes(outcomes: Iterable[Outcome]) -> list[str]:
    """Attacks that paid: a worthless delta that was paid, or a validator that got more than an honest one."""
    found = []
    for each in outcomes:
        if each.attack in VALIDATOR_ATTACKS:
            worthless = "random" in hostile_nodes(each.attack).values()
            paid = each.validator_ratio > 1.0 or (worthless and each.miner_ratio > 0)
        else:
            paid = each.miner_ratio > 0 and not ATTACKS[each.attack].harmless
        found += [each.attack] if paid else []
    return found
