// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDataRegistry} from "../../src/interfaces/IDataRegistry.sol";
import {IInferenceChannels} from "../../src/interfaces/IInferenceChannels.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IRewards} from "../../src/interfaces/IRewards.sol";
import {IRounds} from "../../src/interfaces/IRounds.sol";
import {vm} from "../support/Vm.sol";
import {People} from "./People.sol";

/// @notice Claims, channels, datasets and votes on them, and what governance may change.
abstract contract MoneyActions is People {
    bytes32[] private _channels;

    function claim(uint256 who) external {
        address one = _who(who);
        uint256 due = rewards.claimable(one, allModels());
        vm.prank(one);
        assertEq(rewards.claim(allModels()), due, "who claims gets what was shown");
    }

    // --- inference ---

    function openChannel(uint256 who, uint256 server, uint256 model, uint256 amount) external {
        if (_channels.length >= 12) return;
        _channels.push(openChannel(_who(who), _who(server), _model(model), bound(amount, 1, 100e18)));
    }

    function topUp(uint256 which, uint256 amount) external {
        (bytes32 id, IInferenceChannels.Channel memory channel) = _channel(which);
        if (channel.user == address(0) || channel.closeBlock != 0) return;
        amount = bound(amount, 1, 100e18);
        fund(channel.user, amount);
        vm.prank(channel.user);
        token.approve(address(channels), amount);
        vm.prank(channel.user);
        channels.topUp(id, amount);
    }

    function redeem(uint256 which, uint256 cumulative) external {
        (bytes32 id, IInferenceChannels.Channel memory channel) = _channel(which);
        if (channel.user == address(0) || channel.redeemed == channel.deposit) return;
        cumulative = bound(cumulative, channel.redeemed + 1, channel.deposit);
        redeem(id, channel.modelId, cumulative, _keyOf(channel.user));
    }

    function closeChannel(uint256 which, uint256 dice) external {
        (bytes32 id, IInferenceChannels.Channel memory channel) = _channel(which);
        if (channel.user == address(0)) return;
        if (dice % 3 == 0) {
            vm.prank(channel.server);
            channels.closeByServer(id);
        } else if (channel.closeBlock == 0) {
            vm.prank(channel.user);
            channels.startClose(id);
        } else if (block.number >= channel.closeBlock) {
            channels.close(id);
        }
    }

    /// @notice What all open channels hold, in wei.
    function lockedInChannels() external view returns (uint256 sum) {
        for (uint256 i; i < _channels.length; ++i) {
            IInferenceChannels.Channel memory channel = channels.get(_channels[i]);
            sum += channel.deposit - channel.redeemed;
        }
    }

    // --- data ---

    function registerData(uint256 who, uint256 model, uint256 label) external {
        if (data.count() >= 8 || data.idOf(keccak256(abi.encode("root", bytes32(label)))) != 0) return;
        registerData(_who(who), _model(model), bytes32(label));
    }

    function vote(uint256 which, uint256 who, uint256 dice) external {
        if (data.count() == 0) return;
        vm.prank(_who(who));
        try data.vote(1 + which % data.count(), dice % 4 != 0, uint16(dice % 10_001)) {}
        catch (bytes memory reason) {
            _foresee(
                reason,
                IDataRegistry.NotValidator.selector,
                IDataRegistry.AlreadyVoted.selector,
                IDataRegistry.WrongStatus.selector
            );
        }
    }

    function withdrawData(uint256 which) external {
        if (data.count() == 0) return;
        uint256 id = 1 + which % data.count();
        vm.prank(data.ownerOf(id));
        try data.withdraw(id) {}
        catch (bytes memory reason) {
            _foresee(reason, IDataRegistry.StillJudged.selector, IDataRegistry.WrongStatus.selector);
        }
    }

    function reclaimDeposit(uint256 which) external {
        if (data.count() == 0) return;
        uint256 id = 1 + which % data.count();
        vm.prank(data.ownerOf(id));
        try data.reclaim(id) {}
        catch (bytes memory reason) {
            _foresee(reason, IDataRegistry.NothingToReclaim.selector);
        }
    }

    // --- governance ---

    function setSplits(uint256 dice) external {
        IRewards.Splits memory s = rewards.splits();
        s.emissionValidators = uint16(1_000 + dice % 1_001);
        s.emissionData = uint16(500 + (dice >> 16) % 1_001);
        s.emissionParent = uint16((dice >> 32) % 1_001);
        s.emissionArchive = uint16((dice >> 48) % 501);
        s.emissionTreasury = uint16((dice >> 64) % 501);
        uint256 others = s.emissionValidators + s.emissionData + s.emissionParent + s.emissionArchive;
        if (others + s.emissionTreasury < 3_000) s.emissionTreasury = uint16(3_000 - others); // miners get 7,000 at most
        s.emissionMiners =
            10_000 - s.emissionValidators - s.emissionData - s.emissionParent - s.emissionArchive - s.emissionTreasury;
        vm.prank(address(timelock));
        rewards.setSplits(s);
    }

    function setArchive(uint256 model, uint256 who) external {
        vm.prank(address(timelock));
        rewards.setArchive(_model(model), who % 3 == 0 ? address(0) : _who(who));
    }

    function setPolicy(uint256 model, uint256 dice) external {
        IModelRegistry.Policy memory p = policyOf(uint32(2 + dice % 4), uint8(3 + (dice >> 8) % 4));
        p.kappaBps = uint16(5_000 + (dice >> 16) % 1_668);
        p.emissionBps = uint16((dice >> 32) % 10_001);
        vm.prank(address(timelock));
        models.setPolicy(_model(model), p);
    }

    function pause(uint256 blocks) external {
        vm.prank(guardian);
        try rounds.pause(uint64(bound(blocks, 1, 20))) {}
        catch (bytes memory reason) {
            _foresee(reason, IRounds.PauseTooSoon.selector);
        }
    }

    function unpause() external {
        vm.prank(address(timelock));
        rounds.unpause();
    }

    // --- all of it ---

    function allModels() public pure returns (uint256[] memory ids) {
        ids = new uint256[](MODELS);
        for (uint256 i; i < MODELS; ++i) {
            ids[i] = i + 1;
        }
    }

    function _closeAll() internal {
        for (uint256 i; i < _channels.length; ++i) {
            IInferenceChannels.Channel memory channel = channels.get(_channels[i]);
            if (channel.user == address(0)) continue;
            vm.prank(channel.server);
            channels.closeByServer(_channels[i]);
        }
    }

    function _channel(uint256 which) private view returns (bytes32 id, IInferenceChannels.Channel memory channel) {
        if (_channels.length == 0) return (id, channel);
        id = _channels[which % _channels.length];
        channel = channels.get(id);
    }

    function _keyOf(address user) private pure returns (uint256) {
        for (uint256 i; i < PEOPLE; ++i) {
            (address one, uint256 key) = person(i);
            if (one == user) return key;
        }
        revert("a stranger's channel");
    }
}
