"""The protocol's arithmetic in Python: phases, consensus, splits. Integers only, the same as in Solidity.

Each function names its twin; property tests hold the two equal. Anybody can recompute a round's payments from the
chain's events with this file alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from contracts.enums import Phase, RewardKind, VoidReason

BPS = 10_000
ONE_Q16 = 65_536
FULL_AGREEMENT = 1_000_000
HASH_BLOCKS = 256
FIRST_EMISSION = 1000 * 10**18
HALVING_ROUNDS = 100_000
FIRST_SHARES = 1000 * 10**18
SHARES_HORIZON = 100
DATA_UNIT = 720_720
MAX_PAID_DATASETS = 32
MAX_SCORE = 10**9
MAX_MISSED = 3
UNREVEALED_BPS = 10


@dataclass(frozen=True)
class Splits:
    """The table of splits, in basis points (``Rewards.splits``)."""

    emission_miners: int = 5000
    emission_validators: int = 2000
    emission_data: int = 1500
    emission_parent: int = 500
    emission_treasury: int = 1000
    fee_server: int = 6000
    fee_model: int = 2500
    fee_parent: int = 1000
    fee_treasury: int = 500
    parent_on: int = 2000
    shares_miners: int = 8000
    shares_data: int = 2000


SPLITS = Splits()


# --- phases (RoundClock.sol) ----------------------------------------------------------------------


@dataclass(frozen=True)
class RoundFacts:
    """All that a round's phase depends on. Stakes in wei; ``head_stake`` stands behind the leading head."""

    open_block: int
    windows: tuple[int, ...]
    """Lengths of the seven phases in blocks, cut where one closed early."""
    commits: int = 0
    reveals: int = 0
    seed_known: bool = False
    evaluation_seed_known: bool = False
    consensus_known: bool = False
    accepted: bool = False
    """Whether any consensus score is above zero."""
    frozen_stake: int = 0
    scores_stake: int = 0
    head_stake: int = 0


@dataclass(frozen=True)
class PhaseAt:
    """A phase, the first block after it (0 where the round has ended), and why the round is void."""

    phase: Phase
    phase_end: int
    reason: VoidReason = VoidReason.NONE


def phase_at(facts: RoundFacts, block: int) -> PhaseAt:
    """The phase at a block (``RoundClock.phaseAt``)."""
    end_block, phase, reason = ending(facts)
    if block >= end_block:
        return PhaseAt(phase, 0, reason)
    end = facts.open_block
    for index, length in enumerate(facts.windows):
        end += length
        if block < end:
            return PhaseAt(Phase(index + 1), end)
    raise AssertionError("a round that has not ended is in one of its windows")


def start_of(facts: RoundFacts, phase: Phase) -> int:
    """The first block of a phase (``RoundClock.startOf``)."""
    return facts.open_block + sum(facts.windows[: phase - 1])


def ending(facts: RoundFacts) -> tuple[int, Phase, VoidReason]:
    """The first block at which the round has ended as things stand, and how (``RoundClock.ending``)."""
    end: tuple[int, Phase, VoidReason]
    if is_quorum(facts.head_stake, facts.frozen_stake):
        end = (start_of(facts, Phase.FINAL), Phase.FINAL, VoidReason.NONE)
    else:
        end = (start_of(facts, Phase.FINAL), Phase.VOID, VoidReason.NO_HEAD_QUORUM)
    if facts.consensus_known and not facts.accepted:
        end = (start_of(facts, Phase.ATTEST), Phase.FINAL, VoidReason.NONE)
    if not is_quorum(facts.scores_stake, facts.frozen_stake):
        end = (start_of(facts, Phase.ATTEST), Phase.VOID, VoidReason.NO_SCORE_QUORUM)
    lost = _seed_lost(facts)
    if lost is not None and lost < end[0]:
        end = (lost, Phase.VOID, VoidReason.NO_SEED)
    empty = _empty_from(facts)
    if empty is not None and empty <= end[0]:
        end = (empty, Phase.VOID, VoidReason.EMPTY)
    return end


def is_quorum(stake: int, frozen_stake: int) -> bool:
    """Two thirds of all frozen stake."""
    return stake * 3 >= frozen_stake * 2


def _seed_lost(facts: RoundFacts) -> int | None:
    if not facts.seed_known:
        return facts.open_block + HASH_BLOCKS + 1
    if not facts.evaluation_seed_known:
        return start_of(facts, Phase.SCORE) + HASH_BLOCKS + 1
    return None


