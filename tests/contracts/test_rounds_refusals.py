"""What a round refuses, and with which error."""

from __future__ import annotations

import pytest

from tests.contracts.net import (
    ATTEST,
    ATTEST_REVEAL,
    COMMIT,
    MINER,
    REVEAL,
    SCORE,
    SCORE_REVEAL,
    TOKEN,
    TRAIN,
    Net,
    Play,
    digest,
    refuses,
)

ROW = (300, 200, 100)


@pytest.fixture
def mined(net: Net, play: Play) -> Play:
    """A round in SCORE with three deltas."""
    play.open()
    play.mine_deltas(net.miners)
    return play


def test_round_when_another_is_named_then_refused(net: Net, play: Play) -> None:
    play.open()
    for wrong in (0, 2):
        play.round = wrong
        with refuses("WrongRound", 1):
            play.commit(net.miners[0])


def test_commit_when_repeated_or_zero_then_refused(net: Net, play: Play) -> None:
    play.open()
    with refuses("ZeroDigest"):
        play.send("commitDelta", bytes(32), sender=net.miners[0])
    play.commit(net.miners[0])
    with refuses("AlreadyCommitted"):
        play.commit(net.miners[0])
    with refuses("NotEnrolled", net.validators[0]):
        play.commit(net.validators[0])


def test_commit_when_late_then_refused(net: Net, play: Play) -> None:
    play.open()
    play.commit(net.miners[0])
    play.skip_to(COMMIT)
    play.commit(net.miners[1])
    play.skip_to(REVEAL)
    with refuses("WrongPhase", REVEAL, COMMIT):
        play.commit(net.miners[2])


def test_reveal_when_early_then_refused(net: Net, play: Play) -> None:
    play.open()
    play.commit(net.miners[0])
    with refuses("WrongPhase", TRAIN, REVEAL):
        play.reveal(net.miners[0])


def test_reveal_when_it_is_not_what_was_committed_then_refused(net: Net, play: Play) -> None:
    play.open()
    for miner in net.miners[:2]:
        play.commit(miner)
    play.skip_to(REVEAL)
    miner = net.miners[0]
    with refuses("CommitmentMismatch"):
        play.reveal(miner, digest=digest("other"))
    with refuses("CommitmentMismatch"):
        play.reveal(miner, salt=digest("other"))
    with refuses("CommitmentMismatch"):  # another's commitment can't be taken over
        play.reveal(miner, digest=play.delta(net.miners[1]))
    with refuses("NotCommitted"):
        play.reveal(net.miners[2])
    with refuses("BadKind", 3):
        play.reveal(miner, kind=3)
    with refuses("WrongBase"):
        play.reveal(miner, base=digest("other"))
    play.reveal(miner)
    with refuses("AlreadyRevealed"):
        play.reveal(miner)


def test_reveal_when_another_revealed_the_same_digest_then_refused(
    net: Net, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Play, "delta", lambda self, miner: digest("same"))
    play.open()
    for miner in net.miners[:2]:
        play.commit(miner)
    play.skip_to(REVEAL)
    play.reveal(net.miners[0])
    with refuses("DuplicateDigest", digest("same")):
        play.reveal(net.miners[1])


def test_reveal_when_datasets_are_not_usable_then_refused(net: Net, root: int, play: Play) -> None:
    pending = net.dataset(play.model, "pending")
    others = net.dataset(root, "another model's")
    mine = net.dataset(play.model, "accepted")
    for validator in net.validators[:2]:
        net.data.send("vote", mine, True, sender=validator)
    play.open()
    play.commit(net.miners[0])
    play.skip_to(REVEAL)
    for bad in ([pending], [others], [99], [0], [mine, mine]):
        with refuses("BadDatasetId", bad[-1]):
            play.reveal(net.miners[0], bad)
    with refuses("BadLength", 17, 16):
        play.reveal(net.miners[0], [mine] * 17)
    net.data.send("withdraw", mine, sender=net.contributor)  # too late for the round that is live
    play.reveal(net.miners[0], [mine])


