"""The life of a round, from the tick that opens it to the one that settles it."""

from __future__ import annotations

from tests.contracts.evm import Contract
from tests.contracts.net import (
    ATTEST,
    ATTEST_REVEAL,
    COMMIT,
    EMPTY,
    FINAL,
    MINER,
    NO_HEAD_QUORUM,
    NO_SCORE_QUORUM,
    NO_SEED,
    REVEAL,
    SCORE,
    SCORE_REVEAL,
    STAKES,
    TOKEN,
    TRAIN,
    VALIDATOR,
    VOID,
    WINDOWS,
    Net,
    Play,
    digest,
    refuses,
)

ROW = (300, 200, 100)


def test_round_when_all_agree_then_head_is_set(net: Net, play: Play) -> None:
    dataset = net.dataset(play.model, "text")
    for validator in net.validators[:2]:
        net.data.send("vote", dataset, True, sender=validator)
    play.open()
    view = play.view()
    assert (view.phase, view.minerCount, view.frozenStake) == (TRAIN, 3, sum(STAKES))
    assert view.baseHead == digest("law")
    play.mine_deltas(net.miners, [dataset])
    assert play.view().reveals == 3
    play.judge(dict.fromkeys(net.validators, ROW))
    assert [s.weightQ16 for s in net.rounds.call("submissions", play.model, 1)] == [32768, 21845, 10922]
    play.attest({validator: digest("new") for validator in net.validators})
    assert not play.view().settled
    assert play.phase() == FINAL
    done = play.tick()
    assert done.log("RoundFinalized").args.attestedStake == sum(STAKES)
    assert net.models.call("headOf", play.model) == digest("new")
    assert play.view().settled
    assert play.view().head == digest("new")
    assert [s.consensus for s in net.rounds.call("submissions", play.model, 1)] == list(ROW)
    assert play.open().round == 2
    assert play.view().baseHead == digest("new")


def test_phases_when_everybody_acted_then_close_with_the_block(net: Net, play: Play) -> None:
    play.open()
    start = play.view().openBlock
    for miner in net.miners[:2]:
        play.commit(miner)
        assert play.phase() == TRAIN
    done = play.commit(net.miners[2])
    assert play.phase(0) == TRAIN  # still in the block of the last commitment
    assert play.phase() == REVEAL
    assert net.rounds.call("windows", play.model, 1)[:2] == [done.block + 1 - start, 0]
    for miner in net.miners:
        play.reveal(miner)
    assert play.phase() == SCORE
    for validator in net.validators:
        play.commit_scores(validator, ROW)
    assert play.phase() == SCORE_REVEAL
    for validator in net.validators:
        play.reveal_scores(validator, ROW)
    assert play.phase() == ATTEST
    for validator in net.validators:
        play.commit_head(validator, digest("new"))
    assert play.phase() == ATTEST_REVEAL
    for validator in net.validators:
        play.reveal_head(validator, digest("new"))
    assert play.phase() == FINAL


def test_phases_when_nobody_acts_then_windows_chain(net: Net, play: Play) -> None:
    play.open()
    play.commit(net.miners[0])
    start, end = play.view().openBlock, 0
    for phase, length in zip((TRAIN, COMMIT, REVEAL), WINDOWS, strict=False):
        first = start + end
        end += length
        expected = [phase, start + end, 0]
        assert list(net.rounds.call("phaseAt", play.model, 1, first)) == expected
        assert list(net.rounds.call("phaseAt", play.model, 1, start + end - 1)) == expected


def test_round_when_nobody_commits_then_void_and_nobody_penalised(net: Net, play: Play) -> None:
    play.open()
    play.skip_to(VOID)
    assert play.reason() == EMPTY
    done = play.tick()
    assert done.log("RoundVoided").args.reason == EMPTY
    assert not done.all("Slashed")
    assert not done.all("ValidatorMissed")
    assert net.rewards.call("carry", play.model) == 1000 * TOKEN
    assert play.open().round == 2


def test_round_when_nobody_reveals_then_void_and_nobody_slashed(net: Net, play: Play) -> None:
    play.open()
    play.commit(net.miners[0])
    play.skip_to(VOID)
    done = play.tick()
    assert done.log("RoundVoided").args.reason == EMPTY
    assert not done.all("Slashed")


