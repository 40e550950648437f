"""A round's record checked against itself: commitments, seeds, assignment, scores, consensus, quorum, heads attested.

Everything here comes from the chain alone. What an event says is compared with what a view function returns, and both
with what :mod:`contracts.reference` computes from the revealed scores, the committees and the frozen stakes.
"""

from __future__ import annotations

from itertools import pairwise

from client.assignment import assign_shards, assigned_datasets, shard_list
from client.audit_facts import RoundFacts, policy_before
from client.audit_log import AuditChain, AuditLog
from client.commitments import delta_commitment, evaluation_seed, round_seed
from client.types import DatasetInfo, Event
from contracts.enums import DeltaKind, Role, VoidReason
from contracts.reference import is_quorum, missed_after, weights_q16

_NOTHING = bytes(32)


def check_round(chain: AuditChain, log: AuditLog, facts: RoundFacts, datasets: list[DatasetInfo]) -> None:
    """All checks of one settled round."""
    _check_opening(chain, log, facts)
    _check_seats(chain, log, facts)
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


def _check_seats(chain: AuditChain, log: AuditLog, facts: RoundFacts) -> None:
    """Who sits in the round is who sat in ``Staking`` in the block before, with that stake; so with its rules."""
    before = facts.open_block - 1
    seated = [(who, stake) for who, stake in chain.seats(facts.model.id, before) if stake]
    log.compare(facts.where, "seats", seated, list(facts.validators), "validators and their stakes (wei)")
    for who, stake in facts.validators:
        counted = chain.stake_of(who, facts.model.id, Role.VALIDATOR, before)
        log.compare(facts.where, "seats", counted, stake, f"{who} in the block before (wei)")
    for event in facts.all("DeltaCommitted"):
        miner = event.args["miner"]
        counted = chain.stake_of(miner, facts.model.id, Role.MINER, before)
        log.compare(facts.where, "seats", True, counted > 0, f"{miner} had stake in the block before")
    opened = facts.one("RoundOpened")
    if opened is None:
        return
    rules = policy_before(chain, facts.model.id, opened)
    recorded = (facts.info.committee, facts.info.kappa_bps, facts.info.quorum_bps)
    log.compare(facts.where, "policy", (rules.committee, rules.kappa_bps, rules.quorum_bps), recorded, "thresholds")


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
    for place, (who, _) in enumerate(facts.validators):
        entry = chain.scores_of(model, number, who)
        args = revealed.get(who)
        if args is not None:
            log.compare(where, "dealt", len(facts.dealt(place)), len(args["scores"]), f"{who}: how many it judged")
        announced = ([], [], _NOTHING) if args is None else (args["scores"], args["reasons"], bytes(args["report"]))
        log.compare(where, "scores", list(announced[0]), list(entry.scores), f"{who}: event and storage")
        log.compare(where, "reasons", list(announced[1]), [int(reason) for reason in entry.reasons], who)
        log.compare(where, "report", announced[2], entry.report, who)


def _check_consensus(chain: AuditChain, log: AuditLog, facts: RoundFacts) -> None:
    reached, pages = facts.one("ConsensusReached"), facts.all("ConsensusPage")
    log.compare(facts.where, "scored stake", facts.scored_stake, facts.info.scores_revealed_stake)
    if not facts.has_consensus:
        log.compare(facts.where, "consensus", False, bool(reached or pages), "without quorum there is none")
        return
    if not log.compare(facts.where, "consensus", True, reached is not None, "recorded") or reached is None:
        return
    values = facts.consensus
    paged = [int(value) for page in pages for value in page.args["consensus"]]
    starts = [int(page.args["from"]) for page in pages]
    log.compare(facts.where, "consensus", values, paged, "events")
    log.compare(facts.where, "consensus", _starts(pages), starts, "where the pages begin")
    told = (int(reached.args["total"]), int(reached.args["submissions"]))
    log.compare(facts.where, "consensus", (sum(values), len(values)), told, "their sum and number")
    stored = chain.submissions(facts.model.id, facts.number)
    log.compare(facts.where, "consensus", values, [entry.consensus for entry in stored], "storage")
    log.compare(facts.where, "weights", weights_q16(values), [entry.weight_q16 for entry in stored], "storage")
    for group, weights in enumerate(facts.committees):
        members = [who for (who, _), weight in zip(facts.validators, weights, strict=True) if weight]
        drawn = chain.committee(facts.model.id, facts.number, group)
        listed = (members, [weight for weight in weights if weight])
        log.compare(facts.where, "committee", listed, (list(drawn.members), list(drawn.weights)), f"group {group}")


