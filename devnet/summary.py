"""What remains of a run: the table of losses, the plot, what was paid, and whether every promise was kept."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from contracts.enums import Phase
from devnet.feed import Tail
from devnet.layout import MINERS, NODE_WALLETS, PEOPLE, Run, write_json
from devnet.question import describe_fee
from devnet.rounds import RoundResult, overlaps

if TYPE_CHECKING:
    from devnet.story import Told
    from devnet.view import View

PLOT = "loss.png"
PICTURE = "demo.svg"
PICTURE_WIDTH = 132
SIGMAS = 2.0
"""A fall smaller than so many standard errors is noise."""


def of_model(results: list[RoundResult], model: str) -> list[RoundResult]:
    """The rounds of a model that ended with a head and were measured."""
    return [r for r in results if r.model == model and r.phase == Phase.FINAL and r.measured is not None]


def fall_percent(results: list[RoundResult], model: str) -> float | None:
    """How far the held-out loss fell from genesis to the last head, both measured on the last round's text."""
    whole = _whole_fall(results, model)
    return whole[0] if whole else None


def _whole_fall(results: list[RoundResult], model: str) -> tuple[float, float] | None:
    """The fall and its standard error, in percent of the loss at genesis."""
    rounds = of_model(results, model)
    if not rounds or rounds[-1].measured is None:
        return None
    last = rounds[-1].measured
    return (1.0 - last.heldout_after / last.heldout_genesis) * 100, last.heldout_genesis_se / last.heldout_genesis * 100


def promises(told: Told) -> list[str]:
    """What was promised and not kept, in words."""
    preset = told.net.options.settings
    broken = []
    for model, count in preset.rounds:
        rounds = of_model(told.results, model)
        if len(rounds) < count:
            broken.append(f"{model}: {len(rounds)} of {count} rounds ended with a measured head")
        fall, error = _whole_fall(told.results, model) or (0.0, 0.0)
        least = preset.least_fall_percent if model == preset.rounds[0][0] else 0.0
        if fall <= 0 or fall + error < least:  # nearer than its own noise is as promised
            wanted = f"{least:g}%" if least else "a fall"
            broken.append(f"{model}: the held-out loss fell by {fall:.1f}% ± {error:.1f}%, promised was {wanted}")
    for result in told.commands:
        if result.code != 0:
            broken.append(f"'{result.shown}' ended with code {result.code}: {(result.errors or result.output)[-600:]}")
    if told.verdict is None or told.asked is None:
        broken.append("the story did not come to its end")
    elif not told.verdict.ok:
        broken += told.verdict.faults()
    if told.asked is not None and not told.asked.answer:
        broken.append("the answer is empty")
    return broken


def show(told: Told, console: Console, plot: Path | None) -> None:
    """The summary, for people."""
    console.print(Text("\nSummary", style="bold magenta"))
    console.print(loss_table(told.results))
    for line in notes(told):
        console.print(Text(line))
    if told.asked is not None:
        console.print(Text(f"\ncarol asked: {told.asked.question}", style="bold"))
        console.print(Text(told.asked.chosen, style="cyan"))
        console.print(Text(told.asked.answer))
        console.print(Text(told.asked.price, style="dim"))
        fee = f"redeemed {told.asked.redeemed / 1e18:.6f} STR in 0x{told.asked.tx[:16]}…: {describe_fee(told.asked)}"
        console.print(Text(fee, style="dim"))
    console.print(payments_table(told))
    console.print(addresses_table(told))
    run = told.net.run.path
    console.print(Text(f"\nthe run's folder: {run}", style="bold"))
    console.print(f"  summary.json, {PLOT if plot else ''}, {PICTURE}, logs/, nodes/*/events.jsonl", highlight=False)
    console.print(Text("\nnext commands to try", style="bold"))
    for line in next_commands(told):
        console.print(f"  {line}", highlight=False, markup=False)


def next_commands(told: Told) -> list[str]:
    """What a new user can do now."""
    preset = "" if told.net.options.preset == "default" else f" --preset {told.net.options.preset}"
    return [
        f".venv/bin/strata devnet up{preset}      # the same network, left running",
        ".venv/bin/strata devnet status | logs miner-1 | stop",
        ".venv/bin/strata models",
        '.venv/bin/strata ask "What does the MIT licence ask of me?" --wallet carol --yes',
        ".venv/bin/strata contributions --model law --json",
        ".venv/bin/strata audit",
        "make demo TEXT=path/to/your.txt FIELD=name",
    ]


