// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ModelRegistry} from "../../src/ModelRegistry.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";
import {Policies} from "./Policies.sol";

/// @notice Every bound of a policy, from both sides.
contract PolicyBoundsTest is Test {
    uint64 internal constant MAX_ROUND = 600_000;
    uint256 internal constant FLOOR_MINER = 5e18;
    uint256 internal constant FLOOR_VALIDATOR = 50e18;

    /// @dev Words of an encoded policy: seven phases, then these.
    uint256 internal constant COMMITTEE = 7;
    uint256 internal constant KAPPA = 8;
    uint256 internal constant QUORUM = 9;
    uint256 internal constant EMISSION = 10;
    uint256 internal constant MINER = 11;
    uint256 internal constant VALIDATOR = 12;

    ModelRegistry internal models;

    function setUp() public {
        models = new ModelRegistry(account("authority"), MAX_ROUND, FLOOR_MINER, FLOOR_VALIDATOR);
    }

    function testFuzz_phase_whenOut_thenRefused(uint256 phase, uint32 blocks) external {
        phase = bound(phase, 0, 6);
        if (blocks >= 2 && blocks <= 100_000) {
            _accepts(_with(phase, blocks));
        } else {
            _refuses(_with(phase, blocks), abi.encodeWithSelector(IModelRegistry.BadPolicy.selector, blocks));
        }
    }

    function test_phase_whenAtAnEdge_thenOnlyInsideIsTaken() external {
        for (uint256 phase; phase < 7; ++phase) {
            _refuses(_with(phase, 1), abi.encodeWithSelector(IModelRegistry.BadPolicy.selector, 1));
            _accepts(_with(phase, 2));
            _accepts(_with(phase, 100_000));
            _refuses(_with(phase, 100_001), abi.encodeWithSelector(IModelRegistry.BadPolicy.selector, 100_001));
        }
    }

    function test_round_whenAtItsLimit_thenOneMoreBlockIsRefused() external {
        IModelRegistry.Policy memory p = _phases(100_000, 100_000, 60_000);
        _accepts(p); // it waits for the tail of the round before, then has its own
        for (uint256 phase = 2; phase < 7; ++phase) {
            IModelRegistry.Policy memory longer = _set(p, phase, 60_001);
            _refuses(longer, abi.encodeWithSelector(IModelRegistry.RoundTooLong.selector, MAX_ROUND + 2, MAX_ROUND));
        }
    }

    function test_round_whenItsWorkIsLongerThanTheWait_thenThatCounts() external {
        models = new ModelRegistry(account("authority"), 200_000, FLOOR_MINER, FLOOR_VALIDATOR);
        _accepts(_phases(75_000, 75_000, 10_000));
        bytes memory why = abi.encodeWithSelector(IModelRegistry.RoundTooLong.selector, 200_001, 200_000);
        for (uint256 phase; phase < 7; ++phase) {
            _refuses(_set(_phases(75_000, 75_000, 10_000), phase, phase < 2 ? 75_001 : 10_001), why);
        }
    }

    function testFuzz_round_whenLonger_thenRefused(uint256 dice) external {
        IModelRegistry.Policy memory p;
        uint256[7] memory blocks;
        for (uint256 phase; phase < 7; ++phase) {
            blocks[phase] = bound(uint256(keccak256(abi.encode(dice, phase))), 2, 100_000);
            p = _set(phase == 0 ? Policies.standard() : p, phase, blocks[phase]);
        }
        uint256 tail = blocks[2] + blocks[3] + blocks[4] + blocks[5] + blocks[6];
        uint256 work = blocks[0] + blocks[1];
        uint256 life = tail + (work > tail ? work : tail);
        if (life <= MAX_ROUND) _accepts(p);
        else _refuses(p, abi.encodeWithSelector(IModelRegistry.RoundTooLong.selector, life, MAX_ROUND));
    }

    function test_thresholds_whenAtAnEdge_thenOnlyInsideIsTaken() external {
        _edges(COMMITTEE, 3, 64);
        _edges(KAPPA, 5000, 6667);
        _edges(QUORUM, 6666, 9000);
        _edges(MINER, FLOOR_MINER, 1e24);
        _edges(VALIDATOR, FLOOR_VALIDATOR, 1e24);
        _accepts(_with(EMISSION, 0));
        _accepts(_with(EMISSION, 10_000));
        _refuses(_with(EMISSION, 10_001), abi.encodeWithSelector(IModelRegistry.BadThreshold.selector, 10_001));
    }

    function testFuzz_thresholds_whenOneIsOut_thenItIsNamed(uint256 word, uint96 value) external {
        word = bound(word, COMMITTEE, VALIDATOR);
        uint96[6] memory least = [uint96(3), 5000, 6666, 0, uint96(FLOOR_MINER), uint96(FLOOR_VALIDATOR)];
        uint96[6] memory most = [uint96(64), 6667, 9000, 10_000, 1e24, 1e24];
        uint256 place = word - COMMITTEE;
        value = uint96(bound(value, 0, word == COMMITTEE ? 255 : word < MINER ? 65_535 : 2e24));
        if (value >= least[place] && value <= most[place]) {
            _accepts(_with(word, value));
        } else {
            _refuses(_with(word, value), abi.encodeWithSelector(IModelRegistry.BadThreshold.selector, value));
        }
    }

    function _edges(uint256 word, uint256 least, uint256 most) private {
        _refuses(_with(word, least - 1), abi.encodeWithSelector(IModelRegistry.BadThreshold.selector, least - 1));
        _accepts(_with(word, least));
        _accepts(_with(word, most));
        _refuses(_with(word, most + 1), abi.encodeWithSelector(IModelRegistry.BadThreshold.selector, most + 1));
    }

    function _accepts(IModelRegistry.Policy memory p) private {
        string memory name = vm.toString(models.count());
        uint256 id = models.register(0, 0, name, "all", bytes32(uint256(1)), p);
        p.emissionBps = 0; // not listed yet
        assertEq(keccak256(abi.encode(models.policyOf(id))), keccak256(abi.encode(p)));
    }

    function _refuses(IModelRegistry.Policy memory p, bytes memory why) private {
        vm.expectRevert(why);
        models.register(0, 0, "refused", "all", bytes32(uint256(1)), p);
    }

    /// @dev Each of the five phases after COMMIT has `others` blocks.
    function _phases(uint32 train, uint32 commit, uint32 others) private pure returns (IModelRegistry.Policy memory p) {
        p = Policies.standard();
        (p.trainBlocks, p.commitBlocks, p.revealBlocks, p.scoreBlocks) = (train, commit, others, others);
        (p.scoreRevealBlocks, p.attestBlocks, p.attestRevealBlocks) = (others, others, others);
    }

    function _with(uint256 word, uint256 value) private pure returns (IModelRegistry.Policy memory) {
        return _set(Policies.standard(), word, value);
    }

    function _set(IModelRegistry.Policy memory p, uint256 word, uint256 value)
        private
        pure
        returns (IModelRegistry.Policy memory)
    {
        bytes memory encoded = abi.encode(p);
        assembly ("memory-safe") {
            mstore(add(add(encoded, 0x20), mul(word, 0x20)), value)
        }
        return abi.decode(encoded, (IModelRegistry.Policy));
    }
}
