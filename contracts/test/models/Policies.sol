// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";

/// @notice Policies for tests.
library Policies {
    uint96 internal constant MIN_MINER = 10e18;
    uint96 internal constant MIN_VALIDATOR = 100e18;

    /// @notice Within all bounds: phases of ten blocks, a committee of sixteen, kappa a half, quorum two thirds.
    function standard() internal pure returns (IModelRegistry.Policy memory) {
        return IModelRegistry.Policy(10, 10, 10, 10, 10, 10, 10, 16, 5000, 6667, 10_000, MIN_MINER, MIN_VALIDATOR);
    }
}
