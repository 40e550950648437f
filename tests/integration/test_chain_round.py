"""A whole round on a real chain through the typed calls, and what the queries say of it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from client.chain import Chain
from client.commitments import dataset_commitment, delta_commitment, head_commitment, score_commitment
from client.council import decide, execute, find_proposal, list_model, propose
from client.earnings import claim_all
from client.errors import Reverted, Unfunded, UnknownModel
from client.governance import governance
from client.queries import Filter, balances, contributions, delegations, model_tree, rewards, round_states, stakes
from client.types import ModelInfo, Policy, Reveal
from client.wallet import sign_voucher
from contracts.enums import DeltaKind, Level, Phase, RewardKind, Role, ScoreReason
from tests.conftest import ChainProcess

POLICY = Policy(6, 6, 6, 6, 6, 6, 6)
TOKEN = 10**18
SALT, HEAD, REPORT = b"\x22" * 32, b"\x33" * 32, b"\x44" * 32

Connect = Callable[..., Chain]


@dataclass
class World:
    """Two models, two miners, two validators, a contributor."""

    anvil: ChainProcess
    deployer: Chain
    miners: list[Chain]
    validators: list[Chain]
    contributor: Chain
    model: ModelInfo
    dataset: int

    def args(self, chain: Chain) -> tuple[int, str, int, int, str]:
        """What every commitment binds."""
        return chain.chain_id, chain.contract_address("Rounds"), self.model.id, 1, chain.address


@pytest.fixture
def world(anvil: ChainProcess, connect: Connect) -> World:
    """Everything is registered and staked; no round is open."""
    deployer = connect(0)
    miners, validators, contributor = [connect(1), connect(2)], [connect(3), connect(4)], connect(5)
    accounts = [*miners, *validators, contributor]
    deployer.pay_many([(chain.address, 0, 1000 * TOKEN) for chain in accounts])
    root = deployer.register_model(0, Level.GLOBAL, "global", "general", b"\x01" * 32, POLICY)
    law = deployer.register_model(root.id, Level.FIELD, "law", "law", b"\x02" * 32, POLICY)
    decide(deployer, [list_model(law.id, 10_000)], 10.0)
    for miner in miners:
        miner.stake(law.id, Role.MINER, 10 * TOKEN)
    for validator in validators:
        validator.stake(law.id, Role.VALIDATOR, 100 * TOKEN)
    dataset = contributor.register_dataset(law.id, b"\x55" * 32, "CC0-1.0", 1000, 2, 1)
    for validator in validators:
        validator.vote_dataset(dataset.id, True)
    anvil.mine()
    return World(anvil, deployer, miners, validators, contributor, law, dataset.id)


def _play(world: World, scores: list[int], reasons: list[ScoreReason]) -> None:
    """All phases of the first round, everybody acting."""
    model = world.model.id
    world.deployer.tick(model, 1)
    for number, miner in enumerate(world.miners):
        digest = bytes([number + 1]) * 32
        miner.commit_delta(model, 1, delta_commitment(*world.args(miner), digest, SALT))
    for number, miner in enumerate(world.miners):
        kind = DeltaKind.TRAIN if number == 0 else DeltaKind.DISTIL
        datasets = (world.dataset,) if number == 0 else ()
        miner.reveal_delta(model, 1, Reveal(bytes([number + 1]) * 32, SALT, kind, world.model.head, datasets, 1000))
    for validator in world.validators:
        validator.commit_scores(model, 1, score_commitment(*world.args(validator), scores, reasons, REPORT, SALT))
    for validator in world.validators:
        validator.reveal_scores(model, 1, scores, reasons, REPORT, SALT)
    if any(scores):
        world.deployer.tick(model, 1)
        for validator in world.validators:
            validator.commit_head(model, 1, head_commitment(*world.args(validator), HEAD, SALT))
        for validator in world.validators:
            validator.reveal_head(model, 1, HEAD, SALT)
    world.deployer.tick(model, 1)


def test_round_when_everybody_acts_then_the_head_is_set_and_all_are_paid(world: World) -> None:
    _play(world, [900, 0], [ScoreReason.OK, ScoreReason.COPY])
    info = world.deployer.round(world.model.id, 1)
    assert (info.phase, info.settled, info.head) == (Phase.FINAL, True, HEAD)
    assert world.deployer.head(world.model.id) == HEAD
    submissions = world.deployer.submissions(world.model.id, 1)
    assert [(s.consensus, s.weight_q16) for s in submissions] == [(900, 65536), (0, 0)]
    found = contributions(world.deployer)
    assert [entry.kind for entry in found] == ["DATA", "TRAIN", "DISTIL", "SCORE", "SCORE"]
    data, train, distil, score, _ = found
    assert min(data.paid, train.paid, score.paid) > 0
    assert distil.paid == 0
    assert "copies an earlier delta" in distil.note
    assert set(distil.reasons.values()) == {"COPY"}
    assert len(contributions(world.deployer, Filter(address=world.miners[1].address.lower(), round=1))) == 1


def test_rewards_when_they_have_vested_then_a_claim_pays_what_was_announced(world: World) -> None:
    _play(world, [900, 100], [ScoreReason.OK, ScoreReason.OK])
    miner = world.miners[0]
    before = miner.token_balance(miner.address)
    locked = miner.vesting(miner.address)
    assert locked > 0
    world.anvil.mine(6)
    due = miner.claimable(miner.address, [1, 2])
    assert due >= locked
    miner.claim([1, 2])
    assert miner.token_balance(miner.address) == before + due
    summary = rewards(miner, miner.address)
    assert (summary.claimable, summary.vesting, summary.claimed) == (0, 0, due)
    assert [entry.kind for entry in summary.earned] == [RewardKind.MINER]
    mine = balances(miner, miner.address)
    assert mine.shares["law"] > 0
    assert mine.staked == 10 * TOKEN


def test_round_when_all_scores_are_zero_then_it_is_final_with_the_head_unchanged(world: World) -> None:
    _play(world, [0, 0], [ScoreReason.NO_GAIN, ScoreReason.UNAVAILABLE])
    (state,) = round_states(world.deployer, "law")
    assert state.info.phase == Phase.FINAL
    assert world.deployer.head(world.model.id) == world.model.genesis
    assert "unchanged" in state.note
    notes = [entry.note for entry in contributions(world.deployer, Filter(kinds=frozenset({"TRAIN", "DISTIL"})))]
    assert "no gain on held-out text" in notes[0]
    assert "could not be had" in notes[1]


def test_round_when_nobody_commits_then_it_is_void_and_says_so(world: World) -> None:
    world.deployer.tick(world.model.id)
    opened = world.deployer.round(world.model.id, 1).open_block
    assert world.deployer.phase_at(world.model.id, 1, opened + 6)[:2] == (Phase.COMMIT, opened + 12)
    world.anvil.mine(13)
    (state,) = round_states(world.deployer, "law")
    assert state.info.void_reason.name == "EMPTY"
    assert "waits to be settled" in state.note


def test_commit_when_the_phase_is_over_then_the_refusal_names_both_phases(world: World) -> None:
    world.deployer.tick(world.model.id)
    with pytest.raises(Reverted, match=r"phase TRAIN; that needs SCORE") as caught:
        world.validators[0].commit_scores(world.model.id, 1, b"\x01" * 32)
    assert caught.value.name == "WrongPhase"
    assert caught.value.arguments == (1, 4)


def test_transfer_when_the_account_lacks_tokens_then_it_is_unfunded(world: World) -> None:
    with pytest.raises(Unfunded, match="lacks the tokens"):
        world.miners[0].transfer(world.deployer.address, 10**30)


def test_send_when_the_account_has_no_coins_then_it_is_unfunded(anvil: ChainProcess, connect: Connect) -> None:
    poor = connect(9)
    anvil.rpc("anvil_setBalance", poor.address, "0x0")
    with pytest.raises(Unfunded, match="lacks coins"):
        poor.approve(poor.address, 1)


def test_model_when_unknown_then_the_error_names_those_that_there_are(world: World) -> None:
    with pytest.raises(UnknownModel, match=r"global, law"):
        world.deployer.model("lwa")
    with pytest.raises(UnknownModel):
        world.deployer.model(77)
    assert world.deployer.model("2").name == "law"


def test_dataset_when_registered_twice_then_the_second_is_refused(world: World) -> None:
    with pytest.raises(Reverted, match="registered already") as caught:
        world.contributor.register_dataset(world.model.id, b"\x55" * 32, "CC0-1.0", 1000, 2, 1)
    assert caught.value.name == "DuplicateRoot"
    assert world.contributor.dataset_id_of(b"\x55" * 32) == world.dataset
    assert world.contributor.dataset(world.dataset).usable_at(world.contributor.block_number() + 1)


def test_voucher_when_redeemed_then_the_server_is_paid_and_an_excess_is_refused(world: World) -> None:
    user, server = world.contributor, world.miners[0]
    channel = user.open_channel(server.address, world.model.id, 5 * TOKEN)
    assert (channel.user, channel.deposit) == (user.address, 5 * TOKEN)
    account = world.anvil.account(5)
    signed = sign_voucher(account, user.network, channel.id, world.model.id, 2 * TOKEN)
    server.redeem(channel.id, 2 * TOKEN, signed)
    assert server.channel(channel.id).redeemed == 2 * TOKEN
    (answer,) = contributions(user, Filter(kinds=frozenset({"SERVE"})))
    assert answer.paid == 2 * TOKEN * 6000 // 10_000
    too_much = sign_voucher(account, user.network, channel.id, world.model.id, 6 * TOKEN)
    with pytest.raises(Reverted, match="more than the channel holds"):
        server.redeem(channel.id, 6 * TOKEN, too_much)
    server.close_by_server(channel.id)


def test_stake_when_taken_back_then_it_can_be_withdrawn_after_the_delay(world: World) -> None:
    miner = world.miners[0]
    miner.unstake(world.model.id, Role.MINER, 4 * TOKEN)
    assert miner.pending_stake(miner.address) == 4 * TOKEN
    with pytest.raises(Reverted, match="matured"):
        miner.withdraw_stake()
    world.anvil.mine(300)  # the unbonding time, and a quarter of it at most
    miner.withdraw_stake()
    assert miner.pending_stake(miner.address) == 0
    (entry,) = stakes(miner, miner.address)
    assert (entry.amount, entry.role, entry.counts) == (6 * TOKEN, Role.MINER, True)


def test_stake_when_it_is_placed_then_no_approval_was_needed(world: World) -> None:
    staking = world.deployer.contract_address("Staking")
    assert world.miners[0].allowance(world.miners[0].address, staking) == 0
    assert not [e for e in world.deployer.events("StrataToken", "Approval") if e.args["value"] > 10**30]


def test_dataset_when_its_registration_was_cut_off_then_the_next_call_goes_on(world: World) -> None:
    owner, root = world.contributor, b"\x77" * 32
    salt = owner._dataset_salt(world.model.id, root)
    commitment = dataset_commitment(
        owner.chain_id, owner.contract_address("DataRegistry"), world.model.id, owner.address, root, salt
    )
    owner.transact("DataRegistry", "announce", commitment)  # and the process ends here
    assert owner.register_dataset(world.model.id, root, "MIT", 10, 1, 1).root == root
    assert len(owner.events("DataRegistry", "DatasetAnnounced", commitment=commitment)) == 1


def test_delegation_when_the_validator_is_paid_then_the_holder_gets_its_part(world: World) -> None:
    holder, validator, law = world.contributor, world.validators[0], world.model.id
    validator.set_commission(law, 500)  # a cut: in force at once
    holder.delegate(law, validator.address, 100 * TOKEN)
    world.anvil.mine()
    _play(world, [900, 100], [ScoreReason.OK, ScoreReason.OK])
    world.anvil.mine(6)
    before = holder.token_balance(holder.address)
    taken = claim_all(holder)
    assert taken.harvested - 1 <= taken.delegations <= taken.harvested
    assert holder.token_balance(holder.address) == before + taken.ours
    kept = sum(e.args["amount"] for e in validator.events("Rewards", "RewardCredited", account=validator.address))
    assert abs(kept * 475 - taken.harvested * 525) < 1000  # half of the stake, less a twentieth
    (entry,) = delegations(holder, holder.address)
    assert (entry.info.assets, entry.commission_bps) == (100 * TOKEN, 500)
    holder.undelegate(law, validator.address, entry.info.shares)
    assert holder.pending_stake(holder.address) == 100 * TOKEN


def test_round_when_validators_object_then_its_rewards_are_taken_back(world: World) -> None:
    _play(world, [900, 100], [ScoreReason.OK, ScoreReason.OK])
    miner = world.miners[0]
    assert miner.vesting(miner.address) > 0
    for validator in world.validators:
        validator.challenge(world.model.id, 1)
    assert miner.vesting(miner.address) == 0
    assert world.deployer.is_voided(world.model.id, 1)
    with pytest.raises(Reverted, match="objected to that round already"):
        world.validators[0].challenge(world.model.id, 1)
    note = contributions(world.deployer, Filter(kinds=frozenset({"TRAIN"})))[0].note
    assert "taken back" in note


def test_governance_when_read_then_tells_splits_roles_and_what_waits(world: World) -> None:
    state = governance(world.deployer)
    assert state.splits["emissionMiners"] == 5000 and not state.is_paused
    held = {(holder.contract, holder.role) for holder in state.roles}
    assert {("StrataAuthority", "administrator"), ("StrataAuthority", "guardian")} <= held
    assert {("StrataTimelock", "proposer"), ("StrataTimelock", "executor")} <= held
    assert state.waiting == ()
    proposal = propose(world.deployer, [list_model(world.model.id, 4_000)], salt=b"\x01" * 32)
    (waiting,) = governance(world.deployer).waiting
    assert (waiting.id, waiting.call) == (proposal.id, f"ModelRegistry.setEmission({world.model.id}, 4000)")
    execute(world.miners[0], find_proposal(world.deployer, proposal.id))
    assert world.deployer.policy(world.model.id).emission_bps == 4_000


def test_miners_when_one_leaves_then_the_round_still_has_it(world: World) -> None:
    world.deployer.tick(world.model.id)
    leaver = world.miners[0]
    leaver.unstake(world.model.id, Role.MINER, 10 * TOKEN)
    assert leaver.address not in leaver.members(world.model.id, Role.MINER)
    assert leaver.address in world.deployer.round_miners(world.model.id, 1)


def test_tree_when_models_are_registered_then_children_stand_below_their_parent(world: World) -> None:
    assert [(e.model.name, e.depth) for e in model_tree(world.deployer)] == [("global", 0), ("law", 1)]
    assert model_tree(world.deployer)[1].validator_stake == 200 * TOKEN
