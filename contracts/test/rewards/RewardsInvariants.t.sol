// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RewardsHandler} from "./RewardsHandler.sol";
import {RewardsWorld} from "./RewardsWorld.sol";
import {vm} from "../support/Vm.sol";

/// @notice What holds after any sequence of rounds, voids, fees, claims and changes by governance.
contract RewardsInvariantsTest is RewardsWorld {
    RewardsHandler private handler;

    function setUp() public override {
        super.setUp();
        address[4] memory roles = [rounds, channels, admin, treasury];
        bytes memory arguments = abi.encode(rewards, token, models, staking, roles);
        handler = RewardsHandler(_create("RewardsHandler.sol:RewardsHandler", arguments));
    }

    /// @notice Where forge sends its calls.
    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(handler);
    }

    /// @notice Which functions of the handler it may not call at random.
    function excludeSelectors() external view returns (FuzzSelector[] memory list) {
        list = new FuzzSelector[](1);
        list[0].target = address(handler);
        list[0].selectors = new bytes4[](1);
        list[0].selectors[0] = RewardsHandler.everybodyLeaves.selector;
    }

    /// @dev As forge decodes it.
    struct FuzzSelector {
        address target;
        bytes4[] selectors;
    }

    function invariant_supply_isBelowTheCapWithAllThatIsReserved() external view {
        assertLe(token.totalSupply() + rewards.reserved(), CAP);
    }

    function invariant_balance_isWhatIsOwed() external view {
        _assertSolvent();
    }

    function invariant_emission_isMintedReservedOrCarriedToTheLastWei() external view {
        uint256 carried = rewards.carry(ROOT) + rewards.carry(CHILD) + rewards.carry(GRANDCHILD);
        assertEq(token.totalSupply() - GENESIS + rewards.reserved() + carried, handler.emitted());
    }

    function invariant_shares_ofAllHoldersAreAllShares() external view {
        for (uint256 modelId = 1; modelId <= handler.MODELS(); ++modelId) {
            uint256 sum;
            for (uint256 i; i < handler.ACTORS(); ++i) {
                sum += rewards.sharesOf(modelId, handler.actor(i));
            }
            assertEq(sum, rewards.totalShares(modelId));
        }
    }

    function invariant_accounts_haveNoMoreThanIsOwed() external view {
        uint256 sum;
        for (uint256 i; i < handler.ACTORS(); ++i) {
            sum += rewards.claimable(handler.actor(i), handler.allModels()) + rewards.vesting(handler.actor(i));
        }
        assertLe(sum, rewards.owed());
    }

    /// @notice At the end of a campaign all leave, and nothing but dust stays: shares that exist, no debt.
    function afterInvariant() external {
        handler.everybodyLeaves();
        _assertSolvent();
        assertEq(rewards.reserved(), 0);
        assertLe(rewards.owed(), handler.dust());
        this.invariant_emission_isMintedReservedOrCarriedToTheLastWei();
        this.invariant_shares_ofAllHoldersAreAllShares();
    }

    /// @notice The campaigns' handler reaches what they are about.
    function test_handler_whenDriven_thenVoidsFeesAndClaimsHappen() external {
        vm.pauseGasMetering();
        for (uint256 i; i < 300; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            handler.begin(seed, uint32(seed >> 8), uint96(seed >> 64), uint8(seed >> 16) | 1);
            handler.voidRound(seed >> 3);
            handler.fee(seed >> 5, uint96(seed));
            handler.pass(uint8(seed % 60));
            handler.claim(seed >> 7);
        }
        assertGt(handler.voids(), 0);
        assertGt(handler.fees(), 0);
        assertGt(handler.claims(), 0);
        this.afterInvariant();
    }
}
