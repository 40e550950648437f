// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Rewards} from "../../src/Rewards.sol";
import {StrataToken} from "../../src/StrataToken.sol";
import {IRewards} from "../../src/interfaces/IRewards.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";
import {ModelsMock, StakingMock} from "./Mocks.sol";

/// @notice Plays rounds, channels, staking, governance and six accounts, in any order that these contracts allow. It counts on its own what
/// `Rewards` must not lose: all emission, all fees, each round's budget.
contract RewardsHandler is Test {
    uint256 public constant ACTORS = 6;
    uint256 public constant MODELS = 3;
    uint256 private constant MAX_PAGES = 6;

    /// @dev Pages of an open round that are still to come, and what it has minted so far (wei).
    struct Open {
        uint64 round;
        uint256 pages;
        uint256 paid;
        uint256 pot;
        uint256 totalData;
    }

    Rewards public immutable rewards;
    StrataToken public immutable token;
    ModelsMock private immutable _models;
    StakingMock private immutable _staking;
    address private immutable _rounds;
    address private immutable _channels;
    address private immutable _admin;
    address private immutable _treasury;

    mapping(uint256 modelId => Open) public open;
    mapping(uint256 modelId => uint64) public lastRound;
    /// @notice All emission that rounds were told to have earned, in wei.
    uint256 public emitted;
    /// @notice How many operations may have left a wei behind.
    uint256 public dust;
    /// @notice How many rounds were voided, fees added, claims paid: a campaign that did none has shown nothing.
    uint256 public voids;
    uint256 public fees;
    uint256 public claims;
    /// @notice What accounts took, and what came to the treasury, in wei.
    uint256 public taken;

    constructor(
        Rewards rewards_,
        StrataToken token_,
        ModelsMock models_,
        StakingMock staking_,
        address[4] memory roles
    ) {
        (rewards, token, _models, _staking) = (rewards_, token_, models_, staking_);
        (_rounds, _channels, _admin, _treasury) = (roles[0], roles[1], roles[2], roles[3]);
    }

    function actor(uint256 seed) public pure returns (address) {
        return account("actor", seed % ACTORS);
    }

    function allModels() public pure returns (uint256[] memory list) {
        list = new uint256[](MODELS);
        for (uint256 i; i < MODELS; ++i) {
            list[i] = i + 1;
        }
    }

    // --- rounds -----------------------------------------------------------------------------------

    /// @notice A round ends. Now and then it was long enough to bring the cap near.
    function begin(uint256 seed, uint32 blocks, uint96 stake, uint8 kind) external {
        uint256 modelId = seed % MODELS + 1;
        Open storage o = open[modelId];
        if (o.round != 0) return _page(modelId, seed);
        vm.roll(vm.getBlockNumber() + (seed % 37 == 0 ? bound(blocks, 1, 40_000_000) : blocks % 200));
        IRewards.Opening memory opening = _opening(modelId, seed, stake, kind);
        uint256 reserved = rewards.reserved();
        emitted += _emission(opening);
        vm.prank(_rounds);
        rewards.begin(opening);
        lastRound[modelId] = opening.round;
        (o.round, o.pages, o.paid) = (opening.round, opening.isVoid ? 0 : MAX_PAGES, 0);
        (o.pot, o.totalData) = (rewards.reserved() - reserved, opening.totalData);
    }

    /// @notice A few pages of the rounds that are being settled, or their ends.
    function page(uint256 seed) external {
        for (uint256 i; i < 2 * MODELS; ++i) {
            uint256 modelId = (seed % MODELS + i) % MODELS + 1;
            if (open[modelId].round != 0) _page(modelId, seed >> i);
        }
    }

    /// @notice Two thirds object to a round of the last few, if its rewards are not mature.
    function voidRound(uint256 seed) external {
        uint256 modelId = seed % MODELS + 1;
        uint64 back = uint64(seed >> 8) % 4;
        if (seed % 5 > 1 || lastRound[modelId] <= back) return;
        uint64 round = lastRound[modelId] - back;
        if (rewards.isVoided(modelId, round) || block.number >= rewards.unlockOf(modelId, round)) return;
        uint256 supply = token.totalSupply();
        vm.prank(_rounds);
        rewards.voidRound(modelId, round);
        Open storage o = open[modelId];
        if (o.round == round) require(supply - token.totalSupply() == o.paid, "burns what the pages minted");
        ++voids;
        ++dust;
    }

    // --- income and outgo -------------------------------------------------------------------------

    /// @notice A channel pays.
    function fee(uint256 seed, uint96 amount) external {
        uint256 most = token.balanceOf(_treasury) / 4;
        uint256 paid = bound(amount, 0, most);
        vm.prank(_treasury);
        token.transfer(address(rewards), paid);
        vm.prank(_channels);
        rewards.addFee(seed % MODELS + 1, actor(seed >> 8), paid);
        ++fees;
        dust += 3;
    }

    /// @notice An account takes all that it can, then tries again.
    function claim(uint256 seed) external {
        address who = actor(seed);
        uint256 most = rewards.claimable(who, allModels());
        uint256 before = token.balanceOf(who);
        vm.prank(who);
        uint256 paid = rewards.claim(allModels());
        require(paid == most, "claimable says what claim pays");
        require(token.balanceOf(who) - before == paid, "paid is transferred");
        vm.prank(who);
        require(rewards.claim(allModels()) == 0, "one claim each");
        taken += paid;
        dust += 3;
        if (paid > 0) ++claims;
    }

    /// @notice Staking fetches delegators' rewards.
    function claimPool(uint256 seed) external {
        uint256 before = token.balanceOf(address(_staking));
        vm.prank(address(_staking));
        uint256 paid = rewards.claimPool(seed % MODELS + 1, actor(seed >> 8));
        require(token.balanceOf(address(_staking)) - before == paid, "paid is transferred");
        taken += paid;
    }

    /// @notice Blocks pass, at most a vesting's length.
    function pass(uint8 blocks) external {
        vm.roll(vm.getBlockNumber() + blocks);
    }

    // --- governance -------------------------------------------------------------------------------

    function setSplits(uint256 seed) external {
        IRewards.Splits[3] memory tables = [
            IRewards.Splits(5000, 2000, 1500, 500, 800, 200, 6000, 2500, 1000, 500, 2000, 8000, 2000),
            IRewards.Splits(3000, 3000, 3000, 0, 0, 1000, 8000, 1000, 0, 1000, 5000, 5000, 5000),
            IRewards.Splits(7000, 1000, 500, 1500, 0, 0, 4000, 4000, 2000, 0, 0, 9500, 500)
        ];
        vm.prank(_admin);
        rewards.setSplits(tables[seed % 3]);
    }

    function setArchive(uint256 seed) external {
        vm.prank(_admin);
        rewards.setArchive(seed % MODELS + 1, seed % 4 == 0 ? address(0) : actor(seed >> 8));
    }

    function setPool(uint256 seed, uint96 own, uint96 delegated, uint16 bps) external {
        _staking.setPool(seed % MODELS + 1, actor(seed >> 8), own, delegated, bps % 5001);
    }

    function setPolicy(uint256 seed, uint16 bps) external {
        if (seed % 3 == 0) _models.setUntaken(seed % MODELS + 1, bps % 10_001);
    }

    // --- the end ----------------------------------------------------------------------------------

    /// @notice Every open round is settled, everything matures, everybody leaves.
    function everybodyLeaves() external {
        for (uint256 modelId = 1; modelId <= MODELS; ++modelId) {
            while (open[modelId].round != 0) _page(modelId, modelId);
        }
        vm.roll(vm.getBlockNumber() + rewards.vestingBlocks());
        for (uint256 i; i < ACTORS; ++i) {
            for (uint256 k; k < 4; ++k) {
                vm.prank(actor(i));
                rewards.claim(allModels());
                for (uint256 modelId = 1; modelId <= MODELS; ++modelId) {
                    vm.prank(address(_staking));
                    rewards.claimPool(modelId, actor(i));
                }
            }
        }
        dust += ACTORS * MODELS;
    }

    // --- inside -----------------------------------------------------------------------------------

    function _opening(uint256 modelId, uint256 seed, uint96 stake, uint8 kind)
        private
        view
        returns (IRewards.Opening memory o)
    {
        (o.modelId, o.round) = (modelId, lastRound[modelId] + 1);
        (o.isVoid, o.isEmpty, o.accepted) = (kind % 8 == 0, kind % 16 == 0, kind % 3 != 0);
        o.endBlock = uint64(vm.getBlockNumber());
        uint64 until = rewards.settledUntil(modelId);
        // rounds overlap by up to fifty blocks
        o.openBlock = until > 1050 ? until - uint64(seed >> 16) % 50 : 1001;
        (o.globalStake, o.modelStake) = (1e24, bound(stake, 0, 1e24));
        // the pages' weights: 1 to MAX_PAGES; data: each page twice its number
        o.totalConsensus = MAX_PAGES * (MAX_PAGES + 1) / 2;
        o.totalData = kind % 7 == 0 ? 0 : 2 * o.totalConsensus;
        o.totalValidators = kind % 5 == 0 ? 0 : o.totalConsensus;
    }

    /// @dev Counted here without the library of the contract.
    function _emission(IRewards.Opening memory o) private view returns (uint256) {
        uint256 from = rewards.settledUntil(o.modelId);
        if (o.openBlock > from) from = o.openBlock;
        if (o.isEmpty || o.endBlock <= from) return 0;
        uint256 rate = 1e18 / 2 ** ((o.openBlock - rewards.startBlock()) / 45_000_000);
        uint256 bps = _models.policyOf(o.modelId).emissionBps;
        return rate * (o.endBlock - from) * o.modelStake * bps / (o.globalStake * 10_000);
    }

    function _page(uint256 modelId, uint256 seed) private {
        Open storage o = open[modelId];
        if (o.pages == 0) return _finish(modelId, o);
        uint256 supply = token.totalSupply();
        uint256 weight = o.pages--;
        (address[] memory owners, uint256[] memory weights) = (new address[](2), new uint256[](2));
        (owners[0], owners[1]) = (actor(seed >> 16), actor(seed >> 24));
        (weights[0], weights[1]) = (weight / 2, 2 * weight - weight / 2);
        vm.startPrank(_rounds);
        rewards.payDelta(modelId, o.round, actor(seed >> 8), weight, owners, weights);
        rewards.payValidator(modelId, o.round, actor(seed >> 32), weight);
        vm.stopPrank();
        o.paid += token.totalSupply() - supply;
        require(o.paid <= o.pot, "sum paid <= budget");
        dust += 3;
    }

    function _finish(uint256 modelId, Open storage o) private {
        uint256 supply = token.totalSupply();
        uint64 round = o.round;
        vm.prank(_rounds);
        rewards.finish(modelId, round);
        require(o.paid + token.totalSupply() - supply <= o.pot, "sum paid <= budget");
        if (rewards.isVoided(modelId, round)) require(token.totalSupply() == supply, "voided, nothing is minted");
        o.round = 0;
        dust += 3;
    }
}
