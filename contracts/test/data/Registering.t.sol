// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IDataRegistry} from "../../src/interfaces/IDataRegistry.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {vm} from "../support/Vm.sol";
import {DataWorld} from "./DataWorld.sol";

/// @notice Announcing and registering, roots, deposits and their way back.
contract RegisteringTest is DataWorld {
    bytes32 private constant PERMIT =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    function test_constructor_whenASettingIsOut_thenRefused() external {
        _expectSetting(0);
        _new(address(0), BALLOT, DEPOSIT);
        _expectSetting(0);
        _new(treasury, 0, DEPOSIT);
        _expectSetting(1_000_001);
        _new(treasury, 1_000_001, DEPOSIT);
        _expectSetting(1000e18 + 1);
        _new(treasury, BALLOT, 1000e18 + 1);
        vm.expectEmit(false, false, false, true);
        emit IDataRegistry.DepositSet(1000e18);
        assertEq(_new(treasury, 1_000_000, 1000e18).deposit(), 1000e18);
        assertEq(_new(treasury, 1, 0).ballotBlocks(), 1);
    }

    function test_register_whenAnnouncedBefore_thenPendingAndTheDepositIsTaken() external {
        bytes32 commitment = data.commitmentOf(MODEL, alice, ROOT, SALT);
        vm.expectEmit(address(data));
        emit IDataRegistry.DatasetAnnounced(commitment, uint64(vm.getBlockNumber()));
        _announce(alice, MODEL, ROOT, SALT);
        assertEq(data.announcedAt(commitment), vm.getBlockNumber());
        skipBlocks(1);
        vm.expectEmit(address(data));
        emit IDataRegistry.DatasetRegistered(1, MODEL, alice, ROOT, "CC0-1.0", 1000, 10, 2);
        uint256 id = _register(alice, MODEL, ROOT);

        assertEq(id, 1);
        IDataRegistry.Dataset memory found = data.get(1);
        assertEq(found.modelId, MODEL);
        assertEq(found.owner, alice);
        assertEq(found.root, ROOT);
        assertEq(found.licence, "CC0-1.0");
        assertEq(found.bytes_, 1000);
        assertEq(found.shards, 10);
        assertEq(found.heldout, 2);
        assertEq(found.status, 0);
        assertEq(found.deposit, DEPOSIT);
        assertEq(found.registeredBlock, vm.getBlockNumber());
        assertEq(coin.balanceOf(address(data)), DEPOSIT);
        assertEq(data.announcedAt(commitment), 0);
        assertEq(data.idOf(ROOT), 1);
        assertEq(data.count(), 1);
        assertEq(data.ownerOf(1), alice);
        assertEq(data.modelOf(1), MODEL);
        assertEq(data.valueOf(1), 0);
        skipBlocks(1);
        assertFalse(data.isUsableAt(1, vm.getBlockNumber()));
    }

    function test_register_whenNotAnnouncedOrInTheSameBlock_thenRefused() external {
        bytes memory why =
            abi.encodeWithSelector(IDataRegistry.NotAnnounced.selector, data.commitmentOf(MODEL, alice, ROOT, SALT));
        vm.expectRevert(why);
        _register(alice, MODEL, ROOT);
        _announce(alice, MODEL, ROOT, SALT);
        vm.expectRevert(why);
        _register(alice, MODEL, ROOT);
        skipBlocks(1);
        _register(alice, MODEL, ROOT);
    }

    function test_register_whenACopierSawIt_thenTheFirstKeepsIt() external {
        _announce(alice, MODEL, ROOT, SALT);
        skipBlocks(1);
        // bob sees alice's registration wait, and announces the same root for himself: too late in this block
        _announce(bob, MODEL, ROOT, SALT);
        vm.expectRevert(
            abi.encodeWithSelector(IDataRegistry.NotAnnounced.selector, data.commitmentOf(MODEL, bob, ROOT, SALT))
        );
        _register(bob, MODEL, ROOT);
        _register(alice, MODEL, ROOT);
        skipBlocks(1);
        vm.expectRevert(abi.encodeWithSelector(IDataRegistry.DuplicateRoot.selector, ROOT));
        _register(bob, MODEL, ROOT);
    }

    function test_announce_whenSomebodyRepeatsIt_thenTheFirstBlockStands() external {
        _announce(alice, MODEL, ROOT, SALT);
        skipBlocks(1);
        bytes32 commitment = data.commitmentOf(MODEL, alice, ROOT, SALT);
        vm.recordLogs();
        vm.prank(bob);
        data.announce(commitment);
        assertEq(vm.getRecordedLogs().length, 0);
        assertEq(data.announcedAt(commitment), vm.getBlockNumber() - 1);
        _register(alice, MODEL, ROOT);
    }

    function test_register_whenAnnouncedOnce_thenServesOnce() external {
        uint256 id = _submit(alice, MODEL, ROOT);
        skipBlocks(BALLOT);
        vm.prank(alice);
        data.withdraw(id);
        vm.expectRevert(
            abi.encodeWithSelector(IDataRegistry.NotAnnounced.selector, data.commitmentOf(MODEL, alice, ROOT, SALT))
        );
        _register(alice, MODEL, ROOT);
    }

    function test_register_whenAFieldIsBad_thenRefused() external {
        string memory longest = "0123456789012345678901234567890123456789012345678901234567890123";
        _refused(bytes32(0), "CC0-1.0", 1, 1, 0);
        _refused(ROOT, "", 1, 1, 0);
        _refused(ROOT, string.concat(longest, "4"), 1, 1, 0);
        _refused(ROOT, "CC0-1.0", 0, 1, 0);
        _refused(ROOT, "CC0-1.0", 1, 0, 0);
        _refused(ROOT, "CC0-1.0", 1, 100_001, 0);
        _refused(ROOT, "CC0-1.0", 1, 3, 4);
        _announce(alice, MODEL, ROOT, SALT);
        skipBlocks(1);
        vm.prank(alice);
        assertEq(data.register(MODEL, ROOT, longest, 1, 100_000, 100_000, SALT), 1);
    }

    function test_register_whenNoSuchModel_thenRefused() external {
        _announce(alice, 9, ROOT, SALT);
        skipBlocks(1);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, 9));
        _register(alice, 9, ROOT);
    }

    function test_register_whenTheModelHasNoValidators_thenOnlyItsOwnersIsAccepted() external {
        uint256 hers = _submit(alice, BARE, ROOT);
        assertEq(_statusOf(hers), 0);
        _announce(modeller, BARE, keccak256("own"), SALT);
        skipBlocks(1);
        vm.expectEmit(address(data));
        emit IDataRegistry.DatasetAccepted(2, uint64(vm.getBlockNumber()), 10_000);
        uint256 own = _register(modeller, BARE, keccak256("own"));
        assertEq(_statusOf(own), 1);
        assertEq(data.valueOf(own), 10_000);
        assertEq(data.get(own).acceptedBlock, vm.getBlockNumber());
        assertFalse(data.isUsableAt(own, vm.getBlockNumber()));
        assertTrue(data.isUsableAt(own, vm.getBlockNumber() + 1));
        // with validators the owner of a model waits like anybody
        uint256 third = _submit(modeller, MODEL, keccak256("third"));
        assertEq(_statusOf(third), 0);
    }

    function test_register_whenItCannotPay_thenRefused() external {
        address poor = account("poor");
        _announce(poor, MODEL, ROOT, SALT);
        skipBlocks(1);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(data), 0, DEPOSIT)
        );
        _register(poor, MODEL, ROOT);
    }

    function test_setDeposit_whenGovernanceCalls_thenLaterRegistrationsPayIt() external {
        uint256 before = _submit(alice, MODEL, ROOT);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, alice));
        vm.prank(alice);
        data.setDeposit(0);
        _expectSetting(1000e18 + 1);
        vm.prank(admin);
        data.setDeposit(1000e18 + 1);
        vm.expectEmit(address(data));
        emit IDataRegistry.DepositSet(0);
        vm.prank(admin);
        data.setDeposit(0);
        uint256 free = _submit(bob, MODEL, keccak256("free"));
        assertEq(data.get(before).deposit, DEPOSIT);
        assertEq(data.get(free).deposit, 0);
        assertEq(coin.balanceOf(address(data)), DEPOSIT);
    }

    function test_multicall_whenAPermitGoesWithIt_thenOneTransactionRegisters() external {
        (address carol, uint256 key) = accountAndKey("carol");
        coin.mint(carol, DEPOSIT);
        _announce(carol, MODEL, ROOT, SALT);
        skipBlocks(1);
        bytes32 words = keccak256(abi.encode(PERMIT, carol, address(data), DEPOSIT, 0, type(uint256).max));
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(key, keccak256(abi.encodePacked("\x19\x01", coin.DOMAIN_SEPARATOR(), words)));
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(data.selfPermit, (DEPOSIT, type(uint256).max, v, r, s));
        calls[1] = abi.encodeCall(data.register, (MODEL, ROOT, "CC0-1.0", 1000, 10, 2, SALT));
        // somebody sends the permit first; the batch still goes through
        coin.permit(carol, address(data), DEPOSIT, type(uint256).max, v, r, s);
        vm.prank(carol);
        data.multicall(calls);
        assertEq(data.ownerOf(1), carol);
        assertEq(coin.balanceOf(carol), 0);
    }

    function test_views_whenNoSuchDataset_thenRefused() external {
        _submit(alice, MODEL, ROOT);
        _expectUnknown(0);
        data.get(0);
        _expectUnknown(2);
        data.get(2);
        _expectUnknown(2);
        data.vote(2, true, 1);
        _expectUnknown(2);
        data.withdraw(2);
        _expectUnknown(2);
        data.reclaim(2);
        assertEq(data.ownerOf(2), address(0));
        assertEq(data.modelOf(2), 0);
        assertFalse(data.isUsableAt(2, vm.getBlockNumber()));
        assertFalse(data.hasVoted(2, v40));
        assertEq(data.ballotOf(2).number, 0);
    }

    function _refused(bytes32 root, string memory licence, uint64 bytes_, uint32 shards, uint32 heldout) private {
        vm.expectRevert(IDataRegistry.BadDataset.selector);
        vm.prank(alice);
        data.register(MODEL, root, licence, bytes_, shards, heldout, SALT);
    }

    function _expectSetting(uint256 value) private {
        vm.expectRevert(abi.encodeWithSelector(IDataRegistry.BadSetting.selector, value));
    }

    function _expectUnknown(uint256 id) private {
        vm.expectRevert(abi.encodeWithSelector(IDataRegistry.UnknownDataset.selector, id));
    }
}
