"""The audit passes on an honest history on a real chain, and fails on any one byte or score that was changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.audit import AuditReport, audit
from client.audit_calls import transaction_reader
from client.chain import Chain
from client.cli.main import run
from client.errors import AuditError, UnknownModel
from client.manifests import Report
from client.settings import Network
from client.types import Event
from tests.conftest import ChainProcess
from tests.integration.audit_world import SALT, VALIDATORS, History, make_history

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def history(anvil: ChainProcess, deployed: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    snapshot = anvil.rpc("evm_snapshot")

    def connect(index: int) -> Chain:
        return Chain.connect(deployed, anvil.account(index), patience=5.0, receipt_seconds=20.0)

    found = make_history(tmp_path_factory.mktemp("audit"), deployed, connect, anvil.mine)
    found.play()
    yield found
    anvil.rpc("evm_revert", snapshot)


class Tampered:
    """A chain whose record somebody changed; everything else is the real one's."""

    def __init__(self, chain: Chain, change: Callable[[Event], Event] | None = None, **replaced: Any) -> None:
        self._chain, self._change, self._replaced = chain, change or (lambda event: event), replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced.get(name) or getattr(self._chain, name)

    def events(self, *args: Any, **filters: Any) -> list[Event]:
        return [self._change(event) for event in self._chain.events(*args, **filters)]


def reader(history: History) -> Chain:
    return Chain.connect(history.network, None, patience=5.0)


def failed(report: AuditReport) -> set[tuple[str, int, str]]:
    return {(finding.model, finding.round, finding.check) for finding in report.findings}


def changed(event: Event, name: str, where: dict[str, Any], **args: Any) -> Event:
    if event.name != name or any(event.args.get(key) != value for key, value in where.items()):
        return event
    return replace(event, args={**event.args, **args})


def test_audit_when_nothing_was_changed_then_passes(history: History, tmp_path: Path) -> None:
    report = audit(reader(history), history.store, scratch=tmp_path, read_input=transaction_reader(history.network.rpc))
    assert report.skipped == () and report.counts["head commitment"] > report.counts["attested head"]
    assert report.findings == ()
    assert report.models == ("global", "law") and len(report.rounds) == 10
    for check in ("weights_sha256", "momentum_sha256", "consensus", "rewards", "dividends", "shares", "fee", "escrow",
                  "conservation", "assignment", "delta commitment", "seed", "evaluation seed", "outcome", "seats",
                  "slash", "claim", "delegation", "harvest", "withdrawal", "report", "taken back", "voucher", "ballot",
                  "dataset value", "malformed deltas", "missed rounds", "unlock block"):  # fmt: skip
        assert report.counts[check] > 0, check
    assert not list(tmp_path.iterdir())


def test_audit_when_one_model_and_some_rounds_are_asked_then_only_these(history: History) -> None:
    report = audit(reader(history), history.store, "law", (2, 4))
    assert report.ok and report.rounds == (("law", 2), ("law", 3), ("law", 4))
    assert audit(reader(history), history.store, "law", (5, 5)).ok
    with pytest.raises(AuditError, match="no settled round"):
        audit(reader(history), history.store, "law", (90, 120))
    with pytest.raises(UnknownModel):
        audit(reader(history), history.store, "medicine")


def test_audit_when_one_byte_of_a_delta_is_changed_then_fails(history: History) -> None:
    chain = reader(history)
    digest = chain.submissions(2, 1)[0].digest
    blobs = history.store.blobs
    original = blobs[digest]
    try:
        blobs[digest] = original[:-1] + bytes([original[-1] ^ 1])
        report = audit(chain, history.store, "law")
        assert ("law", 1, "delta") in failed(report)
        del blobs[digest]
        assert ("law", 1, "delta") in failed(audit(chain, history.store, "law"))
    finally:
        blobs[digest] = original
    assert audit(chain, history.store, "law").ok


def test_audit_when_a_recorded_score_is_changed_then_fails(history: History) -> None:
    chain = reader(history)
    who = history.chains[VALIDATORS[0]].address

    def event(found: Event) -> Event:
        return changed(found, "ScoresRevealed", {"validator": who, "round": 1, "modelId": 2}, scores=[900, 301])

    report = audit(Tampered(chain, event), history.store, "law")
    assert ("law", 1, "scores") in failed(report)

    def stored(model: int, number: int, validator: str) -> Any:
        entry = chain.scores_of(model, number, validator)
        return replace(entry, scores=(901, 300)) if (model, number, validator) == (2, 1, who) else entry

    assert ("law", 1, "scores") in failed(audit(Tampered(chain, scores_of=stored), history.store, "law"))


