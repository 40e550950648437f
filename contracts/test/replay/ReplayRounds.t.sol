// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../../src/interfaces/IRounds.sol";
import {vm} from "../support/Vm.sol";
import {ReplayWorld} from "./ReplayWorld.sol";

/// @notice Each commitment of a round copied to another sender, model, contract, chain and round, and revealed there with what it
/// hides; and statements of heads. None is accepted; then it is, where it was meant for.
contract ReplayRoundsTest is ReplayWorld {
    function test_delta_whenCopiedElsewhere_thenItCannotBeRevealed() external {
        bytes32 commitment = commitmentOf(place(0), alice, DIGEST);
        commitDelta(place(0), alice, commitment);
        commitDelta(place(0), bob, commitment);
        commitDelta(place(1), alice, commitment);
        commitDelta(place(2), alice, commitment);
        reach(REVEAL);

        expectMismatch();
        revealDelta(place(0), bob, DIGEST, SALT);
        for (uint256 i = 1; i < 3; ++i) {
            expectMismatch();
            revealDelta(place(i), alice, DIGEST, SALT);
        }
        expectMismatch();
        revealDelta(place(0), alice, keccak256("other"), SALT);
        expectMismatch();
        revealDelta(place(0), alice, DIGEST, keccak256("other"));
        fork();
        expectMismatch();
        revealDelta(place(0), alice, DIGEST, SALT);
        home();
        revealDelta(place(0), alice, DIGEST, SALT);

        next();
        commitDelta(place(0), alice, commitment);
        reach(REVEAL);
        expectMismatch();
        revealDelta(place(0), alice, DIGEST, SALT);
    }

    function test_scores_whenCopiedElsewhere_thenTheyCannotBeRevealed() external {
        toScore(3);
        Opinion memory o = Opinion(1000, 0, REPORT, SALT);
        bytes32 commitment = commitmentOf(place(0), val, o);
        commitScores(place(0), val, commitment);
        commitScores(place(0), thief, commitment);
        commitScores(place(1), val, commitment);
        commitScores(place(2), val, commitment);
        reach(SCORE_REVEAL);

        expectMismatch();
        revealScores(place(0), thief, o);
        for (uint256 i = 1; i < 3; ++i) {
            expectMismatch();
            revealScores(place(i), val, o);
        }
        expectMismatch();
        revealScores(place(0), val, Opinion(1001, 0, REPORT, SALT));
        expectMismatch();
        revealScores(place(0), val, Opinion(1000, 1, REPORT, SALT));
        expectMismatch();
        revealScores(place(0), val, Opinion(1000, 0, keccak256("other"), SALT));
        expectMismatch();
        revealScores(place(0), val, Opinion(1000, 0, REPORT, keccak256("other")));
        fork();
        expectMismatch();
        revealScores(place(0), val, o);
        home();
        revealScores(place(0), val, o);

        next();
        toScore(1);
        commitScores(place(0), val, commitment);
        reach(SCORE_REVEAL);
        expectMismatch();
        revealScores(place(0), val, o);
    }

    function test_head_whenCopiedElsewhere_thenItCannotBeRevealed() external {
        toAttest(3);
        bytes32 commitment = headCommitmentOf(place(0), val);
        commitHead(place(0), val, commitment);
        commitHead(place(0), thief, commitment);
        commitHead(place(1), val, commitment);
        commitHead(place(2), val, commitment);
        reach(ATTEST_REVEAL);

        expectMismatch();
        revealHead(place(0), thief, HEAD, SALT);
        for (uint256 i = 1; i < 3; ++i) {
            expectMismatch();
            revealHead(place(i), val, HEAD, SALT);
        }
        expectMismatch();
        revealHead(place(0), val, keccak256("other"), SALT);
        expectMismatch();
        revealHead(place(0), val, HEAD, keccak256("other"));
        fork();
        expectMismatch();
        revealHead(place(0), val, HEAD, SALT);
        home();
        revealHead(place(0), val, HEAD, SALT);

        next();
        toAttest(1);
        commitHead(place(0), val, commitment);
        reach(ATTEST_REVEAL);
        expectMismatch();
        revealHead(place(0), val, HEAD, SALT);
    }

    function test_commitment_whenOfAnotherKind_thenItCannotBeRevealed() external {
        // who is miner and validator can't use a delta's commitment as one of a head: their words differ in number
        staking.setMiner(val, 1, 1);
        next();
        bytes32 delta = commitmentOf(place(0), val, HEAD);
        toAttest(1);
        commitHead(place(0), val, delta);
        reach(ATTEST_REVEAL);
        expectMismatch();
        revealHead(place(0), val, HEAD, SALT);
    }

    function test_headStatement_whenTriedElsewhere_thenNobodyIsSlashed() external {
        toScore(3);
        for (uint256 i; i < 3; ++i) {
            place(i).at.tick(place(i).model, 1);
        }
        bytes32 other = keccak256("other head");
        bytes memory sigA = _state(place(0), valKey, HEAD);
        bytes memory sigB = _state(place(0), valKey, other);

        // another model, contract; somebody else's name; another head; another chain
        _refuses(place(1), val, HEAD, sigA, other, sigB, HEAD);
        _refuses(place(2), val, HEAD, sigA, other, sigB, HEAD);
        _refuses(place(0), thief, HEAD, sigA, other, sigB, HEAD);
        _refuses(place(0), val, HEAD, sigA, keccak256("third head"), sigB, keccak256("third head"));
        _refuses(place(0), val, HEAD, sigB, other, sigA, HEAD);
        _refuses(place(0), val, HEAD, sigA, other, _state(place(0), thiefKey, other), other);
        fork();
        _refuses(place(0), val, HEAD, sigA, other, sigB, HEAD);
        home();
        vm.expectRevert(IRounds.NoConflict.selector);
        rounds.proveConflict(MODEL, 1, val, HEAD, sigA, HEAD, sigA);
        assertEq(staking.slashCount(), 0);

        // in a later round both do not count, nor one of each
        next();
        toScore(1);
        tick();
        uint256 before = staking.slashCount();
        _refuses(place(0), val, HEAD, sigA, other, sigB, HEAD);
        _refuses(place(0), val, HEAD, _state(place(0), valKey, HEAD), other, sigB, other);
        assertEq(staking.slashCount(), before);

        rounds.proveConflict(MODEL, 1, val, HEAD, sigA, other, sigB);
        assertEq(staking.slashCount(), before + 1);
        vm.expectRevert(IRounds.AlreadyProven.selector);
        rounds.proveConflict(MODEL, 1, val, HEAD, sigA, other, sigB);
    }

    function _state(Place memory p, uint256 key, bytes32 head) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, p.at.headStatementHash(p.model, p.round, head));
        return abi.encodePacked(r, s, v);
    }

    function _refuses(
        Place memory p,
        address who,
        bytes32 headA,
        bytes memory sigA,
        bytes32 headB,
        bytes memory sigB,
        bytes32 blamed
    ) private {
        vm.expectRevert(abi.encodeWithSelector(IRounds.BadSignature.selector, blamed));
        p.at.proveConflict(p.model, p.round, who, headA, sigA, headB, sigB);
    }
}
