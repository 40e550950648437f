// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {IRewards} from "./interfaces/IRewards.sol";
import {IStrataToken} from "./interfaces/IStrataToken.sol";
import {Splitting} from "./libraries/Splitting.sol";
import {Wired} from "./libraries/Wired.sol";

/// @title Emission, shares, dividends and fees
/// @dev Described in `IRewards`.
contract Rewards is IRewards, ReentrancyGuard, Wired {
    using SafeERC20 for IStrataToken;

    /// @dev A reward and the block from which it can be claimed.
    struct Vested {
        uint192 amount;
        uint64 unlockBlock;
    }

    /// @dev An account's rewards in the order in which they unlock; those before `next` were paid.
    struct Account {
        uint256 next;
        Vested[] queue;
    }

    /// @dev A model's shares, and the dividends that one share ever got (times 1e36).
    struct Book {
        uint256 totalShares;
        uint256 perShare;
        mapping(address account => uint256) shares;
        mapping(address account => uint256) paidPerShare;
        mapping(address account => uint256) accrued;
    }

    uint8 private constant KIND_MINER = 0;
    uint8 private constant KIND_VALIDATOR = 1;
    uint8 private constant KIND_DATA = 2;
    uint8 private constant KIND_SERVER = 4;
    uint256 private constant SCALE = 1e36;
    uint256 private constant MAX_CLAIM = 128;

    uint16 private constant EMISSION_MINERS = 5000;
    uint16 private constant EMISSION_VALIDATORS = 2000;
    uint16 private constant EMISSION_DATA = 1500;
    uint16 private constant EMISSION_PARENT = 500;
    uint16 private constant EMISSION_TREASURY = 1000;
    uint16 private constant FEE_SERVER = 6000;
    uint16 private constant FEE_MODEL = 2500;
    uint16 private constant FEE_PARENT = 1000;
    uint16 private constant FEE_TREASURY = 500;
    uint16 private constant PARENT_ON = 2000;
    uint16 private constant SHARES_MINERS = 8000;
    uint16 private constant SHARES_DATA = 2000;

    IStrataToken private immutable _token;
    IModelRegistry private immutable _models;
    /// @inheritdoc IRewards
    address public immutable treasury;
    /// @inheritdoc IRewards
    uint64 public immutable vestingBlocks;

    address private _rounds;
    address private _channels;
    /// @inheritdoc IRewards
    uint256 public settledRounds;
    /// @inheritdoc IRewards
    uint256 public owed;
    /// @inheritdoc IRewards
    mapping(uint256 modelId => uint256) public carry;
    mapping(address account => Account) private _accounts;
    mapping(uint256 modelId => Book) private _books;

    constructor(IStrataToken token, IModelRegistry models, address treasury_, uint64 vestingBlocks_) {
        _token = token;
        _models = models;
        treasury = _nonZero(treasury_);
        vestingBlocks = vestingBlocks_;
    }

    /// @inheritdoc IRewards
    function initialize(address rounds_, address channels_) external wiring {
        _rounds = _nonZero(rounds_);
        _channels = _nonZero(channels_);
    }

    /// @inheritdoc IRewards
    function settle(Settlement calldata s) external nonReentrant {
        if (msg.sender != _rounds) revert NotRounds(msg.sender);
        uint256 emission = Splitting.emissionFor(settledRounds++, s.modelStake, s.globalStake);
        uint256 carried = carry[s.modelId];
        uint256 total = emission + carried;
        uint256 pot = s.isVoid ? 0 : total;
        uint256 left = total - pot;
        if (pot > _token.mintable()) pot = _token.mintable();
        uint256 accepted = Splitting.sum(s.minerWeights);
        uint256 keep = s.isVoid || accepted > 0 ? 0 : Splitting.part(pot, EMISSION_MINERS + EMISSION_DATA);

        carry[s.modelId] = left + keep;
        emit EmissionSettled(s.modelId, s.round, emission, carried, pot - keep, left + keep);
        if (pot > 0) _pay(s, pot, keep, accepted);
        if (accepted > 0) _mintShares(s, accepted);
    }

    /// @inheritdoc IRewards
    function addFee(uint256 modelId, address server, uint256 amount) external nonReentrant {
        if (msg.sender != _channels) revert NotChannels(msg.sender);
        uint256 serverPart = Splitting.part(amount, FEE_SERVER);
        uint256 modelPart = Splitting.part(amount, FEE_MODEL);
        owed += serverPart;
        _credit(modelId, 0, server, KIND_SERVER, serverPart, uint64(block.number));
        if (!_addDividends(modelId, modelId, 0, modelPart)) modelPart = 0;
        uint256 parentPart = _payParents(modelId, 0, Splitting.part(amount, FEE_PARENT));
        uint256 treasuryPart = amount - serverPart - modelPart - parentPart;
        emit FeeDistributed(modelId, server, amount, serverPart, modelPart, parentPart, treasuryPart);
        _payTreasury(modelId, 0, treasuryPart);
    }

    /// @inheritdoc IRewards
    function claim(uint256[] calldata modelIds) external nonReentrant returns (uint256 paid) {
        for (uint256 i; i < modelIds.length; ++i) {
            Book storage book = _books[modelIds[i]];
            _accrue(book, msg.sender);
            paid += book.accrued[msg.sender];
            book.accrued[msg.sender] = 0;
        }
        Account storage account = _accounts[msg.sender];
        uint256 end = _claimEnd(account);
        for (uint256 i = account.next; i < end; ++i) {
            paid += account.queue[i].amount;
            delete account.queue[i];
        }
        account.next = end;
        if (paid == 0) return 0;
        owed -= paid;
        emit Claimed(msg.sender, paid);
        _token.safeTransfer(msg.sender, paid);
    }

    /// @inheritdoc IRewards
    function claimable(address account, uint256[] calldata modelIds) external view returns (uint256 amount) {
        for (uint256 i; i < modelIds.length; ++i) {
            if (_seenBefore(modelIds, i)) continue;
            Book storage book = _books[modelIds[i]];
            amount += book.accrued[account] + _due(book, account);
        }
        Account storage rewards = _accounts[account];
        uint256 end = _claimEnd(rewards);
        for (uint256 i = rewards.next; i < end; ++i) {
            amount += rewards.queue[i].amount;
        }
    }

    /// @inheritdoc IRewards
    function vesting(address account) external view returns (uint256 locked) {
        Account storage rewards = _accounts[account];
        for (uint256 i = rewards.queue.length; i > rewards.next; --i) {
            Vested storage entry = rewards.queue[i - 1];
            if (entry.unlockBlock > block.number) locked += entry.amount;
        }
    }

    /// @inheritdoc IRewards
    function sharesOf(uint256 modelId, address account) external view returns (uint256) {
        return _books[modelId].shares[account];
    }

    /// @inheritdoc IRewards
    function totalShares(uint256 modelId) external view returns (uint256) {
        return _books[modelId].totalShares;
    }

    /// @inheritdoc IRewards
    function emissionAt(uint256 settledRounds_) external pure returns (uint256) {
        return Splitting.emissionAt(settledRounds_);
    }

    /// @inheritdoc IRewards
    function sharesAt(uint64 round) external pure returns (uint256) {
        return Splitting.sharesAt(round);
    }

    /// @inheritdoc IRewards
    function splits() external pure returns (Splits memory) {
        return Splits(
            EMISSION_MINERS,
            EMISSION_VALIDATORS,
            EMISSION_DATA,
            EMISSION_PARENT,
            EMISSION_TREASURY,
            FEE_SERVER,
            FEE_MODEL,
            FEE_PARENT,
            FEE_TREASURY,
            PARENT_ON,
            SHARES_MINERS,
            SHARES_DATA
        );
    }

    /// @dev Mints a settled round's pot, less what is kept for later, and credits everybody. The treasury gets what is left.
    function _pay(Settlement calldata s, uint256 pot, uint256 keep, uint256 accepted) private {
        uint64 unlock = uint64(block.number) + vestingBlocks;
        uint256 minted = pot - keep;
        uint256 paid = _creditAll(
            s, KIND_VALIDATOR, s.validators, s.validatorWeights, Splitting.part(pot, EMISSION_VALIDATORS), unlock
        );
        if (accepted > 0) {
            paid += _creditAll(s, KIND_MINER, s.miners, s.minerWeights, Splitting.part(pot, EMISSION_MINERS), unlock);
            paid +=
                _creditAll(s, KIND_DATA, s.contributors, s.dataWeights, Splitting.part(pot, EMISSION_DATA), unlock);
        }
        owed += paid;
        paid += _payParents(s.modelId, s.round, Splitting.part(pot, EMISSION_PARENT));
        _token.mint(address(this), minted);
        _payTreasury(s.modelId, s.round, minted - paid);
    }

    /// @dev Divides `amount` by weights; returns what was credited.
    function _creditAll(
        Settlement calldata s,
        uint8 kind,
        address[] calldata accounts,
        uint256[] calldata weights,
        uint256 amount,
        uint64 unlock
    ) private returns (uint256 paid) {
        uint256 total = Splitting.sum(weights);
        if (total == 0) return 0;
        for (uint256 i; i < accounts.length; ++i) {
            uint256 share = (amount * weights[i]) / total;
            paid += share;
            _credit(s.modelId, s.round, accounts[i], kind, share, unlock);
        }
    }

    function _credit(uint256 modelId, uint64 round, address account, uint8 kind, uint256 amount, uint64 unlock)
        private
    {
        if (amount == 0) return;
        Vested[] storage queue = _accounts[account].queue;
        uint256 length = queue.length;
        if (length > _accounts[account].next && queue[length - 1].unlockBlock >= unlock) {
            queue[length - 1].amount += SafeCast.toUint192(amount);
            unlock = queue[length - 1].unlockBlock;
        } else {
            queue.push(Vested(SafeCast.toUint192(amount), unlock));
        }
        emit RewardCredited(modelId, round, account, kind, amount, unlock);
    }

    /// @dev Passes `amount` up the tree: each parent keeps its part for its shareholders and hands the rest on. Returns what
    /// found a payee.
    function _payParents(uint256 modelId, uint64 round, uint256 amount) private returns (uint256 paid) {
        uint256 parent = _models.parentOf(modelId);
        while (parent != 0 && amount > 0) {
            uint256 next = _models.parentOf(parent);
            uint256 on = next == 0 ? 0 : Splitting.part(amount, PARENT_ON);
            if (_addDividends(parent, modelId, round, amount - on)) paid += amount - on;
            (parent, amount) = (next, on);
        }
    }

    /// @dev False where nobody holds shares.
    function _addDividends(uint256 modelId, uint256 fromModelId, uint64 round, uint256 amount)
        private
        returns (bool)
    {
        Book storage book = _books[modelId];
        if (book.totalShares == 0) return false;
        book.perShare += (amount * SCALE) / book.totalShares;
        owed += amount;
        if (amount > 0) emit DividendsAdded(modelId, fromModelId, round, amount);
        return true;
    }

    function _payTreasury(uint256 modelId, uint64 round, uint256 amount) private {
        if (amount == 0) return;
        emit TreasuryPaid(modelId, round, amount);
        _token.safeTransfer(treasury, amount);
    }

    function _mintShares(Settlement calldata s, uint256 accepted) private {
        uint256 shares = Splitting.sharesAt(s.round);
        uint256 minted = _mintAll(s, s.miners, s.minerWeights, Splitting.part(shares, SHARES_MINERS), accepted);
        uint256 dataTotal = Splitting.sum(s.dataWeights);
        minted += _mintAll(s, s.contributors, s.dataWeights, Splitting.part(shares, SHARES_DATA), dataTotal);
        _books[s.modelId].totalShares += minted;
    }

    function _mintAll(
        Settlement calldata s,
        address[] calldata accounts,
        uint256[] calldata weights,
        uint256 amount,
        uint256 total
    ) private returns (uint256 minted) {
        if (total == 0) return 0;
        Book storage book = _books[s.modelId];
        for (uint256 i; i < accounts.length; ++i) {
            uint256 shares = (amount * weights[i]) / total;
            if (shares == 0) continue;
            _accrue(book, accounts[i]);
            book.shares[accounts[i]] += shares;
            minted += shares;
            emit SharesMinted(s.modelId, s.round, accounts[i], shares);
        }
    }

    function _accrue(Book storage book, address account) private {
        uint256 due = _due(book, account);
        if (due > 0) book.accrued[account] += due;
        book.paidPerShare[account] = book.perShare;
    }

    function _due(Book storage book, address account) private view returns (uint256) {
        return (book.shares[account] * (book.perShare - book.paidPerShare[account])) / SCALE;
    }

    /// @dev The end of what one claim pays: matured, and at most `MAX_CLAIM` entries.
    function _claimEnd(Account storage account) private view returns (uint256 end) {
        end = account.next;
        uint256 limit = account.queue.length;
        if (limit > end + MAX_CLAIM) limit = end + MAX_CLAIM;
        while (end < limit && account.queue[end].unlockBlock <= block.number) ++end;
    }

    function _seenBefore(uint256[] calldata list, uint256 index) private pure returns (bool) {
        for (uint256 i; i < index; ++i) {
            if (list[i] == list[index]) return true;
        }
        return false;
    }
}
