// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDataRegistry} from "../../src/interfaces/IDataRegistry.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";
import {Coin, FakeStakes} from "./DataMocks.sol";

/// @notice What people may do with datasets, in any order; each call is one that must succeed.
contract DataHandler is Test {
    uint256 private constant PEOPLE = 4;
    uint256 private constant ROOTS = 6;
    uint256 private constant MODEL = 1;

    IDataRegistry private immutable _data;
    Coin private immutable _coin;
    FakeStakes private immutable _stakes;
    address private immutable _admin;

    /// @notice All that was ever paid in, and paid back, in wei.
    uint256 public paidIn;
    uint256 public paidBack;
    uint256 public votes;
    uint256 private _salt;

    constructor(IDataRegistry data, Coin coin, FakeStakes stakes, address admin) {
        (_data, _coin, _stakes, _admin) = (data, coin, stakes, admin);
    }

    function submit(uint256 who, uint256 which) external {
        bytes32 root = rootOf(which);
        if (_data.idOf(root) != 0) return;
        address owner = person(who);
        uint256 amount = _data.deposit();
        bytes32 salt = bytes32(++_salt);
        _data.announce(_data.commitmentOf(MODEL, owner, root, salt));
        skipBlocks(1);
        _coin.mint(owner, amount);
        vm.startPrank(owner);
        _coin.approve(address(_data), amount);
        _data.register(MODEL, root, "CC0-1.0", 1, 1, 1, salt);
        vm.stopPrank();
        paidIn += amount;
    }

    function vote(uint256 who, uint256 which, bool accept, uint16 value) external {
        uint256 count = _data.count();
        if (count == 0) return;
        uint256 id = bound(which, 1, count);
        IDataRegistry.Ballot memory ballot = _data.ballotOf(id);
        uint256 frozen = (ballot.open ? ballot.startBlock : block.number) - 1;
        bool counts = _stakes.stakeAt(person(who), MODEL, 2, frozen) != 0;
        if (!counts || _data.get(id).status > 1 || _data.hasVoted(id, person(who))) return;
        vm.prank(person(who));
        _data.vote(id, accept, uint16(bound(value, 0, 10_000)));
        ++votes;
    }

    function withdraw(uint256 which) external {
        uint256 count = _data.count();
        if (count == 0) return;
        uint256 id = bound(which, 1, count);
        IDataRegistry.Dataset memory dataset = _data.get(id);
        if (dataset.status > 1) return;
        IDataRegistry.Ballot memory ballot = _data.ballotOf(id);
        uint256 from = ballot.number == 1 ? ballot.startBlock : dataset.registeredBlock;
        if (dataset.status == 0 && block.number < from + _data.ballotBlocks()) return;
        vm.prank(dataset.owner);
        _data.withdraw(id);
    }

    function reclaim(uint256 which) external {
        uint256 count = _data.count();
        if (count == 0) return;
        uint256 id = bound(which, 1, count);
        IDataRegistry.Dataset memory dataset = _data.get(id);
        if (dataset.deposit == 0 || dataset.status == 0) return;
        uint256 before = _coin.balanceOf(dataset.owner);
        vm.prank(dataset.owner);
        _data.reclaim(id);
        paidBack += _coin.balanceOf(dataset.owner) - before;
    }

    function setDeposit(uint256 amount) external {
        vm.prank(_admin);
        _data.setDeposit(bound(amount, 0, 1000e18));
    }

    function setStake(uint256 who, uint96 amount) external {
        _stakes.set(MODEL, person(who), bound(amount, 0, 1e26));
    }

    function pass(uint8 blocks) external {
        skipBlocks(bound(blocks, 1, 120));
    }

    function person(uint256 who) public pure returns (address) {
        return account("person", who % PEOPLE);
    }

    function rootOf(uint256 which) public pure returns (bytes32) {
        return keccak256(abi.encode("root", which % ROOTS));
    }
}
