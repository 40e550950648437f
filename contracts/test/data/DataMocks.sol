// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";

/// @notice A token with permit that anybody may mint.
contract Coin is ERC20Permit {
    constructor() ERC20("Coin", "COIN") ERC20Permit("Coin") {}

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }
}

/// @notice Models that are nothing but their owners; parents by number.
contract FakeModels {
    mapping(uint256 id => address) private _owners;
    mapping(uint256 id => uint256) private _parents;

    function set(uint256 id, address owner, uint256 parentId) external {
        (_owners[id], _parents[id]) = (owner, parentId);
    }

    function get(uint256 id) external view returns (IModelRegistry.Model memory model) {
        if (_owners[id] == address(0)) revert IModelRegistry.UnknownModel(id);
        (model.parentId, model.owner) = (_parents[id], _owners[id]);
    }

    function parentOf(uint256 id) external view returns (uint256) {
        if (_owners[id] == address(0)) revert IModelRegistry.UnknownModel(id);
        return _parents[id];
    }
}

/// @notice Stakes per model that a test sets, remembered by block.
contract FakeStakes {
    using Checkpoints for Checkpoints.Trace208;

    mapping(uint256 modelId => mapping(address account => Checkpoints.Trace208)) private _stakes;
    mapping(uint256 modelId => Checkpoints.Trace208) private _totals;

    function set(uint256 modelId, address account, uint256 amount) external {
        Checkpoints.Trace208 storage total = _totals[modelId];
        Checkpoints.Trace208 storage own = _stakes[modelId][account];
        uint256 next = total.latest() + amount - own.latest();
        total.push(uint48(block.number), uint208(next));
        own.push(uint48(block.number), uint208(amount));
    }

    function stakeAt(address account, uint256 modelId, uint8 role, uint256 blockNumber) external view returns (uint256) {
        return role == 2 ? _stakes[modelId][account].upperLookupRecent(uint48(blockNumber)) : 0;
    }

    function totalAt(uint256 modelId, uint8 role, uint256 blockNumber) external view returns (uint256) {
        return role == 2 ? _totals[modelId].upperLookupRecent(uint48(blockNumber)) : 0;
    }

    function totalStake(uint256 modelId, uint8 role) external view returns (uint256) {
        return role == 2 ? _totals[modelId].latest() : 0;
    }
}
