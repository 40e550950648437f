// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IInferenceChannels} from "../../src/interfaces/IInferenceChannels.sol";
import {ChannelsHandler} from "./ChannelsHandler.sol";
import {ChannelsWorld} from "./ChannelsWorld.sol";

/// @notice Whatever happens, the contract holds what its channels still owe, to the wei.
contract ChannelsInvariantsTest is ChannelsWorld {
    ChannelsHandler internal handler;

    function setUp() public override {
        super.setUp();
        handler = new ChannelsHandler(channels, coin);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_channels_areSolventToTheWei() external view {
        bytes32[] memory ids = handler.ids();
        uint256 open;
        for (uint256 i; i < ids.length; ++i) {
            IInferenceChannels.Channel memory channel = channels.get(ids[i]);
            assertLe(channel.redeemed, channel.deposit, "redeemed");
            open += channel.deposit - channel.redeemed;
        }
        assertEq(coin.balanceOf(address(channels)), open, "held");
        assertEq(rewards.total(), handler.redeemed(), "fees");
        assertEq(handler.paidIn(), open + handler.redeemed() + handler.refunded(), "conserved");
    }
}
