// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {World} from "../support/World.sol";
import {vm} from "../support/Vm.sol";

/// @notice What each step of a whole round costs, all contracts included, with all seats taken and with few people.
/// @dev True to transactions under `forge test --isolate`; without it base costs and cold storage are missing.
contract WholeGasTest is World {
    uint256 private constant LIMIT = 15_000_000;
    uint256 private constant DATASETS = 16;

    uint256 private _miners;
    uint256 private _validators;
    uint256 private _id;
    uint64 private _round;
    string[] private _steps;
    mapping(string step => uint256) private _most;
    mapping(string step => uint256) private _sum;
    mapping(address validator => bytes32) private _told;

    function setUp() public override {
        unbonding = 8_000;
        super.setUp();
        uint256 root = models.register(0, 0, "global", "all", keccak256("g"), policyOf(200, 16));
        IModelRegistry.Policy memory p = policyOf(600, 16);
        _id = models.register(root, 2, "law", "law", keccak256("l"), p);
        _list(_id);
        for (uint256 i; i < DATASETS; ++i) {
            registerData(address(this), _id, bytes32(i)); // its owner's, accepted at once
        }
    }

    function test_gas_whenAllSeatsAreTaken_thenEachTransactionIsBelowTheLimit() external {
        _play("system-256-miners-64-validators", 256, 64);
    }

    function test_gas_whenThereAreFewMiners_thenAContributionCostsAsMuch() external {
        _play("system-32-miners-64-validators", 32, 64);
    }

    function test_gas_whenTheNetworkIsSmall_thenATickIsAllThatARoundNeeds() external {
        _play("system-3-miners-4-validators", 3, 4);
    }

    /// @dev The second round is the one that counts: bonds, shares and balances are there already. Each is open while the one before it
    /// is judged.
    function _play(string memory group, uint256 miners, uint256 validators) private {
        (_miners, _validators) = (miners, validators);
        for (uint256 i; i < miners; ++i) {
            stakeFor(account("miner", i), _id, MINER, 5e18);
        }
        for (uint256 i; i < validators; ++i) {
            stakeFor(account("validator", i), _id, VALIDATOR, (10 + i) * 1e18);
        }
        for (uint256 i; i < 2; ++i) {
            _submit();
            _judge();
            _attest();
            _settle();
            if (i == 0) _forget();
        }
        assertEq(models.headOf(_id), headAfter(_id, _round));
        _write(group);
    }

    function _submit() private {
        uint256[] memory used = new uint256[](DATASETS);
        for (uint256 i; i < DATASETS; ++i) {
            used[i] = i + 1;
        }
        if (rounds.current(_id) == _round) open(_id);
        ++_round;
        for (uint256 i; i < _miners; ++i) {
            commitDelta(_id, _round, account("miner", i));
            _note("commitDelta");
        }
        reach(_id, _round, REVEAL);
        rounds.tick(_id, _round + 1);
        _note("tick: open");
        for (uint256 i; i < _miners; ++i) {
            revealDelta(_id, _round, account("miner", i), used);
            _note("revealDelta, 16 datasets");
        }
        reach(_id, _round, SCORE);
        skipBlocks(1);
        rounds.tick(_id, _round);
        _note("tick: seed and seats");
    }

    function _judge() private {
        for (uint256 i; i < _validators; ++i) {
            address one = account("validator", i);
            (uint64[] memory scores, uint8[] memory reasons) = _opinion(one, i);
            commitScores(_id, _round, one, scores, reasons);
            _note("commitScores");
        }
        reach(_id, _round, SCORE_REVEAL);
        for (uint256 i; i < _validators; ++i) {
            address one = account("validator", i);
            (uint64[] memory scores, uint8[] memory reasons) = _opinion(one, i);
            revealScores(_id, _round, one, scores, reasons);
            _note("revealScores");
        }
        reach(_id, _round, ATTEST);
        while (rounds.roundView(_id, _round).groupsJudged < (_miners + 7) / 8) {
            rounds.tick(_id, _round);
            _note("tick: consensus page");
        }
    }

    function _attest() private {
        bytes32 head = headAfter(_id, _round);
        for (uint256 i; i < _validators; ++i) {
            commitHead(_id, _round, account("validator", i), head);
            _note("commitHead");
        }
        reach(_id, _round, ATTEST_REVEAL);
        for (uint256 i; i < _validators; ++i) {
            revealHead(_id, _round, account("validator", i), head);
            _note("revealHead");
        }
        reach(_id, _round, FINAL);
    }

    function _settle() private {
        while (!rounds.roundView(_id, _round).settled) {
            rounds.tick(_id, _round);
            _note("tick: settling page");
        }
    }

    function _opinion(address one, uint256 index)
        private
        view
        returns (uint64[] memory scores, uint8[] memory reasons)
    {
        uint32[] memory dealt = rounds.dealt(_id, _round, one);
        (scores, reasons) = (new uint64[](dealt.length), new uint8[](dealt.length));
        for (uint256 i; i < dealt.length; ++i) {
            scores[i] = uint64(1_000_000 + 1_000 * dealt[i] + index);
        }
    }

    // --- the record ---

    function _note(string memory step) private {
        uint256 used = vm.lastCallGas().gasTotalUsed;
        if (_most[step] == 0) _steps.push(step);
        if (used > _most[step]) _most[step] = used;
        _sum[step] += used;
    }

    function _forget() private {
        for (uint256 i; i < _steps.length; ++i) {
            (_most[_steps[i]], _sum[_steps[i]]) = (0, 0);
        }
        delete _steps;
    }

    function _write(string memory group) private {
        uint256 total;
        for (uint256 i; i < _steps.length; ++i) {
            string memory step = _steps[i];
            vm.snapshotValue(group, string.concat(step, ", most"), _most[step]);
            total += _sum[step];
            assertLt(_most[step], LIMIT, step);
        }
        vm.snapshotValue(group, "all transactions", total);
        vm.snapshotValue(group, "all transactions, per contribution", total / _miners);
    }
}
