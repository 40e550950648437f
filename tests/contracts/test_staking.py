"""Stake: what counts from which block, how it leaves, what a slash takes."""

from __future__ import annotations

from tests.contracts.net import MINER, STAKES, TOKEN, UNBONDING, VALIDATOR, VOID, Net, Play, digest, refuses


def test_stake_when_added_then_counts_from_its_block(net: Net) -> None:
    who = net.validators[0]
    net.stake(who, 1, VALIDATOR, 3 * TOKEN)
    block = net.evm.block
    assert net.staking.call("stakeAt", who, 1, VALIDATOR, block - 1) == 0
    assert net.staking.call("stakeAt", who, 1, VALIDATOR, block) == 3 * TOKEN
    assert net.staking.call("totalAt", 1, VALIDATOR, block) == 3 * TOKEN
    assert net.staking.call("countAt", 1, VALIDATOR, block) == 1
    assert net.staking.call("members", 1, VALIDATOR) == [who]
    assert net.staking.call("globalValidatorStake") == 3 * TOKEN
    assert net.staking.call("totalStake", 1, MINER) == 0


def test_stake_when_below_the_minimum_then_does_not_count(net: Net) -> None:
    who = net.miners[0]
    net.stake(who, 1, MINER, TOKEN - 1)
    assert net.staking.call("stakeOf", who, 1, MINER) == TOKEN - 1
    assert net.staking.call("activeStake", who, 1, MINER) == 0
    assert net.staking.call("members", 1, MINER) == []
    net.stake(who, 1, MINER, 1)
    assert net.staking.call("totalStake", 1, MINER) == TOKEN


def test_stake_when_malformed_then_refused(net: Net) -> None:
    who = net.miners[0]
    net.fund(who, TOKEN, net.staking)
    for role in (0, 3):
        with refuses("BadRole", role):
            net.staking.send("stake", 1, role, TOKEN, sender=who)
    with refuses("ZeroAmount"):
        net.staking.send("stake", 1, MINER, 0, sender=who)
    with refuses("ERC20InsufficientBalance"):
        net.staking.send("stake", 1, MINER, 2 * TOKEN, sender=who)
    with refuses("InsufficientStake", 0, 1):
        net.staking.send("unstake", 1, MINER, 1, sender=who)
    with refuses("NothingToWithdraw"):
        net.staking.send("withdraw", sender=who)


def test_unstake_when_asked_then_weightless_at_once_and_paid_later(net: Net) -> None:
    who = net.validators[0]
    net.stake(who, 1, VALIDATOR, 5 * TOKEN)
    before = net.balance(who)
    done = net.staking.send("unstake", 1, VALIDATOR, 2 * TOKEN, sender=who)
    release = done.log("Unstaking").args.releaseBlock
    assert release == done.block + UNBONDING
    assert net.staking.call("activeStake", who, 1, VALIDATOR) == 3 * TOKEN
    assert net.staking.call("pendingOf", who) == 2 * TOKEN
    net.evm.mine_to(release - 2)
    with refuses("NothingToWithdraw"):
        net.staking.send("withdraw", sender=who)
    done = net.staking.send("withdraw", sender=who)
    assert done.log("Withdrawn").args.amount == 2 * TOKEN
    assert net.balance(who) == before + 2 * TOKEN
    assert net.staking.call("pendingOf", who) == 0


def test_unstake_when_many_wait_then_merged_and_never_locked(net: Net) -> None:
    who = net.validators[0]
    net.stake(who, 1, VALIDATOR, 40)
    for _ in range(40):
        net.staking.send("unstake", 1, VALIDATOR, 1, sender=who)
    assert net.staking.call("pendingOf", who) == 40
    net.evm.mine(UNBONDING)
    net.staking.send("withdraw", sender=who)
    assert net.balance(who) == 40


