// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRewards} from "../interfaces/IRewards.sol";

/// @dev A reward in wei, the block from which it can be claimed, and the round that gave it. One word.
struct Entry {
    uint96 amount;
    uint48 unlockBlock;
    uint56 modelId;
    uint56 round;
}

/// @dev An account's server fees (wei), which can be claimed at once, and its rewards; those before `next` were paid.
struct Account {
    uint128 balance;
    uint64 next;
    Entry[] queue;
}

/// @dev Shares that a round gave to an account.
struct Lot {
    uint64 round;
    uint96 shares;
}

/// @dev A shareholder. `shares` are of rounds that matured; their dividends were paid up to `paidPerShare`. Lots before `next` are in
/// `shares`, or were voided.
struct Holder {
    uint96 shares;
    uint64 next;
    uint256 paidPerShare;
    Lot[] lots;
}

/// @dev A round as it is remembered: when its rewards mature, its credits in wei, its shares, and what one share had got
/// (times 1e36) when they began to count.
struct Record {
    uint48 unlockBlock;
    uint8 state;
    bool isVoided;
    uint96 credited;
    uint96 shares;
    uint256 perShare;
}

/// @dev A model's shares, and the dividends in wei that one share ever got (times 1e36).
struct Book {
    uint256 totalShares;
    uint256 perShare;
    mapping(address account => Holder) holders;
    mapping(uint256 round => Record) rounds;
}

/// @dev The round of a model that is being settled: its pot in wei, the splits and totals by which it is divided, and what is left
/// of each part. `emission` and `carriedIn` in wei.
struct Settlement {
    uint64 round;
    bool isOpen;
    uint48 totalConsensus;
    uint96 pot;
    uint128 totalData;
    uint128 totalValidators;
    uint96 minersLeft;
    uint96 validatorsLeft;
    uint96 dataLeft;
    uint80 minerSharesLeft;
    uint80 dataSharesLeft;
    uint128 emission;
    uint128 carriedIn;
    IRewards.Splits splits;
}

/// @dev In memory: what one kind of participants divides by weights, in wei and in shares, and what is left of it.
struct Budget {
    uint256 amount;
    uint256 left;
    uint256 shares;
    uint256 sharesLeft;
    uint256 total;
}

/// @dev In memory: the round that a page pays, and the wei and shares that the page has credited so far.
struct Page {
    uint256 modelId;
    uint64 round;
    uint64 unlockBlock;
    uint256 credited;
    uint256 shares;
}
