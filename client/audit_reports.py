"""Validators' reports beside the scores that they revealed: a report must say the same, or it misleads its readers."""

from __future__ import annotations

from client.audit_facts import RoundFacts
from client.audit_log import AuditLog
from client.errors import ManifestError, StorageError
from client.manifests import Report
from client.schema import parse_json
from client.storage import Store

REPORT_BYTES = 1 << 20
REPORT_SECONDS = 10.0


def check_reports(store: Store, log: AuditLog, facts: RoundFacts, timeout: float = REPORT_SECONDS) -> int:
    """Compare each report that can be had with the revealed scores and reasons; how many could not be had."""
    missing = 0
    for event in facts.all("ScoresRevealed"):
        who, digest = str(event.args["validator"]), bytes(event.args["report"])
        try:
            data = store.get(digest, REPORT_BYTES, timeout)
        except StorageError:
            missing += 1
            continue
        try:
            report = Report.from_json(parse_json(data, REPORT_BYTES))
        except ManifestError as error:
            log.failed(facts.where, "report", "a validator's report", error, who)
            continue
        _check(log, facts, who, report)
    return missing


def _check(log: AuditLog, facts: RoundFacts, who: str, report: Report) -> None:
    about = (report.model_id, report.round, report.validator)
    log.compare(facts.where, "report", (facts.model.id, facts.number, who), about, f"{who}: model, round, validator")
    judged = facts.judgements.get(who, {})
    revealed = [
        (facts.submissions[i].args["miner"], bytes(facts.submissions[i].args["digest"]).hex(), score, int(reason))
        for i, (score, reason) in sorted(judged.items())
    ]
    said = [(delta.miner, delta.digest, delta.score, delta.reason) for delta in report.deltas]
    log.compare(facts.where, "report", revealed, said, f"{who}: miners, deltas, scores, reasons")
