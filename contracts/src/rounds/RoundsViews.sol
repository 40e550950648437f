// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../interfaces/IRounds.sol";
import {Consensus} from "../libraries/Consensus.sol";
import {MINER} from "../libraries/Roles.sol";
import {Ballot, Bond, Occupant, Round} from "../libraries/RoundTypes.sol";
import {Reading} from "./Reading.sol";
import {RoundsBase} from "./RoundsBase.sol";

/// @title The views of rounds
abstract contract RoundsViews is RoundsBase {
    /// @inheritdoc IRounds
    function current(uint256 modelId) external view returns (uint64) {
        return _book.current[modelId];
    }

    /// @inheritdoc IRounds
    function missedOf(uint256 modelId, address validator) external view returns (uint32) {
        return _book.missed[modelId][validator];
    }

    /// @inheritdoc IRounds
    function roundView(uint256 modelId, uint64 round) external view returns (RoundView memory) {
        return Reading.roundView(_round(modelId, round), _peers(), modelId, round);
    }

    /// @inheritdoc IRounds
    function phaseAt(uint256 modelId, uint64 round, uint256 blockNumber)
        external
        view
        returns (uint8 phase, uint64 phaseEnd, uint8 voidReason)
    {
        return Reading.phaseAt(_round(modelId, round), _peers(), blockNumber);
    }

    /// @inheritdoc IRounds
    function submissions(uint256 modelId, uint64 round) external view returns (Submission[] memory) {
        return Reading.submissions(_round(modelId, round), _peers());
    }

    /// @inheritdoc IRounds
    function miners(uint256 modelId, uint64 round) external view returns (address[] memory accounts) {
        uint64 openBlock = _round(modelId, round).openBlock;
        if (openBlock != 0) (accounts,) = _staking.frozen(modelId, MINER, openBlock - 1);
    }

    /// @inheritdoc IRounds
    function committers(uint256 modelId, uint64 round) external view returns (address[] memory) {
        return _round(modelId, round).committers;
    }

    /// @inheritdoc IRounds
    function validators(uint256 modelId, uint64 round)
        external
        view
        returns (address[] memory accounts, uint256[] memory stakes)
    {
        return Reading.validators(_round(modelId, round), _peers(), modelId);
    }

    /// @inheritdoc IRounds
    function dealt(uint256 modelId, uint64 round, address validator) external view returns (uint32[] memory) {
        return Reading.dealt(_round(modelId, round), _peers(), modelId, round, validator);
    }

    /// @inheritdoc IRounds
    function committeeOf(uint256 modelId, uint64 round, uint256 group)
        external
        view
        returns (address[] memory who, uint256[] memory weights)
    {
        return Reading.committeeOf(_round(modelId, round), _peers(), modelId, round, group);
    }

    /// @inheritdoc IRounds
    function scoresOf(uint256 modelId, uint64 round, address validator)
        external
        view
        returns (uint64[] memory scores, uint8[] memory reasons, bytes32 report)
    {
        return Reading.scoresOf(_round(modelId, round), validator);
    }

    /// @inheritdoc IRounds
    function judgementOf(uint256 modelId, uint64 round, address validator)
        external
        view
        returns (uint256 agreement, uint256 bondSum)
    {
        Ballot storage ballot = _round(modelId, round).ballots[validator];
        if (ballot.revealed) agreement = Consensus.agreement(ballot.low, ballot.high);
        bondSum = ballot.bondSum;
    }

    /// @inheritdoc IRounds
    function bondsOf(uint256 modelId, address miner)
        external
        view
        returns (uint16[64] memory lanes, uint64 lastRound)
    {
        Bond storage bond = _book.bonds[modelId][miner];
        for (uint256 i; i < 64; ++i) {
            lanes[i] = uint16(bond.lanes[i / 16] >> ((i % 16) * 16));
        }
        lastRound = bond.lastRound;
    }

    /// @inheritdoc IRounds
    function seatOf(uint256 modelId, uint256 slot) external view returns (address account, uint64 sinceRound) {
        Occupant storage occupant = _book.occupants[modelId][slot];
        return (occupant.account, occupant.sinceRound);
    }

    /// @inheritdoc IRounds
    function challengedStake(uint256 modelId, uint64 round) external view returns (uint256) {
        return _round(modelId, round).challengedStake;
    }

    /// @inheritdoc IRounds
    function committed(uint256 modelId, uint64 round, address account)
        external
        view
        returns (bytes32 delta, bytes32 score, bytes32 head)
    {
        Round storage r = _round(modelId, round);
        return (r.commitments[account], r.ballots[account].scoreCommitment, r.ballots[account].headCommitment);
    }

    /// @inheritdoc IRounds
    function headOf(uint256 modelId, uint64 round, address validator) external view returns (bytes32) {
        return _round(modelId, round).ballots[validator].head;
    }

    /// @inheritdoc IRounds
    function windows(uint256 modelId, uint64 round) external view returns (uint32[7] memory) {
        return _round(modelId, round).windows;
    }
}
