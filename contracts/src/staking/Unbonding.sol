// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {Shares} from "./Shares.sol";
import {StakingBase} from "./StakingBase.sol";

/// @title Stake on its way out
/// @dev Whoever leaves an operator in the same stretch of blocks (a quarter of the unbonding time) shares a bucket. So a
/// slash, which is due on all that was staked when the deed was done, cuts a few buckets and not every one who left.
abstract contract Unbonding is StakingBase {
    /// @dev An account's shares of a bucket.
    struct Entry {
        address operator;
        uint8 role;
        uint64 bucket;
        uint96 modelId;
        uint160 shares;
    }

    uint256 internal constant MAX_ENTRIES = 64;

    /// @inheritdoc IStaking
    uint64 public immutable unbondingBlocks;
    /// @dev Blocks between the releases of one bucket and the next: a quarter of the unbonding time, one at least.
    uint64 internal immutable _width;

    mapping(address account => Entry[]) private _entries;

    constructor(uint64 unbondingBlocks_) {
        unbondingBlocks = unbondingBlocks_;
        _width = unbondingBlocks_ < 8 ? 1 : unbondingBlocks_ / 4;
    }

    /// @inheritdoc IStaking
    function pendingOf(address account) external view returns (uint256) {
        return _claimable[account] + _sumEntries(account, type(uint64).max);
    }

    /// @inheritdoc IStaking
    function withdrawableOf(address account) external view returns (uint256) {
        return _claimable[account] + _sumEntries(account, _lastReleased());
    }

    /// @dev Puts `amount` wei that the caller asked back from an operator into the bucket that is filled now.
    function _enqueue(uint256 modelId, uint8 role, address operator, uint256 amount)
        internal
        returns (uint64 releaseBlock)
    {
        uint64 id = _fillingBucket();
        releaseBlock = id * _width;
        if (amount == 0) return releaseBlock;
        Bucket storage bucket = _member(modelId, role, operator).buckets[id];
        uint160 shares = SafeCast.toUint160(Shares.forDeposit(amount, bucket.assets, bucket.shares));
        bucket.assets += SafeCast.toUint96(amount);
        bucket.shares += shares;
        _enter(Entry(operator, role, id, SafeCast.toUint96(modelId), shares));
    }

    /// @dev Takes all that was released to the account off its list; also says how many entries that were, since slashing can
    /// leave one without worth.
    function _takeReleased(address account) internal returns (uint256 amount, uint256 taken) {
        Entry[] storage list = _entries[account];
        uint64 last = _lastReleased();
        uint256 i;
        while (i < list.length) {
            Entry memory entry = list[i];
            if (entry.bucket > last) {
                ++i;
                continue;
            }
            Bucket storage bucket = _member(entry.modelId, entry.role, entry.operator).buckets[entry.bucket];
            uint256 part = Shares.worth(entry.shares, bucket.assets, bucket.shares);
            bucket.assets -= uint96(part);
            bucket.shares -= entry.shares;
            amount += part;
            ++taken;
            list[i] = list[list.length - 1];
            list.pop();
        }
    }

    /// @dev Cuts every bucket of the operator that is not released yet, seven at most; returns the wei cut.
    function _slashBuckets(Member storage member, uint256 bps) internal returns (uint256 amount) {
        uint64 end = _fillingBucket();
        for (uint64 id = _lastReleased() + 1; id <= end; ++id) {
            uint256 assets = member.buckets[id].assets;
            if (assets == 0) continue;
            uint256 part = (assets * bps) / BPS;
            member.buckets[id].assets = uint96(assets - part);
            amount += part;
        }
    }

    /// @dev Adds an entry to the caller's list, into one of the same bucket where there is one. A full list is first freed of
    /// what was released, which stays the caller's.
    function _enter(Entry memory entry) private {
        Entry[] storage list = _entries[msg.sender];
        for (uint256 i; i < list.length; ++i) {
            Entry storage other = list[i];
            if (
                other.operator == entry.operator && other.bucket == entry.bucket && other.role == entry.role
                    && other.modelId == entry.modelId
            ) {
                other.shares += entry.shares;
                return;
            }
        }
        if (list.length >= MAX_ENTRIES) {
            (uint256 amount,) = _takeReleased(msg.sender);
            _claimable[msg.sender] += amount;
            if (list.length >= MAX_ENTRIES) revert TooManyUnbondings();
        }
        list.push(entry);
    }

    /// @dev What the account's entries up to a bucket are worth now, in wei.
    function _sumEntries(address account, uint64 last) private view returns (uint256 amount) {
        Entry[] storage list = _entries[account];
        for (uint256 i; i < list.length; ++i) {
            Entry memory entry = list[i];
            if (entry.bucket > last) continue;
            Bucket storage bucket = _member(entry.modelId, entry.role, entry.operator).buckets[entry.bucket];
            amount += Shares.worth(entry.shares, bucket.assets, bucket.shares);
        }
    }

    /// @dev Bucket `id` is released in block `id * _width`; the first one not before the unbonding time has passed.
    function _fillingBucket() private view returns (uint64) {
        return (uint64(block.number) + unbondingBlocks + _width - 1) / _width;
    }

    function _lastReleased() private view returns (uint64) {
        return uint64(block.number) / _width;
    }
}
