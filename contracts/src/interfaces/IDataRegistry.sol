// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Datasets and the vote on them
/// @notice Validators of a model accept or reject its datasets by stake. Status: 0 pending, 1 accepted, 2 rejected, 3 withdrawn.
interface IDataRegistry {
    /// @notice A dataset. `root` is its manifest's digest, `bytes_` its text's size in bytes, `shards` and `heldout` count shards.
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
    }

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
    /// @notice A validator voted with `stake` wei.
    event DatasetVoted(uint256 indexed id, address indexed validator, bool accept, uint256 stake);
    /// @notice More than half of the model's validator stake accepted it; usable in rounds opened after `blockNumber`.
    event DatasetAccepted(uint256 indexed id, uint64 blockNumber);
    /// @notice More than half of the model's validator stake rejected it.
    event DatasetRejected(uint256 indexed id);
    /// @notice Its owner took it back; rounds opened from `blockNumber` on don't use it.
    event DatasetWithdrawn(uint256 indexed id, uint64 blockNumber);

    /// @notice A dataset with this root was submitted before.
    error DuplicateRoot(bytes32 root);
    /// @notice No dataset has this id.
    error UnknownDataset(uint256 id);
    /// @notice Zero root, no shards, no bytes, or a licence that is empty or longer than 64 bytes.
    error BadDataset();
    /// @notice The dataset is not in the state that the call needs.
    error WrongStatus(uint8 actual);
    /// @notice The caller has no validator stake that counts on the dataset's model.
    error NotValidator(address account);
    /// @notice The caller voted on this dataset before.
    error AlreadyVoted(address account);
    /// @notice Only the dataset's owner may do this.
    error NotOwner(address account);

    /// @notice Submits a dataset to a model. Accepted at once where the model has no validator stake.
    function register(
        uint256 modelId,
        bytes32 root,
        string calldata licence,
        uint64 bytes_,
        uint32 shards,
        uint32 heldout
    ) external returns (uint256 datasetId);

    /// @notice Votes on a pending dataset with the caller's present validator stake.
    function vote(uint256 id, bool accept) external;

    /// @notice Takes the caller's dataset out of future rounds.
    function withdraw(uint256 id) external;

    /// @notice The dataset; reverts where there is none.
    function get(uint256 id) external view returns (Dataset memory);

    /// @notice How many datasets there are; ids run from 1 to this.
    function count() external view returns (uint256);

    /// @notice The dataset with this root, 0 where there is none.
    function idOf(bytes32 root) external view returns (uint256);

    /// @notice Who is paid for it, zero where there is none.
    function ownerOf(uint256 id) external view returns (address);

    /// @notice The model that it was submitted to, zero where there is none.
    function modelOf(uint256 id) external view returns (uint256);

    /// @notice Whether the validator voted on it.
    function hasVoted(uint256 id, address validator) external view returns (bool);

    /// @notice Stake that accepted and rejected it so far, in wei.
    function votesOf(uint256 id) external view returns (uint256 accepting, uint256 rejecting);

    /// @notice Whether a round opened at `blockNumber` may use it: accepted strictly before, and not withdrawn by then.
    function isUsableAt(uint256 id, uint256 blockNumber) external view returns (bool);
}
