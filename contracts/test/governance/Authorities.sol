// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {StrataAuthority} from "../../src/governance/StrataAuthority.sol";
import {vm} from "../support/Vm.sol";

/// @notice Makes an authority from its artifact, so that a test's own code stays below the limit.
library Authorities {
    function make(address admin) internal returns (StrataAuthority made) {
        bytes memory code = abi.encodePacked(vm.getCode("StrataAuthority.sol:StrataAuthority"), abi.encode(admin));
        assembly ("memory-safe") {
            made := create(0, add(code, 0x20), mload(code))
        }
        require(address(made) != address(0), "no authority");
    }
}
