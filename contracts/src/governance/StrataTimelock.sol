// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";

/// @title The delay before what the council decides is done
/// @notice The council proposes and cancels, anyone executes what has waited `minDelay` seconds. There is no administrator: roles
/// and delay change by the timelock's own decisions.
contract StrataTimelock is TimelockController {
    constructor(uint256 minDelay, address[] memory proposers, address[] memory executors)
        TimelockController(minDelay, proposers, executors, address(0))
    {}
}
