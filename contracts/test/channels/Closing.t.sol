// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {InferenceChannels} from "../../src/InferenceChannels.sol";
import {IInferenceChannels} from "../../src/interfaces/IInferenceChannels.sol";
import {vm} from "../support/Vm.sol";
import {ChannelsWorld} from "./ChannelsWorld.sol";
import {HookCoin} from "./ChannelsMocks.sol";

/// @notice Either side gets what is its own where the other has gone.
contract ClosingTest is ChannelsWorld {
    function test_close_whenTheServerVanished_thenTheUserHasTheRestAfterTheDelay() external {
        bytes32 channelId = _open(10e18);
        uint64 closeBlock = uint64(vm.getBlockNumber()) + DELAY;
        vm.expectEmit(address(channels));
        emit IInferenceChannels.CloseStarted(channelId, closeBlock);
        vm.prank(user);
        channels.startClose(channelId);
        assertEq(channels.get(channelId).closeBlock, closeBlock);
        rollTo(closeBlock - 1);
        vm.expectRevert(abi.encodeWithSelector(IInferenceChannels.TooEarly.selector, closeBlock));
        channels.close(channelId);
        rollTo(closeBlock);
        vm.expectEmit(address(channels));
        emit IInferenceChannels.ChannelClosed(channelId, 10e18);
        vm.prank(mallory); // anyone may send it; the user is paid
        channels.close(channelId);
        assertEq(coin.balanceOf(user), FUNDS);
        assertEq(channels.get(channelId).user, address(0));
        _expectUnknown(channelId);
        channels.close(channelId);
    }

    function test_close_whenNotStarted_thenRefused() external {
        bytes32 channelId = _open(10e18);
        vm.expectRevert(abi.encodeWithSelector(IInferenceChannels.TooEarly.selector, 0));
        channels.close(channelId);
    }

    function test_startClose_whenNotTheUserOrAgainOrUnknown_thenRefused() external {
        bytes32 channelId = _open(10e18);
        vm.expectRevert(abi.encodeWithSelector(IInferenceChannels.NotUser.selector, server));
        vm.prank(server);
        channels.startClose(channelId);
        vm.startPrank(user);
        channels.startClose(channelId);
        uint64 closeBlock = uint64(vm.getBlockNumber()) + DELAY;
        skipBlocks(1);
        vm.expectRevert(abi.encodeWithSelector(IInferenceChannels.Closing.selector, closeBlock));
        channels.startClose(channelId);
        _expectUnknown(bytes32(uint256(1)));
        channels.startClose(bytes32(uint256(1)));
    }

    function test_close_whenTheUserVanished_thenTheServerIsPaidAndMayRefund() external {
        bytes32 channelId = _open(10e18);
        _redeem(channelId, 4e18);
        vm.expectRevert(abi.encodeWithSelector(IInferenceChannels.NotServer.selector, user));
        vm.prank(user);
        channels.closeByServer(channelId);
        vm.expectEmit(address(channels));
        emit IInferenceChannels.ChannelClosed(channelId, 6e18);
        vm.prank(server);
        channels.closeByServer(channelId);
        assertEq(coin.balanceOf(user), FUNDS - 4e18);
        assertEq(rewards.total(), 4e18);
        _expectUnknown(channelId);
        vm.prank(server);
        channels.closeByServer(channelId);
    }

    function test_close_whenAllIsRedeemed_thenNothingMoves() external {
        bytes32 channelId = _open(10e18);
        _redeem(channelId, 10e18);
        vm.recordLogs();
        vm.prank(server);
        channels.closeByServer(channelId);
        assertEq(countLogs(vm.getRecordedLogs(), IERC20.Transfer.selector), 0);
        assertEq(coin.balanceOf(user), FUNDS - 10e18);
        assertEq(coin.balanceOf(address(channels)), 0);
    }

    function test_close_whenTheServerRedeemsInTheLastBlock_thenBothHaveTheirs() external {
        bytes32 channelId = _open(10e18);
        vm.prank(user);
        channels.startClose(channelId);
        skipBlocks(DELAY);
        _redeem(channelId, 9e18);
        channels.close(channelId);
        assertEq(rewards.total(), 9e18);
        assertEq(coin.balanceOf(user), FUNDS - 9e18);
    }

    function test_everyCall_whenReentered_thenRefused() external {
        HookCoin hooked = new HookCoin();
        InferenceChannels other = _new(address(hooked), DELAY);
        hooked.approve(address(other), type(uint256).max);
        bytes32 channelId = other.open(address(this), MODEL, 10e18);
        bytes[5] memory calls = [
            abi.encodeCall(other.open, (server, MODEL, 1)),
            abi.encodeCall(other.topUp, (channelId, 1)),
            abi.encodeCall(other.redeem, (channelId, 1, "")),
            abi.encodeCall(other.close, (channelId)),
            abi.encodeCall(other.closeByServer, (channelId))
        ];
        for (uint256 i; i < calls.length; ++i) {
            hooked.hook(address(other), calls[i]);
            other.topUp(channelId, 1);
            assertEq(
                hooked.answer(), abi.encodeWithSelector(ReentrancyGuard.ReentrancyGuardReentrantCall.selector)
            );
        }
    }
}
