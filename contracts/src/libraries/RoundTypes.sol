// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @dev A member frozen at a round's opening, with its stake in wei.
struct Seat {
    address account;
    uint96 stake;
}

/// @dev A revealed delta.
struct Delta {
    address miner;
    uint64 trainedTokens;
    uint32 weightQ16;
    bytes32 digest;
    uint64 consensus;
    uint8 kind;
    uint32[] datasetIds;
}

/// @dev What a validator did in a round. `agreement` is in millionths.
struct Ballot {
    bytes32 scoreCommitment;
    bytes32 headCommitment;
    bytes32 head;
    bytes32 report;
    uint32 agreement;
    bool revealed;
    uint32[] scores;
    uint8[] reasons;
}

/// @dev A round. Stakes in wei; `windows` are the lengths of its phases in blocks, cut where a phase closed early.
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
    uint32 headReveals;
    uint96 frozenStake;
    uint96 scoresRevealedStake;
    uint96 headsRevealedStake;
    bytes32 seed;
    bytes32 evaluationSeed;
    bytes32 saltMix;
    bytes32 baseHead;
    bytes32 leadingHead;
    Seat[] miners;
    Seat[] validators;
    Delta[] deltas;
    mapping(address miner => bytes32) commitments;
    mapping(address miner => bool) revealed;
    mapping(bytes32 digest => bool) seen;
    mapping(address validator => Ballot) ballots;
    mapping(bytes32 head => uint256) headStake;
}
