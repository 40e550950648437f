"""The audit on a made-up chain of one model and one round: no process, the same verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from client.assignment import assign_shards, assigned_datasets, shard_list
from client.audit import AuditReport, audit
from client.audit_facts import _POLICY
from client.audit_rounds import salt_mix
from client.chain_abi import checksum
from client.cli.audit import as_plain, parse_rounds
from client.commitments import delta_commitment, evaluation_seed, round_seed
from client.errors import ConfigError
from client.replay import Accepted, build_next_head, load_state, publish
from client.types import (
    ZERO_ADDRESS,
    BlockInfo,
    CommittedInfo,
    CommitteeInfo,
    DatasetInfo,
    DatasetStatus,
    Event,
    ModelInfo,
    Policy,
    RoundInfo,
    ScoreInfo,
    SubmissionInfo,
)
from contracts import reference
from contracts.enums import DeltaKind, Level, Phase, Role, ScoreReason, VoidReason
from tests.unit.test_replay import World, make_world

ROUNDS, STAKING, REWARDS, CHANNELS, TREASURY, DATA = (checksum("0x" + digit * 40) for digit in "a12345")
MINERS = [checksum("0x" + "b1" * 20), checksum("0x" + "b2" * 20)]
VALIDATORS = [(checksum("0x" + "c1" * 20), 60), (checksum("0x" + "c2" * 20), 40)]
OWNER = checksum("0x" + "d1" * 20)
POLICY = Policy(4, 4, 4, 4, 4, 4, 4)
VESTING = 30
END = 38  # the first block after the round
SCORES = [[900, 300], [800, 500]]
SALT = b"\x07" * 32
SUPPLY = 10**7 * 10**18
UNEARNED: dict[str, Any] = {"modelId": 1, "round": 0, "account": OWNER, "kind": 4, "amount": 9, "unlockBlock": 0}
UNEARNED_ROUND: dict[str, Any] = {"modelId": 1, "round": 2, "emission": 1, "carriedIn": 0, "minted": 1, "carriedOut": 0}


@dataclass
class MadeUpChain:
    """Answers from tables; a test may change any of them."""

    model_info: ModelInfo
    info: RoundInfo
    entries: list[SubmissionInfo]
    scores: dict[str, ScoreInfo]
    commitments: dict[str, CommittedInfo]
    heads: dict[str, bytes]
    dataset_list: list[DatasetInfo]
    all_events: list[Event] = field(default_factory=list)
    balances: dict[str, int] = field(default_factory=dict)
    shares: dict[str, int] = field(default_factory=dict)
    miner_stakes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MINERS, 5))
    seated: list[tuple[str, int]] = field(default_factory=lambda: list(VALIDATORS))
    carried: int = 0
    chain_id: int = 5

    def block_number(self) -> int:
        return 1000

    def block(self, number: int | None = None) -> BlockInfo:
        return BlockInfo(number or 0, 0, (number or 0).to_bytes(32, "big"))

    def contract_address(self, contract: str) -> str:
        known = {"Rounds": ROUNDS, "Staking": STAKING, "Rewards": REWARDS, "InferenceChannels": CHANNELS}
        return {**known, "DataRegistry": DATA}[contract]

    def token_balance(self, address: str, block: int | None = None) -> int:
        return self.balances.get(address, 0)

    def total_supply(self, block: int | None = None) -> int:
        return sum(self.balances.values())

    def models(self) -> list[ModelInfo]:
        return [self.model_info]

    def model(self, name_or_id: str | int) -> ModelInfo:
        return self.model_info

    def datasets(self, model_id: int | None = None, block: int | None = None) -> list[DatasetInfo]:
        return self.dataset_list

    def stake_of(self, account: str, model_id: int, role: Role, block: int | None = None) -> int:
        return dict(VALIDATORS).get(account, 0) if role == Role.VALIDATOR else self.miner_stakes.get(account, 0)

    def seats(self, model_id: int, block: int) -> list[tuple[str, int]]:
        return self.seated

    def member_since(self, model_id: int, role: Role, account: str, block: int | None = None) -> int:
        return 1

    def missed_of(self, model_id: int, validator: str) -> int:
        return 0

    def unbonding_blocks(self) -> int:
        return 40

    def vesting_blocks(self) -> int:
        return VESTING

    def start_block(self) -> int:
        return 0

    def windows(self, model_id: int, number: int) -> tuple[int, ...]:
        return POLICY.phases

    def committee(self, model_id: int, number: int, group: int) -> CommitteeInfo:
        return CommitteeInfo(group, tuple(who for who, _ in VALIDATORS), tuple(stake for _, stake in VALIDATORS))

    def current(self, model_id: int, block: int | None = None) -> int:
        return 1

    def round(self, model_id: int, number: int, block: int | None = None) -> RoundInfo:
        return self.info

    def submissions(self, model_id: int, number: int, block: int | None = None) -> list[SubmissionInfo]:
        return self.entries

    def round_miners(self, model_id: int, number: int) -> list[str]:
        return MINERS

    def round_validators(self, model_id: int, number: int) -> list[tuple[str, int]]:
        return VALIDATORS

    def scores_of(self, model_id: int, number: int, validator: str) -> ScoreInfo:
        return self.scores[validator]

    def committed(self, model_id: int, number: int, account: str) -> CommittedInfo:
        return self.commitments[account]

    def head_of(self, model_id: int, number: int, validator: str) -> bytes:
        return self.heads[validator]

    def carry(self, model_id: int) -> int:
        return self.carried

    def shares_of(self, model_id: int, account: str) -> int:
        return self.shares[account]

    def total_shares(self, model_id: int) -> int:
        return sum(self.shares.values())

    def events(
        self,
        contract: str,
        event: str | None = None,
        from_block: int | None = None,
        to_block: int | None = None,
        **filters: Any,
    ) -> list[Event]:
        return [
            found
            for found in self.all_events
            if found.contract == contract
            and event in (None, found.name)
            and (from_block or 0) <= found.block <= (to_block or 10**9)
            and all(found.args.get(key) == value for key, value in filters.items())
        ]

    def emit(self, contract: str, name: str, **args: Any) -> None:
        place = len(self.all_events)
        early = contract in (
            "Staking",
            "DataRegistry",
            "ModelRegistry",
        )  # stakes and data count from the block before a round opens
        block = place if early else 10 + place
        self.all_events.append(Event(contract, name, args, block, bytes(32), place))

    def change(self, name: str, **args: Any) -> None:
        """Change the first event of that name."""
        place = next(place for place, event in enumerate(self.all_events) if event.name == name)
        event = self.all_events[place]
        self.all_events[place] = replace(event, args={**event.args, **args})


@pytest.fixture
def made(tmp_path: Path) -> tuple[MadeUpChain, World]:
    """An honest round, settled by the reference arithmetic."""
    world = make_world(tmp_path)
    seed = round_seed((10).to_bytes(32, "big"), 1, 1)
    hands = assign_shards(seed, MINERS, shard_list({1: 3, 2: 5}))
    used = [tuple(assigned_datasets(hands[miner])) for miner in MINERS]
    digests = [world.delta(miner) for miner in MINERS]
    consensus = reference.consensus(SCORES, [stake for _, stake in VALIDATORS])
    weights = reference.weights_q16(consensus)
    accepted = [Accepted(d, w, m) for d, w, m in zip(digests, weights, MINERS, strict=True)]
    head = publish(
        world.store, build_next_head(load_state(world.store, world.digest), 1, 1, accepted, world.store, tmp_path)
    )
    entries = [
        SubmissionInfo(i, MINERS[i], digests[i], DeltaKind.TRAIN, world.digest, used[i], 100, consensus[i], weights[i])
        for i in range(2)
    ]
    evaluation = evaluation_seed((20).to_bytes(32, "big"), salt_mix([SALT, SALT]), 1, 1)
    bound = {m: delta_commitment(5, ROUNDS, 1, 1, m, d, SALT) for m, d in zip(MINERS, digests, strict=True)}
    chain = MadeUpChain(
        model_info=ModelInfo(1, 0, Level.FIELD, "law", "law", world.digest, head, 1, OWNER),
        info=RoundInfo(
            1, 1, Phase.FINAL, 0, 10, 20, seed, evaluation, world.digest, 100, 2, 2, 2, 100, 100, VoidReason.NONE, head,
            True, 2, POLICY.committee, POLICY.kappa_bps, POLICY.quorum_bps, 1, True, True, False,
            world.digest,
        ),
        entries=entries,
        scores={
            who: ScoreInfo(who, tuple(row), (ScoreReason.OK,) * 2, SALT)
            for (who, _), row in zip(VALIDATORS, SCORES, strict=True)
        },
        commitments={
            **{miner: CommittedInfo(bound[miner], bytes(32), bytes(32)) for miner in MINERS},
            **{who: CommittedInfo(bytes(32), b"\x01" * 32, b"\x02" * 32) for who, _ in VALIDATORS},
        },
        heads={who: head for who, _ in VALIDATORS},
        dataset_list=[
            DatasetInfo(number, 1, OWNER, bytes(32), "CC0", 1, shards, 1, DatasetStatus.ACCEPTED, 5, 0, 8_000)
            for number, shards in ((1, 3), (2, 5))
        ],
    )  # fmt: skip
    tell_round(chain, bound, consensus, weights, head)
    pay(chain, consensus, used)
    return chain, world


def tell_round(
    chain: MadeUpChain, bound: dict[str, bytes], consensus: list[int], weights: list[int], head: bytes
) -> None:
    base: dict[str, Any] = {"modelId": 1, "round": 1}
    chain.emit("StrataToken", "Transfer", **{"from": ZERO_ADDRESS, "to": TREASURY, "value": SUPPLY})
    for who, stake in VALIDATORS:
        chain.emit("Staking", "Staked", account=who, modelId=1, role=2, amount=stake, total=stake)
        chain.emit("StrataToken", "Transfer", **{"from": TREASURY, "to": STAKING, "value": stake})
    chain.emit("ModelRegistry", "PolicySet", id=1, policy=dict(zip(_POLICY, POLICY.as_tuple(), strict=True)))
    for number in (1, 2):
        chain.emit("DataRegistry", "DatasetAnnounced", commitment=bytes([number]) * 32)
        chain.emit("DataRegistry", "DatasetRegistered", id=number, modelId=1, owner=OWNER)
        chain.emit("DataRegistry", "DatasetAccepted", id=number, blockNumber=5, value=8_000)
    info = chain.info
    chain.emit("Rounds", "RoundOpened", **base, openBlock=10, baseHead=info.base_head, frozenStake=100, minerCount=2)
    for miner in MINERS:
        chain.emit("Rounds", "DeltaCommitted", **base, miner=miner, commitment=bound[miner])
    for entry in chain.entries:
        chain.emit(
            "Rounds", "DeltaRevealed", **base, miner=entry.miner, index=entry.index, digest=entry.digest, kind=0,
            baseHead=entry.base_head, datasetIds=entry.dataset_ids, trainedTokens=100, salt=SALT,
        )  # fmt: skip
    for who, _ in VALIDATORS:
        chain.emit("Rounds", "ScoresCommitted", **base, validator=who, commitment=b"\x01" * 32)
    for (who, _), row in zip(VALIDATORS, SCORES, strict=True):
        chain.emit("Rounds", "ScoresRevealed", **base, validator=who, scores=row, reasons=[0, 0], report=SALT)
    chain.emit("Rounds", "ConsensusPage", **base, **{"from": 0}, consensus=consensus)
    chain.emit("Rounds", "ConsensusReached", **base, total=sum(consensus), submissions=2)
    chain.emit("Rounds", "SeedCaptured", **base, seed=info.seed)
    chain.emit("Rounds", "EvaluationSeedCaptured", **base, seed=info.evaluation_seed)
    for who, _ in VALIDATORS:
        chain.emit("Rounds", "HeadCommitted", **base, validator=who, commitment=b"\x02" * 32)
        chain.emit("Rounds", "HeadRevealed", **base, validator=who, head=head)
    chain.emit("Rounds", "RoundFinalized", **base, head=head, attestedStake=100)


def pay(chain: MadeUpChain, consensus: list[int], used: list[tuple[int, ...]]) -> None:
    base: dict[str, Any] = {"modelId": 1, "round": 1}
    miners = tuple(zip(MINERS, consensus, strict=True))
    stakes = [stake for _, stake in VALIDATORS]
    bonds = [reference.bonds_after([0, 0], [row[m] for row in SCORES], stakes, consensus[m]) for m in range(2)]
    sums = reference.bond_sums(bonds, consensus)
    voters = tuple(
        (who, reference.validator_weight(power, reference.agreement(row, consensus), True, True))
        for (who, _), row, power in zip(VALIDATORS, SCORES, sums, strict=True)
    )
    owners = tuple(reference.data_weights(consensus, used, lambda _: OWNER, lambda _: 8_000))
    ended = reference.Ended(False, miners, voters, owners)
    emission = reference.emission_for(reference.emission_at(10), END - 10, 100, 100)
    pools = {who: reference.Pool(stake, 0, 1000) for who, stake in VALIDATORS}
    split = reference.split_emission(ended, emission, 0, 10**26, pools=pools)
    unlock = chain.all_events[-1].block + VESTING
    for payment in split.payments:
        line = {"account": payment.account, "kind": int(payment.kind), "amount": payment.amount}
        chain.emit("Rewards", "RewardCredited", **base, **line, unlockBlock=unlock)
    for who, amount in reference.divide_shares(1, miners, owners):
        chain.emit("Rewards", "SharesMinted", **base, account=who, shares=amount)
        chain.shares[who] = chain.shares.get(who, 0) + amount
    chain.emit("Rewards", "TreasuryPaid", **base, amount=split.treasury)
    carried = {"carriedIn": 0, "minted": split.minted, "carriedOut": split.carried_out}
    chain.emit("Rewards", "EmissionSettled", **base, emission=split.emission, **carried)
    chain.emit("Rounds", "RoundSettled", **base)
    chain.emit("StrataToken", "Transfer", **{"from": ZERO_ADDRESS, "to": REWARDS, "value": split.minted})
    chain.emit("StrataToken", "Transfer", **{"from": REWARDS, "to": TREASURY, "value": split.treasury})
    chain.carried = split.carried_out
    chain.balances = {
        TREASURY: SUPPLY - 100 + split.treasury, STAKING: 100, REWARDS: split.minted - split.treasury, CHANNELS: 0,
    }  # fmt: skip


def checks(report: AuditReport) -> set[str]:
    return {finding.check for finding in report.findings}


def test_audit_when_all_is_honest_then_passes_and_tells_its_progress(made: tuple[MadeUpChain, World]) -> None:
    chain, world = made
    told: list[tuple[str, int, int]] = []
    report = audit(chain, world.store, progress=lambda *step: told.append(step))
    assert report.findings == () and report.ok and len(report.skipped) == 2  # no salts, no reports
    assert report.rounds == (("law", 1),) and sum(report.counts.values()) > 60
    assert any("head of round 1" in what for what, _, _ in told)


def test_audit_when_one_byte_of_a_delta_changes_then_fails(made: tuple[MadeUpChain, World]) -> None:
    chain, world = made
    for place in (0, 40, -1):
        digest = chain.entries[0].digest
        original = world.store.blobs[digest]
        spoiled = bytearray(original)
        spoiled[place] ^= 1
        world.store.blobs[digest] = bytes(spoiled)
        report = audit(chain, world.store)
        assert not report.ok and "delta" in checks(report)
        assert any(MINERS[0] in finding.subject for finding in report.findings)
        world.store.blobs[digest] = original


def test_audit_when_a_store_does_not_verify_then_the_delta_is_hashed_here(
    made: tuple[MadeUpChain, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, world = made
    digest, other = (entry.digest for entry in chain.entries)
    honest = world.store.get

    def lie(wanted: bytes, *limits: Any) -> bytes:
        return honest(other if wanted == digest else wanted, *limits)

    monkeypatch.setattr(world.store, "get", lie)
    assert "delta" in checks(audit(chain, world.store))


def change_scores(chain: MadeUpChain) -> None:
    who = VALIDATORS[0][0]
    chain.scores[who] = replace(chain.scores[who], scores=(901, 300))


def change_both(chain: MadeUpChain) -> None:
    who = VALIDATORS[0][0]
    chain.scores[who] = replace(chain.scores[who], scores=(700, 300))
    chain.change("ScoresRevealed", scores=[700, 300])


@pytest.mark.parametrize(
    ("tamper", "check"),
    [
        (change_scores, "scores"),
        (lambda chain: chain.change("ScoresRevealed", scores=[900, 301]), "scores"),
        (change_both, "weights_sha256"),
        (change_both, "rewards"),
        (change_both, "consensus"),
        (lambda chain: chain.change("DeltaCommitted", commitment=SALT), "delta commitment"),
        (lambda chain: chain.change("DeltaRevealed", salt=b"\x08" * 32), "evaluation seed"),
        (lambda chain: chain.change("SeedCaptured", seed=SALT), "seed"),
        (lambda chain: chain.change("RoundFinalized", attestedStake=99), "outcome"),
        (lambda chain: chain.change("RoundOpened", frozenStake=99), "opening"),
        (lambda chain: chain.change("ConsensusReached", total=1), "consensus"),
        (lambda chain: chain.change("ConsensusPage", consensus=[1, 2]), "consensus"),
        (lambda chain: chain.change("RewardCredited", unlockBlock=5), "unlock block"),
        (lambda chain: chain.change("DatasetAccepted", value=5), "dataset"),
        (lambda chain: chain.change("Staked", total=5), "stake"),
        (lambda chain: chain.seated.pop(), "seats"),
        (lambda chain: chain.miner_stakes.clear(), "seats"),
        (lambda chain: chain.emit("Rewards", "Claimed", account=OWNER, amount=10**30), "claim"),
        (lambda chain: chain.emit("Staking", "Slashed", account=MINERS[0], modelId=1, role=1, amount=5), "slash"),
        (lambda chain: chain.emit("Staking", "Withdrawn", account=OWNER, amount=5), "withdrawal"),
        (lambda chain: chain.change("EmissionSettled", emission=5), "emission"),
        (lambda chain: chain.change("RewardCredited", account=OWNER), "rewards"),
        (lambda chain: chain.change("SharesMinted", shares=5), "shares"),
        (lambda chain: chain.change("TreasuryPaid", amount=5), "treasury"),
        (lambda chain: chain.emit("Rewards", "RewardCredited", **UNEARNED), "fee payments"),
        (lambda chain: chain.emit("Rewards", "EmissionSettled", **UNEARNED_ROUND), "settlement"),
        (lambda chain: chain.balances.update({OWNER: 1}), "conservation"),
        (lambda chain: chain.balances.update({STAKING: 99}), "escrow"),
        (lambda chain: chain.shares.update({OWNER: 1}), "total shares"),
        (lambda chain: chain.heads.update({VALIDATORS[0][0]: SALT}), "attested head"),
        (lambda chain: chain.dataset_list.pop(), "assignment"),
    ],
)  # fmt: skip
def test_audit_when_the_record_is_changed_then_names_the_check(
    made: tuple[MadeUpChain, World], tamper: Callable[[MadeUpChain], object], check: str
) -> None:
    chain, world = made
    tamper(chain)
    if check == "assignment":
        chain.dataset_list.append(replace(chain.dataset_list[0], id=2, shards=50, accepted_block=500))
    report = audit(chain, world.store)
    assert check in checks(report)
    assert not as_plain(report)["ok"]


def test_audit_when_the_attested_head_is_another_then_fails_bit_for_bit(made: tuple[MadeUpChain, World]) -> None:
    chain, world = made
    accepted = [Accepted(entry.digest, 20000, entry.miner) for entry in chain.entries]
    state = load_state(world.store, world.digest)
    forged = publish(world.store, build_next_head(state, 1, 1, accepted, world.store, world.folder))
    chain.info = replace(chain.info, head=forged)
    chain.model_info = replace(chain.model_info, head=forged)
    chain.heads = {who: forged for who, _ in VALIDATORS}
    chain.all_events = [
        replace(event, args={**event.args, "head": forged}) if "head" in event.args else event
        for event in chain.all_events
    ]
    report = audit(chain, world.store)
    assert checks(report) == {"head", "head manifest", "weights_sha256", "momentum_sha256"}


def test_audit_when_a_model_has_no_round_then_its_genesis_is_hashed(made: tuple[MadeUpChain, World]) -> None:
    chain, world = made
    chain.model_info = replace(chain.model_info, head=world.digest, head_round=0)
    chain.balances = {TREASURY: SUPPLY, STAKING: 0}
    chain.shares = {}
    chain.all_events, chain.dataset_list = chain.all_events[:1], []  # the treasury's tokens
    report = audit(chain, world.store)
    assert report.ok and report.rounds == () and report.counts["genesis"] == 1
    world.store.blobs.pop(bytes.fromhex(world.genesis.weights))
    assert checks(audit(chain, world.store)) == {"genesis"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, None),
        ("3", (3, 3)),
        ("3:5", (3, 5)),
        ("3:", (3, 2**63)),
        (":5", (1, 5)),
        ("3..5", (3, 5)),
        ("..5", (1, 5)),
    ],
)
def test_parse_rounds_when_written_well_then_range(text: str | None, wanted: tuple[int, int] | None) -> None:
    assert parse_rounds(text) == wanted


@pytest.mark.parametrize("text", ["", ":", "..", "5..3", "5:3", "0", "a:b", "-1:2", "1:2:3", "1...3"])
def test_parse_rounds_when_written_badly_then_says_how(text: str) -> None:
    with pytest.raises(ConfigError, match="--rounds"):
        parse_rounds(text)
