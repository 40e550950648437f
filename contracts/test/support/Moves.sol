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
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IRounds} from "../../src/interfaces/IRounds.sol";
import {Test} from "./Test.sol";
import {vm} from "./Vm.sol";

/// @notice A deployed network, and who runs it.
struct Network {
    StrataToken token;
    ModelRegistry models;
    Staking staking;
    DataRegistry data;
    Rewards rewards;
    InferenceChannels channels;
    Rounds rounds;
    StrataAuthority authority;
    StrataTimelock timelock;
    address treasury;
    address council;
    address guardian;
}

/// @notice What people do on a network, each as one call: whoever inherits this speaks for everybody.
/// @dev Deltas, scores and heads follow from model, round and who sends them, so that nothing has to be remembered between
/// commitment and reveal but what the caller passes twice.
abstract contract Moves is Test {
    uint8 internal constant MINER = 1;
    uint8 internal constant VALIDATOR = 2;
    uint8 internal constant TRAIN = 1;
    uint8 internal constant COMMIT = 2;
    uint8 internal constant REVEAL = 3;
    uint8 internal constant SCORE = 4;
    uint8 internal constant SCORE_REVEAL = 5;
    uint8 internal constant ATTEST = 6;
    uint8 internal constant ATTEST_REVEAL = 7;
    uint8 internal constant FINAL = 8;
    uint8 internal constant VOID = 9;
    bytes32 internal constant SALT = keccak256("salt");
    bytes32 internal constant REPORT = keccak256("report");

    StrataToken internal token;
    ModelRegistry internal models;
    Staking internal staking;
    DataRegistry internal data;
    Rewards internal rewards;
    InferenceChannels internal channels;
    Rounds internal rounds;
    StrataAuthority internal authority;
    StrataTimelock internal timelock;
    address internal treasury;
    address internal council;
    address internal guardian;

    /// @notice Takes over a network that somebody else deployed.
    function adopt(Network memory n) internal {
        (token, models, staking, data) = (n.token, n.models, n.staking, n.data);
        (rewards, channels, rounds) = (n.rewards, n.channels, n.rounds);
        (authority, timelock) = (n.authority, n.timelock);
        (treasury, council, guardian) = (n.treasury, n.council, n.guardian);
    }

    // --- money and stake ---

    /// @notice Gives somebody wei of the treasury's tokens.
    function fund(address who, uint256 amount) internal {
        vm.prank(treasury);
        token.transfer(who, amount);
    }

    /// @notice Funds and stakes.
    function stakeFor(address who, uint256 modelId, uint8 role, uint256 amount) internal {
        fund(who, amount);
        vm.prank(who);
        token.approve(address(staking), amount);
        vm.prank(who);
        staking.stake(modelId, role, amount);
    }

    /// @notice Funds and delegates.
    function delegateFor(address who, uint256 modelId, address validator, uint256 amount) internal {
        fund(who, amount);
        vm.prank(who);
        token.approve(address(staking), amount);
        vm.prank(who);
        staking.delegate(modelId, validator, amount);
    }

    // --- rounds ---

    /// @notice Opens the model's next round in the next block; returns its number.
    function open(uint256 modelId) internal returns (uint64 round) {
        skipBlocks(1);
        round = rounds.current(modelId) + 1;
        rounds.tick(modelId, round);
    }

    /// @notice The phase that the next transaction meets.
    function phaseOf(uint256 modelId, uint64 round) internal view returns (uint8 phase, uint64 end) {
        (phase, end,) = rounds.phaseAt(modelId, round, vm.getBlockNumber());
    }

    /// @notice Lets blocks pass until the phase begins, or the round has ended.
    function reach(uint256 modelId, uint64 round, uint8 wanted) internal {
        (uint8 phase, uint64 end) = phaseOf(modelId, round);
        while (phase < wanted && end != 0) {
            rollTo(end);
            (phase, end) = phaseOf(modelId, round);
        }
    }

    function digestOf(uint256 modelId, uint64 round, address miner) internal pure returns (bytes32) {
        return keccak256(abi.encode("delta", modelId, round, miner));
    }

    function headAfter(uint256 modelId, uint64 round) internal pure returns (bytes32) {
        return keccak256(abi.encode("head", modelId, round));
    }

    function commitDelta(uint256 modelId, uint64 round, address miner) internal {
        bytes32 content = digestOf(modelId, round, miner);
        bytes32 bound_ = keccak256(abi.encode(block.chainid, rounds, modelId, round, miner, content, SALT));
        vm.prank(miner);
        rounds.commitDelta(modelId, round, bound_);
    }

    function revealDelta(uint256 modelId, uint64 round, address miner, uint256[] memory datasets) internal {
        bytes32 base = rounds.roundView(modelId, round).baseHead;
        IRounds.Reveal memory r =
            IRounds.Reveal(digestOf(modelId, round, miner), SALT, 0, base, datasets, 1_000_000);
        vm.prank(miner);
        rounds.revealDelta(modelId, round, r);
    }

    function commitScores(uint256 modelId, uint64 round, address who, uint64[] memory scores, uint8[] memory reasons)
        internal
    {
        bytes32 bound_ =
            keccak256(abi.encode(block.chainid, rounds, modelId, round, who, scores, reasons, REPORT, SALT));
        vm.prank(who);
        rounds.commitScores(modelId, round, bound_);
    }

    function revealScores(uint256 modelId, uint64 round, address who, uint64[] memory scores, uint8[] memory reasons)
        internal
    {
        vm.prank(who);
        rounds.revealScores(modelId, round, scores, reasons, REPORT, SALT);
    }

    function commitHead(uint256 modelId, uint64 round, address who, bytes32 head) internal {
        bytes32 bound_ = keccak256(abi.encode(block.chainid, rounds, modelId, round, who, "HEAD", head, SALT));
        vm.prank(who);
        rounds.commitHead(modelId, round, bound_);
    }

    function revealHead(uint256 modelId, uint64 round, address who, bytes32 head) internal {
        vm.prank(who);
        rounds.revealHead(modelId, round, head, SALT);
    }

    /// @notice Ticks a round that has ended until it is settled; returns how many ticks that took.
    function settle(uint256 modelId, uint64 round) internal returns (uint256 ticks) {
        while (!rounds.roundView(modelId, round).settled) {
            rounds.tick(modelId, round);
            ++ticks;
            require(ticks < 500, "the round is never settled");
        }
    }

    // --- data and inference ---

    /// @notice Announces, waits a block, pays the deposit and registers text of 1 MB; the root follows from the label.
    function registerData(address owner, uint256 modelId, bytes32 label) internal returns (uint256 id) {
        bytes32 root = keccak256(abi.encode("root", label));
        bytes32 commitment = data.commitmentOf(modelId, owner, root, SALT);
        vm.prank(owner);
        data.announce(commitment);
        skipBlocks(1);
        uint256 amount = data.deposit();
        fund(owner, amount);
        vm.prank(owner);
        token.approve(address(data), amount);
        vm.prank(owner);
        id = data.register(modelId, root, "CC0-1.0", 1_000_000, 10, 2, SALT);
    }

    /// @notice Opens a channel with a deposit in wei that the treasury gives.
    function openChannel(address user, address server, uint256 modelId, uint256 amount)
        internal
        returns (bytes32 id)
    {
        fund(user, amount);
        vm.prank(user);
        token.approve(address(channels), amount);
        vm.prank(user);
        id = channels.open(server, modelId, amount);
    }

    /// @notice Redeems a voucher that the user of this private key signs.
    function redeem(bytes32 id, uint256 modelId, uint256 cumulative, uint256 key) internal {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, channels.voucherHash(id, modelId, cumulative));
        channels.redeem(id, cumulative, abi.encodePacked(r, s, v));
    }

    /// @notice A policy with phases of so many blocks, and a committee of so many validators.
    function policyOf(uint32 blocks, uint8 committee) internal view returns (IModelRegistry.Policy memory p) {
        (p.trainBlocks, p.commitBlocks, p.revealBlocks) = (blocks, blocks, blocks);
        (p.scoreBlocks, p.scoreRevealBlocks, p.attestBlocks, p.attestRevealBlocks) = (blocks, blocks, blocks, blocks);
        (p.committee, p.kappaBps, p.quorumBps, p.emissionBps) = (committee, 5_000, 6_667, 10_000);
        p.minMinerStake = uint96(models.minMinerStake());
        p.minValidatorStake = uint96(models.minValidatorStake());
    }
}
