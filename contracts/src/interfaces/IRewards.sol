// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Who is paid what: emission, shares, dividends, fees
/// @notice All splits are in basis points (1/10,000). Amounts are in wei. Payments are pulled by `claim`.
/// Kinds of reward: 0 miner, 1 validator, 2 data, 3 dividend, 4 server, 5 treasury, 6 archive, 7 delegation.
///
/// A round that ended is settled in pages: `begin` fixes its pot, the splits and the block at which its rewards mature; each
/// `payDelta` and `payValidator` pays one participant; `finish` pays the parents' shareholders, the archive and the
/// treasury, and keeps the rest for later. One round of a model is settled at a time.
///
/// A round's shares count from `finish` on. Dividends on them can be claimed when the round's rewards mature, so that
/// nothing was paid on them if the round is voided before.
interface IRewards {
    /// @notice What `Rounds` says of a round that ended. Blocks `openBlock` (in) to `endBlock` (out) earn emission once, also
    /// where they overlap the model's round before; none if `isEmpty` (nobody took part). `isVoid`: nothing is paid, the emission is
    /// carried forward. Not `accepted` (no consensus above zero): the miners' and data parts are carried forward. Stakes in wei at
    /// the opening. The totals are the sums of all `consensus`, data weights and validators' weights that the pages will name.
    struct Opening {
        uint256 modelId;
        uint64 round;
        bool isVoid;
        bool isEmpty;
        bool accepted;
        uint64 openBlock;
        uint64 endBlock;
        uint256 modelStake;
        uint256 globalStake;
        uint256 totalConsensus;
        uint256 totalData;
        uint256 totalValidators;
    }

    /// @notice The table of splits, in basis points. The six `emission` parts, the four `fee` parts and the two `shares` parts
    /// each make 10,000. Of what a parent gets, `parentOn` goes on to its own parent.
    struct Splits {
        uint16 emissionMiners;
        uint16 emissionValidators;
        uint16 emissionData;
        uint16 emissionParent;
        uint16 emissionTreasury;
        uint16 emissionArchive;
        uint16 feeServer;
        uint16 feeModel;
        uint16 feeParent;
        uint16 feeTreasury;
        uint16 parentOn;
        uint16 sharesMiners;
        uint16 sharesData;
    }

    /// @notice A round's emission was divided: `emission + carriedIn == minted + carriedOut` (plus what voiding another round
    /// of the model added to the carry in between).
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
    /// @notice `account` gets shares of the model when the round is settled.
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
    /// @notice A round's rewards were taken back before they matured: `amount` was burned and is carried forward, `shares` are gone.
    event RewardsVoided(uint256 indexed modelId, uint64 indexed round, uint256 amount, uint256 shares);
    /// @notice `account` was paid.
    event Claimed(address indexed account, uint256 amount);
    /// @notice The matured rewards of a validator's delegators were paid to `Staking`.
    event PoolClaimed(uint256 indexed modelId, address indexed validator, uint256 amount);
    /// @notice The splits are these for rounds that begin to settle, and fees that arrive, from now on.
    event SplitsSet(Splits splits);
    /// @notice The model's archive part goes to `account` from now on (zero: to the treasury).
    event ArchiveSet(uint256 indexed modelId, address account);

    /// @notice Someone else than `Rounds` called.
    error NotRounds(address caller);
    /// @notice Someone else than `InferenceChannels` called.
    error NotChannels(address caller);
    /// @notice Someone else than `Staking` called.
    error NotStaking(address caller);
    /// @notice The round, or another of the model, has begun to be settled before.
    error AlreadyBegun(uint256 modelId, uint64 round);
    /// @notice The round is not being settled.
    error NotSettling(uint256 modelId, uint64 round);
    /// @notice The round paid nothing, was voided before, or its rewards have matured.
    error NotVoidable(uint256 modelId, uint64 round);
    /// @notice `owners` and `dataWeights` differ in length.
    error LengthMismatch(uint256 owners, uint256 weights);
    /// @notice Vesting would take longer than 100,000,000 blocks.
    error VestingTooLong(uint64 blocks);
    /// @notice A split is out of its bounds, or a table does not make 10,000. `field` is its place in `Splits`, from 0; 13, 14, 15: the
    /// sum of the emission, fee, shares table.
    error BadSplit(uint256 field, uint256 value);

    /// @notice Names the contracts that may settle rounds and add fees. Once, by the deployer.
    function initialize(address rounds_, address channels_) external;

