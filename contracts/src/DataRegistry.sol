// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDataRegistry} from "./interfaces/IDataRegistry.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {IStaking} from "./interfaces/IStaking.sol";

/// @title Datasets and the vote on them
/// @dev Described in `IDataRegistry`.
contract DataRegistry is IDataRegistry {
    uint8 private constant VALIDATOR = 2;
    uint8 private constant PENDING = 0;
    uint8 private constant ACCEPTED = 1;
    uint8 private constant REJECTED = 2;
    uint8 private constant WITHDRAWN = 3;
    uint256 private constant MAX_LICENCE = 64;

    struct Tally {
        uint256 accepting;
        uint256 rejecting;
        mapping(address validator => bool) voted;
    }

    IModelRegistry private immutable _models;
    IStaking private immutable _staking;

    uint256 private _count;
    mapping(uint256 id => Dataset) private _datasets;
    mapping(uint256 id => Tally) private _tallies;
    mapping(bytes32 root => uint256 id) private _ids;

    modifier known(uint256 id) {
        if (id == 0 || id > _count) revert UnknownDataset(id);
        _;
    }

    constructor(IModelRegistry models, IStaking staking) {
        _models = models;
        _staking = staking;
    }

    /// @inheritdoc IDataRegistry
    function register(
        uint256 modelId,
        bytes32 root,
        string calldata licence,
        uint64 bytes_,
        uint32 shards,
        uint32 heldout
    ) external returns (uint256 datasetId) {
        _models.parentOf(modelId); // reverts where there is no such model
        uint256 length = bytes(licence).length;
        if (root == bytes32(0) || bytes_ == 0 || shards == 0 || length == 0 || length > MAX_LICENCE) revert BadDataset();
        if (_ids[root] != 0) revert DuplicateRoot(root);

        datasetId = ++_count;
        _ids[root] = datasetId;
        _datasets[datasetId] =
            Dataset(modelId, msg.sender, root, licence, bytes_, shards, heldout, PENDING, 0, 0);
        emit DatasetRegistered(datasetId, modelId, msg.sender, root, licence, bytes_, shards, heldout);
        if (_staking.totalStake(modelId, VALIDATOR) == 0) _accept(datasetId);
    }

    /// @inheritdoc IDataRegistry
    function vote(uint256 id, bool accept) external known(id) {
        Dataset storage dataset = _datasets[id];
        if (dataset.status != PENDING) revert WrongStatus(dataset.status);
        uint256 weight = _staking.activeStake(msg.sender, dataset.modelId, VALIDATOR);
        if (weight == 0) revert NotValidator(msg.sender);
        Tally storage tally = _tallies[id];
        if (tally.voted[msg.sender]) revert AlreadyVoted(msg.sender);

        tally.voted[msg.sender] = true;
        if (accept) tally.accepting += weight;
        else tally.rejecting += weight;
        emit DatasetVoted(id, msg.sender, accept, weight);

        uint256 total = _staking.totalStake(dataset.modelId, VALIDATOR);
        if (tally.accepting * 2 > total) {
            _accept(id);
        } else if (tally.rejecting * 2 > total) {
            dataset.status = REJECTED;
            emit DatasetRejected(id);
        }
    }

    /// @inheritdoc IDataRegistry
    function withdraw(uint256 id) external known(id) {
        Dataset storage dataset = _datasets[id];
        if (msg.sender != dataset.owner) revert NotOwner(msg.sender);
        if (dataset.status > ACCEPTED) revert WrongStatus(dataset.status);
        dataset.status = WITHDRAWN;
        dataset.withdrawnBlock = uint64(block.number);
        emit DatasetWithdrawn(id, uint64(block.number));
    }

    /// @inheritdoc IDataRegistry
    function get(uint256 id) external view known(id) returns (Dataset memory) {
        return _datasets[id];
    }

    /// @inheritdoc IDataRegistry
    function count() external view returns (uint256) {
        return _count;
    }

    /// @inheritdoc IDataRegistry
    function idOf(bytes32 root) external view returns (uint256) {
        return _ids[root];
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
    function hasVoted(uint256 id, address validator) external view returns (bool) {
        return _tallies[id].voted[validator];
    }

    /// @inheritdoc IDataRegistry
    function votesOf(uint256 id) external view returns (uint256 accepting, uint256 rejecting) {
        return (_tallies[id].accepting, _tallies[id].rejecting);
    }

    /// @inheritdoc IDataRegistry
    function isUsableAt(uint256 id, uint256 blockNumber) external view returns (bool) {
        Dataset storage dataset = _datasets[id];
        if (dataset.acceptedBlock == 0 || dataset.acceptedBlock >= blockNumber) return false;
        return dataset.withdrawnBlock == 0 || dataset.withdrawnBlock > blockNumber;
    }

    function _accept(uint256 id) private {
        _datasets[id].status = ACCEPTED;
        _datasets[id].acceptedBlock = uint64(block.number);
        emit DatasetAccepted(id, uint64(block.number));
    }
}
