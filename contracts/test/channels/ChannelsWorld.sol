// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {InferenceChannels} from "../../src/InferenceChannels.sol";
import {IInferenceChannels} from "../../src/interfaces/IInferenceChannels.sol";
import {Coin, FakeModels} from "../data/DataMocks.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";
import {FakeRewards} from "./ChannelsMocks.sol";

/// @notice Channels between a user who can sign and a server, for model 1.
abstract contract ChannelsWorld is Test {
    uint64 internal constant DELAY = 50;
    uint256 internal constant MODEL = 1;
    uint256 internal constant FUNDS = 1000e18;

    Coin internal coin;
    FakeModels internal models;
    FakeRewards internal rewards;
    InferenceChannels internal channels;

    address internal user;
    uint256 internal userKey;
    address internal mallory;
    uint256 internal malloryKey;
    address internal server = account("server");

    function setUp() public virtual {
        coin = Coin(deploy("data/DataMocks.sol:Coin", ""));
        models = FakeModels(deploy("data/DataMocks.sol:FakeModels", ""));
        rewards = FakeRewards(deploy("channels/ChannelsMocks.sol:FakeRewards", abi.encode(coin)));
        channels = _new(address(coin), DELAY);
        models.set(MODEL, account("modeller"), 0);
        models.set(2, account("modeller"), 1);
        (user, userKey) = accountAndKey("user");
        (mallory, malloryKey) = accountAndKey("mallory");
        _fund(user);
        _fund(mallory);
    }

    function _new(address token, uint64 delay) internal returns (InferenceChannels) {
        bytes memory arguments = abi.encode(token, models, rewards, uint256(delay));
        return InferenceChannels(deploy("InferenceChannels.sol:InferenceChannels", arguments));
    }

    function _fund(address who) internal {
        coin.mint(who, FUNDS);
        vm.prank(who);
        coin.approve(address(channels), type(uint256).max);
    }

    function _open(uint256 deposit) internal returns (bytes32) {
        vm.prank(user);
        return channels.open(server, MODEL, deposit);
    }

    function _sign(uint256 key, bytes32 channelId, uint256 modelId, uint256 cumulative)
        internal
        view
        returns (bytes memory)
    {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, channels.voucherHash(channelId, modelId, cumulative));
        return abi.encodePacked(r, s, v);
    }

    /// @dev Redeems what the user signs for.
    function _redeem(bytes32 channelId, uint256 cumulative) internal {
        channels.redeem(channelId, cumulative, _sign(userKey, channelId, MODEL, cumulative));
    }

    function _expectUnknown(bytes32 channelId) internal {
        vm.expectRevert(abi.encodeWithSelector(IInferenceChannels.UnknownChannel.selector, channelId));
    }
}
