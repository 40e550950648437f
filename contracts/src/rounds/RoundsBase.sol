// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDataRegistry} from "../interfaces/IDataRegistry.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {IRewards} from "../interfaces/IRewards.sol";
import {IRounds} from "../interfaces/IRounds.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {BlockHashes} from "../libraries/BlockHashes.sol";
import {Book, Peers, Round} from "../libraries/RoundTypes.sol";

/// @title The record of rounds, and the contracts that they work with
abstract contract RoundsBase is IRounds {
    IStaking internal immutable _staking;
    IModelRegistry internal immutable _models;
    IDataRegistry internal immutable _data;
    IRewards internal immutable _rewards;
    uint256 private immutable _historyBlocks;

    Book internal _book;

    constructor(IStaking staking, IModelRegistry models, IDataRegistry data, IRewards rewards) {
        _staking = staking;
        _models = models;
        _data = data;
        _rewards = rewards;
        _historyBlocks = BlockHashes.depth();
    }

    /// @inheritdoc IRounds
    function historyBlocks() external view returns (uint256) {
        return _historyBlocks;
    }

    function _peers() internal view returns (Peers memory) {
        return Peers(_staking, _models, _data, _rewards, _historyBlocks);
    }

    function _round(uint256 modelId, uint64 round) internal view returns (Round storage) {
        return _book.rounds[modelId][round];
    }
}
