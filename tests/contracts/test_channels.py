"""Payment channels: vouchers, and the division of fees up the tree."""

from __future__ import annotations

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from contracts import reference
from tests.contracts.net import CLOSE_DELAY, TOKEN, Net, Play, refuses

DEPOSIT = 100 * TOKEN


@pytest.fixture
def user(net: Net) -> LocalAccount:
    """A user with a key of its own, funded."""
    account: LocalAccount = Account.from_key("0x" + "42" * 32)
    net.evm.rpc("anvil_impersonateAccount", account.address)
    net.evm.rpc("anvil_setBalance", account.address, hex(10**18))
    net.fund(account.address, DEPOSIT, net.channels)
    return account


@pytest.fixture
def channel(net: Net, play: Play, user: LocalAccount) -> bytes:
    """An open channel from the user to the server, for the law model."""
    return open_channel(net, play.model, user.address, DEPOSIT)


def open_channel(net: Net, model: int, user: str, deposit: int) -> bytes:
    done = net.channels.send("open", net.server, model, deposit, sender=user)
    channel_id: bytes = done.log("ChannelOpened").args.channelId
    return channel_id


def voucher(net: Net, signer: LocalAccount, channel: bytes, model: int, cumulative: int, **domain: object) -> bytes:
    """A signed voucher."""
    where = {
        "name": "StrataInferenceChannels",
        "version": "1",
        "chainId": net.chain_id,
        "verifyingContract": net.channels.address,
    }
    types = {
        "Voucher": [
            {"name": "channel", "type": "bytes32"},
            {"name": "model", "type": "uint256"},
            {"name": "cumulative", "type": "uint256"},
        ]
    }
    message = {"channel": channel, "model": model, "cumulative": cumulative}
    return bytes(signer.sign_typed_data({**where, **domain}, types, message).signature)


def test_voucher_when_redeemed_then_pays_what_it_adds(net: Net, play: Play, user: LocalAccount, channel: bytes) -> None:
    for cumulative, added in ((10 * TOKEN, 10 * TOKEN), (25 * TOKEN, 15 * TOKEN)):
        signature = voucher(net, user, channel, play.model, cumulative)
        done = net.channels.send("redeem", channel, cumulative, signature, sender=net.stranger)
        assert done.log("VoucherRedeemed").args.amount == added
        fee = done.log("FeeDistributed").args
        split = reference.split_fee(added, has_shares=False, ancestors=[reference.Ancestor(1, False)])
        assert (fee.serverPart, fee.treasuryPart) == (split.server, split.treasury)
    assert net.rewards.call("claimable", net.server, []) == 15 * TOKEN
    net.rewards.send("claim", [], sender=net.server)
    assert net.balance(net.server) == 15 * TOKEN
    assert net.channels.call("get", channel).redeemed == 25 * TOKEN


def test_voucher_when_it_does_not_pay_then_refused(net: Net, play: Play, user: LocalAccount, channel: bytes) -> None:
    def redeem(amount: int, signature: bytes, where: bytes = channel) -> None:
        net.channels.send("redeem", where, amount, signature, sender=net.server)

    good = voucher(net, user, channel, play.model, TOKEN)
    thief: LocalAccount = Account.from_key("0x" + "43" * 32)
    for bad in (
        voucher(net, thief, channel, play.model, TOKEN),
        voucher(net, user, channel, play.model + 1, TOKEN),
        voucher(net, user, bytes(32), play.model, TOKEN),
        voucher(net, user, channel, play.model, TOKEN, chainId=1),
        voucher(net, user, channel, play.model, TOKEN, verifyingContract=net.token.address),
        good[:64],
        b"",
        bytes(65),
    ):
        with refuses("BadVoucher"):
            redeem(TOKEN, bad)
    with refuses("BadVoucher"):
        redeem(TOKEN + 1, good)
    with refuses("VoucherOverDeposit", DEPOSIT + 1, DEPOSIT):
        redeem(DEPOSIT + 1, voucher(net, user, channel, play.model, DEPOSIT + 1))
    with refuses("UnknownChannel", bytes(32)):
        redeem(TOKEN, good, bytes(32))
    redeem(TOKEN, good)
    with refuses("NothingToRedeem"):  # a replay
        redeem(TOKEN, good)


