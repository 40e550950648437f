// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Bonds} from "../../src/libraries/Bonds.sol";
import {Consensus} from "../../src/libraries/Consensus.sol";
import {Lanes} from "../../src/libraries/Lanes.sol";
import {Bond} from "../../src/libraries/RoundTypes.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";

/// @notice What holds of the consensus for any scores and weights: proven by halmos for three voters, at both ends of what a
/// model may choose as threshold.
/// @dev Weights are stakes in wei below 2^96, scores as wide as they are stored.
contract ConsensusProof is Test {
    struct Votes {
        uint32[3] scores;
        uint96[3] weights;
        bool strict;
    }

    Bond private _bond;

    function check_upper_isBackedByKappaOfTheWeight(Votes calldata v) external pure {
        _sane(v);
        uint256 reached = _upper(v);
        assertGe(_behind(v, reached) * 10_000, _total(v) * _kappa(v));
    }

    function check_upper_isTheGreatestThatIsBacked(Votes calldata v, uint32 other) external pure {
        _sane(v);
        vm.assume(other > _upper(v));
        assertLt(_behind(v, other) * 10_000, _total(v) * _kappa(v));
    }

    function check_upper_whenAMinorityLies_thenNotAboveTheOthers(Votes calldata v) external pure {
        _sane(v);
        vm.assume(uint256(v.weights[0]) * 10_000 < _total(v) * _kappa(v));
        uint256 honest = v.scores[1] > v.scores[2] ? v.scores[1] : v.scores[2];
        assertLe(_upper(v), honest);
    }

    function check_upper_whenOneScoresHigher_thenNeverLower(Votes calldata v, uint32 higher) external pure {
        _sane(v);
        uint256 before = _upper(v);
        vm.assume(higher >= v.scores[0]);
        uint256[] memory column = _column(v);
        column[0] = (uint256(higher) << 128) | v.weights[0];
        assertGe(Consensus.upper(column, new uint256[](3), _kappa(v)), before);
    }

    function check_upper_whenAVoterSplitsInTwo_thenTheSame(Votes calldata v, uint96 piece) external pure {
        _sane(v);
        vm.assume(piece <= v.weights[0]);
        uint256[] memory whole = new uint256[](2);
        uint256[] memory split = new uint256[](3);
        whole[0] = (uint256(v.scores[0]) << 128) | v.weights[0];
        split[0] = (uint256(v.scores[0]) << 128) | piece;
        split[1] = (uint256(v.scores[0]) << 128) | (v.weights[0] - piece);
        (whole[1], split[2]) =
            ((uint256(v.scores[1]) << 128) | v.weights[1], (uint256(v.scores[1]) << 128) | v.weights[1]);
        uint256 one = Consensus.upper(whole, new uint256[](2), _kappa(v));
        assertEq(Consensus.upper(split, new uint256[](3), _kappa(v)), one);
    }

    function check_agreement_isAPart(uint64 low, uint64 high) external pure {
        vm.assume(low <= high);
        uint256 agreement = Consensus.agreement(low, high);
        assertLe(agreement, 1_000_000);
        if (low == high) assertEq(agreement, 1_000_000);
    }

    function check_lanes_whenPacked_thenReadBack(uint32 score, uint8 reason, uint8 index) external pure {
        vm.assume(score <= 1e9 && index < 8 && (score == 0 || reason == 0));
        uint256 lane = Lanes.at(Lanes.placed(Lanes.pack(score, reason), index), index);
        assertEq(Lanes.score(lane), score);
        assertEq(uint256(Lanes.reason(lane)), reason);
        assertLt(lane, 1 << 32);
    }

    /// @notice A bond moves towards the part of the latest round and never past it, and stays within its lane.
    function check_bonds_moveTowardsTheLatestPart(uint16 before, uint16 part, uint32 consensus) external {
        (_bond.lanes[0], _bond.lastRound) = (before, 5);
        uint256[] memory parts = new uint256[](1);
        (uint256[] memory since, uint256[] memory sums) = (new uint256[](1), new uint256[](1));
        (parts[0], since[0]) = (part, 3);
        Bonds.update(_bond, parts, since, true, consensus, sums);
        uint256 moved = _bond.lanes[0];
        assertLe(moved, before > part ? before : part);
        assertGe(moved, before < part ? before : part);
        assertEq(sums[0], moved * consensus);
    }

    /// @notice Who newly sits in a slot inherits nothing of the bonds of the one before.
    function check_bonds_whenTheSlotChangedHands_thenTheOldBondIsGone(uint16 before, uint16 other, uint16 part) external {
        assertEq(_moved(before, part), _moved(other, part));
    }

    function _moved(uint16 before, uint16 part) private returns (uint256) {
        (_bond.lanes[0], _bond.lastRound) = (before, 5);
        uint256[] memory parts = new uint256[](1);
        (uint256[] memory since, uint256[] memory sums) = (new uint256[](1), new uint256[](1));
        (parts[0], since[0]) = (part, 6);
        Bonds.update(_bond, parts, since, true, 1, sums);
        return _bond.lanes[0];
    }

    function _sane(Votes calldata v) private pure {
        vm.assume(v.weights[0] > 0 && v.weights[1] > 0 && v.weights[2] > 0);
    }

    function _kappa(Votes calldata v) private pure returns (uint256) {
        return v.strict ? 6_667 : 5_000;
    }

    function _upper(Votes calldata v) private pure returns (uint256) {
        return Consensus.upper(_column(v), new uint256[](3), _kappa(v));
    }

    function _column(Votes calldata v) private pure returns (uint256[] memory column) {
        column = new uint256[](3);
        for (uint256 i; i < 3; ++i) {
            column[i] = (uint256(v.scores[i]) << 128) | v.weights[i];
        }
    }

    function _total(Votes calldata v) private pure returns (uint256) {
        return uint256(v.weights[0]) + v.weights[1] + v.weights[2];
    }

    /// @dev The weight of those that score as much or more.
    function _behind(Votes calldata v, uint256 score) private pure returns (uint256 sum) {
        for (uint256 i; i < 3; ++i) {
            if (v.scores[i] >= score) sum += v.weights[i];
        }
    }
}
