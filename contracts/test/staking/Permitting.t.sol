// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {vm} from "../support/Vm.sol";
import {StakingWorld} from "./StakingWorld.sol";

/// @notice One transaction that permits and stakes.
contract PermittingTest is StakingWorld {
    bytes32 private constant PERMIT =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    address private dave;
    uint256 private key;

    function setUp() public override {
        super.setUp();
        (dave, key) = accountAndKey("dave");
        token.mint(dave, MIN_MINER);
    }

    function test_multicall_permitAndStake_oneTransaction() external {
        (uint8 v, bytes32 r, bytes32 s) = _sign(MIN_MINER, block.timestamp);
        vm.prank(dave);
        staking.multicall(_calls(v, r, s));
        assertEq(effective(dave, MINER), MIN_MINER);
        assertEq(token.allowance(dave, address(staking)), 0);
    }

    function test_multicall_somebodyUsedThePermitFirst_stakesAllTheSame() external {
        (uint8 v, bytes32 r, bytes32 s) = _sign(MIN_MINER, block.timestamp);
        vm.prank(bob);
        token.permit(dave, address(staking), MIN_MINER, block.timestamp, v, r, s);
        vm.prank(dave);
        staking.multicall(_calls(v, r, s));
        assertEq(effective(dave, MINER), MIN_MINER);
    }

    function test_multicall_wrongSignature_transferSaysSo() external {
        (uint8 v, bytes32 r, bytes32 s) = _sign(MIN_MINER - 1, block.timestamp);
        vm.prank(dave);
        expectError(
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientAllowance.selector, address(staking), uint256(0), MIN_MINER
            )
        );
        staking.multicall(_calls(v, r, s));
    }

    function _calls(uint8 v, bytes32 r, bytes32 s) private view returns (bytes[] memory calls) {
        calls = new bytes[](2);
        calls[0] = abi.encodeCall(staking.selfPermit, (MIN_MINER, block.timestamp, v, r, s));
        calls[1] = abi.encodeCall(staking.stake, (MODEL, MINER, MIN_MINER));
    }

    function _sign(uint256 value, uint256 deadline) private view returns (uint8 v, bytes32 r, bytes32 s) {
        bytes32 body = keccak256(abi.encode(PERMIT, dave, address(staking), value, token.nonces(dave), deadline));
        return vm.sign(key, keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), body)));
    }
}
