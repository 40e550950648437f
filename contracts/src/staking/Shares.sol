// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Parts of an amount that can only shrink by slashing
/// @notice A pot of `assets` wei is held in `shares`. Both start equal, each deposit and redemption is rounded against who
/// makes it, and a slash takes at most half of the assets, rounded down. So `assets <= shares` always, no deposit is worth
/// less than one share, and neither of the two is zero without the other.
library Shares {
    /// @notice The shares that a deposit of `amount` wei buys.
    function forDeposit(uint256 amount, uint256 assets, uint256 shares) internal pure returns (uint256) {
        return shares == 0 ? amount : Math.mulDiv(amount, shares, assets);
    }

    /// @notice What `part` of the shares is worth in wei.
    function worth(uint256 part, uint256 assets, uint256 shares) internal pure returns (uint256) {
        return part == 0 ? 0 : Math.mulDiv(part, assets, shares);
    }
}
