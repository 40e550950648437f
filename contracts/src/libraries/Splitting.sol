// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The integer arithmetic of payments
/// @notice The same as in `contracts/reference.py`. Everything rounds down; what is left over goes to the treasury.
library Splitting {
    uint256 internal constant BPS = 10_000;
    uint256 internal constant FIRST_EMISSION = 1000e18;
    uint256 internal constant HALVING_ROUNDS = 100_000;
    uint256 internal constant FIRST_SHARES = 1000e18;
    uint256 internal constant SHARES_HORIZON = 100;

    /// @notice `amount` times `bps` / 10,000.
    function part(uint256 amount, uint16 bps) internal pure returns (uint256) {
        return (amount * bps) / BPS;
    }

    /// @notice Emission of a round for a model with all stake, after `settledRounds` rounds of all models.
    function emissionAt(uint256 settledRounds) internal pure returns (uint256) {
        uint256 halvings = settledRounds / HALVING_ROUNDS;
        return halvings > 255 ? 0 : FIRST_EMISSION >> halvings;
    }

    /// @notice A model's part of a round's emission.
    function emissionFor(uint256 settledRounds, uint256 modelStake, uint256 globalStake)
        internal
        pure
        returns (uint256)
    {
        if (globalStake == 0) return 0;
        if (modelStake > globalStake) modelStake = globalStake;
        return (emissionAt(settledRounds) * modelStake) / globalStake;
    }

    /// @notice Shares that the model's accepted round number `round` mints.
    function sharesAt(uint64 round) internal pure returns (uint256) {
        return (FIRST_SHARES * SHARES_HORIZON) / (SHARES_HORIZON + round);
    }

    /// @notice The sum of a list.
    function sum(uint256[] calldata weights) internal pure returns (uint256 total) {
        for (uint256 i; i < weights.length; ++i) {
            total += weights[i];
        }
    }
}
