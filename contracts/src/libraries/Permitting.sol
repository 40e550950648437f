// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

/// @title Allowance by signature, in the same transaction
/// @notice With `multicall` beside it, one transaction permits, and spends what it permitted.
abstract contract Permitting {
    IERC20Permit private immutable _permitted;

    constructor(address token) {
        _permitted = IERC20Permit(token);
    }

    /// @notice Gives this contract an allowance of `value` wei over the caller's tokens, by the caller's signature.
    /// @dev A permit that fails is passed over: whoever saw it may have used it first, and then the allowance is there.
    /// Where it isn't, the transfer that needs it says so.
    function selfPermit(uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        try _permitted.permit(msg.sender, address(this), value, deadline, v, r, s) {} catch {}
    }
}
