// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Stake per model and role
/// @notice A stake counts (is *effective*) while it is at least the role's minimum and its owner was not dropped. Effective
/// stake is checkpointed by block, so that a round can freeze it. Roles: 1 miner, 2 validator. Amounts are in wei.
interface IStaking {
    /// @notice `account` added `amount`; `total` is its stake for that model and role now.
    event Staked(address indexed account, uint256 indexed modelId, uint8 indexed role, uint256 amount, uint256 total);
    /// @notice `account` asked `amount` back; it can be withdrawn from block `releaseBlock` on.
    event Unstaking(
        address indexed account, uint256 indexed modelId, uint8 indexed role, uint256 amount, uint64 releaseBlock
    );
    /// @notice `account` took out what had matured.
    event Withdrawn(address indexed account, uint256 amount);
    /// @notice `amount` of `account`'s stake (unbonding stake included) went to the treasury.
    event Slashed(address indexed account, uint256 indexed modelId, uint8 indexed role, uint256 amount);
    /// @notice A validator that was silent too often no longer counts, until it rejoins.
    event Dropped(address indexed account, uint256 indexed modelId);
    /// @notice A dropped validator counts again.
    event Rejoined(address indexed account, uint256 indexed modelId);

    /// @notice The role is neither miner (1) nor validator (2).
    error BadRole(uint8 role);
    /// @notice An amount of zero.
    error ZeroAmount();
    /// @notice More was asked back than is staked.
    error InsufficientStake(uint256 staked, uint256 asked);
    /// @notice The model and role have as many members as a round can hold.
    error TooManyMembers(uint256 modelId, uint8 role);
    /// @notice Too many withdrawals wait at once; take out those that matured.
    error TooManyUnbondings();
    /// @notice Nothing has matured yet.
    error NothingToWithdraw();
    /// @notice The account was not dropped from this model.
    error NotDropped(address account);
    /// @notice Someone else than `Rounds` called.
    error NotRounds(address caller);

    /// @notice Names the one contract that may drop and slash. Once, by the deployer.
    function initialize(address rounds_) external;

    /// @notice Takes `amount` from the caller (allowance needed) and adds it to its stake.
    function stake(uint256 modelId, uint8 role, uint256 amount) external;

    /// @notice Takes `amount` out of the caller's stake, at once without weight; withdrawable after the unbonding time.
    function unstake(uint256 modelId, uint8 role, uint256 amount) external;

    /// @notice Pays the caller all that has matured.
    function withdraw() external;

    /// @notice Lets the caller's validator stake count again after it was dropped.
    function rejoin(uint256 modelId) external;

    /// @notice Takes a silent validator out of the next freeze. Only `Rounds`.
    function drop(uint256 modelId, address account) external;

    /// @notice Moves `bps` of an account's stake, and of what is unbonding from it, to the treasury. Only `Rounds`.
    /// Never reverts for lack of stake.
    function slash(uint256 modelId, uint8 role, address account, uint16 bps) external;

    /// @notice All that the account has staked there, effective or not.
    function stakeOf(address account, uint256 modelId, uint8 role) external view returns (uint256);

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

    /// @notice The accounts with effective stake now, unordered, at most `MAX_MEMBERS`.
    function members(uint256 modelId, uint8 role) external view returns (address[] memory);

    /// @notice Present members that had effective stake at the end of a block, ascending, with that stake.
    function frozen(uint256 modelId, uint8 role, uint256 blockNumber)
        external
        view
        returns (address[] memory accounts, uint256[] memory stakes);

    /// @notice Effective validator stake of all models now.
    function globalValidatorStake() external view returns (uint256);

    /// @notice Effective validator stake of all models at the end of a block.
    function globalValidatorStakeAt(uint256 blockNumber) external view returns (uint256);

    /// @notice The least stake of a role that counts, in wei.
    function minStake(uint8 role) external view returns (uint256);

    /// @notice What the account has asked back and not yet taken, matured or not.
    function pendingOf(address account) external view returns (uint256 amount);

    /// @notice The part of `pendingOf` that can be taken now.
    function withdrawableOf(address account) external view returns (uint256 amount);

    /// @notice Whether the validator was dropped and has not rejoined.
    function isDropped(uint256 modelId, address account) external view returns (bool);

    /// @notice Blocks between `unstake` and `withdraw`.
    function unbondingBlocks() external view returns (uint64);

    /// @notice Where slashed stake goes.
    function treasury() external view returns (address);
}
