"""Libraries that contracts call are compiled, ordered, and linked by address."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from contracts import CONTRACTS, LIBRARIES, LinkFailed, compile, link, load_artifact
from contracts.artifact import Artifact, order_libraries, parse_artifact

FIRST, SECOND = "0x" + "11" * 20, "0x" + "Ab" * 20
SOURCES = {
    "Low": "library Low { function twice(uint256 a) external pure returns (uint256) { return 2 * a; } }",
    "Inlined": "library Inlined { function once(uint256 a) internal pure returns (uint256) { return a; } }",
    "High": """import {Low} from "./Low.sol";
library High { function four(uint256 a) external pure returns (uint256) { return Low.twice(Low.twice(a)); } }""",
    "User": """import {High} from "./High.sol"; import {Inlined} from "./Inlined.sol"; import {Low} from "./Low.sol";
contract User { function six(uint256 a) external pure returns (uint256) {
    return High.four(Inlined.once(a)) + Low.twice(a); } }""",
}


def _artifact(name: str, links: dict[str, tuple[int, ...]], bytecode: str = "0x") -> Artifact:
    return Artifact(name=name, abi=[], bytecode=bytecode, links=links, source_sha256="", compiler={})


def test_link_when_a_library_is_used_twice_then_its_address_is_at_both_places() -> None:
    code = "60" + "_" * 40 + "61" + "_" * 40 + "62"
    assert link(_artifact("A", {"L": (1, 22)}, "0x" + code), {"L": SECOND, "M": FIRST}) == (
        "0x60" + "ab" * 20 + "61" + "ab" * 20 + "62"
    )


@pytest.mark.parametrize("addresses", [{}, {"L": "0x12"}, {"L": "0x" + "zz" * 20}, {"M": FIRST}])
def test_link_when_an_address_is_missing_or_none_then_refuses(addresses: dict[str, str]) -> None:
    with pytest.raises(LinkFailed, match="A needs the address of library L"):
        link(_artifact("A", {"L": (0,)}, "0x" + "_" * 40), addresses)


def test_order_libraries_when_one_calls_another_then_the_called_is_first() -> None:
    known = [_artifact("User", {"Zoo": (0,), "Ant": (0,)}), _artifact("Ant", {"Zoo": (0,)}), _artifact("Zoo", {})]
    assert order_libraries(known) == ("Zoo", "Ant")


def test_order_libraries_when_they_call_in_a_circle_then_refuses() -> None:
    with pytest.raises(LinkFailed, match="A > B > A"):
        order_libraries([_artifact("A", {"B": (0,)}), _artifact("B", {"A": (0,)})])


def test_committed_artifacts_when_all_libraries_are_placed_then_their_code_is_whole() -> None:
    addresses = {name: "0x" + f"{number:040x}" for number, name in enumerate(LIBRARIES, 1)}
    for name in (*LIBRARIES, *CONTRACTS):
        assert bytes.fromhex(link(load_artifact(name), addresses)[2:]), name
    assert order_libraries(load_artifact(name) for name in (*LIBRARIES, *CONTRACTS)) == LIBRARIES


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="no Node")
def test_compile_when_a_contract_calls_libraries_then_they_come_with_it(tmp_path: Path) -> None:
    for name, text in SOURCES.items():
        (tmp_path / f"{name}.sol").write_text(
            f"pragma solidity ^0.8.28;\n{text.replace('; import', ';' + chr(10) + 'import')}\n"
        )
    made = compile.compile_sources({"User": "User.sol"}, tmp_path)
    assert sorted(made) == ["High", "Low", "User"]
    artifacts = {name: parse_artifact(data) for name, data in made.items()}
    assert order_libraries(artifacts.values()) == ("Low", "High")
    code = link(artifacts["User"], {"Low": FIRST, "High": SECOND})
    assert code.count("11" * 20) == len(artifacts["User"].links["Low"]) and code.count("ab" * 20) >= 1
