// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {vm} from "../support/Vm.sol";
import {IRounds} from "../../src/interfaces/IRounds.sol";
import {RoundsWorld} from "./RoundsWorld.sol";

/// @notice Consensus, agreement and bonds of whole rounds, held against models that are as simple as can be.
contract JudgingTest is RoundsWorld {
    function test_consensus_whenAMinorityLifts_thenItIsClipped() public {
        populate(2, 3);
        submit(2);
        uint64[][] memory rows = same(3, list(100, 300));
        rows[2] = list(1e9, 0);
        score(rows);
        vm.expectEmit(address(rounds));
        uint64[] memory wanted = list(100, 300);
        emit IRounds.ConsensusPage(MODEL, 1, 0, wanted);
        vm.expectEmit(address(rounds));
        emit IRounds.ConsensusReached(MODEL, 1, 400, 2);
        tick();
        IRounds.Submission[] memory s = rounds.submissions(MODEL, 1);
        assertTrue(s[0].consensus == 100 && s[1].consensus == 300);
        assertTrue(s[0].weightQ16 == 16_384 && s[1].weightQ16 == 49_152);
        assertTrue(view_().consensusKnown && view_().accepted);
        (uint256 agreement, uint256 bondSum) = rounds.judgementOf(MODEL, 1, validator(2));
        assertEq(agreement, uint256(100) * 1e6 / (1e9 + 300));
        assertEq(bondSum, (uint256(21_845) * 1000 + 5000) / 10_000 * 100);
    }

    function test_views_whenScoresAreClosed_thenTheyTellWhatATickWouldRecord() public {
        populate(2, 3);
        submit(2);
        for (uint256 v; v < 3; ++v) {
            commitScores(v, list(7, 9));
        }
        reach(SCORE_REVEAL);
        revealScores(0, list(7, 9));
        revealScores(1, list(7, 9));
        assertEq(uint256(consensus(1)), 0);
        revealScores(2, list(7, 9));
        assertEq(uint256(consensus(1)), 9); // the window closes with this block
        skipBlocks(1);
        assertTrue(view_().consensusKnown && view_().accepted && view_().groupsJudged == 0);
        tick();
        assertEq(uint256(consensus(1)), 9);
        assertEq(uint256(view_().groupsJudged), 1);
    }

    function test_consensus_whenKappaIsHigher_thenMoreMustReachIt() public {
        models.setPolicy(policy(64, 6667, 6666));
        populate(1, 3);
        submit(1);
        uint64[][] memory rows = same(3, list(100));
        rows[0] = list(40);
        score(rows);
        assertEq(uint256(consensus(0)), 40);
    }

    function test_bonds_whenRoundsPass_thenTheyAreAverages() public {
        populate(1, 2);
        play(same(2, list(100)));
        _isBond(0, 0, 3277);
        _isBond(0, 1, 3277);
        uint64[][] memory rows = same(2, list(100));
        rows[1] = list(0);
        play(rows); // half the weight is enough for 100
        _isBond(0, 0, 9503); // (3277 * 9 + 65535) / 10
        _isBond(0, 1, 2949);
        (, uint64 last) = rounds.bondsOf(MODEL, miner(0));
        assertEq(uint256(last), 2);
    }

    function test_bonds_whenNothingIsAccepted_thenLeftAlone() public {
        populate(1, 2);
        play(same(2, list(100)));
        submit(1);
        score(same(2, list(0)));
        settle();
        _isBond(0, 0, 3277);
        (, uint64 last) = rounds.bondsOf(MODEL, miner(0));
        assertEq(uint256(last), 1);
    }

    function test_bonds_whenTheSlotHasAnotherOccupant_thenItInheritsNothing() public {
        populate(1, 2);
        play(same(2, list(100)));
        staking.setSlot(0, validator(5), 100);
        submit(1);
        commitScores(1, list(100));
        staking.setSlot(0, validator(0), 100);
        _isBond(0, 0, 3277); // as recorded
        reach(SCORE_REVEAL);
        revealScores(1, list(100));
        reach(ATTEST);
        skipBlocks(1);
        tick(); // void: half of the stake is no quorum
        submit(1);
        score(same(2, list(100)));
        tick();
        _isBond(0, 0, 3277); // from nothing: the slot changed twice since
        _isBond(0, 1, 6226);
    }

    function test_bonds_whenTheMinerCameBack_thenNoneCount() public {
        populate(1, 2);
        play(same(2, list(100)));
        uint256 openBlock = view_().openBlock;
        staking.setMiner(miner(0), 1, openBlock);
        play(same(2, list(100)));
        _isBond(0, 0, 3277);
        staking.setMiner(miner(0), 1, view_().openBlock - 1);
        play(same(2, list(100)));
        _isBond(0, 0, 6226);
    }

    /// forge-config: default.fuzz.runs = 300
    function testFuzz_round_whenAllJudgeAll_thenItIsTheNaiveModels(uint256 seed, uint96[4] memory stakes) public {
        (uint256 miners, uint256 validators) = (1 + seed % 5, 4);
        populate(miners, validators);
        for (uint256 v; v < validators; ++v) {
            stakes[v] = uint96(bound(stakes[v], 1, 1e26));
            staking.setSlot(v, validator(v), stakes[v]);
        }
        submit(miners);
        uint64[][] memory rows = _rows(seed, miners, validators);
        score(rows);
        tick();
        IRounds.Submission[] memory s = rounds.submissions(MODEL, 1);
        uint64[] memory wanted = new uint64[](miners);
        for (uint256 j; j < miners; ++j) {
            wanted[j] = _naive(rows, stakes, j);
            assertEq(uint256(s[j].consensus), wanted[j]);
            _checkBonds(rows, stakes, wanted[j], j);
        }
        for (uint256 v; v < validators; ++v) {
            _checkJudgement(rows[v], wanted, v);
        }
    }

    /// forge-config: default.fuzz.runs = 300
    function testFuzz_committee_whenDrawn_thenConsensusIsOfItsMembers(uint256 seed) public {
        models.setPolicy(policy(3, 5000, 6666));
        populate(9, 5);
        submit(9);
        skipBlocks(1);
        uint64[][] memory rows = new uint64[][](5);
        for (uint256 v; v < 5; ++v) {
            rows[v] = new uint64[](rounds.dealt(MODEL, 1, validator(v)).length);
            for (uint256 j; j < rows[v].length; ++j) {
                rows[v][j] = uint64(uint256(keccak256(abi.encode(seed, v, j))) % 10);
            }
        }
        score(rows);
        uint64 limit = _ceiling(rows);
        tick();
        IRounds.Submission[] memory s = rounds.submissions(MODEL, 1);
        for (uint256 j; j < 9; ++j) {
            uint64 wanted = _drawnNaive(rows, j);
            assertEq(uint256(s[j].consensus), wanted < limit ? wanted : limit);
        }
    }

    function test_ceiling_whenACommitteeIsCaptured_thenNothingRisesAboveTheMajoritysBest() public {
        models.setPolicy(policy(3, 5000, 6666));
        populate(40, 7);
        submit(40);
        skipBlocks(1);
        (uint256 from, uint256 liar) = (0, 0);
        uint64[][] memory rows = new uint64[][](7);
        for (uint256 v; v < 7; ++v) {
            uint32[] memory mine = rounds.dealt(MODEL, 1, validator(v));
            if (mine.length > from) (from, liar) = (mine.length, v);
            rows[v] = new uint64[](mine.length);
            for (uint256 j; j < mine.length; ++j) {
                rows[v][j] = 10;
            }
        }
        for (uint256 j; j < from; ++j) {
            rows[liar][j] = 1e9;
        }
        score(rows);
        assertEq(settleConsensus(), 2);
        for (uint256 j; j < 40; ++j) {
            assertEq(uint256(consensus(j)), 10);
        }
    }

    function test_consensus_whenPaged_thenTheSameAsTheViewsBefore() public {
        models.setPolicy(policy(3, 5000, 6666));
        populate(70, 7);
        submit(70);
        skipBlocks(1);
        uint64[][] memory rows = new uint64[][](7);
        for (uint256 v; v < 7; ++v) {
            rows[v] = new uint64[](rounds.dealt(MODEL, 1, validator(v)).length);
            for (uint256 j; j < rows[v].length; ++j) {
                rows[v][j] = uint64(uint256(keccak256(abi.encode(v, j))) % 1e9);
            }
        }
        score(rows);
        bytes32 before = keccak256(abi.encode(rounds.submissions(MODEL, 1)));
        tick();
        assertEq(keccak256(abi.encode(rounds.submissions(MODEL, 1))), before);
        assertTrue(view_().consensusKnown && view_().groupsJudged == 4);
        assertEq(settleConsensus(), 2); // nine groups in all
        assertEq(keccak256(abi.encode(rounds.submissions(MODEL, 1))), before);
        reach(FINAL);
        settle();
        assertEq(keccak256(abi.encode(rounds.submissions(MODEL, 1))), before);
    }

    // --- helpers ---

    /// @dev Ticks until all pages of the consensus are taken.
    function settleConsensus() private returns (uint256 ticks) {
        uint256 groups = (view_().reveals + 7) / 8;
        while (view_().groupsJudged < groups) {
            tick();
            ++ticks;
        }
    }

    function _isBond(uint256 who, uint256 slot, uint256 wanted) private view {
        (uint16[64] memory lanes,) = rounds.bondsOf(MODEL, miner(who));
        assertEq(uint256(lanes[slot]), wanted);
    }

    function _rows(uint256 seed, uint256 miners, uint256 validators) private pure returns (uint64[][] memory rows) {
        rows = new uint64[][](validators);
        for (uint256 v; v < validators; ++v) {
            rows[v] = new uint64[](miners);
            for (uint256 j; j < miners; ++j) {
                uint256 dice = uint256(keccak256(abi.encode(seed, v, j)));
                rows[v][j] = uint64(dice % 4 == 0 ? 0 : dice % 5 == 0 ? dice % 1e9 : 1000 + dice % 5);
            }
        }
    }

    function _naive(uint64[][] memory rows, uint96[4] memory stakes, uint256 j) private pure returns (uint64 best) {
        uint256 total = uint256(stakes[0]) + stakes[1] + stakes[2] + stakes[3];
        for (uint256 v; v < 4; ++v) {
            uint256 reached;
            for (uint256 k; k < 4; ++k) {
                if (rows[k][j] >= rows[v][j]) reached += stakes[k];
            }
            if (reached * 10_000 >= total * 5000 && rows[v][j] > best) best = rows[v][j];
        }
    }

    function _checkBonds(uint64[][] memory rows, uint96[4] memory stakes, uint64 c, uint256 j) private view {
        (uint16[64] memory lanes,) = rounds.bondsOf(MODEL, miner(j));
        uint256 sum;
        for (uint256 v; v < 4; ++v) {
            sum += stakes[v] * uint256(_min(rows[v][j], c));
        }
        for (uint256 v; v < 4; ++v) {
            uint256 part = sum == 0 ? 0 : stakes[v] * uint256(_min(rows[v][j], c)) * 65_535 / sum;
            assertEq(uint256(lanes[v]), c == 0 ? 0 : (part * 1000 + 5000) / 10_000);
        }
    }

    function _checkJudgement(uint64[] memory row, uint64[] memory c, uint256 v) private view {
        (uint256 low, uint256 high, uint256 bonds) = (0, 0, 0);
        for (uint256 j; j < c.length; ++j) {
            low += _min(row[j], c[j]);
            high += row[j] > c[j] ? row[j] : c[j];
            (uint16[64] memory lanes,) = rounds.bondsOf(MODEL, miner(j));
            bonds += uint256(lanes[v]) * c[j];
        }
        (uint256 agreement, uint256 bondSum) = rounds.judgementOf(MODEL, 1, validator(v));
        assertEq(agreement, high == 0 ? 1e6 : low * 1e6 / high);
        assertEq(bondSum, bonds);
    }

    /// @dev The greatest score to which 2 of 3 draws of the committee come up.
    function _drawnNaive(uint64[][] memory rows, uint256 j) private view returns (uint64 best) {
        (address[] memory who, uint256[] memory weights) = rounds.committeeOf(MODEL, 1, j / 8);
        uint64[] memory given = new uint64[](who.length);
        for (uint256 i; i < who.length; ++i) {
            given[i] = _given(rows, who[i], j);
        }
        for (uint256 i; i < who.length; ++i) {
            uint256 reached;
            for (uint256 k; k < who.length; ++k) {
                if (given[k] >= given[i]) reached += weights[k];
            }
            if (reached >= 2 && given[i] > best) best = given[i];
        }
    }

    function _given(uint64[][] memory rows, address who, uint256 j) private view returns (uint64) {
        uint256 v;
        while (validator(v) != who) ++v;
        uint32[] memory mine = rounds.dealt(MODEL, 1, who);
        for (uint256 i; i < mine.length; ++i) {
            if (mine[i] == j) return rows[v][i];
        }
        revert("not dealt");
    }

    /// @dev The greatest score that half of those who judged anything gave their best.
    function _ceiling(uint64[][] memory rows) private pure returns (uint64 best) {
        uint64[] memory tops = new uint64[](rows.length);
        uint256 count;
        for (uint256 v; v < rows.length; ++v) {
            if (rows[v].length == 0) continue;
            for (uint256 i; i < rows[v].length; ++i) {
                if (rows[v][i] > tops[count]) tops[count] = rows[v][i];
            }
            ++count;
        }
        for (uint256 i; i < count; ++i) {
            uint256 reached;
            for (uint256 k; k < count; ++k) {
                if (tops[k] >= tops[i]) ++reached;
            }
            if (reached * 2 >= count && tops[i] > best) best = tops[i];
        }
    }

    function _min(uint64 a, uint64 b) private pure returns (uint64) {
        return a < b ? a : b;
    }
}
