// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ERC20Capped} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Capped.sol";
import {StrataToken} from "../../src/StrataToken.sol";
import {IStrataToken} from "../../src/interfaces/IStrataToken.sol";
import {Wired} from "../../src/libraries/Wired.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";

/// @notice The token: its cap, its one minter, permits.
contract StrataTokenTest is Test {
    uint256 private constant CAP = 100_000_000e18;
    uint256 private constant GENESIS = 10_000_000e18;

    StrataToken private token;
    address private treasury = account("treasury");
    address private minter = account("minter");
    address private alice = account("alice");

    function setUp() public {
        token = new StrataToken(treasury);
        token.initialize(minter);
    }

    function test_constructor_whenMade_thenTheTreasuryHasGenesis() external view {
        assertEq(token.name(), "Strata");
        assertEq(token.symbol(), "STRATA");
        assertEq(token.decimals(), 18);
        assertEq(token.totalSupply(), GENESIS);
        assertEq(token.balanceOf(treasury), GENESIS);
        assertEq(token.mintable(), CAP - GENESIS);
        assertEq(token.minter(), minter);
    }

    function test_initialize_whenStrangerOrTwiceOrZero_thenReverts() external {
        StrataToken fresh = new StrataToken(treasury);
        expectError(abi.encodeWithSelector(Wired.ZeroAddress.selector));
        fresh.initialize(address(0));
        expectError(abi.encodeWithSelector(Wired.NotDeployer.selector, alice));
        vm.prank(alice);
        fresh.initialize(alice);
        expectError(abi.encodeWithSelector(Wired.AlreadyInitialized.selector));
        token.initialize(alice);
    }

    function test_mintAndBurn_whenNotTheMinter_thenRevert() external {
        expectError(abi.encodeWithSelector(IStrataToken.NotMinter.selector, treasury));
        vm.prank(treasury);
        token.mint(treasury, 1);
        expectError(abi.encodeWithSelector(IStrataToken.NotMinter.selector, treasury));
        vm.prank(treasury);
        token.burn(1);
    }

    function testFuzz_mint_whenBelowTheCap_thenThatMuchLessIsLeft(uint256 amount) external {
        amount = bound(amount, 0, CAP - GENESIS);
        vm.prank(minter);
        token.mint(alice, amount);
        assertEq(token.balanceOf(alice), amount);
        assertEq(token.mintable(), CAP - GENESIS - amount);
    }

    function test_mint_whenAboveTheCap_thenReverts() external {
        vm.startPrank(minter);
        token.mint(alice, CAP - GENESIS);
        expectError(abi.encodeWithSelector(ERC20Capped.ERC20ExceededCap.selector, CAP + 1, CAP));
        token.mint(alice, 1);
        vm.stopPrank();
    }

    function test_burn_whenTheMinters_thenCanBeMintedAgain() external {
        vm.startPrank(minter);
        token.mint(minter, 10);
        token.burn(4);
        assertEq(token.balanceOf(minter), 6);
        assertEq(token.mintable(), CAP - GENESIS - 6);
        expectError(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, minter, 6, 7));
        token.burn(7);
        vm.stopPrank();
    }

    function test_permit_whenSigned_thenAllowsOnceOnThisChainOnly() external {
        (address owner, uint256 key) = accountAndKey("owner");
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, _permitHash(owner, alice, 5));
        vm.chainId(5);
        vm.expectRevert();
        token.permit(owner, alice, 5, block.timestamp, v, r, s);
        vm.chainId(31337);
        token.permit(owner, alice, 5, block.timestamp, v, r, s);
        assertEq(token.allowance(owner, alice), 5);
        vm.expectRevert();
        token.permit(owner, alice, 5, block.timestamp, v, r, s);
    }

    function _permitHash(address owner, address spender, uint256 value) private view returns (bytes32) {
        bytes32 kind = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 body = keccak256(abi.encode(kind, owner, spender, value, token.nonces(owner), block.timestamp));
        return keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), body));
    }
}
