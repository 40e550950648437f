// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../../src/interfaces/IRounds.sol";
import {vm} from "../support/Vm.sol";
import {FieldWorld} from "./FieldWorld.sol";

/// @notice Whole rounds on the whole network.
contract WholeRoundTest is FieldWorld {
    function setUp() public override {
        super.setUp();
        for (uint256 i; i < 3; ++i) {
            stakeFor(account("miner", i), _law, MINER, 5e18);
        }
        for (uint256 i; i < 4; ++i) {
            stakeFor(account("validator", i), _law, VALIDATOR, (10 + i) * 1e18);
        }
    }

    function test_round_whenAllAgree_thenHeadIsSetAndEverybodyCanClaim() external {
        uint64 round = open(_law);
        for (uint256 i; i < 3; ++i) {
            commitDelta(_law, round, account("miner", i));
        }
        reach(_law, round, REVEAL);
        for (uint256 i; i < 3; ++i) {
            revealDelta(_law, round, account("miner", i), new uint256[](0));
        }
        reach(_law, round, SCORE);
        uint64[] memory scores = new uint64[](3);
        (scores[0], scores[1], scores[2]) = (300, 200, 0);
        uint8[] memory reasons = new uint8[](3);
        for (uint256 i; i < 4; ++i) {
            commitScores(_law, round, account("validator", i), scores, reasons);
        }
        reach(_law, round, SCORE_REVEAL);
        for (uint256 i; i < 4; ++i) {
            revealScores(_law, round, account("validator", i), scores, reasons);
        }
        reach(_law, round, ATTEST);
        bytes32 head = headAfter(_law, round);
        for (uint256 i; i < 4; ++i) {
            commitHead(_law, round, account("validator", i), head);
        }
        reach(_law, round, ATTEST_REVEAL);
        for (uint256 i; i < 4; ++i) {
            revealHead(_law, round, account("validator", i), head);
        }
        reach(_law, round, FINAL);
        settle(_law, round);
        IRounds.RoundView memory view_ = rounds.roundView(_law, round);
        assertEq(view_.phase, FINAL);
        assertEq(models.headOf(_law), head);
        skipBlocks(vesting);
        uint256[] memory none = new uint256[](0);
        assertGt(rewards.claimable(account("miner", 0), none), rewards.claimable(account("miner", 1), none));
        assertEq(rewards.claimable(account("miner", 2), none), 0);
        vm.prank(account("validator", 0));
        assertGt(rewards.claim(none), 0);
    }
}
