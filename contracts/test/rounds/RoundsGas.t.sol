// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {vm} from "../support/Vm.sol";
import {RoundsWorld} from "./RoundsWorld.sol";

/// @notice The largest round that can be, all phases. Stand-ins cost less than the contracts that they stand for.
/// @dev True to transactions under `forge test --isolate`; without it base costs and cold storage are missing.
contract RoundsGasTest is RoundsWorld {
    uint256 private constant MINERS = 256;
    uint256 private constant VALIDATORS = 64;
    uint256 private constant DATASETS = 16;
    uint256 private constant LIMIT = 15_000_000;

    string[] private _steps;
    mapping(string step => uint256) private _most;
    uint256 private _last;

    function test_gas_whenAllSeatsAreTaken_thenEachTransactionIsBelowTheLimit() public {
        models.setPolicy(_long(64));
        _playLarge("all", true);
    }

    function test_gas_whenNobodyAttests_thenPagesAndTheEndAreBelowTheLimit() public {
        models.setPolicy(_long(64));
        _playLarge("late", false);
    }

    function test_gas_whenCommitteesAreDrawn_thenEachTransactionIsBelowTheLimit() public {
        models.setPolicy(_long(16));
        _playLarge("drawn", true);
    }

    function _long(uint8 committee) private pure returns (IModelRegistry.Policy memory p) {
        p = policy(committee, 5000, 6666);
        (p.scoreBlocks, p.scoreRevealBlocks, p.attestBlocks) = (200, 200, 200);
    }

    function _playLarge(string memory name, bool attesting) private {
        rewards.beBrief();
        populate(MINERS, VALIDATORS);
        uint256[] memory used = new uint256[](DATASETS);
        for (uint256 i; i < DATASETS; ++i) {
            used[i] = i + 1;
            data.set(i + 1, MODEL, account("owner", i), 5000, 1);
        }
        open();
        _note("tick: open");
        for (uint256 i; i < MINERS; ++i) {
            commitDelta(i);
            _note("commitDelta");
        }
        reach(REVEAL);
        rounds.tick(MODEL, round + 1);
        _note("tick: open the next");
        for (uint256 i; i < MINERS; ++i) {
            revealDelta(i, used);
            _note("revealDelta");
        }
        reach(SCORE);
        skipBlocks(1);
        _score();
        if (attesting) _attest();
        else skipBlocks(250);
        while (!view_().settled) {
            string memory step = view_().groupsJudged == 32 ? "tick: settle" : "tick: consensus";
            tick();
            _note(step);
        }
        vm.snapshotValue(string.concat("rounds-", name), "tick: last page, releases the next", _last);
        for (uint256 i; i < _steps.length; ++i) {
            vm.snapshotValue(string.concat("rounds-", name), _steps[i], _most[_steps[i]]);
            assertLt(_most[_steps[i]], LIMIT, _steps[i]);
        }
    }

    function _score() private {
        tick();
        _note("tick: seats");
        uint64[][] memory rows = new uint64[][](VALIDATORS);
        for (uint256 v; v < VALIDATORS; ++v) {
            rows[v] = _row(rounds.dealt(MODEL, round, validator(v)).length, v);
            commitScores(v, rows[v]);
            _note("commitScores");
        }
        reach(SCORE_REVEAL);
        for (uint256 v; v < VALIDATORS; ++v) {
            revealScores(v, rows[v]);
            _note("revealScores");
        }
        rollTo(view_().phaseEnd);
    }

    function _attest() private {
        for (uint256 page; page < 8; ++page) {
            tick();
            _note("tick: consensus");
        }
        for (uint256 v; v < VALIDATORS; ++v) {
            commitHead(v, HEAD);
            _note("commitHead");
        }
        reach(ATTEST_REVEAL);
        for (uint256 v; v < VALIDATORS; ++v) {
            revealHead(v, HEAD);
            _note("revealHead");
        }
        reach(FINAL);
    }

    function _row(uint256 length, uint256 who) private pure returns (uint64[] memory row) {
        row = new uint64[](length);
        for (uint256 i; i < length; ++i) {
            row[i] = uint64(1 + uint256(keccak256(abi.encode(who, i))) % 1e9);
        }
    }

    function _note(string memory step) private {
        uint256 used = vm.lastCallGas().gasTotalUsed;
        if (_most[step] == 0) _steps.push(step);
        if (used > _most[step]) _most[step] = used;
        _last = used;
    }
}
