// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title The network's token: ERC-20 with permit and a cap
/// @notice Amounts are in wei of the token (18 decimals). Only `Rewards` can mint, and burn what is its own;
/// nobody can move another's tokens.
interface IStrataToken is IERC20 {
    /// @notice Someone else than the minter tried to mint.
    error NotMinter(address caller);

    /// @notice Names the one contract that may mint. Once, by the deployer.
    function initialize(address minter_) external;

    /// @notice Mints `amount` to `account`; refused above the cap.
    function mint(address account, uint256 amount) external;

    /// @notice Burns `amount` of the minter's own balance; it can be minted again. Only the minter.
    function burn(uint256 amount) external;

    /// @notice The contract that may mint.
    function minter() external view returns (address);

    /// @notice Tokens that can still be minted, in wei.
    function mintable() external view returns (uint256);
}
