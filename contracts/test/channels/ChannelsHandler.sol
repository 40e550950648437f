// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IInferenceChannels} from "../../src/interfaces/IInferenceChannels.sol";
import {Coin} from "../data/DataMocks.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";

/// @notice What users and servers may do with channels, in any order; each call is one that must succeed.
contract ChannelsHandler is Test {
    uint256 private constant PEOPLE = 3;

    IInferenceChannels private immutable _channels;
    Coin private immutable _coin;

    bytes32[] private _ids;
    /// @notice All that was ever paid in, paid to servers by our own account, and handed back, in wei.
    uint256 public paidIn;
    uint256 public redeemed;
    uint256 public refunded;

    constructor(IInferenceChannels channels, Coin coin) {
        (_channels, _coin) = (channels, coin);
    }

    function open(uint256 who, uint256 server, uint256 modelId, uint96 amount) external {
        (address user,) = person(who);
        (address to,) = person(server);
        uint256 deposit = bound(amount, 1, 1e24);
        _fund(user, deposit);
        vm.prank(user);
        _ids.push(_channels.open(to, bound(modelId, 1, 2), deposit));
    }

    function topUp(uint256 which, uint256 who, uint96 amount) external {
        (bytes32 id, IInferenceChannels.Channel memory channel) = _pick(which);
        if (channel.user == address(0) || channel.closeBlock != 0) return;
        (address payer,) = person(who);
        uint256 more = bound(amount, 1, 1e24);
        _fund(payer, more);
        vm.prank(payer);
        _channels.topUp(id, more);
    }

    function redeem(uint256 which, uint256 cumulative) external {
        (bytes32 id, IInferenceChannels.Channel memory channel) = _pick(which);
        if (channel.user == address(0) || channel.redeemed == channel.deposit) return;
        cumulative = bound(cumulative, channel.redeemed + 1, channel.deposit);
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(_keyOf(channel.user), _channels.voucherHash(id, channel.modelId, cumulative));
        _channels.redeem(id, cumulative, abi.encodePacked(r, s, v));
        redeemed += cumulative - channel.redeemed;
    }

    function startClose(uint256 which) external {
        (bytes32 id, IInferenceChannels.Channel memory channel) = _pick(which);
        if (channel.user == address(0) || channel.closeBlock != 0) return;
        vm.prank(channel.user);
        _channels.startClose(id);
    }

    function close(uint256 which) external {
        (bytes32 id, IInferenceChannels.Channel memory channel) = _pick(which);
        if (channel.closeBlock == 0) return;
        if (block.number < channel.closeBlock) rollTo(channel.closeBlock);
        uint256 before = _coin.balanceOf(channel.user);
        _channels.close(id);
        refunded += _coin.balanceOf(channel.user) - before;
    }

    function closeByServer(uint256 which) external {
        (bytes32 id, IInferenceChannels.Channel memory channel) = _pick(which);
        if (channel.user == address(0)) return;
        uint256 before = _coin.balanceOf(channel.user);
        vm.prank(channel.server);
        _channels.closeByServer(id);
        refunded += _coin.balanceOf(channel.user) - before;
    }

    function pass(uint8 blocks) external {
        skipBlocks(bound(blocks, 1, 60));
    }

    function ids() external view returns (bytes32[] memory) {
        return _ids;
    }

    function person(uint256 who) public pure returns (address, uint256) {
        uint256 key = 1 + who % PEOPLE;
        return (vm.addr(key), key);
    }

    function _pick(uint256 which) private view returns (bytes32 id, IInferenceChannels.Channel memory channel) {
        if (_ids.length == 0) return (id, channel);
        id = _ids[which % _ids.length];
        channel = _channels.get(id);
    }

    function _keyOf(address user) private pure returns (uint256 key) {
        for (uint256 i; i < PEOPLE; ++i) {
            (address found, uint256 foundKey) = person(i);
            if (found == user) key = foundKey;
        }
    }

    function _fund(address who, uint256 amount) private {
        _coin.mint(who, amount);
        vm.prank(who);
        _coin.approve(address(_channels), amount);
        paidIn += amount;
    }
}
