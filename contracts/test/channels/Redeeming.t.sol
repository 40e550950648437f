// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IInferenceChannels} from "../../src/interfaces/IInferenceChannels.sol";
import {vm} from "../support/Vm.sol";
import {ChannelsWorld} from "./ChannelsWorld.sol";

/// @notice Vouchers.
contract RedeemingTest is ChannelsWorld {
    uint256 private constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    function test_voucherHash_isOfTheDomainThatWalletsShow() external view {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("StrataInferenceChannels"),
                keccak256("1"),
                block.chainid,
                address(channels)
            )
        );
        bytes32 kind = keccak256("Voucher(bytes32 channel,uint256 model,uint256 cumulative)");
        bytes32 words = keccak256(abi.encode(kind, bytes32(uint256(7)), 3, 5));
        bytes32 hash = keccak256(abi.encodePacked("\x19\x01", domain, words));
        assertEq(channels.voucherHash(bytes32(uint256(7)), 3, 5), hash);
    }

    function test_redeem_whenSignedByTheUser_thenTheDifferenceIsPaid() external {
        bytes32 channelId = _open(10e18);
        vm.expectEmit(address(channels));
        emit IInferenceChannels.VoucherRedeemed(channelId, MODEL, server, 3e18, 3e18);
        _redeem(channelId, 3e18);
        assertEq(rewards.feesOf(MODEL, server), 3e18);
        vm.expectEmit(address(channels));
        emit IInferenceChannels.VoucherRedeemed(channelId, MODEL, server, 10e18, 7e18);
        _redeem(channelId, 10e18);
        assertEq(rewards.feesOf(MODEL, server), 10e18);
        assertEq(channels.get(channelId).redeemed, 10e18);
        assertEq(coin.balanceOf(address(channels)), 0);
    }

    function test_redeem_whenNotMoreThanBefore_thenRefused() external {
        bytes32 channelId = _open(10e18);
        _redeem(channelId, 3e18);
        bytes memory same = _sign(userKey, channelId, MODEL, 3e18);
        vm.expectRevert(IInferenceChannels.NothingToRedeem.selector);
        channels.redeem(channelId, 3e18, same);
        bytes memory less = _sign(userKey, channelId, MODEL, 2e18);
        vm.expectRevert(IInferenceChannels.NothingToRedeem.selector);
        channels.redeem(channelId, 2e18, less);
    }

    function test_redeem_whenOverTheDeposit_thenOnlyAfterATopUp() external {
        bytes32 channelId = _open(10e18);
        bytes memory signature = _sign(userKey, channelId, MODEL, 10e18 + 1);
        vm.expectRevert(abi.encodeWithSelector(IInferenceChannels.VoucherOverDeposit.selector, 10e18 + 1, 10e18));
        channels.redeem(channelId, 10e18 + 1, signature);
        vm.prank(user);
        channels.topUp(channelId, 1);
        channels.redeem(channelId, 10e18 + 1, signature);
        assertEq(rewards.total(), 10e18 + 1);
    }

    function test_redeem_whenTheSignatureIsNotTheUsers_thenRefused() external {
        bytes32 channelId = _open(10e18);
        _refused(channelId, 1, _sign(malloryKey, channelId, MODEL, 1));
        _refused(channelId, 1, _sign(userKey, channelId, MODEL, 2));
        _refused(channelId, 1, _sign(userKey, channelId, 2, 1));
        _refused(channelId, 1, "");
        _refused(channelId, 1, new bytes(65));
        _refused(channelId, 1, abi.encodePacked(_sign(userKey, channelId, MODEL, 1), uint8(0)));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(userKey, channels.voucherHash(channelId, MODEL, 1));
        _refused(channelId, 1, abi.encodePacked(r, v == 27 ? s : s | bytes32(uint256(1) << 255))); // the compact form
        _refused(channelId, 1, abi.encodePacked(r, bytes32(ORDER - uint256(s)), v == 27 ? uint8(28) : uint8(27)));
        _redeem(channelId, 1);
    }

    function test_redeem_whenTheChannelIsClosing_thenStillPaidUntilItIsClosed() external {
        bytes32 channelId = _open(10e18);
        vm.prank(user);
        channels.startClose(channelId);
        _redeem(channelId, 1e18);
        skipBlocks(DELAY + 10);
        _redeem(channelId, 2e18);
        channels.close(channelId);
        bytes memory signature = _sign(userKey, channelId, MODEL, 3e18);
        _expectUnknown(channelId);
        channels.redeem(channelId, 3e18, signature);
        assertEq(coin.balanceOf(user), FUNDS - 2e18);
        assertEq(rewards.total(), 2e18);
    }

    function testFuzz_redeem_whenVouchersComeInAnyOrder_thenTheHighestIsPaidOnce(uint96[6] memory amounts) external {
        bytes32 channelId = _open(FUNDS);
        uint256 most;
        for (uint256 i; i < 6; ++i) {
            uint256 cumulative = bound(amounts[i], 1, FUNDS);
            bytes memory signature = _sign(userKey, channelId, MODEL, cumulative);
            if (cumulative <= most) vm.expectRevert(IInferenceChannels.NothingToRedeem.selector);
            else most = cumulative;
            channels.redeem(channelId, cumulative, signature);
        }
        assertEq(rewards.total(), most);
        assertEq(coin.balanceOf(address(channels)), FUNDS - most);
    }

    function testFuzz_redeem_whenAByteOfTheSignatureChanges_thenRefused(uint256 place, uint8 flip) external {
        bytes32 channelId = _open(10e18);
        bytes memory signature = _sign(userKey, channelId, MODEL, 1e18);
        flip = uint8(bound(flip, 1, 255));
        place = bound(place, 0, 64);
        signature[place] = bytes1(uint8(signature[place]) ^ flip);
        _refused(channelId, 1e18, signature);
    }

    function _refused(bytes32 channelId, uint256 cumulative, bytes memory signature) private {
        vm.expectRevert(IInferenceChannels.BadVoucher.selector);
        channels.redeem(channelId, cumulative, signature);
    }
}
