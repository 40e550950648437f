// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Hashes of past blocks
/// @notice `blockhash` reaches 256 blocks back. Chains with EIP-2935 keep 8,191 in a contract.
library BlockHashes {
    uint256 internal constant SHORT = 256;
    uint256 internal constant LONG = 8191;
    address internal constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;

    /// @notice A block's hash; zero where it can't be read (any more, or yet).
    function at(uint256 blockNumber) internal view returns (bytes32 hash) {
        hash = blockhash(blockNumber);
        if (hash == 0) hash = _recorded(blockNumber);
    }

    /// @notice How many blocks back hashes can be read on this chain: far only where the history tells the last block's hash right.
    function depth() internal view returns (uint256) {
        bytes32 last = blockhash(block.number - 1);
        return last != 0 && _recorded(block.number - 1) == last ? LONG : SHORT;
    }

    function _recorded(uint256 blockNumber) private view returns (bytes32) {
        if (blockNumber >= block.number || HISTORY.code.length == 0) return 0;
        (bool done, bytes memory answer) = HISTORY.staticcall(abi.encode(blockNumber));
        return done && answer.length == 32 ? bytes32(answer) : bytes32(0);
    }
}
