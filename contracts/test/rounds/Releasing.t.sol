// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IRounds} from "../../src/interfaces/IRounds.sol";
import {vm} from "../support/Vm.sol";
import {OverlapWorld} from "./OverlapWorld.sol";

/// @notice How a round that waited in COMMIT goes on when the one before it is settled.
contract ReleasingTest is OverlapWorld {
    function test_release_whenTheWindowIsOver_thenCommitEndsWithTheBlock() public {
        _overlap(1);
        commitDelta(0);
        uint64 openBlock = view_().openBlock;
        round = 1;
        revealDelta(0);
        reach(FINAL); // nobody scores
        vm.expectEmit(address(rounds));
        emit IRounds.RoundSettled(MODEL, 1);
        vm.expectEmit(address(rounds));
        emit IRounds.RoundReleased(MODEL, 2, GENESIS);
        tick();
        round = 2;
        uint256 released = vm.getBlockNumber();
        assertEq(released, openBlock + 21);
        assertEq(uint256(rounds.windows(MODEL, 2)[0]), 10);
        assertEq(uint256(rounds.windows(MODEL, 2)[1]), released + 1 - openBlock - 10);
        assertEq(uint256(phase()), COMMIT);
        assertEq(uint256(view_().phaseEnd), released + 1);
        commitDelta(1); // still this block
        skipBlocks(1);
        assertEq(uint256(phase()), REVEAL);
        assertEq(uint256(view_().phaseEnd), released + 11);
    }

    function test_release_whenTheWindowIsOpen_thenItStays() public {
        _empty(15);
        _finish(1);
        assertEq(uint256(phase()), COMMIT);
        assertEq(uint256(view_().phaseEnd), view_().openBlock + 20);
        rollTo(view_().openBlock + 19);
        commitDelta(1);
        skipBlocks(1);
        assertEq(uint256(phase()), REVEAL);
    }

    function test_release_whenAllHaveCommitted_thenThePhaseEndsWithTheBlock() public {
        _empty(4);
        commitDelta(1);
        commitDelta(2);
        _finish(1);
        assertEq(uint256(rounds.windows(MODEL, 2)[0]), 5);
        assertEq(uint256(rounds.windows(MODEL, 2)[1]), 0);
        assertEq(uint256(phase()), TRAIN);
        skipBlocks(1);
        assertEq(uint256(phase()), REVEAL);
    }

    function test_release_whenAllHaveCommittedAndTrainIsOver_thenCommitEnds() public {
        _empty(13);
        commitDelta(1);
        commitDelta(2);
        _finish(1);
        assertEq(uint256(rounds.windows(MODEL, 2)[0]), 10);
        assertEq(uint256(rounds.windows(MODEL, 2)[1]), 4);
        skipBlocks(1);
        assertEq(uint256(phase()), REVEAL);
    }

    function test_release_whenItsSeedWasLostInTrain_thenNothingIsClosed() public {
        IModelRegistry.Policy memory p = policy(64, 5000, 6666);
        p.trainBlocks = 600;
        models.setPolicy(p);
        open();
        skipBlocks(1);
        tick();
        reach(FINAL);
        round = 2;
        tick();
        for (uint256 i; i < 3; ++i) {
            commitDelta(i); // all in the block of the opening, whose hash nobody knows yet
        }
        skipBlocks(300);
        _finish(1);
        assertEq(uint256(phase()), VOID);
        assertEq(uint256(rounds.windows(MODEL, 2)[0]), 600);
        assertEq(uint256(rounds.windows(MODEL, 2)[1]), 10);
    }

    function testFuzz_release_whenever_thenAllOfRevealIsAhead(uint256 train, uint256 commit, uint256 late, uint256 who)
        public
    {
        IModelRegistry.Policy memory p = policy(64, 5000, 6666);
        (p.trainBlocks, p.commitBlocks) = (uint32(bound(train, 2, 200)), uint32(bound(commit, 2, 200)));
        models.setPolicy(p);
        open();
        reach(FINAL); // nobody commits
        round = 2;
        tick();
        skipBlocks(1);
        tick();
        who = bound(who, 1, 3);
        for (uint256 i; i < who; ++i) {
            commitDelta(i);
        }
        skipBlocks(bound(late, 0, 500));
        uint8 before = phase();
        rounds.tick(MODEL, 1);
        assertEq(phase(), before);
        uint256 at = vm.getBlockNumber();
        uint256 planned = uint256(view_().openBlock) + p.trainBlocks + p.commitBlocks;
        reach(REVEAL);
        bool atOnce = who == 3 || at >= planned;
        assertEq(vm.getBlockNumber(), atOnce ? at + 1 : planned);
        assertEq(uint256(view_().phaseEnd), vm.getBlockNumber() + 10);
    }
}