def test_channel_when_closed_then_refunds_after_the_delay_and_vouchers_die(
    net: Net, play: Play, user: LocalAccount, channel: bytes
) -> None:
    with refuses("NotUser", net.stranger):
        net.channels.send("startClose", channel, sender=net.stranger)
    with refuses("TooEarly", 0):
        net.channels.send("close", channel, sender=user.address)
    done = net.channels.send("startClose", channel, sender=user.address)
    close_block = done.log("CloseStarted").args.closeBlock
    assert close_block == done.block + CLOSE_DELAY
    with refuses("Closing", close_block):
        net.channels.send("startClose", channel, sender=user.address)
    with refuses("Closing", close_block):
        net.channels.send("topUp", channel, 1, sender=user.address)
    signature = voucher(net, user, channel, play.model, TOKEN)  # the server still redeems in time
    net.channels.send("redeem", channel, TOKEN, signature, sender=net.server)
    with refuses("TooEarly", close_block):
        net.channels.send("close", channel, sender=user.address)
    net.evm.mine_to(close_block - 1)
    done = net.channels.send("close", channel, sender=net.stranger)
    assert done.log("ChannelClosed").args.refund == net.balance(user.address) == DEPOSIT - TOKEN
    with refuses("UnknownChannel", channel):
        net.channels.send("redeem", channel, 2 * TOKEN, signature, sender=net.server)


def test_channel_when_the_server_closes_then_refunds_at_once(net: Net, user: LocalAccount, channel: bytes) -> None:
    with refuses("NotServer"):
        net.channels.send("closeByServer", channel, sender=user.address)
    net.channels.send("closeByServer", channel, sender=net.server)
    assert net.balance(user.address) == DEPOSIT
    assert net.balance(net.channels.address) == 0


def test_channel_when_topped_up_then_more_can_be_redeemed(
    net: Net, play: Play, user: LocalAccount, channel: bytes
) -> None:
    net.fund(net.stranger, TOKEN, net.channels)
    with refuses("ZeroAmount"):
        net.channels.send("topUp", channel, 0, sender=net.stranger)
    net.channels.send("topUp", channel, TOKEN, sender=net.stranger)
    signature = voucher(net, user, channel, play.model, DEPOSIT + TOKEN)
    net.channels.send("redeem", channel, DEPOSIT + TOKEN, signature, sender=net.server)


def test_channel_when_opened_wrongly_then_refused(net: Net, play: Play, user: LocalAccount) -> None:
    for server, model, deposit, error in (
        ("0x" + "00" * 20, play.model, 1, "BadServer"),
        (net.server, 0, 1, "UnknownModel"),
        (net.server, 9, 1, "UnknownModel"),
        (net.server, play.model, 0, "ZeroAmount"),
        (net.server, play.model, DEPOSIT + 1, "ERC20InsufficientBalance"),
    ):
        with refuses(error):
            net.channels.send("open", server, model, deposit, sender=user.address)


def test_fee_when_all_levels_have_shareholders_then_is_divided_up_the_tree(
    net: Net, root: int, play: Play, user: LocalAccount
) -> None:
    tort = net.register("tort", play.model, 3)
    for model in (root, tort):
        net.staffed(model)
    for model in (root, play.model, tort):
        Play(net, model).whole()
    channel = open_channel(net, tort, user.address, DEPOSIT)
    amount = 7 * TOKEN + 13
    done = net.channels.send("redeem", channel, amount, voucher(net, user, channel, tort, amount), sender=net.server)
    split = reference.split_fee(amount, True, [reference.Ancestor(play.model, True), reference.Ancestor(root, True)])
    dividends = [(log.args.modelId, log.args.amount) for log in done.all("DividendsAdded")]
    assert dividends == [(tort, split.model), *split.parents]
    fee = done.log("FeeDistributed").args
    assert (fee.serverPart, fee.modelPart) == (split.server, split.model)
    assert (fee.parentPart, fee.treasuryPart) == (sum(part for _, part in split.parents), split.treasury)
    assert done.log("TreasuryPaid").args.amount == split.treasury
    assert net.balance(net.rewards.address) == net.rewards.call("owed")
