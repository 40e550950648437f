// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Datasets and the votes on them
/// @notice Whoever brings text announces it, then registers it with a deposit. Validators of its model accept, reject, value and
/// remove it in ballots, by the stake that they had in the block before the ballot's first vote.
/// Status: 0 pending, 1 accepted, 2 rejected, 3 withdrawn, 4 removed. Values in basis points, deposits in wei.
interface IDataRegistry {
    /// @notice A dataset. `root` is its manifest's digest, `bytes_` its text's size in bytes; `shards` counts those to train on,
    /// `heldout` those to measure with. `withdrawnBlock` is when it was withdrawn or removed. `deposit` is what is still held.
    struct Dataset {
        uint256 modelId;
        address owner;
        bytes32 root;
        string licence;
        uint64 bytes_;
        uint32 shards;
        uint32 heldout;
        uint8 status;
        uint64 acceptedBlock;
        uint64 withdrawnBlock;
        uint16 value;
        uint96 deposit;
        uint64 registeredBlock;
    }

    /// @notice A ballot. Stakes in wei as of block `startBlock - 1`; votes count before `endBlock`. `number` is 0 where there was none;
    /// `open` while it takes votes.
    struct Ballot {
        uint32 number;
        uint64 startBlock;
        uint64 endBlock;
        bool open;
        uint256 total;
        uint256 accepting;
        uint256 rejecting;
    }

    /// @notice Somebody bound itself to a dataset that it has not shown.
    event DatasetAnnounced(bytes32 indexed commitment, uint64 blockNumber);
    /// @notice A dataset was submitted.
    event DatasetRegistered(
        uint256 indexed id,
        uint256 indexed modelId,
        address indexed owner,
        bytes32 root,
        string licence,
        uint64 bytes_,
        uint32 shards,
        uint32 heldout
    );
    /// @notice A ballot began; the electorate is that of `startBlock - 1`, its stake `total` wei.
    event BallotOpened(uint256 indexed id, uint32 number, uint64 startBlock, uint64 endBlock, uint256 total);
    /// @notice A validator voted with `stake` wei. `value` says nothing where it does not accept.
    event DatasetVoted(uint256 indexed id, address indexed validator, bool accept, uint16 value, uint256 stake);
    /// @notice More than half of the model's validator stake accepted it; usable in rounds opened after `blockNumber`.
    event DatasetAccepted(uint256 indexed id, uint64 blockNumber, uint16 value);
    /// @notice More than half of the model's validator stake gave an accepted dataset this value.
    event DatasetValued(uint256 indexed id, uint16 value);
    /// @notice More than half of the model's validator stake rejected it; its deposit went to the treasury.
    event DatasetRejected(uint256 indexed id);
    /// @notice At least 2/3 of the model's validator stake took it out; rounds opened from `blockNumber` on don't use it.
    event DatasetRemoved(uint256 indexed id, uint64 blockNumber);
    /// @notice Its owner took it back; rounds opened from `blockNumber` on don't use it.
    event DatasetWithdrawn(uint256 indexed id, uint64 blockNumber);
    /// @notice The owner has its deposit again.
    event DepositReturned(uint256 indexed id, address indexed owner, uint256 amount);
    /// @notice Datasets registered from now on need this deposit, in wei.
    event DepositSet(uint256 amount);

