// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {Wired} from "./libraries/Wired.sol";

/// @title The tree of models
/// @dev Described in `IModelRegistry`.
contract ModelRegistry is IModelRegistry, Wired {
    uint8 private constant USER = 4;
    uint256 private constant MAX_NAME = 64;
    uint32 private constant MIN_BLOCKS = 2;
    uint32 private constant MAX_BLOCKS = 100_000;

    address private _rounds;
    uint256 private _count;
    mapping(uint256 id => Model) private _models;
    mapping(uint256 id => Policy) private _policies;
    mapping(bytes32 nameHash => uint256 id) private _ids;

    modifier known(uint256 id) {
        if (id == 0 || id > _count) revert UnknownModel(id);
        _;
    }

    /// @inheritdoc IModelRegistry
    function initialize(address rounds_) external wiring {
        _rounds = _nonZero(rounds_);
    }

    /// @inheritdoc IModelRegistry
    function register(
        uint256 parentId,
        uint8 level,
        string calldata name,
        string calldata field,
        bytes32 genesis,
        Policy calldata policy
    ) external returns (uint256 id) {
        if (genesis == bytes32(0)) revert ZeroDigest();
        _checkName(name);
        _checkName(field);
        _checkLevel(parentId, level);
        _checkPolicy(policy);
        bytes32 nameHash = keccak256(bytes(name));
        if (_ids[nameHash] != 0) revert NameTaken(name);

        id = ++_count;
        _ids[nameHash] = id;
        _policies[id] = policy;
        _models[id] = Model(parentId, level, name, field, genesis, genesis, 0, msg.sender);
        emit ModelRegistered(id, parentId, level, name, field, genesis, msg.sender);
    }

    /// @inheritdoc IModelRegistry
    function setHead(uint256 id, uint64 round, bytes32 head) external known(id) {
        if (msg.sender != _rounds) revert NotRounds(msg.sender);
        Model storage model = _models[id];
        model.head = head;
        model.headRound = round;
        emit HeadSet(id, round, head);
    }

    /// @inheritdoc IModelRegistry
    function get(uint256 id) external view known(id) returns (Model memory) {
        return _models[id];
    }

    /// @inheritdoc IModelRegistry
    function policyOf(uint256 id) external view known(id) returns (Policy memory) {
        return _policies[id];
    }

    /// @inheritdoc IModelRegistry
    function idOf(string calldata name) external view returns (uint256) {
        return _ids[keccak256(bytes(name))];
    }

    /// @inheritdoc IModelRegistry
    function count() external view returns (uint256) {
        return _count;
    }

    /// @inheritdoc IModelRegistry
    function headOf(uint256 id) external view known(id) returns (bytes32) {
        return _models[id].head;
    }

    /// @inheritdoc IModelRegistry
    function parentOf(uint256 id) external view known(id) returns (uint256) {
        return _models[id].parentId;
    }

    function _checkName(string calldata name) private pure {
        uint256 length = bytes(name).length;
        if (length == 0 || length > MAX_NAME) revert BadName(name);
    }

    function _checkLevel(uint256 parentId, uint8 level) private view {
        if (level > USER) revert BadLevel(level);
        if (parentId == 0) {
            if (level != 0) revert BadLevel(level);
            return;
        }
        if (parentId > _count) revert UnknownModel(parentId);
        if (level <= _models[parentId].level) revert BadLevel(level);
    }

    function _checkPolicy(Policy calldata p) private pure {
        _checkBlocks(p.trainBlocks);
        _checkBlocks(p.commitBlocks);
        _checkBlocks(p.revealBlocks);
        _checkBlocks(p.scoreBlocks);
        _checkBlocks(p.scoreRevealBlocks);
        _checkBlocks(p.attestBlocks);
        _checkBlocks(p.attestRevealBlocks);
    }

    function _checkBlocks(uint32 blocks) private pure {
        if (blocks < MIN_BLOCKS || blocks > MAX_BLOCKS) revert BadPolicy(blocks);
    }
}
