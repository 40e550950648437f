// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {DataRegistry} from "../../src/DataRegistry.sol";
import {IDataRegistry} from "../../src/interfaces/IDataRegistry.sol";
import {StrataAuthority} from "../../src/governance/StrataAuthority.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";
import {Coin, FakeModels, FakeStakes} from "./DataMocks.sol";

/// @notice A registry over two models: validators of model 1 hold 40, 30, 20 and 10 coins, model 2 has none.
abstract contract DataWorld is Test {
    uint64 internal constant BALLOT = 100;
    uint256 internal constant DEPOSIT = 10e18;
    uint256 internal constant MODEL = 1;
    uint256 internal constant BARE = 2;
    bytes32 internal constant ROOT = keccak256("root");
    bytes32 internal constant SALT = keccak256("salt");

    Coin internal coin;
    FakeModels internal models;
    FakeStakes internal stakes;
    StrataAuthority internal authority;
    DataRegistry internal data;

    address internal admin = account("admin");
    address internal treasury = account("treasury");
    address internal alice = account("alice");
    address internal bob = account("bob");
    address internal modeller = account("modeller");
    address internal v40 = account("v40");
    address internal v30 = account("v30");
    address internal v20 = account("v20");
    address internal v10 = account("v10");

    function setUp() public virtual {
        coin = Coin(deploy("data/DataMocks.sol:Coin", ""));
        models = FakeModels(deploy("data/DataMocks.sol:FakeModels", ""));
        stakes = FakeStakes(deploy("data/DataMocks.sol:FakeStakes", ""));
        authority = StrataAuthority(deploy("StrataAuthority.sol:StrataAuthority", abi.encode(admin)));
        data = _new(treasury, BALLOT, DEPOSIT);
        models.set(MODEL, modeller, 0);
        models.set(BARE, modeller, MODEL);
        stakes.set(MODEL, v40, 40e18);
        stakes.set(MODEL, v30, 30e18);
        stakes.set(MODEL, v20, 20e18);
        stakes.set(MODEL, v10, 10e18);
        _fund(alice);
        _fund(bob);
        _fund(modeller);
        skipBlocks(1);
    }

    function _new(address treasury_, uint64 ballot, uint256 deposit_) internal returns (DataRegistry) {
        bytes memory arguments =
            abi.encode(coin, models, stakes, treasury_, authority, uint256(ballot), deposit_);
        return DataRegistry(deploy("DataRegistry.sol:DataRegistry", arguments));
    }

    function _fund(address who) internal {
        coin.mint(who, 1000e18);
        vm.prank(who);
        coin.approve(address(data), type(uint256).max);
    }

    /// @dev Announces, waits a block and registers.
    function _submit(address who, uint256 modelId, bytes32 root) internal returns (uint256 id) {
        _announce(who, modelId, root, SALT);
        skipBlocks(1);
        return _register(who, modelId, root);
    }

    function _announce(address who, uint256 modelId, bytes32 root, bytes32 salt) internal {
        bytes32 commitment = data.commitmentOf(modelId, who, root, salt);
        vm.prank(who);
        data.announce(commitment);
    }

    function _register(address who, uint256 modelId, bytes32 root) internal returns (uint256 id) {
        vm.prank(who);
        return data.register(modelId, root, "CC0-1.0", 1000, 10, 2, SALT);
    }

    function _vote(address who, uint256 id, bool accept, uint16 value) internal {
        vm.prank(who);
        data.vote(id, accept, value);
    }

    /// @dev A dataset of model 1, accepted by 70% of its stake at `value`.
    function _accepted(bytes32 root, uint16 value) internal returns (uint256 id) {
        id = _submit(alice, MODEL, root);
        _vote(v40, id, true, value);
        _vote(v30, id, true, value);
        skipBlocks(1);
    }

    function _statusOf(uint256 id) internal view returns (uint8) {
        return data.get(id).status;
    }

    function _expectStatus(uint8 status) internal {
        vm.expectRevert(abi.encodeWithSelector(IDataRegistry.WrongStatus.selector, status));
    }
}
