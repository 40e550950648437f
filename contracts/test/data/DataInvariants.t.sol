// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDataRegistry} from "../../src/interfaces/IDataRegistry.sol";
import {DataHandler} from "./DataHandler.sol";
import {DataWorld} from "./DataWorld.sol";

/// @notice Whatever happens, deposits are there and a root has one holder.
contract DataInvariantsTest is DataWorld {
    DataHandler internal handler;

    function setUp() public override {
        super.setUp();
        handler = new DataHandler(data, coin, stakes, admin);
        for (uint256 i; i < 3; ++i) {
            stakes.set(MODEL, handler.person(i), (i + 1) * 20e18);
        }
        skipBlocks(1);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_deposits_areHeldToTheWei() external view {
        uint256 held;
        for (uint256 id = data.count(); id > 0; --id) {
            held += data.get(id).deposit;
        }
        assertEq(coin.balanceOf(address(data)), held, "held");
        assertEq(handler.paidIn(), held + handler.paidBack() + coin.balanceOf(treasury), "conserved");
    }

    function invariant_roots_haveOneHolder() external view {
        for (uint256 id = data.count(); id > 0; --id) {
            IDataRegistry.Dataset memory dataset = data.get(id);
            bool holds = dataset.status == 0 || dataset.acceptedBlock != 0;
            assertEq(data.idOf(dataset.root) == id, holds, "holder");
        }
    }

    function invariant_states_fitTogether() external view {
        for (uint256 id = data.count(); id > 0; --id) {
            IDataRegistry.Dataset memory dataset = data.get(id);
            IDataRegistry.Ballot memory ballot = data.ballotOf(id);
            assertLe(dataset.value, 10_000, "value");
            if (dataset.status == 2) assertEq(dataset.deposit, 0, "rejected");
            if (dataset.acceptedBlock == 0) assertEq(dataset.value, 0, "unaccepted");
            if (dataset.status > 1) assertFalse(data.isUsableAt(id, block.number), "usable");
            assertEq(dataset.withdrawnBlock != 0, dataset.status > 2, "withdrawn");
            assertLe(ballot.accepting + ballot.rejecting, ballot.total, "votes");
        }
    }
}
