// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Staking} from "../../src/Staking.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";
import {TestModels, TestRewards, TestToken} from "./StakingWorld.sol";

/// @notice Everything that may happen to staking, in any order; it plays `Rounds` too. Calls are made so that they must
/// succeed, or the reason of their refusal is checked.
/// @dev Accounts 0 to 7 act. With the crowd behind them there are more validators than seats.
contract StakingHandler is Test {
    uint8 internal constant MINER = 1;
    uint8 internal constant VALIDATOR = 2;
    uint256 public constant ACTORS = 8;
    uint256 public constant OPERATORS = 12;
    uint256 public constant ACCOUNTS = 70;
    uint256 public constant MODELS = 2;
    uint256 private constant SEATS = 64;
    /// @dev A quarter of the unbonding time, in blocks.
    uint256 private constant WIDTH = 10;

    Staking private immutable _staking;
    TestToken private immutable _token;
    TestModels private immutable _models;
    TestRewards private immutable _rewards;
    address private immutable _treasury;

    /// @notice How many of the calls below were made.
    uint256 public steps;
    /// @notice How often rewards were divided or taken; each time less than a wei a holder can stay behind.
    uint256 public rewardSteps;
    /// @notice When each validator was last dropped, or gave its seat up.
    mapping(uint256 modelId => mapping(address operator => uint256)) public leftBlock;
    /// @notice Blocks whose seats were noted, and the hash of what they were.
    uint256[] public notedBlocks;
    mapping(uint256 blockNumber => bytes32) public noted;

    modifier step() {
        ++steps;
        _;
    }

    constructor(Staking staking, TestToken token, TestModels models, TestRewards rewards, address treasury) {
        (_staking, _token, _models, _rewards, _treasury) = (staking, token, models, rewards, treasury);
        for (uint256 model = 1; model <= MODELS; ++model) {
            _models.setMinimum(model, MINER, 10 ether);
            _models.setMinimum(model, VALIDATOR, 100 ether);
        }
    }

    /// @notice Seats the crowd in model 1, with stakes from 100 ether up.
    function seatCrowd() external {
        for (uint256 i = ACTORS; i < ACCOUNTS; ++i) {
            _stake(i, 1, VALIDATOR, 100 ether + i * 1 ether);
        }
    }

    function who(uint256 index) public pure returns (address) {
        return account("staker", index);
    }

    function stake(uint256 actor, uint256 model, uint8 role, uint256 amount) external step {
        (model, role) = (_model(model), _role(role));
        _stake(actor % ACTORS, model, role, bound(amount, 1, role == MINER ? 30 ether : 300 ether));
    }

    function unstake(uint256 actor, uint256 model, uint8 role, uint256 amount) external step {
        (model, role) = (_model(model), _role(role));
        address one = who(actor % OPERATORS);
        uint256 own = _staking.ownStakeOf(one, model, role);
        if (own == 0) return;
        uint256 pending = _staking.pendingOf(one);
        amount = bound(amount, 1, own);
        bool sat = _staking.activeStake(one, model, role) > 0;
        vm.prank(one);
        try _staking.unstake(model, role, amount) {
            bool left = sat && _staking.activeStake(one, model, role) == 0;
            if (left && role == VALIDATOR) leftBlock[model][one] = vm.getBlockNumber();
            assertApproxEqAbs(_staking.pendingOf(one), pending + amount, 1, "what leaves is pending");
        } catch (bytes memory reason) {
            _expect(reason, IStaking.TooManyUnbondings.selector);
        }
    }

    function delegate(uint256 actor, uint256 model, uint256 target, uint256 amount) external step {
        model = _model(model);
        address validator = who(target % OPERATORS);
        if (!_eligible(validator, model, VALIDATOR)) return;
        amount = bound(amount, 1, 500 ether);
        address holder = who(actor % ACTORS);
        _fund(holder, amount);
        ++rewardSteps;
        vm.prank(holder);
        _staking.delegate(model, validator, amount);
    }

    function undelegate(uint256 actor, uint256 model, uint256 target, uint256 shares) external step {
        model = _model(model);
        (address holder, address validator) = (who(actor % ACTORS), who(target % OPERATORS));
        (uint256 held,) = _staking.delegationOf(model, validator, holder);
        if (held == 0) return;
        ++rewardSteps;
        vm.prank(holder);
        try _staking.undelegate(model, validator, bound(shares, 1, held)) {}
        catch (bytes memory reason) {
            _expect(reason, IStaking.TooManyUnbondings.selector);
        }
    }

    function withdraw(uint256 actor) external step {
        address one = who(actor % OPERATORS);
        uint256 due = _staking.withdrawableOf(one);
        if (due == 0) return;
        uint256 pending = _staking.pendingOf(one);
        uint256 before = _token.balanceOf(one);
        vm.prank(one);
        _staking.withdraw();
        // roundings of an entry move by a wei when another of its bucket goes
        assertApproxEqAbs(_token.balanceOf(one) - before, due, 64, "pays what it showed");
        assertApproxEqAbs(_staking.pendingOf(one), pending - due, 64, "and the rest stays");
    }

    function slash(uint256 target, uint256 model, uint8 role, uint16 bps) external step {
        (model, role) = (_model(model), _role(role));
        address operator = who(target % OPERATORS);
        bps = uint16(bound(bps, 0, 5_000));
        uint256 staked = _staking.stakeOf(operator, model, role);
        uint256 pending = _allPending();
        uint256 before = _token.balanceOf(_treasury);
        _staking.slash(model, role, operator, bps);
        uint256 taken = _token.balanceOf(_treasury) - before;
        uint256 cut = staked - _staking.stakeOf(operator, model, role);
        assertLe(cut * 10_000, staked * bps, "no more of the stake than the rate");
        assertGe((cut + 2) * 10_000, staked * bps, "and not less, but for roundings");
        assertLe((taken - cut) * 10_000, (pending + OPERATORS * 64) * bps, "nor of what leaves");
    }

    function drop(uint256 target, uint256 model) external step {
        model = _model(model);
        leftBlock[model][who(target % OPERATORS)] = vm.getBlockNumber();
        _staking.drop(model, who(target % OPERATORS));
    }

    function rejoin(uint256 target, uint256 model) external step {
        model = _model(model);
        address one = who(target % OPERATORS);
        if (!_staking.isDropped(model, one)) return;
        vm.prank(one);
        try _staking.rejoin(model) {
            assertGe(vm.getBlockNumber(), leftBlock[model][one] + WIDTH);
        } catch (bytes memory reason) {
            _expectLate(reason, model, VALIDATOR, one);
        }
    }

    function reseat(uint256 target, uint256 model, uint8 role) external step {
        (model, role) = (_model(model), _role(role));
        address one = who(target % OPERATORS);
        bool eligible = _eligible(one, model, role);
        vm.prank(one);
        try _staking.reseat(model, role) {
            assertTrue(eligible);
        } catch (bytes memory reason) {
            if (eligible) _expectLate(reason, model, role, one);
            else _expect(reason, IStaking.NotEligible.selector);
        }
    }

    function setMinimum(uint256 model, uint8 role, uint256 amount) external step {
        role = _role(role);
        uint256 usual = role == MINER ? 10 ether : 100 ether;
        _models.setMinimum(_model(model), role, bound(amount, usual / 2, usual * 2));
    }

    function reward(uint256 target, uint256 model, uint256 amount) external step {
        _rewards.put(_model(model), who(target % OPERATORS), bound(amount, 1, 1_000 ether));
    }

    function harvest(uint256 target, uint256 model) external step {
        ++rewardSteps;
        _staking.harvest(_model(model), who(target % OPERATORS));
    }

    function claimDelegation(uint256 actor, uint256 model, uint256 target) external step {
        model = _model(model);
        (address holder, address validator) = (who(actor % ACTORS), who(target % OPERATORS));
        uint256 due = _staking.delegationRewardOf(model, validator, holder);
        if (due == 0) return;
        ++rewardSteps;
        vm.prank(holder);
        assertEq(_staking.claimDelegation(model, validator), due);
    }

    function pass(uint256 blocks) external step {
        uint256 last = vm.getBlockNumber();
        if (noted[last] == 0 && notedBlocks.length < 20) {
            noted[last] = hashAt(last);
            notedBlocks.push(last);
        }
        vm.roll(last + bound(blocks, 1, 15));
    }

    /// @notice Everything that a round would freeze at a block, hashed.
    function hashAt(uint256 blockNumber) public view returns (bytes32 hash) {
        for (uint256 model = 1; model <= MODELS; ++model) {
            (address[] memory seats, uint96[] memory stakes) = _staking.seatsAt(model, blockNumber);
            (address[] memory miners, uint256[] memory amounts) = _staking.frozen(model, MINER, blockNumber);
            hash = keccak256(
                abi.encode(hash, seats, stakes, miners, amounts, _staking.globalValidatorStakeAt(blockNumber))
            );
        }
    }

    function notedCount() external view returns (uint256) {
        return notedBlocks.length;
    }

    /// @notice Everybody takes out everything; afterwards only roundings of rewards may be left.
    function exitAll() external {
        for (uint256 i; i < ACCOUNTS; ++i) {
            if (i < ACTORS) _undelegateAll(who(i));
            if (i < OPERATORS) _tryWithdraw(who(i));
        }
        vm.roll(vm.getBlockNumber() + 100);
        for (uint256 i; i < ACCOUNTS; ++i) {
            _unstakeAll(i);
        }
        vm.roll(vm.getBlockNumber() + 100);
        for (uint256 i; i < ACCOUNTS; ++i) {
            _tryWithdraw(who(i));
        }
        for (uint256 i; i < OPERATORS; ++i) {
            _tryWithdraw(who(i));
        }
    }

    function _undelegateAll(address holder) private {
        for (uint256 j; j < OPERATORS * MODELS; ++j) {
            (uint256 model, address validator) = (1 + (j % MODELS), who(j / MODELS));
            _staking.harvest(model, validator);
            (uint256 held,) = _staking.delegationOf(model, validator, holder);
            if (held == 0) continue;
            rewardSteps += 2;
            vm.prank(holder);
            try _staking.undelegate(model, validator, held) {}
            catch {
                vm.roll(vm.getBlockNumber() + 100);
                vm.prank(holder);
                _staking.undelegate(model, validator, held);
            }
        }
    }

    function _unstakeAll(uint256 index) private {
        for (uint256 j; j < 2 * MODELS; ++j) {
            (uint256 model, uint8 role) = (1 + (j % MODELS), uint8(1 + j / MODELS));
            uint256 own = _staking.ownStakeOf(who(index), model, role);
            if (own == 0) continue;
            vm.prank(who(index));
            _staking.unstake(model, role, own);
        }
    }

    function _tryWithdraw(address one) private {
        vm.prank(one);
        try _staking.withdraw() {} catch {}
    }

    function _stake(uint256 index, uint256 model, uint8 role, uint256 amount) private {
        address one = who(index);
        _fund(one, amount);
        vm.prank(one);
        try _staking.stake(model, role, amount) {}
        catch (bytes memory reason) {
            _expectLate(reason, model, role, one);
            vm.prank(one);
            _token.transfer(address(0xdead), amount);
        }
    }

    function _allPending() private view returns (uint256 sum) {
        for (uint256 i; i < OPERATORS; ++i) {
            sum += _staking.pendingOf(who(i));
        }
    }

    function _eligible(address one, uint256 model, uint8 role) private view returns (bool) {
        if (role == VALIDATOR && _staking.isDropped(model, one)) return false;
        return _staking.ownStakeOf(one, model, role) >= _staking.minStake(model, role);
    }

    function _fund(address one, uint256 amount) private {
        _token.mint(one, amount);
        vm.prank(one);
        _token.approve(address(_staking), type(uint256).max);
    }

    /// @dev A seat is refused only if there are 64 others, none with less; only validators are that many here.
    /// @dev It must wait, or else there is no seat.
    function _expectLate(bytes memory reason, uint256 model, uint8 role, address one) private view {
        uint256 from = leftBlock[model][one];
        bool waits = role == VALIDATOR && from != 0 && vm.getBlockNumber() < from + WIDTH;
        if (waits) _expect(reason, IStaking.RejoinTooSoon.selector);
        else _expectFull(reason, model, one);
    }

    function _expectFull(bytes memory reason, uint256 model, address one) private view {
        _expect(reason, IStaking.TooManyMembers.selector);
        address[] memory seated = _staking.members(model, VALIDATOR);
        assertEq(seated.length, SEATS);
        for (uint256 i; i < SEATS; ++i) {
            assertNotEq(seated[i], one);
            assertGe(_staking.activeStake(seated[i], model, VALIDATOR), _staking.stakeOf(one, model, VALIDATOR));
        }
    }

    function _expect(bytes memory reason, bytes4 selector) private pure {
        assertEq(bytes32(bytes4(reason)), bytes32(selector));
    }

    function _model(uint256 seed) private pure returns (uint256) {
        return 1 + seed % MODELS;
    }

    function _role(uint8 seed) private pure returns (uint8) {
        return 1 + seed % 2;
    }
}
