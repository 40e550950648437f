// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What a commitment binds: chain, contract, model, round, sender, content and salt
library Commitments {
    /// @notice Of a delta's digest.
    function delta(uint256 modelId, uint64 round, bytes32 digest, bytes32 salt) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), modelId, round, msg.sender, digest, salt));
    }

    /// @notice Of a validator's scores.
    function scores(
        uint256 modelId,
        uint64 round,
        uint64[] calldata values,
        uint8[] calldata reasons,
        bytes32 report,
        bytes32 salt
    ) internal view returns (bytes32) {
        return keccak256(
            abi.encode(block.chainid, address(this), modelId, round, msg.sender, values, reasons, report, salt)
        );
    }

    /// @notice Of a head.
    function head(uint256 modelId, uint64 round, bytes32 digest, bytes32 salt) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), modelId, round, msg.sender, "HEAD", digest, salt));
    }

    /// @notice The seed of a round or of its evaluation, from a block's hash (zero where that can't be read).
    function roundSeed(bytes32 blockHash, uint256 modelId, uint64 round) internal pure returns (bytes32) {
        return blockHash == 0 ? bytes32(0) : keccak256(abi.encode(blockHash, modelId, round));
    }

    /// @notice The seed of a round's evaluation, from a block's hash (zero where that can't be read) and all revealed salts.
    function evaluationSeed(bytes32 blockHash, bytes32 saltMix, uint256 modelId, uint64 round)
        internal
        pure
        returns (bytes32)
    {
        return blockHash == 0 ? bytes32(0) : keccak256(abi.encode(blockHash, saltMix, modelId, round));
    }
}
