// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRewards} from "../interfaces/IRewards.sol";
import {Splitting} from "../libraries/Splitting.sol";
import {Dividends} from "./Dividends.sol";
import {RewardsBase} from "./RewardsBase.sol";
import {Account, Book} from "./RewardTypes.sol";
import {Vesting} from "./Vesting.sol";

/// @title What can be read of `Rewards`
/// @dev Described in `IRewards`.
abstract contract RewardsViews is RewardsBase {
    using Dividends for Book;
    using Vesting for Account;

    /// @inheritdoc IRewards
    function claimable(address account, uint256[] calldata modelIds) external view returns (uint256 amount) {
        (amount,) = _accounts[account].matured(_books);
        for (uint256 i; i < modelIds.length; ++i) {
            if (_seenBefore(modelIds, i)) continue;
            (uint256 dividends,,) = _books[modelIds[i]].due(account);
            amount += dividends;
        }
    }

    /// @inheritdoc IRewards
    function vesting(address account) external view returns (uint256) {
        return _accounts[account].locked(_books);
    }

    /// @inheritdoc IRewards
    function sharesOf(uint256 modelId, address account) external view returns (uint256) {
        return _books[modelId].sharesOf(account);
    }

    /// @inheritdoc IRewards
    function totalShares(uint256 modelId) external view returns (uint256) {
        return _books[modelId].totalShares;
    }

    /// @inheritdoc IRewards
    function owed() external view returns (uint256) {
        return _owed;
    }

    /// @inheritdoc IRewards
    function reserved() external view returns (uint256) {
        return _reserved;
    }

    /// @inheritdoc IRewards
    function unlockOf(uint256 modelId, uint64 round) external view returns (uint64) {
        return _books[modelId].rounds[round].unlockBlock;
    }

    /// @inheritdoc IRewards
    function isVoided(uint256 modelId, uint64 round) external view returns (bool) {
        return _books[modelId].rounds[round].isVoided;
    }

    /// @inheritdoc IRewards
    function emissionAt(uint256 blockNumber) external view returns (uint256) {
        return _emissionPerBlock(blockNumber);
    }

    /// @inheritdoc IRewards
    function sharesAt(uint64 round) external pure returns (uint256) {
        return Splitting.sharesAt(round);
    }

    function _seenBefore(uint256[] calldata list, uint256 index) private pure returns (bool) {
        for (uint256 i; i < index; ++i) {
            if (list[i] == list[index]) return true;
        }
        return false;
    }
}
