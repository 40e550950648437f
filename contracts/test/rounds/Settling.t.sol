// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundsWorld} from "./RoundsWorld.sol";

contract SettlingTest is RoundsWorld {
    function test_round_whenAllTakePart_thenHeadMovesInOneTick() public {
        populate(2, 3);
        submit(2);
        score(same(3, list(100, 300)));
        attest(3, HEAD);
        assertEq(settle(), 1);
        assertEq(models.headOf(MODEL), HEAD);
        assertEq(rewards.deltas().length, 2);
        assertEq(rewards.validators().length, 3);
        assertEq(uint256(consensus(1)), 300);
    }
}
