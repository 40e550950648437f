"""A round's record checked against itself: commitments, seeds, assignment, scores, consensus, quorum, heads attested.

Everything here comes from the chain alone. What an event says is compared with what a view function returns, and both
with what :mod:`contracts.reference` computes from the revealed scores and the frozen stakes.
"""

from __future__ import annotations

from client.assignment import assign_shards, assigned_datasets, shard_list
from client.audit_facts import RoundFacts
from client.audit_log import AuditChain, AuditLog
from client.commitments import delta_commitment, evaluation_seed, round_seed
from client.types import DatasetInfo
from contracts.enums import DeltaKind, VoidReason
from contracts.reference import consensus, is_quorum, weights_q16

_NOTHING = bytes(32)


def check_round(chain: AuditChain, log: AuditLog, facts: RoundFacts, datasets: list[DatasetInfo]) -> None:
    """All checks of one settled round."""
    _check_opening(chain, log, facts)
    _check_seeds(chain, log, facts)
    _check_deltas(chain, log, facts)
    _check_assignment(chain, log, facts, datasets)
    _check_scores(chain, log, facts)
    _check_consensus(chain, log, facts)
    _check_heads(chain, log, facts)
    _check_outcome(chain, log, facts)


def _check_opening(chain: AuditChain, log: AuditLog, facts: RoundFacts) -> None:
    opened = facts.one("RoundOpened")
    if not log.compare(facts.where, "opening", True, opened is not None) or opened is None:
        return
    info = chain.round(facts.model.id, facts.number)
    recorded = (info.open_block, info.base_head, info.frozen_stake, info.miner_count)
    announced = tuple(opened.args[key] for key in ("openBlock", "baseHead", "frozenStake", "minerCount"))
    log.compare(facts.where, "opening", announced, recorded, "event and storage")
    log.compare(facts.where, "frozen stake", facts.frozen_stake, info.frozen_stake)
    miners = chain.round_miners(facts.model.id, facts.number)
    log.compare(facts.where, "frozen miners", len(miners), info.miner_count)


def _check_seeds(chain: AuditChain, log: AuditLog, facts: RoundFacts) -> None:
    info = chain.round(facts.model.id, facts.number)
    captured = facts.one("SeedCaptured")
    if captured is not None:
        seed = round_seed(chain.block(info.open_block).hash, facts.model.id, facts.number)
        log.compare(facts.where, "seed", seed, bytes(captured.args["seed"]), "event")
        log.compare(facts.where, "seed", seed, info.seed, "storage")
    captured = facts.one("EvaluationSeedCaptured")
    if captured is not None:
        mix = salt_mix([bytes(event.args["salt"]) for event in facts.submissions])
        seed = evaluation_seed(chain.block(info.score_start).hash, mix, facts.model.id, facts.number)
        log.compare(facts.where, "evaluation seed", seed, bytes(captured.args["seed"]), "event")
        log.compare(facts.where, "evaluation seed", seed, info.evaluation_seed, "storage")


def salt_mix(salts: list[bytes]) -> bytes:
    """The running hash of all revealed salts, in submission order: ``mix = keccak256(abi.encode(mix, salt))``."""
    from eth_utils.crypto import keccak

    mix = _NOTHING
    for salt in salts:
        mix = bytes(keccak(mix + salt))
    return mix


def _check_deltas(chain: AuditChain, log: AuditLog, facts: RoundFacts) -> None:
    model, number, where = facts.model.id, facts.number, facts.where
    rounds = chain.contract_address("Rounds")
    committed = {event.args["miner"]: bytes(event.args["commitment"]) for event in facts.all("DeltaCommitted")}
    for miner, commitment in committed.items():
        log.compare(where, "delta commitment", commitment, chain.committed(model, number, miner).delta, miner)
    stored = chain.submissions(model, number)
    log.compare(where, "submissions", len(facts.submissions), len(stored))
    for event, entry in zip(facts.submissions, stored, strict=False):
        args, miner = event.args, event.args["miner"]
        digest, salt = bytes(args["digest"]), bytes(args["salt"])
        bound = delta_commitment(chain.chain_id, rounds, model, number, miner, digest, salt)
        log.compare(where, "delta commitment", bound, committed.get(miner, _NOTHING), f"{miner} as revealed")
        announced = (miner, digest, args["kind"], bytes(args["baseHead"]), tuple(args["datasetIds"]))
        recorded = (entry.miner, entry.digest, int(entry.kind), entry.base_head, tuple(entry.dataset_ids))
        log.compare(where, "submission", announced, recorded, f"{miner}: event and storage")
        log.compare(where, "trained tokens", args["trainedTokens"], entry.trained_tokens, miner)
        opened = facts.one("RoundOpened")
        if opened is not None:
            log.compare(where, "base head", bytes(opened.args["baseHead"]), entry.base_head, miner)


def _check_assignment(chain: AuditChain, log: AuditLog, facts: RoundFacts, datasets: list[DatasetInfo]) -> None:
    """Accepted deltas name exactly the datasets that the round's seed dealt to their miners."""
    info = chain.round(facts.model.id, facts.number)
    accepted = [s for s in chain.submissions(facts.model.id, facts.number) if s.weight_q16 > 0]
    if not accepted or info.seed == _NOTHING:
        return
    usable = {d.id: d.shards for d in datasets if d.model_id == facts.model.id and d.usable_at(info.open_block)}
    hands = assign_shards(info.seed, chain.round_miners(facts.model.id, facts.number), shard_list(usable))
    for entry in accepted:
        if entry.kind != DeltaKind.UPSTREAM:
            dealt = assigned_datasets(hands.get(entry.miner, []))
            log.compare(facts.where, "assignment", dealt, list(entry.dataset_ids), entry.miner)