def _starts(pages: list[Event]) -> list[int]:
    starts, total = [], 0
    for page in pages:
        starts.append(total)
        total += len(page.args["consensus"])
    return starts


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
    head, support = _leading(facts)
    if not facts.submissions:
        outcome: tuple[object, ...] = ("void", VoidReason.EMPTY)
    elif info.void_reason == VoidReason.NO_SEED:
        outcome = ("void", VoidReason.NO_SEED)  # a block hash was not read in time: nothing on chain to recompute
    elif not facts.has_consensus:
        outcome = ("void", VoidReason.NO_SCORE_QUORUM)
    elif not facts.accepted:
        outcome = ("final", facts.parent_head, 0)
    elif is_quorum(support, facts.frozen_stake, info.quorum_bps):
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
    log.compare(facts.where, "settled", True, facts.settled is not None, "to the last page")
    told = [(event.args["miner"], int(event.args["index"])) for event in facts.all("DeltaInvalid")]
    wrong = [(facts.submissions[i].args["miner"], i) for i in facts.invalid] if not facts.is_void else []
    log.compare(facts.where, "malformed deltas", wrong, told, "miners and their places")


def _leading(facts: RoundFacts) -> tuple[bytes, int]:
    """The head with most stake behind it; of equals the one that had so much first."""
    stakes, behind = dict(facts.validators), dict[bytes, int]()
    best, support = _NOTHING, 0
    for event in facts.all("HeadRevealed"):
        head = bytes(event.args["head"])
        behind[head] = behind.get(head, 0) + stakes.get(event.args["validator"], 0)
        if behind[head] > support:
            best, support = head, behind[head]
    return best, support


def check_overlap(log: AuditLog, rounds: list[RoundFacts], selected: frozenset[int]) -> None:
    """How a model's rounds follow each other: in order, at most two unsettled, and which heads each starts from.

    A round's base head is the one that the model had when the round opened, its parent head the one that the round
    before left. So a delta's base is at most one behind what it is judged on.
    """
    for before, facts in pairwise([None, *rounds]):
        if facts is None or facts.number not in selected:
            continue
        opened, released = facts.one("RoundOpened"), facts.one("RoundReleased")
        settled = None if before is None else before.settled
        held = before is not None and (settled is None or _after(settled, opened))
        log.compare(facts.where, "overlap", held, released is not None, "it waited for the round before")
        parent = facts.model.genesis if before is None else left_by(before)
        log.compare(facts.where, "parent head", parent, facts.parent_head, "what the round before left")
        log.compare(facts.where, "parent head", facts.parent_head, facts.info.parent_head, "storage")
        log.compare(facts.where, "base head", _head_at(rounds, facts), facts.base_head, "the head when it opened")
        if released is None or before is None:
            continue
        log.compare(facts.where, "overlap", False, _after(released, facts.ended), "it ended only once it was let go")
        log.compare(facts.where, "overlap", True, _after(released, settled), "it was let go when that was settled")
        early = before.one("RoundReleased")
        log.compare(facts.where, "overlap", True, not _after(early, opened), "two rounds at once, not three")


def left_by(facts: RoundFacts) -> bytes:
    """The model's head after a round."""
    if facts.is_void or facts.ended is None:
        return facts.parent_head
    return bytes(facts.ended.args["head"])


def _head_at(rounds: list[RoundFacts], facts: RoundFacts) -> bytes:
    """The head of the model when a round opened: of the last round that had ended by then."""
    opened, head = facts.one("RoundOpened"), facts.model.genesis
    for other in rounds:
        if other.number < facts.number and other.ended is not None and not _after(other.ended, opened):
            head = left_by(other)
    return head


def _after(event: Event | None, other: Event | None) -> bool:
    """Whether something happened after something else."""
    if event is None or other is None:
        return False
    return (event.block, event.log_index) > (other.block, other.log_index)


def check_missed(chain: AuditChain, log: AuditLog, rounds: list[RoundFacts], block: int) -> None:
    """Who was silent, how often in a row, and who was dropped for it: over all rounds of a model."""
    counts: dict[str, int] = {}
    for facts in rounds:
        if facts.settled is None or not facts.is_seated:
            continue
        told = {event.args["validator"]: int(event.args["missed"]) for event in facts.all("ValidatorMissed")}
        expected = {}
        for who, _ in facts.validators:
            before = counts.get(who, 0)
            counts[who], _ = missed_after(before, facts.took_part(who))
            if not facts.took_part(who):
                expected[who] = before + 1
        log.compare(facts.where, "missed rounds", expected, told, "how many in a row, by validator")
    if rounds and not chain.events("Rounds", None, block + 1, None):
        model = rounds[0].model
        for who, count in sorted(counts.items()):
            log.compare((model.name, 0), "missed rounds", count, chain.missed_of(model.id, who), who)
