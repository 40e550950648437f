// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {Rounds} from "../../src/Rounds.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IRounds} from "../../src/interfaces/IRounds.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";
import {DataMock, ModelsMock, RewardsMock, StakingMock} from "./RoundsMocks.sol";

/// @notice Rounds among stand-ins for the other contracts, and the moves of those who take part.
abstract contract RoundsWorld is Test {
    uint256 internal constant MODEL = 7;
    bytes32 internal constant GENESIS = keccak256("genesis");
    bytes32 internal constant HEAD = keccak256("head");
    bytes32 internal constant SALT = keccak256("salt");
    bytes32 internal constant REPORT = keccak256("report");
    uint8 internal constant TRAIN = 1;
    uint8 internal constant COMMIT = 2;
    uint8 internal constant REVEAL = 3;
    uint8 internal constant SCORE = 4;
    uint8 internal constant SCORE_REVEAL = 5;
    uint8 internal constant ATTEST = 6;
    uint8 internal constant ATTEST_REVEAL = 7;
    uint8 internal constant FINAL = 8;
    uint8 internal constant VOID = 9;

    StakingMock internal staking;
    ModelsMock internal models;
    DataMock internal data;
    RewardsMock internal rewards;
    AccessManager internal authority;
    Rounds internal rounds;
    uint64 internal round;

    function setUp() public virtual {
        staking = StakingMock(deploy("RoundsMocks.sol:StakingMock", ""));
        models = ModelsMock(deploy("RoundsMocks.sol:ModelsMock", ""));
        data = DataMock(deploy("RoundsMocks.sol:DataMock", ""));
        rewards = RewardsMock(deploy("RoundsMocks.sol:RewardsMock", ""));
        authority = AccessManager(deploy("AccessManager.sol:AccessManager", abi.encode(address(this))));
        rounds = makeRounds();
        models.setHead(MODEL, 0, GENESIS);
        models.setPolicy(policy(64, 5000, 6666));
    }

    /// @notice Another `Rounds` among the same stand-ins.
    function makeRounds() internal returns (Rounds) {
        return Rounds(deploy("Rounds.sol:Rounds", abi.encode(staking, models, data, rewards, authority)));
    }

    // --- the scene ---

    function policy(uint8 committee, uint16 kappaBps, uint16 quorumBps)
        internal
        pure
        returns (IModelRegistry.Policy memory p)
    {
        (p.trainBlocks, p.commitBlocks, p.revealBlocks) = (10, 10, 10);
        (p.scoreBlocks, p.scoreRevealBlocks) = (10, 10);
        (p.attestBlocks, p.attestRevealBlocks) = (10, 10);
        (p.committee, p.kappaBps, p.quorumBps, p.emissionBps) = (committee, kappaBps, quorumBps, 10_000);
    }

    function miner(uint256 index) internal pure returns (address) {
        return account("miner", index);
    }

    function validator(uint256 index) internal pure returns (address) {
        return account("validator", index);
    }

    /// @notice Miners with stake, and validators of 100 each in the first slots.
    function populate(uint256 miners, uint256 validators) internal {
        for (uint256 i; i < miners; ++i) {
            staking.setMiner(miner(i), 1, 1);
        }
        for (uint256 i; i < validators; ++i) {
            staking.setSlot(i, validator(i), 100);
        }
    }

    // --- time ---

    function tick() internal {
        rounds.tick(MODEL, round);
    }

    function open() internal {
        skipBlocks(1);
        ++round;
        tick();
    }

    function phase() internal view returns (uint8 now_) {
        (now_,,) = rounds.phaseAt(MODEL, round, vm.getBlockNumber());
    }

    /// @notice Lets blocks pass until a phase begins, or the round has ended.
    function reach(uint8 wanted) internal {
        (uint8 now_, uint64 end,) = rounds.phaseAt(MODEL, round, vm.getBlockNumber());
        while (now_ < wanted && end != 0) {
            rollTo(end);
            (now_, end,) = rounds.phaseAt(MODEL, round, vm.getBlockNumber());
        }
    }

    // --- miners ---

    function digest(uint256 index) internal view returns (bytes32) {
        return keccak256(abi.encode("delta", round, index));
    }

    function deltaCommitment(address who, bytes32 content) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(rounds), MODEL, round, who, content, SALT));
    }

    function commitDelta(uint256 index) internal {
        bytes32 commitment = deltaCommitment(miner(index), digest(index));
        vm.prank(miner(index));
        rounds.commitDelta(MODEL, round, commitment);
    }

    function delta(uint256 index, uint256[] memory ids_) internal view returns (IRounds.Reveal memory) {
        return IRounds.Reveal(digest(index), SALT, 0, view_().baseHead, ids_, 1000);
    }

    function revealDelta(uint256 index, uint256[] memory ids_) internal {
        IRounds.Reveal memory r = delta(index, ids_);
        vm.prank(miner(index));
        rounds.revealDelta(MODEL, round, r);
    }

    function revealDelta(uint256 index) internal {
        revealDelta(index, new uint256[](0));
    }

    /// @notice A round in SCORE, with deltas of the first miners.
    function submit(uint256 count) internal {
        open();
        for (uint256 i; i < count; ++i) {
            commitDelta(i);
        }
        reach(REVEAL);
        for (uint256 i; i < count; ++i) {
            revealDelta(i);
        }
        reach(SCORE);
    }

    // --- validators ---

    function scoresCommitment(address who, uint64[] memory scores, uint8[] memory reasons)
        internal
        view
        returns (bytes32)
    {
        return keccak256(
            abi.encode(block.chainid, address(rounds), MODEL, round, who, scores, reasons, REPORT, SALT)
        );
    }

    function commitScores(uint256 index, uint64[] memory scores, uint8[] memory reasons) internal {
        bytes32 commitment = scoresCommitment(validator(index), scores, reasons);
        vm.prank(validator(index));
        rounds.commitScores(MODEL, round, commitment);
    }

    function commitScores(uint256 index, uint64[] memory scores) internal {
        commitScores(index, scores, new uint8[](scores.length));
    }

    function revealScores(uint256 index, uint64[] memory scores, uint8[] memory reasons) internal {
        vm.prank(validator(index));
        rounds.revealScores(MODEL, round, scores, reasons, REPORT, SALT);
    }

    function revealScores(uint256 index, uint64[] memory scores) internal {
        revealScores(index, scores, new uint8[](scores.length));
    }

    /// @notice Everybody scores everything: `rows[v][j]`. Ends in the block after the last reveal.
    function score(uint64[][] memory rows) internal {
        for (uint256 v; v < rows.length; ++v) {
            commitScores(v, rows[v]);
        }
        reach(SCORE_REVEAL);
        for (uint256 v; v < rows.length; ++v) {
            revealScores(v, rows[v]);
        }
        reach(ATTEST);
    }

    function headCommitment(address who, bytes32 head) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(rounds), MODEL, round, who, "HEAD", head, SALT));
    }

    function commitHead(uint256 index, bytes32 head) internal {
        bytes32 commitment = headCommitment(validator(index), head);
        vm.prank(validator(index));
        rounds.commitHead(MODEL, round, commitment);
    }

    function revealHead(uint256 index, bytes32 head) internal {
        vm.prank(validator(index));
        rounds.revealHead(MODEL, round, head, SALT);
    }

    /// @notice The first validators attest a head, until the round has ended.
    function attest(uint256 count, bytes32 head) internal {
        for (uint256 v; v < count; ++v) {
            commitHead(v, head);
        }
        reach(ATTEST_REVEAL);
        for (uint256 v; v < count; ++v) {
            revealHead(v, head);
        }
        reach(FINAL);
    }

    /// @notice Ticks until the round is settled; returns how many it took.
    function settle() internal returns (uint256 ticks) {
        while (!view_().settled) {
            tick();
            ++ticks;
            require(ticks < 200, "never settled");
        }
    }

    /// @notice A whole round in which every validator gives these scores.
    function play(uint64[][] memory rows) internal {
        submit(rows[0].length);
        score(rows);
        attest(rows.length, keccak256(abi.encode("head", round)));
        settle();
    }

    // --- what is recorded ---

    function view_() internal view returns (IRounds.RoundView memory) {
        return rounds.roundView(MODEL, round);
    }

    function consensus(uint256 index) internal view returns (uint64) {
        return rounds.submissions(MODEL, round)[index].consensus;
    }

    /// @notice The same scores from so many validators.
    function same(uint256 validators, uint64[] memory scores) internal pure returns (uint64[][] memory rows) {
        rows = new uint64[][](validators);
        for (uint256 v; v < validators; ++v) {
            rows[v] = scores;
        }
    }

    function list(uint64 a) internal pure returns (uint64[] memory l) {
        l = new uint64[](1);
        l[0] = a;
    }

    function list(uint64 a, uint64 b) internal pure returns (uint64[] memory l) {
        l = new uint64[](2);
        (l[0], l[1]) = (a, b);
    }

    function ids(uint256 a) internal pure returns (uint256[] memory l) {
        l = new uint256[](1);
        l[0] = a;
    }

    function ids(uint256 a, uint256 b) internal pure returns (uint256[] memory l) {
        l = new uint256[](2);
        (l[0], l[1]) = (a, b);
    }

    function reasons_(uint8 a) internal pure returns (uint8[] memory l) {
        l = new uint8[](1);
        l[0] = a;
    }
}