def test_members_when_65_come_then_the_last_is_refused(net: Net) -> None:
    accounts = [f"0x{1000 + i:040x}" for i in range(65)]
    net.token.send("approve", net.staking.address, 2**256 - 1, sender=net.deployer)
    for account in accounts:
        net.evm.rpc("anvil_impersonateAccount", account)
        net.evm.rpc("anvil_setBalance", account, hex(10**18))
        net.token.send("transfer", account, TOKEN, sender=net.deployer)
        net.token.send("approve", net.staking.address, TOKEN, sender=account)
    for account in accounts[:64]:
        net.staking.send("stake", 1, MINER, TOKEN, sender=account)
    with refuses("TooManyMembers", 1, MINER):
        net.staking.send("stake", 1, MINER, TOKEN, sender=accounts[64])
    net.staking.send("unstake", 1, MINER, TOKEN, sender=accounts[7])
    net.staking.send("stake", 1, MINER, TOKEN, sender=accounts[64])


def test_frozen_when_asked_for_a_past_block_then_ascending_with_that_stake(net: Net) -> None:
    for account, amount in zip(net.validators, STAKES, strict=True):
        net.stake(account, 1, VALIDATOR, amount)
    block = net.evm.block
    net.staking.send("unstake", 1, VALIDATOR, 10 * TOKEN, sender=net.validators[0])
    who, stakes = net.staking.call("frozen", 1, VALIDATOR, block)
    assert list(zip(who, stakes, strict=True)) == sorted(zip(net.validators, STAKES, strict=True))


def test_exit_when_slashed_while_unbonding_then_everybody_gets_the_rest(net: Net, play: Play) -> None:
    play.open()
    for miner in net.miners:
        play.commit(miner)
    play.reveal(net.miners[0])
    leaving, staying = net.miners[1:]
    net.staking.send("unstake", play.model, MINER, 5 * TOKEN, sender=leaving)
    play.judge(dict.fromkeys(net.validators, (9,)))
    play.attest({validator: digest("new") for validator in net.validators})
    treasury = net.balance(net.deployer)
    done = play.tick()
    cut = 5 * TOKEN // 1000
    assert {log.args.account: log.args.amount for log in done.all("Slashed")} == {leaving: cut, staying: cut}
    assert net.balance(net.deployer) - treasury >= 2 * cut

    everybody = [*((m, MINER) for m in net.miners), *((v, VALIDATOR) for v in net.validators)]
    for account, role in everybody:
        amount = net.staking.call("stakeOf", account, play.model, role)
        if amount:
            net.staking.send("unstake", play.model, role, amount, sender=account)
    net.evm.mine(UNBONDING)
    for account, _ in everybody:
        net.staking.send("withdraw", sender=account)
    assert net.balance(net.staking.address) == 0
    assert net.balance(leaving) == net.balance(staying) == 5 * TOKEN - cut
    assert [net.balance(v) for v in net.validators] == list(STAKES)


def test_dropped_validator_when_it_leaves_then_gets_all_back(net: Net, play: Play) -> None:
    dead = net.validators[3]
    for number in range(3):
        play.open()
        play.mine_deltas(net.miners[:1])
        play.judge(dict.fromkeys(net.validators[:3], (9,)))
        play.attest({validator: digest(number) for validator in net.validators[:3]})
        play.tick()
    assert net.staking.call("isDropped", play.model, dead)
    assert net.staking.call("activeStake", dead, play.model, VALIDATOR) == 0
    net.staking.send("unstake", play.model, VALIDATOR, STAKES[3], sender=dead)
    net.evm.mine(UNBONDING)
    net.staking.send("withdraw", sender=dead)
    assert net.balance(dead) == STAKES[3]


def test_round_when_the_only_miner_left_then_next_opening_is_refused(net: Net, root: int) -> None:
    law = net.register("law", root, 2)
    net.staffed(law, miners=1)
    play = Play(net, law).open()
    net.staking.send("unstake", law, MINER, 5 * TOKEN, sender=net.miners[0])
    play.skip_to(VOID)
    play.tick()
    with refuses("NotEnoughMembers", 0, 4):
        play.tick()