def loss_table(results: list[RoundResult]) -> Table:
    """Held-out loss beside the loss on general text, and the budget."""
    table = Table(title="losses in nats a token (median of the validators; ± one standard error)", title_justify="left")
    for name in ("model", "round", "held-out before", "after", "±", "change", "general before", "after", "±"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for name in ("tokens trained", "tokens judged", "consensus scores", "head"):
        table.add_column(name, justify="right")
    for result in results:
        table.add_row(result.model, str(result.round), *_loss_cells(result))
    return table


def _loss_cells(result: RoundResult) -> list[str]:
    m = result.measured
    if m is None:
        return [result.void_reason or "not measured", *[""] * 10]
    change = (m.heldout_after / m.heldout_before - 1) * 100 if m.heldout_before else 0.0
    return [
        *(f"{m.heldout_before:.4f}", f"{m.heldout_after:.4f}", f"{m.heldout_se:.4f}", f"{change:+.2f}%"),
        *(f"{m.general_before:.4f}", f"{m.general_after:.4f}", f"{m.general_se:.4f}"),
        *(f"{result.trained_tokens:,}", f"{m.judged_tokens:,}"),
        " ".join(f"{s.consensus / 1e6:.3f}" for s in result.submissions),
        result.head.hex()[:12],
    ]


def notes(told: Told) -> list[str]:
    """The falls, their significance, and the token budget."""
    lines = []
    for model, _ in told.net.options.settings.rounds:
        rounds = of_model(told.results, model)
        whole = _whole_fall(told.results, model)
        if whole is None:
            continue
        strong = sum(1 for r in rounds if r.measured and _sigmas(r) > SIGMAS)
        lines.append(
            f"{model}: held-out loss fell by {whole[0]:.1f}% ± {whole[1]:.1f}% over {len(rounds)} rounds (genesis and "
            f"head on the same text); in {strong} of them by more than {SIGMAS:g} standard errors"
        )
    lines += pipelining(told)
    trained = sum(r.trained_tokens for r in told.results)
    judged = sum(r.measured.judged_tokens for r in told.results if r.measured)
    lines.append(f"token budget: {trained:,} trained by the miners, {judged:,} judged by the validators")
    if told.verdict is not None:
        payments = sum(1 for check in told.verdict.checks if check.ok)
        state = "every wei is where it should be" if told.verdict.ok else "THE MONEY IS NOT AS IT SHOULD BE"
        lines.append(
            f"money: {payments} of {len(told.verdict.checks)} settlements and fees recomputed from events alone match; "
            f"supply equals the balances of {told.verdict.holders} holders; {state}"
        )
    limit = told.net.options.settings.limit_seconds
    if told.seconds > limit:
        lines.append(f"it took {told.seconds:.0f} s where {limit} s are usual on two free cores: was the machine busy?")
    return lines


def pipelining(told: Told) -> list[str]:
    """How rounds overlapped, and which part of the miners' time went into training."""
    lines = []
    for model, count in told.net.options.settings.rounds:
        shared = overlaps(told.results, model)
        if count > 1:
            lines.append(
                f"{model}: {len(shared)} of {count - 1} rounds were trained while the one before was judged"
                + (f", for {min(shared)} to {max(shared)} blocks" if shared else "")
            )
    shares = training_shares(told)
    if shares:
        lines.append(f"miners trained for {median(shares) * 100:.0f}% of the time between two deltas (median)")
    return lines


def training_shares(told: Told) -> list[float]:
    """What the miners say: seconds in the inner loop over seconds since the delta before was sealed."""
    found = []
    for name in MINERS:
        for event in Tail(told.net.run.events(name)).read():
            share = event.get("training_share")
            if event.get("event") in ("round_final", "round_void") and isinstance(share, float):
                found.append(share)
    return found


def _sigmas(result: RoundResult) -> float:
    m = result.measured
    return (m.heldout_before - m.heldout_after) / max(m.heldout_se, 1e-9) if m else 0.0


def payments(told: Told) -> dict[str, dict[str, int]]:
    """Wallet -> what for -> wei, as the contracts credited it."""
    from contracts.enums import RewardKind

    if not told.net.ids:
        return {}
    names = {told.net.address(name): name for name in (*NODE_WALLETS, *PEOPLE)}
    paid: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for event in told.net.chain().events("Rewards", "RewardCredited"):
        who = names.get(event.args["account"], event.args["account"])
        paid[who][RewardKind(event.args["kind"]).name.lower()] += event.args["amount"]
    return {who: dict(kinds) for who, kinds in sorted(paid.items())}


def payments_table(told: Told) -> Table:
    """Who was paid what for what."""
    table = Table(title="paid, in STR", title_justify="left")
    kinds = ("miner", "validator", "data", "server")
    for name in ("who", *kinds):
        table.add_column(name, justify="left" if name == "who" else "right")
    for who, paid in payments(told).items():
        table.add_row(who, *(f"{paid[kind] / 1e18:,.4f}" if kind in paid else "" for kind in kinds))
    return table


def addresses_table(told: Told) -> Table:
    """Contracts and wallets."""
    table = Table(title="addresses", title_justify="left")
    table.add_column("contract or wallet")
    table.add_column("address")
    network = told.net.network
    for name, address in network.contracts.items() if network else ():
        table.add_row(name, address)
    for name in (*PEOPLE, *NODE_WALLETS):
        table.add_row(name, told.net.address(name))
    return table


def write_summary(told: Told, broken: list[str]) -> None:
    """``summary.json``: everything that the summary says, for programs. Wei as text."""
    net = told.net
    values: dict[str, Any] = {
        "preset": net.options.preset,
        "chain": net.local.kind if net.local else None,
        "seconds": round(told.seconds, 1),
        "kept": not broken,
        "broken": broken,
        "models": {m.name: {"id": net.ids.get(m.name), "genesis": m.genesis.hex()} for m in net.models},
        "rounds": [_round_json(result) for result in told.results],
        "falls_percent": {model: fall_percent(told.results, model) for model, _ in net.options.settings.rounds},
        "answer": {**told.asked.__dict__, "redeemed": str(told.asked.redeemed)} if told.asked else None,
        "payments_wei": {who: {k: str(v) for k, v in kinds.items()} for who, kinds in payments(told).items()},
        "overlaps_blocks": {model: overlaps(told.results, model) for model, _ in net.options.settings.rounds},
        "training_shares": training_shares(told),
        "money": told.verdict.to_json() if told.verdict else None,
        "contracts": dict(net.network.contracts) if net.network else {},
        "wallets": {name: net.address(name) for name in (*PEOPLE, *NODE_WALLETS)},
        "parts_seconds": [{"what": t.what, "seconds": round(t.seconds, 1)} for t in net.times.took],
    }
    if told.asked is not None:
        values["answer"]["parts"] = {name: str(amount) for name, amount in told.asked.parts.items()}
    write_json(net.run.path / "summary.json", values)


def _round_json(result: RoundResult) -> dict[str, Any]:
    return {
        "model": result.model,
        "round": result.round,
        "ended": result.phase.name,
        "void_reason": result.void_reason,
        "head": result.head.hex(),
        "attested_percent": result.attested_percent,
        "opened_block": result.opened,
        "settled_block": result.settled,
        "reports": result.reports,
        "measured": result.measured.__dict__ if result.measured else None,
        "trained_tokens": result.trained_tokens,
        "deltas": [
            {"miner": s.miner, "digest": s.digest.hex(), "consensus": s.consensus, "weight_q16": s.weight_q16}
            for s in result.submissions
        ],
    }


def save_plot(run: Run, results: list[RoundResult]) -> Path | None:
    """Losses by round as a picture; None where nothing was measured."""
    models = [model for model in dict.fromkeys(r.model for r in results) if of_model(results, model)]
    if not models:
        return None
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(models), figsize=(5.2 * len(models), 4.0), squeeze=False)
    for axis, model in zip(axes[0], models, strict=True):
        rounds = of_model(results, model)
        for kind, colour in (("heldout", "tab:blue"), ("general", "tab:orange")):
            before = getattr(rounds[0].measured, f"{kind}_before")
            after = [getattr(r.measured, f"{kind}_after") for r in rounds]
            errors = [getattr(r.measured, f"{kind}_se") for r in rounds]
            label = {"heldout": "held-out text of the field", "general": "general text"}[kind]
            axis.errorbar(range(len(after) + 1), [before, *after], [errors[0], *errors], capsize=3, marker="o",
                          color=colour, label=label)  # fmt: skip
        axis.set(title=model, xlabel="round", ylabel="loss, nats a token", xticks=range(len(rounds) + 1))
        axis.grid(alpha=0.3)
        axis.legend()
    figure.tight_layout()
    path = run.path / PLOT
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path


class Photographer:
    """Keeps a picture of the run when there is most to see: rounds measured, miners in the middle of training."""

    def __init__(self, run: Run, view: View) -> None:
        self._run, self._view, self._best = run, view, 0

    def __call__(self) -> None:
        """Take a picture where it is better than the last one."""
        board = self._view.board
        training = sum(node.step for node in board.nodes.values() if 0 < node.step < node.steps)
        worth = len(board.measured) * 1000 + training if training or not self._best else 0
        if board.measured and worth > self._best:
            self._best = worth
            save_picture(self._run, self._view)


def save_picture(run: Run, view: View) -> None:
    """The live view as it is now, as a picture."""
    with (run.path / "view.txt").open("w", encoding="utf-8") as sink:
        console = Console(record=True, width=PICTURE_WIDTH, file=sink, force_terminal=True, color_system="truecolor")
        console.print(view.picture())
    drawn = console.export_svg(title="make demo")
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)  # no fonts from elsewhere
    (run.path / PICTURE).write_text(drawn.replace("Fira Code", "DejaVu Sans Mono"), encoding="utf-8")
