// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Who judges which submissions
/// @notice While a round has no more validators than a committee may have, everybody judges everything, by stake. Else each group of
/// submissions has a committee, drawn by stake with replacement from the seed of the evaluation; a member weighs as many times
/// as it was drawn.
library Committee {
    /// @notice A round's validators by slot (a hole has no account and no stake). `reach` is the running sum of `stakes` (wei) and
    /// `members` counts accounts, once `summed`. `draws` is the size of a committee.
    struct Panel {
        address[] accounts;
        uint256[] stakes;
        uint256[] reach;
        uint256 members;
        uint256 draws;
        bytes32 seed;
    }

    /// @notice Fills in what follows from accounts and stakes.
    function summed(Panel memory p) internal pure returns (Panel memory) {
        uint256 slots = p.stakes.length;
        p.reach = new uint256[](slots);
        uint256 total;
        for (uint256 i; i < slots; ++i) {
            total += p.stakes[i];
            p.reach[i] = total;
            if (p.stakes[i] > 0) ++p.members;
        }
        return p;
    }

    /// @notice Whether committees are drawn.
    function isDrawn(Panel memory p) internal pure returns (bool) {
        return p.members > p.draws;
    }

    /// @notice The weights of a group's committee, by slot: stakes, or numbers of draws. None before the seed is known.
    function weights(Panel memory p, uint256 group) internal pure returns (uint256[] memory list) {
        if (!isDrawn(p)) return p.stakes;
        list = new uint256[](p.stakes.length);
        if (p.seed == 0) return list;
        uint256 total = p.reach[p.reach.length - 1];
        unchecked {
            for (uint256 d; d < p.draws; ++d) {
                ++list[_holder(p.reach, _draw(p.seed, group, d) % total)];
            }
        }
    }

    /// @notice The groups, as bits, that the validator in a slot judges. None before the seed is known.
    function dealt(Panel memory p, uint256 slot, uint256 groups) internal pure returns (uint256 bits) {
        if (!isDrawn(p)) return (1 << groups) - 1;
        if (p.seed == 0) return 0;
        uint256 total = p.reach[p.reach.length - 1];
        uint256 end = p.reach[slot];
        uint256 start = end - p.stakes[slot];
        unchecked {
            for (uint256 group; group < groups; ++group) {
                for (uint256 d; d < p.draws; ++d) {
                    uint256 x = _draw(p.seed, group, d) % total;
                    if (x < start || x >= end) continue;
                    bits |= 1 << group;
                    break;
                }
            }
        }
    }

    /// @dev `keccak256(abi.encode(seed, group, d))`, in memory that is not kept.
    function _draw(bytes32 seed, uint256 group, uint256 d) private pure returns (uint256 x) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, seed)
            mstore(add(free, 0x20), group)
            mstore(add(free, 0x40), d)
            x := keccak256(free, 0x60)
        }
    }

    /// @dev The first slot whose running sum is above `x`; holes add nothing, so they are never first.
    function _holder(uint256[] memory reach, uint256 x) private pure returns (uint256 low) {
        unchecked {
            uint256 high = reach.length - 1;
            while (low < high) {
                uint256 middle = (low + high) / 2;
                if (reach[middle] > x) high = middle;
                else low = middle + 1;
            }
        }
    }
}
