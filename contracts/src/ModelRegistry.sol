// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {MINER, VALIDATOR} from "./libraries/Roles.sol";
import {Wired} from "./libraries/Wired.sol";

/// @title The tree of models
/// @dev Described in `IModelRegistry`.
contract ModelRegistry is IModelRegistry, AccessManaged, Wired {
    uint8 private constant USER = 4;
    uint256 private constant MAX_NAME = 64;
    uint32 private constant MIN_BLOCKS = 2;
    /// @dev The shortest life of a round that waits for the one before it: two tails of five phases.
    uint256 private constant LEAST_BLOCKS = 10 * uint256(MIN_BLOCKS);
    uint32 private constant MAX_BLOCKS = 100_000;
    uint256 private constant MIN_COMMITTEE = 3;
    uint256 private constant MAX_COMMITTEE = 64;
    uint256 private constant MIN_KAPPA = 5000;
    uint256 private constant MAX_KAPPA = 6667;
    uint256 private constant MIN_QUORUM = 6666;
    uint256 private constant MAX_QUORUM = 9000;
    uint256 private constant BPS = 10_000;
    uint256 private constant MAX_MIN_STAKE = 1e24;

    /// @inheritdoc IModelRegistry
    uint64 public immutable maxRoundBlocks;
    /// @inheritdoc IModelRegistry
    uint256 public immutable minMinerStake;
    /// @inheritdoc IModelRegistry
    uint256 public immutable minValidatorStake;

    address private _rounds;
    uint256 private _count;
    mapping(uint256 id => Model) private _models;
    mapping(uint256 id => Policy) private _policies;
    mapping(bytes32 nameHash => uint256 id) private _ids;

    modifier known(uint256 id) {
        if (id == 0 || id > _count) revert UnknownModel(id);
        _;
    }

    constructor(address authority, uint64 maxRoundBlocks_, uint256 minMinerStake_, uint256 minValidatorStake_)
        AccessManaged(_nonZero(authority))
    {
        if (maxRoundBlocks_ < LEAST_BLOCKS) revert RoundTooLong(LEAST_BLOCKS, maxRoundBlocks_);
        _checkRange(minMinerStake_, 1, MAX_MIN_STAKE);
        _checkRange(minValidatorStake_, 1, MAX_MIN_STAKE);
        maxRoundBlocks = maxRoundBlocks_;
        minMinerStake = minMinerStake_;
        minValidatorStake = minValidatorStake_;
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
        _policies[id].emissionBps = 0;
        _models[id] = Model(parentId, level, name, field, genesis, genesis, 0, msg.sender);
        emit ModelRegistered(id, parentId, level, name, field, genesis, msg.sender);
        emit PolicySet(id, _policies[id]);
    }

    /// @inheritdoc IModelRegistry
    function setEmission(uint256 id, uint16 bps) external restricted known(id) {
        _checkRange(bps, 0, BPS);
        _policies[id].emissionBps = bps;
        emit EmissionSet(id, bps);
    }

    /// @inheritdoc IModelRegistry
    function setPolicy(uint256 id, Policy calldata policy) external restricted known(id) {
        _checkPolicy(policy);
        _policies[id] = policy;
        emit PolicySet(id, policy);
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
    function minStakeOf(uint256 id, uint8 role) external view known(id) returns (uint256) {
        if (role == MINER) return _policies[id].minMinerStake;
        if (role == VALIDATOR) return _policies[id].minValidatorStake;
        revert BadRole(role);
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

    /// @dev A round that opens while the one before it is in REVEAL waits for the end of that one before it goes there itself.
    function _checkPolicy(Policy calldata p) private view {
        uint256 work = uint256(_checked(p.trainBlocks)) + _checked(p.commitBlocks);
        uint256 tail = uint256(_checked(p.revealBlocks)) + _checked(p.scoreBlocks) + _checked(p.scoreRevealBlocks)
            + _checked(p.attestBlocks) + _checked(p.attestRevealBlocks);
        uint256 blocks = (work > tail ? work : tail) + tail;
        if (blocks > maxRoundBlocks) revert RoundTooLong(blocks, maxRoundBlocks);
        _checkRange(p.committee, MIN_COMMITTEE, MAX_COMMITTEE);
        _checkRange(p.kappaBps, MIN_KAPPA, MAX_KAPPA);
        _checkRange(p.quorumBps, MIN_QUORUM, MAX_QUORUM);
        _checkRange(p.emissionBps, 0, BPS);
        _checkRange(p.minMinerStake, minMinerStake, MAX_MIN_STAKE);
        _checkRange(p.minValidatorStake, minValidatorStake, MAX_MIN_STAKE);
    }

    function _checked(uint32 blocks) private pure returns (uint32) {
        if (blocks < MIN_BLOCKS || blocks > MAX_BLOCKS) revert BadPolicy(blocks);
        return blocks;
    }

    function _checkRange(uint256 value, uint256 least, uint256 most) private pure {
        if (value < least || value > most) revert BadThreshold(value);
    }
}