    /// @notice No announcement in an earlier block stands for this registration.
    error NotAnnounced(bytes32 commitment);
    /// @notice A dataset with this root is pending, or was accepted once.
    error DuplicateRoot(bytes32 root);
    /// @notice No dataset has this id.
    error UnknownDataset(uint256 id);
    /// @notice Zero root, no bytes, no shards or over 100,000, more shards held out than trained on, or a licence that is empty or
    /// longer than 64 bytes.
    error BadDataset();
    /// @notice A value over 10,000 basis points.
    error BadValue(uint16 value);
    /// @notice The deposit would be over 1,000 tokens, a ballot's length zero or over a million blocks, or the treasury nobody.
    error BadSetting(uint256 value);
    /// @notice The dataset is not in the state that the call needs.
    error WrongStatus(uint8 actual);
    /// @notice The caller had no validator stake that counts on the dataset's model when the ballot began.
    error NotValidator(address account);
    /// @notice The caller voted in this ballot before.
    error AlreadyVoted(address account);
    /// @notice The ballot has as many votes as it can hold.
    error TooManyVotes();
    /// @notice A pending dataset can't be withdrawn before block `until`: validators have their first say.
    error StillJudged(uint256 until);
    /// @notice Only the dataset's owner may do this.
    error NotOwner(address account);
    /// @notice No deposit is held that the owner may have back.
    error NothingToReclaim(uint256 id);

    /// @notice Binds the caller to a dataset without showing it, so that nobody who sees the registration can be first.
    /// Announcing the same again changes nothing.
    function announce(bytes32 commitment) external;

    /// @notice Submits an announced dataset to a model and takes the deposit (allowance needed). Accepted at once where the model has
    /// no validator stake and the caller owns the model.
    function register(
        uint256 modelId,
        bytes32 root,
        string calldata licence,
        uint64 bytes_,
        uint32 shards,
        uint32 heldout,
        bytes32 salt
    ) external returns (uint256 datasetId);

    /// @notice Votes on a pending or accepted dataset: accept it at `valueBps`, or reject it. The first vote opens a ballot.
    function vote(uint256 id, bool accept, uint16 valueBps) external;

    /// @notice Takes the caller's dataset out of future rounds. A pending one waits until `ballotBlocks` after its registration and
    /// the end of its first ballot, so that nobody can take back the deposit of text that is being refused.
    function withdraw(uint256 id) external;

    /// @notice Pays the caller the deposit of its dataset that was accepted, or withdrawn while it was pending.
    function reclaim(uint256 id) external;

    /// @notice Sets the deposit of datasets registered from now on, at most 1,000 tokens. Only governance.
    function setDeposit(uint256 amount) external;

    /// @notice The dataset; reverts where there is none.
    function get(uint256 id) external view returns (Dataset memory);

    /// @notice How many datasets there are; ids run from 1 to this.
    function count() external view returns (uint256);

    /// @notice The dataset that holds this root, 0 where it is free.
    function idOf(bytes32 root) external view returns (uint256);

    /// @notice Who is paid for it, zero where there is none.
    function ownerOf(uint256 id) external view returns (address);

    /// @notice The model that it was submitted to, zero where there is none.
    function modelOf(uint256 id) external view returns (uint256);

    /// @notice What it is worth by the validators' vote, 0 to 10,000 basis points; 0 before it is accepted.
    function valueOf(uint256 id) external view returns (uint16);

    /// @notice Whether the validator voted in the ballot that is open.
    function hasVoted(uint256 id, address validator) external view returns (bool);

    /// @notice Stake that accepted and rejected it in its latest ballot, in wei.
    function votesOf(uint256 id) external view returns (uint256 accepting, uint256 rejecting);

    /// @notice Its latest ballot.
    function ballotOf(uint256 id) external view returns (Ballot memory);

    /// @notice Whether a round opened at `blockNumber` may use it: accepted strictly before, and neither withdrawn nor removed by then.
    function isUsableAt(uint256 id, uint256 blockNumber) external view returns (bool);

    /// @notice What `owner` announces before it registers `root` for a model with this salt.
    function commitmentOf(uint256 modelId, address owner, bytes32 root, bytes32 salt) external view returns (bytes32);

    /// @notice The block of an announcement that was not used yet, 0 where there is none.
    function announcedAt(bytes32 commitment) external view returns (uint64);

    /// @notice The deposit that a registration takes now, in wei.
    function deposit() external view returns (uint256);

    /// @notice How many blocks a ballot takes votes.
    function ballotBlocks() external view returns (uint64);
}
