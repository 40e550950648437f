// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {DataRegistry} from "../../src/DataRegistry.sol";
import {InferenceChannels} from "../../src/InferenceChannels.sol";
import {ModelRegistry} from "../../src/ModelRegistry.sol";
import {Rewards} from "../../src/Rewards.sol";
import {Rounds} from "../../src/Rounds.sol";
import {Staking} from "../../src/Staking.sol";
import {StrataToken} from "../../src/StrataToken.sol";
import {StrataAuthority} from "../../src/governance/StrataAuthority.sol";
import {StrataTimelock} from "../../src/governance/StrataTimelock.sol";
import {Moves, Network} from "./Moves.sol";
import {vm} from "./Vm.sol";

/// @notice A whole network, deployed and wired as on a real chain, with nobody but the timelock in charge.
abstract contract World is Moves {
    uint256 internal constant DATA_DEPOSIT = 5e18;
    uint256 internal constant MIN_MINER = 1e18;
    uint256 internal constant MIN_VALIDATOR = 10e18;
    uint256 internal constant TIMELOCK_SECONDS = 2 days;
    uint64 internal constant GUARDIAN_ROLE = 1;
    uint256 internal constant CAP = 100_000_000e18;
    uint256 internal constant GENESIS = 10_000_000e18;

    /// @dev In blocks. A test that wants other times sets them before it calls `super.setUp()`.
    uint64 internal unbonding = 600;
    uint64 internal vesting = 30;
    uint64 internal closeDelay = 20;
    uint64 internal ballot = 25;

    function setUp() public virtual {
        (treasury, council, guardian) = (account("treasury"), account("council"), account("guardian"));
        _deployGovernance();
        _deployContracts();
        _wire();
        _handOver();
    }

    /// @notice The network, for those who adopt it.
    function network() internal view returns (Network memory) {
        return Network(
            token, models, staking, data, rewards, channels, rounds, authority, timelock, treasury, council, guardian
        );
    }

    function _deployGovernance() private {
        address[] memory proposers = new address[](1);
        proposers[0] = council;
        address[] memory anyone = new address[](1);
        bytes memory terms = abi.encode(TIMELOCK_SECONDS, proposers, anyone);
        timelock = StrataTimelock(payable(deploy("StrataTimelock.sol:StrataTimelock", terms)));
        authority = StrataAuthority(deploy("StrataAuthority.sol:StrataAuthority", abi.encode(address(this))));
    }

    function _deployContracts() private {
        token = StrataToken(deploy("StrataToken.sol:StrataToken", abi.encode(treasury)));
        bytes memory floors = abi.encode(authority, (unbonding * 3) / 4, MIN_MINER, MIN_VALIDATOR);
        models = ModelRegistry(deploy("ModelRegistry.sol:ModelRegistry", floors));
        staking = Staking(deploy("Staking.sol:Staking", abi.encode(token, models, treasury, unbonding)));
        bytes memory rules = abi.encode(token, models, staking, treasury, authority, ballot, DATA_DEPOSIT);
        data = DataRegistry(deploy("DataRegistry.sol:DataRegistry", rules));
        bytes memory terms = abi.encode(token, models, staking, treasury, vesting, authority);
        rewards = Rewards(deploy("Rewards.sol:Rewards", terms));
        bytes memory peers = abi.encode(token, models, rewards, closeDelay);
        channels = InferenceChannels(deploy("InferenceChannels.sol:InferenceChannels", peers));
        rounds = Rounds(deploy("Rounds.sol:Rounds", abi.encode(staking, models, data, rewards, authority)));
    }

    function _wire() private {
        token.initialize(address(rewards));
        models.initialize(address(rounds));
        staking.initialize(address(rounds), address(rewards));
        rewards.initialize(address(rounds), address(channels));
    }

    function _handOver() private {
        bytes4[] memory pausing = new bytes4[](1);
        pausing[0] = Rounds.pause.selector;
        authority.setTargetFunctionRole(address(rounds), pausing, GUARDIAN_ROLE);
        authority.grantRole(GUARDIAN_ROLE, guardian, 0);
        authority.grantRole(authority.ADMIN_ROLE(), address(timelock), 0);
        authority.renounceRole(authority.ADMIN_ROLE(), address(this));
    }

    /// @dev Governance lists a model: it earns all that its stake votes to it.
    function _list(uint256 modelId) internal {
        vm.prank(address(timelock));
        models.setEmission(modelId, 10_000);
    }
}
