// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Who is paid what: emission, shares, dividends, fees
/// @notice All splits are in basis points (1/10,000). Amounts are in wei. Payments are pulled by `claim`.
/// Kinds of reward: 0 miner, 1 validator, 2 data, 3 dividend, 4 server, 5 treasury.
interface IRewards {
    /// @notice What `Rounds` says of a round that ended. Void: nothing is paid, all is carried forward. Not void with no consensus
    /// above zero: the miners' and data parts are carried forward. Weights are relative within their list.
    struct Settlement {
        uint256 modelId;
        uint64 round;
        bool isVoid;
        uint256 modelStake;
        uint256 globalStake;
        address[] miners;
        uint256[] minerWeights;
        address[] validators;
        uint256[] validatorWeights;
        address[] contributors;
        uint256[] dataWeights;
    }

    /// @notice The table of splits, in basis points.
    struct Splits {
        uint16 emissionMiners;
        uint16 emissionValidators;
        uint16 emissionData;
        uint16 emissionParent;
        uint16 emissionTreasury;
        uint16 feeServer;
        uint16 feeModel;
        uint16 feeParent;
        uint16 feeTreasury;
        uint16 parentOn;
        uint16 sharesMiners;
        uint16 sharesData;
    }

    /// @notice A round's emission: `emission + carriedIn == minted + carriedOut`, unless the cap cut it.
    event EmissionSettled(
        uint256 indexed modelId,
        uint64 indexed round,
        uint256 emission,
        uint256 carriedIn,
        uint256 minted,
        uint256 carriedOut
    );
    /// @notice `account` can claim `amount` from block `unlockBlock` on. `round` is 0 for fees.
    event RewardCredited(
        uint256 indexed modelId,
        uint64 indexed round,
        address indexed account,
        uint8 kind,
        uint256 amount,
        uint64 unlockBlock
    );
    /// @notice `account` got shares of the model.
    event SharesMinted(uint256 indexed modelId, uint64 indexed round, address indexed account, uint256 shares);
    /// @notice The model's shareholders got `amount`, which `fromModelId` earned (round 0: by fees).
    event DividendsAdded(
        uint256 indexed modelId, uint256 indexed fromModelId, uint64 indexed round, uint256 amount
    );
    /// @notice A fee was divided. `parentPart` is what arrived at the parents, `treasuryPart` includes parts without a payee.
    event FeeDistributed(
        uint256 indexed modelId,
        address indexed server,
        uint256 amount,
        uint256 serverPart,
        uint256 modelPart,
        uint256 parentPart,
        uint256 treasuryPart
    );
    /// @notice The treasury got `amount` (round 0: from fees).
    event TreasuryPaid(uint256 indexed modelId, uint64 indexed round, uint256 amount);
    /// @notice `account` was paid.
    event Claimed(address indexed account, uint256 amount);

    /// @notice Someone else than `Rounds` called.
    error NotRounds(address caller);
    /// @notice Someone else than `InferenceChannels` called.
    error NotChannels(address caller);

    /// @notice Names the contracts that may settle rounds and add fees. Once, by the deployer.
    function initialize(address rounds_, address channels_) external;

    /// @notice Pays a round that ended. Only `Rounds`.
    function settle(Settlement calldata s) external;

    /// @notice Divides a fee of `amount` wei that was just transferred to this contract. Only `InferenceChannels`.
    function addFee(uint256 modelId, address server, uint256 amount) external;

    /// @notice Pays the caller its matured rewards, and its dividends of the models given. At most 128 matured entries a call.
    function claim(uint256[] calldata modelIds) external returns (uint256 paid);

    /// @notice What `claim` would pay, in wei.
    function claimable(address account, uint256[] calldata modelIds) external view returns (uint256);

    /// @notice The account's rewards that are not yet mature, in wei.
    function vesting(address account) external view returns (uint256 locked);

    /// @notice The account's shares of a model.
    function sharesOf(uint256 modelId, address account) external view returns (uint256);

    /// @notice All shares of a model.
    function totalShares(uint256 modelId) external view returns (uint256);

    /// @notice Emission that the model carries forward, in wei. It is minted only when it is paid.
    function carry(uint256 modelId) external view returns (uint256);

    /// @notice Emission of one round for a model that had all stake, after `settledRounds_` rounds of all models.
    function emissionAt(uint256 settledRounds_) external view returns (uint256);

    /// @notice How many rounds of all models were settled.
    function settledRounds() external view returns (uint256);

    /// @notice The table of splits.
    function splits() external view returns (Splits memory);

    /// @notice Shares that an accepted round mints.
    function sharesAt(uint64 round) external view returns (uint256);

    /// @notice All that this contract owes: rewards not claimed and dividends not claimed. Equals its token balance.
    function owed() external view returns (uint256);

    /// @notice Blocks between a round's settlement and the claim.
    function vestingBlocks() external view returns (uint64);

    /// @notice Where the treasury's parts go.
    function treasury() external view returns (address);
}