def _empty_from(facts: RoundFacts) -> int | None:
    if facts.commits == 0:
        return start_of(facts, Phase.REVEAL)
    if facts.reveals == 0:
        return start_of(facts, Phase.SCORE)
    return None


# --- consensus (Consensus.sol) --------------------------------------------------------------------


def consensus(scores: Sequence[Sequence[int]], stakes: Sequence[int], submissions: int | None = None) -> list[int]:
    """Per submission the greatest score that validators with at least half of the revealed stake reach or pass.

    ``scores`` has one list per validator, in micro-nats, in submission order.
    """
    if len(scores) != len(stakes):
        raise ValueError(f"{len(scores)} validators' scores, but {len(stakes)} stakes")
    count = submissions if submissions is not None else (len(scores[0]) if scores else 0)
    total = sum(stakes)
    values = []
    for m in range(count):
        reached, value = 0, 0
        for score, stake in sorted(((row[m], stake) for row, stake in zip(scores, stakes, strict=True)), reverse=True):
            reached += stake
            if reached * 2 >= total:
                value = score
                break
        values.append(value)
    return values


def weights_q16(consensus_scores: Sequence[int]) -> list[int]:
    """Mixing weights in 1/65536, rounded down; all zero where no consensus is above zero."""
    total = sum(consensus_scores)
    return [score * ONE_Q16 // total if total else 0 for score in consensus_scores]


def agreement(scores: Sequence[int], consensus_scores: Sequence[int]) -> int:
    """How much of a validator's scores the consensus shares, in millionths: sum of minima over sum of maxima."""
    high = sum(map(max, scores, consensus_scores))
    return sum(map(min, scores, consensus_scores)) * FULL_AGREEMENT // high if high else FULL_AGREEMENT


# --- payments (Splitting.sol, Settling.sol, Rewards.sol) ------------------------------------------


def emission_at(settled_rounds: int) -> int:
    """Wei that a round emits for a model with all stake, after so many settled rounds of all models."""
    return FIRST_EMISSION >> (settled_rounds // HALVING_ROUNDS)


def emission_for(settled_rounds: int, model_stake: int, global_stake: int) -> int:
    """A model's part of a round's emission, in wei."""
    if global_stake == 0:
        return 0
    return emission_at(settled_rounds) * min(model_stake, global_stake) // global_stake


def shares_for_round(round_number: int) -> int:
    """Shares (18 decimals) that the model's accepted round of this number mints, at most."""
    return FIRST_SHARES * SHARES_HORIZON // (SHARES_HORIZON + round_number)


def data_weights(
    consensus_scores: Sequence[int], dataset_ids: Sequence[Sequence[int]], owner_of: Callable[[int], str]
) -> list[tuple[str, int]]:
    """Contributors and their weights: each delta's consensus, divided equally by the datasets that it names."""
    weights: dict[int, int] = {}
    for score, ids in zip(consensus_scores, dataset_ids, strict=True):
        for dataset in ids if score else ():
            if dataset in weights or len(weights) < MAX_PAID_DATASETS:
                weights[dataset] = weights.get(dataset, 0) + score * DATA_UNIT // len(ids)
    return [(owner_of(dataset), weight) for dataset, weight in weights.items()]


def validator_weight(stake: int, agreement_: int, revealed: bool, attested_winner: bool) -> int:
    """Stake times agreement, zero without full part. ``attested_winner`` is true where nothing was to attest."""
    return stake * agreement_ if revealed and attested_winner else 0


def divide(amount: int, weights: Sequence[int]) -> list[int]:
    """``amount`` by weights, each rounded down."""
    total = sum(weights)
    return [amount * weight // total if total else 0 for weight in weights]


def divide_shares(
    round_number: int,
    miners: Sequence[tuple[str, int]],
    contributors: Sequence[tuple[str, int]],
    splits: Splits = SPLITS,
) -> list[tuple[str, int]]:
    """Shares minted, in the order of their events; zero ones are left out."""
    total = shares_for_round(round_number)
    minted = []
    for people, bps in ((miners, splits.shares_miners), (contributors, splits.shares_data)):
        amounts = divide(total * bps // BPS, [weight for _, weight in people])
        minted += [(who, amount) for (who, _), amount in zip(people, amounts, strict=True) if amount]
    return minted


@dataclass(frozen=True)
class Ended:
    """What ``Rounds`` says of a round that ended: stakes in wei at its opening, (account, weight) lists."""

    is_void: bool
    model_stake: int
    global_stake: int
    miners: tuple[tuple[str, int], ...] = ()
    validators: tuple[tuple[str, int], ...] = ()
    contributors: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Ancestor:
    """A parent on the way up: its model id and whether anybody holds its shares."""

    model_id: int
    has_shares: bool


@dataclass(frozen=True)
class Payment:
    """Wei credited to an account."""

    account: str
    kind: RewardKind
    amount: int


@dataclass(frozen=True)
class EmissionSplit:
    """How a round's emission was divided, in wei."""

    emission: int
    carried_in: int
    minted: int
    carried_out: int
    payments: list[Payment] = field(default_factory=list)
    dividends: list[tuple[int, int]] = field(default_factory=list)
    """(model id, amount) that parents' shareholders got."""
    treasury: int = 0


def climb(amount: int, ancestors: Sequence[Ancestor], splits: Splits = SPLITS) -> list[tuple[int, int]]:
    """(model id, amount) that found shareholders on the way from the parent up to the root."""
    paid = []
    for index, ancestor in enumerate(ancestors):
        if amount == 0:
            break
        on = amount * splits.parent_on // BPS if index + 1 < len(ancestors) else 0
        if ancestor.has_shares:
            paid.append((ancestor.model_id, amount - on))
        amount = on
    return paid


def split_emission(
    ended: Ended,
    settled_rounds: int,
    carried_in: int,
    mintable: int,
    ancestors: Sequence[Ancestor] = (),
    splits: Splits = SPLITS,
) -> EmissionSplit:
    """Divide a settled round's emission (``Rewards.settle``). ``mintable`` is what the cap leaves, in wei."""
    emission = emission_for(settled_rounds, ended.model_stake, ended.global_stake)
    total = emission + carried_in
    if ended.is_void:
        return EmissionSplit(emission, carried_in, 0, total)
    pot = min(total, mintable)
    accepted = sum(weight for _, weight in ended.miners) > 0
    keep = 0 if accepted else pot * (splits.emission_miners + splits.emission_data) // BPS
    minted = pot - keep
    groups = [(RewardKind.VALIDATOR, ended.validators, splits.emission_validators)]
    if accepted:
        groups.append((RewardKind.MINER, ended.miners, splits.emission_miners))
        groups.append((RewardKind.DATA, ended.contributors, splits.emission_data))
    payments = []
    for kind, people, bps in groups:
        amounts = divide(pot * bps // BPS, [weight for _, weight in people])
        payments += [Payment(who, kind, amount) for (who, _), amount in zip(people, amounts, strict=True) if amount]
    dividends = climb(pot * splits.emission_parent // BPS, ancestors, splits)
    paid = sum(payment.amount for payment in payments) + sum(amount for _, amount in dividends)
    return EmissionSplit(emission, carried_in, minted, keep, payments, dividends, minted - paid)


@dataclass(frozen=True)
class FeeSplit:
    """How a fee was divided, in wei. ``treasury`` includes parts without a payee."""

    server: int
    model: int
    parents: list[tuple[int, int]]
    treasury: int


def split_fee(amount: int, has_shares: bool, ancestors: Sequence[Ancestor] = (), splits: Splits = SPLITS) -> FeeSplit:
    """Divide an inference fee (``Rewards.addFee``). ``has_shares``: whether anybody holds the model's shares."""
    server = amount * splits.fee_server // BPS
    model = amount * splits.fee_model // BPS if has_shares else 0
    parents = climb(amount * splits.fee_parent // BPS, ancestors, splits)
    return FeeSplit(server, model, parents, amount - server - model - sum(part for _, part in parents))


def missed_after(missed: int, took_full_part: bool) -> tuple[int, bool]:
    """A validator's count of missed rounds after one more, and whether it is dropped now (its count restarts)."""
    if took_full_part:
        return 0, False
    return (0, True) if missed + 1 >= MAX_MISSED else (missed + 1, False)


def slashed(stake: int, unbonding: Mapping[int, int] | None = None, bps: int = UNREVEALED_BPS) -> int:
    """Wei that a slash takes: of the stake, and of each waiting withdrawal (rounded down one by one)."""
    return stake * bps // BPS + sum(amount * bps // BPS for amount in (unbonding or {}).values())
