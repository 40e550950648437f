// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {ModelRegistry} from "../../src/ModelRegistry.sol";
import {StrataAuthority} from "../../src/governance/StrataAuthority.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {Wired} from "../../src/libraries/Wired.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";
import {Policies} from "./Policies.sol";

/// @notice The tree of models: names, levels, heads.
contract ModelRegistryTest is Test {
    uint64 internal constant MAX_ROUND = 1000;
    uint256 internal constant FLOOR_MINER = 5e18;
    uint256 internal constant FLOOR_VALIDATOR = 50e18;
    bytes32 internal constant GENESIS = keccak256("genesis");

    StrataAuthority internal authority;
    ModelRegistry internal models;
    address internal admin = account("admin");
    address internal rounds = account("rounds");
    address internal alice = account("alice");

    function setUp() public {
        authority = StrataAuthority(deploy("StrataAuthority.sol:StrataAuthority", abi.encode(admin)));
        models = _new(address(authority), MAX_ROUND, FLOOR_MINER, FLOOR_VALIDATOR);
        models.initialize(rounds);
    }

    function test_constructor_whenMade_thenKeepsItsLimits() external view {
        assertEq(models.maxRoundBlocks(), MAX_ROUND);
        assertEq(models.minMinerStake(), FLOOR_MINER);
        assertEq(models.minValidatorStake(), FLOOR_VALIDATOR);
        assertEq(models.authority(), address(authority));
        assertEq(models.count(), 0);
    }

    function test_constructor_whenALimitIsOut_thenRefused() external {
        address known = address(authority);
        _expectNone(address(0), MAX_ROUND, 1, 1, abi.encodeWithSelector(Wired.ZeroAddress.selector));
        _expectNone(known, 19, 1, 1, abi.encodeWithSelector(IModelRegistry.RoundTooLong.selector, 20, 19));
        bytes memory zero = abi.encodeWithSelector(IModelRegistry.BadThreshold.selector, 0);
        _expectNone(known, MAX_ROUND, 0, 1, zero);
        _expectNone(known, MAX_ROUND, 1, 0, zero);
        bytes memory over = abi.encodeWithSelector(IModelRegistry.BadThreshold.selector, 1e24 + 1);
        _expectNone(known, MAX_ROUND, 1e24 + 1, 1, over);
        _expectNone(known, MAX_ROUND, 1, 1e24 + 1, over);
        _new(known, 20, 1e24, 1e24);
        _new(known, 20, 1, 1);
    }

    function test_initialize_whenNotTheDeployerOrAgainOrZero_thenRefused() external {
        vm.expectRevert(Wired.AlreadyInitialized.selector);
        models.initialize(alice);
        ModelRegistry fresh = _new(address(authority), MAX_ROUND, 1, 1);
        vm.expectRevert(abi.encodeWithSelector(Wired.NotDeployer.selector, alice));
        vm.prank(alice);
        fresh.initialize(rounds);
        vm.expectRevert(Wired.ZeroAddress.selector);
        fresh.initialize(address(0));
        fresh.initialize(rounds);
    }

    function test_register_whenARoot_thenItsHeadIsItsGenesis() external {
        IModelRegistry.Policy memory policy = Policies.standard();
        policy.emissionBps = 0;
        vm.expectEmit(address(models));
        emit IModelRegistry.ModelRegistered(1, 0, 0, "world", "all", GENESIS, alice);
        vm.expectEmit(address(models));
        emit IModelRegistry.PolicySet(1, policy);
        uint256 id = _register(0, 0, "world");
        assertEq(id, 1);
        assertEq(models.count(), 1);
        assertEq(models.idOf("world"), 1);
        assertEq(models.headOf(1), GENESIS);
        assertEq(models.parentOf(1), 0);
        assertEq(keccak256(abi.encode(models.policyOf(1))), keccak256(abi.encode(policy)));
        IModelRegistry.Model memory model = models.get(1);
        assertEq(model.genesis, GENESIS);
        assertEq(model.headRound, 0);
        assertEq(model.owner, alice);
        assertEq(model.field, "all");
    }

    function test_register_whenBelowAParent_thenLevelsMayBeLeftOut() external {
        _register(0, 0, "world");
        assertEq(_register(1, 2, "law"), 2);
        assertEq(_register(2, 4, "mine"), 3);
        assertEq(models.parentOf(3), 2);
        assertEq(models.get(3).level, 4);
    }

    function test_register_whenTheLevelDoesNotFit_thenRefused() external {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadLevel.selector, 1));
        _register(0, 1, "root");
        _register(0, 0, "world");
        _register(1, 2, "law");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadLevel.selector, 5));
        _register(1, 5, "deep");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadLevel.selector, 2));
        _register(2, 2, "beside");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadLevel.selector, 1));
        _register(2, 1, "above");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, 3));
        _register(3, 3, "orphan");
    }

    function test_register_whenANameIsBad_thenRefused() external {
        string memory longest = "0123456789012345678901234567890123456789012345678901234567890123";
        string memory over = string.concat(longest, "4");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadName.selector, ""));
        _register(0, 0, "");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadName.selector, over));
        _register(0, 0, over);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadName.selector, ""));
        models.register(0, 0, "world", "", GENESIS, Policies.standard());
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadName.selector, over));
        models.register(0, 0, "world", over, GENESIS, Policies.standard());
        models.register(0, 0, longest, longest, GENESIS, Policies.standard());
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NameTaken.selector, longest));
        _register(0, 0, longest);
        vm.expectRevert(IModelRegistry.ZeroDigest.selector);
        models.register(0, 0, "empty", "all", bytes32(0), Policies.standard());
    }

    function test_setHead_whenRoundsCalls_thenTheHeadMoves() external {
        _register(0, 0, "world");
        bytes32 head = keccak256("head");
        vm.expectEmit(address(models));
        emit IModelRegistry.HeadSet(1, 7, head);
        vm.prank(rounds);
        models.setHead(1, 7, head);
        assertEq(models.headOf(1), head);
        assertEq(models.get(1).headRound, 7);
        assertEq(models.get(1).genesis, GENESIS);
    }

    function test_setHead_whenAnotherCallsOrNoSuchModel_thenRefused() external {
        _register(0, 0, "world");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotRounds.selector, alice));
        vm.prank(alice);
        models.setHead(1, 1, GENESIS);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, 2));
        vm.prank(rounds);
        models.setHead(2, 1, GENESIS);
    }

    function test_setPolicy_whenGovernanceCalls_thenOnlyThatModelChanges() external {
        _register(0, 0, "world");
        _register(1, 1, "english");
        IModelRegistry.Policy memory policy = Policies.standard();
        policy.emissionBps = 0;
        bytes32 before = keccak256(abi.encode(policy));
        (policy.quorumBps, policy.minMinerStake, policy.minValidatorStake) = (8000, 7e18, 70e18);
        vm.expectEmit(address(models));
        emit IModelRegistry.PolicySet(2, policy);
        vm.prank(admin);
        models.setPolicy(2, policy);
        assertEq(keccak256(abi.encode(models.policyOf(2))), keccak256(abi.encode(policy)));
        assertEq(keccak256(abi.encode(models.policyOf(1))), before);
        assertEq(models.minStakeOf(2, 1), 7e18);
        assertEq(models.minStakeOf(2, 2), 70e18);
    }

    function test_register_whenItsPolicyWantsEmission_thenItHasNoneUntilListed() external {
        _register(0, 0, "world");
        assertEq(models.policyOf(1).emissionBps, 0);
        vm.expectEmit(address(models));
        emit IModelRegistry.EmissionSet(1, 10_000);
        vm.startPrank(admin);
        models.setEmission(1, 10_000);
        assertEq(models.policyOf(1).emissionBps, 10_000);
        models.setEmission(1, 0);
        assertEq(models.policyOf(1).emissionBps, 0);
    }

    function test_setEmission_whenTooMuchOrNoSuchModelOrNotAllowed_thenRefused() external {
        _register(0, 0, "world");
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, alice));
        vm.prank(alice);
        models.setEmission(1, 1);
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadThreshold.selector, 10_001));
        models.setEmission(1, 10_001);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, 2));
        models.setEmission(2, 1);
    }

    function test_setPolicy_whenAStrangerOrTheOwnerCalls_thenRefused() external {
        _register(0, 0, "world");
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, alice));
        vm.prank(alice);
        models.setPolicy(1, Policies.standard());
    }

    function test_setPolicy_whenBadOrNoSuchModel_thenRefused() external {
        _register(0, 0, "world");
        IModelRegistry.Policy memory policy = Policies.standard();
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, 2));
        models.setPolicy(2, policy);
        policy.committee = 2;
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadThreshold.selector, 2));
        models.setPolicy(1, policy);
    }

    function test_minStakeOf_whenTheRoleIsNone_thenRefused() external {
        _register(0, 0, "world");
        assertEq(models.minStakeOf(1, 1), Policies.MIN_MINER);
        assertEq(models.minStakeOf(1, 2), Policies.MIN_VALIDATOR);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadRole.selector, 0));
        models.minStakeOf(1, 0);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.BadRole.selector, 3));
        models.minStakeOf(1, 3);
    }

    function test_views_whenNoSuchModel_thenRefused() external {
        _register(0, 0, "world");
        assertEq(models.idOf("mars"), 0);
        _expectUnknown(2);
        models.get(2);
        _expectUnknown(0);
        models.policyOf(0);
        _expectUnknown(2);
        models.headOf(2);
        _expectUnknown(0);
        models.parentOf(0);
        _expectUnknown(2);
        models.minStakeOf(2, 1);
    }

    function _new(address authority_, uint64 round, uint256 miner, uint256 validator) private returns (ModelRegistry) {
        return new ModelRegistry(authority_, round, miner, validator);
    }

    function _expectNone(address authority_, uint64 round, uint256 miner, uint256 validator, bytes memory why) private {
        vm.expectRevert(why);
        _new(authority_, round, miner, validator);
    }

    function _expectUnknown(uint256 id) private {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, id));
    }

    function _register(uint256 parent, uint8 level, string memory name) private returns (uint256) {
        vm.prank(alice);
        return models.register(parent, level, name, "all", GENESIS, Policies.standard());
    }
}
