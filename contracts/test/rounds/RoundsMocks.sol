// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IRewards} from "../../src/interfaces/IRewards.sol";

/// @notice Stakes as a test sets them, and a list of what `Rounds` did. Past and present are the same.
contract StakingMock {
    struct Punished {
        uint8 role;
        address account;
        uint16 bps;
    }

    uint64 public constant unbondingBlocks = 1_000;
    address[] public slots;
    mapping(address validator => uint96) public validatorStake;
    mapping(address miner => uint256) public minerStake;
    mapping(address miner => uint256) public since;
    address[] private _miners;
    Punished[] public slashes;
    address[] public drops;
    uint256 public lastAsked;
    uint256 public otherStake;

    function setMiner(address miner, uint256 stake, uint256 sinceBlock) external {
        if (since[miner] == 0) _miners.push(miner);
        (minerStake[miner], since[miner]) = (stake, sinceBlock);
    }

    function setSlot(uint256 slot, address validator, uint96 stake) external {
        while (slots.length <= slot) slots.push(address(0));
        slots[slot] = validator;
        validatorStake[validator] = stake;
    }

    function cutSlots(uint256 length) external {
        while (slots.length > length) slots.pop();
    }

    function setOtherStake(uint256 stake) external {
        otherStake = stake;
    }

    function slash(uint256, uint8 role, address account, uint16 bps) external {
        slashes.push(Punished(role, account, bps));
    }

    function drop(uint256, address account) external {
        drops.push(account);
    }

    function slashCount() external view returns (uint256) {
        return slashes.length;
    }

    function dropCount() external view returns (uint256) {
        return drops.length;
    }

    function stakeAt(address account, uint256, uint8 role, uint256) external view returns (uint256) {
        return role == 1 ? minerStake[account] : validatorStake[account];
    }

    function memberSince(uint256, uint8, address account) external view returns (uint256) {
        return since[account];
    }

    function countAt(uint256, uint8 role, uint256) external view returns (uint256 count) {
        if (role == 1) {
            for (uint256 i; i < _miners.length; ++i) {
                if (minerStake[_miners[i]] > 0) ++count;
            }
            return count;
        }
        for (uint256 i; i < slots.length; ++i) {
            if (slots[i] != address(0)) ++count;
        }
    }

    function totalAt(uint256, uint8, uint256) public view returns (uint256 total) {
        for (uint256 i; i < slots.length; ++i) {
            if (slots[i] != address(0)) total += validatorStake[slots[i]];
        }
    }

    function globalValidatorStakeAt(uint256 blockNumber) external view returns (uint256) {
        return totalAt(0, 0, blockNumber) + otherStake;
    }

    function frozen(uint256, uint8, uint256) external view returns (address[] memory, uint256[] memory stakes) {
        return (_miners, stakes);
    }

    function seatsAt(uint256, uint256) external view returns (address[] memory, uint96[] memory stakes) {
        stakes = new uint96[](slots.length);
        for (uint256 i; i < slots.length; ++i) {
            if (slots[i] != address(0)) stakes[i] = validatorStake[slots[i]];
        }
        return (slots, stakes);
    }
}

/// @notice One policy for all models, and heads.
contract ModelsMock {
    IModelRegistry.Policy private _policy;
    mapping(uint256 id => bytes32) public headOf;

    function setPolicy(IModelRegistry.Policy calldata policy) external {
        _policy = policy;
    }

    function setHead(uint256 id, uint64, bytes32 head) external {
        headOf[id] = head;
    }

    function policyOf(uint256) external view returns (IModelRegistry.Policy memory) {
        return _policy;
    }
}

/// @notice Datasets as a test sets them.
contract DataMock {
    mapping(uint256 id => uint256) public modelOf;
    mapping(uint256 id => address) public ownerOf;
    mapping(uint256 id => uint16) public valueOf;
    mapping(uint256 id => uint256) private _from;

    function set(uint256 id, uint256 modelId, address owner, uint16 value, uint256 from) external {
        modelOf[id] = modelId;
        ownerOf[id] = owner;
        valueOf[id] = value;
        _from[id] = from;
    }

    function isUsableAt(uint256 id, uint256 blockNumber) external view returns (bool) {
        return _from[id] != 0 && _from[id] <= blockNumber;
    }
}

/// @notice Remembers what was to be paid, and checks that the pages add up to what was announced.
contract RewardsMock {
    struct Paid {
        address account;
        uint256 weight;
        address[] owners;
        uint256[] dataWeights;
    }

    uint64 public constant VESTING = 100;

    IRewards.Opening private _opening;
    Paid[] private _deltas;
    Paid[] private _validators;
    uint64 public live;
    uint256 private _consensus;
    uint256 private _data;
    uint256 private _weights;
    bool private _brief;
    uint256 public begun;
    uint256 public finished;
    mapping(uint64 round => uint64) private _unlock;
    mapping(uint64 round => bool) private _voided;

    function begin(IRewards.Opening calldata o) external {
        require(live == 0, "one at a time");
        delete _deltas;
        delete _validators;
        (_consensus, _data, _weights) = (0, 0, 0);
        (_opening, live) = (o, o.round);
        _unlock[o.round] = uint64(block.number) + VESTING;
        ++begun;
    }

    function payDelta(
        uint256 modelId,
        uint64 round,
        address miner,
        uint256 consensus,
        address[] calldata owners,
        uint256[] calldata dataWeights
    ) external {
        require(modelId == _opening.modelId && round == live && _opening.accepted, "not begun");
        _consensus += consensus;
        for (uint256 i; i < dataWeights.length; ++i) {
            _data += dataWeights[i];
        }
        if (!_brief) _deltas.push(Paid(miner, consensus, owners, dataWeights));
    }

    function payValidator(uint256 modelId, uint64 round, address validator, uint256 weight) external {
        require(modelId == _opening.modelId && round == live && !_opening.isVoid && weight > 0, "not begun");
        _weights += weight;
        Paid storage p = _validators.push();
        (p.account, p.weight) = (validator, weight);
    }

    function finish(uint256 modelId, uint64 round) external {
        require(modelId == _opening.modelId && round == live, "not begun");
        require(_consensus == _opening.totalConsensus, "consensus");
        require(_data == _opening.totalData, "data");
        require(_weights == _opening.totalValidators, "validators");
        live = 0;
        ++finished;
    }

    /// @notice Keep no list of deltas from now on.
    function beBrief() external {
        _brief = true;
    }

    function voidRound(uint256, uint64 round) external {
        _voided[round] = true;
    }

    function opening() external view returns (IRewards.Opening memory) {
        return _opening;
    }

    function deltas() external view returns (Paid[] memory) {
        return _deltas;
    }

    function validators() external view returns (Paid[] memory) {
        return _validators;
    }

    function unlockOf(uint256, uint64 round) external view returns (uint64) {
        return _unlock[round];
    }

    function isVoided(uint256, uint64 round) external view returns (bool) {
        return _voided[round];
    }
}
