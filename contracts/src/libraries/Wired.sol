// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Wiring that the deployer does once
/// @notice Contracts that need each other's addresses get them after deployment, once; the deployer has no powers after that.
abstract contract Wired {
    address private immutable _deployer;
    bool private _wired;

    /// @notice Someone else than the deployer tried to wire the contract.
    error NotDeployer(address caller);
    /// @notice The contract was wired before.
    error AlreadyInitialized();
    /// @notice An address that is needed is zero.
    error ZeroAddress();

    constructor() {
        _deployer = msg.sender;
    }

    /// @dev Lets the deployer through, once.
    modifier wiring() {
        if (msg.sender != _deployer) revert NotDeployer(msg.sender);
        if (_wired) revert AlreadyInitialized();
        _wired = true;
        _;
    }

    function _nonZero(address account) internal pure returns (address) {
        if (account == address(0)) revert ZeroAddress();
        return account;
    }
}
