// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRewards} from "../../src/interfaces/IRewards.sol";
import {RewardsWorld} from "./RewardsWorld.sol";
import {vm} from "../support/Vm.sol";

/// @notice What paying and being paid costs, each call as if alone in its transaction: nothing is warm.
contract RewardsGasTest is RewardsWorld {
    uint256 private constant DATASETS = 16;

    function test_gas_whenARoundIsPaid_thenRecorded() external {
        staking.setPool(ROOT, bob, 1e18, 1e18, 1000);
        for (uint64 round = 1; round <= 2; ++round) {
            skipBlocks(100);
            IRewards.Opening memory o = _opening(ROOT, round);
            vm.startPrank(rounds);
            _coolAll();
            rewards.begin(o);
            _keep("begin", round);
            _payDelta(round, 0, "payDelta: no data");
            _payDelta(round, DATASETS, "payDelta: 16 owners");
            _coolAll();
            rewards.payValidator(ROOT, round, bob, 1);
            _keep("payValidator: with delegators", round);
            _coolAll();
            rewards.payValidator(ROOT, round, carol, 1);
            _keep("payValidator", round);
            _coolAll();
            rewards.finish(ROOT, round);
            _keep("finish", round);
            vm.stopPrank();
        }
    }

    function test_gas_whenRoundsAreEmpty_thenRecorded() external {
        for (uint64 round = 1; round <= 2; ++round) {
            skipBlocks(100);
            IRewards.Opening memory o = _opening(ROOT, round);
            (o.isEmpty, o.isVoid, o.accepted) = (true, true, false);
            (o.totalConsensus, o.totalData, o.totalValidators) = (0, 0, 0);
            _coolAll();
            _begin(o);
            _keep("begin: empty", round);
            _coolAll();
            _finish(ROOT, round);
            _keep("finish: empty", round);
        }
    }

    function test_gas_whenVoidedAndClaimed_thenRecorded() external {
        _settleFor(ROOT, 1, alice);
        _settleFor(ROOT, 2, alice);
        _coolAll();
        _void(ROOT, 2);
        vm.snapshotGasLastCall("rewards", "voidRound");
        skipBlocks(VESTING);
        _coolAll();
        _addFee(ROOT, 100e18);
        vm.snapshotGasLastCall("rewards", "addFee");
        _coolAll();
        _claim(alice, _ids(ROOT));
        vm.snapshotGasLastCall("rewards", "claim: two rounds and a model");
    }

    function test_gas_whenTheMostIsClaimed_thenRecorded() external {
        vm.pauseGasMetering();
        for (uint64 round = 1; round <= 128; ++round) {
            vm.roll(vm.getBlockNumber() + 100);
            _begin(ROOT, round);
            _payMiner(ROOT, round, alice, 100);
            _finish(ROOT, round);
        }
        skipBlocks(VESTING);
        vm.resumeGasMetering();
        _coolAll();
        _claim(alice, _ids(ROOT));
        vm.snapshotGasLastCall("rewards", "claim: 128 rounds and their shares");
    }

    function _payDelta(uint64 round, uint256 datasets, string memory name) private {
        (address[] memory owners, uint256[] memory weights) = (new address[](datasets), new uint256[](datasets));
        for (uint256 i; i < datasets; ++i) {
            (owners[i], weights[i]) = (account("owner", i), 1);
        }
        _coolAll();
        rewards.payDelta(ROOT, round, account("miner", datasets), 10, owners, weights);
        _keep(name, round);
    }

    /// @dev The second round is kept: the first one pays for storage that a model needs once.
    function _keep(string memory name, uint64 round) private {
        if (round == 2) vm.snapshotGasLastCall("rewards", name);
    }

    function _coolAll() private {
        vm.cool(address(rewards));
        vm.cool(address(token));
        vm.cool(address(models));
        vm.cool(address(staking));
    }
}
