// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Book, Holder, Lot, Record} from "./RewardTypes.sol";

/// @title Shares and their dividends
/// @notice A payment to all shareholders costs the same however many they are: it raises what one share ever got. The shares of a
/// round count from the end of its settlement. Until the round's rewards mature they stay in a lot, whose dividends nobody can
/// take, so that voiding the round takes shares and dividends back in full, without a loop over people.
library Dividends {
    /// @dev `perShare` is in wei times this.
    uint256 internal constant SCALE = 1e36;
    /// @dev Lots that one call looks at.
    uint256 internal constant MAX_LOTS = 128;

    uint8 internal constant NONE = 0;
    uint8 internal constant SETTLING = 1;
    uint8 internal constant SETTLED = 2;

    /// @notice Gives an account shares of a round that is being settled.
    function give(Book storage self, address account, uint64 round, uint256 shares) internal {
        Lot[] storage lots = self.holders[account].lots;
        uint256 length = lots.length;
        if (length > 0 && lots[length - 1].round == round) {
            lots[length - 1].shares += SafeCast.toUint96(shares);
        } else {
            lots.push(Lot(round, SafeCast.toUint96(shares)));
        }
    }

    /// @notice The round's shares count from now on.
    function activate(Book storage self, Record storage record) internal {
        if (record.shares == 0) return;
        record.perShare = self.perShare;
        self.totalShares += record.shares;
    }

    /// @notice The shares of a round, which must not have matured, count no more. Returns the dividends in wei that they would have had.
    function remove(Book storage self, Record storage record) internal returns (uint256 dividends) {
        self.totalShares -= record.shares;
        dividends = dividendOf(record.shares, self.perShare - record.perShare);
    }

    /// @notice Divides `amount` wei by all shares; false where there are none.
    function add(Book storage self, uint256 amount) internal returns (bool) {
        uint256 shares = self.totalShares;
        if (shares == 0) return false;
        self.perShare += (amount * SCALE) / shares;
        return true;
    }

    /// @notice Takes an account's dividends in wei, after it got those of lots that matured.
    function take(Book storage self, address account) internal returns (uint256 amount) {
        Holder storage holder = self.holders[account];
        uint256 shares;
        uint256 end;
        (amount, shares, end) = due(self, account);
        for (uint256 i = holder.next; i < end; ++i) {
            delete holder.lots[i];
        }
        holder.shares = SafeCast.toUint96(shares);
        holder.next = uint64(end);
        holder.paidPerShare = self.perShare;
    }

    /// @notice What `take` would take, the matured shares after it, and the lot before which it would stop.
    function due(Book storage self, address account)
        internal
        view
        returns (uint256 amount, uint256 shares, uint256 end)
    {
        Holder storage holder = self.holders[account];
        uint256 perShare = self.perShare;
        (shares, end) = (holder.shares, holder.next);
        amount = dividendOf(shares, perShare - holder.paidPerShare);
        uint256 limit = holder.lots.length;
        if (limit > end + MAX_LOTS) limit = end + MAX_LOTS;
        for (; end < limit; ++end) {
            Lot memory lot = holder.lots[end];
            Record storage record = self.rounds[lot.round];
            if (record.isVoided) continue;
            if (record.state != SETTLED || record.unlockBlock > block.number) break;
            amount += dividendOf(lot.shares, perShare - record.perShare);
            shares += lot.shares;
        }
    }

    /// @notice An account's shares of settled rounds that were not voided.
    function sharesOf(Book storage self, address account) internal view returns (uint256 shares) {
        Holder storage holder = self.holders[account];
        shares = holder.shares;
        for (uint256 i = holder.lots.length; i > holder.next; --i) {
            Lot memory lot = holder.lots[i - 1];
            Record storage record = self.rounds[lot.round];
            if (record.state == SETTLED && !record.isVoided) shares += lot.shares;
        }
    }

    /// @notice Wei for some shares when one share got `perShare` / 1e36, rounded down.
    function dividendOf(uint256 shares, uint256 perShare) internal pure returns (uint256) {
        return (shares * perShare) / SCALE;
    }
}