    /// @notice Fixes what a round that ended pays: its emission plus at most as much again of what was carried forward. Only `Rounds`.
    function begin(Opening calldata o) external;

    /// @notice Pays the miner of an accepted delta, and the owners of the datasets that it used, in coins and shares, by their
    /// weights. An owner may stand there more than once. Only `Rounds`.
    function payDelta(
        uint256 modelId,
        uint64 round,
        address miner,
        uint256 consensus,
        address[] calldata owners,
        uint256[] calldata dataWeights
    ) external;

    /// @notice Pays a validator by its weight. Of R wei, its delegators get floor(R * delegated * (10,000 - commission) /
    /// ((own + delegated) * 10,000)), credited to `poolAccountOf`. Only `Rounds`.
    function payValidator(uint256 modelId, uint64 round, address validator, uint256 weight) external;

    /// @notice Pays the parents' shareholders, the archive and the treasury, and carries forward what found no payee. Only `Rounds`.
    function finish(uint256 modelId, uint64 round) external;

    /// @notice Takes back what a round credited, before it matures: burns it, carries it forward, and removes the round's shares. The
    /// dividends that these would have had go to the treasury. Parents' dividends and the treasury's part stay. Only `Rounds`.
    function voidRound(uint256 modelId, uint64 round) external;

    /// @notice Divides a fee of `amount` wei that was just transferred to this contract. Only `InferenceChannels`.
    function addFee(uint256 modelId, address server, uint256 amount) external;

    /// @notice Pays the caller its server fees, its matured rewards, and its dividends of the models given. At most 128 matured rewards,
    /// and 128 matured rounds' shares of a model, a call. Rewards are paid in the order in which they were credited: where pages of
    /// two models' rounds interleave, a matured one can wait for one that matures some blocks later.
    function claim(uint256[] calldata modelIds) external returns (uint256 paid);

    /// @notice Pays `Staking` the matured rewards of a validator's delegators, at most 128 a call. Only `Staking`.
    function claimPool(uint256 modelId, address validator) external returns (uint256 paid);

    /// @notice Changes the splits. Only governance.
    function setSplits(Splits calldata table) external;

    /// @notice Names who keeps the model's archive (zero: nobody, its part goes to the treasury). Only governance.
    function setArchive(uint256 modelId, address account) external;

    /// @notice What `claim` would pay, in wei.
    function claimable(address account, uint256[] calldata modelIds) external view returns (uint256);

    /// @notice The account's rewards that are not yet mature, in wei, without those of voided rounds.
    function vesting(address account) external view returns (uint256 locked);

    /// @notice The account's shares of a model, of settled rounds that were not voided.
    function sharesOf(uint256 modelId, address account) external view returns (uint256);

    /// @notice All shares of a model.
    function totalShares(uint256 modelId) external view returns (uint256);

    /// @notice Emission that the model carries forward, in wei. It is minted only when it is paid.
    function carry(uint256 modelId) external view returns (uint256);

    /// @notice Wei that the network emits per block at a block, to a model that had all stake.
    function emissionAt(uint256 blockNumber) external view returns (uint256);

    /// @notice The block from which halvings are counted.
    function startBlock() external view returns (uint64);

    /// @notice The end of the model's last settled round: blocks before it earn nothing more.
    function settledUntil(uint256 modelId) external view returns (uint64);

    /// @notice The table of splits.
    function splits() external view returns (Splits memory);

    /// @notice Who keeps the model's archive, zero if nobody.
    function archiveOf(uint256 modelId) external view returns (address);

    /// @notice Shares that an accepted round mints.
    function sharesAt(uint64 round) external view returns (uint256);

    /// @notice All that this contract owes: rewards, fees and dividends not claimed. Never more than its token balance.
    function owed() external view returns (uint256);

    /// @notice What rounds that are being settled may still mint, in wei.
    function reserved() external view returns (uint256);

    /// @notice The block from which a round's rewards can be claimed and no longer be voided; 0 if it paid nothing.
    function unlockOf(uint256 modelId, uint64 round) external view returns (uint64);

    /// @notice Whether the round's rewards were taken back.
    function isVoided(uint256 modelId, uint64 round) external view returns (bool);

    /// @notice The account to which rewards of a validator's delegators are credited. Nobody holds its key.
    function poolAccountOf(uint256 modelId, address validator) external pure returns (address);

    /// @notice Blocks between the beginning of a round's settlement and the claim.
    function vestingBlocks() external view returns (uint64);

    /// @notice Where the treasury's parts go.
    function treasury() external view returns (address);
}
