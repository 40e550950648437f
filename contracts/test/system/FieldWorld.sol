// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {World} from "../support/World.sol";

/// @notice The whole network with a model and a field below it, both listed.
abstract contract FieldWorld is World {
    uint256 internal _root;
    uint256 internal _law;

    function setUp() public virtual override {
        super.setUp();
        _root = models.register(0, 0, "global", "all", keccak256("g"), policyOf(5, 16));
        _law = models.register(_root, 2, "law", "law", keccak256("l"), policyOf(5, 16));
        _list(_root);
        _list(_law);
    }
}
