// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRewards} from "../../src/interfaces/IRewards.sol";
import {IRounds} from "../../src/interfaces/IRounds.sol";
import {Vm, vm} from "../support/Vm.sol";
import {People} from "./People.sol";

/// @notice Rounds of several models, with any subset of people silent at any step, and any scores.
abstract contract RoundActions is People {
    uint8 private constant BAD_FORM = 2;

    mapping(uint256 model => mapping(uint64 round => mapping(address => bool))) private _revealedDelta;
    mapping(uint256 model => mapping(uint64 round => mapping(address => uint256))) private _scoreDice;
    mapping(uint256 model => mapping(uint64 round => mapping(address => bool))) private _revealedScores;
    mapping(uint256 model => uint256) private _settled;

    function pass(uint256 blocks) external {
        skipBlocks(blocks % 30 == 0 ? 300 : 1 + blocks % 6); // now and then so long that seeds are lost
    }

    /// @notice Ticks the model's newest round, the one before it, or the next.
    function tick(uint256 model, uint256 dice) external {
        uint256 id = _model(model);
        uint64 newest = rounds.current(id);
        if (dice % 3 == 0) _open(id);
        else if (newest > dice % 2) _tick(id, newest - uint64(dice % 2));
    }

    /// @notice One person does what the phase of the newest round allows, or of the one before it.
    function act(uint256 model, uint256 who, uint256 dice) external {
        uint256 id = _model(model);
        uint64 round = dice % 2 == 0 ? rounds.current(id) : _oldest(id);
        if (round != 0) _act(id, round, who, dice);
    }

    /// @notice A round to its end; `dice` says who is silent when, who thinks what, and whether the next one opens meanwhile.
    function play(uint256 model, uint256 dice) external {
        uint256 id = _model(model);
        skipBlocks(1);
        if (_oldest(id) == 0) _open(id);
        uint64 round = _oldest(id);
        if (round == 0) return; // refused
        for (uint256 step; step < 40; ++step) {
            (uint8 phase, uint64 end) = phaseOf(id, round);
            if (phase >= FINAL) break;
            if (phase >= REVEAL && (dice >> 8) % 3 != 0 && rounds.current(id) == round) _open(id);
            for (uint256 i; i < PEOPLE; ++i) {
                uint256 own = _roll(dice, step * PEOPLE + i);
                if (own % 8 != 0) _act(id, round, i, own);
                if (own % 5 == 0 && rounds.current(id) != round) _act(id, round + 1, i, own);
            }
            (uint8 now_,) = phaseOf(id, round);
            if (now_ == phase && !_waits(id, round, phase)) rollTo(end);
            else skipBlocks(1);
        }
        if (dice % 4 != 0) _finish(id, round);
    }

    /// @notice Those whom `mask` names object to the model's newest round, or to the one before it.
    function challenge(uint256 model, uint256 mask) external {
        uint256 id = _model(model);
        uint64 round = rounds.current(id);
        if (round > 1 && (mask >> PEOPLE) % 4 != 0 && !rounds.roundView(id, round).settled) --round;
        for (uint256 i; i < PEOPLE; ++i) {
            if ((mask >> i) % 2 == 0) continue;
            vm.prank(_who(i));
            try rounds.challenge(id, round) {
                if (rewards.isVoided(id, round)) ++voided;
            } catch (bytes memory reason) {
                bytes4 late = IRounds.TooLate.selector;
                if (bytes4(reason) == IRounds.NotEnrolled.selector) continue;
                _foresee(reason, IRounds.NotFinal.selector, late, IRounds.AlreadyChallenged.selector);
            }
        }
    }

    function proveConflict(uint256 model, uint256 who, uint256 dice) external {
        uint256 id = _model(model);
        uint64 round = rounds.current(id);
        if (dice % 4 != 0 || round == 0) return;
        if (round > 1 && dice % 8 == 0) --round;
        (address one, uint256 key) = person(who);
        bytes32 a = headAfter(id, round);
        bytes32 b = keccak256(abi.encode(dice));
        bytes memory sigA = _sign(key, rounds.headStatementHash(id, round, a));
        bytes memory sigB = _sign(key, rounds.headStatementHash(id, round, b));
        try rounds.proveConflict(id, round, one, a, sigA, b, sigB) {}
        catch (bytes memory reason) {
            _foresee(reason, IRounds.NotEnrolled.selector, IRounds.AlreadyProven.selector, IRounds.TooLate.selector);
        }
    }

    /// @dev The model's oldest round that is not settled, 0 where there is none.
    function _oldest(uint256 id) internal view returns (uint64 round) {
        round = rounds.current(id);
        if (round == 0) return 0;
        IRounds.RoundView memory v = rounds.roundView(id, round);
        if (v.held) return round - 1;
        if (v.settled) return 0;
    }

    /// @dev Ticks a round that there is, which never fails, and notes what came of it.
    function _tick(uint256 id, uint64 round) internal {
        vm.recordLogs();
        rounds.tick(id, round);
        _note(id, vm.getRecordedLogs());
    }

    /// @dev Tries to open the next round: only by its rules is that refused.
    function _open(uint256 id) internal {
        uint64 newest = rounds.current(id);
        IRounds.RoundView memory v = rounds.roundView(id, newest);
        bool mayOpen = newest == 0 || v.settled || (!v.held && v.phase >= REVEAL);
        vm.recordLogs();
        try rounds.tick(id, newest + 1) {
            assertTrue(mayOpen, "opened too soon");
            _note(id, vm.getRecordedLogs());
        } catch (bytes memory reason) {
            if (mayOpen) _foresee(reason, IRounds.Paused.selector, IRounds.NotEnoughMembers.selector);
            else _foresee(reason, IRounds.WrongRound.selector);
        }
    }

    /// @dev Lets all of the model's rounds end, in their order.
    function _finish(uint256 id) internal {
        for (uint64 round = _oldest(id); round != 0; round = _oldest(id)) {
            _finish(id, round);
        }
    }

    /// @dev Lets the model's oldest round end, however it stands, and settles it.
    function _finish(uint256 id, uint64 round) private {
        reach(id, round, FINAL);
        for (uint256 ticks; !rounds.roundView(id, round).settled; ++ticks) {
            assertLt(ticks, 60, "every round is settled in a few ticks");
            _tick(id, round);
        }
    }

    function _note(uint256 id, Vm.Log[] memory logs) private {
        for (uint256 i; i < logs.length; ++i) {
            bytes32 topic = logs[i].topics[0];
            if (topic == IRounds.RoundSettled.selector) {
                assertEq(uint256(logs[i].topics[2]), ++_settled[id], "rounds are settled in their order");
            }
            if (topic == IRewards.EmissionSettled.selector) {
                (uint256 emission, uint256 before, uint256 minted, uint256 left) =
                    abi.decode(logs[i].data, (uint256, uint256, uint256, uint256));
                emitted += emission;
                emittedBy[id] += emission;
                assertLe(minted, emission + before, "a round pays out of its emission and what was carried");
                assertGe(emission + before + voided * 1e30, minted + left, "what is not paid is carried, no more");
            }
            if (topic == IRounds.RoundOpened.selector) ++opened;
            if (topic == IRounds.RoundReleased.selector) ++released;
            if (topic == IRounds.RoundFinalized.selector) ++finals;
            if (topic == IRounds.RoundVoided.selector) ++voids;
        }
    }

    function _act(uint256 id, uint64 round, uint256 who, uint256 dice) private {
        address one = _who(who);
        (uint8 phase,) = phaseOf(id, round);
        (bytes32 delta, bytes32 score, bytes32 head) = rounds.committed(id, round, one);
        if (phase == TRAIN || phase == COMMIT) {
            if (delta == 0 && _mines(id, round, one)) commitDelta(id, round, one);
        } else if (phase == REVEAL) {
            if (delta != 0 && !_revealedDelta[id][round][one]) _reveal(id, round, one, dice);
        } else if (phase == SCORE) {
            if (score == 0) _judge(id, round, one, dice);
        } else if (phase == SCORE_REVEAL) {
            if (score != 0 && !_revealedScores[id][round][one]) _tell(id, round, one);
        } else if (phase == ATTEST) {
            if (head == 0 && _sits(id, round, one)) commitHead(id, round, one, _head(id, round, one));
        } else if (phase == ATTEST_REVEAL) {
            if (head != 0 && rounds.headOf(id, round, one) == 0) revealHead(id, round, one, _head(id, round, one));
        }
    }

    /// @dev The seed of the evaluation is the hash of SCORE's first block, so nobody can judge in that block itself.
    function _waits(uint256 id, uint64 round, uint8 phase) private view returns (bool) {
        return phase == SCORE && vm.getBlockNumber() == rounds.roundView(id, round).scoreStart;
    }

    function _mines(uint256 id, uint64 round, address one) private view returns (bool) {
        return staking.stakeAt(one, id, MINER, rounds.roundView(id, round).openBlock - 1) > 0;
    }

    function _sits(uint256 id, uint64 round, address one) private view returns (bool) {
        (address[] memory seated,) = rounds.validators(id, round);
        for (uint256 i; i < seated.length; ++i) {
            if (seated[i] == one) return true;
        }
        return false;
    }

    function _reveal(uint256 id, uint64 round, address one, uint256 dice) private {
        _revealedDelta[id][round][one] = true;
        uint64 openBlock = rounds.roundView(id, round).openBlock;
        uint256[] memory found = new uint256[](4);
        uint256 count;
        for (uint256 dataset = 1; dataset <= data.count() && count < 4; ++dataset) {
            bool wanted = (dice >> dataset) % 2 == 0 && data.modelOf(dataset) == id;
            if (wanted && data.isUsableAt(dataset, openBlock)) found[count++] = dataset;
        }
        assembly ("memory-safe") {
            mstore(found, count)
        }
        revealDelta(id, round, one, found);
    }

    function _judge(uint256 id, uint64 round, address one, uint256 dice) private {
        rounds.tick(id, round); // records seed and seats, on which it depends what is dealt
        if (rounds.roundView(id, round).evaluationSeed == 0 || !_sits(id, round, one)) return;
        _scoreDice[id][round][one] = dice;
        (uint64[] memory scores, uint8[] memory reasons) = _opinion(id, round, one, dice);
        commitScores(id, round, one, scores, reasons);
    }

    function _tell(uint256 id, uint64 round, address one) private {
        _revealedScores[id][round][one] = true;
        (uint64[] memory scores, uint8[] memory reasons) = _opinion(id, round, one, _scoreDice[id][round][one]);
        revealScores(id, round, one, scores, reasons);
    }

    /// @dev Most see the same value with some noise, some see anything, some call a delta malformed.
    function _opinion(uint256 id, uint64 round, address one, uint256 dice)
        private
        view
        returns (uint64[] memory scores, uint8[] memory reasons)
    {
        uint32[] memory dealt = rounds.dealt(id, round, one);
        scores = new uint64[](dealt.length);
        reasons = new uint8[](dealt.length);
        for (uint256 i; i < dealt.length; ++i) {
            uint256 own = _roll(dice, i);
            uint256 value = _roll(uint256(round), dealt[i]);
            if (value % 6 == 0 || own % 16 == 0) reasons[i] = BAD_FORM;
            else if (own % 5 == 0) scores[i] = uint64(own % 1_000_000_001);
            else scores[i] = uint64(value % 1_000_000 + own % 1_000);
        }
    }

    /// @dev Some people believe in another head, and say so each time.
    function _head(uint256 id, uint64 round, address one) private pure returns (bytes32) {
        return uint256(keccak256(abi.encode(id, round, one))) % 6 == 0 ? bytes32("other") : headAfter(id, round);
    }

    function _sign(uint256 key, bytes32 hash) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, hash);
        return abi.encodePacked(r, s, v);
    }
}
