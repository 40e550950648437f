// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDataRegistry} from "../interfaces/IDataRegistry.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {IRewards} from "../interfaces/IRewards.sol";
import {IStaking} from "../interfaces/IStaking.sol";

/// @dev A validator in its slot, with its stake in wei at the round's opening.
struct Seat {
    address account;
    uint96 stake;
}

/// @dev Who sits in a slot of a model's validators, since which round, and its agreement, in millionths, in the last round in which it
/// was dealt something (0 before).
struct Occupant {
    address account;
    uint64 sinceRound;
    uint32 agreement;
}

/// @dev Bonds of the validators with a miner: 64 lanes of 16 bits, by slot, in 1/65535, as written after `lastRound`.
struct Bond {
    uint256[4] lanes;
    uint64 lastRound;
}

/// @dev A revealed delta. A dataset is its id, and from bit 32 on its value in basis points when the delta was revealed.
struct Delta {
    address miner;
    uint64 trainedTokens;
    uint8 kind;
    bytes32 digest;
    uint48[] datasets;
}

/// @dev What a validator did in a round. `slot` counts from 1 (0: it has no seat). `top` is its greatest score plus one (0: it was
/// dealt nothing). `low` and `high` sum minima and maxima of its scores and the consensus, `bondSum` its bonds times the consensus.
/// `words` hold its scores, 8 submissions in each (see `Lanes`).
struct Ballot {
    bytes32 scoreCommitment;
    bytes32 headCommitment;
    bytes32 head;
    bytes32 report;
    uint8 slot;
    bool revealed;
    bool challenged;
    uint32 top;
    uint40 low;
    uint40 high;
    uint64 bondSum;
    mapping(uint256 group => uint256) words;
}

/// @dev A round. Stakes in wei; `windows` are the lengths of its phases in blocks, cut where a phase closed early. `stage` and
/// `cursor` say how far it is settled (see `Settling`). `held`: it opened while the round before was not settled, and that is still
/// so. `baseHead` is the model's head at the opening, `parentHead` the one that its deltas are judged on and that its head follows, zero
/// while it is held. `verdicts` hold the consensus, 8 submissions in each (see `Lanes`).
struct Round {
    uint64 openBlock;
    uint32 commits;
    uint32 reveals;
    uint32 scoreCommits;
    uint32 scoreReveals;
    uint32 headCommits;
    uint8 status;
    uint8 voidReason;
    bool consensusKnown;
    bool accepted;
    uint32[7] windows;
    uint96 frozenStake;
    uint96 scoresRevealedStake;
    uint32 headReveals;
    uint32 minerCount;
    uint96 headsRevealedStake;
    uint96 challengedStake;
    uint32 cursor;
    uint8 stage;
    uint8 slots;
    uint8 validatorCount;
    bool seated;
    bool held;
    uint64 ceiling;
    uint64 consensusTotal;
    uint64 dataTotal;
    uint8 groupsJudged;
    uint8 committee;
    uint16 kappaBps;
    uint16 quorumBps;
    bytes32 seed;
    bytes32 evaluationSeed;
    bytes32 saltMix;
    bytes32 baseHead;
    bytes32 parentHead;
    bytes32 leadingHead;
    Seat[64] seats;
    Delta[] deltas;
    address[] committers;
    mapping(address miner => bytes32) commitments;
    mapping(address miner => bool) revealed;
    mapping(bytes32 digest => bool) seen;
    mapping(address validator => Ballot) ballots;
    mapping(bytes32 head => uint256) headStake;
    mapping(uint256 group => uint256) verdicts;
}

/// @dev Everything that is recorded of rounds. `slotsUsed` is the length of the slots at the last round that had seats, `conflicts` the
/// block in which a validator was last slashed for conflicting statements.
struct Book {
    mapping(uint256 modelId => uint64) current;
    mapping(uint256 modelId => mapping(address validator => uint32)) missed;
    mapping(uint256 modelId => mapping(uint64 round => Round)) rounds;
    mapping(uint256 modelId => mapping(uint256 slot => Occupant)) occupants;
    mapping(uint256 modelId => uint256) slotsUsed;
    mapping(uint256 modelId => mapping(address miner => Bond)) bonds;
    mapping(uint256 modelId => mapping(address validator => uint64)) conflicts;
}

/// @dev The contracts that rounds work with, and how many blocks back hashes can be read.
struct Peers {
    IStaking staking;
    IModelRegistry models;
    IDataRegistry data;
    IRewards rewards;
    uint256 historyBlocks;
}
