// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Eight submissions' scores or consensus in one word
/// @notice Submission 8 * group + i has the i-th 32 bits from the low end. A validator's lane is 0 where it gave no score, its score
/// (in micro-nats, at most 1e9) plus one, or a flag with the reason for a score of zero. A consensus lane is the consensus, and the
/// flag where the submission was found invalid.
library Lanes {
    uint256 internal constant GROUP = 8;
    uint256 internal constant FLAG = 0x40000000;
    uint256 private constant MASK = 0xffffffff;

    /// @notice Lane `index` of a word.
    function at(uint256 word, uint256 index) internal pure returns (uint256) {
        return (word >> (index << 5)) & MASK;
    }

    /// @notice A lane's place in its word.
    function placed(uint256 lane, uint256 index) internal pure returns (uint256) {
        return lane << (index << 5);
    }

    /// @notice A score, or the reason for a score of zero, as a lane.
    function pack(uint256 value, uint256 why) internal pure returns (uint256) {
        return why == 0 ? value + 1 : FLAG | why;
    }

    /// @notice The score in a validator's lane.
    function score(uint256 lane) internal pure returns (uint256) {
        return lane == 0 || lane & FLAG != 0 ? 0 : lane - 1;
    }

    /// @notice The reason in a validator's lane, 0 where it has none.
    function reason(uint256 lane) internal pure returns (uint8) {
        return lane & FLAG == 0 ? 0 : uint8(lane);
    }

    /// @notice The consensus in a verdict's lane.
    function consensus(uint256 lane) internal pure returns (uint256) {
        return lane & (FLAG - 1);
    }

    /// @notice How many groups so many submissions make.
    function groups(uint256 submissions) internal pure returns (uint256) {
        return (submissions + GROUP - 1) / GROUP;
    }

    /// @notice How many of `submissions` are in a group.
    function sizeOf(uint256 group, uint256 submissions) internal pure returns (uint256) {
        uint256 from = group * GROUP;
        if (from >= submissions) return 0;
        return submissions - from < GROUP ? submissions - from : GROUP;
    }

    /// @notice How many of `submissions` are in the groups whose bits are set.
    function dealt(uint256 bits, uint256 submissions) internal pure returns (uint256 count) {
        for (uint256 group; bits >> group != 0; ++group) {
            if (bits & (1 << group) != 0) count += sizeOf(group, submissions);
        }
    }
}
