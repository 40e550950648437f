// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IStaking} from "../../src/interfaces/IStaking.sol";
import {vm} from "../support/Vm.sol";
import {People} from "./People.sol";

/// @notice What stakers and delegators do, in any order.
abstract contract StakeActions is People {
    function stake(uint256 who, uint256 model, uint256 role, uint256 amount) external {
        address one = _who(who);
        amount = bound(amount, 1, 1_000e18);
        if (token.balanceOf(one) < amount) return;
        vm.prank(one);
        token.approve(address(staking), amount);
        vm.prank(one);
        try staking.stake(_model(model), _role(role), amount) {}
        catch (bytes memory reason) {
            _foresee(reason, IStaking.RejoinTooSoon.selector);
        }
    }

    function unstake(uint256 who, uint256 model, uint256 role, uint256 amount) external {
        address one = _who(who);
        uint256 own = staking.ownStakeOf(one, _model(model), _role(role));
        if (own == 0) return;
        vm.prank(one);
        try staking.unstake(_model(model), _role(role), bound(amount, 1, own)) {}
        catch (bytes memory reason) {
            _foresee(reason, IStaking.TooManyUnbondings.selector);
        }
    }

    function delegate(uint256 who, uint256 model, uint256 target, uint256 amount) external {
        address one = _who(who);
        amount = bound(amount, 1, 1_000e18);
        if (token.balanceOf(one) < amount) return;
        vm.prank(one);
        token.approve(address(staking), amount);
        vm.prank(one);
        try staking.delegate(_model(model), _who(target), amount) {}
        catch (bytes memory reason) {
            _foresee(reason, IStaking.NotEligible.selector, IStaking.ZeroAmount.selector);
        }
    }

    function undelegate(uint256 who, uint256 model, uint256 target, uint256 shares) external {
        address one = _who(who);
        (uint256 held,) = staking.delegationOf(_model(model), _who(target), one);
        if (held == 0) return;
        vm.prank(one);
        try staking.undelegate(_model(model), _who(target), bound(shares, 1, held)) {}
        catch (bytes memory reason) {
            _foresee(reason, IStaking.TooManyUnbondings.selector);
        }
    }

    function withdraw(uint256 who) external {
        address one = _who(who);
        if (staking.withdrawableOf(one) == 0) return;
        vm.prank(one);
        staking.withdraw();
    }

    function rejoin(uint256 who, uint256 model) external {
        address one = _who(who);
        if (!staking.isDropped(_model(model), one)) return;
        vm.prank(one);
        try staking.rejoin(_model(model)) {}
        catch (bytes memory reason) {
            _foresee(reason, IStaking.RejoinTooSoon.selector);
        }
    }

    function setCommission(uint256 who, uint256 model, uint256 bps) external {
        vm.prank(_who(who));
        staking.setCommission(_model(model), uint16(bound(bps, 0, 5_000)));
    }

    function harvest(uint256 model, uint256 target) external {
        staking.harvest(_model(model), _who(target));
    }

    function claimDelegation(uint256 who, uint256 model, uint256 target) external {
        uint256 due = staking.delegationRewardOf(_model(model), _who(target), _who(who));
        if (due == 0) return;
        vm.prank(_who(who));
        assertEq(staking.claimDelegation(_model(model), _who(target)), due, "a delegator gets what was shown");
    }
}
