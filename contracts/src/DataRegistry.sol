// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IDataRegistry} from "./interfaces/IDataRegistry.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {Permitting} from "./libraries/Permitting.sol";
import {VALIDATOR} from "./libraries/Roles.sol";
import {WeightedMedian} from "./libraries/WeightedMedian.sol";

/// @title Datasets and the votes on them
/// @dev Described in `IDataRegistry`.
contract DataRegistry is IDataRegistry, AccessManaged, Multicall, Permitting {
    using SafeERC20 for IERC20;

    uint8 private constant PENDING = 0;
    uint8 private constant ACCEPTED = 1;
    uint8 private constant REJECTED = 2;
    uint8 private constant WITHDRAWN = 3;
    uint8 private constant REMOVED = 4;
    uint256 private constant MAX_LICENCE = 64;
    uint256 private constant MAX_SHARDS = 100_000;
    uint256 private constant MAX_VOTES = 64;
    uint256 private constant MAX_DEPOSIT = 1000e18;
    uint256 private constant MAX_BALLOT = 1_000_000;
    uint16 private constant FULL_VALUE = 10_000;

    /// @dev A dataset's latest ballot, stakes in wei. `votes` holds those that accept, by the ballot's number; `votedIn` the number of the
    /// last ballot in which a validator voted.
    struct Tally {
        uint32 number;
        uint64 startBlock;
        bool decided;
        uint128 total;
        uint128 accepting;
        uint128 rejecting;
        mapping(uint32 number => uint256[]) votes;
        mapping(address validator => uint32 number) votedIn;
    }

    IERC20 private immutable _token;
    IModelRegistry private immutable _models;
    IStaking private immutable _staking;
    address private immutable _treasury;
    /// @inheritdoc IDataRegistry
    uint64 public immutable ballotBlocks;

    /// @inheritdoc IDataRegistry
    uint256 public deposit;
    /// @inheritdoc IDataRegistry
    uint256 public count;
    /// @inheritdoc IDataRegistry
    mapping(bytes32 root => uint256 id) public idOf;
    /// @inheritdoc IDataRegistry
    mapping(bytes32 commitment => uint64 blockNumber) public announcedAt;
    mapping(uint256 id => Dataset) private _datasets;
    mapping(uint256 id => Tally) private _tallies;

    modifier known(uint256 id) {
        if (id == 0 || id > count) revert UnknownDataset(id);
        _;
    }

    modifier onlyOwner(uint256 id) {
        if (msg.sender != _datasets[id].owner) revert NotOwner(msg.sender);
        _;
    }

    constructor(
        address token,
        IModelRegistry models,
        IStaking staking,
        address treasury,
        address authority,
        uint64 ballotBlocks_,
        uint256 deposit_
    ) AccessManaged(authority) Permitting(token) {
        if (treasury == address(0)) revert BadSetting(0);
        if (ballotBlocks_ == 0 || ballotBlocks_ > MAX_BALLOT) revert BadSetting(ballotBlocks_);
        _token = IERC20(token);
        _models = models;
        _staking = staking;
        _treasury = treasury;
        ballotBlocks = ballotBlocks_;
        _setDeposit(deposit_);
    }

    /// @inheritdoc IDataRegistry
    function announce(bytes32 commitment) external {
        if (announcedAt[commitment] != 0) return;
        announcedAt[commitment] = uint64(block.number);
        emit DatasetAnnounced(commitment, uint64(block.number));
    }

    /// @inheritdoc IDataRegistry
    function register(
        uint256 modelId,
        bytes32 root,
        string calldata licence,
        uint64 bytes_,
        uint32 shards,
        uint32 heldout,
        bytes32 salt
    ) external returns (uint256 datasetId) {
        _checkDataset(root, licence, bytes_, shards, heldout);
        _useAnnouncement(commitmentOf(modelId, msg.sender, root, salt));
        if (idOf[root] != 0) revert DuplicateRoot(root);

        datasetId = ++count;
        idOf[root] = datasetId;
        Dataset storage dataset = _datasets[datasetId];
        (dataset.modelId, dataset.owner, dataset.root, dataset.licence) = (modelId, msg.sender, root, licence);
        (dataset.bytes_, dataset.shards, dataset.heldout) = (bytes_, shards, heldout);
        (dataset.deposit, dataset.registeredBlock) = (uint96(deposit), uint64(block.number));
        emit DatasetRegistered(datasetId, modelId, msg.sender, root, licence, bytes_, shards, heldout);
        address modelOwner = _models.get(modelId).owner; // reverts where there is no such model
        if (modelOwner == msg.sender && _staking.totalStake(modelId, VALIDATOR) == 0) _accept(datasetId, FULL_VALUE);
        if (deposit > 0) _token.safeTransferFrom(msg.sender, address(this), deposit);
    }

    /// @inheritdoc IDataRegistry
    function vote(uint256 id, bool accept, uint16 valueBps) external known(id) {
        if (valueBps > FULL_VALUE) revert BadValue(valueBps);
        Dataset storage dataset = _datasets[id];
        if (dataset.status > ACCEPTED) revert WrongStatus(dataset.status);
        Tally storage tally = _tallies[id];
        if (!_isOpen(tally)) _openBallot(id, dataset.modelId, tally);
        uint256 weight = _staking.stakeAt(msg.sender, dataset.modelId, VALIDATOR, tally.startBlock - 1);
        if (weight == 0) revert NotValidator(msg.sender);
        if (tally.votedIn[msg.sender] == tally.number) revert AlreadyVoted(msg.sender);

        tally.votedIn[msg.sender] = tally.number;
        emit DatasetVoted(id, msg.sender, accept, valueBps, weight);
        if (accept) {
            uint256[] storage votes = tally.votes[tally.number];
            if (votes.length == MAX_VOTES) revert TooManyVotes();
            votes.push(WeightedMedian.vote(valueBps, weight));
            tally.accepting += SafeCast.toUint128(weight);
        } else {
            tally.rejecting += SafeCast.toUint128(weight);
        }
        _decide(id, dataset, tally);
    }

    /// @inheritdoc IDataRegistry
    function withdraw(uint256 id) external known(id) onlyOwner(id) {
        Dataset storage dataset = _datasets[id];
        if (dataset.status > ACCEPTED) revert WrongStatus(dataset.status);
        if (dataset.status == PENDING) {
            Tally storage tally = _tallies[id];
            uint256 until = uint256(tally.number == 1 ? tally.startBlock : dataset.registeredBlock) + ballotBlocks;
            if (block.number < until) revert StillJudged(until);
            delete idOf[dataset.root];
        }
        _end(dataset, WITHDRAWN);
        emit DatasetWithdrawn(id, uint64(block.number));
    }

    /// @inheritdoc IDataRegistry
    function reclaim(uint256 id) external known(id) onlyOwner(id) {
        Dataset storage dataset = _datasets[id];
        uint256 amount = dataset.deposit;
        if (amount == 0 || dataset.status == PENDING) revert NothingToReclaim(id);
        dataset.deposit = 0;
        emit DepositReturned(id, msg.sender, amount);
        _token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IDataRegistry
    function setDeposit(uint256 amount) external restricted {
        _setDeposit(amount);
    }

    /// @inheritdoc IDataRegistry
    function get(uint256 id) external view known(id) returns (Dataset memory) {
        return _datasets[id];
    }

    /// @inheritdoc IDataRegistry
    function ownerOf(uint256 id) external view returns (address) {
        return _datasets[id].owner;
    }

    /// @inheritdoc IDataRegistry
    function modelOf(uint256 id) external view returns (uint256) {
        return _datasets[id].modelId;
    }

    /// @inheritdoc IDataRegistry
    function valueOf(uint256 id) external view returns (uint16) {
        return _datasets[id].value;
    }

    /// @inheritdoc IDataRegistry
    function hasVoted(uint256 id, address validator) external view returns (bool) {
        Tally storage tally = _tallies[id];
        return _isOpen(tally) && tally.votedIn[validator] == tally.number;
    }

    /// @inheritdoc IDataRegistry
    function votesOf(uint256 id) external view returns (uint256 accepting, uint256 rejecting) {
        return (_tallies[id].accepting, _tallies[id].rejecting);
    }

    /// @inheritdoc IDataRegistry
    function ballotOf(uint256 id) external view returns (Ballot memory) {
        Tally storage t = _tallies[id];
        uint64 endBlock = t.number == 0 ? 0 : t.startBlock + ballotBlocks;
        return Ballot(t.number, t.startBlock, endBlock, _isOpen(t), t.total, t.accepting, t.rejecting);
    }

    /// @inheritdoc IDataRegistry
    function isUsableAt(uint256 id, uint256 blockNumber) external view returns (bool) {
        Dataset storage dataset = _datasets[id];
        if (dataset.acceptedBlock == 0 || dataset.acceptedBlock >= blockNumber) return false;
        return dataset.withdrawnBlock == 0 || dataset.withdrawnBlock > blockNumber;
    }

    /// @inheritdoc IDataRegistry
    function commitmentOf(uint256 modelId, address owner, bytes32 root, bytes32 salt) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), modelId, owner, root, salt));
    }

    function _useAnnouncement(bytes32 commitment) private {
        uint64 announced = announcedAt[commitment];
        if (announced == 0 || announced >= block.number) revert NotAnnounced(commitment);
        delete announcedAt[commitment];
    }

    function _openBallot(uint256 id, uint256 modelId, Tally storage tally) private {
        (tally.startBlock, tally.decided, tally.accepting, tally.rejecting) = (uint64(block.number), false, 0, 0);
        uint32 number = ++tally.number;
        uint256 total = _staking.totalAt(modelId, VALIDATOR, block.number - 1);
        tally.total = SafeCast.toUint128(total);
        emit BallotOpened(id, number, uint64(block.number), uint64(block.number) + ballotBlocks, total);
    }

    /// @dev Ends the ballot where the votes so far suffice.
    function _decide(uint256 id, Dataset storage dataset, Tally storage tally) private {
        (uint256 total, uint256 accepting, uint256 rejecting) = (tally.total, tally.accepting, tally.rejecting);
        bool pending = dataset.status == PENDING;
        if (accepting * 2 > total) {
            uint16 value = WeightedMedian.lower(tally.votes[tally.number], accepting);
            if (pending) {
                _accept(id, value);
            } else {
                dataset.value = value;
                emit DatasetValued(id, value);
            }
        } else if (pending && rejecting * 2 > total) {
            _reject(id, dataset);
        } else if (!pending && rejecting * 3 >= total * 2) {
            _end(dataset, REMOVED);
            emit DatasetRemoved(id, uint64(block.number));
        } else {
            return;
        }
        tally.decided = true;
    }

    function _accept(uint256 id, uint16 value) private {
        Dataset storage dataset = _datasets[id];
        (dataset.status, dataset.acceptedBlock, dataset.value) = (ACCEPTED, uint64(block.number), value);
        emit DatasetAccepted(id, uint64(block.number), value);
    }

    function _reject(uint256 id, Dataset storage dataset) private {
        uint256 amount = dataset.deposit;
        (dataset.status, dataset.deposit) = (REJECTED, 0);
        delete idOf[dataset.root];
        emit DatasetRejected(id);
        if (amount > 0) _token.safeTransfer(_treasury, amount);
    }

    /// @dev Rounds opened from this block on don't use it.
    function _end(Dataset storage dataset, uint8 status) private {
        (dataset.status, dataset.withdrawnBlock) = (status, uint64(block.number));
    }

    function _setDeposit(uint256 amount) private {
        if (amount > MAX_DEPOSIT) revert BadSetting(amount);
        deposit = amount;
        emit DepositSet(amount);
    }

    function _isOpen(Tally storage tally) private view returns (bool) {
        return tally.number != 0 && !tally.decided && block.number < tally.startBlock + ballotBlocks;
    }

    function _checkDataset(bytes32 root, string calldata licence, uint64 bytes_, uint32 shards, uint32 heldout)
        private
        pure
    {
        uint256 length = bytes(licence).length;
        bool named = root != bytes32(0) && length != 0 && length <= MAX_LICENCE;
        if (!named || bytes_ == 0 || shards == 0 || shards > MAX_SHARDS || heldout > shards) revert BadDataset();
    }
}
