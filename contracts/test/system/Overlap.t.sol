// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../../src/interfaces/IRounds.sol";
import {FieldWorld} from "./FieldWorld.sol";

/// @notice What rounds emit whose times overlap, in one model and in two, with every contract in place. All of them end void for
/// want of scores, so that the whole emission can be read from what is carried.
contract OverlapTest is FieldWorld {
    uint256 private constant PER_BLOCK = 1e18;

    function setUp() public override {
        super.setUp();
        stakeFor(account("miner"), _law, MINER, 5e18);
        stakeFor(account("validator"), _law, VALIDATOR, 100e18);
    }

    function test_emission_whenRoundsOverlap_thenEachBlockIsPaidOnce() external {
        uint64 first = _submit(_law);
        uint64 second = open(_law);
        uint256 opened = rounds.roundView(_law, second).openBlock;
        commitDelta(_law, second, account("miner"));
        uint256 ended = _end(_law, first);
        assertLt(opened, ended, "they overlap");
        assertEq(rewards.carry(_law), PER_BLOCK * (ended - rounds.roundView(_law, first).openBlock));
        reach(_law, second, REVEAL);
        revealDelta(_law, second, account("miner"), new uint256[](0));
        uint256 endedSecond = _end(_law, second);
        assertEq(rewards.carry(_law), PER_BLOCK * (endedSecond - rounds.roundView(_law, first).openBlock));
    }

    function test_emission_whenStakeFreezesAtOtherBlocks_thenTheSumIsAboveTheScheduleByWhatWasAddedBetween() external {
        stakeFor(account("miner"), _root, MINER, 5e18);
        uint64 ofLaw = _submit(_law); // with all stake
        stakeFor(account("validator"), _root, VALIDATOR, 300e18);
        uint64 ofRoot = _submit(_root); // with three quarters of it
        uint256 opened = rounds.roundView(_root, ofRoot).openBlock;
        uint256 ended = _end(_law, ofLaw);
        assertEq(rewards.carry(_law), PER_BLOCK * (ended - rounds.roundView(_law, ofLaw).openBlock));
        uint256 endedRoot = _end(_root, ofRoot);
        assertEq(rewards.carry(_root), (PER_BLOCK * (endedRoot - opened) * 3) / 4);
        assertLt(opened, ended, "for some blocks a token and three quarters were emitted");
        // from the next openings on the parts add up again
        uint64 next = open(_law);
        uint64 nextRoot = open(_root);
        IRounds.RoundView memory v = rounds.roundView(_law, next);
        assertEq(v.frozenStake, 100e18);
        assertEq(rounds.roundView(_root, nextRoot).frozenStake, 300e18);
        assertEq(staking.globalValidatorStakeAt(v.openBlock - 1), 400e18);
    }

    /// @dev A round in which the miner's delta is revealed.
    function _submit(uint256 modelId) private returns (uint64 round) {
        round = open(modelId);
        commitDelta(modelId, round, account("miner"));
        reach(modelId, round, REVEAL);
        revealDelta(modelId, round, account("miner"), new uint256[](0));
    }

    /// @dev Lets a round end that nobody scores, and settles it; returns the block at which it ended.
    function _end(uint256 modelId, uint64 round) private returns (uint256 ended) {
        reach(modelId, round, FINAL);
        ended = rounds.roundView(modelId, round).openBlock;
        uint32[7] memory windows = rounds.windows(modelId, round);
        for (uint256 i; i < 5; ++i) {
            ended += windows[i];
        }
        settle(modelId, round);
    }
}
