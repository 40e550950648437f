// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice Takes fees, and only such as were paid before they are told of.
contract FakeRewards {
    ERC20 private immutable _coin;

    uint256 public total;
    mapping(uint256 modelId => mapping(address server => uint256)) public feesOf;

    constructor(ERC20 coin) {
        _coin = coin;
    }

    function addFee(uint256 modelId, address server, uint256 amount) external {
        total += amount;
        feesOf[modelId][server] += amount;
        require(_coin.balanceOf(address(this)) == total, "fee without tokens");
    }
}

/// @notice A token that calls somebody whenever it moves.
contract HookCoin is ERC20 {
    address private _target;
    bytes private _call;
    bytes public answer;

    constructor() ERC20("Hook", "HOOK") {
        _mint(msg.sender, 1000e18);
    }

    function hook(address target, bytes calldata call_) external {
        (_target, _call) = (target, call_);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_target == address(0)) return;
        (, answer) = _target.call(_call);
    }
}
