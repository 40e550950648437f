// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Splitting} from "../../src/libraries/Splitting.sol";
import {Dividends} from "../../src/rewards/Dividends.sol";
import {Book, Record} from "../../src/rewards/RewardTypes.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";

/// @notice What holds of dividends and splits for any amounts: proven by halmos. Amounts in wei, below 2^96 (the cap is below 2^87).
contract MoneyProof is Test {
    using Dividends for Book;

    address private constant ALICE = address(1);

    Book private _book;

    function check_add_whatAllSharesGetIsAtMostTheAmount(uint96 shares, uint96 amount) external {
        vm.assume(shares > 0);
        _book.totalShares = shares;
        _book.add(amount);
        assertLe(Dividends.dividendOf(shares, _book.perShare), amount);
    }

    function check_take_whenTakenTwice_thenNothingMore(uint96 shares, uint128 perShare) external {
        _book.holders[ALICE].shares = shares;
        _book.perShare = perShare;
        _book.take(ALICE);
        assertEq(_book.take(ALICE), 0);
        assertEq(uint256(_book.holders[ALICE].shares), shares);
    }

    function check_remove_takesTheRoundsSharesAndTheirDividendsBack(uint96 rest, uint96 shares, uint128 before, uint128 since)
        external
    {
        Record storage record = _book.rounds[1];
        record.shares = shares;
        (_book.totalShares, _book.perShare) = (rest, before);
        _book.activate(record);
        assertEq(_book.totalShares, uint256(rest) + shares);
        _book.perShare += since;
        assertEq(_book.remove(record), Dividends.dividendOf(shares, since));
        assertEq(_book.totalShares, rest);
    }

    function check_share_isAtMostWhatIsLeft(uint96 amount, uint40 weight, uint40 total, uint96 left) external pure {
        assertLe(Splitting.share(amount, weight, total, left), left);
    }

    function check_potOf_isAtMostTwiceTheEmissionAndWhatMayBeMinted(uint96 emission, uint96 carried, uint96 mintable)
        external
        pure
    {
        uint256 pot = Splitting.potOf(emission, carried, mintable);
        assertLe(pot, mintable);
        assertLe(pot, uint256(emission) * 2);
        assertLe(pot, uint256(emission) + carried);
    }

    function check_sharesAt_fallsWithTheRounds(uint64 round) external pure {
        vm.assume(round < type(uint64).max - 101);
        assertLe(Splitting.sharesAt(round + 1), Splitting.sharesAt(round));
    }
}
