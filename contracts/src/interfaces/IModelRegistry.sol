// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The tree of models
/// @notice Anyone may register a model; that mints nothing. Levels: 0 global, 1 language, 2 field, 3 sub-field, 4 user.
/// Roles: 1 miner, 2 validator.
interface IModelRegistry {
    /// @notice How a model's rounds go. Phases in blocks, each 2 to 100,000. From its opening to its end a round can take as long as TRAIN
    /// and COMMIT, or all phases after them where that is longer, and those phases once more: at most `maxRoundBlocks`. `committee`
    /// (3 to 64) validators judge a submission. In basis points: `kappaBps` (5000 to 6667), the part of the stake that must
    /// back a score; `quorumBps` (6666 to 9000), the part of the frozen stake that must speak; `emissionBps` (0 to 10,000), the
    /// part of its emission that the model takes. Minimum stakes in wei, from the network's floors to a million tokens.
    struct Policy {
        uint32 trainBlocks;
        uint32 commitBlocks;
        uint32 revealBlocks;
        uint32 scoreBlocks;
        uint32 scoreRevealBlocks;
        uint32 attestBlocks;
        uint32 attestRevealBlocks;
        uint8 committee;
        uint16 kappaBps;
        uint16 quorumBps;
        uint16 emissionBps;
        uint96 minMinerStake;
        uint96 minValidatorStake;
    }

    /// @notice A model. `genesis` and `head` are digests of manifests; `headRound` is the round that set the head (0: none).
    struct Model {
        uint256 parentId;
        uint8 level;
        string name;
        string field;
        bytes32 genesis;
        bytes32 head;
        uint64 headRound;
        address owner;
    }

    /// @notice A model was registered; its head is its genesis.
    event ModelRegistered(
        uint256 indexed id,
        uint256 indexed parentId,
        uint8 level,
        string name,
        string field,
        bytes32 genesis,
        address indexed owner
    );
    /// @notice A round gave the model a new head.
    event HeadSet(uint256 indexed id, uint64 indexed round, bytes32 head);

    /// @notice The model's rounds go by this policy from the next one on.
    event PolicySet(uint256 indexed id, Policy policy);

    /// @notice Governance lets the model have this part of the emission that its stake votes to it.
    event EmissionSet(uint256 indexed id, uint16 bps);

    /// @notice No model has this id (0 is none).
    error UnknownModel(uint256 id);
    /// @notice A model of that name exists.
    error NameTaken(string name);
    /// @notice The name or field is empty or longer than 64 bytes.
    error BadName(string name);
    /// @notice A root must be global; a child's level must be below its parent's.
    error BadLevel(uint8 level);
    /// @notice A phase is shorter than 2 or longer than 100,000 blocks.
    error BadPolicy(uint32 blocks);
    /// @notice A committee, threshold, emission part or minimum stake out of its bounds.
    error BadThreshold(uint256 value);
    /// @notice By these phases a round can take longer than it may.
    error RoundTooLong(uint256 blocks, uint256 limit);
    /// @notice The role is neither miner (1) nor validator (2).
    error BadRole(uint8 role);
    /// @notice The digest is zero.
    error ZeroDigest();
    /// @notice Someone else than `Rounds` called.
    error NotRounds(address caller);

    /// @notice Names the one contract that may set heads. Once, by the deployer.
    function initialize(address rounds_) external;

    /// @notice Registers a model below `parentId` (0: a root, which must be global). It earns no emission before governance lists
    /// it, whatever its policy says: else a model's only validator and miner would pay itself. Its owner has no power over it, but that its datasets are accepted without a vote while the model has no validators.
    function register(
        uint256 parentId,
        uint8 level,
        string calldata name,
        string calldata field,
        bytes32 genesis,
        Policy calldata policy
    ) external returns (uint256 id);

    /// @notice Sets a model's head. Only `Rounds`.
    function setHead(uint256 id, uint64 round, bytes32 head) external;

    /// @notice Lists a model: it earns `bps` of the emission that its stake votes to it (0: none). Only governance.
    function setEmission(uint256 id, uint16 bps) external;

    /// @notice Changes a model's policy, its part of the emission included, for rounds opened later. Only governance.
    function setPolicy(uint256 id, Policy calldata policy) external;

    /// @notice The model; reverts where there is none.
    function get(uint256 id) external view returns (Model memory);

    /// @notice Its policy now; a live round keeps the one that it opened with.
    function policyOf(uint256 id) external view returns (Policy memory);

    /// @notice The least stake of a role that counts for the model, in wei.
    function minStakeOf(uint256 id, uint8 role) external view returns (uint256);

    /// @notice The model of that name, 0 where there is none.
    function idOf(string calldata name) external view returns (uint256);

    /// @notice How many models there are; ids run from 1 to this.
    function count() external view returns (uint256);

    /// @notice The model's head.
    function headOf(uint256 id) external view returns (bytes32);

    /// @notice The model's parent, 0 for a root.
    function parentOf(uint256 id) external view returns (uint256);

    /// @notice The most blocks that a round may take by its policy, with the wait for the one before it.
    function maxRoundBlocks() external view returns (uint64);

    /// @notice The least that a policy may ask of miners, in wei.
    function minMinerStake() external view returns (uint256);

    /// @notice The least that a policy may ask of validators, in wei.
    function minValidatorStake() external view returns (uint256);
}