def test_scores_when_malformed_then_refused(net: Net, mined: Play) -> None:
    bad = {
        (1, 2): "BadLength",
        (1, 2, 10**9 + 1): "BadScore",
    }
    for validator, (row, error) in zip(net.validators, bad.items(), strict=False):
        mined.commit_scores(validator, row)
        bad[row] = error
    last = net.validators[2]
    mined.commit_scores(last, ROW, (0, 3, 0))
    mined.skip_to(SCORE_REVEAL)
    for validator, (row, error) in zip(net.validators, bad.items(), strict=False):
        with refuses(error):
            mined.reveal_scores(validator, row)
    with refuses("BadScore", 1):  # a score above zero with a reason why it would be zero
        mined.reveal_scores(last, ROW, (0, 3, 0))


def test_scores_when_changed_or_stolen_then_refused(net: Net, mined: Play) -> None:
    first, second, third, _ = net.validators
    mined.commit_scores(first, ROW)
    with refuses("AlreadyCommitted"):
        mined.commit_scores(first, ROW)
    with refuses("WrongPhase", SCORE, SCORE_REVEAL):
        mined.reveal_scores(first, ROW)
    with refuses("NotEnrolled"):
        mined.commit_scores(net.miners[0], ROW)
    mined.send("commitScores", mined.scores_hash(first, ROW, None), sender=second)  # a copy of another's
    mined.skip_to(SCORE_REVEAL)
    with refuses("CommitmentMismatch"):
        mined.reveal_scores(first, (300, 200, 101))
    with refuses("CommitmentMismatch"):
        mined.reveal_scores(second, ROW)
    with refuses("NotCommitted"):
        mined.reveal_scores(third, ROW)
    with refuses("WrongPhase", SCORE_REVEAL, SCORE):
        mined.commit_scores(third, ROW)
    mined.reveal_scores(first, ROW)
    assert net.rounds.call("scoresOf", mined.model, 1, first) == (list(ROW), [0, 0, 0], digest("report"))


def test_heads_when_changed_early_or_foreign_then_refused(net: Net, mined: Play) -> None:
    mined.judge(dict.fromkeys(net.validators, ROW))
    first, second = net.validators[:2]
    mined.commit_head(first, digest("new"))
    with refuses("AlreadyCommitted"):
        mined.commit_head(first, digest("new"))
    with refuses("NotEnrolled"):
        mined.commit_head(net.stranger, digest("new"))
    with refuses("WrongPhase", ATTEST, ATTEST_REVEAL):
        mined.reveal_head(first, digest("new"))
    mined.skip_to(ATTEST_REVEAL)
    with refuses("CommitmentMismatch"):
        mined.reveal_head(first, digest("other"))
    with refuses("NotCommitted"):
        mined.reveal_head(second, digest("new"))
    mined.reveal_head(first, digest("new"))
    assert net.rounds.call("headOf", mined.model, 1, first) == digest("new")
    net.evm.mine(20)
    with refuses("WrongPhase"):
        mined.commit_head(second, digest("new"))


def test_privileged_calls_when_anybody_sends_them_then_refused(net: Net, play: Play) -> None:
    who = net.stranger
    settlement = (play.model, 1, False, 1, 1, [], [], [], [], [], [])
    with refuses("NotRounds", who):
        net.staking.send("slash", play.model, MINER, net.miners[0], 10_000, sender=who)
    with refuses("NotRounds", who):
        net.staking.send("drop", play.model, net.validators[0], sender=who)
    with refuses("NotRounds", who):
        net.models.send("setHead", play.model, 1, digest("x"), sender=who)
    with refuses("NotRounds", who):
        net.rewards.send("settle", settlement, sender=who)
    with refuses("NotChannels", who):
        net.rewards.send("addFee", play.model, who, TOKEN, sender=who)
    with refuses("NotMinter", who):
        net.token.send("mint", who, TOKEN, sender=who)
    with refuses("NotDeployer", who):
        net.staking.send("initialize", who, sender=who)
    for contract, args in ((net.staking, 1), (net.models, 1), (net.token, 1), (net.rewards, 2)):
        with refuses("AlreadyInitialized"):
            contract.send("initialize", *[net.deployer] * args, sender=net.deployer)
