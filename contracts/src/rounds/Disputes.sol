// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IRounds} from "../interfaces/IRounds.sol";
import {VALIDATOR} from "../libraries/Roles.sol";
import {RoundClock} from "../libraries/RoundClock.sol";
import {Ballot, Book, Peers, Round} from "../libraries/RoundTypes.sol";
import {Settling} from "../libraries/Settling.sol";

/// @title Objections to a settled round, and proofs of conflicting statements
/// @notice Linked into `Rounds`, and works on its record.
library Disputes {
    uint16 private constant CONFLICT_BPS = 500;

    /// @dev Two heads of one round that a validator stated, the hashes that it signed for them, and its signatures.
    struct Proof {
        address validator;
        bytes32 headA;
        bytes32 headB;
        bytes32 hashA;
        bytes32 hashB;
        bytes sigA;
        bytes sigB;
    }

    /// @notice Objects with the caller's frozen stake; at two thirds of all of it the round's rewards are voided.
    function challenge(Book storage b, Peers memory peers, uint256 modelId, uint64 round) external {
        Round storage r = b.rounds[modelId][round];
        if (r.status != RoundClock.FINAL || r.stage != Settling.SETTLED) revert IRounds.NotFinal(round);
        Ballot storage ballot = r.ballots[msg.sender];
        if (ballot.slot == 0) revert IRounds.NotEnrolled(msg.sender);
        if (ballot.challenged) revert IRounds.AlreadyChallenged();
        uint64 unlockBlock = peers.rewards.unlockOf(modelId, round);
        if (block.number >= unlockBlock || peers.rewards.isVoided(modelId, round)) revert IRounds.TooLate(unlockBlock);

        uint96 stake = r.seats[ballot.slot - 1].stake;
        ballot.challenged = true;
        uint96 against = r.challengedStake + stake;
        r.challengedStake = against;
        emit IRounds.RoundChallenged(modelId, round, msg.sender, stake);
        if (uint256(against) * 3 >= uint256(r.frozenStake) * 2) peers.rewards.voidRound(modelId, round);
    }

    /// @notice Slashes a validator of the round for two statements that it signed.
    /// @dev Its delegators pay, too, and it can sign for any round at any time. So old rounds don't count, and the next slash waits
    /// until whoever leaves after this one is out: however many statements it signs, a delegator that leaves is slashed for two at most.
    function proveConflict(Book storage b, Peers memory peers, uint256 modelId, uint64 round, Proof memory proof)
        external
    {
        Round storage r = b.rounds[modelId][round];
        if (r.ballots[proof.validator].slot == 0) revert IRounds.NotEnrolled(proof.validator);
        uint64 unbonding = peers.staking.unbondingBlocks();
        uint64 last = b.conflicts[modelId][proof.validator];
        if (last != 0 && block.number < last + unbonding) revert IRounds.AlreadyProven();
        if (block.number >= r.openBlock + unbonding) revert IRounds.TooLate(r.openBlock + unbonding);
        if (proof.headA == proof.headB) revert IRounds.NoConflict();
        _check(proof.validator, proof.headA, proof.hashA, proof.sigA);
        _check(proof.validator, proof.headB, proof.hashB, proof.sigB);
        b.conflicts[modelId][proof.validator] = uint64(block.number);
        emit IRounds.ConflictProven(modelId, round, proof.validator, proof.headA, proof.headB);
        peers.staking.slash(modelId, VALIDATOR, proof.validator, CONFLICT_BPS);
    }

    function _check(address validator, bytes32 head, bytes32 hash, bytes memory signature) private view {
        if (!SignatureChecker.isValidSignatureNow(validator, hash, signature)) revert IRounds.BadSignature(head);
    }
}
