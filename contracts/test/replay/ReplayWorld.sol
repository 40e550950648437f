// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Rounds} from "../../src/Rounds.sol";
import {IRounds} from "../../src/interfaces/IRounds.sol";
import {RoundsWorld} from "../rounds/RoundsWorld.sol";
import {vm} from "../support/Vm.sol";

/// @notice Three places where rounds go on in step: at home, for another model, and in another contract. Everybody is enrolled in all
/// of them, so that nothing but the message itself can refuse it.
abstract contract ReplayWorld is RoundsWorld {
    struct Place {
        Rounds at;
        uint256 model;
        uint64 round;
    }

    /// @dev What a validator reveals about one submission.
    struct Opinion {
        uint64 score;
        uint8 reason;
        bytes32 report;
        bytes32 salt;
    }

    uint256 internal constant OTHER_MODEL = 8;
    uint256 internal constant FORK = 31_338;
    bytes32 internal constant DIGEST = keccak256("digest");

    Rounds internal twin;
    address internal alice = miner(0);
    address internal bob = miner(1);
    address internal val;
    uint256 internal valKey;
    address internal thief;
    uint256 internal thiefKey;
    address internal third;
    uint256 private _home;

    function setUp() public override {
        super.setUp();
        twin = makeRounds();
        (val, valKey) = accountAndKey("val");
        (thief, thiefKey) = accountAndKey("thief");
        (third,) = accountAndKey("third");
        // one more of each, idle, so that no window closes early
        populate(3, 0);
        staking.setSlot(0, val, 100);
        staking.setSlot(1, thief, 100);
        staking.setSlot(2, third, 100);
        staking.setSlot(3, validator(3), 50);
        _home = block.chainid;
        skipBlocks(1);
        round = 1;
        for (uint256 i; i < 3; ++i) {
            place(i).at.tick(place(i).model, 1);
        }
    }

    function place(uint256 index) internal view returns (Place memory) {
        if (index == 0) return Place(rounds, MODEL, round);
        return index == 1 ? Place(rounds, OTHER_MODEL, round) : Place(twin, MODEL, round);
    }

    function fork() internal {
        vm.chainId(FORK);
    }

    function home() internal {
        vm.chainId(_home);
    }

    /// @notice The next round at home, once this one is settled.
    function next() internal {
        reach(FINAL);
        settle();
        open();
    }

    function expectMismatch() internal {
        vm.expectRevert(IRounds.CommitmentMismatch.selector);
    }

    // --- what each posts ---

    function commitmentOf(Place memory p, address who, bytes32 digest_) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(p.at), p.model, p.round, who, digest_, SALT));
    }

    function commitmentOf(Place memory p, address who, Opinion memory o) internal view returns (bytes32) {
        (uint64[] memory scores, uint8[] memory reasons) = (list(o.score), reasons_(o.reason));
        return keccak256(
            abi.encode(block.chainid, address(p.at), p.model, p.round, who, scores, reasons, o.report, o.salt)
        );
    }

    function headCommitmentOf(Place memory p, address who) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(p.at), p.model, p.round, who, "HEAD", HEAD, SALT));
    }

    function commitDelta(Place memory p, address who, bytes32 commitment) internal {
        vm.prank(who);
        p.at.commitDelta(p.model, p.round, commitment);
    }

    function revealDelta(Place memory p, address who, bytes32 digest_, bytes32 salt) internal {
        bytes32 base = p.model == MODEL ? GENESIS : bytes32(0);
        vm.prank(who);
        p.at.revealDelta(p.model, p.round, IRounds.Reveal(digest_, salt, 0, base, new uint256[](0), 1));
    }

    function commitScores(Place memory p, address who, bytes32 commitment) internal {
        vm.prank(who);
        p.at.commitScores(p.model, p.round, commitment);
    }

    function revealScores(Place memory p, address who, Opinion memory o) internal {
        vm.prank(who);
        p.at.revealScores(p.model, p.round, list(o.score), reasons_(o.reason), o.report, o.salt);
    }

    function commitHead(Place memory p, address who, bytes32 commitment) internal {
        vm.prank(who);
        p.at.commitHead(p.model, p.round, commitment);
    }

    function revealHead(Place memory p, address who, bytes32 head, bytes32 salt) internal {
        vm.prank(who);
        p.at.revealHead(p.model, p.round, head, salt);
    }

    // --- how places get to a phase ---

    /// @notice A delta of `alice` in the first `count` places, and SCORE.
    function toScore(uint256 count) internal {
        for (uint256 i; i < count; ++i) {
            commitDelta(place(i), alice, commitmentOf(place(i), alice, DIGEST));
        }
        reach(REVEAL);
        for (uint256 i; i < count; ++i) {
            revealDelta(place(i), alice, DIGEST, SALT);
        }
        reach(SCORE);
    }

    /// @notice Scores of three validators in the first `count` places, and ATTEST.
    function toAttest(uint256 count) internal {
        toScore(count);
        address[3] memory who = [val, thief, third];
        Opinion memory o = Opinion(1000, 0, REPORT, SALT);
        for (uint256 i; i < 3 * count; ++i) {
            commitScores(place(i / 3), who[i % 3], commitmentOf(place(i / 3), who[i % 3], o));
        }
        reach(SCORE_REVEAL);
        for (uint256 i; i < 3 * count; ++i) {
            revealScores(place(i / 3), who[i % 3], o);
        }
        reach(ATTEST);
    }
}
