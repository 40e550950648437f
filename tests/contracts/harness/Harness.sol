// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Consensus} from "../../../contracts/src/libraries/Consensus.sol";
import {RoundClock} from "../../../contracts/src/libraries/RoundClock.sol";
import {Splitting} from "../../../contracts/src/libraries/Splitting.sol";

/// @title The protocol's pure arithmetic, callable from tests
contract Harness {
    function phaseAt(RoundClock.Facts memory f, uint256 blockNumber)
        external
        pure
        returns (uint8 phase, uint64 phaseEnd, uint8 reason)
    {
        return RoundClock.phaseAt(f, blockNumber);
    }

    function consensus(uint32[][] memory scores, uint256[] memory stakes, uint256 submissions)
        external
        pure
        returns (uint64[] memory values, uint32[] memory weights, uint32[] memory agreements)
    {
        values = Consensus.reach(scores, stakes, submissions);
        weights = Consensus.weightsQ16(values);
        agreements = new uint32[](scores.length);
        for (uint256 v; v < scores.length; ++v) {
            agreements[v] = Consensus.agreement(scores[v], values);
        }
    }

    function emissionFor(uint256 settledRounds, uint256 modelStake, uint256 globalStake)
        external
        pure
        returns (uint256)
    {
        return Splitting.emissionFor(settledRounds, modelStake, globalStake);
    }

    function sharesAt(uint64 round) external pure returns (uint256) {
        return Splitting.sharesAt(round);
    }

    function currentBlock() external view returns (uint256 number, bytes32 hashOfLast) {
        return (block.number, blockhash(block.number - 1));
    }
}
