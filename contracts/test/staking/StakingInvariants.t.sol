// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {StakingHandler} from "./StakingHandler.sol";
import {StakingWorld} from "./StakingWorld.sol";

/// @notice What holds after any sequence of calls by anybody, slashes and drops included.
contract StakingInvariants is StakingWorld {
    StakingHandler private handler;

    function setUp() public override {
        super.setUp();
        staking = deployStaking(address(token), address(models), treasury, UNBONDING);
        handler = new StakingHandler(staking, token, models, rewards, treasury);
        staking.initialize(address(handler), address(rewards));
        handler.seatCrowd();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @notice The functions that a campaign calls: all but those of its set-up and end.
    function excludeSelectors() external view returns (FuzzSelector[] memory excluded) {
        excluded = new FuzzSelector[](1);
        excluded[0].addr = address(handler);
        excluded[0].selectors = new bytes4[](2);
        excluded[0].selectors[0] = StakingHandler.seatCrowd.selector;
        excluded[0].selectors[1] = StakingHandler.exitAll.selector;
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// @notice Checks one of four sides after each call, since what is wrong stays wrong; all of them at the end.
    function invariant_staking_booksAreInOrder() external view {
        uint256 side = handler.steps() % 4;
        if (side == 0) _checkBalance();
        if (side == 1) _checkPools();
        if (side == 2) _checkSeats();
        if (side == 3 && handler.notedCount() > 0) _checkHistory(handler.steps() % handler.notedCount());
    }

    /// @dev Then everybody leaves, and takes everything but dust.
    function afterInvariant() external {
        _checkBalance();
        _checkPools();
        _checkSeats();
        for (uint256 i; i < handler.notedCount(); ++i) {
            _checkHistory(i);
        }
        handler.exitAll();
        for (uint256 i; i < handler.ACCOUNTS(); ++i) {
            for (uint256 model = MODEL; model <= OTHER_MODEL; ++model) {
                assertEq(staking.stakeOf(handler.who(i), model, MINER), 0);
                assertEq(staking.stakeOf(handler.who(i), model, VALIDATOR), 0);
            }
            assertEq(staking.pendingOf(handler.who(i)), 0);
        }
        assertLe(token.balanceOf(address(staking)), handler.rewardSteps() * handler.ACTORS(), "only dust is left");
        assertEq(staking.globalValidatorStake(), 0);
    }

    /// @dev What the contract holds covers all that it owes.
    function _checkBalance() private view {
        uint256 owed;
        for (uint256 i; i < handler.ACCOUNTS(); ++i) {
            address one = handler.who(i);
            owed += staking.pendingOf(one);
            for (uint256 model = MODEL; model <= OTHER_MODEL; ++model) {
                owed += staking.stakeOf(one, model, MINER) + staking.stakeOf(one, model, VALIDATOR);
                if (i < handler.OPERATORS()) owed += _rewardsOwed(model, one);
            }
        }
        assertGe(token.balanceOf(address(staking)), owed);
    }

    /// @dev A pool's shares are its holders', and no fewer than its assets.
    function _checkPools() private view {
        for (uint256 i; i < handler.OPERATORS(); ++i) {
            for (uint256 model = MODEL; model <= OTHER_MODEL; ++model) {
                _checkPool(model, handler.who(i));
            }
        }
    }

    /// @dev Totals are the sums of the seats, and the network's that of the models.
    function _checkSeats() private view {
        uint256 all;
        for (uint256 model = MODEL; model <= OTHER_MODEL; ++model) {
            _checkSeatsOf(model, MINER, 256);
            all += _checkSeatsOf(model, VALIDATOR, 64);
        }
        assertEq(all, staking.globalValidatorStake());
        assertEq(all, staking.globalValidatorStakeAt(block.number));
    }

    /// @dev What a round froze stays as it was.
    function _checkHistory(uint256 index) private view {
        uint256 blockNumber = handler.notedBlocks(index);
        assertEq(handler.hashAt(blockNumber), handler.noted(blockNumber));
    }

    function _rewardsOwed(uint256 model, address validator) private view returns (uint256 owed) {
        for (uint256 i; i < handler.ACTORS(); ++i) {
            owed += staking.delegationRewardOf(model, validator, handler.who(i));
        }
    }

    function _checkPool(uint256 model, address validator) private view {
        (, uint256 delegated, uint256 shares,) = staking.poolOf(model, validator);
        assertLe(delegated, shares);
        assertEq(delegated == 0, shares == 0);
        uint256 held;
        uint256 worth;
        for (uint256 i; i < handler.ACTORS(); ++i) {
            (uint256 part, uint256 assets) = staking.delegationOf(model, validator, handler.who(i));
            held += part;
            worth += assets;
        }
        assertEq(held, shares);
        assertLe(worth, delegated);
    }

    /// @dev Everybody in a seat counts with all its stake, nobody else counts, and the sums are theirs.
    function _checkSeatsOf(uint256 model, uint8 role, uint256 capacity) private view returns (uint256 total) {
        (address[] memory seated, uint256[] memory stakes) = staking.frozen(model, role, block.number);
        assertLe(seated.length, capacity);
        for (uint256 i; i < seated.length; ++i) {
            total += stakes[i];
            assertGt(stakes[i], 0);
            assertEq(stakes[i], staking.stakeOf(seated[i], model, role));
        }
        assertEq(total, staking.totalStake(model, role));
        assertEq(total, staking.totalAt(model, role, block.number));
        assertEq(seated.length, staking.countAt(model, role, block.number));
        uint256 counted;
        for (uint256 i; i < handler.ACCOUNTS(); ++i) {
            counted += staking.activeStake(handler.who(i), model, role);
        }
        assertEq(counted, total);
    }
}