def test_round_when_seed_was_never_read_then_void(net: Net, root: int) -> None:
    law = net.register("slow", root, 2, (1000, 10, 10, 10, 10, 10, 10))
    net.staffed(law)
    play = Play(net, law).open()
    net.evm.mine(256)
    assert play.phase(0) == TRAIN
    assert play.phase() == VOID
    assert play.tick().log("RoundVoided").args.reason == NO_SEED


def test_seed_when_any_transaction_came_then_stays(net: Net, root: int) -> None:
    law = net.register("slow", root, 2, (1000, 10, 10, 10, 10, 10, 10))
    net.staffed(law)
    play = Play(net, law).open()
    assert play.view().seed == bytes(32)  # the opening block's own hash can't be read in it
    net.evm.mine()
    seed = play.view().seed
    assert seed != bytes(32)
    assert play.tick().log("SeedCaptured").args.seed == seed
    net.evm.mine(300)
    assert (play.view().seed, play.phase()) == (seed, TRAIN)


def test_evaluation_seed_when_score_starts_then_is_readable_one_block_later(net: Net, play: Play) -> None:
    play.open()
    play.mine_deltas(net.miners)
    net.evm.mine()
    view = play.view()
    assert (view.phase, view.evaluationSeed) == (SCORE, bytes(32))
    net.evm.mine()
    seed = play.view().evaluationSeed
    assert seed not in (bytes(32), play.view().seed)
    done = play.commit_scores(net.validators[0], ROW)
    assert done.log("EvaluationSeedCaptured").args.seed == seed


