// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../../src/interfaces/IRounds.sol";
import {vm} from "../support/Vm.sol";
import {RoundsWorld} from "./RoundsWorld.sol";

/// @notice A wallet with code: it signed what its owner says that it signed.
contract WalletMock {
    mapping(bytes32 hash => bool) public signed;

    function sign(bytes32 hash) external {
        signed[hash] = true;
    }

    function isValidSignature(bytes32 hash, bytes calldata) external view returns (bytes4) {
        return signed[hash] ? this.isValidSignature.selector : bytes4(0);
    }
}

contract DisputesTest is RoundsWorld {
    bytes32 private constant A = keccak256("a");
    bytes32 private constant B = keccak256("b");

    address private _signer;
    uint256 private _key;

    function setUp() public override {
        super.setUp();
        (_signer, _key) = accountAndKey("signer");
        populate(1, 3);
    }

    // --- challenges ---

    function test_challenge_whenTwoThirdsObject_thenRewardsAreVoided() public {
        play(same(3, list(9)));
        vm.expectEmit(address(rounds));
        emit IRounds.RoundChallenged(MODEL, 1, validator(0), 100);
        _challenge(0);
        assertEq(rounds.challengedStake(MODEL, 1), 100);
        assertFalse(rewards.isVoided(MODEL, 1));
        _challenge(1);
        assertTrue(rewards.isVoided(MODEL, 1));
        uint64 unlock = rewards.unlockOf(MODEL, 1);
        vm.prank(validator(2));
        vm.expectRevert(abi.encodeWithSelector(IRounds.TooLate.selector, unlock));
        rounds.challenge(MODEL, 1);
    }

    function test_challenge_whenRewardsHaveVested_thenRefused() public {
        play(same(3, list(9)));
        uint64 unlock = rewards.unlockOf(MODEL, 1);
        rollTo(unlock - 1);
        _challenge(0);
        rollTo(unlock);
        vm.prank(validator(1));
        vm.expectRevert(abi.encodeWithSelector(IRounds.TooLate.selector, unlock));
        rounds.challenge(MODEL, 1);
    }

    function test_challenge_whenNotEntitled_thenRefused() public {
        play(same(3, list(9)));
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotEnrolled.selector, address(this)));
        rounds.challenge(MODEL, 1);
        _challenge(0);
        vm.prank(validator(0));
        vm.expectRevert(IRounds.AlreadyChallenged.selector);
        rounds.challenge(MODEL, 1);
    }

    function test_challenge_whenRoundIsNotFinal_thenRefused() public {
        bytes memory refused = abi.encodeWithSelector(IRounds.NotFinal.selector, 1);
        vm.expectRevert(refused);
        rounds.challenge(MODEL, 1);
        submit(1);
        vm.prank(validator(0));
        vm.expectRevert(refused);
        rounds.challenge(MODEL, 1);
        reach(FINAL);
        settle(); // void
        vm.prank(validator(0));
        vm.expectRevert(refused);
        rounds.challenge(MODEL, 1);
    }

    // --- conflicting statements ---

    function test_proveConflict_whenTwoHeadsAreSigned_thenSlashedOnce() public {
        _seated(_signer);
        (bytes memory sigA, bytes memory sigB) = (_sign(A), _sign(B));
        vm.expectEmit(address(rounds));
        emit IRounds.ConflictProven(MODEL, 1, _signer, A, B);
        rounds.proveConflict(MODEL, 1, _signer, A, sigA, B, sigB);
        (uint8 role, address who, uint16 bps) = staking.slashes(0);
        assertTrue(role == 2 && who == _signer && bps == 500);
        vm.expectRevert(IRounds.AlreadyProven.selector);
        rounds.proveConflict(MODEL, 1, _signer, B, sigB, A, sigA);
        assertEq(staking.slashCount(), 1);
    }

    function test_proveConflict_whenItSignedForManyRounds_thenSlashedOnceInTheUnbondingTime() public {
        uint64 time = staking.unbondingBlocks();
        _seated(_signer);
        _nextSeated();
        prove(1);
        uint256 proven = vm.getBlockNumber();
        vm.expectRevert(IRounds.AlreadyProven.selector);
        this.prove(2);
        rollTo(proven + time - 100);
        _nextSeated();
        rollTo(proven + time - 1);
        vm.expectRevert(IRounds.AlreadyProven.selector);
        this.prove(3);
        rollTo(proven + time);
        prove(3);
        assertEq(staking.slashCount(), 2);
    }

    function test_proveConflict_whenWhoHadStakeMayHaveLeft_thenRefused() public {
        uint64 time = staking.unbondingBlocks();
        _seated(_signer);
        _nextSeated();
        uint64 late = rounds.roundView(MODEL, 1).openBlock + time;
        rollTo(late);
        vm.expectRevert(abi.encodeWithSelector(IRounds.TooLate.selector, late));
        this.prove(1);
        late = rounds.roundView(MODEL, 2).openBlock + time;
        rollTo(late - 1);
        prove(2);
        assertEq(staking.slashCount(), 1);
    }

    function test_proveConflict_whenAWalletSigned_thenItsWordCounts() public {
        WalletMock wallet = new WalletMock();
        _seated(address(wallet));
        wallet.sign(rounds.headStatementHash(MODEL, 1, A));
        vm.expectRevert(abi.encodeWithSelector(IRounds.BadSignature.selector, B));
        rounds.proveConflict(MODEL, 1, address(wallet), A, "", B, "");
        wallet.sign(rounds.headStatementHash(MODEL, 1, B));
        rounds.proveConflict(MODEL, 1, address(wallet), A, "", B, "");
        assertEq(staking.slashCount(), 1);
    }

    function test_proveConflict_whenSameHeadOrNotSeated_thenRefused() public {
        (bytes memory sigA, bytes memory sigB) = (_sign(A), _sign(B));
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotEnrolled.selector, _signer));
        rounds.proveConflict(MODEL, 1, _signer, A, sigA, B, sigB);
        _seated(_signer);
        vm.expectRevert(IRounds.NoConflict.selector);
        rounds.proveConflict(MODEL, 1, _signer, A, sigA, A, sigA);
    }

    function test_proveConflict_whenSignedForAnythingElse_thenRefused() public {
        _seated(_signer);
        bytes memory sigA = _sign(A);
        bytes memory refusedB = abi.encodeWithSelector(IRounds.BadSignature.selector, B);
        bytes memory other = _signHash(rounds.headStatementHash(MODEL, 2, B));
        vm.expectRevert(refusedB);
        rounds.proveConflict(MODEL, 1, _signer, A, sigA, B, other);
        other = _signHash(rounds.headStatementHash(MODEL + 1, 1, B));
        vm.expectRevert(refusedB);
        rounds.proveConflict(MODEL, 1, _signer, A, sigA, B, other);
        other = _signHash(makeRounds().headStatementHash(MODEL, 1, B));
        vm.expectRevert(refusedB);
        rounds.proveConflict(MODEL, 1, _signer, A, sigA, B, other);
        vm.expectRevert(refusedB);
        rounds.proveConflict(MODEL, 1, _signer, A, sigA, B, sigA);
        other = _sign(B);
        vm.chainId(1);
        vm.expectRevert(abi.encodeWithSelector(IRounds.BadSignature.selector, A));
        rounds.proveConflict(MODEL, 1, _signer, A, sigA, B, other);
    }

    function test_headStatementHash_whenComputedByHand_thenTheSame() public view {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("StrataRounds"),
                keccak256("1"),
                block.chainid,
                address(rounds)
            )
        );
        bytes32 content = keccak256(
            abi.encode(keccak256("HeadStatement(uint256 model,uint64 round,bytes32 head)"), MODEL, uint64(1), A)
        );
        assertEq(rounds.headStatementHash(MODEL, 1, A), keccak256(abi.encodePacked(hex"1901", domain, content)));
    }

    function test_miners_whenAsked_thenThoseOfTheOpening() public {
        assertEq(rounds.miners(MODEL, 1).length, 0);
        open();
        assertEq(rounds.miners(MODEL, 1)[0], miner(0));
        assertEq(rounds.historyBlocks(), 256);
        assertEq(uint256(rounds.roundView(MODEL, 2).round), 0);
        (uint8 none,,) = rounds.phaseAt(MODEL, 2, vm.getBlockNumber());
        assertEq(uint256(none), 0);
    }

    // --- helpers ---

    function _challenge(uint256 index) private {
        vm.prank(validator(index));
        rounds.challenge(MODEL, 1);
    }

    function _seated(address who) private {
        staking.setSlot(3, who, 100);
        submit(1);
        tick();
    }

    /// @dev Ends the present round, and brings the next one to where its validators are seated.
    function _nextSeated() private {
        reach(FINAL);
        settle();
        submit(1);
        tick();
    }

    function prove(uint64 number) public {
        bytes memory sigA = _signHash(rounds.headStatementHash(MODEL, number, A));
        bytes memory sigB = _signHash(rounds.headStatementHash(MODEL, number, B));
        rounds.proveConflict(MODEL, number, _signer, A, sigA, B, sigB);
    }

    function _sign(bytes32 head) private view returns (bytes memory) {
        return _signHash(rounds.headStatementHash(MODEL, 1, head));
    }

    function _signHash(bytes32 hash) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(_key, hash);
        return abi.encodePacked(r, s, v);
    }
}
