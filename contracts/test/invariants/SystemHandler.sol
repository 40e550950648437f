// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDataRegistry} from "../../src/interfaces/IDataRegistry.sol";
import {Network} from "../support/Moves.sol";
import {vm} from "../support/Vm.sol";
import {MoneyActions} from "./MoneyActions.sol";
import {People} from "./People.sol";
import {RoundActions} from "./RoundActions.sol";
import {StakeActions} from "./StakeActions.sol";

/// @notice Everything that anybody may do to a network, and the way out for all.
contract SystemHandler is StakeActions, RoundActions, MoneyActions {
    constructor(Network memory n) People(n) {}

    /// @notice Ends every round, and lets everybody take out all that is theirs.
    function everybodyLeaves() external {
        for (uint256 model = 1; model <= MODELS; ++model) {
            _finish(model);
        }
        _closeAll();
        skipBlocks(rewards.vestingBlocks() + data.ballotBlocks() + 1);
        _takeDataBack();
        _claimAll(); // before pools are left, so that their rewards find their holders
        _leaveStake();
        skipBlocks(2 * staking.unbondingBlocks());
        _claimAll();
        for (uint256 i; i < PEOPLE; ++i) {
            _withdraw(_who(i));
        }
    }

    /// @notice All that people have in `Staking`, in wei.
    function owedByStaking() external view returns (uint256 sum) {
        for (uint256 i; i < PEOPLE; ++i) {
            address one = _who(i);
            sum += staking.pendingOf(one);
            for (uint256 model = 1; model <= MODELS; ++model) {
                sum += staking.stakeOf(one, model, MINER) + staking.stakeOf(one, model, VALIDATOR);
                for (uint256 j; j < PEOPLE; ++j) {
                    sum += staking.delegationRewardOf(model, _who(j), one);
                }
            }
        }
    }

    /// @notice Deposits that datasets still hold, in wei.
    function heldForData() external view returns (uint256 sum) {
        for (uint256 id = 1; id <= data.count(); ++id) {
            sum += data.get(id).deposit;
        }
    }

    function _takeDataBack() private {
        for (uint256 id = 1; id <= data.count(); ++id) {
            IDataRegistry.Dataset memory d = data.get(id);
            if (d.status == 0) {
                vm.prank(d.owner);
                data.withdraw(id);
            }
            if (data.get(id).deposit == 0) continue;
            vm.prank(d.owner);
            data.reclaim(id);
        }
    }

    function _claimAll() private {
        _drain(treasury);
        for (uint256 i; i < PEOPLE; ++i) {
            _drain(_who(i));
            for (uint256 model = 1; model <= MODELS; ++model) {
                while (staking.harvest(model, _who(i)) > 0) {}
            }
        }
        for (uint256 i; i < PEOPLE * PEOPLE * MODELS; ++i) {
            (address one, address other) = (_who(i % PEOPLE), _who((i / PEOPLE) % PEOPLE));
            uint256 model = 1 + i / (PEOPLE * PEOPLE);
            if (staking.delegationRewardOf(model, other, one) == 0) continue;
            vm.prank(one);
            staking.claimDelegation(model, other);
        }
    }

    function _drain(address one) private {
        uint256 paid = 1;
        while (paid > 0) {
            vm.prank(one);
            paid = rewards.claim(allModels());
        }
    }

    function _leaveStake() private {
        for (uint256 i; i < PEOPLE; ++i) {
            address one = _who(i);
            _withdraw(one); // makes room where too many withdrawals wait
            for (uint256 model = 1; model <= MODELS; ++model) {
                _unstake(one, model, MINER);
                _unstake(one, model, VALIDATOR);
                for (uint256 j; j < PEOPLE; ++j) {
                    (uint256 shares,) = staking.delegationOf(model, _who(j), one);
                    if (shares == 0) continue;
                    vm.prank(one);
                    staking.undelegate(model, _who(j), shares);
                }
            }
        }
    }

    function _unstake(address one, uint256 model, uint8 role) private {
        uint256 own = staking.ownStakeOf(one, model, role);
        if (own == 0) return;
        vm.prank(one);
        staking.unstake(model, role, own);
    }

    function _withdraw(address one) private {
        if (staking.withdrawableOf(one) == 0) return;
        vm.prank(one);
        staking.withdraw();
    }
}
