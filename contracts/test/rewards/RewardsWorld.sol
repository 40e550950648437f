// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Rewards} from "../../src/Rewards.sol";
import {StrataToken} from "../../src/StrataToken.sol";
import {StrataAuthority} from "../../src/governance/StrataAuthority.sol";
import {IRewards} from "../../src/interfaces/IRewards.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";
import {ModelsMock, StakingMock} from "./Mocks.sol";

/// @notice Token and rewards, with `rounds` and `channels` played by the test. Models: 1 is the root, 2 its child, 3 the child of 2.
abstract contract RewardsWorld is Test {
    uint64 internal constant VESTING = 250;
    uint256 internal constant GENESIS = 10_000_000e18;
    uint256 internal constant CAP = 100_000_000e18;
    uint256 internal constant ROOT = 1;
    uint256 internal constant CHILD = 2;
    uint256 internal constant GRANDCHILD = 3;
    uint8 internal constant KIND_MINER = 0;
    uint8 internal constant KIND_VALIDATOR = 1;
    uint8 internal constant KIND_DATA = 2;
    uint8 internal constant KIND_SERVER = 4;
    uint8 internal constant KIND_ARCHIVE = 6;
    uint8 internal constant KIND_DELEGATION = 7;

    StrataToken internal token;
    Rewards internal rewards;
    ModelsMock internal models;
    StakingMock internal staking;
    StrataAuthority internal authority;
    uint256 internal start;

    address internal admin = account("admin");
    address internal rounds = account("rounds");
    address internal channels = account("channels");
    address internal treasury = account("treasury");
    address internal archive = account("archive");
    address internal server = account("server");
    address internal alice = account("alice");
    address internal bob = account("bob");
    address internal carol = account("carol");
    address internal dave = account("dave");

    function setUp() public virtual {
        authority = StrataAuthority(_create("StrataAuthority.sol:StrataAuthority", abi.encode(admin)));
        token = StrataToken(_create("StrataToken.sol:StrataToken", abi.encode(treasury)));
        models = new ModelsMock();
        staking = new StakingMock();
        models.setParent(CHILD, ROOT);
        models.setParent(GRANDCHILD, CHILD);
        rewards = _newRewards(treasury, VESTING, address(authority));
        rewards.initialize(rounds, channels);
        token.initialize(address(rewards));
        start = vm.getBlockNumber();
        skipBlocks(1000);
    }

    function _newRewards(address treasury_, uint64 vesting, address authority_) internal returns (Rewards) {
        bytes memory arguments = abi.encode(token, models, staking, treasury_, vesting, authority_);
        return Rewards(_create("Rewards.sol:Rewards", arguments));
    }

    /// @dev Made from the artifact, so that a test's own code stays below the limit; reverts as the constructor does.
    function _create(string memory artifact, bytes memory arguments) internal returns (address made) {
        bytes memory code = abi.encodePacked(vm.getCode(artifact), arguments);
        assembly ("memory-safe") {
            made := create(0, add(code, 0x20), mload(code))
            if iszero(made) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
    }

    /// @dev A round of a hundred blocks that ended now, of a model with all stake. Its pot is 100e18 without carry: 50 for
    /// miners, 20 validators, 15 data, 5 parent, 8 treasury, 2 archive.
    function _opening(uint256 modelId, uint64 round) internal view returns (IRewards.Opening memory o) {
        o.modelId = modelId;
        o.round = round;
        o.accepted = true;
        o.endBlock = uint64(vm.getBlockNumber());
        o.openBlock = o.endBlock - 100;
        o.modelStake = 1e24;
        o.globalStake = 1e24;
        o.totalConsensus = 100;
        o.totalData = 100;
        o.totalValidators = 100;
    }

    function _begin(IRewards.Opening memory o) internal {
        vm.prank(rounds);
        rewards.begin(o);
    }

    function _begin(uint256 modelId, uint64 round) internal {
        _begin(_opening(modelId, round));
    }

    /// @dev A hundred fresh blocks pass before the round ends.
    function _beginLater(uint256 modelId, uint64 round) internal {
        skipBlocks(100);
        _begin(modelId, round);
    }

    function _payMiner(uint256 modelId, uint64 round, address miner, uint256 weight) internal {
        vm.prank(rounds);
        rewards.payDelta(modelId, round, miner, weight, new address[](0), new uint256[](0));
    }

    function _payOwner(uint256 modelId, uint64 round, address owner, uint256 weight) internal {
        (address[] memory owners, uint256[] memory weights) = (new address[](1), new uint256[](1));
        (owners[0], weights[0]) = (owner, weight);
        vm.prank(rounds);
        rewards.payDelta(modelId, round, owner, 0, owners, weights);
    }

    function _payValidator(uint256 modelId, uint64 round, address validator, uint256 weight) internal {
        vm.prank(rounds);
        rewards.payValidator(modelId, round, validator, weight);
    }

    function _finish(uint256 modelId, uint64 round) internal {
        vm.prank(rounds);
        rewards.finish(modelId, round);
    }

    function _void(uint256 modelId, uint64 round) internal {
        vm.prank(rounds);
        rewards.voidRound(modelId, round);
    }

    /// @dev A round that ended now and whose one miner gets all 800e18 shares' worth of consensus.
    function _settleFor(uint256 modelId, uint64 round, address miner) internal {
        _beginLater(modelId, round);
        _payMiner(modelId, round, miner, 100);
        _finish(modelId, round);
    }

    function _addFee(uint256 modelId, uint256 amount) internal {
        vm.prank(treasury);
        token.transfer(address(rewards), amount);
        vm.prank(channels);
        rewards.addFee(modelId, server, amount);
    }

    function _claim(address who) internal returns (uint256) {
        return _claim(who, _ids(0));
    }

    function _claim(address who, uint256[] memory modelIds) internal returns (uint256) {
        vm.prank(who);
        return rewards.claim(modelIds);
    }

    function _claimable(address who) internal view returns (uint256) {
        return rewards.claimable(who, _ids(0));
    }

    /// @dev A list of one model, none for 0.
    function _ids(uint256 modelId) internal pure returns (uint256[] memory list) {
        list = new uint256[](modelId == 0 ? 0 : 1);
        if (modelId != 0) list[0] = modelId;
    }

    function _assertSolvent() internal view {
        assertEq(token.balanceOf(address(rewards)), rewards.owed(), "balance is what is owed");
    }
}
