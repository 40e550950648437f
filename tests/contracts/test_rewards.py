"""Who is paid what: emission, vesting, carry, shares, dividends."""

from __future__ import annotations

from contracts import reference
from contracts.enums import RewardKind
from tests.contracts.net import STAKES, TOKEN, VALIDATOR, VESTING, VOID, Net, Play, digest

ROW = (300, 200, 100)


def accept(net: Net, play: Play, word: object, owner: str | None = None) -> int:
    """A dataset that may be used."""
    dataset = net.dataset(play.model, word, owner)
    for validator in net.validators[:2]:
        net.data.send("vote", dataset, True, sender=validator)
    return dataset


def test_emission_when_round_is_final_then_split_as_the_reference_says(net: Net, play: Play) -> None:
    first, second = accept(net, play, 1), accept(net, play, 2, net.stranger)
    play.open()
    for miner in net.miners:
        play.commit(miner)
    for miner, datasets in zip(net.miners, ([first], [first, second], []), strict=True):
        play.reveal(miner, datasets)
    rows = [(300, 200, 0), (310, 190, 0), (100, 0, 0), (300, 200, 50)]
    play.judge(dict(zip(net.validators, rows, strict=True)))
    play.attest({v: digest("new" if v != net.validators[3] else "wrong") for v in net.validators})
    done = play.tick()

    agreed = reference.consensus(rows, STAKES)
    assert agreed == [300, 200, 0]
    owners = {first: net.contributor, second: net.stranger}
    seats = sorted(zip(net.validators, STAKES, rows, strict=True))
    ended = reference.Ended(
        is_void=False,
        model_stake=sum(STAKES),
        global_stake=sum(STAKES),
        miners=tuple(zip(net.miners, agreed, strict=True)),
        validators=tuple(
            (who, reference.validator_weight(stake, reference.agreement(row, agreed), True, who != net.validators[3]))
            for who, stake, row in seats
        ),
        contributors=tuple(reference.data_weights(agreed, [[first], [first, second], []], owners.__getitem__)),
    )
    split = reference.split_emission(ended, 0, 0, 90_000_000 * TOKEN, [reference.Ancestor(1, False)])
    credited = [
        reference.Payment(log.args.account, RewardKind(log.args.kind), log.args.amount)
        for log in done.all("RewardCredited")
    ]
    assert credited == split.payments
    assert done.log("TreasuryPaid").args.amount == split.treasury
    assert done.log("EmissionSettled").args.minted == split.minted == 1000 * TOKEN
    shares = [(log.args.account, log.args.shares) for log in done.all("SharesMinted")]
    assert shares == reference.divide_shares(1, ended.miners, ended.contributors)
    assert net.rewards.call("totalShares", play.model) == sum(amount for _, amount in shares)


def test_emission_when_stake_is_on_two_models_then_follows_stake(net: Net, root: int, play: Play) -> None:
    other = net.register("other", root, 2)
    net.stake(net.stranger, other, VALIDATOR, 300 * TOKEN)
    done = play.whole()
    assert done.log("EmissionSettled").args.emission == 250 * TOKEN


def test_rewards_when_settled_then_locked_and_claimable_later(net: Net, play: Play) -> None:
    done = play.whole()
    miner = net.miners[0]
    assert net.rewards.call("vesting", miner) == 250 * TOKEN
    assert net.rewards.call("claimable", miner, [play.model]) == 0
    assert net.rewards.send("claim", [play.model], sender=miner).logs == []
    net.evm.mine_to(done.block + VESTING)
    assert net.rewards.call("claimable", miner, []) == 250 * TOKEN
    assert net.rewards.call("vesting", miner) == 0
    claimed = net.rewards.send("claim", [], sender=miner)
    assert claimed.log("Claimed").args.amount == net.balance(miner) == 250 * TOKEN
    assert net.rewards.send("claim", [], sender=miner).logs == []


def test_rewards_when_several_rounds_vest_then_one_claim_pays_what_matured(net: Net, play: Play) -> None:
    for _ in range(3):
        play.whole()
    net.evm.mine(VESTING)
    assert net.rewards.call("claimable", net.miners[1], []) == 3 * (1000 * TOKEN // 2 * 200 // 600)
    net.rewards.send("claim", [], sender=net.miners[1])
    assert net.rewards.call("claimable", net.miners[1], []) == 0


def test_emission_when_round_is_void_then_carried_into_the_next(net: Net, play: Play) -> None:
    play.open()
    play.skip_to(VOID)
    settled = play.tick().log("EmissionSettled").args
    assert (settled.minted, settled.carriedOut) == (0, 1000 * TOKEN)
    settled = play.whole().log("EmissionSettled").args
    assert (settled.carriedIn, settled.minted, settled.carriedOut) == (1000 * TOKEN, 2000 * TOKEN, 0)
    assert net.rewards.call("settledRounds") == 2
    assert net.rewards.call("carry", play.model) == 0


def test_parent_when_it_has_shareholders_then_gets_its_part(net: Net, root: int) -> None:
    for account in net.validators:
        net.fund(account, 1, net.staking)
    net.staffed(root)
    top = Play(net, root)
    top.whole()
    law = net.register("law", root, 2)
    net.staffed(law)
    before = net.rewards.call("owed")
    done = Play(net, law).whole()
    emission = 500 * TOKEN  # half of all validator stake
    dividends = done.log("DividendsAdded").args
    assert (dividends.modelId, dividends.fromModelId, dividends.amount) == (root, law, emission * 500 // 10_000)
    owner = net.miners[0]
    share = net.rewards.call("sharesOf", root, owner) * dividends.amount // net.rewards.call("totalShares", root)
    net.evm.mine(VESTING)
    rewards = net.rewards.call("claimable", owner, [])
    assert abs(net.rewards.call("claimable", owner, [root, root]) - rewards - share) <= 1
    assert net.rewards.call("owed") > before
    net.rewards.send("claim", [root, root], sender=owner)
    assert net.rewards.call("claimable", owner, [root]) == 0
    assert net.balance(net.rewards.address) == net.rewards.call("owed")


def test_shares_when_minted_later_then_earn_no_earlier_dividends(net: Net, root: int) -> None:
    net.staffed(root)
    top = Play(net, root)
    top.whole(scores=(100,))
    law = net.register("law", root, 2)
    net.staffed(law)
    Play(net, law).whole()  # pays the root's only shareholder
    top.whole(scores=(1, 1))
    late = net.miners[1]
    assert net.rewards.call("sharesOf", root, late) > 0
    net.evm.mine(VESTING)
    assert net.rewards.call("claimable", late, [root]) == net.rewards.call("claimable", late, [])


def test_splits_when_read_then_are_the_references(net: Net) -> None:
    assert list(vars(net.rewards.call("splits")).values()) == list(vars(reference.SPLITS).values())
