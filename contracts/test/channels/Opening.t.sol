// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IInferenceChannels} from "../../src/interfaces/IInferenceChannels.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {vm} from "../support/Vm.sol";
import {ChannelsWorld} from "./ChannelsWorld.sol";

/// @notice Opening channels and adding to them.
contract OpeningTest is ChannelsWorld {
    bytes32 private constant PERMIT =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    function test_constructor_whenTheDelayIsOut_thenRefused() external {
        vm.expectRevert(abi.encodeWithSelector(IInferenceChannels.BadDelay.selector, 0));
        _new(address(coin), 0);
        vm.expectRevert(abi.encodeWithSelector(IInferenceChannels.BadDelay.selector, 10_000_001));
        _new(address(coin), 10_000_001);
        assertEq(_new(address(coin), 10_000_000).closeDelay(), 10_000_000);
        assertEq(_new(address(coin), 1).closeDelay(), 1);
    }

    function test_open_whenPaid_thenTheTokensAreLocked() external {
        bytes32 expected = keccak256(abi.encode(block.chainid, address(channels), user, server, MODEL, 1));
        vm.expectEmit(address(channels));
        emit IInferenceChannels.ChannelOpened(expected, user, server, MODEL, 10e18);
        bytes32 channelId = _open(10e18);
        assertEq(channelId, expected);
        IInferenceChannels.Channel memory channel = channels.get(channelId);
        assertEq(channel.user, user);
        assertEq(channel.server, server);
        assertEq(channel.modelId, MODEL);
        assertEq(channel.deposit, 10e18);
        assertEq(channel.redeemed, 0);
        assertEq(channel.closeBlock, 0);
        assertEq(coin.balanceOf(address(channels)), 10e18);
        assertEq(coin.balanceOf(user), FUNDS - 10e18);
        assertNotEq(_open(10e18), channelId);
    }

    function test_open_whenAnArgumentIsBad_thenRefused() external {
        vm.startPrank(user);
        vm.expectRevert(IInferenceChannels.BadServer.selector);
        channels.open(address(0), MODEL, 1);
        vm.expectRevert(IInferenceChannels.ZeroAmount.selector);
        channels.open(server, MODEL, 0);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, 3));
        channels.open(server, 3, 1);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, user, FUNDS, FUNDS + 1)
        );
        channels.open(server, MODEL, FUNDS + 1);
        vm.stopPrank();
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(channels), 0, 1)
        );
        vm.prank(server);
        channels.open(server, MODEL, 1);
    }

    function test_topUp_whenAnybodyPays_thenTheDepositGrows() external {
        bytes32 channelId = _open(10e18);
        vm.expectEmit(address(channels));
        emit IInferenceChannels.ToppedUp(channelId, 5e18, 15e18);
        vm.prank(mallory);
        channels.topUp(channelId, 5e18);
        assertEq(channels.get(channelId).deposit, 15e18);
        assertEq(channels.get(channelId).user, user);
        assertEq(coin.balanceOf(mallory), FUNDS - 5e18);
    }

    function test_topUp_whenZeroOrUnknownOrClosing_thenRefused() external {
        bytes32 channelId = _open(10e18);
        vm.startPrank(user);
        vm.expectRevert(IInferenceChannels.ZeroAmount.selector);
        channels.topUp(channelId, 0);
        _expectUnknown(bytes32(uint256(1)));
        channels.topUp(bytes32(uint256(1)), 1);
        channels.startClose(channelId);
        vm.expectRevert(abi.encodeWithSelector(IInferenceChannels.Closing.selector, vm.getBlockNumber() + DELAY));
        channels.topUp(channelId, 1);
    }

    function test_multicall_whenAPermitGoesWithIt_thenOneTransactionOpens() external {
        vm.prank(user);
        coin.approve(address(channels), 0);
        bytes32 words = keccak256(abi.encode(PERMIT, user, address(channels), 10e18, 0, type(uint256).max));
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(userKey, keccak256(abi.encodePacked("\x19\x01", coin.DOMAIN_SEPARATOR(), words)));
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(channels.selfPermit, (10e18, type(uint256).max, v, r, s));
        calls[1] = abi.encodeCall(channels.open, (server, MODEL, 10e18));
        vm.prank(user);
        bytes[] memory answers = channels.multicall(calls);
        assertEq(channels.get(abi.decode(answers[1], (bytes32))).user, user);
        // the permit is spent and was for one account alone
        vm.expectRevert();
        vm.prank(mallory);
        coin.permit(user, address(channels), 10e18, type(uint256).max, v, r, s);
    }

    function test_multicall_whenSomebodyElsesPermitIsTried_thenNothingIsTaken() external {
        bytes32 words = keccak256(abi.encode(PERMIT, user, address(channels), FUNDS, 0, type(uint256).max));
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(userKey, keccak256(abi.encodePacked("\x19\x01", coin.DOMAIN_SEPARATOR(), words)));
        vm.prank(mallory);
        channels.selfPermit(FUNDS, type(uint256).max, v, r, s);
        assertEq(coin.nonces(user), 0);
        assertEq(coin.balanceOf(user), FUNDS);
    }
}