def test_audit_when_a_score_is_changed_everywhere_then_consensus_or_payments_differ(history: History) -> None:
    chain = reader(history)
    who = history.chains[VALIDATORS[0]].address

    def event(found: Event) -> Event:
        return changed(found, "ScoresRevealed", {"validator": who, "round": 1, "modelId": 2}, scores=[870, 400])

    def stored(model: int, number: int, validator: str) -> Any:
        entry = chain.scores_of(model, number, validator)
        return replace(entry, scores=(870, 400)) if (model, number, validator) == (2, 1, who) else entry

    found = failed(audit(Tampered(chain, event, scores_of=stored), history.store, "law"))
    assert ("law", 1, "consensus") in found and ("law", 1, "rewards") in found and ("law", 1, "weights_sha256") in found


@pytest.mark.parametrize(
    ("name", "where", "args", "check"),
    [
        ("RewardCredited", {"round": 1, "kind": 0}, {"amount": 1}, "rewards"),
        ("RewardCredited", {"round": 5, "kind": 1}, {"amount": 1}, "rewards"),
        ("TreasuryPaid", {"round": 2}, {"amount": 5}, "treasury"),
        ("SharesMinted", {"round": 1}, {"shares": 5}, "shares"),
        ("DividendsAdded", {"round": 2}, {"amount": 5}, "dividends"),
        ("EmissionSettled", {"round": 3}, {"carriedOut": 5}, "emission"),
        ("ConsensusPage", {"round": 2}, {"consensus": [500, 501]}, "consensus"),
        ("ConsensusReached", {"round": 2}, {"total": 5}, "consensus"),
        ("RewardCredited", {"round": 1, "kind": 7}, {"amount": 1}, "rewards"),
        ("RewardCredited", {"round": 2}, {"unlockBlock": 1}, "unlock block"),
        ("RewardsVoided", {}, {"amount": 1}, "taken back"),
        ("Slashed", {}, {"amount": 1}, "slash"),
        ("DeltaInvalid", {}, {"index": 0}, "malformed deltas"),
        ("ValidatorMissed", {"round": 2}, {"missed": 9}, "missed rounds"),
        ("Claimed", {}, {"amount": 10**24}, "claim"),
        ("PoolClaimed", {}, {"amount": 10**24}, "claim"),
        ("Harvested", {}, {"amount": 1}, "harvest"),
        ("DelegationClaimed", {}, {"amount": 1}, "delegation"),
        ("Withdrawn", {}, {"amount": 1}, "withdrawal"),
        ("Staked", {}, {"amount": 1}, "stake"),
        ("DatasetVoted", {}, {"stake": 1}, "ballot"),
        ("DatasetAccepted", {}, {"value": 1}, "dataset value"),
        ("VoucherRedeemed", {}, {"amount": 5}, "voucher"),
        ("RoundFinalized", {"round": 1}, {"attestedStake": 5}, "outcome"),
        ("RoundVoided", {"round": 3}, {"reason": 4}, "outcome"),
        ("DeltaRevealed", {"round": 1, "index": 0}, {"salt": b"\x01" * 32}, "delta commitment"),
        ("DeltaRevealed", {"round": 1, "index": 0}, {"datasetIds": (4,)}, "submission"),
        ("SeedCaptured", {"round": 1}, {"seed": b"\x01" * 32}, "seed"),
        ("HeadRevealed", {"round": 1}, {"head": b"\x01" * 32}, "attested head"),
        ("FeeDistributed", {}, {"serverPart": 1}, "fee"),
        ("Transfer", {}, {"value": 1}, "balance"),
        ("Claimed", {}, {"amount": 1}, "escrow"),
    ],
)  # fmt: skip
def test_audit_when_one_event_is_changed_then_names_the_check(
    history: History, name: str, where: dict[str, Any], args: dict[str, Any], check: str
) -> None:
    def change(event: Event) -> Event:
        return changed(event, name, where, **args)

    assert check in {entry[2] for entry in failed(audit(Tampered(reader(history), change), history.store, "law"))}


