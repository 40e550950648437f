// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";

/// @title Who may call what is restricted
/// @notice Once Strata is deployed its only administrator is the timelock, and role 1, the guardian, may pause openings of
/// rounds at once. No restricted function moves anybody's tokens.
contract StrataAuthority is AccessManager {
    constructor(address initialAdmin) AccessManager(initialAdmin) {}
}
