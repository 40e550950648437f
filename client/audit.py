"""Audit a network from its chain and IPFS alone: every head bit for bit, every consensus, every payment.

Nothing that a node says is used. Heads are replayed from genesis with the weights that the revealed scores give
(:mod:`client.audit_heads`), the rounds' records are checked against each other and against the reference arithmetic
(:mod:`client.audit_rounds`), validators' reports against their scores (:mod:`client.audit_reports`). Then all events
are replayed in order (:mod:`client.audit_flow`): stake, slashes, ballots, payments, claims, tokens are computed again.
Where a score or a head was revealed, the transaction itself is opened and its commitment hashed again
(:mod:`client.audit_calls`).
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from client.audit_calls import NOT_OPENED, Reader, check_calls
from client.audit_facts import RoundFacts, rounds_of
from client.audit_flow import Flow
from client.audit_heads import HeadAudit
from client.audit_log import AuditChain, AuditLog, AuditReport, Finding, Progress
from client.audit_reports import check_reports
from client.audit_rounds import check_missed, check_overlap, check_round
from client.errors import AuditError
from client.storage import Store
from client.types import ModelInfo

__all__ = ["AuditChain", "AuditReport", "Finding", "audit"]


def audit(
    chain: AuditChain,
    store: Store,
    model: str | int | None = None,
    rounds: tuple[int, int] | None = None,
    scratch: Path | None = None,
    progress: Progress | None = None,
    timeout: float = 60.0,
    read_input: Reader | None = None,
) -> AuditReport:
    """Audit one model or all, every settled round or those of ``rounds`` (first, last, both included).

    ``scratch``: a folder for snapshots while they are read. ``timeout``: seconds for one object from IPFS.
    ``read_input`` gives a transaction's input; without it the salts of scores and heads are not looked at.
    Differences are returned, not raised; ``ChainUnavailable`` and the like are raised.
    """
    tell = progress or (lambda _what, _done, _all: None)
    log = AuditLog()
    models = chain.models()  # before the block: what a round changes while we look comes after both
    block = chain.block_number()
    chosen = models if model is None else [found for found in models if found.id == chain.model(model).id]
    facts = {found.id: rounds_of(chain, found, block) for found in models}
    selected = {found.id: _selected(list(facts[found.id].values()), rounds) for found in chosen}
    if rounds is not None and not any(selected.values()):
        raise AuditError(f"no settled round lies in {rounds[0]}:{rounds[1]}")
    skipped = _check_records(chain, log, chosen, selected, read_input, tell)
    skipped += _check_reports(store, log, selected, tell)
    for found in chosen:
        rounds_in_order = list(facts[found.id].values())
        check_overlap(log, rounds_in_order, frozenset(entry.number for entry in selected[found.id]))
        check_missed(chain, log, rounds_in_order, block)
    tell("payments", 0, 1)
    Flow(
        chain,
        log,
        block,
        models={found.id: found for found in models},
        rounds={(found.id, number): entry for found in models for number, entry in facts[found.id].items()},
        selected=frozenset((number, entry.number) for number, entries in selected.items() for entry in entries),
    ).run()
    tell("payments", 1, 1)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        for found in chosen:
            start = bool(selected[found.id]) and selected[found.id][0].number == 1
            heads = HeadAudit(store, log, Path(folder), timeout)
            heads.run(found, selected[found.id], start, tell)
            if not any(entry.ended for entry in facts[found.id].values()):
                heads.genesis(found)
    return _report(log, block, chosen, selected, skipped)


def _check_records(
    chain: AuditChain,
    log: AuditLog,
    chosen: Sequence[ModelInfo],
    selected: dict[int, list[RoundFacts]],
    read: Reader | None,
    tell: Progress,
) -> tuple[str, ...]:
    datasets = chain.datasets()
    for found in chosen:
        for place, entry in enumerate(selected[found.id]):
            tell(f"{found.name}: record of round {entry.number}", place, len(selected[found.id]))
            check_round(chain, log, entry, datasets)
            if read is not None:
                check_calls(chain, read, log, entry)
    return () if read is not None else (NOT_OPENED,)


def _check_reports(
    store: Store, log: AuditLog, selected: dict[int, list[RoundFacts]], tell: Progress
) -> tuple[str, ...]:
    rounds = [facts for entries in selected.values() for facts in entries]
    missing = 0
    for place, facts in enumerate(rounds):
        tell(f"{facts.model.name}: reports of round {facts.number}", place, len(rounds))
        missing += check_reports(store, log, facts)
    return (f"{missing} of the validators' reports (nobody gave them)",) if missing else ()


def _selected(rounds: Sequence[RoundFacts], wanted: tuple[int, int] | None) -> list[RoundFacts]:
    first, last = wanted or (1, 2**63)
    return [entry for entry in rounds if entry.settled is not None and first <= entry.number <= last]


def _report(
    log: AuditLog,
    block: int,
    chosen: Sequence[ModelInfo],
    selected: dict[int, list[RoundFacts]],
    skipped: tuple[str, ...],
) -> AuditReport:
    counts: Counter[str] = Counter()
    for (_, _, check), count in log.counts.items():
        counts[check] += count
    return AuditReport(
        block=block,
        models=tuple(found.name for found in chosen),
        rounds=tuple((found.name, entry.number) for found in chosen for entry in selected[found.id]),
        counts=dict(sorted(counts.items())),
        findings=tuple(sorted(log.findings, key=lambda finding: (finding.model, finding.round))),
        skipped=skipped,
    )