def test_audit_when_a_validator_is_kept_out_of_a_round_then_its_seat_is_missed(history: History) -> None:
    chain = reader(history)

    def seated(model: int, number: int) -> Any:
        found = chain.round_validators(model, number)
        return found[1:] if (model, number) == (2, 1) else found

    found = failed(audit(Tampered(chain, round_validators=seated), history.store, "law"))
    assert ("law", 1, "seats") in found and ("law", 1, "frozen stake") in found


def test_audit_when_a_report_contradicts_its_scores_then_says_whose(history: History) -> None:
    chain = reader(history)
    who = history.chains[VALIDATORS[0]].address
    digest = chain.scores_of(2, 1, who).report
    told = json.loads(history.store.blobs[digest])
    told["deltas"][0]["score"] += 1
    other = history.store.put(Report.from_json(told).to_bytes())

    def event(found: Event) -> Event:
        return changed(found, "ScoresRevealed", {"validator": who, "round": 1, "modelId": 2}, report=other)

    def stored(model: int, number: int, validator: str) -> Any:
        entry = chain.scores_of(model, number, validator)
        return replace(entry, report=other) if (model, number, validator) == (2, 1, who) else entry

    report = audit(Tampered(chain, event, scores_of=stored), history.store, "law", (1, 1))
    assert failed(report) == {("law", 1, "report")} and who in report.findings[0].subject
    del history.store.blobs[other]
    unread = audit(Tampered(chain, event, scores_of=stored), history.store, "law", (1, 1))
    assert unread.ok and "1 of the validators' reports" in unread.skipped[-1]


def test_audit_when_a_fee_has_no_voucher_then_says_so(history: History) -> None:
    chain = reader(history)

    def without(event: Event) -> Event:
        return replace(event, name="Nothing") if event.name == "VoucherRedeemed" else event

    assert ("law", 0, "voucher") in failed(audit(Tampered(chain, without), history.store, "law"))


def test_audit_when_assignment_was_ignored_then_says_who(history: History) -> None:
    chain = reader(history)

    def stored(model: int, number: int, block: int | None = None) -> Any:
        entries = chain.submissions(model, number)
        return [replace(entry, dataset_ids=(4,)) for entry in entries] if (model, number) == (2, 1) else entries

    assert ("law", 1, "assignment") in failed(audit(Tampered(chain, submissions=stored), history.store, "law"))


def test_audit_when_a_reveal_carried_another_salt_then_commitment_differs(history: History) -> None:
    chain = reader(history)
    real = transaction_reader(history.network.rpc)
    spoiled = audit(chain, history.store, "law", (1, 1), read_input=lambda tx: real(tx).replace(SALT, bytes(32)))
    assert failed(spoiled) == {("law", 1, "score commitment"), ("law", 1, "head commitment")}
    assert audit(chain, history.store, "law", (1, 1), read_input=lambda tx: b"another contract").ok
    assert audit(chain, history.store, "law", (1, 1)).skipped


@pytest.mark.parametrize("spoil", [False, True])
def test_strata_audit_when_run_then_exit_code_says_it(
    history: History, spoil: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    history.network.save(tmp_path / "network.json")
    monkeypatch.setattr("client.storage.IpfsStore", lambda *_: history.store)
    command = ["--home", str(tmp_path), "--network", str(tmp_path / "network.json"), "audit", "law"]
    digest = reader(history).submissions(2, 1)[0].digest
    original = history.store.blobs[digest]
    if spoil:
        history.store.blobs[digest] = original[:-1] + bytes([original[-1] ^ 1])
    try:
        assert run(command) == int(spoil)
        words = capsys.readouterr().out
        assert ("AUDIT FAILED" in words and "law round 1: delta" in words) if spoil else "AUDIT PASSED" in words
        assert run([*command, "--json", "--rounds", "1:2"]) == int(spoil)
        told = json.loads(capsys.readouterr().out)
        assert told["ok"] is not spoil and told["rounds"] == [{"model": "law", "round": n} for n in (1, 2)]
        assert bool(told["findings"]) is spoil
        assert run([*command, "--rounds", "5:2"]) == 1
        assert run(["--network", str(tmp_path / "network.json"), "audit", "medicine"]) == 1
    finally:
        history.store.blobs[digest] = original
