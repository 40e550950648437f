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
    address private constant BOB = address(2);

    Book private _book;

    function check_dividends_ofAllHoldersAreAtMostWhatWasPaidIn(uint96 alice, uint96 bob, uint96 first, uint96 second)
        external
    {
        _hold(alice, bob);
        _book.add(first);
        _book.add(second);
        assertLe(_book.take(ALICE) + _book.take(BOB), uint256(first) + second);
    }

    function check_dividends_whenTakenTwice_thenNothingMore(uint96 alice, uint96 bob, uint96 amount) external {
        _hold(alice, bob);
        _book.add(amount);
        _book.take(ALICE);
        assertEq(_book.take(ALICE), 0);
    }

    function check_dividends_whenTakenInBetween_thenNotMoreThanAtTheEnd(uint96 alice, uint96 first, uint96 second)
        external
    {
        _hold(alice, 1e18);
        _book.add(first);
        uint256 early = _book.take(ALICE);
        _book.add(second);
        early += _book.take(ALICE);
        uint256 all = Dividends.dividendOf(alice, _book.perShare);
        assertLe(early, all);
        assertGe(early + 1, all);
    }

    function check_dividends_whenARoundIsVoided_thenItsDividendsComeBackAndNoMore(
        uint96 alice,
        uint96 voided,
        uint96 amount
    ) external {
        _hold(alice, 0);
        vm.assume(voided > 0);
        Record storage record = _book.rounds[1];
        record.shares = voided;
        _book.activate(record);
        _book.add(amount);
        uint256 back = _book.remove(record);
        assertEq(_book.totalShares, alice);
        assertLe(back + _book.take(ALICE), amount);
    }

    function check_part_sumsOfATableAreAtMostTheWhole(uint96 amount, uint16 a, uint16 b, uint16 c) external pure {
        vm.assume(uint256(a) + b + c <= 10_000);
        uint16 rest = uint16(10_000 - uint256(a) - b - c);
        uint256 sum = Splitting.part(amount, a) + Splitting.part(amount, b) + Splitting.part(amount, c)
            + Splitting.part(amount, rest);
        assertLe(sum, amount);
        assertGe(sum + 4, amount);
    }

    function check_share_sumsAreAtMostTheWhole(uint96 amount, uint40 a, uint40 b) external pure {
        uint256 total = uint256(a) + b;
        assertLe(
            Splitting.share(amount, a, total, amount) + Splitting.share(amount, b, total, amount), amount
        );
    }

    function check_share_isAtMostWhatIsLeft(uint96 amount, uint40 weight, uint40 total, uint96 left) external pure {
        assertLe(Splitting.share(amount, weight, total, left), left);
    }

    function check_emissionOf_isAtMostAllBlocks(uint64 perBlock, uint48 blocks, uint88 stake, uint88 all, uint16 bps)
        external
        pure
    {
        vm.assume(bps <= 10_000);
        assertLe(Splitting.emissionOf(perBlock, blocks, stake, all, bps), uint256(perBlock) * blocks);
    }

    function check_emissionOf_ofTwoModelsIsAtMostAllBlocks(uint64 perBlock, uint48 blocks, uint88 one, uint88 other)
        external
        pure
    {
        uint256 all = uint256(one) + other;
        uint256 sum = Splitting.emissionOf(perBlock, blocks, one, all, 10_000)
            + Splitting.emissionOf(perBlock, blocks, other, all, 10_000);
        assertLe(sum, uint256(perBlock) * blocks);
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

    function check_delegatorsPart_isAtMostTheirShareOfTheReward(uint96 amount, uint88 own, uint88 delegated, uint16 bps)
        external
        pure
    {
        vm.assume(bps <= 5_000 && own > 0);
        uint256 part = Splitting.delegatorsPart(amount, own, delegated, bps);
        uint256 stake = (uint256(own) + delegated) * 10_000;
        assertLe(part * stake, uint256(amount) * delegated * (10_000 - bps));
    }

    function check_sharesAt_fallsWithTheRounds(uint64 round) external pure {
        vm.assume(round < type(uint64).max - 101);
        assertLe(Splitting.sharesAt(round + 1), Splitting.sharesAt(round));
    }

    function _hold(uint96 alice, uint96 bob) private {
        vm.assume(uint256(alice) + bob > 0);
        _book.holders[ALICE].shares = alice;
        _book.holders[BOB].shares = bob;
        _book.totalShares = uint256(alice) + bob;
    }
}
