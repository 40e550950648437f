// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {MINER, VALIDATOR} from "../libraries/Roles.sol";
import {Sorting} from "../libraries/Sorting.sol";
import {Seats} from "./Seats.sol";
import {StakingBase} from "./StakingBase.sol";

/// @title What staking tells of itself, now and at the end of earlier blocks
abstract contract StakingViews is StakingBase {
    using Checkpoints for Checkpoints.Trace208;
    using Seats for Seats.Table;

    /// @inheritdoc IStaking
    function stakeOf(address account, uint256 modelId, uint8 role) external view returns (uint256) {
        Member storage member = _member(modelId, role, account);
        return uint256(member.own) + member.delegated;
    }

    /// @inheritdoc IStaking
    function ownStakeOf(address account, uint256 modelId, uint8 role) external view returns (uint256) {
        return _member(modelId, role, account).own;
    }

    /// @inheritdoc IStaking
    function activeStake(address account, uint256 modelId, uint8 role) external view returns (uint256) {
        return _member(modelId, role, account).effective.latest();
    }

    /// @inheritdoc IStaking
    function stakeAt(address account, uint256 modelId, uint8 role, uint256 blockNumber) external view returns (uint256) {
        return _member(modelId, role, account).effective.upperLookupRecent(SafeCast.toUint48(blockNumber));
    }

    /// @inheritdoc IStaking
    function totalAt(uint256 modelId, uint8 role, uint256 blockNumber) external view returns (uint256) {
        return _pools[modelId][role].total.upperLookupRecent(SafeCast.toUint48(blockNumber));
    }

    /// @inheritdoc IStaking
    function totalStake(uint256 modelId, uint8 role) external view returns (uint256) {
        return _pools[modelId][role].total.latest();
    }

    /// @inheritdoc IStaking
    function countAt(uint256 modelId, uint8 role, uint256 blockNumber) external view returns (uint256) {
        return _pools[modelId][role].count.upperLookupRecent(SafeCast.toUint48(blockNumber));
    }

    /// @inheritdoc IStaking
    function members(uint256 modelId, uint8 role) external view returns (address[] memory accounts) {
        return _present(_pools[modelId][role], SafeCast.toUint48(block.number));
    }

    /// @inheritdoc IStaking
    function memberSince(uint256 modelId, uint8 role, address account) external view returns (uint256) {
        return _member(modelId, role, account).since;
    }

    /// @inheritdoc IStaking
    function frozen(uint256 modelId, uint8 role, uint256 blockNumber)
        external
        view
        returns (address[] memory accounts, uint256[] memory stakes)
    {
        uint48 when = SafeCast.toUint48(blockNumber);
        Pool storage pool = _pools[modelId][role];
        accounts = _present(pool, when);
        if (role == MINER) Sorting.ascending(accounts);
        stakes = new uint256[](accounts.length);
        for (uint256 i; i < accounts.length; ++i) {
            stakes[i] = pool.members[accounts[i]].effective.upperLookupRecent(when);
        }
    }

    /// @inheritdoc IStaking
    function seatsAt(uint256 modelId, uint256 blockNumber)
        external
        view
        returns (address[] memory accounts, uint96[] memory stakes)
    {
        uint48 when = SafeCast.toUint48(blockNumber);
        Pool storage pool = _pools[modelId][VALIDATOR];
        uint256 end = pool.seats.length;
        while (end > 0 && pool.seats.occupantAt(end - 1, when) == address(0)) --end;
        accounts = new address[](end);
        stakes = new uint96[](end);
        for (uint256 slot; slot < end; ++slot) {
            address account = pool.seats.occupantAt(slot, when);
            if (account == address(0)) continue;
            accounts[slot] = account;
            stakes[slot] = SafeCast.toUint96(pool.members[account].effective.upperLookupRecent(when));
        }
    }

    /// @inheritdoc IStaking
    function globalValidatorStake() external view returns (uint256) {
        return _globalValidators.latest();
    }

    /// @inheritdoc IStaking
    function globalValidatorStakeAt(uint256 blockNumber) external view returns (uint256) {
        return _globalValidators.upperLookupRecent(SafeCast.toUint48(blockNumber));
    }

    /// @inheritdoc IStaking
    function isDropped(uint256 modelId, address account) external view returns (bool) {
        return _member(modelId, VALIDATOR, account).dropped;
    }

    /// @dev Everybody in a seat at the end of a block, by slot.
    function _present(Pool storage pool, uint48 when) private view returns (address[] memory accounts) {
        uint256 end = pool.seats.length;
        accounts = new address[](end);
        uint256 found;
        for (uint256 slot; slot < end; ++slot) {
            address account = pool.seats.occupantAt(slot, when);
            if (account != address(0)) accounts[found++] = account;
        }
        assembly ("memory-safe") {
            mstore(accounts, found)
        }
    }
}
