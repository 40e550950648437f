// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The tree of models
/// @notice Anyone may register a model; that mints nothing. Levels: 0 global, 1 language, 2 field, 3 sub-field, 4 user.
interface IModelRegistry {
    /// @notice Lengths of a round's phases in blocks, each 2 to 100,000.
    struct Policy {
        uint32 trainBlocks;
        uint32 commitBlocks;
        uint32 revealBlocks;
        uint32 scoreBlocks;
        uint32 scoreRevealBlocks;
        uint32 attestBlocks;
        uint32 attestRevealBlocks;
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
    /// @notice The digest is zero.
    error ZeroDigest();
    /// @notice Someone else than `Rounds` called.
    error NotRounds(address caller);

    /// @notice Names the one contract that may set heads. Once, by the deployer.
    function initialize(address rounds_) external;

    /// @notice Registers a model below `parentId` (0: a root, which must be global). Its owner has no powers.
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

    /// @notice The model; reverts where there is none.
    function get(uint256 id) external view returns (Model memory);

    /// @notice Its phase lengths.
    function policyOf(uint256 id) external view returns (Policy memory);

    /// @notice The model of that name, 0 where there is none.
    function idOf(string calldata name) external view returns (uint256);

    /// @notice How many models there are; ids run from 1 to this.
    function count() external view returns (uint256);

    /// @notice The model's head.
    function headOf(uint256 id) external view returns (bytes32);

    /// @notice The model's parent, 0 for a root.
    function parentOf(uint256 id) external view returns (uint256);
}
