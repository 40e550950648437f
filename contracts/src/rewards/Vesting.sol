// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Account, Book, Entry} from "./RewardTypes.sol";

/// @title Rewards that mature
/// @notice An account's rewards are a queue in the order in which they were credited, and are paid in this order. All vest for as
/// long from their round's settlement, so the first that is locked holds back others by a settlement's pages at most.
library Vesting {
    /// @dev Entries that one claim pays.
    uint256 internal constant MAX_CLAIM = 128;

    /// @notice Credits a round's reward; a second one of the same round is added to the first.
    /// @dev Claimed entries are deleted, and no model has the id 0, so they are never added to.
    function credit(Account storage self, uint256 modelId, uint64 round, uint256 amount, uint64 unlockBlock) internal {
        Entry[] storage queue = self.queue;
        uint256 length = queue.length;
        if (length > 0) {
            Entry storage last = queue[length - 1];
            if (last.modelId == modelId && last.round == round) {
                last.amount += SafeCast.toUint96(amount);
                return;
            }
        }
        queue.push(Entry(SafeCast.toUint96(amount), uint48(unlockBlock), uint56(modelId), uint56(round)));
    }

    /// @notice Takes all that matured, at most `MAX_CLAIM` entries, and the server fees.
    function take(Account storage self, mapping(uint256 modelId => Book) storage books)
        internal
        returns (uint256 amount)
    {
        uint256 end;
        (amount, end) = matured(self, books);
        for (uint256 i = self.next; i < end; ++i) {
            delete self.queue[i];
        }
        self.next = uint64(end);
        self.balance = 0;
    }

    /// @notice What `take` would take, and the place in the queue where it would stop.
    function matured(Account storage self, mapping(uint256 modelId => Book) storage books)
        internal
        view
        returns (uint256 amount, uint256 end)
    {
        (amount, end) = (self.balance, self.next);
        uint256 limit = self.queue.length;
        if (limit > end + MAX_CLAIM) limit = end + MAX_CLAIM;
        for (; end < limit; ++end) {
            Entry memory entry = self.queue[end];
            if (entry.unlockBlock > block.number) break;
            if (!books[entry.modelId].rounds[entry.round].isVoided) amount += entry.amount;
        }
    }

    /// @notice The sum of the rewards that are not yet mature, without those of voided rounds.
    function locked(Account storage self, mapping(uint256 modelId => Book) storage books)
        internal
        view
        returns (uint256 amount)
    {
        for (uint256 i = self.queue.length; i > self.next; --i) {
            Entry memory entry = self.queue[i - 1];
            if (entry.unlockBlock <= block.number) continue;
            if (!books[entry.modelId].rounds[entry.round].isVoided) amount += entry.amount;
        }
    }
}
