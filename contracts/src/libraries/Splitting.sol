// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The integer arithmetic of payments
/// @notice The same as in `contracts/reference.py`. Amounts in wei. Everything rounds down.
library Splitting {
    uint256 internal constant BPS = 10_000;
    uint256 internal constant EMISSION_PER_BLOCK = 1e18;
    uint256 internal constant HALVING_BLOCKS = 45_000_000;
    uint256 internal constant FIRST_SHARES = 1000e18;
    uint256 internal constant SHARES_HORIZON = 100;

    /// @notice `amount` times `bps` / 10,000.
    function part(uint256 amount, uint16 bps) internal pure returns (uint256) {
        return (amount * bps) / BPS;
    }

    /// @notice `amount` times `weight` / `total`, at most `left`; 0 where there is nothing to weigh.
    function share(uint256 amount, uint256 weight, uint256 total, uint256 left) internal pure returns (uint256) {
        if (total == 0) return 0;
        return min((amount * weight) / total, left);
    }

    /// @notice What the network emits in a block that comes `elapsed` blocks after its start.
    function emissionPerBlock(uint256 elapsed) internal pure returns (uint256) {
        return EMISSION_PER_BLOCK >> (elapsed / HALVING_BLOCKS);
    }

    /// @notice Emission of a model with `modelStake` of `globalStake` that takes `bps` / 10,000 of it, over some blocks.
    function emissionOf(uint256 perBlock, uint256 blocks, uint256 modelStake, uint256 globalStake, uint16 bps)
        internal
        pure
        returns (uint256)
    {
        if (globalStake == 0) return 0;
        return (perBlock * blocks * min(modelStake, globalStake) * bps) / (globalStake * BPS);
    }

    /// @notice What a round may pay: its emission, and of what was carried forward at most as much again.
    function potOf(uint256 emission, uint256 carried, uint256 mintable) internal pure returns (uint256) {
        return min(emission + min(carried, emission), mintable);
    }

    /// @notice What delegators get of a validator's reward, after its commission.
    function delegatorsPart(uint256 amount, uint256 own, uint256 delegated, uint16 commissionBps)
        internal
        pure
        returns (uint256)
    {
        if (delegated == 0) return 0;
        return (amount * delegated * (BPS - commissionBps)) / ((own + delegated) * BPS);
    }

    /// @notice Shares that the model's accepted round number `round` mints.
    function sharesAt(uint64 round) internal pure returns (uint256) {
        return (FIRST_SHARES * SHARES_HORIZON) / (SHARES_HORIZON + round);
    }

    /// @notice The smaller one.
    function min(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? a : b;
    }
}
