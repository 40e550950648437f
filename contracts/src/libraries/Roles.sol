// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @dev The roles that a stake can be for, as in `Role` of `contracts/enums.py`.
uint8 constant MINER = 1;
uint8 constant VALIDATOR = 2;
