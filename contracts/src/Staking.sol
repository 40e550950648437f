// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {IRewards} from "./interfaces/IRewards.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {Permitting} from "./libraries/Permitting.sol";
import {VALIDATOR} from "./libraries/Roles.sol";
import {Delegation} from "./staking/Delegation.sol";
import {StakingBase} from "./staking/StakingBase.sol";
import {StakingViews} from "./staking/StakingViews.sol";
import {Unbonding} from "./staking/Unbonding.sol";

/// @title Stake per model and role
/// @dev Described in `IStaking`. Here is what operators do with their own stake, and what `Rounds` does to it; below, in
/// `staking/`: who sits where (`StakingBase`), how stake leaves (`Unbonding`), and what others add to it (`Delegation`).
contract Staking is Delegation, StakingViews, Multicall, Permitting {
    using SafeERC20 for IERC20;

    uint16 private constant MAX_SLASH = 5_000;

    /// @inheritdoc IStaking
    address public immutable treasury;

    address private _rounds;

    modifier onlyRounds() {
        if (msg.sender != _rounds) revert NotRounds(msg.sender);
        _;
    }

    constructor(address token, address models, address treasury_, uint64 unbondingBlocks_)
        StakingBase(token, models)
        Unbonding(unbondingBlocks_)
        Permitting(token)
    {
        treasury = _nonZero(treasury_);
    }

    /// @inheritdoc IStaking
    function initialize(address rounds_, address rewards_) external wiring {
        _rounds = _nonZero(rounds_);
        _rewards = IRewards(_nonZero(rewards_));
    }

    /// @inheritdoc IStaking
    function stake(uint256 modelId, uint8 role, uint256 amount) external nonReentrant {
        _checkRole(role);
        if (amount == 0) revert ZeroAmount();
        Member storage member = _member(modelId, role, msg.sender);
        uint96 total = SafeCast.toUint96(member.own + amount);
        member.own = total;
        _ask(modelId, role, member);
        emit Staked(msg.sender, modelId, role, amount, total);
        _token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IStaking
    function unstake(uint256 modelId, uint8 role, uint256 amount) external nonReentrant {
        _checkRole(role);
        if (amount == 0) revert ZeroAmount();
        Member storage member = _member(modelId, role, msg.sender);
        uint256 staked = member.own;
        if (amount > staked) revert InsufficientStake(staked, amount);
        member.own = uint96(staked - amount);
        uint64 releaseBlock = _enqueue(modelId, role, msg.sender, amount);
        bool sat = member.seat != 0;
        _refresh(modelId, role, msg.sender, false);
        if (role == VALIDATOR && sat && member.seat == 0) member.leftBlock = uint64(block.number);
        emit Unstaking(msg.sender, modelId, role, amount, releaseBlock);
    }

    /// @inheritdoc IStaking
    function withdraw() external nonReentrant {
        uint256 credited = _claimable[msg.sender];
        (uint256 released, uint256 entries) = _takeReleased(msg.sender);
        if (credited == 0 && entries == 0) revert NothingToWithdraw();
        if (credited != 0) _claimable[msg.sender] = 0;
        uint256 amount = credited + released;
        emit Withdrawn(msg.sender, amount);
        _token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IStaking
    function rejoin(uint256 modelId) external {
        Member storage member = _member(modelId, VALIDATOR, msg.sender);
        if (!member.dropped) revert NotDropped(msg.sender);
        uint64 from = member.leftBlock + _width;
        if (block.number < from) revert RejoinTooSoon(from);
        member.dropped = false;
        _refresh(modelId, VALIDATOR, msg.sender, true);
        emit Rejoined(msg.sender, modelId);
    }

    /// @inheritdoc IStaking
    function reseat(uint256 modelId, uint8 role) external {
        Member storage member = _member(modelId, role, msg.sender);
        if (_eligible(modelId, role, member) == 0) revert NotEligible(msg.sender);
        _ask(modelId, role, member);
    }

    /// @inheritdoc IStaking
    function drop(uint256 modelId, address account) external onlyRounds {
        Member storage member = _member(modelId, VALIDATOR, account);
        (member.dropped, member.leftBlock) = (true, uint64(block.number));
        _refresh(modelId, VALIDATOR, account, false);
        emit Dropped(account, modelId);
    }

    /// @inheritdoc IStaking
    function slash(uint256 modelId, uint8 role, address account, uint16 bps) external onlyRounds nonReentrant {
        _checkRole(role);
        if (bps > MAX_SLASH) revert BadSlash(bps);
        Member storage member = _member(modelId, role, account);
        uint256 own = (uint256(member.own) * bps) / BPS;
        uint256 delegated = (uint256(member.delegated) * bps) / BPS;
        member.own -= uint96(own);
        member.delegated -= uint96(delegated);
        uint256 amount = own + delegated + _slashBuckets(member, bps);
        if (amount == 0) return;
        _refresh(modelId, role, account, false);
        emit Slashed(account, modelId, role, amount);
        _token.safeTransfer(treasury, amount);
    }

    /// @dev Asks for a seat for the caller. A validator that gave its seat up waits as one that was dropped does: who could leave for
    /// a block and come back, by a wei below the minimum, would not count in others' openings, and so raise what all models
    /// emit together above what a block emits.
    function _ask(uint256 modelId, uint8 role, Member storage member) private {
        uint64 from = member.leftBlock == 0 ? 0 : member.leftBlock + _width;
        if (block.number < from && _eligible(modelId, role, member) != 0) revert RejoinTooSoon(from);
        _refresh(modelId, role, msg.sender, true);
    }
}
