// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {vm} from "../support/Vm.sol";
import {ChannelsWorld} from "./ChannelsWorld.sol";

/// @notice What the calls about channels cost; a stand-in takes the fees.
contract ChannelsGasTest is ChannelsWorld {
    function test_gas_whenAChannelLivesItsLife_thenRecorded() external {
        bytes32 channelId = _open(10e18);
        vm.snapshotGasLastCall("channels", "open");
        vm.prank(user);
        channels.topUp(channelId, 1e18);
        vm.snapshotGasLastCall("channels", "topUp");
        bytes memory first = _sign(userKey, channelId, MODEL, 1e18);
        channels.redeem(channelId, 1e18, first);
        vm.snapshotGasLastCall("channels", "redeem: first");
        bytes memory second = _sign(userKey, channelId, MODEL, 2e18);
        channels.redeem(channelId, 2e18, second);
        vm.snapshotGasLastCall("channels", "redeem");
        vm.prank(user);
        channels.startClose(channelId);
        vm.snapshotGasLastCall("channels", "startClose");
        skipBlocks(DELAY);
        channels.close(channelId);
        vm.snapshotGasLastCall("channels", "close");
    }
}
