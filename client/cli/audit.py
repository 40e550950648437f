"""``strata audit``: recompute every head and every payment, from chain and IPFS alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.cli.context import JsonOption, chain, settings
from client.cli.groups import single
from client.cli.output import Column, console, show, show_json

if TYPE_CHECKING:
    from client.audit import AuditReport

app = single()

_RANGE = re.compile(r"([0-9]{0,18})(:|\.\.)?([0-9]{0,18})")


@app.command()
def audit(
    model: Annotated[str | None, typer.Argument(help="A model's name or number; else every model.")] = None,
    rounds: Annotated[
        str | None, typer.Option("--rounds", metavar="A..B", help="Only these rounds: 3..5, 3.., ..5 or 3.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for one object from IPFS.")] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Recompute heads, consensus and payments, and compare them with what was recorded. Exit code 1 on a difference.

    A range starts from the last snapshot before it. Long models are replayed in files that vanish with the process.

    Example: strata audit law --rounds 1..3
    """
    wanted = parse_rounds(rounds)  # before anything is asked of chain or IPFS
    report = _run(model, wanted, timeout)
    if as_json:
        show_json(as_plain(report))
    else:
        _print(report)
    if not report.ok:
        raise typer.Exit(1)


def parse_rounds(text: str | None) -> tuple[int, int] | None:
    """``3..5``, ``3..``, ``..5`` or ``3`` as (first, last); a colon will do for the dots."""
    from client.errors import ConfigError

    if text is None:
        return None
    match = _RANGE.fullmatch(text)
    if match is None or not any(match.group(1, 3)):
        raise ConfigError(f"--rounds {text!r} is no range. Write 3..5, 3.., ..5 or 3.")
    first = int(match[1] or 1)
    last = int(match[3] or 2**63) if match[2] else first
    if not 1 <= first <= last:
        raise ConfigError(f"--rounds {text!r}: rounds count from 1, and the first comes before the last.")
    return first, last


def _run(model: str | None, rounds: tuple[int, int] | None, timeout: float) -> AuditReport:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from client.audit import audit as run_audit
    from client.audit_calls import transaction_reader
    from client.storage import IpfsStore

    chosen = settings()
    network = chosen.network()
    store = IpfsStore(network.ipfs)  # without the read cache: an audit asks IPFS itself
    read = transaction_reader(network.rpc)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("audit", total=None)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        scratch = chosen.home / "cache"  # not the system's temporary folder, which may be memory
        scratch.mkdir(parents=True, exist_ok=True)
        return run_audit(chain(chosen), store, model, rounds, scratch, progress=tell, timeout=timeout, read_input=read)


def as_plain(report: AuditReport) -> dict[str, Any]:
    """The report for programs."""
    return {
        "ok": report.ok,
        "block": report.block,
        "models": list(report.models),
        "rounds": [{"model": name, "round": number} for name, number in report.rounds],
        "checks": report.counts,
        "comparisons": sum(report.counts.values()),
        "findings": [dict(finding.__dict__) for finding in report.findings],
        "skipped": list(report.skipped),
    }


def _print(report: AuditReport) -> None:
    out = console()
    failed = {(finding.model, finding.round) for finding in report.findings}
    rows = [
        {"model": name, "round": number, "verdict": "DIFFERS" if (name, number) in failed else "ok"}
        for name, number in report.rounds
    ]
    columns = [Column("model", "Model"), Column("round", "Round", justify="right"), Column("verdict", "Verdict")]
    show(rows, columns, empty="No round has been settled yet; supply and balances were counted.")
    checks = ", ".join(f"{name} {count}" for name, count in report.counts.items())
    out.print(f"Compared: {checks}.", markup=False, soft_wrap=True)
    for words in report.skipped:
        out.print(f"Not looked at: {words}.", style="yellow", markup=False, soft_wrap=True)
    total = sum(report.counts.values())
    if report.ok:
        out.print(
            f"AUDIT PASSED: {total} comparisons up to block {report.block}; every head was recomputed bit for bit.",
            style="bold green",
            markup=False,
            soft_wrap=True,
        )
        return
    for finding in report.findings:
        where = f"{finding.model or 'network'}{f' round {finding.round}' if finding.round else ''}"
        subject = f" ({finding.subject})" if finding.subject else ""
        out.print(f"✗ {where}: {finding.check}{subject}", style="bold red", markup=False, soft_wrap=True)
        out.print(f"    expected {finding.expected}", style="red", markup=False, soft_wrap=True)
        out.print(f"    found    {finding.found}", style="red", markup=False, soft_wrap=True)
    words = f"AUDIT FAILED: {len(report.findings)} of {total} comparisons differ, up to block {report.block}."
    out.print(words, style="bold white on red", markup=False, soft_wrap=True)
