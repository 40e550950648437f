// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IRewards} from "../interfaces/IRewards.sol";

/// @title The table of splits, which governance may change within bounds
/// @dev In basis points. Described in `IRewards`.
abstract contract SplitTable is IRewards, AccessManaged {
    uint256 private constant BPS = 10_000;
    uint256 private constant EMISSION_SUM = 13;
    uint256 private constant FEE_SUM = 14;
    uint256 private constant SHARES_SUM = 15;

    Splits private _splits;

    constructor() {
        _splits = Splits({
            emissionMiners: 5000,
            emissionValidators: 2000,
            emissionData: 1500,
            emissionParent: 500,
            emissionTreasury: 800,
            emissionArchive: 200,
            feeServer: 6000,
            feeModel: 2500,
            feeParent: 1000,
            feeTreasury: 500,
            parentOn: 2000,
            sharesMiners: 8000,
            sharesData: 2000
        });
    }

    /// @inheritdoc IRewards
    function setSplits(Splits calldata table) external restricted {
        _checkEmission(table);
        _checkFees(table);
        _checkBounds(11, table.sharesMiners, 5000, 9500);
        _checkSum(SHARES_SUM, uint256(table.sharesMiners) + table.sharesData);
        _splits = table;
        emit SplitsSet(table);
    }

    /// @inheritdoc IRewards
    function splits() public view returns (Splits memory) {
        return _splits;
    }

    function _checkEmission(Splits calldata table) private pure {
        _checkBounds(0, table.emissionMiners, 3000, 7000);
        _checkBounds(1, table.emissionValidators, 1000, 3000);
        _checkBounds(2, table.emissionData, 500, 3000);
        _checkBounds(3, table.emissionParent, 0, 1500);
        _checkBounds(4, table.emissionTreasury, 0, 2000);
        _checkBounds(5, table.emissionArchive, 0, 1000);
        uint256 participants = uint256(table.emissionMiners) + table.emissionValidators + table.emissionData;
        uint256 others = uint256(table.emissionParent) + table.emissionTreasury + table.emissionArchive;
        _checkSum(EMISSION_SUM, participants + others);
    }

    function _checkFees(Splits calldata table) private pure {
        _checkBounds(6, table.feeServer, 4000, 8000);
        _checkBounds(7, table.feeModel, 1000, 4000);
        _checkBounds(8, table.feeParent, 0, 2000);
        _checkBounds(9, table.feeTreasury, 0, 1500);
        _checkBounds(10, table.parentOn, 0, 5000);
        _checkSum(FEE_SUM, uint256(table.feeServer) + table.feeModel + table.feeParent + table.feeTreasury);
    }

    function _checkBounds(uint256 field, uint256 value, uint256 low, uint256 high) private pure {
        if (value < low || value > high) revert BadSplit(field, value);
    }

    function _checkSum(uint256 field, uint256 sum) private pure {
        if (sum != BPS) revert BadSplit(field, sum);
    }
}
