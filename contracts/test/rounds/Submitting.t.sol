// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IRounds} from "../../src/interfaces/IRounds.sol";
import {vm} from "../support/Vm.sol";
import {RoundsWorld} from "./RoundsWorld.sol";

contract SubmittingTest is RoundsWorld {
    bytes32 private constant ANY = keccak256("any");

    function setUp() public override {
        super.setUp();
        populate(3, 2);
    }

    // --- commitments ---

    function test_commitDelta_whenEnrolled_thenRecorded() public {
        open();
        bytes32 commitment = deltaCommitment(miner(1), digest(1));
        vm.expectEmit(address(rounds));
        emit IRounds.DeltaCommitted(MODEL, 1, miner(1), commitment);
        commitDelta(1);
        commitDelta(0);
        (bytes32 kept,,) = rounds.committed(MODEL, 1, miner(1));
        assertEq(kept, commitment);
        address[] memory who = rounds.committers(MODEL, 1);
        assertTrue(who.length == 2 && who[0] == miner(1) && who[1] == miner(0));
        assertEq(uint256(view_().commits), 2);
    }

    function test_commitDelta_whenAllCommit_thenTrainAndCommitEndWithTheBlock() public {
        open();
        for (uint256 i; i < 3; ++i) {
            commitDelta(i);
        }
        assertEq(uint256(phase()), TRAIN);
        skipBlocks(1);
        assertEq(uint256(phase()), REVEAL);
        assertEq(uint256(rounds.windows(MODEL, 1)[0]), 1);
        assertEq(uint256(rounds.windows(MODEL, 1)[1]), 0);
    }

    function test_commitDelta_whenLastCommitsInCommit_thenOnlyCommitEnds() public {
        open();
        commitDelta(0);
        commitDelta(1);
        reach(COMMIT);
        skipBlocks(3);
        commitDelta(2);
        skipBlocks(1);
        assertEq(uint256(phase()), REVEAL);
        assertEq(uint256(rounds.windows(MODEL, 1)[0]), 10);
        assertEq(uint256(rounds.windows(MODEL, 1)[1]), 4);
    }

    function test_commitDelta_whenNotAllowed_thenRefused() public {
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongRound.selector, 0));
        rounds.commitDelta(MODEL, 0, ANY);
        open();
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongRound.selector, 1));
        rounds.commitDelta(MODEL, 2, ANY);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotEnrolled.selector, address(this)));
        rounds.commitDelta(MODEL, 1, ANY);
        vm.startPrank(miner(0));
        vm.expectRevert(IRounds.ZeroDigest.selector);
        rounds.commitDelta(MODEL, 1, bytes32(0));
        rounds.commitDelta(MODEL, 1, ANY);
        vm.expectRevert(IRounds.AlreadyCommitted.selector);
        rounds.commitDelta(MODEL, 1, ANY);
        vm.stopPrank();
        reach(REVEAL);
        vm.prank(miner(1));
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, REVEAL, COMMIT));
        rounds.commitDelta(MODEL, 1, ANY);
    }

    function test_commitDelta_whenAValidator_thenNotEnrolled() public {
        open();
        vm.prank(validator(0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotEnrolled.selector, validator(0)));
        rounds.commitDelta(MODEL, 1, ANY);
    }

    // --- reveals ---

    function test_revealDelta_whenItFits_thenASubmission() public {
        data.set(3, MODEL, miner(9), 700, 1);
        data.set(5, MODEL, miner(9), 9000, 1);
        _committed();
        vm.expectEmit(address(rounds));
        emit IRounds.DeltaRevealed(MODEL, 1, miner(1), 0, digest(1), 0, GENESIS, ids(3, 5), 1000, SALT);
        revealDelta(1, ids(3, 5));
        revealDelta(0);
        IRounds.Submission[] memory list_ = rounds.submissions(MODEL, 1);
        assertEq(list_.length, 2);
        assertTrue(list_[0].miner == miner(1) && list_[0].digest == digest(1) && list_[0].baseHead == GENESIS);
        assertEq(list_[0].datasetIds, ids(3, 5));
        assertEq(uint256(list_[0].trainedTokens), 1000);
        assertTrue(list_[0].consensus == 0 && list_[0].weightQ16 == 0);
    }

    function test_revealDelta_whenAllReveal_thenRevealEndsWithTheBlock() public {
        _committed();
        revealDelta(0);
        revealDelta(1);
        skipBlocks(1);
        assertEq(uint256(phase()), SCORE);
    }

    function test_revealDelta_whenNotWhatWasCommitted_thenRefused() public {
        _committed();
        IRounds.Reveal memory r = delta(0, new uint256[](0));
        vm.prank(miner(2));
        vm.expectRevert(IRounds.NotCommitted.selector);
        rounds.revealDelta(MODEL, 1, r);
        vm.prank(miner(1)); // another's content
        vm.expectRevert(IRounds.CommitmentMismatch.selector);
        rounds.revealDelta(MODEL, 1, r);
        r.salt = ANY;
        vm.prank(miner(0));
        vm.expectRevert(IRounds.CommitmentMismatch.selector);
        rounds.revealDelta(MODEL, 1, r);
        revealDelta(0);
        vm.expectRevert(IRounds.AlreadyRevealed.selector);
        vm.prank(miner(0));
        rounds.revealDelta(MODEL, 1, r);
    }

    function test_revealDelta_whenMalformed_thenRefused() public {
        _committed();
        IRounds.Reveal memory r = delta(0, new uint256[](0));
        r.kind = 3;
        _refused(r, abi.encodeWithSelector(IRounds.BadKind.selector, 3));
        r.kind = 2;
        r.baseHead = ANY;
        _refused(r, abi.encodeWithSelector(IRounds.WrongBase.selector, ANY, GENESIS));
        r.baseHead = GENESIS;
        r.datasetIds = new uint256[](17);
        _refused(r, abi.encodeWithSelector(IRounds.BadLength.selector, 17, 16));
        vm.prank(miner(0));
        r.datasetIds = new uint256[](0);
        rounds.revealDelta(MODEL, 1, r);
    }

    function test_revealDelta_whenDatasetIsUnusable_thenRefused() public {
        data.set(3, MODEL, miner(9), 1, 1);
        data.set(4, MODEL + 1, miner(9), 1, 1);
        data.set(5, MODEL, miner(9), 1, vm.getBlockNumber() + 1000);
        _committed();
        IRounds.Reveal memory r = delta(0, ids(3, 3));
        _refused(r, abi.encodeWithSelector(IRounds.BadDatasetId.selector, 3));
        r.datasetIds = ids(4);
        _refused(r, abi.encodeWithSelector(IRounds.BadDatasetId.selector, 4));
        r.datasetIds = ids(5);
        _refused(r, abi.encodeWithSelector(IRounds.BadDatasetId.selector, 5));
        r.datasetIds = ids(0);
        _refused(r, abi.encodeWithSelector(IRounds.BadDatasetId.selector, 0));
        r.datasetIds = ids(3, 2);
        _refused(r, abi.encodeWithSelector(IRounds.BadDatasetId.selector, 2));
    }

    function test_revealDelta_whenDigestIsZeroOrTaken_thenRefused() public {
        open();
        bytes32 same_ = digest(0);
        for (uint256 i; i < 3; ++i) {
            bytes32 content = i == 2 ? bytes32(0) : same_;
            bytes32 commitment = deltaCommitment(miner(i), content);
            vm.prank(miner(i));
            rounds.commitDelta(MODEL, 1, commitment);
        }
        reach(REVEAL);
        revealDelta(0);
        IRounds.Reveal memory r = delta(0, new uint256[](0));
        vm.prank(miner(1));
        vm.expectRevert(abi.encodeWithSelector(IRounds.DuplicateDigest.selector, same_));
        rounds.revealDelta(MODEL, 1, r);
        r.digest = 0;
        vm.prank(miner(2));
        vm.expectRevert(IRounds.ZeroDigest.selector);
        rounds.revealDelta(MODEL, 1, r);
    }

    function test_revealDelta_whenInAnotherPhase_thenRefused() public {
        open();
        commitDelta(0);
        IRounds.Reveal memory r = delta(0, new uint256[](0));
        vm.prank(miner(0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, TRAIN, REVEAL));
        rounds.revealDelta(MODEL, 1, r);
        reach(SCORE);
        vm.prank(miner(0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, VOID, REVEAL));
        rounds.revealDelta(MODEL, 1, r);
    }

    // --- seeds ---

    function test_seed_whenBlockHasPassed_thenItsHash() public {
        open();
        uint64 openBlock = view_().openBlock;
        skipBlocks(1);
        bytes32 wanted = keccak256(abi.encode(blockhash(openBlock), MODEL, uint64(1)));
        assertEq(view_().seed, wanted);
        vm.expectEmit(address(rounds));
        emit IRounds.SeedCaptured(MODEL, 1, wanted);
        tick();
        skipBlocks(300);
        assertEq(view_().seed, wanted);
    }

    function test_evaluationSeed_whenRevealed_thenOfHashAndAllSalts() public {
        _committed();
        revealDelta(1);
        revealDelta(0);
        skipBlocks(1);
        uint64 start = view_().scoreStart;
        assertEq(view_().evaluationSeed, bytes32(0));
        skipBlocks(1);
        bytes32 mix = keccak256(abi.encode(keccak256(abi.encode(bytes32(0), SALT)), SALT));
        bytes32 wanted = keccak256(abi.encode(blockhash(start), mix, MODEL, uint64(1)));
        assertEq(view_().evaluationSeed, wanted);
        vm.expectEmit(address(rounds));
        emit IRounds.EvaluationSeedCaptured(MODEL, 1, wanted);
        tick();
        assertEq(view_().evaluationSeed, wanted);
    }

    function test_seed_whenNobodyActsForTooLong_thenVoid() public {
        models.setPolicy(_slow());
        open();
        commitDelta(0);
        skipBlocks(257);
        (uint8 now_,, uint8 reason) = rounds.phaseAt(MODEL, 1, vm.getBlockNumber());
        assertEq(uint256(now_), VOID);
        assertEq(uint256(reason), 2);
        tick();
        assertTrue(view_().settled);
        assertTrue(rewards.opening().isVoid && !rewards.opening().isEmpty);
        assertEq(staking.slashCount(), 0);
    }

    function _slow() private pure returns (IModelRegistry.Policy memory p) {
        p = policy(64, 5000, 6666);
        p.trainBlocks = 400;
    }

    function _committed() private {
        open();
        commitDelta(0);
        commitDelta(1);
        reach(REVEAL);
    }

    function _refused(IRounds.Reveal memory r, bytes memory why) private {
        vm.prank(miner(0));
        vm.expectRevert(why);
        rounds.revealDelta(MODEL, 1, r);
    }
}
