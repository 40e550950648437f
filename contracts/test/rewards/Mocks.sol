// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";

/// @notice A tree of models as `Rewards` sees it.
contract ModelsMock {
    mapping(uint256 modelId => uint256) public parentOf;
    mapping(uint256 modelId => uint16) private _emissionBps;

    function setParent(uint256 modelId, uint256 parent) external {
        parentOf[modelId] = parent;
    }

    /// @notice The part of its emission that a model does not take, in basis points.
    function setUntaken(uint256 modelId, uint16 bps) external {
        _emissionBps[modelId] = bps;
    }

    function policyOf(uint256 modelId) external view returns (IModelRegistry.Policy memory policy) {
        policy.emissionBps = 10_000 - _emissionBps[modelId];
    }
}

/// @notice Validators' pools as `Rewards` sees them.
contract StakingMock {
    struct Pool {
        uint256 own;
        uint256 delegated;
        uint16 commissionBps;
    }

    mapping(uint256 modelId => mapping(address validator => Pool)) private _pools;

    function setPool(uint256 modelId, address validator, uint256 own, uint256 delegated, uint16 bps) external {
        _pools[modelId][validator] = Pool(own, delegated, bps);
    }

    function poolOf(uint256 modelId, address validator) external view returns (uint256, uint256, uint256, uint16) {
        Pool memory pool = _pools[modelId][validator];
        return (pool.own, pool.delegated, pool.delegated, pool.commissionBps);
    }
}
