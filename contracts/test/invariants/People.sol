// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Moves, Network} from "../support/Moves.sol";
import {vm} from "../support/Vm.sol";

/// @notice The few people and models that the whole system is tried with; whoever acts is chosen by a fuzzed number.
abstract contract People is Moves {
    uint256 public constant PEOPLE = 7;
    uint256 public constant MODELS = 3;

    /// @notice Sum in wei of the emissions of all rounds that were settled.
    uint256 public emitted;
    /// @notice The same by model.
    mapping(uint256 model => uint256) public emittedBy;
    /// @notice How often rounds opened, were released by the one before them, ended with a head, and ended void; how often rewards
    /// were voided.
    uint256 public opened;
    uint256 public released;
    uint256 public finals;
    uint256 public voids;
    uint256 public voided;

    constructor(Network memory n) {
        adopt(n);
    }

    /// @notice Account and private key of a person.
    function person(uint256 index) public pure returns (address who, uint256 key) {
        key = uint256(keccak256(abi.encode("person", index % PEOPLE)));
        who = vm.addr(key);
    }

    function _who(uint256 seed) internal pure returns (address who) {
        (who,) = person(seed);
    }

    function _model(uint256 seed) internal pure returns (uint256) {
        return 1 + seed % MODELS;
    }

    function _role(uint256 seed) internal pure returns (uint8) {
        return seed % 2 == 0 ? MINER : VALIDATOR;
    }

    /// @dev Randomness that follows from the fuzzed number and a label.
    function _roll(uint256 dice, uint256 label) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(dice, label)));
    }

    /// @dev A refusal is one that the rules foresee; anything else fails the test.
    function _foresee(bytes memory reason, bytes4 a, bytes4 b, bytes4 c) internal pure {
        bytes4 got = reason.length >= 4 ? bytes4(reason) : bytes4(0);
        if (got == a || (b != 0 && got == b) || (c != 0 && got == c)) return;
        assembly ("memory-safe") {
            revert(add(reason, 0x20), mload(reason))
        }
    }

    function _foresee(bytes memory reason, bytes4 a) internal pure {
        _foresee(reason, a, 0, 0);
    }

    function _foresee(bytes memory reason, bytes4 a, bytes4 b) internal pure {
        _foresee(reason, a, b, 0);
    }
}
