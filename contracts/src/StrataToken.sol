// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Capped} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Capped.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {IStrataToken} from "./interfaces/IStrataToken.sol";
import {Wired} from "./libraries/Wired.sol";

/// @title The network's token
/// @dev Described in `IStrataToken`.
contract StrataToken is IStrataToken, ERC20Permit, ERC20Capped, Wired {
    uint256 private constant CAP = 100_000_000e18;
    uint256 private constant GENESIS = 10_000_000e18;

    /// @inheritdoc IStrataToken
    address public minter;

    /// @dev Lets the minter through.
    modifier onlyMinter() {
        if (msg.sender != minter) revert NotMinter(msg.sender);
        _;
    }

    constructor(address treasury) ERC20("Strata", "STRATA") ERC20Permit("Strata") ERC20Capped(CAP) {
        _mint(treasury, GENESIS);
    }

    /// @inheritdoc IStrataToken
    function initialize(address minter_) external wiring {
        minter = _nonZero(minter_);
    }

    /// @inheritdoc IStrataToken
    function mint(address account, uint256 amount) external onlyMinter {
        _mint(account, amount);
    }

    /// @inheritdoc IStrataToken
    function burn(uint256 amount) external onlyMinter {
        _burn(msg.sender, amount);
    }

    /// @inheritdoc IStrataToken
    function mintable() external view returns (uint256) {
        return cap() - totalSupply();
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Capped) {
        super._update(from, to, value);
    }
}
