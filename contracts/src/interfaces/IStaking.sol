// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Stake per model and role
/// @notice Roles: 1 miner, 2 validator. An operator's stake is its own plus, for validators, what others delegated to it.
/// It counts (is *effective*) while the operator's own part is at least the model's minimum for that role, the operator was
/// not dropped, and it has one of the model's seats (256 for miners, 64 for validators). Effective stake and seats are
/// checkpointed by block, so that a round can freeze them without copying anybody. Amounts are in wei, rates in basis points.
interface IStaking {
    /// @notice `account` added `amount` of its own; `total` is its own stake for that model and role now.
    event Staked(address indexed account, uint256 indexed modelId, uint8 indexed role, uint256 amount, uint256 total);
    /// @notice `account` asked `amount` of its own back; it can be withdrawn from block `releaseBlock` on.
    event Unstaking(
        address indexed account, uint256 indexed modelId, uint8 indexed role, uint256 amount, uint64 releaseBlock
    );
    /// @notice `account` took out `amount`: what had been released, and what was credited to it here.
    event Withdrawn(address indexed account, uint256 amount);
    /// @notice `amount` went to the treasury: of `account`'s stake, of what is delegated to it, and of what is leaving it.
    event Slashed(address indexed account, uint256 indexed modelId, uint8 indexed role, uint256 amount);
    /// @notice A validator that was silent too often no longer counts, until it rejoins.
    event Dropped(address indexed account, uint256 indexed modelId);
    /// @notice A dropped validator counts again.
    event Rejoined(address indexed account, uint256 indexed modelId);
    /// @notice Somebody with more stake took the seat of `account`, which keeps its stake and may ask for a seat again.
    event Unseated(address indexed account, uint256 indexed modelId, uint8 indexed role);
    /// @notice `holder` delegated `amount` to `validator` and got `shares` of its pool.
    event Delegated(
        address indexed holder, uint256 indexed modelId, address indexed validator, uint256 amount, uint256 shares
    );
    /// @notice `holder` gave back `shares` of the pool, worth `amount`, which can be withdrawn from block `releaseBlock` on.
    event Undelegated(
        address indexed holder,
        uint256 indexed modelId,
        address indexed validator,
        uint256 amount,
        uint256 shares,
        uint64 releaseBlock
    );
    /// @notice The validator keeps `bps` of its delegators' rewards from block `fromBlock` on.
    event CommissionSet(address indexed validator, uint256 indexed modelId, uint16 bps, uint64 fromBlock);
    /// @notice `amount` of matured rewards reached the validator's pool (or the validator, where nobody delegates to it).
    event Harvested(uint256 indexed modelId, address indexed validator, uint256 amount);
    /// @notice `amount` of the pool's rewards went to `holder`: paid, or (with a change of its delegation) credited to it.
    event DelegationClaimed(
        address indexed holder, uint256 indexed modelId, address indexed validator, uint256 amount
    );

    /// @notice The role is neither miner (1) nor validator (2).
    error BadRole(uint8 role);
    /// @notice An amount of zero.
    error ZeroAmount();
    /// @notice More was asked back than is there (wei of stake, or shares of a pool).
    error InsufficientStake(uint256 staked, uint256 asked);
    /// @notice Every seat is taken by somebody with at least as much stake.
    error TooManyMembers(uint256 modelId, uint8 role);
    /// @notice Too many withdrawals wait at once; the first of them is released within the unbonding time.
    error TooManyUnbondings();
    /// @notice Nothing has been released or credited.
    error NothingToWithdraw();
    /// @notice The account was not dropped from this model.
    error NotDropped(address account);
    /// @notice A validator that was dropped, or gave its seat up, may have one again from block `from` on.
    error RejoinTooSoon(uint64 from);
    /// @notice The account's own stake is below the minimum, or it was dropped: no seat for it.
    error NotEligible(address account);
    /// @notice A commission above 5,000 basis points.
    error BadCommission(uint16 bps);
    /// @notice A slash above 5,000 basis points.
    error BadSlash(uint16 bps);
    /// @notice Someone else than `Rounds` called.
    error NotRounds(address caller);

    /// @notice Names the one contract that may drop and slash, and the one that holds pools' rewards. Once, by the deployer.
    function initialize(address rounds_, address rewards_) external;

    /// @notice Takes `amount` from the caller (allowance needed) and adds it to its own stake. Where all seats are taken, the
    /// lowest member loses its seat to a caller with strictly more; a caller that would stay without a seat is refused. So is a
    /// validator that gave its seat up less than a quarter of the unbonding time ago, if it has enough for one.
    function stake(uint256 modelId, uint8 role, uint256 amount) external;

    /// @notice Takes `amount` out of the caller's own stake, at once without weight; withdrawable after the unbonding time. Who keeps
    /// less than the minimum gives its seat up; a validator then waits a quarter of the unbonding time for another.
    function unstake(uint256 modelId, uint8 role, uint256 amount) external;

    /// @notice Pays the caller all that was released, from whatever model and role, and all that was credited to it here.
    function withdraw() external;

    /// @notice Lets the caller's validator stake count again, a quarter of the unbonding time (one block at least) after it was
    /// dropped: else silence, which can void a round, would cost nothing.
    function rejoin(uint256 modelId) external;

