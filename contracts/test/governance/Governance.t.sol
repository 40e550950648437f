// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {StrataAuthority} from "../../src/governance/StrataAuthority.sol";
import {StrataTimelock} from "../../src/governance/StrataTimelock.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";
import {Governed} from "./Governed.sol";

/// @notice Governance as it is deployed: the timelock alone decides, after its delay; the guardian can pause and nothing else.
contract GovernanceTest is Test {
    uint64 private constant GUARDIAN = 1;
    uint256 private constant DELAY = 2 days;

    StrataAuthority internal authority;
    StrataTimelock internal timelock;
    Governed internal governed;

    address internal council = account("council");
    address internal guardian = account("guardian");
    address internal stranger = account("stranger");

    function setUp() public {
        authority = StrataAuthority(deploy("StrataAuthority.sol:StrataAuthority", abi.encode(address(this))));
        address[] memory proposers = new address[](1);
        proposers[0] = council;
        bytes memory arguments = abi.encode(DELAY, proposers, new address[](1));
        timelock = StrataTimelock(payable(deploy("StrataTimelock.sol:StrataTimelock", arguments)));
        governed = new Governed(address(authority));
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = Governed.pause.selector;
        authority.setTargetFunctionRole(address(governed), selectors, GUARDIAN);
        authority.labelRole(GUARDIAN, "GUARDIAN");
        authority.grantRole(GUARDIAN, guardian, 0);
        authority.grantRole(authority.ADMIN_ROLE(), address(timelock), 0);
        authority.renounceRole(authority.ADMIN_ROLE(), address(this));
    }

    function test_deployer_whenItRenounced_thenHasNoPowers() external {
        _expectUnauthorized(address(this));
        governed.set(1);
        _expectUnauthorized(address(this));
        governed.pause(1);
        uint64 admin = authority.ADMIN_ROLE();
        vm.expectRevert(
            abi.encodeWithSelector(IAccessManager.AccessManagerUnauthorizedAccount.selector, address(this), admin)
        );
        authority.grantRole(GUARDIAN, address(this), 0);
        (bool isAdmin,) = authority.hasRole(admin, address(this));
        assertFalse(isAdmin);
        (isAdmin,) = authority.hasRole(admin, address(timelock));
        assertTrue(isAdmin);
    }

    function test_council_whenItsProposalHasWaited_thenAnyoneExecutes() external {
        bytes memory call = abi.encodeCall(governed.set, (7));
        vm.prank(council);
        timelock.schedule(address(governed), 0, call, 0, 0, DELAY);
        bytes32 id = timelock.hashOperation(address(governed), 0, call, 0, 0);
        vm.warp(block.timestamp + DELAY - 1);
        vm.expectRevert(
            abi.encodeWithSelector(TimelockController.TimelockUnexpectedOperationState.selector, id, bytes32(uint256(4)))
        );
        timelock.execute(address(governed), 0, call, 0, 0);
        vm.warp(block.timestamp + 1);
        vm.prank(stranger);
        timelock.execute(address(governed), 0, call, 0, 0);
        assertEq(governed.setting(), 7);
    }

    function test_council_whenItHurries_thenRefused() external {
        vm.expectRevert(
            abi.encodeWithSelector(TimelockController.TimelockInsufficientDelay.selector, DELAY - 1, DELAY)
        );
        vm.prank(council);
        timelock.schedule(address(governed), 0, "", 0, 0, DELAY - 1);
        _expectUnauthorized(council);
        vm.prank(council);
        governed.set(1);
        vm.expectRevert(abi.encodeWithSelector(TimelockController.TimelockUnauthorizedCaller.selector, council));
        vm.prank(council);
        timelock.updateDelay(0);
    }

    function test_council_whenItCancels_thenNothingHappens() external {
        bytes memory call = abi.encodeCall(governed.set, (7));
        vm.startPrank(council);
        timelock.schedule(address(governed), 0, call, 0, 0, DELAY);
        bytes32 id = timelock.hashOperation(address(governed), 0, call, 0, 0);
        timelock.cancel(id);
        vm.stopPrank();
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(
            abi.encodeWithSelector(TimelockController.TimelockUnexpectedOperationState.selector, id, bytes32(uint256(4)))
        );
        timelock.execute(address(governed), 0, call, 0, 0);
    }

    function test_stranger_whenItProposes_thenRefused() external {
        bytes32 role = timelock.PROPOSER_ROLE();
        vm.expectRevert(abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, stranger, role));
        vm.prank(stranger);
        timelock.schedule(address(governed), 0, "", 0, 0, DELAY);
    }

    function test_timelock_whenMade_thenOnlyItselfAdministers() external view {
        bytes32 admin = timelock.DEFAULT_ADMIN_ROLE();
        assertTrue(timelock.hasRole(admin, address(timelock)));
        assertFalse(timelock.hasRole(admin, council));
        assertFalse(timelock.hasRole(admin, address(this)));
        assertFalse(timelock.hasRole(admin, address(0)));
        assertTrue(timelock.hasRole(timelock.CANCELLER_ROLE(), council));
        assertTrue(timelock.hasRole(timelock.EXECUTOR_ROLE(), address(0)));
        assertEq(timelock.getMinDelay(), DELAY);
    }

    function test_guardian_whenThereIsDanger_thenPausesAtOnceAndNoMore() external {
        vm.startPrank(guardian);
        governed.pause(100);
        assertEq(governed.pausedFor(), 100);
        _expectUnauthorized(guardian);
        governed.unpause();
        _expectUnauthorized(guardian);
        governed.set(1);
        vm.stopPrank();
        _expectUnauthorized(stranger);
        vm.prank(stranger);
        governed.pause(1);
    }

    function test_council_whenItReplacesTheGuardian_thenThroughTheTimelock() external {
        address[] memory targets = new address[](2);
        (targets[0], targets[1]) = (address(authority), address(authority));
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(authority.revokeRole, (GUARDIAN, guardian));
        calls[1] = abi.encodeCall(authority.grantRole, (GUARDIAN, stranger, 0));
        vm.prank(council);
        timelock.scheduleBatch(targets, new uint256[](2), calls, 0, 0, DELAY);
        vm.warp(block.timestamp + DELAY);
        timelock.executeBatch(targets, new uint256[](2), calls, 0, 0);
        _expectUnauthorized(guardian);
        vm.prank(guardian);
        governed.pause(1);
        vm.prank(stranger);
        governed.pause(1);
        assertEq(governed.pausedFor(), 1);
    }

    function _expectUnauthorized(address caller) private {
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, caller));
    }
}