def _check_scores(chain: AuditChain, log: AuditLog, facts: RoundFacts) -> None:
    model, number, where = facts.model.id, facts.number, facts.where
    revealed = {event.args["validator"]: event.args for event in facts.all("ScoresRevealed")}
    for event in facts.all("ScoresCommitted"):
        who = event.args["validator"]
        stored = chain.committed(model, number, who).score
        log.compare(where, "score commitment", bytes(event.args["commitment"]), stored, who)
    for who, _ in facts.validators:
        entry = chain.scores_of(model, number, who)
        args = revealed.get(who)
        announced = ([], [], _NOTHING) if args is None else (args["scores"], args["reasons"], bytes(args["report"]))
        log.compare(where, "scores", list(announced[0]), list(entry.scores), f"{who}: event and storage")
        log.compare(where, "reasons", list(announced[1]), [int(reason) for reason in entry.reasons], who)
        log.compare(where, "report", announced[2], entry.report, who)


def expected_consensus(facts: RoundFacts) -> list[int]:
    """The consensus of the revealed scores, in micro-nats, in submission order."""
    rows = facts.scores
    return consensus([scores for _, _, scores in rows], [stake for _, stake, _ in rows], len(facts.submissions))


def _check_consensus(chain: AuditChain, log: AuditLog, facts: RoundFacts) -> None:
    reached = facts.one("ConsensusReached")
    stake = sum(stake for _, stake, _ in facts.scores)
    info = chain.round(facts.model.id, facts.number)
    log.compare(facts.where, "scored stake", stake, info.scores_revealed_stake)
    quorum = bool(facts.submissions) and is_quorum(stake, facts.frozen_stake)
    if not quorum or info.void_reason == VoidReason.NO_SEED:
        log.compare(facts.where, "consensus", False, reached is not None, "without quorum there is none")
        return
    if not log.compare(facts.where, "consensus", True, reached is not None, "recorded") or reached is None:
        return
    values = expected_consensus(facts)
    weights = weights_q16(values)
    stored = chain.submissions(facts.model.id, facts.number)
    log.compare(facts.where, "consensus", values, list(reached.args["consensus"]), "event")
    log.compare(facts.where, "consensus", values, [entry.consensus for entry in stored], "storage")
    log.compare(facts.where, "weights", weights, list(reached.args["weightsQ16"]), "event")
    log.compare(facts.where, "weights", weights, [entry.weight_q16 for entry in stored], "storage")


def _check_heads(chain: AuditChain, log: AuditLog, facts: RoundFacts) -> None:
    model, number, where = facts.model.id, facts.number, facts.where
    for event in facts.all("HeadCommitted"):
        who = event.args["validator"]
        stored = chain.committed(model, number, who).head
        log.compare(where, "head commitment", bytes(event.args["commitment"]), stored, who)
    attested = facts.heads
    for who, _ in facts.validators:
        log.compare(where, "attested head", attested.get(who, _NOTHING), chain.head_of(model, number, who), who)
    stake = sum(stake for who, stake in facts.validators if who in attested)
    log.compare(where, "attesting stake", stake, chain.round(model, number).heads_revealed_stake)


def _check_outcome(chain: AuditChain, log: AuditLog, facts: RoundFacts) -> None:
    """Void or final, why, and with which head: from counts, stakes and heads alone."""
    info = chain.round(facts.model.id, facts.number)
    opened, ended = facts.one("RoundOpened"), facts.ended
    if opened is None or ended is None:
        return
    scored = sum(stake for _, stake, _ in facts.scores)
    behind: dict[bytes, int] = {}
    for who, stake in facts.validators:
        if who in facts.heads:
            behind[facts.heads[who]] = behind.get(facts.heads[who], 0) + stake
    head, support = max(behind.items(), key=lambda item: item[1], default=(_NOTHING, 0))
    if not facts.submissions:
        outcome: tuple[object, ...] = ("void", VoidReason.EMPTY)
    elif info.void_reason == VoidReason.NO_SEED:
        outcome = ("void", VoidReason.NO_SEED)  # a block hash was not read in time: nothing on chain to recompute
    elif not is_quorum(scored, facts.frozen_stake):
        outcome = ("void", VoidReason.NO_SCORE_QUORUM)
    elif sum(expected_consensus(facts)) == 0:
        outcome = ("final", bytes(opened.args["baseHead"]), 0)
    elif is_quorum(support, facts.frozen_stake):
        outcome = ("final", head, support)
    else:
        outcome = ("void", VoidReason.NO_HEAD_QUORUM)
    if facts.is_void:
        recorded: tuple[object, ...] = ("void", VoidReason(ended.args["reason"]))
    else:
        recorded = ("final", bytes(ended.args["head"]), ended.args["attestedStake"])
    log.compare(facts.where, "outcome", outcome, recorded, "event")
    stored = ("void", info.void_reason) if facts.is_void else ("final", info.head)
    log.compare(facts.where, "outcome", outcome[:2], stored, "storage")