    /// @notice Asks for a seat again for a caller that lost its own, with the stake that it has there.
    function reseat(uint256 modelId, uint8 role) external;

    /// @notice Adds `amount` of the caller's tokens (allowance needed) to a validator's stake, for shares of its pool. They
    /// are slashed with the validator's own. The pool's matured rewards are harvested first, for those who were there. Refused
    /// for who is no eligible validator; one that lost its seat is not seated by it, but may then `reseat` with more.
    function delegate(uint256 modelId, address validator, uint256 amount) external;

    /// @notice Gives back `shares` of the pool; their worth is withdrawable after the unbonding time. Rewards so far are
    /// credited to the caller, for `withdraw`.
    function undelegate(uint256 modelId, address validator, uint256 shares) external;

    /// @notice Sets which part of its delegators' rewards the caller keeps, at most 5,000 basis points (1,000 where it never
    /// did). A cut is in force at once, a rise after the unbonding time, so that delegators can leave before.
    function setCommission(uint256 modelId, uint16 bps) external;

    /// @notice Fetches a pool's matured rewards and divides them among its shares. Anyone may call.
    function harvest(uint256 modelId, address validator) external returns (uint256 amount);

    /// @notice Pays the caller its part of what the pool has harvested.
    function claimDelegation(uint256 modelId, address validator) external returns (uint256 amount);

    /// @notice Takes a silent validator's seat away until it rejoins. Only `Rounds`.
    function drop(uint256 modelId, address account) external;

    /// @notice Moves `bps` (at most 5,000) of an operator's stake, of what is delegated to it, and of what is unbonding from
    /// either, to the treasury. Never reverts for lack of stake. Only `Rounds`.
    function slash(uint256 modelId, uint8 role, address account, uint16 bps) external;

    /// @notice All that is staked there on the account, delegated stake included, effective or not.
    function stakeOf(address account, uint256 modelId, uint8 role) external view returns (uint256);

    /// @notice The part of `stakeOf` that is the account's own.
    function ownStakeOf(address account, uint256 modelId, uint8 role) external view returns (uint256);

    /// @notice The account's effective stake now.
    function activeStake(address account, uint256 modelId, uint8 role) external view returns (uint256);

    /// @notice The account's effective stake at the end of a block.
    function stakeAt(address account, uint256 modelId, uint8 role, uint256 blockNumber) external view returns (uint256);

    /// @notice All effective stake of a model and role at the end of a block.
    function totalAt(uint256 modelId, uint8 role, uint256 blockNumber) external view returns (uint256);

    /// @notice All effective stake of a model and role now.
    function totalStake(uint256 modelId, uint8 role) external view returns (uint256);

    /// @notice How many accounts had effective stake at the end of a block.
    function countAt(uint256 modelId, uint8 role, uint256 blockNumber) external view returns (uint256);

    /// @notice The accounts with effective stake now, by seat.
    function members(uint256 modelId, uint8 role) external view returns (address[] memory);

    /// @notice The block in which the account's stake there last began to count (0: never).
    function memberSince(uint256 modelId, uint8 role, address account) external view returns (uint256);

    /// @notice Who had effective stake at the end of a block, and how much: miners ascending, validators by seat.
    function frozen(uint256 modelId, uint8 role, uint256 blockNumber)
        external
        view
        returns (address[] memory accounts, uint256[] memory stakes);

    /// @notice A model's validators at the end of a block, by slot, as far as the last one that was taken. A slot that
    /// nobody sat in is zero.
    function seatsAt(uint256 modelId, uint256 blockNumber)
        external
        view
        returns (address[] memory accounts, uint96[] memory stakes);

    /// @notice Effective validator stake of all models now.
    function globalValidatorStake() external view returns (uint256);

    /// @notice Effective validator stake of all models at the end of a block.
    function globalValidatorStakeAt(uint256 blockNumber) external view returns (uint256);

    /// @notice The least own stake of a model's role that counts. A new minimum binds a member at its stake's next change.
    function minStake(uint256 modelId, uint8 role) external view returns (uint256);

    /// @notice A holder's shares of a validator's pool, and what they are worth now.
    function delegationOf(uint256 modelId, address validator, address holder)
        external
        view
        returns (uint256 shares, uint256 assets);

    /// @notice What `claimDelegation` would pay the holder now.
    function delegationRewardOf(uint256 modelId, address validator, address holder) external view returns (uint256);

    /// @notice A validator's own stake, what is delegated to it and in how many shares, and the commission in force.
    function poolOf(uint256 modelId, address validator)
        external
        view
        returns (uint256 own, uint256 delegated, uint256 shares, uint16 commissionBps);

    /// @notice The commission in force now.
    function commissionOf(uint256 modelId, address validator) external view returns (uint16 bps);

    /// @notice What the account has asked back and not yet taken, released or not, and what was credited to it here.
    function pendingOf(address account) external view returns (uint256 amount);

    /// @notice The part of `pendingOf` that can be taken now.
    function withdrawableOf(address account) external view returns (uint256 amount);

    /// @notice Whether the validator was dropped and has not rejoined.
    function isDropped(uint256 modelId, address account) external view returns (bool);

    /// @notice Blocks between asking stake back and its release, at least; a quarter more at most.
    function unbondingBlocks() external view returns (uint64);

    /// @notice Where slashed stake goes.
    function treasury() external view returns (address);
}
