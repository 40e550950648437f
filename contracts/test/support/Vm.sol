// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice The cheat codes of forge that our tests use. Signatures are forge's own; see its book for what each does.
interface Vm {
    /// @notice A log as `getRecordedLogs` returns it.
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    /// @notice What a call cost, as `lastCallGas` returns it; a transaction's whole gas under `forge test --isolate`.
    struct Gas {
        uint64 gasLimit;
        uint64 gasTotalUsed;
        uint64 gasMemoryUsed;
        int64 gasRefunded;
        uint64 gasRemaining;
    }

    // who sends, what they have
    function prank(address sender) external;
    function prank(address sender, address origin) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function deal(address account, uint256 wei_) external;
    function label(address account, string calldata name) external;
    function addr(uint256 privateKey) external pure returns (address account);
    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function setNonce(address account, uint64 nonce) external;

    // the chain around it
    function roll(uint256 blockNumber) external;
    function warp(uint256 timestamp) external;
    function fee(uint256 basefee) external;
    function chainId(uint256 id) external;
    function prevrandao(bytes32 value) external;
    function coinbase(address account) external;
    function setBlockhash(uint256 blockNumber, bytes32 hash) external;
    function getBlockNumber() external view returns (uint256);
    function snapshotState() external returns (uint256 id);
    function revertToState(uint256 id) external returns (bool done);
    function revertToStateAndDelete(uint256 id) external returns (bool done);

    // accounts' code and storage
    function etch(address target, bytes calldata code) external;
    function load(address target, bytes32 slot) external view returns (bytes32 value);
    function store(address target, bytes32 slot, bytes32 value) external;
    function getCode(string calldata artifact) external view returns (bytes memory creation);
    function getDeployedCode(string calldata artifact) external view returns (bytes memory runtime);
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function getNonce(address account) external view returns (uint64);

    // what must happen
    function expectRevert() external;
    function expectRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    function expectPartialRevert(bytes4 selector) external;
    function expectEmit() external;
    function expectEmit(address emitter) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data, address emitter) external;
    function expectCall(address target, bytes calldata data) external;
    function expectCall(address target, bytes calldata data, uint64 count) external;
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory logs);

    // replies of other contracts
    function mockCall(address target, bytes calldata data, bytes calldata reply) external;
    function mockCallRevert(address target, bytes calldata data, bytes calldata reply) external;
    function clearMockedCalls() external;

    // fuzzing
    function assume(bool condition) external pure;
    function assumeNoRevert() external pure;

    // gas, settings, files
    function pauseGasMetering() external;
    function resumeGasMetering() external;
    function resetGasMetering() external;
    function snapshotGasLastCall(string calldata name) external returns (uint256 gas);
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256 gas);
    function snapshotValue(string calldata group, string calldata name, uint256 value) external;
    function startSnapshotGas(string calldata name) external;
    function startSnapshotGas(string calldata group, string calldata name) external;
    function stopSnapshotGas() external returns (uint256 gas);
    function lastCallGas() external view returns (Gas memory gas);
    function cool(address target) external;
    function envOr(string calldata name, uint256 fallback_) external view returns (uint256 value);
    function readFile(string calldata path) external view returns (string memory text);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
    function parseJsonUintArray(string calldata json, string calldata key) external pure returns (uint256[] memory);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32);
    function parseJsonAddress(string calldata json, string calldata key) external pure returns (address);
    function toString(uint256 value) external pure returns (string memory);
    function toString(address value) external pure returns (string memory);

    // assertions: a failure shows both values
    function assertTrue(bool condition) external pure;
    function assertTrue(bool condition, string calldata why) external pure;
    function assertFalse(bool condition) external pure;
    function assertFalse(bool condition, string calldata why) external pure;
    function assertEq(bool a, bool b) external pure;
    function assertEq(bool a, bool b, string calldata why) external pure;
    function assertEq(uint256 a, uint256 b) external pure;
    function assertEq(uint256 a, uint256 b, string calldata why) external pure;
    function assertEq(int256 a, int256 b) external pure;
    function assertEq(int256 a, int256 b, string calldata why) external pure;
    function assertEq(address a, address b) external pure;
    function assertEq(address a, address b, string calldata why) external pure;
    function assertEq(bytes32 a, bytes32 b) external pure;
    function assertEq(bytes32 a, bytes32 b, string calldata why) external pure;
    function assertEq(string calldata a, string calldata b) external pure;
    function assertEq(string calldata a, string calldata b, string calldata why) external pure;
    function assertEq(bytes calldata a, bytes calldata b) external pure;
    function assertEq(bytes calldata a, bytes calldata b, string calldata why) external pure;
    function assertEq(uint256[] calldata a, uint256[] calldata b) external pure;
    function assertEq(uint256[] calldata a, uint256[] calldata b, string calldata why) external pure;
    function assertEq(address[] calldata a, address[] calldata b) external pure;
    function assertEq(address[] calldata a, address[] calldata b, string calldata why) external pure;
    function assertEq(bytes32[] calldata a, bytes32[] calldata b) external pure;
    function assertNotEq(uint256 a, uint256 b) external pure;
    function assertNotEq(uint256 a, uint256 b, string calldata why) external pure;
    function assertNotEq(address a, address b) external pure;
    function assertNotEq(address a, address b, string calldata why) external pure;
    function assertNotEq(bytes32 a, bytes32 b) external pure;
    function assertNotEq(bytes32 a, bytes32 b, string calldata why) external pure;
    function assertLt(uint256 a, uint256 b) external pure;
    function assertLt(uint256 a, uint256 b, string calldata why) external pure;
    function assertLe(uint256 a, uint256 b) external pure;
    function assertLe(uint256 a, uint256 b, string calldata why) external pure;
    function assertGt(uint256 a, uint256 b) external pure;
    function assertGt(uint256 a, uint256 b, string calldata why) external pure;
    function assertGe(uint256 a, uint256 b) external pure;
    function assertGe(uint256 a, uint256 b, string calldata why) external pure;
    function assertApproxEqAbs(uint256 a, uint256 b, uint256 limit) external pure;
    function assertApproxEqAbs(uint256 a, uint256 b, uint256 limit, string calldata why) external pure;
    function assertApproxEqRel(uint256 a, uint256 b, uint256 limit1e18) external pure;
    function assertApproxEqRel(uint256 a, uint256 b, uint256 limit1e18, string calldata why) external pure;
}

/// @dev Where forge answers cheat codes: the low 20 bytes of keccak256("hevm cheat code").
Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
