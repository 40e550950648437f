// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IModelRegistry} from "../../../contracts/src/interfaces/IModelRegistry.sol";
import {IRewards} from "../../../contracts/src/interfaces/IRewards.sol";
import {IStrataToken} from "../../../contracts/src/interfaces/IStrataToken.sol";

/// @title Settles rounds with the real `Rewards`, and is all else that it asks: rounds, models, stake and authority
/// @notice Model 3 descends from model 2, and that from model 1. Tests ask for the result of `settle` and send nothing.
contract Payer {
    /// @notice Somebody who is paid. For validators the pool's backing too.
    struct Payee {
        address account;
        uint256 weight;
        uint256 own;
        uint256 delegated;
        uint16 commissionBps;
    }

    /// @notice A void round of `voidBlocks`, then one of `blocks` that pays. Data are of the first miner's delta.
    struct Case {
        uint64 voidBlocks;
        uint64 blocks;
        uint256 modelStake;
        uint256 globalStake;
        uint16 emissionBps;
        Payee[] miners;
        Payee[] owners;
        Payee[] validators;
        bool parentHasShares;
        bool rootHasShares;
        address archive;
    }

    /// @notice What was paid, in wei, in the order of the payees; shares of miners and of owners.
    struct Paid {
        uint256[] miners;
        uint256[] owners;
        uint256[] validators;
        uint256[] delegators;
        uint256[] shares;
        uint256 parent;
        uint256 root;
        uint256 archive;
        uint256 treasury;
        uint256 minted;
        uint256 carry;
    }

    uint256 private constant MODEL = 3;
    address private constant PARENT_HOLDER = address(0xb2);
    address private constant ROOT_HOLDER = address(0xb1);

    uint16 private _emissionBps;
    mapping(address validator => Payee) private _pools;

    function settle(IRewards rewards, IStrataToken token, Case calldata c) external returns (Paid memory p) {
        rewards.setArchive(MODEL, c.archive);
        if (c.parentHasShares) _giveShares(rewards, 2, PARENT_HOLDER);
        if (c.rootHasShares) _giveShares(rewards, 1, ROOT_HOLDER);
        _emissionBps = c.emissionBps;
        uint256 supply = token.totalSupply();
        uint256 treasury = token.balanceOf(rewards.treasury());
        uint64 start = rewards.startBlock();
        _void(rewards, c, start);
        _pay(rewards, c, start + c.voidBlocks);
        (p.minted, p.carry) = (token.totalSupply() - supply, rewards.carry(MODEL));
        p.treasury = token.balanceOf(rewards.treasury()) - treasury;
        _read(rewards, c, p);
    }

    function parentOf(uint256 modelId) external pure returns (uint256) {
        return modelId - 1;
    }

    function policyOf(uint256) external view returns (IModelRegistry.Policy memory policy) {
        policy.emissionBps = _emissionBps;
    }

    function poolOf(uint256, address validator)
        external
        view
        returns (uint256 own, uint256 delegated, uint256 shares, uint16 commissionBps)
    {
        Payee storage pool = _pools[validator];
        return (pool.own, pool.delegated, pool.delegated, pool.commissionBps);
    }

    function canCall(address, address, bytes4) external pure returns (bool allowed, uint32 delay) {
        return (true, 0);
    }

    /// @dev An accepted round of no blocks: shares, and no coins.
    function _giveShares(IRewards rewards, uint256 modelId, address holder) private {
        IRewards.Opening memory o;
        (o.modelId, o.round, o.accepted, o.totalConsensus) = (modelId, 1, true, 1);
        rewards.begin(o);
        rewards.payDelta(modelId, 1, holder, 1, new address[](0), new uint256[](0));
        rewards.finish(modelId, 1);
    }

    function _void(IRewards rewards, Case calldata c, uint64 start) private {
        IRewards.Opening memory o = _opening(c, 1, start, c.voidBlocks);
        o.isVoid = true;
        rewards.begin(o);
        rewards.finish(MODEL, 1);
    }

    function _pay(IRewards rewards, Case calldata c, uint64 start) private {
        IRewards.Opening memory o = _opening(c, 2, start, c.blocks);
        (o.totalConsensus, o.totalData, o.totalValidators) = (_sum(c.miners), _sum(c.owners), _sum(c.validators));
        o.accepted = o.totalConsensus > 0;
        rewards.begin(o);
        for (uint256 i; i < c.miners.length; ++i) {
            if (c.miners[i].weight == 0) continue;
            (address[] memory owners, uint256[] memory weights) = _data(c, i);
            rewards.payDelta(MODEL, 2, c.miners[i].account, c.miners[i].weight, owners, weights);
        }
        for (uint256 i; i < c.validators.length; ++i) {
            _pools[c.validators[i].account] = c.validators[i];
            rewards.payValidator(MODEL, 2, c.validators[i].account, c.validators[i].weight);
        }
        rewards.finish(MODEL, 2);
    }

    function _opening(Case calldata c, uint64 round, uint64 start, uint64 blocks)
        private
        pure
        returns (IRewards.Opening memory o)
    {
        (o.modelId, o.round, o.openBlock, o.endBlock) = (MODEL, round, start, start + blocks);
        (o.modelStake, o.globalStake) = (c.modelStake, c.globalStake);
    }

    function _data(Case calldata c, uint256 index)
        private
        pure
        returns (address[] memory owners, uint256[] memory weights)
    {
        if (index > 0) return (owners, weights);
        (owners, weights) = (new address[](c.owners.length), new uint256[](c.owners.length));
        for (uint256 i; i < owners.length; ++i) {
            (owners[i], weights[i]) = (c.owners[i].account, c.owners[i].weight);
        }
    }

    function _read(IRewards rewards, Case calldata c, Paid memory p) private view {
        uint256[] memory none = new uint256[](0);
        (p.miners, p.owners) = (_claimable(rewards, c.miners), _claimable(rewards, c.owners));
        (p.validators, p.delegators) = (_claimable(rewards, c.validators), new uint256[](c.validators.length));
        for (uint256 i; i < p.delegators.length; ++i) {
            p.delegators[i] = rewards.claimable(rewards.poolAccountOf(MODEL, c.validators[i].account), none);
        }
        p.shares = new uint256[](c.miners.length + c.owners.length);
        for (uint256 i; i < p.shares.length; ++i) {
            bool isMiner = i < c.miners.length;
            p.shares[i] = rewards.sharesOf(
                MODEL, isMiner ? c.miners[i].account : c.owners[i - c.miners.length].account
            );
        }
        p.archive = c.archive == address(0) ? 0 : rewards.claimable(c.archive, none);
        (p.parent, p.root) = (_dividends(rewards, 2, PARENT_HOLDER), _dividends(rewards, 1, ROOT_HOLDER));
    }

    function _claimable(IRewards rewards, Payee[] calldata payees) private view returns (uint256[] memory list) {
        list = new uint256[](payees.length);
        for (uint256 i; i < list.length; ++i) {
            list[i] = rewards.claimable(payees[i].account, new uint256[](0));
        }
    }

    function _dividends(IRewards rewards, uint256 modelId, address holder) private view returns (uint256) {
        uint256[] memory models = new uint256[](1);
        models[0] = modelId;
        return rewards.claimable(holder, models);
    }

    function _sum(Payee[] calldata payees) private pure returns (uint256 sum) {
        for (uint256 i; i < payees.length; ++i) {
            sum += payees[i].weight;
        }
    }
}
