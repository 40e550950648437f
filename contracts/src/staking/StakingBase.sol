// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {MINER, VALIDATOR} from "../libraries/Roles.sol";
import {Wired} from "../libraries/Wired.sol";
import {Seats} from "./Seats.sol";

/// @title What staking remembers, and who has a seat
/// @dev Everybody in a seat has effective stake, equal to all its stake, and nobody else has any.
abstract contract StakingBase is IStaking, ReentrancyGuard, Wired {
    using Checkpoints for Checkpoints.Trace208;
    using Seats for Seats.Table;

    /// @dev Stake that was asked back and is released in one block, by whoever; slashing cuts `assets` (wei) alone.
    struct Bucket {
        uint96 assets;
        uint160 shares;
    }

    /// @dev `next` (basis points) takes the place of `current` from block `nextFrom` on (0: nothing awaits).
    struct Commission {
        bool isSet;
        uint16 current;
        uint16 next;
        uint64 nextFrom;
    }

    /// @dev A delegator's shares of a pool, and the pool's rewards per share up to which it was paid.
    struct Holding {
        uint256 shares;
        uint256 paidPerShare;
    }

    /// @dev An operator in one model and role. Amounts in wei; `seat` is its slot plus one, `since` the block when it sat
    /// down, `leftBlock` the one in which a validator last gave its seat up or was dropped. The first five share a word.
    struct Member {
        uint96 own;
        uint96 delegated;
        uint40 since;
        uint16 seat;
        bool dropped;
        uint64 leftBlock;
        uint256 shares;
        uint256 rewardsPerShare;
        Commission commission;
        Checkpoints.Trace208 effective;
        mapping(uint256 bucket => Bucket) buckets;
        mapping(address holder => Holding) holdings;
    }

    /// @dev One model and role.
    struct Pool {
        Checkpoints.Trace208 total;
        Checkpoints.Trace208 count;
        Seats.Table seats;
        mapping(address account => Member) members;
    }

    uint256 internal constant MAX_MINERS = 256;
    uint256 internal constant MAX_VALIDATORS = 64;
    uint256 internal constant BPS = 10_000;

    IERC20 internal immutable _token;
    IModelRegistry internal immutable _models;

    Checkpoints.Trace208 internal _globalValidators;
    mapping(uint256 modelId => mapping(uint8 role => Pool)) internal _pools;
    mapping(address account => uint256) internal _claimable;

    constructor(address token, address models) {
        _token = IERC20(_nonZero(token));
        _models = IModelRegistry(_nonZero(models));
    }

    /// @inheritdoc IStaking
    function minStake(uint256 modelId, uint8 role) public view returns (uint256) {
        _checkRole(role);
        return _models.minStakeOf(modelId, role);
    }

    function _checkRole(uint8 role) internal pure {
        if (role != MINER && role != VALIDATOR) revert BadRole(role);
    }

    function _member(uint256 modelId, uint8 role, address account) internal view returns (Member storage) {
        return _pools[modelId][role].members[account];
    }

    /// @dev The stake that would count if its owner had a seat, in wei.
    function _eligible(uint256 modelId, uint8 role, Member storage member) internal view returns (uint256) {
        if (member.dropped || member.own == 0 || member.own < minStake(modelId, role)) return 0;
        return uint256(member.own) + member.delegated;
    }

    /// @dev Brings an account's seat and effective stake, and all that is counted from it, in line with its stake. One without
    /// a seat gets one only if it asks, since who sits must take part: nobody else can seat it.
    function _refresh(uint256 modelId, uint8 role, address account, bool asksForSeat) internal {
        Member storage member = _member(modelId, role, account);
        uint256 next = _eligible(modelId, role, member);
        if (member.seat == 0) {
            if (next == 0 || !asksForSeat) return;
            _sit(modelId, role, account, next);
        } else if (next == 0) {
            Pool storage pool = _pools[modelId][role];
            pool.seats.clear(member.seat - 1);
            member.seat = 0;
            _push(pool.count, pool.count.latest() - 1);
        }
        _weigh(modelId, role, account, next);
    }

    /// @dev Gives the account a free seat, or that of the lowest member if it has less than `amount`.
    function _sit(uint256 modelId, uint8 role, address account, uint256 amount) private {
        Pool storage pool = _pools[modelId][role];
        uint256 slot = pool.seats.lowestFree();
        uint256 capacity = role == MINER ? MAX_MINERS : MAX_VALIDATORS;
        if (slot < capacity) {
            _push(pool.count, pool.count.latest() + 1);
        } else {
            address lowest;
            uint256 least;
            (slot, lowest, least) = _lowest(pool, capacity);
            if (amount <= least) revert TooManyMembers(modelId, role);
            pool.members[lowest].seat = 0;
            _weigh(modelId, role, lowest, 0);
            emit Unseated(lowest, modelId, role);
        }
        pool.seats.put(slot, account);
        Member storage member = pool.members[account];
        member.seat = uint16(slot + 1);
        member.since = uint40(block.number);
    }

    /// @dev The member with the least stake of a full table; among equals, the one in the highest slot.
    function _lowest(Pool storage pool, uint256 capacity)
        private
        view
        returns (uint256 slot, address account, uint256 least)
    {
        least = type(uint256).max;
        for (uint256 i; i < capacity; ++i) {
            address other = pool.seats.occupant(i);
            Member storage member = pool.members[other];
            uint256 amount = uint256(member.own) + member.delegated;
            if (amount <= least) (slot, account, least) = (i, other, amount);
        }
    }

    /// @dev Sets an account's effective stake, and the sums that it is part of.
    function _weigh(uint256 modelId, uint8 role, address account, uint256 next) private {
        Pool storage pool = _pools[modelId][role];
        Checkpoints.Trace208 storage effective = pool.members[account].effective;
        uint256 previous = effective.latest();
        if (next == previous) return;
        _push(effective, next);
        _push(pool.total, pool.total.latest() + next - previous);
        if (role == VALIDATOR) _push(_globalValidators, _globalValidators.latest() + next - previous);
    }

    function _push(Checkpoints.Trace208 storage trace, uint256 value) private {
        trace.push(SafeCast.toUint48(block.number), SafeCast.toUint208(value));
    }
}
