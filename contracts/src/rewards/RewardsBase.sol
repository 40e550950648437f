// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {IRewards} from "../interfaces/IRewards.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {IStrataToken} from "../interfaces/IStrataToken.sol";
import {Splitting} from "../libraries/Splitting.sol";
import {Wired} from "../libraries/Wired.sol";
import {Dividends} from "./Dividends.sol";
import {Account, Book, Budget, Page, Record, Settlement} from "./RewardTypes.sol";
import {SplitTable} from "./SplitTable.sol";
import {Vesting} from "./Vesting.sol";

/// @title What `Rewards` remembers, and how it pays one account
/// @dev Described in `IRewards`.
abstract contract RewardsBase is SplitTable, Wired {
    using SafeERC20 for IStrataToken;
    using SafeCast for uint256;
    using Dividends for Book;
    using Vesting for Account;

    uint8 internal constant KIND_MINER = 0;
    uint8 internal constant KIND_VALIDATOR = 1;
    uint8 internal constant KIND_DATA = 2;
    uint8 internal constant KIND_SERVER = 4;
    uint8 internal constant KIND_ARCHIVE = 6;
    uint8 internal constant KIND_DELEGATION = 7;
    uint64 private constant MAX_VESTING = 100_000_000;

    IStrataToken internal immutable _token;
    IModelRegistry internal immutable _models;
    IStaking internal immutable _staking;
    /// @inheritdoc IRewards
    address public immutable treasury;
    /// @inheritdoc IRewards
    uint64 public immutable vestingBlocks;
    /// @inheritdoc IRewards
    uint64 public immutable startBlock;

    uint128 internal _owed;
    uint128 internal _reserved;
    /// @inheritdoc IRewards
    mapping(uint256 modelId => uint256) public carry;
    /// @inheritdoc IRewards
    mapping(uint256 modelId => uint64) public settledUntil;
    /// @inheritdoc IRewards
    mapping(uint256 modelId => address) public archiveOf;
    mapping(uint256 modelId => Settlement) internal _settlements;
    mapping(uint256 modelId => Book) internal _books;
    mapping(address account => Account) internal _accounts;

    constructor(
        IStrataToken token,
        IModelRegistry models,
        IStaking staking,
        address treasury_,
        uint64 vestingBlocks_,
        address authority_
    ) AccessManaged(_nonZero(authority_)) {
        if (vestingBlocks_ > MAX_VESTING) revert VestingTooLong(vestingBlocks_);
        _token = token;
        _models = models;
        _staking = staking;
        treasury = _nonZero(treasury_);
        vestingBlocks = vestingBlocks_;
        startBlock = uint64(block.number);
    }

    /// @inheritdoc IRewards
    function poolAccountOf(uint256 modelId, address validator) public pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("strata.pool", modelId, validator)))));
    }

    /// @dev Blocks before the start count as the first.
    function _emissionPerBlock(uint256 blockNumber) internal view returns (uint256) {
        return Splitting.emissionPerBlock(blockNumber < startBlock ? 0 : blockNumber - startBlock);
    }

    /// @dev Pays one participant of a page by its weight: wei and shares.
    function _pay(Page memory page, Budget memory budget, address account, uint8 kind, uint256 weight) internal {
        uint256 amount = Splitting.share(budget.amount, weight, budget.total, budget.left);
        uint256 shares = Splitting.share(budget.shares, weight, budget.total, budget.sharesLeft);
        budget.left -= amount;
        budget.sharesLeft -= shares;
        _credit(page, account, kind, amount);
        if (shares == 0) return;
        page.shares += shares;
        _books[page.modelId].give(account, page.round, shares);
        emit SharesMinted(page.modelId, page.round, account, shares);
    }

    /// @dev Credits a vested reward.
    function _credit(Page memory page, address account, uint8 kind, uint256 amount) internal {
        if (amount == 0) return;
        page.credited += amount;
        _accounts[account].credit(page.modelId, page.round, amount, page.unlockBlock);
        emit RewardCredited(page.modelId, page.round, account, kind, amount, page.unlockBlock);
    }

    /// @dev Remembers a page's credits and shares, and mints the credits.
    function _close(Record storage record, Page memory page) internal {
        record.credited += uint96(page.credited);
        record.shares += uint96(page.shares);
        _mint(page.credited, page.credited);
    }

    /// @dev Mints out of what was reserved; `owed_` wei of it are to be claimed.
    function _mint(uint256 amount, uint256 owed_) internal {
        if (amount == 0) return;
        _owed += uint128(owed_);
        _reserved -= uint128(amount);
        _token.mint(address(this), amount);
    }

    /// @dev Passes `amount` up the tree: each parent keeps its part for its shareholders and hands the rest on. Returns what
    /// found a payee.
    function _payParents(uint256 modelId, uint64 round, uint256 amount, uint16 parentOn)
        internal
        returns (uint256 paid)
    {
        uint256 parent = _models.parentOf(modelId);
        while (parent != 0 && amount > 0) {
            uint256 next = _models.parentOf(parent);
            uint256 on = next == 0 ? 0 : Splitting.part(amount, parentOn);
            if (_addDividends(parent, modelId, round, amount - on)) paid += amount - on;
            (parent, amount) = (next, on);
        }
    }

    /// @dev False where nobody holds shares. The caller counts `amount` as owed.
    function _addDividends(uint256 modelId, uint256 fromModelId, uint64 round, uint256 amount)
        internal
        returns (bool)
    {
        if (!_books[modelId].add(amount)) return false;
        if (amount > 0) emit DividendsAdded(modelId, fromModelId, round, amount);
        return true;
    }

    function _payTreasury(uint256 modelId, uint64 round, uint256 amount) internal {
        if (amount == 0) return;
        emit TreasuryPaid(modelId, round, amount);
        _token.safeTransfer(treasury, amount);
    }
}
