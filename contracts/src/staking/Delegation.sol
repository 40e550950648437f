// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IRewards} from "../interfaces/IRewards.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {VALIDATOR} from "../libraries/Roles.sol";
import {Shares} from "./Shares.sol";
import {Unbonding} from "./Unbonding.sol";

/// @title Stake that others put on a validator, and what it earns
/// @dev Rewards come in by `harvest` and are divided by shares at once (rewards per share); a holder takes its part when it
/// likes. Neither delegating nor leaving needs `Rewards` to answer.
abstract contract Delegation is Unbonding {
    using SafeERC20 for IERC20;

    uint16 private constant DEFAULT_COMMISSION = 1_000;
    uint16 private constant MAX_COMMISSION = 5_000;
    /// @dev Rewards per share are kept times this, 2^128. All rewards ever are below 2^87 wei, so neither the sum per share
    /// nor a holder's part of it comes near 2^256.
    uint256 private constant SCALE = 1 << 128;

    IRewards internal _rewards;

    /// @inheritdoc IStaking
    function delegate(uint256 modelId, address validator, uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        Member storage member = _member(modelId, VALIDATOR, validator);
        if (_eligible(modelId, VALIDATOR, member) == 0) revert NotEligible(validator);
        try _rewards.claimPool(modelId, validator) returns (uint256 reward) {
            _share(modelId, validator, reward);
        } catch {}
        _credit(modelId, validator, msg.sender);

        uint256 shares = Shares.forDeposit(amount, member.delegated, member.shares);
        member.delegated += SafeCast.toUint96(amount);
        member.shares += shares;
        member.holdings[msg.sender].shares += shares;
        _refresh(modelId, VALIDATOR, validator, false);
        emit Delegated(msg.sender, modelId, validator, amount, shares);
        _token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IStaking
    function undelegate(uint256 modelId, address validator, uint256 shares) external nonReentrant {
        if (shares == 0) revert ZeroAmount();
        Member storage member = _member(modelId, VALIDATOR, validator);
        uint256 held = member.holdings[msg.sender].shares;
        if (shares > held) revert InsufficientStake(held, shares);
        _credit(modelId, validator, msg.sender);

        uint256 amount = Shares.worth(shares, member.delegated, member.shares);
        member.delegated -= uint96(amount);
        member.shares -= shares;
        member.holdings[msg.sender].shares = held - shares;
        uint64 releaseBlock = _enqueue(modelId, VALIDATOR, validator, amount);
        _refresh(modelId, VALIDATOR, validator, false);
        emit Undelegated(msg.sender, modelId, validator, amount, shares, releaseBlock);
    }

    /// @inheritdoc IStaking
    function setCommission(uint256 modelId, uint16 bps) external {
        if (bps > MAX_COMMISSION) revert BadCommission(bps);
        Commission storage commission = _member(modelId, VALIDATOR, msg.sender).commission;
        uint16 inForce = commissionOf(modelId, msg.sender);
        uint64 from = uint64(block.number);
        (commission.isSet, commission.current, commission.next, commission.nextFrom) = (true, bps, 0, 0);
        if (bps > inForce) {
            from += unbondingBlocks;
            (commission.current, commission.next, commission.nextFrom) = (inForce, bps, from);
        }
        emit CommissionSet(msg.sender, modelId, bps, from);
    }

    /// @inheritdoc IStaking
    function harvest(uint256 modelId, address validator) external nonReentrant returns (uint256 amount) {
        amount = _rewards.claimPool(modelId, validator);
        _share(modelId, validator, amount);
    }

    /// @inheritdoc IStaking
    function claimDelegation(uint256 modelId, address validator) external nonReentrant returns (uint256 amount) {
        amount = _takeReward(modelId, validator, msg.sender);
        if (amount == 0) revert NothingToWithdraw();
        _token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IStaking
    function delegationOf(uint256 modelId, address validator, address holder)
        external
        view
        returns (uint256 shares, uint256 assets)
    {
        Member storage member = _member(modelId, VALIDATOR, validator);
        shares = member.holdings[holder].shares;
        assets = Shares.worth(shares, member.delegated, member.shares);
    }

    /// @inheritdoc IStaking
    function delegationRewardOf(uint256 modelId, address validator, address holder) public view returns (uint256) {
        Member storage member = _member(modelId, VALIDATOR, validator);
        Holding storage holding = member.holdings[holder];
        return (holding.shares * (member.rewardsPerShare - holding.paidPerShare)) / SCALE;
    }

    /// @inheritdoc IStaking
    function poolOf(uint256 modelId, address validator)
        external
        view
        returns (uint256 own, uint256 delegated, uint256 shares, uint16 commissionBps)
    {
        Member storage member = _member(modelId, VALIDATOR, validator);
        return (member.own, member.delegated, member.shares, commissionOf(modelId, validator));
    }

    /// @inheritdoc IStaking
    function commissionOf(uint256 modelId, address validator) public view returns (uint16 bps) {
        Commission storage commission = _member(modelId, VALIDATOR, validator).commission;
        if (!commission.isSet) return DEFAULT_COMMISSION;
        uint64 from = commission.nextFrom;
        return from != 0 && from <= block.number ? commission.next : commission.current;
    }

    /// @dev Divides `amount` wei of rewards that came in among a pool's shares; where there are none, it is the validator's.
    function _share(uint256 modelId, address validator, uint256 amount) private {
        if (amount == 0) return;
        Member storage member = _member(modelId, VALIDATOR, validator);
        if (member.shares == 0) _claimable[validator] += amount;
        else member.rewardsPerShare += Math.mulDiv(amount, SCALE, member.shares);
        emit Harvested(modelId, validator, amount);
    }

    /// @dev Keeps a holder's rewards so far, before its shares change, for `withdraw`.
    function _credit(uint256 modelId, address validator, address holder) private {
        uint256 amount = _takeReward(modelId, validator, holder);
        if (amount != 0) _claimable[holder] += amount;
    }

    /// @dev Closes a holder's account of rewards, and returns what was in it, in wei.
    function _takeReward(uint256 modelId, address validator, address holder) private returns (uint256 amount) {
        amount = delegationRewardOf(modelId, validator, holder);
        Member storage member = _member(modelId, VALIDATOR, validator);
        member.holdings[holder].paidPerShare = member.rewardsPerShare;
        if (amount != 0) emit DelegationClaimed(holder, modelId, validator, amount);
    }
}
