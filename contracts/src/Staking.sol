// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {Sorting} from "./libraries/Sorting.sol";
import {Wired} from "./libraries/Wired.sol";

/// @title Stake per model and role
/// @dev Described in `IStaking`.
contract Staking is IStaking, ReentrancyGuard, Wired {
    using Checkpoints for Checkpoints.Trace208;
    using EnumerableSet for EnumerableSet.AddressSet;
    using SafeERC20 for IERC20;

    /// @dev Stake that was asked back, still slashable for what it did, until `releaseBlock`.
    struct Unbonding {
        uint256 modelId;
        uint128 amount;
        uint64 releaseBlock;
        uint8 role;
    }

    /// @dev Everything about one model and role.
    struct Pool {
        Checkpoints.Trace208 total;
        Checkpoints.Trace208 count;
        EnumerableSet.AddressSet members;
        mapping(address account => uint256) raw;
        mapping(address account => Checkpoints.Trace208) effective;
    }

    uint8 private constant MINER = 1;
    uint8 private constant VALIDATOR = 2;
    uint256 private constant MAX_MEMBERS = 64;
    uint256 private constant MAX_UNBONDINGS = 32;
    uint256 private constant BPS = 10_000;

    IERC20 private immutable _token;
    /// @inheritdoc IStaking
    address public immutable treasury;
    /// @inheritdoc IStaking
    uint64 public immutable unbondingBlocks;
    uint256 private immutable _minMiner;
    uint256 private immutable _minValidator;

    address private _rounds;
    Checkpoints.Trace208 private _globalValidators;
    mapping(uint256 modelId => mapping(uint8 role => Pool)) private _pools;
    mapping(address account => Unbonding[]) private _unbondings;
    mapping(uint256 modelId => mapping(address account => bool)) private _dropped;

    modifier onlyRounds() {
        if (msg.sender != _rounds) revert NotRounds(msg.sender);
        _;
    }

    constructor(
        address token,
        address treasury_,
        uint64 unbondingBlocks_,
        uint256 minMinerStake,
        uint256 minValidatorStake
    ) {
        _token = IERC20(_nonZero(token));
        treasury = _nonZero(treasury_);
        unbondingBlocks = unbondingBlocks_;
        if (minMinerStake == 0 || minValidatorStake == 0) revert ZeroAmount();
        _minMiner = minMinerStake;
        _minValidator = minValidatorStake;
    }

    /// @inheritdoc IStaking
    function initialize(address rounds_) external wiring {
        _rounds = _nonZero(rounds_);
    }

    /// @inheritdoc IStaking
    function stake(uint256 modelId, uint8 role, uint256 amount) external nonReentrant {
        Pool storage pool = _pool(modelId, role);
        if (amount == 0) revert ZeroAmount();
        uint256 total = pool.raw[msg.sender] + amount;
        pool.raw[msg.sender] = total;
        _refresh(modelId, role, msg.sender);
        emit Staked(msg.sender, modelId, role, amount, total);
        _token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IStaking
    function unstake(uint256 modelId, uint8 role, uint256 amount) external nonReentrant {
        Pool storage pool = _pool(modelId, role);
        if (amount == 0) revert ZeroAmount();
        uint256 staked = pool.raw[msg.sender];
        if (amount > staked) revert InsufficientStake(staked, amount);
        pool.raw[msg.sender] = staked - amount;
        uint64 releaseBlock = uint64(block.number) + unbondingBlocks;
        _enqueue(modelId, role, amount, releaseBlock);
        _refresh(modelId, role, msg.sender);
        emit Unstaking(msg.sender, modelId, role, amount, releaseBlock);
    }

    /// @inheritdoc IStaking
    function withdraw() external nonReentrant {
        Unbonding[] storage queue = _unbondings[msg.sender];
        uint256 amount;
        uint256 i;
        while (i < queue.length) {
            if (queue[i].releaseBlock > block.number) {
                ++i;
                continue;
            }
            amount += queue[i].amount;
            queue[i] = queue[queue.length - 1];
            queue.pop();
        }
        if (amount == 0) revert NothingToWithdraw();
        emit Withdrawn(msg.sender, amount);
        _token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IStaking
    function rejoin(uint256 modelId) external {
        if (!_dropped[modelId][msg.sender]) revert NotDropped(msg.sender);
        _dropped[modelId][msg.sender] = false;
        _refresh(modelId, VALIDATOR, msg.sender);
        emit Rejoined(msg.sender, modelId);
    }

    /// @inheritdoc IStaking
    function drop(uint256 modelId, address account) external onlyRounds {
        _dropped[modelId][account] = true;
        _refresh(modelId, VALIDATOR, account);
        emit Dropped(account, modelId);
    }

    /// @inheritdoc IStaking
    function slash(uint256 modelId, uint8 role, address account, uint16 bps) external onlyRounds nonReentrant {
        Pool storage pool = _pool(modelId, role);
        uint256 raw = pool.raw[account];
        uint256 amount = (raw * bps) / BPS;
        pool.raw[account] = raw - amount;
        amount += _slashUnbonding(modelId, role, account, bps);
        if (amount == 0) return;
        _refresh(modelId, role, account);
        emit Slashed(account, modelId, role, amount);
        _token.safeTransfer(treasury, amount);
    }

    /// @inheritdoc IStaking
    function stakeOf(address account, uint256 modelId, uint8 role) external view returns (uint256) {
        return _pools[modelId][role].raw[account];
    }

    /// @inheritdoc IStaking
    function activeStake(address account, uint256 modelId, uint8 role) external view returns (uint256) {
        return _pools[modelId][role].effective[account].latest();
    }

    /// @inheritdoc IStaking
    function stakeAt(address account, uint256 modelId, uint8 role, uint256 blockNumber) external view returns (uint256) {
        return _pools[modelId][role].effective[account].upperLookupRecent(SafeCast.toUint48(blockNumber));
    }

    /// @inheritdoc IStaking
    function totalAt(uint256 modelId, uint8 role, uint256 blockNumber) external view returns (uint256) {
        return _pools[modelId][role].total.upperLookupRecent(SafeCast.toUint48(blockNumber));
    }

    /// @inheritdoc IStaking
    function totalStake(uint256 modelId, uint8 role) external view returns (uint256) {
        return _pools[modelId][role].total.latest();
    }

    /// @inheritdoc IStaking
    function countAt(uint256 modelId, uint8 role, uint256 blockNumber) external view returns (uint256) {
        return _pools[modelId][role].count.upperLookupRecent(SafeCast.toUint48(blockNumber));
    }

    /// @inheritdoc IStaking
    function members(uint256 modelId, uint8 role) external view returns (address[] memory) {
        return _pools[modelId][role].members.values();
    }

    /// @inheritdoc IStaking
    function frozen(uint256 modelId, uint8 role, uint256 blockNumber)
        external
        view
        returns (address[] memory accounts, uint256[] memory stakes)
    {
        Pool storage pool = _pools[modelId][role];
        accounts = pool.members.values();
        Sorting.ascending(accounts);
        stakes = new uint256[](accounts.length);
        uint48 when = SafeCast.toUint48(blockNumber);
        uint256 found;
        for (uint256 i; i < accounts.length; ++i) {
            uint256 amount = pool.effective[accounts[i]].upperLookupRecent(when);
            if (amount == 0) continue;
            accounts[found] = accounts[i];
            stakes[found++] = amount;
        }
        assembly ("memory-safe") {
            mstore(accounts, found)
            mstore(stakes, found)
        }
    }

    /// @inheritdoc IStaking
    function globalValidatorStake() external view returns (uint256) {
        return _globalValidators.latest();
    }

    /// @inheritdoc IStaking
    function globalValidatorStakeAt(uint256 blockNumber) external view returns (uint256) {
        return _globalValidators.upperLookupRecent(SafeCast.toUint48(blockNumber));
    }

    /// @inheritdoc IStaking
    function minStake(uint8 role) public view returns (uint256) {
        if (role == MINER) return _minMiner;
        if (role == VALIDATOR) return _minValidator;
        revert BadRole(role);
    }

    /// @inheritdoc IStaking
    function pendingOf(address account) external view returns (uint256 amount) {
        return _sumUnbonding(account, type(uint64).max);
    }

    /// @inheritdoc IStaking
    function withdrawableOf(address account) external view returns (uint256 amount) {
        return _sumUnbonding(account, uint64(block.number));
    }

    /// @inheritdoc IStaking
    function isDropped(uint256 modelId, address account) external view returns (bool) {
        return _dropped[modelId][account];
    }

    function _pool(uint256 modelId, uint8 role) private view returns (Pool storage) {
        if (role != MINER && role != VALIDATOR) revert BadRole(role);
        return _pools[modelId][role];
    }

    /// @dev Queues a withdrawal; a full queue takes it into a waiting one of the same model and role.
    function _enqueue(uint256 modelId, uint8 role, uint256 amount, uint64 releaseBlock) private {
        Unbonding[] storage queue = _unbondings[msg.sender];
        uint256 length = queue.length;
        if (length < MAX_UNBONDINGS) {
            queue.push(Unbonding(modelId, SafeCast.toUint128(amount), releaseBlock, role));
            return;
        }
        for (uint256 i = length; i > 0; --i) {
            Unbonding storage entry = queue[i - 1];
            if (entry.modelId == modelId && entry.role == role) {
                entry.amount += SafeCast.toUint128(amount);
                entry.releaseBlock = releaseBlock;
                return;
            }
        }
        revert TooManyUnbondings();
    }

    function _slashUnbonding(uint256 modelId, uint8 role, address account, uint16 bps)
        private
        returns (uint256 amount)
    {
        Unbonding[] storage queue = _unbondings[account];
        for (uint256 i; i < queue.length; ++i) {
            Unbonding storage entry = queue[i];
            if (entry.modelId != modelId || entry.role != role || entry.releaseBlock <= block.number) continue;
            uint128 part = uint128((uint256(entry.amount) * bps) / BPS);
            entry.amount -= part;
            amount += part;
        }
    }

    function _sumUnbonding(address account, uint64 until) private view returns (uint256 amount) {
        Unbonding[] storage queue = _unbondings[account];
        for (uint256 i; i < queue.length; ++i) {
            if (queue[i].releaseBlock <= until) amount += queue[i].amount;
        }
    }

    /// @dev Brings the account's effective stake, and all that is counted from it, in line with its raw stake.
    function _refresh(uint256 modelId, uint8 role, address account) private {
        Pool storage pool = _pools[modelId][role];
        uint256 next = pool.raw[account];
        if (next < minStake(role) || (role == VALIDATOR && _dropped[modelId][account])) next = 0;
        uint256 previous = pool.effective[account].latest();
        if (next == previous) return;

        _push(pool.effective[account], next);
        _push(pool.total, pool.total.latest() + next - previous);
        if (role == VALIDATOR) _push(_globalValidators, _globalValidators.latest() + next - previous);
        if (previous == 0) {
            if (pool.members.length() >= MAX_MEMBERS) revert TooManyMembers(modelId, role);
            pool.members.add(account);
            _push(pool.count, pool.members.length());
        } else if (next == 0) {
            pool.members.remove(account);
            _push(pool.count, pool.members.length());
        }
    }

    function _push(Checkpoints.Trace208 storage trace, uint256 value) private {
        trace.push(uint48(block.number), SafeCast.toUint208(value));
    }
}
