// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDataRegistry} from "../interfaces/IDataRegistry.sol";
import {IRewards} from "../interfaces/IRewards.sol";
import {RoundClock} from "./RoundClock.sol";
import {Ballot, Delta, Round} from "./RoundTypes.sol";

/// @title What a round that ended owes to whom
library Settling {
    /// @dev Divisible by 1 to 16, the numbers of datasets that a delta can name.
    uint256 internal constant DATA_UNIT = 720_720;
    /// @dev Datasets beyond these, in the order of submissions, earn nothing in that round (it bounds the gas).
    uint256 internal constant MAX_DATASETS = 32;
    /// @dev Slots of the table in which datasets are looked up; more than `MAX_DATASETS`, a power of two.
    uint256 private constant TABLE = 64;

    /// @notice Everybody's weights. Miners: consensus. Validators: stake times agreement, zero for another head than the one that
    /// won. Data: each accepted delta's consensus, divided equally by the datasets that it names.
    function settlement(Round storage r, IDataRegistry data, uint256 modelId, uint64 round, uint256 globalStake)
        internal
        view
        returns (IRewards.Settlement memory s)
    {
        s.modelId = modelId;
        s.round = round;
        s.isVoid = r.status == RoundClock.VOID;
        s.modelStake = r.frozenStake;
        s.globalStake = globalStake;
        if (s.isVoid) return s;
        (s.validators, s.validatorWeights) = _validators(r);
        if (!r.accepted) return s;
        (s.miners, s.minerWeights) = _miners(r);
        (s.contributors, s.dataWeights) = _contributors(r, data);
    }

    /// @notice Dataset ids as they are passed outside.
    function widen(uint32[] storage ids) internal view returns (uint256[] memory list) {
        list = new uint256[](ids.length);
        for (uint256 i; i < list.length; ++i) {
            list[i] = ids[i];
        }
    }

    function _validators(Round storage r) private view returns (address[] memory who, uint256[] memory weights) {
        uint256 count = r.validators.length;
        bytes32 head = r.leadingHead;
        who = new address[](count);
        weights = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            who[i] = r.validators[i].account;
            Ballot storage ballot = r.ballots[who[i]];
            if (!ballot.revealed || (r.accepted && ballot.head != head)) continue;
            weights[i] = uint256(r.validators[i].stake) * ballot.agreement;
        }
    }

    function _miners(Round storage r) private view returns (address[] memory who, uint256[] memory weights) {
        uint256 count = r.deltas.length;
        who = new address[](count);
        weights = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            (who[i], weights[i]) = (r.deltas[i].miner, r.deltas[i].consensus);
        }
    }

    function _contributors(Round storage r, IDataRegistry data)
        private
        view
        returns (address[] memory owners, uint256[] memory weights)
    {
        uint256[] memory ids = new uint256[](MAX_DATASETS);
        uint256[] memory table = new uint256[](TABLE);
        weights = new uint256[](MAX_DATASETS);
        uint256 found;
        for (uint256 m; m < r.deltas.length; ++m) {
            uint256 consensus = r.deltas[m].consensus;
            uint32[] memory used = r.deltas[m].datasetIds;
            if (consensus == 0 || used.length == 0) continue;
            found = _add(ids, table, weights, found, used, (consensus * DATA_UNIT) / used.length);
        }
        owners = new address[](found);
        for (uint256 i; i < found; ++i) {
            owners[i] = data.ownerOf(ids[i]);
        }
        assembly ("memory-safe") {
            mstore(weights, found)
        }
    }

    /// @dev Adds `weight` to each dataset of `used`, in the order in which datasets are first met. `table` holds places in `ids`,
    /// from 1, where an id or one before it in the same chain hashes to.
    function _add(
        uint256[] memory ids,
        uint256[] memory table,
        uint256[] memory weights,
        uint256 found,
        uint32[] memory used,
        uint256 weight
    ) private pure returns (uint256) {
        for (uint256 k; k < used.length; ++k) {
            uint256 id = used[k];
            uint256 slot = id % TABLE;
            while (table[slot] != 0 && ids[table[slot] - 1] != id) slot = (slot + 1) % TABLE;
            if (table[slot] == 0) {
                if (found == MAX_DATASETS) continue;
                ids[found] = id;
                table[slot] = ++found;
            }
            weights[table[slot] - 1] += weight;
        }
        return found;
    }
}
