// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRewards} from "../interfaces/IRewards.sol";
import {IRounds} from "../interfaces/IRounds.sol";
import {RoundState} from "../rounds/RoundState.sol";
import {Consensus} from "./Consensus.sol";
import {Lanes} from "./Lanes.sol";
import {MINER, VALIDATOR} from "./Roles.sol";
import {RoundClock} from "./RoundClock.sol";
import {Ballot, Book, Delta, Peers, Round, Seat} from "./RoundTypes.sol";

/// @title Settles a round that has ended, page by page
/// @notice In stages: the outcome, the deltas, the miners that committed and never revealed, the validators, the end. A void round has
/// nothing to pay; one without any delta, or whose seed was lost, settles at once. Linked into `Rounds`, and works on its record.
library Settling {
    using RoundState for Round;

    /// @dev Stages, in order. A stage that is reached still has work.
    uint8 internal constant ENDING = 0;
    uint8 internal constant DELTAS = 1;
    uint8 internal constant COMMITTERS = 2;
    uint8 internal constant VALIDATORS = 3;
    uint8 internal constant SETTLED = 4;

    uint32 private constant MAX_MISSED = 3;
    uint16 private constant UNREVEALED_BPS = 10;
    uint16 private constant INVALID_BPS = 500;

    /// @notice The units of work that one transaction does: a delta takes one and one for each dataset, a committer one, a
    /// validator two.
    uint256 internal constant PAGE_UNITS = 64;
    uint256 private constant VALIDATOR_UNITS = 2;

    /// @dev A round in the making of its last page.
    struct Page {
        uint256 modelId;
        uint64 round;
        uint256 spent;
    }

    /// @notice Settles on, until `PAGE_UNITS` are spent (`spent` were before) or the round is settled.
    function step(Book storage b, Peers memory peers, uint256 modelId, uint64 round, uint256 spent) external {
        Round storage r = b.rounds[modelId][round];
        Page memory page = Page(modelId, round, spent);
        if (r.stage == ENDING) _end(b, r, peers, page);
        if (r.stage == DELTAS) _deltas(r, peers, page);
        if (r.stage == COMMITTERS) _committers(r, peers, page);
        if (r.stage == VALIDATORS) _validators(b, r, peers, page);
    }

    /// @notice A validator's weight among those whom an ended round pays: the square of agreement, times bonds, or stake where nothing was
    /// accepted; zero without scores, or for another head than the one that won. Honest scores differ little, so the square costs them
    /// little, and guesses much.
    function weightOf(Round storage r, Seat memory seat) internal view returns (uint256) {
        Ballot storage ballot = r.ballots[seat.account];
        if (!ballot.revealed) return 0;
        uint256 agreement = Consensus.agreement(ballot.low, ballot.high);
        uint256 squared = agreement * agreement;
        if (!r.accepted) return squared * seat.stake;
        return ballot.head == r.leadingHead ? squared * ballot.bondSum : 0;
    }

    // --- the outcome ---

    function _end(Book storage b, Round storage r, Peers memory peers, Page memory page) private {
        (uint256 endBlock, uint8 phase, uint8 reason) = RoundClock.ending(RoundState.facts(r, peers.historyBlocks));
        (r.status, r.voidReason) = (phase, reason);
        if (phase == RoundClock.VOID) {
            emit IRounds.RoundVoided(page.modelId, page.round, reason);
        } else if (r.accepted) {
            emit IRounds.RoundFinalized(page.modelId, page.round, r.leadingHead, r.headStake[r.leadingHead]);
            peers.models.setHead(page.modelId, page.round, r.leadingHead);
        } else {
            emit IRounds.RoundFinalized(page.modelId, page.round, r.parentHead, 0);
        }
        peers.rewards.begin(_opening(r, peers, page, uint64(endBlock)));
        if (reason == RoundClock.EMPTY || reason == RoundClock.NO_SEED) _finish(b, r, peers, page);
        else r.stage = phase == RoundClock.VOID ? COMMITTERS : DELTAS;
    }

    function _opening(Round storage r, Peers memory peers, Page memory page, uint64 endBlock)
        private
        view
        returns (IRewards.Opening memory o)
    {
        (o.modelId, o.round) = (page.modelId, page.round);
        o.isVoid = r.status == RoundClock.VOID;
        o.isEmpty = r.voidReason == RoundClock.EMPTY;
        (o.openBlock, o.endBlock) = (r.openBlock, endBlock);
        o.modelStake = r.frozenStake;
        o.globalStake = peers.staking.globalValidatorStakeAt(r.openBlock - 1);
        if (o.isVoid) return o;
        o.accepted = r.accepted;
        (o.totalConsensus, o.totalData) = (r.consensusTotal, r.dataTotal);
        uint256 slots = r.slots;
        for (uint256 i; i < slots; ++i) {
            o.totalValidators += weightOf(r, r.seats[i]);
        }
    }

    /// @dev The end; a round that waited for it goes on from the head that the model has now.
    function _finish(Book storage b, Round storage r, Peers memory peers, Page memory page) private {
        r.stage = SETTLED;
        peers.rewards.finish(page.modelId, page.round);
        emit IRounds.RoundSettled(page.modelId, page.round);
        Round storage next = b.rounds[page.modelId][page.round + 1];
        if (!next.held) return;
        next.release(peers.historyBlocks, peers.models.headOf(page.modelId));
        emit IRounds.RoundReleased(page.modelId, page.round + 1, next.parentHead);
    }

    // --- the pages ---

    function _deltas(Round storage r, Peers memory peers, Page memory page) private {
        uint256 i = r.cursor;
        uint256 count = r.reveals;
        for (; i < count && page.spent < PAGE_UNITS; ++i) {
            Delta storage d = r.deltas[i];
            uint256 lane = RoundState.verdict(r, i);
            page.spent += 1;
            if (Lanes.consensus(lane) > 0) _payDelta(d, peers, page, Lanes.consensus(lane));
            if (lane & Lanes.FLAG == 0) continue;
            emit IRounds.DeltaInvalid(page.modelId, page.round, d.miner, uint32(i));
            peers.staking.slash(page.modelId, MINER, d.miner, INVALID_BPS);
        }
        _turn(r, i, count, COMMITTERS);
    }

    /// @dev Each of the delta's datasets weighs the consensus times its value, divided by their number.
    function _payDelta(Delta storage d, Peers memory peers, Page memory page, uint256 consensus) private {
        uint256 count = d.datasets.length;
        address[] memory owners = new address[](count);
        uint256[] memory weights = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            uint48 dataset = d.datasets[i];
            owners[i] = peers.data.ownerOf(uint32(dataset));
            weights[i] = (consensus * (dataset >> 32)) / count;
        }
        page.spent += count;
        peers.rewards.payDelta(page.modelId, page.round, d.miner, consensus, owners, weights);
    }

    function _committers(Round storage r, Peers memory peers, Page memory page) private {
        uint256 count = r.commits == r.reveals ? 0 : r.commits;
        uint256 i = r.cursor;
        for (; i < count && page.spent < PAGE_UNITS; ++i) {
            page.spent += 1;
            address miner = r.committers[i];
            if (!r.revealed[miner]) peers.staking.slash(page.modelId, MINER, miner, UNREVEALED_BPS);
        }
        _turn(r, i, count, VALIDATORS);
    }

    function _validators(Book storage b, Round storage r, Peers memory peers, Page memory page) private {
        uint256 i = r.cursor;
        uint256 count = r.slots;
        bool paid = r.status == RoundClock.FINAL;
        for (; i < count && page.spent < PAGE_UNITS; ++i) {
            Seat memory seat = r.seats[i];
            if (seat.account == address(0)) continue;
            page.spent += VALIDATOR_UNITS;
            _judge(b, r, peers, page, seat.account);
            uint256 weight = paid ? weightOf(r, seat) : 0;
            if (weight > 0) peers.rewards.payValidator(page.modelId, page.round, seat.account, weight);
        }
        r.cursor = uint32(i);
        if (i == count) _finish(b, r, peers, page);
    }

    /// @dev Slashes for commitments that were never revealed, and counts rounds missed in a row.
    function _judge(Book storage b, Round storage r, Peers memory peers, Page memory page, address account) private {
        Ballot storage ballot = r.ballots[account];
        bool attested = !r.accepted || ballot.head != bytes32(0);
        if (!ballot.revealed && ballot.scoreCommitment != bytes32(0)) _slash(peers, page, account);
        if (!attested && ballot.headCommitment != bytes32(0)) _slash(peers, page, account);
        uint32 before = b.missed[page.modelId][account];
        if (ballot.revealed && attested) {
            if (before != 0) b.missed[page.modelId][account] = 0;
            return;
        }
        uint32 missed = before + 1;
        b.missed[page.modelId][account] = missed < MAX_MISSED ? missed : 0;
        emit IRounds.ValidatorMissed(page.modelId, page.round, account, missed);
        if (missed >= MAX_MISSED) peers.staking.drop(page.modelId, account);
    }

    function _slash(Peers memory peers, Page memory page, address validator) private {
        peers.staking.slash(page.modelId, VALIDATOR, validator, UNREVEALED_BPS);
    }

    /// @dev Remembers how far a stage has come, and turns to the next where it is done.
    function _turn(Round storage r, uint256 done, uint256 count, uint8 next) private {
        (r.cursor, r.stage) = done == count ? (0, next) : (uint32(done), r.stage);
    }
}
