// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The phase of a round, as a pure function of its facts and a block number
/// @notice The same as `phase_at` in `contracts/reference`. A round that ends does so at the earliest block at which a reason
/// holds, so that what it ended as never changes with later blocks.
library RoundClock {
    uint8 internal constant TRAIN = 1;
    uint8 internal constant COMMIT = 2;
    uint8 internal constant REVEAL = 3;
    uint8 internal constant SCORE = 4;
    uint8 internal constant SCORE_REVEAL = 5;
    uint8 internal constant ATTEST = 6;
    uint8 internal constant ATTEST_REVEAL = 7;
    uint8 internal constant FINAL = 8;
    uint8 internal constant VOID = 9;

    uint8 internal constant EMPTY = 1;
    uint8 internal constant NO_SEED = 2;
    uint8 internal constant NO_SCORE_QUORUM = 3;
    uint8 internal constant NO_HEAD_QUORUM = 4;

    uint256 private constant BPS = 10_000;

    /// @notice All that the phase depends on. Stakes in wei; `headStake` stands behind the leading head. `historyBlocks` is how far
    /// back the chain's block hashes can be read. `accepted` means nothing before `consensusKnown`. A round is `held` while the one
    /// before it is not settled: it can't pass COMMIT.
    struct Facts {
        uint64 openBlock;
        uint32[7] windows;
        uint32 commits;
        uint32 reveals;
        bool seedKnown;
        bool evaluationSeedKnown;
        bool consensusKnown;
        bool accepted;
        uint256 frozenStake;
        uint256 scoresStake;
        uint256 headStake;
        uint256 quorumBps;
        uint256 historyBlocks;
        bool held;
    }

    /// @notice The phase at a block, the first block after it (0 where the round has ended), and why it is void. A held round stays in
    /// COMMIT beyond its window; until when is not known, so its phase ends with the next block.
    function phaseAt(Facts memory f, uint256 blockNumber)
        internal
        pure
        returns (uint8 phase, uint64 phaseEnd, uint8 reason)
    {
        uint256 endBlock;
        (endBlock, phase, reason) = ending(f);
        if (blockNumber >= endBlock) return (phase, 0, reason);
        if (f.held && blockNumber >= startOf(f, REVEAL)) return (COMMIT, uint64(blockNumber + 1), 0);
        uint256 end = f.openBlock;
        for (uint8 i; i < 7; ++i) {
            end += f.windows[i];
            if (blockNumber < end) return (i + 1, uint64(end), 0);
        }
    }

    /// @notice The first block at which the round has ended as things stand, and how. A held one ends only where its opening seed is
    /// lost; else never, in COMMIT.
    function ending(Facts memory f) internal pure returns (uint256 endBlock, uint8 phase, uint8 reason) {
        if (f.held) return f.seedKnown ? (type(uint256).max, COMMIT, uint8(0)) : (_seedLost(f), VOID, NO_SEED);
        (endBlock, phase, reason) = _lastWindow(f);
        if (f.consensusKnown && !f.accepted) (endBlock, phase, reason) = (startOf(f, ATTEST), FINAL, 0);
        if (!_isQuorum(f, f.scoresStake)) {
            (endBlock, phase, reason) = (startOf(f, ATTEST), VOID, NO_SCORE_QUORUM);
        }
        uint256 lost = _seedLost(f);
        if (lost < endBlock) (endBlock, phase, reason) = (lost, VOID, NO_SEED);
        uint256 empty = _emptyFrom(f);
        if (empty <= endBlock) (endBlock, phase, reason) = (empty, VOID, EMPTY);
    }

    /// @notice The first block of a phase.
    function startOf(Facts memory f, uint8 phase) internal pure returns (uint256 start) {
        start = f.openBlock;
        for (uint256 i = 1; i < phase; ++i) {
            start += f.windows[i - 1];
        }
    }

    function _lastWindow(Facts memory f) private pure returns (uint256, uint8, uint8) {
        uint256 end = startOf(f, FINAL);
        return _isQuorum(f, f.headStake) ? (end, FINAL, uint8(0)) : (end, VOID, NO_HEAD_QUORUM);
    }

    /// @dev Whether so much of all frozen stake took part.
    function _isQuorum(Facts memory f, uint256 stake) private pure returns (bool) {
        return stake * BPS >= f.frozenStake * f.quorumBps;
    }

    function _seedLost(Facts memory f) private pure returns (uint256) {
        if (!f.seedKnown) return f.openBlock + f.historyBlocks + 1;
        if (!f.evaluationSeedKnown) return startOf(f, SCORE) + f.historyBlocks + 1;
        return type(uint256).max;
    }

    function _emptyFrom(Facts memory f) private pure returns (uint256) {
        if (f.commits == 0) return startOf(f, REVEAL);
        if (f.reveals == 0) return startOf(f, SCORE);
        return type(uint256).max;
    }
}
