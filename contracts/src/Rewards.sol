// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {IRewards} from "./interfaces/IRewards.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {IStrataToken} from "./interfaces/IStrataToken.sol";
import {Splitting} from "./libraries/Splitting.sol";
import {Dividends} from "./rewards/Dividends.sol";
import {Account, Book, Budget, Page, Record, Settlement} from "./rewards/RewardTypes.sol";
import {RewardsBase} from "./rewards/RewardsBase.sol";
import {RewardsViews} from "./rewards/RewardsViews.sol";
import {Vesting} from "./rewards/Vesting.sol";

/// @title Emission, shares, dividends and fees
/// @dev Described in `IRewards`. No page can fail for lack of tokens: what a round may mint is reserved when it begins.
contract Rewards is RewardsViews, ReentrancyGuard {
    using SafeERC20 for IStrataToken;
    using SafeCast for uint256;
    using Dividends for Book;
    using Vesting for Account;

    address private _rounds;
    address private _channels;

    /// @dev Lets `Rounds` through.
    modifier onlyRounds() {
        if (msg.sender != _rounds) revert NotRounds(msg.sender);
        _;
    }

    constructor(
        IStrataToken token,
        IModelRegistry models,
        IStaking staking,
        address treasury_,
        uint64 vestingBlocks_,
        address authority_
    ) RewardsBase(token, models, staking, treasury_, vestingBlocks_, authority_) {}

    /// @inheritdoc IRewards
    function initialize(address rounds_, address channels_) external wiring {
        _rounds = _nonZero(rounds_);
        _channels = _nonZero(channels_);
    }

    /// @inheritdoc IRewards
    function setArchive(uint256 modelId, address account) external restricted {
        archiveOf[modelId] = account;
        emit ArchiveSet(modelId, account);
    }

    /// @inheritdoc IRewards
    function begin(Opening calldata o) external onlyRounds {
        Settlement storage s = _settlements[o.modelId];
        Record storage record = _books[o.modelId].rounds[o.round];
        if (s.isOpen || record.state != Dividends.NONE) revert AlreadyBegun(o.modelId, o.round);
        uint256 emission = _emissionOf(o);
        uint256 carried = carry[o.modelId];
        uint256 pot = o.isVoid ? 0 : Splitting.potOf(emission, carried, _token.mintable() - _reserved);

        if (o.endBlock > settledUntil[o.modelId]) settledUntil[o.modelId] = o.endBlock;
        record.state = Dividends.SETTLING;
        if (!o.isVoid) record.unlockBlock = uint48(block.number + vestingBlocks);
        (s.emission, s.carriedIn) = (emission.toUint128(), carried.toUint128());
        _fill(s, o, pot);
        _reserved += uint128(pot);
        carry[o.modelId] = carried + emission - pot;
    }

    /// @inheritdoc IRewards
    function payDelta(
        uint256 modelId,
        uint64 round,
        address miner,
        uint256 consensus,
        address[] calldata owners,
        uint256[] calldata dataWeights
    ) external onlyRounds {
        if (owners.length != dataWeights.length) revert LengthMismatch(owners.length, dataWeights.length);
        (Settlement storage s, Record storage record) = _settling(modelId, round);
        if (record.isVoided) return;
        Page memory page = Page(modelId, round, record.unlockBlock, 0, 0);
        Budget memory budget = _minersBudget(s);
        _pay(page, budget, miner, KIND_MINER, consensus);
        (s.minersLeft, s.minerSharesLeft) = (uint96(budget.left), uint80(budget.sharesLeft));
        if (owners.length > 0) {
            budget = _dataBudget(s);
            for (uint256 i; i < owners.length; ++i) {
                _pay(page, budget, owners[i], KIND_DATA, dataWeights[i]);
            }
            (s.dataLeft, s.dataSharesLeft) = (uint96(budget.left), uint80(budget.sharesLeft));
        }
        _close(record, page);
    }

    /// @inheritdoc IRewards
    function payValidator(uint256 modelId, uint64 round, address validator, uint256 weight) external onlyRounds {
        (Settlement storage s, Record storage record) = _settling(modelId, round);
        uint256 budget = Splitting.part(s.pot, s.splits.emissionValidators);
        uint256 amount = Splitting.share(budget, weight, s.totalValidators, s.validatorsLeft);
        if (record.isVoided || amount == 0) return;
        s.validatorsLeft -= uint96(amount);
        (uint256 own, uint256 delegated,, uint16 commissionBps) = _staking.poolOf(modelId, validator);
        uint256 others = Splitting.delegatorsPart(amount, own, delegated, commissionBps);
        Page memory page = Page(modelId, round, record.unlockBlock, 0, 0);
        _credit(page, validator, KIND_VALIDATOR, amount - others);
        _credit(page, poolAccountOf(modelId, validator), KIND_DELEGATION, others);
        _close(record, page);
    }

    /// @inheritdoc IRewards
    function finish(uint256 modelId, uint64 round) external onlyRounds {
        (Settlement storage s, Record storage record) = _settling(modelId, round);
        s.isOpen = false;
        record.state = Dividends.SETTLED;
        uint256 minted;
        uint256 left = s.pot - record.credited;
        if (!record.isVoided) {
            _books[modelId].activate(record);
            uint256 rest = _payRest(s, record, modelId, round);
            left -= rest;
            minted = s.pot - left;
        }
        _reserved -= uint128(left);
        uint256 carried = carry[modelId] + left;
        carry[modelId] = carried;
        emit EmissionSettled(modelId, round, s.emission, s.carriedIn, minted, carried);
    }

    /// @inheritdoc IRewards
    function voidRound(uint256 modelId, uint64 round) external onlyRounds {
        Book storage book = _books[modelId];
        Record storage record = book.rounds[round];
        if (record.isVoided || block.number >= record.unlockBlock) revert NotVoidable(modelId, round);
        record.isVoided = true;
        uint256 amount = record.credited;
        uint256 dividends = record.state == Dividends.SETTLED ? book.remove(record) : 0;
        carry[modelId] += amount;
        _owed -= uint128(amount + dividends);
        emit RewardsVoided(modelId, round, amount, record.shares);
        if (amount > 0) _token.burn(amount);
        _payTreasury(modelId, round, dividends);
    }

    /// @inheritdoc IRewards
    function addFee(uint256 modelId, address server, uint256 amount) external nonReentrant {
        if (msg.sender != _channels) revert NotChannels(msg.sender);
        Splits memory table = splits();
        uint256 serverPart = Splitting.part(amount, table.feeServer);
        uint256 modelPart = Splitting.part(amount, table.feeModel);
        _accounts[server].balance += serverPart.toUint128();
        if (serverPart > 0) emit RewardCredited(modelId, 0, server, KIND_SERVER, serverPart, uint64(block.number));
        if (!_addDividends(modelId, modelId, 0, modelPart)) modelPart = 0;
        uint256 parentPart = _payParents(modelId, 0, Splitting.part(amount, table.feeParent), table.parentOn);
        uint256 treasuryPart = amount - serverPart - modelPart - parentPart;
        _owed += (amount - treasuryPart).toUint128();
        emit FeeDistributed(modelId, server, amount, serverPart, modelPart, parentPart, treasuryPart);
        _payTreasury(modelId, 0, treasuryPart);
    }

    /// @inheritdoc IRewards
    function claim(uint256[] calldata modelIds) external nonReentrant returns (uint256 paid) {
        for (uint256 i; i < modelIds.length; ++i) {
            paid += _books[modelIds[i]].take(msg.sender);
        }
        paid += _accounts[msg.sender].take(_books);
        if (paid == 0) return 0;
        _owed -= paid.toUint128();
        emit Claimed(msg.sender, paid);
        _token.safeTransfer(msg.sender, paid);
    }

    /// @inheritdoc IRewards
    function claimPool(uint256 modelId, address validator) external nonReentrant returns (uint256 paid) {
        if (msg.sender != address(_staking)) revert NotStaking(msg.sender);
        paid = _accounts[poolAccountOf(modelId, validator)].take(_books);
        if (paid == 0) return 0;
        _owed -= paid.toUint128();
        emit PoolClaimed(modelId, validator, paid);
        _token.safeTransfer(msg.sender, paid);
    }

    /// @dev Blocks that the model's rounds before were paid for don't count again.
    function _emissionOf(Opening calldata o) private view returns (uint256) {
        uint64 from = settledUntil[o.modelId];
        if (o.openBlock > from) from = o.openBlock;
        if (o.isEmpty || o.endBlock <= from) return 0;
        uint256 perBlock = _emissionPerBlock(o.openBlock);
        uint16 bps = _models.policyOf(o.modelId).emissionBps;
        return Splitting.emissionOf(perBlock, o.endBlock - from, o.modelStake, o.globalStake, bps);
    }

    /// @dev What the pages of a round may credit; nothing to miners and data where no delta was accepted.
    function _fill(Settlement storage s, Opening calldata o, uint256 pot) private {
        Splits memory table = splits();
        bool accepted = o.accepted && !o.isVoid;
        uint256 shares = accepted ? Splitting.sharesAt(o.round) : 0;
        uint256 shared = accepted ? pot : 0;
        (s.round, s.isOpen, s.pot) = (o.round, true, pot.toUint96());
        s.totalConsensus = o.totalConsensus.toUint48();
        s.totalData = o.totalData.toUint128();
        s.totalValidators = o.totalValidators.toUint128();
        s.minersLeft = uint96(Splitting.part(shared, table.emissionMiners));
        s.validatorsLeft = uint96(Splitting.part(pot, table.emissionValidators));
        s.dataLeft = uint96(Splitting.part(shared, table.emissionData));
        s.minerSharesLeft = uint80(Splitting.part(shares, table.sharesMiners));
        s.dataSharesLeft = uint80(Splitting.part(shares, table.sharesData));
        s.splits = table;
    }

    /// @dev The model's open settlement, and the record of its round.
    function _settling(uint256 modelId, uint64 round)
        private
        view
        returns (Settlement storage s, Record storage record)
    {
        s = _settlements[modelId];
        record = _books[modelId].rounds[round];
        if (!s.isOpen || s.round != round) revert NotSettling(modelId, round);
    }

    function _minersBudget(Settlement storage s) private view returns (Budget memory) {
        return Budget({
            amount: Splitting.part(s.pot, s.splits.emissionMiners),
            left: s.minersLeft,
            shares: Splitting.part(Splitting.sharesAt(s.round), s.splits.sharesMiners),
            sharesLeft: s.minerSharesLeft,
            total: s.totalConsensus
        });
    }

    function _dataBudget(Settlement storage s) private view returns (Budget memory) {
        return Budget({
            amount: Splitting.part(s.pot, s.splits.emissionData),
            left: s.dataLeft,
            shares: Splitting.part(Splitting.sharesAt(s.round), s.splits.sharesData),
            sharesLeft: s.dataSharesLeft,
            total: s.totalData
        });
    }

    /// @dev Pays the parents' shareholders, the archive and the treasury; parts without a payee go to the treasury. Returns
    /// the sum.
    function _payRest(Settlement storage s, Record storage record, uint256 modelId, uint64 round)
        private
        returns (uint256 sum)
    {
        uint256 pot = s.pot;
        if (pot == 0) return 0;
        Splits memory table = s.splits;
        uint256 parentPart = Splitting.part(pot, table.emissionParent);
        uint256 archivePart = Splitting.part(pot, table.emissionArchive);
        sum = parentPart + archivePart + Splitting.part(pot, table.emissionTreasury);
        Page memory page = Page(modelId, round, record.unlockBlock, 0, 0);
        address archive = archiveOf[modelId];
        if (archive != address(0)) _credit(page, archive, KIND_ARCHIVE, archivePart);
        record.credited += uint96(page.credited);
        uint256 claimable_ = page.credited + _payParents(modelId, round, parentPart, table.parentOn);
        _mint(sum, claimable_);
        _payTreasury(modelId, round, sum - claimable_);
    }
}
