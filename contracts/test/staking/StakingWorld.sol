// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {Staking} from "../../src/Staking.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";

/// @dev A token with permit that anybody may mint.
contract TestToken is ERC20Permit {
    constructor() ERC20("Test", "TEST") ERC20Permit("Test") {}

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }
}

/// @dev Minima as the tests set them; every model exists.
contract TestModels {
    mapping(uint256 modelId => mapping(uint8 role => uint256)) private _minima;

    function setMinimum(uint256 modelId, uint8 role, uint256 amount) external {
        _minima[modelId][role] = amount;
    }

    function minStakeOf(uint256 modelId, uint8 role) external view returns (uint256) {
        return _minima[modelId][role];
    }
}

/// @dev Pays a pool what the test put there for it; fails as long as the test wants.
contract TestRewards {
    TestToken private immutable _token;
    bool public broken;
    mapping(uint256 modelId => mapping(address validator => uint256)) public matured;

    constructor(TestToken token) {
        _token = token;
    }

    function put(uint256 modelId, address validator, uint256 amount) external {
        matured[modelId][validator] += amount;
    }

    function setBroken(bool value) external {
        broken = value;
    }

    function claimPool(uint256 modelId, address validator) external returns (uint256 amount) {
        require(!broken, "broken");
        amount = matured[modelId][validator];
        matured[modelId][validator] = 0;
        _token.mint(msg.sender, amount);
    }
}

/// @dev Staking with a token, minima and rewards of the tests. The test itself plays `Rounds`.
abstract contract StakingWorld is Test {
    uint8 internal constant MINER = 1;
    uint8 internal constant VALIDATOR = 2;
    uint256 internal constant MODEL = 1;
    uint256 internal constant OTHER_MODEL = 2;
    uint256 internal constant MIN_MINER = 10 ether;
    uint256 internal constant MIN_VALIDATOR = 100 ether;
    uint64 internal constant UNBONDING = 40;
    uint256 internal constant WIDTH = 10;

    TestToken internal token;
    TestModels internal models;
    TestRewards internal rewards;
    Staking internal staking;
    address internal treasury = address(0x7EA5);
    address internal alice = address(0xA11CE);
    address internal bob = address(0xB0B);
    address internal carol = address(0xCA401);

    function setUp() public virtual {
        token = new TestToken();
        models = new TestModels();
        rewards = new TestRewards(token);
        for (uint256 id = MODEL; id <= OTHER_MODEL; ++id) {
            models.setMinimum(id, MINER, MIN_MINER);
            models.setMinimum(id, VALIDATOR, MIN_VALIDATOR);
        }
        staking = makeStaking(UNBONDING);
        vm.roll(1_000);
    }

    function makeStaking(uint64 unbonding) internal returns (Staking made) {
        made = deployStaking(address(token), address(models), treasury, unbonding);
        made.initialize(address(this), address(rewards));
    }

    /// @dev Deploys by the artifact, since a test that held the contract's code would be above the limit of code size.
    function deployStaking(address token_, address models_, address treasury_, uint64 unbonding)
        public
        returns (Staking made)
    {
        bytes memory creation =
            bytes.concat(vm.getCode("Staking.sol:Staking"), abi.encode(token_, models_, treasury_, unbonding));
        assembly ("memory-safe") {
            made := create(0, add(creation, 0x20), mload(creation))
            if iszero(made) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
    }

    /// @dev Mints `amount` to the account and stakes it.
    function stakeAs(address who, uint8 role, uint256 amount) internal {
        fund(who, amount);
        vm.prank(who);
        staking.stake(MODEL, role, amount);
    }

    function unstakeAs(address who, uint8 role, uint256 amount) internal {
        vm.prank(who);
        staking.unstake(MODEL, role, amount);
    }

    function delegateAs(address who, address validator, uint256 amount) internal returns (uint256 shares) {
        (uint256 before,) = staking.delegationOf(MODEL, validator, who);
        fund(who, amount);
        vm.prank(who);
        staking.delegate(MODEL, validator, amount);
        (shares,) = staking.delegationOf(MODEL, validator, who);
        shares -= before;
    }

    /// @dev Withdraws, and returns what came, in wei.
    function withdrawAs(address who) internal returns (uint256) {
        uint256 before = token.balanceOf(who);
        vm.prank(who);
        staking.withdraw();
        return token.balanceOf(who) - before;
    }

    function fund(address who, uint256 amount) internal {
        token.mint(who, amount);
        vm.prank(who);
        token.approve(address(staking), type(uint256).max);
    }

    /// @dev Goes past the release of all that was asked back until now.
    function passUnbonding() internal {
        skipBlocks(UNBONDING + WIDTH);
    }

    function effective(address who, uint8 role) internal view returns (uint256) {
        return staking.activeStake(who, MODEL, role);
    }
}
