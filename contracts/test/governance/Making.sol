// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {StrataAuthority} from "../../src/governance/StrataAuthority.sol";
import {vm} from "../support/Vm.sol";

/// @notice Makes contracts from their artifacts, so that a test's own code stays below the limit of code size.
library Making {
    /// @param artifact As forge names it, "File.sol:Contract".
    /// @param arguments The constructor's, encoded.
    function from(string memory artifact, bytes memory arguments) internal returns (address made) {
        bytes memory code = abi.encodePacked(vm.getCode(artifact), arguments);
        assembly ("memory-safe") {
            made := create(0, add(code, 0x20), mload(code))
        }
        require(made != address(0), artifact);
    }

    function authority(address admin) internal returns (StrataAuthority) {
        return StrataAuthority(from("StrataAuthority.sol:StrataAuthority", abi.encode(admin)));
    }
}
