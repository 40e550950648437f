// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";

/// @notice Something that governance may pause and set, as `Rounds` and the registries are.
contract Governed is AccessManaged {
    uint64 public pausedFor;
    uint256 public setting;

    constructor(address authority) AccessManaged(authority) {}

    function pause(uint64 blocks) external restricted {
        pausedFor = blocks;
    }

    function unpause() external restricted {
        pausedFor = 0;
    }

    function set(uint256 value) external restricted {
        setting = value;
    }
}
