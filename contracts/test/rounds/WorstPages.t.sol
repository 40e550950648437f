// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {World} from "../support/World.sol";
import {vm} from "../support/Vm.sol";

/// @notice The dearest pages that settling can have, with every contract in place: all are slashed while they leave, all are dropped,
/// each dataset has an owner of its own.
/// @dev True to transactions under `forge test --isolate`; without it base costs and cold storage are missing.
contract WorstPagesTest is World {
    uint256 private constant LIMIT = 15_000_000;

    uint256 private _id;
    uint64 private _round;

    function setUp() public override {
        unbonding = 5_600;
        super.setUp();
        IModelRegistry.Policy memory p = policyOf(200, 64);
        uint256 root = models.register(0, 0, "global", "all", keccak256("g"), p);
        vm.prank(miner(0));
        _id = models.register(root, 2, "law", "law", keccak256("l"), p);
        _list(_id);
    }

    function miner(uint256 index) private pure returns (address) {
        return account("miner", index);
    }

    function validator(uint256 index) private pure returns (address) {
        return account("validator", index);
    }

    function test_pages_whenAllMinersStaySilentWhileTheyLeave_thenBelowTheLimit() public {
        _stake(MINER, 66, 100e18);
        _stake(VALIDATOR, 3, 100e18);
        _round = open(_id);
        for (uint256 i; i < 66; ++i) {
            commitDelta(_id, _round, miner(i));
        }
        for (uint256 week; week < 5; ++week) {
            for (uint256 i; i < 66; ++i) {
                vm.prank(miner(i));
                staking.unstake(_id, MINER, 1e18);
            }
            if (week < 4) skipBlocks(45);
        }
        reach(_id, _round, REVEAL);
        revealDelta(_id, _round, miner(0), new uint256[](0));
        reach(_id, _round, SCORE);
        skipBlocks(1);
        rounds.tick(_id, _round);
        reach(_id, _round, FINAL);
        _settle("committers");
    }

    function test_pages_whenAllValidatorsAreSlashedAndDropped_thenBelowTheLimit() public {
        _stake(MINER, 1, 100e18);
        _stake(VALIDATOR, 64, 100e18);
        for (uint256 i; i < 3; ++i) {
            if (i == 2) _leave();
            _round = open(_id);
            commitDelta(_id, _round, miner(0));
            reach(_id, _round, REVEAL);
            revealDelta(_id, _round, miner(0), new uint256[](0));
            reach(_id, _round, SCORE);
            for (uint256 v; v < 64; ++v) {
                commitScores(_id, _round, validator(v), new uint64[](1), new uint8[](1));
            }
            reach(_id, _round, FINAL); // nobody reveals
            _settle("validators");
        }
        assertTrue(staking.isDropped(_id, validator(63)));
    }

    function test_pages_whenEveryDatasetHasAnotherOwner_thenBelowTheLimit() public {
        _stake(MINER, 8, 100e18);
        _stake(VALIDATOR, 3, 100e18);
        uint256[][] memory used = new uint256[][](8);
        for (uint256 m; m < 8; ++m) {
            used[m] = new uint256[](16);
            for (uint256 k; k < 16; ++k) {
                used[m][k] = registerData(account("owner", 16 * m + k), _id, bytes32(16 * m + k));
                for (uint256 v; v < 2; ++v) {
                    vm.prank(validator(v));
                    data.vote(used[m][k], true, 5000);
                }
            }
        }
        _round = open(_id);
        for (uint256 m; m < 8; ++m) {
            commitDelta(_id, _round, miner(m));
        }
        reach(_id, _round, REVEAL);
        for (uint256 m; m < 8; ++m) {
            revealDelta(_id, _round, miner(m), used[m]);
        }
        _judgeAndAttest(8, 3);
        _settle("deltas");
    }

    function test_pages_whenEveryValidatorHasDelegators_thenBelowTheLimit() public {
        _stake(MINER, 8, 100e18);
        _stake(VALIDATOR, 64, 100e18);
        for (uint256 v; v < 64; ++v) {
            delegateFor(account("holder"), _id, validator(v), 50e18);
        }
        _round = open(_id);
        for (uint256 m; m < 8; ++m) {
            commitDelta(_id, _round, miner(m));
        }
        reach(_id, _round, REVEAL);
        for (uint256 m; m < 8; ++m) {
            revealDelta(_id, _round, miner(m), new uint256[](0));
        }
        _judgeAndAttest(8, 64);
        _settle("validators with delegators");
    }

    // --- helpers ---

    function _stake(uint8 role, uint256 count, uint256 amount) private {
        for (uint256 i; i < count; ++i) {
            stakeFor(role == MINER ? miner(i) : validator(i), _id, role, amount);
        }
    }

    function _leave() private {
        for (uint256 week; week < 5; ++week) {
            for (uint256 v; v < 64; ++v) {
                vm.prank(validator(v));
                staking.unstake(_id, VALIDATOR, 1e18);
            }
            skipBlocks(1000);
        }
    }

    function _judgeAndAttest(uint256 miners, uint256 validators) private {
        reach(_id, _round, SCORE);
        uint64[] memory scores = new uint64[](miners);
        for (uint256 m; m < miners; ++m) {
            scores[m] = uint64(1000 + m);
        }
        for (uint256 v; v < validators; ++v) {
            commitScores(_id, _round, validator(v), scores, new uint8[](miners));
        }
        reach(_id, _round, SCORE_REVEAL);
        for (uint256 v; v < validators; ++v) {
            revealScores(_id, _round, validator(v), scores, new uint8[](miners));
        }
        reach(_id, _round, ATTEST);
        for (uint256 v; v < validators; ++v) {
            commitHead(_id, _round, validator(v), headAfter(_id, _round));
        }
        reach(_id, _round, ATTEST_REVEAL);
        for (uint256 v; v < validators; ++v) {
            revealHead(_id, _round, validator(v), headAfter(_id, _round));
        }
        reach(_id, _round, FINAL);
    }

    function _settle(string memory name) private {
        uint256 most;
        while (!rounds.roundView(_id, _round).settled) {
            rounds.tick(_id, _round);
            uint256 used = vm.lastCallGas().gasTotalUsed;
            if (used > most) most = used;
        }
        vm.snapshotValue("rounds-worst-pages", name, most);
        assertLt(most, LIMIT, name);
    }
}