def test_round_when_scores_lack_quorum_then_void_and_silence_counts(net: Net, play: Play) -> None:
    play.open()
    play.mine_deltas(net.miners)
    loud, silent = net.validators[:2], net.validators[2:]
    play.skip_to(SCORE)
    for validator in (*loud, silent[0]):
        play.commit_scores(validator, ROW)
    play.skip_to(SCORE_REVEAL)
    for validator in loud:
        play.reveal_scores(validator, ROW)
    play.skip_to(VOID)
    done = play.tick()
    assert done.log("RoundVoided").args.reason == NO_SCORE_QUORUM
    assert {log.args.validator for log in done.all("ValidatorMissed")} == set(silent)
    slashed = done.log("Slashed").args
    assert (slashed.account, slashed.role, slashed.amount) == (silent[0], VALIDATOR, STAKES[2] // 1000)
    assert net.models.call("headOf", play.model) == digest("law")


def test_round_when_one_validator_is_dead_then_final_without_it(net: Net, play: Play) -> None:
    play.open()
    play.mine_deltas(net.miners[:2])
    alive = net.validators[1:]
    play.judge(dict.fromkeys(alive, (5, 6)))
    play.attest({validator: digest("new") for validator in alive})
    done = play.tick()
    assert done.log("RoundFinalized").args.attestedStake == sum(STAKES[1:])
    assert done.log("ValidatorMissed").args.validator == net.validators[0]
    assert not done.all("Slashed")


def test_round_when_heads_differ_then_void(net: Net, play: Play) -> None:
    play.open()
    play.mine_deltas(net.miners)
    play.judge(dict.fromkeys(net.validators, ROW))
    heads = {validator: digest(index // 2) for index, validator in enumerate(net.validators)}
    play.attest(heads)
    assert play.phase() == VOID
    assert play.tick().log("RoundVoided").args.reason == NO_HEAD_QUORUM


def test_round_when_all_scores_are_zero_then_final_with_old_head(net: Net, play: Play) -> None:
    play.open()
    play.mine_deltas(net.miners)
    play.judge(dict.fromkeys(net.validators, (0, 0, 0)))
    assert play.phase() == FINAL  # before anybody took the consensus, too
    done = play.tick()
    final = done.log("RoundFinalized").args
    assert (final.head, final.attestedStake) == (digest("law"), 0)
    settled = done.log("EmissionSettled").args
    assert (settled.minted, settled.carriedOut) == (350 * TOKEN, 650 * TOKEN)
    assert net.rewards.call("totalShares", play.model) == 0


def test_validator_when_silent_three_times_then_leaves_the_freeze_until_it_rejoins(net: Net, play: Play) -> None:
    alive, dead = net.validators[:3], net.validators[3]
    for expected in (1, 2, 3):
        play.open()
        play.mine_deltas(net.miners)
        play.judge(dict.fromkeys(alive, ROW))
        play.attest({validator: digest(("head", expected)) for validator in alive})
        done = play.tick()
        assert done.log("ValidatorMissed").args.missed == expected
    assert done.log("Dropped").args.account == dead
    assert play.open().view().frozenStake == sum(STAKES[:3])
    assert dead not in net.rounds.call("validators", play.model, play.round)[0]
    with refuses("NotDropped"):
        net.staking.send("rejoin", play.model, sender=alive[0])
    net.staking.send("rejoin", play.model, sender=dead)
    play.skip_to(VOID)
    play.tick()
    assert play.open().view().frozenStake == sum(STAKES)


def test_validator_when_it_takes_part_again_then_its_misses_are_forgotten(net: Net, play: Play) -> None:
    late = net.validators[3]
    play.open()
    play.mine_deltas(net.miners)
    play.judge(dict.fromkeys(net.validators[:3], ROW))
    play.attest({validator: digest("a") for validator in net.validators[:3]})
    play.tick()
    assert net.rounds.call("missedOf", play.model, late) == 1
    play.whole()
    assert net.rounds.call("missedOf", play.model, late) == 0


def test_miner_when_it_does_not_reveal_then_is_slashed(net: Net, play: Play) -> None:
    play.open()
    for miner in net.miners:
        play.commit(miner)
    for miner in net.miners[:2]:
        play.reveal(miner)
    play.judge(dict.fromkeys(net.validators, (2, 1)))
    play.attest({validator: digest("new") for validator in net.validators})
    slashed = play.tick().log("Slashed").args
    assert (slashed.account, slashed.role, slashed.amount) == (net.miners[2], MINER, 5 * TOKEN // 1000)


def test_validator_when_it_hides_its_head_then_is_slashed_and_unpaid(net: Net, play: Play) -> None:
    play.open()
    play.mine_deltas(net.miners)
    play.judge(dict.fromkeys(net.validators, ROW))
    hidden = net.validators[3]
    for validator in net.validators:
        play.commit_head(validator, digest("new"))
    play.skip_to(ATTEST_REVEAL)
    for validator in net.validators[:3]:
        play.reveal_head(validator, digest("new"))
    play.skip_to(FINAL)
    done = play.tick()
    assert done.log("Slashed").args.account == hidden
    assert hidden not in {log.args.account for log in done.all("RewardCredited")}


def test_tick_when_nothing_is_due_then_does_nothing(net: Net, play: Play) -> None:
    play.open()
    play.tick()  # captures the seed
    assert play.tick().logs == []


def test_tick_when_nobody_staked_then_refused(net: Net, root: int) -> None:
    with refuses("NotEnoughMembers", 0, 0):
        net.rounds.send("tick", root, 1, sender=net.stranger)


def test_tick_when_it_comes_second_then_settles_nothing_and_opens_nothing(net: Net, play: Play) -> None:
    play.open()
    play.skip_to(VOID)
    assert play.tick_round(1).log("RoundVoided").args.reason == EMPTY
    assert play.tick_round(1).logs == []
    assert net.rounds.call("current", play.model) == 1
    play.tick_round(2).log("RoundOpened")
    assert play.tick_round(1).logs == []


def test_tick_when_the_round_is_not_the_next_then_refused(play: Play) -> None:
    play.open()
    for number in (0, 2, 7):
        with refuses("WrongRound", 1):
            play.tick_round(number)


def test_members_when_they_stake_after_the_opening_then_are_not_in_the_round(net: Net, play: Play) -> None:
    play.open()
    net.stake(net.stranger, play.model, MINER, 5 * TOKEN)
    with refuses("NotEnrolled"):
        play.commit(net.stranger)


def test_miners_when_frozen_then_ascending_and_kept_after_they_leave(net: Net, play: Play) -> None:
    play.open()
    net.staking.send("unstake", play.model, MINER, 5 * TOKEN, sender=net.miners[0])
    assert net.rounds.call("miners", play.model, 1) == sorted(net.miners)
    play.commit(net.miners[0])


def test_view_when_asked_at_latest_then_sees_the_latest_block_not_the_next(net: Net, harness: Contract) -> None:
    assert harness.call("currentBlock")[0] == net.evm.block
